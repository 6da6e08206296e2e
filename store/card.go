package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Blocks lists the addresses that owner blocks, in no order.
func (s *Store) Blocks(ctx context.Context, org feature.Org, owner AccountID) (list []string, err error) {
	if err = s.db.Query(ctx, org, "blocked-list", func(r *db.Row) error {
		list = append(list, r.Text(0))
		return nil
	}, int64(owner)); err != nil {
		return nil, fmt.Errorf("blocks of account %d: %w", owner, err)
	}
	return list, nil
}

// Block adds addresses (of any form, XEP-0191); those there already stay.
func (s *Store) Block(ctx context.Context, org feature.Org, owner AccountID, jids []string) error {
	var args []any
	for _, j := range jids {
		if j == "" || len(j) > 3071 {
			return fmt.Errorf("block %q for account %d: an address has 1 to 3071 bytes", j, owner)
		}
		args = append(args, int64(owner), s.hash(j), j)
	}
	return s.blocking(ctx, org, owner, func(tx *db.Tx) error {
		_, err := tx.ExecRows("blocked-insert", args)
		return err
	})
}

// Unblock takes addresses away; nil takes away all.
func (s *Store) Unblock(ctx context.Context, org feature.Org, owner AccountID, jids []string) error {
	if jids == nil {
		var err error
		if jids, err = s.Blocks(ctx, org, owner); err != nil {
			return err
		}
	}
	var hashes []any
	for _, j := range jids {
		hashes = append(hashes, s.hash(j))
	}
	return s.blocking(ctx, org, owner, func(tx *db.Tx) error {
		_, err := tx.ExecList("blocked-delete", []any{int64(owner)}, hashes)
		return err
	})
}

// blocking runs change and brings Account.HasBlocks up to date.
func (s *Store) blocking(ctx context.Context, org feature.Org, owner AccountID, change func(*db.Tx) error) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		n, err := tx.Exec("blocked-count", int64(owner))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	}); err != nil {
		return fmt.Errorf("change blocks of account %d: %w", owner, err)
	}
	return nil
}

// one reads a single binary column of a single row. ErrNotFound.
func (s *Store) one(ctx context.Context, org feature.Org, statement string, args ...any) (value []byte, err error) {
	found := false
	err = s.db.Query(ctx, org, statement, func(r *db.Row) error {
		value, found = r.Bytes(0), true
		return nil
	}, args...)
	if err == nil && !found {
		err = ErrNotFound
	}
	return value, err
}

// exec runs one writing statement.
func (s *Store) exec(ctx context.Context, org feature.Org, statement string, args ...any) error {
	return s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	})
}

// VCard is the owner's vCard as it was set (XEP-0054). ErrNotFound.
func (s *Store) VCard(ctx context.Context, org feature.Org, owner AccountID) ([]byte, error) {
	xml, err := s.one(ctx, org, "vcard-get", int64(owner))
	if err != nil {
		return nil, fmt.Errorf("vCard of account %d: %w", owner, err)
	}
	return xml, nil
}

// SetVCard keeps a vCard; nil removes it.
func (s *Store) SetVCard(ctx context.Context, org feature.Org, owner AccountID, vcard []byte) (err error) {
	if vcard == nil {
		err = s.exec(ctx, org, "vcard-delete", int64(owner))
	} else {
		err = s.exec(ctx, org, "vcard-set", int64(owner), vcard)
	}
	if err != nil {
		return fmt.Errorf("set vCard of account %d: %w", owner, err)
	}
	return nil
}

// Private is what the owner keeps under an element's name (XEP-0049).
// ErrNotFound.
func (s *Store) Private(ctx context.Context, org feature.Org, owner AccountID, ns, name string) ([]byte, error) {
	xml, err := s.one(ctx, org, "private-get", int64(owner), s.hash(ns+"\x00"+name))
	if err != nil {
		return nil, fmt.Errorf("private XML of account %d: %w", owner, err)
	}
	return xml, nil
}

// PrivateElement is one element of private XML; without XML it is removed.
type PrivateElement struct {
	NS, Name string
	XML      []byte
}

// PrivateRoom bounds the private XML of one account.
type PrivateRoom struct {
	Elements int64
	Bytes    int64 // of all elements
}

// exceeds reports whether now is over the bounds and has not become smaller.
func (room PrivateRoom) exceeds(before, now PrivateRoom) bool {
	return now.Elements > room.Elements && now.Elements > before.Elements ||
		now.Bytes > room.Bytes && now.Bytes > before.Bytes
}

// SetPrivate keeps or removes elements, all or none. ErrNoRoom.
func (s *Store) SetPrivate(ctx context.Context, org feature.Org, owner AccountID, list []PrivateElement, room PrivateRoom) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		before, err := privateSize(tx, owner)
		if err != nil {
			return err
		}
		for _, el := range list {
			hash := s.hash(el.NS + "\x00" + el.Name)
			if el.XML == nil {
				_, err = tx.ExecList("private-delete", []any{int64(owner)}, []any{hash})
			} else {
				_, err = tx.Exec("private-set", int64(owner), hash, el.XML)
			}
			if err != nil {
				return err
			}
		}
		now, err := privateSize(tx, owner)
		if err == nil && room.exceeds(before, now) {
			err = ErrNoRoom
		}
		return err
	}); err != nil {
		return fmt.Errorf("set private XML of account %d: %w", owner, err)
	}
	return nil
}

// privateSize is what an account keeps now.
func privateSize(tx *db.Tx, owner AccountID) (size PrivateRoom, err error) {
	err = tx.Query("private-size", func(r *db.Row) error {
		size = PrivateRoom{r.Int(0), r.Int(1)}
		return nil
	}, int64(owner))
	return size, err
}

// Last is when an account was last online, to the microsecond, and the status
// it left with (XEP-0012).
type Last struct {
	Org    feature.Org
	Owner  AccountID
	At     time.Time
	Status string
}

// Last reads the last activity. ErrNotFound.
func (s *Store) Last(ctx context.Context, org feature.Org, owner AccountID) (Last, error) {
	l := Last{Org: org}
	err := s.db.Query(ctx, org, "last-get", func(r *db.Row) error {
		l.Owner, l.At, l.Status = owner, r.Time(0), r.Text(1)
		return nil
	}, int64(owner))
	if err == nil && l.Owner == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Last{}, fmt.Errorf("last activity of account %d: %w", owner, err)
	}
	return l, nil
}

// SaveLast writes the last activities of many accounts in few transactions,
// and none of an account that was deleted meanwhile.
func (s *Store) SaveLast(ctx context.Context, lasts []Last) error {
	sorted := slices.Clone(lasts)
	slices.SortStableFunc(sorted, func(a, b Last) int { return cmp.Compare(a.Owner, b.Owner) })
	for part := range slices.Chunk(sorted, 512) {
		var args, owners []any
		var shares []db.Share
		for _, l := range part {
			owners = append(owners, int64(l.Owner))
			args = append(args, int64(l.Owner), l.At, l.Status)
			shares = share(shares, l.Org)
		}
		if err := s.db.Write(ctx, part[0].Org, func(tx *db.Tx) error {
			tx.Split(shares)
			if _, err := tx.ExecRows("last-set", args); err != nil {
				return err
			}
			_, err := tx.ExecList("last-orphans", nil, owners)
			return err
		}); err != nil {
			return fmt.Errorf("save last activities: %w", err)
		}
	}
	return nil
}
