package stanza

import (
	"iter"

	"github.com/bearhug/bearhug/jid"
)

// Stanza is a view of a scanned message, presence or iq. It lies over the read
// buffer and is valid until the handler that got it returns.
type Stanza struct {
	Kind Kind
	Type Type
	From jid.JID // stamped by the session
	To   jid.JID // zero when absent; the caller fills it from RawTo

	doc   []byte
	scope *Scope
}

// Bytes is the whole stanza as it was received.
func (s *Stanza) Bytes() []byte { return s.doc }

// Element is the stanza itself as an element.
func (s *Stanza) Element() Element { return Element{} }

// ID is the raw id attribute, references undecoded; nil when absent.
func (s *Stanza) ID() []byte { return nil }

// RawTo is the raw to attribute; nil when absent. Decode it with Unescape when
// it holds an '&'.
func (s *Stanza) RawTo() []byte { return nil }

// RawFrom is the raw from attribute; nil when absent.
func (s *Stanza) RawFrom() []byte { return nil }

// Lang is xml:lang of the stanza, or of its stream.
func (s *Stanza) Lang() []byte { return nil }

// Attr gives a head attribute raw.
func (s *Stanza) Attr(name string) (raw []byte, ok bool) { return nil, false }

// Children walks over the first-level children.
func (s *Stanza) Children() iter.Seq[Element] { return func(func(Element) bool) {} }

// Child is the first child of that name.
func (s *Stanza) Child(ns, local string) (Element, bool) { return Element{}, false }

// First is the first child element: the payload of an iq.
func (s *Stanza) First() (Element, bool) { return Element{}, false }

// Parse views one standalone stanza.
func Parse(b []byte) (*Stanza, error) { return nil, nil }
