package presence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// TestHysteresis: who is back before the dial has passed was never away; who is
// not is told to be gone, once.
func TestHysteresis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, h, d, org := openTown(t)
		if err := h.Board.Set("presence.hysteresis", feature.Scope{}, 1000, 0); err != nil {
			t.Fatal(err)
		}
		w := populate(t, st, h, d, org, "h", 2)
		ada, bob := w.people[0], w.people[1]
		w.befriend(ada, bob)
		w.bind(bob, "desk")
		w.say(bob.resources[0], 7)
		cut := func() {
			c := ada.resources[0]
			ada.resources = nil
			c.s.End()
			d.Unbind(c.a, c.s, true)
			c.a.Release()
		}
		for range 3 {
			w.bind(ada, "phone")
			w.say(ada.resources[0], 1)
			cut()
			time.Sleep(900 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		var heard []stanza.Type
		c := bob.resources[0]
		wires, _ := c.s.End()
		for _, w := range wires {
			if w.From.Bare() == ada.jid {
				heard = append(heard, w.Type)
			}
		}
		if len(heard) != 2 || heard[0] != stanza.Available || heard[1] != stanza.Unavailable {
			t.Errorf("heard %v", heard)
		}
		d.Unbind(c.a, c.s, false)
		c.a.Release()
	})
}

// TestHold: after a start nothing but one's own is told until the dial has
// passed; then it is told once, as it is.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, h, d, org := openTown(t)
		if err := h.Board.Set("presence.hold", feature.Scope{}, 10, 0); err != nil {
			t.Fatal(err)
		}
		w := populate(t, st, h, d, org, "h", 2)
		ada, bob := w.people[0], w.people[1]
		w.befriend(ada, bob)
		for _, p := range w.people {
			w.bind(p, "desk")
		}
		for n := range 5 {
			w.say(bob.resources[0], n+1)
			w.say(ada.resources[0], n+1)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		n := 0
		wires, _ := bob.resources[0].s.End()
		for _, w := range wires {
			if w.From.Bare() == ada.jid {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d presences of a contact, want the last", n)
		}
		for _, p := range w.people {
			w.unbind(p, 0)
		}
	})
}
