package roster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// itemsOf is what a view writes for a client, sorted.
func itemsOf(w *roster.View) []string {
	x := new(stanza.XML)
	w.AppendXML(x)
	return sortedItems(string(x.Bytes()))
}

// itemsAlone is the same, item by item.
func itemsAlone(w *roster.View) []string {
	x := new(stanza.XML)
	for it := range w.Items() {
		it.AppendXML(x)
	}
	return sortedItems(string(x.Bytes()))
}

func sortedItems(text string) []string {
	items := strings.Split(text, "<item ")
	slices.Sort(items)
	return items
}

// TestRostersWrittenForMany: what is written once for all viewers of a group is
// what each would be written alone, the viewer itself, its personal items,
// those in two groups and the bound included, and after every edit.
func TestRostersWrittenForMany(t *testing.T) {
	st, org, _ := crowdOf(t, 200, 2, 1) // even ones in group0000, odd ones in group0001
	ctx := t.Context()
	rosters := roster.New(st)
	most := 1000
	rosters.SetMax(func(feature.Org) int { return most })
	gs := rosters.Groups
	if err := gs.Load(ctx); err != nil {
		t.Fatal(err)
	}
	person := func(n int) jid.JID { return jid.MustParse(fmt.Sprintf("person%06d@big.example", n)) }
	g, h := gs.Find(org, "group0000"), gs.Find(org, "group0001")
	ids, err := st.AccountIDs(ctx, org, []string{"person000010"})
	if err != nil {
		t.Fatal(err)
	}
	own, err := rosters.Open(ctx, org, ids["person000010"], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rosters.Close(own)
	compare := func(about string, items int) {
		t.Helper()
		for n := range 40 {
			w := gs.View(person(n), most, nil)
			if n == 10 {
				w = own.View(person(n))
			}
			got, want := itemsOf(w), itemsAlone(w)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: person %d is written %d bytes, want %d", about, n, len(strings.Join(got, "")), len(strings.Join(want, "")))
			}
			if n == 10 && len(got)-1 != items {
				t.Fatalf("%s: %d items, want %d", about, len(got)-1, items)
			}
		}
	}
	edit := func(about string, items int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(about, err)
		}
		compare(about, items)
	}
	edit("two groups", 99, nil)
	if n, bytes := gs.Shared(); n != 2 || bytes < 200*60 {
		t.Fatalf("%d parts of %d bytes are kept, want those of 2 groups", n, bytes)
	}
	for _, c := range []int{12, 13, 10} {
		_, _, err := own.Update(ctx, person(c), func(it *roster.Item) bool { it.Listed, it.Name = true, "Nobody's <friend>"; return true })
		edit("a personal item", map[int]int{12: 99, 13: 100, 10: 101}[c], err)
	}
	_, err = gs.Join(ctx, g, person(3))
	edit("somebody in two groups", 102, err)
	edit("one-way", 198+1+1, gs.Show(ctx, h, g, false))
	edit("both ways", 200, gs.Show(ctx, g, h, true))
	edit("another label", 200, gs.Describe(ctx, h, "A & 'B'", ""))
	edit("nested", 200, gs.Nest(ctx, h, g))
	edit("nested and not shown by itself", 200, gs.Hide(ctx, h, g))
	_, err = gs.Leave(ctx, h, person(5), person(3))
	edit("left", 199, err)
	_, err = st.CreateAccount(ctx, org, "late", nil)
	edit("an account", 199, err)
	_, err = gs.AddGroup(ctx, org, roster.NewGroup{Name: "all", Kind: roster.Everyone})
	edit("everyone", 201, err)
	edit("one gone", 200, st.DeleteAccount(ctx, org, "person000199"))
	edit("no group", 200, gs.RemoveGroup(ctx, g))
	edit("no other", 200, gs.RemoveGroup(ctx, h))
	most = 50
	edit("bound", 50, nil)
}

// TestWrittenForManyIsForgotten: what nobody asks for any more is not kept.
func TestWrittenForManyIsForgotten(t *testing.T) {
	_, _, gs := crowdOf(t, 100, 2, 1)
	synctest.Test(t, func(t *testing.T) {
		for n := range 2 {
			itemsOf(gs.View(jid.MustParse(fmt.Sprintf("person%06d@big.example", n)), 1000, nil))
		}
		for range 10 {
			time.Sleep(5 * time.Second)
			itemsOf(gs.View(jid.MustParse("person000000@big.example"), 1000, nil))
		}
		if n, bytes := gs.Shared(); n != 1 || bytes == 0 {
			t.Errorf("%d parts of %d bytes are kept, want the one that is asked for", n, bytes)
		}
		time.Sleep(21 * time.Second)
		if n, bytes := gs.Shared(); n != 0 || bytes != 0 {
			t.Errorf("%d parts of %d bytes are kept, and nobody asks", n, bytes)
		}
	})
}
