package store_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestMechanisms: only what all accounts have keys for.
func TestMechanisms(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), t.Context()
		org, err := s.AddOrg(ctx, "example.org")
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.AddOrg(ctx, "example.net")
		if err != nil {
			t.Fatal(err)
		}
		key := func(m string) store.Key {
			return store.Key{Mechanism: m, Iterations: 4096, Salt: []byte("salt"), StoredKey: []byte("s"), ServerKey: []byte("k")}
		}
		want := func(s *store.Store, want ...string) {
			t.Helper()
			got, err := s.Mechanisms(ctx, org)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%v, %v; want %v", got, err, want)
			}
			if got, err = s.Mechanisms(ctx, other); err != nil || len(got) != 2 {
				t.Fatalf("other organisation: %v, %v", got, err)
			}
		}
		create := func(local string, keys ...store.Key) {
			t.Helper()
			if _, err := s.CreateAccount(ctx, org, local, keys); err != nil {
				t.Fatal(err)
			}
		}
		want(s, "SCRAM-SHA-256", "SCRAM-SHA-1")
		create("both", key("SCRAM-SHA-1"), key("SCRAM-SHA-256"))
		create("token") // has no password
		want(s, "SCRAM-SHA-256", "SCRAM-SHA-1")
		res, err := s.Import(ctx, []store.ImportRow{{Line: 2, Local: "old", Domain: "example.org", Key: key("SCRAM-SHA-1")}}, store.ImportOptions{})
		if err != nil || res.Accounts != 1 {
			t.Fatal(res, err)
		}
		want(s, "SCRAM-SHA-1")
		create("new", key("SCRAM-SHA-256"))
		want(s)
	})
}

// TestMechanismsFromRows: after a start the rows tell.
func TestMechanismsFromRows(t *testing.T) {
	url := "sqlite:" + t.TempDir() + "/house.db"
	ctx := t.Context()
	key := func(m string) store.Key {
		return store.Key{Mechanism: m, Iterations: 4096, Salt: []byte("salt"), StoredKey: []byte("s"), ServerKey: []byte("k")}
	}
	for i, c := range []struct {
		keys []store.Key
		want []string
	}{
		{[]store.Key{key("SCRAM-SHA-1")}, []string{"SCRAM-SHA-1"}},
		{[]store.Key{key("SCRAM-SHA-1"), key("SCRAM-SHA-256")}, []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}},
		{[]store.Key{key("SCRAM-SHA-256")}, []string{"SCRAM-SHA-256"}},
	} {
		s, err := store.Open(ctx, store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := s.AddOrg(ctx, "example.org"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.CreateAccount(ctx, 1, "anna", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetKeys(ctx, 1, "anna", c.keys); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = store.Open(ctx, store.Config{URL: url}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Mechanisms(ctx, 1); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v, %v; want %v", got, err, c.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeyShapes: how keys look is known from a sample; each organisation for
// itself.
func TestKeyShapes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), t.Context()
		org, other := mustOrg(t, s, "example.org"), mustOrg(t, s, "example.net")
		key := func(m string, iterations int, salt string) store.Key {
			return store.Key{Mechanism: m, Iterations: iterations, Salt: []byte(salt), StoredKey: []byte("s"), ServerKey: []byte("k")}
		}
		for local, keys := range map[string][]store.Key{
			"a": {key("SCRAM-SHA-1", 1000, "long salt")}, "b": {key("SCRAM-SHA-1", 1000, "salt long")},
			"c": {key("SCRAM-SHA-1", 4096, "salt"), key("SCRAM-SHA-256", 4096, "salt")}, "d": nil,
		} {
			if _, err := s.CreateAccount(ctx, org, local, keys); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []feature.Org{org, other} {
			if _, err := s.Mechanisms(ctx, o); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.KeyShapes(org, "SCRAM-SHA-1"); !maps.Equal(got, map[store.KeyShape]int{{1000, 9}: 2, {4096, 4}: 1}) {
			t.Errorf("%v", got)
		}
		if got := s.KeyShapes(org, "SCRAM-SHA-256"); !maps.Equal(got, map[store.KeyShape]int{{4096, 4}: 1}) {
			t.Errorf("%v", got)
		}
		if got := s.KeyShapes(other, "SCRAM-SHA-1"); len(got) != 0 {
			t.Errorf("other organisation: %v", got)
		}
		wild := mustOrg(t, s, "example.com")
		for i := range 20 {
			if _, err := s.CreateAccount(ctx, wild, fmt.Sprint("a", i), []store.Key{key("SCRAM-SHA-1", 1000+i, "salt")}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Mechanisms(ctx, wild); err != nil {
			t.Fatal(err)
		}
		if got := s.KeyShapes(wild, "SCRAM-SHA-1"); len(got) != 16 {
			t.Errorf("%d shapes are told apart", len(got))
		}
	})
}

// TestAddKeys: keys are added to those that were read, and to no others.
func TestAddKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), t.Context()
		org := mustOrg(t, s, "example.org")
		if _, err := s.CreateAccount(ctx, org, "anna", []store.Key{scram("SCRAM-SHA-1", "one")}); err != nil {
			t.Fatal(err)
		}
		read, err := s.Account(ctx, org, "anna")
		if err != nil {
			t.Fatal(err)
		}
		want := func(salts ...string) {
			t.Helper()
			a, err := s.Account(ctx, org, "anna")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range a.Keys {
				got = append(got, string(k.Salt))
			}
			if !slices.Equal(got, salts) {
				t.Errorf("%q; want %q", got, salts)
			}
		}
		for range 2 { // the second has read what is not there any more
			if err := s.AddKeys(ctx, read, []store.Key{scram("SCRAM-SHA-256", "two")}); err != nil {
				t.Fatal(err)
			}
			want("salt of one", "salt of two")
		}
		if err := s.SetKeys(ctx, org, "anna", []store.Key{scram("SCRAM-SHA-1", "new")}); err != nil { // another password
			t.Fatal(err)
		}
		if err := s.AddKeys(ctx, read, []store.Key{scram("SCRAM-SHA-256", "two")}); err != nil {
			t.Fatal(err)
		}
		want("salt of new")
	})
}
