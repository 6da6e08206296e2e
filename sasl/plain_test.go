package sasl_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/sasl"
)

func TestPlain(t *testing.T) {
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, Lookup: account("anna", "ri ght", 4096), Secret: secret}
	for _, c := range []struct{ in, want string }{
		{"\x00anna\x00ri ght", ""},
		{"anna@a.b\x00anna\x00ri ght", ""},
		{"\x00anna\x00ri\u00a0ght", ""},
		{"\x00anna\x00right", sasl.NotAuthorized},
		{"\x00bert\x00ri ght", sasl.NotAuthorized},
		{"\x00anna\x00ri\x07ght", sasl.NotAuthorized},
		{"bert@a.b\x00anna\x00ri ght", sasl.InvalidAuthzid},
		{"anna@c.d\x00anna\x00ri ght", sasl.InvalidAuthzid},
		{"anna\x00ri ght", sasl.MalformedRequest},
		{"\x00anna\x00", sasl.MalformedRequest},
		{"\x00\x00ri ght", sasl.MalformedRequest},
		{"\x00anna\x00ri ght\x00", sasl.MalformedRequest},
		{"\x00anna\x00\xff", sasl.MalformedRequest},
		{"", sasl.MalformedRequest},
		{"\x00anna\x00" + strings.Repeat("x", 1025), sasl.MalformedRequest},
	} {
		s := server(t, sasl.Plain, cfg)
		out, done, err := s.Step([]byte(c.in))
		if c.want == "" && (err != nil || !done || out != nil || s.Result() != sasl.Result{Mechanism: sasl.Plain, Local: "anna"}) ||
			c.want != "" && (condition(err) != c.want || done || s.Result() != sasl.Result{}) {
			t.Errorf("%.40q: %q, %v, %v", c.in, out, done, err)
		}
	}
	s := server(t, sasl.Plain, cfg)
	clientDone, serverDone, clientErr, serverErr := play(client(t, sasl.Plain, sasl.ClientConfig{Local: "anna", Authzid: "anna@a.b", Password: "ri ght"}), s, nil)
	if clientErr != nil || serverErr != nil || !clientDone || !serverDone {
		t.Errorf("%v, %v, %v, %v", clientErr, serverErr, clientDone, serverDone)
	}
}

func TestOAuthBearer(t *testing.T) {
	key, now := []byte("key of thirty-two bytes or so...."), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	claims := sasl.Claims{Org: 7, Local: "anna", Scope: "bot@a.b", Expires: now.Add(time.Minute), ID: [8]byte{1, 2}}
	good := sasl.Mint(key, claims)
	late := claims
	late.Expires = now
	outage := errors.New("store is away")
	cfg := sasl.ServerConfig{Domain: "a.b", Offered: offered, OpenIDConfiguration: "https://a.b/openid", Bearer: func(token string) (sasl.Claims, error) {
		if token == "outage" {
			return sasl.Claims{}, &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Cause: outage}
		}
		if token == "disabled" {
			return sasl.Claims{}, &sasl.Failure{Condition: sasl.AccountDisabled}
		}
		return sasl.Verify(key, token, now)
	}}
	for _, c := range []struct {
		in, want string
		told     bool // by a challenge first
	}{
		{"n,,\x01auth=Bearer " + good + "\x01\x01", "", false},
		{"y,a=anna@a.b,\x01host=a.b\x01port=5222\x01auth=bearer  " + good + "\x01\x01", "", false},
		{"n,a=bert@a.b,\x01auth=Bearer " + good + "\x01\x01", sasl.InvalidAuthzid, false},
		{"n,,\x01auth=Bearer " + sasl.Mint(key, late) + "\x01\x01", sasl.CredentialsExpired, true},
		{"n,,\x01auth=Bearer " + good[:20] + "\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01auth=Bearer outage\x01\x01", sasl.TemporaryAuthFailure, false},
		{"n,,\x01auth=Bearer disabled\x01\x01", sasl.AccountDisabled, true},
		{"n,,\x01auth=Basic " + good + "\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01auth=Bearer a b\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01auth=Bearer\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01auth=\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01\x01", sasl.NotAuthorized, true},
		{"n,,\x01", sasl.MalformedRequest, false},
		{"n,,", sasl.MalformedRequest, false},
		{"", sasl.MalformedRequest, false},
		{"p=tls-exporter,,\x01auth=Bearer " + good + "\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x01auth=Bearer " + good + "\x01", sasl.MalformedRequest, false},
		{"n,,\x01auth=Bearer " + good + "\x01\x01\x01", sasl.MalformedRequest, false},
		{"n,,auth=Bearer " + good + "\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x01auth=Bearer " + good + "\x01auth=Bearer " + good + "\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x01auth\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x011=2\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x01host=\x02\x01\x01", sasl.MalformedRequest, false},
		{"n,,\x01host=\xff\x01\x01", sasl.MalformedRequest, false},
	} {
		s := server(t, sasl.OAuthBearer, cfg)
		out, done, err := s.Step([]byte(c.in))
		if c.told {
			var r sasl.Refusal
			if e := json.Unmarshal(out, &r); e != nil || done || err != nil || r.Status == "" || r.OpenIDConfiguration != "https://a.b/openid" {
				t.Errorf("%q: %q, %v, %v", c.in, out, done, err)
			}
			_, done, err = s.Step([]byte("\x01"))
		}
		if c.want == "" && (err != nil || !done || s.Result().Local != "anna" || s.Result().Claims != claims) || c.want != "" && (condition(err) != c.want || done) {
			t.Errorf("%q: %q, %v, %v, %+v; want %s", c.in, out, done, err, s.Result(), c.want)
		}
	}
	s, c := server(t, sasl.OAuthBearer, cfg), client(t, sasl.OAuthBearer, sasl.ClientConfig{Token: good, Authzid: "anna@a.b"})
	if clientDone, serverDone, clientErr, serverErr := play(c, s, nil); clientErr != nil || serverErr != nil || !clientDone || !serverDone || c.Refusal() != nil {
		t.Errorf("%v, %v, %v, %v", clientErr, serverErr, clientDone, serverDone)
	}
	s, c = server(t, sasl.OAuthBearer, cfg), client(t, sasl.OAuthBearer, sasl.ClientConfig{Token: "bad"})
	if clientDone, serverDone, clientErr, serverErr := play(c, s, nil); clientErr != nil || condition(serverErr) != sasl.NotAuthorized || clientDone || serverDone ||
		!strings.Contains(string(c.Refusal()), "invalid_token") {
		t.Errorf("%v, %v, %v, %v", clientErr, serverErr, clientDone, serverDone)
	}
}

