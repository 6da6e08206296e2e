package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// ErrStale means that the groups of an organisation are not as the caller
// thinks: somebody else has edited them since. Read what changed, look again,
// try again.
var ErrStale = errors.New("the groups have changed meanwhile")

// GroupKind says who the members of a group are.
type GroupKind uint8

// The kinds of members.
const (
	GroupExplicit GroupKind = iota // those who joined
	GroupEveryone                  // every account of the organisation
	GroupOnline                    // every account that is online
)

// String is the word that people use.
func (k GroupKind) String() string {
	return [...]string{"explicit", "everyone", "online"}[min(k, GroupOnline)]
}

// GroupRow is a shared group. ID is the version that the organisation's groups
// had when it was made: the order of ids is the order of making.
type GroupRow struct {
	ID                 uint64
	Name, Label, About string
	Kind               GroupKind
	Parent             uint64 // the group it is nested in; 0 for none
}

// GroupMember is an account that joined a group; they come in no order, Joined
// says who was first.
type GroupMember struct {
	Group   uint64
	Account AccountID
	Local   string
	Joined  uint64
}

// GroupShow is the relation "the members of Group see those of Other".
type GroupShow struct {
	Group, Other uint64
	Care         bool
	Made         uint64
}

// GroupPerson is an account by number and name.
type GroupPerson struct {
	Account AccountID
	Local   string
}

// GroupLogKind says what an edit was.
type GroupLogKind uint8

// What edits there are.
const (
	GroupLogNone     GroupLogKind = iota
	GroupLogAdded                 // Group was made; it sees itself
	GroupLogRemoved               // Group is gone, with all that was said of it
	GroupLogLabelled              // Group has another label or description
	GroupLogJoined                // Account joined Group
	GroupLogLeft                  // Account left Group
	GroupLogShown                 // Group sees Other
	GroupLogHidden                // Group does not see Other any more
	GroupLogNested                // Group is nested in Other
	GroupLogUnnested              // Group is nested in nothing
	GroupLogCreated               // Account was made in an organisation that has a group of everyone
	GroupLogDeleted               // Account is gone
	GroupLogReloaded              // too much at once: read it all
	GroupLogFlagged               // Group sees Other, as before, with another flag care
)

// GroupLog is one edit. Row is the group as it is now, for GroupLogAdded and
// GroupLogLabelled; its ID is 0 when it is gone.
type GroupLog struct {
	Version      uint64
	Kind         GroupLogKind
	Group, Other uint64
	Account      AccountID
	Local        string // of Account; "" when it is gone and the log does not tell
	Care         bool
	Row          GroupRow
}

// GroupState is all that is known of the groups of one organisation.
type GroupState struct {
	Version uint64
	Since   uint64 // Log tells what came after this version
	Groups  []GroupRow
	Members []GroupMember
	Shows   []GroupShow
	Log     []GroupLog
	People  []GroupPerson // all accounts, in the order of making; only when a group needs them
}

const (
	keptGroupEdits  = 16384 // edits that the log remembers, at least
	groupPruneEvery = 1024  // edits between two looks at the log's length
	loggedAtOnce    = 2048  // memberships of an import that the log tells one by one
)

// WatchGroups has fn called after the groups of an organisation have changed
// otherwise than by the methods of this file: an account was made or is gone.
// It is set once, before the store is shared.
func (s *Store) WatchGroups(fn func(feature.Org)) { s.onGroups = fn }

func (s *Store) groupsChanged(orgs ...feature.Org) {
	if s.onGroups == nil {
		return
	}
	for _, org := range orgs {
		s.onGroups(org)
	}
}

// GroupVersions reads the versions of all organisations that ever had a group:
// one statement.
func (s *Store) GroupVersions(ctx context.Context) (map[feature.Org]uint64, error) {
	out := make(map[feature.Org]uint64)
	if err := s.db.Query(ctx, 0, "group-versions", func(r *db.Row) error {
		out[feature.Org(r.Int(0))] = uint64(r.Int(1))
		return nil
	}); err != nil {
		return nil, fmt.Errorf("versions of the groups: %w", err)
	}
	return out, nil
}

// Groups reads the groups of an organisation. The log is read last and may be
// ahead of the rows; Version is that of the rows, and they are all of it:
// when an edit came in between, it is read again.
func (s *Store) Groups(ctx context.Context, org feature.Org) (*GroupState, error) {
	for {
		st, again, err := s.groups(ctx, org)
		if err != nil {
			return nil, fmt.Errorf("groups of organisation %d: %w", org, err)
		}
		if !again {
			return st, nil
		}
	}
}

