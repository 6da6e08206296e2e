package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
)

// TestLeaveTrims: an account leaves a group with some resources online and one
// gone, and that is what fills the group's log: what is trimmed then is the
// last that was known of the one that went, while the others are taken out.
// Which line fills it depends on what came before, so all of a range are tried.
func TestLeaveTrims(t *testing.T) {
	st, h, d, org := openTown(t)
	ctx, gs := context.Background(), d.Rosters.Groups
	for before := range 10 {
		for after := range 20 {
			w := populate(t, st, h, d, org, fmt.Sprintf("t%d-%d", before, after), 2)
			eyes, hero := w.people[0], w.people[1]
			g, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: fmt.Sprintf("g%d-%d", before, after)})
			if err != nil {
				t.Fatal(err)
			}
			if err := gs.Show(ctx, g, g, true); err != nil {
				t.Fatal(err)
			}
			w.bind(eyes, "r0")
			w.say(eyes.resources[0], 1)
			if _, err := gs.Join(ctx, g, eyes.jid); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				w.bind(hero, fmt.Sprintf("r%d", i))
				w.say(hero.resources[i], 1)
			}
			for n := range before { // the account's own log is longer than the group's
				w.say(hero.resources[1], n+2)
			}
			if _, err := gs.Join(ctx, g, hero.jid); err != nil {
				t.Fatal(err)
			}
			w.say(hero.resources[0], 0)
			for n := range after {
				w.say(hero.resources[1], n+100)
			}
			if _, err := gs.Leave(ctx, g, hero.jid); err != nil {
				t.Fatal(err)
			}
			presence.Quiet(d)
			if seen := view(eyes.resources[0]); len(seen) != 1 {
				t.Fatalf("the screen shows %v, its owner is alone", seen)
			}
		}
	}
}
