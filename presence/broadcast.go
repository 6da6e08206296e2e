package presence

import (
	"bytes"
	"context"
	"strconv"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// maxDirected bounds the addresses a resource may have sent directed presence
// to, so that its going can be told to them.
const maxDirected = 1000

// Update is presence without 'to' from a resource, RFC 6121 §4.2, §4.4, §4.5.
// initial is true when the resource was not available before. behind is true
// when it takes messages from now on and the delivery log holds some for it:
// the session waits for them (Session.BeginCatchup).
func (d *Directory) Update(ctx context.Context, a *Account, s *session.Session, st *stanza.Stanza) (initial, behind bool, err error) {
	a.turn.Lock()
	defer a.turn.Unlock()
	r := a.find(s)
	if r == nil {
		return false, false, nil // it is gone meanwhile
	}
	if st.Type == stanza.Unavailable {
		d.leave(ctx, a, r, st)
		return false, false, nil
	}
	priority, err := priorityOf(st)
	if err != nil {
		return false, false, err
	}
	w := st.WireTo(jid.JID{})
	w.Number = d.Board.Number(d.Presence, a.Org)
	_, available := s.Priority()
	if available && d.unchanged(a, r, w) {
		return false, false, nil // the cheapest presence is the one not sent
	}
	var ro *roster.Roster
	if !available && a.version.Load() != 0 {
		if ro, err = a.kept(ctx); err != nil {
			return false, false, err
		}
	}
	first := !a.Online()
	a.mu.Lock()
	r.presence = w
	behind = a.admit(s, priority)
	a.mu.Unlock()
	if ro == nil && !available && a.version.Load() != 0 { // the first contact came meanwhile
		if ro, err = a.kept(ctx); err != nil {
			return false, behind, err
		}
	}
	if !available {
		d.arrive(a, r, ro, first)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell(r, w)
	return !available, behind, nil
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

// unchanged reports whether w says what the resource's last presence said.
func (d *Directory) unchanged(a *Account, r *Resource, w *stanza.Wire) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return r.presence != nil && bytes.Equal(r.presence.Stored(), w.Stored())
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

// tell sends w, presence of r, to all who watch the account and to its own
// available resources; the caller holds a.mu, so that changes of one account
// reach everybody in one order.
func (a *Account) tell(r *Resource, w *stanza.Wire) {
	for watcher := range a.watchers {
		if !parts(a, watcher) && r.Session.Allows(watcher.JID) {
			watcher.receive(w)
		}
	}
	if r.Session.Scope.IsZero() {
		a.receive(w)
		return
	}
	r.Session.Send(w) // not even its own account hears of it
}

// receive hands presence to the available resources of the account.
func (a *Account) receive(w *stanza.Wire) {
	for _, r := range a.Resources() {
		if _, ok := r.Session.Priority(); ok && r.Session.Allows(w.From) {
			r.Session.Send(w)
		}
	}
}

// arrive makes a resource that has just become available see its contacts,
// and makes them watch it when it is the account's first. ro is nil when the
// account never had a contact.
func (d *Directory) arrive(a *Account, r *Resource, ro *roster.Roster, first bool) {
	d.showOwn(a, r)
	if ro == nil {
		return
	}
	items, _ := ro.Items()
	for _, it := range items {
		if it.In && it.Request != nil {
			d.repeatRequest(a, r, it.Request)
		}
		if !it.Sub.Seen() && !it.Sub.Sees() {
			continue
		}
		c := d.Find(it.JID)
		if c == nil {
			continue
		}
		if first && it.Sub.Seen() && c.Online() {
			a.watch(c)
		}
		if it.Sub.Sees() {
			c.show(a, r)
		}
		c.Release()
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

// watch makes c a watcher of a.
func (a *Account) watch(c *Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watchers == nil {
		a.watchers = make(map[*Account]struct{})
	}
	a.watchers[c] = struct{}{}
}

// show makes the account by watch a and sends the presence of its resources
// to one resource of by.
func (a *Account) show(by *Account, to *Resource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.Online() {
		return
	}
	if a.watchers == nil {
		a.watchers = make(map[*Account]struct{})
	}
	a.watchers[by] = struct{}{}
	if parts(a, by) {
		return
	}
	for _, r := range a.Resources() {
		if r.seenBy(by.JID) && to.Session.Allows(a.JID) {
			to.Session.Send(r.presence)
		}
	}
}

// showOwn sends the presence of the account's other resources to a new one.
func (d *Directory) showOwn(a *Account, to *Resource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.Resources() {
		if r != to && r.seenBy(a.JID) && to.Session.Allows(a.JID) {
			to.Session.Send(r.presence)
		}
	}
}

// leave tells everybody that a resource is no longer available; st is the
// client's own words, nil when the server speaks for it. The caller holds
// a.turn.
func (d *Directory) leave(ctx context.Context, a *Account, r *Resource, st *stanza.Stanza) {
	if _, ok := r.Session.Priority(); !ok && r.directed == nil {
		return
	}
	var w *stanza.Wire
	if st != nil {
		w = st.WireTo(jid.JID{})
	} else {
		w = stanza.Make(stanza.Presence, stanza.Unavailable, r.Session.JID, jid.JID{}, "", nil)
	}
	w.Number = d.Board.Number(d.Presence, a.Org)
	a.mu.Lock()
	_, was := r.Session.Priority()
	if was {
		a.tell(r, w) // also to the resource itself, RFC 6121 §4.5.2
	}
	r.Session.SetUnavailable()
	r.presence = nil
	directed := r.directed
	r.directed = nil
	gone := was && !a.Online()
	if gone {
		a.watchers = nil
	}
	ro := a.roster
	a.mu.Unlock()
	for to := range directed {
		d.deliverDirected(to, w)
	}
	if !gone || ro == nil {
		return
	}
	items, _ := ro.Items()
	for _, it := range items {
		if it.Sub.Sees() {
			d.unwatch(a, it.JID)
		}
	}
}

// unwatch takes a out of the watchers of a contact.
func (d *Directory) unwatch(a *Account, contact jid.JID) {
	c := d.Find(contact)
	if c == nil {
		return
	}
	defer c.Release()
	c.mu.Lock()
	delete(c.watchers, a)
	c.mu.Unlock()
}

// Direct is presence with 'to', available or unavailable, RFC 6121 §4.6.
func (d *Directory) Direct(a *Account, s *session.Session, st *stanza.Stanza) {
	a.turn.Lock() // it must not go between being noted and being told
	defer a.turn.Unlock()
	r := a.find(s)
	if r == nil {
		return
	}
	w := st.WireTo(st.To)
	w.Number = d.Board.Number(d.Presence, a.Org)
	d.note(a, r, st)
	d.deliverDirected(st.To, w)
}

// note remembers to whom the going of the resource must be told.
func (d *Directory) note(a *Account, r *Resource, st *stanza.Stanza) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if st.Type == stanza.Unavailable {
		delete(r.directed, st.To)
		return
	}
	if len(r.directed) >= maxDirected {
		return
	}
	if r.directed == nil {
		r.directed = make(map[jid.JID]struct{})
	}
	r.directed[st.To] = struct{}{}
}

// deliverDirected routes presence to an address, RFC 6121 §8.5: to a full
// address its resource, to a bare one all available resources.
func (d *Directory) deliverDirected(to jid.JID, w *stanza.Wire) {
	c := d.Find(to.Bare())
	if c == nil {
		return
	}
	defer c.Release()
	if c.Blocks(w.From) {
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

// Resync sends a resource the presence of all its contacts once more, after
// its mailbox had to drop some.
func (d *Directory) Resync(ctx context.Context, a *Account, s *session.Session) error {
	r := a.find(s)
	if _, ok := s.Priority(); !ok || r == nil || a.version.Load() == 0 {
		return nil
	}
	ro, err := a.kept(ctx)
	if err != nil {
		return err
	}
	items, _ := ro.Items()
	for _, it := range items {
		if !it.Sub.Sees() {
			continue
		}
		c := d.Find(it.JID)
		if c == nil || !c.Online() {
			s.Send(stanza.Make(stanza.Presence, stanza.Unavailable, it.JID, jid.JID{}, "", nil))
		} else {
			c.show(a, r)
		}
		if c != nil {
			c.Release()
		}
	}
	return nil
}
