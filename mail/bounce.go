package mail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/textproto"
	"regexp"
	"strings"
)

// A BounceKind says what a returned message means for the next one.
type BounceKind uint8

// Kinds of what comes back.
const (
	NoBounce  BounceKind = iota // an answer of a person, or of their absence program
	Hard                        // the address does not work
	Soft                        // it may work later: full, busy, too large, refused for what it says
	Complaint                   // the person called it spam (RFC 5965)
)

func (k BounceKind) String() string { return [...]string{"no bounce", "hard", "soft", "complaint"}[k] }

// A Bounce is a message that came back.
type Bounce struct {
	Kind      BounceKind
	MessageID string // of our message, without brackets; "" when the report has none
	Recipient string // the address we wrote to, or else the one that failed, or ""
	Status    string // enhanced (RFC 3463), or ""
	Reason    string // one line: the words of the system that refused it
}

// Limits of a report.
const (
	maxReport  = 4 << 20   // bytes
	maxHeader  = 256 << 10 // bytes of one header
	maxWords   = 64 << 10  // bytes of the text for people
	maxParts   = 32        // of a multipart, nested ones included
	maxDepth   = 6
	maxBlocks  = 1000 // recipients of a report
	maxReason  = 500  // bytes
	maxIDBytes = 250
)

// ErrNotMail says that the bytes are no message at all.
var ErrNotMail = errors.New("this is no e-mail message")

// ParseBounce reads a message that was sent to the envelope's sender: a
// delivery status notification (RFC 3464), a complaint (RFC 5965), or one of
// the older forms in plain words. A delay that is only announced is no bounce,
// nor is a report that a person passes on. What is cut or broken counts as far
// as it goes. At most the first 4 MiB are read.
//
// Anybody can write such a message: whoever acts on it makes sure that the
// message id is one that cannot be guessed.
func ParseBounce(raw []byte) (Bounce, error) {
	head, body := readHeader(raw[:min(len(raw), maxReport)])
	if len(head) == 0 {
		return Bounce{}, ErrNotMail
	}
	r := report{}
	r.walk(head, body, 0)
	return r.verdict(head), nil
}

// readHeader parts the fields and what follows the first empty line. Lines that
// are no field are passed over.
func readHeader(raw []byte) (textproto.MIMEHeader, []byte) {
	head := textproto.MIMEHeader{}
	var name string
	var value []byte
	flush := func() {
		if name != "" {
			head[name] = append(head[name], string(value))
		}
		name, value = "", value[:0]
	}
	rest := raw
	for len(rest) > 0 && len(raw)-len(rest) < maxHeader {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimRight(line[:min(len(line), maxHeader)], " \t\r")
		switch colon := bytes.IndexByte(line, ':'); {
		case len(line) == 0:
			if flush(); len(head) > 0 {
				return head, rest
			}
		case line[0] == ' ' || line[0] == '\t':
			value = append(append(value, ' '), bytes.TrimLeft(line, " \t")...)
		case colon > 0 && colon < 100 && !bytes.ContainsAny(bytes.TrimRight(line[:colon], " \t"), " \t"):
			flush()
			name = textproto.CanonicalMIMEHeaderKey(string(bytes.TrimRight(line[:colon], " \t")))
			value = append(value, bytes.TrimSpace(line[colon+1:])...)
		}
	}
	flush()
	return head, nil
}

// A report is what the parts of a message have told so far.
type report struct {
	parts    int
	formal   bool                   // it says that it is a multipart/report
	status   []textproto.MIMEHeader // per recipient, of message/delivery-status
	feedback textproto.MIMEHeader   // of message/feedback-report
	original textproto.MIMEHeader   // our message
	words    string                 // the first text for people
	copied   string                 // what followed them: our message in plain text
}

func (r *report) walk(head textproto.MIMEHeader, body []byte, depth int) {
	if r.parts++; r.parts > maxParts || depth > maxDepth {
		return
	}
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || kind == "" {
		kind = "text/plain" // RFC 2045 §5.2
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		r.formal = r.formal || kind == "multipart/report"
		before := r.parts
		for rest := body; len(rest) > 0 && r.parts <= maxParts; {
			var part []byte
			if part, rest = nextPart(rest, params["boundary"]); part != nil {
				h, b := readPart(part)
				r.walk(h, b, depth+1)
			}
		}
		if r.parts > before {
			return
		}
		kind = "text/plain" // the delimiters were lost on the way
	}
	body = decode(head.Get("Content-Transfer-Encoding"), body)
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		r.status = append(r.status, fieldBlocks(body)...)
	case "message/feedback-report":
		if blocks := fieldBlocks(body); len(blocks) > 0 {
			r.feedback = blocks[0]
		}
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers":
		if h, _ := readHeader(body); r.original == nil && len(h) > 0 {
			r.original = h
		}
	case "text/plain", "text/html":
		if r.words == "" && !strings.HasPrefix(head.Get("Content-Disposition"), "attachment") {
			r.words, r.copied = partWords(readable(body, kind))
		}
	}
}

