package sasl

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// maxPassword limits a password of PLAIN in bytes.
const maxPassword = 1024

// plain takes the one message of PLAIN (RFC 4616 §2). The server derives the keys of the password it gets and compares them with the account's: it costs a
// PBKDF2, for accounts that do not exist too.
func (s *Server) plain(in []byte) ([]byte, bool, error) {
	authzid, rest, ok1 := bytes.Cut(in, []byte{0})
	authcid, password, ok2 := bytes.Cut(rest, []byte{0})
	if !ok1 || !ok2 || len(authcid) == 0 || len(password) == 0 || bytes.IndexByte(password, 0) >= 0 || len(password) > maxPassword || !utf8.Valid(in) {
		return nil, false, fail(MalformedRequest, "the message is not identity, name and password with NUL between")
	}
	local, ok := s.cfg.name(string(authcid))
	if err := s.cfg.authorize(string(authzid), local); err != nil {
		return nil, false, err
	}
	cr, err := s.cfg.credentials(local, ok)
	if err != nil {
		return nil, false, err
	}
	mechs := s.cfg.plainOrder(local)
	first, _ := hashOf(mechs[0])
	keys, known := s.cfg.decoy(first, local), false
	var lacked []string
	for _, mech := range mechs {
		switch k, found := cr.keys(mech); {
		case !found:
			lacked = append(lacked, mech)
		case !known:
			keys, known = k, true
		}
	}
	if match := keys.Verify(string(password)); !match || !known {
		return nil, false, errProof()
	}
	if cr.Disabled {
		return nil, false, fail(AccountDisabled, "")
	}
	if len(lacked) > 0 {
		if s.lacked, err = NewKeys(string(password), lacked...); err != nil {
			return nil, false, &Failure{Condition: TemporaryAuthFailure, Cause: err}
		}
	}
	s.result.Local = local
	return nil, true, nil
}

// plainOrder says by which keys a password is compared, if there are several: those that all accounts have come first, for one hash takes longer than the
// other. Where no kind is on all accounts, those that do not exist seem to have the one or the other.
func (c *ServerConfig) plainOrder(local string) [2]string {
	order := [2]string{SCRAMSHA256, SCRAMSHA1}
	if slices.Contains(c.Offered, SCRAMSHA256) {
		return order
	}
	h, _ := hashOf(SCRAMSHA256)
	if slices.Contains(c.Offered, SCRAMSHA1) || h.mac(nil, c.Secret, []byte("plain\x00"+c.Domain+"\x00"+local))[0]&1 == 1 {
		order[0], order[1] = order[1], order[0]
	}
	return order
}

// appendPlain appends the client's message.
func appendPlain(dst []byte, authzid, authcid, password string) []byte {
	dst = append(append(dst, authzid...), 0)
	dst = append(append(dst, authcid...), 0)
	return append(dst, password...)
}
