package stream

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How bytes leave. Nobody waits for a socket but who asks to:
// sock.Write gives the socket what it takes at once and keeps the rest, TLS
// records too; the Poller's event of room has a worker write that, drainOut.
// Flush waits until nothing is kept, TryFlush does not.

// maxKept is how many bytes a socket keeps. It is far more than one write:
// beyond it only a peer gets that has TLS answer it again and again (key
// updates, RFC 8446 §4.6.3) without reading.
const maxKept = 16 << 20

// An overflow is what a socket had no room for.
type overflow struct {
	rest  []byte
	until time.Time   // when the peer has taken nothing for too long
	timer *time.Timer // looks at until
	err   error       // it cannot be written; stays for good
	then  func(error)
	done  chan struct{} // of who waits
}

// An output is something to do for a connection by a worker that writes.
type output struct {
	c  *Conn
	do func()
}

// writeOut is the goroutine of a worker that writes.
func (p *Poller) writeOut() {
	for {
		o, _, ok := p.out.take()
		if !ok {
			return
		}
		o.run()
	}
}

func (o *output) run() {
	defer o.c.recovered()
	o.do()
}

// Soon has write called by another goroutine, one of a few that all connections
// share: it is to use TryFlush, not Flush. What was asked first for a
// connection begins first. Soon never waits.
func (c *Conn) Soon(write func()) {
	if c.sock == nil {
		o := &output{c, write}
		go o.run() // TryFlush waits there
		return
	}
	c.soon(write)
}

func (c *Conn) soon(do func()) {
	o := output{c, do}
	if !c.p.out.put(c.class(), o) {
		go o.run() // the Poller is closed; so is the connection
	}
}

// TryFlush is Flush without waiting. What the socket does not take now is
// copied, and written when there is room: all is false then, WhenFlushed tells
// the end, and more should not be written until then. A connection that cannot
// be polled waits.
func (c *Conn) TryFlush(framed []byte) (all bool, err error) {
	c.wmu.Lock()
	defer c.unlockWrite()
	if c.footed || c.state.Load()&stClosing != 0 {
		return false, ErrClosed
	}
	err = c.putLocked(framed)
	return err == nil && !c.crammed(), err
}

// WhenFlushed has then called as Soon does, once all is written, or with the
// error that kept it from that: the peer takes nothing for the write timeout,
// the connection was closed.
func (c *Conn) WhenFlushed(then func(error)) {
	if c.sock == nil {
		c.Soon(func() { then(nil) })
		return
	}
	s := c.sock
	s.omu.Lock()
	o := s.over
	if o != nil && o.err == nil {
		o.then = then
		s.omu.Unlock()
		return
	}
	s.omu.Unlock()
	c.soon(func() { then(o.failure()) })
}

// crammed says whether bytes are kept.
func (c *Conn) crammed() bool { return c.sock != nil && c.sock.full.Load() }

// drainOut writes what is kept, for there is room.
func (c *Conn) drainOut() {
	then, err := c.sock.drain()
	if err != nil {
		c.close(err, true)
	}
	if then != nil {
		then(err)
	}
	// A pong that came due meanwhile; else the one who writes sends it.
	if c.ws != nil && !c.crammed() && c.ws.hasDue() && c.wmu.TryLock() {
		c.unlockWrite()
	}
}

// Write gives the socket as much of p as it takes and keeps the rest. Once the
// connection is closing nothing is kept. Before the Poller tells of room it
// waits.
func (s *sock) Write(p []byte) (int, error) {
	if !s.polled.Load() {
		return s.writeAlone(p)
	}
	s.omu.Lock()
	defer s.omu.Unlock()
	if s.over != nil {
		if s.over.err == nil && len(s.over.rest)+len(p) > maxKept {
			return 0, errWriteStuck
		}
		if s.over.err == nil {
			s.over.rest = append(s.over.rest, p...)
			return len(p), nil
		}
		return 0, s.over.err
	}
	n, err := s.put(p)
	if err == nil && n < len(p) {
		if s.closing.Load() {
			return n, errWriteStuck
		}
		if err = s.keep(p[n:]); err == nil {
			n = len(p)
		}
	}
	return n, err
}

