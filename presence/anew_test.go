package presence_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// mark is where the mailbox of the screen begins to lose presence, or ends.
func (p *pair) mark() {
	p.eyes.resources[0].s.Send(stanza.Make(stanza.Message, stanza.Chat, p.hero.jid, p.eyes.jid, "", nil))
}

// lost ends what the mailbox has lost, and has all told anew.
func (p *pair) lost() {
	p.mark()
	p.d.Room(p.eyes.resources[0].a, p.eyes.resources[0].s, true)
	presence.Quiet(p.d)
}

// screen is what the client shows that has lost what stands between two marks.
// It ends the session.
func (p *pair) screen() map[string]string {
	client := p.eyes.resources[0]
	seen, lost := map[string]string{}, false
	wires, _ := client.s.End()
	for _, w := range wires {
		if w.Kind == stanza.Message {
			lost = !lost
		} else if !lost {
			look(seen, client.s.JID, w)
		}
	}
	delete(seen, client.s.JID.String())
	return seen
}

// churn has one more resource of the hero come and go under many names, so that
// logs are trimmed.
func (p *pair) churn(n int) {
	for i := range n {
		p.bind(p.hero, fmt.Sprintf("x%d", i))
		last := len(p.hero.resources) - 1
		p.say(p.hero.resources[last], 5)
		p.unbind(p.hero, last)
	}
	presence.Quiet(p.d)
}

// more binds one more resource of the hero, which is r1.
func (p *pair) more() {
	p.bind(p.hero, "r1")
	p.say(p.hero.resources[1], 8)
}

func (p *pair) blockOne(resource string) {
	full, err := p.hero.jid.WithResource(resource)
	if err != nil {
		p.tb.Fatal(err)
	}
	a := p.eyes.resources[0].a
	p.d.Block(a, &presence.Blocklist{full: {}}, func() {})
	presence.Quiet(p.d)
}

