// Package jid keeps XMPP addresses (RFC 7622): how they are read, prepared and compared.
//
// A JID is a value. It holds one canonical string and two lengths into it, so its parts and its bare form are substrings and cost nothing. The same
// address always has the same string: compare with ==, use it as a map key. There are no locks and no state.
package jid

// A JID is an address in canonical form: localpart@domainpart/resourcepart, of which the first and the last may be absent. The zero JID is no address.
type JID struct {
	s             string
	local, domain uint16 // lengths in bytes
}

// Local returns the localpart, "" where there is none.
func (j JID) Local() string { return j.s[:j.local] }

// Domain returns the domainpart, "" only for the zero JID.
func (j JID) Domain() string {
	at := j.domainAt()
	return j.s[at : at+int(j.domain)]
}

// Resource returns the resourcepart, "" where there is none.
func (j JID) Resource() string {
	if n := j.bareLen(); n < len(j.s) {
		return j.s[n+1:]
	}
	return ""
}

// Bare returns the address without its resource. The result shares the string of j.
func (j JID) Bare() JID {
	j.s = j.s[:j.bareLen()]
	return j
}

// WithResource returns the bare form of j with the resource r, prepared (RFC 7622 §3.4); with r "" it returns the bare form.
// It fails with ErrResource or ErrTooLong, and with ErrDomain if j is zero.
func (j JID) WithResource(r string) (JID, error) {
	if j.IsZero() {
		return JID{}, ErrDomain
	}
	if r == "" {
		return j.Bare(), nil
	}
	r, err := prepareResource(r)
	if err != nil {
		return JID{}, err
	}
	j.s = j.s[:j.bareLen()] + "/" + r
	return j, nil
}

// IsZero tells whether j is no address.
func (j JID) IsZero() bool { return j.s == "" }

// IsBare tells whether j is an address without a resource.
func (j JID) IsBare() bool { return j.s != "" && j.bareLen() == len(j.s) }

// IsFull tells whether j is an address with a resource.
func (j JID) IsFull() bool { return j.bareLen() < len(j.s) }

// String returns the canonical form, "" for the zero JID. Parse of it gives j again.
func (j JID) String() string { return j.s }

func (j JID) domainAt() int {
	if j.local == 0 {
		return 0
	}
	return int(j.local) + 1
}

func (j JID) bareLen() int { return j.domainAt() + int(j.domain) }
