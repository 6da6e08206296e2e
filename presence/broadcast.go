package presence

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// maxDirected bounds the addresses a resource may have sent directed presence
// to, so that its going can be told to them.
const maxDirected = 1000

const nsCaps = "http://jabber.org/protocol/caps"

// Update is presence without 'to' from a resource, RFC 6121 §4.2, §4.4, §4.5.
// initial is true when the resource was not available before. behind is true
// when it takes messages from now on and the delivery log holds some for it:
// the session waits for them (Session.BeginCatchup).
func (d *Directory) Update(ctx context.Context, a *Account, s *session.Session, st *stanza.Stanza) (initial, behind bool, err error) {
	b := a.board
	if st.Type == stanza.Unavailable {
		w := st.WireTo(jid.JID{})
		w.Number = d.Board.Number(d.Presence, a.Org)
		b.mu.Lock()
		var due []*viewer
		if r := a.find(s); r != nil {
			due = b.end(a, r, w, false)
		}
		b.mu.Unlock()
		b.flushAll(due)
		return false, false, nil
	}
	u := update{session: s}
	if u.priority, err = priorityOf(st); err != nil {
		return false, false, err
	}
	u.wires(d.Board.Number(d.Presence, a.Org), st)
	for {
		if err := a.open(ctx); err != nil {
			return false, false, err
		}
		b.mu.Lock()
		r := a.find(s)
		if r != nil && r.viewer == nil && !a.isOpen() { // the first contact came meanwhile
			b.mu.Unlock()
			continue
		}
		var due []*viewer
		if r != nil { // else it is gone meanwhile
			initial = r.viewer == nil
			due, behind = b.update(a, r, &u)
		}
		b.mu.Unlock()
		b.flushAll(due)
		return initial, behind, nil
	}
}

// An update is available presence of a session.
type update struct {
	session  *session.Session
	priority int8
	wire     *stanza.Wire
	thin     *stanza.Wire // without its capabilities
	caps     string       // those, as they came
}

// wires makes what is sent of a stanza. Who has the capabilities of a resource
// is spared them until they change (XEP-0115 §8.4).
func (u *update) wires(number uint32, st *stanza.Stanza) {
	u.wire = st.WireTo(jid.JID{})
	u.wire.Number = number
	if c, ok := st.Child(nsCaps, "c"); ok {
		u.caps = string(c.Bytes())
		u.thin = st.WireTo(jid.JID{}, c)
		u.thin.Number = number
	}
}

// update puts available presence on the board. It returns who is to be flushed
// at once; b.mu is held.
func (b *board) update(a *Account, r *Resource, u *update) (due []*viewer, behind bool) {
	if r.entry != nil && (r.entry.session != u.session || same(r.entry.wire, u.wire)) {
		return nil, false // it was replaced; or the cheapest presence: the one not sent
	}
	behind = a.admit(u.session, u.priority)
	if r.viewer == nil {
		b.arrive(a, r)
	}
	e := r.entry
	elsewhere := e.node != 0
	b.settle(e, 0)
	if same(e.wire, u.wire) { // back before it was told that it was gone
		if elsewhere {
			b.publish(e, e.wire, true)
		}
		return []*viewer{r.viewer}, behind
	}
	thin := u.thin
	if e.wire == nil || e.caps != u.caps {
		thin = nil
	}
	e.caps = u.caps
	b.show(e, u.wire, thin)
	b.publish(e, u.wire, true)
	return b.changed(a), behind
}

// same reports whether two wires say the same.
func same(a, b *stanza.Wire) bool {
	return a != nil && a.Len() == b.Len() && bytes.Equal(a.Stored(), b.Stored())
}

// admit notes the priority of a resource. When it begins to take messages and
// some wait in the log, later ones are made to wait for those.
func (a *Account) admit(s *session.Session, priority int8) (behind bool) {
	if s.Wants() || priority < 0 {
		s.SetPriority(priority)
		return false
	}
	a.Inbox.Join(func(waiting bool, upto stanza.ArchiveID) {
		behind = waiting && s.BeginCatchup(upto)
		s.SetPriority(priority)
	})
	return behind
}