func (s *Store) groups(ctx context.Context, org feature.Org) (st *GroupState, again bool, err error) {
	st = &GroupState{}
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		if st.Version, st.Since, err = groupVersion(tx, org); err != nil || st.Version == 0 {
			return err
		}
		needsAll := false
		if err := tx.Query("group-list", func(r *db.Row) error {
			g := GroupRow{ID: uint64(r.Int(0)), Name: r.Text(1), Label: r.Text(2), About: r.Text(3),
				Kind: GroupKind(r.Int(4)), Parent: uint64(r.Int(5))}
			needsAll = needsAll || g.Kind != GroupExplicit
			st.Groups = append(st.Groups, g)
			return nil
		}, org); err != nil {
			return err
		}
		if err := groupMembers(tx, org, st); err != nil {
			return err
		}
		if err := tx.Query("group-shows", func(r *db.Row) error {
			st.Shows = append(st.Shows, GroupShow{uint64(r.Int(0)), uint64(r.Int(1)), r.Bool(2), uint64(r.Int(3))})
			return nil
		}, org); err != nil {
			return err
		}
		if needsAll {
			if st.People, err = groupPeople(tx, org); err != nil {
				return err
			}
		}
		if st.Log, err = groupLog(tx, org, st.Since); err != nil {
			return err
		}
		now, _, err := groupVersion(tx, org)
		again = now != st.Version
		return err
	})
	return st, again, err
}

// groupMembers reads who is visible: those of an import that is not done are
// not.
func groupMembers(tx *db.Tx, org feature.Org, st *GroupState) error {
	open := make(map[int64]bool)
	if err := tx.Query("group-run-open", func(r *db.Row) error {
		open[r.Int(0)] = true
		return nil
	}, org); err != nil {
		return err
	}
	return tx.Query("group-members", func(r *db.Row) error {
		if !open[r.Int(3)] {
			st.Members = append(st.Members, GroupMember{uint64(r.Int(0)), AccountID(r.Int(1)), r.Text(4), uint64(r.Int(2))})
		}
		return nil
	}, org)
}

// GroupPeople reads all accounts of an organisation in the order of making:
// one statement.
func (s *Store) GroupPeople(ctx context.Context, org feature.Org) (out []GroupPerson, err error) {
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		out, err = groupPeople(tx, org)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("people of organisation %d: %w", org, err)
	}
	return out, nil
}

func groupPeople(tx *db.Tx, org feature.Org) (out []GroupPerson, err error) {
	err = tx.Query("group-people", func(r *db.Row) error {
		out = append(out, GroupPerson{AccountID(r.Int(0)), r.Text(1)})
		return nil
	}, org)
	return out, err
}

func groupVersion(tx *db.Tx, org feature.Org) (version, since uint64, err error) {
	err = tx.Query("group-version", func(r *db.Row) error {
		version, since = uint64(r.Int(0)), uint64(r.Int(1))
		return nil
	}, org)
	return version, since, err
}

// GroupLogSince reads the edits after a version, the oldest first: one
// statement.
func (s *Store) GroupLogSince(ctx context.Context, org feature.Org, version uint64) (log []GroupLog, err error) {
	err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		log, err = groupLog(tx, org, version)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("edits of groups of organisation %d since %d: %w", org, version, err)
	}
	return log, nil
}

func groupLog(tx *db.Tx, org feature.Org, since uint64) (log []GroupLog, err error) {
	err = tx.Query("group-log-after", func(r *db.Row) error {
		l := GroupLog{Version: uint64(r.Int(0)), Kind: GroupLogKind(r.Int(1)), Group: uint64(r.Int(2)), Other: uint64(r.Int(3)),
			Account: AccountID(r.Int(4)), Care: r.Bool(5), Local: r.Text(6)}
		if l.Local == "" {
			l.Local = r.Text(7)
		}
		if !r.Null(8) {
			l.Row = GroupRow{ID: l.Group, Name: r.Text(8), Label: r.Text(9), About: r.Text(10), Kind: GroupKind(r.Int(11))}
		}
		log = append(log, l)
		return nil
	}, org, int64(since))
	return log, err
}

// logGroups writes edits, which have consecutive versions.
func logGroups(tx *db.Tx, org feature.Org, log ...GroupLog) error {
	args := make([]any, 0, 8*len(log))
	for _, l := range log {
		args = append(args, org, int64(l.Version), int(l.Kind), int64(l.Group), int64(l.Other), int64(l.Account), l.Care, l.Local)
	}
	_, err := tx.ExecRows("group-log", args)
	return err
}

