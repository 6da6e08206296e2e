package roster_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
)

// A follows is somebody's client: what it has on its screen, by what it was
// told.
type follows struct {
	t     *testing.T
	s     shelf
	who   jid.JID
	ro    *roster.Roster
	f     roster.Follower
	has   map[jid.JID]bool
	ver   string
	most  int // items told at once, at most
	items int // told since it was last asked
}

// begin fetches the whole roster.
func begin(t *testing.T, s shelf, rosters *roster.Rosters, local string) *follows {
	t.Helper()
	ids, err := s.store.AccountIDs(t.Context(), s.org, []string{local})
	if err != nil {
		t.Fatal(err)
	}
	ro, err := rosters.Open(t.Context(), s.org, ids[local], 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rosters.Close(ro) })
	c := &follows{t: t, s: s, who: jid.MustParse(local + "@hug.example"), ro: ro}
	c.whole()
	return c
}

func (c *follows) whole() {
	view, at := c.f.Whole(c.who, c.ro)
	c.has, c.ver = map[jid.JID]bool{}, at.String()
	c.take(slices.Collect(view.Items()))
	c.items = 0
}

func (c *follows) take(items []roster.Change) {
	c.items += len(items)
	c.most = max(c.most, len(items))
	for _, it := range items {
		if it.Removed {
			delete(c.has, it.Item.JID)
		} else {
			c.has[it.Item.JID] = true
		}
	}
}

// next is told all there is to tell, by so many at once, and counts the items.
func (c *follows) next(max int) int {
	c.t.Helper()
	c.items, c.most = 0, 0
	for more := true; more; {
		var items []roster.Change
		items, more = c.f.Next(c.who, c.ro, max)
		c.take(items)
	}
	if c.most > max {
		c.t.Errorf("%d items at once, at most %d are wanted", c.most, max)
	}
	told := c.f.Told()
	told.Personal = c.ro.Version()
	c.ver = told.String()
	return c.items
}

// back comes again with the version it has; full tells that it got the whole.
func (c *follows) back() (full bool) {
	c.t.Helper()
	since, ok := roster.ParseVersion(c.ver)
	if !ok {
		c.t.Fatalf("%s is no version", c.ver)
	}
	changes, full, err := c.ro.Since(c.t.Context(), since.Personal)
	if err != nil {
		c.t.Fatal(err)
	}
	var personal []jid.JID
	for _, ch := range changes {
		personal = append(personal, ch.Item.JID)
	}
	c.f = roster.Follower{}
	if !full {
		var items []roster.Change
		var at roster.Version
		if items, at, full = c.f.Return(c.who, c.ro, since, personal); !full {
			c.take(items)
			c.ver = at.String()
			return false
		}
	}
	c.whole()
	return true
}

// right compares the client's screen with its roster as it is.
func (c *follows) right(when string) {
	c.t.Helper()
	want := map[jid.JID]bool{}
	for it := range c.ro.View(c.who).Items() {
		want[it.Item.JID] = true
	}
	for j := range want {
		if !c.has[j] {
			c.t.Errorf("%s: %s has not been told of %s", when, c.who, j)
		}
	}
	for j := range c.has {
		if !want[j] {
			c.t.Errorf("%s: %s still has %s", when, c.who, j)
		}
	}
}

// house makes an organisation of people c0, c1, … and rosters with a bound.
func house(t *testing.T, people int, bound func() int) (shelf, *roster.Rosters) {
	t.Helper()
	s := newShelf(t)
	for i := range people {
		s.account(t, t, fmt.Sprintf("c%d", i))
	}
	rosters := roster.New(s.store)
	rosters.SetMax(func(feature.Org) int { return bound() })
	if err := rosters.Groups.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, rosters
}

