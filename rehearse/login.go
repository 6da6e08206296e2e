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
	Caps     bool // say in the presence what the client can do (XEP-0115)
}

// What a sign-in waits for.
const (
	awaitRoster = 1 << iota
	awaitEnabled
	awaitPresence // our own, which the server sends to all our resources
)

// A login is one sign-in, told by the elements that come and the bytes that
// go. It knows nothing of sockets.
//  1. Header. 2. SCRAM-SHA-1. 3. Header. 4. Bind, or resume. 5. The wishes.
type login struct {
	person   *Person
	wishes   Wishes
	ws       bool
	resumeID string // resume this session instead of binding a resource
	handled  uint32 // our h for it
	version  string // of the roster that is known (RFC 6121 §2.6)

	scram  *sasl.Client
	signed bool
	bound  bool
	await  uint8
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

// next takes an element and gives the answers that are due. An element that is
// no part of the sign-in, such as somebody else's presence, is not ours.
func (l *login) next(el []byte) (out [][]byte, done, ours bool, err error) {
	ours = true
	switch {
	case header(el), named(el, "open"):
	case named(el, "stream:features"), named(el, "features"):
		out, err = l.features()
	case named(el, "challenge"):
		out, err = l.challenge(el)
	case named(el, "success"):
		out, err = l.success(el)
	case named(el, "resumed"):
		h, _ := number(attr(el, "h"))
		l.server = uint32(h)
		return nil, true, true, nil
	case named(el, "enabled"):
		l.smID = string(attr(el, "id"))
		l.await &^= awaitEnabled
	case named(el, "iq") && l.isAnswer(el):
		out, err = l.answered(el)
	case !l.bound:
		err = fmt.Errorf("sign-in of %s: the server sent %.300s", l.person.Local, el)
	case named(el, "presence") && l.isOwn(el):
		l.await &^= awaitPresence
	default:
		ours = false
	}
	return out, err == nil && l.bound && l.await == 0, ours, err
}

// isAnswer reports whether an iq answers one of ours.
func (l *login) isAnswer(el []byte) bool {
	id := string(attr(el, "id"))
	return (id == "bind" || id == "roster") && bytes.HasPrefix(attr(el, "type"), []byte("r")) ||
		string(attr(el, "type")) == "error"
}

// isOwn reports whether a presence is of the person's own.
func (l *login) isOwn(el []byte) bool {
	rest, ok := bytes.CutPrefix(attr(el, "from"), []byte(l.person.Local))
	return ok && len(rest) > 0 && rest[0] == '@'
}

func (l *login) features() ([][]byte, error) {
	if l.signed {
		if l.resumeID != "" {
			return one(fmt.Appendf(nil, "<resume xmlns='%s' previd='%s' h='%d'/>", smNS, l.resumeID, l.handled)), nil
		}
		return one([]byte("<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")), nil
	}
	var err error
	l.scram, err = sasl.NewClient(sasl.SCRAMSHA1, sasl.ClientConfig{Local: l.person.Local, Keys: l.person.Keys})
	if err != nil {
		return nil, err
	}
	first, _, err := l.scram.Step(nil)
	if err != nil {
		return nil, err
	}
	out := []byte("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>")
	out = base64.StdEncoding.AppendEncode(out, first)
	return one(append(out, "</auth>"...)), nil
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

func (l *login) challenge(el []byte) ([][]byte, error) {
	answer, err := l.step(el)
	if err != nil {
		return nil, err
	}
	out := []byte("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")
	out = base64.StdEncoding.AppendEncode(out, answer)
	return one(append(out, "</response>"...)), nil
}

func (l *login) success(el []byte) ([][]byte, error) {
	if _, err := l.step(el); err != nil {
		return nil, err
	}
	l.signed, l.scram = true, nil
	return one(l.begin()), nil
}

// answered takes the answer to the binding, or to the request for the roster.
func (l *login) answered(el []byte) ([][]byte, error) {
	if string(attr(el, "type")) != "result" {
		return nil, fmt.Errorf("sign-in of %s: the server sent %.300s", l.person.Local, el)
	}
	if string(attr(el, "id")) == "roster" {
		if _, rest, ok := bytes.Cut(el[:min(len(el), kept)], []byte("<query")); ok {
			if v := attr(rest, "ver"); v != nil {
				l.version = string(v)
			}
		}
		l.await &^= awaitRoster
		return nil, nil
	}
	_, rest, ok := bytes.Cut(el, []byte("<jid>"))
	if !ok {
		return nil, fmt.Errorf("sign-in of %s: the server sent %.300s", l.person.Local, el)
	}
	full, _, _ := bytes.Cut(rest, []byte("</jid>"))
	l.jid, l.bound = string(full), true
	return l.after(), nil
}

// after is what follows the binding, each piece one element.
func (l *login) after() (pieces [][]byte) {
	add := func(await uint8, s string) {
		pieces = append(pieces, []byte(s))
		l.await |= await
	}
	if l.wishes.Roster {
		add(awaitRoster, "<iq type='get' id='roster' xmlns='jabber:client'><query xmlns='jabber:iq:roster' ver='"+l.version+"'/></iq>")
	}
	if l.wishes.Manage {
		add(awaitEnabled, "<enable xmlns='"+smNS+"' resume='true'/>")
	}
	if l.wishes.Presence {
		add(awaitPresence, presence("", l.wishes.Caps))
	}
	return pieces
}

func one(b []byte) [][]byte { return [][]byte{b} }
