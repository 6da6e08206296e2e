package store

import (
	"cmp"
	"slices"

	"github.com/bearhug/bearhug/db"
)

// talk is what a tail changes in one conversation.
type talk struct {
	peer   Peer
	seq    int64 // last message with a body; 0 for none
	unread int64
	set    bool // the owner has read what was before
}

// talks sums up entries per conversation, in the order of peers. Entries out
// of the MAM view do not count.
func talks(entries []entry) []talk {
	at := map[Peer]int{}
	var out []talk
	for _, e := range entries {
		if e.peer == 0 || e.flags&FlagHidden != 0 || e.flags&(FlagBody|FlagRead) == 0 {
			continue
		}
		i, ok := at[e.peer]
		if !ok {
			i = len(out)
			at[e.peer] = i
			out = append(out, talk{peer: e.peer})
		}
		t := &out[i]
		if e.flags&FlagBody != 0 {
			t.seq = e.seq
			if e.flags&FlagIn != 0 {
				t.unread++
			}
		}
		if e.flags&FlagRead != 0 {
			t.unread, t.set = 0, true
		}
	}
	slices.SortFunc(out, func(a, b talk) int { return cmp.Compare(int64(a.peer), int64(b.peer)) })
	return out
}

// index writes parts of tails, given in the order of owners: entries, hidden
// rows, conversations, inboxes, each sorted by its key.
func index(tx *db.Tx, parts []part) error {
	var entries, hidden, add, set, inbox []any
	for len(parts) > 0 {
		// Parts of one owner are summed up together: a conversation that one
		// sets and the next adds to must be one row.
		p, n := parts[0], 1
		own := slices.Clone(p.entries)
		for n < len(parts) && parts[n].owner == p.owner {
			own = append(own, parts[n].entries...)
			p.cursor = parts[n].cursor
			n++
		}
		parts = parts[n:]
		owner := int64(p.owner)
		for _, c := range talks(own) {
			if c.set {
				set = append(set, owner, int64(c.peer), c.seq, c.unread)
			} else {
				add = append(add, owner, int64(c.peer), c.seq, c.unread)
			}
		}
		slices.SortStableFunc(own, func(a, b entry) int { return cmp.Compare(a.flags&FlagIn, b.flags&FlagIn) })
		var in, upto int64
		for _, e := range own {
			entries = append(entries, owner, int64(e.flags&FlagIn), e.seq, int64(e.peer), int64(e.flags), int64(e.origin))
			upto = max(upto, e.seq)
			if e.flags&FlagIn == 0 {
				continue
			}
			in = max(in, e.seq)
			if e.flags&FlagHidden != 0 {
				hidden = append(hidden, owner, e.seq)
			}
		}
		inbox = append(inbox, owner, p.cursor.rnd(), p.cursor.seq(), in, upto)
	}
	for _, step := range []struct {
		name string
		args []any
	}{
		{"entry-insert", entries}, {"hidden-insert", hidden},
		{"conversation-add", add}, {"conversation-set", set}, {"inbox-save", inbox},
	} {
		if _, err := tx.ExecRows(step.name, step.args); err != nil {
			return err
		}
	}
	return nil
}

// inbox is the cursor of owner and the last message that came in, as far as
// memory knows.
func (b *behind) inbox(owner AccountID) (cursor ID, in int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range len(b.old) + 1 {
		if t := b.generation(i).tails[owner]; t != nil {
			in = max(in, t.in)
		}
	}
	return b.cursor(owner), in
}

// generation is the i-th of those in memory, the oldest first; the caller
// holds mu.
func (b *behind) generation(i int) *generation {
	if i < len(b.old) {
		return b.old[i]
	}
	return b.now
}

// kept calls each for the entries of owner that are in memory, oldest first or
// newest first, until it returns false. It returns the greatest committed
// message. each is called under the lock.
func (b *behind) kept(owner AccountID, backward bool, each func(*entry) bool) (last int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range len(b.old) + 1 {
		if backward {
			i = len(b.old) - i
		}
		t := b.generation(i).tails[owner]
		if t == nil {
			continue
		}
		entries := t.entries
		for i := range entries {
			e := &entries[i]
			if backward {
				e = &entries[len(entries)-1-i]
			}
			if !each(e) {
				return b.last
			}
		}
	}
	return b.last
}
