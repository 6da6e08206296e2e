// Package sasl keeps both ends of the exchanges by which a stream is signed in (RFC 6120 §6): SCRAM-SHA-1 and SCRAM-SHA-256 with and without channel binding
// (RFC 5802, RFC 7677), PLAIN (RFC 4616), OAUTHBEARER (RFC 7628), and the bearer tokens that this server issues.
//
// It does no input or output: an exchange takes bytes and gives bytes, and base64 and XML are the stream's. Keys, ClientKeys and Claims are values. A Server
// and a Client are one exchange each, used by one goroutine and thrown away. There are no locks and no state between exchanges.
//
// Files in reading order: keys, password · scram (the messages), server, scramserver, plain, oauth · client, scramclient · binding, downgrade · token.
package sasl

// Names of the mechanisms, as a stream offers them.
const (
	SCRAMSHA1       = "SCRAM-SHA-1"
	SCRAMSHA1Plus   = "SCRAM-SHA-1-PLUS"
	SCRAMSHA256     = "SCRAM-SHA-256"
	SCRAMSHA256Plus = "SCRAM-SHA-256-PLUS"
	Plain           = "PLAIN"
	OAuthBearer     = "OAUTHBEARER"
)

// Conditions of a failed exchange (RFC 6120 §6.5).
const (
	Aborted              = "aborted"
	AccountDisabled      = "account-disabled"
	CredentialsExpired   = "credentials-expired"
	EncryptionRequired   = "encryption-required"
	IncorrectEncoding    = "incorrect-encoding"
	InvalidAuthzid       = "invalid-authzid"
	InvalidMechanism     = "invalid-mechanism"
	MalformedRequest     = "malformed-request"
	MechanismTooWeak     = "mechanism-too-weak"
	NotAuthorized        = "not-authorized"
	TemporaryAuthFailure = "temporary-auth-failure"
)

// A Failure ends an exchange. Condition and Text may be told to the peer; Cause is for the log only and may be nil.
type Failure struct {
	Condition string // RFC 6120 §6.5
	Text      string // English, may be ""
	Cause     error
}

// Error returns the condition, the text and the cause.
func (f *Failure) Error() string {
	s := "sign in: " + f.Condition
	if f.Text != "" {
		s += ": " + f.Text
	}
	if f.Cause != nil {
		s += ": " + f.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

func fail(condition, text string) *Failure { return &Failure{Condition: condition, Text: text} }

// maxMessage limits a message of the peer in bytes. Two addresses and a token of 4 KiB fit.
const maxMessage = 8192
