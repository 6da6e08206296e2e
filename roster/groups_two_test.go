package roster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestGroupsOfTwoProcesses: two who edit the same groups at once undo nothing
// of each other's, and both end with what stands in the store.
func TestGroupsOfTwoProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		ctx, st := t.Context(), open(t)
		org, err := st.AddOrg(ctx, "hug.example")
		if err != nil {
			t.Fatal(err)
		}
		const people = 12
		for i := range people {
			if _, err := st.CreateAccount(ctx, org, fmt.Sprintf("c%d", i), nil); err != nil {
				t.Fatal(err)
			}
		}
		var nodes [2]*roster.Groups
		var told [2][]string
		for i := range nodes {
			if nodes[i], err = roster.LoadGroups(ctx, st); err != nil {
				t.Fatal(err)
			}
			nodes[i].OnChange(func(c roster.GroupChange) {
				if c.Kind == roster.MemberAdded || c.Kind == roster.MemberRemoved {
					told[i] = append(told[i], fmt.Sprint(c.Kind, c.Group.Name(), c.Member))
				}
			})
		}
		team, err := nodes[0].AddGroup(ctx, org, roster.NewGroup{Name: "team", Label: "Team"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[1].AddGroup(ctx, org, roster.NewGroup{Name: "team"}); !errors.Is(err, store.ErrExists) {
			t.Fatalf("the other process makes the group again: %v", err)
		}
		if _, err := nodes[1].AddGroup(ctx, org, roster.NewGroup{Name: "all", Kind: roster.Everyone}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for n, gs := range nodes {
			wg.Go(func() {
				mine := gs.Find(org, "team")
				for i := n; i < people; i += 2 {
					if _, err := gs.Join(ctx, mine, contact(i)); err != nil {
						t.Error(err)
					}
					if i%3 == 0 {
						if _, err := gs.Leave(ctx, mine, contact(i)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		if err := st.DeleteAccount(ctx, org, "c1"); err != nil {
			t.Fatal(err)
		}
		if _, err := st.CreateAccount(ctx, org, "late", nil); err != nil {
			t.Fatal(err)
		}
		fresh, err := roster.LoadGroups(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		for i, gs := range nodes {
			if err := gs.RefreshAll(ctx); err != nil {
				t.Fatal(err)
			}
			if gs.Version(org) != fresh.Version(org) {
				t.Errorf("version %d, in the store %d", gs.Version(org), fresh.Version(org))
			}
			for _, g := range fresh.List(org) {
				if got, want := members(gs.Find(org, g.Name())), members(g); !slices.Equal(got, want) {
					t.Errorf("process %d has %v in %s, the store %v", i, got, g.Name(), want)
				}
			}
		}
		slices.Sort(told[0])
		slices.Sort(told[1])
		if !slices.Equal(told[0], told[1]) {
			t.Errorf("they were told\n%v\n%v", told[0], told[1])
		}
		if team.Has(contact(1)) || !team.Has(contact(2)) || team.Has(contact(3)) {
			t.Error("the wrong people are in the team")
		}
	})
}

func members(g *roster.Group) (out []string) {
	g.Each(func(who jid.JID) bool {
		out = append(out, who.Local())
		return true
	})
	return out
}

// TestImportMeetsEdits: what happens to people and groups between the writing
// of an import and its showing leaves the index as the store is.
func TestImportMeetsEdits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		for name, meet := range map[string]struct {
			do      func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error
			refused bool
		}{
			"an account is deleted": {func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error {
				return st.DeleteAccount(ctx, g.Org(), "c1")
			}, false},
			"an account is deleted and made again": {func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error {
				if err := st.DeleteAccount(ctx, g.Org(), "c1"); err != nil {
					return err
				}
				_, err := st.CreateAccount(ctx, g.Org(), "c1", nil)
				return err
			}, false},
			"somebody joins": {func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error {
				_, err := gs.Join(ctx, g, contact(1))
				return err
			}, false},
			"somebody joins and leaves": {func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error {
				_, err := gs.Join(ctx, g, contact(1))
				if err == nil {
					_, err = gs.Leave(ctx, g, contact(1))
				}
				return err
			}, true},
			"the group is removed": {func(ctx context.Context, st *store.Store, gs *roster.Groups, g *roster.Group) error {
				return gs.RemoveGroup(ctx, g)
			}, true},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, st := t.Context(), open(t)
				org, err := st.AddOrg(ctx, "hug.example")
				if err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					if _, err := st.CreateAccount(ctx, org, fmt.Sprintf("c%d", i), nil); err != nil {
						t.Fatal(err)
					}
				}
				gs, err := roster.LoadGroups(ctx, st)
				if err != nil {
					t.Fatal(err)
				}
				g, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: "team"})
				if err != nil {
					t.Fatal(err)
				}
				var lines []roster.ImportLine
				for i := range 3 {
					lines = append(lines, roster.ImportLine{Line: i + 1, Group: "team", Who: contact(i)})
				}
				_, err = gs.Import(ctx, "hug.example", lines, false, func(done, total int) {
					if err := meet.do(ctx, st, gs, g); err != nil {
						t.Error(err)
					}
				})
				if refused := err != nil; refused != meet.refused {
					t.Errorf("import: %v", err)
				}
				if err := gs.Refresh(ctx, org); err != nil {
					t.Fatal(err)
				}
				fresh, err := roster.LoadGroups(ctx, st)
				if err != nil {
					t.Fatal(err)
				}
				sorted := func(gs *roster.Groups) (out []string) {
					if g := gs.Find(org, "team"); g != nil {
						out = members(g)
						slices.Sort(out)
					}
					return out
				}
				if got, want := sorted(gs), sorted(fresh); !slices.Equal(got, want) {
					t.Errorf("the index has %v, the store %v", got, want)
				}
				if gs.Version(org) != fresh.Version(org) {
					t.Errorf("version %d, in the store %d", gs.Version(org), fresh.Version(org))
				}
			})
		}
	})
}

