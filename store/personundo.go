package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// ErrNoImport: there is no import to be undone.
var ErrNoImport = errors.New("there is no import of people to undo: only the last one can be, once")

// PeopleRun is an import of people that can be undone.
type PeopleRun struct {
	ID     int64
	At     time.Time // when it was shown
	Who    string
	Counts PeopleCounts
	fields []PersonField // before it
}

// LastPeopleRun is the import that UndoPeople would undo. ErrNoImport,
// ErrPeopleImporting.
func (s *Store) LastPeopleRun(ctx context.Context, org feature.Org) (last PeopleRun, err error) {
	if err = s.db.Query(ctx, org, "person-runs", func(r *db.Row) error {
		if r.Int(1) != runShown {
			return ErrPeopleImporting
		}
		last = PeopleRun{ID: r.Int(0), At: r.Time(2), Who: r.Text(3)}
		if err := json.Unmarshal(r.View(4), &last.Counts); err != nil {
			return err
		}
		if b := r.View(5); len(b) > 0 {
			return json.Unmarshal(b, &last.fields)
		}
		return nil
	}, org); err == nil && last.ID == 0 {
		err = ErrNoImport
	}
	return last, err
}

// UndonePeople is what an undo did.
type UndonePeople struct {
	Run      PeopleRun
	Gone     int // people whom the import had added
	Restored int // people who are as before
	Kept     int // people who were changed since, and stay as they are
	Accounts int // accounts taken away again; those that were used stay
}

// UndoPeople brings back who was there before the last import, seen at once by
// all. Who was changed since stays. ErrNoImport, ErrPeopleImporting.
func (s *Store) UndoPeople(ctx context.Context, org feature.Org) (u UndonePeople, err error) {
	if _, err = s.mendPeople(ctx, time.Now().Add(-peopleStale)); err == nil {
		u.Run, err = s.LastPeopleRun(ctx, org)
	}
	if err == nil {
		u.Restored, err = s.count(ctx, org, "person-was-count", org, u.Run.ID)
	}
	if err == nil {
		u.Gone, err = s.count(ctx, org, "person-made-count", org, u.Run.ID, u.Run.ID)
	}
	if err != nil {
		return u, fmt.Errorf("undo an import of people: %w", err)
	}
	u.Kept = max(0, u.Run.Counts.Added+u.Run.Counts.Changed+u.Run.Counts.Left-u.Restored-u.Gone)
	if u.Run.Counts.Accounts > 0 {
		u.Accounts, err = s.keepUsed(ctx, org, u.Run.ID)
	}
	if err == nil {
		err = s.hidePeople(ctx, org, u.Run)
	}
	if err == nil {
		err = errors.Join(s.dropAccounts(ctx, org, u.Run.ID), s.mendRun(ctx, org, u.Run.ID))
	}
	if err != nil {
		return u, fmt.Errorf("undo an import of people: %w", err)
	}
	return u, nil
}

func (s *Store) count(ctx context.Context, org feature.Org, statement string, args ...any) (n int, err error) {
	err = s.db.Query(ctx, org, statement, func(r *db.Row) error {
		n = int(r.Int(0))
		return nil
	}, args...)
	return n, err
}

// stagedAccounts calls fn for the accounts of a run, page by page.
func (s *Store) stagedAccounts(ctx context.Context, org feature.Org, run int64, fn func(names []any) error) error {
	for after, more := "", true; more; {
		var names []any
		if err := s.db.Query(ctx, org, "account-staged", func(r *db.Row) error {
			names = append(names, r.Bytes(0))
			after = r.Text(0)
			return nil
		}, org, after, run, 4*importStep); err != nil {
			return err
		}
		if more = len(names) == 4*importStep; len(names) > 0 {
			if err := fn(names); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepUsed takes the accounts that people have used since out of a run, and
// counts the others.
func (s *Store) keepUsed(ctx context.Context, org feature.Org, run int64) (unused int, err error) {
	if err := s.behind.flush(ctx); err != nil { // who has an inbox was used
		return 0, err
	}
	err = s.stagedAccounts(ctx, org, run, func(names []any) error {
		kept := int64(0)
		err := s.db.Write(ctx, org, func(tx *db.Tx) (err error) {
			kept, err = tx.ExecList("person-account-keep", []any{org, run}, names)
			return err
		})
		unused += len(names) - int(kept)
		return err
	})
	return unused, err
}

// dropAccounts deletes the accounts of a run that is not shown.
func (s *Store) dropAccounts(ctx context.Context, org feature.Org, run int64) error {
	n, err := s.count(ctx, org, "person-account-runs", run)
	if err != nil || n == 0 {
		return err
	}
	if err := s.stagedAccounts(ctx, org, run, func(names []any) error {
		return s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
			_, err := tx.ExecList("account-unstage", []any{org}, names)
			return err
		})
	}); err != nil {
		return err
	}
	return s.db.Write(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("import-delete", run)
		return err
	})
}

