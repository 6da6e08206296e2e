package stream

import (
	"crypto/tls"
	"errors"
	"runtime/debug"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// What a worker does with a connection that is ready:
// serve takes it, turn reads until the socket is empty, feed joins the bytes
// with those kept before, consume cuts them into items and calls the handler.

const (
	maxReads  = 4 // reads of one connection before others have their turn
	maxRounds = 2 // turns before it goes to the end of the queue
)

// serve works on c until nothing is left to do; c is queued.
func (c *Conn) serve(w *worker) {
	for range maxRounds {
		s := c.state.And(^stReady)
		switch {
		case s&stBusy != 0:
		case s&stEnded != 0:
			c.drain(w)
		case s&stClosing != 0:
			c.measure(&w.sp)
			c.finish()
			w.sp.End()
		case s&stPaused == 0:
			c.turn(w, s)
		}
		if c.leave() {
			return
		}
	}
	c.p.run.put(c.class(), c)
}

// leave gives c up unless something came meanwhile. A handshake that is due
// takes it over.
func (c *Conn) leave() bool {
	for {
		s := c.state.Load()
		now := s &^ stQueued
		if c.start != nil && s&stClosing == 0 {
			now |= stBusy
		} else if runnable(s) {
			return false
		}
		if c.state.CompareAndSwap(s, now) {
			if now&stBusy != 0 && s&stBusy == 0 {
				go c.shake()
			}
			return true
		}
	}
}

// turn reads what is there and handles it.
func (c *Conn) turn(w *worker, s uint32) {
	defer c.recovered()
	if c.start != nil {
		return // TLS from the beginning
	}
	lent := c.framer.sc == nil
	if lent {
		c.framer.sc = w.sc
	}
	c.measure(&w.sp)
	defer w.sp.End()
	c.sock.rd, c.sock.drained, c.sock.gone = w.rd, false, s&stGone != 0
	defer func() {
		c.sock.rd = nil
		c.keepScanner(w, lent)
		c.trim(trimAbove)
	}()
	if c.held && !c.feed(w, nil) {
		return
	}
	for range maxReads {
		n, err := c.nc.Read(w.buf)
		if n > 0 && !c.feed(w, w.buf[:n]) {
			return
		}
		if err != nil {
			if err != errAgain {
				c.close(err, true)
			}
			return
		}
	}
	c.state.Or(stReady)
}

// measure begins a span of the one who reads.
func (c *Conn) measure(sp *feature.Span) {
	if a := c.account.Load(); a != nil {
		sp.Begin(a)
	}
}

// trim gives back what TLS keeps for records larger than above.
func (c *Conn) trim(above int) {
	if t, ok := c.nc.(*tls.Conn); ok {
		trimTLS(t, above)
	}
}

// keepScanner leaves a scanner with the connection only inside of an item.
func (c *Conn) keepScanner(w *worker, lent bool) {
	switch {
	case c.framer.begun && lent:
		w.sc = c.p.scanners.Get().(*stanza.Scanner)
	case !c.framer.begun && !lent:
		c.p.scanners.Put(c.framer.sc)
		c.framer.sc = nil
	case !c.framer.begun:
		c.framer.sc = nil
	}
	w.it = Item{}
}

// recovered turns a panic of a handler into the end of its stream.
func (c *Conn) recovered() {
	if r := recover(); r != nil {
		c.p.opt.Log.Error("panic in a stream's handler", "panic", r, "stack", string(debug.Stack()))
		c.Close(&Error{Condition: InternalServerError})
	}
}

// feed handles the bytes just read after those kept before; false: reading has
// to stop. What is not handled is kept.
func (c *Conn) feed(w *worker, b []byte) bool {
	if len(c.part) > 0 {
		c.part = append(c.part, b...)
		b = c.part
	}
	c.held = false
	var used int
	var stop bool
	if c.ws != nil {
		used, stop = c.consumeFrames(w, b)
	} else {
		used, stop = c.consume(w, b)
	}
	rest := b[used:]
	switch {
	case len(rest) == 0 || c.state.Load()&stClosing != 0:
		c.part = nil
	case used == 0 && len(c.part) > 0: // grows in place
	case len(c.part) > 0 && cap(c.part) <= 4*len(rest)+1024:
		c.part = c.part[:copy(c.part, rest)]
	default:
		c.part = append([]byte(nil), rest...)
	}
	c.held = stop && len(c.part) > 0
	return !stop
}

// consume handles the items of b and gives how many bytes they took.
func (c *Conn) consume(w *worker, b []byte) (used int, stop bool) {
	for used < len(b) {
		n, err := c.framer.Next(b[used:], &w.it)
		if err != nil {
			c.close(err, false)
			return used, true
		}
		if n == 0 {
			return used, false
		}
		used += n
		if w.it.Kind != None && !c.item(w, len(b)-used) {
			return used, true
		}
	}
	return used, false
}

// item gives one item to the handler; false: reading has to stop. left is how
// many bytes came after it.
func (c *Conn) item(w *worker, left int) bool {
	w.it.Span = &w.sp
	err := c.h.Item(&w.it)
	w.sp.To(c.account.Load())
	switch {
	case err != nil:
		c.Close(err)
		return false
	case w.it.Kind == Close:
		c.Close(nil)
		return false
	case c.start != nil && left > 0:
		// What came in clear after the request for TLS must not be taken for
		// something protected (RFC 6120 §5.3.1).
		c.start = nil
		c.Close(&Error{Condition: PolicyViolation, Text: "bytes between <starttls/> and TLS"})
		return false
	case c.start != nil:
		return false
	}
	return c.state.Load()&(stPaused|stClosing) == 0
}

// alone is the goroutine that reads a connection that cannot be polled.
func (c *Conn) alone() {
	w := &worker{p: c.p, buf: make([]byte, 4096), sc: new(stanza.Scanner)}
	c.framer.sc = w.sc
	for {
		s := c.state.Load()
		switch {
		case s&stClosing != 0:
			c.finish()
			return
		case s&stPaused != 0:
			<-c.nudge
		case c.start != nil:
			c.shake()
		default:
			c.readAlone(w)
		}
	}
}

// readAlone reads once and handles it.
func (c *Conn) readAlone(w *worker) {
	defer c.recovered()
	if c.held && !c.feed(w, nil) {
		return
	}
	n, err := c.nc.Read(w.buf)
	c.measure(&w.sp)
	defer w.sp.End()
	if n > 0 && !c.feed(w, w.buf[:n]) {
		return
	}
	if err != nil && !errors.Is(err, errAgain) {
		c.close(err, true)
	}
}
