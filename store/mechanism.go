package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Mechanisms whose keys an account may have or lack.
var mechanisms = [...]string{"SCRAM-SHA-256", "SCRAM-SHA-1"}

// lookAgain is how long an answer that some accounts lack keys is kept, once
// keys have changed: looking costs up to a walk over the accounts.
const lookAgain = time.Minute

// keyBook knows which mechanisms some account of an organisation has no key
// for. It errs on the side of "lacks".
type keyBook struct {
	mu   sync.Mutex
	orgs map[feature.Org]*keyring
}

// keyring is what is known of one organisation; guarded by keyBook.mu.
type keyring struct {
	known   bool // the accounts were looked through
	lacks   [len(mechanisms)]bool
	marks   int // how often keys were noted that lack something
	version uint64
	at      time.Time
	foreign bool // another process has written keys since

	noted  int // how often keys were written
	shapes [len(mechanisms)]map[KeyShape]int
	drawn  int       // noted when shapes was drawn
	drawAt time.Time // when
}

// KeyShape is what a client is told of an account's keys before it has proven
// anything.
type KeyShape struct{ Iterations, Salt int } // Salt in bytes

const (
	sampleSize = 1000 // accounts that are looked at to know how keys look
	maxShapes  = 16   // that are told apart, for each sign-in goes through them
)

func (b *keyBook) ring(org feature.Org) *keyring {
	if b.orgs == nil {
		b.orgs = make(map[feature.Org]*keyring)
	}
	k := b.orgs[org]
	if k == nil {
		k = &keyring{}
		b.orgs[org] = k
	}
	return k
}

// note is told of keys before they are written.
func (b *keyBook) note(org feature.Org, keys []Key) {
	if len(keys) == 0 {
		return // it signs in by token
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.ring(org)
	k.noted++
	for i, m := range mechanisms {
		has := false
		for _, key := range keys {
			has = has || key.Mechanism == m
		}
		if !has {
			k.lacks[i] = true
			k.marks++
		}
	}
}

// stale reports whether the organisation's accounts are to be looked through.
func (k *keyring) stale(version uint64, now time.Time) bool {
	lacks := false
	for _, l := range k.lacks {
		lacks = lacks || l
	}
	return !k.known || (k.foreign || lacks && k.version != version) && now.Sub(k.at) >= lookAgain
}

// Mechanisms are the SCRAM mechanisms that every account of an organisation
// with a password has keys for, the best first: a client that picks one of
// them can sign in, whoever it is. The answer stands in memory; it is looked
// up at the first question, and again when accounts that lacked keys may have
// got them.
func (s *Store) Mechanisms(ctx context.Context, org feature.Org) ([]string, error) {
	version, now := s.SignInVersion(), time.Now()
	if err := s.drawShapes(ctx, org, now); err != nil {
		return nil, fmt.Errorf("mechanisms of organisation %d: %w", org, err)
	}
	s.keyBook.mu.Lock()
	k := s.keyBook.ring(org)
	marks, stale := k.marks, k.stale(version, now)
	lacks := k.lacks
	if stale && k.known {
		k.at, k.version, k.foreign = now, version, false // one looks, the others have the old answer
	}
	s.keyBook.mu.Unlock()
	if stale {
		for i, m := range mechanisms {
			var err error
			if lacks[i], err = s.lacks(ctx, org, m); err != nil {
				return nil, fmt.Errorf("mechanisms of organisation %d: %w", org, err)
			}
		}
		s.keyBook.mu.Lock()
		if k.marks != marks { // what was noted meanwhile may not have been there to see
			for i := range lacks {
				lacks[i] = lacks[i] || k.lacks[i]
			}
		}
		k.known, k.lacks, k.version, k.at = true, lacks, version, now
		s.keyBook.mu.Unlock()
	}
	all := make([]string, 0, len(mechanisms))
	for i, m := range mechanisms {
		if !lacks[i] {
			all = append(all, m)
		}
	}
	return all, nil
}

// lacks reports whether some account with keys has none for the mechanism.
func (s *Store) lacks(ctx context.Context, org feature.Org, mechanism string) (lacks bool, err error) {
	err = s.db.Query(ctx, org, "account-lacks", func(*db.Row) error {
		lacks = true
		return nil
	}, org, mechanism)
	return lacks, err
}

// KeyShapes tells how the keys of an organisation's accounts look for a
// mechanism, with the number of accounts in a sample that have each shape. It
// stands in memory since Mechanisms was asked; the caller does not change it.
func (s *Store) KeyShapes(org feature.Org, mechanism string) map[KeyShape]int {
	s.keyBook.mu.Lock()
	defer s.keyBook.mu.Unlock()
	for i, m := range mechanisms {
		if m == mechanism {
			return s.keyBook.ring(org).shapes[i]
		}
	}
	return nil
}

// drawShapes looks at some accounts at the first question, and when keys were
// written since, at most once a minute.
func (s *Store) drawShapes(ctx context.Context, org feature.Org, now time.Time) error {
	s.keyBook.mu.Lock()
	k := s.keyBook.ring(org)
	first := k.shapes[0] == nil
	due := first || k.drawn != k.noted && now.Sub(k.drawAt) >= lookAgain
	if due && !first {
		k.drawAt = now // one looks, the others have the old answer
	}
	noted := k.noted
	s.keyBook.mu.Unlock()
	if !due {
		return nil
	}
	var shapes [len(mechanisms)]map[KeyShape]int
	for i := range shapes {
		shapes[i] = make(map[KeyShape]int)
	}
	if err := s.db.Query(ctx, org, "account-sample", func(r *db.Row) error {
		keys, err := parseKeys(r.Bytes(0))
		for _, key := range keys {
			for i, m := range mechanisms {
				shape := KeyShape{key.Iterations, len(key.Salt)}
				if key.Mechanism == m && (shapes[i][shape] > 0 || len(shapes[i]) < maxShapes) {
					shapes[i][shape]++
				}
			}
		}
		return err
	}, org, sampleSize); err != nil {
		return err
	}
	s.keyBook.mu.Lock()
	defer s.keyBook.mu.Unlock()
	k.shapes, k.drawn, k.drawAt = shapes, noted, now
	return nil
}
