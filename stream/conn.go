package stream

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// Handler gets what a Conn reads.
type Handler struct {
	// Item is called for one item after the other, never for two at once. An
	// error closes the stream; an *Error is told to the peer.
	Item func(*Item) error
	// Closed is called once, after the last Item: nil when the stream ended in
	// an orderly way, io.EOF when the peer was gone without a word.
	Closed func(error)
}

// Bits of Conn.state.
const (
	stReady   uint32 = 1 << iota // the socket may have bytes
	stGone                       // the peer will send nothing more
	stQueued                     // waits for a worker, or has one
	stBusy                       // a TLS handshake owns it
	stPaused                     // Pause was called
	stClosing                    // Close was called, or the peer is gone
	stEnded                      // the handler was told; the peer may still read our last words
	stShut                       // the socket is closed
	stServed                     // Serve was called
	stSettled                    // Settle was called
)

// runnable says whether a worker has something to do in this state.
func runnable(s uint32) bool {
	switch {
	case s&(stBusy|stShut) != 0:
		return false
	case s&stClosing != 0 && s&stEnded == 0:
		return true
	default:
		return s&stReady != 0 && (s&stPaused == 0 || s&stEnded != 0)
	}
}

// Conn is the transport of one stream. Its methods may be called by any
// goroutine unless they say otherwise.
type Conn struct {
	Data any // the owner's

	account atomic.Pointer[feature.Account] // pays for reading and handshakes

	p      *Poller
	under  net.Conn      // the socket, or what stands for it; never changes
	sock   *sock         // the same when it can be polled; nil: one goroutine reads
	nudge  chan struct{} // of that goroutine
	state  atomic.Uint32
	slot   uint32
	gen    uint32
	client bool

	// Of the one who reads.
	h      Handler
	framer Framer
	part   []byte // of an item that is not complete, or held back
	held   bool   // part may have whole items
	ws     *wsState
	start  *tlsStart // a handshake is due

	wmu    sync.Mutex // one writer at a time; guards what follows
	nc     net.Conn   // sock or TLS over it
	wrote  bool       // on this stream: the header is out
	footed bool       // its end is out: nothing may follow
	werr   error

	emu   sync.Mutex // guards err and quiet
	err   error
	quiet bool // no last words
}

// NewConn takes over a connection that was accepted. A TCP or Unix socket, or
// TLS whose handshake is done over one from Listen, is read by the Poller's
// workers; any other by a goroutine of its own.
func NewConn(nc net.Conn, p *Poller) *Conn {
	c := &Conn{p: p, nc: nc, under: nc}
	c.account.Store(p.opt.Account)
	if s, ok := sockOf(nc); ok {
		c.sock, c.under, s.c = s, s, c
		if _, ok := nc.(*tls.Conn); !ok {
			c.nc = s
		}
	}
	return c
}

// SetAccount says who pays from now on for reading from the connection, for its
// TLS handshake and its end.
func (c *Conn) SetAccount(a *feature.Account) { c.account.Store(a) }

// SetLimits sets what the peer may send from the next item on; before Serve or
// inside of Item.
func (c *Conn) SetLimits(lim Limits) { c.framer.SetLimits(lim) }

// SetHandler sets who gets the next item; inside of Item.
func (c *Conn) SetHandler(h Handler) { c.h = h }

// Restart expects a new stream header, and forgets that ours was sent: after
// SASL, inside of Item.
func (c *Conn) Restart() {
	c.framer.Restart()
	c.wmu.Lock()
	c.wrote = false
	c.wmu.Unlock()
}

// WebSocket says whether the stream is framed by RFC 7395.
func (c *Conn) WebSocket() bool { return c.ws != nil }

// Serve begins to read and returns at once; h is called from other goroutines.
func (c *Conn) Serve(h Handler) {
	c.h = h
	c.state.Or(stServed)
	if c.sock == nil {
		c.nudge = make(chan struct{}, 1)
		go c.alone()
		return
	}
	c.trim(0)
	// The Serve itself owns the connection until it is queued.
	c.state.Or(stQueued)
	if err := c.p.add(c); err != nil {
		c.state.Or(stEnded | stClosing)
		c.shut()
		if h.Closed != nil {
			go h.Closed(err)
		}
		return
	}
	c.state.Or(stReady)
	c.p.run.put(c.class(), c)
}

// Settle says that the stream is set up: from now on it has its turn before
// those that still negotiate.
func (c *Conn) Settle() { c.state.Or(stSettled) }

// class is where c waits for a worker. When all are cut off at once the last of
// them must not keep those waiting who stay.
func (c *Conn) class() int {
	if c.state.Load()&(stSettled|stGone|stClosing) == stSettled {
		return settled
	}
	return negotiating
}

// mark changes bits of the state; true: the caller has to enqueue c.
func (c *Conn) mark(set, clear uint32) bool {
	for {
		old := c.state.Load()
		now := old&^clear | set
		run := old&stQueued == 0 && runnable(now)
		if run {
			now |= stQueued
		}
		if c.state.CompareAndSwap(old, now) {
			return run
		}
	}
}

