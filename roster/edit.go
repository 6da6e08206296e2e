package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// Edits of groups. Each is written first, by at most five statements whatever
// the sizes, then shown by the index, then told to those who asked by OnChange.
// An edit that finds the groups changed by another process reads what it
// missed, looks again whether it makes sense, and tries again.

const editTries = 20

// change does an edit: f looks whether it makes sense, writes it, and returns
// what it wrote; nothing when nothing is to be done.
func (gs *Groups) change(ctx context.Context, org feature.Org, f func(x *index, at uint64) ([]store.GroupLog, error)) error {
	x, err := gs.index(ctx, org)
	if err != nil {
		return err
	}
	x.edit.Lock()
	defer x.edit.Unlock()
	fresh := !gs.store.Shared() // nobody else writes
	for try := 1; ; try++ {
		at := x.version // only changed under x.edit
		log, err := f(x, at)
		if !fresh && (refused(err) || err == nil && len(log) == 0) {
			// Nothing to do, as far as this process has read.
			if e := x.catchUp(ctx); e != nil {
				return errors.Join(err, e)
			}
			fresh = true
			if x.version != at {
				continue
			}
		}
		if err == nil {
			return x.follow(ctx, log)
		}
		// It may have been written all the same (a commit without an answer).
		if fresh = true; !refused(err) {
			if e := x.catchUp(context.WithoutCancel(ctx)); e != nil {
				return errors.Join(err, e)
			}
		}
		if !errors.Is(err, store.ErrStale) || try == editTries {
			return err
		}
	}
}

// A refusal is an edit that makes no sense: nothing was written.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

