// Package stream is the XML stream of RFC 6120 §4 and RFC 7395: framing over TCP, TLS and WebSocket.
package stream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/bearhug/bearhug/stanza"
)

// ItemKind says what an Item is.
type ItemKind uint8

// What a stream carries on its first level.
const (
	None    ItemKind = iota // white space only
	Open                    // stream header, <open/>
	Close                   // stream end, <close/>
	Stanza                  // message, presence, iq
	Element                 // anything else
)

// Item is one thing read from a stream; valid until the handler returns.
type Item struct {
	Kind    ItemKind
	Stanza  *stanza.Stanza // of Stanza
	Element stanza.Element // of Element (and of Stanza: the whole)
	Header  *Header        // of Open
}

// Header is a stream header; empty strings where an attribute is absent.
type Header struct {
	To, From, ID, Version, Lang string
}

// Limits bound what a peer may send.
type Limits = stanza.Limits

// Framer cuts the bytes of one stream into items.
type Framer struct{ ws bool }

// NewFramer makes a framer; ws for RFC 7395.
func NewFramer(ws bool, lim Limits) *Framer { return &Framer{ws: ws} }

// Next reads the first complete item of buf. n==0 with a nil error: more bytes needed.
func (f *Framer) Next(buf []byte, it *Item) (n int, err error) { return 0, nil }

// Restart expects a new stream header.
func (f *Framer) Restart() {}

// SetLimits holds from the next item on.
func (f *Framer) SetLimits(lim Limits) {}

// Handler gets what a Conn reads, one call at a time.
type Handler struct {
	Item   func(*Item) error // an error closes the stream with it
	Closed func(error)       // once, last; nil after an orderly end
}

// Options are what all connections of a Poller share. Zero fields take defaults.
type Options struct {
	Workers      int           // most workers at once; default 1024
	WriteTimeout time.Duration // default 20 s
}

// Poller waits for many connections.
type Poller struct{}

// NewPoller opens a poller.
func NewPoller(opt Options) (*Poller, error) { return nil, nil }

// Close ends the poller; connections must be closed before.
func (p *Poller) Close() error { return nil }

// Conn is the transport of one stream.
type Conn struct{ Data any }

// NewConn takes over a connection just accepted or dialled.
func NewConn(nc net.Conn, p *Poller) *Conn { return nil }

// Upgrade makes an HTTP request a WebSocket stream (RFC 7395), on error it has answered.
func Upgrade(w http.ResponseWriter, r *http.Request, p *Poller) (*Conn, error) { return nil, nil }

// Listen wraps a listener so that TLS connections made above it need no goroutine.
func Listen(l net.Listener) net.Listener { return l }

// Serve starts reading; returns at once.
func (c *Conn) Serve(h Handler) {}

// SetHandler replaces the handler; only from inside Item.
func (c *Conn) SetHandler(h Handler) {}

// SetLimits sets what the peer may send; from inside Item or before Serve.
func (c *Conn) SetLimits(lim Limits) {}

// Pause stops reading after the current item.
func (c *Conn) Pause() {}

// Resume goes on reading.
func (c *Conn) Resume() {}

// StartTLS shakes hands as server: from inside Item after <proceed/> was written, or before Serve.
func (c *Conn) StartTLS(cfg *tls.Config, done func(error)) {}

// StartTLSClient is StartTLS for the connecting side.
func (c *Conn) StartTLSClient(cfg *tls.Config, done func(error)) {}

// Restart expects a new stream header (after SASL); from inside Item.
func (c *Conn) Restart() {}

// WebSocket says whether it is RFC 7395.
func (c *Conn) WebSocket() bool { return false }

// Write writes one whole item (or a stream header).
func (c *Conn) Write(b []byte) error { return nil }

// WriteItems writes several whole items in one go.
func (c *Conn) WriteItems(items ...[]byte) error { return nil }

// AppendItem frames one item for Flush.
func (c *Conn) AppendItem(dst, item []byte) []byte { return dst }

// AppendWire frames one stanza for Flush.
func (c *Conn) AppendWire(dst []byte, w *stanza.Wire) []byte { return dst }

// Flush writes what AppendItem and AppendWire made.
func (c *Conn) Flush(framed []byte) error { return nil }

// CloseWrite writes the end of our stream; reading goes on.
func (c *Conn) CloseWrite() error { return nil }

// Close ends the stream: error (when it is an *Error), stream end, socket. Never blocks.
func (c *Conn) Close(err error) {}

// RemoteAddr of the socket.
func (c *Conn) RemoteAddr() net.Addr { return nil }

// LocalAddr of the socket.
func (c *Conn) LocalAddr() net.Addr { return nil }

// TLS is the state of TLS for channel binding; false without TLS.
func (c *Conn) TLS() (tls.ConnectionState, bool) { return tls.ConnectionState{}, false }

// BytesIn counts bytes read from the socket.
func (c *Conn) BytesIn() uint64 { return 0 }

// BytesOut counts bytes written to the socket.
func (c *Conn) BytesOut() uint64 { return 0 }

// Dialer connects as a client.
type Dialer struct {
	Poller    *Poller
	TLS       *tls.Config
	LocalAddr net.Addr
}

// Dial connects to "host:port", "tls://host:port", "ws://…" or "wss://…".
func (d *Dialer) Dial(ctx context.Context, target string) (*Conn, error) { return nil, nil }

// AcceptAgain says whether an Accept error passes by itself (EMFILE, …).
func AcceptAgain(err error) bool { return false }
