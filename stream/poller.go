package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/stanza"
)

// readSize is how much one read takes at most.
const readSize = 64 << 10

// maxWriters is how many goroutines write at once. They never wait for a
// socket, only for those they tell what was written.
const maxWriters = 64

// Options are what all connections of a Poller share. Zero fields take the
// defaults.
type Options struct {
	Workers      int              // most goroutines reading at once; default 1,024
	WriteTimeout time.Duration    // how long a peer may take nothing of what we write; default 20 s
	TLSTimeout   time.Duration    // for a handshake; default 20 s
	Linger       time.Duration    // how long a peer may take to read our last words; default 2 s
	Log          *slog.Logger     // for panics of handlers; default slog.Default()
	Overload     *overload.Signal // is told how long what is ready waits for a worker; may be nil
	// Account pays for waiting, and for what no connection's account does; nil:
	// the time is not measured.
	Account *feature.Account
}

// A Poller waits for many connections with one epoll instance, edge-triggered,
// whose own readiness the Go runtime waits for: one goroutine, and no thread,
// blocks. What is ready goes to a few workers. More of them are started while
// all are blocked, and end when there is nothing to do.
type Poller struct {
	opt      Options
	file     *os.File
	raw      syscall.RawConn
	fd       int
	writers  sync.Pool // of *writer
	scanners sync.Pool // of *stanza.Scanner, for items that come in pieces

	mu    sync.Mutex // guards slots, free and shut
	slots []slot
	free  []uint32
	shut  bool

	run  runQueue[*Conn]  // what is to be read
	out  runQueue[output] // what is to be written
	live sync.WaitGroup   // connections whose handlers have not been told their end
	done sync.WaitGroup   // goroutines
}

// A slot finds the connection of an event. The generation tells an event of a
// former owner of the slot.
type slot struct {
	c   *Conn
	gen uint32
}

// NewPoller opens a poller. Close ends it.
func NewPoller(opt Options) (*Poller, error) {
	opt.defaults()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("make epoll pollable: %w", err), unix.Close(fd))
	}
	p := &Poller{opt: opt, fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("make epoll pollable: %w", err), p.file.Close())
	}
	p.writers.New = newWriter
	p.scanners.New = func() any { return new(stanza.Scanner) }
	base := max(2, runtime.GOMAXPROCS(0))
	p.run.setUp(base, opt.Workers, &p.done, p.work)
	p.out.setUp(base, min(opt.Workers, maxWriters), &p.done, p.writeOut)
	p.run.measure(opt.Overload, overload.Read)
	p.out.measure(opt.Overload, overload.Write)
	p.done.Add(1)
	go p.poll()
	return p, nil
}

