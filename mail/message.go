// Package mail sends e-mail to one person at a time through a relay (RFC 5321),
// renders templates, and reads what comes back. It knows no table and keeps no
// queue: whoever sends says before DATA that it will, and hears exactly what
// is known afterwards ([Outcome]).
package mail

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-msgauth/dkim"
	gomail "github.com/wneessen/go-mail"
)

// Limits of a message.
const (
	MaxSubject = 250     // characters of a subject
	MaxBody    = 1 << 20 // bytes of each body
)

// An Address is a mailbox with the name that is shown beside it.
type Address struct{ Name, Mail string }

// ParseAddress reads "a@b" or "Name <a@b>" (RFC 5322 §3.4). Control characters
// and addresses longer than 254 bytes are refused.
func ParseAddress(s string) (Address, error) {
	if err := header("address", s); err != nil {
		return Address{}, err
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an e-mail address", s)
	}
	if len(a.Address) > 254 || !strings.Contains(a.Address, "@") {
		return Address{}, fmt.Errorf("%q is not an e-mail address", s)
	}
	return Address{a.Name, a.Address}, nil
}

// Domain is what follows the last @.
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
	// RFC 8058; "": none.
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
		{"message id", m.ID}, {"from", m.From.Name + m.From.Mail}, {"to", m.To.Name + m.To.Mail},
		{"reply-to", m.ReplyTo.Name + m.ReplyTo.Mail}, {"envelope sender", m.Sender}, {"subject", m.Subject},
		{"language", m.Language}, {"unsubscribe", m.Unsubscribe},
	} {
		if err := header(f.what, f.value); err != nil {
			return err
		}
	}
	left, right, ok := strings.Cut(m.ID, "@")
	switch {
	case !ok || left == "" || right == "" || strings.ContainsAny(m.ID, " <>()\",;:\\"):
		return fmt.Errorf("%q is no message id", m.ID)
	case strings.TrimSpace(m.Subject) == "":
		return fmt.Errorf("the subject is empty")
	case utf8.RuneCountInString(m.Subject) > MaxSubject:
		return fmt.Errorf("the subject has more than %d characters", MaxSubject)
	case m.Text == "":
		return fmt.Errorf("the text is empty")
	case len(m.Text) > MaxBody || len(m.HTML) > MaxBody:
		return fmt.Errorf("a body has more than %d bytes", MaxBody)
	case m.Unsubscribe != "" && !strings.HasPrefix(m.Unsubscribe, "https://") && !strings.HasPrefix(m.Unsubscribe, "http://"):
		return fmt.Errorf("the address to unsubscribe at is no web address")
	case m.Date.IsZero():
		return fmt.Errorf("the date is missing")
	}
	return nil
}

// bytes is the message as it goes over the wire (RFC 5322, 2045), signed when
// the relay has a key for the sender's domain.
func (m *Message) bytes(sign *dkim.SignOptions) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	out := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := mailboxes(out, m); err != nil {
		return nil, err
	}
	out.Subject(m.Subject)
	out.SetDateWithValue(m.Date)
	out.SetMessageIDWithValue(m.ID)
	// RFC 3834: vacation programs stay silent.
	out.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Language != "" {
		out.SetGenHeader("Content-Language", m.Language)
	}
	if m.Unsubscribe != "" {
		// Preformatted: an encoded or folded address is not found by mail programs.
		out.SetGenHeaderPreformatted("List-Unsubscribe", "<"+m.Unsubscribe+">")
		out.SetGenHeaderPreformatted("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	out.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		out.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := out.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	if sign == nil {
		return b.Bytes(), nil
	}
	var s bytes.Buffer
	if err := dkim.Sign(&s, &b, sign); err != nil {
		return nil, fmt.Errorf("sign the message: %w", err)
	}
	return s.Bytes(), nil
}

// mailboxes writes From, To and Reply-To, each address parsed once more, for
// addresses also come from rows.
func mailboxes(out *gomail.Msg, m *Message) error {
	for _, f := range [...]struct {
		what string
		a    Address
		set  func(...*mail.Address)
	}{
		{"from", m.From, func(a ...*mail.Address) { out.FromMailAddress(a[0]) }},
		{"to", m.To, out.ToMailAddress},
		{"reply-to", m.ReplyTo, out.ReplyToMailAddress},
	} {
		if f.what == "reply-to" && f.a.Mail == "" {
			continue
		}
		if _, err := ParseAddress(f.a.Mail); err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		f.set(&mail.Address{Name: f.a.Name, Address: f.a.Mail})
	}
	return nil
}
