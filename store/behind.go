package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// 1. add keeps in memory what AppendBatch has made durable as messages.
// 2. run writes it as entries, conversations and inboxes: a generation at a
//    time, owner by owner, in short transactions.
// 3. An inbox row says up to which message its owner is indexed (upto), in the
//    same transaction as the entries; the tick "index" says up to which
//    message all owners are. rebuild reads the messages above the tick and
//    leaves out, per owner, what is up to upto: nothing is counted twice.
// 4. Readers take what is in memory first and ask the database then. What is
//    written in between is in both, and is told apart by seq and upto.
// 5. Cursors do not wait for a generation: those that moved are written after
//    a lull, each once however often it moved.

// Names of ticks.
const (
	tickIndex   = "index"   // all messages up to here are indexed
	tickDeleted = "deleted" // no message above was ever deleted
)

const (
	flushMessages = 200_000          // this many messages make a generation
	fewMessages   = 20_000           // and this many or fewer when
	flushAge      = 10 * time.Second // the first is so old; more may be
	flushLate     = 3 * flushAge     // so old: a page then takes more rows at once
	mostMessages  = 2 * flushMessages
	stepTime      = 3 * time.Millisecond // of a transaction, without its commit
	indexTime     = time.Millisecond     // of the index: each row may be a page of its own, and they are written at the commit
	ahead         = 8                    // steps left out for one that is made, when there is time
	mostPause     = 50 * time.Millisecond
	partEntries   = 64 // entries of one owner at a time
)

// entry is one owner's view of a message.
type entry struct {
	seq, rnd int64
	peer     Peer
	origin   uint64
	flags    Flags
}

// tail is what is not yet indexed of one owner.
type tail struct {
	entries []entry // ascending
	cursor  ID
	in      int64 // greatest seq that came in
}

// generation is the tails of a stretch of time.
type generation struct {
	tails    map[AccountID]*tail
	messages int
	upto     int64 // greatest message
	since    time.Time
}

func newGeneration() *generation { return &generation{tails: map[AccountID]*tail{}} }

// flush asks for what is kept up to and including a generation.
type flush struct {
	upto  *generation
	reply chan error // capacity 1
}

// behind keeps the index of the archive behind the hot path.
type behind struct {
	s        *Store
	deferred bool // false: everything is written at once (MariaDB)

	mu    sync.Mutex
	now   *generation
	old   []*generation // to be written, the first is under way; now is younger
	last  int64         // greatest committed message
	space chan struct{} // closed and renewed when a generation was written

	indexed atomic.Int64 // all entries of messages up to here are rows

	moved  map[AccountID]ID // cursors that are not rows yet
	saving map[AccountID]ID // those that are being written
	lull   time.Duration    // from the first of moved to its writing
	soon   *time.Timer      // fires then
	drops  atomic.Uint64    // grows when something in memory is forgotten, for it is rows now

	wake    chan struct{}
	hurry   atomic.Int32 // somebody waits for a flush
	flushes chan flush
	stop    context.CancelFunc
	ended   chan struct{}
}