// editGroups is one edit: it finds the groups at version at, or fails with
// ErrStale, raises the version by n, and then does what fn does. Who edits
// holds the organisation's row until the commit: edits come one by one.
func (s *Store) editGroups(ctx context.Context, org feature.Org, at uint64, n, everyone int, fn func(*db.Tx) error) error {
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if at == 0 {
			if _, err := tx.Exec("group-begin", org); err != nil {
				return err
			}
		}
		found, err := tx.Exec("group-bump", int64(at)+int64(n), everyone, org, int64(at))
		if err == nil && found == 0 {
			err = ErrStale
		}
		if err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		return err
	}
	if now := at + uint64(n); at/groupPruneEvery != now/groupPruneEvery && now > keptGroupEdits {
		// The edit is done; what fails here is done by the next that comes so far.
		_ = s.db.Write(ctx, org, func(tx *db.Tx) error { return pruneGroupLog(tx, org, at, now) })
	}
	return nil
}

// pruneGroupLog forgets the oldest edits, once in many: when the version went
// past a round number.
func pruneGroupLog(tx *db.Tx, org feature.Org, at, now uint64) error {
	if at/groupPruneEvery == now/groupPruneEvery || now <= keptGroupEdits {
		return nil
	}
	upto := int64(now - keptGroupEdits)
	if _, err := tx.Exec("group-since", upto, org, upto); err != nil {
		return err
	}
	_, err := tx.Exec("group-log-prune", org, upto)
	return err
}

// AddGroup makes a group that sees itself, and gives its number. ErrExists,
// ErrStale.
func (s *Store) AddGroup(ctx context.Context, org feature.Org, at uint64, g GroupRow) (id uint64, err error) {
	id = at + 1
	everyone := 0
	if g.Kind != GroupExplicit {
		everyone = 1
	}
	err = s.editGroups(ctx, org, at, 1, everyone, func(tx *db.Tx) error {
		if _, err := tx.Exec("group-insert", org, int64(id), g.Name, g.Label, g.About, int(g.Kind), time.Now()); err != nil {
			return err
		}
		if _, err := tx.Exec("group-show-set", org, int64(id), int64(id), false, int64(id)); err != nil {
			return err
		}
		return logGroups(tx, org, GroupLog{Version: id, Kind: GroupLogAdded, Group: id})
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("add group %s: %w", g.Name, err)
	}
	return id, nil
}

// RemoveGroup takes a group away at once; its members and relations go in
// short steps until RemoveGroup returns, or after the next Open. Versions from
// before are forgotten by the log: what was seen through the group is not
// known after a restart. ErrStale.
func (s *Store) RemoveGroup(ctx context.Context, org feature.Org, at uint64, g GroupRow) error {
	everyone := 0
	if g.Kind != GroupExplicit {
		everyone = -1
	}
	err := s.editGroups(ctx, org, at, 1, everyone, func(tx *db.Tx) error {
		if _, err := tx.Exec("group-delete", org, int64(g.ID)); err != nil {
			return err
		}
		if _, err := tx.Exec("group-since", int64(at)+1, org, int64(at)+1); err != nil {
			return err
		}
		return logGroups(tx, org, GroupLog{Version: at + 1, Kind: GroupLogRemoved, Group: g.ID})
	})
	if err != nil {
		return fmt.Errorf("remove group %s: %w", g.Name, err)
	}
	return nil
}

// ClearGroup deletes, in short steps, what is left of groups that are gone.
func (s *Store) ClearGroup(ctx context.Context, org feature.Org, id uint64) error {
	for more := true; more; {
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			var list []any
			if err := tx.Query("group-member-some", func(r *db.Row) error {
				list = append(list, r.Int(0))
				return nil
			}, org, int64(id), 4*eraseStep); err != nil {
				return err
			}
			if more = len(list) > 0; more {
				_, err := tx.ExecList("group-member-delete", []any{org, int64(id)}, list)
				return err
			}
			if _, err := tx.Exec("group-orphan", org, int64(id)); err != nil {
				return err
			}
			_, err := tx.Exec("group-show-drop", org, int64(id), int64(id))
			return err
		}); err != nil {
			return fmt.Errorf("clear group %d: %w", id, err)
		}
	}
	return nil
}

// DescribeGroup gives a group another label and description. ErrStale.
func (s *Store) DescribeGroup(ctx context.Context, org feature.Org, at uint64, g GroupRow) error {
	return s.oneEdit(ctx, org, GroupLog{Version: at + 1, Kind: GroupLogLabelled, Group: g.ID},
		"group-describe", g.Label, g.About, org, int64(g.ID))
}

// ShowGroup has the members of group see those of other; kind is GroupLogShown,
// or GroupLogFlagged when they do already. ErrStale.
func (s *Store) ShowGroup(ctx context.Context, org feature.Org, at uint64, kind GroupLogKind, show GroupShow) error {
	return s.oneEdit(ctx, org,
		GroupLog{Version: at + 1, Kind: kind, Group: show.Group, Other: show.Other, Care: show.Care},
		"group-show-set", org, int64(show.Group), int64(show.Other), show.Care, int64(at)+1)
}

