package presence_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// heap is what is in use after collections: several, as one only ages what
// pools keep.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestHeapComesBack: when everybody has signed out again, memory is what it was
// before the first came.
func TestHeapComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := crowd(t, 2000)
		time.Sleep(time.Minute) // the making of accounts is over
		synctest.Wait()
		before := heap()
		join := func() {
			for _, p := range w.people {
				w.bind(p, "desk")
				w.say(p.resources[0], 1)
			}
			presence.Quiet(w.d)
		}
		join()
		if n := w.d.Count().Accounts; n != len(w.people) {
			t.Fatalf("%d accounts, want %d", n, len(w.people))
		}
		during := heap()
		if told := w.leave(); told < len(w.people)*len(w.people)/2 {
			t.Fatalf("%d presences told", told)
		}
		if n := w.d.Count().Accounts; n != len(w.people) {
			t.Errorf("%d accounts right after, want all of them: they may be back", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.d.Count().Accounts; n != 0 {
			t.Errorf("%d accounts are remembered", n)
		}
		after := heap()
		t.Logf("heap %d KB, %d KB with all, %d KB after", before>>10, during>>10, after>>10)
		if after > before+before/10 {
			t.Errorf("heap %d KB before, %d KB after", before>>10, after>>10)
		}
	})
}

// TestForgetting: who is held stays; who was met again since the last sweep
// stays until the next; who has deliveries out of order, or a cursor that is
// not saved, stays.
func TestForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, h, d, org := openTown(t)
		w := populate(t, st, h, d, org, "f", 5)
		meet := func(p *person) *presence.Account {
			a, err := d.Account(t.Context(), p.jid)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		known := func(p *person) bool {
			a := d.Find(p.jid)
			if a == nil {
				return false
			}
			defer a.Release()
			return true
		}
		held, gone, again, ahead, unsaved := w.people[0], w.people[1], w.people[2], w.people[3], w.people[4]
		keep := meet(held)
		meet(gone).Release()
		meet(again).Release()
		a := meet(ahead)
		id := func(n byte) (id stanza.ArchiveID) { id[0] = n; return id }
		for n := byte(1); n < 3; n++ {
			a.Inbox.Hand(id(n), func() int { return 1 })
		}
		if cursor := a.Inbox.Arrived(id(2)); !cursor.IsZero() {
			t.Fatalf("the cursor moves to %x", cursor)
		}
		a.Release()
		a = meet(unsaved)
		number, saving := a.ID, true
		d.Saving = func(who store.AccountID) bool { return saving && who == number }
		a.Release()
		for range 8 {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !known(again) { // which meets it again
				t.Fatal("who was met again is forgotten")
			}
		}
		if !known(held) || known(gone) || !known(ahead) || !known(unsaved) {
			t.Errorf("held %v, gone %v, ahead %v, unsaved %v", known(held), known(gone), known(ahead), known(unsaved))
		}
		a = meet(ahead)
		if cursor := a.Inbox.Arrived(id(1)); cursor != id(2) {
			t.Errorf("the cursor moves to %x", cursor)
		}
		a.Release()
		saving = false
		keep.Release()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := d.Count().Accounts; n != 0 {
			t.Errorf("%d accounts are remembered", n)
		}
	})
}