// priorityOf reads <priority/>, RFC 6121 §4.7.2.3: -128 to 127, 0 when absent.
func priorityOf(st *stanza.Stanza) (int8, error) {
	el, ok := st.Child("jabber:client", "priority")
	if !ok {
		return 0, nil
	}
	p, err := strconv.ParseInt(el.Text(), 10, 8)
	if err != nil {
		return 0, stanza.BadRequest("priority is a number from -128 to 127")
	}
	return int8(p), nil
}

// arrive makes a resource that becomes available an entry and a viewer: before
// the audiences of its contacts, and its contacts before its own. b.mu is held.
func (b *board) arrive(a *Account, r *Resource) {
	s := r.Session
	e := a.entry(s.JID)
	b.stay(e)
	e.session, e.scope, r.entry = s, s.Scope, e
	own, first := b.own(a), a.shown == 0
	if first {
		a.places = append(a.places[:0:0], own)
		a.fewer = b.version // what was shown before is not known any more
		b.join(a)
	}
	v := &viewer{session: s, account: a, resource: r, born: b.version}
	r.viewer = v
	b.viewers[v] = struct{}{}
	var already map[*viewer]struct{} // who has stayed since it was there last
	if first && len(own.viewers) > 0 {
		already = make(map[*viewer]struct{}, len(own.viewers))
		for _, at := range own.viewers {
			if !at.leaving {
				already[at.viewer] = struct{}{}
			}
		}
	}
	v.own = b.attach(v, own)
	b.attachGroups(v)
	if a.roster == nil {
		return
	}
	items, _ := a.roster.Items()
	for _, it := range items {
		if it.Sub.Sees() {
			b.watch(v, it.JID)
		}
		if it.In && it.Request != nil {
			b.directory.repeatRequest(a, r, it.Request)
		}
		b.meet(v, it, first, already)
	}
}

// meet attaches a viewer to a personal contact, and the contact's viewers to
// it, as far as the item says.
func (b *board) meet(v *viewer, it *roster.Item, first bool, already map[*viewer]struct{}) {
	sees, seen := it.Sub.Sees(), first && it.Sub.Seen()
	if !sees && !seen {
		return
	}
	c := b.directory.find(it.JID)
	if c == nil || c == v.account {
		return
	}
	if sees && c.shown > 0 {
		v.persons = append(v.persons, b.attach(v, b.own(c)))
	}
	if !seen {
		return
	}
	for _, r := range c.Resources() {
		if _, has := already[r.viewer]; r.viewer != nil && !has {
			r.viewer.persons = append(r.viewer.persons, b.attach(r.viewer, v.account.own))
		}
	}
}

// repeatRequest delivers a subscription request that is still unanswered,
// RFC 6121 §3.1.3.
func (d *Directory) repeatRequest(a *Account, r *Resource, request []byte) {
	w, err := stanza.Load(request)
	if err != nil {
		return // it was whole when it was stored
	}
	w.Number = d.Board.Number(d.Presence, a.Org)
	if !a.Blocks(w.From) && r.Session.Allows(w.From) {
		r.Session.Send(w)
	}
}

// end takes a resource from the board: st is the client's own words, nil when
// the server speaks for it; broken, that it may be back in a moment. It returns
// who is to be flushed; b.mu is held.
func (b *board) end(a *Account, r *Resource, w *stanza.Wire, broken bool) (due []*viewer) {
	s, d := r.Session, b.directory
	if r.viewer == nil && r.directed == nil {
		return nil
	}
	if w == nil {
		w = b.unavailable(s.JID)
	}
	if v := r.viewer; v != nil {
		s.Send(w) // also to the resource itself, RFC 6121 §4.5.2
		s.SetUnavailable()
		e := r.entry
		r.viewer, r.entry = nil, nil
		if e.session == s {
			wait := time.Duration(d.Hysteresis.Int(b.org)) * time.Millisecond
			if broken && wait > 0 {
				b.linger(e, wait)
			} else {
				b.hide(e, w)
				b.publish(e, w, false)
				due = b.changed(a)
			}
		}
		b.dismiss(v)
	}
	for to := range r.directed {
		d.deliverDirected(to, w)
	}
	r.directed = nil
	return due
}