func (p *pair) unnested(t *testing.T, do func(child *roster.Group)) {
	gs := p.d.Rosters.Groups
	child, err := gs.AddGroup(t.Context(), p.org, roster.NewGroup{Name: "child"})
	if err != nil {
		t.Fatal(err)
	}
	if err := gs.Nest(t.Context(), child, p.group); err != nil {
		t.Fatal(err)
	}
	if _, err := gs.Join(t.Context(), child, p.hero.jid); err != nil {
		t.Fatal(err)
	}
	p.leave() // it is in by the child alone
	do(child)
	if err := gs.Unnest(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	presence.Quiet(p.d)
}

// TestLost: whatever of presence a mailbox without stream management has lost,
// the client shows afterwards who is there, and nobody else; whether logs still
// have what happened or not.
func TestLost(t *testing.T) {
	leaves := func(p *pair) {
		if _, err := p.d.Rosters.Groups.Leave(context.Background(), p.group, p.eyes.jid); err != nil {
			p.tb.Fatal(err)
		}
		presence.Quiet(p.d)
	}
	for _, c := range []struct {
		name   string
		before func(p *pair)
		acts   func(p *pair)
		want   string // what the screen shows of the hero: r0 and r1
	}{
		{"nothing happens", nil, func(p *pair) {}, "2 "},
		{"goes", nil, (*pair).away, " "},
		{"goes and comes", nil, func(p *pair) { p.away(); p.back() }, "7 "},
		{"leaves the group", nil, (*pair).leave, " "},
		{"goes and leaves the group", nil, func(p *pair) { p.away(); p.leave() }, " "},
		{"leaves the group and goes", nil, func(p *pair) { p.leave(); p.away() }, " "},
		{"leaves the group and comes back to it", nil, func(p *pair) { p.leave(); p.join() }, "2 "},
		{"the viewer leaves the group", nil, leaves, " "},
		{"goes, and the viewer leaves the group", nil, func(p *pair) { p.away(); leaves(p) }, " "},
		{"leaves the group, and so does the viewer", nil, func(p *pair) { p.leave(); leaves(p) }, " "},
		{"one of two goes", (*pair).more, func(p *pair) { p.unbind(p.hero, 0) }, " 8"},
		{"one comes, the other goes", nil, func(p *pair) { p.more(); p.unbind(p.hero, 0) }, " 8"},
		{"one of two is blocked", (*pair).more, func(p *pair) { p.blockOne("r0") }, " 8"},
		{"one of two is blocked and let again", (*pair).more, func(p *pair) { p.blockOne("r0"); p.block(p.eyes, nil) }, "2 8"},
		{"is blocked", nil, func(p *pair) { p.block(p.eyes, p.hero) }, " "},
		{"is blocked and leaves", nil, func(p *pair) { p.block(p.eyes, p.hero); p.leave() }, " "},
		{"blocks and leaves", nil, func(p *pair) { p.block(p.hero, p.eyes); p.leave() }, " "},
		{"the group is removed", nil, func(p *pair) {
			if err := p.d.Rosters.Groups.RemoveGroup(context.Background(), p.group); err != nil {
				p.tb.Fatal(err)
			}
			presence.Quiet(p.d)
		}, " "},
		{"its part of the group is taken out", nil, func(p *pair) { p.unnested(t, func(*roster.Group) {}) }, " "},
	} {
		for name, churn := range map[string]func(*pair){
			"":                       func(*pair) {},
			", then many others":     func(p *pair) { p.others(t, 40) },
			", then many of its own": func(p *pair) { p.churn(40) },
		} {
			t.Run(c.name+name, func(t *testing.T) {
				p := meet(t)
				if c.before != nil {
					c.before(p)
					presence.Quiet(p.d)
				}
				p.mark()
				c.acts(p)
				presence.Quiet(p.d)
				churn(p)
				p.lost()
				seen := p.screen()
				hero := p.hero.jid.String()
				if got := seen[hero+"/r0"] + " " + seen[hero+"/r1"]; got != c.want {
					t.Errorf("the screen shows the hero as %q, it is %q: %v", got, c.want, seen)
				}
			})
		}
	}
}

// others is what makes the logs long: somebody of the group comes and goes
// under many names.
func (p *pair) others(t *testing.T, n int) {
	who := populate(t, p.store, p.hosts, p.d, p.org, "o", 1).people[0]
	if _, err := p.d.Rosters.Groups.Join(t.Context(), p.group, who.jid); err != nil {
		return // there is no group any more
	}
	for i := range n {
		p.bind(who, fmt.Sprintf("x%d", i))
		p.say(who.resources[0], 5)
		p.unbind(who, 0)
	}
	presence.Quiet(p.d)
}

// TestFarBehind: an inactive client that is so far behind that logs have
// forgotten what it was not told of shows, once it is active, who is there and
// nobody else.
func TestFarBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		acts func(p *pair)
		want string
	}{
		{"leaves the group", (*pair).leave, " "},
		{"goes and leaves the group", func(p *pair) { p.away(); p.leave() }, " "},
		{"one of two goes", func(p *pair) { p.unbind(p.hero, 0) }, " 8"},
		{"all go", func(p *pair) { p.unbind(p.hero, 1); p.unbind(p.hero, 0) }, " "},
		{"stays", func(p *pair) {}, "2 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := meet(t)
			p.more()
			presence.Quiet(p.d)
			p.sleep()
			c.acts(p)
			p.others(t, 400)
			p.wake()
			presence.Quiet(p.d)
			seen := p.screen()
			hero := p.hero.jid.String()
			if got := seen[hero+"/r0"] + " " + seen[hero+"/r1"]; got != c.want {
				t.Errorf("the screen shows the hero as %q, it is %q: %v", got, c.want, seen)
			}
		})
	}
}

// TestLostOwn: of one's own resources those that went are gone after a loss.
func TestLostOwn(t *testing.T) {
	for _, many := range []int{0, 40, 400} {
		p := meet(t)
		p.bind(p.eyes, "r1")
		p.say(p.eyes.resources[1], 4)
		p.bind(p.eyes, "r2")
		p.say(p.eyes.resources[2], 3)
		p.mark()
		p.unbind(p.eyes, 1)
		for i := range many {
			p.bind(p.eyes, fmt.Sprintf("x%d", i))
			p.say(p.eyes.resources[2], 5)
			p.unbind(p.eyes, 2)
		}
		p.lost()
		own := p.eyes.jid.String()
		if seen := p.screen(); seen[own+"/r1"] != "" || seen[own+"/r2"] != "3" || len(seen) != 2 {
			t.Errorf("after %d more: %v", many, seen)
		}
	}
}

// TestLostSubscription: a contact whose subscription ended while it was away.
func TestLostSubscription(t *testing.T) {
	for _, end := range []string{"unsubscribe", "remove"} {
		p := meet(t)
		p.leave()
		p.befriend(p.eyes, p.hero)
		p.say(p.hero.resources[0], 3)
		p.mark()
		p.away()
		client := p.eyes.resources[0]
		if end == "remove" {
			if _, err := p.d.Remove(t.Context(), client.a, p.hero.jid); err != nil {
				t.Fatal(err)
			}
		} else {
			p.ask(client, p.hero, end)
		}
		p.lost()
		if seen := p.screen(); len(seen) != 0 {
			t.Errorf("%s: the screen shows %v", end, seen)
		}
	}
}

