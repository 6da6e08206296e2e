package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Key is what a SASL mechanism needs to check a password without knowing it
// (RFC 5802 §3).
type Key struct {
	Mechanism                  string
	Iterations                 int
	Salt, StoredKey, ServerKey []byte
}

// Account is all that a sign-in asks about an account.
type Account struct {
	ID            AccountID
	Org           feature.Org
	Local         string
	Keys          []Key
	Disabled      bool
	RosterVersion uint64 // 0: the roster never had an item
	HasBlocks     bool
	Blocks        []string // who is blocked, from SignIn; not in order
	Prefs         []byte   // MAM preferences; nil for the default
	Cursor        ID       // delivered up to here
	Undelivered   bool     // something came in after Cursor
}

// AccountInfo is an account in a list.
type AccountInfo struct {
	ID       AccountID
	Local    string
	Disabled bool
}

// appendKeys encodes keys: per key five fields, each behind its length.
func appendKeys(dst []byte, keys []Key) []byte {
	for _, k := range keys {
		n := binary.AppendUvarint(nil, uint64(k.Iterations))
		for _, field := range [][]byte{[]byte(k.Mechanism), n, k.Salt, k.StoredKey, k.ServerKey} {
			dst = binary.AppendUvarint(dst, uint64(len(field)))
			dst = append(dst, field...)
		}
	}
	return dst
}

var errKeys = errors.New("stored keys are damaged")

func parseKeys(b []byte) ([]Key, error) {
	var keys []Key
	for len(b) > 0 {
		var f [5][]byte
		for i := range f {
			n, w := binary.Uvarint(b)
			if w <= 0 || n > uint64(len(b)-w) {
				return nil, errKeys
			}
			f[i], b = b[w:w+int(n):w+int(n)], b[w+int(n):]
		}
		iterations, w := binary.Uvarint(f[1])
		if w != len(f[1]) {
			return nil, errKeys
		}
		keys = append(keys, Key{
			Mechanism: string(f[0]), Iterations: int(iterations),
			Salt: f[2], StoredKey: f[3], ServerKey: f[4],
		})
	}
	return keys, nil
}

// Account reads an account by one statement. ErrNotFound.
func (s *Store) Account(ctx context.Context, org feature.Org, local string) (*Account, error) {
	return s.whole(ctx, org, local, "account-get", nil)
}

// SignIn reads an account with its Blocks, and its roster, which is of the
// account's RosterVersion, by one statement. ErrNotFound.
func (s *Store) SignIn(ctx context.Context, org feature.Org, local string) (a *Account, items []RosterItem, err error) {
	a, err = s.whole(ctx, org, local, "account-signin", &items)
	return a, items, err
}

func (s *Store) whole(ctx context.Context, org feature.Org, local, statement string, items *[]RosterItem) (*Account, error) {
	before := s.behind.drops.Load()
	a, in, err := s.account(ctx, org, local, statement, items)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", local, err)
	}
	cursor, keptIn := s.behind.inbox(a.ID)
	if s.behind.drops.Load() != before {
		// What was only in memory when we asked may have become rows since.
		if a, in, err = s.account(ctx, org, local, statement, items); err != nil {
			return nil, fmt.Errorf("account %s: %w", local, err)
		}
	}
	if cursor.Compare(a.Cursor) > 0 {
		a.Cursor = cursor
	}
	a.Undelivered = max(in, keptIn) > a.Cursor.seq()
	return a, nil
}

