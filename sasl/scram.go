package sasl

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// This file reads the parts of SCRAM messages (RFC 5802 §7), for both ends and, as far as the GS2 header goes, for OAUTHBEARER. It is strict: attributes
// stand in the order of the grammar, none twice, none empty, none mandatory that we do not know.

// strict is the base64 of SCRAM: no line breaks, and no bits left over that could make two spellings of one value.
var strict = base64.StdEncoding.Strict()

// A gs2Header is what precedes the client's first message (RFC 5801 §4).
type gs2Header struct {
	flag    byte   // 'n' the client does not bind channels, 'y' it does but thinks that the server does not, 'p' it binds
	binding string // channel binding type of 'p'
	authzid string // "" for none
	size    int    // length in bytes with the second comma
}

// parseGS2 reads the GS2 header at the start of b.
func parseGS2(b []byte) (gs2Header, bool) {
	flag, rest, ok1 := bytes.Cut(b, comma)
	authzid, rest, ok2 := bytes.Cut(rest, comma)
	if !ok1 || !ok2 || len(flag) == 0 {
		return gs2Header{}, false
	}
	g := gs2Header{flag: flag[0], size: len(b) - len(rest)}
	switch {
	case len(flag) == 1 && (g.flag == 'n' || g.flag == 'y'):
	case len(flag) > 2 && flag[0] == 'p' && flag[1] == '=' && bindingName(flag[2:]):
		g.binding = string(flag[2:])
	default:
		return gs2Header{}, false
	}
	if len(authzid) > 0 {
		name, found := bytes.CutPrefix(authzid, []byte("a="))
		if !found {
			return gs2Header{}, false
		}
		var ok bool
		if g.authzid, ok = saslname(name); !ok {
			return gs2Header{}, false
		}
	}
	return g, true
}

var comma = []byte{','}

// bindingName tells whether b is written as a channel binding type: letters, digits, dot, hyphen. All registered ones are shorter than 64.
func bindingName(b []byte) bool {
	for _, c := range b {
		if !(letter(c) || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return 0 < len(b) && len(b) < 64
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// saslname decodes a name, in which =2C stands for a comma and =3D for an equals sign.
func saslname(b []byte) (string, bool) {
	if !value(b) {
		return "", false
	}
	if bytes.IndexByte(b, '=') < 0 {
		return string(b), true
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '=' {
			out = append(out, b[i])
			continue
		}
		switch {
		case bytes.HasPrefix(b[i:], []byte("=2C")):
			out = append(out, ',')
		case bytes.HasPrefix(b[i:], []byte("=3D")):
			out = append(out, '=')
		default:
			return "", false
		}
		i += 2
	}
	return string(out), true
}

// appendSaslname appends the name with commas and equals signs encoded.
func appendSaslname(dst []byte, name string) []byte {
	return append(dst, saslnameEncoder.Replace(name)...)
}

var saslnameEncoder = strings.NewReplacer("=", "=3D", ",", "=2C")

// value tells whether b may be the value of an attribute: not empty, UTF-8, without NUL. It has no comma, for one has cut it off.
func value(b []byte) bool {
	return len(b) > 0 && bytes.IndexByte(b, 0) < 0 && utf8.Valid(b)
}

// nonce tells whether b is written as a nonce: printable ASCII without comma.
func nonce(b []byte) bool {
	for _, c := range b {
		if c < '!' || c > '~' || c == ',' {
			return false
		}
	}
	return len(b) > 0
}

// attribute takes the attribute of this name off the start of b. more says that a comma follows.
func attribute(b []byte, name byte) (val, rest []byte, more, ok bool) {
	if len(b) < 3 || b[0] != name || b[1] != '=' {
		return nil, nil, false, false
	}
	val, rest, more = bytes.Cut(b[2:], comma)
	return val, rest, more, len(val) > 0
}

// extensions checks the optional attributes in b. taken holds the names that the message has had; m, reserved for what must be understood, is refused.
// visit is called with each and may be nil.
func extensions(b []byte, taken string, visit func(name byte, val []byte)) bool {
	var seen [128]bool
	seen['m'] = true
	for i := range len(taken) {
		seen[taken[i]] = true
	}
	for more := true; more; {
		var a []byte
		a, b, more = bytes.Cut(b, comma)
		if len(a) < 3 || !letter(a[0]) || seen[a[0]] || a[1] != '=' || !value(a[2:]) {
			return false
		}
		seen[a[0]] = true
		if visit != nil {
			visit(a[0], a[2:])
		}
	}
	return true
}

// appendAttribute appends name=base64(val).
func appendAttribute(dst []byte, name byte, val []byte) []byte {
	return strict.AppendEncode(append(dst, name, '='), val)
}

// decode appends to dst what src says in base64, if that is limit bytes at most.
func decode(dst, src []byte, limit int) ([]byte, bool) {
	// The standard decoder skips line breaks, even the strict one.
	if strict.DecodedLen(len(src)) > limit+2 || bytes.IndexByte(src, '\n') >= 0 || bytes.IndexByte(src, '\r') >= 0 {
		return nil, false
	}
	out, err := strict.AppendDecode(dst, src)
	return out, err == nil && len(out)-len(dst) <= limit
}
