package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestStatements(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		if err := s.DB().Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
		dialects := 0
		for _, st := range s.DB().Statements() {
			if st.Dialect {
				dialects++
			}
		}
		if dialects > 10 {
			t.Errorf("%d statements have a text per engine; 10 are allowed", dialects)
		}
	})
}

func mustOrg(t testing.TB, s *store.Store, domain string) feature.Org {
	t.Helper()
	org, err := s.AddOrg(context.Background(), domain)
	if err != nil {
		t.Fatal(err)
	}
	return org
}

func mustAccount(t testing.TB, s *store.Store, org feature.Org, local string) store.AccountID {
	t.Helper()
	id, err := s.CreateAccount(context.Background(), org, local, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func scram(mechanism, seed string) store.Key {
	return store.Key{
		Mechanism: mechanism, Iterations: 10_000, Salt: []byte("salt of " + seed),
		StoredKey: []byte(strings.Repeat("s", 20)), ServerKey: []byte(strings.Repeat("v", 20)),
	}
}

func TestOrgs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		if a, b := mustOrg(t, s, "b.example"), mustOrg(t, s, "a.example"); a != 1 || b != 2 {
			t.Errorf("numbers %d, %d", a, b)
		}
		if _, err := s.AddOrg(ctx, "a.example"); !errors.Is(err, store.ErrExists) {
			t.Errorf("the same domain: %v", err)
		}
		want := []store.Organisation{{ID: 1, Domain: "b.example"}, {ID: 2, Domain: "a.example"}}
		if got, err := s.Orgs(ctx); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
		one, err := s.Secret(ctx, "token", 32)
		two, err2 := s.Secret(ctx, "token", 32)
		if err != nil || err2 != nil || len(one) != 32 || string(one) != string(two) {
			t.Errorf("secret: %x %x %v %v", one, two, err, err2)
		}
		if p := s.Peer(jid.MustParse("romeo@example.org/balcony")); p == 0 || p != s.Peer(jid.MustParse("romeo@example.org")) || s.Peer(jid.JID{}) != 0 {
			t.Errorf("peer %d", p)
		}
	})
}

// TestNumbersTogether: what is numbered by counting is numbered once, however
// many ask at a time.
func TestNumbersTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		var wg sync.WaitGroup
		var mu sync.Mutex
		orgs, versions, ids := map[feature.Org]bool{}, map[uint64]bool{}, map[store.AccountID]bool{}
		for i := range 16 {
			wg.Go(func() {
				org, err1 := s.AddOrg(ctx, fmt.Sprint(i, ".example"))
				v, err2 := s.SetLever(ctx, store.LeverRow{Name: fmt.Sprint("l", i%3)})
				id, err3 := s.CreateAccount(ctx, org, "x", nil)
				if err := errors.Join(err1, err2, err3); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				orgs[org], versions[v], ids[id] = true, true, true
			})
		}
		wg.Wait()
		if len(orgs) != 16 || len(versions) != 16 || len(ids) != 16 {
			t.Errorf("%d %d %d", len(orgs), len(versions), len(ids))
		}
	})
}

