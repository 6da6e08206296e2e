package sasl

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var errPassword = errors.New("the password is empty or has characters that are not allowed")

// preparePassword prepares a password by SASLprep (RFC 4013), which SCRAM asks for (RFC 5802 §2.2) and clients do: what is mapped to nothing goes, all
// spaces become U+0020, NFKC, and control characters are refused. Two of its rules are left out, as PRECIS does today (RFC 8265 §4.2): characters that
// Unicode 3.2 did not have, such as emoji, are allowed, and text may run in both directions.
func preparePassword(s string) (string, error) {
	if s == "" {
		return "", errPassword
	}
	if printable(s) {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", errPassword
	}
	s = norm.NFKC.String(strings.Map(func(r rune) rune {
		switch {
		case r != ' ' && unicode.Is(unicode.Zs, r) || r == 0x200B: // RFC 3454 C.1.2
			return ' '
		case unicode.Is(toNothing, r):
			return -1
		}
		return r
	}, s))
	if s == "" || strings.ContainsFunc(s, prohibited) {
		return "", errPassword
	}
	return s, nil
}

// printable tells whether s is printable ASCII, which SASLprep leaves as it is.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// prohibited are the characters of RFC 4013 §2.3.
func prohibited(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Co, unicode.Cs, unicode.Noncharacter_Code_Point, controls)
}

// toNothing are the characters of RFC 3454 B.1, but for U+200B, which RFC 4013 takes for a space first.
var toNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00AD, Hi: 0x00AD, Stride: 1}, {Lo: 0x034F, Hi: 0x034F, Stride: 1}, {Lo: 0x1806, Hi: 0x1806, Stride: 1}, {Lo: 0x180B, Hi: 0x180D, Stride: 1},
		{Lo: 0x200C, Hi: 0x200D, Stride: 1}, {Lo: 0x2060, Hi: 0x2060, Stride: 1}, {Lo: 0xFE00, Hi: 0xFE0F, Stride: 1}, {Lo: 0xFEFF, Hi: 0xFEFF, Stride: 1},
	},
	LatinOffset: 1,
}

// controls are the characters of RFC 3454 C.2.2 and C.6 to C.9 that have no category of their own.
var controls = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0340, Hi: 0x0341, Stride: 1}, {Lo: 0x06DD, Hi: 0x06DD, Stride: 1}, {Lo: 0x070F, Hi: 0x070F, Stride: 1}, {Lo: 0x180E, Hi: 0x180E, Stride: 1},
		{Lo: 0x200E, Hi: 0x200F, Stride: 1}, {Lo: 0x2028, Hi: 0x202E, Stride: 1}, {Lo: 0x2061, Hi: 0x2063, Stride: 1}, {Lo: 0x206A, Hi: 0x206F, Stride: 1},
		{Lo: 0x2FF0, Hi: 0x2FFB, Stride: 1}, {Lo: 0xFFF9, Hi: 0xFFFD, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1D173, Hi: 0x1D17A, Stride: 1}, {Lo: 0xE0001, Hi: 0xE0001, Stride: 1}, {Lo: 0xE0020, Hi: 0xE007F, Stride: 1}},
}
