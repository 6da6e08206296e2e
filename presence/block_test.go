package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
)

// A pair is one who looks on, an owner of a screen, and one who acts: both are
// members of a group whose members see each other, and are available.
type pair struct {
	*town
	board      *feature.Board
	org        feature.Org
	group      *roster.Group
	eyes, hero *person
}

// meet makes a pair that has been told of each other.
func meet(t *testing.T) *pair {
	st, h, d, org := openTown(t)
	w := populate(t, st, h, d, org, "b", 2)
	p := &pair{town: w, board: h.Board, org: org, eyes: w.people[0], hero: w.people[1]}
	ctx, gs := context.Background(), d.Rosters.Groups
	var err error
	if p.group, err = gs.AddGroup(ctx, org, roster.NewGroup{Name: "all"}); err != nil {
		t.Fatal(err)
	}
	if err := gs.Show(ctx, p.group, p.group, true); err != nil {
		t.Fatal(err)
	}
	if _, err := gs.Join(ctx, p.group, p.eyes.jid, p.hero.jid); err != nil {
		t.Fatal(err)
	}
	for i, who := range w.people {
		w.bind(who, "r0")
		w.say(who.resources[0], i+1)
	}
	presence.Quiet(d)
	return p
}

// sleep makes the screen take nothing until it wakes.
func (p *pair) sleep() { p.eyes.resources[0].s.Inactive() }

func (p *pair) wake() { p.eyes.resources[0].s.Active() }

func (p *pair) level(l presence.Level) {
	if err := p.board.Set("presence", feature.Scope{Org: p.org}, int64(l), 0); err != nil {
		p.tb.Fatal(err)
	}
	presence.Quiet(p.d)
}

// leave takes the hero out of the group, join puts it back.
func (p *pair) leave() {
	if _, err := p.d.Rosters.Groups.Leave(context.Background(), p.group, p.hero.jid); err != nil {
		p.tb.Fatal(err)
	}
	presence.Quiet(p.d)
}

func (p *pair) join() {
	if _, err := p.d.Rosters.Groups.Join(context.Background(), p.group, p.hero.jid); err != nil {
		p.tb.Fatal(err)
	}
	presence.Quiet(p.d)
}

func (p *pair) away() { p.say(p.hero.resources[0], 0) }
func (p *pair) back() { p.say(p.hero.resources[0], 7) }

// block has one block the other; nobody: the list is empty again.
func (p *pair) block(who, whom *person) {
	a, err := p.d.Account(context.Background(), who.jid)
	if err != nil {
		p.tb.Fatal(err)
	}
	defer a.Release()
	var list *presence.Blocklist
	if whom != nil {
		list = &presence.Blocklist{whom.jid: {}}
	}
	p.d.Block(a, list, func() {})
	presence.Quiet(p.d)
}

// TestBlockOfWhoIsOwedAnEnd: a block does not swallow what a client has still
// to be told: that somebody it was shown is not there any more.
func TestBlockOfWhoIsOwedAnEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		acts func(p *pair)
		want string // what the screen shows of the hero
	}{
		{"nothing happens", func(p *pair) {}, "2"},
		{"blocks", func(p *pair) { p.block(p.hero, p.eyes) }, ""},
		{"is blocked", func(p *pair) { p.block(p.eyes, p.hero) }, ""},
		{"leaves the group and blocks", func(p *pair) { p.leave(); p.block(p.hero, p.eyes) }, ""},
		{"leaves the group and is blocked", func(p *pair) { p.leave(); p.block(p.eyes, p.hero) }, ""},
		{"leaves the group, goes and blocks", func(p *pair) { p.leave(); p.away(); p.block(p.hero, p.eyes) }, ""},
		{"goes and blocks", func(p *pair) { p.away(); p.block(p.hero, p.eyes) }, ""},
		{"goes, leaves the group, comes back and blocks", func(p *pair) { p.away(); p.leave(); p.back(); p.block(p.hero, p.eyes) }, ""},
		{"goes, leaves the group and blocks", func(p *pair) { p.away(); p.leave(); p.block(p.hero, p.eyes) }, ""},
		{"leaves the group, blocks and unblocks", func(p *pair) { p.leave(); p.block(p.hero, p.eyes); p.block(p.hero, nil) }, ""},
		{"leaves the group, blocks, unblocks and joins", func(p *pair) { p.leave(); p.block(p.hero, p.eyes); p.block(p.hero, nil); p.join() }, "2"},
		{"leaves the group, blocks, joins and unblocks", func(p *pair) { p.leave(); p.block(p.hero, p.eyes); p.join(); p.block(p.hero, nil) }, "2"},
		{"blocks and unblocks", func(p *pair) { p.block(p.hero, p.eyes); p.block(p.hero, nil) }, "2"},
	} {
		held := map[string]struct{ begin, end func(*pair) }{
			"awake":    {func(*pair) {}, func(*pair) {}},
			"inactive": {(*pair).sleep, (*pair).wake},
			"behind a slow reader": {(*pair).sleep, func(p *pair) {
				p.d.Room(p.eyes.resources[0].a, p.eyes.resources[0].s, true)
				p.wake()
			}},
		}
		for l := presence.Visible; l <= presence.Off; l++ {
			held[fmt.Sprintf("level %d", l)] = struct{ begin, end func(*pair) }{
				func(p *pair) { p.level(l) }, func(p *pair) { p.level(presence.Full) },
			}
		}
		for how, h := range held {
			t.Run(how+"/"+c.name, func(t *testing.T) {
				p := meet(t)
				h.begin(p)
				c.acts(p)
				h.end(p)
				presence.Quiet(p.d)
				if got := view(p.eyes.resources[0])[p.hero.jid.String()+"/r0"]; got != c.want {
					t.Errorf("the screen shows the hero as %q, it is %q", got, c.want)
				}
			})
		}
	}
}

