package roster

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
)

// DefaultMax is how many contacts a roster shows where no dial says.
const DefaultMax = 10_000

// seen is a group whose members a viewer sees.
type seen struct {
	group *Group
	top   *Group // the outermost group around it that is shown to the viewer
	care  bool
	made  uint64
}

// Seen are the groups whose members the viewer sees, without doubles, in the
// order in which the bound of a roster takes them: those shown by a relation
// flagged care first, then as the relations were made; a group that is nested
// in a shown one follows it.
func (gs *Groups) Seen(viewer jid.JID) []*Group {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[viewer.Domain()]
	if x == nil {
		return nil
	}
	v, ok := x.numbers[viewer]
	if !ok {
		return nil
	}
	list := x.seenBy(v)
	out := make([]*Group, len(list))
	for i, s := range list {
		out[i] = s.group
	}
	return out
}

func (x *index) seenBy(v person) []seen {
	var roots []seen
	for _, g := range x.groupsOf(v, true) {
		for _, r := range g.sees {
			roots = append(roots, seen{r.group, r.group, r.care, r.made})
		}
	}
	slices.SortFunc(roots, func(a, b seen) int {
		if a.care != b.care {
			if a.care {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.made, b.made), byID(a.group, b.group))
	})
	shown := make(map[*Group]bool, len(roots))
	for _, r := range roots {
		shown[r.group] = true
	}
	out := make([]seen, 0, len(roots))
	done := make(map[*Group]bool, len(roots))
	var descend func(s seen)
	descend = func(s seen) {
		if done[s.group] {
			return
		}
		done[s.group] = true
		for a := s.group; a != nil; a = a.parent {
			if shown[a] {
				s.top = a
			}
		}
		out = append(out, s)
		for _, c := range s.group.children {
			descend(seen{c, c, s.care, s.made})
		}
	}
	for _, r := range roots {
		descend(r)
	}
	return out
}

// path is what a roster calls a group that is shown as part of top.
func (g *Group) path(top *Group) string {
	if g == top {
		return g.shownAs()
	}
	var labels []string
	for a := g; ; a = a.parent {
		labels = append(labels, a.shownAs())
		if a == top || a.parent == nil {
			break
		}
	}
	slices.Reverse(labels)
	return strings.Join(labels, Delimiter)
}

// labels are what the viewer's roster calls the groups that it sees p by,
// MaxLabels at most; none means that it does not see p.
func (x *index) labels(v, p person) (out []string) {
	if v == p {
		return nil
	}
	for _, g := range x.groupsOf(p, x.crowd.has(p)) {
		var top *Group
		for a := g; a != nil; a = a.parent {
			if x.meets(v, a, false) {
				top = a
			}
		}
		if top == nil {
			continue
		}
		if label := g.path(top); !slices.Contains(out, label) {
			if out = append(out, label); len(out) == MaxLabels {
				break
			}
		}
	}
	return out
}

// A View is the bounded roster of one person: personal items, and the people
// seen by groups, as many as there is room for. It answers by what groups are
// now; who is beyond the bound was found when the View was made.
type View struct {
	groups *Groups
	index  *index // nil where there are no groups
	viewer jid.JID
	number person
	known  bool // has a number
	own    *Roster
	cut    bitmap // who fits, when not all do; nil otherwise
	max    int
}

// A bitmap is a set of persons.
type bitmap []uint64

func (b bitmap) has(p person) bool {
	return int(p>>6) < len(b) && b[p>>6]&(1<<(p&63)) != 0
}

func (b bitmap) add(p person) { b[p>>6] |= 1 << (p & 63) }

// View is the viewer's roster with room for max contacts: personal items, of
// which own may be nil for none, count first and are never left out; then
// groups in the order of Seen, members in the order of joining.
func (gs *Groups) View(viewer jid.JID, max int, own *Roster) *View {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	return gs.view(viewer, max, own)
}

func (gs *Groups) view(viewer jid.JID, max int, own *Roster) *View {
	w := &View{groups: gs, viewer: viewer, own: own, index: gs.domains[viewer.Domain()], max: max}
	if w.index == nil {
		return w
	}
	w.number, w.known = w.index.numbers[viewer]
	if w.known {
		w.bound()
	}
	return w
}