// linger leaves an entry without its session on the board for a while.
func (b *board) linger(e *entry, wait time.Duration) {
	e.session = nil
	e.account.Hold()
	var mine *appointment
	mine = b.directory.agenda.at(time.Now().Add(wait), func() {
		b.mu.Lock()
		if e.linger != mine { // it came back
			b.mu.Unlock()
			return
		}
		e.linger = nil
		w := b.unavailable(e.jid)
		b.hide(e, w)
		b.publish(e, w, false)
		due := b.changed(e.account)
		b.mu.Unlock()
		b.flushAll(due)
		e.account.Release()
	})
	e.linger = mine
}

// stay ends linger for an entry that is somebody's again.
func (b *board) stay(e *entry) {
	if e.linger != nil {
		b.directory.agenda.cancel(e.linger)
		e.linger = nil
		e.account.Release()
	}
}

// dismiss takes a viewer from all audiences.
func (b *board) dismiss(v *viewer) {
	v.over = true
	if delete(b.viewers, v); len(b.viewers) == 0 {
		b.viewers = make(map[*viewer]struct{}) // it does not shrink by itself
	}
	b.unwatchAll(v)
	for _, list := range [...][]*attachment{v.groups, v.persons, {v.own}} {
		for _, at := range list {
			b.leave(at)
		}
	}
	v.groups, v.persons, v.own, v.leaving = nil, nil, nil, 0
}

// changed has the viewers of an account told that something has changed. Those
// of small audiences, and its own resources, are returned: the caller flushes
// them at once, in the order of the changes. b.mu is held.
func (b *board) changed(a *Account) (due []*viewer) {
	for _, aud := range a.places {
		if len(aud.viewers) <= small {
			for _, at := range aud.viewers {
				due = append(due, at.viewer)
			}
			continue
		}
		b.directory.flusher.dirty(b, aud)
		if aud == a.own {
			for _, r := range a.Resources() {
				if r.viewer != nil {
					due = append(due, r.viewer)
				}
			}
		}
	}
	return due
}

// flushAll flushes some viewers on this goroutine.
func (b *board) flushAll(due []*viewer) {
	for _, v := range due {
		b.flush(v)
	}
}

// Room tells that a session takes presence again (session.Host.Room).
func (d *Directory) Room(a *Account, s *session.Session, lost bool) {
	a.board.mu.RLock()
	var v *viewer
	if r := a.find(s); r != nil {
		v = r.viewer
	}
	a.board.mu.RUnlock()
	if v == nil {
		return
	}
	if lost {
		v.lost.Store(true)
	}
	a.board.flush(v)
}

// receive hands presence to the available resources of the account.
func (a *Account) receive(w *stanza.Wire) {
	for _, r := range a.Resources() {
		if _, ok := r.Session.Priority(); ok && r.Session.Allows(w.From) {
			r.Session.Send(w)
		}
	}
}

// Direct is presence with 'to', available or unavailable, RFC 6121 §4.6.
func (d *Directory) Direct(a *Account, s *session.Session, st *stanza.Stanza) {
	w := st.WireTo(st.To)
	w.Number = d.Board.Number(d.Presence, a.Org)
	a.board.mu.Lock() // it must not go between being noted and being told
	defer a.board.mu.Unlock()
	r := a.find(s)
	if r == nil {
		return
	}
	switch {
	case st.Type == stanza.Unavailable:
		delete(r.directed, st.To)
	case len(r.directed) < maxDirected:
		if r.directed == nil {
			r.directed = make(map[jid.JID]struct{})
		}
		r.directed[st.To] = struct{}{}
	}
	d.deliverDirected(st.To, w)
}

// deliverDirected routes presence to an address, RFC 6121 §8.5: to a full
// address its resource, to a bare one all available resources.
func (d *Directory) deliverDirected(to jid.JID, w *stanza.Wire) {
	c := d.find(to.Bare())
	if c == nil || c.Blocks(w.From) {
		return
	}
	if to.IsBare() {
		c.receive(w)
		return
	}
	if s := c.Resource(to.Resource()); s != nil && s.Allows(w.From) {
		s.Send(w)
	}
}
