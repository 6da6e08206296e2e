package stanza

import (
	"bytes"
	"iter"
	"sort"
)

// Element is a view of one element of a scanned document. It is valid as long
// as the bytes below it are; the zero Element is no element.
type Element struct {
	doc   []byte // the whole first-level element
	scope *Scope
	elem
	path  [maxPath]uint32 // nameEnd of the elements around it, outermost first
	depth uint32          // how many there are; beyond maxPath they are not in path
}

// maxPath is how many enclosing elements a view remembers, for resolving
// prefixes. Deeper ones are found by walking, which nobody does often.
const maxPath = 6

// elem is where an element lies in its document.
type elem struct {
	off, tagEnd, end uint32 // '<' of the start tag, after its '>', after the end tag
	name, nameEnd    uint32 // the local name
	ns, def          ref    // its namespace, and the default one for its children
}

// Exists says whether there is an element at all.
func (e Element) Exists() bool { return e.doc != nil }

// Local is the name without prefix.
func (e Element) Local() []byte { return e.doc[e.name:e.nameEnd] }

// Name is the name as it is written, with its prefix.
func (e Element) Name() []byte { return e.doc[e.off+1 : e.nameEnd] }

// NS is the namespace name, raw; nil without. For comparing use Is, which
// neither allocates nor is misled by references.
func (e Element) NS() []byte { return refBytes(e.doc, e.scope, e.ns) }

// Is compares namespace and local name.
func (e Element) Is(ns, local string) bool {
	return string(e.doc[e.name:e.nameEnd]) == local && refIs(e.doc, e.scope, e.ns, ns)
}

// Attr gives the decoded value of an attribute, named as it is written.
func (e Element) Attr(name string) (string, bool) {
	raw, ok := e.AttrRaw(name)
	if !ok {
		return "", false
	}
	return Unescape(raw), true
}

// AttrRaw gives an attribute's value as it stands, references undecoded.
func (e Element) AttrRaw(name string) ([]byte, bool) {
	if e.doc == nil {
		return nil, false
	}
	for t := (tagAttrs{doc: e.doc, next: e.nameEnd}); t.more(); {
		if string(t.name()) == name {
			return t.value(), true
		}
	}
	return nil, false
}

// Attrs walks over all attributes, declarations included: names as written,
// values raw.
func (e Element) Attrs() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, raw []byte) bool) {
		if e.doc == nil {
			return
		}
		for t := (tagAttrs{doc: e.doc, next: e.nameEnd}); t.more(); {
			if !yield(t.name(), t.value()) {
				return
			}
		}
	}
}

// Text is the element's own character data, decoded; that of its children is
// left out.
func (e Element) Text() string {
	if e.tagEnd == e.end {
		return ""
	}
	body := e.Inner()
	if bytes.IndexByte(body, '<') < 0 {
		if bytes.IndexByte(body, '&') < 0 && bytes.IndexByte(body, '\r') < 0 {
			return string(body)
		}
		return string(appendDecoded(make([]byte, 0, len(body)), body, false))
	}
	out := make([]byte, 0, len(body))
	for p := e.tagEnd; ; {
		at := p + uint32(bytes.IndexByte(e.doc[p:], '<'))
		out = appendDecoded(out, e.doc[p:at], false)
		switch e.doc[at+1] {
		case '/':
			return string(out)
		case '!':
			end := at + uint32(bytes.Index(e.doc[at:], []byte("]]>")))
			out = append(out, normalizeEnds(e.doc[at+9:end])...)
			p = end + 3
		default:
			p = elementEnd(e.doc, at)
		}
	}
}

// normalizeEnds turns CR LF and CR into LF (XML 1.0 §2.11).
func normalizeEnds(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
}

// Inner is everything between the start tag and the end tag, as it stands.
func (e Element) Inner() []byte {
	if e.tagEnd == e.end {
		return nil
	}
	return e.doc[e.tagEnd : e.off+uint32(bytes.LastIndexByte(e.doc[e.off:e.end], '<'))]
}

// Children walks over the child elements.
func (e Element) Children() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for c, ok := e.firstFrom(e.tagEnd); ok; c, ok = e.firstFrom(c.end) {
			if !yield(c) {
				return
			}
		}
	}
}

