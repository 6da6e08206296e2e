package sasl

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// kvsep ends each pair of OAUTHBEARER's messages; alone, it is the client's answer to a refusal (RFC 7628 §3.1, §3.2.3).
const kvsep = '\x01'

// A Refusal is the challenge by which a server tells why it refuses a token (RFC 7628 §3.2.2).
type Refusal struct {
	Status              string `json:"status"` // an OAuth error code (RFC 6750 §3.1)
	Scope               string `json:"scope,omitempty"`
	OpenIDConfiguration string `json:"openid-configuration,omitempty"`
}

// bearer takes the client's message of OAUTHBEARER. A refusal is told by a challenge first, and fails when the client has answered it.
func (s *Server) bearer(in []byte) ([]byte, bool, error) {
	g, ok := parseGS2(in)
	if !ok || g.flag == 'p' {
		return nil, false, fail(MalformedRequest, "the GS2 header is not well-formed or binds the channel")
	}
	auth, ok := parsePairs(in[g.size:])
	if !ok {
		return nil, false, fail(MalformedRequest, "the message is not a series of pairs")
	}
	if auth == "" { // a client that asks where to get a token (RFC 7628 §4.3)
		return s.refuse("invalid_token", fail(NotAuthorized, ""))
	}
	scheme, token, _ := strings.Cut(auth, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !b64token(token) {
		return s.refuse("invalid_request", fail(NotAuthorized, "the auth is not a bearer token"))
	}
	claims, err := s.cfg.Bearer(token)
	if err != nil {
		var f *Failure
		switch {
		case errors.As(err, &f) && f.Condition == TemporaryAuthFailure:
			return nil, false, f
		case f != nil:
		case errors.Is(err, ErrTokenExpired):
			f = &Failure{Condition: CredentialsExpired, Cause: err}
		default:
			f = &Failure{Condition: NotAuthorized, Cause: err}
		}
		return s.refuse("invalid_token", f)
	}
	if err := s.cfg.authorize(g.authzid, claims.Local); err != nil {
		return nil, false, err
	}
	s.result.Local, s.result.Claims = claims.Local, claims
	return nil, true, nil
}

// refuse gives the challenge of a refusal and fails with f at the client's answer, whatever that is.
func (s *Server) refuse(status string, f *Failure) ([]byte, bool, error) {
	out, err := json.Marshal(Refusal{Status: status, OpenIDConfiguration: s.cfg.OpenIDConfiguration})
	if err != nil {
		return nil, false, &Failure{Condition: TemporaryAuthFailure, Cause: err}
	}
	s.step = func(*Server, []byte) ([]byte, bool, error) { return nil, false, f }
	return out, false, nil
}

// parsePairs reads the pairs after the GS2 header (RFC 7628 §3.1) and gives the value of auth, "" where it is missing.
func parsePairs(b []byte) (auth string, ok bool) {
	b, begins := bytes.CutPrefix(b, []byte{kvsep})
	b, ends := bytes.CutSuffix(b, []byte{kvsep})
	if !begins || !ends || !utf8.Valid(b) {
		return "", false
	}
	seen := make(map[string]bool, 4)
	for len(b) > 0 {
		pair, rest, ended := bytes.Cut(b, []byte{kvsep})
		key, val, found := bytes.Cut(pair, []byte{'='})
		k := string(key)
		if !ended || !found || !kvkey(k) || !kvvalue(val) || seen[k] {
			return "", false
		}
		seen[k] = true
		if k == "auth" {
			auth = string(val)
		}
		b = rest
	}
	return auth, true
}

// kvkey tells whether s is letters only.
func kvkey(s string) bool {
	for i := range len(s) {
		if !letter(s[i]) {
			return false
		}
	}
	return s != ""
}

// kvvalue tells whether b has no control characters but tab, line feed and carriage return.
func kvvalue(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' })
}

// b64token tells whether s is written as a bearer token (RFC 6750 §2.1).
func b64token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if c := s[i]; !(letter(c) || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// appendBearer appends the client's message.
func appendBearer(dst []byte, authzid, token string) []byte {
	dst = append(dst, "n,"...)
	if authzid != "" {
		dst = appendSaslname(append(dst, "a="...), authzid)
	}
	dst = append(dst, ',', kvsep)
	dst = append(append(dst, "auth=Bearer "...), token...)
	return append(dst, kvsep, kvsep)
}
