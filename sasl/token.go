package sasl

import (
	"bytes"

	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Claims is what a bearer token of ours says. It is signed, not encrypted: who has the token can read it.
type Claims struct {
	Org     uint32    // number of the organisation
	Local   string    // localpart of the account
	Scope   string    // bare JID of the one peer that may be talked to; "" for no limit
	Expires time.Time // to the microsecond; from then on the token is refused
	ID      [8]byte   // of whoever mints, to revoke by
	After   [16]byte  // archive id up to which messages are not shown; zero for no limit
}

// What is wrong with a token.
var (
	ErrToken        = errors.New("not a token of ours")
	ErrTokenExpired = errors.New("the token has expired")
)

// Layout of a token: base64url, without padding, of
//
//	version 1 byte · expires 8 bytes, microseconds since 1970 · org 4 bytes · ID 8 bytes · After 16 bytes · local · NUL · scope · HMAC-SHA-256 of all this, 32 bytes
//
// Integers are big-endian.
const (
	tokenVersion = 2
	tokenHead    = 1 + 8 + 4 + 8 + 16
	maxToken     = 4096 // bytes of base64url
)

// tokenUse stands before what is signed, so that no other use of the same key can make a token.
const tokenUse = "bearhug bearer token\x00"

var tokenEncoding = base64.RawURLEncoding.Strict()

// Mint makes a token. The key should have 32 random bytes. Local must not be empty, and no NUL may be in Local or Scope, which canonical addresses never
// have: of such claims Verify refuses the token.
func Mint(key []byte, c Claims) string {
	b := make([]byte, 0, tokenHead+len(c.Local)+1+len(c.Scope)+sha256.Size)
	b = append(b, tokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Expires.UnixMicro()))
	b = binary.BigEndian.AppendUint32(b, c.Org)
	b = append(b, c.ID[:]...)
	b = append(b, c.After[:]...)
	b = append(append(b, c.Local...), 0)
	b = append(b, c.Scope...)
	return tokenEncoding.EncodeToString(signToken(key, b, b))
}

// signToken appends the signature of body to dst.
func signToken(key, dst, body []byte) []byte {
	h, _ := hashOf(SCRAMSHA256)
	var buf [256]byte
	return h.mac(dst, key, append(append(buf[:0], tokenUse...), body...))
}

// Verify reads a token that Mint made with the same key. It fails with ErrToken, and from the moment it expires with ErrTokenExpired.
func Verify(key []byte, token string, now time.Time) (Claims, error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // the decoder skips line breaks
		return Claims{}, ErrToken
	}
	b, err := tokenEncoding.DecodeString(token)
	if err != nil || len(b) < tokenHead+2+sha256.Size {
		return Claims{}, ErrToken
	}
	body, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if subtle.ConstantTimeCompare(mac, signToken(key, nil, body)) != 1 || body[0] != tokenVersion {
		return Claims{}, ErrToken
	}
	local, scope, ok := bytes.Cut(body[tokenHead:], []byte{0})
	if !ok || len(local) == 0 || bytes.IndexByte(scope, 0) >= 0 {
		return Claims{}, ErrToken
	}
	c := Claims{
		Org:     binary.BigEndian.Uint32(body[9:]),
		Local:   string(local),
		Scope:   string(scope),
		Expires: time.UnixMicro(int64(binary.BigEndian.Uint64(body[1:]))).UTC(),
	}
	copy(c.ID[:], body[13:])
	copy(c.After[:], body[21:])
	if !now.Before(c.Expires) {
		return Claims{}, fmt.Errorf("%w at %s", ErrTokenExpired, c.Expires.Format(time.RFC3339))
	}
	return c, nil
}
