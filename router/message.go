package router

import (
	"context"
	"errors"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// An envelope is a message between the moment it was routed and the moment
// it is safe.
type envelope struct {
	archive.Message
	arrival Arrival
	router  *Router
	dest    jid.JID // as addressed
}

// message routes a message of a session, RFC 6121 §8.
//  1. Who is it for? 2. May it pass? 3. What is to be kept? 4. Into the archive,
//     which hands it back to deliver.
func (r *Router) message(c *Ctx, t *table, st *stanza.Stanza) error {
	if st.To.IsZero() { // RFC 6120 §10.3.1
		st.To = c.Account.JID
	}
	if err := r.reachable(c, st); err != nil {
		return err
	}
	if st.To.Local() == "" {
		return stanza.ServiceUnavailable("")
	}
	peer, err := c.peer(st.To)
	if errors.Is(err, presence.ErrUnknown) {
		return stanza.ServiceUnavailable("")
	}
	if err != nil {
		return err
	}
	if st.Type == stanza.Groupchat && (st.To.IsBare() || peer.Resource(st.To.Resource()) == nil) {
		return stanza.ServiceUnavailable("") // RFC 6121 §8.5.2.1.1, §8.5.3.2.1
	}
	if err := blocked(c.Account, peer, st); err != nil {
		return err
	}
	traits := archive.Classify(st, c.Domain)
	e := &envelope{router: r, dest: st.To}
	e.Wire = st.Wire(traits.Cut()...)
	e.Wire.Number = c.number
	if traits.StateOnly {
		e.Wire.Flags |= stanza.StateOnly
	}
	e.Class = r.said(st, traits.Says)
	e.arrival = Arrival{Account: peer, From: c.Account, Traits: traits, Sender: c.Session}
	if err := r.rows(c, e); err != nil {
		return err
	}
	e.Org, e.Data = c.Org, e
	e.Queued, e.Deliver, e.Settled = queued, delivered, settled
	peer.Hold()
	c.Account.Hold()
	if err := r.Archive.Append(&e.Message); err != nil {
		e.release()
		if !errors.Is(err, archive.ErrBacklog) {
			r.Log.Log(c.Context, store.Severity(err), "message not taken", "jid", c.Account.JID.String(), "cause", err)
		}
		return stanza.ResourceConstraint("too much waits to be stored; try again in a few seconds")
	}
	return nil
}

// reachable says whether a stanza can go to its domain: organisations do not
// know of each other, and of other servers there is no way yet.
func (r *Router) reachable(c *Ctx, st *stanza.Stanza) error {
	if st.To.Domain() == c.Domain {
		return nil
	}
	return stanza.RemoteServerNotFound("")
}

// blocked refuses what either side does not want (XEP-0191 §3.2).
func blocked(from, to *presence.Account, st *stanza.Stanza) error {
	if from == to {
		return nil
	}
	if from.Blocks(st.To) {
		return toBlocked()
	}
	if to.Blocks(st.From) {
		return stanza.ServiceUnavailable("")
	}
	return nil
}

// toBlocked refuses what somebody sends to whom they block themselves, XEP-0191
// §3.2.
func toBlocked() error {
	e := stanza.NotAcceptable("")
	e.Type = stanza.Cancel
	e.App = []byte("<blocked xmlns='urn:xmpp:blocking:errors'/>")
	return e
}

// rows decides what is kept for whom (decision 6).
func (r *Router) rows(c *Ctx, e *envelope) error {
	t := &e.arrival.Traits
	if !t.Stored {
		return nil
	}
	if t.Origin != "" {
		e.Origin = archive.OriginHash(e.dest.String(), t.Origin)
	}
	from, to := e.arrival.From, e.arrival.Account
	hidden, err := hides(c.Context, to, from.JID)
	if err != nil {
		return err
	}
	e.Copies[1] = t.CopyFor(to.ID, r.Store.Peer(from.JID), true, hidden)
	if from != to {
		if hidden, err = hides(c.Context, from, to.JID); err != nil {
			return err
		}
	}
	// A message to oneself has both copies too: only what was sent is looked
	// through for what is sent again.
	e.Copies[0] = t.CopyFor(from.ID, r.Store.Peer(to.JID), false, hidden)
	e.Copies[0].Origin = e.Origin
	return nil
}

// hides reports whether the owner's preferences keep messages with a peer out
// of the archive.
func hides(ctx context.Context, owner *presence.Account, peer jid.JID) (hidden bool, err error) {
	prefs := owner.Prefs.Load()
	if prefs == nil {
		return false, nil
	}
	return prefs.Hides(peer, func() bool {
		var known bool
		known, err = owner.Knows(ctx, peer)
		return known
	}), err
}

// queued, delivered and settled are told of a message by the archive.
func queued(m *archive.Message) { m.Data.(*envelope).arrival.Sender.Await() }

func delivered(m *archive.Message) {
	e := m.Data.(*envelope)
	var span feature.Span
	span.Begin(e.router.Board.ByNumber(e.Wire.Number))
	e.router.deliver(e, &span)
	span.End()
}

func settled(m *archive.Message) {
	e := m.Data.(*envelope)
	if m.Waited() {
		e.arrival.Sender.Committed()
	}
	e.release()
}

func (e *envelope) release() {
	e.arrival.Account.Release()
	e.arrival.From.Release()
}

// deliver hands a message to the resources it is for, RFC 6121 §8.5.2 and
// §8.5.3, once it may be shown.
func (r *Router) deliver(e *envelope, span *feature.Span) {
	a := &e.arrival
	t := r.table(e.Org)
	a.Wire, a.Plain = e.Wire, e.Wire
	if e.visible(a.Account) {
		a.Wire = e.Wire.WithTail(archive.StanzaID(a.Account.JID, e.Wire.ID))
	}
	if e.visible(a.From) {
		a.SentID = e.Wire.ID
	}
	var few [4]*session.Session
	r.address(e, few[:0])
	if len(t.arrived) > 0 {
		c := Ctx{Host: r.Host, Context: context.Background(), Account: a.Account, Org: e.Org, Domain: e.dest.Domain(), Span: span}
		for i := range t.arrived {
			if t.arrived[i].run(&c, a) == Stop {
				if e.logged() {
					r.arrived(a.Account, a.Account.Inbox.Arrived(e.Wire.ID))
				}
				return
			}
		}
	}
	taken := 0
	for _, s := range a.To {
		if s.Send(a.Wire) {
			taken++
		}
	}
	r.delivered.Add(1)
	if taken == 0 {
		r.missed(t, e)
	}
}

// logged reports whether the message is in the recipient's delivery log.
func (e *envelope) logged() bool { return !e.Wire.ID.IsZero() }

// address finds the resources that the message goes to.
func (r *Router) address(e *envelope, list []*session.Session) {
	a := &e.arrival
	find := func() int {
		a.To = targets(a.Account, &e.Message, e.dest, list)
		return len(a.To)
	}
	if !e.logged() {
		find()
		return
	}
	a.Account.Inbox.Hand(e.Wire.ID, find)
}

// visible reports whether the owner finds the message in its archive: only
// then it has an id there (XEP-0313 §3.1).
func (e *envelope) visible(owner *presence.Account) bool {
	for i := range e.Copies {
		if c := &e.Copies[i]; c.Owner == owner.ID {
			return c.Flags&store.FlagHidden == 0
		}
	}
	return false
}

// targets are the resources that a message goes to. A full address without
// such a resource counts as the bare one for chat and normal messages.
func targets(a *presence.Account, m *archive.Message, to jid.JID, list []*session.Session) []*session.Session {
	if to.IsFull() {
		if s := a.Resource(to.Resource()); s != nil && s.Allows(m.Wire.From) {
			return append(list, s)
		}
	}
	switch kind := m.Wire.Type; { // RFC 6121 §8.5.3.2.1
	case kind == stanza.ErrorType, kind == stanza.Groupchat, kind == stanza.Headline && to.IsFull():
		return list
	}
	for _, res := range a.Resources() {
		if s := res.Session; s.Wants() && s.Allows(m.Wire.From) {
			list = append(list, s)
		}
	}
	return list
}

// missed is for a message that no resource took. With a row it waits in the
// delivery log; without one its sender is told, if it said anything.
func (r *Router) missed(t *table, e *envelope) {
	a := &e.arrival
	if len(t.missed) > 0 {
		c := Ctx{Host: r.Host, Context: context.Background(), Account: a.Account, Org: e.Org, Domain: e.dest.Domain()}
		for i := range t.missed {
			t.missed[i].run(&c, a)
		}
	}
	if e.logged() {
		a.Account.Inbox.Miss(e.Wire.ID)
		return
	}
	if a.Sender == nil || !a.Traits.Body || e.Wire.Type == stanza.ErrorType || e.Wire.Type == stanza.Headline {
		return
	}
	st, err := stanza.Parse(e.Wire.Stored())
	if err != nil {
		return
	}
	st.From, st.To = e.Wire.From, e.dest
	if w := stanza.Reply(st, e.dest, stanza.ServiceUnavailable("")); w != nil {
		w.Number = e.Wire.Number
		a.Sender.Send(w)
	}
}
