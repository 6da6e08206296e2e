package stanza

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// tag reads the tag or CDATA start at sc.pos, a '<'. more is false when the
// bytes ended before it did.
func (sc *Scanner) tag(b []byte) (more bool, err error) {
	p := sc.pos
	if p+1 >= len(b) {
		return false, nil
	}
	var next int
	switch b[p+1] {
	case '/':
		if len(sc.stack) == 0 {
			return false, malformed("end tag without start tag")
		}
		next, err = sc.endTag(b, p)
	case '!':
		return sc.cdataStart(b)
	case '?':
		return false, refuse("restricted-xml", "processing instruction")
	default:
		next, err = sc.startTag(b, p)
	}
	if err != nil {
		return false, err
	}
	if next == 0 {
		sc.mode, sc.quote, sc.seek = inTag, 0, p+1
		return sc.tagEnd(b)
	}
	sc.pos = next
	return true, nil
}

// tagEnd goes on looking for the '>' of a tag that was cut, passing over
// quoted values, and reads the tag once when it is there: dripped bytes cost
// no more than bytes in one piece.
func (sc *Scanner) tagEnd(b []byte) (more bool, err error) {
	p := sc.seek
	for p < len(b) {
		if sc.quote != 0 {
			i := bytes.IndexByte(b[p:], sc.quote)
			if i < 0 {
				p = len(b)
				break
			}
			p, sc.quote = p+i+1, 0
			continue
		}
		c := b[p]
		p++
		if c == '"' || c == '\'' {
			sc.quote = c
		} else if c == '>' {
			return sc.wholeTag(b[:p])
		}
	}
	sc.seek = p
	return false, nil
}

// wholeTag reads the tag that b ends with.
func (sc *Scanner) wholeTag(b []byte) (more bool, err error) {
	var next int
	sc.mode = inText
	if b[sc.pos+1] == '/' {
		next, err = sc.endTag(b, sc.pos)
	} else {
		next, err = sc.startTag(b, sc.pos)
	}
	if err == nil && next == 0 {
		err = malformed("tag")
	}
	if err != nil {
		return false, err
	}
	sc.pos = next
	return true, nil
}

// cdataStart reads <![CDATA[; everything else that begins so is forbidden.
func (sc *Scanner) cdataStart(b []byte) (more bool, err error) {
	const start = "<![CDATA["
	rest := b[sc.pos:]
	n := min(len(rest), len(start))
	if len(sc.stack) == 0 || string(rest[:n]) != start[:n] {
		return false, refuse("restricted-xml", "comment or document type")
	}
	if n < len(start) {
		return false, nil
	}
	sc.pos, sc.mode = sc.pos+n, inCDATA
	return true, nil
}

// endTag reads the end tag at p; 0 when it is cut.
func (sc *Scanner) endTag(b []byte, p int) (next int, err error) {
	top := sc.stack[len(sc.stack)-1]
	name := b[top.name:top.nameEnd]
	q := p + 2 + len(name)
	if q >= len(b) {
		if !bytes.HasPrefix(name, b[p+2:]) {
			return 0, malformed("end tag does not match its start tag")
		}
		return 0, nil
	}
	if !bytes.Equal(b[p+2:q], name) {
		return 0, malformed("end tag does not match its start tag")
	}
	for b[q] != '>' {
		if !isSpace(b[q]) {
			return 0, malformed("end tag does not match its start tag")
		}
		if q++; q == len(b) {
			return 0, nil
		}
	}
	sc.pop(uint32(p), uint32(q+1))
	return q + 1, nil
}

// startTag reads the start tag at p with its attributes; 0 when it is cut.
func (sc *Scanner) startTag(b []byte, p int) (next int, err error) {
	colon, q, err := scanName(b, p+1)
	if q == 0 || err != nil {
		return 0, err
	}
	nameEnd := q
	sc.attrs = sc.attrs[:0]
	for {
		from := q
		for q < len(b) && isSpace(b[q]) {
			q++
		}
		if q == len(b) {
			return 0, nil
		}
		if b[q] == '>' {
			return q + 1, sc.push(b, p, colon, nameEnd, q+1, false)
		}
		if b[q] == '/' {
			if q+1 == len(b) {
				return 0, nil
			}
			if b[q+1] != '>' {
				return 0, malformed("'/' in a tag")
			}
			return q + 2, sc.push(b, p, colon, nameEnd, q+2, true)
		}
		if q == from {
			return 0, malformed("attributes are not separated")
		}
		if q, err = sc.attribute(b, q); q == 0 || err != nil {
			return 0, err
		}
	}
}

// attribute reads the attribute at p and notes it; 0 when it is cut.
func (sc *Scanner) attribute(b []byte, p int) (next int, err error) {
	colon, q, err := scanName(b, p)
	if q == 0 || err != nil {
		return 0, err
	}
	a := attr{name: uint32(p), colon: uint32(colon), nameEnd: uint32(q)}
	for q < len(b) && isSpace(b[q]) {
		q++
	}
	if q == len(b) {
		return 0, nil
	}
	if b[q] != '=' {
		return 0, malformed("attribute without value")
	}
	q++
	for q < len(b) && isSpace(b[q]) {
		q++
	}
	if q == len(b) {
		return 0, nil
	}
	quote := b[q]
	if quote != '\'' && quote != '"' {
		return 0, malformed("attribute value without quotes")
	}
	a.value = uint32(q + 1)
	if q, err = scanValue(b, q+1, quote); q == 0 || err != nil {
		return 0, err
	}
	a.valueEnd = uint32(q)
	return q + 1, sc.noteAttr(b, a)
}

// noteAttr keeps an attribute of the tag being read, unless it is there
// already (XML 1.0 §3.1).
func (sc *Scanner) noteAttr(b []byte, a attr) error {
	name := b[a.name:a.nameEnd]
	for i := range sc.attrs {
		o := &sc.attrs[i]
		if o.nameEnd-o.name == a.nameEnd-a.name && b[o.name] == name[0] && bytes.Equal(b[o.name:o.nameEnd], name) {
			return malformed("attribute twice")
		}
	}
	if len(sc.attrs) >= sc.lim.Attrs {
		return refuse("policy-violation", "too many attributes")
	}
	if len(name) >= 5 && string(name[:5]) == "xmlns" && (len(name) == 5 || name[5] == ':') {
		a.decl = true
	}
	sc.attrs = append(sc.attrs, a)
	return nil
}

// scanValue validates an attribute value from p to its closing quote, whose
// place it gives; 0 when the value is cut.
func scanValue(b []byte, p int, quote byte) (end int, err error) {
	wall := uint64(quote) * ones
	for {
		for p+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[p:])
			m := (x-blanks)&^x&highs | x&highs | zeros(x^lesses) | zeros(x^amps) | zeros(x^wall)
			if m != 0 {
				p += bits.TrailingZeros64(m) / 8
				break
			}
			p += 8
		}
		if p >= len(b) {
			return 0, nil
		}
		n := 1
		switch byteClass[b[p]] {
		case quotes:
			if b[p] == quote {
				return p, nil
			}
		case less:
			err = malformed("'<' in an attribute value")
		case amp:
			n, err = reference(b[p:])
		default:
			n, err = character(b[p:])
		}
		if n == 0 || err != nil {
			return 0, err
		}
		p += n
	}
}
