package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

const (
	nsStream  = "http://etherx.jabber.org/streams"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSM      = "urn:xmpp:sm:3"
	nsBinding = "urn:xmpp:sasl-cb:0"
)

// Features are what the server offered last (RFC 6120 §4.3.2).
type Features struct {
	StartTLS   bool
	Mechanisms []string
	Bindings   []string // XEP-0440; nil when not announced
	Bind       bool
	SM         bool
	Doc        []byte // the whole element, a document of its own
}

// An UnexpectedError is returned when negotiation meets something else than what belongs there.
type UnexpectedError struct {
	Want string
	Got  []byte
}

// Error says what was wanted and what came.
func (e *UnexpectedError) Error() string { return fmt.Sprintf("expected %s, got %s", e.Want, e.Got) }

// An AuthError is a SASL <failure/> (RFC 6120 §6.5).
type AuthError struct{ Condition, Text string }

// Error says condition and text.
func (e *AuthError) Error() string {
	return strings.TrimRight("SASL failure: "+e.Condition+": "+e.Text, ": ")
}

// A StreamError is what the server ended the stream with (RFC 6120 §4.9).
type StreamError struct{ Condition, Text string }

// Error says condition and text.
func (e *StreamError) Error() string {
	return strings.TrimRight("stream error: "+e.Condition+": "+e.Text, ": ")
}

// Open exchanges stream headers and takes the features.
func (c *Client) Open(ctx context.Context) error {
	if err := c.SendHeader(); err != nil {
		return err
	}
	it, err := c.Receive(ctx)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	if it.Kind != Open {
		return fmt.Errorf("open stream: %w", unexpected("a stream header", it))
	}
	if it, err = c.Receive(ctx); err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	f, err := ParseFeatures(it)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	c.feats = f
	return nil
}

