package xep

import (
	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

const nsCarbon = "urn:xmpp:carbons:2"

// carbonEnd closes what carbonStart opens.
const carbonEnd = "</forwarded>"

// Carbons copies the messages of an account to those of its resources that
// asked for it and do not get them anyway (XEP-0280). A copy shares the bytes
// of the message; only what stands around it is made for each resource.
func Carbons(*router.Host) router.Module {
	enable := func(on bool) func(*router.Ctx, *stanza.Stanza) error {
		return func(c *router.Ctx, iq *stanza.Stanza) error {
			c.Session.Carbons.Store(on)
			return c.Result(iq, nil)
		}
	}
	return router.Module{
		Name:         "carbons",
		Doc:          "XEP-0280 1.0.1: copies messages to the other resources of an account",
		Disco:        []string{nsCarbon},
		AccountDisco: []string{nsCarbon},
		IQ: []router.IQ{
			{Type: stanza.Set, NS: nsCarbon, Local: "enable", To: router.Self, Scoped: true, Func: enable(true)},
			{Type: stanza.Set, NS: nsCarbon, Local: "disable", To: router.Self, Scoped: true, Func: enable(false)},
		},
		Arrived: carbonsOf,
	}
}

// carbonsOf sends the copies of one message: 'received' to the recipient's
// resources that do not get it (§7), 'sent' to the sender's other ones (§8).
// Of a message to oneself there is only the first kind.
func carbonsOf(c *router.Ctx, a *router.Arrival) router.Verdict {
	if !a.Traits.Copied {
		return router.Pass
	}
	for _, r := range a.Account.Resources() {
		s := r.Session
		if s.Carbons.Load() && s != a.Sender && !carbonTarget(a, s) && s.Allows(a.Wire.From) && s.After.IsZero() {
			s.Send(carbon(a.Wire, "received", a.Account, s, c.Number()))
		}
	}
	if a.From == nil || a.From == a.Account {
		return router.Pass
	}
	var copied *stanza.Wire
	for _, r := range a.From.Resources() {
		s := r.Session
		if !s.Carbons.Load() || s == a.Sender || !s.Allows(a.Wire.To) || !s.After.IsZero() {
			continue
		}
		if copied == nil {
			copied = carbonSent(a)
		}
		s.Send(carbon(copied, "sent", a.From, s, c.Number()))
	}
	return router.Pass
}

// carbonTarget reports whether the session gets the message itself.
func carbonTarget(a *router.Arrival, s *session.Session) bool {
	for _, to := range a.To {
		if to == s {
			return true
		}
	}
	return false
}

// carbonSent is the message as the sender's archive has it. It bears no
// archive id for the mailbox: in the delivery log it is not the sender's.
func carbonSent(a *router.Arrival) *stanza.Wire {
	var tail []byte
	if !a.SentID.IsZero() {
		tail = archive.StanzaID(a.From.JID, a.SentID)
	}
	w := a.Plain.WithTail(tail)
	w.ID = stanza.ArchiveID{}
	return w
}

// carbon wraps a message for one resource of owner. Its addresses stay those
// of the message within, for whoever looks after mailboxes.
func carbon(w *stanza.Wire, kind string, owner *presence.Account, to *session.Session, number uint32) *stanza.Wire {
	c := w.Wrap(carbonStart(w.Type, kind, owner.JID, to.JID), []byte(carbonEnd+"</"+kind+"></message>"))
	c.Number = number
	return c
}

func carbonStart(typ stanza.Type, kind string, from, to jid.JID) []byte {
	b := make([]byte, 0, 192+len(from.String())+len(to.String()))
	b = append(b, "<message xmlns='jabber:client' from='"...)
	b = append(stanza.AppendEscaped(b, from.String()), "' to='"...)
	b = append(stanza.AppendEscaped(b, to.String()), '\'')
	if name := typ.String(); name != "" && typ != stanza.Normal {
		b = append(append(append(b, " type='"...), name...), '\'')
	}
	b = append(append(append(b, "><"...), kind...), " xmlns='"+nsCarbon+"'>"...)
	return append(b, "<forwarded xmlns='urn:xmpp:forward:0'>"...)
}
