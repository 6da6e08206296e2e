package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

const (
	eraseStep  = 64               // messages between looks at the clock
	cleanEvery = 10 * time.Second // between looks for delivered hidden rows
	staleAfter = time.Hour        // MariaDB: an import not done by then is dead
)

// gone is an entry to be deleted.
type gone struct {
	dir, seq int64
}

// Erase deletes the owner's archive in short steps and returns how many of its
// entries went. both: the other owners' entries of the same messages too. A
// message goes with its last entry. What comes meanwhile stays.
func (s *Store) Erase(ctx context.Context, org feature.Org, owner AccountID, both bool) (n int, err error) {
	// What is kept in memory must be rows first, or it would come back.
	if err := s.behind.flush(ctx); err != nil {
		return 0, fmt.Errorf("erase the archive of account %d: %w", owner, err)
	}
	upto := s.behind.indexed.Load()
	for more := true; more; {
		took := 0
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			took, more = 0, true
			for more && tx.Held() < stepTime {
				k, err := eraseSome(tx, owner, upto, both)
				if err != nil {
					return err
				}
				took += k
				more = k > 0
			}
			return nil
		}); err != nil {
			return n, fmt.Errorf("erase the archive of account %d: %w", owner, err)
		}
		n += took
	}
	for _, t := range []string{"conversation", "hidden"} {
		if err := s.drain(ctx, org, owner, t); err != nil {
			return n, fmt.Errorf("erase the archive of account %d: %w", owner, err)
		}
	}
	return n, nil
}

// eraseSome deletes some entries of owner, and the messages that nobody else
// has an entry of. Above upto others may have entries that are no rows yet.
func eraseSome(tx *db.Tx, owner AccountID, upto int64, both bool) (int, error) {
	var list []gone
	if err := tx.Query("entry-some", func(r *db.Row) error {
		list = append(list, gone{r.Int(0), r.Int(1)})
		return nil
	}, int64(owner), upto, eraseStep); err != nil || len(list) == 0 {
		return 0, err
	}
	others, err := copiesOf(tx, list)
	if err != nil {
		return 0, err
	}
	if both {
		err = eraseOthers(tx, owner, others)
	} else {
		err = keepShared(tx, owner, others)
	}
	if err == nil {
		err = deleteEntries(tx, owner, list)
	}
	if err == nil {
		err = deleteMessages(tx, others)
	}
	return len(list), err
}

// copiesOf reads who has entries of messages, by message.
func copiesOf(tx *db.Tx, list []gone) (map[int64][]Copy, error) {
	var seqs []any
	for _, g := range list {
		seqs = append(seqs, g.seq)
	}
	out := map[int64][]Copy{}
	err := tx.QueryList("message-copies", nil, seqs, func(r *db.Row) error {
		copies, err := parseCopies(r.View(1))
		out[r.Int(0)] = copies
		return err
	})
	return out, err
}

// eraseOthers deletes the entries of everybody but owner, and their
// conversations with it.
func eraseOthers(tx *db.Tx, owner AccountID, messages map[int64][]Copy) error {
	entries := map[AccountID][]gone{}
	peers := map[AccountID]map[Peer]bool{}
	for seq, copies := range messages {
		for _, c := range copies {
			if c.Owner == owner {
				continue
			}
			entries[c.Owner] = append(entries[c.Owner], gone{int64(c.Flags & FlagIn), seq})
			if peers[c.Owner] == nil {
				peers[c.Owner] = map[Peer]bool{}
			}
			peers[c.Owner][c.Peer] = true
		}
	}
	for other, list := range entries {
		if err := deleteEntries(tx, other, list); err != nil {
			return err
		}
		var hashes []any
		for p := range peers[other] {
			hashes = append(hashes, int64(p))
		}
		if _, err := tx.ExecList("conversation-drop", []any{int64(other)}, hashes); err != nil {
			return err
		}
	}
	return nil
}

