package router

import (
	"context"
	"errors"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// Words are a message of an account that is served in the process: nobody has
// signed in to it, and no session is told of errors.
type Words struct {
	From   *presence.Account // held by the caller until Settled
	To     jid.JID           // bare, of the same organisation
	ID     string            // of the stanza
	Body   []byte            // its children, with an origin-id (XEP-0359)
	Number uint32            // the ledger account that pays
	// Settled is told that the message is on disk, or was there before.
	Settled func()
}

// Speak routes a message of an account that is served in the process: it is
// archived, delivered and kept in order as if a session had sent it. An error
// means that it was not taken and Settled is not called: presence.ErrUnknown
// when there is no such account, a *stanza.Error when the recipient blocks the
// sender, archive.ErrBacklog when too much waits.
func (r *Router) Speak(ctx context.Context, w Words) error {
	to, err := r.Directory.Account(ctx, w.To)
	if err != nil {
		return err
	}
	defer to.Release()
	wire := stanza.Make(stanza.Message, stanza.Chat, w.From.JID, w.To, w.ID, w.Body)
	st, err := stanza.Parse(wire.Stored())
	if err != nil {
		return err
	}
	st.From, st.To = w.From.JID, w.To
	if err := blocked(w.From, to, st); err != nil {
		return err
	}
	c := &Ctx{Host: r.Host, Context: ctx, Account: w.From, Org: w.From.Org, Domain: w.From.JID.Domain()}
	e := &envelope{router: r, dest: w.To}
	e.Wire = wire
	e.Wire.Number = w.Number
	e.arrival = Arrival{Account: to, From: w.From, Traits: archive.Classify(st, c.Domain)}
	e.Class = r.said(st, e.arrival.Traits.Says)
	if err := r.rows(c, e); err != nil {
		return err
	}
	e.Org, e.Data, e.Deliver = c.Org, e, delivered
	e.Settled = func(m *archive.Message) {
		m.Data.(*envelope).release()
		if w.Settled != nil {
			w.Settled()
		}
	}
	to.Hold()
	w.From.Hold()
	if err := r.Archive.Append(&e.Message); err != nil {
		e.release()
		return err
	}
	return nil
}

// refuse lets the modules know that a message was not taken, before its sender
// is told.
func (r *Router) refuse(c *Ctx, t *table, st *stanza.Stanza, why error) {
	var e *stanza.Error
	if !errors.As(why, &e) {
		e = stanza.InternalServerError("")
	}
	for i := range t.refused {
		t.refused[i].run(c, st, e)
	}
}

// CloseScoped ends the sessions of an account that may talk to one peer only.
func (r *Router) CloseScoped(who, peer jid.JID) {
	a := r.Directory.Find(who)
	if a == nil {
		return
	}
	defer a.Release()
	for _, res := range a.Resources() {
		if res.Session.Scope == peer {
			res.Session.Close(stream.NewError(stream.NotAuthorized, "the link was withdrawn"))
		}
	}
}
