package session_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

const enabled = "<enabled xmlns='urn:xmpp:sm:3'/>"

// TestLateStanza: a stanza that comes late from a stream counts as long as that
// is the session's last. Once another has taken over, the client has sent it
// again there: it never counts, not even when that stream is gone as well.
func TestLateStanza(t *testing.T) {
	h := host(t)
	lost := make(chan bool, 10)
	h.Lost = func(_ *session.Session, resumable bool) { lost <- resumable }
	poll := poller(t)
	connect := func() (*stream.Conn, net.Conn) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		return stream.NewConn(ours, poll), theirs
	}
	first, theirs := connect()
	s := session.New(h, first, desk)
	s.Enable("id", true, []byte(enabled)) // a write that nobody reads
	received := func(conn *stream.Conn, want bool, when string) {
		t.Helper()
		if got := s.Received(conn); got != want || s.Reads(conn) != want {
			t.Errorf("%s: received is %v", when, got)
		} else if got {
			s.Routed()
		}
	}
	cut := func() {
		t.Helper()
		select {
		case resumable := <-lost:
			if !resumable {
				t.Fatal("the session is lost")
			}
		case <-time.After(patience):
			t.Fatal("the session is not cut")
		}
	}
	resume := func(h uint32) *stream.Conn {
		t.Helper()
		next, _ := connect()
		if _, err := s.Resume(next, h, false); err != nil {
			t.Fatal(err)
		}
		return next
	}
	received(first, true, "the stream stands")
	theirs.Close()
	cut()
	received(first, true, "a write has failed, and the stream is still read")
	second := resume(0)
	received(first, false, "the session is resumed")
	received(second, true, "the new stream stands")
	s.Detach(second)
	cut()
	received(second, false, "it is read to its end")
	received(first, false, "both streams are gone")
	s.Detach(first) // its end, late
	third := resume(0)
	received(second, false, "the session is resumed again")
	received(third, true, "the third stream stands")
	if got := s.Handled(); got != 4 {
		t.Errorf("h = %d of 4", got)
	}
	s.Detach(third)
}

// TestHasUntilDelivered: a message is with the session until Host.Delivered
// knows that it has arrived, however it did: who reads the log at that moment
// would send it again.
func TestHasUntilDelivered(t *testing.T) {
	h := host(t)
	told := make(chan int, 10)
	h.Delivered = func(s *session.Session, done []*stanza.Wire) {
		for _, w := range done {
			if !s.Has(w.ID) {
				t.Errorf("%d is nowhere", w.ID[7])
			}
			told <- int(w.ID[7])
		}
	}
	next := func(want int) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Fatalf("delivered: %d, not %d", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("%d is not delivered", want)
		}
	}
	p := newPeer()
	poll := poller(t)
	first := p.connect(t, poll, stream.Handler{})
	s := session.New(h, first, desk)
	s.Send(logged(1))
	next(1) // written
	s.Enable("id", true, []byte(enabled))
	s.Send(logged(2))
	s.Send(logged(3))
	s.Send(logged(4))
	p.wait(t, "all", func() bool { return p.h == 3 })
	if err := s.Acked(1); err != nil {
		t.Fatal(err)
	}
	next(2) // acknowledged
	p.mu.Lock()
	p.conn = nil
	p.mu.Unlock()
	second := p.connect(t, poll, stream.Handler{})
	if _, err := s.Resume(second, 2, false); err != nil {
		t.Fatal(err)
	}
	next(3) // acknowledged by resuming
	for id, want := range map[int]bool{2: false, 3: false, 4: true} {
		if got := s.Has(logged(id).ID); got != want {
			t.Errorf("%d is with the session: %v", id, got)
		}
	}
	for begin := time.Now(); s.Has(logged(1).ID); runtime.Gosched() { // its writer goes on by itself
		if time.Since(begin) > patience {
			t.Fatal("1 is with the session for ever")
		}
	}
	first.Close(nil)
	second.Close(nil)
}

// TestPlainHasArrived: who resumes a session has got all that was sent before
// <enabled/>, for that told the id: it does not come again, however the stream
// broke behind it.
func TestPlainHasArrived(t *testing.T) {
	h := host(t)
	lost, told := make(chan bool, 10), make(chan int, 10)
	h.Lost = func(_ *session.Session, resumable bool) { lost <- resumable }
	h.Delivered = func(_ *session.Session, done []*stanza.Wire) {
		for _, w := range done {
			told <- int(w.ID[7])
		}
	}
	poll := poller(t)
	ours, theirs := net.Pipe()
	s := session.New(h, stream.NewConn(ours, poll), desk)
	plain := 0
	for id := 1; id <= 2; id++ {
		s.Send(logged(id))
		plain += logged(id).Len()
	}
	s.Enable("id", true, []byte(enabled))
	s.Send(logged(3))
	if _, err := io.ReadFull(theirs, make([]byte, plain+len(enabled))); err != nil {
		t.Fatal(err)
	}
	theirs.Close() // in the middle of a write, unless 3 is in one of its own
	if !<-lost {
		t.Fatal("the session is lost")
	}
	p := newPeer()
	p.on = true
	second := p.connect(t, poll, stream.Handler{})
	if _, err := s.Resume(second, 0, false); err != nil {
		t.Fatal(err)
	}
	s.Send(logged(4))
	p.wait(t, "the last", func() bool { return slices.Contains(p.got, "4") })
	p.mu.Lock()
	want(t, p.got, "3", "4")
	p.mu.Unlock()
	for id := 1; id <= 2; id++ {
		select {
		case got := <-told:
			if got != id {
				t.Errorf("delivered: %d, not %d", got, id)
			}
		case <-time.After(patience):
			t.Fatalf("%d is not delivered", id)
		}
	}
	second.Close(nil)
}
