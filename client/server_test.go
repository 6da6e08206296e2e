package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

const (
	testPassword = "but soft what light"
	nsSM         = "urn:xmpp:sm:3"
)

// fakeServer is the other end of a connection: enough of a server to talk to, with stream management that can be cut and
// resumed. It says what it has received to anybody who asks.
type fakeServer struct {
	t    testing.TB
	tls  *tls.Config // nil: STARTTLS is not offered
	keys sasl.Keys

	mu       sync.Mutex
	handled  uint32   // stanzas since enable, guarded by mu
	enabled  bool     // guarded by mu
	received []string // message bodies, guarded by mu
	holdAcks bool     // <r/> goes unanswered, guarded by mu
	lost     int      // so many stanzas are thrown away unhandled, guarded by mu
}

func newFake(t testing.TB) *fakeServer {
	keys, err := sasl.Derive(sasl.SCRAMSHA1, testPassword, 4096, []byte("salt and more salt"))
	if err != nil {
		t.Fatal(err)
	}
	return &fakeServer{t: t, keys: keys}
}

// pipe gives a connection to the server; one goroutine serves it until it ends. It is a TCP connection since both
// ends may write at once.
func (s *fakeServer) pipe() net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer b.Close()
		c := &fakeConn{s: s, nc: b, f: stream.NewFramer(false, stream.Limits{Bytes: 1 << 20, Depth: 100, Attrs: 100})}
		c.serve()
	}()
	return a
}

func (s *fakeServer) bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.received...)
}

// awaitLoss waits until all that is to be thrown away was.
func (s *fakeServer) awaitLoss(ctx context.Context) {
	s.t.Helper()
	for {
		s.mu.Lock()
		left := s.lost
		s.mu.Unlock()
		if left == 0 {
			return
		}
		if ctx.Err() != nil {
			s.t.Fatalf("%d stanzas to be lost have not come", left)
		}
		runtime.Gosched()
	}
}

type fakeConn struct {
	s      *fakeServer
	nc     net.Conn
	f      *stream.Framer
	x      *sasl.Server
	authed bool
	secure bool
}

func (c *fakeConn) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.nc, format, args...) // the peer may have gone
}

func (c *fakeConn) serve() {
	var buf []byte
	part := make([]byte, 4096)
	for {
		var it stream.Item
		n, err := c.f.Next(buf, &it)
		if err != nil {
			c.say("<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
			return
		}
		if n > 0 {
			switch it.Kind {
			case stream.Open:
				c.features()
			case stream.Close:
				c.say("</stream:stream>")
				return
			case stream.Stanza:
				c.stanza(it.Stanza)
			case stream.Element:
				c.element(it.Element)
			}
			buf = buf[n:]
			continue
		}
		n, err = c.nc.Read(part)
		if err != nil {
			return
		}
		buf = append(buf, part[:n]...)
	}
}

func (c *fakeConn) features() {
	c.say("<?xml version='1.0'?><stream:stream from='verona.example' id='x' version='1.0' xmlns='jabber:client' " +
		"xmlns:stream='http://etherx.jabber.org/streams'><stream:features>")
	switch {
	case c.authed:
		c.say("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/>")
	case c.s.tls != nil && !c.secure:
		c.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
	default:
		c.say("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>")
	}
	c.say("</stream:features>")
}

func (c *fakeConn) stanza(st *stanza.Stanza) {
	s := c.s
	s.mu.Lock()
	if s.lost > 0 {
		s.lost--
		s.mu.Unlock()
		return
	}
	if s.enabled {
		s.handled++
	}
	if b, ok := st.Child(stanza.NSClient, "body"); ok {
		s.received = append(s.received, b.Text())
	}
	s.mu.Unlock()
	switch {
	case st.Kind == stanza.IQ && st.Type == stanza.Set:
		c.say("<iq type='result' id='%s'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@verona.example/here</jid></bind></iq>",
			st.ID())
	case st.Kind == stanza.IQ && st.Type == stanza.Get:
		// a message comes first: Request must leave it where it is
		c.say("<message from='nurse@verona.example'><body>psst</body></message>")
		c.say("<iq type='result' id='%s'><pong xmlns='urn:example'/></iq>", st.ID())
	case st.Kind == stanza.Message && st.Type == stanza.Groupchat:
		c.say("<message type='error' id='%s'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"+
			"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>later</text></error></message>", st.ID())
	}
}

func (c *fakeConn) element(e stanza.Element) {
	switch {
	case e.Is("urn:ietf:params:xml:ns:xmpp-tls", "starttls"):
		c.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		c.nc, c.secure = tls.Server(c.nc, c.s.tls), true
		c.f.Restart()
	case string(e.NS()) == "urn:ietf:params:xml:ns:xmpp-sasl":
		c.sasl(e)
	case string(e.NS()) == nsSM:
		c.manage(string(e.Local()), e)
	}
}

func (c *fakeConn) sasl(e stanza.Element) {
	if m, ok := e.Attr("mechanism"); ok {
		x, err := sasl.NewServer(m, sasl.ServerConfig{
			Domain: "verona.example", Offered: []string{sasl.SCRAMSHA1},
			Secret: bytes.Repeat([]byte("s"), 32),
			Lookup: func(local string) (sasl.Credentials, error) {
				if local != "romeo" {
					return sasl.Credentials{}, nil
				}
				return sasl.Credentials{Keys: []sasl.Keys{c.s.keys}}, nil
			},
		})
		if err != nil {
			c.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/><text>no</text></failure>")
			return
		}
		c.x = x
	}
	in, _ := base64.StdEncoding.DecodeString(e.Text())
	out, done, err := c.x.Step(in)
	switch {
	case err != nil:
		c.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
	case done:
		c.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</success>", base64.StdEncoding.EncodeToString(out))
		c.authed = true
		c.f.Restart()
	default:
		c.say("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</challenge>", base64.StdEncoding.EncodeToString(out))
	}
}

func (c *fakeConn) manage(what string, e stanza.Element) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what {
	case "enable":
		s.enabled, s.handled = true, 0
		c.say("<enabled xmlns='%s' id='sm1' resume='true' max='60'/>", nsSM)
	case "resume":
		if v, _ := e.Attr("previd"); v != "sm1" {
			c.say("<failed xmlns='%s' h='3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM)
			return
		}
		c.say("<resumed xmlns='%s' previd='sm1' h='%d'/><message from='a@b' id='late'><body>late</body></message><r xmlns='%s'/>",
			nsSM, s.handled, nsSM)
	case "r":
		if !s.holdAcks {
			c.say("<a xmlns='%s' h='%d'/>", nsSM, s.handled)
		}
	case "a":
		v, _ := e.Attr("h")
		n, _ := strconv.Atoi(v)
		s.received = append(s.received, fmt.Sprintf("h=%d", n))
	}
}
