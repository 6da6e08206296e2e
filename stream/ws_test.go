package stream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/bearhug/bearhug/stream"
)

// rawWS is a WebSocket client of another making.
type rawWS struct {
	net.Conn
	t testing.TB
}

func dialRaw(t testing.TB, s *server) rawWS {
	t.Helper()
	nc, br, _, err := ws.Dialer{Protocols: []string{"xmpp"}}.Dial(context.Background(), s.target)
	if err != nil {
		t.Fatal(err)
	}
	if br != nil {
		t.Fatal("the server speaks first")
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return rawWS{nc, t}
}

// send writes one frame, masked.
func (r rawWS) send(fin bool, op ws.OpCode, payload string) {
	r.t.Helper()
	f := ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))
	if err := ws.WriteFrame(r, f); err != nil {
		r.t.Error(err)
	}
}

// expect reads frames until one of op with want in it; text frames before a
// close frame are passed over.
func (r rawWS) expect(op ws.OpCode, want string) {
	r.t.Helper()
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			r.t.Fatalf("%v, want %v %q", err, op, want)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			r.t.Fatal(err)
		}
		if h.Masked {
			r.t.Fatal("a server masks")
		}
		if h.OpCode == op && strings.Contains(string(payload), want) {
			return
		}
		if op != ws.OpClose {
			r.t.Fatalf("got %v %q, want %v %q", h.OpCode, payload, op, want)
		}
	}
}

// code is a close code as it stands in a payload.
func code(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }

const wsOpen = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='x' version='1.0'/>"

