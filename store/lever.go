package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// LeverRow is one setting of a lever: what, by whom, why.
type LeverRow struct {
	Name     string // "feature" or "feature.dial"
	Scope    feature.Scope
	Value    int64
	Who, Why string
	Version  uint64    // grows with every setting of any lever
	Until    time.Time // zero: until it is set again
	Reset    bool      // back to the default; Value means nothing
	Undoes   uint64    // the version of a setting that this takes back; then it is no setting itself
	At       time.Time // when it was set
}

// Over reports whether the setting has run out.
func (r *LeverRow) Over(now time.Time) bool { return !r.Until.IsZero() && !r.Until.After(now) }

// ErrNothingSet says that there is no setting to take back.
var ErrNothingSet = errors.New("nothing is set")

func leverRow(r *db.Row) LeverRow {
	return LeverRow{
		Name: r.Text(0), Scope: feature.Scope{Org: feature.Org(r.Int(1)), Group: uint64(r.Int(2))},
		Version: uint64(r.Int(3)), Value: r.Int(4), Reset: r.Bool(5), Undoes: uint64(r.Int(6)),
		Who: r.Text(7), Why: r.Text(8), Until: r.Time(9), At: r.Time(10),
	}
}

// Levers are the settings that say what is in force, now and when some of them
// have run out: by (name, scope), the oldest first. See [Force]. What has run
// out is not among them, however often it was set.
func (s *Store) Levers(ctx context.Context) (out []LeverRow, err error) {
	now := time.Now()
	if err = s.db.Query(ctx, 0, "lever-list", func(r *db.Row) error {
		out = append(out, leverRow(r))
		return nil
	}, now, now); err != nil {
		return nil, fmt.Errorf("read levers: %w", err)
	}
	return out, nil
}

// Force is, of the settings of one lever for one scope, the one in force: the
// last that was not taken back and has not run out. ok is false when there is
// none, or when it is a reset: then the scope has no value of its own.
func Force(rows []LeverRow, now time.Time) (in LeverRow, ok bool) {
	undone := map[uint64]bool{}
	for i := len(rows) - 1; i >= 0; i-- {
		switch r := &rows[i]; {
		case r.Undoes != 0:
			undone[r.Undoes] = true
		case !undone[r.Version] && !r.Over(now):
			return *r, !r.Reset
		}
	}
	return LeverRow{}, false
}

// GroupNames are the shared groups of an organisation, by number.
func (s *Store) GroupNames(ctx context.Context, org feature.Org) (map[uint64]string, error) {
	out := map[uint64]string{}
	if err := s.db.Query(ctx, org, "lever-groups", func(r *db.Row) error {
		out[uint64(r.Int(0))] = r.Text(1)
		return nil
	}, org); err != nil {
		return nil, fmt.Errorf("names of groups: %w", err)
	}
	return out, nil
}

// LeverHistory are the settings of one lever, newest first.
func (s *Store) LeverHistory(ctx context.Context, name string, limit int) (out []LeverRow, err error) {
	if err = s.db.Query(ctx, 0, "lever-history", func(r *db.Row) error {
		out = append(out, leverRow(r))
		return nil
	}, name, limit); err != nil {
		return nil, fmt.Errorf("history of lever %s: %w", name, err)
	}
	return out, nil
}

// ThinLevers deletes settings that were made before keep and have run out, and
// what took such settings back: at most so many, and tells how many it were. None
// of them can be in force again, nor be taken back.
func (s *Store) ThinLevers(ctx context.Context, keep time.Time, most int) (deleted int, err error) {
	var old []LeverRow
	if err := s.db.Query(ctx, 0, "lever-old", func(r *db.Row) error {
		old = append(old, LeverRow{Name: r.Text(0), Scope: feature.Scope{Org: feature.Org(r.Int(1))}, Version: uint64(r.Int(2))})
		return nil
	}, keep, time.Now(), most); err != nil {
		return 0, fmt.Errorf("thin levers: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		for i := range old {
			if _, err := tx.Exec("lever-delete", old[i].Name, old[i].Scope.Org, old[i].Version); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return 0, fmt.Errorf("thin levers: %w", err)
	}
	return len(old), nil
}

// SetLever keeps a setting and gives its version. Version and At of row are
// set by the store.
func (s *Store) SetLever(ctx context.Context, row LeverRow) (version uint64, err error) {
	if row.Name == "" || len(row.Name) > 128 {
		return 0, fmt.Errorf("set lever %q: a name has 1 to 128 bytes", row.Name)
	}
	err = s.db.Write(ctx, row.Scope.Org, func(tx *db.Tx) error {
		if err := lock(tx, "lever"); err != nil {
			return err
		}
		version, err = insertLever(tx, row)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("set lever %s: %w", row.Name, err)
	}
	return version, nil
}

// UndoLever takes back the last setting of a lever that is in force, or of any
// lever when name is "". It gives the setting that was taken back.
// ErrNothingSet when there is none.
func (s *Store) UndoLever(ctx context.Context, name, who, why string) (undone LeverRow, err error) {
	statement, args := "lever-last", []any{time.Now()}
	if name != "" {
		statement, args = "lever-last-of", []any{name, time.Now()}
	}
	err = s.db.Write(ctx, 0, func(tx *db.Tx) error {
		undone = LeverRow{}
		if err := lock(tx, "lever"); err != nil {
			return err
		}
		if err := tx.Query(statement, func(r *db.Row) error {
			undone = leverRow(r)
			return nil
		}, args...); err != nil {
			return err
		}
		if undone.Version == 0 {
			return ErrNothingSet
		}
		_, err := insertLever(tx, LeverRow{Name: undone.Name, Scope: undone.Scope, Undoes: undone.Version, Who: who, Why: why})
		return err
	})
	if err != nil {
		return undone, fmt.Errorf("undo lever: %w", err)
	}
	return undone, nil
}

// insertLever is called with the lock "lever" held.
func insertLever(tx *db.Tx, row LeverRow) (version uint64, err error) {
	if err := tx.Query("lever-top", func(r *db.Row) error {
		version = uint64(r.Int(0)) + 1
		return nil
	}); err != nil {
		return 0, err
	}
	var until any = 0
	if !row.Until.IsZero() {
		until = row.Until
	}
	if _, err := tx.Exec("lever-insert", row.Name, row.Scope.Org, row.Scope.Group, version, row.Value, row.Reset,
		row.Undoes, row.Who, row.Why, until, time.Now()); err != nil {
		return 0, err
	}
	_, err = tx.Exec("tick-raise", "lever", int64(version)) // VersionLevers
	return version, err
}
