package db

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
)

const (
	// holdLimit is how long a transaction may keep SQLite's only writer.
	holdLimit = 20 * time.Millisecond
	// groupLimit ends a group of small jobs that share one commit.
	groupLimit = 5 * time.Millisecond
	// groupMost bounds the jobs of a group.
	groupMost = 64
	// archiveMost is how many jobs of the archive lane may go before those of
	// the other one that wait: one caller never has as many.
	archiveMost = 16
	// attempts is how often a transaction is run that the engine rolled back.
	attempts = 10
	// againTime bounds them together: each may wait for a lock, and whoever
	// wants the rows wants to hear of it.
	againTime = 15 * time.Second
	// pause is the longest wait before the second run; it doubles, up to 64 times.
	pause = 4 * time.Millisecond
)

// job is one transaction waiting for the writer.
type job struct {
	ctx   context.Context
	org   feature.Org
	fn    func(*Tx) error
	bare  func(*conn) error // instead of fn: no transaction
	lax   bool              // need not be on disk when it is done
	done  chan error
	at    time.Time // when it was handed in
	first bool      // in the archive lane
}

// apart reports whether the job shares no transaction with others.
func (j *job) apart() bool { return j.bare != nil || j.lax }

// writer is SQLite's only writer: one goroutine, one connection, two lanes.
// The archive lane goes first, archiveMost times in a row while the other waits.
// mu guards the lanes; it is a leaf.
type writer struct {
	db  *DB
	c   *conn
	lax bool // the connection's commits do not wait for the disk now
	sp  feature.Span

	mu      sync.Mutex
	archive []*job
	rest    []*job
	row     int // jobs of the archive lane that went while the rest waited
	closed  bool
	wake    chan struct{} // capacity 1
	ended   chan struct{}

	jobs    atomic.Int64
	waited  atomic.Int64 // ns from hand-in to start
	longest atomic.Int64 // ns, longest hold so far
	over    atomic.Int64 // holds above holdLimit
}

func newWriter(d *DB, c *conn) *writer {
	w := &writer{db: d, c: c, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

// do hands in a job and waits for its end. A context that ends takes the job
// back while it waits; once begun, it is seen through.
func (w *writer) do(ctx context.Context, org feature.Org, first bool, fn func(*Tx) error) error {
	return w.hand(&job{ctx: ctx, org: org, fn: fn}, first)
}

// alone runs fn on the writer's connection between two transactions, before
// those that wait: the less has come meanwhile, the shorter it is.
func (w *writer) alone(fn func(*conn) error) error {
	return w.hand(&job{ctx: context.Background(), bare: fn}, true)
}

// hand puts a job into its lane and waits for its end.
func (w *writer) hand(j *job, first bool) error {
	j.done, j.at, j.first = make(chan error, 1), time.Now(), first
	ctx := j.ctx
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	if first {
		w.archive = append(w.archive, j)
	} else {
		w.rest = append(w.rest, j)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	took := remove(&w.archive, j) || remove(&w.rest, j)
	w.mu.Unlock()
	if took {
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	}
	return <-j.done
}

func remove(lane *[]*job, j *job) bool {
	for i, other := range *lane {
		if other == j {
			*lane = append((*lane)[:i:i], (*lane)[i+1:]...)
			return true
		}
	}
	return false
}

// take gives the next jobs: one of the archive lane, or a group of the rest.
func (w *writer) take() (jobs []*job, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.archive) > 0 && (len(w.rest) == 0 || w.row < archiveMost):
		if w.row++; len(w.rest) == 0 {
			w.row = 0
		}
		jobs = []*job{w.archive[0]}
		w.archive = append(w.archive[:0], w.archive[1:]...)
	case len(w.rest) > 0:
		w.row = 0
		n := 1
		for !w.rest[0].apart() && n < min(len(w.rest), groupMost) && !w.rest[n].apart() {
			n++
		}
		jobs = append(jobs, w.rest[:n]...)
		w.rest = append(w.rest[:0], w.rest[n:]...)
	}
	return jobs, w.closed
}

// back puts jobs that were not begun at the head of their lane again.
func (w *writer) back(jobs []*job) {
	w.mu.Lock()
	w.rest = append(append([]*job(nil), jobs...), w.rest...)
	w.mu.Unlock()
}

func (w *writer) archiveWaits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.archive) > 0
}

