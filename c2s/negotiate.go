package c2s

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/stream"
)

// maxTries is how many failed exchanges one stream may have, RFC 6120 §6.4.4.
const maxTries = 5

// features are those of the present state, RFC 6120 §4.3.2.
func (c *conn) features() []byte {
	x := new(stanza.XML)
	switch {
	case c.setup.account != nil:
		x.Empty("bind", "xmlns", nsBind)
		x.Start("session", "xmlns", nsSession).Empty("optional").End()
		x.Empty("sm", "xmlns", nsSM)
		x.Empty("csi", "xmlns", nsCSI)
		c.server.Router.StreamFeatures(x, c.org, true)
	default:
		if !c.secure && !c.stream.WebSocket() {
			x.Start("starttls", "xmlns", nsTLS)
			if !c.server.Plaintext {
				x.Empty("required")
			}
			x.End()
		}
		if c.secure || c.server.Plaintext {
			c.offer(x)
			c.server.Router.StreamFeatures(x, c.org, false)
		}
	}
	return x.Bytes()
}

// offer writes the mechanisms and the channel bindings (XEP-0440). Of SCRAM
// those are offered that every account of the organisation has keys for: a
// client takes the best it is offered, and would fail with any other. Which
// ones does not depend on who asks.
func (c *conn) offer(x *stanza.XML) {
	s := c.setup
	s.types = c.binding().Types()
	s.offered = nil
	scram, err := c.server.Router.Store.Mechanisms(context.Background(), c.org)
	switch {
	case err != nil:
		c.server.Log.Log(context.Background(), store.Severity(err), "mechanisms not known; all are offered", "cause", err)
		scram = []string{sasl.SCRAMSHA256, sasl.SCRAMSHA1}
	case len(scram) > 0:
		c.server.mixed.Delete(c.org)
	default:
		if _, told := c.server.mixed.LoadOrStore(c.org, true); !told {
			c.server.Log.Warn("of its accounts some have SCRAM-SHA-1 keys only and others SCRAM-SHA-256 keys only, so passwords are asked for by PLAIN; "+
				"accounts get the keys they lack when they sign in so", "domain", c.domain)
		}
	}
	if len(s.types) > 0 {
		for _, m := range scram {
			s.offered = append(s.offered, m+"-PLUS")
		}
	}
	s.offered = append(append(s.offered, scram...), sasl.OAuthBearer, sasl.Plain)
	x.Start("mechanisms", "xmlns", nsSASL)
	for _, m := range s.offered {
		x.Element("mechanism", m)
	}
	x.End()
	if len(s.types) == 0 {
		return
	}
	x.Start("sasl-channel-binding", "xmlns", nsCB)
	for _, t := range s.types {
		x.Empty("channel-binding", "type", t)
	}
	x.End()
}

// binding gives the channel bindings of the stream, nil without TLS of ours.
func (c *conn) binding() sasl.Binding {
	cs, ok := c.stream.TLS()
	if !ok {
		return nil
	}
	leaf, err := c.server.Leaf(cs.ServerName)
	if err != nil {
		leaf = nil
	}
	return sasl.NewBinding(&cs, leaf)
}

// negotiate handles an element that is no stanza before a resource is bound.
func (c *conn) negotiate(e stanza.Element) error {
	switch string(e.NS()) {
	case nsTLS:
		if e.Is(nsTLS, "starttls") {
			return c.startTLS()
		}
	case nsSASL:
		return c.signIn(e)
	case nsSM:
		return c.manage(e)
	}
	return stream.NewError(stream.NotAuthorized, "this cannot be said before sign-in")
}

