package session_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// mailbox is the limit that host sets, in bytes.
const mailbox = 64 << 10

var desk = jid.MustParse("ada@hug.example/desk")

// logged is a message of the archive.
func logged(n int) *stanza.Wire {
	w := message(n)
	w.ID[7] = byte(n)
	return w
}

func presenceOf(from string, body string) *stanza.Wire {
	return stanza.Make(stanza.Presence, stanza.Available, jid.MustParse(from), jid.JID{}, "", []byte("<status>"+body+"</status>"))
}

// rest ends the session and tells what was left, by kind and id.
func rest(s *session.Session) (list []string) {
	wires, _ := s.End()
	for _, w := range wires {
		b := string(w.Append(nil))
		list = append(list, w.Kind.String()+" "+attr(b, "id"))
	}
	return list
}

func want(t *testing.T, got []string, all ...string) {
	t.Helper()
	if !slices.Equal(got, all) {
		t.Errorf("got  %q\nwant %q", got, all)
	}
}

// TestMailboxBound: what waits for a client that is away is bounded; past it
// the session is lost at once, and takes nothing more.
func TestMailboxBound(t *testing.T) {
	for _, managed := range []bool{false, true} {
		h := host(t)
		lost := make(chan bool, 10)
		h.Lost = func(_ *session.Session, resumable bool) { lost <- resumable }
		s := session.New(h, nil, desk)
		s.SetPriority(0)
		if managed {
			s.Enable("id", true, nil)
		}
		bytes, n := 0, 0
		for s.Send(message(n)) {
			bytes += message(n).Len()
			n++
		}
		if bytes > mailbox || bytes < mailbox-2*message(0).Len() {
			t.Errorf("managed %v: it took %d bytes of %d", managed, bytes, mailbox)
		}
		if resumable := <-lost; resumable {
			t.Error("a mailbox that ran over cannot be resumed")
		}
		if s.Send(message(0)) || s.Wants() || len(lost) > 0 {
			t.Errorf("it takes more, or is lost twice (%d)", len(lost))
		}
		if got, ok := s.End(); !ok || len(got) != n {
			t.Errorf("%d of %d left", len(got), n)
		}
		if _, ok := s.End(); ok {
			t.Error("it ends twice")
		}
	}
}

// TestLoneStanza: a stanza that is larger than the mailbox finds room in one
// that is empty.
func TestLoneStanza(t *testing.T) {
	s := session.New(host(t), nil, desk)
	long := stanza.Make(stanza.IQ, stanza.Result, jid.JID{}, desk, "long", make([]byte, 3*mailbox))
	if !s.Send(long) {
		t.Error("refused")
	}
	if s.Send(long) {
		t.Error("a second one is taken")
	}
}

// TestPresenceGivesWay: presence is dropped before anything else is, and the
// session asks for it again.
func TestPresenceGivesWay(t *testing.T) {
	h := host(t)
	again := 0
	h.Room = func(_ *session.Session, lost bool) {
		if lost {
			again++
		}
	}
	s := session.New(h, nil, desk)
	shown := presenceOf("bob@hug.example/x", strings.Repeat("x", 1000))
	for s.Send(shown) {
	}
	long := stanza.Make(stanza.Message, stanza.Chat, desk, jid.JID{}, "1", make([]byte, 4000))
	if !s.Send(long) {
		t.Fatal("presence kept a message out")
	}
	want(t, rest(s), "message 1")

	p := newPeer()
	sc := p.connect(t, poller(t), stream.Handler{})
	s = session.New(h, sc, desk) // under stream management what was counted stays
	s.Enable("id", true, []byte("<enabled xmlns='urn:xmpp:sm:3'/>"))
	for s.Send(shown) {
	}
	n := session.Unacked(s)
	p.wait(t, "all", func() bool { return int(p.h) == n })
	if s.Ended() || again > 0 {
		t.Fatal("presence alone ends no session")
	}
	if err := s.Acked(uint32(n)); err != nil || again != 1 {
		t.Errorf("asked for presence %d times, %v", again, err)
	}
	sc.Close(nil)
}

// TestNonzasAreBounded: who asks for answers and does not read them is closed.
func TestNonzasAreBounded(t *testing.T) {
	s := session.New(host(t), nil, desk)
	answer := []byte("<failed xmlns='urn:xmpp:sm:3'/>")
	for range 2 * mailbox / len(answer) {
		s.SendNonza(answer)
	}
	s.SetPriority(0)
	if s.Wants() {
		t.Error("it goes on")
	}
}

