package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
)

// How much of what was delivered is forgotten when the process dies: a lull of
// cursorsSoon with few people, of cursorsLate at most. Writing them takes one
// part in cursorsPart of the time.
const (
	cursorsSoon = 50 * time.Millisecond
	cursorsLate = time.Second
	cursorsPart = 20
	cursorRows  = 64 // between looks at the clock
)

// move notes where cursors stand; the caller holds mu.
func (b *behind) move(cursors []Cursor) {
	if len(cursors) > 0 && len(b.moved) == 0 {
		b.soon.Reset(b.lull)
	}
	for _, c := range cursors {
		if c.ID.Compare(b.moved[c.Owner]) > 0 {
			b.moved[c.Owner] = c.ID
		}
	}
}

// cursor is where owner's stands as far as memory knows; the caller holds mu.
func (b *behind) cursor(owner AccountID) ID {
	at, saving := b.moved[owner], b.saving[owner]
	if saving.Compare(at) > 0 {
		return saving
	}
	return at
}

// writeCursors writes the cursors that moved, and nothing when none did. None
// of it waits for the disk: a process that dies leaves it to the system, and a
// power cut undoes no more than what no commit has taken along since.
func (b *behind) writeCursors(ctx context.Context) error {
	began := time.Now()
	b.mu.Lock()
	if len(b.saving) == 0 {
		b.saving, b.moved = b.moved, make(map[AccountID]ID, len(b.moved))
	}
	list := make([]Cursor, 0, len(b.saving))
	for owner, id := range b.saving {
		list = append(list, Cursor{Owner: owner, ID: id})
	}
	b.mu.Unlock()
	slices.SortFunc(list, func(a, b Cursor) int { return cmp.Compare(a.Owner, b.Owner) })
	for len(list) > 0 {
		done := 0
		if err := b.s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
			done = 0
			for done < len(list) && tx.Held() < indexTime {
				n := min(cursorRows, len(list)-done)
				if err := saveCursors(tx, list[done:done+n]); err != nil {
					return err
				}
				done += n
			}
			return nil
		}); err != nil {
			return fmt.Errorf("write cursors: %w", err)
		}
		b.mu.Lock()
		b.drops.Add(1)
		for _, c := range list[:done] {
			delete(b.saving, c.Owner)
		}
		b.mu.Unlock()
		list = list[done:]
	}
	b.mu.Lock()
	b.lull = min(max(cursorsSoon, cursorsPart*time.Since(began)), cursorsLate)
	b.mu.Unlock()
	return nil
}

// saveCursors writes cursors and nothing else of an inbox.
func saveCursors(tx *db.Tx, list []Cursor) error {
	args := make([]any, 0, 5*len(list))
	for _, c := range list {
		args = append(args, int64(c.Owner), c.ID.rnd(), c.ID.seq(), int64(0), int64(0))
	}
	_, err := tx.ExecRows("inbox-save", args)
	return err
}
