package archive

import (
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// Namespaces of what decides over storing and copying.
const (
	nsHints      = "urn:xmpp:hints"
	nsSID        = "urn:xmpp:sid:0"
	nsCarbons    = "urn:xmpp:carbons:2"
	nsStates     = "http://jabber.org/protocol/chatstates"
	nsReceipts   = "urn:xmpp:receipts"
	nsMarkers    = "urn:xmpp:chat-markers:0"
	nsReactions  = "urn:xmpp:reactions:0"
	nsRetract    = "urn:xmpp:message-retract:1"
	nsCorrect    = "urn:xmpp:message-correct:0"
	nsJingle     = "urn:xmpp:jingle-message:0"
	nsQuick      = "urn:xmpp:tmp:quick-response"
	nsOMEMO      = "eu.siacs.conversations.axolotl"
	nsOMEMO2     = "urn:xmpp:omemo:2"
	nsConference = "jabber:x:conference"
	nsAttach     = "urn:xmpp:message-attaching:1"
	nsFastening  = "urn:xmpp:fasten:0"
	nsMUCUser    = "http://jabber.org/protocol/muc#user"
)

// Traits are what the children of a message say about storing and copying it.
type Traits struct {
	Stored    bool // it has a row (decision 6; XEP-0313 §5.1.1, XEP-0334)
	Hidden    bool // kept for delivery only: <no-permanent-store/>
	Body      bool // has a body: it counts as unread
	Says      bool // has something to say: more than typing, receipts and markers
	Displayed bool // says that the conversation was read (XEP-0333)
	StateOnly bool // carries nothing but a chat state (XEP-0085)
	Private   bool // not to be carbon-copied: <private/> or <no-copy/>
	Copied    bool // carbon-eligible, XEP-0280 §6.1
	Origin    string

	cut []stanza.Element
}

// Cut are the children that must not pass: stanza ids which claim to be of
// this server (XEP-0359 §5).
func (t *Traits) Cut() []stanza.Element { return t.cut }

// bodyless are the payloads worth keeping without a body.
var bodyless = [...]struct{ ns, local string }{
	{nsReceipts, "received"},
	{nsMarkers, "received"},
	{nsMarkers, "displayed"},
	{nsMarkers, "acknowledged"},
	{nsReactions, "reactions"},
	{nsRetract, "retract"},
	{nsCorrect, "replace"},
	{nsQuick, "action-selected"},
	{nsOMEMO, "encrypted"},
	{nsOMEMO2, "encrypted"},
	{nsConference, "x"},
	{nsMUCUser, "x"},
	{nsAttach, "attach-to"},
	{nsFastening, "apply-to"},
}

// Classify looks once at the children of a message. domain is the one whose
// stanza ids are ours.
func Classify(st *stanza.Stanza, domain string) Traits {
	var t Traits
	var hints hints
	worth, other, states := false, false, 0
	for e := range st.Children() {
		switch string(e.NS()) {
		case nsHints:
			hints.note(e)
		case nsStates:
			states++
		case nsJingle:
			worth, t.Says = true, true
		case nsSID:
			t.stanzaID(e, domain)
		case nsCarbons:
			if string(e.Local()) == "private" { // it passes, XEP-0280 §9
				t.Private = true
			}
		case stanza.NSClient:
			t.Body = t.Body || string(e.Local()) == "body"
			other = other || string(e.Local()) != "thread"
		default:
			if t.keeps(e) {
				worth = true
				t.Says = t.Says || string(e.NS()) != nsReceipts && string(e.NS()) != nsMarkers
			} else {
				other = true
			}
		}
	}
	t.Says = t.Says || t.Body
	kind := st.Type == stanza.Normal || st.Type == stanza.Chat || st.Type == stanza.Unknown
	t.StateOnly = states > 0 && !t.Body && !worth && !other
	t.Stored = kind && !hints.noStore && (t.Body || worth || hints.store)
	t.Hidden = t.Stored && hints.transient
	t.Private = t.Private || hints.noCopy
	t.Copied = !t.Private && (st.Type == stanza.Chat || st.Type == stanza.Normal && (t.Body || worth))
	return t
}

// stanzaID notes an origin-id and cuts what claims to be an id of ours.
func (t *Traits) stanzaID(e stanza.Element, domain string) {
	switch string(e.Local()) {
	case "origin-id":
		t.Origin, _ = e.Attr("id")
	case "stanza-id":
		if by, _ := e.Attr("by"); ours(by, domain) {
			t.cut = append(t.cut, e)
		}
	}
}

// keeps reports whether a payload is worth a row of its own.
func (t *Traits) keeps(e stanza.Element) bool {
	for i := range bodyless {
		if e.Is(bodyless[i].ns, bodyless[i].local) {
			t.Displayed = t.Displayed || e.Is(nsMarkers, "displayed")
			return true
		}
	}
	return false
}

// hints are those of XEP-0334.
type hints struct{ store, noStore, transient, noCopy bool }

func (h *hints) note(e stanza.Element) {
	switch string(e.Local()) {
	case "store":
		h.store = true
	case "no-store":
		h.noStore = true
	case "no-permanent-store":
		h.transient = true
	case "no-copy":
		h.noCopy = true
	}
}

// ours reports whether the address, however it is written, stands in the domain.
func ours(by, domain string) bool {
	j, err := jid.Parse(by)
	return err == nil && j.Domain() == domain
}
