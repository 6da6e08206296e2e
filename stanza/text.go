package stanza

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxReference bounds &…; so that one cut by the end of a buffer is read again
// at little cost.
const maxReference = 64

// What a byte means in character data and in an attribute value.
const (
	plain  byte = iota
	less        // <
	amp         // &
	square      // ]
	quotes      // ' and "
	high        // part of a longer UTF-8 sequence
	space       // tab, line feed, carriage return
	bad         // a control character
)

// byteClass sorts all bytes by what they mean.
var byteClass = func() (t [256]byte) {
	for c := range t {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
			t[c] = space
		case c < ' ':
			t[c] = bad
		case c >= utf8.RuneSelf:
			t[c] = high
		}
	}
	t['<'], t['&'], t[']'], t['\''], t['"'] = less, amp, square, quotes, quotes
	return t
}()

// Eight bytes at once: each constant holds one byte eight times.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	blanks = ones * ' '
	lesses = ones * '<'
	amps   = ones * '&'
	closes = ones * ']'
)

// zeros marks the zero bytes of x; the lowest mark is exact, those above it
// may be false.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// skipText passes over bytes that mean nothing in character data.
func skipText(b []byte, p int) int {
	for p+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[p:])
		m := (x-blanks)&^x&highs | x&highs | zeros(x^lesses) | zeros(x^amps) | zeros(x^closes)
		if m != 0 {
			return p + bits.TrailingZeros64(m)/8
		}
		p += 8
	}
	for p < len(b) && byteClass[b[p]] == plain {
		p++
	}
	return p
}

// text validates character data up to the next '<'. more is false when the
// bytes ended before.
func (sc *Scanner) text(b []byte) (more bool, err error) {
	p := sc.pos
	for {
		p = skipText(b, p)
		if p == len(b) {
			break
		}
		n := 1
		switch byteClass[b[p]] {
		case less:
			sc.pos = p
			return true, nil
		case amp:
			n, err = reference(b[p:])
		case square:
			n, err = bracket(b[p:])
		default:
			n, err = character(b[p:])
		}
		if n == 0 || err != nil {
			break
		}
		p += n
	}
	sc.pos = p
	return false, err
}

// character validates what b begins with, which nothing stands for but itself,
// and gives its length, or that of all UTF-8 sequences there; 0 when it is cut.
func character(b []byte) (int, error) {
	switch byteClass[b[0]] {
	case high:
		return sequences(b)
	case bad:
		return 0, malformed("character that XML does not allow")
	}
	return 1, nil
}

// bracket looks at a ']' in character data, where "]]>" must not stand
// (XML 1.0 §2.4); 0 when too few bytes are there to tell.
func bracket(b []byte) (int, error) {
	const end = "]]>"
	if len(b) < len(end) {
		if string(b) == end[:len(b)] {
			return 0, nil
		}
		return 1, nil
	}
	if string(b[:3]) == end {
		return 0, malformed("]]> outside of a CDATA section")
	}
	return 1, nil
}

// reference validates the &…; that b begins with and gives its length, or 0
// when it is cut.
func reference(b []byte) (int, error) {
	end := bytes.IndexByte(b[:min(len(b), maxReference)], ';')
	if end < 0 {
		if len(b) >= maxReference {
			return 0, refuse("policy-violation", "reference is too long")
		}
		if !referenceStart(b) {
			return 0, malformed("reference is not one")
		}
		return 0, nil
	}
	switch name := b[1:end]; string(name) {
	case "lt", "gt", "amp", "quot", "apos":
	default:
		if _, ok := charReference(name); !ok {
			return 0, malformed("reference to no character or an unknown entity")
		}
	}
	return end + 1, nil
}

// referenceStart says whether a cut reference may still become one.
func referenceStart(b []byte) bool {
	for i, c := range b[1:] {
		switch {
		case c == '#' && i == 0, c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z':
		default:
			return false
		}
	}
	return true
}

// sequences validates the UTF-8 sequences that b begins with and gives their
// length, 0 when the first one is cut.
func sequences(b []byte) (int, error) {
	p := 0
	for p < len(b) && b[p] >= utf8.RuneSelf {
		// The usual sequences, of which any continuation is right.
		if c := b[p]; c >= 0xC2 && c <= 0xDF {
			if p+1 < len(b) && b[p+1]&0xC0 == 0x80 {
				p += 2
				continue
			}
		} else if c > 0xE0 && c < 0xEF && c != 0xED {
			if p+2 < len(b) && b[p+1]&0xC0 == 0x80 && b[p+2]&0xC0 == 0x80 {
				p += 3
				continue
			}
		}
		r, n := utf8.DecodeRune(b[p:])
		if n == 1 {
			if !utf8.FullRune(b[p:]) {
				return p, nil
			}
			return 0, refuse("unsupported-encoding", "not UTF-8")
		}
		if r == 0xFFFE || r == 0xFFFF {
			return 0, malformed("character that XML does not allow")
		}
		p += n
	}
	return p, nil
}

// cdata validates a CDATA section up to its end (XML 1.0 §2.7).
func (sc *Scanner) cdata(b []byte) (more bool, err error) {
	const end = "]]>"
	p := sc.pos
	for p < len(b) {
		rest := b[p:]
		if n := min(len(rest), len(end)); string(rest[:n]) == end[:n] {
			if n < len(end) {
				break // it may be the end, cut
			}
			sc.pos, sc.mode = p+n, inText
			return true, nil
		}
		n, e := character(rest)
		if err = e; n == 0 || err != nil {
			break
		}
		p += n
	}
	sc.pos = p
	return false, err
}
