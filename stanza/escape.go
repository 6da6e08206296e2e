package stanza

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// AppendEscaped appends s as character data that also stands in an attribute
// of either quote. Characters XML cannot carry, and broken UTF-8, become
// U+FFFD, so that no string can break a stream.
func AppendEscaped(dst []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plainText[c] {
				i++
				continue
			}
			dst = append(append(dst, s[last:i]...), escapeOf(c)...)
			i++
			last = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && n == 1) || r == 0xFFFE || r == 0xFFFF {
			dst = append(append(dst, s[last:i]...), "\uFFFD"...)
			last = i + n
		}
		i += n
	}
	return append(dst, s[last:]...)
}

// escapeOf is what a byte that may not stand for itself is written as.
func escapeOf(c byte) string {
	switch c {
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '&':
		return "&amp;"
	case '"':
		return "&quot;"
	case '\'':
		return "&apos;"
	case '\t':
		return "&#9;"
	case '\n':
		return "&#10;"
	case '\r':
		return "&#13;"
	default:
		return "\uFFFD"
	}
}

// plainText says which ASCII bytes stand for themselves everywhere.
var plainText = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= ' ' && !strings.ContainsRune(`<>&"'`, rune(c))
	}
	return t
}()

// Unescape decodes a raw attribute value as a parser would: references
// resolved, white space normalised (XML 1.0 §3.3.3). The bytes must come from
// a scanned document.
func Unescape(raw []byte) string {
	for _, c := range raw {
		if class := byteClass[c]; class == amp || class == space {
			return string(appendDecoded(make([]byte, 0, len(raw)), raw, true))
		}
	}
	return string(raw)
}

// appendDecoded appends raw with references resolved and line ends as
// XML 1.0 §2.11 wants them. attr: white space becomes blanks (§3.3.3).
func appendDecoded(dst, raw []byte, attr bool) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case '&':
			end := bytes.IndexByte(raw[i:], ';')
			if end < 0 {
				return append(dst, raw[i:]...)
			}
			dst = appendReference(dst, raw[i+1:i+end])
			i += end + 1
		case '\r':
			if attr {
				dst = append(dst, ' ')
			} else {
				dst = append(dst, '\n')
			}
			i++
			if i < len(raw) && raw[i] == '\n' {
				i++
			}
		case '\n', '\t':
			if attr {
				c = ' '
			}
			dst = append(dst, c)
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// appendReference appends what &name; stands for.
func appendReference(dst, name []byte) []byte {
	switch string(name) {
	case "lt":
		return append(dst, '<')
	case "gt":
		return append(dst, '>')
	case "amp":
		return append(dst, '&')
	case "quot":
		return append(dst, '"')
	case "apos":
		return append(dst, '\'')
	}
	r, ok := charReference(name)
	if !ok {
		r = utf8.RuneError
	}
	return utf8.AppendRune(dst, r)
}

// charReference reads the inside of &#…; and says whether it is a character
// XML may carry (XML 1.0 §4.1).
func charReference(name []byte) (rune, bool) {
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := name[1:], rune(10)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	if len(digits) == 0 {
		return 0, false
	}
	var r rune
	for _, c := range digits {
		var d rune
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case base == 16 && c >= 'a' && c <= 'f':
			d = rune(c-'a') + 10
		case base == 16 && c >= 'A' && c <= 'F':
			d = rune(c-'A') + 10
		default:
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, isChar(r)
}

// isChar says whether XML 1.0 §2.2 allows the character.
func isChar(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r <= 0xD7FF:
		return true
	case r < 0xE000:
		return false
	case r <= 0xFFFD:
		return true
	default:
		return r >= 0x10000 && r <= utf8.MaxRune
	}
}
