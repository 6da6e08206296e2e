package presence

import (
	"github.com/bearhug/bearhug/jid"
)

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
	for _, r := range a.Resources() {
		if v := r.viewer; v != nil {
			v.each(func(at *attachment) { b.reblock(v, at, a, old, due) })
		}
	}
	for _, aud := range a.places {
		for _, at := range aud.viewers {
			if at.viewer.account != a {
				b.reblock(at.viewer, at, a, old, due)
			}
		}
	}
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

// reblock mends what a viewer was told by one audience after the block list of
// a was old: v is of a, or entries are.
func (b *board) reblock(v *viewer, at *attachment, a *Account, old *Blocklist, due map[*viewer]struct{}) {
	known := max(at.seen, at.told)
	now := a.Blocked.Load()
	for i := range at.audience.log {
		s := &at.audience.log[i]
		e := s.entry
		if e == nil || e.account == v.account || v.account != a && e.account != a {
			continue
		}
		other, others := e.jid, !v.account.Blocks(e.jid)
		if v.account == a {
			others = !e.account.Blocks(v.session.JID)
		} else {
			other = v.session.JID
		}
		was, is := old != nil && old.Has(other), now != nil && now.Has(other)
		if was == is || !others { // nothing changes, or the other side blocks anyway
			continue
		}
		due[v] = struct{}{}
		switch {
		case is && (v.lowered || s.was(known)):
			v.amend(e, false)
		case !is && s.shown && s.version <= known:
			v.amend(e, true)
		}
	}
}

// amend has a viewer told of one entry out of the order of versions: as it is,
// or that it is gone.
func (v *viewer) amend(e *entry, shown bool) {
	for i := range v.amends {
		if v.amends[i].jid == e.jid {
			v.amends[i] = amendment{e.jid, e, shown}
			return
		}
	}
	v.amends = append(v.amends, amendment{e.jid, e, shown})
}

// An amendment is one entry of which a viewer is told besides what audiences
// say.
type amendment struct {
	jid   jid.JID
	entry *entry
	shown bool
}