// TestEditsOfOneSecondAgo: an edit is judged by what is so, not by what a
// process that shares the store has read so far.
func TestEditsOfOneSecondAgo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		ctx, st := t.Context(), open(t)
		if !st.Shared() {
			t.Skip("nobody else writes to a file of SQLite")
		}
		org, err := st.AddOrg(ctx, "hug.example")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.CreateAccount(ctx, org, "c0", nil); err != nil {
			t.Fatal(err)
		}
		here, err := roster.LoadGroups(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		a, err := here.AddGroup(ctx, org, roster.NewGroup{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := here.AddGroup(ctx, org, roster.NewGroup{Name: "b"})
		if err != nil {
			t.Fatal(err)
		}
		there, err := roster.LoadGroups(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		find := func(name string) *roster.Group { return there.Find(org, name) }
		if _, err := here.Join(ctx, a, contact(0)); err != nil {
			t.Fatal(err)
		}
		if n, err := there.Leave(ctx, find("a"), contact(0)); err != nil || n != 1 {
			t.Errorf("who joined elsewhere leaves: %d, %v", n, err)
		}
		if n, err := here.Join(ctx, a, contact(0)); err != nil || n != 1 {
			t.Errorf("who left elsewhere joins: %d, %v", n, err)
		}
		if err := here.Show(ctx, a, b, false); err != nil {
			t.Fatal(err)
		}
		if err := there.Hide(ctx, find("a"), find("b")); err != nil {
			t.Errorf("what was shown elsewhere is hidden: %v", err)
		}
		if err := here.Nest(ctx, a, b); err != nil {
			t.Fatal(err)
		}
		if err := there.Unnest(ctx, find("a")); err != nil {
			t.Errorf("what was nested elsewhere is unnested: %v", err)
		}
		if err := here.RemoveGroup(ctx, b); err != nil {
			t.Fatal(err)
		}
		if _, err := there.AddGroup(ctx, org, roster.NewGroup{Name: "b"}); err != nil {
			t.Errorf("a name that was given up elsewhere: %v", err)
		}
	})
}

// TestImportIsOneFlip: an import that is cut short leaves nothing, one of many
// memberships is told to another process, too.
func TestImportIsOneFlip(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		ctx, st := t.Context(), open(t)
		org, err := st.AddOrg(ctx, "hug.example")
		if err != nil {
			t.Fatal(err)
		}
		const people = 100
		var ids []store.AccountID
		for i := range people {
			id, err := st.CreateAccount(ctx, org, fmt.Sprintf("c%d", i), nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		gs, err := roster.LoadGroups(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		const groups = 30
		var lines []roster.ImportLine
		var joins []store.GroupJoin
		for g := range groups {
			made, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: fmt.Sprintf("g%d", g)})
			if err != nil {
				t.Fatal(err)
			}
			for i := range people {
				lines = append(lines, roster.ImportLine{Line: len(lines) + 1, Group: made.Name(), Who: contact(i)})
				joins = append(joins, store.GroupJoin{Group: made.ID(), Account: ids[i]})
			}
		}
		// Staged, and the process died.
		dead, err := st.StageJoins(ctx, org, gs.Version(org), joins[:500], nil)
		if err != nil {
			t.Fatal(err)
		}
		other, err := roster.LoadGroups(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		if n := other.Find(org, "g0").Len(); n != 0 {
			t.Fatalf("%d members of an import that is not done", n)
		}
		if _, err := gs.Import(ctx, "hug.example", lines, false, nil); !errors.Is(err, store.ErrImporting) {
			t.Fatalf("two imports at once: %v", err)
		}
		if err := st.UnstageJoins(ctx, org, dead); err != nil {
			t.Fatal(err)
		}
		bad := append(slices.Clone(lines), roster.ImportLine{Line: 9999, Group: "g0", Who: jid.MustParse("eve@other.example")})
		if r, err := gs.Import(ctx, "hug.example", bad, false, nil); err != nil || len(r.Problems) != 1 || r.Problems[0].Line != 9999 {
			t.Fatal(r, err)
		}
		run, err := st.StageJoins(ctx, org, gs.Version(org), joins[500:700], nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.UnstageJoins(ctx, org, run); err != nil {
			t.Fatal(err)
		}
		if n := gs.Find(org, "g0").Len(); n != 0 {
			t.Fatalf("%d members of an import that was refused", n)
		}
		if r, err := gs.Import(ctx, "hug.example", lines[1000:], false, nil); err != nil || r.Added != len(lines)-1000 {
			t.Fatal(r, err)
		}
		if err := other.RefreshAll(ctx); err != nil {
			t.Fatal(err)
		}
		for _, x := range []*roster.Groups{gs, other} {
			if n, m := x.Find(org, "g9").Len(), x.Find(org, "g29").Len(); n != 0 || m != people {
				t.Errorf("%d members of g9, %d of g29", n, m)
			}
			if changed, full := x.Delta(contact(0), roster.Version{Groups: groups}, nil); full || len(changed) != people-1 {
				t.Errorf("%d contacts have changed, full %v", len(changed), full)
			}
		}
	})
}
