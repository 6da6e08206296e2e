package db_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
)

// TestOldest: who waits in a line is seen while it waits, and told of when it
// has its turn; who need not wait is told of too.
func TestOldest(t *testing.T) {
	var mu sync.Mutex
	told := map[db.Line][]time.Duration{}
	d, ctx := open(t, db.Config{ReadConns: 1, Waited: func(l db.Line, wait time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		told[l] = append(told[l], wait)
	}}), context.Background()
	mu.Lock()
	clear(told)
	mu.Unlock()
	hold, writing, reading := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	run := func(do func() error) {
		wg.Go(func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
	}
	stop := func(at chan struct{}) func(*db.Tx) error {
		return func(*db.Tx) error { close(at); <-hold; return nil }
	}
	nothing := func(*db.Tx) error { return nil }
	run(func() error { return d.Write(ctx, 1, stop(writing)) })
	run(func() error { return d.Read(ctx, 1, stop(reading)) })
	<-writing
	<-reading
	for l := range db.PoolLine + 1 {
		if at := d.Oldest(l); !at.IsZero() {
			t.Errorf("in line %d somebody waits since %s", l, at)
		}
	}
	before := time.Now()
	run(func() error { return d.Write(ctx, 1, nothing) })
	run(func() error { return d.WriteArchive(ctx, 1, nothing) })
	run(func() error { return d.Read(ctx, 1, nothing) })
	gone, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		if d.Read(gone, 1, nothing) == nil {
			t.Error("who went away was served")
		}
	})
	var since time.Time
	for l := range db.PoolLine + 1 {
		for since = d.Oldest(l); since.IsZero(); since = d.Oldest(l) {
			runtime.Gosched()
		}
		if since.Before(before) || since.After(time.Now()) {
			t.Errorf("line %d: since %s", l, since)
		}
	}
	for d.PoolWaiting() < 2 {
		runtime.Gosched()
	}
	cancel()
	for d.PoolWaiting() > 1 {
		runtime.Gosched()
	}
	if at := d.Oldest(db.PoolLine); at.IsZero() || at.After(since) {
		t.Errorf("one went away, and the other waits since %s, not %s", at, since)
	}
	close(hold)
	wg.Wait()
	for l := range db.PoolLine + 1 {
		if at := d.Oldest(l); !at.IsZero() {
			t.Errorf("in line %d somebody waits still, since %s", l, at)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told[db.ArchiveLine]) != 1 || len(told[db.WriteLine]) != 2 || len(told[db.PoolLine]) != 2 {
		t.Errorf("told of %v", told)
	}
	if p := told[db.PoolLine]; p[0] != 0 || p[1] == 0 {
		t.Errorf("one was served at once, one waited: %v", p)
	}
}