// startTLS is STARTTLS, RFC 6120 §5.4.
func (c *conn) startTLS() error {
	if c.secure || c.stream.WebSocket() || c.setup.account != nil {
		if err := c.stream.Write([]byte("<failure xmlns='" + nsTLS + "'/>")); err != nil { // RFC 6120 §5.4.2.2
			return err
		}
		c.stream.Close(nil)
		return nil
	}
	if err := c.stream.Write([]byte("<proceed xmlns='" + nsTLS + "'/>")); err != nil {
		return err
	}
	c.drop() // an exchange that was begun without TLS
	c.secure, c.setup = true, &setup{}
	c.stream.StartTLS(c.server.startTLS, func(err error) {
		if err != nil {
			c.server.Log.Debug("no TLS", "address", c.address, "cause", err)
		}
	})
	return nil
}

// signIn is one step of SASL, RFC 6120 §6.4.
func (c *conn) signIn(e stanza.Element) error {
	s := c.setup
	if s.account != nil {
		return stream.NewError(stream.PolicyViolation, "you are signed in already")
	}
	if !c.secure && !c.server.Plaintext {
		return c.refuse(&sasl.Failure{Condition: sasl.EncryptionRequired})
	}
	if c.server.budget.spent(c.address) {
		return c.refuse(&sasl.Failure{Condition: sasl.TemporaryAuthFailure, Text: "too many failed sign-ins from your address; try again in a minute"})
	}
	switch string(e.Local()) {
	case "auth":
		if s.sasl != nil { // without a word about the one before
			if err := c.wasted(); err != nil {
				return err
			}
		}
		mech, _ := e.Attr("mechanism")
		return c.exchange(mech, e.Text())
	case "response":
		if s.sasl == nil {
			return c.refuse(&sasl.Failure{Condition: sasl.MalformedRequest, Text: "there is no exchange to answer in"})
		}
		in, err := decode(e.Text())
		if err != nil {
			return c.refuse(err)
		}
		return c.step(in)
	case "abort":
		return c.refuse(&sasl.Failure{Condition: sasl.Aborted})
	}
	return c.refuse(&sasl.Failure{Condition: sasl.MalformedRequest})
}

// exchange begins a mechanism.
func (c *conn) exchange(mech, initial string) error {
	s := c.setup
	srv, err := sasl.NewServer(mech, sasl.ServerConfig{
		Domain: c.domain, Offered: s.offered, Types: s.types, Binding: c.binding(),
		Lookup: c.lookup, Bearer: c.bearer, Secret: c.server.ScramSecret, Shapes: c.shapes,
		Local: func(name string) (string, error) {
			j, err := jid.New(name, c.domain, "")
			return j.Local(), err
		},
		Bare: func(address string) (string, error) {
			j, err := jid.Parse(address)
			return j.Bare().String(), err
		},
	})
	if err != nil {
		return c.refuse(err)
	}
	// The first message of SCRAM proves nothing: what fails there (a channel
	// binding that is unknown here) is no guess at a password.
	s.sasl, s.guess = srv, !strings.HasPrefix(mech, "SCRAM-")
	var in []byte
	if initial != "" {
		if in, err = decode(initial); err != nil {
			return c.refuse(err)
		}
	}
	return c.step(in)
}

// decode reads base64 as SASL profiles write it; "=" stands for nothing.
func decode(text string) ([]byte, error) {
	if text == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder passes over line breaks (RFC 6120 §6.4.2)
		return nil, &sasl.Failure{Condition: sasl.IncorrectEncoding}
	}
	return b, nil
}

func (c *conn) step(in []byte) error {
	s := c.setup
	out, done, err := s.sasl.Step(in)
	if err != nil {
		return c.refuse(err)
	}
	x := new(stanza.XML)
	if !done {
		s.guess = true
		x.Element("challenge", base64.StdEncoding.EncodeToString(out), "xmlns", nsSASL)
		return c.stream.Write(x.Bytes())
	}
	return c.accepted(s.sasl.Result(), out)
}

