package stream

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// againError says that a socket has no bytes now. crypto/tls keeps a partial
// record when its connection returns an error that is Temporary.
type againError struct{}

func (againError) Error() string   { return "no bytes yet" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

// errAgain is the only againError.
var errAgain error = againError{}

// A sock is a TCP or Unix socket whose Read blocks at first, as TLS handshakes
// want, and does not once a Poller waits for it.
type sock struct {
	net.Conn
	raw syscall.RawConn
	p   *Poller // nil until a Conn takes it

	rd      *reader // of the worker that owns the connection now; nil: block
	drained bool    // the last read took all there was
	gone    bool    // the peer will send nothing more: read until the end is seen
	closing atomic.Bool
	lastIn  uint64 // in when the last words were said

	in, out atomic.Uint64
}

// newSock wraps what can be polled; ok is false for anything else.
func newSock(nc net.Conn) (s *sock, ok bool) {
	switch c := nc.(type) {
	case *sock:
		return c, true
	case *net.TCPConn, *net.UnixConn:
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			return nil, false
		}
		return &sock{Conn: nc, raw: raw}, true
	}
	return nil, false
}

// sockOf finds the sock at the bottom of a connection: itself, or below TLS.
func sockOf(nc net.Conn) (*sock, bool) {
	if t, ok := nc.(*tls.Conn); ok {
		s, ok := t.NetConn().(*sock)
		return s, ok
	}
	return newSock(nc)
}

// SyscallConn lets others find the descriptor.
func (s *sock) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }

// Read reads what is there. While a worker owns the connection it returns
// errAgain instead of waiting.
func (s *sock) Read(p []byte) (int, error) {
	if s.rd == nil {
		n, err := s.Conn.Read(p)
		s.in.Add(uint64(n))
		return n, err
	}
	if s.drained {
		return 0, errAgain
	}
	n, err := s.rd.read(s.raw, p)
	s.in.Add(uint64(n))
	// A short read has emptied the socket: what comes later is a new event. The
	// end of the stream was announced by the event that brought us here.
	s.drained = n < len(p) && !s.gone
	return n, err
}

// Write writes all of p. It waits no longer than the write timeout without any
// progress, and not at all once the connection is closing.
func (s *sock) Write(p []byte) (int, error) {
	if s.p == nil {
		return s.Conn.Write(p)
	}
	w := s.p.writers.Get().(*writer)
	n, err := w.write(s, p)
	s.p.writers.Put(w)
	s.out.Add(uint64(n))
	return n, err
}

// CloseWrite sends the end of our half.
func (s *sock) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// A reader reads without waiting; it is kept by a worker so that reading
// allocates nothing.
type reader struct {
	p   []byte
	n   int
	err error
	fn  func(fd uintptr) bool
}

func newReader() *reader {
	r := &reader{}
	r.fn = r.try
	return r
}

// read reads once. At the end of the stream the error is io.EOF.
func (r *reader) read(raw syscall.RawConn, p []byte) (int, error) {
	r.p = p
	err := raw.Read(r.fn)
	r.p = nil
	if err != nil {
		return 0, err
	}
	return r.n, r.err
}

// try is called with the descriptor, and always answers that it is done: the
// waiting is the Poller's.
func (r *reader) try(fd uintptr) bool {
	for {
		n, err := unix.Read(int(fd), r.p)
		r.n, r.err = max(n, 0), nil
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			r.err = errAgain
		case err != nil:
			r.err = &net.OpError{Op: "read", Net: "tcp", Err: err}
		case n == 0 && len(r.p) > 0:
			r.err = errEOF
		}
		return true
	}
}

// A writer writes and waits for room when there is none. A deadline, which
// costs a timer, is set only then.
type writer struct {
	s     *sock
	p     []byte
	n     int
	at    int // progress when we last waited
	timed bool
	err   error
	fn    func(fd uintptr) bool
}

func newWriter() any {
	w := &writer{}
	w.fn = w.try
	return w
}

func (w *writer) write(s *sock, p []byte) (int, error) {
	w.s, w.p, w.n, w.at, w.timed, w.err = s, p, 0, -1, false, nil
	err := s.raw.Write(w.fn)
	if w.timed && err == nil && w.err == nil {
		err = s.SetWriteDeadline(time.Time{})
	}
	if err == nil {
		err = w.err
	}
	w.s, w.p = nil, nil
	return w.n, err
}

// try writes as much as there is room for; false: wait for more.
func (w *writer) try(fd uintptr) bool {
	for w.n < len(w.p) {
		n, err := unix.Write(int(fd), w.p[w.n:])
		switch {
		case err == nil:
			w.n += n
		case err == unix.EINTR:
		case err != unix.EAGAIN:
			w.err = &net.OpError{Op: "write", Net: "tcp", Err: err}
			return true
		case w.s.closing.Load():
			w.err = errWriteStuck
			return true
		default:
			if w.n > w.at { // progress since we last waited
				w.at, w.timed = w.n, true
				w.err = w.s.SetWriteDeadline(time.Now().Add(w.s.p.opt.WriteTimeout))
				if w.err == nil && w.s.closing.Load() { // Close set one before us
					w.err = errWriteStuck
				}
				if w.err != nil {
					return true
				}
			}
			return false
		}
	}
	return true
}

// listener wraps accepted sockets.
type listener struct{ net.Listener }

// Listen wraps the listener under an http.Server or tls.NewListener: the
// connections that Upgrade gets from it need no goroutine while idle.
func Listen(l net.Listener) net.Listener { return listener{l} }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if s, ok := newSock(nc); ok {
		return s, nil
	}
	return nc, nil
}
