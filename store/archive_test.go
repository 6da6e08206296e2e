package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// model is the archive as a list: what the store must look like.
type model struct {
	messages []store.Message
	cursors  map[store.AccountID]store.ID
}

func (m *model) append(b *store.Batch) {
	m.messages = append(m.messages, b.Messages...)
	for _, c := range b.Cursors {
		if c.ID.Compare(m.cursors[c.Owner]) > 0 {
			m.cursors[c.Owner] = c.ID
		}
	}
}

// rows is the owner's archive, ascending, without the stanzas' doubles.
func (m *model) rows(owner store.AccountID, q store.PageQuery) []store.Row {
	var out []store.Row
	for _, msg := range m.messages {
		for _, c := range msg.Copies {
			switch {
			case c.Owner != owner,
				q.Peer != 0 && c.Peer != q.Peer,
				q.MAMOnly && c.Flags&store.FlagHidden != 0,
				q.Undelivered && c.Flags&store.FlagIn == 0,
				!q.After.IsZero() && msg.ID.Compare(q.After) <= 0,
				!q.Before.IsZero() && msg.ID.Compare(q.Before) >= 0:
				continue
			}
			out = append(out, store.Row{ID: msg.ID, Peer: c.Peer, Flags: c.Flags, Stanza: msg.Stanza})
			break
		}
	}
	return out
}

func (m *model) page(q store.PageQuery) ([]store.Row, bool) {
	rows := m.rows(q.Owner, q)
	switch {
	case len(rows) <= q.Limit:
		return rows, true
	case q.Backward:
		return rows[len(rows)-q.Limit:], false
	}
	return rows[:q.Limit], false
}

func (m *model) conversations(owner store.AccountID) []store.Conversation {
	by := map[store.Peer]*store.Conversation{}
	for _, msg := range m.messages {
		for _, c := range msg.Copies {
			if c.Owner != owner || c.Flags&store.FlagHidden != 0 || c.Flags&(store.FlagBody|store.FlagRead) == 0 {
				continue
			}
			v := by[c.Peer]
			if v == nil {
				v = &store.Conversation{Peer: c.Peer}
				by[c.Peer] = v
			}
			if c.Flags&store.FlagBody != 0 {
				v.Last, v.Stanza = msg.ID, msg.Stanza
				if c.Flags&store.FlagIn != 0 {
					v.Unread++
				}
			}
			if c.Flags&store.FlagRead != 0 {
				v.Unread = 0
			}
		}
	}
	var out []store.Conversation
	for _, v := range by {
		if !v.Last.IsZero() {
			out = append(out, *v)
		}
	}
	slices.SortFunc(out, func(a, b store.Conversation) int { return b.Last.Compare(a.Last) })
	return out
}

// odd is a batch with hidden rows, markers, messages to oneself and to people
// elsewhere.
func (w *world) odd(n int) *store.Batch {
	b := w.batch(n)
	b.Cursors = b.Cursors[:0]
	for i := range b.Messages {
		m := &b.Messages[i]
		m.Stanza = fmt.Appendf(nil, "<message id='%s'/>", m.ID)
		switch w.rnd.IntN(8) {
		case 0:
			for k := range m.Copies {
				m.Copies[k].Flags |= store.FlagHidden
			}
		case 1:
			m.Copies[w.rnd.IntN(2)].Flags |= store.FlagHidden
		case 2:
			m.Copies[0].Flags = store.FlagRead
			m.Copies[1].Flags = store.FlagIn
		case 3:
			m.Copies = m.Copies[:1]
		case 4:
			m.Copies[0].Origin = 0
		}
		if w.rnd.IntN(4) == 0 {
			last := m.Copies[len(m.Copies)-1]
			b.Cursors = append(b.Cursors, store.Cursor{Org: 1, Owner: last.Owner, ID: m.ID})
		}
	}
	return b
}

