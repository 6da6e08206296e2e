package jid

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// prepareDomain prepares a domainpart (RFC 7622 §3.2): a domain name of NR-LDH labels and U-labels, lower-cased, without the dot of the root; an IPv4
// address; or an IPv6 address in brackets, written as RFC 5952 says.
//
// The steps: widths, case and normalisation of the whole (RFC 5895 §2) · the dot of the root goes · A-labels become U-labels · each label is checked by
// IDNA2008 (RFC 5891 §4.2) · the Bidi Rule, which binds all labels when one is right-to-left.
func prepareDomain(s string) (string, error) {
	if canonicalDomain(s) {
		return s, nil
	}
	if len(s) > maxRaw {
		return "", ErrTooLong
	}
	if strings.HasPrefix(s, "[") {
		return prepareIPv6(s)
	}
	if isASCII(s) {
		if l := strings.TrimSuffix(strings.ToLower(s), "."); canonicalDomain(l) {
			return l, nil
		}
	}
	d, ok := settle(identifiers, s)
	if !ok {
		return "", ErrDomain
	}
	if d = strings.TrimSuffix(d, "."); strings.Count(d, ".") > maxPart/2 {
		return "", ErrTooLong // before the work on each label
	}
	labels := strings.Split(d, ".")
	rtl := false
	for i, l := range labels {
		if labels[i], ok = label(l); !ok {
			return "", ErrDomain
		}
		rtl = rtl || bidirule.DirectionString(labels[i]) != bidi.LeftToRight
	}
	if rtl {
		for _, l := range labels {
			if !bidirule.ValidString(l) {
				return "", ErrDomain
			}
		}
	}
	if d = strings.Join(labels, "."); len(d) > maxPart {
		return "", ErrTooLong
	}
	return d, nil
}

// prepareIPv6 prepares an IP literal (RFC 3986 §3.2.2). Zones mean something on one host only and are refused.
func prepareIPv6(s string) (string, error) {
	in, ok := strings.CutSuffix(strings.TrimSuffix(s, "."), "]")
	if !ok {
		return "", ErrDomain
	}
	a, err := netip.ParseAddr(in[1:])
	if err != nil || !a.Is6() || a.Zone() != "" {
		return "", ErrDomain
	}
	return "[" + a.String() + "]", nil
}

// label checks a label that has gone through the mappings, and gives it as an NR-LDH label or a U-label.
func label(s string) (string, bool) {
	a := s // the ASCII form, which has the limit of the DNS
	if utf8.RuneCountInString(s) > maxLabel {
		return "", false // in ASCII it is longer still; and Punycode takes a time that grows with the square
	}
	if strings.HasPrefix(s, "xn--") {
		u, err := idna.Punycode.ToUnicode(s)
		if err != nil || isASCII(u) {
			return "", false
		}
		// An A-label stands for one U-label only, the one that the mappings leave alone.
		if m, ok := settle(identifiers, u); !ok || m != u {
			return "", false
		}
		s = u
	} else if isASCII(s) {
		return s, canonicalDomain(s)
	}
	back, err := idna.Punycode.ToASCII(s)
	if err != nil || len(back) > maxLabel || strings.HasPrefix(a, "xn--") && back != a {
		return "", false
	}
	return s, uLabel(s)
}

// uLabel tells whether s, mapped, is a U-label but for the Bidi Rule (RFC 5891 §4.2).
func uLabel(s string) bool {
	if !hyphensOfULabel(s) {
		return false
	}
	if first, _ := utf8.DecodeRuneInString(s); unicode.Is(unicode.M, first) {
		return false
	}
	for _, r := range s {
		if !pvalid(r) {
			return false
		}
	}
	// The contextual rules look at a label, so settle's look at the whole domain was not strict enough: あ.a・b has its Hiragana elsewhere.
	_, ok := settle(identifiers, s)
	return ok
}

// hyphensOfULabel tells whether the hyphens of a U-label are at good places (RFC 5891 §4.2.3.1).
func hyphensOfULabel(s string) bool {
	if strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return false
	}
	rs := []rune(s)
	return len(rs) < 4 || rs[2] != '-' || rs[3] != '-'
}

// pvalid tells whether r may stand in a U-label (RFC 5892 §3), for an r that the PRECIS IdentifierClass allows already: that class is built of the same
// rules, but it does not know the categories LDH, IgnorableBlocks and Unstable.
func pvalid(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return ascii[r]&okLabel != 0
	case r == 'ß', r == 'ς', r == 0x200C, r == 0x200D: // exceptions and joiners: their contexts are checked by the class (RFC 5892 §2.6, §2.8)
		return true
	case unicode.In(r, ignorableBlocks):
		return false
	}
	s := string(r)
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) == s // RFC 5892 §2.2
}

// ignorableBlocks: combining marks for symbols, musical symbols, ancient Greek musical notation (RFC 5892 §2.4).
var ignorableBlocks = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x20D0, Hi: 0x20FF, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1D100, Hi: 0x1D1FF, Stride: 1}, {Lo: 0x1D200, Hi: 0x1D24F, Stride: 1}},
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