// run is the writer's goroutine; it ends when the writer was closed and the
// lanes are empty.
func (w *writer) run() {
	defer close(w.ended)
	for {
		jobs, closed := w.take()
		switch {
		case len(jobs) == 1:
			w.sp.Whole(w.db.board.Account(feature.Server, jobs[0].org))
			w.one(jobs[0])
			w.sp.End()
		case len(jobs) > 1:
			w.sp.Whole(w.db.board.Account(feature.Server, 0))
			w.group(jobs)
			w.sp.End()
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// one runs a job as a transaction of its own.
func (w *writer) one(j *job) {
	wait := w.started(j)
	switch err := w.safety(j.lax); {
	case err != nil:
		j.done <- err
	case j.bare != nil && w.db.isBroken():
		j.done <- ErrBroken
	case j.bare != nil:
		begun := time.Now()
		err := j.bare(w.c)
		w.held(time.Since(begun))
		j.done <- err
	default:
		j.done <- w.db.transact(&Tx{db: w.db, c: w.c, ctx: j.ctx, org: j.org, wait: wait, span: &w.sp}, j.fn)
	}
}

// safety sets whether the next commit waits for the disk. One that does takes
// all before it along: the WAL is one file, read up to its first gap.
func (w *writer) safety(lax bool) error {
	if w.lax == lax {
		return nil
	}
	text := "PRAGMA synchronous=FULL"
	if lax {
		text = "PRAGMA synchronous=NORMAL"
	}
	if err := w.c.script(context.Background(), text); err != nil {
		return err
	}
	w.lax = lax
	return nil
}

// group runs several small jobs in one transaction, each behind a savepoint,
// so that they share one fsync. What the time does not suffice for goes back.
func (w *writer) group(jobs []*job) {
	if w.db.isBroken() {
		for _, j := range jobs {
			j.done <- ErrBroken
		}
		return
	}
	tx := &Tx{db: w.db, c: w.c, ctx: context.Background(), begun: time.Now(), span: &w.sp}
	err := w.safety(false)
	if err == nil {
		err = w.db.begin(tx)
	}
	if err != nil {
		for _, j := range jobs {
			j.done <- err
		}
		return
	}
	errs := make([]error, 0, len(jobs))
	for i, j := range jobs {
		if err != nil || i > 0 && (tx.Held() > groupLimit || w.archiveWaits()) {
			break
		}
		tx.wait = w.started(j)
		var e error
		e, err = w.savepoint(tx, j)
		errs = append(errs, e)
	}
	ran := jobs[:len(errs)]
	w.back(jobs[len(errs):])
	if err == nil {
		err = w.db.commit(tx)
	} else {
		err = w.db.rollback(tx, err)
	}
	for i, j := range ran {
		if err != nil {
			j.done <- err
		} else {
			j.done <- errs[i]
		}
	}
}

// savepoint runs one job of a group: the job's own error, and the error that
// spoils the whole transaction.
func (w *writer) savepoint(tx *Tx, j *job) (own, whole error) {
	ctx := context.Background()
	if _, err := w.c.exec(ctx, "SAVEPOINT job", nil); err != nil {
		return nil, err
	}
	tx.For(j.org)
	own = j.fn(tx)
	if own != nil {
		if fatal(own) {
			return own, own
		}
		if _, err := w.c.exec(ctx, "ROLLBACK TO job", nil); err != nil {
			return own, err
		}
	}
	_, err := w.c.exec(ctx, "RELEASE job", nil)
	return own, err
}

// started counts a job, and tells how long it has waited.
func (w *writer) started(j *job) time.Duration {
	wait := time.Since(j.at)
	w.jobs.Add(1)
	w.waited.Add(int64(wait))
	line := WriteLine
	if j.first {
		line = ArchiveLine
	}
	w.db.waited(line, wait)
	return wait
}

// oldest is since when the first of a lane waits.
func (w *writer) oldest(archive bool) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	lane := w.rest
	if archive {
		lane = w.archive
	}
	if len(lane) == 0 {
		return time.Time{}
	}
	return lane[0].at
}

// held notes how long a transaction had the writer.
func (w *writer) held(d time.Duration) {
	for {
		old := w.longest.Load()
		if int64(d) <= old || w.longest.CompareAndSwap(old, int64(d)) {
			break
		}
	}
	if d > holdLimit {
		w.over.Add(1)
		w.db.log.Debug("a transaction held the writer too long", slog.Duration("held", d))
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.ended
	w.c.close()
}

// transact runs fn in a transaction, again when the engine asks for it. first
// has what the transaction begins with, each time.
func (d *DB) transact(first *Tx, fn func(*Tx) error) error {
	ctx := first.ctx
	start := time.Now()
	for try := 1; ; try++ {
		if d.isBroken() {
			return ErrBroken
		}
		now := *first
		tx := &now
		tx.begun = time.Now()
		first.wait = 0 // is paid once
		err := d.begin(tx)
		if err == nil {
			if err = fn(tx); err == nil {
				err = d.commit(tx)
			} else {
				err = d.rollback(tx, err)
			}
		}
		if err == nil || try == attempts || !again(err) || time.Since(start) > againTime {
			return err
		}
		wait := time.NewTimer(rand.N(pause << min(try-1, 6)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
	}
}

func (d *DB) begin(tx *Tx) error {
	text := "BEGIN IMMEDIATE"
	if d.engine == mysql {
		text = "START TRANSACTION"
	}
	if _, err := tx.c.exec(tx.ctx, text, nil); err != nil {
		return fmt.Errorf("begin: %w", d.judge(err))
	}
	return nil
}

// commit makes tx durable. Only nil means that it is.
func (d *DB) commit(tx *Tx) error {
	_, err := tx.c.exec(tx.ctx, "COMMIT", nil)
	tx.finish()
	if d.writer != nil {
		d.writer.held(tx.Held())
		d.checkpoints.dirty.Store(true)
	}
	if err == nil {
		return nil
	}
	if d.engine == mysql && !again(err) {
		// No answer to COMMIT says nothing about what the server did.
		tx.c.bad = true
		return fmt.Errorf("commit: %w: %w", ErrInDoubt, err)
	}
	return d.rollback(tx, fmt.Errorf("commit: %w", err))
}

// rollback undoes tx because of err, which it returns, judged.
func (d *DB) rollback(tx *Tx, err error) error {
	if !tx.c.bad {
		// SQLite may have rolled back by itself; then this fails harmlessly.
		if _, e := tx.c.exec(context.Background(), "ROLLBACK", nil); e != nil && d.engine == mysql {
			tx.c.bad = true
		}
	}
	if d.writer != nil {
		d.writer.held(tx.Held())
	}
	return d.judge(err)
}

// judge stops all writing when err says that the disk failed.
func (d *DB) judge(err error) error {
	if d.engine == sqlite && fatal(err) {
		d.breakDown(err)
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}
