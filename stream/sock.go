package stream

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

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
	c   *Conn // nil until it takes the socket

	rd      *reader     // of the worker that owns the connection now; nil: block
	drained bool        // the last read took all there was
	gone    bool        // the peer will send nothing more: read until the end is seen
	polled  atomic.Bool // the Poller tells of room
	full    atomic.Bool // over has bytes
	closing atomic.Bool
	lastIn  uint64 // in when the last words were said

	omu  sync.Mutex // guards over; who writes holds it
	over *overflow  // what there was no room for; nil: nothing

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
