package stanza

// ErrorKind is what a sender may do about an error (RFC 6120 §8.3.2).
type ErrorKind uint8

// The kinds of error.
const (
	Cancel   ErrorKind = iota // do not try again
	Continue                  // go on, it was a warning
	Modify                    // change the data, try again
	Auth                      // give credentials, try again
	Wait                      // try again later
)

// String is the value of the error's type attribute.
func (k ErrorKind) String() string {
	switch k {
	case Continue:
		return "continue"
	case Modify:
		return "modify"
	case Auth:
		return "auth"
	case Wait:
		return "wait"
	default:
		return "cancel"
	}
}

// nsStanzas is the namespace of the defined conditions.
const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// Error is a stanza error as it is told to the peer (RFC 6120 §8.3).
type Error struct {
	Type      ErrorKind
	Condition string // a defined condition: item-not-found, forbidden, …
	Text      string // for people, may be empty
	App       []byte // an application-specific condition: one whole element with its xmlns, or nil
}

// Error says condition and text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Condition
	}
	return e.Condition + ": " + e.Text
}

// AppendXML appends the <error/> element, for a stanza whose namespace is the
// default one.
func (e *Error) AppendXML(dst []byte) []byte {
	x := XML{b: dst}
	x.Start("error", "type", e.Type.String()).Empty(e.Condition, "xmlns", nsStanzas)
	if e.Text != "" {
		x.Element("text", e.Text, "xmlns", nsStanzas)
	}
	return x.Raw(e.App).End().b
}

// BadRequest: the XML is not what the protocol asks for.
func BadRequest(text string) *Error {
	return &Error{Type: Modify, Condition: "bad-request", Text: text}
}

// Conflict: a resource or name is taken.
func Conflict(text string) *Error { return &Error{Type: Cancel, Condition: "conflict", Text: text} }

// FeatureNotImplemented: the server does not do this.
func FeatureNotImplemented(text string) *Error {
	return &Error{Type: Cancel, Condition: "feature-not-implemented", Text: text}
}

// Forbidden: the sender has not the right.
func Forbidden(text string) *Error { return &Error{Type: Auth, Condition: "forbidden", Text: text} }

// Gone: the address has ceased to exist.
func Gone(text string) *Error { return &Error{Type: Cancel, Condition: "gone", Text: text} }

// InternalServerError: a fault of ours; the cause goes to the log, not here.
func InternalServerError(text string) *Error {
	return &Error{Type: Cancel, Condition: "internal-server-error", Text: text}
}

// ItemNotFound: no such address or item.
func ItemNotFound(text string) *Error {
	return &Error{Type: Cancel, Condition: "item-not-found", Text: text}
}

// JIDMalformed: an address is not one (RFC 7622).
func JIDMalformed(text string) *Error {
	return &Error{Type: Modify, Condition: "jid-malformed", Text: text}
}

// NotAcceptable: understood, but against a rule of the recipient.
func NotAcceptable(text string) *Error {
	return &Error{Type: Modify, Condition: "not-acceptable", Text: text}
}

// NotAllowed: nobody may do this.
func NotAllowed(text string) *Error {
	return &Error{Type: Cancel, Condition: "not-allowed", Text: text}
}

// NotAuthorized: credentials are needed first.
func NotAuthorized(text string) *Error {
	return &Error{Type: Auth, Condition: "not-authorized", Text: text}
}

// PolicyViolation: against a local policy, for instance too large.
func PolicyViolation(text string) *Error {
	return &Error{Type: Modify, Condition: "policy-violation", Text: text}
}

// RecipientUnavailable: the recipient is away for now.
func RecipientUnavailable(text string) *Error {
	return &Error{Type: Wait, Condition: "recipient-unavailable", Text: text}
}

// Redirect: ask elsewhere.
func Redirect(text string) *Error { return &Error{Type: Modify, Condition: "redirect", Text: text} }

// RegistrationRequired: join first.
func RegistrationRequired(text string) *Error {
	return &Error{Type: Auth, Condition: "registration-required", Text: text}
}

// RemoteServerNotFound: the domain is not reachable from here.
func RemoteServerNotFound(text string) *Error {
	return &Error{Type: Cancel, Condition: "remote-server-not-found", Text: text}
}

// RemoteServerTimeout: the domain did not answer in time.
func RemoteServerTimeout(text string) *Error {
	return &Error{Type: Wait, Condition: "remote-server-timeout", Text: text}
}

// ResourceConstraint: too busy; the text says when to come back.
func ResourceConstraint(text string) *Error {
	return &Error{Type: Wait, Condition: "resource-constraint", Text: text}
}

// ServiceUnavailable: no such service, or nobody there who may be told of.
func ServiceUnavailable(text string) *Error {
	return &Error{Type: Cancel, Condition: "service-unavailable", Text: text}
}

// SubscriptionRequired: subscribe first.
func SubscriptionRequired(text string) *Error {
	return &Error{Type: Auth, Condition: "subscription-required", Text: text}
}

// UndefinedCondition: the application-specific element says what it is.
func UndefinedCondition(text string) *Error {
	return &Error{Type: Cancel, Condition: "undefined-condition", Text: text}
}

// UnexpectedRequest: understood, but not at this moment.
func UnexpectedRequest(text string) *Error {
	return &Error{Type: Wait, Condition: "unexpected-request", Text: text}
}
