package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestAudience(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org, other := newOrg(t, s, "example.org"), newOrg(t, s, "example.net")
		for i := range 5 {
			if _, err := s.AddAudience(ctx, org, store.Audience{Name: fmt.Sprint("a", i), Rule: "true", Who: "anna"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.AddAudience(ctx, org, store.Audience{Name: "a1", Rule: "true"}); !errors.Is(err, store.ErrExists) {
			t.Error(err)
		}
		if _, err := s.AddAudience(ctx, org, store.Audience{Name: strings.Repeat("x", 191)}); !errors.Is(err, store.ErrTooLong) {
			t.Error(err)
		}
		page, err := s.Audiences(ctx, org, "a1", 2)
		if err != nil || len(page) != 2 || page[0].Name != "a2" || page[1].Name != "a3" {
			t.Fatalf("%+v, %v", page, err)
		}
		a := page[0]
		a.Rule = `team == "Ops"`
		if err := s.SetAudience(ctx, org, a); err != nil {
			t.Fatal(err)
		}
		if err := s.SetAudience(ctx, org, a); !errors.Is(err, store.ErrAudienceStale) {
			t.Error(err)
		}
		if err := s.SetAudience(ctx, other, a); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if got, err := s.AudienceByName(ctx, org, "a2"); err != nil || got.Rule != a.Rule || got.ID != a.ID || got.Version != a.Version+1 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.Audience(ctx, other, a.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if err := s.DeleteAudience(ctx, org, a.ID); err != nil {
			t.Error(err)
		}
		if err := s.DeleteAudience(ctx, org, a.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
