package presence

import (
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// turned is told that some lever was moved: viewers of an organisation whose
// level is another now are told what they have missed.
func (d *Directory) turned() {
	for _, b := range d.all() {
		b.mu.Lock()
		moved := b.relevel()
		b.mu.Unlock()
		if moved {
			b.flushEveryone()
		}
	}
	d.hold()
}

// all lists the boards.
func (d *Directory) all() []*board {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*board, 0, len(d.boards))
	for _, b := range d.boards {
		list = append(list, b)
	}
	return list
}

// relevel reads the lever and reports whether it moved since it was read last.
// While anything is coarse, time is kept for it. b.mu is held.
func (b *board) relevel() (moved bool) {
	d := b.directory
	at := func(now Level, was *Level) {
		moved = moved || now != *was
		*was = now
	}
	at(Level(d.Level.Int(b.org)), &b.personal)
	coarse := b.personal == Coarse
	for _, aud := range b.groups {
		at(Level(d.Level.Group(b.org, aud.group.ID())), &aud.level)
		coarse = coarse || aud.level == Coarse
	}
	switch {
	case coarse && b.tick == nil:
		b.await()
	case !coarse && b.tick != nil:
		d.agenda.cancel(b.tick)
		b.tick = nil
	}
	return moved
}

// await makes an appointment for the end of the bucket; b.mu is held.
func (b *board) await() {
	every := b.every()
	next := time.Now().Truncate(every).Add(every)
	var mine *appointment
	mine = b.directory.agenda.at(next, func() {
		b.mu.Lock()
		if b.tick != mine {
			b.mu.Unlock()
			return
		}
		b.bucket++
		b.tick = nil
		b.relevel()
		b.mu.Unlock()
		b.flushEveryone()
	})
	b.tick = mine
}

// every is how long a bucket of level coarse is.
func (b *board) every() time.Duration {
	return max(time.Duration(b.directory.Bucket.Int(b.org))*time.Second, time.Second)
}

// flushEveryone has all viewers flushed by the workers.
func (b *board) flushEveryone() {
	b.mu.RLock()
	all := make([]*viewer, 0, len(b.viewers))
	for v := range b.viewers {
		all = append(all, v)
	}
	b.mu.RUnlock()
	for _, v := range all {
		b.directory.flusher.flushSoon(v)
	}
}

// hold makes an appointment for the end of the hold after a start.
func (d *Directory) hold() {
	if end, held := d.holds(); held {
		d.agenda.at(end, func() {
			if _, still := d.holds(); !still {
				for _, b := range d.all() {
					b.flushEveryone()
				}
			}
		})
	}
}

// holds reports whether presence is gathered and not told yet, as it is for
// some seconds after the start when the dial presence.hold says so.
func (d *Directory) holds() (end time.Time, held bool) {
	end = d.started.Add(time.Duration(d.Hold.Int(0)) * time.Second)
	return end, time.Now().Before(end)
}

// SetVisible says which contacts a client has on its screen; it replaces those
// it said before. At level visible it is told of these alone, and of those that
// are new as they are now.
func (d *Directory) SetVisible(a *Account, s *session.Session, rows []jid.JID) error {
	if len(rows) > maxRows {
		return stanza.PolicyViolation("a screen holds at most 500 rows")
	}
	set := make(map[jid.JID]struct{}, len(rows))
	for _, row := range rows {
		set[row.Bare()] = struct{}{}
	}
	b := a.board
	b.mu.Lock()
	var v *viewer
	if r := a.find(s); r != nil {
		if v = r.viewer; v != nil {
			v.add(r.rows, set)
		}
		r.rows = set
	}
	b.mu.Unlock()
	if v != nil {
		b.flush(v)
	}
	return nil
}

// add notes the rows that are new, and forgets those that have gone again.
func (v *viewer) add(before, now map[jid.JID]struct{}) {
	added := make(map[jid.JID]struct{})
	for row := range now {
		_, had := before[row]
		_, due := v.added[row]
		if !had || due {
			added[row] = struct{}{}
		}
	}
	v.added = added
}