// TestGoneBeforeTheGroup: who went while a lower level kept silent is taken back
// with the group that had shown it, though another group, that the client came
// to see later, lists it as gone as well: that one has never told of it.
func TestGoneBeforeTheGroup(t *testing.T) {
	p := meet(t)
	ctx, gs := context.Background(), p.d.Rosters.Groups
	more, err := gs.AddGroup(ctx, p.org, roster.NewGroup{Name: "more"})
	if err != nil {
		t.Fatal(err)
	}
	if err := gs.Show(ctx, more, more, true); err != nil {
		t.Fatal(err)
	}
	if _, err := gs.Join(ctx, more, p.hero.jid, p.extra(t).jid); err != nil {
		t.Fatal(err)
	}
	presence.Quiet(p.d)
	if err := p.board.Set("presence", feature.Scope{Org: p.org, Group: more.ID()}, int64(presence.Full), 0); err != nil {
		t.Fatal(err)
	}
	p.level(presence.Visible)
	p.away()
	presence.Quiet(p.d)
	if _, err := gs.Join(ctx, more, p.eyes.jid); err != nil {
		t.Fatal(err)
	}
	presence.Quiet(p.d)
	if _, err := gs.Leave(ctx, p.group, p.eyes.jid); err != nil {
		t.Fatal(err)
	}
	presence.Quiet(p.d)
	p.level(presence.Full)
	if got := view(p.eyes.resources[0])[p.hero.jid.String()+"/r0"]; got != "" {
		t.Errorf("the screen shows the hero as %q, it is gone", got)
	}
}

// extra is one more person, whose client is online and sees the groups.
func (p *pair) extra(t *testing.T) *person {
	more := populate(t, p.store, p.hosts, p.d, p.org, "x", 1).people[0]
	p.bind(more, "r0")
	p.say(more.resources[0], 9)
	return more
}

// groupLevel moves the lever for one group.
func (p *pair) groupLevel(g *roster.Group, l presence.Level) {
	if err := p.board.Set("presence", feature.Scope{Org: p.org, Group: g.ID()}, int64(l), 0); err != nil {
		p.tb.Fatal(err)
	}
	presence.Quiet(p.d)
}

// shownNow ends the screen's session and is what it shows of the hero.
func (p *pair) shownNow() string {
	return view(p.eyes.resources[0])[p.hero.jid.String()+"/r0"]
}

// TestCoarseBesideFull: a group at level coarse does not take back what another
// has told in full: that one, once full again, has nothing more to tell.
func TestCoarseBesideFull(t *testing.T) {
	p := meet(t)
	ctx, gs := context.Background(), p.d.Rosters.Groups
	more, err := gs.AddGroup(ctx, p.org, roster.NewGroup{Name: "more"})
	if err != nil {
		t.Fatal(err)
	}
	if err := gs.Show(ctx, more, more, true); err != nil {
		t.Fatal(err)
	}
	if _, err := gs.Join(ctx, more, p.eyes.jid, p.hero.jid); err != nil {
		t.Fatal(err)
	}
	p.groupLevel(more, presence.Off)
	p.back() // told by the first group
	p.groupLevel(p.group, presence.Off)
	p.groupLevel(more, presence.Coarse)
	p.groupLevel(p.group, presence.Full)
	p.groupLevel(more, presence.Full)
	if got := p.shownNow(); got != "7" {
		t.Errorf("the screen shows the hero as %q, it is 7", got)
	}
}

// TestLeavesAtCoarse: who leaves a group is gone from its screens at level
// coarse as well.
func TestLeavesAtCoarse(t *testing.T) {
	p := meet(t)
	p.level(presence.Off)
	p.leave()
	p.level(presence.Coarse)
	if got := p.shownNow(); got != "" {
		t.Errorf("the screen shows the hero as %q, it has left", got)
	}
}
