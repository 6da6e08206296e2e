package jid_test

import (
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
