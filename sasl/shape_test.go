package sasl_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/sasl"
)

// TestShapes: accounts that do not exist are told iterations and salts like
// those that do, in the same proportion, and always the same by name.
func TestShapes(t *testing.T) {
	ask := func(name string, shapes ...sasl.Shape) (salt string, iterations int) {
		t.Helper()
		cfg := sasl.ServerConfig{
			Domain: "a.b", Offered: offered, Secret: secret,
			Lookup: func(string) (sasl.Credentials, error) { return sasl.Credentials{}, nil },
			Shapes: func(mech string) []sasl.Shape {
				if mech != sasl.SCRAMSHA256 {
					t.Errorf("shapes of %s", mech)
				}
				return shapes
			},
		}
		out, _, err := server(t, sasl.SCRAMSHA256, cfg).Step([]byte("n,,n=" + name + ",r=nonce"))
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(out), ",") {
			switch {
			case strings.HasPrefix(part, "s="):
				b, err := base64.StdEncoding.DecodeString(part[2:])
				if err != nil {
					t.Fatal(err)
				}
				salt = string(b)
			case strings.HasPrefix(part, "i="):
				if _, err := fmt.Sscan(part[2:], &iterations); err != nil {
					t.Fatal(err)
				}
			}
		}
		return salt, iterations
	}
	if salt, n := ask("x"); len(salt) != 16 || n != sasl.DefaultIterations {
		t.Errorf("without shapes: %d bytes, %d iterations", len(salt), n)
	}
	old, now := sasl.Shape{Iterations: 1000, Salt: 36, Accounts: 3}, sasl.Shape{Iterations: 4096, Salt: 16, Accounts: 1}
	share := func(old, now sasl.Shape) (names map[string]string) {
		names = make(map[string]string)
		for i := range 400 {
			name := fmt.Sprintf("nobody%d", i)
			salt, n := ask(name, now, old) // in any order
			if again, m := ask(name, old, now); again != salt || m != n {
				t.Fatalf("%s: another salt", name)
			}
			switch {
			case n == 1000 && len(salt) == 36:
				names[name] = salt
			case n != 4096 || len(salt) != 16:
				t.Fatalf("%s: %d iterations and %d bytes of salt", name, n, len(salt))
			}
		}
		return names
	}
	before := share(old, now)
	if n := len(before); n < 250 || n > 350 { // 300, and the deviation is 9
		t.Errorf("%d of 400 look old, of the accounts three in four", n)
	}
	old.Accounts, now.Accounts = 1, 3 // people changed their passwords
	after := share(old, now)
	if n := len(after); n < 50 || n > 150 {
		t.Errorf("%d of 400 look old, of the accounts one in four", n)
	}
	for name, salt := range after {
		if before[name] != salt {
			t.Errorf("%s went back", name)
		}
	}
}

// TestLacked: PLAIN gives the keys that an account has none of, once the
// password has proven right.
func TestLacked(t *testing.T) {
	for _, has := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256, "both"} {
		for _, offer := range [][]string{{sasl.Plain}, {sasl.SCRAMSHA1, sasl.Plain}, {sasl.SCRAMSHA256, sasl.Plain}} {
			all, err := sasl.NewKeys("right")
			if err != nil {
				t.Fatal(err)
			}
			var keys []sasl.Keys
			for _, k := range all {
				if has == "both" || k.Mechanism == has {
					keys = append(keys, k)
				}
			}
			cfg := sasl.ServerConfig{Domain: "a.b", Offered: offer, Secret: secret, Lookup: func(string) (sasl.Credentials, error) {
				return sasl.Credentials{Keys: keys}, nil
			}}
			s := server(t, sasl.Plain, cfg)
			if _, _, err := s.Step([]byte("\x00anna\x00wrong")); condition(err) != sasl.NotAuthorized || s.Lacked() != nil {
				t.Errorf("%s, wrong: %v", has, err)
			}
			s = server(t, sasl.Plain, cfg)
			if _, done, err := s.Step([]byte("\x00anna\x00right")); !done || err != nil {
				t.Fatalf("%s: %v", has, err)
			}
			lacked := s.Lacked()
			if len(lacked)+len(keys) != 2 {
				t.Fatalf("%s: %d keys are new", has, len(lacked))
			}
			for _, k := range lacked {
				if k.Mechanism == has || !k.Verify("right") || k.Validate() != nil {
					t.Errorf("%s: %+v", has, k)
				}
			}
		}
	}
}
