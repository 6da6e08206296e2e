package stanza

// XML writes elements made by the server. Names and attribute names are
// written as they stand, values and text are escaped. The zero value is ready.
type XML struct {
	b    []byte
	open []string // names whose end tag is owed
	tag  bool     // the last start tag still lacks its '>'
}

// Start opens an element. attrs are name, value pairs; an xmlns is one of them.
func (x *XML) Start(name string, attrs ...string) *XML {
	x.shut()
	x.b = append(append(x.b, '<'), name...)
	for i := 0; i+1 < len(attrs); i += 2 {
		x.Attr(attrs[i], attrs[i+1])
	}
	x.open = append(x.open, name)
	x.tag = true
	return x
}

// Attr adds an attribute to the element just started.
func (x *XML) Attr(name, value string) *XML {
	x.b = append(append(append(x.b, ' '), name...), '=', '\'')
	x.b = append(AppendEscaped(x.b, value), '\'')
	return x
}

// Empty writes an element without content.
func (x *XML) Empty(name string, attrs ...string) *XML { return x.Start(name, attrs...).End() }

// Element writes an element with text only.
func (x *XML) Element(name, text string, attrs ...string) *XML {
	return x.Start(name, attrs...).Text(text).End()
}

// Text writes character data, escaped.
func (x *XML) Text(s string) *XML {
	if s != "" {
		x.shut()
		x.b = AppendEscaped(x.b, s)
	}
	return x
}

// Raw writes XML that is well-formed already.
func (x *XML) Raw(b []byte) *XML {
	if len(b) > 0 {
		x.shut()
		x.b = append(x.b, b...)
	}
	return x
}

// End closes the innermost open element; without one it does nothing.
func (x *XML) End() *XML {
	n := len(x.open) - 1
	if n < 0 {
		return x
	}
	if x.tag {
		x.b = append(x.b, '/', '>')
		x.tag = false
	} else {
		x.b = append(append(append(x.b, '<', '/'), x.open[n]...), '>')
	}
	x.open = x.open[:n]
	return x
}

// Bytes closes what is open and gives the bytes written so far.
func (x *XML) Bytes() []byte {
	for len(x.open) > 0 {
		x.End()
	}
	return x.b
}

// Reset forgets everything but keeps the memory.
func (x *XML) Reset() *XML {
	x.b, x.open, x.tag = x.b[:0], x.open[:0], false
	return x
}

// shut writes the '>' of a start tag that has content after all.
func (x *XML) shut() {
	if x.tag {
		x.b = append(x.b, '>')
		x.tag = false
	}
}
