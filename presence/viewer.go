package presence

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// A viewer is an available session that is shown presence. What it has been
// told is a number per audience, so that a slow or inactive one costs nothing
// while it waits, and gets what is so then, once.
//
// A flush goes in rounds: up to the version at its begin, audience after
// audience. What stands in several of them is told by the first.
type viewer struct {
	session *session.Session
	account *Account

	turn  sync.Mutex // one flush at a time
	round uint64     // how far the round under way goes; 0: none is. Guarded by turn

	lost atomic.Bool // some was lost on the way: all is to be told anew

	// Guarded by board.mu.
	over     bool
	born     uint64        // the version at its begin
	leaving  int           // attachments that are to go
	own      *attachment   // of its own account
	groups   []*attachment // in the order of roster.Groups.Seen
	persons  []*attachment // of personal contacts
	watches  []jid.JID     // board.watch
	resource *Resource
	// For the next flush; guarded by turn as well.
	added  map[jid.JID]struct{} // rows to be told of as they are now
	amends map[jid.JID]amendment
	// later are amendments that wait until more is told.
	later map[jid.JID]amendment
	// past are who was taken back or parted: perhaps no contacts any more, but
	// after a loss the client has to be told once more.
	past map[jid.JID]struct{}

	personal Level // of persons; guarded by turn, as attachment.level is
	// lowered is set once a level was not full: one audience may have told of
	// somebody while another, that tells of the same, did not.
	lowered bool

	queued bool // guarded by flusher.mu
}

// maxBatch is how many stanzas are collected under the lock of the board at
// once.
const maxBatch = 1024

// A part is what a batch holds of one audience.
type part struct {
	at      *attachment
	from    int    // in batch.wires
	reached uint64 // where the cursor is when all of it was taken
}

// A batch is what goes to a session at once, and where the cursors are then.
type batch struct {
	wires    []*stanza.Wire
	versions []uint64 // of the slot of each wire
	parts    []part
	whole    bool // it ends with the round
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) reset() {
	clear(b.wires)
	b.wires, b.versions, b.parts, b.whole = b.wires[:0], b.versions[:0], b.parts[:0], true
}

func (b *batch) add(w *stanza.Wire, version uint64) {
	b.wires = append(b.wires, w)
	b.versions = append(b.versions, version)
}

// flush tells a viewer what it has not been told, as far as its session takes
// it; what is left waits for Room.
func (b *board) flush(v *viewer) {
	v.turn.Lock()
	defer v.turn.Unlock()
	out := batches.Get().(*batch)
	defer func() {
		out.reset()
		batches.Put(out)
	}()
	for more, sweep := true, false; more; {
		if more, sweep = b.step(v, out); sweep {
			b.sweep(v)
		}
	}
}

// step hands over one batch. It reports whether there may be more to tell, and
// whether attachments have left.
func (b *board) step(v *viewer, out *batch) (more, sweep bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if v.over {
		return false, false
	}
	more = b.tell(v, out)
	return more, v.leaving > 0
}

// tell is step with what it needs held.
func (b *board) tell(v *viewer, out *batch) (more bool) {
	out.reset()
	if v.lost.Swap(false) {
		b.forgetAll(v)
	}
	b.levels(v)
	if len(v.amends) > 0 {
		return b.tellAmended(v, out)
	}
	if len(v.added) > 0 {
		return b.tellAdded(v, out)
	}
	if v.round == 0 {
		v.round = b.version
	}
	b.collect(v, out)
	if v.lost.Load() {
		return true // an attachment is too far behind
	}
	taken := len(out.wires)
	if taken > 0 {
		taken = v.session.SendBatch(out.wires)
	}
	out.advance(taken)
	if taken < len(out.wires) {
		return false
	}
	if out.whole {
		done := v.round
		v.round = 0
		return b.version > done
	}
	return true
}

// collect gathers what is to be told of all audiences.
func (b *board) collect(v *viewer, out *batch) {
	if v.leaving > 0 {
		v.each(func(at *attachment) {
			if at.leaving && !out.full() {
				b.takeBack(v, at, out)
			}
		})
	}
	b.read(v, v.own, out)
	least := Full
	if v.lowered {
		least = Coarse
	}
	for level := Full; level <= least; level++ { // who keeps silent comes after who tells
		v.each(func(at *attachment) {
			if v.level(at) == level {
				b.read(v, at, out)
			}
		})
	}
}

func (b *batch) full() bool {
	if len(b.wires) < maxBatch {
		return false
	}
	b.whole = false
	return true
}

