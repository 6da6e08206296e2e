package stanza

import (
	"bytes"
	"slices"

	"github.com/bearhug/bearhug/jid"
)

// Wire is an outgoing stanza: a whole XML document of its own, whatever stream
// it came by. The exported fields are set before it is handed over; nothing is
// changed after that, so it may be shared by mailboxes, archive and bus.
//
// Its bytes are prefix | main | tail | end tag | suffix. main is head and body
// without the end tag, so that a tail can follow without copying it; prefix and
// suffix are a carbon or an archive result around it.
type Wire struct {
	Kind   Kind
	Type   Type
	Number uint32    // ledger account that pays, feature.Board.Number
	ID     ArchiveID // archive id, or zero
	Flags  Flags
	From   jid.JID
	To     jid.JID

	inner                      Kind // whose end tag follows the tail
	prefix, main, tail, suffix []byte
}

// Wire makes the outgoing form of a received stanza: from is s.From, to is
// s.To, every other head attribute and every byte of the body stay. What the
// body uses of the stream's declarations, and the stream's language, travel on
// the head. The children in cut are left out.
func (s *Stanza) Wire(cut ...Element) *Wire { return s.WireTo(s.To, cut...) }

// WireTo is Wire with another to; with the zero JID the stanza has none.
func (s *Stanza) WireTo(to jid.JID, cut ...Element) *Wire {
	n := len(s.doc) + len("<presence xmlns='jabber:client' from='' to=''>") + len(s.From.String()) + len(to.String())
	if s.scope != nil && (s.lang.off == 0 || s.used != 0) {
		n += s.scope.size(s.used)
	}
	b := append(make([]byte, 0, n), '<')
	b = append(append(b, s.Kind.String()...), " xmlns='"+NSClient+"'"...)
	if !s.From.IsZero() {
		b = appendAttr(b, "from", s.From.String())
	}
	if !to.IsZero() {
		b = appendAttr(b, "to", to.String())
	}
	b = s.appendHead(b)
	b = append(b, '>')
	b = s.appendBody(b, cut)
	return &Wire{Kind: s.Kind, Type: s.Type, From: s.From, To: to, inner: s.Kind, main: b}
}

// size bounds what appendHead adds of the scope.
func (s *Scope) size(used uint64) int {
	n := len(" xml:lang=''") + len(s.Lang)
	for i := range s.Decls {
		if used&(1<<i) != 0 {
			n += len(" xmlns:=''") + len(s.Decls[i].Prefix) + len(s.Decls[i].URI)
		}
	}
	return n
}

// appendHead appends the head attributes that stay and what the stream
// declares for them and the body.
func (s *Stanza) appendHead(b []byte) []byte {
	for t := (tagAttrs{doc: s.doc, next: s.root.nameEnd}); t.more(); {
		switch string(t.name()) {
		case "xmlns", "from", "to":
			continue
		}
		b = append(append(b, ' '), s.doc[t.at:t.next]...)
	}
	if s.scope == nil {
		return b
	}
	if s.lang.off == 0 && s.scope.Lang != "" {
		b = appendAttr(b, "xml:lang", s.scope.Lang)
	}
	for i := 0; s.used>>i != 0; i++ {
		if d := &s.scope.Decls[i]; s.used&(1<<i) != 0 && d.Prefix != "" {
			b = appendAttr(append(b, " xmlns:"...), d.Prefix, d.URI)
		}
	}
	return b
}

// appendAttr appends name='value' after a blank; after a colon without one.
func appendAttr(b []byte, name, value string) []byte {
	if b[len(b)-1] != ':' {
		b = append(b, ' ')
	}
	b = append(append(b, name...), '=', '\'')
	return append(AppendEscaped(b, value), '\'')
}

// appendBody appends the body without the elements that are cut.
func (s *Stanza) appendBody(b []byte, cut []Element) []byte {
	p, end := s.root.tagEnd, s.bodyEnd
	if len(cut) > 1 {
		cut = slices.Clone(cut)
		slices.SortFunc(cut, func(x, y Element) int { return int(x.off) - int(y.off) })
	}
	for i := range cut {
		if c := &cut[i]; c.doc != nil && c.off >= p && c.end <= end {
			b = append(b, s.doc[p:c.off]...)
			p = c.end
		}
	}
	return append(b, s.doc[p:end]...)
}

