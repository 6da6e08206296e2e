package roster

import (
	"context"
	"maps"
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// How the index follows the log of edits: an edit becomes entries of the log
// in the store (edit.go), and apply changes the index by them. Other processes
// read the same log.

// keptEntries is Groups.kept, but in tests.
const keptEntries = 1 << 18

// load reads all rows. Nobody else has the index yet.
func (x *index) load(ctx context.Context) error {
	st, err := x.groups.store.Groups(ctx, x.org)
	if err != nil {
		return err
	}
	x.fill(st)
	for _, id := range x.orphans(st) {
		if err := x.groups.store.ClearGroup(ctx, x.org, id); err != nil {
			return err
		}
	}
	return nil
}

// orphans are groups that are gone and have left rows behind.
func (x *index) orphans(st *store.GroupState) (ids []uint64) {
	note := func(id uint64) {
		if x.byID[id] == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, m := range st.Members {
		note(m.Group)
	}
	for _, s := range st.Shows {
		note(s.Group)
		note(s.Other)
	}
	return ids
}

func (x *index) fill(st *store.GroupState) {
	x.version, x.floor, x.loaded = st.Version, st.Since, st.Version
	for _, row := range st.Groups {
		x.insert(row)
	}
	for _, row := range st.Groups {
		if parent := x.byID[row.Parent]; parent != nil {
			x.nest(x.byID[row.ID], parent)
		}
	}
	for _, s := range st.Shows {
		if g, other := x.byID[s.Group], x.byID[s.Other]; g != nil && other != nil {
			x.relate(g, other, s.Made, s.Care)
		}
	}
	x.people = make([]member, 0, max(len(st.People), min(len(st.Members), 1<<17)))
	x.whole = make([]person, 0, len(st.People))
	for _, p := range st.People {
		x.whole = append(x.whole, x.number(p))
	}
	x.fillMembers(st.Members)
	x.recallAll(st.Log)
}

// fillMembers takes the memberships group by group, as they are read, and puts
// each group's in the order of joining.
func (x *index) fillMembers(rows []store.GroupMember) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Group == rows[0].Group {
			n++
		}
		part := rows[:n]
		rows = rows[n:]
		g := x.byID[part[0].Group]
		if g == nil {
			continue
		}
		slices.SortFunc(part, func(a, b store.GroupMember) int {
			if a.Joined != b.Joined {
				return int(int64(a.Joined) - int64(b.Joined))
			}
			return int(min(max(int64(a.Account)-int64(b.Account), -1), 1))
		})
		g.members = make([]person, 0, n)
		for _, m := range part {
			x.join(g, x.number(store.GroupPerson{Account: m.Account, Local: m.Local}))
		}
	}
}

// number finds the number of an account, or gives it one.
func (x *index) number(who store.GroupPerson) person {
	j, err := jid.New(who.Local, x.domain, "")
	if err != nil { // the store has what it was given
		j = jid.JID{}
	}
	if p, ok := x.numbers[j]; ok {
		if who.Account != 0 {
			x.people[p].account = who.Account
		}
		return p
	}
	p := person(len(x.people))
	x.people = append(x.people, member{jid: j, account: who.Account})
	x.numbers[j] = p
	return p
}

func (x *index) insert(row store.GroupRow) *Group {
	g := &Group{in: x, id: row.ID, name: row.Name, kind: row.Kind, label: row.Label, about: row.About}
	x.byID[g.id], x.byName[g.name] = g, g
	if g.kind != Explicit {
		x.open = append(x.open, g)
	}
	return g
}

func (x *index) nest(g, parent *Group) {
	g.parent = parent
	i, _ := slices.BinarySearchFunc(parent.children, g, byID)
	parent.children = slices.Insert(parent.children, i, g)
}

func (x *index) unnest(g *Group) {
	siblings := g.parent.children
	i, _ := slices.BinarySearchFunc(siblings, g, byID)
	g.parent.children = slices.Delete(siblings, i, i+1)
	g.parent = nil
}

func (x *index) relate(g, other *Group, made uint64, care bool) {
	for _, end := range []struct {
		list *[]relation
		to   *Group
	}{{&g.sees, other}, {&other.shown, g}} {
		i, found := place(*end.list, end.to)
		if found {
			(*end.list)[i].care = care
			continue
		}
		*end.list = slices.Insert(*end.list, i, relation{end.to, made, care})
	}
}

func unrelate(g, other *Group) {
	if i, found := place(g.sees, other); found {
		g.sees = slices.Delete(g.sees, i, i+1)
	}
	if i, found := place(other.shown, g); found {
		other.shown = slices.Delete(other.shown, i, i+1)
	}
}

// join makes somebody a member; false when they are one already.
func (x *index) join(g *Group, p person) bool {
	m := &x.people[p]
	i, found := slices.BinarySearchFunc(m.groups, g, byID)
	if found {
		return false
	}
	if slices.Contains(x.leaving[g], p) {
		x.settle(g)
	}
	// Replaced, for readers hold it; of just the size, for most are in few.
	groups := make([]*Group, 0, len(m.groups)+1)
	m.groups = append(append(append(groups, m.groups[:i]...), g), m.groups[i:]...)
	g.members = append(g.members, p)
	x.memberships++
	return true
}

