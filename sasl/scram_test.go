package sasl_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/sasl"
)

var (
	secret  = []byte("0123456789abcdef")
	offered = []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256, sasl.Plain, sasl.OAuthBearer}
	plus    = append([]string{sasl.SCRAMSHA1Plus, sasl.SCRAMSHA256Plus}, offered...)
)

func b64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// account gives a Lookup that knows one account.
func account(local, password string, iterations int) func(string) (sasl.Credentials, error) {
	var c sasl.Credentials
	for _, m := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256} {
		k, err := sasl.Derive(m, password, iterations, []byte("salt of "+m))
		if err != nil {
			panic(err)
		}
		c.Keys = append(c.Keys, k)
	}
	return func(name string) (sasl.Credentials, error) {
		if name != local {
			return sasl.Credentials{}, nil
		}
		return c, nil
	}
}

// channel is a Binding of two types.
func channel(kind string) ([]byte, error) {
	if kind != sasl.TLSExporter && kind != sasl.TLSServerEndPoint {
		return nil, sasl.ErrBinding
	}
	return []byte("data of " + kind), nil
}

func server(t testing.TB, mech string, cfg sasl.ServerConfig) *sasl.Server {
	t.Helper()
	s, err := sasl.NewServer(mech, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func client(t testing.TB, mech string, cfg sasl.ClientConfig) *sasl.Client {
	t.Helper()
	c, err := sasl.NewClient(mech, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// play runs an exchange to its end. change may alter a message on its way: the number counts them from 0, the client's first.
func play(c *sasl.Client, s *sasl.Server, change func(n int, b []byte) []byte) (clientDone, serverDone bool, clientErr, serverErr error) {
	if change == nil {
		change = func(_ int, b []byte) []byte { return b }
	}
	out, clientDone, clientErr := c.Step(nil)
	for n := 0; clientErr == nil && n < 10; n += 2 {
		var in []byte
		if in, serverDone, serverErr = s.Step(change(n, out)); serverErr != nil || serverDone && in == nil {
			return clientDone, serverDone, clientErr, serverErr
		}
		if out, clientDone, clientErr = c.Step(change(n+1, in)); serverDone {
			break
		}
	}
	return clientDone, serverDone, clientErr, serverErr
}

func condition(err error) string {
	var f *sasl.Failure
	if !errors.As(err, &f) {
		return "no failure"
	}
	return f.Condition
}

func TestVectors(t *testing.T) {
	for _, c := range []struct {
		mech, clientNonce, serverNonce, salt string
		messages                             []string
	}{
		{sasl.SCRAMSHA1, "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92", []string{ // RFC 5802 §5
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		}},
		{sasl.SCRAMSHA256, "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==", []string{ // RFC 7677 §3
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		}},
	} {
		keys, err := sasl.Derive(c.mech, "pencil", 4096, b64(c.salt))
		if err != nil {
			t.Fatal(err)
		}
		lookup := func(string) (sasl.Credentials, error) { return sasl.Credentials{Keys: []sasl.Keys{keys}}, nil }
		s := server(t, c.mech, sasl.ServerConfig{Domain: "example.com", Offered: offered, Lookup: lookup, Secret: secret, HideOffer: true})
		s.FixNonce(c.serverNonce)
		cl := client(t, c.mech, sasl.ClientConfig{Local: "user", Password: "pencil"})
		cl.FixNonce(c.clientNonce)
		var seen []string
		clientDone, serverDone, clientErr, serverErr := play(cl, s, func(_ int, b []byte) []byte { seen = append(seen, string(b)); return b })
		if clientErr != nil || serverErr != nil || !clientDone || !serverDone || s.Result().Local != "user" {
			t.Errorf("%s: %v, %v, %v, %v, %+v", c.mech, clientErr, serverErr, clientDone, serverDone, s.Result())
		}
		if strings.Join(seen, "\n") != strings.Join(c.messages, "\n") {
			t.Errorf("%s: messages\n%s\nwant\n%s", c.mech, strings.Join(seen, "\n"), strings.Join(c.messages, "\n"))
		}
	}
}

// The example of XEP-0474 §5.3.
func TestOfferHash(t *testing.T) {
	got := sasl.OfferHash(sasl.SCRAMSHA1Plus, []string{sasl.SCRAMSHA1Plus, sasl.SCRAMSHA1}, []string{sasl.TLSServerEndPoint, sasl.TLSExporter})
	if want := "G6k/rBLDqgOhRRaCuuatSDFkJ08="; got != want {
		t.Errorf("hash of the offer %s, want %s", got, want)
	}
}

func TestSCRAM(t *testing.T) {
	lookup := account("jo,sé=", "pass wörd", 4096)
	bare := func(s string) (string, error) { return strings.ToLower(s), nil }
	for _, mech := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA1Plus, sasl.SCRAMSHA256, sasl.SCRAMSHA256Plus} {
		scfg := sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: lookup, Bare: bare, Secret: secret, Binding: channel,
			Types: []string{sasl.TLSExporter, sasl.TLSServerEndPoint}}
		ccfg := sasl.ClientConfig{Local: "jo,sé=", Authzid: "jo,sé=@A.B", Password: "pass wo\u0308rd", Offered: plus, Types: scfg.Types, Binding: channel}
		s, c := server(t, mech, scfg), client(t, mech, ccfg)
		clientDone, serverDone, clientErr, serverErr := play(c, s, nil)
		if clientErr != nil || serverErr != nil || !clientDone || !serverDone {
			t.Fatalf("%s: %v, %v, %v, %v", mech, clientErr, serverErr, clientDone, serverDone)
		}
		want := sasl.Result{Mechanism: mech, Local: "jo,sé="}
		if strings.HasSuffix(mech, "-PLUS") {
			want.Binding = sasl.TLSExporter
		}
		if s.Result() != want {
			t.Errorf("%s: %+v", mech, s.Result())
		}
		// The other type, and the keys of the first exchange instead of the password.
		keys := c.Keys()
		ccfg.Keys, ccfg.Password, scfg.Types, ccfg.Types = &keys, "", []string{sasl.TLSServerEndPoint}, []string{sasl.TLSServerEndPoint}
		s, c = server(t, mech, scfg), client(t, mech, ccfg)
		if clientDone, serverDone, clientErr, serverErr = play(c, s, nil); clientErr != nil || serverErr != nil || !clientDone || !serverDone {
			t.Fatalf("%s with keys: %v, %v, %v, %v", mech, clientErr, serverErr, clientDone, serverDone)
		}
	}
}

// Whatever the store has or has not, a wrong sign-in goes the same way: this compares all that a client can see but the time.
func TestUnknownLooksKnown(t *testing.T) {
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Secret: secret}
	salted := func(mech string, disabled bool) sasl.Credentials {
		k, err := sasl.Derive(mech, "right", 4096, []byte("0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		return sasl.Credentials{Keys: []sasl.Keys{k}, Disabled: disabled}
	}
	stores := map[string]sasl.Credentials{
		"unknown": {}, "unknown and disabled": {Disabled: true}, "broken row": {Keys: []sasl.Keys{{Mechanism: sasl.SCRAMSHA1}}},
		"other mechanism": salted(sasl.SCRAMSHA256, false), "known": salted(sasl.SCRAMSHA1, false), "disabled": salted(sasl.SCRAMSHA1, true),
	}
	for name, store := range stores {
		cfg.Lookup = func(string) (sasl.Credentials, error) { return store, nil }
		var salts []string
		for range 2 {
			s := server(t, sasl.SCRAMSHA1, cfg)
			c := client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: "anna", Password: "wrong"})
			first, _, _ := c.Step(nil)
			challenge, done, err := s.Step(first)
			if err != nil || done {
				t.Fatalf("%s: %v, %v", name, done, err)
			}
			fields := bytes.Split(challenge, []byte(","))
			if len(fields) != 4 || len(fields[1]) != len("s=MDEyMzQ1Njc4OWFiY2RlZg==") || string(fields[2]) != "i=4096" {
				t.Errorf("%s: challenge %s", name, challenge)
			}
			salts = append(salts, string(fields[1]))
			final, _, err := c.Step(challenge)
			if err != nil {
				t.Fatal(name, err)
			}
			if out, done, err := s.Step(final); out != nil || done || err == nil || err.Error() != "sign in: not-authorized" || s.Result() != (sasl.Result{}) {
				t.Errorf("%s: %q, %v, %v, %+v", name, out, done, err, s.Result())
			}
			p := server(t, sasl.Plain, cfg)
			if out, done, err := p.Step([]byte("\x00anna\x00wrong")); out != nil || done || err == nil || err.Error() != "sign in: not-authorized" {
				t.Errorf("%s: PLAIN %q, %v, %v", name, out, done, err)
			}
		}
		if salts[0] != salts[1] {
			t.Errorf("%s: the salt changes: %v", name, salts)
		}
	}
	// Names, domains, mechanisms and secrets have salts of their own.
	cfg.Lookup = func(string) (sasl.Credentials, error) { return sasl.Credentials{}, nil }
	seen := map[string]bool{}
	for _, mech := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256} {
		for _, domain := range []string{"a.b", "c.d"} {
			for _, sec := range []string{"0123456789abcdef", "1123456789abcdef"} {
				for _, name := range []string{"anna", "bert"} {
					cfg.Domain, cfg.Secret = domain, []byte(sec)
					out, _, err := server(t, mech, cfg).Step([]byte("n,,n=" + name + ",r=x"))
					if err != nil {
						t.Fatal(err)
					}
					seen[strings.Split(string(out), ",")[1]] = true
				}
			}
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d salts, want 16", len(seen))
	}
}

func TestDisabled(t *testing.T) {
	known := account("anna", "right", 4096)
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Secret: secret, Lookup: func(n string) (sasl.Credentials, error) {
		c, err := known(n)
		c.Disabled = true
		return c, err
	}}
	_, done, _, err := play(client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: "anna", Password: "right"}), server(t, sasl.SCRAMSHA1, cfg), nil)
	if condition(err) != sasl.AccountDisabled || done {
		t.Errorf("SCRAM: %v, %v", err, done)
	}
	if _, done, err := server(t, sasl.Plain, cfg).Step([]byte("\x00anna\x00right")); condition(err) != sasl.AccountDisabled || done {
		t.Errorf("PLAIN: %v, %v", err, done)
	}
}