func TestWebSocket(t *testing.T) {
	for name, f := range map[string]func(r rawWS){
		"fragments, ping between": func(r rawWS) {
			r.send(false, ws.OpText, "<message xmlns='jabber:cli")
			r.send(true, ws.OpPing, "are you there")
			r.expect(ws.OpPong, "are you there")
			r.send(false, ws.OpContinuation, "")
			r.send(false, ws.OpContinuation, "ent' id='\xc3")
			r.send(true, ws.OpContinuation, "\xbc'/>")
			r.expect(ws.OpText, "id='ü'")
		},
		"pong is ignored": func(r rawWS) { r.send(true, ws.OpPong, "x"); r.stillThere() },
		"empty message":   func(r rawWS) { r.send(true, ws.OpText, ""); r.stillThere() },
		"white space":     func(r rawWS) { r.send(true, ws.OpText, " \n"); r.stillThere() },
		"space around": func(r rawWS) {
			r.send(true, ws.OpText, " <message xmlns='jabber:client' id='s'/>\n")
			r.expect(ws.OpText, "id='s'")
		},
		"large":              func(r rawWS) { r.large(70000) },
		"medium":             func(r rawWS) { r.large(200) },
		"close is answered":  func(r rawWS) { r.send(true, ws.OpClose, code(1001)+"bye"); r.expect(ws.OpClose, code(1001)) },
		"close without code": func(r rawWS) { r.send(true, ws.OpClose, ""); r.expect(ws.OpClose, code(1000)) },
		"bad code":           func(r rawWS) { r.send(true, ws.OpClose, code(1005)); r.expect(ws.OpClose, code(1002)) },
		"code for nobody":    func(r rawWS) { r.send(true, ws.OpClose, code(1015)); r.expect(ws.OpClose, code(1002)) },
		"code of the future": func(r rawWS) { r.send(true, ws.OpClose, code(2999)); r.expect(ws.OpClose, code(1002)) },
		"code of our own":    func(r rawWS) { r.send(true, ws.OpClose, code(4999)); r.expect(ws.OpClose, code(4999)) },
		"half a code":        func(r rawWS) { r.send(true, ws.OpClose, "\x03"); r.expect(ws.OpClose, code(1002)) },
		"reason not UTF-8":   func(r rawWS) { r.send(true, ws.OpClose, code(1000)+"\xff"); r.expect(ws.OpClose, code(1007)) },
		"binary":             func(r rawWS) { r.send(true, ws.OpBinary, "<a/>"); r.expect(ws.OpClose, code(1003)) },
		"unknown opcode":     func(r rawWS) { r.send(true, 3, "<a/>"); r.expect(ws.OpClose, code(1002)) },
		"unknown control":    func(r rawWS) { r.send(true, 11, ""); r.expect(ws.OpClose, code(1002)) },
		"long ping":          func(r rawWS) { r.send(true, ws.OpPing, strings.Repeat("x", 126)); r.expect(ws.OpClose, code(1002)) },
		"ping in pieces":     func(r rawWS) { r.send(false, ws.OpPing, "x"); r.expect(ws.OpClose, code(1002)) },
		"continues nothing":  func(r rawWS) { r.send(true, ws.OpContinuation, "x"); r.expect(ws.OpClose, code(1002)) },
		"text inside of text": func(r rawWS) {
			r.send(false, ws.OpText, "<a")
			r.send(true, ws.OpText, "/>")
			r.expect(ws.OpClose, code(1002))
		},
		"unmasked": func(r rawWS) {
			if err := ws.WriteFrame(r, ws.NewTextFrame([]byte("<a/>"))); err != nil {
				r.t.Error(err)
			}
			r.expect(ws.OpClose, code(1002))
		},
		"reserved bit": func(r rawWS) { r.bytes(0xC1, 0x80, 0, 0, 0, 0); r.expect(ws.OpClose, code(1002)) },
		"long length":  func(r rawWS) { r.bytes(0x81, 0xFE, 0, 5, 0, 0, 0, 0); r.expect(ws.OpClose, code(1002)) },
		"huge length": func(r rawWS) {
			r.bytes(0x81, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)
			r.expect(ws.OpClose, code(1002))
		},
		"too large at the head": func(r rawWS) {
			r.bytes(0x81, 0xFF, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0)
			r.expect(ws.OpText, "policy-violation")
			r.expect(ws.OpClose, code(1000))
		},
		"too large in pieces": func(r rawWS) {
			go func() {
				r.send(false, ws.OpText, "<message xmlns='jabber:client'>")
				for range 300 {
					ws.WriteFrame(r, ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, bytes.Repeat([]byte("x"), 1000))))
				}
			}()
			r.expect(ws.OpText, "policy-violation")
		},
		"not UTF-8": func(r rawWS) { r.refused("<message xmlns='jabber:client'>\xff</message>", "unsupported-encoding") },
		"two elements": func(r rawWS) {
			r.refused("<presence xmlns='jabber:client'/><presence xmlns='jabber:client'/>", "not-well-formed")
		},
		"half an element": func(r rawWS) { r.refused("<message xmlns='jabber:client'>", "not-well-formed") },
		"no namespace":    func(r rawWS) { r.refused("<message/>", "invalid-namespace") },
		"declaration":     func(r rawWS) { r.refused("<?xml version='1.0'?><message xmlns='jabber:client'/>", "restricted-xml") },
		"stream tag": func(r rawWS) {
			r.refused("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", "bad-format")
		},
		"second open": func(r rawWS) { r.refused(wsOpen, "bad-format") },
		"close element": func(r rawWS) {
			r.send(true, ws.OpText, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
			r.expect(ws.OpText, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
			r.expect(ws.OpClose, code(1000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoller(t, stream.Options{})
			s := listen(t, "ws", p, func(c *stream.Conn) { c.Serve(echo(c)) })
			r := dialRaw(t, s)
			r.send(true, ws.OpText, wsOpen)
			r.expect(ws.OpText, "<open ")
			f(r)
		})
	}
}

func (r rawWS) bytes(b ...byte) {
	if _, err := r.Write(b); err != nil {
		r.t.Error(err)
	}
}

func (r rawWS) stillThere() {
	r.t.Helper()
	r.send(true, ws.OpText, "<message xmlns='jabber:client' id='there'/>")
	r.expect(ws.OpText, "id='there'")
}

func (r rawWS) large(n int) {
	r.t.Helper()
	body := strings.Repeat("x", n)
	r.send(true, ws.OpText, "<message xmlns='jabber:client'><body>"+body+"</body></message>")
	r.expect(ws.OpText, body)
}

func (r rawWS) refused(msg, condition string) {
	r.t.Helper()
	r.send(true, ws.OpText, msg)
	r.expect(ws.OpText, condition)
	r.expect(ws.OpText, "<close ")
	r.expect(ws.OpClose, code(1000))
}

// TestWebSocketGone: a connection that drops is told apart from one that ends.
func TestWebSocketGone(t *testing.T) {
	p := newPoller(t, stream.Options{})
	ended := make(chan error, 1)
	s := listen(t, "ws", p, func(c *stream.Conn) {
		h := echo(c)
		h.Closed = func(err error) { ended <- err }
		c.Serve(h)
	})
	r := dialRaw(t, s)
	r.send(true, ws.OpClose, code(1001))
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	r = dialRaw(t, s)
	r.Close()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestUpgrade refuses what is no XMPP WebSocket.
func TestUpgrade(t *testing.T) {
	p := newPoller(t, stream.Options{})
	s := listen(t, "ws", p, func(c *stream.Conn) { c.Serve(echo(c)) })
	url := "http" + strings.TrimPrefix(s.target, "ws")
	for _, head := range []http.Header{
		{},
		{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}},
		{"Sec-WebSocket-Protocol": {"xmpp"}},
	} {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = head
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Error(res.Status)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestEarlyFrames: frames in the same segment as the request are not lost.
func TestEarlyFrames(t *testing.T) {
	p := newPoller(t, stream.Options{})
	s := listen(t, "ws", p, func(c *stream.Conn) { c.Serve(echo(c)) })
	host := strings.TrimSuffix(strings.TrimPrefix(s.target, "ws://"), "/xmpp-websocket")
	nc, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var b bytes.Buffer
	b.WriteString("GET /xmpp-websocket HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n")
	if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame([]byte(wsOpen)))); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	readUntil(t, nc, "<open ")
}

// TestPingFlood: a peer that pings and never reads blocks nobody.
func TestPingFlood(t *testing.T) {
	p := newPoller(t, stream.Options{Workers: 2})
	s := listen(t, "ws", p, func(c *stream.Conn) { c.Serve(echo(c)) })
	for range 4 {
		r := dialRaw(t, s)
		r.send(true, ws.OpText, wsOpen)
		frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(bytes.Repeat([]byte("p"), 125))))
		many := bytes.Repeat(frame, 1000)
		for range 60 {
			r.SetWriteDeadline(time.Now().Add(patience))
			if _, err := r.Write(many); err != nil {
				t.Fatal("the server does not read any more:", err)
			}
		}
	}
	c := newPeer(dial(t, s))
	c.open(t)
	c.Close(nil)
	c.end(t)
}
