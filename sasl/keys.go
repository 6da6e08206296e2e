package sasl

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Limits of an iteration count: RFC 7677 §4 asks for 4,096 at least of what is made now, and more than that the clients would pay, phones among them; a peer
// may not make us work for seconds.
const (
	// DefaultIterations is the count of new accounts, and of those that an exchange makes up.
	DefaultIterations = 4096
	// MaxIterations is the greatest count that is accepted anywhere.
	MaxIterations = 10_000_000
)

// saltSize is the length of the salts that we make, in bytes.
const saltSize = 16

// Keys is what a server keeps of a password, for one hash function (RFC 5802 §3). Who steals it cannot sign in with it.
type Keys struct {
	Mechanism  string // SCRAMSHA1 or SCRAMSHA256
	Iterations int    // 1 to MaxIterations
	Salt       []byte
	StoredKey  []byte // H(ClientKey)
	ServerKey  []byte
}

// ClientKeys is what a client may keep instead of the password (RFC 5802 §5.1). It spares the PBKDF2 as long as the account's salt and iterations stay,
// and it is as good as the password for this account: keep it as secret.
type ClientKeys struct {
	Mechanism  string // SCRAMSHA1 or SCRAMSHA256
	Iterations int
	Salt       []byte
	ClientKey  []byte
	ServerKey  []byte
}

// Derive makes the keys of a password for SCRAMSHA1 or SCRAMSHA256 (RFC 5802 §3): a PBKDF2, about 0.2 µs per iteration. The password is prepared by SASLprep.
// It fails on another mechanism, iterations outside 1 to MaxIterations, an empty salt, and a password that is empty or has control characters.
func Derive(mech, password string, iterations int, salt []byte) (Keys, error) {
	c, err := DeriveClient(mech, password, iterations, salt)
	if err != nil {
		return Keys{}, err
	}
	return c.Keys(), nil
}

// NewKeys makes the keys of a new password for every mechanism, or for those given: with DefaultIterations and salts of their own. Errors are those of Derive.
func NewKeys(password string, mechs ...string) ([]Keys, error) {
	if len(mechs) == 0 {
		mechs = []string{SCRAMSHA1, SCRAMSHA256}
	}
	keys := make([]Keys, len(mechs))
	for i, mech := range mechs {
		salt := make([]byte, saltSize)
		rand.Read(salt) // never fails
		var err error
		if keys[i], err = Derive(mech, password, DefaultIterations, salt); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// DeriveClient makes what a client may keep of a password. Parameters and errors are those of Derive.
func DeriveClient(mech, password string, iterations int, salt []byte) (ClientKeys, error) {
	h, ok := hashOf(mech)
	if !ok {
		return ClientKeys{}, fmt.Errorf("derive keys: %q is not %s or %s", mech, SCRAMSHA1, SCRAMSHA256)
	}
	if iterations < 1 || iterations > MaxIterations {
		return ClientKeys{}, fmt.Errorf("derive keys: %d iterations are not between 1 and %d", iterations, MaxIterations)
	}
	if len(salt) == 0 {
		return ClientKeys{}, errors.New("derive keys: the salt is empty")
	}
	password, err := preparePassword(password)
	if err != nil {
		return ClientKeys{}, fmt.Errorf("derive keys: %w", err)
	}
	salted, err := pbkdf2.Key(h.new, password, salt, iterations, h.size)
	if err != nil {
		return ClientKeys{}, fmt.Errorf("derive keys: %w", err)
	}
	return ClientKeys{
		Mechanism:  h.name,
		Iterations: iterations,
		Salt:       bytes.Clone(salt),
		ClientKey:  h.mac(nil, salted, []byte("Client Key")),
		ServerKey:  h.mac(nil, salted, []byte("Server Key")),
	}, nil
}

// Keys returns what the server keeps of the same password.
func (c ClientKeys) Keys() Keys {
	h, _ := hashOf(c.Mechanism)
	return Keys{Mechanism: c.Mechanism, Iterations: c.Iterations, Salt: c.Salt, StoredKey: h.sum(nil, c.ClientKey), ServerKey: c.ServerKey}
}

// Verify tells whether the keys are those of the password, in a time that does not depend on it. It costs what Derive costs.
func (k Keys) Verify(password string) bool {
	other, err := Derive(k.Mechanism, password, k.Iterations, k.Salt)
	// & and not &&: both comparisons are always made.
	return err == nil && subtle.ConstantTimeCompare(other.StoredKey, k.StoredKey)&subtle.ConstantTimeCompare(other.ServerKey, k.ServerKey) == 1
}

// Validate tells what makes keys from elsewhere unusable: a mechanism that is not SCRAMSHA1 or SCRAMSHA256, iterations out of range, a part of wrong length.
func (k Keys) Validate() error {
	h, ok := hashOf(k.Mechanism)
	switch {
	case !ok:
		return fmt.Errorf("mechanism %q is not %s or %s", k.Mechanism, SCRAMSHA1, SCRAMSHA256)
	case k.Iterations < 1 || k.Iterations > MaxIterations:
		return fmt.Errorf("%d iterations are not between 1 and %d", k.Iterations, MaxIterations)
	case len(k.Salt) == 0 || len(k.Salt) > maxSalt:
		return fmt.Errorf("a salt of %d bytes is not between 1 and %d", len(k.Salt), maxSalt)
	case len(k.StoredKey) != h.size:
		return fmt.Errorf("a stored key of %d bytes, %s has %d", len(k.StoredKey), h.name, h.size)
	case len(k.ServerKey) != h.size:
		return fmt.Errorf("a server key of %d bytes, %s has %d", len(k.ServerKey), h.name, h.size)
	}
	return nil
}

// maxSalt is the greatest length of a salt in bytes.
const maxSalt = 1024

// A hashing is the hash function of a SCRAM mechanism.
type hashing struct {
	name string // of the mechanism without -PLUS
	size int
	new  func() hash.Hash
}

// hashOf returns the hash function of a SCRAM mechanism with or without -PLUS.
func hashOf(mech string) (hashing, bool) {
	switch strings.TrimSuffix(mech, "-PLUS") {
	case SCRAMSHA1:
		return hashing{SCRAMSHA1, sha1.Size, sha1.New}, true
	case SCRAMSHA256:
		return hashing{SCRAMSHA256, sha256.Size, sha256.New}, true
	}
	return hashing{}, false
}

// blockSize is that of SHA-1 and of SHA-256, in bytes.
const blockSize = 64

// mac appends HMAC(key, message) to dst (RFC 2104). Written out, because crypto/hmac allocates eight times, and a sign-in has three of them at least.
func (h hashing) mac(dst, key, message []byte) []byte {
	var k [blockSize]byte
	if len(key) > blockSize {
		h.sum(k[:0], key)
	} else {
		copy(k[:], key)
	}
	var inner, outer [blockSize]byte
	for i, c := range k {
		inner[i], outer[i] = c^0x36, c^0x5c
	}
	var buf [512]byte
	var sum [blockSize + sha256.Size]byte
	o := append(sum[:0], outer[:]...)
	o = h.sum(o, append(append(buf[:0], inner[:]...), message...))
	return h.sum(dst, o)
}

// sum appends H(b) to dst.
func (h hashing) sum(dst, b []byte) []byte {
	if h.size == sha1.Size {
		s := sha1.Sum(b)
		return append(dst, s[:]...)
	}
	s := sha256.Sum256(b)
	return append(dst, s[:]...)
}
