package node

import (
	"context"
	"time"

	"github.com/bearhug/bearhug/store"
)

// pollVersions is how often a process that shares its database asks what the
// others have changed.
const pollVersions = time.Second

// versions follows the version rows of a database that several processes
// share, and has what moved read again.
type versions struct {
	node *Node
	seen map[store.VersionKey]uint64 // what the caches are at least as new as
}

// follow polls until ctx ends. With SQLite nobody else writes, and nothing is
// polled.
func (v *versions) follow(ctx context.Context) {
	if !v.node.Store.Shared() {
		return
	}
	v.seen = map[store.VersionKey]uint64{}
	tick := time.NewTicker(pollVersions)
	defer tick.Stop()
	failing := false
	for {
		err := v.poll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			v.node.Log.Log(ctx, store.Severity(err), "what other processes changed is not seen until this works again", "cause", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poll reads all versions by one statement, and reads again what moved. What
// could not be read is tried again at the next poll.
func (v *versions) poll(ctx context.Context) error {
	now, err := v.node.Store.Versions(ctx)
	if err != nil {
		return err
	}
	for key, version := range now {
		if v.seen[key] == version {
			continue
		}
		if e := v.reload(ctx, key, version); e != nil {
			err = e
			continue
		}
		v.seen[key] = version
	}
	return err
}

// reload reads one thing again.
func (v *versions) reload(ctx context.Context, key store.VersionKey, version uint64) error {
	switch key.What {
	case store.VersionLevers:
		return v.node.applyLevers(ctx)
	case store.VersionAccounts:
		v.node.Store.AccountsChanged(key.Org)
	case store.VersionGroups:
		groups := v.node.chat.router.Rosters.Groups
		if groups.Version(key.Org) < version { // else this process has edited them
			return groups.Refresh(ctx, key.Org)
		}
	}
	return nil // a newer version's rows are left alone
}