func TestClientFirstRefused(t *testing.T) {
	lookup := account("anna", "right", 1)
	types := []string{sasl.TLSExporter}
	for _, c := range []struct{ mech, in, want string }{
		{sasl.SCRAMSHA1, "n,,n=anna,r=x", ""},
		{sasl.SCRAMSHA1, "n,a=anna@a.b,n=anna,r=x", ""},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,a=1,b=2", ""},
		{sasl.SCRAMSHA1Plus, "p=tls-exporter,,n=anna,r=x", ""},
		{sasl.SCRAMSHA1, "", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, ",,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "x,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "nn,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,anna,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,a=,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,a=bert@a.b,n=anna,r=x", sasl.InvalidAuthzid},
		{sasl.SCRAMSHA1, "n,a=anna@c.d,n=anna,r=x", sasl.InvalidAuthzid},
		{sasl.SCRAMSHA1, "n,a=anna,n=anna,r=x", sasl.InvalidAuthzid},
		{sasl.SCRAMSHA1, "n,,m=x,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,r=x,n=anna", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=an=na,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=an=2cna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=an\x00na,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=an\xffna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x y", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=é", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,m=1", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,r=y", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,n=bert", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,a=1,a=2", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,1=1", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,a", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "n,,n=anna,r=x,a=", sasl.MalformedRequest},
		{sasl.SCRAMSHA1, "y,,n=anna,r=x", sasl.NotAuthorized}, // downgrade
		{sasl.SCRAMSHA1, "p=tls-exporter,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "n,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "y,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "p,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "p=,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "p=a b,,n=anna,r=x", sasl.MalformedRequest},
		{sasl.SCRAMSHA1Plus, "p=tls-unique,,n=anna,r=x", sasl.NotAuthorized},
		{sasl.SCRAMSHA1Plus, "p=tls-server-end-point,,n=anna,r=x", sasl.NotAuthorized}, // not announced
		{sasl.SCRAMSHA1, "n,,n=anna,r=" + strings.Repeat("x", 9000), sasl.MalformedRequest},
	} {
		s := server(t, c.mech, sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: lookup, Secret: secret, Binding: channel, Types: types})
		out, done, err := s.Step([]byte(c.in))
		if c.want == "" && (err != nil || done || out == nil) || c.want != "" && (condition(err) != c.want || out != nil) {
			t.Errorf("%s %.60q: %q, %v, %v; want %q", c.mech, c.in, out, done, err, c.want)
		}
		if err != nil {
			if _, done, err := s.Step([]byte("n,,n=anna,r=x")); done || err == nil {
				t.Errorf("%.60q: the exchange goes on after its failure", c.in)
			}
		}
	}
	// Without channel binding in the offer, y is no sign of anything.
	s := server(t, sasl.SCRAMSHA1, sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: lookup, Secret: secret})
	if _, _, err := s.Step([]byte("y,,n=anna,r=x")); err != nil {
		t.Error(err)
	}
}

