package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/bearhug/bearhug/stanza"
)

// A Session is the client's half of XEP-0198 stream management. It outlives connections: give it to Enable, and after
// the connection was cut to Resume on a new one. The zero value is ready. Its methods may be called at any time.
type Session struct {
	mu      sync.Mutex
	id      string
	max     int // seconds, 0 when the server does not say
	in      uint32
	out     uint32   // stanzas sent
	acked   uint32   // of them covered by the server's h
	unacked [][]byte // the others, oldest first
	sendOn  bool     // we asked for it: what we send counts
	readOn  bool     // the server agreed: what it sends counts
	changed chan struct{}
	onAck   func(h uint32)
}

// A ResumeError is the server's <failed/> (XEP-0198 §5).
type ResumeError struct {
	Condition string
	H         uint32 // valid if HasH: what the server had handled of the old session
	HasH      bool
}

// Error says the condition.
func (e *ResumeError) Error() string { return "session cannot be resumed: " + e.Condition }

// ErrHandledTooHigh is returned when the server acknowledges more than was sent.
var ErrHandledTooHigh = errors.New("the server acknowledges stanzas that were never sent")

// ID is the SM-ID, "" before the session can be resumed.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Max is for how many seconds the server keeps the session, 0 when it does not say.
func (s *Session) Max() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.max
}

// Acked is how many of the stanzas sent the server has acknowledged.
func (s *Session) Acked() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

// Sent is how many stanzas have been sent since the session was enabled.
func (s *Session) Sent() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out
}

// Handled is how many stanzas of the server have been handled.
func (s *Session) Handled() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
}

// Unacked are the stanzas sent and not acknowledged, oldest first.
func (s *Session) Unacked() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.unacked...)
}

// OnAck has f called on the reading goroutine whenever the server acknowledges more; f must not wait for the Client.
func (s *Session) OnAck(f func(h uint32)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAck = f
}

// count notes a stanza that goes out. The caller holds the Client's wmu, so counts follow the wire.
func (s *Session) count(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sendOn {
		s.out++
		s.unacked = append(s.unacked, append([]byte(nil), b...))
	}
}

// ack takes an h of the server; counters wrap at 2^32 (XEP-0198 §4).
func (s *Session) ack(h uint32) error {
	s.mu.Lock()
	n := h - s.acked
	if n > uint32(len(s.unacked)) {
		s.mu.Unlock()
		return fmt.Errorf("%w: h=%d of %d", ErrHandledTooHigh, h, s.out)
	}
	s.unacked = s.unacked[n:]
	s.acked = h
	f := s.onAck
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	s.mu.Unlock()
	if f != nil && n > 0 {
		f(h)
	}
	return nil
}

// stop ends counting: the connection it counted on is gone.
func (s *Session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendOn, s.readOn = false, false
}

// Send sends one whole item. Stanzas count for stream management.
func (c *Client) Send(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.ended {
		return ErrClosed
	}
	if c.sm != nil && isStanza(b) {
		c.sm.count(b)
	}
	return c.writeLocked(b)
}

// SendBytes sends bytes as they are: on TCP any, on WebSocket as one text message.
func (c *Client) SendBytes(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.writeLocked(b)
}

func isStanza(b []byte) bool {
	return bytes.HasPrefix(b, []byte("<message")) || bytes.HasPrefix(b, []byte("<presence")) || bytes.HasPrefix(b, []byte("<iq"))
}

// managed handles what belongs to stream management: it counts stanzas, answers <r/>, takes <a/>. It says whether the
// item needs no further care. It runs on the reading goroutine.
func (c *Client) managed(k Kind, e stanza.Element) (bool, error) {
	c.wmu.Lock()
	s := c.sm
	c.wmu.Unlock()
	if s == nil {
		return false, nil
	}
	if k == Stanza {
		s.mu.Lock()
		if s.readOn {
			s.in++
		}
		s.mu.Unlock()
		return false, nil
	}
	switch {
	case e.Is(nsSM, "r"):
		return true, c.Send(fmt.Appendf(nil, "<a xmlns='%s' h='%d'/>", nsSM, s.Handled()))
	case e.Is(nsSM, "a"):
		h, ok := handled(e)
		if !ok {
			return true, fmt.Errorf("an <a/> without a number: %s", e.Bytes())
		}
		return true, s.ack(h)
	case e.Is(nsSM, "enabled"), e.Is(nsSM, "resumed"):
		s.mu.Lock()
		s.readOn = true
		s.mu.Unlock()
	}
	return false, nil
}

