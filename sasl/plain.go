package sasl

import (
	"bytes"
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
	strong, _ := hashOf(SCRAMSHA256)
	keys, known := s.cfg.decoy(strong, local), false
	for _, mech := range []string{SCRAMSHA256, SCRAMSHA1} {
		if k, found := cr.keys(mech); found {
			keys, known = k, true
			break
		}
	}
	if match := keys.Verify(string(password)); !match || !known {
		return nil, false, errProof()
	}
	if cr.Disabled {
		return nil, false, fail(AccountDisabled, "")
	}
	s.result.Local = local
	return nil, true, nil
}

// appendPlain appends the client's message.
func appendPlain(dst []byte, authzid, authcid, password string) []byte {
	dst = append(append(dst, authzid...), 0)
	dst = append(append(dst, authcid...), 0)
	return append(dst, password...)
}
