package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Rehearsal says which accounts of an organisation are nobody's: they were made
// for a measurement, by a node, and go with it. The row is there before the
// first of them and stays until the last is gone.
type Rehearsal struct {
	ID     int64
	Org    feature.Org
	People int
}

// rehearsalMost bounds the people of one.
const rehearsalMost = 10000

// Local is the local part of one of the people: from 0, less than People.
func (r Rehearsal) Local(i int) string { return fmt.Sprintf("capacity-%x-%d", r.ID, i) }

// BeginRehearsal makes people with the same keys. Whatever is made is in a row
// before, also after an error: EndRehearsal takes it away.
func (s *Store) BeginRehearsal(ctx context.Context, org feature.Org, node string, people int, keys []Key) (Rehearsal, error) {
	r := Rehearsal{ID: time.Now().UnixMicro(), Org: org, People: people}
	if people < 1 || people > rehearsalMost || node == "" || len(node) > nodeBytes {
		return r, fmt.Errorf("make %d people for a measurement: want 1 to %d, and the name of a node", people, rehearsalMost)
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("rehearsal-insert", r.ID, org, node, people)
		return err
	}); err != nil {
		return r, fmt.Errorf("make people for a measurement: %w", err)
	}
	for i := range people {
		if _, err := s.CreateAccount(ctx, org, r.Local(i), keys); err != nil {
			return r, fmt.Errorf("make people for a measurement: %w", err)
		}
	}
	return r, nil
}

// Rehearsals are those of a node that have not ended: now, or when it was cut
// short.
func (s *Store) Rehearsals(ctx context.Context, node string) (out []Rehearsal, err error) {
	if err := s.db.Query(ctx, 0, "rehearsal-list", func(r *db.Row) error {
		out = append(out, Rehearsal{r.Int(0), feature.Org(r.Int(1)), int(r.Int(2))})
		return nil
	}, node); err != nil {
		return nil, fmt.Errorf("read measurements that were cut short: %w", err)
	}
	return out, nil
}

// EndRehearsal takes the people away, and all that they have written.
func (s *Store) EndRehearsal(ctx context.Context, r Rehearsal) error {
	for i := range r.People {
		err := s.DeleteAccount(ctx, r.Org, r.Local(i))
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnfinished) {
			return fmt.Errorf("take away the people of a measurement: %w", err)
		}
	}
	if err := s.db.Write(ctx, r.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("rehearsal-drop", r.ID)
		return err
	}); err != nil {
		return fmt.Errorf("take away the people of a measurement: %w", err)
	}
	return nil
}
