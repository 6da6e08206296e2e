package presence

import "slices"

// Block replaces the block list of an account (XEP-0191), nil for none. in is
// called when it is in force and before anybody is told: it may send, nothing
// more. Then those who are parted see each other's resources go, and those who
// are joined again see them as they are (§3.3, §3.4), each resource by itself:
// an item may name one.
func (d *Directory) Block(a *Account, list *Blocklist, in func()) {
	b := a.board
	b.mu.Lock()
	old := a.Blocked.Swap(list)
	in()
	due := make(map[*viewer]struct{})
	b.repart(a, due, func(v *viewer, e *entry) (was, is bool) { return reblock(v, e, a, old) })
	b.mu.Unlock()
	for v := range due {
		b.flush(v)
	}
}

// each calls f for every attachment but the own one.
func (v *viewer) each(f func(*attachment)) {
	for _, list := range [...][]*attachment{v.groups, v.persons} {
		for _, at := range list {
			f(at)
		}
	}
}

// reblock tells how it was and is between a viewer and an entry after the block
// list of a was old: v is of a, or the entry is.
func reblock(v *viewer, e *entry, a *Account, old *Blocklist) (was, is bool) {
	other, others := e.jid, !v.account.Blocks(e.jid)
	if v.account == a {
		others = !e.account.Blocks(v.session.JID)
	} else {
		other = v.session.JID
	}
	if !others { // the other side blocks anyway
		return true, true
	}
	now := a.Blocked.Load()
	return old != nil && old.Has(other), now != nil && now.Has(other)
}

// repart mends what viewers of a, and viewers of its entries, were told, after
// who is parted from it has changed: parted tells how it was and is.
func (b *board) repart(a *Account, due map[*viewer]struct{}, parted func(v *viewer, e *entry) (was, is bool)) {
	for _, r := range a.Resources() {
		if r.viewer == nil {
			continue
		}
		r.viewer.each(func(at *attachment) {
			for i := range at.audience.log {
				b.mend(at, &at.audience.log[i], due, parted)
			}
		})
	}
	for _, aud := range a.audiences() {
		var slots []*slot
		for _, e := range a.entries {
			if p := e.place(aud); p != nil {
				slots = append(slots, &aud.log[aud.after(p.at-1)])
			}
		}
		for _, at := range aud.viewers {
			for _, s := range slots {
				b.mend(at, s, due, parted)
			}
		}
	}
}

// audiences lists where entries of the account stand, and those it has left
// where some viewers may not have been told so yet.
func (a *Account) audiences() (list []*audience) {
	for _, e := range a.entries {
		for i := range e.places {
			if aud := e.places[i].audience; !slices.Contains(list, aud) {
				list = append(list, aud)
			}
		}
	}
	return list
}

// mend is repart for one viewer and one entry.
func (b *board) mend(at *attachment, s *slot, due map[*viewer]struct{}, parted func(v *viewer, e *entry) (was, is bool)) {
	v, e, known := at.viewer, s.entry, max(at.seen, at.told)
	if e == nil || e.account == v.account {
		return
	}
	was, is := parted(v, e)
	if was == is {
		return
	}
	due[v] = struct{}{}
	if is {
		e.account.fewer = b.version
		v.remember(e.account.JID)
	}
	switch {
	case is && (v.lowered || s.was(known)):
		v.amend(e, false)
	case !is && s.shown && s.version <= known:
		v.amend(e, true)
	}
}
