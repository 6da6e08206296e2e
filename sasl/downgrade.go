package sasl

import (
	"slices"
	"strings"
)

// Somebody between client and server who holds a certificate may take mechanisms and channel binding types out of the offer, so that the client chooses a
// weaker one. XEP-0474 (SCRAM downgrade protection) puts a hash of the offer into the server's first message, where the proofs of both ends cover it.

// offerHash is the hash of an offer (XEP-0474 §5.1). types is empty where none were announced.
func offerHash(h hashing, mechanisms, types []string) []byte {
	s := strings.Join(slices.Sorted(slices.Values(mechanisms)), "\x1e")
	if len(types) > 0 {
		s += "\x1f" + strings.Join(slices.Sorted(slices.Values(types)), "\x1e")
	}
	return h.sum([]byte(s))
}