// wake is mark, and what follows from it.
func (c *Conn) wake(set, clear uint32) {
	run := c.mark(set, clear)
	if c.sock != nil {
		if run {
			c.p.run.put(c.class(), c)
		}
		return
	}
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// Pause stops reading after the current item, so that the peer feels that we do
// not keep up.
func (c *Conn) Pause() { c.state.Or(stPaused) }

// Resume goes on reading.
func (c *Conn) Resume() { c.wake(stReady, stPaused) }

// Write writes one whole item, for instance a header, features, a stanza. It
// waits while the peer takes nothing, up to the write timeout.
func (c *Conn) Write(item []byte) error {
	if c.ws == nil {
		return c.Flush(item)
	}
	return c.Flush(c.AppendItem(make([]byte, 0, len(item)+maxFrameHead), item))
}

// WriteItems writes several whole items at once.
func (c *Conn) WriteItems(items ...[]byte) error {
	n := 0
	for _, item := range items {
		n += len(item) + maxFrameHead
	}
	b := make([]byte, 0, n)
	for _, item := range items {
		b = c.AppendItem(b, item)
	}
	return c.Flush(b)
}

// AppendItem appends one whole item as it goes to the socket: over WebSocket a
// message of its own.
func (c *Conn) AppendItem(dst, item []byte) []byte {
	if c.ws == nil {
		return append(dst, item...)
	}
	dst, mask := appendFrameHead(dst, wsText, len(item), c.client)
	at := len(dst)
	dst = append(dst, item...)
	mask.apply(dst[at:])
	return dst
}

// AppendWire is AppendItem for a stanza.
func (c *Conn) AppendWire(dst []byte, w *stanza.Wire) []byte {
	if c.ws == nil {
		return w.Append(dst)
	}
	dst, mask := appendFrameHead(dst, wsText, w.Len(), c.client)
	at := len(dst)
	dst = w.Append(dst)
	mask.apply(dst[at:])
	return dst
}

// Flush writes what AppendItem and AppendWire made, in one write. It waits as
// Write does.
func (c *Conn) Flush(framed []byte) error {
	c.wmu.Lock()
	defer c.unlockWrite()
	if c.footed || c.state.Load()&stClosing != 0 {
		return ErrClosed
	}
	return c.writeLocked(framed)
}

// writeLocked writes to the socket and waits; wmu is held.
func (c *Conn) writeLocked(b []byte) error {
	err := c.putLocked(b)
	if err == nil && c.sock != nil {
		if c.werr = c.sock.wait(); c.werr != nil {
			err = c.werr
			c.close(err, true)
		}
	}
	return err
}

// putLocked writes to the socket, which keeps what there is no room for; wmu is
// held.
func (c *Conn) putLocked(b []byte) error {
	if c.werr != nil {
		return c.werr
	}
	c.wrote = true
	if c.sock == nil {
		c.werr = c.under.SetWriteDeadline(time.Now().Add(c.p.opt.WriteTimeout))
		if c.state.Load()&stClosing != 0 {
			c.werr = c.under.SetWriteDeadline(time.Now().Add(c.p.opt.Linger))
		}
	}
	if c.werr == nil {
		_, c.werr = c.nc.Write(b)
	}
	if c.werr != nil { // the peer has part of an item: nothing may follow
		c.close(c.werr, true)
	}
	return c.werr
}

// CloseWrite writes the end of our stream, after which nothing can be written.
// Reading goes on until the peer ends its own.
func (c *Conn) CloseWrite() error {
	c.wmu.Lock()
	defer c.unlockWrite()
	if c.footed {
		return nil
	}
	c.footed = true
	return c.writeLocked(c.AppendItem(nil, AppendFooter(nil, c.ws != nil)))
}

// unlockWrite releases wmu, and sends a pong that came due meanwhile.
func (c *Conn) unlockWrite() {
	for {
		if c.ws != nil && !c.crammed() {
			c.ws.pong(c)
		}
		c.wmu.Unlock()
		if c.ws == nil || c.crammed() || !c.ws.hasDue() || !c.wmu.TryLock() {
			return
		}
	}
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.under.RemoteAddr() }

// LocalAddr is our address.
func (c *Conn) LocalAddr() net.Addr { return c.under.LocalAddr() }

// TLS is the state of TLS, for channel binding; ok is false without TLS.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	c.wmu.Lock()
	t, ok := c.nc.(*tls.Conn)
	c.wmu.Unlock()
	if !ok {
		return state, false
	}
	return t.ConnectionState(), true
}

// BytesIn counts what came from the socket; 0 for a connection without one.
func (c *Conn) BytesIn() uint64 {
	if c.sock == nil {
		return 0
	}
	return c.sock.in.Load()
}

// BytesOut counts what went to the socket; 0 for a connection without one.
func (c *Conn) BytesOut() uint64 {
	if c.sock == nil {
		return 0
	}
	return c.sock.out.Load()
}
