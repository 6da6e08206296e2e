package session_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// patience is how long what must come is waited for; only a failing test does.
const patience = 20 * time.Second

func poller(tb testing.TB) *stream.Poller {
	tb.Helper()
	p, err := stream.NewPoller(stream.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func attr(s, name string) string {
	_, rest, _ := strings.Cut(s, " "+name+"='")
	value, _, _ := strings.Cut(rest, "'")
	return value
}

// A peer is a client with stream management: it counts what it gets.
type peer struct {
	mu     sync.Mutex
	more   *sync.Cond
	got    []string // ids of stanzas, in order
	before []string // of those that came before <enabled/>
	h      uint32
	on     bool   // <enabled/> was seen
	told   uint32 // h of the last <a/> or <resumed/>
	ended  string // the stream error
	cut    int    // the stream breaks after so many stanzas; -1 never
	conn   *stream.Conn
	tcp    bool // over sockets, not pipes
}

func newPeer() *peer {
	p := &peer{cut: -1}
	p.more = sync.NewCond(&p.mu)
	return p
}

// sockets are two ends of a connection with small buffers; that of what theirs
// has not read is to have so many bytes.
func sockets(tb interface{ Fatal(...any) }, unread int) (ours, theirs net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(theirs.(*net.TCPConn).SetReadBuffer(unread), ours.(*net.TCPConn).SetWriteBuffer(2048)); err != nil {
		tb.Fatal(err)
	}
	return ours, theirs
}

// connect makes a pair: the server's end is returned.
func (p *peer) connect(tb interface{ Fatal(...any) }, poll *stream.Poller, server stream.Handler) *stream.Conn {
	ours, theirs := net.Pipe()
	if p.tcp {
		ours, theirs = sockets(tb, 2048)
	}
	sc, cc := stream.NewConn(ours, poll), stream.NewConn(theirs, poll)
	if server.Item == nil {
		server.Item = func(*stream.Item) error { return nil }
	}
	sc.Serve(server)
	cc.Serve(stream.Handler{Item: func(it *stream.Item) error { return p.item(cc, theirs, it) }, Closed: func(error) { theirs.Close() }})
	p.mu.Lock()
	p.conn = cc
	p.mu.Unlock()
	if err := cc.Write(stream.AppendHeader(nil, stream.Header{To: "hug.example", Version: "1.0"}, false)); err != nil {
		tb.Fatal(err)
	}
	if err := sc.Write(stream.AppendHeader(nil, stream.Header{From: "hug.example", Version: "1.0"}, false)); err != nil {
		tb.Fatal(err)
	}
	return sc
}

func (p *peer) item(cc *stream.Conn, nc net.Conn, it *stream.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != cc {
		return nil // late words of a stream that was given up
	}
	defer p.more.Broadcast()
	switch it.Kind {
	case stream.Stanza:
		if p.cut == 0 {
			p.conn = nil // what it has read behind the cut stays unheard, whenever the next cut is to be
			nc.Close()
			return nil
		}
		if p.cut > 0 {
			p.cut--
		}
		if p.on {
			p.h++
			p.got = append(p.got, string(it.Stanza.ID()))
		} else {
			p.before = append(p.before, string(it.Stanza.ID()))
		}
	case stream.Element:
		s := string(it.Element.Bytes())
		switch {
		case strings.HasPrefix(s, "<enabled"):
			p.on = true
		case strings.HasPrefix(s, "<a "), strings.HasPrefix(s, "<resumed"):
			h, _ := strconv.ParseUint(attr(s, "h"), 10, 32)
			p.told = uint32(h)
		case strings.Contains(s, "error"):
			p.ended = s
		}
	}
	return nil
}

// wait waits until f, which is called under mu.
func (p *peer) wait(tb interface{ Fatalf(string, ...any) }, what string, f func() bool) {
	late := time.AfterFunc(patience, p.more.Broadcast)
	defer late.Stop()
	begin := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !f() {
		if time.Since(begin) >= patience {
			tb.Fatalf("waiting for %s: got %d stanzas %v", what, len(p.got), p.got)
		}
		p.more.Wait()
	}
}

func message(n int) *stanza.Wire {
	return stanza.Make(stanza.Message, stanza.Chat, jid.MustParse("bob@hug.example/x"), jid.JID{}, strconv.Itoa(n), []byte("<body>hello</body>"))
}

// TestResume: resume never loses, doubles or reorders, wherever streams break
// and whatever was acknowledged.
func TestResume(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprint("tcp=", tcp), func(t *testing.T) { checkResume(t, tcp) })
	}
}

