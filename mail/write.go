package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-msgauth/dkim"
)

// idField carries our message id beside Message-ID, for some relays write that
// one anew, and what comes back names theirs.
const idField = "X-Bearhug-Id"

// maxName is the longest name that is shown beside an address, characters.
const maxName = 120

// bytes is the message as it goes over the wire (RFC 5322, 2045), signed when
// there is a key. The same message is the same bytes, but for the signature's
// time. No line is longer than 998 bytes, and unless an address needs more,
// all is ASCII.
func (m *Message) bytes(sign *dkim.SignOptions) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(2048 + len(m.Text) + len(m.HTML) + (len(m.Text)+len(m.HTML))/8)
	if err := m.writeHeader(&b); err != nil {
		return nil, err
	}
	m.writeBody(&b)
	if sign == nil {
		return b.Bytes(), nil
	}
	return withSignature(b.Bytes(), sign)
}

// withSignature puts the signature's field in front.
func withSignature(raw []byte, sign *dkim.SignOptions) ([]byte, error) {
	s, err := dkim.NewSigner(sign)
	if err != nil {
		return nil, fmt.Errorf("sign the message: %w", err)
	}
	_, err = s.Write(raw)
	if closed := s.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("sign the message: %w", err)
	}
	field := s.Signature()
	return append(append(make([]byte, 0, len(field)+len(raw)), field...), raw...), nil
}

func (m *Message) writeHeader(b *bytes.Buffer) error {
	field(b, "Date", m.Date.Format(time.RFC1123Z))
	for _, f := range [...]struct {
		name string
		a    Address
	}{{"From", m.From}, {"To", m.To}, {"Reply-To", m.ReplyTo}} {
		if f.name == "Reply-To" && f.a.Mail == "" {
			continue
		}
		address, err := wire(f.a.Mail)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(f.name), err)
		}
		field(b, f.name, phrase(f.a.Name)+"<"+address+">")
	}
	field(b, "Subject", words(m.Subject))
	id := plainID(m.ID)
	b.WriteString("Message-ID: <" + id + ">\r\n") // unfolded, as some compare it
	field(b, idField, id)
	// RFC 3834: vacation programs stay silent; Exchange wants its own word.
	field(b, "Auto-Submitted", "auto-generated")
	field(b, "X-Auto-Response-Suppress", "OOF, AutoReply")
	if m.Language != "" {
		field(b, "Content-Language", m.Language)
	}
	if m.Unsubscribe != "" {
		// On one line, unencoded: mail programs do not find it otherwise.
		b.WriteString("List-Unsubscribe: <" + m.Unsubscribe + ">\r\n")
		if strings.HasPrefix(m.Unsubscribe, "https:") { // RFC 8058 §3.1
			field(b, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
		}
	}
	field(b, "MIME-Version", "1.0")
	return nil
}

func (m *Message) writeBody(b *bytes.Buffer) {
	if m.HTML == "" {
		writePart(b, "text/plain", m.Text)
		return
	}
	// No line of quoted-printable has "=_" in it (RFC 2045 §6.7).
	sum := sha256.Sum256([]byte(m.ID))
	boundary := "=_" + hex.EncodeToString(sum[:12])
	b.WriteString("Content-Type: multipart/alternative;\r\n boundary=\"" + boundary + "\"\r\n\r\n")
	for _, p := range [...]struct{ kind, body string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		b.WriteString("--" + boundary + "\r\n")
		writePart(b, p.kind, p.body)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
}

func writePart(b *bytes.Buffer, kind, body string) {
	b.WriteString("Content-Type: " + kind + "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(b)
	_, _ = w.Write([]byte(body)) // into memory
	_ = w.Close()
	if !strings.HasSuffix(body, "\n") {
		b.WriteString("\r\n")
	}
}

// field writes a field, folded at spaces after 76 bytes where there are some
// (RFC 5322 §2.2.3). Encoded words are folded already.
func field(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteString(": ")
	if strings.Contains(value, "\r\n") || len(name)+2+len(value) <= 76 {
		b.WriteString(value)
		b.WriteString("\r\n")
		return
	}
	at := len(name) + 2
	for i, word := range strings.Split(value, " ") {
		switch {
		case i > 0 && word != "" && at+1+len(word) > 76:
			b.WriteString("\r\n ")
			at = 1
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteString("\r\n")
}

// words encodes text beyond ASCII (RFC 2047), and text that would be taken for
// encoded.
func words(s string) string {
	if strings.Contains(s, "=?") {
		return base64Words(s)
	}
	return folded(mime.QEncoding.Encode("utf-8", s))
}

// folded puts each encoded word on a line of its own.
func folded(s string) string {
	if !strings.HasPrefix(s, "=?") {
		return s
	}
	return strings.ReplaceAll(s, "?= =?", "?=\r\n =?")
}

func base64Words(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), 39) // 52 characters of 75
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		if b.Len() > 0 {
			b.WriteString("\r\n ")
		}
		b.WriteString("=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		s = s[n:]
	}
	return b.String()
}

// phrase is the name before an address (RFC 5322 §3.4), with the space between.
func phrase(name string) string {
	if name = strings.TrimSpace(name); name == "" {
		return ""
	}
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName])
	}
	plain := strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	switch {
	case strings.Contains(name, "=?"):
		return base64Words(name) + " "
	case plain:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" `
	case strings.ContainsAny(name, "\"#$%&'(),.:;<>@[]^`{|}~"): // not in a word within a phrase (RFC 2047 §5)
		return folded(mime.BEncoding.Encode("utf-8", name)) + " "
	}
	return folded(mime.QEncoding.Encode("utf-8", name)) + " "
}