func TestClientFinalRefused(t *testing.T) {
	for _, c := range []struct {
		what, want string
		change     func(string) string
	}{
		{"nothing", "", func(s string) string { return s }},
		{"an extension", sasl.NotAuthorized, func(s string) string { return strings.Replace(s, ",p=", ",x=1,p=", 1) }}, // well-formed, but not proven
		{"no proof", sasl.MalformedRequest, func(s string) string { return s[:strings.Index(s, ",p=")] }},
		{"an empty proof", sasl.MalformedRequest, func(s string) string { return s[:strings.Index(s, ",p=")+3] }},
		{"a short proof", sasl.MalformedRequest, func(s string) string { return s[:strings.Index(s, ",p=")+3] + "AAAA" }},
		{"a long proof", sasl.MalformedRequest, func(s string) string { return s + "AAAA" }},
		{"a proof with a line break", sasl.MalformedRequest, func(s string) string { return s + "\n" }},
		{"a proof of zeros", sasl.NotAuthorized, func(s string) string { return s[:strings.Index(s, ",p=")+3] + strings.Repeat("A", 27) + "=" }},
		{"bits after the proof", sasl.MalformedRequest, func(s string) string { return s[:strings.Index(s, ",p=")+3] + strings.Repeat("A", 26) + "B=" }},
		{"something after the proof", sasl.MalformedRequest, func(s string) string { return s + ",x=1" }},
		{"two proofs", sasl.MalformedRequest, func(s string) string { return s + s[strings.Index(s, ",p="):] }},
		{"another nonce", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",r=cn", ",r=dn", 1) }},
		{"a longer nonce", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",p=", "x,p=", 1) }},
		{"no nonce", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",r=", ",x=", 1) }},
		{"no channel binding", sasl.MalformedRequest, func(s string) string { return s[strings.Index(s, "r="):] }},
		{"another channel binding", sasl.NotAuthorized, func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) }},
		{"channel binding twice", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",p=", ",c=biws,p=", 1) }},
		{"a mandatory extension", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",p=", ",m=1,p=", 1) }},
		{"an empty attribute", sasl.MalformedRequest, func(s string) string { return strings.Replace(s, ",p=", ",,p=", 1) }},
		{"emptiness", sasl.MalformedRequest, func(string) string { return "" }},
	} {
		s := server(t, sasl.SCRAMSHA1, sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "right", 4096), Secret: secret})
		cl := client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: "anna", Password: "right"})
		cl.FixNonce("cn")
		_, done, _, err := play(cl, s, func(n int, b []byte) []byte {
			if n == 2 {
				return []byte(c.change(string(b)))
			}
			return b
		})
		if c.want == "" && (err != nil || !done) || c.want != "" && (condition(err) != c.want || done) {
			t.Errorf("%s: %v, %v; want %s", c.what, err, done, c.want)
		}
	}
}