// hidePeople is the moment of an undo.
func (s *Store) hidePeople(ctx context.Context, org feature.Org, run PeopleRun) error {
	noted := false
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if err := lock(tx, peopleLock(org)); err != nil {
			return err
		}
		last := int64(0)
		if err := tx.Query("person-runs", func(r *db.Row) error {
			last = r.Int(0)
			if r.Int(1) != runShown {
				return ErrPeopleImporting
			}
			return nil
		}, org); err != nil {
			return err
		}
		if last != run.ID {
			return ErrNoImport
		}
		_, err := tx.Exec("person-run-hide", org, run.ID)
		if err == nil {
			_, err = tx.Exec("person-field-delete", org)
		}
		if err == nil {
			err = putFields(tx, org, run.fields)
		}
		var n int64
		if err == nil {
			n, err = tx.Exec("person-account-hide", run.ID)
		}
		if err != nil || n == 0 {
			return err
		}
		if noted, err = noteReload(tx, org); err != nil {
			return err
		}
		return raiseVersion(tx, VersionAccounts, org)
	}); err != nil {
		return err
	}
	s.signIn.Add(1)
	if noted {
		s.groupsChanged(org)
	}
	return nil
}

// mendPeople takes back, in every organisation, what was taken back and not
// finished, and what is staged and has kept silent since before; it returns how
// many runs those were.
func (s *Store) mendPeople(ctx context.Context, before time.Time) (mended int, err error) {
	runs := make(map[feature.Org]int64)
	if err := s.db.Query(ctx, 0, "person-run-hidden", func(r *db.Row) error {
		if r.Int(2) == runHidden || r.Time(3).Before(before) {
			runs[feature.Org(r.Int(0))] = r.Int(1)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for org, run := range runs {
		if err := s.dropAccounts(ctx, org, run); err != nil {
			return mended, err
		}
		if err := s.mendRun(ctx, org, run); err != nil {
			return mended, err
		}
		mended++
	}
	return mended, nil
}

// mendRun puts the pictures of a run that is not shown back into the rows, in
// steps, and deletes whom it had added. It may be done twice, and at once.
func (s *Store) mendRun(ctx context.Context, org feature.Org, run int64) error {
	// So that the process which stages it, if it lives, cannot go on.
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("person-run-hide", org, run)
		return err
	}); err != nil {
		return fmt.Errorf("take back an import of people: %w", err)
	}
	for _, some := range []func(*db.Tx, feature.Org, int64) (bool, error){restoreSome, deleteMade} {
		for more := true; more; {
			if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) (err error) {
				for more = true; more && err == nil && tx.Held() < stepTime; {
					more, err = some(tx, org, run)
				}
				return err
			}); err != nil {
				return fmt.Errorf("take back an import of people: %w", err)
			}
		}
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("person-run-delete", org, run)
		return err
	}); err != nil {
		return fmt.Errorf("take back an import of people: %w", err)
	}
	return nil
}

// restoreSome makes some people what their pictures show.
func restoreSome(tx *db.Tx, org feature.Org, run int64) (more bool, err error) {
	type picture struct {
		prior int64
		image []byte
	}
	pictures := map[PersonID]picture{}
	var ids []any
	if err := tx.Query("person-was-some", func(r *db.Row) error {
		pictures[PersonID(r.Int(0))] = picture{r.Int(1), r.Bytes(2)}
		ids = append(ids, r.Int(0))
		return nil
	}, org, run, peopleStep); err != nil || len(ids) == 0 {
		return false, err
	}
	var people []Person
	if err := tx.QueryList("person-rows", []any{org}, ids, func(r *db.Row) error {
		p, err := personOf(r)
		if _, ok := pictures[p.ID]; err != nil || !ok || r.Int(14) != run { // changed since: it stays
			return err
		}
		people = append(people, p)
		return nil
	}); err != nil {
		return false, err
	}
	var rows []any
	done := make(map[PersonID]bool, len(people)) // a list is padded
	for i := range people {
		p := &people[i]
		if done[p.ID] {
			continue
		}
		done[p.ID] = true
		ext := p.Ext
		if err := p.restore(pictures[p.ID].image); err != nil {
			return false, err
		}
		if p.Ext != ext {
			if free, err := extFree(tx, org, p); err != nil {
				return false, err
			} else if !free { // somebody else has got the old one meanwhile
				p.Ext = ext
			}
		}
		p.Version++
		rows = append(rows, p.values(org, pictures[p.ID].prior)...)
	}
	if _, err := tx.ExecRows("person-put", rows); err != nil {
		return false, err
	}
	_, err = tx.ExecList("person-was-delete", []any{org, run}, ids)
	return true, err
}

// deleteMade deletes some people whom a run has added.
func deleteMade(tx *db.Tx, org feature.Org, run int64) (more bool, err error) {
	var ids []any
	if err := tx.Query("person-made", func(r *db.Row) error {
		ids = append(ids, r.Int(0))
		return nil
	}, org, run, run, 4*peopleStep); err != nil || len(ids) == 0 {
		return false, err
	}
	_, err = tx.ExecList("person-delete", []any{org}, ids)
	return true, err
}

// extFree reports whether nobody else has the person's id.
func extFree(tx *db.Tx, org feature.Org, p *Person) (free bool, err error) {
	free = true
	err = tx.QueryList("person-by-ext", []any{org}, []any{p.Ext}, func(r *db.Row) error {
		free = free && PersonID(r.Int(0)) == p.ID
		return nil
	})
	return free, err
}
