package sasl

// FixNonce sets the server's nonce, for published vectors and for fuzzing.
func (s *Server) FixNonce(n string) { s.scram.fixed = n }

// FixNonce sets the client's nonce.
func (c *Client) FixNonce(n string) { c.scram.fixed = n }

// PreparePassword shows how passwords are prepared.
var PreparePassword = preparePassword

// OfferHash shows the hash of an offer.
func OfferHash(mech string, mechanisms, types []string) string {
	h, _ := hashOf(mech)
	return string(appendOffer(nil, h, mechanisms, types)[2:])
}

// MAC shows our HMAC.
func MAC(mech string, key, message []byte) []byte {
	h, _ := hashOf(mech)
	return h.mac(nil, key, message)
}
