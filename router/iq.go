package router

import (
	"errors"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/stanza"
)

// iq routes a request or an answer, RFC 6120 §8.2.3, RFC 6121 §8.5.
func (r *Router) iq(c *Ctx, t *table, st *stanza.Stanza) error {
	if st.ID() == nil {
		return stanza.BadRequest("an iq needs an id")
	}
	switch st.Type {
	case stanza.Get, stanza.Set:
		payload, ok := st.First()
		if !ok || more(st) {
			return stanza.BadRequest("a request has exactly one payload")
		}
		return r.request(c, t, st, payload)
	case stanza.Result, stanza.ErrorType:
		if st.To.IsFull() && st.To.Domain() == c.Domain {
			return r.forward(c, st)
		}
		return nil // an answer to the server, as to a roster push
	}
	return stanza.BadRequest("the type of an iq is get, set, result or error")
}

// more reports whether there is a second child.
func more(st *stanza.Stanza) bool {
	n := 0
	for range st.Children() {
		if n++; n > 1 {
			return true
		}
	}
	return false
}

// request answers what is for the server or an account, and passes on what
// is for a resource.
func (r *Router) request(c *Ctx, t *table, st *stanza.Stanza, payload stanza.Element) error {
	if !st.To.IsZero() {
		if err := r.reachable(c, st); err != nil {
			return err
		}
		if st.To.IsFull() && st.To.Local() != "" {
			return r.forward(c, st)
		}
	}
	e := t.iqs[iqKey{st.Type == stanza.Set, string(payload.NS()), string(payload.Local())}]
	if e == nil {
		return stanza.ServiceUnavailable("")
	}
	switch whom(c, st.To) {
	case Server & e.To:
		c.Target = nil
	case Self & e.To:
		c.Target = c.Account
	case Other & e.To:
		peer, err := c.peer(st.To)
		if unknown := errors.Is(err, presence.ErrUnknown); unknown && e.Absent {
			peer = nil
		} else if unknown {
			return stanza.ServiceUnavailable("")
		} else if err != nil {
			return err
		} else if err := blocked(c.Account, peer, st); err != nil {
			return err
		}
		c.Target = peer
	default:
		return stanza.ServiceUnavailable("")
	}
	e.account.BytesIn.Add(int64(st.Len()))
	defer c.Span.To(c.pays(e.account))
	return e.Func(c, st)
}

// whom tells which kind of addressee an address is. It never returns 0.
func whom(c *Ctx, to jid.JID) Addressee {
	switch {
	case to.IsZero(), to == c.Account.JID:
		return Self
	case to.Local() == "":
		return Server
	}
	return Other
}

// forward passes an iq to the resource it is addressed to.
func (r *Router) forward(c *Ctx, st *stanza.Stanza) error {
	peer := c.Directory.Find(st.To.Bare())
	if peer == nil {
		return stanza.ServiceUnavailable("")
	}
	defer peer.Release()
	s := peer.Resource(st.To.Resource())
	if s == nil || !s.Allows(st.From) {
		return stanza.ServiceUnavailable("")
	}
	if err := blocked(c.Account, peer, st); err != nil {
		return err
	}
	w := st.Wire()
	w.Number = c.number
	if !s.Send(w) {
		return stanza.ServiceUnavailable("")
	}
	return nil
}
