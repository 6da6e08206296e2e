package archive_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// patience is how long what must come is waited for; only a failing test does.
const patience = 20 * time.Second

// A shelf is an archive over a store with two accounts.
type shelf struct {
	*archive.Archive
	tb       testing.TB
	store    *store.Store
	board    *feature.Board
	org      feature.Org
	ada, bob store.AccountID

	mu                 sync.Mutex
	more               *sync.Cond
	delivered, settled []string
	ids                map[string]stanza.ArchiveID
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{tb: t, store: storetest.Open(t), ids: map[string]stanza.ArchiveID{}}
	s.more = sync.NewCond(&s.mu)
	ctx := t.Context()
	var err error
	s.org, err = s.store.AddOrg(ctx, "hug.example")
	s.check(err)
	s.ada, err = s.store.CreateAccount(ctx, s.org, "ada", nil)
	s.check(err)
	s.bob, err = s.store.CreateAccount(ctx, s.org, "bob", nil)
	s.check(err)
	s.board = feature.NewBoard()
	_, err = s.board.DeclareAlways("archive", "the log",
		feature.Lever{Name: "archive.wait", Default: 60000, Min: 1, Max: 60000},
		feature.Lever{Name: "archive.backlog", Default: 1 << 20, Min: 1, Max: 1 << 30})
	s.check(err)
	s.open()
	return s
}

func (s *shelf) open() {
	a, err := archive.Open(context.Background(), archive.Config{
		Store: s.store, Log: slog.New(slog.DiscardHandler),
		Board: s.board, Wait: s.board.Dial("archive.wait"), Backlog: s.board.Dial("archive.backlog"),
	})
	s.check(err)
	s.Archive = a
	s.tb.Cleanup(func() { s.check(a.Close(context.Background())) })
}

func (s *shelf) check(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

// message makes one from ada to bob; without a row when it is not stored.
func (s *shelf) message(name string, stored bool, origin string) *archive.Message {
	m := &archive.Message{
		Org:  s.org,
		Wire: stanza.Make(stanza.Message, stanza.Chat, jid.MustParse("ada@hug.example/x"), jid.MustParse("bob@hug.example"), name, []byte("<body>hail</body>")),
		Deliver: func(m *archive.Message) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.delivered = append(s.delivered, name)
			s.ids[name] = m.Wire.ID
			s.more.Broadcast()
		},
		Settled: func(*archive.Message) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settled = append(s.settled, name)
			s.more.Broadcast()
		},
	}
	if stored {
		if origin != "" {
			m.Origin = archive.OriginHash("bob@hug.example", origin)
		}
		m.Copies = [2]store.Copy{{Owner: s.ada, Origin: m.Origin}, {Owner: s.bob, Flags: store.FlagIn | store.FlagBody}}
	}
	return m
}

// wait waits until f, which is called under mu.
func (s *shelf) wait(what string, f func() bool) {
	s.tb.Helper()
	begin := time.Now()
	late := time.AfterFunc(patience, s.more.Broadcast)
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !f() {
		if time.Since(begin) >= patience {
			s.tb.Fatalf("waiting for %s: delivered %v, settled %v", what, s.delivered, s.settled)
		}
		s.more.Wait()
	}
}

// stick keeps the store from committing until the returned func is called.
func (s *shelf) stick() (release func()) {
	s.tb.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.store.DB().WriteArchive(context.Background(), 0, func(*db.Tx) error {
			close(held)
			<-free
			return nil
		})
	}()
	<-held
	return func() {
		s.tb.Helper()
		close(free)
		s.check(<-done)
	}
}

// rows are the ids of what is in the log of an owner.
func (s *shelf) rows(owner store.AccountID) (list []string) {
	s.tb.Helper()
	var after stanza.ArchiveID
	for {
		page, err := s.Page(context.Background(), s.org, archive.Query{Owner: owner, After: after, Limit: archive.MaxPage})
		s.check(err)
		for _, r := range page.Rows {
			st, err := stanza.Parse(r.Stanza.Stored())
			s.check(err)
			list = append(list, string(st.ID()))
			after = r.ID
		}
		if page.Complete {
			return list
		}
	}
}

