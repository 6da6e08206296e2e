package store

import (
	"context"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// What making and deleting accounts means to shared groups.

// noteCreated logs that an account was made, where a group needs them all.
func noteCreated(tx *db.Tx, org feature.Org, id AccountID) (changed bool, err error) {
	n, err := tx.Exec("group-bump-everyone", org)
	if err != nil || n == 0 {
		return false, err
	}
	version, _, err := groupVersion(tx, org)
	if err != nil {
		return false, err
	}
	if err := logGroups(tx, org, GroupLog{Version: version, Kind: GroupLogCreated, Account: id}); err != nil {
		return false, err
	}
	return true, pruneGroupLog(tx, org, version-1, version)
}

// noteDeleted logs that an account is gone: which groups it leaves, and
// itself, where groups care.
func noteDeleted(tx *db.Tx, org feature.Org, id AccountID, local string) (changed bool, err error) {
	var log []GroupLog
	if err := tx.Query("group-of-all", func(r *db.Row) error {
		log = append(log, GroupLog{Kind: GroupLogLeft, Group: uint64(r.Int(0)), Account: id, Local: local})
		return nil
	}, int64(id), org); err != nil {
		return false, err
	}
	log = append(log, GroupLog{Kind: GroupLogDeleted, Account: id, Local: local})
	n, err := tx.Exec("group-bump-some", len(log), org, len(log))
	if err != nil || n == 0 {
		return false, err
	}
	version, _, err := groupVersion(tx, org)
	if err != nil {
		return false, err
	}
	for i := range log {
		log[i].Version = version - uint64(len(log)-1-i)
	}
	if err := logGroups(tx, org, log...); err != nil {
		return false, err
	}
	return true, pruneGroupLog(tx, org, version-uint64(len(log)), version)
}

// noteReload logs that many accounts were made, where a group needs them all.
func noteReload(tx *db.Tx, org feature.Org) (changed bool, err error) {
	n, err := tx.Exec("group-bump-everyone", org)
	if err != nil || n == 0 {
		return false, err
	}
	version, _, err := groupVersion(tx, org)
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec("group-since", int64(version), org, int64(version)); err != nil {
		return false, err
	}
	return true, logGroups(tx, org, GroupLog{Version: version, Kind: GroupLogReloaded})
}

// leaveAll deletes the memberships of an account that is gone, in steps.
func (s *Store) leaveAll(ctx context.Context, org feature.Org, owner AccountID) error {
	for more := true; more; {
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			var groups []any
			if err := tx.Query("group-of-some", func(r *db.Row) error {
				groups = append(groups, r.Int(0))
				return nil
			}, int64(owner), 4*eraseStep); err != nil {
				return err
			}
			more = len(groups) > 0
			_, err := tx.ExecList("group-of-delete", []any{int64(owner), org}, groups)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
