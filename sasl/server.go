package sasl

// Credentials is what the store has of an account. The zero value is an account that does not exist, and an exchange does not let that be seen.
type Credentials struct {
	Keys     []Keys // at most one per mechanism
	Disabled bool   // told only to who has proven the password
}

// Binding gives the channel binding data of the stream for a type (TLSExporter, TLSServerEndPoint).
type Binding func(kind string) ([]byte, error)

// ServerConfig is what a Server needs of its stream.
type ServerConfig struct {
	Domain     string                                  // the stream's domain, canonical
	Offered    []string                                // mechanisms offered on this stream, to notice a downgrade
	Lookup     func(local string) (Credentials, error) // an error is a failure of the store: temporary-auth-failure
	Bearer     func(token string) (Claims, error)      // decides on a token of OAUTHBEARER
	Local      func(name string) (string, error)       // prepares a localpart; nil keeps it
	Bare       func(address string) (string, error)    // prepares a bare JID given as authorization identity; nil keeps it
	Binding    Binding                                 // nil without TLS
	Types      []string                                // channel binding types that Binding can give (XEP-0440)
	Secret     []byte                                  // makes the salts of accounts that do not exist; kept across restarts
	Iterations int                                     // of accounts that do not exist; 0: 4096
}

// Result is who signed in.
type Result struct {
	Mechanism string
	Local     string // canonical localpart
	Binding   string // channel binding type in use, "" without
	Claims    Claims // of the token, with OAUTHBEARER
}

// Server is the server's end of one exchange.
type Server struct{ result Result }

// NewServer starts an exchange with the mechanism that the client chose.
func NewServer(mech string, cfg ServerConfig) (*Server, error) {
	return nil, fail(InvalidMechanism, "not yet")
}

// Step takes what the client sent (nil: no initial response) and gives what to answer: a challenge, or with done the additional data of the success,
// nil for none. A failure is a *Failure.
func (s *Server) Step(in []byte) (out []byte, done bool, err error) {
	return nil, false, fail(Aborted, "not yet")
}

// Result tells who signed in, once Step was done.
func (s *Server) Result() Result { return s.result }
