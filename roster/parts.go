package roster

import (
	"sync"
	"time"

	"github.com/bearhug/bearhug/stanza"
)

// What a roster says of the members of a group is the same to the byte for
// most viewers, as long as neither a second group nor a personal item nor the
// bound plays a part. So it is written once and kept while it is asked for: a
// whole roster of a big group is mostly one copy.

const (
	partFrom  = 32               // members below which a group is written anew
	partBytes = 32 << 20         // of all parts together
	partIdle  = 10 * time.Second // a part that nobody asks for goes within twice that
)

// A partKey says what the bytes of a part depend on, besides the edit.
type partKey struct {
	group, top *Group
	back       bool // the members see the viewer too
}

// A part are the items of those members of a group who are in no other group.
// It is never changed.
type part struct {
	turn uint64   // of the index
	who  []person // in the order of the group
	ends []uint32 // where each one's item ends
	xml  []byte
}

func (pt *part) size() int { return cap(pt.xml) + 4*cap(pt.who) + 4*cap(pt.ends) }

// parts are the parts kept.
type parts struct {
	from int // members below which a group is written anew

	mu    sync.Mutex // leaf
	kept  map[partKey]*part
	asked map[partKey]bool // since the last sweep
	bytes int
}

// of returns a part, written when there is none of now. The caller holds
// Groups.mu for reading.
func (ps *parts) of(x *index, key partKey) *part {
	ps.mu.Lock()
	pt := ps.kept[key]
	if pt != nil {
		ps.asked[key] = true
	}
	ps.mu.Unlock()
	if pt != nil && pt.turn == x.turn {
		return pt
	}
	pt = x.write(key)
	ps.keep(key, pt)
	return pt
}

func (ps *parts) keep(key partKey, pt *part) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.drop(key)
	if pt.size() > partBytes/2 {
		return
	}
	for other := range ps.kept {
		if ps.bytes+pt.size() <= partBytes {
			break
		}
		ps.drop(other)
	}
	if len(ps.kept) == 0 {
		if ps.kept == nil { // no sweep is due
			time.AfterFunc(partIdle, ps.sweep)
		}
		ps.kept, ps.asked = make(map[partKey]*part), make(map[partKey]bool)
	}
	ps.kept[key], ps.asked[key] = pt, true
	ps.bytes += pt.size()
}

func (ps *parts) drop(key partKey) {
	if pt := ps.kept[key]; pt != nil {
		ps.bytes -= pt.size()
		delete(ps.kept, key)
		delete(ps.asked, key)
	}
}

// sweep drops what nobody has asked for since the last time. It comes again
// while something is kept.
func (ps *parts) sweep() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for key := range ps.kept {
		if !ps.asked[key] {
			ps.drop(key)
		}
	}
	clear(ps.asked)
	if len(ps.kept) == 0 {
		ps.kept, ps.asked = nil, nil
		return
	}
	time.AfterFunc(partIdle, ps.sweep)
}

// write makes a part.
func (x *index) write(key partKey) *part {
	members := key.group.current()
	pt := &part{turn: x.turn, who: make([]person, 0, len(members)), ends: make([]uint32, 0, len(members))}
	labels := []string{key.group.path(key.top)}
	text := new(stanza.XML)
	for _, p := range members {
		if !x.single(p) {
			continue
		}
		c := merge(Item{}, shownContact{x.people[p].jid, labels, key.back})
		c.AppendXML(text)
		pt.who, pt.ends = append(pt.who, p), append(pt.ends, uint32(len(text.Bytes())))
	}
	pt.xml = text.Bytes()
	return pt
}

// single reports whether a person is in one group only.
func (x *index) single(p person) bool { return len(x.people[p].groups)+len(x.open) == 1 }

// seenFrom reports whether the members of g see v: whoever is in g only.
func (x *index) seenFrom(g *Group, v person) bool {
	for _, mine := range x.groupsOf(v, true) {
		for a := mine; a != nil; a = a.parent {
			if find(a.shown, g) != nil {
				return true
			}
		}
	}
	return false
}

// AppendXML writes all items that the roster shows, in no order.
func (w *View) AppendXML(x *stanza.XML) {
	for it := range w.items(w.appendParts(x)) {
		it.AppendXML(x)
	}
}

// appendParts writes what is kept for many viewers, and tells of whom.
func (w *View) appendParts(to *stanza.XML) (done bitmap) {
	if !w.known || w.cut != nil {
		return nil
	}
	gs, x := w.groups, w.index
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	var skip bitmap
	for _, s := range x.seenBy(w.number) {
		if s.group.kind == Online || s.group.count() < gs.parts.from {
			continue
		}
		if skip == nil {
			skip, done = w.alone(), make(bitmap, len(x.people)/64+1)
		}
		pt := gs.parts.of(x, partKey{s.group, s.top, x.seenFrom(s.group, w.number)})
		from, at := uint32(0), uint32(0)
		for i, p := range pt.who {
			if skip.has(p) {
				to.Raw(pt.xml[from:at])
				from = pt.ends[i]
			} else {
				done.add(p)
			}
			at = pt.ends[i]
		}
		to.Raw(pt.xml[from:at])
	}
	return done
}

// alone are those whom no part may show the viewer: itself, and whom it has a
// personal item of.
func (w *View) alone() bitmap {
	skip := make(bitmap, len(w.index.people)/64+1)
	skip.add(w.number)
	if w.own != nil && w.own.Len() > 0 {
		items, _ := w.own.Items()
		for _, it := range items {
			if p, ok := w.index.numbers[it.JID]; ok {
				skip.add(p)
			}
		}
	}
	return skip
}