// Child is the first child of that name.
func (e Element) Child(ns, local string) (Element, bool) {
	for c, ok := e.firstFrom(e.tagEnd); ok; c, ok = e.firstFrom(c.end) {
		if c.Is(ns, local) {
			return c, true
		}
	}
	return Element{}, false
}

// First is the first child element.
func (e Element) First() (Element, bool) { return e.firstFrom(e.tagEnd) }

// Bytes is the element as it stands. It may lean on declarations around it:
// AppendStandalone does not.
func (e Element) Bytes() []byte { return e.doc[e.off:e.end:e.end] }

// firstFrom finds the first child element at p or later.
func (e Element) firstFrom(p uint32) (Element, bool) {
	if e.doc == nil || p >= e.end {
		return Element{}, false
	}
	for {
		p += uint32(bytes.IndexByte(e.doc[p:], '<'))
		switch e.doc[p+1] {
		case '/':
			return Element{}, false
		case '!':
			p += uint32(bytes.Index(e.doc[p:], []byte("]]>"))) + 3
		default:
			return e.childAt(p), true
		}
	}
}

// childAt views the child whose start tag is at p.
func (e Element) childAt(p uint32) Element {
	colon, end, _ := scanName(e.doc, int(p+1)) // scanned before: no error
	c := Element{doc: e.doc, scope: e.scope, elem: elem{off: p, name: p + 1, nameEnd: uint32(end), def: e.def}, path: e.path, depth: e.depth + 1}
	if e.depth < maxPath {
		c.path[e.depth] = e.nameEnd
	}
	prefix := []byte(nil)
	if colon != 0 {
		prefix, c.name = e.doc[p+1:colon], uint32(colon+1)
	}
	found := false
	t := tagAttrs{doc: e.doc, next: c.nameEnd}
	for t.more() {
		name, r := t.name(), ref{t.val, t.valEnd - t.val}
		if r.len == 0 {
			r = ref{}
		}
		if string(name) == "xmlns" {
			c.def = r
		} else if prefix != nil && declares(name, prefix) {
			c.ns, found = r, true
		}
	}
	c.tagEnd = t.next
	if prefix == nil {
		c.ns = c.def
	} else if !found {
		c.ns = e.lookup(prefix)
	}
	c.end = c.tagEnd
	if e.doc[c.tagEnd-2] != '/' {
		c.end = elementEnd(e.doc, p)
	}
	return c
}

// lookup resolves a prefix in force inside of e: innermost declaration first.
func (e Element) lookup(prefix []byte) ref {
	if e.depth > maxPath {
		return e.walk(prefix)
	}
	r, ok := declaration(e.doc, e.nameEnd, prefix)
	for i := int(e.depth) - 1; i >= 0 && !ok; i-- {
		r, ok = declaration(e.doc, e.path[i], prefix)
	}
	if !ok {
		return e.outermost(prefix)
	}
	return r
}

// outermost resolves a prefix that the document does not declare.
func (e Element) outermost(prefix []byte) ref {
	if string(prefix) == "xml" {
		return refXML
	}
	return ref{0, e.scope.find(prefix)}
}

// declaration finds what the start tag whose name ends at nameEnd declares a
// prefix as.
func declaration(doc []byte, nameEnd uint32, prefix []byte) (ref, bool) {
	for t := (tagAttrs{doc: doc, next: nameEnd}); t.more(); {
		if declares(t.name(), prefix) {
			return ref{t.val, t.valEnd - t.val}, true
		}
	}
	return ref{}, false
}

// walk is lookup from the root of the document down to e.
func (e Element) walk(prefix []byte) ref {
	r := e.outermost(prefix)
	for p := uint32(0); ; {
		_, end, _ := scanName(e.doc, int(p+1)) // scanned before: no error
		if d, ok := declaration(e.doc, uint32(end), prefix); ok {
			r = d
		}
		if p >= e.off {
			return r
		}
		p = e.holder(tagClose(e.doc, p), e.off)
	}
}

// declares says whether an attribute name is xmlns: and the prefix.
func declares(name, prefix []byte) bool {
	return len(name) == 6+len(prefix) && string(name[:6]) == "xmlns:" && bytes.Equal(name[6:], prefix)
}