// TestSlowReader: who does not read is told so at the end of what fitted.
func TestSlowReader(t *testing.T) {
	ours, theirs := net.Pipe()
	sc := stream.NewConn(ours, poller(t))
	h := host(t)
	s := session.New(h, sc, desk)
	lost := make(chan bool, 10)
	h.Lost = func(_ *session.Session, resumable bool) { lost <- resumable }
	sc.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(error) { s.Detach(sc) }})
	n := 0
	for s.Send(message(n)) {
		n++
	}
	all, err := io.ReadAll(theirs)
	if err != nil && err != io.ErrClosedPipe {
		t.Fatal(err)
	}
	text := string(all)
	if got := strings.Count(text, "<message "); got != n {
		t.Errorf("%d messages, %d were taken", got, n)
	}
	if !strings.Contains(text, "<resource-constraint ") || !strings.HasSuffix(text, "</stream:stream>") {
		t.Errorf("…%s", text[max(0, len(text)-300):])
	}
	if <-lost {
		t.Error("it can be resumed")
	}
}

// TestBrokenWrite: what a stream breaks under is not lost with it, not even
// without stream management; nor what was sent before that was enabled.
func TestBrokenWrite(t *testing.T) {
	for _, managed := range []bool{false, true} {
		t.Run(fmt.Sprint(managed), func(t *testing.T) {
			ours, theirs := net.Pipe()
			sc := stream.NewConn(ours, poller(t))
			h := host(t)
			left := make(chan []string, 10)
			tell := func(wires []*stanza.Wire) {
				var ids []string
				for _, w := range wires {
					ids = append(ids, attr(string(w.Append(nil)), "id"))
				}
				left <- ids
			}
			h.Unwritten = func(_ *session.Session, wires []*stanza.Wire) { tell(wires) }
			h.Lost = func(s *session.Session, _ bool) {
				wires, _ := s.End()
				tell(wires)
			}
			h.Delivered = func(_ *session.Session, done []*stanza.Wire) { t.Errorf("delivered: %d", len(done)) }
			s := session.New(h, sc, desk)
			sc.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(error) { s.Detach(sc) }})
			for n := range 3 {
				s.Send(logged(n + 1))
			}
			if managed {
				s.Enable("id", false, []byte("<enabled xmlns='urn:xmpp:sm:3'/>"))
			}
			for n := range 3 {
				s.Send(logged(n + 4))
			}
			for id := range 6 {
				if a := logged(id + 1).ID; !s.Has(a) {
					t.Errorf("%d is not on its way", id+1)
				}
			}
			theirs.Close()
			var all []string
			for len(all) < 6 {
				select {
				case ids := <-left:
					all = append(all, ids...)
				case <-time.After(patience):
					t.Fatalf("left: %v", all)
				}
			}
			slices.Sort(all)
			want(t, all, "1", "2", "3", "4", "5", "6")
		})
	}
}

// TestDelivered: without stream management what was written has arrived, with
// it what was acknowledged; what was sent before it began counts as written.
func TestDelivered(t *testing.T) {
	h := host(t)
	var done []int
	written := make(chan int, 10)
	h.Delivered = func(_ *session.Session, list []*stanza.Wire) {
		for _, w := range list {
			written <- int(w.ID[7])
		}
	}
	next := func(n int) {
		t.Helper()
		for len(done) < n {
			select {
			case id := <-written:
				done = append(done, id)
			case <-time.After(patience):
				t.Fatalf("delivered: %v", done)
			}
		}
	}
	p := newPeer()
	sc := p.connect(t, poller(t), stream.Handler{})
	s := session.New(h, sc, desk)
	s.Send(logged(1))
	s.Enable("id", true, []byte("<enabled xmlns='urn:xmpp:sm:3'/>"))
	s.Send(logged(2))
	s.Send(message(3))
	s.Send(logged(4))
	next(1)
	p.wait(t, "all", func() bool { return p.h == 3 })
	if err := s.Acked(3); err != nil {
		t.Fatal(err)
	}
	next(4)
	if !slices.Equal(done, []int{1, 2, 0, 4}) {
		t.Errorf("delivered: %v", done)
	}
	sc.Close(nil)
}