func TestClientRefuses(t *testing.T) {
	for _, c := range []struct {
		n                int // the message that is changed
		what, from, into string
	}{
		{1, "another nonce", "r=c", "r=d"},
		{1, "a mandatory extension", "r=", "m=1,r="},
		{1, "no salt", ",s=", ",x="},
		{1, "an empty salt", ",s=c2FsdCBvZiBTQ1JBTS1TSEEtMQ==", ",s="},
		{1, "a salt that is no base64", ",s=c2Fs", ",s=c2F!"},
		{1, "few iterations", ",i=4096", ",i=4095"},
		{1, "many iterations", ",i=4096", ",i=10000001"},
		{1, "very many iterations", ",i=4096", ",i=99999999999999999999"},
		{1, "a zero before the iterations", ",i=4096", ",i=04096"},
		{1, "a sign before the iterations", ",i=4096", ",i=+4096"},
		{1, "another offer", ",h=", ",h=x"},
		{1, "an offer twice", ",h=", ",h=x,h="},
		{3, "another proof", "v=", "v=A"},
		{3, "an error", "v=", "e=other-error,v="},
		{3, "something else", "v=", "x="},
	} {
		s := server(t, sasl.SCRAMSHA1, sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "right", 4096), Secret: secret})
		cl := client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: "anna", Password: "right", Offered: offered})
		cl.FixNonce("cn")
		done, _, err, _ := play(cl, s, func(n int, b []byte) []byte {
			if n == c.n {
				changed := strings.Replace(string(b), c.from, c.into, 1)
				if changed == string(b) {
					t.Fatalf("%s: nothing to change in %q", c.what, b)
				}
				return []byte(changed)
			}
			return b
		})
		if err == nil || done {
			t.Errorf("%s: %v, %v", c.what, err, done)
		}
		if _, done, err := cl.Step([]byte("v=x")); done || err == nil {
			t.Errorf("%s: the exchange goes on after its failure", c.what)
		}
	}
	// A server that has another password refuses, and the client never takes it for proven.
	s := server(t, sasl.SCRAMSHA1, sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "other", 4096), Secret: secret})
	if done, _, err, _ := play(client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: "anna", Password: "right"}), s, nil); done || err != nil {
		t.Errorf("%v, %v", err, done)
	}
}

