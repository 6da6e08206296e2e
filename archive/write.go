package archive

import (
	"context"
	"log/slog"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// cursorWait is how long a cursor waits to be written when no batch carries
// it. A cursor that is lost means redelivery, never loss.
const (
	cursorWait  = 100 * time.Millisecond
	cursorAgain = time.Second // when the store did not take them
)

// Batches are paced. A commit costs as much as several messages do, and so
// does each time that a process is woken; when messages come one after the
// other, each with a commit of its own, there is room for few. So the next
// batch begins gatherEach after the last one began for each message that that
// one had, gatherMost at most; not later than gatherEnough messages wait. Who
// writes when little is going on waits for nobody: what is past is past.
const (
	gatherEach   = 500 * time.Microsecond
	gatherMost   = 5 * time.Millisecond
	gatherEnough = 64
)

// write is the writer goroutine.
//  1. Wait for work. 2. Make a batch of all that waits: ids, rows. 3. Commit
//     it. 4. Deliver, unless a watchdog did so already. 5. Tell that it is settled.
func (a *Archive) write() {
	defer close(a.done)
	defer a.lone.Stop()
	defer a.watch.Stop()
	ctx := context.Background()
	var span feature.Span
	for {
		select {
		case <-a.work:
		case <-a.lone.C:
			a.saveCursors(ctx)
		}
		for {
			begun := time.Now()
			span.Begin(a.Board.Account(a.Feature, 0))
			b := a.next(ctx)
			if b == nil {
				span.End()
				break
			}
			a.commit(ctx, b)
			a.share(&span, b)
			a.settle(b, &span)
			a.gather(begun, len(b.rows.Messages))
		}
		if a.finished() {
			a.saveCursors(ctx)
			return
		}
	}
}

// share ends a span whose time the organisations of a batch pay by the messages
// they have in it.
func (a *Archive) share(span *feature.Span, b *batch) {
	ns := span.Take()
	span.Drop()
	for i, n := 0, len(b.messages); ns != 0 && i < n; {
		org, part := b.messages[i].Org, int64(0)
		for ; i < n && b.messages[i].Org == org; i++ {
			part++
		}
		a.Board.Account(a.Feature, org).CPU.Add(ns * part / int64(n))
	}
}

// gather waits until the batch after one of n rows, begun then, is due.
func (a *Archive) gather(begun time.Time, n int) {
	wait := min(time.Duration(n)*gatherEach, gatherMost) - time.Since(begun)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !a.enough() {
		select {
		case <-timer.C:
			return
		case <-a.work:
		}
	}
}

// enough reports whether what waits need not wait for more.
func (a *Archive) enough() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed || len(a.queue) >= gatherEnough || len(a.batches) > 0
}

func (a *Archive) finished() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed && len(a.queue) == 0 && len(a.batches) == 0
}

// next is the batch to commit: the oldest that has ids, or a new one. It looks
// under hand: whoever holds it may be making one.
func (a *Archive) next(ctx context.Context) *batch {
	a.hand.Lock()
	defer a.hand.Unlock()
	a.mu.Lock()
	var oldest *batch
	if len(a.batches) > 0 {
		oldest = a.batches[0]
	}
	a.mu.Unlock()
	if oldest != nil {
		return oldest
	}
	return a.build(ctx)
}

// build makes a batch of what waits and puts it in line; the caller holds hand.
func (a *Archive) build(ctx context.Context) *batch {
	a.mu.Lock()
	n := fits(a.queue)
	if n == 0 {
		a.mu.Unlock()
		return nil
	}
	b := &batch{messages: a.queue[:n:n]}
	a.queue = a.queue[n:]
	if len(a.queue) == 0 {
		a.queue = nil
	}
	a.batches = append(a.batches, b)
	a.mu.Unlock()

	b.rows.Messages = make([]store.Message, 0, n)
	for _, m := range b.messages {
		if m.stored() {
			a.row(ctx, b, m)
		}
	}
	return b
}

// fits is how many messages of the queue make one batch.
func fits(queue []*Message) (n int) {
	for bytes := 0; n < min(len(queue), maxBatch); n++ {
		bytes += queue[n].Wire.Len()
		if bytes > maxBatchBytes && n > 0 {
			break
		}
	}
	return n
}

// row gives a message its id and its rows, unless its sender sent it before.
func (a *Archive) row(ctx context.Context, b *batch, m *Message) {
	id := a.ids.next(time.Now())
	if m.Origin != 0 && m.Copies[0].Owner != 0 {
		seen, err := a.origins.seen(ctx, m, id)
		if err != nil {
			a.Log.Warn("sent messages cannot be compared", "cause", err)
		}
		if seen {
			m.repeated = true
			return
		}
	}
	m.Wire.ID = id
	row := store.Message{Org: m.Org, ID: store.ID(m.Wire.ID), Stanza: m.Wire.Stored()}
	for i := range m.Copies {
		if m.Copies[i].Owner != 0 {
			row.Copies = append(row.Copies, m.Copies[i])
		}
	}
	b.rows.Messages = append(b.rows.Messages, row)
}