// SendHeader sends our stream header (RFC 6120 §4.7, RFC 7395 §3.4).
func (c *Client) SendHeader() error {
	b := stream.AppendHeader(nil, stream.Header{To: c.cfg.Account.Domain(), Version: "1.0", Lang: c.cfg.Lang}, c.link.ws)
	if c.cfg.Declare != "" && !c.link.ws {
		b = append(append(append(b[:len(b)-1], ' '), c.cfg.Declare...), '>')
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.writeLocked(b)
}

// ParseFeatures reads an item that is <stream:features/>. Another one gives an error: *StreamError where it is one.
func ParseFeatures(it Item) (Features, error) {
	if !it.Is(nsStream, "features") {
		return Features{}, unexpected("<stream:features/>", it)
	}
	e, err := it.Element()
	if err != nil {
		return Features{}, err
	}
	f := Features{Doc: it.doc}
	for child := range e.Children() {
		switch {
		case child.Is(nsTLS, "starttls"):
			f.StartTLS = true
		case child.Is(nsSASL, "mechanisms"):
			for m := range child.Children() {
				f.Mechanisms = append(f.Mechanisms, m.Text())
			}
		case child.Is(nsBinding, "sasl-channel-binding"):
			f.Bindings = []string{}
			for b := range child.Children() {
				if t, ok := b.Attr("type"); ok {
					f.Bindings = append(f.Bindings, t)
				}
			}
		case child.Is(nsBind, "bind"):
			f.Bind = true
		case child.Is(nsSM, "sm"):
			f.SM = true
		}
	}
	return f, nil
}

// unexpected is the error for an item out of place.
func unexpected(want string, it Item) error {
	if it.Is(nsStream, "error") {
		e, err := it.Element()
		if err != nil {
			return err
		}
		out := &StreamError{}
		for child := range e.Children() {
			if child.Is(nsStreams, "text") {
				out.Text = child.Text()
			} else if string(child.NS()) == nsStreams {
				out.Condition = string(child.Local())
			}
		}
		return out
	}
	got := it.Raw
	switch it.Kind {
	case Close:
		got = []byte("the end of the stream")
	case Open:
		got = []byte("a stream header")
	}
	return &UnexpectedError{Want: want, Got: got}
}

// StartTLS asks for TLS and shakes hands (RFC 6120 §5.4.2). A new stream must be opened afterwards.
func (c *Client) StartTLS(ctx context.Context) error {
	if err := c.Send([]byte("<starttls xmlns='" + nsTLS + "'/>")); err != nil {
		return err
	}
	it, err := c.Receive(ctx)
	if err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if !it.Is(nsTLS, "proceed") {
		return fmt.Errorf("STARTTLS: %w", unexpected("<proceed/>", it))
	}
	return c.AwaitTLS(ctx)
}

// AwaitTLS waits for the handshake that follows a <proceed/>.
func (c *Client) AwaitTLS(ctx context.Context) error {
	select {
	case err := <-c.tlsErr:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrNoMechanism is returned when the server offers no mechanism that this client can use.
var ErrNoMechanism = errors.New("no usable SASL mechanism is offered")

// choose takes the configured mechanism, or the strongest offered; PLAIN over TLS only.
func (c *Client) choose() (string, error) {
	if c.cfg.Mechanism != "" {
		return c.cfg.Mechanism, nil
	}
	if m := c.saslConfig("").Choose(); m != "" {
		return m, nil
	}
	return "", fmt.Errorf("%w: %v", ErrNoMechanism, c.feats.Mechanisms)
}

// Authenticate does SASL (RFC 6120 §6.4). A failure is *AuthError. A new stream must be opened afterwards.
func (c *Client) Authenticate(ctx context.Context) error {
	mech, err := c.choose()
	if err != nil {
		return err
	}
	x, err := sasl.NewClient(mech, c.saslConfig(mech))
	if err != nil {
		return fmt.Errorf("sign in with %s: %w", mech, err)
	}
	out, _, err := x.Step(nil)
	if err != nil {
		return fmt.Errorf("sign in with %s: %w", mech, err)
	}
	err = c.Send([]byte("<auth xmlns='" + nsSASL + "' mechanism='" + mech + "'>" + encode(out) + "</auth>"))
	for err == nil {
		var it Item
		if it, err = c.Receive(ctx); err != nil {
			break
		}
		switch {
		case it.Is(nsSASL, "challenge"):
			err = c.respond(x, it)
		case it.Is(nsSASL, "success"):
			return c.authenticated(mech, x, it)
		case it.Is(nsSASL, "failure"):
			return authError(it)
		default:
			err = unexpected("a SASL answer", it)
		}
	}
	return fmt.Errorf("sign in with %s: %w", mech, err)
}

func encode(b []byte) string {
	if b == nil {
		return ""
	}
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

// decode reads the base64 of a SASL element.
func decode(it Item) ([]byte, error) {
	e, err := it.Element()
	if err != nil {
		return nil, err
	}
	t := strings.TrimSpace(e.Text())
	if t == "" || t == "=" {
		return nil, nil
	}
	return base64.StdEncoding.DecodeString(t)
}

func (c *Client) respond(x *sasl.Client, it Item) error {
	in, err := decode(it)
	if err != nil {
		return err
	}
	out, _, err := x.Step(in)
	if err != nil {
		return err
	}
	return c.Send([]byte("<response xmlns='" + nsSASL + "'>" + encode(out) + "</response>"))
}

func (c *Client) authenticated(mech string, x *sasl.Client, it Item) error {
	in, err := decode(it)
	if err != nil {
		return err
	}
	if strings.HasPrefix(mech, "SCRAM-") {
		_, done, err := x.Step(in)
		if err != nil {
			return fmt.Errorf("sign in with %s: %w", mech, err)
		}
		if !done {
			return fmt.Errorf("sign in with %s: the server has not proven itself", mech)
		}
		c.cfg.Keys.put(c.cfg.Account, mech, x.Keys())
	}
	return nil
}

func authError(it Item) error {
	e, err := it.Element()
	if err != nil {
		return err
	}
	out := &AuthError{}
	for child := range e.Children() {
		if child.Is(nsSASL, "text") {
			out.Text = child.Text()
		} else if out.Condition == "" {
			out.Condition = string(child.Local())
		}
	}
	return out
}

// Bind asks for the configured resource, or for any (RFC 6120 §7). An error stanza gives *stanza.Error.
func (c *Client) Bind(ctx context.Context) error {
	var x stanza.XML
	x.Start("iq", "type", "set", "id", "bind", "xmlns", stanza.NSClient).Start("bind", "xmlns", nsBind)
	if c.cfg.Resource != "" {
		x.Element("resource", c.cfg.Resource)
	}
	if err := c.Send(x.End().End().Bytes()); err != nil {
		return err
	}
	it, err := c.Receive(ctx)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if it.Kind != Stanza {
		return fmt.Errorf("bind: %w", unexpected("an answer", it))
	}
	s, err := it.Stanza()
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := ErrorOf(s); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	b, _ := s.Child(nsBind, "bind")
	j, _ := b.Child(nsBind, "jid")
	if c.jid, err = jid.Parse(j.Text()); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// ErrorOf is the error that an error stanza carries, nil for any other stanza (RFC 6120 §8.3).
func ErrorOf(s *stanza.Stanza) error {
	if s.Type != stanza.ErrorType {
		return nil
	}
	out := &stanza.Error{Condition: "undefined-condition"}
	e, _ := s.Child(stanza.NSClient, "error")
	if t, ok := e.Attr("type"); ok {
		out.Type = errorKind(t)
	}
	for child := range e.Children() {
		switch {
		case child.Is(nsStanzas, "text"):
			out.Text = child.Text()
		case string(child.NS()) == nsStanzas:
			out.Condition = string(child.Local())
		default:
			out.App = child.AppendStandalone(nil)
		}
	}
	return out
}

const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
