package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Flags say what an entry is to its owner.
type Flags uint8

// The flags of an entry.
const (
	FlagIn     Flags = 1 << iota // it came to the owner; else the owner sent it
	FlagHidden                   // not in the MAM view; deleted once delivered
	FlagBody                     // counts as unread when it came in
	FlagRead                     // up to here the owner has read this conversation
)

// Copy is one owner's entry of a message.
type Copy struct {
	Owner  AccountID
	Peer   Peer
	Flags  Flags
	Origin uint64 // hash of the origin-id, 0 for none
}

// Message is one stanza to be stored.
type Message struct {
	Org    feature.Org
	ID     ID
	Stanza []byte
	Copies []Copy
}

// Cursor says that everything up to and including ID was delivered to Owner.
type Cursor struct {
	Org   feature.Org
	Owner AccountID
	ID    ID
}

// Batch is what one transaction makes durable. Ids ascend within a batch and
// from batch to batch.
type Batch struct {
	Messages []Message
	Cursors  []Cursor
}

// copySize is the length of an encoded Copy.
const copySize = 25

// appendCopies encodes the owners of a message, so that the message alone can
// tell what is to be indexed.
func appendCopies(dst []byte, copies []Copy) []byte {
	for _, c := range copies {
		dst = append(dst, byte(c.Flags))
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.Owner))
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.Peer))
		dst = binary.BigEndian.AppendUint64(dst, c.Origin)
	}
	return dst
}

func parseCopies(b []byte) ([]Copy, error) {
	if len(b)%copySize != 0 {
		return nil, fmt.Errorf("owners of a message: %d bytes", len(b))
	}
	out := make([]Copy, 0, len(b)/copySize)
	for ; len(b) > 0; b = b[copySize:] {
		out = append(out, Copy{
			Flags:  Flags(b[0]),
			Owner:  AccountID(binary.BigEndian.Uint64(b[1:])),
			Peer:   Peer(binary.BigEndian.Uint64(b[9:])),
			Origin: binary.BigEndian.Uint64(b[17:]),
		})
	}
	return out, nil
}

// errPartial: some messages of the batch are there already.
var errPartial = errors.New("part of the batch is stored already")

// AppendBatch makes a batch durable: nil means that it is on disk. After any
// error the same batch is handed in again, and what an earlier attempt had
// stored after all (db.ErrInDoubt) is stored once. Cursors are seen at once,
// and on SQLite written soon after. The batch is not kept.
func (s *Store) AppendBatch(ctx context.Context, b *Batch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	if err := s.behind.room(ctx); err != nil {
		return fmt.Errorf("append to the archive: %w", err)
	}
	messages := b.Messages
	err := s.append(ctx, messages, b.Cursors)
	if errors.Is(err, errPartial) {
		if messages, err = s.missing(ctx, messages); err == nil {
			err = s.append(ctx, messages, b.Cursors)
		}
	}
	if err != nil {
		return fmt.Errorf("append to the archive: %w", err)
	}
	if s.behind.deferred {
		s.behind.add(messages, b.Cursors)
	}
	return nil
}

func checkBatch(b *Batch) error {
	var last int64
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.ID.seq() <= last {
			return fmt.Errorf("append to the archive: id %s does not follow the one before it", m.ID)
		}
		last = m.ID.seq()
	}
	return nil
}

// append writes messages as one transaction; errPartial when one was there.
func (s *Store) append(ctx context.Context, messages []Message, cursors []Cursor) error {
	if len(messages) == 0 && (len(cursors) == 0 || s.behind.deferred) {
		return nil
	}
	args := make([]any, 0, 5*len(messages))
	copies := make([]byte, 0, 2*copySize*len(messages))
	var shares []db.Share
	for i := range messages {
		m := &messages[i]
		at := len(copies)
		copies = appendCopies(copies, m.Copies)
		args = append(args, m.ID.seq(), m.ID.rnd(), m.Org, copies[at:len(copies):len(copies)], m.Stanza)
		shares = share(shares, m.Org)
	}
	return s.db.WriteArchive(ctx, 0, func(tx *db.Tx) error {
		if len(shares) > 0 {
			tx.Split(shares)
		}
		n, err := tx.ExecRows("message-insert", args)
		if err != nil {
			return err
		}
		if n != int64(len(messages)) {
			return errPartial
		}
		if s.behind.deferred {
			return nil
		}
		return index(tx, collect(messages, cursors).parts())
	})
}

