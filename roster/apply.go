package roster

import (
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// apply changes the index by one entry of the log and tells what that did.
// The caller holds Groups.present and Groups.mu.
func (x *index) apply(l store.GroupLog) (changes []GroupChange) {
	tell := func(kind ChangeKind, g, other *Group, who jid.JID) {
		changes = append(changes, GroupChange{Org: x.org, Version: l.Version, Kind: kind, Group: g, Other: other, Member: who, Care: l.Care})
	}
	x.version = max(x.version, l.Version)
	g, other := x.byID[l.Group], x.byID[l.Other]
	switch l.Kind {
	case store.GroupLogAdded:
		if g == nil && l.Row.ID != 0 {
			tell(GroupAdded, x.add(l.Row), nil, jid.JID{})
		}
	case store.GroupLogCreated:
		x.created(l, tell)
	case store.GroupLogDeleted:
		x.deleted(l, tell)
	case store.GroupLogNone, store.GroupLogReloaded:
	default:
		if g != nil {
			x.alter(l, g, other, tell)
		}
	}
	return changes
}

type teller func(kind ChangeKind, g, other *Group, who jid.JID)

// alter is an edit of a group that is there.
func (x *index) alter(l store.GroupLog, g, other *Group, tell teller) {
	switch l.Kind {
	case store.GroupLogRemoved:
		x.bury(g, l.Version)
		tell(GroupRemoved, g, nil, jid.JID{})
	case store.GroupLogLabelled:
		if l.Row.ID != 0 {
			g.label, g.about = l.Row.Label, l.Row.About
			x.note(g, l.Version, l.Kind, 0)
			tell(Labelled, g, nil, jid.JID{})
		}
	case store.GroupLogJoined:
		if l.Local == "" {
			return // gone meanwhile
		}
		p := x.number(store.GroupPerson{Account: l.Account, Local: l.Local})
		if x.join(g, p) {
			x.move(p, l.Version, l.Kind, g)
			tell(MemberAdded, g, nil, x.people[p].jid)
		}
	case store.GroupLogLeft:
		p, ok := x.known(l)
		if ok && x.leave(g, p) {
			x.move(p, l.Version, l.Kind, g)
			tell(MemberRemoved, g, nil, x.people[p].jid)
		}
	case store.GroupLogUnnested:
		x.uproot(l.Version, g, tell)
	default:
		if other != nil {
			x.connect(l, g, other, tell)
		}
	}
}

// connect is an edit between two groups.
func (x *index) connect(l store.GroupLog, g, other *Group, tell teller) {
	switch l.Kind {
	case store.GroupLogShown:
		x.relate(g, other, l.Version, l.Care)
		x.noteBoth(g, other, l.Version, l.Kind)
		tell(Shown, g, other, jid.JID{})
	case store.GroupLogFlagged: // no item looks different, but others may fit
		x.relate(g, other, l.Version, l.Care)
		x.noteBoth(g, other, l.Version, l.Kind)
		tell(Shown, g, other, jid.JID{})
	case store.GroupLogHidden:
		unrelate(g, other)
		x.noteBoth(g, other, l.Version, l.Kind)
		tell(Hidden, g, other, jid.JID{})
	case store.GroupLogNested:
		if g.parent == other {
			return
		}
		x.uproot(l.Version, g, tell)
		x.nest(g, other)
		x.noteBoth(g, other, l.Version, l.Kind)
		tell(Nested, g, other, jid.JID{})
	}
}

// uproot takes a group out of the one that it is nested in.
func (x *index) uproot(version uint64, g *Group, tell teller) {
	parent := g.parent
	if parent == nil {
		return
	}
	x.unnest(g)
	x.noteBoth(g, parent, version, store.GroupLogUnnested)
	tell(Unnested, g, parent, jid.JID{})
}

// add makes a group. One of everyone needs all accounts: whoLoads has put them
// into the index before.
func (x *index) add(row store.GroupRow) *Group {
	g := x.insert(row)
	x.relate(g, g, g.id, false)
	if g.kind == Online && len(x.crowd.at) == 0 {
		for who := range x.groups.online[x.domain] {
			if p, ok := x.numbers[who]; ok {
				x.crowd.add(p)
			}
		}
	}
	return g
}

// bury removes a group. Its object keeps the members, for those who missed it.
func (x *index) bury(g *Group, version uint64) {
	if g.kind == Explicit {
		x.settle(g)
		for _, p := range g.members {
			m := &x.people[p]
			i, _ := slices.BinarySearchFunc(m.groups, g, byID)
			m.groups = slices.Concat(m.groups[:i], m.groups[i+1:])
			x.moves[p] = append(x.moves[p], entry{version: version, other: g, who: p, kind: store.GroupLogLeft})
			x.count(version)
		}
		x.memberships -= len(g.members)
	} else {
		g.members, g.whole = g.current(), x.whole // neither list is changed any more
		x.graves = append(x.graves, g)
		x.countMany(version, len(g.members)+len(g.whole))
		x.open = slices.DeleteFunc(x.open, func(o *Group) bool { return o == g })
		if len(x.open) == 0 {
			x.whole = nil
		}
		if !slices.ContainsFunc(x.open, func(o *Group) bool { return o.kind == Online }) {
			x.crowd = crowd{seq: x.crowd.seq + 1}
		}
	}
	for _, r := range slices.Clone(g.sees) {
		unrelate(g, r.group)
		x.noteBoth(g, r.group, version, store.GroupLogHidden)
	}
	for _, r := range slices.Clone(g.shown) {
		unrelate(r.group, g)
		x.noteBoth(r.group, g, version, store.GroupLogHidden)
	}
	silently := func(ChangeKind, *Group, *Group, jid.JID) {}
	x.uproot(version, g, silently)
	for _, child := range slices.Clone(g.children) {
		x.uproot(version, child, silently)
	}
	g.gone = version
	delete(x.byID, g.id)
	delete(x.byName, g.name)
}

// known finds the person that an entry names.
func (x *index) known(l store.GroupLog) (person, bool) {
	j, err := jid.New(l.Local, x.domain, "")
	if err != nil {
		return 0, false
	}
	p, ok := x.numbers[j]
	return p, ok
}

// created: an account was made while groups have everyone.
func (x *index) created(l store.GroupLog, tell teller) {
	if len(x.open) == 0 || l.Local == "" {
		return
	}
	p := x.number(store.GroupPerson{Account: l.Account, Local: l.Local})
	if slices.Contains(x.whole, p) {
		return
	}
	x.whole = append(x.whole, p)
	_, online := x.groups.online[x.domain][x.people[p].jid]
	for _, g := range x.open {
		if g.kind == Everyone {
			x.note(g, l.Version, store.GroupLogJoined, p)
			tell(MemberAdded, g, nil, x.people[p].jid)
		} else if online { // it came before this was known of it
			x.crowd.add(p)
		}
	}
}

// deleted: an account is gone. It has left its groups by entries of their own.
func (x *index) deleted(l store.GroupLog, tell teller) {
	p, ok := x.known(l)
	if !ok {
		return
	}
	for _, g := range slices.Clone(x.people[p].groups) {
		if x.leave(g, p) {
			x.move(p, l.Version, store.GroupLogLeft, g)
			tell(MemberRemoved, g, nil, x.people[p].jid)
		}
	}
	x.crowd.remove(p)
	x.whole = without(x.whole, p)
	for _, g := range x.open {
		if g.kind == Everyone {
			x.note(g, l.Version, store.GroupLogLeft, p)
			tell(MemberRemoved, g, nil, x.people[p].jid)
		}
	}
	// A number is not given again: readers may hold it.
	delete(x.numbers, x.people[p].jid)
	x.departed[x.people[p].jid] = l.Version
	x.count(l.Version)
}