// commit writes a batch, again and again until the store takes it: an id that
// was given must not vanish. While it waits, what has waited too long is
// delivered.
func (a *Archive) commit(ctx context.Context, b *batch) {
	if len(b.rows.Messages) == 0 {
		return
	}
	b.rows.Cursors = a.takeCursors()
	a.watch.Reset(time.Until(b.messages[0].queued.Add(a.patience())))
	defer a.watch.Stop()
	begun := time.Now()
	for tries, pause := 1, 50*time.Millisecond; ; tries, pause = tries+1, min(2*pause, time.Second) {
		err := a.Store.AppendBatch(ctx, &b.rows)
		if err == nil {
			a.savedCursors(nil)
			a.origins.settle(stanza.ArchiveID(b.rows.Messages[len(b.rows.Messages)-1].ID))
			if tries > 1 {
				a.Log.Warn("messages are on disk after all", "messages", len(b.rows.Messages), "tries", tries, "seconds", time.Since(begun).Seconds())
			}
			return
		}
		if tries == 1 { // once for all tries
			a.Log.Error("messages are not on disk and not acknowledged; trying again", "messages", len(b.rows.Messages), "cause", err)
		}
		time.Sleep(pause)
	}
}

// patience is how long a message may wait for its commit.
func (a *Archive) patience() time.Duration { return time.Duration(a.Wait.Int(0)) * time.Millisecond }

// overdue is what the watchdog does: it delivers, unacknowledged, what has
// waited for too long, and comes back while the store is stuck. It is one timer,
// so that there is one of it however many commits are late.
func (a *Archive) overdue() {
	wait := a.patience()
	a.mu.Lock()
	var oldest *Message
	switch {
	case len(a.batches) > 0:
		oldest = a.batches[0].messages[0]
	case len(a.queue) > 0:
		oldest = a.queue[0]
	}
	stuck := oldest != nil || a.saving != nil
	a.mu.Unlock()
	if oldest != nil {
		if rest := time.Until(oldest.queued.Add(wait)); rest > 0 {
			wait = rest
		} else {
			stuck = a.handOver(wait)
			wait /= 2
		}
	}
	if stuck {
		a.watch.Reset(wait + time.Millisecond)
	}
}

// handOver delivers what has ids, and what has waited longer than wait for
// them. It reports whether a commit is still awaited.
func (a *Archive) handOver(wait time.Duration) (again bool) {
	a.hand.Lock()
	defer a.hand.Unlock()
	for {
		a.mu.Lock()
		pending := a.batches
		late := len(a.queue) > 0 && time.Since(a.queue[0].queued) >= wait
		a.mu.Unlock()
		for _, b := range pending {
			a.deliver(b)
		}
		if !late || a.build(context.Background()) == nil {
			return len(pending) > 0
		}
	}
}

// deliver hands over a batch once; the caller holds hand.
func (a *Archive) deliver(b *batch) {
	if b.delivered {
		return
	}
	b.delivered = true
	for _, m := range b.messages {
		if m.repeated {
			continue
		}
		if !m.Wire.ID.IsZero() {
			a.handed.Store(sequence(m.Wire.ID))
		}
		m.Deliver(m)
	}
}

// settle delivers a committed batch and tells that it is safe.
func (a *Archive) settle(b *batch, span *feature.Span) {
	a.hand.Lock()
	a.deliver(b) // each delivery is measured by itself
	a.hand.Unlock()
	span.Begin(a.Board.Account(a.Feature, 0))
	defer a.share(span, b)
	size, now := 0, time.Now()
	for _, m := range b.messages {
		size += m.Wire.Len()
		a.Waits.Add(m.Class, now.Sub(m.queued))
		m.Settled(m)
	}
	a.mu.Lock()
	a.batches = a.batches[1:]
	if len(a.batches) == 0 {
		a.batches = nil
	}
	a.bytes -= size
	a.busy -= len(b.messages)
	if n := len(b.rows.Messages); n > 0 {
		a.safe = sequence(stanza.ArchiveID(b.rows.Messages[n-1].ID))
		if a.more != nil {
			close(a.more)
			a.more = nil
		}
	}
	a.mu.Unlock()
}

func (a *Archive) saveCursors(ctx context.Context) {
	list := a.takeCursors()
	if len(list) == 0 {
		return
	}
	a.watch.Reset(a.patience()) // who writes meanwhile is delivered to all the same
	defer a.watch.Stop()
	err := a.Store.SaveCursors(ctx, list)
	if err != nil {
		a.Log.Log(ctx, min(slog.LevelWarn, store.Severity(err)), "delivery cursors are not saved; some messages may come twice", "cause", err)
	}
	a.savedCursors(err)
	if err != nil {
		a.lone.Reset(cursorAgain) // nobody else sets it while some wait
	}
}
