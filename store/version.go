package store

import (
	"context"
	"fmt"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Versioned is something that processes keep in memory and another process may
// change: each change raises its version in the same transaction.
type Versioned uint8

// What has versions. The numbers stand in rows and in version.sql.
const (
	VersionAccounts Versioned = 1 // keys of accounts, and who may sign in; per organisation
	VersionGroups   Versioned = 2 // shared groups; per organisation
	VersionLevers   Versioned = 3 // settings of levers; organisation 0 only
)

// A VersionKey names a version row.
type VersionKey struct {
	What Versioned
	Org  feature.Org
}

// Versions reads all version rows by one statement. What was never changed has
// none.
func (s *Store) Versions(ctx context.Context) (map[VersionKey]uint64, error) {
	out := make(map[VersionKey]uint64)
	if err := s.db.Query(ctx, 0, "version-list", func(r *db.Row) error {
		out[VersionKey{Versioned(r.Int(0)), feature.Org(r.Int(1))}] = uint64(r.Int(2))
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return out, nil
}

// Shared reports whether other processes may use the database at the same
// time: a file of SQLite belongs to one.
func (s *Store) Shared() bool { return !s.db.SQLite() }

// raiseVersion says in a transaction that what is kept in memory of an
// organisation is not as it was.
func raiseVersion(tx *db.Tx, what Versioned, org feature.Org) error {
	_, err := tx.Exec("version-bump", org, int(what))
	return err
}

// AccountsChanged says that another process changed who may sign in with what
// in an organisation: SignInVersion grows, and what is known of mechanisms is
// looked up again when it is old.
func (s *Store) AccountsChanged(org feature.Org) {
	s.keyBook.mu.Lock()
	s.keyBook.ring(org).foreign = true
	s.keyBook.mu.Unlock()
	s.signIn.Add(1)
}
