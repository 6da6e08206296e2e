package sasl

import "errors"

// Keys is what a server keeps of a password for one hash function (RFC 5802 §3). It does not let anybody sign in who steals it.
type Keys struct {
	Mechanism  string // SCRAMSHA1 or SCRAMSHA256
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// Derive makes the keys of a password.
func Derive(mech, password string, iterations int, salt []byte) (Keys, error) {
	return Keys{}, errors.New("not yet")
}

// Verify tells whether the password is the one the keys were made of. It costs a PBKDF2.
func (k Keys) Verify(password string) bool { return false }

// ClientKeys is what a client may keep instead of the password (RFC 5802 §5.1).
type ClientKeys struct {
	Mechanism  string // SCRAMSHA1 or SCRAMSHA256
	Iterations int
	Salt       []byte
	ClientKey  []byte
	ServerKey  []byte
}