func TestToken(t *testing.T) {
	key, now := []byte("key of thirty-two bytes or so...."), time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, c := range []sasl.Claims{
		{Org: 1, Local: "anna", Expires: now.Add(time.Second)},
		{Org: 1<<32 - 1, Local: "josé", Scope: "bot@a.b", Expires: now.Add(10 * time.Minute), ID: [8]byte{255, 1, 2, 3, 4, 5, 6, 7}},
		{Local: "a", Expires: now.Add(time.Microsecond)},
	} {
		token := sasl.Mint(key, c)
		if got, err := sasl.Verify(key, token, now); err != nil || got != c {
			t.Errorf("%+v, %v; want %+v", got, err, c)
		}
		if _, err := sasl.Verify(key, token, c.Expires); !errors.Is(err, sasl.ErrTokenExpired) {
			t.Errorf("at its end: %v", err)
		}
		if _, err := sasl.Verify([]byte("other"), token, now); !errors.Is(err, sasl.ErrToken) {
			t.Errorf("other key: %v", err)
		}
		for i := range token {
			for _, b := range []byte{'A', 'z', '-', '=', '\n', 0} {
				bad := token[:i] + string(b) + token[i+1:]
				if _, err := sasl.Verify(key, bad, now); bad != token && !errors.Is(err, sasl.ErrToken) {
					t.Errorf("byte %d changed to %q: %v", i, b, err)
				}
				if _, err := sasl.Verify(key, token[:i]+string(b)+token[i:], now); !errors.Is(err, sasl.ErrToken) {
					t.Errorf("%q put in at %d: %v", b, i, err)
				}
			}
			if _, err := sasl.Verify(key, token[:i], now); !errors.Is(err, sasl.ErrToken) {
				t.Errorf("cut at %d: %v", i, err)
			}
		}
	}
	for _, c := range []sasl.Claims{{Expires: now.Add(time.Hour)}, {Local: "a\x00b", Expires: now.Add(time.Hour)}, {Local: "a", Scope: "b\x00", Expires: now.Add(time.Hour)}} {
		if _, err := sasl.Verify(key, sasl.Mint(key, c), now); !errors.Is(err, sasl.ErrToken) {
			t.Errorf("%+q: %v", c.Local, err)
		}
	}
}