// read gathers what is new in one audience, the oldest first.
func (b *board) read(v *viewer, at *attachment, out *batch) {
	log, level, from := at.audience.log, v.level(at), at.seen
	if level != Full {
		from = max(from, at.told)
	}
	if at.leaving || level == Off || level == Coarse && at.bucket == b.bucket {
		return
	}
	if len(log) == 0 || log[len(log)-1].version <= from {
		if level == Coarse {
			at.bucket = b.bucket
		}
		return
	}
	if out.full() {
		return
	}
	if at.behind(from) {
		v.lost.Store(true)
		return
	}
	known := max(at.seen, at.told)
	p := part{at: at, from: len(out.wires), reached: v.round}
	for i := at.audience.after(from); i < len(log) && log[i].version <= v.round; i++ {
		s := &log[i]
		if s.entry == nil || !s.shown && !at.mayKnow(s, known) {
			continue
		}
		if w := b.wire(v, at, s); w != nil {
			if out.full() {
				p.reached = s.version - 1
				break
			}
			out.add(w, s.version)
		}
	}
	out.parts = append(out.parts, p)
}

// mayKnow reports whether the viewer may have been told, by this audience or
// another, of an entry that is gone.
func (at *attachment) mayKnow(s *slot, known uint64) bool {
	return s.since <= known || at.viewer.lowered && s.version > at.born
}

// owed is from when on the viewer may have to be told what is gone; 0: it has
// seen nobody yet.
func (at *attachment) owed() uint64 {
	if at.seen == 0 && at.viewer.lowered {
		return at.born
	}
	return at.seen
}

// behind reports whether what was gone since the cursor may be forgotten.
func (at *attachment) behind(from uint64) bool {
	if from == at.seen {
		from = at.owed()
	}
	return from != 0 && from < at.audience.floor
}

// wire is what a viewer is to be told by a slot, nil for nothing.
func (b *board) wire(v *viewer, at *attachment, s *slot) *stanza.Wire {
	e := s.entry
	if !v.maySee(e) {
		return nil
	}
	if e.account == v.account {
		if at != v.own || !s.shown && e.session == v.session {
			return nil
		}
		return s.wire
	}
	if !s.shown && e.wire != nil { // it left the audience
		if v.sees(e.account) {
			return nil
		}
	} else if v.elsewhere(at, e) {
		return nil
	}
	switch v.level(at) {
	case Visible:
		if _, ok := v.resource.rows[e.account.JID]; !ok {
			return nil
		}
	case Coarse:
		switch {
		case !s.shown && e.wire != nil: // it left the audience, and is there
		case s.shown && v.knows(e):
			return nil
		default:
			return b.coarse(e)
		}
	}
	if s.thin != nil && s.caps <= at.seen {
		return s.thin
	}
	return s.wire
}

// maySee reports whether nothing but the audience stands between a viewer and
// an entry: blocks on either side (XEP-0191 §3), sign-ins for one peer only.
func (v *viewer) maySee(e *entry) bool {
	a := e.account
	if e.session == v.session {
		return true
	}
	if !e.scope.IsZero() && e.scope != v.account.JID || !v.session.Scope.IsZero() && v.session.Scope != a.JID {
		return false
	}
	if (a.cut != nil || v.account.cut != nil) && a != v.account && !within(a, v.account) {
		return false
	}
	mine, theirs := v.account.Blocked.Load(), a.Blocked.Load()
	return (mine == nil || !mine.Has(e.jid)) && (theirs == nil || !theirs.Has(v.session.JID))
}

// elsewhere reports whether another attachment tells of the account instead:
// one of a fuller level, or the first of the same, groups before persons.
func (v *viewer) elsewhere(at *attachment, e *entry) bool {
	a := e.account
	if len(a.places) < 2 {
		return false
	}
	level, earlier := v.level(at), true
	for _, other := range v.groups {
		if other == at {
			earlier = false
			continue
		}
		wins := other.level < level || earlier && other.level == level
		if wins && v.speaks(other, e) {
			return true
		}
	}
	if at.audience.account != nil || v.personal >= level {
		return false
	}
	other := v.person(a)
	return other != nil && v.speaks(other, e)
}

// speaks reports whether an attachment tells what becomes of an entry in the
// round under way, or has. What it would tell in the next does not count: it may
// have left by then.
func (v *viewer) speaks(at *attachment, e *entry) bool {
	if at.leaving || !e.account.stands(at.audience) || !at.tells(e) {
		return false
	}
	p := e.place(at.audience)
	return p != nil && p.at <= v.round
}