// keepShared takes out of messages those that somebody but owner has an entry
// of.
func keepShared(tx *db.Tx, owner AccountID, messages map[int64][]Copy) error {
	byOther := map[AccountID][]any{}
	for seq, copies := range messages {
		for _, c := range copies {
			if c.Owner != owner {
				byOther[c.Owner] = append(byOther[c.Owner], seq)
			}
		}
	}
	for other, seqs := range byOther {
		if err := tx.QueryList("entry-get", []any{int64(other)}, seqs, func(r *db.Row) error {
			delete(messages, r.Int(0))
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// deleteEntries deletes entries of one owner, and what marks them as hidden.
func deleteEntries(tx *db.Tx, owner AccountID, list []gone) error {
	var seqs [2][]any
	for _, g := range list {
		seqs[g.dir&1] = append(seqs[g.dir&1], g.seq)
	}
	for dir := range seqs {
		if _, err := tx.ExecList("entry-delete", []any{int64(owner), dir}, seqs[dir]); err != nil {
			return err
		}
	}
	_, err := tx.ExecList("hidden-delete", []any{int64(owner)}, seqs[1])
	return err
}

// deleteMessages deletes messages, and notes how far up: the next id must
// stay above them (Greatest).
func deleteMessages(tx *db.Tx, messages map[int64][]Copy) error {
	if len(messages) == 0 {
		return nil
	}
	var seqs []any
	var top int64
	for seq := range messages {
		seqs = append(seqs, seq)
		top = max(top, seq)
	}
	if _, err := tx.ExecList("message-delete", nil, seqs); err != nil {
		return err
	}
	_, err := tx.Exec("tick-raise", tickDeleted, top)
	return err
}

// drain deletes all rows of owner in a table that has the statements
// TABLE-some and TABLE-drop (or -delete), in steps.
func (s *Store) drain(ctx context.Context, org feature.Org, owner AccountID, table string) error {
	drop := map[string]string{
		"conversation": "conversation-drop", "hidden": "hidden-delete", "roster": "roster-drop",
		"blocked": "blocked-delete", "private": "private-delete",
	}[table]
	for more := true; more; {
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			var keys []any
			if err := tx.Query(table+"-some", func(r *db.Row) error {
				if table == "roster" {
					keys = append(keys, r.Bytes(0))
				} else {
					keys = append(keys, r.Int(0))
				}
				return nil
			}, int64(owner), 4*eraseStep); err != nil {
				return err
			}
			more = len(keys) > 0
			_, err := tx.ExecList(drop, []any{int64(owner)}, keys)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// finish deletes everything a deleted account owned, and at last the note
// that says that it must be done.
func (s *Store) finish(ctx context.Context, org feature.Org, owner AccountID) error {
	for n, rounds := 1, 0; n > 0 && rounds < 3; rounds++ { // sessions may have gone on for a moment
		var err error
		if n, err = s.Erase(ctx, org, owner, false); err != nil {
			return err
		}
	}
	for _, t := range []string{"roster", "blocked", "private"} {
		if err := s.drain(ctx, org, owner, t); err != nil {
			return err
		}
	}
	if err := s.leaveAll(ctx, org, owner); err != nil {
		return err
	}
	return s.db.Write(ctx, org, func(tx *db.Tx) error {
		for _, name := range []string{"vcard-delete", "last-delete", "inbox-delete", "erasure-delete"} {
			if _, err := tx.Exec(name, int64(owner)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteDelivered deletes the hidden entries that were delivered, and the
// messages that are in nobody's MAM view and were delivered to all. It
// returns how many entries went.
func (s *Store) DeleteDelivered(ctx context.Context) (int, error) {
	if err := s.behind.flush(ctx); err != nil {
		return 0, fmt.Errorf("delete what was delivered: %w", err)
	}
	return s.deleteDelivered(ctx)
}

func (s *Store) deleteDelivered(ctx context.Context) (n int, err error) {
	var last mark // where the last step ended
	for more := true; more; {
		took, now := 0, last
		if err := s.db.Write(ctx, 0, func(tx *db.Tx) (err error) {
			took, now, more, err = deleteSome(tx, last, s.behind.indexed.Load())
			return err
		}); err != nil {
			return n, fmt.Errorf("delete what was delivered: %w", err)
		}
		last = now
		n += took
	}
	return n, nil
}

// mark is a hidden entry.
type mark struct {
	owner AccountID
	seq   int64
}

// deleteSome deletes some delivered hidden entries behind one, owner by owner:
// each may touch many messages and as many senders. Above upto a sender's entry
// may be no row yet. It returns the last one and whether there may be more.
func deleteSome(tx *db.Tx, after mark, upto int64) (n int, last mark, more bool, err error) {
	var list []mark
	if err := tx.Query("hidden-delivered", func(r *db.Row) error {
		list = append(list, mark{AccountID(r.Int(0)), r.Int(1)})
		return nil
	}, int64(after.owner), int64(after.owner), after.seq, upto, eraseStep); err != nil {
		return 0, after, false, err
	}
	last, more = after, len(list) == eraseStep
	for n < len(list) {
		if n > 0 && tx.Held() >= stepTime {
			return n, last, true, nil
		}
		var part []gone
		for owner := list[n].owner; n < len(list) && list[n].owner == owner; n++ {
			last = list[n]
			part = append(part, gone{int64(FlagIn), last.seq})
		}
		if err := deleteHidden(tx, last.owner, part); err != nil {
			return 0, after, false, err
		}
	}
	return n, last, more, nil
}

// deleteHidden deletes delivered hidden entries of one owner. A message goes
// when all that is left of it are hidden entries of its senders.
func deleteHidden(tx *db.Tx, owner AccountID, list []gone) error {
	messages, err := copiesOf(tx, list)
	if err != nil {
		return err
	}
	if err := deleteEntries(tx, owner, list); err != nil {
		return err
	}
	waiting := map[AccountID][]any{} // hidden entries of others that may not be delivered
	for seq, copies := range messages {
		if slices.ContainsFunc(copies, func(c Copy) bool { return c.Flags&FlagHidden == 0 }) {
			delete(messages, seq)
			continue
		}
		for _, c := range copies {
			if c.Flags&FlagIn != 0 && c.Owner != owner {
				waiting[c.Owner] = append(waiting[c.Owner], seq)
			}
		}
	}
	for other, seqs := range waiting {
		if err := tx.QueryList("hidden-have", []any{int64(other)}, seqs, func(r *db.Row) error {
			delete(messages, r.Int(0))
			return nil
		}); err != nil {
			return err
		}
	}
	senders := map[AccountID][]gone{}
	for seq, copies := range messages {
		for _, c := range copies {
			if c.Flags&FlagIn == 0 {
				senders[c.Owner] = append(senders[c.Owner], gone{0, seq})
			}
		}
	}
	for sender, list := range senders {
		if err := deleteEntries(tx, sender, list); err != nil {
			return err
		}
	}
	return deleteMessages(tx, messages)
}

// cleaner is the goroutine that goes on with what was cut short, and deletes
// what was delivered; it ends with close.
type cleaner struct {
	stop  context.CancelFunc
	ended chan struct{}
}

func (s *Store) newCleaner(every time.Duration) *cleaner {
	if every <= 0 {
		every = cleanEvery
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &cleaner{stop: stop, ended: make(chan struct{})}
	s.unfinished.Store(true)
	go func() {
		defer close(c.ended)
		timer := time.NewTicker(every)
		defer timer.Stop()
		for {
			if s.unfinished.Swap(false) {
				if err := s.resume(ctx); err != nil {
					s.unfinished.Store(true)
					c.failed(ctx, s, "erasures are not done; trying again", err)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if _, err := s.deleteDelivered(ctx); err != nil {
				c.failed(ctx, s, "what was delivered is not deleted; trying again", err)
			}
		}
	}()
	return c
}

func (c *cleaner) failed(ctx context.Context, s *Store, what string, err error) {
	if ctx.Err() == nil && !errors.Is(err, db.ErrBroken) {
		s.log.Log(ctx, min(slog.LevelWarn, Severity(err)), what, slog.Any("cause", err))
	}
}

func (c *cleaner) close() {
	c.stop()
	<-c.ended
}

// dropImports takes back imports that a crash cut short. It is part of Open,
// so that the names are free again.
func (s *Store) dropImports(ctx context.Context) error {
	before := time.Now()
	if !s.db.SQLite() {
		before = before.Add(-staleAfter) // another process may be importing
	}
	var runs []int64
	if err := s.db.Query(ctx, 0, "import-open", func(r *db.Row) error {
		runs = append(runs, r.Int(0))
		return nil
	}, before); err != nil {
		return err
	}
	for _, run := range runs {
		if err := s.unstage(ctx, run); err != nil {
			return err
		}
	}
	if s.db.SQLite() { // who staged people is dead; resume mends
		if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
			_, err := tx.Exec("person-run-dead")
			return err
		}); err != nil {
			return err
		}
	}
	return s.dropJoins(ctx, before)
}

// resume finishes erasures, and takes back imports of people, that a crash cut
// short.
func (s *Store) resume(ctx context.Context) error {
	if _, err := s.mendPeople(ctx, time.Now().Add(-peopleStale)); err != nil {
		return err
	}
	type erasure struct {
		owner AccountID
		org   feature.Org
	}
	for {
		var list []erasure
		if err := s.db.Query(ctx, 0, "erasure-list", func(r *db.Row) error {
			list = append(list, erasure{AccountID(r.Int(0)), feature.Org(r.Int(1))})
			return nil
		}, eraseStep); err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			if err := s.finish(ctx, e.org, e.owner); err != nil {
				return err
			}
		}
	}
}
