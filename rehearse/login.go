package rehearse

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/bearhug/bearhug/sasl"
)

// A Person has an account.
type Person struct {
	Local, Domain string
	// Keys spare the PBKDF2 at each sign-in (RFC 5802 §5.1). They may be
	// shared by people with the same password and salt.
	Keys *sasl.ClientKeys
}

// JID is the person's bare address.
func (p *Person) JID() string { return p.Local + "@" + p.Domain }

// Wishes say how far a sign-in goes beyond a bound resource.
type Wishes struct {
	Manage   bool // enable stream management, with resumption
	Roster   bool // ask for the roster, as clients do
	Presence bool // become available
}

// A login is one sign-in, told by the elements that come and the bytes that
// go. It knows nothing of sockets.
//  1. Header. 2. SCRAM-SHA-1. 3. Header. 4. Bind, or resume. 5. The wishes.
type login struct {
	person   *Person
	wishes   Wishes
	ws       bool
	resumeID string // resume this session instead of binding a resource
	handled  uint32 // our h for it

	scram  *sasl.Client
	signed bool
	jid    string
	smID   string
	server uint32 // the server's h, after a resumption
}

const smNS = "urn:xmpp:sm:3"

// begin gives the first bytes.
func (l *login) begin() []byte {
	if l.ws {
		return []byte("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='" + l.person.Domain + "' version='1.0'/>")
	}
	return []byte("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='" +
		l.person.Domain + "' version='1.0'>")
}

// next takes an element and gives the answers that are due.
func (l *login) next(el []byte) (out [][]byte, done bool, err error) {
	switch {
	case header(el), named(el, "open"):
		return nil, false, nil
	case named(el, "stream:features"), named(el, "features"):
		return l.features()
	case named(el, "challenge"):
		return l.challenge(el)
	case named(el, "success"):
		return l.success(el)
	case named(el, "iq"):
		return l.answered(el)
	case named(el, "enabled"):
		l.smID = string(attr(el, "id"))
		if !l.wishes.Presence {
			return nil, true, nil
		}
		return nil, false, nil
	case named(el, "resumed"):
		h, _ := number(attr(el, "h"))
		l.server = uint32(h)
		return nil, true, nil
	case named(el, "presence"): // our own: it is the last to come
		return nil, true, nil
	case named(el, "r"):
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("sign-in of %s: the server sent %.200s", l.person.Local, el)
}

func (l *login) features() ([][]byte, bool, error) {
	if l.signed {
		if l.resumeID != "" {
			return one(fmt.Appendf(nil, "<resume xmlns='%s' previd='%s' h='%d'/>", smNS, l.resumeID, l.handled)), false, nil
		}
		return one([]byte("<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")), false, nil
	}
	var err error
	l.scram, err = sasl.NewClient(sasl.SCRAMSHA1, sasl.ClientConfig{Local: l.person.Local, Keys: l.person.Keys})
	if err != nil {
		return nil, false, err
	}
	first, _, err := l.scram.Step(nil)
	if err != nil {
		return nil, false, err
	}
	out := []byte("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>")
	out = base64.StdEncoding.AppendEncode(out, first)
	return one(append(out, "</auth>"...)), false, nil
}

func (l *login) step(el []byte) (out []byte, err error) {
	in, err := base64.StdEncoding.AppendDecode(nil, text(el))
	if err == nil {
		out, _, err = l.scram.Step(in)
	}
	if err != nil {
		err = fmt.Errorf("sign-in of %s: %w", l.person.Local, err)
	}
	return out, err
}

func (l *login) challenge(el []byte) ([][]byte, bool, error) {
	answer, err := l.step(el)
	if err != nil {
		return nil, false, err
	}
	out := []byte("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")
	out = base64.StdEncoding.AppendEncode(out, answer)
	return one(append(out, "</response>"...)), false, nil
}

func (l *login) success(el []byte) ([][]byte, bool, error) {
	if _, err := l.step(el); err != nil {
		return nil, false, err
	}
	l.signed, l.scram = true, nil
	return one(l.begin()), false, nil
}

// answered takes the answer to the binding, or to the request for the roster.
func (l *login) answered(el []byte) ([][]byte, bool, error) {
	if string(attr(el, "type")) != "result" {
		return nil, false, fmt.Errorf("sign-in of %s: the server sent %.200s", l.person.Local, el)
	}
	if string(attr(el, "id")) == "roster" {
		return nil, !l.wishes.Presence && !l.wishes.Manage, nil
	}
	if _, rest, ok := bytes.Cut(el, []byte("<jid>")); ok {
		full, _, _ := bytes.Cut(rest, []byte("</jid>"))
		l.jid = string(full)
	}
	return l.after(), l.wishes == Wishes{}, nil
}

// after is what follows the binding, each piece one element.
func (l *login) after() (pieces [][]byte) {
	add := func(s string) { pieces = append(pieces, []byte(s)) }
	if l.wishes.Roster {
		add("<iq type='get' id='roster' xmlns='jabber:client'><query xmlns='jabber:iq:roster'/></iq>")
	}
	if l.wishes.Manage {
		add("<enable xmlns='" + smNS + "' resume='true'/>")
	}
	if l.wishes.Presence {
		add("<presence xmlns='jabber:client'/>")
	}
	return pieces
}

func one(b []byte) [][]byte { return [][]byte{b} }
