package jid_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/jid"
)

// slow is the oracle: RFC 7622 by the letter, with the profiles applied to every part and no short cuts.
func slow(s string) (local, domain, resource string, ok bool) {
	s, resource, full := strings.Cut(s, "/")
	local, domain, named := strings.Cut(s, "@")
	if !named {
		local, domain = "", s
	}
	if named {
		if local, ok = slowLocal(local); !ok || local == "" {
			return "", "", "", false
		}
	}
	if full {
		if resource, ok = repeat(precis.OpaqueString.String, resource); !ok || resource == "" {
			return "", "", "", false
		}
	}
	domain, ok = slowDomain(domain)
	return local, domain, resource, ok && len(local) <= 1023 && len(domain) <= 1023 && len(resource) <= 1023
}

func slowLocal(s string) (string, bool) {
	f := precis.UsernameCaseMapped.String
	if !rtl(s) { // the profile applies the Bidi Rule to more than the RFC says
		f = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC)).String
	}
	s, ok := repeat(f, s)
	return s, ok && !strings.ContainsAny(s, "\"&'/:<>@")
}

func repeat(f func(string) (string, error), s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	for range 4 {
		t, err := f(s)
		if err != nil {
			return "", false
		}
		if s == t {
			return s, true
		}
		s = t
	}
	return "", false
}

// registry is what IDNA2008 lets be registered, but for symbols and the contexts, of which UTS 46 knows less, and for hyphens, whose places package idna
// counts in bytes.
var registry = idna.New(idna.ValidateForRegistration(), idna.BidiRule(), idna.VerifyDNSLength(false), idna.CheckHyphens(false))

func slowDomain(s string) (string, bool) {
	if in, ok := strings.CutPrefix(s, "["); ok {
		in, ok = strings.CutSuffix(strings.TrimSuffix(in, "."), "]")
		a, err := netip.ParseAddr(in)
		return "[" + a.String() + "]", ok && err == nil && a.Is6() && a.Zone() == ""
	}
	s, ok := repeat(func(s string) (string, error) {
		return norm.NFC.String(cases.Lower(language.Und, cases.HandleFinalSigma(false)).String(width.Fold.String(s))), nil
	}, s)
	s = strings.TrimSuffix(s, ".")
	if !ok || s == "" || strings.HasSuffix(s, ".") || strings.HasPrefix(s, ".") {
		return "", false
	}
	a, err := registry.ToASCII(s)
	if err != nil {
		return "", false
	}
	u, err := registry.ToUnicode(a)
	if err != nil {
		return "", false
	}
	contexts := precis.NewIdentifier()
	for l := range strings.SplitSeq(u, ".") {
		if _, err := contexts.String(l); err != nil || l == "" {
			return "", false
		}
		if rs := []rune(l); rs[0] == '-' || rs[len(rs)-1] == '-' || len(rs) > 3 && rs[2] == '-' && rs[3] == '-' {
			return "", false
		}
		if punycode, err := idna.Punycode.ToASCII(l); err != nil || len(punycode) > 63 {
			return "", false
		}
		for _, r := range l {
			if !slowPvalid(r) {
				return "", false
			}
		}
	}
	return u, true
}

// slowPvalid is RFC 5892 §3 in its order.
func slowPvalid(r rune) bool {
	s := string(r)
	switch {
	case strings.ContainsRune("ßς\u06fd\u06fe\u0f0b\u3007·\u0375\u05f3\u05f4・\u200c\u200d", r), 0x660 <= r && r <= 0x669, 0x6f0 <= r && r <= 0x6f9:
		return true
	case strings.ContainsRune("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b", r):
		return false
	case r < 0x80:
		return r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z'
	case norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) != s:
		return false
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.White_Space, unicode.Noncharacter_Code_Point):
		return false
	case 0x20d0 <= r && r <= 0x20ff, 0x1d100 <= r && r <= 0x1d24f:
		return false
	case 0x1100 <= r && r <= 0x11ff, 0xa960 <= r && r <= 0xa97f, 0xd7b0 <= r && r <= 0xd7ff:
		return false
	}
	return unicode.In(r, unicode.Ll, unicode.Lu, unicode.Lo, unicode.Nd, unicode.Lm, unicode.Mn, unicode.Mc)
}

func rtl(s string) bool {
	return bidirule.DirectionString(norm.NFC.String(width.Fold.String(s))) != bidi.LeftToRight
}