// TestInactive: an inactive client is spared presence but for the last of each
// contact, and chat states; all else comes at once (XEP-0352 §5).
func TestInactive(t *testing.T) {
	h := host(t)
	s := session.New(h, nil, desk)
	s.Enable("id", true, nil)
	s.Inactive()
	state := message(1)
	state.Flags |= stanza.StateOnly
	s.Send(presenceOf("bob@hug.example/x", "first"))
	s.Send(presenceOf("eve@hug.example/x", "only"))
	s.Send(presenceOf("bob@hug.example/x", "last"))
	s.Send(state)
	if n := session.Unacked(s); n != 0 {
		t.Fatalf("%d came at once", n)
	}
	s.Send(message(2))
	s.Send(stanza.Make(stanza.Presence, stanza.Subscribe, jid.MustParse("eve@hug.example"), desk.Bare(), "", nil))
	if n := session.Unacked(s); n != 2 {
		t.Fatalf("%d came at once", n)
	}
	s.Active()
	s.Active()
	wires, _ := s.End()
	var all []string
	for _, w := range wires {
		all = append(all, string(w.Append(nil)))
	}
	slices.Sort(all[2:])
	if len(all) != 4 || !strings.Contains(all[2], ">last<") || !strings.Contains(all[3], ">only<") {
		t.Errorf("%q", all)
	}
}

// TestInactiveBounded: what is held back has a bound, and nothing that is held
// overtakes what came later from the same contact.
func TestInactiveBounded(t *testing.T) {
	s := session.New(host(t), nil, desk)
	s.Enable("id", true, nil)
	s.Inactive()
	s.Send(presenceOf("bob@hug.example/x", "early"))
	for n := range 1000 {
		s.Send(presenceOf(fmt.Sprintf("p%d@hug.example/x", n), strings.Repeat("y", 1000)))
	}
	s.Send(presenceOf("bob@hug.example/x", strings.Repeat("z", 2000)))
	s.Active()
	wires, _ := s.End()
	var last string
	bytes := 0
	for _, w := range wires {
		bytes += w.Len()
		if w.From.Local() == "bob" {
			last = string(w.Append(nil))
		}
	}
	if bytes > mailbox+mailbox/4 {
		t.Errorf("%d bytes", bytes)
	}
	if strings.Contains(last, ">early<") {
		t.Error("an earlier presence came later")
	}
}

// TestCatchup: while the log is read, live messages beyond it wait; those
// within come by the log; too many of them are left to it.
func TestCatchup(t *testing.T) {
	s := session.New(host(t), nil, desk)
	if !s.BeginCatchup(logged(5).ID) {
		t.Fatal("not begun")
	}
	if s.BeginCatchup(logged(6).ID) {
		t.Fatal("begun twice")
	}
	for _, n := range []int{5, 6, 7, 8} { // 5 and 6 stand in the log up to where it is read
		s.Send(logged(n))
	}
	s.Send(message(100)) // no archive id: it waits for nothing
	for n := range 5 {
		s.Replay(logged(n + 1))
	}
	if s.EndCatchup(logged(5).ID) || s.CatchupTo() != logged(6).ID {
		t.Fatal("6 was not read")
	}
	s.Replay(logged(6))
	if !s.EndCatchup(logged(6).ID) {
		t.Fatal("not ended")
	}
	s.Send(logged(6)) // late: its delivery was under way all the time
	s.Send(logged(9))
	want(t, rest(s), "message 100", "message 1", "message 2", "message 3", "message 4", "message 5",
		"message 6", "message 7", "message 8", "message 9")
}

// TestCatchupOverflow: a busy account does not fill the memory of a resource
// that catches up.
func TestCatchupOverflow(t *testing.T) {
	s := session.New(host(t), nil, desk)
	s.BeginCatchup(logged(1).ID)
	for n := 2; n <= 200; n++ {
		s.Send(logged(n))
	}
	if s.EndCatchup(logged(1).ID) {
		t.Fatal("200 live messages were kept")
	}
	upto := s.CatchupTo()
	if upto != logged(200).ID {
		t.Fatalf("read on to %x", upto)
	}
	s.Send(logged(201))
	s.Replay(logged(200))
	if !s.EndCatchup(upto) {
		t.Fatal("not ended")
	}
	want(t, rest(s), "message 200", "message 201")
}

// TestOver: who waits for room or the end of a session is not left waiting.
func TestOver(t *testing.T) {
	s := session.New(host(t), nil, desk)
	over := s.Over()
	s.Enable("id", true, nil)
	for s.Room() == nil {
		s.Send(message(1))
	}
	room := s.Room()
	s.Received(nil)
	s.Await()
	s.Routed()
	settled := s.Settled()
	s.End()
	for _, c := range []<-chan struct{}{over, room, settled, s.Over()} {
		select {
		case <-c:
		case <-time.After(patience):
			t.Fatal("still waiting")
		}
	}
	if s.Room() != nil || s.Settled() != nil || s.Received(nil) || s.BeginCatchup(logged(1).ID) {
		t.Error("a session that is over goes on")
	}
}
