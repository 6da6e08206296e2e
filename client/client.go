// Package client is a small XMPP client: it dials (TCP, STARTTLS, direct TLS, WebSocket), signs in, binds a resource,
// enables and resumes stream management, sends and receives. The golden scripts, the crash test, the people of the
// demo and the load tool are made of it; a chat client for people it is not.
//
// A Client is one connection with one reading goroutine, which ends with the connection. What is read either waits in
// a queue for Receive and Take, or goes to the function given to Handle, on the reading goroutine. Negotiation is
// synchronous: Dial, Open, StartTLS, Authenticate, Bind, Enable or Resume, in this order; Connect does them all.
//
// Locks: Client.wmu orders writes and guards the stream management counters of what was sent, Client.mu guards the
// queue. wmu may be held when mu is taken, never the other way round.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stream"
)

// Security says what to do about TLS on a plain TCP connection.
type Security uint8

// What a client may do with a STARTTLS that is offered (RFC 6120 §5).
const (
	TLSIfNeeded Security = iota // only where no SASL mechanism is offered without it
	TLSAlways                   // and fail where it is not offered
	TLSNever
)

// Config says who signs in, where and how. The zero value of a field is the usual choice.
type Config struct {
	Server   string  // "host:port", "tls://host:port", "ws://…", "wss://…"
	Account  jid.JID // bare JID; only its domain is used before Authenticate
	Resource string  // asked for at bind; "" leaves it to the server
	Password string
	Token    string // for OAUTHBEARER, instead of Password
	Keys     *Keys  // spares PBKDF2; nil derives each time

	Mechanism string      // the only one to use; "" takes the strongest offered
	Security  Security    // for "host:port"
	TLS       *tls.Config // ServerName is set to the account's domain where it is empty
	Lang      string      // xml:lang of the stream header
	Declare   string      // further namespace declarations of the stream header, as attributes; TCP only
	Local     net.Addr    // source address, nil for any
	Limits    stream.Limits

	// Trace, when set, is told of everything sent and received, one whole item at a time.
	Trace func(sent bool, b []byte)
}

// ErrClosed is returned when the connection has ended.
var ErrClosed = errors.New("connection has ended")

// Client is one connection. Its methods may be called from several goroutines once it is connected; negotiation
// belongs to one.
type Client struct {
	cfg    Config
	link   *link
	framer *stream.Framer
	jid    jid.JID
	feats  Features
	ids    ids

	wmu   sync.Mutex
	sm    *Session // nil without stream management
	wbuf  []byte
	ended bool // we closed or cut

	mu     sync.Mutex
	queue  []Item
	wake   chan struct{} // capacity 1: something changed
	end    error         // why reading ended
	handle func(View)
	tlsErr chan error
}

// Dial connects the transport and nothing more.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Limits == (stream.Limits{}) {
		cfg.Limits = stream.Limits{Bytes: 16 << 20, Depth: 500, Attrs: 1000}
	}
	l, err := dial(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Server, err)
	}
	return start(cfg, l), nil
}

// New makes a Client of a connection that stands already, for example one end of a net.Pipe.
func New(nc net.Conn, cfg Config) *Client {
	if cfg.Limits == (stream.Limits{}) {
		cfg.Limits = stream.Limits{Bytes: 16 << 20, Depth: 500, Attrs: 1000}
	}
	return start(cfg, &link{raw: nc, nc: nc})
}

func start(cfg Config, l *link) *Client {
	c := &Client{
		cfg: cfg, link: l, framer: stream.NewFramer(l.ws, cfg.Limits),
		wake: make(chan struct{}, 1), tlsErr: make(chan error, 1),
	}
	l.done = make(chan struct{})
	go c.read()
	return c
}

// Connect dials, signs in and binds; with a Session it enables stream management into it, or resumes it when it has
// been enabled before. A session that cannot be resumed is started afresh: compare Session.ID.
func Connect(ctx context.Context, cfg Config, sm *Session) (*Client, error) {
	c, err := Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := c.connect(ctx, sm); err != nil {
		c.Cut()
		return nil, err
	}
	return c, nil
}

func (c *Client) connect(ctx context.Context, sm *Session) error {
	if err := c.SignIn(ctx); err != nil {
		return err
	}
	if sm != nil && sm.ID() != "" {
		err := c.Resume(ctx, sm)
		var no *ResumeError
		if !errors.As(err, &no) {
			return err
		}
	}
	if err := c.Bind(ctx); err != nil {
		return err
	}
	if sm == nil {
		return nil
	}
	return c.Enable(ctx, sm)
}

// SignIn opens the stream, secures it as the configuration wants and authenticates.
func (c *Client) SignIn(ctx context.Context) error {
	if err := c.Open(ctx); err != nil {
		return err
	}
	if c.wantsTLS() {
		if err := c.StartTLS(ctx); err != nil {
			return err
		}
		if err := c.Open(ctx); err != nil {
			return err
		}
	}
	if err := c.Authenticate(ctx); err != nil {
		return err
	}
	return c.Open(ctx)
}

func (c *Client) wantsTLS() bool {
	if c.link.ws || c.link.secure {
		return false
	}
	switch c.cfg.Security {
	case TLSAlways:
		return true
	case TLSNever:
		return false
	}
	return c.feats.StartTLS && len(c.feats.Mechanisms) == 0
}

// JID is the full JID once bound, before that the account.
func (c *Client) JID() jid.JID {
	if c.jid.IsZero() {
		return c.cfg.Account
	}
	return c.jid
}

// Features are those of the last stream opened.
func (c *Client) Features() Features { return c.feats }

// WebSocket says whether the transport is RFC 7395.
func (c *Client) WebSocket() bool { return c.link.ws }

// Close ends the stream and waits for the server to do the same, then drops the connection.
func (c *Client) Close(ctx context.Context) error {
	c.wmu.Lock()
	err := c.writeLocked(stream.AppendFooter(nil, c.link.ws))
	c.ended, c.sm = true, nil
	c.wmu.Unlock()
	if err == nil {
		_, err = c.Take(ctx, func(it Item) bool { return it.Kind == Close })
		if errors.Is(err, ErrClosed) {
			err = nil
		}
	}
	c.drop()
	return err
}

// Cut drops the connection without a word; a Session given to Enable can be resumed later.
func (c *Client) Cut() {
	c.wmu.Lock()
	c.ended = true
	c.wmu.Unlock()
	c.drop()
}

func (c *Client) drop() {
	c.link.cut()
	<-c.link.done
}

// writeTimeout bounds how long a server may leave a client's bytes unread.
const writeTimeout = 30 * time.Second
