package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// PageQuery asks for some rows of an owner's archive.
type PageQuery struct {
	Owner         AccountID
	Peer          Peer // 0 for all
	After, Before ID   // exclusive; zero for open
	Limit         int
	Bytes         int  // of stanzas, after which a page ends before its Limit; 0 for any
	Backward      bool // the last Limit rows instead of the first
	MAMOnly       bool // leave out FlagHidden
	Undelivered   bool // only what came in (After is the cursor)
}

// Row is one row of an owner's archive.
type Row struct {
	ID     ID
	Peer   Peer
	Flags  Flags
	Stanza []byte
}

// view is an entry without what only the writer needs.
type view struct {
	seq   int64
	peer  Peer
	flags Flags
}

// bounds are After and Before as keys.
func (q *PageQuery) bounds() (after, before int64) {
	before = math.MaxInt64
	if !q.Before.IsZero() {
		before = q.Before.seq()
	}
	return q.After.seq(), before
}

// wants reports whether q asks for e. Not by dir and bounds only.
func (q *PageQuery) wants(e *entry) bool {
	return (q.Peer == 0 || q.Peer == e.peer) &&
		(!q.MAMOnly || e.flags&FlagHidden == 0) &&
		(!q.Undelivered || e.flags&FlagIn != 0)
}

// Page reads by key, never by counting: the rows always ascend, also when they
// are the last of a range; complete says that the range has no more in the
// direction of reading. A message that an owner sent to itself comes once.
func (s *Store) Page(ctx context.Context, org feature.Org, q PageQuery) (rows []Row, complete bool, err error) {
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		var views []view
		if views, complete, err = s.views(tx, q); err != nil {
			return err
		}
		all := false
		rows, all, err = fetchUpTo(tx, views, q)
		complete = complete && all
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("page of the archive of account %d: %w", q.Owner, err)
	}
	return rows, complete, nil
}

// views finds the entries of a page, in memory and in the database.
func (s *Store) views(tx *db.Tx, q PageQuery) ([]view, bool, error) {
	if q.Limit <= 0 {
		return nil, false, nil
	}
	after, before := q.bounds()
	var views []view
	seqs := 0 // different ones: a message to oneself has two entries
	last := s.behind.kept(q.Owner, q.Backward, func(e *entry) bool {
		if e.seq <= after || e.seq >= before || !q.wants(e) {
			return true
		}
		if len(views) == 0 || views[len(views)-1].seq != e.seq {
			seqs++
		}
		views = append(views, view{e.seq, e.peer, e.flags})
		return seqs <= q.Limit+1
	})
	if !s.behind.deferred {
		if err := tx.Query("message-last", func(r *db.Row) error {
			last = r.Int(0)
			return nil
		}); err != nil {
			return nil, false, err
		}
	}
	// What commits from here on is not seen in one direction and missed in
	// the other: the page ends at what is committed now.
	if last < before {
		before = last + 1
	}
	found, err := entries(tx, q, after, before)
	if err != nil {
		return nil, false, err
	}
	views = append(views, found...)
	views = unique(views)
	if len(views) <= q.Limit {
		return views, true, nil
	}
	if q.Backward {
		return views[len(views)-q.Limit:], false, nil
	}
	return views[:q.Limit], false, nil
}

// unique sorts entries and takes out doubles: what memory and the database
// both had, and of a message to oneself the entry that came in.
func unique(views []view) []view {
	slices.SortFunc(views, func(a, b view) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.flags&FlagIn, b.flags&FlagIn))
	})
	return slices.CompactFunc(views, func(a, b view) bool { return a.seq == b.seq })
}

