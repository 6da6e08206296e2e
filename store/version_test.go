package store_test

import (
	"github.com/bearhug/bearhug/feature"
	"testing"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// Each change of what processes keep in memory raises its version, for its
// organisation only, and nothing else does.
func TestVersions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org, other := mustOrg(t, s, "a.example"), mustOrg(t, s, "b.example")
		mustAccount(t, s, org, "anna")
		mustAccount(t, s, other, "anna")
		accounts, levers := store.VersionKey{What: store.VersionAccounts, Org: org}, store.VersionKey{What: store.VersionLevers}
		read := func() map[store.VersionKey]uint64 {
			v, err := s.Versions(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		for _, step := range []struct {
			what  string
			do    func() error
			moves store.VersionKey
		}{
			{"keys", func() error { return s.SetKeys(ctx, org, "anna", []store.Key{scram("SCRAM-SHA-1", "x")}) }, accounts},
			{"disabled", func() error { return s.SetDisabled(ctx, org, "anna", true) }, accounts},
			{"preferences", func() error {
				a, err := s.Account(ctx, org, "anna")
				if err != nil {
					return err
				}
				return s.SetPrefs(ctx, org, a.ID, []byte("x"))
			}, store.VersionKey{}},
			{"lever", func() error { _, err := s.SetLever(ctx, store.LeverRow{Name: "carbons"}); return err }, levers},
			{"lever of an organisation", func() error {
				_, err := s.SetLever(ctx, store.LeverRow{Name: "carbons", Scope: feature.Scope{Org: org}, Reset: true})
				return err
			}, levers},
			{"deleted", func() error { return s.DeleteAccount(ctx, org, "anna") }, accounts},
		} {
			before := read()
			if err := step.do(); err != nil {
				t.Fatal(step.what, err)
			}
			for k, v := range read() {
				if moved := v > before[k]; moved != (k == step.moves) || v < before[k] {
					t.Errorf("%s: %+v went from %d to %d", step.what, k, before[k], v)
				}
			}
		}
		statements := func() (n int64) {
			for _, r := range s.DB().Board().Snapshot() {
				n += r.Statements
			}
			return n
		}
		before := statements()
		read()
		if n := statements() - before; n != 1 {
			t.Errorf("%d statements to read all versions", n)
		}
	})
}
