package presence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
)

// TestBoundMoves: who joins a group past the bound of a roster is not seen, and
// who comes within it when another leaves is, though nobody comes online.
func TestBoundMoves(t *testing.T) {
	w := openCity(t, 1<<20)
	d, org, ctx := w.d, w.org, t.Context()
	d.Rosters.SetMax(func(feature.Org) int { return 3 })
	w.settlers(t, "b", 6)
	g, err := d.Rosters.Groups.AddGroup(ctx, org, roster.NewGroup{Name: "all"})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range w.people {
		if i < 4 {
			if _, err := d.Rosters.Groups.Join(ctx, g, p.jid); err != nil {
				t.Fatal(err)
			}
		}
		w.enter(t, p, "desk")
		p.resources[0].reader.read()
		c := p.resources[0]
		if err := c.a.ShowRoster(ctx, c.s, nil, func([]byte) {}); err != nil {
			t.Fatal(err)
		}
		w.say(c, i+1)
	}
	follow := func() {
		for _, p := range w.people {
			for more := true; more; {
				if _, more, err = p.resources[0].a.FollowGroups(ctx, p.resources[0].s, 100); err != nil {
					t.Fatal(err)
				}
			}
		}
		presence.Quiet(d)
	}
	check := func(when string) {
		t.Helper()
		follow()
		shown, wrong := 0, ""
		for late := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if shown, wrong = boundsHold(t, w); wrong == "" || time.Now().After(late) {
				break
			}
		}
		if wrong != "" || shown == 0 {
			t.Fatalf("%s: %s; %d pairs", when, wrong, shown)
		}
	}
	check("four fit")
	for _, i := range []int{4, 5} {
		if _, err := d.Rosters.Groups.Join(ctx, g, w.people[i].jid); err != nil {
			t.Fatal(err)
		}
		check("joined")
	}
	for _, i := range []int{1, 0} {
		if _, err := d.Rosters.Groups.Leave(ctx, g, w.people[i].jid); err != nil {
			t.Fatal(err)
		}
		check("left")
	}
	w.end()
}

// boundsHold compares what clients see with the bounds of their rosters.
func boundsHold(t *testing.T, w *city) (shown int, wrong string) {
	for _, p := range w.people {
		seen := p.resources[0].reader.view(p.resources[0].s.JID)
		for _, q := range w.people {
			if q == p {
				continue
			}
			want := showsContact(t, w, p, q) && showsContact(t, w, q, p)
			if _, got := seen[q.resources[0].s.JID.String()]; got != want {
				return 0, fmt.Sprintf("%s sees %s: %v, want %v", p.jid, q.jid, got, want)
			}
			if want {
				shown++
			}
		}
	}
	return shown, ""
}

// showsContact reports whether the roster of p, as clients are shown it, has q.
func showsContact(t *testing.T, w *city, p, q *person) bool {
	ro, err := p.resources[0].a.Roster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.d.Rosters.Close(ro)
	return ro.View(p.jid).Has(q.jid)
}
