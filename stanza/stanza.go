package stanza

import (
	"iter"

	"github.com/bearhug/bearhug/jid"
)

// maxNoted is how many first-level children a scan notes for the views.
const maxNoted = 8

// Stanza is a view of a scanned message, presence or iq. It lies over the read
// buffer and is valid until the handler that got it returns.
type Stanza struct {
	Kind Kind
	Type Type
	From jid.JID // stamped by the session
	To   jid.JID // zero when absent; the caller fills it from RawTo

	doc     []byte
	scope   *Scope
	root    elem
	bodyEnd uint32 // where the end tag begins
	id      span   // values of head attributes
	to      span
	from    span
	lang    span
	typ     span
	used    uint64 // bit i: Decls[i] of the scope is used
	nchild  int    // first-level children; the first maxNoted are in child
	child   [maxNoted]elem
}

// span is a piece of the document; off 0 is none.
type span struct{ off, end uint32 }

func (s *Stanza) bytes(p span) []byte {
	if p.off == 0 {
		return nil
	}
	return s.doc[p.off:p.end:p.end]
}

// noteHead notes the head attributes that everybody asks for.
func (s *Stanza) noteHead(b []byte, attrs []attr) {
	s.id, s.to, s.from, s.lang, s.typ = span{}, span{}, span{}, span{}, span{}
	for i := range attrs {
		a := &attrs[i]
		v := span{a.value, a.valueEnd}
		switch name := b[a.name:a.nameEnd]; len(name) {
		case 2:
			if string(name) == "id" {
				s.id = v
			} else if string(name) == "to" {
				s.to = v
			}
		case 4:
			if string(name) == "from" {
				s.from = v
			} else if string(name) == "type" {
				s.typ = v
			}
		case 8:
			if string(name) == "xml:lang" {
				s.lang = v
			}
		}
	}
}

// Bytes is the whole stanza as it was received.
func (s *Stanza) Bytes() []byte { return s.doc }

// Element is the stanza itself as an element.
func (s *Stanza) Element() Element { return Element{doc: s.doc, scope: s.scope, elem: s.root} }

// Len is the size of the stanza as it was received, in bytes.
func (s *Stanza) Len() int { return len(s.doc) }

// ID is the raw id attribute, references undecoded; nil when absent.
func (s *Stanza) ID() []byte { return s.bytes(s.id) }

// RawTo is the raw to attribute; nil when absent. Unescape decodes it.
func (s *Stanza) RawTo() []byte { return s.bytes(s.to) }

// RawFrom is the raw from attribute; nil when absent.
func (s *Stanza) RawFrom() []byte { return s.bytes(s.from) }

// Lang is xml:lang of the stanza or else of its stream; nil when neither has
// one.
func (s *Stanza) Lang() []byte {
	if s.lang.off == 0 && s.scope != nil && s.scope.Lang != "" {
		return []byte(s.scope.Lang)
	}
	return s.bytes(s.lang)
}

// Attr gives a head attribute raw, named as it is written.
func (s *Stanza) Attr(name string) (raw []byte, ok bool) { return s.Element().AttrRaw(name) }

// Children walks over the first-level children.
func (s *Stanza) Children() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for i := range s.nchild {
			if i == maxNoted {
				break
			}
			if !yield(s.noted(i)) {
				return
			}
		}
		if s.nchild <= maxNoted {
			return
		}
		e := s.Element()
		for c, ok := e.firstFrom(s.child[maxNoted-1].end); ok; c, ok = e.firstFrom(c.end) {
			if !yield(c) {
				return
			}
		}
	}
}

// noted is the i-th child, one of those noted while scanning.
func (s *Stanza) noted(i int) Element {
	return Element{doc: s.doc, scope: s.scope, elem: s.child[i], path: [maxPath]uint32{s.root.nameEnd}, depth: 1}
}

// Child is the first first-level child of that name.
func (s *Stanza) Child(ns, local string) (Element, bool) {
	for i := range min(s.nchild, maxNoted) {
		c := &s.child[i]
		if string(s.doc[c.name:c.nameEnd]) == local && refIs(s.doc, s.scope, c.ns, ns) {
			return s.noted(i), true
		}
	}
	if s.nchild > maxNoted {
		e := s.Element()
		for c, ok := e.firstFrom(s.child[maxNoted-1].end); ok; c, ok = e.firstFrom(c.end) {
			if c.Is(ns, local) {
				return c, true
			}
		}
	}
	return Element{}, false
}

// First is the first child element: the payload of an iq.
func (s *Stanza) First() (Element, bool) {
	if s.nchild == 0 {
		return Element{}, false
	}
	return s.noted(0), true
}

// Count is the number of first-level child elements.
func (s *Stanza) Count() int { return s.nchild }

// Parse views one standalone stanza: a document of its own that declares
// jabber:client, and nothing else than it. The view lies over b.
func Parse(b []byte) (*Stanza, error) {
	var sc Scanner
	if err := scanWhole(&sc, b); err != nil {
		return nil, err
	}
	s, ok := sc.Stanza(b)
	if !ok {
		return nil, refuse("unsupported-stanza-type", "not a stanza of jabber:client")
	}
	out := *s
	return &out, nil
}

// ParseElement views one standalone element of any name.
func ParseElement(b []byte) (Element, error) {
	var sc Scanner
	if err := scanWhole(&sc, b); err != nil {
		return Element{}, err
	}
	return sc.Element(b), nil
}

// scanWhole scans a document of any size that is all of b.
func scanWhole(sc *Scanner, b []byte) error {
	sc.Reset(nil, Limits{Bytes: 1 << 30, Depth: 256, Attrs: 256})
	if len(b) == 0 || b[0] != '<' {
		return malformed("no element")
	}
	n, err := sc.Scan(b)
	if err != nil {
		return err
	}
	if n != len(b) {
		return malformed("not one whole element")
	}
	return nil
}