func checkResume(t *testing.T, tcp bool) {
	poll := poller(t)
	h := host(t)
	h.Board.Dial("session.mailbox")
	if err := h.Board.Set("session.mailbox", feature.Scope{}, 1<<20, 1); err != nil {
		t.Fatal(err)
	}
	if err := h.Board.Set("session.request", feature.Scope{}, 300, 2); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := newPeer()
		p.tcp = tcp
		sent, early := 0, 0
		send := func(s *session.Session, n int) {
			for range n {
				sent++
				if !s.Send(message(sent)) {
					t.Fatal("not taken")
				}
			}
		}
		sc := p.connect(t, poll, stream.Handler{})
		s := session.New(h, sc, jid.MustParse("ada@hug.example/desk"))
		early = rapid.IntRange(0, 5).Draw(t, "early")
		send(s, early)
		if !s.Enable("id", true, []byte("<enabled xmlns='urn:xmpp:sm:3'/>")) {
			t.Fatal("not enabled")
		}
		resume := func() {
			p.mu.Lock()
			p.conn, p.cut = nil, -1
			count := p.h
			p.mu.Unlock()
			next := p.connect(t, poll, stream.Handler{})
			old, err := s.Resume(next, count, false)
			if err != nil {
				t.Fatal(err)
			}
			if old != nil {
				old.Close(nil)
			}
			sc = next
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) { send(s, rapid.IntRange(1, 30).Draw(t, "n")) },
			"ack": func(t *rapid.T) {
				p.mu.Lock()
				count := p.h
				p.mu.Unlock()
				if err := s.Acked(count); err != nil {
					t.Fatal(err)
				}
			},
			"late ack": func(t *rapid.T) {
				if err := s.Acked(0); err != nil {
					t.Fatal(err)
				}
			},
			"ask": func(*rapid.T) { s.AskAck(); s.Requested() },
			"cut soon": func(t *rapid.T) {
				p.mu.Lock()
				p.cut = rapid.IntRange(0, 10).Draw(t, "after")
				on := p.on
				p.mu.Unlock()
				if !on { // without <enabled/> there is nothing to resume
					p.mu.Lock()
					p.cut = -1
					p.mu.Unlock()
				}
			},
			"inactive": func(*rapid.T) { s.Inactive() },
			"resume":   func(*rapid.T) { p.wait(t, "<enabled/>", func() bool { return p.on }); resume() },
			"detach":   func(*rapid.T) { p.wait(t, "<enabled/>", func() bool { return p.on }); s.Detach(sc) },
		})
		p.wait(t, "<enabled/>", func() bool { return p.on })
		resume()
		p.wait(t, "all", func() bool { return len(p.got)+len(p.before) >= sent })
		send(s, 1) // behind it nothing doubled can hide
		p.wait(t, "the last", func() bool { return slices.Contains(p.got, strconv.Itoa(sent)) })
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, got := range append(p.before, p.got...) {
			if got != strconv.Itoa(i+1) {
				t.Fatalf("stanza %d is %s: before %v, then %v", i+1, got, p.before, p.got)
			}
		}
		if len(p.before) != early {
			t.Fatalf("%d came before <enabled/>, %d were sent before it", len(p.before), early)
		}
		if err := s.Acked(p.h); err != nil {
			t.Fatal(err)
		}
		if rest, ok := s.End(); !ok || len(rest) != 0 {
			t.Fatalf("all is acknowledged, %d are left", len(rest))
		}
		sc.Close(nil)
	})
}

// TestAckWraps: counts wrap at 2^32 (XEP-0198 §4).
func TestAckWraps(t *testing.T) {
	s := session.New(host(t), nil, jid.MustParse("ada@hug.example/desk"))
	s.Enable("id", true, nil)
	session.SetCounts(s, 1<<32-2)
	for n := range 4 {
		s.Send(message(n))
	}
	for _, c := range []struct {
		h    uint32
		left int
	}{{1<<32 - 2, 4}, {1<<32 - 1, 3}, {1<<32 - 2, 3}, {0, 2}, {1, 1}} {
		if err := s.Acked(c.h); err != nil {
			t.Fatal(err)
		}
		if got := session.Unacked(s); got != c.left {
			t.Errorf("after h=%d: %d unacknowledged, want %d", c.h, got, c.left)
		}
	}
	err := s.Acked(3)
	e, ok := err.(*stream.Error)
	if !ok || !strings.Contains(string(e.App), "h='3' send-count='2'") {
		t.Errorf("too high: %v", err)
	}
	s.Received(nil)
	s.Routed()
	if got := s.Handled(); got != 1<<32-1 {
		t.Errorf("handled %d", got)
	}
	for range 2 {
		s.Received(nil)
		s.Await()
		s.Routed()
	}
	if got := s.Handled(); got != 1<<32-1 {
		t.Errorf("handled %d, two wait", got)
	}
	s.Committed()
	s.Committed()
	if got := s.Handled(); got != 1 {
		t.Errorf("handled %d after the wrap", got)
	}
}
