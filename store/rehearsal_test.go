package store_test

import (
	"context"
	"testing"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestRehearsal: people who are nobody's go without trace, also those of a
// measurement that was cut short anywhere; others stay.
func TestRehearsal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org, err := s.AddOrg(ctx, "hug.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ada", "capacity-1"} {
			if _, err := s.CreateAccount(ctx, org, name, nil); err != nil {
				t.Fatal(err)
			}
		}
		people := func() int {
			t.Helper()
			list, err := s.ListAccounts(ctx, org, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		left := func(node string) []store.Rehearsal {
			t.Helper()
			list, err := s.Rehearsals(ctx, node)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		r, err := s.BeginRehearsal(ctx, org, "here", 6, nil)
		if err != nil || people() != 8 || len(left("here")) != 1 || left("here")[0] != r || len(left("there")) != 0 {
			t.Fatalf("%+v %v: %d people, %+v", r, err, people(), left("here"))
		}
		// Somebody took some of them away already.
		if err := s.DeleteAccount(ctx, org, r.Local(3)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.EndRehearsal(ctx, r); err != nil {
				t.Fatal(err)
			}
			if people() != 2 || len(left("here")) != 0 {
				t.Errorf("%d people, %+v", people(), left("here"))
			}
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.BeginRehearsal(gone, org, "here", 6, nil); err == nil {
			t.Error("a context that has ended")
		}
		for _, n := range []int{0, -1, 10001} {
			if _, err := s.BeginRehearsal(ctx, org, "here", n, nil); err == nil {
				t.Errorf("%d people", n)
			}
		}
		if people() != 2 || len(left("here")) != 0 {
			t.Errorf("%d people, %+v", people(), left("here"))
		}
	})
}
