package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// force is what is in force of a lever for a scope, as the store has it.
func force(t *testing.T, s *store.Store, name string, at feature.Scope, now time.Time) (store.LeverRow, bool) {
	t.Helper()
	rows, err := s.Levers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var own []store.LeverRow
	for _, r := range rows {
		if r.Name == name && r.Scope == at {
			own = append(own, r)
		}
	}
	return store.Force(own, now)
}

func TestForce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		now := time.Now()
		group := feature.Scope{Org: 2, Group: 1 << 40}
		set := func(r store.LeverRow) uint64 {
			t.Helper()
			v, err := s.SetLever(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		want := func(step string, at feature.Scope, when time.Time, value int64, own bool) {
			t.Helper()
			r, ok := force(t, s, "presence", at, when)
			if ok != own || ok && r.Value != value {
				t.Errorf("%s: %+v %v, want %d %v", step, r, ok, value, own)
			}
		}
		undo := func(name string) (store.LeverRow, error) { return s.UndoLever(ctx, name, "anna", "enough") }

		if _, err := undo(""); !errors.Is(err, store.ErrNothingSet) {
			t.Fatal(err)
		}
		a := set(store.LeverRow{Name: "presence", Scope: group, Value: 1})
		b := set(store.LeverRow{Name: "presence", Scope: group, Value: 2, Until: now.Add(time.Hour)})
		want("with an end", group, now, 2, true)
		want("after its end the one before", group, now.Add(2*time.Hour), 1, true)
		want("another group", feature.Scope{Org: 2}, now, 0, false)
		c := set(store.LeverRow{Name: "presence", Scope: group, Value: 3})
		want("the last", group, now, 3, true)
		set(store.LeverRow{Name: "carbons", Value: 0})
		if _, err := undo("ping"); !errors.Is(err, store.ErrNothingSet) {
			t.Errorf("undid what was never set: %v", err)
		}
		if r, err := undo("presence"); err != nil || r.Version != c || r.Value != 3 || r.Scope != group {
			t.Fatalf("%+v %v", r, err)
		}
		want("taken back", group, now, 2, true)
		if r, err := undo("carbons"); err != nil || r.Name != "carbons" {
			t.Fatalf("%+v %v", r, err)
		}
		want("taken back, and run out", group, now.Add(2*time.Hour), 1, true)
		if r, err := undo(""); err != nil || r.Version != b {
			t.Fatalf("%+v %v", r, err)
		}
		want("taken back twice", group, now, 1, true)
		if r, err := undo(""); err != nil || r.Version != a {
			t.Fatalf("%+v %v", r, err)
		}
		want("nothing left", group, now, 0, false)
		set(store.LeverRow{Name: "presence", Scope: group, Value: 1})
		set(store.LeverRow{Name: "presence", Scope: group, Reset: true})
		want("reset", group, now, 0, false)
		if _, err := undo(""); err != nil {
			t.Fatal(err)
		}
		want("the reset taken back", group, now, 1, true)
		rows, err := s.LeverHistory(ctx, "presence", 100)
		if err != nil || len(rows) != 9 || rows[0].Undoes == 0 || rows[0].Who != "anna" || rows[0].Why != "enough" {
			t.Errorf("%d rows: %+v %v", len(rows), rows, err)
		}
	})
}

// TestLeversAtOnce: settings made at the same time have versions of their own,
// and everybody who reads afterwards finds the same one in force.
func TestLeversAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		const n = 16
		type answer struct {
			value   int64
			version uint64
		}
		answers := make(chan answer, n)
		for i := range int64(n) {
			go func() {
				v, err := s.SetLever(ctx, store.LeverRow{Name: "presence", Value: i})
				if err != nil {
					t.Error(err)
				}
				answers <- answer{i, v}
			}()
		}
		var last answer
		seen := map[uint64]bool{}
		for range n {
			a := <-answers
			if seen[a.version] {
				t.Errorf("version %d twice", a.version)
			}
			if seen[a.version] = true; a.version > last.version {
				last = a
			}
		}
		if r, ok := force(t, s, "presence", feature.Scope{}, time.Now()); !ok || r.Value != last.value || r.Version != last.version {
			t.Errorf("in force %+v, last was %+v", r, last)
		}
	})
}

// TestThinLevers: what has run out long ago goes, with what took it back; what
// is in force, what can be taken back and the numbers of versions stay.
func TestThinLevers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		set := func(name string, value int64, until time.Duration) (version uint64) {
			t.Helper()
			r := store.LeverRow{Name: name, Value: value}
			if until != 0 {
				r.Until = time.Now().Add(until)
			}
			version, err := s.SetLever(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			return version
		}
		thin := func(keep time.Time, most, want int) {
			t.Helper()
			if n, err := s.ThinLevers(ctx, keep, most); err != nil || n != want {
				t.Errorf("%d deleted, want %d: %v", n, want, err)
			}
		}
		set("presence", 1, 0)
		set("presence", 2, time.Hour)
		for range 20 { // an automaton: set for a moment, now and then taken back
			set("presence", 3, time.Millisecond)
			v := set("presence", 3, 500*time.Millisecond)
			if r, err := s.UndoLever(ctx, "presence", "anna", ""); err != nil || r.Version != v {
				t.Fatalf("%+v %v", r, err)
			}
		}
		time.Sleep(time.Until(time.Now().Add(510 * time.Millisecond))) // until they have run out
		last := set("presence", 3, time.Nanosecond)
		time.Sleep(time.Millisecond)
		rows, err := s.Levers(ctx)
		if err != nil || len(rows) != 2 {
			t.Errorf("%d rows say what is in force, want 2: %v", len(rows), err)
		}
		thin(time.Now().Add(-time.Hour), 1000, 0)
		thin(time.Now().Add(time.Second), 15, 15)
		total := 15
		for n := 1; n > 0; total += n { // what took back what is gone goes a step later
			if n, err = s.ThinLevers(ctx, time.Now().Add(time.Second), 1000); err != nil {
				t.Fatal(err)
			}
		}
		if total != 60 {
			t.Errorf("%d deleted, want 60", total)
		}
		if r, ok := force(t, s, "presence", feature.Scope{}, time.Now()); !ok || r.Value != 2 {
			t.Errorf("%+v %v", r, ok)
		}
		rows, err = s.LeverHistory(ctx, "presence", 100)
		if err != nil || len(rows) != 3 || rows[0].Version != last {
			t.Errorf("%d rows are left: %+v %v", len(rows), rows, err)
		}
		if v := set("carbons", 0, 0); v != last+1 {
			t.Errorf("version %d after %d", v, last)
		}
		if r, err := s.UndoLever(ctx, "presence", "anna", ""); err != nil || r.Value != 2 {
			t.Errorf("%+v %v", r, err)
		}
	})
}