// TestOrder: the order of ids, of delivery, of the log and, for each sender,
// of sending is one, with and without rows.
func TestOrder(t *testing.T) {
	s := newShelf(t)
	const senders, each = 8, 200
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				if err := s.Append(s.message(fmt.Sprintf("%d.%03d", i, n), n%3 != 0, "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.wait("all", func() bool { return len(s.settled) == senders*each })
	var stored []string
	var last stanza.ArchiveID
	var seen [senders]string
	for _, name := range s.delivered {
		i := name[0] - '0'
		if name <= seen[i] {
			t.Fatalf("%s after %s", name, seen[i])
		}
		seen[i] = name
		id := s.ids[name]
		if id.IsZero() {
			continue
		}
		if !last.Less(id) {
			t.Fatalf("%s: id %x after %x", name, id, last)
		}
		last = id
		stored = append(stored, name)
	}
	if got := s.rows(s.bob); !slices.Equal(got, stored) {
		t.Errorf("the log has %d messages in another order than delivery, which had %d", len(got), len(stored))
	}
	if s.Handed().Less(last) || s.Uncommitted(last) != nil || s.Backlogged() != 0 {
		t.Errorf("handed %x, backlog %d", s.Handed(), s.Backlogged())
	}
}

// TestWait: a store that does not commit delays delivery by archive.wait, and
// acknowledgement for as long as it takes.
func TestWait(t *testing.T) {
	s := newShelf(t)
	s.check(s.board.Set("archive.wait", feature.Scope{}, 1, 1))
	release := s.stick()
	s.check(s.Append(s.message("1", true, "")))
	s.wait("1", func() bool { return len(s.delivered) == 1 })
	s.check(s.Append(s.message("2", false, ""))) // without a row it waits for the first all the same
	s.check(s.Append(s.message("3", true, "")))
	s.wait("3", func() bool { return len(s.delivered) == 3 })
	s.mu.Lock()
	if len(s.settled) > 0 {
		t.Errorf("settled: %v", s.settled)
	}
	first, third := s.ids["1"], s.ids["3"]
	s.mu.Unlock()
	more := s.Uncommitted(third)
	if more == nil || s.Handed().Less(third) {
		t.Fatal("the third message is said to be on disk, or not to be handed over")
	}
	if got := s.rows(s.bob); len(got) != 0 {
		t.Errorf("in the log: %v", got)
	}
	release()
	<-more
	s.wait("the commit", func() bool { return len(s.settled) == 3 })
	if !slices.Equal(s.delivered, []string{"1", "2", "3"}) || !slices.Equal(s.settled, s.delivered) {
		t.Errorf("delivered %v, settled %v", s.delivered, s.settled)
	}
	if got := s.rows(s.bob); !slices.Equal(got, []string{"1", "3"}) || !first.Less(third) {
		t.Errorf("in the log: %v", got)
	}
	for s.Uncommitted(third) != nil { // it is told after the last Settled
		<-s.Uncommitted(third)
	}
}

// TestBacklog: past archive.backlog messages are refused, until there is room.
func TestBacklog(t *testing.T) {
	s := newShelf(t)
	size := s.message("0", true, "").Wire.Len()
	s.check(s.board.Set("archive.backlog", feature.Scope{}, int64(10*size), 1))
	release := s.stick()
	taken := 0
	for {
		err := s.Append(s.message("x", true, ""))
		if errors.Is(err, archive.ErrBacklog) {
			break
		}
		s.check(err)
		taken++
	}
	if taken != 10 || s.Backlogged() != 10*size {
		t.Errorf("%d were taken, %d bytes wait", taken, s.Backlogged())
	}
	if err := s.Append(s.message("y", false, "")); !errors.Is(err, archive.ErrBacklog) {
		t.Errorf("one without a row: %v", err)
	}
	release()
	s.wait("the commit", func() bool { return len(s.settled) == taken })
	for s.Backlogged() > 0 { // it is told after the last Settled
		runtime.Gosched()
	}
	s.check(s.Append(s.message("z", true, "")))
	s.wait("z", func() bool { return len(s.settled) == taken+1 })
}

// TestSentAgain: a message with an origin-id that its sender used before is
// acknowledged, not stored and not delivered; also after a restart, and while
// the first one is not on disk yet.
func TestSentAgain(t *testing.T) {
	s := newShelf(t)
	release := s.stick()
	s.check(s.Append(s.message("1", true, "a")))
	s.check(s.Append(s.message("2", true, "b")))
	s.check(s.Append(s.message("1 again", true, "a")))
	release()
	s.wait("all", func() bool { return len(s.settled) == 3 })
	s.check(s.Append(s.message("2 again", true, "b")))
	s.wait("all", func() bool { return len(s.settled) == 4 })
	s.check(s.Close(t.Context()))
	s.open()
	s.check(s.Append(s.message("1 once more", true, "a")))
	s.check(s.Append(s.message("3", true, "c")))
	s.wait("all", func() bool { return len(s.settled) == 6 })
	if want := []string{"1", "2", "3"}; !slices.Equal(s.delivered, want) || !slices.Equal(s.rows(s.bob), want) {
		t.Errorf("delivered %v, in the log %v", s.delivered, s.rows(s.bob))
	}
	if !s.ids["2"].Less(s.ids["3"]) {
		t.Error("the ids go back across a restart")
	}
}

// TestCursor: a cursor is seen from the moment it is moved, while it is saved
// and after; it does not go back.
func TestCursor(t *testing.T) {
	s := newShelf(t)
	at := func(want stanza.ArchiveID) {
		t.Helper()
		got, err := s.Cursor(t.Context(), s.org, s.bob)
		s.check(err)
		if got != want {
			t.Errorf("cursor %x, want %x", got, want)
		}
	}
	at(stanza.ArchiveID{})
	for n := range 20 {
		s.check(s.Append(s.message(fmt.Sprint(n), true, "")))
		s.wait("it", func() bool { return len(s.settled) == n+1 })
		id := s.ids[fmt.Sprint(n)]
		s.Delivered(s.org, s.bob, id)
		at(id)
		s.Delivered(s.org, s.bob, s.ids["0"])
		at(id)
	}
	last := s.ids["19"]
	release := s.stick() // a batch under way has taken the cursors
	s.check(s.Append(s.message("20", true, "")))
	for range 1000 {
		at(last)
	}
	release()
	s.wait("it", func() bool { return len(s.settled) == 21 })
	at(last)
	s.check(s.Close(t.Context()))
	s.open()
	at(last)
	page, err := s.Undelivered(t.Context(), s.org, s.bob, last)
	s.check(err)
	if len(page.Rows) != 1 || !page.Complete {
		t.Errorf("%d undelivered", len(page.Rows))
	}
}

// TestClose: what waits is committed; nothing is taken afterwards.
func TestClose(t *testing.T) {
	s := newShelf(t)
	for n := range 2000 {
		s.check(s.Append(s.message(fmt.Sprint(n), true, "")))
	}
	s.check(s.Close(t.Context()))
	if len(s.settled) != 2000 {
		t.Errorf("%d of 2000 settled", len(s.settled))
	}
	for _, stored := range []bool{true, false} {
		if err := s.Append(s.message("late", stored, "")); !errors.Is(err, archive.ErrBacklog) {
			t.Errorf("stored %v: %v", stored, err)
		}
	}
}
