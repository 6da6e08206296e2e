package jid

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// identifiers is UsernameCaseMapped (RFC 8265 §3.3) without its directionality rule. precis.UsernameCaseMapped applies the Bidi Rule to all strings that are
// not ASCII, and so refuses "2josé" and "josé-"; the RFC applies it only to those with right-to-left characters. prepareLocal does that.
var identifiers = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// settle applies a profile until the result stays as it is (RFC 8264 §7 and RFC 8266 §2.1: at most three times more), so that a prepared string is always
// its own preparation. It refuses what is not UTF-8 beforehand: the profiles replace it.
func settle(p *precis.Profile, s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	for range 4 {
		t, err := p.String(s)
		if err != nil {
			return "", false
		}
		if t == s {
			return s, true
		}
		s = t
	}
	return "", false
}

// prepareLocal prepares a localpart (RFC 7622 §3.3).
func prepareLocal(s string) (string, error) {
	if canonicalLocal(s) {
		return s, nil
	}
	if len(s) > maxRaw {
		return "", ErrTooLong
	}
	if isASCII(s) {
		if l := strings.ToLower(s); canonicalLocal(l) {
			return l, nil
		}
	}
	p, ok := settle(identifiers, s)
	// Folding of widths may have made a forbidden character: U+FF20 becomes @. So this comes after it.
	if !ok || p == "" || strings.ContainsAny(p, "\"&'/:<>@") || !directed(p) {
		return "", ErrLocal
	}
	if len(p) > maxPart {
		return "", ErrTooLong
	}
	return p, nil
}

// prepareResource prepares a resourcepart (RFC 7622 §3.4).
func prepareResource(s string) (string, error) {
	if canonicalResource(s) {
		return s, nil
	}
	if len(s) > maxRaw {
		return "", ErrTooLong
	}
	p, ok := settle(precis.OpaqueString, s)
	if !ok || p == "" {
		return "", ErrResource
	}
	if len(p) > maxPart {
		return "", ErrTooLong
	}
	return p, nil
}

// directed tells whether s satisfies the Bidi Rule (RFC 5893 §2), which only binds strings with right-to-left characters (RFC 8264 §5.2.5).
func directed(s string) bool {
	return bidirule.DirectionString(s) == bidi.LeftToRight || bidirule.ValidString(s)
}
