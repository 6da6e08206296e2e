package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// cut is a context that ends once it was asked so many times.
type cut struct {
	context.Context
	left *atomic.Int32
}

func (c cut) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestDeleteCutShort: whenever the deletion of an account is cut short, it is
// there or it is gone, as the error says; what it owned goes without a restart.
func TestDeleteCutShort(t *testing.T) {
	ctx, w := context.Background(), newWorld(1, 1)
	s, err := store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Clean: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	org, err := s.AddOrg(ctx, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	unfinished := 0
	for allowed := int32(0); ; allowed++ {
		id, err := s.CreateAccount(ctx, org, "romeo", nil)
		if err != nil {
			t.Fatal(err)
		}
		m := store.Message{Org: org, ID: w.id(), Stanza: []byte("x"), Copies: []store.Copy{{Owner: id, Peer: 1, Flags: store.FlagIn}}}
		if err := s.AppendBatch(ctx, &store.Batch{Messages: []store.Message{m}}); err != nil {
			t.Fatal(err)
		}
		left := new(atomic.Int32)
		left.Store(allowed)
		err = s.DeleteAccount(cut{ctx, left}, org, "romeo")
		switch {
		case errors.Is(err, store.ErrUnfinished):
			unfinished++
		case err != nil: // nothing has happened
			if err := s.DeleteAccount(ctx, org, "romeo"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Account(ctx, org, "romeo"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the account is there: %v", err)
		}
		for storetest.Count(t, s, "erasure")+storetest.Count(t, s, "message")+storetest.Count(t, s, "entry") > 0 {
			time.Sleep(time.Millisecond)
		}
		if err == nil {
			break
		}
	}
	if unfinished == 0 {
		t.Error("no deletion was cut short half-way")
	}
}

// TestEraseKeepsOthers: what somebody else has not been indexed for yet is not
// taken for nobody's: while a long archive is erased, what its owner sends
// arrives.
func TestEraseKeepsOthers(t *testing.T) {
	ctx, w := context.Background(), newWorld(1, 1)
	s := storetest.Open(t)
	const romeo, juliet, crowd = 1, 9999, 1000 // in the order in which they are indexed
	add := func(n int, copies func(i int) []store.Copy) {
		t.Helper()
		var b store.Batch
		for i := range n {
			b.Messages = append(b.Messages, store.Message{Org: 1, ID: w.id(), Stanza: []byte("x"), Copies: copies(i)})
		}
		if err := s.AppendBatch(ctx, &b); err != nil {
			t.Fatal(err)
		}
	}
	add(20_000, func(int) []store.Copy { return []store.Copy{{Owner: romeo, Peer: 1, Flags: store.FlagIn}} })
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	erased := make(chan error, 1)
	go func() {
		_, err := s.Erase(ctx, 1, romeo, false)
		erased <- err
	}()
	sent := 0
	for done := false; !done; {
		add(1, func(int) []store.Copy {
			return []store.Copy{{Owner: romeo, Peer: 1}, {Owner: juliet, Peer: 1, Flags: store.FlagIn}}
		})
		sent++
		add(crowd, func(i int) []store.Copy {
			return []store.Copy{{Owner: store.AccountID(2 + i), Peer: 1, Flags: store.FlagIn}}
		})
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-erased:
			if done = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	rows, _, err := s.Page(ctx, 1, store.PageQuery{Owner: juliet, Limit: sent + 1})
	if err != nil || len(rows) != sent {
		t.Errorf("juliet has %d messages of %d: %v", len(rows), sent, err)
	}
}
