package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Provider is who reports a bounce over HTTP.
type Provider string

// Providers whose reports are read.
const (
	SES      Provider = "ses"      // Amazon SES by way of SNS
	Mailgun  Provider = "mailgun"  // its webhooks
	Postmark Provider = "postmark" // its bounce and spam complaint webhooks
	SendGrid Provider = "sendgrid" // its event webhook
	Generic  Provider = "generic"  // ours, for everybody else; see ParseWebhook
)

// Limits of a report over HTTP.
const (
	MaxWebhook = 1 << 20 // bytes
	maxEvents  = 5000
)

// A Webhook is what a report tells.
type Webhook struct {
	Bounces []Bounce // without what says nothing of an address: delivered, opened, tried again
	SNS     *SNS     // the envelope, when it comes from Amazon; verify it before anything else
}

// ParseWebhook reads the body of a provider's POST. It does not say who sent
// it: see [SNS.Verify], [VerifyMailgun] and [VerifySendGrid]; Postmark signs
// nothing, so its address has a secret in it. Their words are weighed like
// those of a report by mail: what they call permanent is soft when it may be.
//
// The generic form is an object, or up to 5000 in a list:
//
//	{"message_id": "…", "recipient": "a@example.com", "kind": "hard|soft|complaint",
//	 "status": "5.1.1", "reason": "…"}
//
// kind and one of message_id and recipient are needed, other fields refused.
func ParseWebhook(from Provider, body []byte) (Webhook, error) {
	if len(body) > MaxWebhook {
		return Webhook{}, fmt.Errorf("the report has more than %d bytes", MaxWebhook)
	}
	var w Webhook
	var err error
	switch from {
	case SES:
		w, err = parseSES(body)
	case Mailgun:
		w.Bounces, err = parseMailgun(body)
	case Postmark:
		w.Bounces, err = parsePostmark(body)
	case SendGrid:
		w.Bounces, err = parseSendGrid(body)
	case Generic:
		w.Bounces, err = parseGeneric(body)
	default:
		return Webhook{}, fmt.Errorf("unknown provider %q; there are ses, mailgun, postmark, sendgrid and generic", from)
	}
	if err != nil {
		return Webhook{}, err
	}
	return w, nil
}

// read is one JSON value and nothing after it. Providers add fields; ours are
// as they are written down.
func read(body []byte, strict bool, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the report is not as expected: %w", err)
	}
	if d.More() {
		return errors.New("the report is not as expected: something follows it")
	}
	return nil
}

// event is a bounce of a provider, as far as they agree.
type event struct {
	kind                            BounceKind // Hard: the provider calls it permanent
	id, recipient, status, response string
}

// bounce weighs the provider's word against those of the server that refused.
// It is false when nothing tells whom it is about.
func (e *event) bounce() (Bounce, bool) {
	b := Bounce{Kind: e.kind, MessageID: bareID(e.id), Recipient: address(e.recipient), Reason: oneLineOf(typed(e.response))}
	said := b.Reason
	found, best := weigh(statusIn(e.status), said)
	b.Status = best
	if b.Kind == Hard && found == alive {
		b.Kind = Soft
	}
	return b, b.Kind != NoBounce && (b.MessageID != "" || b.Recipient != "")
}

// keep adds what is a bounce.
func keep(to []Bounce, e event) []Bounce {
	if b, ok := e.bounce(); ok {
		return append(to, b)
	}
	return to
}

// sesNotice is SES's message within the envelope of SNS.
type sesNotice struct {
	NotificationType string `json:"notificationType"`
	EventType        string `json:"eventType"` // the same, of a configuration set
	Mail             struct {
		Headers []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
		CommonHeaders struct {
			MessageID string `json:"messageId"`
		} `json:"commonHeaders"`
	} `json:"mail"`
	Bounce struct {
		Type       string `json:"bounceType"`
		SubType    string `json:"bounceSubType"`
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
	} `json:"bounce"`
	Complaint struct {
		Feedback   string `json:"complaintFeedbackType"`
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
	} `json:"complaint"`
}