// leave ends a membership; false when there was none. The list of members
// follows by settle.
func (x *index) leave(g *Group, p person) bool {
	m := &x.people[p]
	i, found := slices.BinarySearchFunc(m.groups, g, byID)
	if !found {
		return false
	}
	m.groups = slices.Concat(m.groups[:i], m.groups[i+1:])
	x.leaving[g] = append(x.leaving[g], p)
	x.memberships--
	return true
}

// settle takes those who left off the list of members, all at once.
func (x *index) settle(g *Group) {
	gone := make(map[person]bool, len(x.leaving[g]))
	for _, p := range x.leaving[g] {
		gone[p] = true
	}
	delete(x.leaving, g)
	if len(gone) == 0 {
		return
	}
	members := make([]person, 0, len(g.members)-len(gone))
	for _, p := range g.members {
		if !gone[p] {
			members = append(members, p)
		}
	}
	g.members = members
}

// without is the list without a person; the list itself stays as it is.
func without(list []person, p person) []person {
	i := slices.Index(list, p)
	if i < 0 {
		return list
	}
	return slices.Concat(list[:i], list[i+1:])
}

// note keeps an edit with the group it concerns.
func (x *index) note(g *Group, version uint64, kind store.GroupLogKind, who person) {
	g.log = append(g.log, entry{version: version, who: who, kind: kind})
	x.count(version)
}

// noteBoth keeps an edit with the two groups it concerns.
func (x *index) noteBoth(g, other *Group, version uint64, kind store.GroupLogKind) {
	g.log = append(g.log, entry{version: version, other: other, kind: kind, out: true})
	x.count(version)
	if g != other {
		other.log = append(other.log, entry{version: version, other: g, kind: kind})
		x.count(version)
	}
}

// move keeps who joined or left a group.
func (x *index) move(p person, version uint64, kind store.GroupLogKind, g *Group) {
	x.note(g, version, kind, p)
	x.moves[p] = append(x.moves[p], entry{version: version, other: g, who: p, kind: kind})
	x.count(version)
}

func (x *index) count(version uint64) { x.countMany(version, 1) }

// countMany is count for what weighs as much as so many entries.
func (x *index) countMany(version uint64, more int) {
	x.entries += more
	if n := len(x.history); n > 0 && x.history[n-1].version == version {
		x.history[n-1].entries += more
		return
	}
	x.history = append(x.history, batch{version, more})
}

// forget drops the older half of the entries when there are too many.
func (x *index) forget() {
	kept := x.groups.kept
	if x.entries <= kept {
		return
	}
	n := 0
	for x.entries > kept/2 && n < len(x.history)-1 {
		x.entries -= x.history[n].entries
		x.floor = x.history[n].version
		n++
	}
	x.history = slices.Clone(x.history[n:])
	recent := func(list []entry) []entry {
		i := slices.IndexFunc(list, func(e entry) bool { return e.version > x.floor })
		if i < 0 {
			return nil
		}
		return slices.Clone(list[i:])
	}
	for _, g := range x.byID {
		g.log = recent(g.log)
	}
	for p, list := range x.moves {
		if list = recent(list); list == nil {
			delete(x.moves, p)
		} else {
			x.moves[p] = list
		}
	}
	x.graves = slices.DeleteFunc(x.graves, func(g *Group) bool { return g.gone <= x.floor })
	maps.DeleteFunc(x.departed, func(_ jid.JID, version uint64) bool { return version <= x.floor })
}

// recallAll keeps what the log told before the index was read.
func (x *index) recallAll(log []store.GroupLog) {
	names := make(map[store.AccountID]string)
	for _, l := range log {
		if l.Local != "" {
			names[l.Account] = l.Local
		}
	}
	for _, l := range log {
		if l.Version > x.version {
			return // read between; Refresh brings it
		}
		if l.Local == "" {
			l.Local = names[l.Account]
		}
		x.recall(l)
	}
	x.forget()
}

func (x *index) recall(l store.GroupLog) {
	g, other := x.byID[l.Group], x.byID[l.Other]
	switch l.Kind {
	case store.GroupLogLabelled:
		if g != nil {
			x.note(g, l.Version, l.Kind, 0)
		}
	case store.GroupLogJoined, store.GroupLogLeft:
		if g != nil {
			x.move(x.ghost(l), l.Version, l.Kind, g)
		}
	case store.GroupLogShown, store.GroupLogHidden, store.GroupLogNested, store.GroupLogUnnested,
		store.GroupLogFlagged:
		if g != nil && other != nil {
			x.noteBoth(g, other, l.Version, l.Kind)
		}
	case store.GroupLogCreated, store.GroupLogDeleted:
		kind := store.GroupLogJoined
		if l.Kind == store.GroupLogDeleted {
			kind = store.GroupLogLeft
		}
		for _, o := range x.open {
			if o.kind == Everyone {
				x.note(o, l.Version, kind, x.ghost(l))
			}
		}
	}
}

// ghost is the number of somebody whom the log names, and who may be gone.
func (x *index) ghost(l store.GroupLog) person {
	j, err := jid.New(l.Local, x.domain, "")
	if err == nil {
		if p, ok := x.numbers[j]; ok {
			return p
		}
	}
	x.people = append(x.people, member{jid: j})
	return person(len(x.people) - 1)
}
