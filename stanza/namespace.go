package stanza

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// push enters the element whose start tag has just been read: b[p] is its '<',
// next the byte after its '>'. It declares what the tag declares, resolves
// every prefix and notes the root and its children for the views.
func (sc *Scanner) push(b []byte, p, colon, nameEnd, next int, empty bool) error {
	depth := len(sc.stack)
	if depth >= sc.lim.Depth {
		return refuse("policy-violation", "elements nested too deep")
	}
	o := open{name: uint32(p + 1), nameEnd: uint32(nameEnd), binds: len(sc.binds)}
	if depth > 0 {
		o.def, o.stream = sc.stack[depth-1].def, sc.stack[depth-1].stream
	} else if n := sc.scope.find(nil); n != 0 {
		o.def, o.stream = ref{0, n}, sc.scope.Decls[n-1].URI == NSStream
	}
	e := elem{off: uint32(p), tagEnd: uint32(next), name: uint32(p + 1), nameEnd: uint32(nameEnd)}
	prefixed, err := sc.declare(b, &o)
	if err != nil {
		return err
	}
	e.ns, e.def = o.def, o.def
	stream := o.stream
	if colon != 0 {
		e.name = uint32(colon + 1)
		if e.ns, stream, err = sc.resolve(b, b[p+1:colon]); err != nil {
			return err
		}
	}
	if prefixed > 0 {
		if err = sc.checkPrefixed(b, prefixed); err != nil {
			return err
		}
	}
	if depth > 0 && (stream || (colon != 0 && string(b[p+1:colon]) == "stream")) {
		return refuse("bad-namespace-prefix", "element of the stream prefix or namespace inside of another")
	}
	switch {
	case depth == 0:
		sc.root = e
		sc.st.noteHead(b, sc.attrs)
	case depth == 1:
		if sc.st.nchild < len(sc.st.child) {
			sc.st.child[sc.st.nchild] = e
		}
		sc.st.nchild++
	}
	sc.stack = append(sc.stack, o)
	if sc.header {
		sc.root.end, sc.mode = uint32(next), atEnd
	} else if empty {
		sc.pop(uint32(next), uint32(next))
	}
	return nil
}

// pop leaves the innermost element; from is where its end tag begins, end the
// byte after.
func (sc *Scanner) pop(from, end uint32) {
	depth := len(sc.stack) - 1
	sc.binds = sc.binds[:sc.stack[depth].binds]
	sc.stack = sc.stack[:depth]
	switch depth {
	case 0:
		sc.root.end, sc.st.bodyEnd, sc.mode = end, from, atEnd
	case 1:
		if sc.st.nchild <= len(sc.st.child) {
			sc.st.child[sc.st.nchild-1].end = end
		}
	}
}

// declare takes the declarations of the tag just read (Namespaces in XML 1.0
// §3) and counts its other attributes that have a prefix.
func (sc *Scanner) declare(b []byte, o *open) (prefixed int, err error) {
	for i := range sc.attrs {
		a := &sc.attrs[i]
		if !a.decl {
			if a.colon != 0 {
				prefixed++
			}
			continue
		}
		uri := b[a.value:a.valueEnd]
		if err = checkURI(uri); err != nil {
			return 0, err
		}
		r := ref{a.value, a.valueEnd - a.value}
		if len(uri) == 0 {
			r = ref{}
		}
		if a.colon == 0 {
			if uriIs(uri, nsXML) || uriIs(uri, nsXMLNS) {
				return 0, malformed("reserved namespace as the default one")
			}
			o.def, o.stream = r, uriIs(uri, NSStream)
			continue
		}
		if err = checkDecl(b[a.colon+1:a.nameEnd], uri); err != nil {
			return 0, err
		}
		if len(sc.binds) >= maxBinds {
			return 0, refuse("policy-violation", "too many namespace declarations")
		}
		sc.binds = append(sc.binds, bind{a.colon + 1, a.nameEnd, r, uriIs(uri, NSStream)})
	}
	return prefixed, nil
}

// checkDecl refuses what a prefix may not be declared as.
func checkDecl(prefix, uri []byte) error {
	switch {
	case len(uri) == 0:
		return malformed("prefix without namespace")
	case string(prefix) == "xmlns":
		return malformed("prefix xmlns declared")
	case (string(prefix) == "xml") != uriIs(uri, nsXML), uriIs(uri, nsXMLNS):
		return malformed("reserved prefix or namespace")
	}
	return nil
}

// maxURI bounds a namespace name, so that comparing those with references in
// them stays cheap.
const maxURI = 512

// noURI are the bytes that no URI has.
var noURI = func() (t [256]bool) {
	for c := range t {
		t[c] = c <= ' ' || c == 0x7F || (c < utf8.RuneSelf && strings.IndexByte("\"<>\\^{|}`", byte(c)) >= 0)
	}
	return t
}()

