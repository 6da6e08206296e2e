package roster

import (
	"cmp"
	"slices"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
)

// A Follower is a client that has its roster and is told what groups change in
// it: the latest of each contact, however many edits there were. It keeps no
// list of what waits. What one Follower does comes one after the other; whose
// it is sees to that.
type Follower struct {
	told  Version // what the client has; Personal is 0
	cut   *View   // what it was shown when not all fitted; nil otherwise
	max   int     // the bound then
	moved bool    // others may fit since

	// What went from its roster is not known, for the edits were forgotten: it
	// keeps a version that brings the whole when it returns.
	kept *Version

	walk *walk // while it is being brought somewhere, in steps
}

// A walk brings a client from one version to another.
type walk struct {
	target Version
	view   *View // its bound holds for the whole way
	done   person
	all    bool // everybody is told, not only those touched
}

// Told is the version that the client may keep, as far as groups go.
func (f *Follower) Told() Version {
	if f.kept != nil {
		return *f.kept
	}
	return f.told
}

// Behind reports whether there may be something to tell.
func (f *Follower) Behind(owner jid.JID, ro *Rosters, org feature.Org) bool {
	return f.walk != nil || f.moved || f.max != ro.Max(org) || ro.Groups.Behind(owner, f.told)
}

// reached is called when the client has what a View shows.
func (f *Follower) reached(at Version, w *View) {
	f.told, f.cut, f.max, f.walk = at, nil, w.max, nil
	f.told.Bound = w.limit()
	if w.Truncated() {
		f.cut = w
	}
}

// fitted reports whether a person was within the bound when the client was
// last told.
func (f *Follower) fitted(p person) bool { return f.cut == nil || f.cut.cut.has(p) }

// Whole is the whole roster, and the version it is of.
func (f *Follower) Whole(owner jid.JID, ro *Roster) (*View, Version) {
	at := ro.rosters.Groups.At(owner)
	w := ro.View(owner)
	*f = Follower{}
	f.reached(at, w)
	at = f.told
	at.Personal = ro.Version() // before the items
	return w, at
}

// Return is what a client that comes back with a version has missed of the
// groups, besides the contacts whose personal items have changed: how the items
// look now, and the version that the client then has. full means that it needs
// the whole: who fits into a bounded roster is not kept.
func (f *Follower) Return(owner jid.JID, ro *Roster, since Version, personal []jid.JID) (items []Change, at Version, full bool) {
	gs := ro.rosters.Groups
	at = gs.At(owner)
	changed, stirred, full := gs.missed(owner, since, ro)
	if full {
		return nil, at, true
	}
	w := ro.View(owner)
	n := len(changed) + len(personal)
	if n > DefaultMax || since.Bound != w.limit() || w.Truncated() && (n > 0 || stirred) {
		return nil, at, true
	}
	*f = Follower{}
	f.reached(at, w)
	at = f.told
	at.Personal = ro.Version() // nobody edits meanwhile, see Account.edits
	done := make(map[jid.JID]bool, len(personal))
	for _, j := range personal {
		done[j] = true
		items = append(items, w.Item(j))
	}
	for _, t := range changed {
		if done[t.JID] {
			continue
		}
		if it := w.Item(t.JID); !it.Removed || t.Was {
			items = append(items, it)
		}
	}
	return items, at, false
}

// Next is what to tell next, max contacts at most, and whether there is more.
// The last one, when there is no more, brings the client to Told.
func (f *Follower) Next(owner jid.JID, ro *Roster, max int) (items []Change, more bool) {
	rs := ro.rosters
	if !f.Behind(owner, rs, ro.Org) {
		return nil, false
	}
	at := rs.Groups.At(owner)
	if f.walk == nil {
		f.walk = &walk{target: at, view: ro.View(owner)}
		f.moved = false
	}
	w := f.walk
	w.view.own = ro // it may have been opened anew
	for _, t := range f.toTell(owner, ro) {
		if t.number < w.done {
			continue
		}
		if len(items) == max {
			return items, true
		}
		w.done = t.number + 1
		if it := w.view.Item(t.JID); !it.Removed || t.Was && f.fitted(t.number) {
			items = append(items, it)
		}
	}
	f.reached(w.target, w.view)
	return items, f.moved
}

// toTell are those of whom there is something to tell on this walk, by number:
// who was touched, and who fits now and did not, or fitted and does not.
func (f *Follower) toTell(owner jid.JID, ro *Roster) []Touched {
	gs, w := ro.rosters.Groups, f.walk
	var list []Touched
	if !w.all {
		var full bool
		if list, full = gs.Delta(owner, f.told, ro); full {
			w.all, w.done = true, 0
			if f.kept == nil {
				told := f.told
				f.kept = &told
			}
		}
	}
	if w.all {
		list = w.view.everybody()
	} else if f.cut != nil || w.view.Truncated() {
		list = append(list, f.shifted(w.view, list)...)
		slices.SortFunc(list, func(a, b Touched) int { return cmp.Compare(a.number, b.number) })
	}
	return list
}

// Rebound is what else to tell when a personal item has changed: who has to go
// for it, or has room now. The client is told it together with the item. What
// does not come here comes by Next.
func (f *Follower) Rebound(w *View) (items []Change) {
	if f.cut == nil && !w.Truncated() {
		return nil
	}
	if f.walk != nil || w.groups.Behind(w.viewer, f.told) {
		f.moved = true
		return nil
	}
	for _, t := range f.shifted(w, nil) {
		items = append(items, w.Item(t.JID))
	}
	f.reached(f.told, w)
	return items
}

// shifted are those who fit now and did not, or fitted and do not, but for
// some.
func (f *Follower) shifted(w *View, but []Touched) (list []Touched) {
	if !w.known {
		return nil
	}
	told := make(map[person]bool, len(but))
	for _, t := range but {
		told[t.number] = true
	}
	w.eachSeen(func(p person, j jid.JID) {
		if before := f.fitted(p); before != (w.cut == nil || w.cut.has(p)) && !told[p] {
			list = append(list, Touched{JID: j, Was: before, number: p})
		}
	})
	return list
}

// everybody are those whom groups show now, beyond the bound too, and those who
// have personal items, by number.
func (w *View) everybody() (list []Touched) {
	if !w.known {
		return nil
	}
	done := make(map[person]bool)
	w.eachSeen(func(p person, j jid.JID) {
		done[p] = true
		list = append(list, Touched{JID: j, Was: true, number: p})
	})
	personal, _ := w.own.Items()
	w.groups.mu.RLock()
	for _, it := range personal {
		if p, ok := w.index.numbers[it.JID]; ok && it.Listed && !done[p] {
			list = append(list, Touched{JID: it.JID, number: p})
		}
	}
	w.groups.mu.RUnlock()
	slices.SortFunc(list, func(a, b Touched) int { return cmp.Compare(a.number, b.number) })
	return list
}

// eachSeen calls fn once for everybody seen by groups now, within the bound or
// not. fn runs under Groups.mu.
func (w *View) eachSeen(fn func(p person, j jid.JID)) {
	w.groups.mu.RLock()
	defer w.groups.mu.RUnlock()
	done := make(bitmap, len(w.index.people)/64+1)
	done.add(w.number)
	for _, s := range w.index.seenBy(w.number) {
		for _, p := range s.group.current() {
			if !done.has(p) {
				done.add(p)
				fn(p, w.index.people[p].jid)
			}
		}
	}
}