func (o *Options) defaults() {
	if o.Workers <= 0 {
		o.Workers = 1024
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 20 * time.Second
	}
	if o.TLSTimeout <= 0 {
		o.TLSTimeout = 20 * time.Second
	}
	if o.Linger <= 0 {
		o.Linger = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Close cuts the connections that are left, without last words, waits until
// their handlers were told, and ends the goroutines. It must not be called from
// a handler.
func (p *Poller) Close() error {
	p.mu.Lock()
	p.shut = true
	var left []*Conn
	for i := range p.slots {
		if c := p.slots[i].c; c != nil {
			left = append(left, c)
		}
	}
	p.mu.Unlock()
	for _, c := range left {
		c.abort(ErrClosed)
	}
	p.live.Wait()
	for _, c := range left {
		c.shut() // also those whose peers were still reading our last words
	}
	err := p.file.Close()
	p.run.end()
	p.out.end()
	p.done.Wait()
	return err
}

// poll is the goroutine that waits. Events are taken inside of the callback,
// which waits again unless there may be more: readiness that comes between is
// kept by the runtime, for it is reset only when Read begins.
func (p *Poller) poll() {
	defer p.done.Done()
	g := newGathering(256)
	var span feature.Span
	for {
		if err := p.raw.Read(func(fd uintptr) bool {
			if p.opt.Account != nil {
				span.Begin(p.opt.Account)
				defer span.End()
			}
			for p.gather(int(fd), g) {
			}
			return false
		}); err != nil {
			return // closed
		}
	}
}

// A gathering is what one look at epoll needs.
type gathering struct {
	events []unix.EpollEvent
	ready  [classes][]*Conn
	roomy  []*Conn
}

func newGathering(n int) *gathering { return &gathering{events: make([]unix.EpollEvent, n)} }

// gather takes the events that are there and hands their connections to the
// workers. It returns true when there may be more.
func (p *Poller) gather(fd int, g *gathering) (more bool) {
	n, err := unix.EpollWait(fd, g.events, 0)
	if err != nil {
		return err == unix.EINTR
	}
	if n == 0 {
		return false
	}
	p.collect(g, g.events[:n])
	for class := range g.ready {
		p.run.put(class, g.ready[class]...)
		clear(g.ready[class]) // what is closed is to be forgotten
		g.ready[class] = g.ready[class][:0]
	}
	for _, c := range g.roomy {
		c.soon(c.drainOut)
	}
	clear(g.roomy)
	g.roomy = g.roomy[:0]
	return n == len(g.events)
}

// collect marks the connections of events and lists those that nobody works on,
// and those that have room for what is kept.
func (p *Poller) collect(g *gathering, events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		s := p.slots[uint32(e.Fd)]
		if s.c == nil || s.gen != uint32(e.Pad) {
			continue
		}
		if e.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 && s.c.sock.full.Load() {
			g.roomy = append(g.roomy, s.c)
		}
		bits := uint32(0)
		if e.Events&^unix.EPOLLOUT != 0 {
			bits |= stReady
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			bits |= stGone
		}
		if bits != 0 && s.c.mark(bits, 0) {
			g.ready[s.c.class()] = append(g.ready[s.c.class()], s.c)
		}
	}
}

// add begins to wait for a connection.
func (p *Poller) add(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return ErrClosed
	}
	if len(p.free) == 0 {
		p.slots = append(p.slots, slot{})
		p.free = append(p.free, uint32(len(p.slots)-1))
	}
	at := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.slots[at].gen++
	p.slots[at].c = c
	c.slot = at
	c.gen = p.slots[at].gen
	if err := p.control(c, unix.EPOLL_CTL_ADD, 0); err != nil {
		p.release(at)
		return fmt.Errorf("wait for a connection: %w", err)
	}
	c.sock.polled.Store(true)
	p.live.Add(1)
	return nil
}

// control begins to wait, or waits for room too.
func (p *Poller) control(c *Conn, op int, also uint32) error {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | also,
		Fd:     int32(c.slot),
		Pad:    int32(c.gen),
	}
	var ctl error
	err := c.sock.raw.Control(func(fd uintptr) { ctl = unix.EpollCtl(p.fd, op, int(fd), &ev) })
	return errors.Join(err, ctl)
}

// remove ends the waiting. It comes before the descriptor is closed, for its
// number may be another connection's at once.
func (p *Poller) remove(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(c.slot) < len(p.slots) && p.slots[c.slot].c == c {
		p.release(c.slot)
		// An error means that the descriptor is closed, and so out of epoll.
		_ = c.sock.raw.Control(func(fd uintptr) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
	}
}

// release frees a slot; p.mu is held.
func (p *Poller) release(at uint32) {
	p.slots[at].c = nil
	p.free = append(p.free, at)
}

// A worker has what reading needs and an idle connection does not.
type worker struct {
	p   *Poller
	rd  *reader
	buf []byte
	sc  *stanza.Scanner
	it  Item
	sp  feature.Span
}

// lookEvery is after how many connections that negotiate a worker looks for
// events itself: the goroutine of poll would have its turn late.
const lookEvery = 8

// work is a worker's goroutine: it takes connections that are ready until there
// are none and enough others wait. After one that negotiates it lets others go
// on, for behind it stand thousands: who commits, delivers or writes a message
// meanwhile would wait until the time slice of each worker is over.
func (p *Poller) work() {
	w := &worker{p: p, rd: newReader(), buf: make([]byte, readSize), sc: new(stanza.Scanner)}
	g := newGathering(64)
	for n := 1; ; {
		c, class, ok := p.run.take()
		if !ok {
			return
		}
		c.serve(w)
		if class != negotiating {
			continue
		}
		runtime.Gosched()
		if n++; n%lookEvery == 0 {
			p.look(g)
		}
	}
}

// look is gather for a worker. An error means that the poller is closed.
func (p *Poller) look(g *gathering) {
	_ = p.raw.Control(func(fd uintptr) { p.gather(int(fd), g) })
}