func (s *Store) newBehind(ctx context.Context) (*behind, error) {
	b := &behind{
		s: s, deferred: s.db.SQLite(), now: newGeneration(), space: make(chan struct{}),
		moved: map[AccountID]ID{}, lull: cursorsSoon, soon: time.NewTimer(cursorsLate),
		wake: make(chan struct{}, 1), flushes: make(chan flush), ended: make(chan struct{}),
	}
	if !b.deferred {
		b.indexed.Store(math.MaxInt64)
		close(b.ended)
		return b, nil
	}
	if err := b.rebuild(ctx); err != nil {
		return nil, fmt.Errorf("index the archive: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	b.stop = stop
	go b.run(life)
	return b, nil
}

// tail finds or makes the tail of owner.
func (g *generation) tail(owner AccountID) *tail {
	t := g.tails[owner]
	if t == nil {
		t = &tail{}
		g.tails[owner] = t
	}
	return t
}

// add takes up messages and cursors.
func (g *generation) add(messages []Message, cursors []Cursor) {
	if g.since.IsZero() {
		g.since = time.Now()
	}
	for i := range messages {
		m := &messages[i]
		for _, c := range m.Copies {
			g.entry(m.ID.seq(), m.ID.rnd(), c)
		}
		g.upto = max(g.upto, m.ID.seq())
	}
	g.messages += len(messages)
	for _, c := range cursors {
		t := g.tail(c.Owner)
		if c.ID.Compare(t.cursor) > 0 {
			t.cursor = c.ID
		}
	}
}

func (g *generation) entry(seq, rnd int64, c Copy) {
	t := g.tail(c.Owner)
	t.entries = append(t.entries, entry{seq: seq, rnd: rnd, peer: c.Peer, origin: c.Origin, flags: c.Flags})
	if c.Flags&FlagIn != 0 {
		t.in = max(t.in, seq)
	}
}

// collect is a generation of its own.
func collect(messages []Message, cursors []Cursor) *generation {
	g := newGeneration()
	g.add(messages, cursors)
	return g
}

// add is what a committed batch leaves to be indexed.
func (b *behind) add(messages []Message, cursors []Cursor) {
	b.mu.Lock()
	if len(messages) > 0 {
		b.now.add(messages, nil)
	}
	b.move(cursors)
	b.last = max(b.last, b.now.upto)
	full := b.now.messages >= flushMessages
	b.mu.Unlock()
	if full {
		b.nudge()
	}
}

func (b *behind) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// room waits while so much is kept that memory would not be bounded.
func (b *behind) room(ctx context.Context) error {
	for {
		b.mu.Lock()
		messages, space := b.waiting(), b.space
		b.mu.Unlock()
		if messages < mostMessages {
			return nil
		}
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("wait for the index: %w", ctx.Err())
		case <-b.s.db.Broken():
			return db.ErrBroken
		}
	}
}

// waiting is how many messages are kept besides the generation that is being
// written; the caller holds mu.
func (b *behind) waiting() int {
	n := b.now.messages
	for i := 1; i < len(b.old); i++ {
		n += b.old[i].messages
	}
	return n
}

// account pays for what is made ready here; what the statements cost is charged
// where they run.
func (b *behind) account() *feature.Account {
	board := b.s.db.Board()
	id, _ := board.Lookup("archive") // the server's until it is declared
	return board.Account(id, 0)
}

// run is the goroutine that writes generations; it ends with close.
func (b *behind) run(ctx context.Context) {
	defer close(b.ended)
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	var span feature.Span
	for {
		var f flush
		select {
		case <-ctx.Done():
			return
		case f = <-b.flushes:
		case <-b.wake:
			f.upto = b.cut()
		case <-b.soon.C:
		case <-timer.C:
			f.upto = b.due()
		}
		span.Whole(b.account())
		err := b.writeCursors(ctx)
		if err == nil && f.upto != nil {
			err = b.write(ctx, f.upto)
		}
		span.End()
		if err != nil && ctx.Err() == nil {
			b.s.log.Warn("index of the archive", slog.Any("err", err))
		}
		if f.reply != nil {
			f.reply <- err
		}
	}
}

// cut closes the generation of now and returns the youngest that is to be
// written; nil when nothing is kept.
func (b *behind) cut() *generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.now.since.IsZero() {
		b.old, b.now = append(b.old, b.now), newGeneration()
	}
	return b.youngest()
}

// youngest is the last generation that was closed; the caller holds mu.
func (b *behind) youngest() *generation {
	if len(b.old) == 0 {
		return nil
	}
	return b.old[len(b.old)-1]
}

// due is up to where it is time to write; nil when nothing has waited long
// enough.
func (b *behind) due() *generation {
	b.mu.Lock()
	age := flushAge
	if b.now.messages > fewMessages {
		age = flushLate
	}
	if !b.now.since.IsZero() && time.Since(b.now.since) >= age {
		b.mu.Unlock()
		return b.cut()
	}
	defer b.mu.Unlock()
	return b.youngest() // cut short before
}

// flush writes all that is kept now, and nothing that comes meanwhile: who
// writes on does not keep it.
func (b *behind) flush(ctx context.Context) error {
	if !b.deferred {
		return nil
	}
	f := flush{upto: b.cut(), reply: make(chan error, 1)}
	b.hurry.Add(1)
	defer b.hurry.Add(-1)
	select {
	case b.flushes <- f:
	case <-b.ended:
		return db.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-f.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush has everything that is held behind the hot path when it is called
// written: entries, conversations, cursors. Nothing depends on it but the time of the next Open.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.behind.flush(ctx); err != nil {
		return fmt.Errorf("flush the store: %w", err)
	}
	return nil
}

func (b *behind) close() error {
	if !b.deferred {
		return nil
	}
	err := b.flush(context.Background())
	b.stop()
	<-b.ended
	if errors.Is(err, db.ErrBroken) {
		return nil // said already; the messages themselves are safe
	}
	return err
}

// write writes the generations up to and including upto, the oldest first,
// which may have been cut short before.
func (b *behind) write(ctx context.Context, upto *generation) error {
	for {
		b.mu.Lock()
		if !slices.Contains(b.old, upto) {
			b.mu.Unlock()
			return nil
		}
		g := b.old[0]
		b.mu.Unlock()
		if err := b.writeGeneration(ctx, g); err != nil {
			return err
		}
		b.mu.Lock()
		b.indexed.Store(max(b.indexed.Load(), g.upto))
		b.old = slices.Delete(b.old, 0, 1)
		close(b.space)
		b.space = make(chan struct{})
		b.mu.Unlock()
	}
}

// part is a stretch of one owner's tail.
type part struct {
	owner   AccountID
	entries []entry
	cursor  ID // zero but in the last part
	last    bool
}

