package roster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// What a client has missed. An edit is kept with the group it concerns, so
// Delta looks at the groups of the viewer, at those that it sees and at those
// that see it, and at nothing else: how many edits there were elsewhere does
// not matter.

// A Version says how much of a roster a client has: of the personal part, of
// the groups, and of who is online where a group needs that.
type Version struct {
	Personal, Groups, Online uint64
	Bound                    uint64 // what the roster had room for, when it had too little; else 0
}

// String is how clients keep it: "personal-groups-online-bound", with what is 0
// left out at the end.
func (v Version) String() string {
	switch {
	case v.Bound != 0:
		return fmt.Sprintf("%d-%d-%d-%d", v.Personal, v.Groups, v.Online, v.Bound)
	case v.Online != 0:
		return fmt.Sprintf("%d-%d-%d", v.Personal, v.Groups, v.Online)
	case v.Groups != 0:
		return fmt.Sprintf("%d-%d", v.Personal, v.Groups)
	}
	return strconv.FormatUint(v.Personal, 10)
}

// ParseVersion reads what a client has kept; false when it is not ours.
func ParseVersion(s string) (v Version, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) > 4 {
		return Version{}, false
	}
	for i, to := range []*uint64{&v.Personal, &v.Groups, &v.Online, &v.Bound}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 64)
		if err != nil {
			return Version{}, false
		}
		*to = n
	}
	return v, true
}

// At is the version of the groups of the viewer's organisation now; Online is
// 0 for who sees no group of those who are online.
func (gs *Groups) At(viewer jid.JID) (v Version) {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[viewer.Domain()]
	if x == nil {
		return v
	}
	v.Groups = x.version
	if n, ok := x.numbers[viewer]; ok && x.seesOnline(n) {
		v.Online = x.flips()
	}
	return v
}

// Behind reports whether a client that was told so much of the groups may have
// more to hear.
func (gs *Groups) Behind(viewer jid.JID, told Version) bool {
	at := gs.At(viewer)
	return at.Groups != told.Groups || at.Online != told.Online
}

// flips counts who came and went, from a number that no earlier start of the
// server has come to.
func (x *index) flips() uint64 { return x.groups.epoch + x.crowd.seq }

func (x *index) seesOnline(v person) bool {
	for _, g := range x.open {
		if g.kind != Online {
			continue
		}
		mine := x.groupsOf(v, true)
		for a := g; a != nil; a = a.parent {
			if meet(mine, a.shown, false) {
				return true
			}
		}
	}
	return false
}

// A Touched is a contact whose item may look different. Was tells that groups
// may have shown the contact before: only then there can be something to take
// away.
type Touched struct {
	JID jid.JID
	Was bool

	number person
}

// Delta tells whose item may look different to the viewer than it did at a
// version, as far as groups are concerned. full means that this is not known
// (any more): the whole roster may look different. own is the viewer's
// personal roster, nil for none.
func (gs *Groups) Delta(viewer jid.JID, since Version, own *Roster) (changed []Touched, full bool) {
	changed, _, full = gs.missed(viewer, since, own)
	return changed, full
}

// missed is Delta; stirred tells that something was done to the groups around
// the viewer, so that others may fit.
func (gs *Groups) missed(viewer jid.JID, since Version, own *Roster) (changed []Touched, stirred, full bool) {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[viewer.Domain()]
	if x == nil {
		return nil, false, since.Groups != 0
	}
	if since.Groups > x.version || since.Groups < x.floor {
		return nil, true, true
	}
	v, ok := x.numbers[viewer]
	if !ok { // it is in no group; whoever was in one since x was read has a number
		return nil, false, since.Groups < max(x.loaded, x.departed[viewer])
	}
	d := delta{x: x, v: v, since: since.Groups, touched: make(map[person]bool)}
	if since.Groups < x.departed[viewer] { // another account of that name
		return nil, true, true
	}
	if stirred = since.Groups != x.version && d.stirred(); stirred {
		now, then := d.groups()
		d.forward(now, then)
		d.backward(now, then, own)
	}
	if !d.online(since.Online) {
		return nil, true, true
	}
	return d.list(), stirred, false
}

type delta struct {
	x       *index
	v       person
	since   uint64
	touched map[person]bool // and whether they may have been shown before
}

// list are those touched, by number. One address may have two numbers, where
// an account is gone and another one has its name: it is listed by the last.
func (d *delta) list() []Touched {
	out := make([]Touched, 0, len(d.touched))
	for p, was := range d.touched {
		if j := d.x.people[p].jid; !j.IsZero() && p != d.v {
			out = append(out, Touched{j, was, p})
		}
	}
	slices.SortFunc(out, func(a, b Touched) int { return cmp.Compare(a.number, b.number) })
	last := make(map[jid.JID]int, len(out))
	for i, t := range out {
		if before, twice := last[t.JID]; twice {
			out[i].Was = t.Was || out[before].Was
			out[before].JID = jid.JID{}
		}
		last[t.JID] = i
	}
	return slices.DeleteFunc(out, func(t Touched) bool { return t.JID.IsZero() })
}

