package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestServerKilled: batches are written while mariadbd is killed again and
// again. What was not acknowledged is handed in again; in the end everything
// is there once, and counted once.
func TestServerKilled(t *testing.T) {
	srv, ctx := storetest.MariaDB(t), context.Background()
	url, err := srv.Create(ctx, "killed")
	if err != nil {
		t.Fatal(err)
	}
	s, w, m := storetest.OpenURL(t, url), newWorld(8, 5), newModel()
	stop, ended := make(chan struct{}), make(chan struct{})
	kills := 0
	go func() {
		defer close(ended)
		for kills < 6 {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(150)) * time.Millisecond):
			}
			kills++
			if err := errors.Join(srv.Kill(), srv.Restart(ctx)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	batches, again, inDoubt := 0, 0, 0
	for going := true; going; batches++ {
		select {
		case <-ended:
			going = false
		default:
		}
		b := w.odd(1 + w.rnd.IntN(80))
		for {
			err := s.AppendBatch(ctx, b)
			if err == nil {
				break
			}
			if errors.Is(err, store.ErrCollision) {
				t.Fatal(err)
			}
			if errors.Is(err, db.ErrInDoubt) {
				inDoubt++
			}
			again++
			time.Sleep(5 * time.Millisecond)
		}
		m.append(b)
	}
	close(stop)
	<-ended
	m.same(t, s, w)
	if err := s.DB().Prepare(ctx); err != nil {
		t.Error(err)
	}
	if n := storetest.Count(t, s, "message"); n != int64(len(m.messages)) {
		t.Errorf("%d messages are stored of %d", n, len(m.messages))
	}
	t.Logf("%d kills, %d batches, %d messages, %d tries again, %d commits in doubt", kills, batches, len(m.messages), again, inDoubt)
}
