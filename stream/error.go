package stream

import "github.com/bearhug/bearhug/stanza"

// nsStreams is the namespace of the defined stream error conditions.
const nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"

// Error ends a stream (RFC 6120 §4.9).
type Error struct {
	Condition string // a defined condition: bad-format, policy-violation, …
	Text      string // for people, may be empty
	Content   string // character data of the condition: the host of see-other-host
	App       []byte // an application-specific condition, one whole element, or nil
}

// Error says condition and text.
func (e *Error) Error() string {
	if e.Text == "" {
		return "stream error " + e.Condition
	}
	return "stream error " + e.Condition + ": " + e.Text
}

// The conditions of RFC 6120 §4.9.3.
const (
	BadFormat              = "bad-format"
	BadNamespacePrefix     = "bad-namespace-prefix"
	Conflict               = "conflict"
	ConnectionTimeout      = "connection-timeout"
	HostGone               = "host-gone"
	HostUnknown            = "host-unknown"
	ImproperAddressing     = "improper-addressing"
	InternalServerError    = "internal-server-error"
	InvalidFrom            = "invalid-from"
	InvalidNamespace       = "invalid-namespace"
	InvalidXML             = "invalid-xml"
	NotAuthorized          = "not-authorized"
	NotWellFormed          = "not-well-formed"
	PolicyViolation        = "policy-violation"
	RemoteConnectionFailed = "remote-connection-failed"
	Reset                  = "reset"
	ResourceConstraint     = "resource-constraint"
	RestrictedXML          = "restricted-xml"
	SeeOtherHost           = "see-other-host"
	SystemShutdown         = "system-shutdown"
	UndefinedCondition     = "undefined-condition"
	UnsupportedEncoding    = "unsupported-encoding"
	UnsupportedFeature     = "unsupported-feature"
	UnsupportedStanzaType  = "unsupported-stanza-type"
	UnsupportedVersion     = "unsupported-version"
)

// NewError makes a stream error; the text may be empty.
func NewError(condition, text string) *Error { return &Error{Condition: condition, Text: text} }

// AppendError appends <stream:error/>; ws declares the prefix on it.
func AppendError(dst []byte, e *Error, ws bool) []byte {
	var x stanza.XML
	start(&x, "stream:error", ws)
	x.Start(e.Condition, "xmlns", nsStreams).Text(e.Content).End()
	if e.Text != "" {
		x.Element("text", e.Text, "xmlns", nsStreams)
	}
	return append(dst, x.Raw(e.App).Bytes()...)
}

// start opens an element of the stream prefix.
func start(x *stanza.XML, name string, ws bool) {
	if ws {
		x.Start(name, "xmlns:stream", stanza.NSStream)
		return
	}
	x.Start(name)
}
