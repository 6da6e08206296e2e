package store

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
)

// some are n messages of a few people, with the ids from first on.
func some(first, n int) []Message {
	list := make([]Message, n)
	for i := range list {
		seq := first + i
		a, b := AccountID(1+seq%7), AccountID(11+seq%5)
		list[i] = Message{Org: 1, ID: makeID(int64(seq), int64(seq)), Stanza: []byte("<message/>"), Copies: []Copy{
			{Owner: a, Peer: Peer(b), Flags: FlagBody}, {Owner: b, Peer: Peer(a), Flags: FlagBody | FlagIn},
		}}
	}
	return list
}

func openFlush(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "flush.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// indexed is up to which message everything is indexed.
func indexed(t *testing.T, s *Store) int64 {
	t.Helper()
	n, err := s.tick(context.Background(), tickIndex)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// never keeps what comes from being written because of its age, on a machine
// however slow.
func never(s *Store) {
	s.behind.mu.Lock()
	defer s.behind.mu.Unlock()
	s.behind.now.since = time.Now().Add(24 * time.Hour)
}

// TestFlushOnlyWhatThereWas: each of several flushes writes what was kept when
// it was called, however long it has to wait, and leaves what came later.
func TestFlushOnlyWhatThereWas(t *testing.T) {
	s, ctx := openFlush(t), context.Background()
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // nothing is written until release
		if err := s.db.Write(ctx, 0, func(*db.Tx) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i := range 3 {
		s.behind.add(some(1+1000*i, 1000), []Cursor{{Org: 1, Owner: 1, ID: makeID(int64(1+1000*i), 1)}})
		wg.Go(func() {
			if err := s.Flush(ctx); err != nil {
				t.Error(err)
			}
			if got := indexed(t, s); got < int64(1000*(i+1)) {
				t.Errorf("flush %d: indexed up to %d", i, got)
			}
		})
		for cut := false; !cut; runtime.Gosched() { // it has been called
			s.behind.mu.Lock()
			cut = len(s.behind.old) == i+1
			s.behind.mu.Unlock()
		}
	}
	s.behind.add(some(3001, 1000), nil)
	never(s)
	for _, backward := range []bool{false, true} { // readers see all of it, in order
		var last int64
		n := 0
		s.behind.kept(1, backward, func(e *entry) bool {
			if n > 0 && (e.seq < last) != backward {
				t.Errorf("backward %v: %d comes after %d", backward, e.seq, last)
			}
			last = e.seq
			n++
			return true
		})
		if want := 4000/7 + 1; n != want && n != want-1 {
			t.Errorf("backward %v: %d entries are kept", backward, n)
		}
	}
	if at, _ := s.behind.inbox(1); at != makeID(2001, 1) {
		t.Errorf("the cursor stands at %v", at)
	}
	close(release)
	wg.Wait()
	if got := indexed(t, s); got != 3000 {
		t.Errorf("indexed up to %d, not 3000: what came after the flush was called is none of its business", got)
	}
	s.behind.mu.Lock()
	kept := s.behind.now.messages
	s.behind.mu.Unlock()
	if kept != 1000 {
		t.Errorf("%d messages are kept, not the 1000 that came later", kept)
	}
}

// TestFlushWhileOthersWrite: batches follow one another without a pause until
// the flush is done; it does not run after them.
func TestFlushWhileOthersWrite(t *testing.T) {
	s, ctx := openFlush(t), context.Background()
	if err := s.AppendBatch(ctx, &Batch{Messages: some(1, 2000)}); err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.db.Write(ctx, 0, func(*db.Tx) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush(ctx) }()
	for cut := false; !cut; runtime.Gosched() {
		s.behind.mu.Lock()
		cut = len(s.behind.old) > 0
		s.behind.mu.Unlock()
	}
	done, batches := make(chan struct{}), 0
	never(s)
	wg.Go(func() {
		for first := 2001; ; first += 50 {
			if err := s.AppendBatch(ctx, &Batch{Messages: some(first, 50)}); err != nil {
				t.Error(err)
				return
			}
			batches++
			select {
			case <-done:
				return
			default:
			}
		}
	})
	close(release)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	close(done)
	wg.Wait()
	if got := indexed(t, s); got != 2000 {
		t.Errorf("indexed up to %d, not 2000", got)
	}
	t.Logf("%d batches were written meanwhile", batches)
}
