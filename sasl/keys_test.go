package sasl_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/sasl"
)

func TestKeys(t *testing.T) {
	for _, mech := range []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256} {
		k, err := sasl.Derive(mech, "right", 10, []byte("salt"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Validate(); err != nil {
			t.Error(err)
		}
		if !k.Verify("right") || k.Verify("Right") || k.Verify("") || k.Verify("right\x00") {
			t.Errorf("%s: Verify", mech)
		}
		c, err := sasl.DeriveClient(mech, "right", 10, []byte("salt"))
		if err != nil || !bytes.Equal(c.Keys().StoredKey, k.StoredKey) || !bytes.Equal(c.Keys().ServerKey, k.ServerKey) || c.Keys().Mechanism != mech {
			t.Errorf("%s: %+v, %v", mech, c, err)
		}
		for name, change := range map[string]func(*sasl.Keys){
			"mechanism":  func(k *sasl.Keys) { k.Mechanism = "MD5" },
			"plus":       func(k *sasl.Keys) { k.StoredKey = append(k.StoredKey, 0) },
			"iterations": func(k *sasl.Keys) { k.Iterations = 0 },
			"many":       func(k *sasl.Keys) { k.Iterations = sasl.MaxIterations + 1 },
			"salt":       func(k *sasl.Keys) { k.Salt = nil },
			"stored key": func(k *sasl.Keys) { k.StoredKey = nil },
			"server key": func(k *sasl.Keys) { k.ServerKey = k.ServerKey[1:] },
		} {
			bad := k
			if change(&bad); bad.Validate() == nil {
				t.Errorf("%s: wrong %s is not noticed", mech, name)
			}
			if name != "server key" && name != "plus" && bad.Verify("wrong") {
				t.Errorf("%s: wrong %s verifies", mech, name)
			}
		}
	}
	for _, c := range []struct {
		mech, password string
		iterations     int
		salt           string
	}{
		{"PLAIN", "x", 1, "s"}, {sasl.SCRAMSHA1, "", 1, "s"}, {sasl.SCRAMSHA1, "x", 0, "s"}, {sasl.SCRAMSHA1, "x", sasl.MaxIterations + 1, "s"},
		{sasl.SCRAMSHA1, "x", 1, ""}, {sasl.SCRAMSHA1, "\xff", 1, "s"}, {sasl.SCRAMSHA1, "a\x07", 1, "s"},
	} {
		if k, err := sasl.Derive(c.mech, c.password, c.iterations, []byte(c.salt)); err == nil {
			t.Errorf("%+v: %+v", c, k)
		}
	}
}

func TestPreparePassword(t *testing.T) {
	for in, want := range map[string]string{
		// RFC 4013 §3.
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX",
		"pass word": "pass word", "a\u00a0b\u3000c": "a b c", "wo\u0308rd": "wörd", "ﬁ": "fi", "１": "1",
		"😀\u200d": "😀", "א1": "א1", "a\u200bb": "a b",
	} {
		if got, err := sasl.PreparePassword(in); got != want || err != nil {
			t.Errorf("%+q: %+q, %v; want %+q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "\u0007", "a\tb", "\x7f", "\u0085", "\u200d", "\ue000", "\ufffe", "\ufffd", "\u202e", "\U000e0041", "\xff"} {
		if got, err := sasl.PreparePassword(in); err == nil {
			t.Errorf("%+q: %+q", in, got)
		}
	}
}

func TestMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, message := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "message")
		for mech, h := range map[string]func() hash.Hash{sasl.SCRAMSHA1: sha1.New, sasl.SCRAMSHA256: sha256.New} {
			m := hmac.New(h, key)
			m.Write(message)
			if got, want := sasl.MAC(mech, key, message), m.Sum(nil); !bytes.Equal(got, want) {
				t.Fatalf("%s: %x, want %x", mech, got, want)
			}
		}
	})
}
