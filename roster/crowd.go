package roster

import (
	"cmp"
	"slices"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
)

// keptFlips is how many comings and goings a crowd remembers.
const keptFlips = 4096

// A crowd is who is online, while a group of the organisation needs it.
type crowd struct {
	at    map[person]uint64 // and since which flip
	seq   uint64            // flips so far
	flips []person          // the last ones
}

func (c *crowd) has(p person) bool {
	_, ok := c.at[p]
	return ok
}

// members in the order of coming online, as a list of its own.
func (c *crowd) members() []person {
	list := make([]person, 0, len(c.at))
	for p := range c.at {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b person) int { return cmp.Compare(c.at[a], c.at[b]) })
	return list
}

func (c *crowd) add(p person) {
	if c.has(p) {
		return
	}
	if c.at == nil {
		c.at = make(map[person]uint64)
	}
	c.flip(p)
	c.at[p] = c.seq
}

func (c *crowd) remove(p person) {
	if c.has(p) {
		delete(c.at, p)
		c.flip(p)
	}
}

func (c *crowd) flip(p person) {
	c.seq++
	if len(c.flips) == 2*keptFlips {
		c.flips = slices.Clone(c.flips[keptFlips:])
	}
	c.flips = append(c.flips, p)
}

// since are those who came or went after a flip; false when that is not known.
func (c *crowd) since(seq uint64) ([]person, bool) {
	if seq > c.seq || c.seq-seq > uint64(len(c.flips)) {
		return nil, false
	}
	return c.flips[uint64(len(c.flips))-(c.seq-seq):], true
}

// SetOnline tells that an account has become available with its first
// resource, or unavailable with its last. It never waits for an edit's
// statements, and costs a map's entry where no group asks who is online.
func (gs *Groups) SetOnline(who jid.JID, online bool) {
	if org, told := gs.setOnline(who, online); told {
		for _, fn := range gs.flips {
			fn(org)
		}
	}
}

func (gs *Groups) setOnline(who jid.JID, online bool) (org feature.Org, told bool) {
	gs.present.Lock()
	defer gs.present.Unlock()
	domain := who.Domain()
	here := gs.online[domain]
	if online {
		if here == nil {
			here = make(map[jid.JID]struct{})
			gs.online[domain] = here
		}
		here[who] = struct{}{}
	} else if delete(here, who); len(here) == 0 {
		delete(gs.online, domain)
	}
	gs.mu.RLock()
	x := gs.domains[domain]
	watched := x != nil && slices.ContainsFunc(x.open, func(g *Group) bool { return g.kind == Online })
	gs.mu.RUnlock()
	if !watched {
		return 0, false
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	p, ok := x.numbers[who]
	if !ok || x.crowd.has(p) == online {
		return x.org, false
	}
	if online {
		x.crowd.add(p)
	} else {
		x.crowd.remove(p)
	}
	return x.org, true
}