// after are the entries of a log that came after the version asked for.
func (d *delta) after(log []entry) []entry {
	i, _ := slices.BinarySearchFunc(log, d.since+1, func(e entry, v uint64) int { return cmp.Compare(e.version, v) })
	return log[i:]
}

// news reports whether anything was said of a group since.
func (d *delta) news(log []entry) bool {
	return len(log) > 0 && log[len(log)-1].version > d.since
}

// stirred reports whether anything has happened around v at all; mostly
// nothing has.
func (d *delta) stirred() bool {
	if d.news(d.x.moves[d.v]) || slices.ContainsFunc(d.x.graves, func(g *Group) bool { return g.gone > d.since }) {
		return true
	}
	for _, g := range d.x.groupsOf(d.v, true) {
		if g.id > d.since || d.news(g.log) {
			return true
		}
		for _, r := range g.sees {
			if d.stirredBelow(r.group) {
				return true
			}
		}
		for a := g; a != nil; a = a.parent {
			if d.news(a.log) {
				return true
			}
			for _, r := range a.shown {
				if d.news(r.group.log) {
					return true
				}
			}
		}
	}
	return false
}

func (d *delta) stirredBelow(g *Group) bool {
	if d.news(g.log) {
		return true
	}
	for a := g.parent; a != nil; a = a.parent { // by whose label it is called
		if d.news(a.log) {
			return true
		}
	}
	return slices.ContainsFunc(g.children, d.stirredBelow)
}

type groupSet map[*Group]bool

// groups are those of v: now, and at the version asked for.
func (d *delta) groups() (now, then groupSet) {
	now, then = make(groupSet), make(groupSet)
	for _, g := range d.x.groupsOf(d.v, true) {
		now[g] = true
		if g.kind == Explicit || g.id <= d.since {
			then[g] = true
		}
	}
	d.undo(d.x.moves[d.v], then, store.GroupLogJoined, store.GroupLogLeft, func(e entry) bool { return true })
	for _, g := range d.x.graves {
		if g.gone > d.since && g.id <= d.since {
			then[g] = true
		}
	}
	return now, then
}

// undo makes of a set as it is now what it was, by the first word that the log
// has on each group since: begun means that it was not in it, ended that it was.
func (d *delta) undo(log []entry, set groupSet, begun, ended store.GroupLogKind, of func(entry) bool) {
	told := make(groupSet)
	for _, e := range d.after(log) {
		if (e.kind != begun && e.kind != ended) || !of(e) || told[e.other] {
			continue
		}
		told[e.other] = true
		if e.kind == ended {
			set[e.other] = true
		} else {
			delete(set, e.other)
		}
	}
}

// related are the groups at the other ends of a group's relations: outward
// those that it sees, else those that see it.
func (d *delta) related(g *Group, outward, then bool) groupSet {
	set := make(groupSet)
	list := g.shown
	if outward {
		list = g.sees
	}
	for _, r := range list {
		set[r.group] = true
	}
	if then && d.news(g.log) {
		d.undo(g.log, set, store.GroupLogShown, store.GroupLogHidden, func(e entry) bool {
			return e.other == g || e.out == outward
		})
	}
	return set
}

// children are the groups nested in one, now or then.
func (d *delta) children(g *Group, then bool) groupSet {
	set := make(groupSet)
	for _, c := range g.children {
		set[c] = true
	}
	if then && d.news(g.log) {
		d.undo(g.log, set, store.GroupLogNested, store.GroupLogUnnested, func(e entry) bool { return !e.out })
	}
	return set
}

// parent is the group that one is nested in, now or then.
func (d *delta) parent(g *Group, then bool) *Group {
	if then && d.news(g.log) {
		for _, e := range d.after(g.log) {
			if e.out && e.kind == store.GroupLogNested {
				return nil
			}
			if e.out && e.kind == store.GroupLogUnnested {
				return e.other
			}
		}
	}
	return g.parent
}

