package mail

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
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
	Recipient string // the address that failed, or ""
	Status    string // enhanced (RFC 3463), or ""
	Reason    string // the words of the system that refused it
}

// Limits of a report.
const (
	maxReport = 4 << 20 // bytes
	maxParts  = 32      // of a multipart, nested ones included
	maxDepth  = 4
	maxReason = 500
)

// ErrNotMail says that the bytes are no message at all.
var ErrNotMail = errors.New("this is no e-mail message")

// ParseBounce reads a message that was sent to the envelope's sender: a
// delivery status notification (RFC 3464), a complaint (RFC 5965), or one of
// the older forms in plain words. A delay that is only announced is no bounce.
func ParseBounce(raw []byte) (Bounce, error) {
	if len(raw) > maxReport {
		raw = raw[:maxReport]
	}
	head, body, err := readPart(bytes.NewReader(raw))
	if err != nil {
		return Bounce{}, err
	}
	r := report{}
	r.walk(head, body, 0)
	return r.verdict(head), nil
}

// readPart parts header and body.
func readPart(in io.Reader) (textproto.MIMEHeader, []byte, error) {
	r := bufio.NewReader(in)
	// A line that is no header ends it: what there is, counts.
	head, _ := textproto.NewReader(r).ReadMIMEHeader()
	if len(head) == 0 {
		return nil, nil, ErrNotMail
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, fmt.Errorf("read the message: %w", err)
	}
	return head, body, nil
}

// A report is what the parts of a message have told so far.
type report struct {
	parts    int
	status   []textproto.MIMEHeader // per recipient, of message/delivery-status
	feedback textproto.MIMEHeader   // of message/feedback-report
	original textproto.MIMEHeader   // our message
	words    []byte                 // the first text for people
}

func (r *report) walk(head textproto.MIMEHeader, body []byte, depth int) {
	if r.parts++; r.parts > maxParts || depth > maxDepth {
		return
	}
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil || kind == "" {
		kind = "text/plain" // RFC 2045 §5.2
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		r.each(multipart.NewReader(bytes.NewReader(body), params["boundary"]), depth)
		return
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
		if h, _, err := readPart(bytes.NewReader(body)); err == nil && r.original == nil {
			r.original = h
		}
	case "text/plain", "text/html":
		if r.words == nil {
			r.words = body
		}
	}
}

func (r *report) each(parts *multipart.Reader, depth int) {
	for {
		p, err := parts.NextRawPart()
		if err != nil {
			return // what is there, counts
		}
		body, err := io.ReadAll(p)
		if err != nil && len(body) == 0 {
			return
		}
		r.walk(p.Header, body, depth+1)
		if r.parts > maxParts {
			return
		}
	}
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
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.TrimLeft(body, "\r\n"), "\r\n\r\n"...))))
	var blocks []textproto.MIMEHeader
	for len(blocks) < 1000 {
		h, err := r.ReadMIMEHeader()
		if len(h) > 0 {
			blocks = append(blocks, h)
		}
		if err != nil {
			return blocks
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
	case r.status != nil:
		b = r.notification()
	default:
		b = r.plain(head)
	}
	if b.Kind == NoBounce {
		return b
	}
	b.Reason = oneLineOf(b.Reason)
	if b.MessageID == "" && r.original != nil {
		b.MessageID = strip(r.original.Get("Message-Id"))
	}
	if b.MessageID == "" {
		if m := quotedID.FindSubmatch(r.words); m != nil {
			b.MessageID = string(m[1])
		}
	}
	if b.MessageID == "" {
		b.MessageID = strip(lastField(head.Get("References"), head.Get("In-Reply-To")))
	}
	if b.Recipient == "" {
		b.Recipient = address(head.Get("X-Failed-Recipients"))
	}
	return b
}

// quotedID finds the id of our message where it is quoted in plain words.
var quotedID = regexp.MustCompile(`(?im)^[ \t>]*message-id:[ \t]*(?:\r?\n[ \t>]+)?<([^<>\s]{3,250})>`)

func (r *report) complaint() Bounce {
	b := Bounce{Kind: Complaint, Reason: "marked as " + strings.ToLower(r.feedback.Get("Feedback-Type"))}
	switch strings.ToLower(r.feedback.Get("Feedback-Type")) {
	case "not-spam":
		return Bounce{}
	case "":
		b.Reason = "marked as spam"
	}
	if b.Recipient = address(r.feedback.Get("Original-Rcpt-To")); b.Recipient == "" && r.original != nil {
		b.Recipient = address(r.original.Get("To"))
	}
	return b
}

// notification reads the fields per recipient (RFC 3464 §2.3). The first block
// is about the message.
func (r *report) notification() Bounce {
	for _, f := range r.status {
		action := strings.ToLower(strings.TrimSpace(f.Get("Action")))
		if action == "" && f.Get("Final-Recipient") == "" {
			continue
		}
		if action != "" && action != "failed" {
			continue // delayed, delivered, relayed, expanded
		}
		b := Bounce{Reason: typed(f.Get("Diagnostic-Code")), Status: statusIn(f.Get("Status"))}
		if b.Recipient = address(typed(f.Get("Original-Recipient"))); b.Recipient == "" {
			b.Recipient = address(typed(f.Get("Final-Recipient")))
		}
		// Many put x.0.0 there and the true status into the words.
		if said := statusIn(b.Reason); said != "" && (b.Status == "" || strings.HasSuffix(b.Status, ".0.0")) {
			b.Status = said
		}
		if b.Reason == "" {
			b.Reason = firstWords(r.words)
		}
		b.Kind = kindOf(b.Status, b.Reason)
		return b
	}
	return Bounce{}
}

