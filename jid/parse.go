package jid

import (
	"errors"
	"fmt"
	"strings"
)

// maxPart is the limit of each part in bytes after preparation (RFC 7622 §3.2 to §3.4).
const maxPart = 1023

// maxRaw limits a part before preparation, so that the work for one address is bounded. Nothing that preparation does shrinks a string eight-fold.
const maxRaw = 8 * maxPart

// What is wrong with an address. All of them are ErrInvalid to errors.Is.
var (
	ErrInvalid  = errors.New("invalid address")
	ErrLocal    = fmt.Errorf("%w: the part before @ is empty or has a character that is not allowed there", ErrInvalid)
	ErrDomain   = fmt.Errorf("%w: the domain is neither a domain name nor an IP address", ErrInvalid)
	ErrResource = fmt.Errorf("%w: the part after / is empty or has a character that is not allowed there", ErrInvalid)
	ErrTooLong  = fmt.Errorf("%w: a part is longer than 1023 bytes", ErrInvalid)
)

// Parse reads an address and prepares its parts (RFC 7622 §3). A canonical ASCII address costs no allocation: the JID keeps s, so s must not be part of
// something much larger that should be freed. The errors are ErrLocal, ErrDomain, ErrResource and ErrTooLong.
func Parse(s string) (JID, error) {
	local, domain, resource := "", s, ""
	// The first / ends the domain, whatever stands before it; only then is there an @ to look for (RFC 7622 §3.2).
	if i := strings.IndexByte(s, '/'); i >= 0 {
		domain, resource = s[:i], s[i+1:]
		if resource == "" {
			return JID{}, ErrResource
		}
	}
	if i := strings.IndexByte(domain, '@'); i >= 0 {
		local, domain = domain[:i], domain[i+1:]
		if local == "" {
			return JID{}, ErrLocal
		}
	}
	if canonicalDomain(domain) && (local == "" || canonicalLocal(local)) && (resource == "" || canonicalResource(resource)) {
		return JID{s: s, local: uint16(len(local)), domain: uint16(len(domain))}, nil
	}
	return New(local, domain, resource)
}

// ParseBytes is Parse for bytes: one allocation, the copy of b, for a canonical ASCII address.
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

// New makes an address of its parts and prepares them. local and resource may be "": the address is without them. The errors are those of Parse.
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
	return JID{s: join(local, domain, resource), local: uint16(len(local)), domain: uint16(len(domain))}, nil
}

// join puts prepared parts together, in one allocation at most.
func join(local, domain, resource string) string {
	switch {
	case local == "" && resource == "":
		return domain
	case resource == "":
		return local + "@" + domain
	case local == "":
		return domain + "/" + resource
	}
	return local + "@" + domain + "/" + resource
}