// knows reports whether some attachment, at level full then, has told all of an
// entry that is shown. To say less of it now would stay: what a cursor is past
// is not told again when the level is full.
func (v *viewer) knows(e *entry) bool {
	for _, at := range v.groups {
		if v.knowsBy(at, e) {
			return true
		}
	}
	at := v.person(e.account)
	return at != nil && v.knowsBy(at, e)
}

func (v *viewer) knowsBy(at *attachment, e *entry) bool {
	if at.leaving || !e.account.stands(at.audience) {
		return false
	}
	p := e.place(at.audience)
	return p != nil && p.at <= at.seen
}

// tells reports whether what becomes of an entry is told by an attachment in
// whose audience its account is: that an entry is gone, only if it was told to
// be there, and went since the attachment began.
func (at *attachment) tells(e *entry) bool {
	if e.wire != nil {
		return true
	}
	p := e.place(at.audience)
	return p != nil && p.at > at.born && p.since <= max(at.seen, at.told)
}

// told reports whether an attachment that stays tells what becomes of an entry.
func (v *viewer) told(e *entry) bool {
	for _, at := range v.groups {
		if !at.leaving && slices.Contains(e.account.places, at.audience) && at.tells(e) {
			return true
		}
	}
	at := v.person(e.account)
	return at != nil && at.tells(e)
}

// person finds the attachment of a personal contact.
func (v *viewer) person(a *Account) *attachment {
	if a.own == nil || len(v.persons) == 0 {
		return nil
	}
	if len(a.own.viewers) < len(v.persons) {
		for _, at := range a.own.viewers {
			if at.viewer == v && !at.leaving {
				return at
			}
		}
		return nil
	}
	for _, at := range v.persons {
		if at.audience == a.own && !at.leaving {
			return at
		}
	}
	return nil
}

// sees reports whether an attachment that stays tells of the account.
func (v *viewer) sees(a *Account) bool {
	for _, at := range v.groups {
		if !at.leaving && slices.Contains(a.places, at.audience) {
			return true
		}
	}
	return v.person(a) != nil
}

// takeBack gathers what was seen through an attachment that leaves, as
// unavailable, but for those who are seen otherwise.
func (b *board) takeBack(v *viewer, at *attachment, out *batch) {
	log, known := at.audience.log, max(at.seen, at.told)
	for _, d := range at.audience.left {
		v.remember(d.account)
	}
	p := part{at: at, from: len(out.wires), reached: b.version}
	for i := at.audience.after(at.done); i < len(log); i++ {
		s := &log[i]
		e := s.entry
		if e != nil && !s.shown && e.account != v.account {
			v.remember(e.account.JID) // the end that it was told of may be lost
		}
		if e == nil || !s.was(known) && !(v.lowered && (s.shown || s.version > at.born)) {
			continue
		}
		if e.account == v.account || v.told(e) || !v.maySee(e) {
			continue
		}
		if out.full() {
			p.reached = s.version - 1
			break
		}
		w := s.wire
		if s.shown {
			w = b.unavailable(s.entry.jid)
		}
		out.add(w, s.version)
		v.remember(e.account.JID)
	}
	out.parts = append(out.parts, p)
}

// was reports whether one who was told up to a version saw the slot's entry as
// available.
func (s *slot) was(known uint64) bool {
	if s.version <= known {
		return s.shown
	}
	return s.since <= known
}

// advance moves the cursors after so many wires were taken.
func (b *batch) advance(taken int) {
	for i := range b.parts {
		p := &b.parts[i]
		end := len(b.wires)
		if i+1 < len(b.parts) {
			end = b.parts[i+1].from
		}
		reached := p.reached
		if taken < end {
			if taken <= p.from {
				return
			}
			reached = b.versions[taken-1]
		}
		p.at.reach(reached, taken >= end && reached == p.reached && b.whole)
	}
}

// sweep takes away the attachments that have left.
func (b *board) sweep(v *viewer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := func(at *attachment) bool {
		if !at.leaving || !at.left {
			return false
		}
		b.leave(at)
		v.leaving--
		return true
	}
	v.groups = slices.DeleteFunc(v.groups, left)
	v.persons = slices.DeleteFunc(v.persons, left)
}

// unavailable says in the server's words that somebody is gone.
func (b *board) unavailable(who jid.JID) *stanza.Wire {
	w := stanza.Make(stanza.Presence, stanza.Unavailable, who, jid.JID{}, "", nil)
	w.Number = b.directory.Board.Number(b.directory.Presence, b.org)
	return w
}
