package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// GroupJoin is one membership of an import.
type GroupJoin struct {
	Group   uint64
	Account AccountID
}

// ErrImporting means that memberships of the organisation are being imported
// already, or were by a process that died within the last hour.
var ErrImporting = errors.New("memberships of this organisation are being imported already: wait until that is done; an import that was cut short is taken back at the next start, or after an hour")

// StageJoins writes memberships, invisible, in short transactions. It returns
// the run's number also with an error, so that UnstageJoins can take it back.
// Memberships that are there already stay as they are. One import at a time:
// ErrImporting. progress may be nil.
func (s *Store) StageJoins(ctx context.Context, org feature.Org, at uint64, joins []GroupJoin, progress func(done, total int)) (run int64, err error) {
	if err := s.dropJoins(ctx, time.Now().Add(-staleAfter)); err != nil {
		return 0, fmt.Errorf("stage memberships: %w", err)
	}
	run = int64(s.ids.next())
	if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
		if err := lock(tx, "groups"); err != nil {
			return err
		}
		busy := false
		if err := tx.Query("group-run-open", func(*db.Row) error {
			busy = true
			return nil
		}, org); err != nil {
			return err
		}
		if busy {
			return ErrImporting
		}
		_, err := tx.Exec("group-run-insert", run, org, time.Now())
		return err
	}); err != nil {
		return run, fmt.Errorf("stage memberships: %w", err)
	}
	for rest := joins; len(rest) > 0; {
		done := 0
		if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
			done = 0
			for done < len(rest) && tx.Held() < stepTime {
				n := min(4*importStep, len(rest)-done)
				args := make([]any, 0, 5*n)
				for _, j := range rest[done : done+n] {
					args = append(args, org, int64(j.Group), int64(j.Account), int64(at)+1, run)
				}
				if _, err := tx.ExecRows("group-member-stage", args); err != nil {
					return err
				}
				done += n
			}
			return nil
		}); err != nil {
			return run, fmt.Errorf("stage memberships: %w", err)
		}
		rest = rest[done:]
		if progress != nil {
			progress(len(joins)-len(rest), len(joins))
		}
	}
	return run, nil
}

// RevealJoins makes what StageJoins wrote visible at once and gives the
// version that the groups have then: a few memberships have one each, many
// have one together. ErrStale; ErrNotFound when the run was taken back.
func (s *Store) RevealJoins(ctx context.Context, org feature.Org, at uint64, run int64, joins []GroupJoin) (version uint64, err error) {
	n := len(joins)
	if n == 0 || n > loggedAtOnce {
		n = 1
	}
	log := make([]GroupLog, 0, n)
	for i, j := range joins[:min(n, len(joins))] {
		log = append(log, GroupLog{Version: at + uint64(i) + 1, Kind: GroupLogJoined, Group: j.Group, Account: j.Account})
	}
	if len(joins) != n {
		log = append(log[:0], GroupLog{Version: at + 1, Kind: GroupLogReloaded})
	}
	version = at + uint64(n)
	err = s.editGroups(ctx, org, at, n, 0, func(tx *db.Tx) error {
		shown, err := tx.Exec("group-run-end", run)
		if err == nil && shown == 0 {
			err = ErrNotFound
		}
		if err == nil && log[0].Kind == GroupLogReloaded {
			_, err = tx.Exec("group-since", int64(version), org, int64(version))
		}
		if err != nil {
			return err
		}
		return logGroups(tx, org, log...)
	})
	if err != nil {
		return 0, fmt.Errorf("reveal memberships: %w", err)
	}
	return version, nil
}

// UnstageJoins takes back what a run has staged, in steps. What is visible
// already stays.
func (s *Store) UnstageJoins(ctx context.Context, org feature.Org, run int64) error {
	var groups []int64
	open := false
	if err := s.db.Query(ctx, org, "group-run-open", func(r *db.Row) error {
		open = open || r.Int(0) == run
		return nil
	}, org); err != nil || !open {
		return err
	}
	if err := s.db.Query(ctx, org, "group-staged", func(r *db.Row) error {
		groups = append(groups, r.Int(0))
		return nil
	}, org, run); err != nil {
		return fmt.Errorf("take back memberships: %w", err)
	}
	for _, g := range groups {
		for more := true; more; {
			if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
				var list []any
				if err := tx.Query("group-member-staged", func(r *db.Row) error {
					list = append(list, r.Int(0))
					return nil
				}, org, g, run, 4*importStep); err != nil {
					return err
				}
				more = len(list) > 0
				_, err := tx.ExecList("group-member-unstage", []any{org, g, run}, list)
				return err
			}); err != nil {
				return fmt.Errorf("take back memberships: %w", err)
			}
		}
	}
	return s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("group-run-end", run)
		return err
	})
}

// dropJoins takes back imports of memberships that a crash cut short.
func (s *Store) dropJoins(ctx context.Context, before time.Time) error {
	runs := make(map[int64]feature.Org)
	if err := s.db.Query(ctx, 0, "group-run-stale", func(r *db.Row) error {
		runs[r.Int(0)] = feature.Org(r.Int(1))
		return nil
	}, before); err != nil {
		return err
	}
	for run, org := range runs {
		if err := s.UnstageJoins(ctx, org, run); err != nil {
			return err
		}
	}
	return nil
}
