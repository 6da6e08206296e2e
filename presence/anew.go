package presence

import (
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// This file is what a viewer is told beside what its cursors say: everything
// anew after a loss, single entries after a block, and rows that are new.
//
// A loss is presence that was dropped from a mailbox, or an audience that has
// forgotten what a cursor is behind. What of it the client has is not known, so
// whoever it may show, and is not as it may show them, is told to be gone by
// the bare address; then all logs are told from their begin. Who that is:
// contacts of whom nothing is shown now; those of whom a resource went, or was
// parted from somebody, since the viewer came (Account.fewer); and who was a
// contact since then, and is perhaps no more (viewer.past, audience.left).

// maxPast bounds viewer.past.
const maxPast = 1000

func (v *viewer) remember(contact jid.JID) {
	if v.past == nil {
		v.past = make(map[jid.JID]struct{})
	}
	if len(v.past) < maxPast {
		v.past[contact] = struct{}{}
	}
}

// forgetAll begins anew after a loss.
func (b *board) forgetAll(v *viewer) {
	v.round = 0
	v.own.restart(b.version)
	v.each(func(at *attachment) { at.restart(b.version) })
	gone := func(contact jid.JID) { v.note(contact, amendment{}) }
	if v.account.fewer > v.born { // its own resources are no contacts; it came at v.born
		gone(v.account.JID)
	}
	b.contacts(v, func(contact jid.JID) {
		if a := b.directory.find(contact); a == nil || a.fewer >= v.born || !v.seesAny(a) {
			gone(contact)
		}
	})
	for contact := range v.past {
		gone(contact)
	}
	for _, at := range v.groups {
		for _, d := range at.audience.left {
			if d.version >= v.born {
				gone(d.account)
			}
		}
	}
}

// seesAny reports whether any resource of an account is shown to the viewer.
func (v *viewer) seesAny(a *Account) bool {
	return slices.ContainsFunc(a.entries, func(e *entry) bool { return e.wire != nil && v.maySee(e) })
}

// contacts calls f for everybody whose presence a viewer may be told of.
func (b *board) contacts(v *viewer, f func(jid.JID)) {
	if ro := v.account.roster; ro != nil {
		items, _ := ro.Items()
		for _, it := range items {
			if it.Sub.Sees() {
				f(it.JID)
			}
		}
	}
	b.groupContacts(v, f)
}

// restart has an attachment tell everything from the begin.
func (at *attachment) restart(version uint64) {
	if !at.leaving {
		at.seen, at.told, at.bucket, at.born = 0, 0, 0, version
	}
}

// amend has a viewer told of one entry out of the order of versions: as it is,
// or that it is gone.
func (v *viewer) amend(e *entry, shown bool) {
	delete(v.later, e.jid)
	v.note(e.jid, amendment{entry: e, shown: shown})
}

func (v *viewer) note(who jid.JID, am amendment) {
	if v.amends == nil {
		v.amends = make(map[jid.JID]amendment)
	}
	v.amends[who] = am
}

// An amendment is what a viewer is told of an address besides what audiences
// say: of a resource, or that a contact is gone, by its bare address.
type amendment struct {
	entry  *entry // nil: a contact
	shown  bool
	coarse bool // the short form has been told
}

// tellAmended tells a batch of amendments; false: there is no room for all.
func (b *board) tellAmended(v *viewer, out *batch) (more bool) {
	var told []jid.JID
	for who, am := range v.amends {
		if out.full() {
			break
		}
		w, keep := b.amended(v, who, &am)
		if keep {
			if v.later == nil {
				v.later = make(map[jid.JID]amendment)
			}
			v.later[who] = am
		}
		if w == nil {
			delete(v.amends, who)
			continue
		}
		told = append(told, who)
		out.add(w, 0)
	}
	taken := 0
	if len(told) > 0 {
		taken = v.session.SendBatch(out.wires)
	}
	for _, who := range told[:taken] {
		delete(v.amends, who)
	}
	if len(v.amends) == 0 {
		v.amends = nil
	}
	return taken == len(told)
}

// amended is what a viewer is told now by an amendment, nil for nothing; keep,
// that there is more to tell at a fuller level.
func (b *board) amended(v *viewer, who jid.JID, am *amendment) (w *stanza.Wire, keep bool) {
	e := am.entry
	if e == nil {
		if a := b.directory.find(who); a != nil && v.sees(a) && v.levelOf(a) == Off && v.seesAny(a) {
			return nil, true // else it would be gone until the level rises
		}
		return b.unavailable(who), false
	}
	if !am.shown {
		return b.unavailable(who), false
	}
	if e.wire == nil || !v.maySee(e) || !v.sees(e.account) {
		return nil, false
	}
	switch v.levelOf(e.account) {
	case Full:
		return e.wire, false
	case Visible:
		if _, ok := v.resource.rows[e.account.JID]; ok {
			return e.wire, false
		}
	case Coarse:
		if !am.coarse {
			am.coarse = true
			return b.coarse(e), true
		}
	}
	return nil, true
}

// risen takes up what waited for a fuller level.
func (v *viewer) risen() {
	for who, am := range v.later {
		if _, newer := v.amends[who]; !newer {
			v.note(who, am)
		}
	}
	v.later = nil
}

// tellAdded tells a batch of the rows that are new on the screen, of each as it
// is now; false: there is no room for all. Other levels tell of all alike.
func (b *board) tellAdded(v *viewer, out *batch) (more bool) {
	var rows []jid.JID
	var ends []int
	for row := range v.added {
		if len(out.wires) >= maxBatch {
			break
		}
		if a := b.directory.find(row); a == nil || v.levelOf(a) != Visible {
			delete(v.added, row)
		} else {
			b.tellOf(v, a, out)
			rows, ends = append(rows, row), append(ends, len(out.wires))
		}
	}
	taken := 0
	if len(rows) > 0 {
		taken = v.session.SendBatch(out.wires)
	}
	for i, row := range rows {
		if ends[i] > taken {
			return false
		}
		delete(v.added, row)
	}
	if len(v.added) == 0 {
		v.added = nil
	}
	return true
}

// tellOf tells of one contact as it is now.
func (b *board) tellOf(v *viewer, a *Account, out *batch) {
	n := len(out.wires)
	for _, e := range a.entries {
		if e.wire != nil && v.maySee(e) {
			out.add(e.wire, 0)
		}
	}
	if len(out.wires) == n {
		out.add(b.unavailable(a.JID), 0)
	}
}