// account reads the row, and the last message that came in as far as rows tell.
func (s *Store) account(ctx context.Context, org feature.Org, local, statement string, items *[]RosterItem) (a *Account, in int64, err error) {
	var blocks []string
	values := []any{org, local}
	if items != nil {
		*items = nil
		values = append(values, org, local)
	}
	err = s.db.Query(ctx, org, statement, func(r *db.Row) error {
		if items != nil && r.Bool(19) {
			blocks = append(blocks, r.Text(9))
			return nil
		}
		if items != nil && len(r.Bytes(9)) > 0 {
			it, err := rosterItem(r, 9)
			if err != nil {
				return err
			}
			*items = append(*items, it.RosterItem)
		}
		if a != nil {
			return nil
		}
		keys, err := parseKeys(r.Bytes(1))
		if err != nil {
			return err
		}
		a = &Account{
			ID: AccountID(r.Int(0)), Org: org, Local: local, Keys: keys,
			Disabled: r.Bool(2), RosterVersion: uint64(r.Int(3)), HasBlocks: r.Int(4) > 0, Prefs: r.Bytes(5),
			Cursor: makeID(r.Int(6), r.Int(7)),
		}
		in = r.Int(8)
		return nil
	}, values...)
	if err == nil && a == nil {
		err = ErrNotFound
	}
	if a != nil {
		a.Blocks = blocks
	}
	return a, in, err
}

// SignInVersion grows whenever who may sign in with what may have changed. A
// row of Account that was asked for after this gave a number is as good as a
// new one while it gives the same.
func (s *Store) SignInVersion() uint64 { return s.signIn.Load() }

// AccountIDs finds the ids of several accounts; those that do not exist are
// not in the map.
func (s *Store) AccountIDs(ctx context.Context, org feature.Org, locals []string) (map[string]AccountID, error) {
	out := make(map[string]AccountID, len(locals))
	list := make([]any, len(locals))
	for i, l := range locals {
		list[i] = l
	}
	if err := s.db.QueryList(ctx, org, "account-ids", []any{org}, list, func(r *db.Row) error {
		out[r.Text(0)] = AccountID(r.Int(1))
		return nil
	}); err != nil {
		return nil, fmt.Errorf("ids of %d accounts: %w", len(locals), err)
	}
	return out, nil
}

func checkLocal(local string) error {
	if local == "" || len(local) > 1023 {
		return fmt.Errorf("account %q: a local part has 1 to 1023 bytes", local)
	}
	return nil
}

// CreateAccount adds an account. ErrExists. No keys: nobody can sign in.
func (s *Store) CreateAccount(ctx context.Context, org feature.Org, local string, keys []Key) (AccountID, error) {
	if err := checkLocal(local); err != nil {
		return 0, err
	}
	s.keyBook.note(org, keys)
	var id AccountID
	noted := false
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		id = s.ids.next()
		// What an import has staged and not shown gives way, and the import
		// is spoilt: it will say which account was made meanwhile.
		n, err := tx.ExecList("account-unstage", []any{org}, []any{local})
		if err == nil && n > 0 {
			_, err = tx.Exec("import-spoil")
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecRows("account-insert", []any{org, local, int64(id), appendKeys(nil, keys), 0, time.Now()}); err != nil {
			return err
		}
		if _, err = tx.Exec("tick-raise", "account", int64(id)); err != nil {
			return err
		}
		noted, err = noteCreated(tx, org, id)
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		// Of the name, not of the id: ids of two processes hardly meet.
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("create account %s: %w", local, err)
	}
	if noted {
		s.groupsChanged(org)
	}
	return id, nil
}

// change finds an account and runs a statement whose last value is its id, which
// changes who may sign in with what.
func (s *Store) change(ctx context.Context, org feature.Org, local, statement string, value any) error {
	return s.db.Write(ctx, org, func(tx *db.Tx) error {
		id, err := find(tx, org, local)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(statement, value, int64(id)); err != nil {
			return err
		}
		return raiseVersion(tx, VersionAccounts, org)
	})
}

// find is an account's id. ErrNotFound.
func find(tx *db.Tx, org feature.Org, local string) (id AccountID, err error) {
	err = tx.QueryList("account-ids", []any{org}, []any{local}, func(r *db.Row) error {
		id = AccountID(r.Int(1))
		return nil
	})
	if err == nil && id == 0 {
		err = ErrNotFound
	}
	return id, err
}

