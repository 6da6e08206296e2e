package stanza

import (
	"bytes"

	"github.com/bearhug/bearhug/jid"
)

// Make makes a stanza of the server's own. Zero addresses and an empty id are
// left out; body is XML as it stands and may be nil.
func Make(kind Kind, typ Type, from, to jid.JID, id string, body []byte) *Wire {
	raw := []byte(nil)
	if id != "" {
		raw = AppendEscaped(nil, id)
	}
	return build(kind, typ, from, to, raw, body)
}

// build is Make with an escaped id that stands in either quote.
func build(kind Kind, typ Type, from, to jid.JID, id, body []byte) *Wire {
	n := 80 + len(from.String()) + len(to.String()) + len(id) + len(body)
	b := append(make([]byte, 0, n), '<')
	b = append(append(b, kind.String()...), " xmlns='"+NSClient+"'"...)
	if name := typ.String(); name != "" && typ != Normal {
		b = appendAttr(b, "type", name)
	}
	if len(id) > 0 {
		b = append(append(append(b, " id='"...), id...), '\'')
	}
	if !from.IsZero() {
		b = appendAttr(b, "from", from.String())
	}
	if !to.IsZero() {
		b = appendAttr(b, "to", to.String())
	}
	b = append(append(b, '>'), body...)
	return &Wire{Kind: kind, Type: typ, From: from, To: to, inner: kind, main: b}
}

// quoted makes a raw value, which stood in quotes of either sort, fit to stand
// in single ones.
func quoted(raw []byte) []byte {
	if bytes.IndexByte(raw, '\'') < 0 {
		return raw
	}
	return bytes.ReplaceAll(raw, []byte("'"), []byte("&apos;"))
}

// Reply is the error reply to a stanza: back to s.From, from the address given,
// which is usually s.To, with the same id and without the payload
// (RFC 6120 §8.3). It is nil when the stanza must not be answered: an error,
// or the result of an iq.
func Reply(s *Stanza, from jid.JID, e *Error) *Wire {
	if s.Type == ErrorType || (s.Kind == IQ && s.Type == Result) {
		return nil
	}
	return build(s.Kind, ErrorType, from, s.From, quoted(s.ID()), e.AppendXML(nil))
}

// ResultOf is the result of an iq, from the address it was sent to, which is
// left out when it had none. payload may be nil.
func ResultOf(iq *Stanza, payload []byte) *Wire {
	return build(IQ, Result, iq.To, iq.From, quoted(iq.ID()), payload)
}
