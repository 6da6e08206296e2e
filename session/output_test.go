package session_test

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// TestManyStopReading: a hundred clients that do not read cost no goroutine
// each, and nobody else waits for them. What they were sent counts as delivered
// once the socket has it, in order, and not before.
func TestManyStopReading(t *testing.T) {
	poll := poller(t)
	h := host(t)
	if err := h.Board.Set("session.mailbox", feature.Scope{}, 32<<20, 1); err != nil {
		t.Fatal(err)
	}
	const n, each = 100, 4
	var arrived atomic.Int64
	h.Delivered = func(_ *session.Session, done []*stanza.Wire) { arrived.Add(int64(len(done))) }
	var all []*session.Session
	var ends []io.ReadCloser
	connect := func() (*session.Session, io.ReadCloser) {
		ours, theirs := sockets(t, 128<<10)
		sc := stream.NewConn(ours, poll)
		sc.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }})
		t.Cleanup(func() { theirs.Close() })
		return session.New(h, sc, desk), theirs
	}
	for range n {
		s, end := connect()
		all, ends = append(all, s), append(ends, end)
	}
	before := runtime.NumGoroutine()
	var last *stanza.Wire
	for k := range each {
		last = stanza.Make(stanza.Message, stanza.Chat, desk, desk, string('1'+rune(k)), bytes.Repeat([]byte("x"), 512<<10))
		last.ID[7] = byte(k + 1)
		for _, s := range all {
			if !s.Send(last) {
				t.Fatal("not taken")
			}
		}
	}
	quick, end := connect()
	quick.Send(message(7))
	read(t, end, " id='7'")
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+20; time.Sleep(time.Millisecond) { // a moment for workers that were many
		if time.Now().After(end) {
			t.Fatalf("%d goroutines more for %d clients", runtime.NumGoroutine()-before, n)
		}
	}
	if got := arrived.Load(); got != 0 {
		t.Errorf("%d count as delivered, and nobody has read", got)
	}
	for _, s := range all[1:] {
		if !s.Has(last.ID) {
			t.Error("the last is not on its way")
		}
		s.Close(nil)
		s.Detach(s.Conn())
	}
	text := read(t, ends[0], " id='4'")
	for k := range each {
		id := []byte(" id='" + string('1'+rune(k)) + "'")
		if bytes.Count(text, id) != 1 || k > 0 && bytes.Index(text, id) < bytes.Index(text, []byte(" id='"+string('0'+rune(k))+"'")) {
			t.Errorf("%s came %d times, or out of order", id, bytes.Count(text, id))
		}
	}
	read(t, ends[0], "</message>")
	for end := time.Now().Add(patience); arrived.Load() != each; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d were delivered", arrived.Load(), each)
		}
	}
}

// read reads until want.
func read(t *testing.T, r io.Reader, want string) (got []byte) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for !bytes.Contains(got[max(0, len(got)-len(buf)-len(want)):], []byte(want)) {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	return got
}

// TestStopsReading: what a client did not take before the write timeout is not
// delivered; nothing of it is lost.
func TestStopsReading(t *testing.T) {
	poll, err := stream.NewPoller(stream.Options{WriteTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer poll.Close()
	for _, managed := range []bool{false, true} {
		h := host(t)
		if err := h.Board.Set("session.mailbox", feature.Scope{}, 32<<20, 1); err != nil {
			t.Fatal(err)
		}
		lost := make(chan bool, 1)
		h.Lost = func(_ *session.Session, resumable bool) { lost <- resumable }
		h.Delivered = func(_ *session.Session, done []*stanza.Wire) { t.Errorf("%d are delivered", len(done)) }
		late := make(chan int, 1) // what the session has lost before its writer knew
		h.Unwritten = func(_ *session.Session, wires []*stanza.Wire) { late <- len(wires) }
		ours, theirs := sockets(t, 128<<10)
		sc := stream.NewConn(ours, poll)
		s := session.New(h, sc, desk)
		sc.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(error) { s.Detach(sc) }})
		if managed {
			s.Enable("id", true, []byte(enabled))
		}
		var ids []string
		for k := range 8 {
			w := stanza.Make(stanza.Message, stanza.Chat, desk, desk, string('1'+rune(k)), bytes.Repeat([]byte("x"), 1<<20))
			w.ID[7] = byte(k + 1)
			ids = append(ids, "message "+string('1'+rune(k)))
			s.Send(w)
		}
		if resumable := <-lost; resumable != managed {
			t.Error("resumable:", resumable)
		}
		got := rest(s)
		if n := len(ids) - len(got); n > 0 {
			if <-late != n {
				t.Error("not all is told")
			}
			got = append(ids[:n:n], got...)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("left %q", got)
		}
		theirs.Close()
	}
}
