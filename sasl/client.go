package sasl

import (
	"slices"
	"strings"
)

// ClientConfig is what a Client signs in with.
type ClientConfig struct {
	Local    string      // localpart of the account
	Authzid  string      // bare JID to act as; "" for the account itself
	Password string      // for SCRAM and PLAIN
	Keys     *ClientKeys // of an earlier exchange, to spare the PBKDF2; used when mechanism, salt and iterations are still those
	Token    string      // for OAUTHBEARER
	Offered  []string    // all mechanisms that the server offered
	Types    []string    // channel binding types that the server announced (XEP-0440); nil if it announced none
	Binding  Binding     // channel bindings of the stream; nil without TLS
	// AllowPlain lets Choose give PLAIN, which tells the password to the server.
	AllowPlain bool
	// MinIterations is the least iteration count to accept. 0 stands for DefaultIterations: who asks for less may want to guess the password afterwards.
	MinIterations int
}

// Choose gives the best mechanism of those offered that the configuration has the means for, "" if there is none: OAUTHBEARER with a token, SCRAM with
// channel binding before SCRAM without, SHA-256 before SHA-1, PLAIN last.
func (c ClientConfig) Choose() string {
	var order []string
	if c.Token != "" {
		order = append(order, OAuthBearer)
	}
	if c.Password != "" || c.Keys != nil {
		if c.bindingType() != "" {
			order = append(order, SCRAMSHA256Plus, SCRAMSHA1Plus)
		}
		order = append(order, SCRAMSHA256, SCRAMSHA1)
	}
	if c.Password != "" && c.AllowPlain {
		order = append(order, Plain)
	}
	for _, m := range order {
		usable := c.Password != "" || c.Token != "" || c.Keys != nil && c.Keys.Mechanism == strings.TrimSuffix(m, "-PLUS")
		if usable && slices.Contains(c.Offered, m) {
			return m
		}
	}
	return ""
}

// bindingType gives the best channel binding type that both ends have, "" for none. A server that announces none is taken to have all.
func (c *ClientConfig) bindingType() string {
	for _, t := range c.Binding.Types() {
		if c.Types == nil || slices.Contains(c.Types, t) {
			return t
		}
	}
	return ""
}

// Client is the client's end of one exchange.
type Client struct {
	cfg     ClientConfig
	mech    string
	step    func(c *Client, in []byte) (out []byte, done bool, err error) // what takes the next message; nil when nothing more may come
	scram   scramClient
	refusal []byte
}

// NewClient starts an exchange with a mechanism. It fails with invalid-mechanism if this is none of ours, or the configuration lacks what it needs.
func NewClient(mech string, cfg ClientConfig) (*Client, error) {
	c := &Client{cfg: cfg, mech: mech}
	h, scram := hashOf(mech)
	switch {
	case mech == Plain && cfg.Password != "":
		c.step = (*Client).plain
	case mech == OAuthBearer && cfg.Token != "":
		c.step = (*Client).bearer
	case scram && (cfg.Password != "" || cfg.Keys != nil):
		c.scram.hash = h
		if strings.HasSuffix(mech, "-PLUS") {
			if c.scram.binding = cfg.bindingType(); c.scram.binding == "" {
				return nil, fail(InvalidMechanism, "client and server have no channel binding type in common")
			}
		}
		c.step = (*Client).scramFirst
	default:
		return nil, fail(InvalidMechanism, "unknown, or nothing to sign in with")
	}
	return c, nil
}

// Step takes what the server sent and gives what to answer. Begin with Step(nil), which gives the initial response. Then call it with each challenge, and
// with the additional data of the success if there is any. done says that nothing more is expected of the server: treat a success as one only if the last
// Step said so, for else the server has not proven that it knows the account. With done, out is nil but for an initial response.
func (c *Client) Step(in []byte) (out []byte, done bool, err error) {
	if c.step == nil {
		return nil, false, fail(Aborted, "the server sends more than the mechanism has")
	}
	if len(in) > maxMessage {
		c.step = nil
		return nil, false, fail(Aborted, "the message is too long")
	}
	step := c.step
	c.step = nil // a step that expects another sets it
	return step(c, in)
}

// Keys returns what SCRAM derived of the password, for ClientConfig.Keys next time. It is zero before the server's first message.
func (c *Client) Keys() ClientKeys { return c.scram.keys }

// Refusal returns the server's reason for refusing a token, JSON of a Refusal (RFC 7628 §3.2.2); nil if there was none.
func (c *Client) Refusal() []byte { return c.refusal }

func (c *Client) plain([]byte) ([]byte, bool, error) {
	return appendPlain(nil, c.cfg.Authzid, c.cfg.Local, c.cfg.Password), true, nil
}

func (c *Client) bearer([]byte) ([]byte, bool, error) {
	c.step = (*Client).refused
	return appendBearer(nil, c.cfg.Authzid, c.cfg.Token), true, nil
}

// refused takes the challenge by which the server refuses the token. The failure follows when it is answered.
func (c *Client) refused(in []byte) ([]byte, bool, error) {
	c.refusal = slices.Clone(in)
	return []byte{kvsep}, false, nil
}