// same compares all that can be read of some people with the model.
func (m *model) same(t *testing.T, s *store.Store, w *world) {
	t.Helper()
	ctx := context.Background()
	for range 12 {
		i := w.rnd.IntN(len(w.people))
		owner := w.people[i]
		all := m.rows(owner, store.PageQuery{})
		q := store.PageQuery{
			Owner: owner, Limit: 1 + w.rnd.IntN(30), Backward: w.rnd.IntN(2) == 0,
			MAMOnly: w.rnd.IntN(2) == 0, Undelivered: w.rnd.IntN(3) == 0,
		}
		if w.rnd.IntN(2) == 0 {
			q.Peer = w.peers[w.rnd.IntN(len(w.peers))]
		}
		if len(all) > 0 && w.rnd.IntN(2) == 0 {
			q.After = all[w.rnd.IntN(len(all))].ID
		}
		if len(all) > 0 && w.rnd.IntN(2) == 0 {
			q.Before = all[w.rnd.IntN(len(all))].ID
		}
		want, wantComplete := m.page(q)
		got, complete, err := s.Page(ctx, 1, q)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want, got); d != "" || complete != wantComplete {
			t.Fatalf("%+v: complete %v, want %v\n%s", q, complete, wantComplete, d)
		}
		m.sameSmall(t, s, owner, all)
	}
}

func (m *model) sameSmall(t *testing.T, s *store.Store, owner store.AccountID, all []store.Row) {
	t.Helper()
	ctx := context.Background()
	convs, err := s.Conversations(ctx, 1, owner, store.ID{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := m.conversations(owner)
	if d := diff(want, convs); d != "" && len(want)+len(convs) > 0 {
		t.Fatalf("conversations of %d: %s", owner, d)
	}
	if n := len(want) / 2; n > 0 {
		rest, err := s.Conversations(ctx, 1, owner, want[n-1].Last, 3)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want[n:min(n+3, len(want))], rest); d != "" {
			t.Fatalf("second page of conversations: %s", d)
		}
	}
	var mam []store.Row
	var ids []store.ID
	var origins []uint64
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	mam = append(mam, m.rows(owner, store.PageQuery{MAMOnly: true})...)
	rows, err := s.ByIDs(ctx, 1, owner, ids)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(mam, rows); d != "" && len(mam)+len(rows) > 0 {
		t.Fatalf("by ids: %s", d)
	}
	first, last, err := s.Bounds(ctx, 1, owner)
	if err != nil {
		t.Fatal(err)
	}
	if len(mam) > 0 && (first != mam[0].ID || last != mam[len(mam)-1].ID) || len(mam) == 0 && !first.IsZero() {
		t.Fatalf("bounds %s %s", first, last)
	}
	sent := 0
	for i := len(m.messages) - 1; i >= 0 && sent < 20; i-- {
		for _, c := range m.messages[i].Copies {
			if c.Owner == owner && c.Flags&store.FlagIn == 0 {
				sent++
				if c.Origin != 0 {
					origins = append(origins, c.Origin)
				}
			}
		}
	}
	got, err := s.RecentOrigins(ctx, 1, owner, 20)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(origins, got); d != "" && len(origins)+len(got) > 0 {
		t.Fatalf("origins: %s", d)
	}
	if at, err := s.Cursor(ctx, 1, owner); err != nil || at != m.cursors[owner] {
		t.Fatalf("cursor %s, %v, want %s", at, err, m.cursors[owner])
	}
}

// diff is cmp.Diff for what is nearly always equal.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func newModel() *model { return &model{cursors: map[store.AccountID]store.ID{}} }

// TestArchiveModel compares with the model after each batch, with what is
// behind in memory, half written, written.
func TestArchiveModel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		for seed := range uint64(3) {
			s, w, m := open(t), newWorld(12, seed), newModel()
			ctx := context.Background()
			for i := range 25 {
				b := w.odd(1 + w.rnd.IntN(60))
				if err := s.AppendBatch(ctx, b); err != nil {
					t.Fatal(err)
				}
				m.append(b)
				if w.rnd.IntN(3) == 0 { // as after an answer that was lost
					if err := s.AppendBatch(ctx, b); err != nil {
						t.Fatal(err)
					}
				}
				if i%3 == 2 {
					if err := s.Flush(ctx); err != nil {
						t.Fatal(err)
					}
				}
				m.same(t, s, w)
			}
			top, err := s.Greatest(ctx)
			if want := m.messages[len(m.messages)-1].ID; err != nil || top != want {
				t.Fatalf("greatest %s, %v, want %s", top, err, want)
			}
		}
	})
}

