package roster

import (
	"slices"

	"github.com/bearhug/bearhug/jid"
)

// Who sees whom by groups: a question walks from one person to the other.

// Sees reports whether viewer sees contact through a group. A viewer counts as
// online: it asks. It is false for oneself, and across organisations.
func (gs *Groups) Sees(viewer, contact jid.JID) bool {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[viewer.Domain()]
	if x == nil {
		return false
	}
	v, p, ok := x.pair(viewer, contact)
	return ok && x.sees(v, p, x.crowd.has(p), false)
}

// Care reports whether one of the two sees the other by a relation that is
// flagged care (decision 10): one look-up in memory. Who is not online counts
// as if.
func (gs *Groups) Care(a, b jid.JID) bool {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[a.Domain()]
	if x == nil {
		return false
	}
	v, p, ok := x.pair(a, b)
	return ok && (x.sees(v, p, true, true) || x.sees(p, v, true, true))
}

func (x *index) pair(a, b jid.JID) (v, p person, ok bool) {
	v, ok = x.numbers[a]
	if !ok || a == b {
		return 0, 0, false
	}
	p, ok = x.numbers[b]
	return v, p, ok
}

// sees walks from the groups of p outwards: for each, is one that v is in
// among those that see it?
func (x *index) sees(v, p person, present, care bool) bool {
	if v == p {
		return false
	}
	for _, g := range x.people[p].groups {
		if x.shownTo(v, g, care) {
			return true
		}
	}
	for _, g := range x.open {
		if (g.kind == Everyone || present) && x.shownTo(v, g, care) {
			return true
		}
	}
	return false
}

// shownTo reports whether v, who counts as online, sees the members of a group.
func (x *index) shownTo(v person, g *Group, care bool) bool {
	for a := g; a != nil; a = a.parent {
		if x.meets(v, a, care) {
			return true
		}
	}
	return false
}

// meets is shownTo by a group's own relations only.
func (x *index) meets(v person, g *Group, care bool) bool {
	return meet(x.people[v].groups, g.shown, care) || len(x.open) > 0 && meet(x.open, g.shown, care)
}

// meet reports whether one of the groups stands among the relations; both are
// in the order of ids.
func meet(groups []*Group, list []relation, care bool) bool {
	if len(groups) < len(list) {
		for _, g := range groups {
			if r := find(list, g); r != nil && (r.care || !care) {
				return true
			}
		}
		return false
	}
	for i := range list {
		if care && !list[i].care {
			continue
		}
		if _, found := slices.BinarySearchFunc(groups, list[i].group, byID); found {
			return true
		}
	}
	return false
}

// find is the relation to a group, nil when there is none.
func find(list []relation, g *Group) *relation {
	i, found := place(list, g)
	if !found {
		return nil
	}
	return &list[i]
}

func place(list []relation, g *Group) (int, bool) {
	return slices.BinarySearchFunc(list, g, func(r relation, g *Group) int { return byID(r.group, g) })
}