func refused(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// Refresh reads what other processes have changed in an organisation.
func (gs *Groups) Refresh(ctx context.Context, org feature.Org) error {
	x, err := gs.index(ctx, org)
	if err != nil {
		return err
	}
	x.edit.Lock()
	defer x.edit.Unlock()
	return x.catchUp(ctx)
}

// RefreshAll is Refresh of every organisation whose version in the store is
// not ours: one statement when nothing has changed.
func (gs *Groups) RefreshAll(ctx context.Context) error {
	versions, err := gs.store.GroupVersions(ctx)
	if err != nil {
		return err
	}
	for org, version := range versions {
		if gs.Version(org) != version {
			if err := gs.Refresh(ctx, org); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchUp reads the log from where the index stands. The caller holds x.edit.
func (x *index) catchUp(ctx context.Context) error {
	log, err := x.groups.store.GroupLogSince(ctx, x.org, x.version)
	if err != nil {
		return err
	}
	next := x.version + 1
	for _, l := range log {
		if l.Version != next || l.Kind == store.GroupLogReloaded {
			return x.reload(ctx)
		}
		next++
	}
	if len(log) == 0 {
		versions, err := x.groups.store.GroupVersions(ctx)
		if err != nil || versions[x.org] == x.version {
			return err
		}
		return x.reload(ctx)
	}
	return x.follow(ctx, log)
}

// reload reads everything and applies what is different.
func (x *index) reload(ctx context.Context) error {
	st, err := x.groups.store.Groups(ctx, x.org)
	if err != nil {
		return err
	}
	return x.follow(ctx, x.difference(st))
}

// follow has the index show edits that are written, and tells them. The caller
// holds x.edit.
func (x *index) follow(ctx context.Context, log []store.GroupLog) error {
	if len(log) == 0 {
		return nil
	}
	gs := x.groups
	var people []store.GroupPerson
	if len(x.open) == 0 && slices.ContainsFunc(log, func(l store.GroupLog) bool {
		return l.Kind == store.GroupLogAdded && l.Row.Kind != Explicit
	}) {
		var err error
		if people, err = gs.store.GroupPeople(ctx, x.org); err != nil {
			return err // nothing of it is shown; the next edit reads it again
		}
	}
	var changes []GroupChange
	gs.present.Lock()
	gs.mu.Lock()
	x.turn++
	if people != nil {
		x.whole = make([]person, 0, len(people))
		for _, p := range people {
			x.whole = append(x.whole, x.number(p))
		}
		x.retain()
	}
	for _, l := range log {
		changes = append(changes, x.apply(l)...)
	}
	for g := range x.leaving {
		x.settle(g)
	}
	x.forget()
	gs.mu.Unlock()
	gs.present.Unlock()
	gs.notify.Lock()
	defer gs.notify.Unlock()
	for _, c := range changes {
		for _, fn := range gs.watchers {
			fn(c)
		}
	}
	return nil
}

// retain forgets those who are gone: nobody told while no group needed them all.
func (x *index) retain() {
	here := make(bitmap, len(x.people)/64+1)
	for _, p := range x.whole {
		here.add(p)
	}
	for j, p := range x.numbers {
		if !here.has(p) && len(x.people[p].groups) == 0 {
			delete(x.numbers, j)
		}
	}
}

// difference is the log that leads from the index to what was read.
func (x *index) difference(st *store.GroupState) (log []store.GroupLog) {
	add := func(l store.GroupLog) {
		l.Version = st.Version
		log = append(log, l)
	}
	rows := make(map[uint64]store.GroupRow)
	for _, row := range st.Groups {
		rows[row.ID] = row
	}
	for _, g := range x.groups.List(x.org) {
		if _, ok := rows[g.id]; !ok {
			add(store.GroupLog{Kind: store.GroupLogRemoved, Group: g.id})
		}
	}
	for _, row := range st.Groups {
		g := x.byID[row.ID]
		switch {
		case g == nil:
			add(store.GroupLog{Kind: store.GroupLogAdded, Group: row.ID, Row: row})
		case g.label != row.Label || g.about != row.About:
			add(store.GroupLog{Kind: store.GroupLogLabelled, Group: row.ID, Row: row})
		}
	}
	x.differentNests(st, add)
	x.differentShows(st, add)
	x.differentMembers(st, add)
	x.differentPeople(st, add)
	add(store.GroupLog{Kind: store.GroupLogNone}) // takes the version along
	return log
}

func (x *index) differentNests(st *store.GroupState, add func(store.GroupLog)) {
	for _, row := range st.Groups {
		var had uint64
		if g := x.byID[row.ID]; g != nil && g.parent != nil {
			had = g.parent.id
		}
		if had != 0 && had != row.Parent {
			add(store.GroupLog{Kind: store.GroupLogUnnested, Group: row.ID, Other: had})
		}
	}
	for _, row := range st.Groups {
		g := x.byID[row.ID]
		if row.Parent != 0 && (g == nil || g.parent == nil || g.parent.id != row.Parent) {
			add(store.GroupLog{Kind: store.GroupLogNested, Group: row.ID, Other: row.Parent})
		}
	}
}

func (x *index) differentShows(st *store.GroupState, add func(store.GroupLog)) {
	type pair struct{ group, other uint64 }
	now := make(map[pair]bool)
	for _, s := range st.Shows {
		now[pair{s.Group, s.Other}] = true
		var r *relation
		if g, other := x.byID[s.Group], x.byID[s.Other]; g != nil && other != nil {
			r = find(g.sees, other)
		}
		switch {
		case r == nil:
			add(store.GroupLog{Kind: store.GroupLogShown, Group: s.Group, Other: s.Other, Care: s.Care})
		case r.care != s.Care:
			add(store.GroupLog{Kind: store.GroupLogFlagged, Group: s.Group, Other: s.Other, Care: s.Care})
		}
	}
	known := make(map[uint64]bool)
	for _, row := range st.Groups {
		known[row.ID] = true
		if x.byID[row.ID] == nil && !now[pair{row.ID, row.ID}] { // a new group sees itself
			add(store.GroupLog{Kind: store.GroupLogHidden, Group: row.ID, Other: row.ID})
		}
	}
	for _, g := range x.byID {
		for _, r := range g.sees {
			if known[g.id] && known[r.group.id] && !now[pair{g.id, r.group.id}] {
				add(store.GroupLog{Kind: store.GroupLogHidden, Group: g.id, Other: r.group.id})
			}
		}
	}
}

func (x *index) differentMembers(st *store.GroupState, add func(store.GroupLog)) {
	type membership struct {
		group uint64
		local string
	}
	now := make(map[membership]bool, len(st.Members))
	slices.SortStableFunc(st.Members, func(a, b store.GroupMember) int { return cmp.Compare(a.Joined, b.Joined) })
	for _, m := range st.Members {
		now[membership{m.Group, m.Local}] = true
		if g := x.byID[m.Group]; g != nil {
			if p, ok := x.known(store.GroupLog{Local: m.Local}); ok && g.has(p) {
				continue
			}
		}
		add(store.GroupLog{Kind: store.GroupLogJoined, Group: m.Group, Account: m.Account, Local: m.Local})
	}
	for _, g := range x.byID {
		if g.kind != Explicit {
			continue
		}
		for _, p := range g.members {
			local := x.people[p].jid.Local()
			if !now[membership{g.id, local}] {
				add(store.GroupLog{Kind: store.GroupLogLeft, Group: g.id, Local: local})
			}
		}
	}
}

func (x *index) differentPeople(st *store.GroupState, add func(store.GroupLog)) {
	if len(x.open) == 0 { // follow reads them all, if they are needed now
		return
	}
	now := make(map[string]bool, len(st.People))
	had := make(map[person]bool, len(x.whole))
	for _, p := range x.whole {
		had[p] = true
	}
	for _, p := range st.People {
		now[p.Local] = true
		if n, ok := x.known(store.GroupLog{Local: p.Local}); !ok || !had[n] {
			add(store.GroupLog{Kind: store.GroupLogCreated, Account: p.Account, Local: p.Local})
		}
	}
	for _, p := range x.whole {
		if local := x.people[p].jid.Local(); !now[local] {
			add(store.GroupLog{Kind: store.GroupLogDeleted, Account: x.people[p].account, Local: local})
		}
	}
}

// A NewGroup describes a group that is to be made.
type NewGroup struct {
	Name        string // localpart rules (RFC 7622 §3.3)
	Label       string // MaxLabel bytes at most, without Delimiter; "": the name
	Description string // MaxAbout bytes at most
	Kind        Kind
}

// AddGroup makes a group, which sees itself.
func (gs *Groups) AddGroup(ctx context.Context, org feature.Org, n NewGroup) (*Group, error) {
	err := gs.change(ctx, org, func(x *index, at uint64) ([]store.GroupLog, error) {
		name, err := jid.New(n.Name, x.domain, "")
		if err != nil || n.Name == "" {
			return nil, refuse("%q is no name for a group: want one as in an address, such as nurses", n.Name)
		}
		n.Name = name.Local()
		if err := checkTexts(n.Label, n.Description); err != nil {
			return nil, err
		}
		switch {
		case n.Kind > Online:
			return nil, refuse("there is no kind %d of groups", n.Kind)
		case x.byName[n.Name] != nil:
			return nil, &refusedAs{refusal{fmt.Sprintf("group %s is there already", name)}, store.ErrExists}
		case len(x.byID) >= MaxGroups:
			return nil, refuse("%s has %d groups, and an organisation may have no more", x.domain, MaxGroups)
		}
		row := store.GroupRow{Name: n.Name, Label: n.Label, About: n.Description, Kind: n.Kind}
		if row.ID, err = gs.store.AddGroup(ctx, org, at, row); err != nil {
			return nil, err
		}
		return []store.GroupLog{{Version: row.ID, Kind: store.GroupLogAdded, Group: row.ID, Row: row}}, nil
	})
	if err != nil {
		return nil, err
	}
	return gs.Find(org, n.Name), nil
}

// refusedAs is a refusal that is one of the store's errors too.
type refusedAs struct {
	refusal
	cause error
}

func (r *refusedAs) Unwrap() []error { return []error{&r.refusal, r.cause} }

func checkTexts(label, about string) error {
	switch {
	case len(label) > MaxLabel:
		return refuse("the label has %d bytes; %d are allowed", len(label), MaxLabel)
	case strings.Contains(label, Delimiter):
		return refuse("the label has %q in it, which stands between the labels of nested groups", Delimiter)
	case !printable(label) || !printable(about):
		return refuse("the label and the description are text: want UTF-8 without control characters")
	case len(about) > MaxAbout:
		return refuse("the description has %d bytes; %d are allowed", len(about), MaxAbout)
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\uFFFD' || r&0xFFFE == 0xFFFE
	})
}

// there refuses a group that has gone meanwhile.
func there(groups ...*Group) error {
	for _, g := range groups {
		if g.gone != 0 {
			return &refusedAs{refusal{fmt.Sprintf("group %s is gone", g.name)}, store.ErrNotFound}
		}
	}
	return nil
}

// edit is change for a group and those it is brought together with.
func (g *Group) edit(ctx context.Context, others []*Group, f func(x *index, at uint64) ([]store.GroupLog, error)) error {
	for _, o := range others {
		if o.in != g.in {
			return refuse("groups %s and %s are of two organisations", g.name, o.name)
		}
	}
	return g.in.groups.change(ctx, g.in.org, func(x *index, at uint64) ([]store.GroupLog, error) {
		if err := there(append(others, g)...); err != nil {
			return nil, err
		}
		return f(x, at)
	})
}

// RemoveGroup takes a group away at once, with all that was said of it.
// Groups nested in it are then nested in nothing.
func (gs *Groups) RemoveGroup(ctx context.Context, g *Group) error {
	err := g.edit(ctx, nil, func(_ *index, at uint64) ([]store.GroupLog, error) {
		err := gs.store.RemoveGroup(ctx, g.in.org, at, store.GroupRow{ID: g.id, Name: g.name, Kind: g.kind})
		return []store.GroupLog{{Version: at + 1, Kind: store.GroupLogRemoved, Group: g.id}}, err
	})
	if err != nil {
		return err
	}
	return gs.store.ClearGroup(ctx, g.in.org, g.id)
}

// Describe gives a group another label and description.
func (gs *Groups) Describe(ctx context.Context, g *Group, label, description string) error {
	return g.edit(ctx, nil, func(_ *index, at uint64) ([]store.GroupLog, error) {
		if err := checkTexts(label, description); err != nil {
			return nil, err
		}
		row := store.GroupRow{ID: g.id, Name: g.name, Label: label, About: description, Kind: g.kind}
		err := gs.store.DescribeGroup(ctx, g.in.org, at, row)
		return []store.GroupLog{{Version: at + 1, Kind: store.GroupLogLabelled, Group: g.id, Row: row}}, err
	})
}

// Show has the members of to see those of other; shown already, it changes the
// flag care.
func (gs *Groups) Show(ctx context.Context, other, to *Group, care bool) error {
	return to.edit(ctx, []*Group{other}, func(_ *index, at uint64) ([]store.GroupLog, error) {
		r := find(to.sees, other)
		switch {
		case r != nil && r.care == care:
			return nil, nil
		case r == nil && len(to.sees) >= MaxShown:
			return nil, refuse("%d groups are shown to group %s, and it may see no more", MaxShown, to.name)
		case r == nil && len(other.shown) >= MaxShown:
			return nil, refuse("group %s is shown to %d groups, and may be to no more", other.name, MaxShown)
		}
		kind := store.GroupLogShown
		if r != nil {
			kind = store.GroupLogFlagged
		}
		err := gs.store.ShowGroup(ctx, to.in.org, at, kind, store.GroupShow{Group: to.id, Other: other.id, Care: care})
		return []store.GroupLog{{Version: at + 1, Kind: kind, Group: to.id, Other: other.id, Care: care}}, err
	})
}

// Hide ends what Show began.
func (gs *Groups) Hide(ctx context.Context, other, from *Group) error {
	return from.edit(ctx, []*Group{other}, func(_ *index, at uint64) ([]store.GroupLog, error) {
		if find(from.sees, other) == nil {
			return nil, refuse("group %s is not shown to group %s", other.name, from.name)
		}
		err := gs.store.HideGroup(ctx, from.in.org, at, from.id, other.id)
		return []store.GroupLog{{Version: at + 1, Kind: store.GroupLogHidden, Group: from.id, Other: other.id}}, err
	})
}

// Nest has a group displayed inside another one. A circle is refused.
func (gs *Groups) Nest(ctx context.Context, child, parent *Group) error {
	return child.edit(ctx, []*Group{parent}, func(_ *index, at uint64) ([]store.GroupLog, error) {
		switch parent {
		case child.parent:
			return nil, nil
		case child:
			return nil, refuse("group %s cannot be nested in %s: that would be a circle: a group is not nested in itself", child.name, child.name)
		}
		if child.parent != nil {
			return nil, refuse("group %s is nested in %s: unnest it first", child.name, child.parent.name)
		}
		depth := 0
		for a := parent; a != nil; a = a.parent {
			if a == child {
				return nil, refuse("group %s cannot be nested in %s: that would be a circle, for %s is nested in %s", child.name, parent.name, parent.name, child.name)
			}
			depth++
		}
		if depth += child.height(); depth > MaxDepth {
			return nil, refuse("groups %s and %s cannot be nested: %d groups would stand in one another, and %d may", child.name, parent.name, depth, MaxDepth)
		}
		err := gs.store.NestGroup(ctx, child.in.org, at, child.id, parent.id)
		return []store.GroupLog{{Version: at + 1, Kind: store.GroupLogNested, Group: child.id, Other: parent.id}}, err
	})
}

// height is how many groups stand in one another from g downwards.
func (g *Group) height() int {
	below := 0
	for _, c := range g.children {
		below = max(below, c.height())
	}
	return below + 1
}

// Unnest takes a group out of the one that it is nested in.
func (gs *Groups) Unnest(ctx context.Context, child *Group) error {
	return child.edit(ctx, nil, func(_ *index, at uint64) ([]store.GroupLog, error) {
		if child.parent == nil {
			return nil, refuse("group %s is nested in none", child.name)
		}
		parent := child.parent.id
		err := gs.store.UnnestGroup(ctx, child.in.org, at, child.id, parent)
		return []store.GroupLog{{Version: at + 1, Kind: store.GroupLogUnnested, Group: child.id, Other: parent}}, err
	})
}