// TestArchivePartlyThere: a batch of which some messages were stored before.
func TestArchivePartlyThere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, w, m := open(t), newWorld(5, 1), newModel()
		ctx := context.Background()
		b := w.odd(40)
		m.append(b)
		if err := s.AppendBatch(ctx, &store.Batch{Messages: b.Messages[:17]}); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendBatch(ctx, b); err != nil {
			t.Fatal(err)
		}
		m.same(t, s, w)
		b.Messages[20].ID[15] ^= 1
		if err := s.AppendBatch(ctx, b); !errors.Is(err, store.ErrCollision) {
			t.Fatalf("another message with the same key: %v", err)
		}
	})
}

// image copies the files of a running SQLite store, as a kill would leave them.
func image(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "image.db"+suffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "image.db")
}

// TestArchiveCrash opens images taken at any point: what was acknowledged is
// there once, and counted once.
func TestArchiveCrash(t *testing.T) {
	for seed := range uint64(4) {
		file := filepath.Join(t.TempDir(), "a.db")
		s, w, m := storetest.OpenURL(t, "sqlite:"+file), newWorld(20, seed), newModel()
		ctx := context.Background()
		for i := range 12 {
			b := w.odd(1 + w.rnd.IntN(200))
			b.Cursors = nil // cursors may fall back
			if err := s.AppendBatch(ctx, b); err != nil {
				t.Fatal(err)
			}
			m.append(b)
			if w.rnd.IntN(4) == 0 {
				if err := s.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if i%2 == 0 {
				continue
			}
			again := storetest.OpenURL(t, "sqlite:"+image(t, file))
			m.same(t, again, w)
			if err := again.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			m.same(t, again, w)
		}
	}
}

// TestArchiveCutShort ends the index in the middle of a generation and goes on
// from an image.
func TestArchiveCutShort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	s, w, m := storetest.OpenURL(t, "sqlite:"+file), newWorld(300, 1), newModel()
	ctx := context.Background()
	for range 10 {
		b := w.odd(1000)
		b.Cursors = nil
		if err := s.AppendBatch(ctx, b); err != nil {
			t.Fatal(err)
		}
		m.append(b)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Flush(ctx); err != nil {
			t.Error(err)
		}
	})
	for range 5 {
		m.same(t, s, w)
		// Taken while the writer works: one whole commit at a time, since
		// Backup reads a state of the database.
		copied := filepath.Join(t.TempDir(), "b.db")
		if err := s.DB().Backup(ctx, copied); err != nil {
			t.Fatal(err)
		}
		m.same(t, storetest.OpenURL(t, "sqlite:"+copied), w)
	}
	wg.Wait()
	m.same(t, s, w)
}

// TestArchiveReaders: who pages through an archive while others write, and the
// index is written behind, sees every row once and in order.
func TestArchiveReaders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, w := open(t), newWorld(4, 3)
		ctx := context.Background()
		const total = 200
		var mu sync.Mutex
		want := map[store.AccountID][]store.ID{}
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(done)
			for i := range total {
				b := w.batch(20)
				if err := s.AppendBatch(ctx, b); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, m := range b.Messages {
					for k, c := range m.Copies {
						if k == 0 || c.Owner != m.Copies[0].Owner {
							want[c.Owner] = append(want[c.Owner], m.ID)
						}
					}
				}
				mu.Unlock()
				if i%10 == 9 {
					if err := s.Flush(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		})
		for _, owner := range w.people {
			wg.Go(func() {
				var got []store.ID
				after := store.ID{}
				for last := false; ; {
					select {
					case <-done:
						last = true
					default:
					}
					rows, complete, err := s.Page(ctx, 1, store.PageQuery{Owner: owner, After: after, Limit: 37})
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range rows {
						got = append(got, r.ID)
						after = r.ID
					}
					if last && complete {
						break
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(got, want[owner]) {
					t.Errorf("account %d: read %d rows of %d, or out of order", owner, len(got), len(want[owner]))
				}
			})
		}
		wg.Wait()
	})
}