// AppendStandalone appends the element as a document of its own: what it and
// its children use of outer declarations, and the language around it, stand on
// its start tag.
func (e Element) AppendStandalone(dst []byte) []byte {
	dst = append(dst, e.doc[e.off:e.nameEnd]...)
	own := map[string]bool{}
	for t := (tagAttrs{doc: e.doc, next: e.nameEnd}); t.more(); {
		own[string(t.name())] = true
	}
	outer := e.outer()
	names := make([]string, 0, len(outer))
	for name := range outer {
		if !own[name] && (name == "xmlns" || name == "xml:lang" || e.mentions(name[len("xmlns:"):])) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		dst = append(append(append(dst, ' '), name...), "='"...)
		dst = append(AppendEscaped(dst, outer[name]), '\'')
	}
	return append(dst, e.doc[e.nameEnd:e.end]...)
}

// mentions says whether "prefix:" stands anywhere in the element.
func (e Element) mentions(prefix string) bool {
	return bytes.Contains(e.doc[e.off:e.end], append([]byte(prefix), ':'))
}

// outer collects the declarations and the language in force around e, decoded,
// by attribute name.
func (e Element) outer() map[string]string {
	m := map[string]string{}
	if e.scope != nil {
		for _, d := range e.scope.Decls {
			name := "xmlns"
			if d.Prefix != "" {
				name += ":" + d.Prefix
			}
			m[name] = d.URI
		}
		if e.scope.Lang != "" {
			m["xml:lang"] = e.scope.Lang
		}
	}
	for p := uint32(0); p < e.off; {
		_, end, _ := scanName(e.doc, int(p+1))
		t := tagAttrs{doc: e.doc, next: uint32(end)}
		for t.more() {
			if n := string(t.name()); n == "xmlns" || n == "xml:lang" || (len(n) > 6 && n[:6] == "xmlns:") {
				m[n] = Unescape(t.value())
			}
		}
		p = e.holder(t.next, e.off)
	}
	if m["xmlns"] == "" {
		delete(m, "xmlns")
	}
	return m
}

// holder finds, from p on, the element that begins at off or holds it.
func (e Element) holder(p, off uint32) uint32 {
	for {
		p += uint32(bytes.IndexByte(e.doc[p:], '<'))
		if e.doc[p+1] == '!' {
			p += uint32(bytes.Index(e.doc[p:], []byte("]]>"))) + 3
			continue
		}
		end := elementEnd(e.doc, p)
		if end > off {
			return p
		}
		p = end
	}
}

// elementEnd gives the place after the element at p of a scanned document.
func elementEnd(doc []byte, p uint32) uint32 {
	depth := 0
	for {
		p += uint32(bytes.IndexByte(doc[p:], '<'))
		switch doc[p+1] {
		case '!':
			p += uint32(bytes.Index(doc[p:], []byte("]]>"))) + 3
			continue
		case '/':
			depth--
			p += uint32(bytes.IndexByte(doc[p:], '>')) + 1
		default:
			p = tagClose(doc, p)
			if doc[p-2] != '/' {
				depth++
			}
		}
		if depth == 0 {
			return p
		}
	}
}

// tagClose gives the place after the '>' of the start tag at p.
func tagClose(doc []byte, p uint32) uint32 {
	for {
		switch c := doc[p]; c {
		case '>':
			return p + 1
		case '"', '\'':
			p += uint32(bytes.IndexByte(doc[p+1:], c)) + 1
		}
		p++
	}
}

// tagAttrs walks over the attributes of a start tag that was scanned before.
type tagAttrs struct {
	doc         []byte
	next        uint32 // where to go on; after more said no: after the '>'
	at, atEnd   uint32 // the name
	val, valEnd uint32 // the value
}

// more moves to the next attribute; false at the end of the tag.
func (t *tagAttrs) more() bool {
	b, p := t.doc, t.next
	for isSpace(b[p]) {
		p++
	}
	switch b[p] {
	case '/':
		t.next = p + 2
		return false
	case '>':
		t.next = p + 1
		return false
	}
	t.at = p
	for b[p] != '=' && !isSpace(b[p]) {
		p++
	}
	t.atEnd = p
	for b[p] != '"' && b[p] != '\'' {
		p++
	}
	t.val = p + 1
	t.valEnd = t.val + uint32(bytes.IndexByte(b[p+1:], b[p]))
	t.next = t.valEnd + 1
	return true
}

func (t *tagAttrs) name() []byte  { return t.doc[t.at:t.atEnd] }
func (t *tagAttrs) value() []byte { return t.doc[t.val:t.valEnd:t.valEnd] }