// plain reads a report that is no multipart/report: qmail, old Exchange, web
// hosts. Without clear signs it is an answer of a person.
func (r *report) plain(head textproto.MIMEHeader) Bounce {
	if !fromDaemon(head) {
		return Bounce{}
	}
	words := r.words
	if m := delayed.Find(words); m != nil {
		return Bounce{}
	}
	b := Bounce{Status: statusIn(string(words))}
	if m := refusal.Find(words); m != nil {
		b.Reason = string(m)
	} else if b.Status == "" && len(head.Get("X-Failed-Recipients")) == 0 && !qmail.Match(words) {
		return Bounce{}
	} else {
		b.Reason = firstWords(words)
	}
	if m := failedAddress.FindSubmatch(words); m != nil {
		b.Recipient = address(string(m[1]))
	}
	b.Kind = kindOf(b.Status, b.Reason+" "+string(words[:min(len(words), 2000)]))
	return b
}

var (
	delayed       = regexp.MustCompile(`(?i)(this is a warning message only|you do not need to resend|will (continue to )?(keep )?try(ing)?|delivery .{0,40}delayed|not yet been delivered)`)
	refusal       = regexp.MustCompile(`(?im)^.*\b([45]\d\d)[ -]([45]\.\d{1,3}\.\d{1,3}[ :]|[A-Za-z#(]).*$`)
	qmail         = regexp.MustCompile(`(?i)(this is the qmail-send program|this is a permanent error; i've given up)`)
	failedAddress = regexp.MustCompile(`(?m)^[ \t]*<?([^\s<>:"]+@[^\s<>:"]+\.[A-Za-z0-9-]+)>?:?[ \t]*\r?$`)
	statusWord    = regexp.MustCompile(`\b([245]\.\d{1,3}\.\d{1,3})\b`)
	replyCode     = regexp.MustCompile(`\b([45]\d\d)\b`)
)

// fromDaemon: the sender is a mail system.
func fromDaemon(head textproto.MIMEHeader) bool {
	from := strings.ToLower(head.Get("From"))
	for _, word := range []string{"mailer-daemon", "postmaster", "mail delivery", "microsoftexchange", "mailerdaemon", "bounce"} {
		if strings.Contains(from, word) {
			return true
		}
	}
	return strings.TrimSpace(head.Get("Return-Path")) == "<>" && head.Get("X-Failed-Recipients") != ""
}

// kindOf decides between hard and soft: the address is wrong, or something
// else is. In doubt it is soft, for a hard one ends all mail to the person.
func kindOf(status, words string) BounceKind {
	words = strings.ToLower(words)
	for _, sign := range softSigns {
		if strings.Contains(words, sign) {
			return Soft
		}
	}
	class, rest, _ := strings.Cut(status, ".")
	switch {
	case class == "4" || class == "2":
		return Soft
	case class == "5" && (strings.HasPrefix(rest, "1.") && rest != "1.8" && rest != "1.7" || rest == "2.1" || rest == "4.4" || rest == "4.1"):
		return Hard
	case class == "5" && !hasSign(words):
		return Soft
	case hasSign(words):
		return Hard
	}
	return Soft
}

// softSigns say that the address is right, whatever the status claims.
var softSigns = [...]string{
	"mailbox full", "mailbox is full", "over quota", "quota exceeded", "overquota", "out of storage", "insufficient storage",
	"exceeded storage", "quota has been exceeded", "too busy", "try again later", "greylist", "rate limit", "spam", "blacklist", "blocklist", "blocked using",
	"dmarc", "spf", "reputation", "policy reasons", "message too large", "size limit", "maximum size", "message size exceeds",
	"postfach voll", "postfach ist voll", "mailbox vol",
}

// hardSigns say that there is no such mailbox.
var hardSigns = [...]string{
	"user unknown", "unknown user", "no such user", "no such recipient", "no such mailbox", "mailbox unavailable", "mailbox not found",
	"does not exist", "doesn't exist", "not a known user", "recipient not found", "recipient rejected", "unknown recipient",
	"invalid recipient", "invalid mailbox", "address rejected", "user not found", "no mailbox here", "account has been disabled",
	"account is disabled", "account disabled", "unrouteable address", "host not found", "domain not found", "name or service not known", "nxdomain",
	"no mx", "isn't listed in", "unable to find", "wasn't found at", "couldn't be found", "bad destination", "inactive",
}

func hasSign(words string) bool {
	for _, sign := range hardSigns {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

// statusIn is the first enhanced status in the words that tells of a failure.
func statusIn(s string) string {
	for _, m := range statusWord.FindAllStringSubmatch(s, 8) {
		if m[1][0] != '2' && validStatus(m[1]) {
			return m[1]
		}
	}
	if m := replyCode.FindStringSubmatch(s); m != nil && statusWord.FindString(s) == "" && len(s) < 500 && strings.HasPrefix(strings.TrimSpace(s), m[1]) {
		return m[1][:1] + ".0.0"
	}
	return ""
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

func strip(id string) string { return strings.Trim(strings.TrimSpace(id), "<>") }

func lastField(lists ...string) string {
	for _, l := range lists {
		if f := strings.Fields(l); len(f) > 0 {
			return f[len(f)-1]
		}
	}
	return ""
}

func firstWords(words []byte) string { return oneLineOf(string(words[:min(len(words), 4*maxReason)])) }

func oneLineOf(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(oneLine(s)), " "), "")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}
