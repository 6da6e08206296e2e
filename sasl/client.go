package sasl

// ClientConfig is what a Client signs in with.
type ClientConfig struct {
	Local    string // localpart of the account
	Domain   string // domain of the account
	Authzid  string // bare JID to act as, usually ""
	Password string
	Keys     *ClientKeys // instead of Password or to spare its PBKDF2, when salt and iterations are still those
	Token    string      // of OAUTHBEARER
	Offered  []string    // mechanisms that the server offered
	Types    []string    // channel binding types that the server announced (XEP-0440), nil if it did not
	Binding  Binding     // nil without TLS
}

// Client is the client's end of one exchange.
type Client struct{ keys ClientKeys }

// NewClient starts an exchange.
func NewClient(mech string, cfg ClientConfig) (*Client, error) {
	return nil, fail(InvalidMechanism, "not yet")
}

// Step takes a challenge (nil at the start) and gives the response. With success call it on the additional data; done says that the server is proven.
func (c *Client) Step(in []byte) (out []byte, done bool, err error) {
	return nil, false, fail(Aborted, "not yet")
}

// Keys returns what SCRAM derived, to be used next time.
func (c *Client) Keys() ClientKeys { return c.keys }
