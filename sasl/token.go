package sasl

import "time"

// Claims is what a token of ours says.
type Claims struct {
	Org     uint32
	Local   string
	Scope   string // bare JID of the only peer, "" for no limit
	Expires time.Time
	ID      [8]byte
}

// Mint makes a token.
func Mint(key []byte, c Claims) string { return "" }

// Verify reads a token and checks it.
func Verify(key []byte, token string, now time.Time) (Claims, error) {
	return Claims{}, fail(NotAuthorized, "not yet")
}