// SetKeys replaces all keys of an account. ErrNotFound.
func (s *Store) SetKeys(ctx context.Context, org feature.Org, local string, keys []Key) error {
	defer s.signIn.Add(1)
	s.keyBook.note(org, keys)
	if err := s.change(ctx, org, local, "account-keys", appendKeys(nil, keys)); err != nil {
		return fmt.Errorf("set keys of %s: %w", local, err)
	}
	return nil
}

// AddKeys gives an account keys beside those it had when it was read; if it has
// others now, it keeps those.
func (s *Store) AddKeys(ctx context.Context, a *Account, more []Key) error {
	defer s.signIn.Add(1)
	s.keyBook.note(a.Org, slices.Concat(a.Keys, more))
	had := appendKeys(nil, a.Keys)
	if err := s.db.Write(ctx, a.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("account-keys-add", appendKeys(had[:len(had):len(had)], more), int64(a.ID), had)
		return err
	}); err != nil {
		return fmt.Errorf("add keys to %s: %w", a.Local, err)
	}
	return nil
}

// SetDisabled forbids or allows signing in. ErrNotFound.
func (s *Store) SetDisabled(ctx context.Context, org feature.Org, local string, disabled bool) error {
	defer s.signIn.Add(1)
	if err := s.change(ctx, org, local, "account-disable", disabled); err != nil {
		return fmt.Errorf("disable %s: %w", local, err)
	}
	return nil
}

// ListAccounts lists accounts by name, those after a name, limit at most.
func (s *Store) ListAccounts(ctx context.Context, org feature.Org, after string, limit int) (out []AccountInfo, err error) {
	err = s.db.Query(ctx, org, "account-list", func(r *db.Row) error {
		out = append(out, AccountInfo{ID: AccountID(r.Int(0)), Local: r.Text(1), Disabled: r.Bool(2)})
		return nil
	}, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return out, nil
}

// DeleteAccount takes an account away at once; what it owned goes in short
// steps until DeleteAccount returns, or later (ErrUnfinished). ErrNotFound.
func (s *Store) DeleteAccount(ctx context.Context, org feature.Org, local string) error {
	defer s.signIn.Add(1)
	var id AccountID
	noted := false
	err := s.db.Write(ctx, org, func(tx *db.Tx) (err error) {
		if id, err = find(tx, org, local); err != nil {
			return err
		}
		if noted, err = noteDeleted(tx, org, id, local); err != nil {
			return err
		}
		if _, err := tx.Exec("erasure-insert", int64(id), org, time.Now()); err != nil {
			return err
		}
		if _, err = tx.Exec("account-delete", int64(id)); err != nil {
			return err
		}
		return raiseVersion(tx, VersionAccounts, org)
	})
	if noted && err == nil {
		s.groupsChanged(org)
	}
	if err == nil {
		if err = s.finish(ctx, org, id); err != nil {
			s.unfinished.Store(true)
			err = fmt.Errorf("%w: %w", ErrUnfinished, err)
		}
	}
	if err != nil {
		return fmt.Errorf("delete account %s: %w", local, err)
	}
	return nil
}

// SetPrefs keeps the MAM preferences of an account (XEP-0441); nil for the
// default.
func (s *Store) SetPrefs(ctx context.Context, org feature.Org, owner AccountID, prefs []byte) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		var value any
		if prefs != nil {
			value = prefs
		}
		n, err := tx.Exec("account-prefs", value, int64(owner))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	}); err != nil {
		return fmt.Errorf("set preferences of account %d: %w", owner, err)
	}
	return nil
}

// Prefs reads what SetPrefs kept; nil for the default.
func (s *Store) Prefs(ctx context.Context, org feature.Org, owner AccountID) (prefs []byte, err error) {
	if err = s.db.Query(ctx, org, "account-prefs-get", func(r *db.Row) error {
		prefs = r.Bytes(0)
		return nil
	}, int64(owner)); err != nil {
		return nil, fmt.Errorf("preferences of account %d: %w", owner, err)
	}
	return prefs, nil
}