// share counts one more unit for org.
func share(shares []db.Share, org feature.Org) []db.Share {
	for i := range shares {
		if shares[i].Org == org {
			shares[i].N++
			return shares
		}
	}
	return append(shares, db.Share{Org: org, N: 1})
}

// missing is the messages that are not stored yet. An id that another message
// has is an error: the generator of ids is at fault.
func (s *Store) missing(ctx context.Context, messages []Message) ([]Message, error) {
	seqs := make([]any, len(messages))
	for i := range messages {
		seqs[i] = messages[i].ID.seq()
	}
	have := map[int64]int64{}
	// Asked of the writer's connection: it sees what was committed last.
	if err := s.db.WriteArchive(ctx, 0, func(tx *db.Tx) error {
		return tx.QueryList("message-have", nil, seqs, func(r *db.Row) error {
			have[r.Int(0)] = r.Int(1)
			return nil
		})
	}); err != nil {
		return nil, err
	}
	var out []Message
	for _, m := range messages {
		rnd, ok := have[m.ID.seq()]
		switch {
		case !ok:
			out = append(out, m)
		case rnd != m.ID.rnd():
			return nil, fmt.Errorf("%s: %w", m.ID, ErrCollision)
		}
	}
	return out, nil
}

// SaveCursors moves cursors; they never move back. Reads see it at once. On
// SQLite the rows follow after a lull of 50 ms to 1 s: a crash may move a cursor
// back by as much, so that messages come again, with the same ids.
func (s *Store) SaveCursors(ctx context.Context, cursors []Cursor) error {
	if len(cursors) == 0 {
		return nil
	}
	if s.behind.deferred {
		s.behind.add(nil, cursors)
		return nil
	}
	if err := s.db.Write(ctx, cursors[0].Org, func(tx *db.Tx) error {
		return index(tx, collect(nil, cursors).parts())
	}); err != nil {
		return fmt.Errorf("save cursors: %w", err)
	}
	return nil
}

// Greatest is an id that no stored message and no cursor is above; zero when
// the archive never held anything. The generator of ids starts above it.
func (s *Store) Greatest(ctx context.Context) (ID, error) {
	var top ID
	err := s.db.Query(ctx, 0, "message-last", func(r *db.Row) error {
		top = makeID(r.Int(0), r.Int(1))
		return nil
	})
	for _, name := range []string{tickIndex, tickDeleted} {
		if err != nil {
			break
		}
		var n int64
		if n, err = s.tick(ctx, name); n > top.seq() {
			top = makeID(n, -1) // the message itself may be gone
		}
	}
	if err != nil {
		return ID{}, fmt.Errorf("greatest id of the archive: %w", err)
	}
	return top, nil
}

// Cursor is where the delivery to owner stands; zero when nothing was
// delivered yet.
func (s *Store) Cursor(ctx context.Context, org feature.Org, owner AccountID) (ID, error) {
	kept, _ := s.behind.inbox(owner)
	var at ID
	if err := s.db.Query(ctx, org, "inbox-get", func(r *db.Row) error {
		at = makeID(r.Int(0), r.Int(1))
		return nil
	}, int64(owner)); err != nil {
		return ID{}, fmt.Errorf("cursor of account %d: %w", owner, err)
	}
	if kept.Compare(at) > 0 {
		return kept, nil
	}
	return at, nil
}