// parts cuts the tails of g, owner by owner. The two entries of a message to
// oneself stay together, for upto speaks of both.
func (g *generation) parts() []part {
	var out []part
	for _, o := range g.owners() {
		t := g.tails[o]
		rest := t.entries
		for len(rest) > partEntries {
			n := partEntries
			for n < len(rest) && rest[n].seq == rest[n-1].seq {
				n++
			}
			out = append(out, part{owner: o, entries: rest[:n]})
			rest = rest[n:]
		}
		out = append(out, part{owner: o, entries: rest, cursor: t.cursor, last: true})
	}
	return out
}

// bunch is how many parts are indexed together: some hundred rows.
func bunch(parts []part) int {
	rows := 0
	for i, p := range parts {
		if rows += len(p.entries) + 1; rows > partEntries {
			return i + 1
		}
	}
	return len(parts)
}

// pause leaves the writer and the processor to others after a step that took
// so long. A generation may take about as long as the next takes to fill: a
// step in nine while it is done sooner than that, every other one when it is
// not, without a pause when the next is full, or somebody waits.
func (b *behind) pause(ctx context.Context, took time.Duration, done float64) {
	b.mu.Lock()
	filled := float64(b.waiting()) / flushMessages
	b.mu.Unlock()
	if filled >= 1 || b.hurry.Load() > 0 {
		return
	}
	if done > filled {
		took *= ahead
	}
	timer := time.NewTimer(min(took, mostPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// writeGeneration writes a generation in steps. It may be cut short between
// any two: what was written is no longer in g. None waits for the disk: what a
// power cut undoes is made again from the messages, for the tick and the
// inboxes are undone with it.
func (b *behind) writeGeneration(ctx context.Context, g *generation) error {
	parts := g.parts()
	for all := len(parts); len(parts) > 0; {
		done, began, limit := 0, time.Now(), indexTime
		if b.hurry.Load() > 0 {
			limit = stepTime
		}
		if err := b.s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
			done, began = 0, time.Now()
			for done < len(parts) && tx.Held() < limit {
				n := bunch(parts[done:])
				if err := index(tx, parts[done:done+n]); err != nil {
					return err
				}
				done += n
			}
			return nil
		}); err != nil {
			return fmt.Errorf("write entries: %w", err)
		}
		took := time.Since(began)
		b.drop(g, parts[:done])
		if parts = parts[done:]; len(parts) > 0 {
			b.pause(ctx, took, 1-float64(len(parts))/float64(all))
		}
		select {
		case <-b.soon.C:
			if err := b.writeCursors(ctx); err != nil {
				return err
			}
		default:
		}
	}
	if g.upto == 0 {
		return nil
	}
	return b.s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("tick-raise", tickIndex, g.upto)
		return err
	})
}

// drop forgets what was written.
func (b *behind) drop(g *generation, parts []part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drops.Add(1)
	for _, p := range parts {
		if p.last {
			delete(g.tails, p.owner)
			continue
		}
		t := g.tails[p.owner]
		t.entries = t.entries[len(p.entries):]
	}
}

func (g *generation) owners() []AccountID {
	owners := make([]AccountID, 0, len(g.tails))
	for o := range g.tails {
		owners = append(owners, o)
	}
	slices.Sort(owners)
	return owners
}

// rebuild takes up the messages that were durable but not indexed.
func (b *behind) rebuild(ctx context.Context) error {
	after, err := b.s.tick(ctx, tickIndex)
	if err != nil {
		return err
	}
	b.last = after
	b.indexed.Store(after)
	const page = 2000
	for n := page; n == page; {
		g := newGeneration()
		n = 0
		if err := b.s.db.Query(ctx, 0, "message-after", func(r *db.Row) error {
			copies, err := parseCopies(r.View(2))
			if err != nil {
				return err
			}
			n++
			after = r.Int(0)
			for _, c := range copies {
				g.entry(after, r.Int(1), c)
			}
			return nil
		}, after, page); err != nil {
			return err
		}
		if err := b.takeUp(ctx, g, n, after); err != nil {
			return err
		}
	}
	return nil
}

// takeUp adds what is not indexed of g to now.
func (b *behind) takeUp(ctx context.Context, g *generation, messages int, upto int64) error {
	if messages == 0 {
		return nil
	}
	var owners []any
	for _, o := range g.owners() {
		owners = append(owners, int64(o))
	}
	done := map[AccountID]int64{}
	if err := b.s.db.QueryList(ctx, 0, "inbox-upto", nil, owners, func(r *db.Row) error {
		done[AccountID(r.Int(0))] = r.Int(1)
		return nil
	}); err != nil {
		return err
	}
	for o, t := range g.tails {
		for _, e := range t.entries {
			if e.seq > done[o] {
				b.now.entry(e.seq, e.rnd, Copy{Owner: o, Peer: e.peer, Flags: e.flags, Origin: e.origin})
			}
		}
	}
	b.now.messages += messages
	b.now.upto, b.last = upto, upto
	b.now.since = time.Now()
	return nil
}