func handled(e stanza.Element) (uint32, bool) {
	v, _ := e.Attr("h")
	n, err := strconv.ParseUint(v, 10, 32)
	return uint32(n), err == nil
}

// Enable switches stream management on, with resumption (XEP-0198 §3). s must be fresh: what an earlier session of it
// left unacknowledged stays with Unacked until then.
func (c *Client) Enable(ctx context.Context, s *Session) error {
	s.mu.Lock()
	s.id, s.max, s.in, s.out, s.acked, s.unacked = "", 0, 0, 0, 0, nil
	s.sendOn, s.readOn = true, false
	s.mu.Unlock()
	if err := c.manage(s, "<enable xmlns='"+nsSM+"' resume='true'/>"); err != nil {
		return err
	}
	it, err := c.Take(ctx, func(it Item) bool { return it.Kind == Element })
	if err != nil {
		return fmt.Errorf("enable stream management: %w", err)
	}
	e, err := it.Element()
	if err != nil {
		return err
	}
	if !e.Is(nsSM, "enabled") {
		return fmt.Errorf("enable stream management: %w", unexpected("<enabled/>", it))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, _ := e.Attr("resume"); r == "true" || r == "1" {
		s.id, _ = e.Attr("id")
	}
	if v, ok := e.Attr("max"); ok {
		s.max, _ = strconv.Atoi(v)
	}
	return nil
}

// manage makes s this connection's session and sends the nonza that begins it.
func (c *Client) manage(s *Session, nonza string) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.sm = s
	return c.writeLocked([]byte(nonza))
}

// Resume goes on with a session that was cut (XEP-0198 §5), after SignIn and instead of Bind: what the server has not
// handled is sent again. When the server no longer knows the session the error is *ResumeError, and Bind may follow.
func (c *Client) Resume(ctx context.Context, s *Session) error {
	s.stop()
	err := c.manage(s, fmt.Sprintf("<resume xmlns='%s' previd='%s' h='%d'/>", nsSM, escape(s.ID()), s.Handled()))
	if err != nil {
		return err
	}
	it, err := c.Take(ctx, func(it Item) bool { return it.Kind == Element })
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	e, err := it.Element()
	if err != nil {
		return err
	}
	if !e.Is(nsSM, "resumed") {
		c.wmu.Lock()
		c.sm = nil
		c.wmu.Unlock()
		return resumeError(it, e)
	}
	h, ok := handled(e)
	if !ok {
		return fmt.Errorf("a <resumed/> without a number: %s", it.Raw)
	}
	return c.resend(s, h)
}

func (c *Client) resend(s *Session, h uint32) error {
	if err := s.ack(h); err != nil {
		return err
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	s.mu.Lock()
	again := append([][]byte(nil), s.unacked...)
	s.sendOn = true
	s.mu.Unlock()
	for _, b := range again {
		if err := c.writeLocked(b); err != nil {
			return err
		}
	}
	return nil
}

func resumeError(it Item, e stanza.Element) error {
	if !e.Is(nsSM, "failed") {
		return fmt.Errorf("resume: %w", unexpected("<resumed/>", it))
	}
	out := &ResumeError{Condition: "undefined-condition"}
	out.H, out.HasH = handled(e)
	for child := range e.Children() {
		if string(child.NS()) == nsStanzas && !child.Is(nsStanzas, "text") {
			out.Condition = string(child.Local())
		}
	}
	return out
}

// AwaitAcks asks the server for an acknowledgement and waits until everything sent before is covered.
func (c *Client) AwaitAcks(ctx context.Context) error {
	c.wmu.Lock()
	s := c.sm
	c.wmu.Unlock()
	if s == nil {
		return errors.New("stream management is not enabled")
	}
	target := s.Sent()
	if err := c.Send([]byte("<r xmlns='" + nsSM + "'/>")); err != nil {
		return err
	}
	for {
		s.mu.Lock()
		if int32(target-s.acked) <= 0 {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		ch := s.changed
		s.mu.Unlock()
		select {
		case <-ch:
		case <-c.link.done:
			return c.Ended()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
