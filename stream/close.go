package stream

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"time"
)

// ErrClosed is what writing to a closed stream, or the end of its Poller, gives.
var ErrClosed = errors.New("stream is closed")

var (
	errEOF        = io.EOF
	errWriteStuck = errors.New("the peer takes nothing and the stream is closing")
)

// maxDrain is how much a peer may still send while it reads our last words.
const maxDrain = 8 << 20

// Close ends the stream: the peer gets err when it is an *Error, then the
// stream end, then the socket closes. It does not wait. Handler.Closed follows,
// on another stack.
func (c *Conn) Close(err error) { c.close(err, false) }

// abort is Close without last words.
func (c *Conn) abort(err error) { c.close(err, true) }

// close notes why the stream ends; the first reason stands.
func (c *Conn) close(err error, quiet bool) {
	if se, ok := err.(*Error); ok && se == nil {
		err = nil
	}
	c.emu.Lock()
	if c.state.Load()&stClosing != 0 {
		c.emu.Unlock()
		return
	}
	c.err, c.quiet = err, quiet
	c.state.Or(stClosing)
	c.emu.Unlock()
	past := time.Unix(1, 0)
	// Errors: the socket is closed already, which is what we want.
	if c.sock != nil {
		c.sock.giveUp()
		_ = c.sock.SetWriteDeadline(past) // wakes who writes before Serve
		if c.state.Load()&stBusy != 0 {
			_ = c.sock.SetDeadline(past) // ends a handshake
		}
	} else {
		_ = c.under.SetReadDeadline(past)
		_ = c.under.SetWriteDeadline(time.Now().Add(c.p.opt.Linger))
	}
	if c.state.Load()&stServed == 0 { // refused at the door: it is told why all the same
		c.start = nil
		c.Serve(Handler{})
		return
	}
	c.wake(0, 0)
}

// finish says the last words, tells the handler, and closes the socket once the
// peer had time to read them. It is called by the one who reads.
func (c *Conn) finish() {
	c.emu.Lock()
	err, quiet := c.err, c.quiet
	c.emu.Unlock()
	c.wmu.Lock()
	linger := !quiet && c.sock != nil
	if linger {
		c.sock.lastIn = c.sock.in.Load()
	}
	if !quiet || errors.Is(err, io.EOF) {
		linger = c.lastWords(err) && linger
	}
	c.footed = true
	c.wmu.Unlock()
	c.part, c.start, c.framer.scope, c.framer.sc = nil, nil, nil, nil
	if linger {
		// Closing with unread bytes would reset the connection, and the peer
		// would never see why.
		time.AfterFunc(c.p.opt.Linger, c.shut)
		c.state.Or(stEnded | stReady)
	} else {
		c.state.Or(stEnded)
		c.shut()
	}
	var we *wsError
	if errors.Is(err, io.ErrUnexpectedEOF) || (errors.As(err, &we) && we.left) {
		err = io.EOF // TLS without close_notify, WebSocket without <close/>
	}
	h := c.h
	c.h = Handler{}
	if h.Closed != nil {
		h.Closed(err)
	}
	if c.sock != nil {
		c.p.live.Done()
	}
}

// lastWords writes error and end of the stream as far as there is room at once,
// and ends our half of the connection; wmu is held.
func (c *Conn) lastWords(err error) bool {
	var se *Error
	var we *wsError
	ws := c.ws != nil
	if c.werr == nil && !c.footed && !errors.As(err, &we) {
		var b []byte
		if errors.As(err, &se) || !c.wrote {
			if !c.wrote && !c.client {
				b = c.AppendItem(b, AppendHeader(nil, Header{ID: randomID()}, ws))
			}
			if se != nil {
				b = c.AppendItem(b, AppendError(nil, se, ws))
			}
		}
		b = c.AppendItem(b, AppendFooter(nil, ws))
		_, c.werr = c.nc.Write(b)
	}
	if c.werr == nil && ws {
		_, c.werr = c.nc.Write(c.appendCloseFrame(nil, we))
	}
	if c.werr != nil {
		return false
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		c.werr = t.CloseWrite()
	}
	if c.sock != nil && c.werr == nil {
		c.werr = c.sock.CloseWrite()
	}
	return c.werr == nil
}

// randomID makes the id of a stream that ends before it began.
func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// drain throws away what the peer still sends, until it closes.
func (c *Conn) drain(w *worker) {
	for range maxReads {
		n, err := w.rd.read(c.sock.raw, w.buf)
		if err == errAgain {
			return
		}
		if total := c.sock.in.Add(uint64(n)); err != nil || total-c.sock.lastIn > maxDrain {
			c.shut()
			return
		}
	}
	c.state.Or(stReady)
}

// shut closes the socket.
func (c *Conn) shut() {
	if c.state.Or(stShut)&stShut != 0 {
		return
	}
	if c.sock == nil {
		_ = c.under.Close() // nobody is left to be told
		return
	}
	c.p.remove(c)
	_ = c.sock.Conn.Close()
}

// AcceptAgain says whether an error of Accept passes by itself: no descriptors,
// no memory, a peer that left early. The caller waits a moment and goes on.
func AcceptAgain(err error) bool {
	var ne net.Error
	for _, e := range passing {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &ne) && ne.Timeout()
}
