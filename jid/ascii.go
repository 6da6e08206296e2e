package jid

// Nearly all addresses are ASCII and canonical. These functions say so in one pass over each part; what they do not accept takes the way of prepare.go,
// which may still accept it. What they accept, prepare.go would return unchanged.

// maxLabel is the limit of a label of a domain name in ASCII form (RFC 1035 §2.3.4).
const maxLabel = 63

// What a byte may be part of without being changed.
const (
	okLocal = 1 << iota
	okLabel
	okResource
)

// ascii says of each byte where it may stand.
var ascii = func() (t [256]uint8) {
	for c := ' '; c <= '~'; c++ {
		t[c] = okResource // OpaqueString: all of ASCII but the controls (RFC 8265 §4.2)
		switch c {
		case ' ', '"', '&', '\'', '/', ':', '<', '>', '@': // RFC 7622 §3.3.1
		default:
			if c < 'A' || c > 'Z' {
				t[c] |= okLocal
			}
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			t[c] |= okLabel
		}
	}
	return t
}()

// only tells whether all bytes of s may stand in the part of the flag, and s is neither empty nor too long.
func only(s string, flag uint8) bool {
	if len(s) == 0 || len(s) > maxPart {
		return false
	}
	for i := 0; i < len(s); i++ {
		if ascii[s[i]]&flag == 0 {
			return false
		}
	}
	return true
}

func canonicalLocal(s string) bool { return only(s, okLocal) }

func canonicalResource(s string) bool { return only(s, okResource) }

// canonicalDomain tells whether s is a series of lower-case NR-LDH labels (RFC 5890 §2.3.1), which an IPv4 address is too.
func canonicalDomain(s string) bool {
	if len(s) == 0 || len(s) > maxPart {
		return false
	}
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			if !hyphensFit(s[start:i]) {
				return false
			}
			start = i + 1
		} else if ascii[s[i]]&okLabel == 0 {
			return false
		}
	}
	return hyphensFit(s[start:])
}

// hyphensFit tells whether a label of letters, digits and hyphens has a good length and its hyphens at good places: no A-label either, for that is to be
// decoded (RFC 5891 §4.2.3.1).
func hyphensFit(s string) bool {
	n := len(s)
	return n > 0 && n <= maxLabel && s[0] != '-' && s[n-1] != '-' && (n < 4 || s[2] != '-' || s[3] != '-')
}
