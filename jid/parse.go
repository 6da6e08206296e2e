package jid

import (
	"errors"
	"fmt"
	"strings"
)

// maxPart is the limit of each part in bytes after preparation (RFC 7622 §3.2 to §3.4).
const maxPart = 1023

// maxRaw limits a part before preparation, so that the work per address is bounded. No preparation shrinks a string eight-fold.
const maxRaw = 8 * maxPart

// What is wrong with an address. All of them are ErrInvalid to errors.Is.
var (
	ErrInvalid  = errors.New("invalid address")
	ErrLocal    = fmt.Errorf("%w: the part before @ is empty or has a character that is not allowed", ErrInvalid)
	ErrDomain   = fmt.Errorf("%w: the domain is empty or no domain name or IP address", ErrInvalid)
	ErrResource = fmt.Errorf("%w: the part after / is empty or has a character that is not allowed", ErrInvalid)
	ErrTooLong  = fmt.Errorf("%w: a part is longer than 1023 bytes", ErrInvalid)
)

// Parse reads an address and prepares its parts (RFC 7622 §3). An ASCII address that is canonical already costs no allocation: the JID keeps s.
func Parse(s string) (JID, error) {
	local, rest, resource := "", s, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest, resource = rest[:i], rest[i+1:]
		if resource == "" {
			return JID{}, ErrResource
		}
	}
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		local, rest = rest[:i], rest[i+1:]
		if local == "" {
			return JID{}, ErrLocal
		}
	}
	return New(local, rest, resource)
}

// ParseBytes is Parse for bytes. It copies b, once for a canonical ASCII address.
func ParseBytes(b []byte) (JID, error) {
	if len(b) > 3*maxRaw {
		return JID{}, ErrTooLong
	}
	return Parse(string(b))
}

// MustParse is Parse for constants and tests: it panics where Parse fails.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic(fmt.Sprintf("jid.MustParse(%q): %v", s, err))
	}
	return j
}

// New makes an address of its parts and prepares them. local and resource may be "": absent.
func New(local, domain, resource string) (JID, error) {
	var err error
	if local != "" {
		if local, err = prepareLocal(local); err != nil {
			return JID{}, err
		}
	}
	if domain, err = prepareDomain(domain); err != nil {
		return JID{}, err
	}
	if resource != "" {
		if resource, err = prepareResource(resource); err != nil {
			return JID{}, err
		}
	}
	s := domain
	if local != "" {
		s = local + "@" + s
	}
	if resource != "" {
		s += "/" + resource
	}
	return JID{s: s, local: uint16(len(local)), domain: uint16(len(domain))}, nil
}