func parseSES(body []byte) (Webhook, error) {
	sns, err := parseSNS(body)
	if err != nil || sns.Type != "Notification" {
		return Webhook{SNS: sns}, err
	}
	w := Webhook{SNS: sns}
	var n sesNotice
	if err := read([]byte(sns.Message), false, &n); err != nil {
		// SNS greets a new topic in plain words.
		if !strings.HasPrefix(strings.TrimSpace(sns.Message), "{") {
			return w, nil
		}
		return Webhook{}, err
	}
	if len(n.Bounce.Recipients) > maxEvents || len(n.Complaint.Recipients) > maxEvents {
		return Webhook{}, errors.New("the report has too many recipients")
	}
	id := n.messageID()
	kind := n.NotificationType
	if kind == "" {
		kind = n.EventType
	}
	switch kind {
	case "Bounce":
		e := event{kind: Soft, id: id}
		// Suppressed: their list has it, we do not know why.
		if n.Bounce.Type == "Permanent" && (n.Bounce.SubType == "General" || n.Bounce.SubType == "NoEmail") {
			e.kind = Hard
		}
		for _, r := range n.Bounce.Recipients {
			e.recipient, e.status, e.response = r.Address, r.Status, r.Diagnostic
			if e.response == "" {
				e.response = strings.TrimSpace(n.Bounce.Type + " " + n.Bounce.SubType)
			}
			w.Bounces = keep(w.Bounces, e)
		}
	case "Complaint":
		switch n.Complaint.Feedback {
		case "not-spam", "auth-failure", "virus":
			return w, nil
		}
		for _, r := range n.Complaint.Recipients {
			w.Bounces = keep(w.Bounces, event{kind: Complaint, id: id, recipient: r.Address, response: "marked as spam"})
		}
	}
	return w, nil
}

// messageID is ours, which SES has written over in what it sent.
func (n *sesNotice) messageID() string {
	for _, name := range [...]string{idField, "Message-ID"} {
		for _, h := range n.Mail.Headers {
			if strings.EqualFold(h.Name, name) {
				return h.Value
			}
		}
	}
	return n.Mail.CommonHeaders.MessageID
}

func parseMailgun(body []byte) ([]Bounce, error) {
	var m struct {
		Data *struct {
			Event     string `json:"event"`
			Severity  string `json:"severity"`
			Reason    string `json:"reason"`
			Recipient string `json:"recipient"`
			Message   struct {
				Headers struct {
					ID string `json:"message-id"`
				} `json:"headers"`
			} `json:"message"`
			Status struct {
				Code        json.Number `json:"code"`
				Enhanced    string      `json:"enhanced-code"`
				Message     string      `json:"message"`
				Description string      `json:"description"`
			} `json:"delivery-status"`
			Reject struct {
				Reason string `json:"reason"`
			} `json:"reject"`
		} `json:"event-data"`
	}
	if err := read(body, false, &m); err != nil {
		return nil, err
	}
	d := m.Data
	if d == nil || d.Event == "" {
		return nil, errors.New("the report is not as expected: event-data is missing")
	}
	e := event{id: d.Message.Headers.ID, recipient: d.Recipient, status: d.Status.Enhanced, response: d.Status.Message}
	if e.response == "" {
		e.response = d.Status.Description
	}
	if c := d.Status.Code.String(); len(c) == 3 && e.response != "" && !strings.HasPrefix(e.response, c) {
		e.response = c + " " + e.response
	}
	switch {
	case d.Event == "complained":
		e.kind, e.response = Complaint, "marked as spam"
	case d.Event == "rejected":
		e.kind, e.response = Soft, d.Reject.Reason
	case d.Event == "failed" && d.Severity == "permanent" && d.Reason == "bounce":
		e.kind = Hard
	case d.Event == "failed" && d.Severity == "permanent": // given up, on their list, blocked
		e.kind = Soft
	default: // tried again; delivered, opened, clicked
		return nil, nil
	}
	return keep(nil, e), nil
}

