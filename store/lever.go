package store

import (
	"context"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// LeverRow is one setting of a lever: what, by whom, why.
type LeverRow struct {
	Name     string      // "feature" or "feature.dial"
	Org      feature.Org // 0: the server
	Value    int64
	Who, Why string
	Version  uint64    // grows with every setting of any lever
	Until    time.Time // zero: until it is set again
	Reset    bool      // back to the default; Value means nothing
	At       time.Time // when it was set
}

func leverRow(r *db.Row) LeverRow {
	return LeverRow{
		Name: r.Text(0), Org: feature.Org(r.Int(1)), Version: uint64(r.Int(2)), Value: r.Int(3), Reset: r.Bool(4),
		Who: r.Text(5), Why: r.Text(6), Until: r.Time(7), At: r.Time(8),
	}
}

// Levers are the settings in force: the last one of each (name, organisation).
// Those that were reset or have run out are among them.
func (s *Store) Levers(ctx context.Context) (out []LeverRow, err error) {
	if err = s.db.Query(ctx, 0, "lever-list", func(r *db.Row) error {
		out = append(out, leverRow(r))
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read levers: %w", err)
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

// SetLever keeps a setting and gives its version. Version and At of row are
// set by the store.
func (s *Store) SetLever(ctx context.Context, row LeverRow) (version uint64, err error) {
	if row.Name == "" || len(row.Name) > 128 {
		return 0, fmt.Errorf("set lever %q: a name has 1 to 128 bytes", row.Name)
	}
	err = s.db.Write(ctx, row.Org, func(tx *db.Tx) error {
		if err := lock(tx, "lever"); err != nil {
			return err
		}
		if err := tx.Query("lever-top", func(r *db.Row) error {
			version = uint64(r.Int(0)) + 1
			return nil
		}); err != nil {
			return err
		}
		var until any = 0
		if !row.Until.IsZero() {
			until = row.Until
		}
		if _, err := tx.Exec("lever-insert", row.Name, row.Org, version, row.Value, row.Reset, row.Who, row.Why, until, time.Now()); err != nil {
			return err
		}
		_, err := tx.Exec("tick-raise", "lever", int64(version)) // VersionLevers
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("set lever %s: %w", row.Name, err)
	}
	return version, nil
}