// checkURI refuses a namespace name with ASCII characters that no URI has
// (RFC 3986 §2). Many parsers join namespace and local name with one of them,
// and fail when they meet it.
func checkURI(raw []byte) error {
	s := raw
	if len(raw) > maxURI {
		return refuse("policy-violation", "namespace name is too long")
	}
	if bytes.IndexByte(raw, '&') >= 0 {
		s = appendDecoded(nil, raw, true)
	}
	for _, c := range s {
		if noURI[c] {
			return refuse("invalid-namespace", "namespace name is no URI")
		}
	}
	return nil
}

// resolve finds the namespace of a prefix that is used, innermost first, and
// says whether it is that of streams.
func (sc *Scanner) resolve(b, prefix []byte) (r ref, stream bool, err error) {
	for i := len(sc.binds) - 1; i >= 0; i-- {
		n := &sc.binds[i]
		if bytes.Equal(b[n.name:n.nameEnd], prefix) {
			return n.uri, n.stream, nil
		}
	}
	switch string(prefix) {
	case "xml":
		return refXML, false, nil
	case "xmlns":
		return ref{}, false, malformed("element with the prefix xmlns")
	}
	if n := sc.scope.find(prefix); n != 0 {
		sc.st.used |= 1 << (n - 1)
		return ref{0, n}, sc.scope.Decls[n-1].URI == NSStream, nil
	}
	return ref{}, false, malformed("prefix is not declared")
}

// checkPrefixed resolves the attributes with a prefix and refuses two of the
// same expanded name (Namespaces in XML 1.0 §6.3).
func (sc *Scanner) checkPrefixed(b []byte, n int) error {
	var few [8]ref
	refs := few[:0]
	for i := range sc.attrs {
		a := &sc.attrs[i]
		if a.decl || a.colon == 0 {
			continue
		}
		r, stream, err := sc.resolve(b, b[a.name:a.colon])
		if err != nil {
			return err
		}
		if stream {
			return refuse("bad-namespace-prefix", "attribute of the stream namespace")
		}
		if n == 1 {
			return nil
		}
		if err := sc.checkTwice(b, i, r, refs); err != nil {
			return err
		}
		refs = append(refs, r)
	}
	return nil
}

// checkTwice compares the i-th attribute, of namespace r, with the prefixed
// ones before it, whose namespaces are refs.
func (sc *Scanner) checkTwice(b []byte, i int, r ref, refs []ref) error {
	a := &sc.attrs[i]
	k := 0
	for j := range sc.attrs[:i] {
		o := &sc.attrs[j]
		if o.decl || o.colon == 0 {
			continue
		}
		if bytes.Equal(b[o.colon+1:o.nameEnd], b[a.colon+1:a.nameEnd]) && sameRef(b, sc.scope, refs[k], r) {
			return malformed("attribute twice")
		}
		k++
	}
	return nil
}

// refBytes gives the namespace a ref stands for, raw.
func refBytes(doc []byte, scope *Scope, r ref) []byte {
	switch {
	case r.off != 0:
		return doc[r.off : r.off+r.len]
	case r.len == 0:
		return nil
	default:
		return []byte(refString(scope, r))
	}
}

// refString gives the namespace of a ref that does not lie in the document.
func refString(scope *Scope, r ref) string {
	switch {
	case r == refXML:
		return nsXML
	case scope != nil && r.len >= 1 && int(r.len) <= len(scope.Decls):
		return scope.Decls[r.len-1].URI
	}
	return ""
}

// refIs says whether a ref stands for this namespace, without allocating.
func refIs(doc []byte, scope *Scope, r ref, ns string) bool {
	if r.off != 0 {
		return uriIs(doc[r.off:r.off+r.len], ns)
	}
	return refString(scope, r) == ns
}

// sameRef says whether two refs stand for the same namespace.
func sameRef(doc []byte, scope *Scope, a, b ref) bool {
	if a == b {
		return true
	}
	if b.off == 0 {
		a, b = b, a
	}
	if a.off == 0 {
		return refIs(doc, scope, b, refString(scope, a))
	}
	raw := doc[a.off : a.off+a.len]
	if bytes.IndexByte(raw, '&') >= 0 {
		raw = appendDecoded(nil, raw, true)
	}
	return refIs(doc, scope, b, string(raw))
}

// uriIs compares a raw attribute value with a decoded string.
func uriIs(raw []byte, s string) bool {
	if len(raw) == len(s) {
		return string(raw) == s && bytes.IndexByte(raw, '&') < 0
	}
	return len(raw) > len(s) && bytes.IndexByte(raw, '&') >= 0 && string(appendDecoded(nil, raw, true)) == s
}