// accepted is the end of a sign-in that went well.
func (c *conn) accepted(r sasl.Result, out []byte) error {
	account := c.setup.pending
	if account == nil || account.JID.Local() != r.Local {
		return c.refuse(&sasl.Failure{Condition: sasl.NotAuthorized})
	}
	c.complete(c.setup.sasl.Lacked())
	scope := jid.JID{}
	if r.Claims.Scope != "" {
		var err error
		if scope, err = jid.Parse(r.Claims.Scope); err != nil {
			return c.refuse(&sasl.Failure{Condition: sasl.NotAuthorized, Cause: err})
		}
		scope = scope.Bare()
	}
	c.setup = &setup{account: account, scope: scope, after: r.Claims.After}
	limits := c.server.Router.Limits
	c.stream.SetLimits(stream.Limits{Bytes: limits.MaxBytes})
	x := new(stanza.XML)
	if out == nil {
		x.Empty("success", "xmlns", nsSASL)
	} else {
		x.Element("success", base64.StdEncoding.EncodeToString(out), "xmlns", nsSASL)
	}
	if err := c.stream.Write(x.Bytes()); err != nil {
		return err
	}
	c.stream.Restart()
	return nil
}

// complete writes the keys that the account lacks, so that the next time its
// password need not be seen (decision 0014).
func (c *conn) complete(lacked []sasl.Keys) {
	if len(lacked) == 0 {
		return
	}
	keys := make([]store.Key, len(lacked))
	for i, k := range lacked {
		keys[i] = store.Key(k)
	}
	if err := c.server.Router.Store.AddKeys(context.Background(), c.setup.row, keys); err != nil {
		c.server.Log.Log(context.Background(), store.Severity(err), "keys not completed; the next sign-in tries again", "jid", c.setup.pending.JID.String(), "cause", err)
	}
}

// shapes tells how keys of the stream's organisation look.
func (c *conn) shapes(mech string) []sasl.Shape {
	var list []sasl.Shape
	for shape, n := range c.server.Router.Store.KeyShapes(c.org, mech) {
		list = append(list, sasl.Shape{Iterations: shape.Iterations, Salt: shape.Salt, Accounts: n})
	}
	return list
}

// lookup gives the keys of a localpart: the one statement of a sign-in.
func (c *conn) lookup(local string) (sasl.Credentials, error) {
	bare, err := jid.New(local, c.domain, "")
	if err != nil {
		return sasl.Credentials{}, nil
	}
	a, row, err := c.server.Router.Directory.SignIn(context.Background(), bare)
	if errors.Is(err, presence.ErrUnknown) {
		return sasl.Credentials{}, nil
	}
	if err != nil {
		return sasl.Credentials{}, err
	}
	c.drop()
	c.setup.pending, c.setup.row = a, row
	cred := sasl.Credentials{Disabled: row.Disabled, Keys: make([]sasl.Keys, len(row.Keys))}
	for i, k := range row.Keys {
		cred.Keys[i] = sasl.Keys(k)
	}
	return cred, nil
}

// bearer decides on a token of ours (decision 16).
func (c *conn) bearer(token string) (sasl.Claims, error) {
	claims, err := sasl.Verify(c.server.Router.TokenKey, token, time.Now())
	if err != nil {
		return claims, err
	}
	if claims.Org != uint32(c.org) {
		return sasl.Claims{}, sasl.ErrToken
	}
	bare, err := jid.New(claims.Local, c.domain, "")
	if err != nil {
		return sasl.Claims{}, sasl.ErrToken
	}
	a, row, err := c.server.Router.Directory.SignIn(context.Background(), bare)
	switch {
	case errors.Is(err, presence.ErrUnknown):
		return sasl.Claims{}, sasl.ErrToken
	case err != nil:
		return sasl.Claims{}, &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Cause: err}
	case row.Disabled:
		a.Release()
		return sasl.Claims{}, &sasl.Failure{Condition: sasl.AccountDisabled}
	}
	c.drop()
	c.setup.pending = a
	return claims, nil
}

// drop gives back the account of an exchange that came to nothing.
func (c *conn) drop() {
	if c.setup.pending != nil {
		c.setup.pending.Release()
		c.setup.pending, c.setup.row = nil, nil
	}
}

// wasted counts an exchange that the client left without an end. It has cost a
// look at the account, as one with a wrong password does.
func (c *conn) wasted() error {
	c.setup.sasl = nil
	c.drop()
	c.server.budget.fail(c.address)
	return c.tried()
}