// writeAlone writes all and waits.
func (s *sock) writeAlone(p []byte) (int, error) {
	if s.c != nil {
		if err := s.SetWriteDeadline(time.Now().Add(s.c.p.opt.WriteTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := s.Conn.Write(p)
	s.out.Add(uint64(n))
	return n, err
}

// put writes what there is room for; omu is held.
func (s *sock) put(p []byte) (int, error) {
	w := s.c.p.writers.Get().(*writer)
	n, err := w.write(s.raw, p)
	s.c.p.writers.Put(w)
	s.out.Add(uint64(n))
	return n, err
}

// keep begins to wait for room; omu is held.
func (s *sock) keep(rest []byte) error {
	wait := s.c.p.opt.WriteTimeout
	s.over = &overflow{rest: append([]byte(nil), rest...), until: time.Now().Add(wait)}
	s.over.timer = time.AfterFunc(wait, s.expired)
	s.full.Store(true)
	// It is told again when there is room by now.
	if err := s.c.p.control(s.c, unix.EPOLL_CTL_MOD, unix.EPOLLOUT); err != nil {
		s.fail(err)
		return err
	}
	return nil
}

// drain writes what is kept, and gives who is to be told when that is the end
// of it.
func (s *sock) drain() (then func(error), err error) {
	s.omu.Lock()
	defer s.omu.Unlock()
	o := s.over
	if o == nil || o.err != nil {
		return nil, nil
	}
	n, err := s.put(o.rest)
	switch {
	case err != nil:
		return s.fail(err), err
	case n < len(o.rest):
		o.rest = o.rest[n:]
		if n > 0 {
			o.until = time.Now().Add(s.c.p.opt.WriteTimeout)
		}
		return nil, nil
	}
	s.over = nil
	return s.settle(o), nil
}

// fail forgets what is kept: it cannot be written. omu is held.
func (s *sock) fail(err error) (then func(error)) {
	s.over.err = err
	return s.settle(s.over)
}

// settle tells who waits that nothing is kept any more; omu is held.
func (s *sock) settle(o *overflow) (then func(error)) {
	s.full.Store(false)
	o.timer.Stop()
	if o.done != nil {
		close(o.done)
	}
	then, o.rest, o.then, o.done, o.timer = o.then, nil, nil, nil, nil
	return then
}

// expired looks whether the peer has taken nothing for too long.
func (s *sock) expired() {
	s.omu.Lock()
	o := s.over
	if o == nil || o.err != nil {
		s.omu.Unlock()
		return
	}
	if left := time.Until(o.until); left > 0 {
		o.timer.Reset(left)
		s.omu.Unlock()
		return
	}
	err := &net.OpError{Op: "write", Net: "tcp", Err: os.ErrDeadlineExceeded}
	then := s.fail(err)
	s.omu.Unlock()
	s.c.close(err, true)
	if then != nil {
		s.c.soon(func() { then(err) })
	}
}

// giveUp forgets what is kept, for the connection is closing: its peer does not
// keep up.
func (s *sock) giveUp() {
	s.closing.Store(true)
	s.omu.Lock()
	var then func(error)
	if s.over != nil && s.over.err == nil {
		then = s.fail(errWriteStuck)
	}
	s.omu.Unlock()
	if then != nil {
		s.c.soon(func() { then(errWriteStuck) })
	}
}

// wait waits until nothing is kept.
func (s *sock) wait() error {
	s.omu.Lock()
	o := s.over
	if o == nil || o.err != nil {
		s.omu.Unlock()
		return o.failure()
	}
	if o.done == nil {
		o.done = make(chan struct{})
	}
	done := o.done
	s.omu.Unlock()
	<-done
	return o.failure()
}

// failure is why what was kept was not written; o may be nil.
func (o *overflow) failure() error {
	if o == nil {
		return nil
	}
	return o.err
}

// A writer writes without waiting; it is lent so that writing allocates nothing.
type writer struct {
	p   []byte
	n   int
	err error
	fn  func(fd uintptr)
}

func newWriter() any {
	w := &writer{}
	w.fn = w.try
	return w
}

func (w *writer) write(raw syscall.RawConn, p []byte) (int, error) {
	w.p, w.n, w.err = p, 0, nil
	err := raw.Control(w.fn)
	w.p = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// try is called with the descriptor.
func (w *writer) try(fd uintptr) {
	for w.n < len(w.p) {
		n, err := unix.Write(int(fd), w.p[w.n:])
		switch {
		case err == nil:
			w.n += n
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return
		default:
			w.err = &net.OpError{Op: "write", Net: "tcp", Err: err}
			return
		}
	}
}
