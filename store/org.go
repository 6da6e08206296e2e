package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Organisation is a tenant: an XMPP domain.
type Organisation struct {
	ID     feature.Org
	Domain string
}

// Orgs lists all organisations in the order in which they were added.
func (s *Store) Orgs(ctx context.Context) (out []Organisation, err error) {
	err = s.db.Query(ctx, 0, "org-list", func(r *db.Row) error {
		out = append(out, Organisation{feature.Org(r.Int(0)), r.Text(1)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	return out, nil
}

// AddOrg adds an organisation and gives its number: from 1, one more than the
// greatest so far. ErrExists when the domain is there.
func (s *Store) AddOrg(ctx context.Context, domain string) (feature.Org, error) {
	if domain == "" || len(domain) > 1023 {
		return 0, fmt.Errorf("add organisation %q: a domain has 1 to 1023 bytes", domain)
	}
	var id feature.Org
	err := s.db.Write(ctx, 0, func(tx *db.Tx) error {
		if err := lock(tx, "org"); err != nil {
			return err
		}
		if err := tx.Query("org-top", func(r *db.Row) error {
			id = feature.Org(r.Int(0)) + 1
			return nil
		}); err != nil {
			return err
		}
		_, err := tx.Exec("org-insert", id, domain, time.Now())
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("add organisation %s: %w", domain, err)
	}
	return id, nil
}

// lock makes transactions that number something by what is there already come
// one after the other: on MariaDB the row of the tick is locked until the end.
func lock(tx *db.Tx, name string) error {
	_, err := tx.Exec("tick-raise", name, 0)
	return err
}

// Secret is a random value of size bytes that was made when it was first asked
// for, and stays.
func (s *Store) Secret(ctx context.Context, name string, size int) ([]byte, error) {
	value, err := s.secret(ctx, name)
	if err == nil && value == nil {
		fresh := make([]byte, size)
		if _, err := rand.Read(fresh); err != nil {
			return nil, fmt.Errorf("make secret %s: %w", name, err)
		}
		if err := s.db.Write(ctx, 0, func(tx *db.Tx) error {
			_, err := tx.Exec("secret-insert", name, fresh)
			return err
		}); err != nil {
			return nil, fmt.Errorf("keep secret %s: %w", name, err)
		}
		value, err = s.secret(ctx, name) // another process may have been first
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	if len(value) != size {
		return nil, fmt.Errorf("secret %s has %d bytes, not %d", name, len(value), size)
	}
	return value, nil
}

func (s *Store) secret(ctx context.Context, name string) (value []byte, err error) {
	err = s.db.Query(ctx, 0, "secret-get", func(r *db.Row) error {
		value = r.Bytes(0)
		return nil
	}, name)
	return value, err
}
