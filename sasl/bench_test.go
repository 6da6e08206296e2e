package sasl_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/sasl"
)

// BenchmarkServer is all that the server's end computes of a sign-in, with the messages of the client ready made.
func BenchmarkServer(b *testing.B) {
	known, plus := account("anna", "right", 4096), slices.Sorted(slices.Values(plus))
	nobody := func(string) (sasl.Credentials, error) { return sasl.Credentials{}, nil }
	for _, c := range []struct {
		name, mech string
		lookup     func(string) (sasl.Credentials, error)
	}{
		{"SHA1", sasl.SCRAMSHA1, known}, {"SHA256", sasl.SCRAMSHA256, known}, {"SHA256-PLUS", sasl.SCRAMSHA256Plus, known}, {"SHA256-unknown", sasl.SCRAMSHA256, nobody},
	} {
		b.Run(c.name, func(b *testing.B) {
			types := []string{sasl.TLSExporter}
			cfg := sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: c.lookup, Secret: secret, Binding: channel, Types: types}
			var first, final []byte
			cl := client(b, c.mech, sasl.ClientConfig{Local: "anna", Password: "right", Binding: channel, Types: types, Offered: plus})
			s := server(b, c.mech, cfg)
			s.FixNonce("server")
			play(cl, s, func(n int, m []byte) []byte {
				switch n {
				case 0:
					first = m
				case 2:
					final = m
				}
				return m
			})
			b.ReportAllocs()
			for b.Loop() {
				s := server(b, c.mech, cfg)
				s.FixNonce("server")
				if _, _, err := s.Step(first); err != nil {
					b.Fatal(err)
				}
				if _, done, err := s.Step(final); done != (err == nil) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkExchange is an exchange with kept keys, both ends.
func BenchmarkExchange(b *testing.B) {
	k, err := sasl.DeriveClient(sasl.SCRAMSHA256, "right", 4096, []byte("salt of "+sasl.SCRAMSHA256))
	if err != nil {
		b.Fatal(err)
	}
	scfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "right", 4096), Secret: secret}
	ccfg := sasl.ClientConfig{Local: "anna", Keys: &k, Offered: offered}
	b.ReportAllocs()
	for b.Loop() {
		if clientDone, serverDone, _, _ := play(client(b, sasl.SCRAMSHA256, ccfg), server(b, sasl.SCRAMSHA256, scfg), nil); !clientDone || !serverDone {
			b.Fatal("not signed in")
		}
	}
}

func BenchmarkPlain(b *testing.B) {
	for _, c := range []struct{ name, in string }{{"known", "\x00anna\x00right"}, {"unknown", "\x00bert\x00right"}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "right", 4096), Secret: secret}
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = server(b, sasl.Plain, cfg).Step([]byte(c.in))
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	key, now := []byte("key of thirty-two bytes or so...."), time.Now()
	token := sasl.Mint(key, sasl.Claims{Org: 1, Local: "anna", Scope: "bot@a.b", Expires: now.Add(time.Hour)})
	b.Run("Mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sasl.Mint(key, sasl.Claims{Org: 1, Local: "anna", Scope: "bot@a.b", Expires: now})
		}
	})
	b.Run("Verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sasl.Verify(key, token, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
