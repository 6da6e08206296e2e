package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// wsState is what a WebSocket needs beside its bytes.
type wsState struct {
	msg  []byte // fragments of a message that is not complete
	frag bool   // inside of a fragmented message

	mu  sync.Mutex
	due []byte // payload of the pong that is due, or nil
}

// wsError is a fault below XMPP: it is told by the code of the close frame.
type wsError struct {
	code int
	text string
	left bool // no fault: the peer sent a close frame
}

func (e *wsError) Error() string { return fmt.Sprintf("WebSocket: %s (close code %d)", e.text, e.code) }

// Upgrade makes a request a WebSocket that carries XMPP (RFC 7395 §3.1). On an
// error it has answered the request. The caller returns from its handler soon:
// the goroutine of the request is not needed any more.
func Upgrade(w http.ResponseWriter, r *http.Request, p *Poller) (*Conn, error) {
	if !offers(r.Header, "xmpp") {
		err := errors.New("the client does not offer the WebSocket subprotocol xmpp")
		http.Error(w, "this WebSocket speaks the subprotocol xmpp only", http.StatusBadRequest)
		return nil, err
	}
	up := ws.HTTPUpgrader{Protocol: func(s string) bool { return s == "xmpp" }}
	nc, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		return nil, fmt.Errorf("upgrade to WebSocket: %w", err)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("upgrade to WebSocket: %w", err), nc.Close())
	}
	c := NewConn(nc, p)
	c.beWebSocket()
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // buffered: no error
		c.part, c.held = append([]byte(nil), early...), true
	}
	return c, nil
}

func (c *Conn) beWebSocket() {
	c.ws = &wsState{}
	c.framer.ws = true
}

// offers says whether a handshake lists the subprotocol.
func offers(h http.Header, protocol string) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(name) == protocol {
				return true
			}
		}
	}
	return false
}

// consumeFrames handles the frames of b and gives how many bytes they took.
func (c *Conn) consumeFrames(w *worker, b []byte) (used int, stop bool) {
	for used < len(b) {
		h, ok, err := parseFrameHead(b[used:])
		if err == nil && ok {
			err = c.allow(&h)
		}
		if err != nil {
			c.close(err, false)
			return used, true
		}
		if !ok || len(b)-used < h.size+h.n {
			return used, false
		}
		payload := b[used+h.size : used+h.size+h.n]
		used += h.size + h.n
		h.mask.apply(payload)
		if !c.frame(w, &h, payload) {
			return used, true
		}
	}
	return used, false
}

// allow refuses frames that may not come (RFC 6455 §5) or are too large, as
// soon as their head is there.
func (c *Conn) allow(h *frameHead) error {
	limit := c.framer.lim.Bytes
	if limit <= 0 {
		limit = defaultBytes
	}
	s := c.ws
	switch {
	case h.mask.on == c.client:
		return &wsError{code: wsProtocol, text: "a client masks its frames, a server does not"}
	case h.op >= wsClose && (!h.fin || h.n > maxControl):
		return &wsError{code: wsProtocol, text: "control frame in pieces or too long"}
	case h.op == wsBinary:
		return &wsError{code: wsUnsupported, text: "binary message"}
	case h.op != wsContinue && h.op != wsText && h.op != wsClose && h.op != wsPing && h.op != wsPong:
		return &wsError{code: wsProtocol, text: "unknown opcode"}
	case h.op == wsContinue && !s.frag, h.op == wsText && s.frag:
		return &wsError{code: wsProtocol, text: "fragments out of order"}
	case h.op < wsClose && h.n+len(s.msg) > limit:
		return &Error{Condition: PolicyViolation, Text: "stanza is too large"}
	}
	return nil
}

// frame handles one frame; false: reading has to stop.
func (c *Conn) frame(w *worker, h *frameHead, payload []byte) bool {
	s := c.ws
	switch h.op {
	case wsPing:
		s.mu.Lock()
		s.due = append([]byte{}, payload...)
		s.mu.Unlock()
		if c.wmu.TryLock() { // else the one who writes sends it
			c.unlockWrite()
		}
		return true
	case wsPong:
		return true
	case wsClose:
		c.close(closedBy(payload), false)
		return false
	}
	if !h.fin || s.frag {
		s.msg = append(s.msg, payload...)
		if s.frag = !h.fin; s.frag {
			return true
		}
		payload, s.msg = s.msg, nil
	}
	return c.message(w, payload)
}

// closedBy reads the payload of the peer's close frame, RFC 6455 §5.5.1: nothing,
// or a code and a reason. Ours repeats a code that is in order.
func closedBy(payload []byte) *wsError {
	switch {
	case len(payload) == 0:
		return &wsError{code: wsNormal, text: "closed by the peer", left: true}
	case len(payload) == 1:
		return &wsError{code: wsProtocol, text: "half a close code"}
	case !utf8.Valid(payload[2:]):
		return &wsError{code: wsNotUTF8, text: "the reason of a close is not UTF-8"}
	}
	code := int(binary.BigEndian.Uint16(payload))
	if code < 1000 || code >= 1004 && code <= 1006 || code >= 1015 && code < 3000 || code >= 5000 { // §7.4
		return &wsError{code: wsProtocol, text: "a close code that nobody may send"}
	}
	return &wsError{code: code, text: "closed by the peer", left: true}
}

// message handles one whole message: one element, or white space.
func (c *Conn) message(w *worker, b []byte) bool {
	for len(b) > 0 {
		n, err := c.framer.Next(b, &w.it)
		if err != nil {
			c.close(err, false)
			return false
		}
		b = b[n:]
		if w.it.Kind != None && !c.item(w, 0) {
			return false
		}
	}
	return true
}

// takeDue takes the payload of the pong that is due.
func (s *wsState) takeDue() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.due
	s.due = nil
	return due
}

// pong answers the last ping, unless the peer takes nothing: then it does not
// read the answer either, and nobody waits for it. wmu is held.
func (s *wsState) pong(c *Conn) {
	if due := s.takeDue(); due != nil && !c.footed && c.roomy() {
		_ = c.putLocked(appendFrame(nil, wsPong, due, c.client)) // an error closes c
	}
}

// hasDue says whether a pong is due.
func (s *wsState) hasDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due != nil
}

// roomy says whether the socket would take bytes now.
func (c *Conn) roomy() bool {
	if c.sock == nil {
		return true
	}
	room := false
	err := c.sock.raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
		room = err == nil && n > 0
	})
	return err == nil && room
}

// appendCloseFrame appends our close frame; we is nil after an XMPP end.
func (c *Conn) appendCloseFrame(dst []byte, we *wsError) []byte {
	code, text := wsNormal, ""
	if we != nil {
		code = we.code
		if !we.left {
			text = we.text
		}
	}
	payload := append(binary.BigEndian.AppendUint16(nil, uint16(code)), text...)
	return appendFrame(dst, wsClose, payload, c.client)
}