// TestUnblockedAtOnce: who is let again is shown at once, as the level shows
// people, and in full when that is full again.
func TestUnblockedAtOnce(t *testing.T) {
	for _, c := range []struct {
		level presence.Level
		row   bool
		now   string
	}{
		{presence.Full, false, "2"}, {presence.Visible, true, "2"}, {presence.Visible, false, ""},
		{presence.Coarse, false, "coarse"}, {presence.Off, false, ""},
	} {
		for _, whose := range []string{"the screen's owner", "the hero"} {
			for _, full := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s at %d, row %v, then full %v", whose, c.level, c.row, full), func(t *testing.T) {
					p := meet(t)
					if c.row {
						client := p.eyes.resources[0]
						if err := p.d.SetVisible(client.a, client.s, []jid.JID{p.hero.jid}); err != nil {
							t.Fatal(err)
						}
					}
					p.level(c.level)
					who, whom := p.eyes, p.hero
					if whose == "the hero" {
						who, whom = p.hero, p.eyes
					}
					p.block(who, whom)
					p.block(who, nil)
					want := c.now
					if full {
						p.level(presence.Full)
						want = "2"
					}
					if got := p.shownNow(); got != want {
						t.Errorf("the screen shows the hero as %q, want %q", got, want)
					}
				})
			}
		}
	}
}

// TestBlockOfMany: a block that parts more people than half of a mailbox holds
// is told to its end, each once.
func TestBlockOfMany(t *testing.T) {
	c := openCity(t, 3000)
	c.settlers(t, "many", 80)
	if _, err := c.d.Rosters.Groups.AddGroup(t.Context(), c.org, roster.NewGroup{Name: "all", Kind: roster.Everyone}); err != nil {
		t.Fatal(err)
	}
	for i, p := range c.people {
		if i == 0 {
			c.enter(t, p, "r0")
			p.resources[0].reader.read()
		} else {
			c.bind(p, "r0")
		}
		c.say(p.resources[0], i+1)
	}
	eyes := c.people[0].resources[0]
	c.awaitView(t, eyes, len(c.people))
	c.d.Block(eyes.a, &presence.Blocklist{jid.MustParse("hug.example"): {}}, func() {})
	c.awaitView(t, eyes, 1)
	c.d.Block(eyes.a, nil, func() {})
	c.awaitView(t, eyes, len(c.people))
	c.end()
}

// TestToldByNobody: a contact that has joined a group as well, whose client is so
// slow that the group has not told of it yet when it leaves again, is shown: the
// personal contact had kept silent for the group. When the mailbox is full
// depends on how many contacts there are, so all of a range are tried.
func TestToldByNobody(t *testing.T) {
	for _, leaves := range []string{"the contact", "the viewer"} {
		c := openCity(t, 1500)
		for others := range 12 {
			c.settlers(t, fmt.Sprintf("%c%d", leaves[4], others), others+2)
			eyes, hero := c.people[0], c.people[1]
			gs := c.d.Rosters.Groups
			g, err := gs.AddGroup(t.Context(), c.org, roster.NewGroup{Name: fmt.Sprint("g", others)})
			if err != nil {
				t.Fatal(err)
			}
			if err := gs.Show(t.Context(), g, g, true); err != nil {
				t.Fatal(err)
			}
			if _, err := gs.Join(t.Context(), g, eyes.jid); err != nil {
				t.Fatal(err)
			}
			for i, p := range c.people[1:] {
				c.befriend(eyes, p)
				c.bind(p, "r0")
				c.say(p.resources[0], i+2)
			}
			c.enter(t, eyes, "r0")
			client := eyes.resources[0]
			client.s.Inactive()
			c.say(client, 1) // the round ends here
			if _, err := gs.Join(t.Context(), g, hero.jid); err != nil {
				t.Fatal(err)
			}
			presence.Quiet(c.d)
			client.s.Active()
			gone := hero
			if leaves == "the viewer" {
				gone = eyes
			}
			if _, err := gs.Leave(t.Context(), g, gone.jid); err != nil {
				t.Fatal(err)
			}
			presence.Quiet(c.d)
			client.reader.read()
			c.awaitView(t, client, len(c.people))
			c.end()
		}
	}
}

// awaitView waits until a client shows so many resources.
func (c *city) awaitView(t *testing.T, r *client, n int) {
	t.Helper()
	presence.Quiet(c.d)
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		got := len(r.reader.view(r.s.JID))
		if got == n {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("it shows %d, want %d", got, n)
		}
	}
}
