package db

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// A checkpoint moves pages from the WAL to where they belong, and waits for
// the disk. Done by the writer, as SQLite has it by itself, it keeps everybody
// waiting for longer than any transaction. So another connection does nearly
// all of it while transactions go on; the writer copies what came meanwhile,
// a few pages, so that the WAL begins anew and does not grow.

const (
	checkpointEvery = 500 * time.Millisecond
	checkpointRound = 8     // times that pages are moved before the writer is asked
	walPages        = 16384 // from here on the WAL is to begin anew: 128 MiB
	walMost         = 2 * walPages
	fewPages        = 512 // so many the writer moves by itself
)

// checkpointer is the goroutine that does it. dirty is set by commits.
type checkpointer struct {
	d     *DB
	c     *conn
	dirty atomic.Bool
	stop  chan struct{}
	ended chan struct{}
}

func newCheckpointer(d *DB, c *conn) *checkpointer {
	k := &checkpointer{d: d, c: c, stop: make(chan struct{}), ended: make(chan struct{})}
	go k.run()
	return k
}

// run is the goroutine; it ends with close.
func (k *checkpointer) run() {
	defer close(k.ended)
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-k.stop:
			return
		case <-tick.C:
			if k.dirty.Swap(false) && !k.d.isBroken() {
				k.work()
			}
		}
	}
}

// work moves pages: 1. aside, in rounds that find less and less; 2. when the
// WAL is long, the last of them by the writer.
func (k *checkpointer) work() {
	var wal, moved, left int64
	for range checkpointRound {
		before := moved
		var err error
		if wal, moved, err = move(k.c); err != nil {
			k.failed(err)
			return
		}
		if moved < before { // the WAL began anew
			before = 0
		}
		if left = moved - before; left <= fewPages {
			break
		}
	}
	if wal < walPages || left > fewPages && wal < walMost {
		return
	}
	if err := k.d.writer.alone(func(c *conn) error {
		_, _, err := move(c)
		return err
	}); err != nil {
		k.failed(err)
	}
}

// move copies what may be copied now and waits for the disk. It gives the
// pages in the WAL, and how many of them are where they belong.
func move(c *conn) (wal, moved int64, err error) {
	_, err = c.query(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)", nil, func(r *Row) error {
		wal, moved = r.Int(1), r.Int(2)
		return nil
	})
	return wal, moved, err
}

// failed tells of a checkpoint that did not work. What is committed is in the
// WAL all the same; a disk that fails there is found by the writer as well.
func (k *checkpointer) failed(err error) {
	if fatal(err) {
		k.d.breakDown(err)
		return
	}
	k.dirty.Store(true) // again
	k.d.log.Warn("pages of the database are not moved from its WAL", slog.Any("err", err))
}

func (k *checkpointer) close() {
	close(k.stop)
	<-k.ended
	k.c.close()
}
