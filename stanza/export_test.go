package stanza

// Prefix resolves a prefix inside of an element, for comparing attributes.
func (e Element) Prefix(prefix string) string {
	for t := (tagAttrs{doc: e.doc, next: e.nameEnd}); t.more(); {
		if string(t.name()) == "xmlns:"+prefix {
			return Unescape(t.value())
		}
	}
	r := e.lookup([]byte(prefix))
	if r.off == 0 {
		return refString(e.scope, r)
	}
	return Unescape(refBytes(e.doc, e.scope, r))
}
