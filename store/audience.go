package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// AudienceID is an audience's number; 0 is none.
type AudienceID int64

// Audience is a rule over people, with a name. Whom it means is found out when
// it is resolved.
type Audience struct {
	ID      AudienceID
	Name    string    // unique in the organisation, 1 to 190 bytes
	Rule    string    // as package audience reads it
	At      time.Time // of the last change
	Who     string    // made that
	Version uint64
}

// ErrAudienceStale: the audience was changed since it was read.
var ErrAudienceStale = errors.New("the audience was changed meanwhile: read again")

func checkAudience(a *Audience) error {
	switch {
	case a.Name == "" || len(a.Name) > 190:
		return fmt.Errorf("the name of an audience has 1 to 190 bytes: %w", ErrTooLong)
	case len(a.Rule) > 16<<10:
		return fmt.Errorf("the rule has more than 16 KiB: %w", ErrTooLong)
	}
	return nil
}

// AddAudience adds an audience and gives its number; ID, At and Version are not
// used. The rule was checked by the caller. ErrExists, ErrTooLong.
func (s *Store) AddAudience(ctx context.Context, org feature.Org, a Audience) (AudienceID, error) {
	err := checkAudience(&a)
	if err == nil {
		err = s.db.Write(ctx, org, func(tx *db.Tx) error {
			a.ID = AudienceID(s.ids.next())
			if _, err := tx.Exec("tick-raise", "account", int64(a.ID)); err != nil {
				return err
			}
			_, err := tx.Exec("audience-insert", org, int64(a.ID), a.Name, a.Rule, time.Now(), a.Who)
			return err
		})
	}
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("add the audience %s: %w", a.Name, err)
	}
	return a.ID, nil
}

// SetAudience changes name and rule of an audience whose version is still the
// one that was read. ErrNotFound, ErrAudienceStale, ErrExists, ErrTooLong.
func (s *Store) SetAudience(ctx context.Context, org feature.Org, a Audience) error {
	err := checkAudience(&a)
	if err == nil {
		err = s.db.Write(ctx, org, func(tx *db.Tx) error {
			n, err := tx.Exec("audience-change", a.Name, a.Rule, time.Now(), a.Who, org, int64(a.ID), a.Version)
			if err != nil || n > 0 {
				return err
			}
			there := false
			if err := tx.Query("audience-get", func(*db.Row) error {
				there = true
				return nil
			}, org, int64(a.ID)); err != nil {
				return err
			}
			if there {
				return ErrAudienceStale
			}
			return ErrNotFound
		})
	}
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("change the audience %s: %w", a.Name, err)
	}
	return nil
}

// Audiences lists audiences by name, those after one, limit at most.
func (s *Store) Audiences(ctx context.Context, org feature.Org, after string, limit int) ([]Audience, error) {
	return s.audiences(ctx, org, "audience-list", org, after, limit)
}

// Audience reads one by its number. ErrNotFound.
func (s *Store) Audience(ctx context.Context, org feature.Org, id AudienceID) (Audience, error) {
	return one(s.audiences(ctx, org, "audience-get", org, int64(id)))
}

// AudienceByName reads one by its name. ErrNotFound.
func (s *Store) AudienceByName(ctx context.Context, org feature.Org, name string) (Audience, error) {
	return one(s.audiences(ctx, org, "audience-by-name", org, name))
}

// DeleteAudience deletes an audience. Whether a campaign needs it is the
// caller's question. ErrNotFound.
func (s *Store) DeleteAudience(ctx context.Context, org feature.Org, id AudienceID) error {
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("audience-delete", org, int64(id))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete audience %d: %w", id, err)
	}
	return nil
}

func (s *Store) audiences(ctx context.Context, org feature.Org, statement string, args ...any) (out []Audience, err error) {
	if err = s.db.Query(ctx, org, statement, func(r *db.Row) error {
		out = append(out, Audience{AudienceID(r.Int(0)), r.Text(1), r.Text(2), r.Time(3), r.Text(4), uint64(r.Int(5))})
		return nil
	}, args...); err != nil {
		return nil, fmt.Errorf("read audiences: %w", err)
	}
	return out, nil
}

// one is the only audience of a list. ErrNotFound.
func one(list []Audience, err error) (Audience, error) {
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("find an audience: %w", ErrNotFound)
	}
	if err != nil {
		return Audience{}, err
	}
	return list[0], nil
}
