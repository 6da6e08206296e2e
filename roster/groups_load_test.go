package roster_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// crowdOf makes an organisation of people and groups; person i is in groups
// i, i+1, … each times.
func crowdOf(tb testing.TB, people, groups, each int) (*store.Store, feature.Org, *roster.Groups) {
	tb.Helper()
	ctx := context.Background()
	st := storetest.Open(tb)
	org, err := st.AddOrg(ctx, "big.example")
	if err != nil {
		tb.Fatal(err)
	}
	rows := make([]store.ImportRow, people)
	for i := range rows {
		rows[i] = store.ImportRow{Line: i + 1, Local: fmt.Sprintf("person%06d", i), Domain: "big.example",
			Key: store.Key{Mechanism: "SCRAM-SHA-1", Iterations: 4096, Salt: []byte("salt"), StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}}
	}
	if _, err := st.Import(ctx, rows, store.ImportOptions{}); err != nil {
		tb.Fatal(err)
	}
	gs, err := roster.LoadGroups(ctx, st)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range groups {
		if _, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: fmt.Sprintf("group%04d", i), Label: fmt.Sprintf("Group %d", i)}); err != nil {
			tb.Fatal(err)
		}
	}
	var lines []roster.ImportLine
	for i, row := range rows {
		for k := range each {
			lines = append(lines, roster.ImportLine{Line: len(lines) + 1, Group: fmt.Sprintf("group%04d", (i+k)%groups), Who: jid.MustParse(row.Local + "@big.example")})
		}
	}
	r, err := gs.Import(ctx, "big.example", lines, false, nil)
	if err != nil || r.Added != people*each || len(r.Problems) > 0 {
		tb.Fatal(r, err)
	}
	return st, org, gs
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMembershipBytes holds the memory of a membership below 200 bytes, all
// that the index has included, where everybody is in one group only: the worst
// case, for a person costs more than a membership.
func TestMembershipBytes(t *testing.T) {
	const people, groups = 10_000, 500
	st, org, made := crowdOf(t, people, groups, 1)
	if v := made.Version(org); v != groups+1 {
		t.Errorf("version %d after %d groups and an import", v, groups)
	}
	before := heap()
	gs, err := roster.LoadGroups(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	after := heap()
	per := float64(int64(after)-int64(before)) / people
	t.Logf("%.0f bytes a membership", per)
	if per > 200 {
		t.Errorf("%.0f bytes a membership, 200 are allowed", per)
	}
	if g := gs.Find(org, "group0007"); g.Len() != people/groups {
		t.Errorf("%d members", g.Len())
	}
	runtime.KeepAlive(made)
}

// BenchmarkLoadGroups reads 100,000 people in 5,000 groups, two memberships
// each.
func BenchmarkLoadGroups(b *testing.B) {
	const people, groups, each = 100_000, 5_000, 2
	st, _, made := crowdOf(b, people, groups, each)
	runtime.KeepAlive(made)
	for b.Loop() {
		before, began := heap(), time.Now()
		gs, err := roster.LoadGroups(b.Context(), st)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/load")
		b.ReportMetric(float64(int64(heap())-int64(before))/(people*each), "B/membership")
		runtime.KeepAlive(gs)
		st.WatchGroups(func(feature.Org) {}) // lets go of gs
	}
}

// TestStatementsOfEdits: an edit is at most five statements, whatever the size
// of the group and the number of groups.
func TestStatementsOfEdits(t *testing.T) {
	board := feature.NewBoard()
	for _, f := range []string{"roster", "account"} {
		if _, err := board.DeclareAlways(f, "test"); err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + t.TempDir() + "/house.db", Board: board, Clean: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	org, err := st.AddOrg(ctx, "hug.example")
	if err != nil {
		t.Fatal(err)
	}
	gs, err := roster.LoadGroups(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if _, err := st.CreateAccount(ctx, org, fmt.Sprintf("c%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	add := func(name string) *roster.Group {
		g, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a, b := add("a"), add("b")
	for i := range 50 {
		add(fmt.Sprintf("other%d", i))
	}
	for i := range 299 {
		if _, err := gs.Join(ctx, a, contact(i)); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int64) {
		for _, row := range board.Snapshot() {
			n += row.Statements
		}
		return n
	}
	var first *roster.Group
	for _, e := range []struct {
		name string
		edit func() error
	}{
		{"add", func() (err error) { first, err = gs.AddGroup(ctx, org, roster.NewGroup{Name: "new"}); return err }},
		{"join", func() error { _, err := gs.Join(ctx, a, contact(299)); return err }},
		{"join again", func() error { _, err := gs.Join(ctx, a, contact(299)); return err }},
		{"leave", func() error { _, err := gs.Leave(ctx, a, contact(5)); return err }},
		{"show", func() error { return gs.Show(ctx, a, b, false) }},
		{"flag", func() error { return gs.Show(ctx, a, b, true) }},
		{"hide", func() error { return gs.Hide(ctx, a, b) }},
		{"nest", func() error { return gs.Nest(ctx, a, b) }},
		{"unnest", func() error { return gs.Unnest(ctx, a) }},
		{"describe", func() error { return gs.Describe(ctx, a, "A", "") }},
		{"nothing to refresh", func() error { return gs.RefreshAll(ctx) }},
	} {
		before := count()
		if err := e.edit(); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		n := count() - before
		t.Logf("%s: %d statements", e.name, n)
		if n > 5 {
			t.Errorf("%s: %d statements", e.name, n)
		}
	}
	if first == nil || first.ID() == 0 {
		t.Error("no group")
	}
}

// TestBoundOfRosters: personal items come first, then care, then groups as
// they were shown; who is beyond is not on the roster, and comes on it when
// there is room, by the same pushes.
func TestBoundOfRosters(t *testing.T) {
	s := newShelf(t)
	ctx := t.Context()
	for i := range 9 {
		s.account(t, t, fmt.Sprintf("c%d", i))
	}
	rosters := roster.New(s.store)
	rosters.SetMax(func(feature.Org) int { return 4 })
	gs := rosters.Groups
	if err := gs.Load(ctx); err != nil {
		t.Fatal(err)
	}
	team, err := gs.AddGroup(ctx, s.org, roster.NewGroup{Name: "team"})
	if err != nil {
		t.Fatal(err)
	}
	care, err := gs.AddGroup(ctx, s.org, roster.NewGroup{Name: "care"})
	if err != nil {
		t.Fatal(err)
	}
	join := func(g *roster.Group, who ...int) {
		for _, n := range who {
			if _, err := gs.Join(ctx, g, contact(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	join(team, 0, 1, 2, 3)
	join(care, 7)
	id, err := s.store.AccountIDs(ctx, s.org, []string{"c0"})
	if err != nil {
		t.Fatal(err)
	}
	ro, err := rosters.Open(ctx, s.org, id["c0"], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rosters.Close(ro)
	if _, _, err := ro.Update(ctx, contact(8), func(it *roster.Item) bool { it.Listed = true; return true }); err != nil {
		t.Fatal(err)
	}
	has := map[int]bool{}
	take := func(items []roster.Change) {
		for _, it := range items {
			var n int
			if _, err := fmt.Sscanf(it.Item.JID.Local(), "c%d", &n); err != nil {
				t.Fatal(err)
			}
			if it.Removed && !has[n] {
				t.Errorf("c%d goes, who was not there", n)
			}
			has[n] = !it.Removed
			if it.Removed {
				delete(has, n)
			}
		}
	}
	var f roster.Follower
	view, _ := f.Whole(contact(0), ro)
	take(slices.Collect(view.Items()))
	want := func(who ...int) {
		t.Helper()
		for more := true; more; {
			var items []roster.Change
			items, more = f.Next(contact(0), ro, 1)
			take(items)
		}
		w := ro.View(contact(0))
		for _, n := range who {
			if !has[n] || !w.Has(contact(n)) {
				t.Errorf("c%d is missing: %v", n, has)
			}
		}
		if len(has) != len(who) || w.Len() != len(who) {
			t.Errorf("the client has %v, the view %d, want %v", has, w.Len(), who)
		}
	}
	want(8, 1, 2, 3)
	join(team, 4, 5)
	want(8, 1, 2, 3) // no room
	if _, err := gs.Leave(ctx, team, contact(1)); err != nil {
		t.Fatal(err)
	}
	want(8, 2, 3, 4)
	if err := gs.Show(ctx, care, team, true); err != nil {
		t.Fatal(err)
	}
	want(8, 7, 2, 3) // care before the team
	if err := gs.Hide(ctx, care, team); err != nil {
		t.Fatal(err)
	}
	want(8, 2, 3, 4)
	if _, err := gs.Leave(ctx, team, contact(2), contact(3)); err != nil {
		t.Fatal(err)
	}
	want(8, 4, 5)
	if err := gs.RemoveGroup(ctx, team); err != nil {
		t.Fatal(err)
	}
	want(8)
}

// BenchmarkWholeRoster writes the roster of a member of a group of 5,000.
func BenchmarkWholeRoster(b *testing.B) {
	const people = 5000
	st, org, _ := crowdOf(b, people, 1, 1)
	rosters := roster.New(st)
	if err := rosters.Groups.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	ids, err := st.AccountIDs(b.Context(), org, []string{"person000007"})
	if err != nil {
		b.Fatal(err)
	}
	ro, err := rosters.Open(b.Context(), org, ids["person000007"], 0)
	if err != nil {
		b.Fatal(err)
	}
	defer rosters.Close(ro)
	who := jid.MustParse("person000007@big.example")
	b.ReportAllocs()
	for b.Loop() {
		var f roster.Follower
		view, _ := f.Whole(who, ro)
		x := new(stanza.XML)
		view.AppendXML(x)
		b.SetBytes(int64(len(x.Bytes())))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/people, "ns/item")
}