// HideGroup ends what ShowGroup began. ErrStale.
func (s *Store) HideGroup(ctx context.Context, org feature.Org, at uint64, group, other uint64) error {
	return s.oneEdit(ctx, org, GroupLog{Version: at + 1, Kind: GroupLogHidden, Group: group, Other: other},
		"group-show-delete", org, int64(group), int64(other))
}

// NestGroup puts a group into another one. ErrStale.
func (s *Store) NestGroup(ctx context.Context, org feature.Org, at, id, parent uint64) error {
	return s.oneEdit(ctx, org, GroupLog{Version: at + 1, Kind: GroupLogNested, Group: id, Other: parent},
		"group-nest", int64(parent), org, int64(id))
}

// UnnestGroup takes a group out of the one that it is nested in. ErrStale.
func (s *Store) UnnestGroup(ctx context.Context, org feature.Org, at, id, parent uint64) error {
	return s.oneEdit(ctx, org, GroupLog{Version: at + 1, Kind: GroupLogUnnested, Group: id, Other: parent},
		"group-nest", 0, org, int64(id))
}

// oneEdit is an edit of one statement.
func (s *Store) oneEdit(ctx context.Context, org feature.Org, log GroupLog, statement string, args ...any) error {
	if err := s.editGroups(ctx, org, log.Version-1, 1, 0, func(tx *db.Tx) error {
		if _, err := tx.Exec(statement, args...); err != nil {
			return err
		}
		return logGroups(tx, org, log)
	}); err != nil {
		return fmt.Errorf("edit group %d: %w", log.Group, err)
	}
	return nil
}

// MissingError names accounts that do not exist.
type MissingError struct{ Locals []string }

// Error names one of them.
func (e *MissingError) Error() string {
	if len(e.Locals) == 1 {
		return fmt.Sprintf("there is no account %s", e.Locals[0])
	}
	return fmt.Sprintf("there are no accounts %s and %d more", e.Locals[0], len(e.Locals)-1)
}

// JoinGroup makes accounts members, each with a version of its own, in the
// order given: all of them or none. *MissingError, ErrStale.
func (s *Store) JoinGroup(ctx context.Context, org feature.Org, at, id uint64, locals []string) (people []GroupPerson, err error) {
	err = s.editGroups(ctx, org, at, len(locals), 0, func(tx *db.Tx) error {
		// Looked up here: whoever deletes one of them waits for our commit.
		if people, err = findAll(tx, org, locals); err != nil {
			return err
		}
		args := make([]any, 0, 4*len(people))
		log := make([]GroupLog, len(people))
		for i, p := range people {
			version := at + uint64(i) + 1
			args = append(args, org, int64(id), int64(p.Account), int64(version))
			log[i] = GroupLog{Version: version, Kind: GroupLogJoined, Group: id, Account: p.Account}
		}
		if _, err := tx.ExecRows("group-member-set", args); err != nil {
			return err
		}
		return logGroups(tx, org, log...)
	})
	if err != nil {
		return nil, fmt.Errorf("join group: %w", err)
	}
	return people, nil
}

// findAll are the accounts of these names, in their order. *MissingError.
func findAll(tx *db.Tx, org feature.Org, locals []string) ([]GroupPerson, error) {
	ids := make(map[string]AccountID, len(locals))
	list := make([]any, len(locals))
	for i, l := range locals {
		list[i] = l
	}
	if err := tx.QueryList("account-ids", []any{org}, list, func(r *db.Row) error {
		ids[r.Text(0)] = AccountID(r.Int(1))
		return nil
	}); err != nil {
		return nil, err
	}
	people := make([]GroupPerson, len(locals))
	var missing MissingError
	for i, l := range locals {
		people[i] = GroupPerson{ids[l], l}
		if ids[l] == 0 {
			missing.Locals = append(missing.Locals, l)
		}
	}
	if len(missing.Locals) > 0 {
		return nil, &missing
	}
	return people, nil
}

// LeaveGroup ends memberships, each with a version of its own. ErrStale.
func (s *Store) LeaveGroup(ctx context.Context, org feature.Org, at, id uint64, people []GroupPerson) error {
	list := make([]any, len(people))
	log := make([]GroupLog, len(people))
	for i, p := range people {
		list[i] = int64(p.Account)
		log[i] = GroupLog{Version: at + uint64(i) + 1, Kind: GroupLogLeft, Group: id, Account: p.Account}
	}
	if err := s.editGroups(ctx, org, at, len(people), 0, func(tx *db.Tx) error {
		if _, err := tx.ExecList("group-member-delete", []any{org, int64(id)}, list); err != nil {
			return err
		}
		return logGroups(tx, org, log...)
	}); err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	return nil
}
