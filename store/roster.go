package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Subscription is who sees whose presence (RFC 6121 §2.1.2.5).
type Subscription uint8

// The subscription states.
const (
	SubNone Subscription = 0
	SubTo   Subscription = 1 // the owner sees the peer
	SubFrom Subscription = 2 // the peer sees the owner
	SubBoth Subscription = SubTo | SubFrom
)

// String is the word of RFC 6121.
func (s Subscription) String() string {
	return [...]string{"none", "to", "from", "both"}[s&SubBoth]
}

// RosterItem is a contact.
type RosterItem struct {
	Peer     string // bare address
	Name     string
	Sub      Subscription
	Ask      bool   // the owner has asked to see the peer
	Approved bool   // the owner has approved in advance (RFC 6121 §3.4)
	Pending  []byte // the peer's subscription request, waiting; nil for none
	Groups   []string
	Listed   bool   // false: not an item for clients, only carries Pending or Approved
	Version  uint64 // of the roster when the item last changed; set by the store
}

// RosterChange is an item that changed, or is gone.
type RosterChange struct {
	RosterItem
	Removed bool
}

// RosterDelta is what changed after a version.
type RosterDelta struct {
	Changes []RosterChange
	Version uint64 // of the roster now
	Full    bool   // Changes are all items: the version asked for is unknown or too old
}

// keptRemovals is how many removed items a roster remembers.
const keptRemovals = 200

// rosterItem reads the columns of an item, the first of which is at.
func rosterItem(r *db.Row, at int) (RosterChange, error) {
	groups, err := parseList(r.Bytes(at + 7))
	return RosterChange{
		RosterItem: RosterItem{
			Peer: r.Text(at), Name: r.Text(at + 1), Sub: Subscription(r.Int(at + 2)), Ask: r.Bool(at + 3), Approved: r.Bool(at + 4),
			Listed: r.Bool(at + 5), Pending: r.Bytes(at + 6), Groups: groups, Version: uint64(r.Int(at + 8)),
		},
		Removed: r.Bool(at + 9),
	}, err
}

// appendList encodes strings, each behind its length.
func appendList(dst []byte, list []string) []byte {
	for _, s := range list {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

func parseList(b []byte) (list []string, err error) {
	for len(b) > 0 {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, errors.New("stored list is damaged")
		}
		list = append(list, string(b[w:w+int(n)]))
		b = b[w+int(n):]
	}
	return list, nil
}

// Roster reads all items, listed or not, and the roster's version: 0 when it
// never had an item.
func (s *Store) Roster(ctx context.Context, org feature.Org, owner AccountID) (items []RosterItem, version uint64, err error) {
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		// The version first: what changes in between is told again, not missed.
		if version, _, err = rosterVersion(tx, owner); err != nil {
			return err
		}
		return tx.Query("roster-list", func(r *db.Row) error {
			c, err := rosterItem(r, 0)
			items = append(items, c.RosterItem)
			return err
		}, int64(owner))
	})
	if err != nil {
		return nil, 0, fmt.Errorf("roster of account %d: %w", owner, err)
	}
	return items, version, nil
}

func rosterVersion(tx *db.Tx, owner AccountID) (version, floor uint64, err error) {
	found := false
	err = tx.Query("roster-version", func(r *db.Row) error {
		version, floor, found = uint64(r.Int(0)), uint64(r.Int(1)), true
		return nil
	}, int64(owner))
	if err == nil && !found {
		err = ErrNotFound
	}
	return version, floor, err
}

// RosterSince reads what changed after a version that a client has.
func (s *Store) RosterSince(ctx context.Context, org feature.Org, owner AccountID, version uint64) (RosterDelta, error) {
	var d RosterDelta
	err := s.db.Read(ctx, org, func(tx *db.Tx) error {
		now, floor, err := rosterVersion(tx, owner)
		if err != nil {
			return err
		}
		d = RosterDelta{Version: now, Full: version < floor || version > now}
		since := int64(version)
		if d.Full {
			since = -1
		}
		return tx.Query("roster-since", func(r *db.Row) error {
			c, err := rosterItem(r, 0)
			if !d.Full || !c.Removed {
				d.Changes = append(d.Changes, c)
			}
			return err
		}, int64(owner), since)
	})
	if err != nil {
		return RosterDelta{}, fmt.Errorf("roster of account %d since %d: %w", owner, version, err)
	}
	return d, nil
}

// RosterItem reads one item. ErrNotFound.
func (s *Store) RosterItem(ctx context.Context, org feature.Org, owner AccountID, peer string) (*RosterItem, error) {
	var item *RosterItem
	err := s.db.Query(ctx, org, "roster-item", func(r *db.Row) error {
		c, err := rosterItem(r, 0)
		item = &c.RosterItem
		return err
	}, int64(owner), peer)
	if err == nil && item == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("roster item %s of account %d: %w", peer, owner, err)
	}
	return item, nil
}

// SetRosterItem adds or replaces an item and gives the roster's new version.
// ErrNotFound when there is no such account.
func (s *Store) SetRosterItem(ctx context.Context, org feature.Org, owner AccountID, item RosterItem) (version uint64, err error) {
	if item.Peer == "" || len(item.Peer) > 2047 {
		return 0, fmt.Errorf("roster item %q of account %d: a bare address has 1 to 2047 bytes", item.Peer, owner)
	}
	err = s.db.Write(ctx, org, func(tx *db.Tx) error {
		if version, err = bump(tx, owner); err != nil {
			return err
		}
		var pending any
		if item.Pending != nil {
			pending = item.Pending
		}
		_, err := tx.Exec("roster-set", int64(owner), item.Peer, item.Name, int(item.Sub), item.Ask, item.Approved,
			item.Listed, pending, appendList([]byte{}, item.Groups), int64(version))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("set roster item %s of account %d: %w", item.Peer, owner, err)
	}
	return version, nil
}

// RemoveRosterItem takes an item away and gives the roster's new version.
// ErrNotFound when there is no such item.
func (s *Store) RemoveRosterItem(ctx context.Context, org feature.Org, owner AccountID, peer string) (version uint64, err error) {
	err = s.db.Write(ctx, org, func(tx *db.Tx) error {
		if version, err = bump(tx, owner); err != nil {
			return err
		}
		n, err := tx.Exec("roster-remove", []byte{}, []byte{}, int64(version), int64(owner), peer)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNotFound
		}
		return prune(tx, owner)
	})
	if err != nil {
		return 0, fmt.Errorf("remove roster item %s of account %d: %w", peer, owner, err)
	}
	return version, nil
}

// bump raises the roster's version. On MariaDB it also locks the account's
// row, so that changes of one roster come one after the other.
func bump(tx *db.Tx, owner AccountID) (uint64, error) {
	if _, err := tx.Exec("roster-bump", int64(owner)); err != nil {
		return 0, err
	}
	version, _, err := rosterVersion(tx, owner)
	return version, err
}

// prune forgets the oldest removals; who has an older version gets it all.
func prune(tx *db.Tx, owner AccountID) error {
	var oldest int64
	n := 0
	if err := tx.Query("roster-removed", func(r *db.Row) error {
		n++
		oldest = r.Int(0)
		return nil
	}, int64(owner), keptRemovals+1); err != nil || n <= keptRemovals {
		return err
	}
	if _, err := tx.Exec("roster-forget", int64(owner), oldest); err != nil {
		return err
	}
	_, err := tx.Exec("roster-floor", oldest, int64(owner))
	return err
}