// entries asks the database for the first (or last) rows of the range, with
// some to spare so that duplicates do not hide that there are more.
func entries(tx *db.Tx, q PageQuery, after, before int64) ([]view, error) {
	var out []view
	take := func(r *db.Row) error {
		out = append(out, view{r.Int(0), Peer(r.Int(2)), Flags(r.Int(3))})
		return nil
	}
	var mask, want int64 // of the flags
	if q.MAMOnly {
		mask = int64(FlagHidden)
	}
	way := "forward"
	if q.Backward {
		way = "backward"
	}
	limit := q.Limit + 1
	owner := int64(q.Owner)
	if q.Peer != 0 {
		if q.Undelivered {
			mask, want = mask|int64(FlagIn), int64(FlagIn)
		}
		// A message to oneself has two entries of one peer.
		err := tx.Query("entry-peer-"+way, take, owner, int64(q.Peer), after, before, mask, want, 2*limit)
		return out, err
	}
	for dir := int64(0); dir <= 1; dir++ {
		if q.Undelivered && dir == 0 {
			continue
		}
		if err := tx.Query("entry-"+way, take, owner, dir, after, before, mask, want, limit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fetchStep is how many stanzas are read before their size is looked at.
const fetchStep = 50

// fetchUpTo adds the stanzas to the entries of a page, from where the reader
// comes from, until they have q.Bytes; all says that none was left out.
func fetchUpTo(tx *db.Tx, views []view, q PageQuery) (rows []Row, all bool, err error) {
	if q.Bytes <= 0 {
		rows, err = fetch(tx, views)
		return rows, true, err
	}
	for size := 0; len(views) > 0 && size < q.Bytes; {
		n := min(fetchStep, len(views))
		part, rest := views[:n], views[n:]
		if q.Backward {
			part, rest = views[len(views)-n:], views[:len(views)-n]
		}
		more, err := fetch(tx, part)
		if err != nil {
			return nil, false, err
		}
		for i := range more {
			size += len(more[i].Stanza)
		}
		if views = rest; q.Backward {
			rows = append(more, rows...)
		} else {
			rows = append(rows, more...)
		}
	}
	return rows, len(views) == 0, nil
}

// fetch adds the stanzas to entries, which ascend. A message that was deleted
// meanwhile is left out.
func fetch(tx *db.Tx, views []view) ([]Row, error) {
	if len(views) == 0 {
		return nil, nil
	}
	seqs := make([]any, len(views))
	for i, v := range views {
		seqs[i] = v.seq
	}
	rows := make([]Row, len(views))
	if err := tx.QueryList("message-get", nil, seqs, func(r *db.Row) error {
		i, ok := slices.BinarySearchFunc(views, r.Int(0), func(v view, seq int64) int { return cmp.Compare(v.seq, seq) })
		if ok {
			rows[i] = Row{ID: makeID(r.Int(0), r.Int(1)), Peer: views[i].peer, Flags: views[i].flags, Stanza: r.Bytes(2)}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r Row) bool { return r.ID.IsZero() }), nil
}

// ByIDs reads rows of the owner's MAM view by their ids, in ascending order; an
// id that the view does not have is left out.
func (s *Store) ByIDs(ctx context.Context, org feature.Org, owner AccountID, ids []ID) (rows []Row, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	want := map[int64]ID{}
	var seqs []any
	for _, id := range ids {
		if _, ok := want[id.seq()]; !ok {
			want[id.seq()] = id
			seqs = append(seqs, id.seq())
		}
	}
	var views []view
	s.behind.kept(owner, false, func(e *entry) bool {
		if _, ok := want[e.seq]; ok && e.flags&FlagHidden == 0 {
			views = append(views, view{e.seq, e.peer, e.flags})
		}
		return true
	})
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		if err := tx.QueryList("entry-get", []any{int64(owner)}, seqs, func(r *db.Row) error {
			if v := (view{r.Int(0), Peer(r.Int(2)), Flags(r.Int(3))}); v.flags&FlagHidden == 0 {
				views = append(views, v)
			}
			return nil
		}); err != nil {
			return err
		}
		views = unique(views)
		rows, err = fetch(tx, views)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rows of the archive of account %d: %w", owner, err)
	}
	return slices.DeleteFunc(rows, func(r Row) bool { return want[r.ID.seq()] != r.ID }), nil
}

// Has reports whether the owner's MAM view has a row with this id.
func (s *Store) Has(ctx context.Context, org feature.Org, owner AccountID, id ID) (bool, error) {
	rows, err := s.ByIDs(ctx, org, owner, []ID{id})
	return len(rows) == 1, err
}

// Bounds are the first and the last id of the owner's MAM view; zero when it
// is empty.
func (s *Store) Bounds(ctx context.Context, org feature.Org, owner AccountID) (first, last ID, err error) {
	q := PageQuery{Owner: owner, Limit: 1, MAMOnly: true}
	rows, _, err := s.Page(ctx, org, q)
	if err != nil || len(rows) == 0 {
		return ID{}, ID{}, err
	}
	first = rows[0].ID
	q.Backward = true
	if rows, _, err = s.Page(ctx, org, q); err != nil || len(rows) == 0 {
		return ID{}, ID{}, err
	}
	return first, rows[0].ID, nil
}

// RecentOrigins are the hashes of the origin-ids among the last n messages
// that owner sent, newest first, hidden ones included.
func (s *Store) RecentOrigins(ctx context.Context, org feature.Org, owner AccountID, n int) ([]uint64, error) {
	var out []uint64
	below, seen := int64(math.MaxInt64), 0
	if n <= 0 {
		return nil, nil
	}
	s.behind.kept(owner, true, func(e *entry) bool {
		if e.flags&FlagIn == 0 {
			below = e.seq
			seen++
			if e.origin != 0 {
				out = append(out, e.origin)
			}
		}
		return seen < n
	})
	if seen < n {
		// Older than what memory had: nothing comes twice. As one row: a
		// thousand would cost ten times as much, for the first message of
		// everybody after a start.
		if err := s.db.Query(ctx, org, "entry-origins", func(r *db.Row) (err error) {
			out, err = appendHashes(out, r.Text(0))
			return err
		}, int64(owner), below, n-seen); err != nil {
			return nil, fmt.Errorf("origins of account %d: %w", owner, err)
		}
	}
	return out, nil
}

// appendHashes reads integers with commas between them; 0 is none.
func appendHashes(dst []uint64, list string) ([]uint64, error) {
	for len(list) > 0 {
		var one string
		one, list, _ = strings.Cut(list, ",")
		h, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return dst, err
		}
		if h != 0 {
			dst = append(dst, uint64(h))
		}
	}
	return dst, nil
}

// Conversation is one row of an owner's list of conversations.
type Conversation struct {
	Peer   Peer
	Last   ID // of the last message with a body
	Unread int
	Stanza []byte // of Last; nil when that message was erased
}

// Conversations lists the owner's conversations, newest first, those with Last
// below before (zero: from the newest).
func (s *Store) Conversations(ctx context.Context, org feature.Org, owner AccountID, before ID, limit int) ([]Conversation, error) {
	if limit <= 0 {
		return nil, nil
	}
	var kept []entry
	s.behind.kept(owner, false, func(e *entry) bool {
		kept = append(kept, *e)
		return true
	})
	top := int64(math.MaxInt64)
	if !before.IsZero() {
		top = before.seq()
	}
	var out []Conversation
	if err := s.db.Read(ctx, org, func(tx *db.Tx) error {
		list, err := conversations(tx, owner, kept, top, limit)
		if err != nil {
			return err
		}
		out, err = withStanzas(tx, list)
		return err
	}); err != nil {
		return nil, fmt.Errorf("conversations of account %d: %w", owner, err)
	}
	return out, nil
}

// conversations merges the rows with what is kept in memory.
func conversations(tx *db.Tx, owner AccountID, kept []entry, top int64, limit int) ([]talk, error) {
	merged, err := mergeTalks(tx, owner, kept)
	if err != nil {
		return nil, err
	}
	inMemory := map[Peer]bool{}
	for _, t := range merged {
		inMemory[t.peer] = true
	}
	if err := tx.Query("conversation-page", func(r *db.Row) error {
		if t := (talk{peer: Peer(r.Int(0)), seq: r.Int(1), unread: r.Int(2)}); !inMemory[t.peer] {
			merged = append(merged, t)
		}
		return nil
	}, int64(owner), top, limit+len(inMemory)); err != nil {
		return nil, err
	}
	merged = slices.DeleteFunc(merged, func(t talk) bool { return t.seq == 0 || t.seq >= top })
	slices.SortFunc(merged, func(a, b talk) int { return cmp.Compare(b.seq, a.seq) })
	return merged[:min(limit, len(merged))], nil
}

// mergeTalks is the state of the conversations that memory knows about. The
// row and the upto of its owner are read in one statement: entries up to it
// are in the row already.
func mergeTalks(tx *db.Tx, owner AccountID, kept []entry) ([]talk, error) {
	all := talks(kept)
	if len(all) == 0 {
		return nil, nil
	}
	var peers []any
	for _, t := range all {
		peers = append(peers, int64(t.peer))
	}
	rows := map[Peer]talk{}
	uptos := map[Peer]int64{}
	if err := tx.QueryList("conversation-get", []any{int64(owner)}, peers, func(r *db.Row) error {
		p := Peer(r.Int(0))
		rows[p] = talk{peer: p, seq: r.Int(1), unread: r.Int(2)}
		uptos[p] = r.Int(3)
		return nil
	}); err != nil {
		return nil, err
	}
	fresh := map[Peer][]entry{}
	for _, e := range kept {
		if _, ok := rows[e.peer]; ok && e.seq > uptos[e.peer] {
			fresh[e.peer] = append(fresh[e.peer], e)
		}
	}
	for i, t := range all {
		row, ok := rows[t.peer]
		if !ok {
			continue // not in the database yet: memory is all there is
		}
		for _, f := range talks(fresh[t.peer]) {
			row.seq = max(row.seq, f.seq)
			row.unread += f.unread
			if f.set {
				row.unread = f.unread
			}
		}
		all[i] = row
	}
	return all, nil
}

// withStanzas reads the last messages of conversations.
func withStanzas(tx *db.Tx, list []talk) ([]Conversation, error) {
	out := make([]Conversation, len(list))
	at := map[int64][]int{}
	var seqs []any
	for i, t := range list {
		out[i] = Conversation{Peer: t.peer, Last: makeID(t.seq, 0), Unread: int(t.unread)}
		at[t.seq] = append(at[t.seq], i)
		seqs = append(seqs, t.seq)
	}
	if len(seqs) == 0 {
		return out, nil
	}
	err := tx.QueryList("message-get", nil, seqs, func(r *db.Row) error {
		stanza := r.Bytes(2)
		for _, i := range at[r.Int(0)] {
			out[i].Last, out[i].Stanza = makeID(r.Int(0), r.Int(1)), stanza
		}
		return nil
	})
	return out, err
}
