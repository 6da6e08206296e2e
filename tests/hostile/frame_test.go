package hostile

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// upgrade makes the connection a WebSocket.
func (w *wire) upgrade() {
	w.t.Helper()
	w.say("GET /xmpp-websocket HTTP/1.1\r\nHost: " + domain + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n")
	w.hear("\r\n\r\n")
}

// frames reads frames until the end: the texts, and the code of the close
// frame, 0 when there was none.
func (w *wire) frames() (texts string, code int) {
	w.t.Helper()
	r := io.MultiReader(strings.NewReader(string(w.read)), w.Conn)
	for {
		h, payload, err := readFrame(r)
		if err != nil {
			if isTimeout(err) {
				w.t.Errorf("the connection stays open; heard %q", texts)
			}
			return texts, code
		}
		switch h.OpCode {
		case ws.OpText:
			texts += string(payload)
		case ws.OpClose:
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
		}
	}
}

// frame is a masked frame.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return string(b) + "\x00\x00\x00\x00" + payload // a mask of zeros changes nothing
}

// TestBadFrames: what no WebSocket frame should be ends the connection, with a
// close code or a stream error.
//
// Bound: as TestBadInput.
func TestBadFrames(t *testing.T) {
	s := start(t, nil)
	n := settle(t, s)
	open := frame(0x81, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='"+domain+"' version='1.0'/>")
	memory(t, s, 64<<20, func() {
		for _, c := range []struct {
			name, input string
			want        []int // close codes; 0: a stream error is enough
		}{
			{"binary", open + frame(0x82, "<presence/>"), []int{1003}},
			{"not masked", open + "\x81\x05hello", []int{1002}},
			{"reserved bit", open + frame(0xc1, "<presence/>"), []int{1002}},
			{"reserved kind", open + frame(0x83, "<presence/>"), []int{1002}},
			{"a length of 2^62", open + "\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00abcd", []int{1002, 1009, 0}},
			{"a length of 2^63", open + "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00abcd", []int{1002, 1009, 0}},
			{"20 KB before sign-in", open + frame(0x81, "<a>"+repeat("x", 20_000)+"</a>"), []int{1009, 0}},
			{"fragments without end", open + frame(0x01, "<a>") + repeat(frame(0x00, repeat("x", 100)), 50_000), []int{1009, 0}},
			{"empty fragments without end", open + frame(0x01, "") + repeat(frame(0x00, ""), 500_000) + frame(0x82, ""), []int{1002, 1003, 1008, 1009, 0}},
			{"continuation of nothing", open + frame(0x80, "<presence/>"), []int{1002}},
			{"a text within a text", open + frame(0x01, "<a>") + frame(0x81, "</a>"), []int{1002}},
			{"ping of 126 bytes", open + frame(0x89, repeat("x", 126)), []int{1002}},
			{"ping in fragments", open + frame(0x09, "x"), []int{1002}},
			{"close of one byte", open + frame(0x88, "x"), []int{1000, 1002}},
			{"close of a code that none may send", open + frame(0x88, "\x03\xee"), []int{1002}},
			{"wrong UTF-8", open + frame(0x81, "<a>\xff</a>"), []int{1007, 0}},
			{"no XML", open + frame(0x81, "hello"), []int{0}},
			{"two elements", open + frame(0x81, "<presence/><presence/>"), []int{0}},
			{"half an element", open + frame(0x81, "<presence"), []int{0}},
			{"a stream header", frame(0x81, header), []int{0}},
			{"stanza first", frame(0x81, "<presence xmlns='jabber:client'/>"), []int{0}},
			{"nothing", open + frame(0x81, "") + frame(0x82, ""), []int{1003, 0}},
		} {
			t.Run(c.name, func(t *testing.T) {
				w := dial(t, s.Addr("http"), "")
				w.upgrade()
				done := make(chan struct{})
				go func() { w.say(c.input); close(done) }()
				texts, code := w.frames()
				w.Close()
				<-done
				for _, want := range c.want {
					if code == want && want != 0 || want == 0 && strings.Contains(texts, "<stream:error") {
						return
					}
				}
				t.Errorf("close code %d, want %d; heard %s", code, c.want, texts)
			})
		}
		n.progress()
	})
	n.leave()
}

// readFrame reads one frame of a server, which does not mask.
func readFrame(r io.Reader) (h ws.Header, payload []byte, err error) {
	if h, err = ws.ReadHeader(r); err != nil {
		return h, nil, err
	}
	payload = make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	return h, payload, err
}