// Somebody between the two takes things out of the offer.
func TestDowngrade(t *testing.T) {
	types := []string{sasl.TLSExporter, sasl.TLSServerEndPoint}
	scfg := sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: account("anna", "right", 4096), Secret: secret, Binding: channel, Types: types}
	for _, c := range []struct {
		what    string
		offered []string
		types   []string
		ok      bool
	}{
		{"nothing", plus, types, true},
		{"the mechanisms with channel binding", offered, types, false},
		{"SHA-256", []string{sasl.SCRAMSHA1Plus, sasl.SCRAMSHA1}, types, false},
		{"a type of channel binding", plus, types[1:], false},
		{"all types of channel binding", plus, []string{}, false},
	} {
		cfg := sasl.ClientConfig{Local: "anna", Password: "right", Offered: c.offered, Types: c.types, Binding: channel}
		mech := cfg.Choose()
		clientDone, serverDone, clientErr, serverErr := play(client(t, mech, cfg), server(t, mech, scfg), nil)
		if ok := clientErr == nil && serverErr == nil && clientDone && serverDone; ok != c.ok {
			t.Errorf("%s taken out, %s chosen: %v, %v", c.what, mech, clientErr, serverErr)
		}
	}
	// Channels that are not the same, as with a stolen certificate.
	cfg := sasl.ClientConfig{Local: "anna", Password: "right", Offered: plus, Types: types, Binding: func(string) ([]byte, error) { return []byte("other"), nil }}
	if _, done, _, err := play(client(t, sasl.SCRAMSHA256Plus, cfg), server(t, sasl.SCRAMSHA256Plus, scfg), nil); condition(err) != sasl.NotAuthorized || done {
		t.Errorf("other channel: %v, %v", err, done)
	}
	scfg.Binding = func(string) ([]byte, error) { return nil, sasl.ErrBinding }
	cfg.Binding = channel
	if _, _, _, err := play(client(t, sasl.SCRAMSHA256Plus, cfg), server(t, sasl.SCRAMSHA256Plus, scfg), nil); condition(err) != sasl.TemporaryAuthFailure {
		t.Errorf("no channel binding data: %v", err)
	}
}