// bound finds who fits.
func (w *View) bound() {
	x, v, own := w.index, w.number, w.own
	list := x.seenBy(v)
	most := own.listed()
	room := w.max - most
	for _, s := range list {
		most += s.group.count()
	}
	if most <= w.max {
		return
	}
	fit := make(bitmap, len(x.people)/64+1)
	left := false
	for _, s := range list {
		for _, p := range s.group.current() {
			switch {
			case p == v || fit.has(p):
			case own.lists(x.people[p].jid):
				fit.add(p)
			case room > 0:
				fit.add(p)
				room--
			default:
				left = true
			}
		}
	}
	if !left {
		return
	}
	w.cut = fit
	if own != nil {
		items, _ := own.Items()
		for _, it := range items {
			if p, ok := x.numbers[it.JID]; ok && it.Listed {
				fit.add(p)
			}
		}
	}
}

// count is the number of members, without a list of them.
func (g *Group) count() int {
	if g.kind == Online {
		return len(g.in.crowd.at)
	}
	return len(g.current())
}

// limit is the bound where it leaves somebody out, else 0.
func (w *View) limit() uint64 {
	if w.cut == nil {
		return 0
	}
	return uint64(w.max)
}

// Truncated reports whether somebody is beyond the bound.
func (w *View) Truncated() bool { return w.cut != nil }

// SameBound reports whether two views of one person have the same people beyond
// the bound. nil has nobody.
func (w *View) SameBound(other *View) bool {
	whole := func(w *View) bool { return w == nil || w.cut == nil }
	if whole(w) || whole(other) {
		return whole(w) && whole(other)
	}
	for i := range max(len(w.cut), len(other.cut)) {
		if w.cut.word(i) != other.cut.word(i) {
			return false
		}
	}
	return true
}

