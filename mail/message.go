// Package mail sends e-mail to one person at a time through a relay (RFC 5321),
// renders templates, and reads what comes back. It knows no table and keeps no
// queue: whoever sends says before DATA that it will, and hears exactly what
// is known afterwards ([Outcome]).
package mail

import (
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of a message.
const (
	MaxSubject = 250     // characters of a subject
	MaxBody    = 1 << 20 // bytes of each body
)

// An Address is a mailbox with the name that is shown beside it.
type Address struct{ Name, Mail string }

// ParseAddress reads "a@b" or "Name <a@b>" (RFC 5322 §3.4). Control characters,
// addresses longer than 254 bytes, and those that would have to be quoted
// ("a b"@c, a@[192.0.2.1]) are refused: they cannot be told from a command.
func ParseAddress(s string) (Address, error) {
	if err := header("address", s); err != nil {
		return Address{}, err
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an e-mail address", s)
	}
	if err := header("name", a.Name); err != nil { // it may have been encoded
		return Address{}, err
	}
	if _, err := wire(a.Address); err != nil {
		return Address{}, err
	}
	return Address{a.Name, a.Address}, nil
}

// wire is an address as SMTP and the header carry it, with the domain in
// A-labels (RFC 5891). It is ASCII unless what is before the @ is not.
func wire(s string) (string, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 1 || i > 64 || !dotAtom(s[:i]) {
		return "", fmt.Errorf("%q is not an e-mail address", s)
	}
	domain, err := asciiDomain(s[i+1:])
	if err != nil || i+1+len(domain) > 254 {
		return "", fmt.Errorf("%q is not an e-mail address", s)
	}
	return s[:i+1] + domain, nil
}

// dotAtom: what needs no quotes (RFC 5322 §3.2.3, RFC 6532 §3.2).
func dotAtom(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" {
			return false
		}
		for _, r := range word {
			if strings.ContainsRune("()<>[]:;@\\,\" ", r) || !unicode.IsPrint(r) || r == utf8.RuneError {
				return false
			}
		}
	}
	return true
}

// asciiDomain is a host name in A-labels.
func asciiDomain(s string) (string, error) {
	if ascii := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0; !ascii || strings.Contains(strings.ToLower(s), "xn--") {
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", fmt.Errorf("domain %q: %w", s, err)
		}
	}
	for label := range strings.SplitSeq(s, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if label == "" || len(label) > 63 || bad >= 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("%q is no domain", s)
		}
	}
	return s, nil
}

// Domain is what follows the last @, as it is written.
func (a Address) Domain() string { return a.Mail[strings.LastIndexByte(a.Mail, '@')+1:] }

func (a Address) String() string { return (&mail.Address{Name: a.Name, Address: a.Mail}).String() }

// A Message is one e-mail to one person.
type Message struct {
	ID       string // of Message-ID, without brackets: left@right
	Date     time.Time
	From, To Address
	ReplyTo  Address // zero: From
	Sender   string  // the envelope's; bounces go there; "": From
	Subject  string
	Text     string
	HTML     string // "": text only
	Language string // tag of RFC 5646, for Content-Language
	// Unsubscribe is the https address that takes the one-click POST of
	// RFC 8058; "": none. An http address is named, but without one click.
	Unsubscribe string
}

// header refuses what would end a header line (RFC 5322 §2.2).
func header(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s: not UTF-8", what)
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085' {
			return fmt.Errorf("%s: control character %U", what, r)
		}
	}
	return nil
}

// check refuses a message that must not be sent as it is.
func (m *Message) check() error {
	for _, f := range [...]struct{ what, value string }{
		{"message id", m.ID}, {"from", m.From.Name}, {"to", m.To.Name}, {"reply-to", m.ReplyTo.Name},
		{"subject", m.Subject}, {"language", m.Language}, {"unsubscribe", m.Unsubscribe},
	} {
		if err := header(f.what, f.value); err != nil {
			return err
		}
	}
	switch {
	case plainID(m.ID) == "":
		return fmt.Errorf("%q is no message id", m.ID)
	case strings.TrimSpace(m.Subject) == "":
		return fmt.Errorf("the subject is empty")
	case utf8.RuneCountInString(m.Subject) > MaxSubject:
		return fmt.Errorf("the subject has more than %d characters", MaxSubject)
	case m.Text == "":
		return fmt.Errorf("the text is empty")
	case !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML):
		return fmt.Errorf("a body is not UTF-8")
	case len(m.Text) > MaxBody || len(m.HTML) > MaxBody:
		return fmt.Errorf("a body has more than %d bytes", MaxBody)
	case m.Date.IsZero():
		return fmt.Errorf("the date is missing")
	case strings.IndexFunc(m.Language, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) >= 0 || len(m.Language) > 35:
		return fmt.Errorf("%q is no language", m.Language)
	}
	return checkUnsubscribe(m.Unsubscribe)
}

// plainID is left@right of plain characters (RFC 5322 §3.6.4), with what is a
// domain beyond ASCII in A-labels, or "".
func plainID(s string) string {
	left, right, ok := strings.Cut(s, "@")
	if strings.IndexFunc(right, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		var err error
		if right, err = asciiDomain(right); err != nil {
			return ""
		}
	}
	s = left + "@" + right
	if !ok || !dotAtom(left) || !dotAtom(right) || len(s) > maxIDBytes || strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return ""
	}
	return s
}

// checkUnsubscribe: one web address that fits on a line (RFC 2369 §2: what
// stands between the brackets is not folded).
func checkUnsubscribe(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("the address to unsubscribe at is no web address")
	}
	if len(s) > 900 || strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || strings.ContainsRune(" <>,\"", r) }) >= 0 {
		return fmt.Errorf("the address to unsubscribe at is too long, or has characters that must be encoded")
	}
	return nil
}

// An envelope is what the relay is told (RFC 5321 §2.3.1).
type envelope struct {
	from, to string
	utf8     bool // it needs SMTPUTF8 (RFC 6531)
}

// envelope checks the addresses, each once more, for they also come from rows.
func (m *Message) envelope() (e envelope, err error) {
	sender := m.Sender
	if sender == "" {
		sender = m.From.Mail
	}
	if e.from, err = wire(sender); err != nil {
		return e, fmt.Errorf("envelope sender: %w", err)
	}
	if e.to, err = wire(m.To.Mail); err != nil {
		return e, fmt.Errorf("to: %w", err)
	}
	for _, s := range [...]string{e.from, e.to, m.From.Mail, m.ReplyTo.Mail} {
		local, _, _ := strings.Cut(s, "@")
		e.utf8 = e.utf8 || strings.IndexFunc(local, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0
	}
	return e, nil
}
