package stanza

import "iter"

// Element is a view of one element of a scanned document. It is valid as long
// as the bytes below it; the zero Element is no element.
type Element struct {
	doc   []byte // the whole first-level element
	scope *Scope
	elem
}

// elem is where an element lies in its document.
type elem struct {
	off, tagEnd, end uint32 // '<' of the start tag, after its '>', after the end tag
	name, nameEnd    uint32 // the local name
	ns, def          ref    // its namespace, and the default one for its children
}

// Exists says whether there is an element at all.
func (e Element) Exists() bool { return e.doc != nil }

// Local is the name without prefix.
func (e Element) Local() []byte { return nil }

// NS is the namespace name, raw; for comparing use Is.
func (e Element) NS() []byte { return nil }

// Is compares namespace and local name; no allocation.
func (e Element) Is(ns, local string) bool { return false }

// Attr gives the decoded value of an attribute, named as it is written
// (usually without prefix).
func (e Element) Attr(name string) (string, bool) { return "", false }

// AttrRaw gives the value as it stands, references undecoded.
func (e Element) AttrRaw(name string) ([]byte, bool) { return nil, false }

// Text is the element's own character data, decoded, children left out.
func (e Element) Text() string { return "" }

// Children walks over the child elements.
func (e Element) Children() iter.Seq[Element] { return func(func(Element) bool) {} }

// Child is the first child of that name.
func (e Element) Child(ns, local string) (Element, bool) { return Element{}, false }

// First is the first child element.
func (e Element) First() (Element, bool) { return Element{}, false }

// Bytes is the element as it stands; it may lean on outer declarations.
func (e Element) Bytes() []byte { return e.doc[e.off:e.end] }

// AppendStandalone appends the element as a document of its own.
func (e Element) AppendStandalone(dst []byte) []byte { return dst }
