package router

import (
	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/stanza"
)

// Class is how much a stanza matters (decision 10); its From and To are set.
// Whether two people are joined by a care relation is one look-up in memory.
func (r *Router) Class(st *stanza.Stanza) overload.Class {
	switch st.Kind {
	case stanza.Message:
		t := archive.Classify(st, st.To.Domain())
		return r.said(st, t.Says)
	case stanza.Presence:
		return overload.Showing.Class(false)
	}
	if payload, ok := st.First(); ok {
		return asked(string(payload.NS())).Class(false)
	}
	return overload.Reading.Class(false)
}

// asked is what a request is about, by the namespace of its payload.
func asked(ns string) overload.Matter {
	switch ns {
	case "urn:xmpp:ping", "jabber:iq:roster", "urn:xmpp:carbons:2", "urn:xmpp:blocking":
		return overload.Keeping
	case "jabber:iq:register":
		return overload.Register
	case "urn:xmpp:http:upload:0":
		return overload.Uploading
	case "urn:bearhug:visible:0":
		return overload.Showing
	}
	return overload.Reading
}

// said is the class of a message, which says something or not.
func (r *Router) said(st *stanza.Stanza, something bool) overload.Class {
	if !something {
		return overload.Sign.Class(false)
	}
	from, to := st.From.Bare(), st.To.Bare()
	return overload.Talk.Class(r.Rosters.Groups.Care(from, to) || r.Concerns != nil && r.Concerns(from, to))
}
