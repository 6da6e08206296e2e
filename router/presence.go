package router

import (
	"context"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// presence routes presence of a session, RFC 6121 §3 and §4.
func (r *Router) presence(c *Ctx, t *table, st *stanza.Stanza) error {
	if st.Type == stanza.Unknown {
		return stanza.BadRequest("this is no type of presence")
	}
	if st.To.IsZero() {
		switch st.Type {
		case stanza.Available, stanza.Unavailable:
			return r.broadcast(c, t, st)
		case stanza.ErrorType, stanza.Probe:
			return nil
		}
		return stanza.BadRequest("a subscription needs an address")
	}
	if err := r.reachable(c, st); err != nil {
		return err
	}
	if st.To.Local() == "" {
		return nil // presence to the server means nothing to it
	}
	switch st.Type {
	case stanza.Available, stanza.Unavailable, stanza.ErrorType:
		if c.Account.Blocks(st.To) {
			e := stanza.NotAcceptable("")
			e.App = []byte("<blocked xmlns='urn:xmpp:blocking:errors'/>")
			return e
		}
		c.Directory.Direct(c.Account, c.Session, st)
		return nil
	case stanza.Probe:
		return c.Directory.Probe(c.Context, c.Account, st, func(w *stanza.Wire) { c.Session.Send(w) })
	}
	return c.Directory.Subscription(c.Context, c.Account, st)
}

// broadcast is presence to all who watch. A resource that has become willing
// to take messages gets those that waited.
func (r *Router) broadcast(c *Ctx, t *table, st *stanza.Stanza) error {
	wanted := c.Session.Wants()
	waited := c.Account.Pending.Load() && !wanted
	if waited {
		c.Session.BeginCatchup()
	}
	initial, err := c.Directory.Update(c.Context, c.Account, c.Session, st)
	if waited && !c.Session.Wants() {
		c.Session.EndCatchup(stanza.ArchiveID{})
	}
	if err != nil {
		return err
	}
	if initial {
		for i := range t.bound {
			t.bound[i].run(c)
		}
	}
	if !wanted && c.Session.Wants() && c.Account.Pending.Load() {
		r.replay(c.Account, c.Session)
	}
	return nil
}

// replay sends the delivery log after the cursor to a resource, page by page
// as fast as it reads (decision 6).
func (r *Router) replay(a *presence.Account, s *session.Session) {
	if !a.Pending.CompareAndSwap(true, false) {
		return
	}
	s.BeginCatchup()
	if s.Scope.IsZero() {
		a.Whole()
	}
	a.Hold()
	go func() {
		defer a.Release()
		if err := r.readLog(context.Background(), a, s); err != nil {
			r.Log.Error("delivery log not read", "jid", s.JID.String(), "cause", err)
			a.Pending.Store(true)
			s.EndCatchup(stanza.ArchiveID{})
		}
	}()
}

func (r *Router) readLog(ctx context.Context, a *presence.Account, s *session.Session) error {
	last, err := r.Archive.Cursor(ctx, a.Org, a.ID)
	if err != nil {
		return err
	}
	if paged := s.PagedTo(); last.Less(paged) {
		last = paged
	}
	number := r.Board.Number(r.features.archive, a.Org)
	for {
		page, err := r.Archive.Undelivered(ctx, a.Org, a.ID, last)
		if err != nil {
			return err
		}
		for _, row := range page.Rows {
			w := row.Stanza
			last = row.ID
			if !s.Allows(w.From) {
				a.Keep(row.ID)
				a.Pending.Store(true)
				continue
			}
			var tail []byte
			if !row.Hidden {
				tail = archive.StanzaID(a.JID, row.ID)
			}
			w = w.WithTail(append(tail, archive.Delay(a.JID.Domain(), archive.TimeOf(row.ID))...))
			w.ID, w.Number = row.ID, number
			if !s.Replay(w) {
				a.Pending.Store(true)
				return nil
			}
		}
		if room := s.Room(); room != nil {
			<-room
		}
		if page.Complete && s.EndCatchup(last) {
			return nil
		}
	}
}
