package jid

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

func prepareLocal(s string) (string, error) {
	p, err := precis.UsernameCaseMapped.String(s)
	if err != nil || strings.ContainsAny(p, "\"&'/:<>@") {
		return "", ErrLocal
	}
	if len(p) > maxPart {
		return "", ErrTooLong
	}
	return p, nil
}

func prepareDomain(s string) (string, error) {
	d, err := idna.Lookup.ToUnicode(strings.TrimSuffix(s, "."))
	if err != nil || d == "" {
		return "", ErrDomain
	}
	if len(d) > maxPart {
		return "", ErrTooLong
	}
	return d, nil
}

func prepareResource(s string) (string, error) {
	r, err := precis.OpaqueString.String(s)
	if err != nil || r == "" {
		return "", ErrResource
	}
	if len(r) > maxPart {
		return "", ErrTooLong
	}
	return r, nil
}
