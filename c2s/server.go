// Package c2s is the door for clients: it accepts their streams over TCP, TLS
// and WebSocket, negotiates TLS, sign-in and resource (RFC 6120 §4 to §7), and
// hands what they send to the router.
//
// A conn is the state of one stream. It is used by the goroutine that handles
// the stream's items, one at a time, and holds no lock. Server.mu guards the
// book of streams; budget.mu the counts of addresses. Neither is held while
// anything is called. See docs/locks.md.
package c2s

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stream"
)

// A Config is what a Server works with.
type Config struct {
	Router *router.Router
	Log    *slog.Logger
	Poller *stream.Poller
	// TLS makes the configuration of a listener; Leaf is the certificate a
	// client that named a server is shown.
	TLS  func(alpn ...string) *tls.Config
	Leaf func(serverName string) (*x509.Certificate, error)

	Plaintext   bool          // sign-in without TLS is allowed
	FirstBytes  int           // greatest element before sign-in
	Negotiation time.Duration // from connecting to a bound resource
	Failures    int           // failed sign-ins per minute and address
	MaxStreams  int           // streams at once; 0 means no limit of ours
	Proxies     []netip.Prefix
	ScramSecret []byte // makes up salts for accounts that do not exist
	// Hosts finds the organisation's domain that a web host belongs to.
	Hosts func(host string) (domain string, ok bool)
}

// A Server accepts the streams of clients.
type Server struct {
	Config
	startTLS, direct *tls.Config
	budget           budget

	mixed sync.Map // of feature.Org: has neither SCRAM for all, and the operator was told

	opened   atomic.Int64 // streams since the start
	failures atomic.Int64 // failed sign-ins since the start

	mu       sync.Mutex
	streams  map[*conn]struct{}
	draining bool
}

// New makes a server; Serve and ServeHTTP bring it clients.
func New(c Config) *Server {
	return &Server{
		Config: c, startTLS: c.TLS(), direct: c.TLS("xmpp-client"),
		budget: budget{limit: c.Failures}, streams: make(map[*conn]struct{}),
	}
}

// Serve accepts streams from a listener until it is closed. With direct they
// begin with TLS (XEP-0368).
func (s *Server) Serve(l net.Listener, direct bool) error {
	return s.serve(l, func(nc net.Conn) { s.accept(nc, direct, false) })
}

// ServeLocal accepts streams that count as secure without TLS, for they do not
// leave the machine: l listens on a loopback address.
func (s *Server) ServeLocal(l net.Listener) error {
	return s.serve(l, func(nc net.Conn) { s.accept(nc, false, true) })
}

func (s *Server) serve(l net.Listener, accept func(net.Conn)) error {
	var span feature.Span
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			span.Begin(s.Router.SigningIn(0))
			accept(nc)
			span.End()
		case errors.Is(err, net.ErrClosed):
			return nil
		case stream.AcceptAgain(err):
			s.Log.Warn("a stream was not accepted", "cause", err)
			time.Sleep(50 * time.Millisecond)
		default:
			return err
		}
	}
}

func (s *Server) accept(nc net.Conn, direct, local bool) {
	sc := stream.NewConn(nc, s.Poller)
	c := s.open(sc, hostOf(nc.RemoteAddr()))
	if c == nil {
		return
	}
	c.secure = direct || local
	if direct {
		sc.StartTLS(s.direct, func(err error) {
			if err != nil {
				s.Log.Debug("no TLS", "address", c.address, "cause", err)
			}
		})
	}
	sc.Serve(stream.Handler{Item: c.item, Closed: c.closed})
}

// open enters a stream in the book; nil when there is no room, and the stream
// is closed.
func (s *Server) open(sc *stream.Conn, address string) *conn {
	c := &conn{server: s, stream: sc, address: address, began: time.Now()}
	s.mu.Lock()
	full := s.MaxStreams > 0 && len(s.streams) >= s.MaxStreams
	if s.draining || full {
		s.mu.Unlock()
		e := stream.NewError(stream.SystemShutdown, "")
		if full {
			e = stream.NewError(stream.ResourceConstraint, "this server has no room; try again in a minute")
		}
		sc.Close(e)
		return nil
	}
	s.streams[c] = struct{}{}
	s.mu.Unlock()
	s.opened.Add(1)
	sc.SetLimits(stream.Limits{Bytes: s.FirstBytes})
	sc.SetAccount(s.Router.SigningIn(0))
	return c
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.streams, c); len(s.streams) == 0 {
		s.streams = make(map[*conn]struct{}) // it does not shrink by itself
	}
}

// hostOf is the address without its port.
func hostOf(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

// Run looks after streams that do not get on, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.budget.sweep(now)
			for _, c := range s.late(now) {
				c.stream.Close(stream.NewError(stream.ConnectionTimeout, "the stream was not set up in time"))
			}
		}
	}
}

// late lists the streams that have taken too long to bind a resource.
func (s *Server) late(now time.Time) (list []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.streams {
		if !c.bound.Load() && now.Sub(c.began) > s.Negotiation {
			list = append(list, c)
		}
	}
	return list
}

// Counts are gauges and counters of the server.
type Counts struct{ Streams, Opened, Failures int64 }

// Count is for metrics.
func (s *Server) Count() Counts {
	s.mu.Lock()
	n := len(s.streams)
	s.mu.Unlock()
	return Counts{Streams: int64(n), Opened: s.opened.Load(), Failures: s.failures.Load()}
}

// Drain refuses new streams, ends those there are with <system-shutdown/> and
// waits until they are gone or ctx ends.
func (s *Server) Drain(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	var waiting []*conn
	for c := range s.streams {
		if !c.bound.Load() {
			waiting = append(waiting, c)
		}
	}
	s.mu.Unlock()
	bye := stream.NewError(stream.SystemShutdown, "")
	for _, c := range waiting {
		c.stream.Close(bye)
	}
	s.Router.CloseAll(bye)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Count().Streams > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
