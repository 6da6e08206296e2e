package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestLastOfTheDeleted: the sessions of an account end after its rows are gone,
// and what is noted of their end is not written.
func TestLastOfTheDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), t.Context()
		org := mustOrg(t, s, "example.org")
		stays, goes := mustAccount(t, s, org, "stays"), mustAccount(t, s, org, "goes")
		if err := s.DeleteAccount(ctx, org, "goes"); err != nil {
			t.Fatal(err)
		}
		at := time.UnixMicro(time.Now().UnixMicro())
		if err := s.SaveLast(ctx, []store.Last{{Org: org, Owner: goes, At: at}, {Org: org, Owner: stays, At: at}}); err != nil {
			t.Fatal(err)
		}
		if l, err := s.Last(ctx, org, stays); err != nil || !l.At.Equal(at) {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := s.Last(ctx, org, goes); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a row is left: %v", err)
		}
	})
}