func parsePostmark(body []byte) ([]Bounce, error) {
	var m struct {
		RecordType  string `json:"RecordType"`
		Type        string `json:"Type"`
		Email       string `json:"Email"`
		Description string `json:"Description"`
		Details     string `json:"Details"`
		Metadata    struct {
			ID string `json:"message_id"`
		} `json:"Metadata"`
	}
	if err := read(body, false, &m); err != nil {
		return nil, err
	}
	// Their MessageID is not ours: ours comes back where it was put as
	// X-PM-Metadata-Message_id.
	e := event{id: m.Metadata.ID, recipient: m.Email, response: m.Details}
	if e.response == "" {
		e.response = m.Description
	}
	switch m.RecordType {
	case "SpamComplaint":
		e.kind, e.response = Complaint, "marked as spam"
		return keep(nil, e), nil
	case "Bounce":
	case "":
		return nil, errors.New("the report is not as expected: RecordType is missing")
	default: // Delivery, Open, Click, SubscriptionChange
		return nil, nil
	}
	switch m.Type {
	case "HardBounce", "BadEmailAddress":
		e.kind = Hard
	case "SpamComplaint":
		e.kind, e.response = Complaint, "marked as spam"
	case "AutoResponder", "Subscribe", "Unsubscribe", "AddressChange", "ChallengeVerification", "OpenRelayTest", "InboundError":
		return nil, nil
	default: // Transient, SoftBounce, DnsError, Blocked, DMARCPolicy, …
		e.kind = Soft
	}
	return keep(nil, e), nil
}

func parseSendGrid(body []byte) ([]Bounce, error) {
	var list []struct {
		Event          string `json:"event"`
		Type           string `json:"type"`
		Classification string `json:"bounce_classification"`
		Email          string `json:"email"`
		ID             string `json:"smtp-id"`
		Status         string `json:"status"`
		Reason         string `json:"reason"`
	}
	if err := read(body, false, &list); err != nil {
		return nil, err
	}
	if len(list) > maxEvents {
		return nil, fmt.Errorf("the report has more than %d events", maxEvents)
	}
	var out []Bounce
	for i := range list {
		d := &list[i]
		e := event{id: d.ID, recipient: d.Email, status: d.Status, response: d.Reason}
		switch d.Event {
		case "":
			return nil, errors.New("the report is not as expected: event is missing")
		case "bounce":
			e.kind = Soft
			if d.Type == "bounce" && (d.Classification == "" || d.Classification == "Invalid Address" || d.Classification == "Unclassified") {
				e.kind = Hard
			}
		case "dropped": // on their list, or not sent for another reason
			e.kind = Soft
		case "spamreport":
			e.kind, e.response = Complaint, "marked as spam"
		default:
			continue
		}
		out = keep(out, e)
	}
	return out, nil
}

// generic is our own form.
type generic struct {
	MessageID string `json:"message_id"`
	Recipient string `json:"recipient"`
	Kind      string `json:"kind"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
}

func parseGeneric(body []byte) ([]Bounce, error) {
	var list []generic
	if first := bytes.TrimSpace(body); len(first) > 0 && first[0] == '[' {
		if err := read(body, true, &list); err != nil {
			return nil, err
		}
	} else {
		list = make([]generic, 1)
		if err := read(body, true, &list[0]); err != nil {
			return nil, err
		}
	}
	if len(list) > maxEvents {
		return nil, fmt.Errorf("the report has more than %d bounces", maxEvents)
	}
	var out []Bounce
	for i := range list {
		b, err := list[i].bounce()
		if err != nil {
			return nil, fmt.Errorf("bounce %d: %w", i+1, err)
		}
		out = append(out, b)
	}
	return out, nil
}

func (g *generic) bounce() (Bounce, error) {
	b := Bounce{MessageID: bareID(g.MessageID), Recipient: address(g.Recipient), Status: g.Status, Reason: oneLineOf(g.Reason)}
	switch g.Kind {
	case "hard":
		b.Kind = Hard
	case "soft":
		b.Kind = Soft
	case "complaint":
		b.Kind = Complaint
	default:
		return Bounce{}, fmt.Errorf("kind %q; write hard, soft or complaint", g.Kind)
	}
	switch {
	case g.MessageID != "" && b.MessageID == "":
		return Bounce{}, fmt.Errorf("message_id %q is no message id", g.MessageID)
	case g.Recipient != "" && b.Recipient == "":
		return Bounce{}, fmt.Errorf("recipient %q is not an e-mail address", g.Recipient)
	case b.MessageID == "" && b.Recipient == "":
		return Bounce{}, errors.New("message_id or recipient is needed")
	case b.Status != "" && (!validStatus(b.Status) || b.Status[0] == '2'):
		return Bounce{}, fmt.Errorf("status %q; write one of RFC 3463, 5.1.1 or 4.2.2, or leave it out", g.Status)
	}
	return b, nil
}
