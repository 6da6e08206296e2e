package router

import (
	"strconv"

	"github.com/bearhug/bearhug/stanza"
)

// inScope says whether a session that may talk to one peer only (decision 16)
// may send a stanza. Messages and subscriptions go to that peer; of requests
// those that their module declares fit.
func (r *Router) inScope(c *Ctx, t *table, st *stanza.Stanza) bool {
	peer := c.Session.Scope
	switch st.Kind {
	case stanza.Message:
		return st.To.Bare() == peer
	case stanza.Presence:
		return st.To.IsZero() && (st.Type == stanza.Available || st.Type == stanza.Unavailable) ||
			st.To.Bare() == peer && (st.Type == stanza.Available || st.Type == stanza.Unavailable)
	}
	own := st.To.IsZero() || st.To == c.Account.JID || st.To.Local() == ""
	if st.Type == stanza.Result || st.Type == stanza.ErrorType {
		return own || st.To.Bare() == peer
	}
	if st.To.Bare() == peer && st.To.IsFull() {
		return true
	}
	payload, ok := st.First()
	if !ok || !own && st.To != peer {
		return own // without payload it is refused as malformed
	}
	e := t.iqs[iqKey{st.Type == stanza.Set, string(payload.NS()), string(payload.Local())}]
	return e == nil || e.Scoped // nobody answers what nobody knows
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
