// Package archive is the engine under message archiving (XEP-0313) and under
// offline delivery: one log of messages, written in batches.
//
// The order of work is commit, deliver, acknowledge. Append puts a message
// into the queue; the writer makes a batch of all that waits, gives each its
// id, commits it in one transaction, and then hands each message back to be
// delivered and acknowledged, in order. Messages without a row ride along, so
// that nothing overtakes. When a commit takes longer than the dial
// archive.wait, delivery goes ahead and only the acknowledgement waits.
//
// Locks: Archive.mu guards the queue; Archive.hand is held while messages are
// handed over, so that there is one order; origins.mu guards who sent what.
// Only Message.Queued is called under mu. See docs/locks.md.
package archive

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// ErrBacklog means that too much waits for a store that does not commit.
var ErrBacklog = errors.New("archive backlog is full")

// maxBatch and maxBatchBytes bound one transaction: it shall not hold the
// writer for more than some 20 ms, nor memory for the rows it binds.
const (
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// A Message is one message on its way through the archive. The funcs are
// called once each and in the order of the archive; they may call Append.
type Message struct {
	Org    feature.Org
	Wire   *stanza.Wire
	Copies [2]store.Copy // of the sender and of the recipient; Owner 0 means none
	// Origin is the hash of the origin-id (XEP-0359 §3), 0 when there is none.
	Origin uint64

	// Queued, when set, is told that the message has to wait. It must not
	// call the archive.
	Queued func(*Message)
	// Deliver sends the message on. It is not called for a message that the
	// sender had sent before.
	Deliver func(*Message)
	// Settled tells that the message is on disk, or needs no row.
	Settled func(*Message)
	Data    any // of whoever appends it
	Class   overload.Class

	repeated bool
	queued   time.Time
}

// stored reports whether the message has a row.
func (m *Message) stored() bool { return m.Copies[0].Owner != 0 || m.Copies[1].Owner != 0 }

// Waited reports whether the message had to wait for others or for a commit.
func (m *Message) Waited() bool { return !m.queued.IsZero() }

// A Config is what an Archive works with.
type Config struct {
	Store   *store.Store
	Log     *slog.Logger
	Wait    *feature.Dial // ms after which delivery does not wait for the commit
	Backlog *feature.Dial // bytes that may wait for a commit
	Board   *feature.Board
	Feature feature.ID      // pays for the writer
	Waits   *overload.Waits // is told how long messages wait from Append to the commit; may be nil
}

// An Archive is the message log of one node.
type Archive struct {
	Config
	ids     ids
	origins origins

	mu      sync.Mutex
	queue   []*Message                       // without id
	batches []*batch                         // with ids, not yet committed, in order
	bytes   int                              // of both
	cursors map[store.AccountID]store.Cursor // not saved yet
	saving  map[store.AccountID]store.Cursor // being saved
	lone    *time.Timer                      // fires when cursors waited for a batch that did not come
	safe    uint64                           // the greatest id on disk
	more    chan struct{}                    // closed when safe grows; nil when nobody waits
	busy    int                              // messages not yet settled
	closed  bool
	work    chan struct{} // capacity 1: there is something to do
	done    chan struct{}
	watch   *time.Timer // calls overdue

	hand   sync.Mutex    // held while messages are handed over, and while ids are given
	handed atomic.Uint64 // the greatest id handed over; written under hand
}

type batch struct {
	messages  []*Message
	rows      store.Batch
	delivered bool
}

// Open starts the archive. The ids go on where the store's greatest ends.
func Open(ctx context.Context, c Config) (*Archive, error) {
	greatest, err := c.Store.Greatest(ctx)
	if err != nil {
		return nil, err
	}
	a := &Archive{Config: c, work: make(chan struct{}, 1), done: make(chan struct{})}
	a.ids.seed(stanza.ArchiveID(greatest))
	a.safe = a.ids.last
	a.handed.Store(a.ids.last)
	a.origins.store = c.Store
	a.cursors = make(map[store.AccountID]store.Cursor)
	a.lone = time.NewTimer(cursorWait)
	a.watch = time.AfterFunc(time.Hour, a.overdue) // set by each commit
	go a.write()
	return a, nil
}

// Close commits what waits and stops the writer; ctx bounds the wait.
func (a *Archive) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wake()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Archive) wake() {
	select {
	case a.work <- struct{}{}:
	default:
	}
}