// visible are the groups that the members of some see: those shown, and those
// nested in them, each with the outermost one that is shown around it.
func (d *delta) visible(mine groupSet, then bool) map[*Group]*Group {
	roots := make(groupSet)
	for g := range mine {
		for o := range d.related(g, true, then) {
			roots[o] = true
		}
	}
	out := make(map[*Group]*Group)
	var descend func(g, top *Group)
	descend = func(g, top *Group) {
		out[g] = top
		for c := range d.children(g, then) {
			descend(c, top)
		}
	}
	for g := range roots {
		inner := false
		for a := d.parent(g, then); a != nil; a = d.parent(a, then) {
			inner = inner || roots[a]
		}
		if !inner {
			descend(g, g)
		}
	}
	return out
}

// forward touches those whom v has begun to see, or ceased to, or sees by
// another name.
func (d *delta) forward(now, then groupSet) {
	is, was := d.visible(now, false), d.visible(then, true)
	for g, top := range is {
		old, had := was[g]
		switch {
		case !had:
			d.all(g, false)
		case old != top || d.renamed(g, top):
			d.all(g, false)
			d.all(g, true)
		default:
			d.changed(g)
		}
	}
	for g := range was {
		if _, still := is[g]; !still {
			d.all(g, true)
		}
	}
}

// renamed reports whether a group, or one of those around it up to top, has
// another label or stands elsewhere.
func (d *delta) renamed(g, top *Group) bool {
	for a := g; a != nil; a = a.parent {
		for _, e := range d.after(a.log) {
			if e.kind == store.GroupLogLabelled || a != top && e.out && (e.kind == store.GroupLogNested || e.kind == store.GroupLogUnnested) {
				return true
			}
		}
		if a == top {
			break
		}
	}
	return false
}

// members says of those of whom the log of a group has a word whether they
// were members.
func (d *delta) members(g *Group) map[person]bool {
	if !d.news(g.log) {
		return nil
	}
	was := make(map[person]bool)
	for _, e := range d.after(g.log) {
		if e.kind != store.GroupLogJoined && e.kind != store.GroupLogLeft {
			continue
		}
		if _, told := was[e.who]; !told {
			was[e.who] = e.kind == store.GroupLogLeft
		}
	}
	return was
}

// all touches the members of a group, as they are or were.
func (d *delta) all(g *Group, then bool) {
	var was map[person]bool
	if then {
		was = d.members(g)
	}
	for _, p := range g.current() {
		if had, told := was[p]; !told || had {
			d.mark(p, then)
		}
	}
	for p, had := range was {
		if had {
			d.mark(p, true)
		}
	}
}

func (d *delta) mark(p person, was bool) { d.touched[p] = d.touched[p] || was }

// changed touches those who are members of a group and were not, or were and
// are not.
func (d *delta) changed(g *Group) {
	for p, had := range d.members(g) {
		if had != (g.gone == 0 && g.member(p)) {
			d.mark(p, had)
		}
	}
}

// member is has for somebody who may be gone.
func (g *Group) member(p person) bool {
	if g.kind == Everyone {
		x := g.in
		n, ok := x.numbers[x.people[p].jid]
		return ok && n == p
	}
	return g.has(p)
}

// backward touches those who have begun to see v, or ceased to, as far as they
// stand on its roster: the subscription is another one.
func (d *delta) backward(now, then groupSet, own *Roster) {
	seen := d.touched
	d.touched = make(map[person]bool)
	is, was := d.watchers(now, false), d.watchers(then, true)
	for g := range is {
		switch {
		case was[g]:
			d.changed(g)
		case g.kind == Online: // whoever looks counts as online
			d.touch(d.x.whole)
		default:
			d.all(g, false)
		}
	}
	for g := range was {
		switch {
		case is[g]:
		case g.kind == Online:
			d.touch(d.x.whole)
			d.touch(g.whole)
		default:
			d.all(g, true)
		}
	}
	for p := range d.touched {
		if _, told := seen[p]; !told && (own.lists(d.x.people[p].jid) || d.x.sees(d.v, p, d.x.crowd.has(p), false)) {
			seen[p] = false
		}
	}
	d.touched = seen
}

func (d *delta) touch(list []person) {
	for _, p := range list {
		d.mark(p, false)
	}
}

// watchers are the groups whose members see those of some.
func (d *delta) watchers(mine groupSet, then bool) groupSet {
	out := make(groupSet)
	for g := range mine {
		for a := g; a != nil; a = d.parent(a, then) {
			for w := range d.related(a, false, then) {
				out[w] = true
			}
		}
	}
	return out
}

// online touches who came and went; false when that is not known.
func (d *delta) online(since uint64) bool {
	sees := d.x.seesOnline(d.v)
	if since == 0 || !sees {
		return since == 0 // what groups say of those who are online is told
	}
	if since < d.x.groups.epoch {
		return false
	}
	list, ok := d.x.crowd.since(since - d.x.groups.epoch)
	for _, p := range list {
		d.mark(p, true)
	}
	return ok
}
