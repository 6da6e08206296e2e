package archive_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/stanza"
)

// id is the n-th id.
func id(n int) (id stanza.ArchiveID) {
	id[6], id[7], id[15] = byte(n>>8), byte(n), 7
	return id
}

func messages(ns ...int) (list []*stanza.Wire) {
	for _, n := range ns {
		list = append(list, &stanza.Wire{Kind: stanza.Message, ID: id(n)})
	}
	return list
}

// An account is a model of one account: its log, its resources, its cursor.
type account struct {
	t         *rapid.T
	in        archive.Inbox
	last      int          // of the log
	arrived   map[int]bool // some resource has acknowledged it
	cursor    stanza.ArchiveID
	resources []*resource
}

type resource struct{ unacked []int }

func (a *account) move(c stanza.ArchiveID) {
	if a.cursor.Less(c) {
		a.cursor = c
	}
	for n := 1; n <= a.last; n++ {
		if !a.arrived[n] && !a.cursor.Less(id(n)) {
			a.t.Fatalf("the cursor has passed %d of %d, which nobody has", n, a.last)
		}
	}
}

func (a *account) hand(to []*resource) {
	a.last++
	a.in.Hand(id(a.last), func() int { return len(to) })
	for _, r := range to {
		r.unacked = append(r.unacked, a.last)
	}
}

func (a *account) ack(r *resource, n int) {
	for _, m := range r.unacked[:n] {
		a.arrived[m] = true
	}
	c := a.in.Ack(messages(r.unacked[:n]...))
	r.unacked = r.unacked[n:]
	a.move(c)
}

// join adds a resource; it dies after so many replayed messages, if any.
func (a *account) join(dies int) {
	r := &resource{}
	var upto stanza.ArchiveID
	behind := false
	a.in.Join(func(b bool, u stanza.ArchiveID) { behind, upto = b, u })
	if !behind {
		for n := 1; n <= a.last; n++ {
			if !a.arrived[n] {
				a.t.Fatalf("%d of %d is nobody's, and the resource is not told", n, a.last)
			}
		}
	}
	a.resources = append(a.resources, r)
	if !behind {
		return
	}
	for n := 1; n <= a.last && !upto.Less(id(n)); n++ {
		if !a.cursor.Less(id(n)) {
			continue
		}
		if dies == 0 {
			a.end(r)
			return
		}
		dies--
		if !a.in.Replay(id(n)) {
			if !a.arrived[n] {
				a.t.Fatalf("%d is nobody's, and not replayed", n)
			}
			continue
		}
		if a.arrived[n] {
			a.t.Fatalf("%d has arrived, and is replayed", n)
		}
		r.unacked = append(r.unacked, n)
	}
	a.move(a.in.Replayed(upto))
}

// end is the end of a resource, as router.rescue does it.
func (a *account) end(r *resource) {
	a.resources = slices.DeleteFunc(a.resources, func(x *resource) bool { return x == r })
	for _, n := range r.unacked {
		elsewhere := slices.ContainsFunc(a.resources, func(x *resource) bool { return slices.Contains(x.unacked, n) })
		if waits := a.in.Waits(id(n)); waits == a.arrived[n] {
			a.t.Fatalf("%d: waits %v, arrived %v", n, waits, a.arrived[n])
		}
		if !elsewhere {
			a.in.Miss(id(n))
		}
	}
}

// TestInboxLosesNothing: whatever resources come, go, acknowledge and read by
// themselves, the cursor never passes what nobody has; who comes last finds
// all of it and nothing else.
func TestInboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &account{t: t, arrived: map[int]bool{}}
		pick := func() *resource { return rapid.SampledFrom(a.resources).Draw(t, "resource") }
		t.Repeat(map[string]func(*rapid.T){
			"hand": func(t *rapid.T) {
				var to []*resource
				for _, r := range a.resources {
					if rapid.Bool().Draw(t, "to") {
						to = append(to, r)
					}
				}
				a.hand(to)
			},
			"refused": func(t *rapid.T) { // it had a target, which did not take it
				a.last++
				a.in.Hand(id(a.last), func() int { return 1 })
				if !a.in.Miss(id(a.last)) {
					t.Fatal("it has arrived?")
				}
			},
			"ack": func(t *rapid.T) {
				if len(a.resources) > 0 {
					r := pick()
					a.ack(r, rapid.IntRange(0, len(r.unacked)).Draw(t, "n"))
				}
			},
			"join":     func(t *rapid.T) { a.join(rapid.IntRange(0, 20).Draw(t, "dies after")) },
			"join all": func(*rapid.T) { a.join(1 << 20) },
			"end": func(t *rapid.T) {
				if len(a.resources) > 0 {
					a.end(pick())
				}
			},
			"read the archive": func(t *rapid.T) { // XEP-0313, a page that ends here
				n := rapid.IntRange(0, a.last).Draw(t, "to")
				if n == 0 {
					return
				}
				for m := 1; m <= n; m++ {
					a.arrived[m] = true
				}
				a.move(a.in.Ack([]*stanza.Wire{{Kind: stanza.IQ, ID: id(n)}}))
			},
		})
		for len(a.resources) > 0 {
			a.end(a.resources[0])
		}
		a.join(1 << 20)
		if len(a.resources) > 0 {
			a.ack(a.resources[0], len(a.resources[0].unacked))
		}
		for n := 1; n <= a.last; n++ {
			if !a.arrived[n] {
				t.Fatalf("%d of %d never arrived", n, a.last)
			}
		}
		if a.in.Behind() {
			t.Fatal("all has arrived, but the inbox is behind")
		}
		if a.last > 0 && a.cursor != id(a.last) {
			t.Fatalf("the cursor stands at %x, not at %d", a.cursor, a.last)
		}
	})
}

// TestInboxBounded: what nobody acknowledges does not fill the memory, and
// comes again.
func TestInboxBounded(t *testing.T) {
	var in archive.Inbox
	const n = 40000
	for i := 1; i <= n; i++ {
		in.Hand(id(i), func() int { return 1 })
	}
	for i := 1; i <= n; i++ {
		if !in.Replay(id(i)) {
			t.Fatalf("%d is not replayed", i)
		}
	}
	var cursor stanza.ArchiveID
	in.Replayed(id(n))
	for i := 1; i <= n; i++ {
		cursor = in.Ack(messages(i))
	}
	if cursor != id(n) || in.Behind() {
		t.Errorf("cursor %x, behind %v", cursor, in.Behind())
	}
}

// TestInboxLoaded: what waited before the account was in memory.
func TestInboxLoaded(t *testing.T) {
	var in archive.Inbox
	in.Load(id(9), true)
	in.Hand(id(10), func() int { return 1 })
	if c := in.Ack(messages(10)); !c.IsZero() {
		t.Errorf("the cursor moved to %x past what waits", c)
	}
	if in.Replay(id(10)) {
		t.Error("10 has arrived")
	}
	if !in.Replay(id(4)) {
		t.Error("4 waits")
	}
	if c := in.Replayed(id(10)); !c.IsZero() {
		t.Errorf("the cursor moved to %x, 4 has not arrived", c)
	}
	if c := in.Ack(messages(4)); c != id(10) {
		t.Errorf("cursor %x", c)
	}
}