// nextPart cuts the next part out of a multipart's body (RFC 2046 §5.1). What
// is before the first delimiter is no part: nil. A last delimiter that is
// missing is the end.
func nextPart(body []byte, boundary string) (part, rest []byte) {
	delimiter := []byte("--" + boundary)
	start := delimiterAt(body, delimiter)
	if start < 0 {
		return nil, nil
	}
	_, after, _ := bytes.Cut(body[start:], []byte("\n"))
	if bytes.HasPrefix(body[start+len(delimiter):], []byte("--")) {
		return nil, nil
	}
	if end := delimiterAt(after, delimiter); end >= 0 {
		return bytes.TrimSuffix(bytes.TrimSuffix(after[:end], []byte("\n")), []byte("\r")), after[end:]
	}
	return after, nil
}

// delimiterAt is where the line begins that is the delimiter, or -1.
func delimiterAt(body, delimiter []byte) int {
	for at := 0; ; at += len(delimiter) {
		i := bytes.Index(body[at:], delimiter)
		if i < 0 {
			return -1
		}
		at += i
		after := body[at+len(delimiter):]
		line, _, ended := bytes.Cut(after[:min(len(after), 200)], []byte("\n"))
		line = bytes.TrimRight(line, " \t\r")
		if (at == 0 || body[at-1] == '\n') && (len(line) == 0 || string(line) == "--") && (ended || len(after) < 200) {
			return at
		}
	}
}

// readPart is readHeader for a part, which may have no field at all.
func readPart(part []byte) (textproto.MIMEHeader, []byte) {
	if line, rest, _ := bytes.Cut(part, []byte("\n")); len(bytes.TrimSpace(line)) == 0 {
		return textproto.MIMEHeader{}, rest
	}
	return readHeader(part)
}

func decode(encoding string, body []byte) []byte {
	var in io.Reader
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		in = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body))
	case "quoted-printable":
		in = quotedprintable.NewReader(bytes.NewReader(body))
	default:
		return body
	}
	out, err := io.ReadAll(in)
	if err != nil && len(out) == 0 {
		return body
	}
	return out
}

// fieldBlocks are groups of fields parted by empty lines (RFC 3464 §2.1).
func fieldBlocks(body []byte) []textproto.MIMEHeader {
	var blocks []textproto.MIMEHeader
	for len(body) > 0 && len(blocks) < maxBlocks {
		var h textproto.MIMEHeader
		if h, body = readHeader(body); len(h) > 0 {
			blocks = append(blocks, h)
		}
	}
	return blocks
}

// verdict puts together what the parts have told.
func (r *report) verdict(head textproto.MIMEHeader) Bounce {
	var b Bounce
	switch {
	case r.feedback != nil:
		b = r.complaint()
	case r.formal || fromDaemon(head):
		var told bool
		if b, told = r.notification(); !told && fromDaemon(head) {
			b = r.plain(head)
		}
	}
	if b.Kind == NoBounce {
		return Bounce{}
	}
	if r.original == nil && r.copied != "" {
		r.original, _ = readHeader([]byte(r.copied))
	}
	b.Reason = oneLineOf(b.Reason)
	b.MessageID = r.messageID(head)
	if b.Recipient == "" {
		b.Recipient = address(head.Get("X-Failed-Recipients"))
	}
	if to := address(r.original.Get("To")); to != "" && !sameMailbox(to, b.Recipient) {
		// It was forwarded to what failed; the address we know may work.
		if b.Kind == Hard && b.Recipient != "" {
			b.Kind = Soft
		}
		b.Recipient = to
	}
	return b
}

// sameMailbox compares addresses in whatever form they are written.
func sameMailbox(a, b string) bool {
	if w, err := wire(a); err == nil {
		a = w
	}
	if w, err := wire(b); err == nil {
		b = w
	}
	return strings.EqualFold(a, b)
}

// messageID is of our message, from the surest place that has one.
func (r *report) messageID(head textproto.MIMEHeader) string {
	for _, name := range [...]string{idField, "Message-Id"} {
		if id := bareID(r.original.Get(name)); id != "" {
			return id
		}
	}
	if m := copiedID.FindStringSubmatch(r.copied); m != nil {
		return bareID(m[1])
	}
	if m := quotedID.FindStringSubmatch(r.copied); m != nil {
		return bareID(m[1])
	}
	if len(r.status) > 0 {
		if id := bareID(r.status[0].Get("X-Original-Message-Id")); id != "" {
			return id
		}
	}
	for _, list := range [...]string{head.Get("In-Reply-To"), head.Get("References")} {
		if f := strings.Fields(list); len(f) > 0 {
			return bareID(f[len(f)-1])
		}
	}
	return ""
}

// quotedID finds the id of our message where it is copied in plain words.
var quotedID = regexp.MustCompile(`(?im)^[ \t>]*message-id:[ \t]*(?:\r?\n[ \t>]+)?(<[^<>\s]{3,250}>)`)