// word is the i-th word, zero past the end.
func (b bitmap) word(i int) uint64 {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// Has reports whether the contact stands on the roster: a personal item, or
// one that is seen by a group and fits.
func (w *View) Has(contact jid.JID) bool {
	if w.own.lists(contact) {
		return true
	}
	w.groups.mu.RLock()
	defer w.groups.mu.RUnlock()
	return w.fits(contact)
}

// Beyond reports whether the contact was beyond the bound when the View was
// made, or came later, and has no personal item now; nil has nobody beyond.
func (w *View) Beyond(contact jid.JID) bool {
	return w != nil && w.cut != nil && !w.own.lists(contact) && w.LeftOut(contact)
}

// LeftOut is Beyond with the personal items that there were when the View was
// made.
func (w *View) LeftOut(contact jid.JID) bool {
	if w == nil || w.cut == nil {
		return false
	}
	w.groups.mu.RLock()
	defer w.groups.mu.RUnlock()
	p, ok := w.index.numbers[contact]
	return ok && !w.cut.has(p)
}

func (w *View) fits(contact jid.JID) bool {
	if !w.known {
		return false
	}
	p, ok := w.index.numbers[contact]
	return ok && (w.cut == nil || w.cut.has(p)) && w.index.sees(w.number, p, w.index.crowd.has(p), false)
}

// Len is how many contacts the roster shows.
func (w *View) Len() (n int) {
	n = w.own.listed()
	w.Each(func(contact jid.JID, _ []string) {
		if !w.own.lists(contact) {
			n++
		}
	})
	return n
}

// Each calls fn for everybody who is seen by a group and fits, with the names
// of the roster groups. No lock is held over fn.
func (w *View) Each(fn func(contact jid.JID, labels []string)) {
	for _, c := range w.contacts(nil) {
		fn(c.jid, c.labels)
	}
}

// shownContact is somebody seen by groups.
type shownContact struct {
	jid    jid.JID
	labels []string
	back   bool // sees the viewer too
}

// contacts are those seen by groups, without those done already.
func (w *View) contacts(already bitmap) []shownContact {
	if !w.known {
		return nil
	}
	w.groups.mu.RLock()
	defer w.groups.mu.RUnlock()
	x := w.index
	list := x.seenBy(w.number)
	n := 0
	for _, s := range list {
		n += s.group.count()
	}
	done := make(bitmap, len(x.people)/64+1) // there may be more people than when already was made
	for i := range copy(done, already) {
		n -= bits.OnesCount64(already[i])
	}
	out := make([]shownContact, 0, max(n, 0))
	for _, s := range list {
		one := []string{s.group.path(s.top)}
		for _, p := range s.group.current() {
			if p == w.number || done.has(p) || w.cut != nil && !w.cut.has(p) {
				continue
			}
			done.add(p)
			labels := one
			if len(x.people[p].groups)+len(x.open) > 1 {
				labels = x.labels(w.number, p)
			}
			out = append(out, shownContact{x.people[p].jid, labels, x.sees(p, w.number, true, false)})
		}
	}
	return out
}

// Item is what the roster shows of one contact: the personal item, if there is
// one, and what groups add to it. Removed means that it shows nothing.
func (w *View) Item(contact jid.JID) Change {
	own, _ := w.own.get(contact)
	c := w.contact(contact)
	return merge(own, c)
}

// contact is what groups say of one contact; no labels when it is not seen.
func (w *View) contact(contact jid.JID) shownContact {
	c := shownContact{jid: contact}
	if !w.known {
		return c
	}
	own := w.own.lists(contact)
	w.groups.mu.RLock()
	defer w.groups.mu.RUnlock()
	x := w.index
	p, ok := x.numbers[contact]
	if !ok {
		return c
	}
	c.back = x.sees(p, w.number, true, false)
	if own || w.cut == nil || w.cut.has(p) {
		c.labels = x.labels(w.number, p)
	}
	return c
}

// merge puts a personal item and what groups say together: the personal name
// wins over the localpart, roster groups and subscriptions add up.
func merge(own Item, c shownContact) Change {
	it := own
	it.JID = c.jid
	if len(c.labels) > 0 {
		it.Listed = true
		it.Sub |= To
		it.Ask = false
		it.Groups = together(own.Groups, c.labels)
		if it.Name == "" {
			it.Name = c.jid.Local()
		}
	}
	if c.back {
		it.Sub |= From
	}
	return Change{Item: it, Removed: !it.Listed}
}

// together are personal groups and those of groups, without doubles.
func together(own, labels []string) []string {
	if len(own) == 0 {
		return labels
	}
	out := slices.Clone(own)
	for _, l := range labels {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// Items are all items that the roster shows, in no order.
func (w *View) Items() iter.Seq[Change] { return w.items(nil) }

// items is Items without contacts who are done already and have no personal
// item.
func (w *View) items(already bitmap) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		contacts := w.contacts(already)
		var seen map[jid.JID]bool
		if w.own != nil && w.own.Len() > 0 {
			seen = make(map[jid.JID]bool)
		}
		for _, c := range contacts {
			own := Item{}
			if seen != nil {
				own, seen[c.jid] = w.own.Get(c.jid)
			}
			if !yield(merge(own, c)) {
				return
			}
		}
		if seen == nil {
			return
		}
		items, _ := w.own.Items()
		for _, it := range items {
			if it.Listed && !seen[it.JID] && !yield(merge(*it, w.contact(it.JID))) {
				return
			}
		}
	}
}

// Labels are the names of the roster groups that the viewer sees the contact
// by, none when it does not.
func (gs *Groups) Labels(viewer, contact jid.JID) []string {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[viewer.Domain()]
	if x == nil {
		return nil
	}
	v, p, ok := x.pair(viewer, contact)
	if !ok {
		return nil
	}
	return x.labels(v, p)
}

// Bits is what groups add to the subscription that owner has with contact: To
// when owner sees contact, From when contact sees owner. Both count as online.
func (gs *Groups) Bits(owner, contact jid.JID) (sub Subscription) {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[owner.Domain()]
	if x == nil {
		return None
	}
	v, p, ok := x.pair(owner, contact)
	if !ok {
		return None
	}
	if x.sees(v, p, x.crowd.has(p), false) {
		sub |= To
	}
	if x.sees(p, v, true, false) {
		sub |= From
	}
	return sub
}

// SetMax has the bound of rosters read from a dial.
func (r *Rosters) SetMax(max func(feature.Org) int) { r.max.Store(&max) }

// Max is how many contacts a roster shows (dial roster.max).
func (r *Rosters) Max(org feature.Org) int {
	if max := r.max.Load(); max != nil {
		return (*max)(org)
	}
	return DefaultMax
}

// View is the bounded roster of its owner.
func (ro *Roster) View(owner jid.JID) *View {
	return ro.rosters.Groups.View(owner, ro.rosters.Max(ro.Org), ro)
}
