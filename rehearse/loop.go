package rehearse

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Loop drives lines from the goroutine that calls Turn.
type Loop struct {
	ep     int
	lines  []*Line // by descriptor
	open   int
	dirty  []*Line // with something to write
	buf    []byte
	events []unix.EpollEvent
	began  time.Time
	dialed int
	bytes  uint64 // that came
}

// NewLoop opens a loop.
func NewLoop() (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	return &Loop{ep: ep, buf: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512), began: time.Now()}, nil
}

// Close cuts all lines, without a word.
func (l *Loop) Close() error {
	for _, line := range l.lines {
		if line != nil {
			line.Cut()
		}
	}
	return unix.Close(l.ep)
}

// Now is the time since the loop was opened.
func (l *Loop) Now() time.Duration { return time.Since(l.began) }

// Received is how many bytes have come over all lines.
func (l *Loop) Received() uint64 { return l.bytes }

// Open is how many lines there are.
func (l *Loop) Open() int { return l.open }

// A Line is one TCP connection.
type Line struct {
	// Element is called for each element that comes; el is valid until it
	// returns. An error ends the line.
	Element func(el []byte) error
	// Connected is called once there is a connection; Lost when there is none
	// any more, unless Cut was called.
	Connected func()
	Lost      func(error)

	loop       *Loop
	fd         int
	in         []byte // part of an element
	cut        cutter // how far it was looked at
	out        []byte
	connecting bool
	dirty      bool
	writable   bool // waits for room
}

// sources spreads lines over addresses of the loopback network: each gives
// 28,232 ports towards one listener.
const sources = 8

// Dial begins a connection; the loop goes on with it.
func (l *Loop) Dial(to netip.AddrPort) (*Line, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	fail := func(err error) (*Line, error) {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", to, err), unix.Close(fd))
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fail(err)
	}
	if to.Addr().IsLoopback() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fail(err)
		}
		l.dialed++
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + l.dialed%sources)}}
		if err := unix.Bind(fd, from); err != nil {
			return fail(err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		return fail(err)
	}
	line := &Line{loop: l, fd: fd, connecting: true}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(fd)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fail(err)
	}
	for len(l.lines) <= fd {
		l.lines = append(l.lines, nil)
	}
	l.lines[fd] = line
	l.open++
	return line, nil
}

// Send queues bytes; the turn ends with one write per line.
func (c *Line) Send(b []byte) { c.mark(append(c.out, b...)) }

// SendString is Send.
func (c *Line) SendString(s string) { c.mark(append(c.out, s...)) }

// Buffer gives the queue to append to; Sent puts it back.
func (c *Line) Buffer() []byte { return c.out }

// Sent is told the queue that grew.
func (c *Line) Sent(b []byte) { c.mark(b) }

func (c *Line) mark(b []byte) {
	c.out = b
	if !c.dirty && !c.connecting && !c.writable {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// Cut ends the line with a reset: the other end sees a broken connection, and
// no port waits in TIME_WAIT.
func (c *Line) Cut() {
	if c.fd < 0 {
		return
	}
	// An error would only leave the port waiting.
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.loop.lines[c.fd] = nil
	c.loop.open--
	_ = unix.Close(c.fd)
	c.fd = -1
}

func (c *Line) lose(err error) {
	if c.fd < 0 {
		return
	}
	c.Cut()
	if c.Lost != nil {
		c.Lost(err)
	}
}

// Turn writes what is queued, waits for events for at most wait (0: not at
// all), and handles them.
func (l *Loop) Turn(wait time.Duration) error {
	l.flush()
	n, err := epollWait(l.ep, l.events, wait)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	for i := range l.events[:n] {
		e := &l.events[i]
		c := l.lines[e.Fd]
		if c == nil {
			continue
		}
		if e.Events&unix.EPOLLOUT != 0 {
			c.room()
		}
		if e.Events&^uint32(unix.EPOLLOUT) != 0 && c.fd >= 0 {
			c.read()
		}
	}
	l.flush()
	return nil
}

// epollWait is epoll_pwait2: a timeout of nanoseconds, for an even rate.
func epollWait(ep int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	if wait <= 0 {
		return unix.EpollWait(ep, events, 0)
	}
	ts := unix.NsecToTimespec(int64(wait))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// room is called when the socket takes bytes.
func (c *Line) room() {
	if c.connecting {
		code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			c.lose(fmt.Errorf("connect: %w", err))
			return
		}
		c.connecting = false
		c.want(unix.EPOLLIN)
		if c.Connected != nil {
			c.Connected()
		}
		return
	}
	if c.writable {
		c.writable = false
		c.want(unix.EPOLLIN)
		c.mark(c.out)
	}
}

func (c *Line) want(events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.fd)}
	if err := unix.EpollCtl(c.loop.ep, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		c.lose(fmt.Errorf("wait for a line: %w", err))
	}
}

func (l *Loop) flush() {
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		c.dirty = false
		if c.fd >= 0 && len(c.out) > 0 {
			c.write()
		}
	}
	l.dirty = l.dirty[:0]
}

func (c *Line) write() {
	n, err := unix.Write(c.fd, c.out)
	switch {
	case err == unix.EAGAIN:
		n = 0
	case err != nil:
		c.lose(fmt.Errorf("write: %w", err))
		return
	}
	c.out = c.out[:copy(c.out, c.out[n:])]
	if len(c.out) > 0 {
		c.writable = true
		c.want(unix.EPOLLIN | unix.EPOLLOUT)
	}
}

// read takes what is there and cuts it into elements.
func (c *Line) read() {
	b := c.loop.buf
	if len(c.in) > len(b)/2 {
		c.in = slices.Grow(c.in, len(b)/2)
		b = c.in[:cap(c.in)]
	}
	at := copy(b, c.in)
	n, err := unix.Read(c.fd, b[at:])
	switch {
	case err == unix.EAGAIN:
		return
	case err != nil:
		c.lose(fmt.Errorf("read: %w", err))
		return
	case n == 0:
		c.lose(io.EOF)
		return
	}
	c.loop.bytes += uint64(n)
	b = b[:at+n]
	for len(b) > 0 {
		el, used, err := c.cut.cut(b)
		if err == nil && used == 0 {
			break
		}
		if err == nil {
			err = c.Element(el)
		}
		if err != nil {
			c.lose(err)
		}
		if c.fd < 0 {
			return
		}
		b = b[used:]
	}
	b = c.cut.skim(b)
	if len(b) == 0 {
		c.in = c.in[:0]
		if cap(c.in) > 16*kept {
			c.in = nil
		}
		return
	}
	c.in = append(c.in[:0], b...)
}