// copiedID is the same for the field that no relay writes anew.
var copiedID = regexp.MustCompile(`(?im)^[ \t>]*` + idField + `:[ \t]*([^<>\s]{3,250})[ \t]*\r?$`)

// bareID takes the brackets off, or is "" for what is no id.
func bareID(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	if len(s) > maxIDBytes || strings.ContainsAny(s, " \t<>") || header("", s) != nil {
		return ""
	}
	return s
}

func (r *report) complaint() Bounce {
	b := Bounce{Kind: Complaint, Reason: "marked as spam"}
	switch kind := strings.ToLower(r.feedback.Get("Feedback-Type")); kind {
	case "", "abuse":
	case "fraud", "opt-out", "opt-out-list":
		b.Reason = "marked as " + kind
	default: // not-spam, auth-failure (RFC 6591), virus: the person said nothing
		return Bounce{}
	}
	b.Recipient = address(r.feedback.Get("Original-Rcpt-To"))
	return b
}

// notification reads the fields per recipient (RFC 3464 §2.3). Our message has
// one recipient: when several are told of, their side has an alias, and as long
// as one of its readers may get mail the address works. It is false when the
// report tells of no recipient.
func (r *report) notification() (b Bounce, told bool) {
	soft := false
	for _, f := range r.status {
		action := strings.ToLower(strings.TrimSpace(f.Get("Action")))
		switch {
		case action == "" && f.Get("Final-Recipient") == "" && f.Get("Original-Recipient") == "":
			continue // the fields per message
		case action != "" && !strings.HasPrefix(action, "failed"):
			soft, told = true, true // delayed, delivered, relayed, expanded
			continue
		}
		told = true
		if one := r.failed(f); b.Kind == NoBounce || b.Kind == Hard && one.Kind == Soft {
			b = one
		}
	}
	if soft && b.Kind == Hard {
		b.Kind = Soft
	}
	return b, told
}

// failed reads the fields of one recipient.
func (r *report) failed(f textproto.MIMEHeader) Bounce {
	b := Bounce{Reason: typed(f.Get("Diagnostic-Code"))}
	if b.Recipient = address(typed(f.Get("Original-Recipient"))); b.Recipient == "" {
		b.Recipient = address(typed(f.Get("Final-Recipient")))
	}
	if b.Reason == "" {
		b.Reason = reasonsIn(r.words)[0]
	}
	b.Kind, b.Status = judge(statusIn(f.Get("Status")), b.Reason)
	return b
}

// plain reads a report that is no multipart/report: qmail, Exim, web hosts.
// Without clear signs it is an answer of a person.
func (r *report) plain(head textproto.MIMEHeader) Bounce {
	if strings.TrimSpace(r.words) == "" || delayed.MatchString(r.words) {
		return Bounce{}
	}
	decoder := mime.WordDecoder{CharsetReader: func(_ string, in io.Reader) (io.Reader, error) { return in, nil }} // its ASCII is enough
	subject, err := decoder.DecodeHeader(head.Get("Subject"))
	if err != nil {
		subject = head.Get("Subject")
	}
	if head.Get("X-Failed-Recipients") == "" && !undelivered.MatchString(subject) && !undelivered.MatchString(r.words) {
		return Bounce{}
	}
	reasons := reasonsIn(r.words)
	b := Bounce{Reason: reasons[0]}
	b.Kind, b.Status = judge("", b.Reason)
	for _, reason := range reasons[1:] { // of other readers behind an alias
		if kind, _ := judge("", reason); kind == Soft {
			b.Kind = Soft
		}
	}
	if m := failedAddress.FindStringSubmatch(r.words); m != nil {
		b.Recipient = address(m[1])
	}
	return b
}

// fromDaemon: the sender is a mail system.
func fromDaemon(head textproto.MIMEHeader) bool {
	from := strings.ToLower(head.Get("From"))
	for _, word := range [...]string{"mailer-daemon", "mailer daemon", "mailerdaemon", "postmaster", "mail delivery", "microsoftexchange"} {
		if strings.Contains(from, word) {
			return true
		}
	}
	return strings.TrimSpace(from) == "<>" || strings.TrimSpace(head.Get("Return-Path")) == "<>" && head.Get("X-Failed-Recipients") != ""
}

// typed takes the type off "rfc822; a@b" and "smtp; 550 …" (RFC 3464 §2.1.2).
func typed(s string) string {
	if kind, rest, ok := strings.Cut(s, ";"); ok && len(kind) < 40 && !strings.ContainsAny(strings.TrimSpace(kind), " <@") {
		return strings.TrimSpace(rest)
	}
	return strings.TrimSpace(s)
}

// address is the first mailbox in the words, or "".
func address(s string) string {
	if i := strings.IndexByte(s, '<'); i >= 0 {
		if j := strings.IndexByte(s[i:], '>'); j > 0 {
			s = s[i+1 : i+j]
		}
	}
	s, _, _ = strings.Cut(strings.TrimSpace(s), ",")
	if a, err := ParseAddress(strings.TrimSpace(s)); err == nil {
		return a.Mail
	}
	return ""
}