// TestDifferentPeople: what a collation would take for one is two.
func TestDifferentPeople(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "example.org")
		names := []string{
			"jose", "josé", "jose\u0301", "a", "a ", " a", "ss", "ß", "A", "ﬀ", "ff", "i", "ı", "\x00", "",
			strings.Repeat("x", 1022), strings.Repeat("x", 1023),
		}
		ids := map[string]store.AccountID{}
		for _, n := range names {
			if n == "" {
				if _, err := s.CreateAccount(ctx, org, n, nil); err == nil {
					t.Error("an empty name")
				}
				continue
			}
			ids[n] = mustAccount(t, s, org, n)
		}
		for n, id := range ids {
			if a, err := s.Account(ctx, org, n); err != nil || a.ID != id || a.Local != n {
				t.Errorf("%q: %+v, %v", n, a, err)
			}
			if _, err := s.CreateAccount(ctx, org, n, nil); !errors.Is(err, store.ErrExists) {
				t.Errorf("%q again: %v", n, err)
			}
		}
		got, err := s.AccountIDs(ctx, org, append(names[:14:14], "nobody"))
		if err != nil || len(got) != 14 {
			t.Errorf("%v, %v", got, err)
		}
		owner := ids["jose"]
		for _, n := range names {
			if n != "" {
				if _, err := s.SetRosterItem(ctx, org, owner, store.RosterItem{Peer: n + "@e"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if items, _, err := s.Roster(ctx, org, owner); err != nil || len(items) != len(ids) {
			t.Errorf("%d roster items of %d, %v", len(items), len(ids), err)
		}
		var listed []string
		for after := ""; ; {
			page, err := s.ListAccounts(ctx, org, after, 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				listed = append(listed, a.Local)
			}
			after = page[len(page)-1].Local
		}
		if !slices.IsSorted(listed) || len(listed) != len(ids) {
			t.Errorf("listed %q", listed)
		}
	})
}

func TestAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org, other := mustOrg(t, s, "example.org"), mustOrg(t, s, "example.com")
		keys := []store.Key{scram("SCRAM-SHA-1", "a"), scram("SCRAM-SHA-256", "b")}
		id, err := s.CreateAccount(ctx, org, "juliet", keys)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Account(ctx, other, "juliet"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another organisation's account: %v", err)
		}
		a, err := s.Account(ctx, org, "juliet")
		if err != nil || a.ID != id || len(a.Keys) != 2 || diff(keys, a.Keys) != "" || a.Disabled || a.HasBlocks || a.Prefs != nil || a.Undelivered {
			t.Fatalf("%+v, %v", a, err)
		}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(s.SetKeys(ctx, org, "juliet", keys[:1]))
		check(s.SetKeys(ctx, org, "juliet", keys[:1])) // the same again is no change, and is fine
		check(s.SetDisabled(ctx, org, "juliet", true))
		check(s.SetPrefs(ctx, org, id, []byte("<prefs/>")))
		check(s.Block(ctx, org, id, []string{"x@y", "y", "x@y"}))
		a, err = s.Account(ctx, org, "juliet")
		if err != nil || len(a.Keys) != 1 || !a.Disabled || !a.HasBlocks || string(a.Prefs) != "<prefs/>" {
			t.Fatalf("%+v, %v", a, err)
		}
		check(s.SetPrefs(ctx, org, id, nil))
		if p, err := s.Prefs(ctx, org, id); p != nil || err != nil {
			t.Errorf("prefs %q, %v", p, err)
		}
		for _, err := range []error{
			s.SetKeys(ctx, other, "juliet", nil), s.SetDisabled(ctx, org, "nobody", true),
			s.DeleteAccount(ctx, other, "juliet"), s.SetPrefs(ctx, org, 1, nil), s.Block(ctx, org, 1, []string{"a"}),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("want not found: %v", err)
			}
		}
	})
}

// TestOneStatement: signing in costs one statement.
func TestOneStatement(t *testing.T) {
	s, ctx := storetest.Open(t), context.Background()
	org := mustOrg(t, s, "example.org")
	mustAccount(t, s, org, "romeo")
	statements := func() (n int64) {
		for _, r := range s.DB().Board().Snapshot() {
			n += r.Statements
		}
		return n
	}
	before := statements()
	if _, err := s.Account(ctx, org, "romeo"); err != nil {
		t.Fatal(err)
	}
	if n := statements() - before; n != 1 {
		t.Errorf("%d statements", n)
	}
}

func TestDeleteAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "example.org")
		id, id2 := mustAccount(t, s, org, "a"), mustAccount(t, s, org, "b")
		w := newWorld(2, 1)
		w.people = []store.AccountID{id, id2}
		if err := s.AppendBatch(ctx, w.odd(300)); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			if _, err := s.SetRosterItem(ctx, org, id, store.RosterItem{Peer: fmt.Sprint(i, "@b")}); err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range []error{
			s.SetVCard(ctx, org, id, []byte("v")), s.SetPrivate(ctx, org, id, []store.PrivateElement{{NS: "n", Name: "m", XML: []byte("p")}}, store.PrivateRoom{Elements: 1, Bytes: 1}),
			s.Block(ctx, org, id, []string{"q"}), s.SaveLast(ctx, []store.Last{{Org: org, Owner: id, At: time.Now()}}),
			s.DeleteAccount(ctx, org, "a"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Account(ctx, org, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if again := mustAccount(t, s, org, "a"); again == id {
			t.Error("an id was given twice")
		}
		if err := s.DeleteAccount(ctx, org, "b"); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"roster", "vcard", "private", "blocked", "last", "inbox", "entry", "message", "conversation", "hidden", "erasure"} {
			if n := storetest.Count(t, s, table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

func importRows(n int, domain string) []store.ImportRow {
	var rows []store.ImportRow
	for i := range n {
		rows = append(rows, store.ImportRow{Line: i + 2, Local: fmt.Sprintf("p%06d", i), Domain: domain, Key: scram("SCRAM-SHA-256", "x")})
	}
	return rows
}

func TestImport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org, second := mustOrg(t, s, "example.org"), mustOrg(t, s, "example.com")
		mustAccount(t, s, org, "p000007")
		rows := importRows(2000, "example.org")
		bad := append(slices.Clone(rows),
			store.ImportRow{Line: 9001, Local: "p000003", Domain: "example.org", Key: scram("SCRAM-SHA-256", "y")},
			store.ImportRow{Line: 9002, Local: "x", Domain: "nowhere", Key: scram("SCRAM-SHA-256", "y")},
			store.ImportRow{Line: 9003, Local: "", Domain: "example.org"},
		)
		for _, dry := range []bool{true, false} {
			res, err := s.Import(ctx, bad, store.ImportOptions{DryRun: dry})
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, p := range res.Problems {
				lines = append(lines, p.Line)
			}
			if !slices.Equal(lines, []int{9, 9001, 9002, 9003}) || res.Accounts != 0 {
				t.Errorf("%+v", res)
			}
		}
		if n := storetest.Count(t, s, "account"); n != 1 {
			t.Fatalf("%d accounts", n)
		}
		good := slices.DeleteFunc(rows, func(r store.ImportRow) bool { return r.Local == "p000007" })
		good = append(good, store.ImportRow{Line: 1, Local: "p000001", Domain: "example.org", Key: scram("SCRAM-SHA-1", "z")},
			store.ImportRow{Line: 1, Local: "p000001", Domain: "example.com", Key: scram("SCRAM-SHA-1", "z")})
		last := 0
		res, err := s.Import(ctx, good, store.ImportOptions{Progress: func(done, total int) { last = done }})
		if err != nil || res.Accounts != 2000 || len(res.Problems) != 0 || last != 2000 {
			t.Fatalf("%+v, %v, %d", res, err, last)
		}
		a, err := s.Account(ctx, org, "p000001")
		if err != nil || len(a.Keys) != 2 {
			t.Errorf("%+v, %v", a, err)
		}
		if _, err := s.Account(ctx, second, "p000001"); err != nil {
			t.Error(err)
		}
	})
}

// TestImportCut: an import that is cut short shows nothing, then or later, and
// its names are free.
func TestImportCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	s, ctx := storetest.OpenURL(t, "sqlite:"+file), context.Background()
	org := mustOrg(t, s, "example.org")
	cut, cancel := context.WithCancel(ctx)
	var copied string
	_, err := s.Import(cut, importRows(3000, "example.org"), store.ImportOptions{Progress: func(done, total int) {
		if done > 1000 && copied == "" {
			copied = filepath.Join(t.TempDir(), "b.db")
			if err := s.DB().Backup(ctx, copied); err != nil {
				t.Error(err)
			}
			if _, err := s.Account(ctx, org, "p000001"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a staged account shows: %v", err)
			}
			if list, err := s.ListAccounts(ctx, org, "", 5); len(list) != 0 || err != nil {
				t.Errorf("staged accounts are listed: %v %v", list, err)
			}
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{s, storetest.OpenURL(t, "sqlite:"+copied)} {
		if n := storetest.Count(t, s, "account") + storetest.Count(t, s, "import_run"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if res, err := s.Import(ctx, importRows(3000, "example.org"), store.ImportOptions{}); err != nil || res.Accounts != 3000 {
			t.Errorf("%+v %v", res, err)
		}
	}
}

// TestImportMeanwhile: somebody registers a name while the import stages it.
func TestImportMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "example.org")
		var once sync.Once
		var id store.AccountID
		res, err := s.Import(ctx, importRows(3000, "example.org"), store.ImportOptions{Progress: func(done, total int) {
			if done > 500 {
				once.Do(func() { id = mustAccount(t, s, org, "p000003") })
			}
		}})
		if err != nil || res.Accounts != 0 || len(res.Problems) != 1 || res.Problems[0].Line != 5 {
			t.Fatalf("%+v %v", res, err)
		}
		if a, err := s.Account(ctx, org, "p000003"); err != nil || a.ID != id {
			t.Errorf("%+v %v", a, err)
		}
		if n := storetest.Count(t, s, "account"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

func TestRoster(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "example.org")
		id := mustAccount(t, s, org, "juliet")
		full := store.RosterItem{
			Peer: "romeo@example.org", Name: "Romeo ♥", Sub: store.SubBoth, Ask: true, Approved: true, Listed: true,
			Pending: []byte("<presence/>"), Groups: []string{"Friends", "", "Ümläut"},
		}
		v1, err := s.SetRosterItem(ctx, org, id, full)
		if err != nil || v1 != 1 {
			t.Fatal(v1, err)
		}
		full.Version = 1
		got, err := s.RosterItem(ctx, org, id, full.Peer)
		if err != nil || diff(&full, got) != "" {
			t.Fatalf("%+v %v", got, err)
		}
		plain := store.RosterItem{Peer: "nurse@example.org", Version: 2}
		if v, err := s.SetRosterItem(ctx, org, id, plain); err != nil || v != 2 {
			t.Fatal(v, err)
		}
		d, err := s.RosterSince(ctx, org, id, 1)
		if want := (store.RosterDelta{Changes: []store.RosterChange{{RosterItem: plain}}, Version: 2}); err != nil || diff(want, d) != "" {
			t.Fatalf("%+v %v", d, err)
		}
		if v, err := s.RemoveRosterItem(ctx, org, id, full.Peer); err != nil || v != 3 {
			t.Fatal(v, err)
		}
		if _, err := s.RemoveRosterItem(ctx, org, id, full.Peer); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, err := s.RosterItem(ctx, org, id, full.Peer); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		d, err = s.RosterSince(ctx, org, id, 2)
		if err != nil || d.Full || d.Version != 3 || len(d.Changes) != 1 || !d.Changes[0].Removed || d.Changes[0].Peer != full.Peer {
			t.Fatalf("%+v %v", d, err)
		}
		if d, err = s.RosterSince(ctx, org, id, 99); err != nil || !d.Full || len(d.Changes) != 1 {
			t.Fatalf("a version of the future: %+v %v", d, err)
		}
		items, v, err := s.Roster(ctx, org, id)
		if err != nil || v != 3 || diff([]store.RosterItem{plain}, items) != "" {
			t.Fatalf("%+v %d %v", items, v, err)
		}
		if _, err := s.SetRosterItem(ctx, org, id+1, plain); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("nobody's roster: %v", err)
		}
		for i := range 300 { // the log of removals is bounded
			p := fmt.Sprint(i, "@x")
			if _, err := s.SetRosterItem(ctx, org, id, store.RosterItem{Peer: p}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RemoveRosterItem(ctx, org, id, p); err != nil {
				t.Fatal(err)
			}
		}
		if d, err = s.RosterSince(ctx, org, id, 3); err != nil || !d.Full || len(d.Changes) != 1 {
			t.Fatalf("an old version: full %v, %d changes, %v", d.Full, len(d.Changes), err)
		}
		if d, err = s.RosterSince(ctx, org, id, d.Version-100); err != nil || d.Full || len(d.Changes) != 50 {
			t.Fatalf("a recent version: full %v, %d changes, %v", d.Full, len(d.Changes), err)
		}
		if n := storetest.Count(t, s, "roster"); n > 202 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestCards(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "example.org")
		id := mustAccount(t, s, org, "juliet")
		ok := func(errs ...error) {
			t.Helper()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		gone := func(err error) {
			t.Helper()
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("want not found: %v", err)
			}
		}
		_, err := s.VCard(ctx, org, id)
		gone(err)
		big := []byte(strings.Repeat("é", 200_000))
		ok(s.SetVCard(ctx, org, id, []byte("one")), s.SetVCard(ctx, org, id, big))
		if v, err := s.VCard(ctx, org, id); err != nil || string(v) != string(big) {
			t.Errorf("vCard of %d bytes, %v", len(v), err)
		}
		ok(s.SetVCard(ctx, org, id, nil))
		_, err = s.VCard(ctx, org, id)
		gone(err)

		private := func(name, xml string, room store.PrivateRoom) error {
			el := store.PrivateElement{NS: "ns", Name: name}
			if xml != "" {
				el.XML = []byte(xml)
			}
			return s.SetPrivate(ctx, org, id, []store.PrivateElement{el}, room)
		}
		room := store.PrivateRoom{Elements: 2, Bytes: 4}
		ok(private("a", "1", room), private("b", "2", room), private("a", "333", room))
		for _, err := range []error{
			private("b", "22", room), // one byte too many
			private("c", "5", room),  // one element too many
			s.SetPrivate(ctx, org, id, []store.PrivateElement{{NS: "ns", Name: "a", XML: []byte("4")}, {NS: "ns", Name: "c", XML: []byte("4")}}, room),
		} {
			if !errors.Is(err, store.ErrNoRoom) {
				t.Errorf("%v, want no room", err)
			}
		}
		// What is over the bounds already may become less.
		ok(private("a", "3", store.PrivateRoom{Elements: 1, Bytes: 1}))
		if v, err := s.Private(ctx, org, id, "ns", "a"); err != nil || string(v) != "3" {
			t.Errorf("%s %v", v, err)
		}
		ok(private("a", "", room))
		_, err = s.Private(ctx, org, id, "ns", "a")
		gone(err)

		_, err = s.Last(ctx, org, id)
		gone(err)
		at := time.UnixMicro(time.Now().UnixMicro())
		ok(s.SaveLast(ctx, []store.Last{{Org: org, Owner: id, At: at.Add(-time.Hour)}, {Org: org, Owner: id, At: at, Status: "zzz ☾"}}))
		if l, err := s.Last(ctx, org, id); err != nil || !l.At.Equal(at) || l.Status != "zzz ☾" {
			t.Errorf("%+v %v", l, err)
		}

		long := strings.Repeat("l", 1023) + "@" + strings.Repeat("d", 1023) + "/" + strings.Repeat("r", 1023)
		ok(s.Block(ctx, org, id, []string{"a", "a ", "josé@x", "jose@x", long}))
		list, err := s.Blocks(ctx, org, id)
		if err != nil || len(list) != 5 || !slices.Contains(list, long) {
			t.Errorf("%q %v", list, err)
		}
		ok(s.Unblock(ctx, org, id, []string{"a", "nobody"}))
		list, err = s.Blocks(ctx, org, id)
		if err != nil || len(list) != 4 {
			t.Errorf("%q %v", list, err)
		}
		ok(s.Unblock(ctx, org, id, nil))
		if a, err := s.Account(ctx, org, "juliet"); err != nil || a.HasBlocks {
			t.Errorf("%+v %v", a, err)
		}
	})
}

func TestLevers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		until := time.UnixMicro(time.Now().Add(time.Hour).UnixMicro())
		var last uint64
		for _, row := range []store.LeverRow{
			{Name: "carbons", Value: 0, Who: "anna", Why: "storm"},
			{Name: "carbons", Scope: feature.Scope{Org: 3}, Value: 1, Until: until},
			{Name: "carbons", Value: 1, Reset: true},
			{Name: "archive.wait", Value: -5},
		} {
			v, err := s.SetLever(ctx, row)
			if err != nil || v <= last {
				t.Fatal(v, err)
			}
			last = v
		}
		rows, err := s.Levers(ctx)
		if err != nil || len(rows) != 3 {
			t.Fatalf("%+v %v", rows, err)
		}
		if r := rows[0]; r.Name != "archive.wait" || r.Value != -5 || !r.Until.IsZero() || time.Since(r.At) > time.Minute {
			t.Errorf("%+v", r)
		}
		if r := rows[1]; r.Scope.Org != 0 || !r.Reset || r.Version != 3 {
			t.Errorf("%+v", r)
		}
		if r := rows[2]; r.Scope.Org != 3 || r.Value != 1 || !r.Until.Equal(until) {
			t.Errorf("%+v", r)
		}
		rows, err = s.LeverHistory(ctx, "carbons", 2)
		if err != nil || len(rows) != 2 || rows[0].Version != 3 {
			t.Errorf("%+v %v", rows, err)
		}
	})
}