// Append takes a message. Without a row, and with nothing before it, it is
// handed back at once. An error means that it was not taken: ErrBacklog, or
// that what its sender sent before cannot be read.
func (a *Archive) Append(m *Message) error {
	if m.Origin != 0 && m.Copies[0].Owner != 0 {
		if err := a.origins.load(context.Background(), m.Org, m.Copies[0].Owner); err != nil {
			return err
		}
	}
	a.mu.Lock()
	if a.busy == 0 && !m.stored() && !a.closed {
		a.mu.Unlock()
		m.Deliver(m)
		m.Settled(m)
		return nil
	}
	size := m.Wire.Len()
	if a.closed || a.bytes+size > int(a.Backlog.Int(m.Org)) {
		a.mu.Unlock()
		return ErrBacklog
	}
	m.queued = time.Now()
	if m.Queued != nil {
		m.Queued(m)
	}
	a.queue = append(a.queue, m)
	a.bytes += size
	a.busy++
	due := len(a.queue) == 1 || len(a.queue) == gatherEnough
	a.mu.Unlock()
	if due {
		a.wake()
	}
	return nil
}

// Delivered moves an account's cursor: all up to id has reached a client. It
// is written with the next batch.
func (a *Archive) Delivered(org feature.Org, owner store.AccountID, id stanza.ArchiveID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, ok := a.cursors[owner]; ok && !stanza.ArchiveID(old.ID).Less(id) {
		return
	}
	if len(a.cursors) == 0 {
		a.lone.Reset(cursorWait)
	}
	a.cursors[owner] = store.Cursor{Org: org, Owner: owner, ID: store.ID(id)}
}

// Saving reports whether an account's cursor has moved and is not saved yet.
func (a *Archive) Saving(owner store.AccountID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, waits := a.cursors[owner]
	_, saved := a.saving[owner]
	return waits || saved
}

// Handed is an id that no message handed over so far is above. Messages are
// handed over in the order of their ids.
func (a *Archive) Handed() stanza.ArchiveID { return top(a.handed.Load()) }

// Uncommitted returns a channel that is closed when more is on disk, nil when
// all messages up to id are. A message that was handed over without waiting
// for its commit cannot be read from the log before.
func (a *Archive) Uncommitted(id stanza.ArchiveID) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if sequence(id) <= a.safe {
		return nil
	}
	if a.more == nil {
		a.more = make(chan struct{})
	}
	return a.more
}

// Oldest is since when the oldest message of each class waits that is not
// committed, among those of the oldest batch and the first that follow.
func (a *Archive) Oldest() (since [overload.Classes]time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	see := func(m *Message) {
		if at := &since[m.Class]; at.IsZero() || m.queued.Before(*at) {
			*at = m.queued
		}
	}
	if len(a.batches) > 0 {
		for _, m := range a.batches[0].messages {
			see(m)
		}
	}
	for _, m := range a.queue[:min(len(a.queue), gatherEnough)] {
		see(m)
	}
	return since
}

// Backlogged is what waits for a commit, in bytes.
func (a *Archive) Backlogged() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes
}

// takeCursors takes the cursors that are to be saved; until savedCursors they
// are still seen.
func (a *Archive) takeCursors() []store.Cursor {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cursors) == 0 {
		return nil
	}
	list := make([]store.Cursor, 0, len(a.cursors))
	for _, c := range a.cursors {
		list = append(list, c)
	}
	a.saving, a.cursors = a.cursors, make(map[store.AccountID]store.Cursor)
	return list
}

// savedCursors is told what became of the cursors taken.
func (a *Archive) savedCursors(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		for owner, c := range a.saving {
			if now, ok := a.cursors[owner]; !ok || now.ID.Compare(c.ID) < 0 {
				a.cursors[owner] = c
			}
		}
	}
	a.saving = nil
}