// WithTail is the same stanza with extra before its end tag, after the tail it
// has already: elements of the server's making. main is shared.
func (w *Wire) WithTail(extra []byte) *Wire {
	c := *w
	c.tail = slices.Concat(w.tail, extra)
	return &c
}

// Wrap is the same bytes with prefix before and suffix after them: together
// they have to be one stanza of w.Kind. The fields are those of w until the
// caller sets them.
func (w *Wire) Wrap(prefix, suffix []byte) *Wire {
	c := *w
	c.prefix = slices.Concat(prefix, w.prefix)
	c.suffix = slices.Concat(w.suffix, suffix)
	return &c
}

// endTag gives the end tag of a stanza; a nonza has none, it is kept whole.
func endTag(k Kind) string {
	switch k {
	case Message:
		return "</message>"
	case Presence:
		return "</presence>"
	case Nonza:
		return ""
	case IQ:
		return "</iq>"
	default:
		return ""
	}
}

// Append appends the bytes that go to the peer.
func (w *Wire) Append(dst []byte) []byte {
	dst = append(append(append(dst, w.prefix...), w.main...), w.tail...)
	return append(append(dst, endTag(w.inner)...), w.suffix...)
}

// Len is how many bytes Append appends.
func (w *Wire) Len() int {
	return len(w.prefix) + len(w.main) + len(w.tail) + len(endTag(w.inner)) + len(w.suffix)
}

// Stored gives the bytes to store: the document without tail and wrapping.
func (w *Wire) Stored() []byte {
	end := endTag(w.inner)
	return append(append(make([]byte, 0, len(w.main)+len(end)), w.main...), end...)
}

// Load makes a Wire of stored bytes, which it keeps. Kind, type, from and to
// are read again; the body is not looked at.
func Load(b []byte) (*Wire, error) {
	w := &Wire{}
	for _, k := range []Kind{Message, Presence, IQ} {
		name := k.String()
		if len(b) > len(name)+1 && b[0] == '<' && string(b[1:1+len(name)]) == name && !isNameByte(b[1+len(name)]) {
			if err := w.load(b, k); err != nil {
				return nil, err
			}
			return w, nil
		}
	}
	return nil, malformed("stored bytes are no stanza")
}

func isNameByte(c byte) bool { return c == ':' || nameClass[c] != noName }

// load fills a Wire from a stored stanza of kind k.
func (w *Wire) load(b []byte, k Kind) error {
	var err error
	w.Kind, w.inner = k, k
	if w.main, err = withoutEnd(k, b); err != nil {
		return err
	}
	var typ []byte
	hasType := false
	for t := (tagAttrs{doc: w.main, next: uint32(1 + len(k.String()))}); t.more(); {
		switch string(t.name()) {
		case "type":
			typ, hasType = t.value(), true
		case "from":
			w.From, err = jid.Parse(Unescape(t.value()))
		case "to":
			w.To, err = jid.Parse(Unescape(t.value()))
		}
		if err != nil {
			return refuse("invalid-xml", "stored stanza: "+err.Error())
		}
	}
	w.Type = typeOf(k, typ, hasType)
	return nil
}

// withoutEnd gives a whole stanza without its end tag. Only an empty element
// is copied.
func withoutEnd(k Kind, b []byte) ([]byte, error) {
	if end := endTag(k); len(b) > len(end) && string(b[len(b)-len(end):]) == end {
		return b[: len(b)-len(end) : len(b)-len(end)], nil
	}
	if bytes.HasSuffix(b, []byte("/>")) && int(tagClose(b, 0)) == len(b) {
		return append(append(make([]byte, 0, len(b)-1), b[:len(b)-2]...), '>'), nil
	}
	return nil, malformed("stored bytes are not one whole stanza")
}
