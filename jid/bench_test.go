package jid_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
)

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, s string }{
		{"bare", "juliet@example.com"},
		{"full", "juliet@example.com/gajim.XK3P9Q2M"},
		{"upper", "Juliet@Example.com/gajim.XK3P9Q2M"},
		{"latin", "josé@example.com/gajim.XK3P9Q2M"},
		{"idn", "josé@münchen.example/gajim.XK3P9Q2M"},
		{"refused", "jul iet@example.com"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = jid.Parse(c.s)
			}
		})
	}
}

func BenchmarkParseBytes(b *testing.B) {
	in := []byte("juliet@example.com/gajim.XK3P9Q2M")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = jid.ParseBytes(in)
	}
}

func BenchmarkBare(b *testing.B) {
	j := jid.MustParse("juliet@example.com/gajim.XK3P9Q2M")
	b.ReportAllocs()
	for b.Loop() {
		if j.Bare() == j {
			b.Fatal(j)
		}
	}
}

// BenchmarkParseWorst is what a hostile peer can make one address cost.
func BenchmarkParseWorst(b *testing.B) {
	distinct := make([]rune, 2700)
	for i := range distinct {
		distinct[i] = rune(0x4e00 + i)
	}
	for _, c := range []struct{ name, s string }{
		{"local", strings.Repeat("Ａ", 2720) + "@b"},
		{"marks", strings.Repeat("e\u0301", 2700) + "@b"},
		{"a-label", "xn--" + strings.Repeat("a", 8000)},
		{"u-label", string(distinct)},
		{"labels", strings.Repeat("漢.", 2000)},
		{"resource", "b/" + strings.Repeat("\u3000", 2700)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = jid.Parse(c.s)
			}
		})
	}
}