func (s shelf) group(t *testing.T, gs *roster.Groups, name string, members ...int) *roster.Group {
	t.Helper()
	g, err := gs.AddGroup(t.Context(), s.org, roster.NewGroup{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	joins(t, gs, g, members...)
	return g
}

func joins(t *testing.T, gs *roster.Groups, g *roster.Group, members ...int) {
	t.Helper()
	for _, n := range members {
		if _, err := gs.Join(t.Context(), g, contact(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func lists(t *testing.T, ro *roster.Roster, n int, listed bool) {
	t.Helper()
	if _, _, err := ro.Update(t.Context(), contact(n), func(it *roster.Item) bool { it.Listed = listed; return true }); err != nil {
		t.Fatal(err)
	}
}

func always(n int) func() int { return func() int { return n } }

// TestStrangersOfGroups: who is in no group is told nothing when groups
// change, and one who was in a group before the server started is told that
// all may be different.
func TestStrangersOfGroups(t *testing.T) {
	s, rosters := house(t, 5, always(100))
	gs := rosters.Groups
	alone := begin(t, s, rosters, "c0")
	lists(t, alone.ro, 3, true)
	alone.whole()
	g := s.group(t, gs, "team", 1, 2)
	if n := alone.next(10); n > 0 {
		t.Errorf("told %d items of groups that it is not in", n)
	}
	alone.right("in no group")
	if alone.back() {
		t.Error("the whole roster for a change elsewhere")
	}
	left := begin(t, s, rosters, "c1")
	if _, err := gs.Leave(t.Context(), g, contact(1)); err != nil {
		t.Fatal(err)
	}
	// Another start of the server.
	again := roster.New(s.store)
	if err := again.Groups.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := begin(t, s, again, "c1")
	later.has, later.ver = left.has, left.ver
	later.back()
	later.right("left before the start")
}

// TestRecreatedAccount: a client of somebody who was deleted and made again
// does not keep what the first one saw.
func TestRecreatedAccount(t *testing.T) {
	s, rosters := house(t, 3, always(100))
	s.group(t, rosters.Groups, "team", 1, 2)
	c := begin(t, s, rosters, "c1")
	if len(c.has) != 1 {
		t.Fatal(c.has)
	}
	if err := s.store.DeleteAccount(t.Context(), s.org, "c1"); err != nil {
		t.Fatal(err)
	}
	s.account(t, t, "c1")
	c.back()
	c.right("made again")
}

// TestForgottenEdits: when so much happens at once that the edits a client has
// not been told of are forgotten, it is told all there is, in steps; what went
// is not known, so its version stays one that brings the whole when it returns.
func TestForgottenEdits(t *testing.T) {
	s, rosters := house(t, 40, always(100))
	gs := rosters.Groups
	gs.Remember(60)
	g := s.group(t, gs, "team", 0, 1, 2, 3)
	c := begin(t, s, rosters, "c0")
	if _, err := gs.Leave(t.Context(), g, contact(1)); err != nil {
		t.Fatal(err)
	}
	other := s.group(t, gs, "other")
	for n := range 35 {
		joins(t, gs, other, n+4)
	}
	joins(t, gs, g, 39)
	c.next(1)
	if !c.has[contact(39)] || !c.has[contact(2)] {
		t.Errorf("not told all there is: %v", c.has)
	}
	joins(t, gs, g, 38)
	if n := c.next(1); n != 1 || !c.has[contact(38)] {
		t.Errorf("told %d items of one edit", n)
	}
	if !c.back() {
		t.Error("comes back with a version that does not bring the whole")
	}
	c.right("after it came back")
	joins(t, gs, g, 37)
	c.next(1)
	if c.back() {
		t.Error("the whole again, for one that has it")
	}
	c.right("at the end")
}

// TestBoundMovesForClients: a client has what its bounded roster shows when the
// bound moves, online or away, in steps, and when a personal item needs room.
func TestBoundMovesForClients(t *testing.T) {
	bound := 100
	s, rosters := house(t, 12, func() int { return bound })
	gs := rosters.Groups
	team := s.group(t, gs, "team", 0, 1, 2, 3, 4, 5, 6, 7)
	care := s.group(t, gs, "care", 8, 9)
	c := begin(t, s, rosters, "c0")
	for _, n := range []int{3, 5, 1, 100} {
		bound = n
		c.next(2)
		c.right(fmt.Sprint("online, the bound is ", n))
	}
	for _, n := range []int{3, 5, 1, 100} {
		bound = n
		c.back()
		c.right(fmt.Sprint("away, the bound is ", n))
	}
	if c.back() {
		t.Error("the whole, though nothing changed")
	}
	bound = 7 // all fit, just so
	c.next(2)
	if c.back() {
		t.Error("the whole, though all fitted and fit")
	}
	edit := func(n int, listed bool, when string) {
		t.Helper()
		lists(t, c.ro, n, listed)
		view := c.ro.View(c.who)
		c.take(append(c.f.Rebound(view), view.Item(contact(n))))
		c.right(when)
		told := c.f.Told()
		told.Personal = c.ro.Version()
		c.ver = told.String()
		if c.back() {
			t.Error(when + ": the whole for one that was told")
		}
		c.right(when + ", came back")
	}
	edit(10, true, "a contact of its own is one too many")
	edit(11, true, "another")
	edit(1, true, "one that a group shows")
	edit(10, false, "one less")
	edit(11, false, "they fit again")
	bound = 3
	c.next(2)
	for _, on := range []bool{true, false} {
		if err := gs.Show(t.Context(), care, team, on); err != nil {
			t.Fatal(err)
		}
		c.back()
		c.right(fmt.Sprint("away, shown with care: ", on))
		if err := gs.Show(t.Context(), care, team, !on); err != nil {
			t.Fatal(err)
		}
		c.next(2)
		c.right(fmt.Sprint("online, shown with care: ", !on))
	}
}

// TestClockBackOfFlips: a version of an earlier start says nothing about who is
// online now, whatever the clock does between two starts.
func TestClockBackOfFlips(t *testing.T) {
	s, rosters := house(t, 30, always(100))
	gs := rosters.Groups
	if _, err := gs.AddGroup(t.Context(), s.org, roster.NewGroup{Name: "here", Kind: roster.Online}); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		gs.SetOnline(contact(n), true)
	}
	old := begin(t, s, rosters, "c0")
	again := roster.New(s.store)
	if err := again.Groups.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 29; n >= 5; n-- {
		again.Groups.SetOnline(contact(n), true)
	}
	c := begin(t, s, again, "c0")
	c.has, c.ver = old.has, old.ver
	c.back()
	c.right("after another start")
}

// TestManyGroupsOfOnePair: two who share very many groups have an item of a
// bounded size, and leave and join are told as ever; many who leave at once, and
// come again, stand in the order of joining.
func TestManyGroupsOfOnePair(t *testing.T) {
	st, org, gs := crowdOf(t, 3, 150, 150)
	who := func(n int) jid.JID { return jid.MustParse(fmt.Sprintf("person%06d@big.example", n)) }
	c := gs.View(who(0), 10, nil).Item(who(1))
	if n := len(c.Item.Groups); n != roster.MaxLabels || c.Item.Sub != roster.Both {
		t.Errorf("%d labels, %v", n, c.Item.Sub)
	}
	since := gs.At(who(0))
	g := gs.Find(org, "group0000")
	if n, err := gs.Leave(t.Context(), g, who(0), who(1)); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if n, err := gs.Join(t.Context(), g, who(1)); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if changed, full := gs.Delta(who(0), since, nil); full || len(changed) != 2 {
		t.Errorf("%v has changed, full %v", changed, full)
	}
	other, err := roster.LoadGroups(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"person000002", "person000001"}
	if got, read := members(g), members(other.Find(org, "group0000")); !slices.Equal(got, want) || !slices.Equal(read, want) {
		t.Errorf("members %v, as read %v, want %v", got, read, want)
	}
}

// TestAccountKnownLate: who came online before this process read that the
// account is there is in the group of those online as soon as it has.
func TestAccountKnownLate(t *testing.T) {
	s, rosters := house(t, 1, always(100))
	here, err := rosters.Groups.AddGroup(t.Context(), s.org, roster.NewGroup{Name: "here", Kind: roster.Online})
	if err != nil {
		t.Fatal(err)
	}
	c := begin(t, s, rosters, "c0")
	rosters.Groups.SetOnline(contact(0), true)
	s.store.WatchGroups(func(feature.Org) {}) // another process made it
	s.account(t, t, "c1")
	rosters.Groups.SetOnline(contact(1), true)
	if err := rosters.Groups.Refresh(t.Context(), s.org); err != nil {
		t.Fatal(err)
	}
	if !here.Has(contact(1)) {
		t.Error("is online, and not in the group of those online")
	}
	c.next(10)
	c.right("known late")
	rosters.Groups.SetOnline(contact(1), false)
	c.next(10)
	c.right("gone")
}
