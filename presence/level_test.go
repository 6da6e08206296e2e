package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// heard is what a client was sent of one resource: the status of each presence,
// "there" for one that says no more than that, "gone". It ends the session.
func heard(c *client, of jid.JID) string {
	out := []string{}
	wires, _ := c.s.End()
	for _, w := range wires {
		if w.Kind != stanza.Presence || w.From != of {
			continue
		}
		text := string(w.Stored())
		_, rest, has := strings.Cut(text, "<status>")
		status, _, _ := strings.Cut(rest, "</status>")
		switch idle := strings.Contains(text, "urn:xmpp:idle:1"); {
		case w.Type == stanza.Unavailable:
			out = append(out, "gone")
		case idle && !has:
			out = append(out, "there")
		default:
			out = append(out, status)
		}
	}
	return strings.Join(out, " ")
}

// TestLevels: what each level tells of a resource that comes, changes twice and
// goes, to who has the row on the screen and to who has not. One's own are told
// at every level.
func TestLevels(t *testing.T) {
	for _, test := range []struct {
		level     int64
		row, none string
	}{
		{0, "1 2 3 gone", "1 2 3 gone"},
		{1, "1 2 3 gone", ""},
		{2, "there gone", "there gone"}, // both times when the bucket ended
		{3, "", ""},
	} {
		t.Run(fmt.Sprint(test.level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { levels(t, test.level, test.row, test.none) })
		})
	}
}

func levels(t *testing.T, level int64, row, none string) {
	st, h, d, org := openTown(t)
	for name, value := range map[string]int64{"presence": level, "presence.bucket": 60} {
		scope := feature.Scope{Org: org}
		if err := h.Board.Set(name, scope, value, 0); err != nil {
			t.Fatal(err)
		}
	}
	w := populate(t, st, h, d, org, "l", 3)
	ada, bob, eve := w.people[0], w.people[1], w.people[2]
	for _, p := range []*person{bob, eve} {
		w.befriend(ada, p)
		w.bind(p, "desk")
		w.say(p.resources[0], 9)
	}
	if err := d.SetVisible(bob.resources[0].a, bob.resources[0].s, []jid.JID{ada.jid}); err != nil {
		t.Fatal(err)
	}
	wait := func(long time.Duration) {
		time.Sleep(long)
		synctest.Wait()
	}
	w.bind(ada, "desk")
	w.say(ada.resources[0], 8)
	wait(125 * time.Second) // in the third bucket
	w.bind(ada, "phone")
	phone := ada.resources[1]
	for status := 1; status <= 3; status++ {
		w.say(phone, status)
		wait(10 * time.Second)
	}
	wait(2 * time.Minute)
	w.say(phone, 0)
	wait(2 * time.Minute)
	for _, hears := range []struct {
		who  *person
		want string
	}{{bob, row}, {eve, none}, {ada, "1 2 3 gone"}} {
		if got := heard(hears.who.resources[0], phone.s.JID); got != hears.want {
			t.Errorf("%s heard %q, want %q", hears.who.jid, got, hears.want)
		}
	}
	w.leave()
}

// TestWindow: changes in a large audience leave together, none later than the
// dial says, and the last state is what everybody has.
func TestWindow(t *testing.T) {
	for _, window := range []int64{0, 500} {
		synctest.Test(t, func(t *testing.T) {
			st, h, d, org := openTown(t)
			if err := h.Board.Set("presence.window", feature.Scope{Org: org}, window, 0); err != nil {
				t.Fatal(err)
			}
			w := populate(t, st, h, d, org, "w", 80)
			if _, err := d.Rosters.Groups.AddGroup(t.Context(), org, roster.NewGroup{Name: "all", Kind: roster.Everyone}); err != nil {
				t.Fatal(err)
			}
			for _, p := range w.people {
				w.bind(p, "desk")
				w.say(p.resources[0], 1)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			ada := w.people[0].resources[0]
			// One a millisecond for two seconds: thousands a second make the pause
			// as long as the dial allows.
			for n := range 2000 {
				w.say(ada, n+2)
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Duration(window)*time.Millisecond + time.Millisecond)
			synctest.Wait()
			for _, p := range w.people[1:] {
				all := strings.Fields(heard(p.resources[0], ada.s.JID))
				told := len(all) - 1 // without the first, from before
				if all[len(all)-1] != "2001" {
					t.Fatalf("window %d: the last told is %s", window, all[len(all)-1])
				}
				if window == 0 && told != 2000 || window > 0 && (told < 4 || told > 100) {
					t.Fatalf("window %d: told %d times", window, told)
				}
			}
			w.leave()
		})
	}
}

// TestRowsThatWait: rows that come and go while a client takes nothing are told
// once, those that are on the screen then; however often that was.
func TestRowsThatWait(t *testing.T) {
	p := meet(t)
	p.level(presence.Visible)
	client := p.eyes.resources[0]
	p.sleep()
	for range 100 {
		for _, rows := range [][]jid.JID{{p.hero.jid}, {}} {
			if err := p.d.SetVisible(client.a, client.s, rows); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.back()
	if err := p.d.SetVisible(client.a, client.s, []jid.JID{p.hero.jid}); err != nil {
		t.Fatal(err)
	}
	p.wake()
	presence.Quiet(p.d)
	if got := heard(client, p.hero.resources[0].s.JID); got != "2 7" {
		t.Errorf("the screen heard %q", got)
	}
}

// TestCoarseThenVisible: rows on the screen are sharp again when the level is
// visible after it was coarse.
func TestCoarseThenVisible(t *testing.T) {
	p := meet(t)
	client := p.eyes.resources[0]
	if err := p.d.SetVisible(client.a, client.s, []jid.JID{p.hero.jid}); err != nil {
		t.Fatal(err)
	}
	p.level(presence.Off)
	p.back()
	p.level(presence.Coarse)
	p.level(presence.Visible)
	if got := p.shownNow(); got != "7" {
		t.Errorf("the screen shows the hero as %q, it is 7", got)
	}
}
