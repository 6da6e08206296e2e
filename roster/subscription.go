package roster

import "github.com/bearhug/bearhug/stanza"

// A Subscription says whose presence is seen, RFC 6121 §2.1.2.5.
type Subscription uint8

// The values of the 'subscription' attribute. They are bits: Both is To and From.
const (
	None Subscription = 0
	To   Subscription = 1 // the owner sees the contact's presence
	From Subscription = 2 // the contact sees the owner's presence
	Both Subscription = To | From
)

// String is the value of the attribute.
func (s Subscription) String() string {
	return [...]string{"none", "to", "from", "both"}[s&Both]
}

// Sees reports whether the owner sees the contact.
func (s Subscription) Sees() bool { return s&To != 0 }

// Seen reports whether the contact sees the owner.
func (s Subscription) Seen() bool { return s&From != 0 }

// Out applies a subscription stanza which the owner sends, RFC 6121 Appendix
// A.2. It reports whether the stanza is routed to the contact.
func (it *Item) Out(t stanza.Type) (route bool) {
	switch t {
	case stanza.Subscribe:
		it.Listed = true
		it.Ask = it.Ask || !it.Sub.Sees()
		return true
	case stanza.Unsubscribe:
		it.Sub &^= To
		it.Ask = false
		return true
	case stanza.Subscribed:
		if it.In {
			it.In, it.Request = false, nil
			it.Sub |= From
			it.Listed = true
			return true
		}
		if !it.Sub.Seen() { // RFC 6121 §3.4: pre-approval
			it.Approved, it.Listed = true, true
		}
		return false
	case stanza.Unsubscribed:
		it.Approved = false
		route = it.In || it.Sub.Seen()
		it.In, it.Request = false, nil
		it.Sub &^= From
		return route
	}
	return false
}

// In applies a subscription stanza which the contact sends, RFC 6121 Appendix
// A.3. It reports whether the stanza is delivered to the owner, and whether
// the server answers 'subscribed' in the owner's place.
func (it *Item) Inbound(t stanza.Type) (deliver, approve bool) {
	switch t {
	case stanza.Subscribe:
		switch {
		case it.Sub.Seen():
			return false, true
		case it.Approved:
			it.In, it.Request = false, nil
			it.Sub |= From
			return false, true
		case it.In:
			return false, false
		}
		it.In = true
		return true, false
	case stanza.Unsubscribe:
		deliver = it.In || it.Sub.Seen()
		it.In, it.Request = false, nil
		it.Sub &^= From
		return deliver, false
	case stanza.Subscribed:
		if !it.Ask {
			return false, false
		}
		it.Ask = false
		it.Sub |= To
		return true, false
	case stanza.Unsubscribed:
		deliver = it.Ask || it.Sub.Sees()
		it.Ask = false
		it.Sub &^= To
		return deliver, false
	}
	return false, false
}

// idle reports whether nothing is left of an item that the owner never added.
func (it *Item) idle() bool {
	return !it.Listed && it.Sub == None && !it.Ask && !it.In && !it.Approved
}
