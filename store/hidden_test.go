package store_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestHidden: rows out of the MAM view go once they were delivered, the
// message with the last of them.
func TestHidden(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, w := open(t), newWorld(3, 1)
		ctx := context.Background()
		a, b, c := w.people[0], w.people[1], w.people[2]
		hidden := store.FlagHidden | store.FlagBody
		msgs := []store.Message{
			{Org: 1, ID: w.id(), Stanza: []byte("1"), Copies: []store.Copy{{Owner: a, Peer: 2, Flags: hidden, Origin: 9}, {Owner: b, Peer: 1, Flags: hidden | store.FlagIn}}},
			{Org: 1, ID: w.id(), Stanza: []byte("2"), Copies: []store.Copy{{Owner: a, Peer: 2, Flags: store.FlagBody}, {Owner: b, Peer: 1, Flags: hidden | store.FlagIn}}},
			{Org: 1, ID: w.id(), Stanza: []byte("3"), Copies: []store.Copy{{Owner: b, Peer: 1, Flags: hidden | store.FlagIn}, {Owner: c, Peer: 1, Flags: hidden | store.FlagIn}}},
			{Org: 1, ID: w.id(), Stanza: []byte("4"), Copies: []store.Copy{{Owner: c, Peer: 1, Flags: hidden | store.FlagIn}}},
		}
		if err := s.AppendBatch(ctx, &store.Batch{Messages: msgs}); err != nil {
			t.Fatal(err)
		}
		texts := func(owner store.AccountID, q store.PageQuery) (out string) {
			q.Owner, q.Limit = owner, 10
			rows, _, err := s.Page(ctx, 1, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				out += string(r.Stanza)
			}
			return out
		}
		want := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		undelivered := store.PageQuery{Undelivered: true}
		if n, err := s.DeleteDelivered(ctx); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		want("waiting for b", texts(b, undelivered), "123")
		want("b's MAM view", texts(b, store.PageQuery{MAMOnly: true}), "")
		if err := s.SaveCursors(ctx, []store.Cursor{{Org: 1, Owner: b, ID: msgs[2].ID}}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DeleteDelivered(ctx); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		want("b", texts(b, store.PageQuery{}), "")
		want("a", texts(a, store.PageQuery{}), "2")
		want("waiting for c", texts(c, undelivered), "34")
		if err := s.SaveCursors(ctx, []store.Cursor{{Org: 1, Owner: c, ID: msgs[3].ID}}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DeleteDelivered(ctx); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		want("c", texts(c, store.PageQuery{}), "")
		// The messages are gone, and the next id must still be above them.
		if top, err := s.Greatest(ctx); err != nil || top.Compare(msgs[3].ID) < 0 {
			t.Errorf("greatest %s, %v", top, err)
		}
	})
}

func TestErase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, w, m := open(t), newWorld(6, 1), newModel()
		ctx := context.Background()
		for range 5 {
			b := w.odd(200)
			if err := s.AppendBatch(ctx, b); err != nil {
				t.Fatal(err)
			}
			m.append(b)
		}
		drop := func(owner store.AccountID, both bool) {
			for i := range m.messages {
				msg := &m.messages[i]
				its := slices.ContainsFunc(msg.Copies, func(c store.Copy) bool { return c.Owner == owner })
				msg.Copies = slices.DeleteFunc(slices.Clone(msg.Copies), func(c store.Copy) bool { return c.Owner == owner || both && its })
			}
			delete(m.cursors, owner)
		}
		if n, err := s.Erase(ctx, 1, w.people[0], false); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		drop(w.people[0], false)
		if n, err := s.Erase(ctx, 1, w.people[1], true); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		drop(w.people[1], true)
		for _, p := range w.people {
			got, _, err := s.Page(ctx, 1, store.PageQuery{Owner: p, Limit: 2000})
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(m.rows(p, store.PageQuery{}), got); d != "" && len(got) > 0 {
				t.Fatalf("account %d: %s", p, d)
			}
		}
		for _, p := range w.people {
			if _, err := s.Erase(ctx, 1, p, false); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"message", "entry", "conversation", "hidden"} {
			if n := storetest.Count(t, s, table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

// TestCursor: Account knows whether something waits, whatever was sent.
func TestCursor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, w := open(t), newWorld(1, 1)
		ctx := context.Background()
		org, err := s.AddOrg(ctx, "example.org")
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.CreateAccount(ctx, org, "romeo", nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func(cursor store.ID, undelivered bool) {
			t.Helper()
			for range 2 {
				a, err := s.Account(ctx, org, "romeo")
				if err != nil || a.Cursor != cursor || a.Undelivered != undelivered {
					t.Fatalf("%+v, %v; want %s, %v", a, err, cursor, undelivered)
				}
				if err := s.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		add := func(flags store.Flags) store.ID {
			t.Helper()
			m := store.Message{Org: org, ID: w.id(), Stanza: []byte("x"), Copies: []store.Copy{{Owner: id, Peer: 1, Flags: flags}}}
			if err := s.AppendBatch(ctx, &store.Batch{Messages: []store.Message{m}}); err != nil {
				t.Fatal(err)
			}
			return m.ID
		}
		save := func(c store.ID) {
			t.Helper()
			if err := s.SaveCursors(ctx, []store.Cursor{{Org: org, Owner: id, ID: c}}); err != nil {
				t.Fatal(err)
			}
		}
		check(store.ID{}, false)
		add(store.FlagBody)
		check(store.ID{}, false)
		first := add(store.FlagIn)
		check(store.ID{}, true)
		save(first)
		check(first, false)
		second := add(store.FlagIn | store.FlagHidden)
		add(store.FlagBody)
		check(first, true)
		save(second)
		check(second, false)
		save(first) // never back
		check(second, false)
	})
}

// TestCursorSoon: a cursor that was saved is seen while it becomes a row, and
// is one soon, without anybody asking for it; then nothing more is written.
func TestCursorSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	s, w := storetest.OpenURL(t, "sqlite:"+file), newWorld(1, 1)
	ctx := context.Background()
	org, err := s.AddOrg(ctx, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.CreateAccount(ctx, org, "romeo", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		want := w.id()
		if err := s.SaveCursors(ctx, []store.Cursor{{Org: org, Owner: id, ID: want}}); err != nil {
			t.Fatal(err)
		}
		jobs := s.DB().Stats().WriterJobs
		for s.DB().Stats().WriterJobs == jobs { // until it is written
			seen(t, s, org, want)
		}
		for range 200 { // and forgotten
			seen(t, s, org, want)
		}
		for at := (store.ID{}); at != want; {
			killed := storetest.OpenURL(t, "sqlite:"+image(t, file))
			if at, err = killed.Cursor(ctx, org, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	jobs := s.DB().Stats().WriterJobs
	time.Sleep(300 * time.Millisecond) // several lulls
	if n := s.DB().Stats().WriterJobs - jobs; n != 0 {
		t.Errorf("%d transactions with nothing to do", n)
	}
}

func seen(t *testing.T, s *store.Store, org feature.Org, want store.ID) {
	t.Helper()
	a, err := s.Account(context.Background(), org, "romeo")
	if err != nil || a.Cursor != want {
		t.Fatalf("%+v, %v; want cursor %s", a, err, want)
	}
}
