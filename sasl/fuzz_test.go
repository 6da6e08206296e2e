package sasl_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/sasl"
)

// FuzzServer plays a client that does not know the password: StoredKey is no hash of anything known, and so no message may ever sign in.
func FuzzServer(f *testing.F) {
	const nonce = "c0server"
	proof := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for i := range plus {
		for _, first := range []string{
			"n,,n=anna,r=c0", "y,,n=anna,r=c0", "n,a=anna@a.b,n=anna,r=c0,x=1", "p=tls-exporter,,n=anna,r=c0", "p=tls-server-end-point,a=anna@a.b,n=anna,r=c0",
			"n,,n=a=2Cb=3D,r=c0", "n,,m=x,n=anna,r=c0", "\x00anna\x00right", "anna@a.b\x00anna\x00right", "n,,\x01auth=Bearer abc\x01\x01", "n,,\x01auth=\x01\x01",
		} {
			f.Add(i, []byte(first), []byte("c=biws,r="+nonce+",p="+proof(20)))
			f.Add(i, []byte(first), []byte("c=biws,r="+nonce+",x=1,p="+proof(32)))
			f.Add(i, []byte(first), []byte("c=cD10bHMtZXhwb3J0ZXIsLGRhdGEgb2YgdGxzLWV4cG9ydGVy,r="+nonce+",p="+proof(32)))
		}
	}
	f.Add(3, []byte("n,,\x01auth=Bearer abc\x01\x01"), []byte("\x01"))
	key := bytes.Repeat([]byte{7}, 32)
	cfg := sasl.ServerConfig{
		Domain: "a.b", Offered: plus, Secret: secret, Binding: channel, Types: []string{sasl.TLSExporter, sasl.TLSServerEndPoint},
		Lookup: func(local string) (sasl.Credentials, error) {
			if local != "anna" {
				return sasl.Credentials{}, nil
			}
			return sasl.Credentials{Keys: []sasl.Keys{
				{Mechanism: sasl.SCRAMSHA1, Iterations: 1, Salt: []byte("salt"), StoredKey: key[:20], ServerKey: key[:20]},
				{Mechanism: sasl.SCRAMSHA256, Iterations: 1, Salt: []byte("salt"), StoredKey: key, ServerKey: key},
			}}, nil
		},
		Bearer: func(token string) (sasl.Claims, error) { return sasl.Verify(key, token, time.Unix(0, 0)) },
		Shapes: func(string) []sasl.Shape { return []sasl.Shape{{Iterations: 1, Salt: 100, Accounts: 1}} },
	}
	f.Fuzz(func(t *testing.T, n int, first, final []byte) {
		s, err := sasl.NewServer(plus[uint(n)%uint(len(plus))], cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.FixNonce("server")
		for i, in := range [][]byte{first, final, final} {
			kept := bytes.Clone(in)
			out, done, err := s.Step(in)
			if done || s.Result() != (sasl.Result{}) {
				t.Fatalf("message %d signs in: %+v", i, s.Result())
			}
			var fl *sasl.Failure
			if err != nil && (!errors.As(err, &fl) || fl.Condition == "" || out != nil) {
				t.Fatalf("message %d: %q, %v", i, out, err)
			}
			if !bytes.Equal(kept, in) {
				t.Fatalf("message %d is changed", i)
			}
			if i == 2 && err == nil {
				t.Fatal("the exchange has no end")
			}
		}
	})
}

// FuzzClient plays a server that does not know the account.
func FuzzClient(f *testing.F) {
	f.Add([]byte("r=c0server,s=c2FsdA==,i=1"), []byte("v="+strings.Repeat("A", 43)+"="))
	f.Add([]byte("r=c0server,s=c2FsdA==,i=2,h=abc"), []byte("e=other-error"))
	f.Add([]byte("m=1,r=c0server,s=c2FsdA==,i=1"), []byte("v=x,y=z"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		c, err := sasl.NewClient(sasl.SCRAMSHA256, sasl.ClientConfig{Local: "anna", Keys: &sasl.ClientKeys{Mechanism: sasl.SCRAMSHA256, Iterations: 1, Salt: []byte("salt"),
			ClientKey: bytes.Repeat([]byte{1}, 32), ServerKey: bytes.Repeat([]byte{2}, 32)}, MinIterations: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.FixNonce("c0")
		for i, in := range [][]byte{nil, first, final, final} {
			_, done, err := c.Step(in)
			if done {
				t.Fatalf("message %d proves the server", i)
			}
			if i == 3 && err == nil {
				t.Fatal("the exchange has no end")
			}
		}
	})
}

// FuzzVerify feeds tokens of somebody else.
func FuzzVerify(f *testing.F) {
	key := []byte("key of thirty-two bytes or so....")
	mine := sasl.Mint(key, sasl.Claims{Org: 1, Local: "anna", Scope: "bot@a.b", Expires: time.Unix(100, 0)})
	f.Add(mine)
	f.Add(sasl.Mint([]byte("other"), sasl.Claims{Org: 1, Local: "anna", Expires: time.Unix(100, 0)}))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := sasl.Verify(key, token, time.Unix(99, 0)); err == nil && token != mine {
			t.Fatalf("%q is taken: %+v", token, c)
		}
	})
}

// TestTampering changes one message of an exchange of two who know the password. Whatever is changed, not both ends may think that all is well, except where
// the change says the same.
func TestTampering(t *testing.T) {
	lookup := account("anna", "right", 4096)
	types := []string{sasl.TLSExporter}
	keys := map[string]*sasl.ClientKeys{}
	for _, m := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256} {
		k, err := sasl.DeriveClient(m, "right", 4096, []byte("salt of "+m))
		if err != nil {
			t.Fatal(err)
		}
		keys[m] = &k
	}
	rapid.Check(t, func(t *rapid.T) {
		mech := rapid.SampledFrom([]string{sasl.SCRAMSHA1, sasl.SCRAMSHA256, sasl.SCRAMSHA1Plus, sasl.SCRAMSHA256Plus}).Draw(t, "mech")
		at := rapid.IntRange(0, 3).Draw(t, "message")
		s, err := sasl.NewServer(mech, sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: lookup, Secret: secret, Binding: channel, Types: types})
		if err != nil {
			t.Fatal(err)
		}
		c, err := sasl.NewClient(mech, sasl.ClientConfig{Local: "anna", Keys: keys[strings.TrimSuffix(mech, "-PLUS")], Offered: plus, Types: types, Binding: channel})
		if err != nil {
			t.Fatal(err)
		}
		var was, is []byte
		clientDone, serverDone, clientErr, serverErr := play(c, s, func(n int, b []byte) []byte {
			if n != at {
				return b
			}
			was = bytes.Clone(b)
			is = mutate(t, bytes.Clone(b))
			return is
		})
		ok := clientErr == nil && serverErr == nil && clientDone && serverDone
		if same := bytes.Equal(was, is); ok != same && !(at == 3 && bytes.HasPrefix(is, append(was, ','))) { // server-final may have extensions, which nothing covers
			t.Fatalf("message %d changed from %q to %q: %v, %v, %v, %v", at, was, is, clientErr, serverErr, clientDone, serverDone)
		}
		if serverDone && at < 3 && !bytes.Equal(was, is) {
			t.Fatalf("message %d changed from %q to %q: the server is content", at, was, is)
		}
	})
}

// mutate changes, puts in, cuts, or doubles something.
func mutate(t *rapid.T, b []byte) []byte {
	i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0:
		b[i] = rapid.Byte().Draw(t, "byte")
	case 1:
		part := rapid.SampledFrom([]string{",x=1", ",", "=", "m=1,", "A", ",p=AAAA", ",r=x", "\x00", "é"}).Draw(t, "part")
		b = append(b[:i:i], append([]byte(part), b[i:]...)...)
	case 2:
		b = b[:i]
	case 3:
		b = append(b, rapid.SampledFrom([]string{",x=1", ",", "=", "A", "\n"}).Draw(t, "tail")...)
	default:
		parts := bytes.Split(b, []byte(","))
		j := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
		b = bytes.Join(append(parts[:j:j], parts[min(j+1, len(parts)):]...), []byte(","))
	}
	return b
}
