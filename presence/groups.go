package presence

import (
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
)

// join puts an account before the audiences of its groups. b.mu is held.
func (b *board) join(a *Account) {
	gs := b.directory.rosters.Groups
	gs.SetOnline(a.JID, true)
	for _, g := range gs.Of(a.JID) {
		a.places = append(a.places, b.audience(g))
	}
	b.bound(a)
}

// audience returns the audience of a group, made when there is none. Who is in
// it without being online need not be.
func (b *board) audience(g *roster.Group) *audience {
	aud := b.groups[g]
	if aud == nil {
		aud = &audience{group: g}
		b.groups[g] = aud
		b.relevel()
	}
	return aud
}

// bound finds who is beyond the bound of an account's roster: nobody, mostly.
// What was found holds until the account comes again, or rebound.
func (b *board) bound(a *Account) {
	rs := b.directory.rosters
	a.cut = nil
	if view := rs.Groups.View(a.JID, rs.Max(b.org), a.roster); view.Truncated() {
		a.cut = view
	}
}

// rebound finds anew who is beyond the bound of an account's roster, when its
// clients are told that it has changed: presence follows what the roster shows.
func (d *Directory) rebound(a *Account) {
	b := a.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.shown > 0 {
		b.rebound(a)
	}
}

// rebound is Directory.rebound for who is online; b.mu is held.
func (b *board) rebound(a *Account) {
	old := a.cut
	b.bound(a)
	now := a.cut
	if old.SameBound(now) {
		return
	}
	due := make(map[*viewer]struct{})
	b.repart(a, due, func(v *viewer, e *entry) (was, is bool) {
		other := e.account
		if other == a {
			other = v.account
		}
		if other.cut.Beyond(a.JID) {
			return true, true
		}
		return old.LeftOut(other.JID), now.Beyond(other.JID)
	})
	for v := range due {
		b.directory.flusher.flushSoon(v)
	}
}

// within reports whether two are within the bounds of each other's rosters: a
// pair that one of them cuts is silent both ways.
func within(a, b *Account) bool {
	return !a.cut.Beyond(b.JID) && !b.cut.Beyond(a.JID)
}

// attachGroups puts a viewer before the audiences of the groups it sees.
func (b *board) attachGroups(v *viewer) (changed bool) {
	seen := b.directory.rosters.Groups.Seen(v.account.JID)
	for _, at := range v.groups {
		if !at.leaving && !slices.Contains(seen, at.audience.group) {
			at.leaving = true
			v.leaving++
			changed = true
		}
	}
	for _, g := range seen {
		has := func(at *attachment) bool { return !at.leaving && at.audience.group == g }
		if !slices.ContainsFunc(v.groups, has) {
			v.groups = append(v.groups, b.attach(v, b.audience(g)))
			changed = true
		}
	}
	return changed
}

// groupContacts calls f for everybody whom a viewer sees by a group.
func (b *board) groupContacts(v *viewer, f func(jid.JID)) {
	for _, at := range v.groups {
		if at.leaving {
			continue
		}
		at.audience.group.Each(func(member jid.JID) bool {
			if member != v.account.JID {
				f(member)
			}
			return true
		})
	}
}

// regrouped follows an edit of groups: entries come into audiences and leave
// them, viewers are attached and taken away.
func (d *Directory) regrouped(c roster.GroupChange) {
	if c.Kind == roster.Labelled {
		return
	}
	b := d.board(c.Org)
	if c.Kind != roster.MemberAdded && c.Kind != roster.MemberRemoved {
		b.mu.RLock()
		list := b.concerned(c)
		b.mu.RUnlock()
		for some := range slices.Chunk(list, stretch) { // whoever comes in between finds the groups as they are now
			b.mu.Lock()
			for _, a := range some {
				b.regroup(a)
			}
			b.mu.Unlock()
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if aud := b.groups[c.Group]; aud != nil && c.Kind == roster.MemberRemoved {
		aud.depart(c.Member, b.version)
	}
	if a := d.find(c.Member); a != nil {
		b.regroup(a)
	}
}

// concerned lists the accounts online whom a change of relations concerns.
func (b *board) concerned(c roster.GroupChange) (list []*Account) {
	all := make(map[*Account]struct{})
	if aud := b.groups[c.Group]; aud != nil && (c.Kind == roster.Shown || c.Kind == roster.Hidden) {
		for i := range aud.log {
			if e := aud.log[i].entry; e != nil && e.wire != nil {
				all[e.account] = struct{}{}
			}
		}
	} else {
		for v := range b.viewers {
			all[v.account] = struct{}{}
		}
	}
	for a := range all {
		list = append(list, a)
	}
	return list
}

// regroup makes an account that is online stand before the audiences of the
// groups it is in now, and its viewers before those of the groups it sees.
func (b *board) regroup(a *Account) {
	if a.shown == 0 {
		return
	}
	before := a.places
	a.places = []*audience{a.own}
	for _, g := range b.directory.rosters.Groups.Of(a.JID) {
		a.places = append(a.places, b.audience(g))
	}
	for _, aud := range before {
		if !a.stands(aud) {
			aud.depart(a.JID, b.version)
			b.reshow(a, aud, false)
			b.unpin(aud)
		}
	}
	for _, aud := range a.places {
		if !slices.Contains(before, aud) {
			b.reshow(a, aud, true)
		}
	}
	b.rebound(a)
	for _, r := range a.Resources() {
		if r.viewer != nil && b.attachGroups(r.viewer) {
			b.directory.flusher.flushSoon(r.viewer)
		}
	}
}

// reshow puts the entries of an account into an audience, or takes them out.
func (b *board) reshow(a *Account, aud *audience, shown bool) {
	for _, e := range a.entries {
		if e.wire == nil {
			continue
		}
		b.version++
		w := e.wire
		if !shown {
			w = b.unavailable(e.jid)
		}
		b.put(aud, e, w, shown)
	}
	if len(aud.viewers) > 0 {
		b.directory.flusher.dirty(b, aud)
	}
}
