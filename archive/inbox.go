package archive

import (
	"slices"
	"sync"

	"github.com/bearhug/bearhug/stanza"
)

// An Inbox knows what of one account's delivery log (decision 6) has reached a
// client. The cursor is one id: all up to it has arrived somewhere. But
// resources acknowledge in any order, and each may have been given something
// else. So the inbox notes each message from the moment it is handed over
// until a resource has acknowledged it, and lets the cursor follow no further
// than the first that none has.
//
// What was handed to nobody, or to somebody who is gone, is a gap: it waits in
// the log, and the cursor stops before it until the log has been replayed to a
// resource.
//
// The zero Inbox has nothing to deliver. Nothing but Session.BeginCatchup,
// SetPriority and Wants is called under mu, by the funcs that are handed in.
type Inbox struct {
	mu     sync.Mutex
	handed stanza.ArchiveID // no message handed over is above
	open   []delivery       // ascending; the first is not acknowledged, or in the gap
	after  stanza.ArchiveID // the gap lies after this one
	upto   stanza.ArchiveID // and ends here; zero when there is none
}

type delivery struct {
	id      stanza.ArchiveID
	arrived bool // acknowledged by a resource
}

// maxOpen bounds what is noted. Past it all of it is taken for a gap: it comes
// again to the next resource.
const maxOpen = 16384

// Load is told how things stood before the account was in memory: no message
// above handed has been handed over; undelivered, whether some wait in the log.
func (in *Inbox) Load(handed stanza.ArchiveID, undelivered bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handed = handed
	if undelivered {
		in.after, in.upto = stanza.ArchiveID{}, handed
	}
}

// Hand hands over one message; the ids ascend. targets finds the resources it
// goes to and returns how many they are, so that who becomes available
// meanwhile is either among them or finds the message in the log.
func (in *Inbox) Hand(id stanza.ArchiveID, targets func() int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handed = id
	if targets() == 0 {
		in.gap(id)
		return
	}
	if len(in.open) >= maxOpen {
		in.gap(in.open[0].id)
		in.gap(in.open[len(in.open)-1].id)
		in.open = nil
	}
	in.open = append(in.open, delivery{id: id})
}

// Miss is told that nobody has a message after all. It returns false when it
// has arrived before.
func (in *Inbox) Miss(id stanza.ArchiveID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if i, ok := in.find(id); ok && in.open[i].arrived || !ok && !in.inGap(id) {
		return false
	}
	in.gap(id)
	return true
}

// Waits reports whether no resource has acknowledged a message yet.
func (in *Inbox) Waits(id stanza.ArchiveID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	i, ok := in.find(id)
	return ok && !in.open[i].arrived || !ok && in.inGap(id)
}

// Join calls f with whether anything waits that a new resource should have,
// and up to where the log holds it. Nothing is handed over meanwhile.
func (in *Inbox) Join(f func(behind bool, upto stanza.ArchiveID)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f(len(in.open) > 0 || !in.upto.IsZero(), in.handed)
}

// Behind reports whether anything waits for its delivery.
func (in *Inbox) Behind() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.open) > 0 || !in.upto.IsZero()
}

// Ahead reports whether the inbox knows of arrivals that no cursor tells: a
// message before them has not arrived.
func (in *Inbox) Ahead() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.ContainsFunc(in.open, func(d delivery) bool { return d.arrived })
}

// Replay is told that a message is about to be replayed to a resource. It
// returns false when it need not be: another has acknowledged it.
func (in *Inbox) Replay(id stanza.ArchiveID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	i, ok := in.find(id)
	if ok {
		return !in.open[i].arrived
	}
	if !in.inGap(id) {
		return false
	}
	in.open = slices.Insert(in.open, i, delivery{id: id})
	return true
}

// Replayed is told that all in the log up to id has been replayed to a
// resource: the gap ends there. It returns how far the cursor may move, or
// zero.
func (in *Inbox) Replayed(id stanza.ArchiveID) stanza.ArchiveID {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.close(id)
	return in.move(stanza.ArchiveID{})
}

// Ack is told what a resource has received: messages, and iqs that end a page
// of the archive, which bear the id up to where all has been read. It returns
// how far the cursor may move, or zero.
func (in *Inbox) Ack(done []*stanza.Wire) (cursor stanza.ArchiveID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, w := range done {
		switch {
		case w.ID.IsZero():
		case w.Kind == stanza.IQ:
			in.close(w.ID)
			n, found := in.find(w.ID)
			if found {
				n++
			}
			in.open = in.open[n:]
			if cursor.Less(w.ID) {
				cursor = w.ID
			}
		default:
			if i, ok := in.find(w.ID); ok {
				in.open[i].arrived = true
			}
		}
	}
	return in.move(cursor)
}

// Arrived is Ack for a message that somebody took care of without a resource.
func (in *Inbox) Arrived(id stanza.ArchiveID) stanza.ArchiveID {
	in.mu.Lock()
	defer in.mu.Unlock()
	if i, ok := in.find(id); ok {
		in.open[i].arrived = true
	}
	return in.move(stanza.ArchiveID{})
}

// move drops what has arrived and does not stand behind anything that has not.
func (in *Inbox) move(cursor stanza.ArchiveID) stanza.ArchiveID {
	n := 0
	for n < len(in.open) && in.open[n].arrived && (in.upto.IsZero() || !in.after.Less(in.open[n].id)) {
		n++
	}
	if n > 0 && cursor.Less(in.open[n-1].id) {
		cursor = in.open[n-1].id
	}
	if in.open = in.open[n:]; len(in.open) == 0 {
		in.open = nil
	}
	return cursor
}

// find is where id stands, or would stand.
func (in *Inbox) find(id stanza.ArchiveID) (int, bool) {
	if len(in.open) > 0 && in.open[0].id == id {
		return 0, true
	}
	return slices.BinarySearchFunc(in.open, id, func(d delivery, id stanza.ArchiveID) int {
		switch {
		case d.id == id:
			return 0
		case d.id.Less(id):
			return -1
		}
		return 1
	})
}

// gap makes the gap cover id.
func (in *Inbox) gap(id stanza.ArchiveID) {
	before := id.Before()
	if in.upto.IsZero() || before.Less(in.after) {
		in.after = before
	}
	if in.upto.Less(id) {
		in.upto = id
	}
}

func (in *Inbox) inGap(id stanza.ArchiveID) bool { return in.after.Less(id) && !in.upto.Less(id) }

// close takes all up to id out of the gap.
func (in *Inbox) close(id stanza.ArchiveID) {
	switch {
	case !id.Less(in.upto):
		in.after, in.upto = stanza.ArchiveID{}, stanza.ArchiveID{}
	case in.after.Less(id):
		in.after = id
	}
}
