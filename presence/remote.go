package presence

import (
	"encoding/binary"
	"slices"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// This file is the seam to other nodes. What a resource here says is published
// once; what one there says becomes an entry without a session, and goes the
// same way from there: show, hide, changed. A resource counts as being where it
// was heard of last; what was bound here stays here.
//
// A word is a byte that says whether the resource is shown or gone, the only
// address it is shown to (length and bytes; none: to all), and the stanza.
const (
	wordShown = 1
	wordGone  = 2

	maxWordHead = 4096 // bytes; an address has 3071 at most
)

// publish tells other nodes what has become of an entry of this one. b.mu is
// held: words about one resource come in order, and after the board has it.
func (b *board) publish(e *entry, w *stanza.Wire, shown bool) {
	c := b.directory.Cluster
	if c == nil {
		return
	}
	_ = c.Publish(b.directory.Presence, b.org, wordHead(e.scope, shown), wordBody(w)) // it fits
}

// wordBody is the stanza as it travels. One that no frame holds, from a client
// that may send so much, goes without its content.
func wordBody(w *stanza.Wire) []byte {
	if w.Len() > cluster.MaxPayload-maxWordHead {
		w = stanza.Make(w.Kind, w.Type, w.From, jid.JID{}, "", nil)
	}
	return w.Stored()
}

func wordHead(scope jid.JID, shown bool) []byte {
	to := ""
	if !scope.IsZero() {
		to = scope.String()
	}
	head := append(make([]byte, 0, 3+len(to)), wordGone)
	if shown {
		head[0] = wordShown
	}
	head = binary.AppendUvarint(head, uint64(len(to)))
	return append(head, to...)
}

// A word is what another node says of one of its resources.
type word struct {
	shown bool
	scope jid.JID
	st    *stanza.Stanza
}

// parseWord reads what publish has written.
func parseWord(b []byte) (word, bool) {
	var p word
	if len(b) == 0 || b[0] != wordShown && b[0] != wordGone {
		return p, false
	}
	p.shown = b[0] == wordShown
	n, w := binary.Uvarint(b[1:])
	if w <= 0 || n > uint64(len(b)-1-w) {
		return p, false
	}
	b = b[1+w:]
	var err error
	if n > 0 {
		if p.scope, err = jid.Parse(string(b[:n])); err != nil {
			return p, false
		}
	}
	if p.st, err = stanza.Parse(b[n:]); err != nil || p.st.Kind != stanza.Presence {
		return p, false
	}
	p.st.From, err = jid.Parse(stanza.Unescape(p.st.RawFrom()))
	return p, err == nil && p.st.From.Resource() != ""
}

// handler is how the words of other nodes come in.
func (d *Directory) handler() cluster.Handler {
	return cluster.Handler{
		Apply:    d.hear,
		Snapshot: d.snapshot,
		Begin: func(from cluster.Node) {
			for _, b := range d.all() {
				b.doubt(from)
			}
		},
		End:  func(from cluster.Node) { d.dropRemote(from, false) },
		Lost: func(from cluster.Node) { d.dropRemote(from, true) },
	}
}

// hear takes one word of another node.
func (d *Directory) hear(from cluster.Node, org feature.Org, payload []byte) {
	p, ok := parseWord(payload)
	if !ok {
		return
	}
	if home, ok := d.Org(p.st.From.Domain()); !ok || home != org {
		return
	}
	a := d.acquire(p.st.From.Bare(), org)
	defer a.Release()
	b := a.board
	b.mu.Lock()
	due := b.hear(a, from, &p)
	b.mu.Unlock()
	b.flushAll(due)
}

// hear puts a word of another node on the board. It returns who is to be
// flushed at once; b.mu is held.
func (b *board) hear(a *Account, from cluster.Node, p *word) []*viewer {
	u := update{}
	u.wires(b.directory.Board.Number(b.directory.Presence, b.org), p.st)
	if !p.shown {
		for _, e := range a.entries {
			if e.jid == p.st.From && e.node == from {
				return b.vanish(e, u.wire)
			}
		}
		return nil
	}
	e := a.entry(p.st.From)
	if e.wire != nil && e.node == 0 && e.session != nil {
		return nil // it is bound here
	}
	b.stay(e) // its stream broke here, and it is back there
	b.settle(e, from)
	if same(e.wire, u.wire) && e.scope == p.scope {
		return nil
	}
	if a.shown == 0 {
		b.appear(a)
	}
	thin := u.thin
	if e.wire == nil || e.caps != u.caps {
		thin = nil
	}
	e.caps, e.scope = u.caps, p.scope
	b.show(e, u.wire, thin)
	return b.changed(a)
}

// settle notes which node an entry is on; 0 is this one.
func (b *board) settle(e *entry, on cluster.Node) {
	if e.node != on {
		delete(b.remote[e.node], e)
	}
	e.node = on
	if on == 0 {
		return
	}
	if b.remote[on] == nil {
		if b.remote == nil {
			b.remote = make(map[cluster.Node]map[*entry]bool)
		}
		b.remote[on] = make(map[*entry]bool)
	}
	b.remote[on][e] = true
}

// vanish hides an entry of another node.
func (b *board) vanish(e *entry, w *stanza.Wire) []*viewer {
	b.settle(e, 0)
	b.hide(e, w)
	return b.changed(e.account)
}

// appear makes an account that nothing was shown of stand before the viewers of
// its groups and its personal contacts here.
func (b *board) appear(a *Account) {
	own := b.own(a)
	a.places = append(a.places[:0:0], own)
	a.fewer = b.version // as arrive
	b.join(a)
	for v := range b.watched[a.JID] {
		if v.person(a) == nil {
			v.persons = append(v.persons, b.attach(v, own))
		}
	}
}

// doubt marks all entries of a node as not heard of.
func (b *board) doubt(from cluster.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range b.remote[from] {
		b.remote[from][e] = false
	}
}

// dropRemote hides the entries of a node: all, or those in doubt.
func (d *Directory) dropRemote(from cluster.Node, all bool) {
	for _, b := range d.all() {
		var due []*viewer
		b.mu.Lock()
		for e, heard := range b.remote[from] {
			if all || !heard {
				due = append(due, b.vanish(e, b.unavailable(e.jid))...)
			}
		}
		if len(b.remote[from]) == 0 {
			delete(b.remote, from)
		}
		b.mu.Unlock()
		b.flushAll(due)
	}
}

// snapshot sends all that is shown of resources of this node.
func (d *Directory) snapshot(send func(feature.Org, ...[]byte) bool) {
	type line struct {
		scope jid.JID
		wire  *stanza.Wire
	}
	var lines []line
	going := true
	d.Each(func(a *Account) {
		if !going {
			return
		}
		lines = lines[:0]
		a.board.mu.RLock()
		for _, e := range a.entries {
			if e.wire != nil && e.node == 0 {
				lines = append(lines, line{e.scope, e.wire})
			}
		}
		a.board.mu.RUnlock()
		for _, l := range lines {
			going = going && send(a.Org, wordHead(l.scope, true), wordBody(l.wire))
		}
	})
}

// watch notes that a viewer sees a personal contact, for when a resource of the
// contact appears on another node, where nobody knows of the viewer.
func (b *board) watch(v *viewer, contact jid.JID) {
	if b.directory.Cluster == nil {
		return
	}
	if b.watched == nil {
		b.watched = make(map[jid.JID]map[*viewer]struct{})
	}
	set := b.watched[contact]
	if set == nil {
		set = make(map[*viewer]struct{})
		b.watched[contact] = set
	}
	if _, has := set[v]; !has {
		set[v] = struct{}{}
		v.watches = append(v.watches, contact)
	}
}

// unwatch ends watch.
func (b *board) unwatch(v *viewer, contact jid.JID) {
	b.unlist(v, contact)
	v.watches = slices.DeleteFunc(v.watches, func(j jid.JID) bool { return j == contact })
}

// unwatchAll ends watch for a viewer that goes.
func (b *board) unwatchAll(v *viewer) {
	for _, contact := range v.watches {
		b.unlist(v, contact)
	}
	v.watches = nil
}

func (b *board) unlist(v *viewer, contact jid.JID) {
	set := b.watched[contact]
	delete(set, v)
	if len(set) == 0 {
		delete(b.watched, contact)
	}
}