// tried counts an exchange that came to nothing on this stream.
func (c *conn) tried() error {
	if c.setup.tries++; c.setup.tries >= maxTries {
		return stream.NewError(stream.PolicyViolation, "too many failed sign-ins on one stream")
	}
	return nil
}

// refuse tells a failed exchange. Wrong passwords are counted by address, and
// so is what ends after a challenge without one; all failures look alike whether
// the account exists or not.
func (c *conn) refuse(err error) error {
	s := c.setup
	challenged := s.sasl != nil && s.guess
	s.sasl = nil
	c.drop()
	var f *sasl.Failure
	if !errors.As(err, &f) {
		f = &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	switch {
	case f.Condition == sasl.TemporaryAuthFailure && f.Cause != nil:
		c.server.Log.Log(context.Background(), store.Severity(f.Cause), "sign-in not decided", "address", c.address, "cause", f.Cause)
	case f.Condition == sasl.NotAuthorized && s.guess:
		c.server.failures.Add(1)
		c.server.budget.fail(c.address)
	case challenged && (f.Condition == sasl.Aborted || f.Condition == sasl.MalformedRequest || f.Condition == sasl.IncorrectEncoding):
		c.server.budget.fail(c.address)
	}
	x := new(stanza.XML)
	x.Start("failure", "xmlns", nsSASL).Empty(f.Condition)
	if f.Text != "" {
		x.Element("text", f.Text, "xml:lang", "en")
	}
	x.End()
	if err := c.stream.Write(x.Bytes()); err != nil {
		return err
	}
	return c.tried()
}

// manage is stream management before a resource is bound: only a resumption
// makes sense then (XEP-0198 §5).
func (c *conn) manage(e stanza.Element) error {
	if !e.Is(nsSM, "resume") || c.setup.account == nil {
		return c.stream.Write([]byte("<failed xmlns='" + nsSM + "'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"))
	}
	previd, _ := e.Attr("previd")
	count, _ := e.Attr("h")
	h, err := strconv.ParseUint(count, 10, 32)
	if err != nil {
		return c.stream.Write([]byte("<failed xmlns='" + nsSM + "'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"))
	}
	a := c.setup.account
	ctx, handled, known, err := c.server.Router.Resume(a, c.setup.scope, c.stream, previd, uint32(h))
	switch {
	case err != nil:
		return err
	case ctx == nil:
		x := new(stanza.XML)
		x.Start("failed", "xmlns", nsSM)
		if known {
			x.Attr("h", strconv.FormatUint(uint64(handled), 10))
		}
		x.Empty("item-not-found", "xmlns", "urn:ietf:params:xml:ns:xmpp-stanzas").End()
		return c.stream.Write(x.Bytes())
	}
	c.begin(ctx)
	a.Release() // the session has its own hold
	return nil
}

// nonza handles an element that is no stanza of a client with a session.
func (c *conn) nonza(e stanza.Element) error {
	s := c.ctx.Session
	if !s.Reads(c.stream) {
		return nil // the session has moved to another stream
	}
	switch {
	case e.Is(nsSM, "r"):
		s.Requested()
	case e.Is(nsSM, "a"):
		count, _ := e.Attr("h")
		h, err := strconv.ParseUint(count, 10, 32)
		if err != nil {
			return stream.NewError(stream.BadFormat, "h is a number")
		}
		return s.Acked(uint32(h))
	case e.Is(nsSM, "enable"):
		resume, _ := e.Attr("resume")
		c.server.Router.Enable(s, resume == "true" || resume == "1")
	case e.Is(nsSM, "resume"):
		s.SendNonza([]byte("<failed xmlns='" + nsSM + "'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"))
	case e.Is(nsCSI, "inactive"):
		s.Inactive()
	case e.Is(nsCSI, "active"):
		s.Active()
	default:
		return stream.NewError(stream.UnsupportedStanzaType, "")
	}
	return nil
}
