package sasl

import "slices"

// Somebody between client and server who holds a certificate may take mechanisms and channel binding types out of the offer, so that the client chooses a
// weaker one. XEP-0474 (SCRAM downgrade protection) puts a hash of the offer into the server's first message, where the proofs of both ends cover it.

// appendOffer appends the attribute h, the hash of an offer (XEP-0474 §5.1). types is empty where none were announced.
func appendOffer(dst []byte, h hashing, mechanisms, types []string) []byte {
	var buf [512]byte
	b := appendSorted(buf[:0], mechanisms)
	if len(types) > 0 {
		b = appendSorted(append(b, 0x1f), types)
	}
	var sum [64]byte
	return appendAttribute(dst, 'h', h.sum(sum[:0], b))
}

// appendSorted appends the list in the order of its bytes.
func appendSorted(dst []byte, list []string) []byte {
	if !slices.IsSorted(list) {
		list = slices.Sorted(slices.Values(list))
	}
	for i, s := range list {
		if i > 0 {
			dst = append(dst, 0x1e)
		}
		dst = append(dst, s...)
	}
	return dst
}
