package presence

import (
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// A Level says how much of presence is told to others: the values of the lever
// "presence", from the most to the least. One's own resources are always told.
type Level uint8

// The levels.
const (
	Full    Level = iota // each change, to all who may see it
	Visible              // to those who have asked for the row (SetVisible)
	Coarse               // now and then whether one is there, and since when
	Off                  // nothing
)

// maxRows is how many contacts a client may have on its screen.
const maxRows = 500

// levels reads the lever for what a viewer is attached to.
func (b *board) levels(v *viewer) {
	d := b.directory
	if _, held := d.holds(); held {
		v.personal, v.lowered = Off, true
		for _, at := range v.groups {
			at.level = Off
		}
		return
	}
	rose, sharper := false, false
	set := func(level *Level, now Level) {
		rose = rose || now < *level
		sharper = sharper || now == Visible && *level == Coarse
		*level = now
		v.lowered = v.lowered || now != Full
	}
	set(&v.personal, Level(d.Level.Int(b.org)))
	_, uniform := d.Level.Uniform()
	for _, at := range v.groups {
		now := v.personal
		if !uniform {
			now = Level(d.Level.Group(b.org, at.audience.group.ID()))
		}
		set(&at.level, now)
	}
	if rose {
		v.risen()
	}
	if sharper { // what is on the screen was told in the short form
		v.add(nil, v.resource.rows)
	}
}

// level is how much an attachment tells.
func (v *viewer) level(at *attachment) Level {
	switch {
	case at == v.own:
		return Full
	case at.audience.account != nil:
		return v.personal
	}
	return at.level
}

// levelOf is how much a viewer is told of an account, by whatever tells most.
func (v *viewer) levelOf(a *Account) Level {
	if a == v.account {
		return Full
	}
	least := v.personal
	if v.person(a) == nil {
		least = Off
	}
	for _, at := range v.groups {
		if !at.leaving && at.level < least && a.stands(at.audience) {
			least = at.level
		}
	}
	return least
}

// coarse is what level coarse says of an entry: whether it is there, and in
// which stretch of time that was so last (XEP-0319).
func (b *board) coarse(e *entry) *stanza.Wire {
	if w := e.coarse.Load(); w != nil {
		return w
	}
	d := b.directory
	x := new(stanza.XML)
	x.Empty("idle", "xmlns", "urn:xmpp:idle:1", "since", e.changed.UTC().Truncate(b.every()).Format(time.RFC3339))
	typ := stanza.Available
	if e.wire == nil {
		typ = stanza.Unavailable
	}
	w := stanza.Make(stanza.Presence, typ, e.jid, jid.JID{}, "", x.Bytes())
	w.Number = d.Board.Number(d.Presence, b.org)
	e.coarse.Store(w)
	return w
}
