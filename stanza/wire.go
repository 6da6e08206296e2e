package stanza

import "github.com/bearhug/bearhug/jid"

// Wire is an outgoing stanza: a whole XML document of its own, never changed
// once it is handed over.
type Wire struct {
	Kind   Kind
	Type   Type
	Number uint32   // ledger account that pays, feature.Board.Number
	ID     [16]byte // archive id, or zero
	From   jid.JID
	To     jid.JID

	prefix, main, tail, suffix []byte
}

// Wire makes the outgoing form of a received stanza.
func (s *Stanza) Wire(cut ...Element) *Wire { return s.WireTo(s.To, cut...) }

// WireTo is Wire with another to; the zero JID leaves it out.
func (s *Stanza) WireTo(to jid.JID, cut ...Element) *Wire { return nil }

// WithTail is the same stanza with extra children before its end tag.
func (w *Wire) WithTail(extra []byte) *Wire { return nil }

// Wrap puts the whole wire between prefix and suffix without copying it.
func (w *Wire) Wrap(prefix, suffix []byte) *Wire { return nil }

// Append appends the bytes that go to the peer.
func (w *Wire) Append(dst []byte) []byte { return dst }

// Len is how many bytes Append appends.
func (w *Wire) Len() int { return 0 }

// NewWire takes server-made bytes that are a whole stanza already.
func NewWire(kind Kind, b []byte) *Wire { return nil }

// Stored gives the bytes to store: the document without tail and wrapping.
func (w *Wire) Stored() []byte { return nil }

// Load makes a Wire of stored bytes; kind, type, from and to are read again.
func Load(b []byte) (*Wire, error) { return nil, nil }

// Make makes a stanza of the server. Empty or zero values are left out.
func Make(kind Kind, typ Type, from, to jid.JID, id string, body []byte) *Wire { return nil }

// Reply is the error reply to a stanza; nil when it must not be answered.
func Reply(s *Stanza, from jid.JID, e *Error) *Wire { return nil }

// ResultOf is the result of an iq.
func ResultOf(iq *Stanza, payload []byte) *Wire { return nil }
