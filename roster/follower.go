package roster

import (
	"slices"

	"github.com/bearhug/bearhug/jid"
)

// A Follower is a client that has its roster and is told what groups change in
// it: the latest of each contact, however many edits there were. It keeps no
// list of what waits. What one Follower does comes one after the other; whose
// it is sees to that.
type Follower struct {
	told   Version // what the client has; Personal is 0
	target Version // where it is being brought
	done   person  // of those touched since told, these have been told
	walks  bool
	cut    *View // what the client was shown when not all fitted; nil otherwise
}

// Told is the version of the groups that the client has.
func (f *Follower) Told() Version { return f.told }

// begin is called when the client is shown its roster.
func (f *Follower) begin(at Version, w *View) {
	*f = Follower{told: at}
	if w.Truncated() {
		f.cut = w
	}
}

// Whole is the whole roster, and the version it is of.
func (f *Follower) Whole(owner jid.JID, ro *Roster) (*View, Version) {
	at := ro.rosters.Groups.At(owner)
	w := ro.View(owner)
	f.begin(at, w)
	at.Personal = ro.Version() // before the items
	return w, at
}

// Return is what a client that comes back with a version has missed of the
// groups, besides the contacts whose personal items have changed: how the items
// look now, and the version that the client then has. full means that it needs
// the whole.
func (f *Follower) Return(owner jid.JID, ro *Roster, since Version, personal []jid.JID) (items []Change, at Version, full bool) {
	gs := ro.rosters.Groups
	at = gs.At(owner)
	changed, full := gs.Delta(owner, since, ro)
	if full {
		return nil, at, true
	}
	w := ro.View(owner)
	n := len(changed) + len(personal)
	if n > 0 && w.near(n) || n > DefaultMax {
		return nil, at, true
	}
	f.begin(at, w)
	at.Personal = ro.Version() // nobody edits meanwhile, see Account.edits
	for _, j := range personal {
		items = append(items, w.Item(j))
	}
	for _, t := range changed {
		if slices.Contains(personal, t.JID) {
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
	gs := ro.rosters.Groups
	at := gs.At(owner)
	if !f.walks && !gs.Behind(owner, f.told) {
		return nil, false
	}
	changed, full := gs.Delta(owner, f.told, ro)
	if full { // only one that was away for very long: it is told all there is
		all, _ := f.Whole(owner, ro)
		return slices.Collect(all.Items()), false
	}
	if !f.walks {
		f.walks, f.target, f.done = true, at, 0
	}
	w := ro.View(owner)
	for _, t := range changed {
		if t.number < f.done {
			continue
		}
		if len(items) == max {
			return items, true
		}
		f.done = t.number + 1
		was := t.Was && (f.cut == nil || f.cut.cut.has(t.number))
		if it := w.Item(t.JID); !it.Removed || was {
			items = append(items, it)
		}
	}
	if f.cut != nil || w.Truncated() {
		items = append(items, f.shift(w, changed)...)
	}
	f.begin(f.target, w)
	return items, false
}

// shift are those who fit now and did not, or fitted and do not. Those changed
// have been told already.
func (f *Follower) shift(w *View, changed []Touched) (items []Change) {
	gs := w.groups
	told := make(map[person]bool, len(changed))
	for _, t := range changed {
		told[t.number] = true
	}
	gs.mu.RLock()
	var moved []jid.JID
	if w.known {
		done := make(bitmap, len(w.index.people)/64+1)
		for _, s := range w.index.seenBy(w.number) {
			for _, p := range s.group.current() {
				before, now := f.cut == nil || f.cut.cut.has(p), w.cut == nil || w.cut.has(p)
				if before != now && p != w.number && !told[p] && !done.has(p) {
					done.add(p)
					moved = append(moved, w.index.people[p].jid)
				}
			}
		}
	}
	gs.mu.RUnlock()
	for _, j := range moved {
		items = append(items, w.Item(j))
	}
	return items
}
