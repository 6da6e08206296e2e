package router

import (
	"context"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
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
	if c.Account.Blocks(st.To) && st.To.Bare() != c.Account.JID {
		return toBlocked()
	}
	switch st.Type {
	case stanza.Available, stanza.Unavailable, stanza.ErrorType:
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
	initial, behind, err := c.Directory.Update(c.Context, c.Account, c.Session, st)
	if behind {
		r.replay(c.Account, c.Session)
	}
	if err != nil {
		return err
	}
	if initial {
		for i := range t.bound {
			t.bound[i].run(c)
		}
	}
	return nil
}

// catchUp has a resource that takes messages already read the log: it may have
// missed some that were another's.
func (r *Router) catchUp(a *presence.Account, s *session.Session) {
	begun := false
	a.Inbox.Join(func(behind bool, upto stanza.ArchiveID) { begun = behind && s.BeginCatchup(upto) })
	if begun {
		r.replay(a, s)
	}
}

// replayAgain is how long the log is left alone after it could not be read.
const replayAgain = time.Second

// replay sends the delivery log after the cursor to a resource, page by page
// as fast as it reads (decision 6), on a goroutine of its own that ends with
// the log or with the session. Session.BeginCatchup was called.
func (r *Router) replay(a *presence.Account, s *session.Session) {
	a.Hold()
	go func() {
		defer a.Release()
		var span feature.Span
		defer span.End()
		for {
			span.Begin(r.Board.Account(r.features.archive, a.Org))
			err := r.readLog(context.Background(), a, s, &span)
			if err == nil {
				return
			}
			span.End()
			r.Log.Log(context.Background(), store.Severity(err), "delivery log not read; trying again", "jid", s.JID.String(), "cause", err)
			select {
			case <-time.After(replayAgain):
			case <-s.Over():
				return
			}
		}
	}()
}

// readLog sends the log from the cursor up to where the session takes live
// messages. The span is that of the archive, and does not last over waiting.
func (r *Router) readLog(ctx context.Context, a *presence.Account, s *session.Session, span *feature.Span) error {
	last, err := r.Archive.Cursor(ctx, a.Org, a.ID)
	if err != nil {
		return err
	}
	if paged := s.PagedTo(); last.Less(paged) {
		last = paged
	}
	whole := true // nothing was left out
	for {
		upto := s.CatchupTo()
		if !r.committed(s, upto, span) {
			return nil
		}
		page, err := r.Archive.Undelivered(ctx, a.Org, a.ID, last)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			if upto.Less(row.ID) {
				page.Complete = true
				break
			}
			last = row.ID
			if !s.Allows(row.Stanza.From) || !s.After.Less(row.ID) {
				whole = false
			} else if !r.replayRow(a, s, row, span) {
				return nil
			}
		}
		if !page.Complete {
			continue
		}
		if whole {
			r.arrived(a, a.Inbox.Replayed(upto))
		}
		if s.EndCatchup(upto) {
			return nil
		}
	}
}

// committed waits until all messages up to id can be read; false: the session
// is over.
func (r *Router) committed(s *session.Session, id stanza.ArchiveID, span *feature.Span) bool {
	for {
		more := r.Archive.Uncommitted(id)
		if more == nil {
			return !s.Ended()
		}
		span.End()
		select {
		case <-more:
			span.Begin(r.Board.Account(r.features.archive, s.Org))
		case <-s.Over():
			return false
		}
	}
}

// replayRow sends one message of the log once there is room for it; false: the
// session takes no more.
func (r *Router) replayRow(a *presence.Account, s *session.Session, row *archive.Row, span *feature.Span) bool {
	if room := s.Room(); room != nil {
		span.End()
		<-room
		span.Begin(r.Board.Account(r.features.archive, a.Org))
	}
	if s.Has(row.ID) || !a.Inbox.Replay(row.ID) {
		return true
	}
	var tail []byte
	if !row.Hidden {
		tail = archive.StanzaID(a.JID, row.ID)
	}
	w := row.Stanza.WithTail(append(tail, archive.Delay(a.JID.Domain(), archive.TimeOf(row.ID))...))
	w.ID, w.Number = row.ID, r.Board.Number(r.features.archive, a.Org)
	if !s.Replay(w) {
		a.Inbox.Miss(row.ID)
		return false
	}
	return true
}