// check compares Parse with the oracle and holds it to its promises.
func check(t interface{ Fatalf(string, ...any) }, s string) {
	j, err := jid.Parse(s)
	local, domain, resource, ok := slow(s)
	if ok != (err == nil) && len(s) < 1023 { // beyond it, what is too long before preparation is refused early
		t.Fatalf("Parse(%+q) = %+q, %v; by the profiles %+q, %+q, %+q, %v", s, j, err, local, domain, resource, ok)
	}
	if err != nil {
		if j != (jid.JID{}) {
			t.Fatalf("Parse(%+q) = %+q with an error", s, j)
		}
		return
	}
	if j.Local() != local || j.Domain() != domain || j.Resource() != resource {
		t.Fatalf("Parse(%+q) = %+q, %+q, %+q; by the profiles %+q, %+q, %+q", s, j.Local(), j.Domain(), j.Resource(), local, domain, resource)
	}
	if again, err := jid.Parse(j.String()); err != nil || again != j {
		t.Fatalf("Parse(%+q) = %+q; parsed again %+q, %v", s, j, again, err)
	}
	if again, err := jid.ParseBytes([]byte(s)); err != nil || again != j {
		t.Fatalf("ParseBytes(%+q) = %+q, %v; Parse %+q", s, again, err, j)
	}
	if again, err := jid.New(j.Local(), j.Domain(), j.Resource()); err != nil || again != j {
		t.Fatalf("New(%+q, %+q, %+q) = %+q, %v", j.Local(), j.Domain(), j.Resource(), again, err)
	}
	bare := j.Bare()
	if !bare.IsBare() || bare.IsFull() || j.IsFull() != (resource != "") || j.IsZero() {
		t.Fatalf("%+q is not what it is", j)
	}
	if again, err := bare.WithResource(j.Resource()); err != nil || again != j {
		t.Fatalf("%+q with %+q is %+q, %v", bare, j.Resource(), again, err)
	}
	if again, err := jid.Parse(bare.String()); err != nil || again != bare {
		t.Fatalf("the bare form of %+q is %+q, parsed again %+q, %v", j, bare, again, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"juliet@example.com/balcony", "Juliet@EXAMPLE.com.", "josé@münchen.de/☃ a", "ｊ＠b", "a@xn--mnchen-3ya.de", "a@[::1]/x", "אב@אב.com",
		"l·l@l·l.com", "ΑΣ@b", "ǅ@b", "a@b/\u3000", "a@b/e\u0301", "\u1e9e@\u1e9e", "ᾼ@b", "ﷺ@b", "か\u3099@b", "\u200d@b", "نامه\u200cای@b", "Ａ．ｂ．", "Ꭰ@ꭰ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 8000 {
			return
		}
		check(t, s)
	})
}

// TestOracle draws from the characters that have rules of their own, which a fuzzer of bytes seldom puts together.
func TestOracle(t *testing.T) {
	odd := []rune("aAlLzZ019-._ @/ßςσΣİıǅŉ·\u0375\u05f3\u05f4・かカ漢\u200c\u200d\u0301\u0345\u094d\u0660\u06f0אبج\u0640１ａＡ．＠／。\u3000\u00a0\u1100\u1161\u11a8가♚😀ꭰᎠ\u20d0\u1e9e\ufb01²\ufffd\u0378ⅣĿﷺ")
	part := func(max int) *rapid.Generator[string] {
		return rapid.OneOf(
			rapid.StringOfN(rapid.SampledFrom(odd), 0, max, -1),
			rapid.StringOfN(rapid.SampledFrom([]rune("abC9-.é")), 0, max, -1),
			rapid.StringN(0, max, -1),
			rapid.Map(rapid.StringOfN(rapid.SampledFrom(odd), 0, 4, -1), func(s string) string {
				a, _ := idna.Punycode.ToASCII(s)
				return a
			}),
		)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := part(6).Draw(t, "domain")
		if rapid.Bool().Draw(t, "named") {
			s = part(6).Draw(t, "local") + "@" + s
		}
		if rapid.Bool().Draw(t, "full") {
			s += "/" + part(6).Draw(t, "resource")
		}
		check(t, s)
	})
}

// TestRunes tries every character of the first two planes, and some of the others, in every part.
func TestRunes(t *testing.T) {
	step := rune(1)
	for r := rune(0); r <= unicode.MaxRune; r += step {
		if r >= 0x20000 {
			step = 61
		}
		check(t, "a"+string(r)+"@b")
		check(t, "a"+string(r)+"b")
		check(t, "a/"+string(r))
	}
}

// TestLengths compares with the oracle about the limits of a part.
func TestLengths(t *testing.T) {
	for _, unit := range []string{"a", "é", "漢", "ａ", "e\u0301", "𠀀"} {
		for n := 1023/len(unit) - 1; n <= 1024; n++ {
			s := strings.Repeat(unit, n)
			_, localErr := jid.New(s, "b", "")
			_, resourceErr := jid.New("", "b", s)
			local, ok := slowLocal(s)
			if (localErr == nil) != (ok && len(local) <= 1023) {
				t.Fatalf("%d × %q as localpart: %v", n, unit, localErr)
			}
			resource, ok := repeat(precis.OpaqueString.String, s)
			if (resourceErr == nil) != (ok && len(resource) <= 1023) {
				t.Fatalf("%d × %q as resourcepart: %v", n, unit, resourceErr)
			}
		}
	}
}