func TestChoose(t *testing.T) {
	binding := sasl.Binding(channel)
	keys := &sasl.ClientKeys{Mechanism: sasl.SCRAMSHA1}
	for _, c := range []struct {
		cfg  sasl.ClientConfig
		want string
	}{
		{sasl.ClientConfig{Offered: plus, Password: "x", Binding: binding}, sasl.SCRAMSHA256Plus},
		{sasl.ClientConfig{Offered: plus, Password: "x", Binding: binding, Types: []string{"tls-unique"}}, sasl.SCRAMSHA256},
		{sasl.ClientConfig{Offered: plus, Password: "x", Token: "t"}, sasl.OAuthBearer},
		{sasl.ClientConfig{Offered: plus, Password: "x"}, sasl.SCRAMSHA256},
		{sasl.ClientConfig{Offered: plus, Keys: keys}, sasl.SCRAMSHA1},
		{sasl.ClientConfig{Offered: plus, Keys: keys, Binding: binding}, sasl.SCRAMSHA1Plus},
		{sasl.ClientConfig{Offered: []string{sasl.Plain}, Password: "x"}, ""},
		{sasl.ClientConfig{Offered: []string{sasl.Plain}, Password: "x", AllowPlain: true}, sasl.Plain},
		{sasl.ClientConfig{Offered: []string{sasl.Plain}, Keys: keys, AllowPlain: true}, ""},
		{sasl.ClientConfig{Offered: plus}, ""},
		{sasl.ClientConfig{Password: "x"}, ""},
	} {
		if got := c.cfg.Choose(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestInitialResponse(t *testing.T) {
	for _, mech := range offered {
		s := server(t, mech, sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "right", 4096), Secret: secret, Bearer: refuse})
		if out, done, err := s.Step(nil); out == nil || len(out) != 0 || done || err != nil {
			t.Errorf("%s without initial response: %q, %v, %v", mech, out, done, err)
		}
		if _, done, err := s.Step(nil); done || err == nil {
			t.Errorf("%s: takes nothing twice: %v, %v", mech, done, err)
		}
	}
}

func refuse(string) (sasl.Claims, error) { return sasl.Claims{}, sasl.ErrToken }

func TestNewServer(t *testing.T) {
	full := sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: account("anna", "right", 1), Secret: secret, Bearer: refuse, Binding: channel}
	for _, mech := range plus {
		if _, err := sasl.NewServer(mech, full); err != nil {
			t.Errorf("%s: %v", mech, err)
		}
		if _, err := sasl.NewServer(mech, sasl.ServerConfig{Offered: plus}); condition(err) != sasl.TemporaryAuthFailure {
			t.Errorf("%s without what it needs: %v", mech, err)
		}
	}
	for _, mech := range []string{"", "EXTERNAL", "SCRAM-SHA-512", "scram-sha-1", "PLAIN-PLUS"} {
		if _, err := sasl.NewServer(mech, full); condition(err) != sasl.InvalidMechanism {
			t.Errorf("%q: %v", mech, err)
		}
		if _, err := sasl.NewClient(mech, sasl.ClientConfig{Password: "x"}); condition(err) != sasl.InvalidMechanism {
			t.Errorf("client %q: %v", mech, err)
		}
	}
	full.Offered = []string{sasl.Plain}
	if _, err := sasl.NewServer(sasl.SCRAMSHA1, full); condition(err) != sasl.InvalidMechanism {
		t.Errorf("not offered: %v", err)
	}
	if _, err := sasl.NewClient(sasl.SCRAMSHA1Plus, sasl.ClientConfig{Password: "x"}); condition(err) != sasl.InvalidMechanism {
		t.Errorf("client without a channel: %v", err)
	}
}

func TestStoreFails(t *testing.T) {
	broken := errors.New("disk on fire")
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Secret: secret, Lookup: func(string) (sasl.Credentials, error) { return sasl.Credentials{}, broken }}
	if _, _, err := server(t, sasl.SCRAMSHA1, cfg).Step([]byte("n,,n=anna,r=x")); condition(err) != sasl.TemporaryAuthFailure || !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, _, err := server(t, sasl.Plain, cfg).Step([]byte("\x00anna\x00right")); condition(err) != sasl.TemporaryAuthFailure || !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A name that no account can have is not looked up, and fails like an account that does not exist.
func TestNames(t *testing.T) {
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Secret: secret,
		Local: func(n string) (string, error) {
			if strings.Contains(n, "@") {
				return "", errors.New("bad name")
			}
			return strings.ToLower(n), nil
		},
		Lookup: func(n string) (sasl.Credentials, error) {
			if n != "anna" {
				t.Errorf("looked up %q", n)
			}
			return account("anna", "right", 4096)(n)
		}}
	for _, c := range []struct{ name, want string }{{"ANNA", ""}, {"an@na", sasl.NotAuthorized}} {
		s := server(t, sasl.SCRAMSHA1, cfg)
		_, done, _, err := play(client(t, sasl.SCRAMSHA1, sasl.ClientConfig{Local: c.name, Password: "right"}), s, nil)
		if c.want == "" && (err != nil || !done || s.Result().Local != "anna") || c.want != "" && (done || condition(err) != c.want) {
			t.Errorf("SCRAM %q: %v, %+v", c.name, err, s.Result())
		}
		s = server(t, sasl.Plain, cfg)
		_, done, err = s.Step([]byte("\x00" + c.name + "\x00right"))
		if c.want == "" && (err != nil || !done || s.Result().Local != "anna") || c.want != "" && (done || condition(err) != c.want) {
			t.Errorf("PLAIN %q: %v, %+v", c.name, err, s.Result())
		}
	}
}
