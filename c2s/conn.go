package c2s

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/stream"
)

// Namespaces of the negotiation.
const (
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsSM      = "urn:xmpp:sm:3"
	nsCSI     = "urn:xmpp:csi:0"
	nsCB      = "urn:xmpp:sasl-cb:0"
)

// A conn is one stream of a client, from its first byte to its last. Its state
// is what is set: nothing, a domain, an account, a context.
type conn struct {
	server  *Server
	stream  *stream.Conn
	address string // of the client, without port
	began   time.Time
	bound   atomic.Bool

	secure bool   // over TLS, or over a trusted proxy that is
	domain string // the stream is for, once it is open
	org    feature.Org
	setup  *setup      // until a resource is bound
	ctx    *router.Ctx // of the session, once a resource is bound
}

// setup is what is needed only until a resource is bound.
type setup struct {
	open    bool // a header was read and answered
	sasl    *sasl.Server
	guess   bool // the exchange has come to where a wrong password fails
	tries   int
	pending *presence.Account // of the exchange under way; held
	row     *store.Account    // of pending, as it was read
	account *presence.Account // signed in; held
	scope   jid.JID
	after   stanza.ArchiveID // of the session to be: Session.After
	offered []string
	types   []string
}

// item handles one thing read from the stream.
func (c *conn) item(it *stream.Item) error {
	switch it.Kind {
	case stream.Open:
		return c.header(it.Header)
	case stream.Close:
		it.Span.To(c.server.Router.Managing(c.org))
		if c.ctx != nil && c.ctx.Session.Reads(c.stream) { // contacts are told before the client hears the end
			c.server.Router.Leave(c.ctx.Session)
		}
		return nil
	case stream.None:
		return nil
	}
	if c.ctx != nil {
		return c.signedIn(it)
	}
	if c.setup == nil || !c.setup.open {
		return stream.NewError(stream.BadFormat, "a stream begins with its header")
	}
	if it.Kind == stream.Stanza {
		return c.early(it.Stanza)
	}
	return c.negotiate(it.Element)
}

// closed is the end of the stream, however it came.
func (c *conn) closed(err error) {
	c.server.remove(c)
	if err != nil {
		c.server.Log.Debug("stream ended", "address", c.address, "jid", c.name(), "cause", err)
	}
	if c.setup != nil {
		c.drop()
		if c.setup.account != nil {
			c.setup.account.Release()
		}
		c.setup = nil
	}
	if c.ctx != nil {
		c.ctx.Session.Detach(c.stream)
		c.ctx.Done()
	}
}

func (c *conn) name() string {
	if c.ctx != nil {
		return c.ctx.Session.JID.String()
	}
	return ""
}

// header answers a stream header with ours and the features, RFC 6120 §4.2,
// §4.3.
func (c *conn) header(h *stream.Header) error {
	if c.setup == nil {
		if c.ctx != nil {
			return stream.NewError(stream.BadFormat, "this stream is open already")
		}
		c.setup = &setup{}
	}
	if c.setup.open {
		return stream.NewError(stream.BadFormat, "this stream is open already")
	}
	domain, org, err := c.host(h)
	answer := stream.Header{From: domain, ID: streamID(), Version: "1.0", Lang: "en"}
	if answer.From == "" {
		answer.From = h.To
	}
	ws := c.stream.WebSocket()
	if err != nil {
		if broken := c.stream.Write(stream.AppendHeader(nil, answer, ws)); broken != nil {
			return broken
		}
		return err
	}
	c.domain, c.org, c.setup.open = domain, org, true
	c.stream.SetAccount(c.server.Router.SigningIn(org))
	head := stream.AppendHeader(nil, answer, ws)
	features := stream.AppendFeatures(nil, c.features(), ws)
	return c.stream.WriteItems(head, features)
}

// host finds the organisation that a header is for.
func (c *conn) host(h *stream.Header) (string, feature.Org, error) {
	if major, _, _ := cutVersion(h.Version); major < 1 {
		return "", 0, stream.NewError(stream.UnsupportedVersion, "this server speaks version 1.0")
	}
	to, err := jid.Parse(h.To)
	if err != nil || to.Local() != "" || to.Resource() != "" {
		return "", 0, stream.NewError(stream.HostUnknown, "the header must say which domain it is for")
	}
	org, ok := c.server.Router.Organisation(to.Domain())
	if !ok {
		return "", 0, stream.NewError(stream.HostUnknown, "")
	}
	if c.domain != "" && c.domain != to.Domain() {
		return "", 0, stream.NewError(stream.HostUnknown, "the stream was for another domain before")
	}
	return to.Domain(), org, nil
}

// cutVersion reads "major.minor", RFC 6120 §4.7.5. What is no number is 0.
func cutVersion(v string) (major, minor int, ok bool) {
	at := &major
	for _, r := range v {
		switch {
		case r == '.' && at == &major:
			at = &minor
		case r >= '0' && r <= '9' && *at < 1000:
			*at = *at*10 + int(r-'0')
		default:
			return 0, 0, false
		}
	}
	return major, minor, v != ""
}

func streamID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// early is a stanza before a resource is bound: the binding itself, or a
// request that a module answers without sign-in.
func (c *conn) early(st *stanza.Stanza) error {
	if c.setup.account != nil {
		if payload, ok := st.First(); ok && st.Kind == stanza.IQ && st.Type == stanza.Set && payload.Is(nsBind, "bind") {
			return c.bind(st, payload)
		}
		return stream.NewError(stream.NotAuthorized, "bind a resource first")
	}
	if st.Kind == stanza.IQ && (c.secure || c.server.Plaintext) {
		answer, ok := c.server.Router.PreAuth(context.Background(), &router.PreAuth{
			Domain: c.domain, Org: c.org, Address: c.address, Secure: c.secure, Stanza: st,
		})
		if ok {
			return c.stream.Write(answer.Append(nil))
		}
	}
	return stream.NewError(stream.NotAuthorized, "sign in first")
}

// bind binds a resource, RFC 6120 §7.
func (c *conn) bind(st *stanza.Stanza, payload stanza.Element) error {
	if st.ID() == nil {
		return stream.NewError(stream.BadFormat, "an iq needs an id")
	}
	wanted := ""
	if el, ok := payload.Child(nsBind, "resource"); ok {
		wanted = el.Text()
	}
	s := c.setup
	ctx, err := c.server.Router.Bind(s.account, c.stream, wanted, s.scope, func(s *session.Session) {
		s.After = c.setup.after
		x := new(stanza.XML)
		x.Start("bind", "xmlns", nsBind).Element("jid", s.JID.String()).End()
		s.Send(stanza.ResultOf(st, x.Bytes()))
	})
	if err != nil {
		var e *stanza.Error
		if !errors.As(err, &e) {
			return err
		}
		return c.stream.Write(stanza.Reply(st, jid.JID{}, e).Append(nil))
	}
	c.begin(ctx)
	return nil
}

// begin makes the stream one of a session; the session holds the account.
func (c *conn) begin(ctx *router.Ctx) {
	c.ctx, c.setup = ctx, nil
	c.stream.SetAccount(c.server.Router.Streaming(c.org))
	c.stream.Settle()
	c.bound.Store(true)
}

// signedIn handles what a client with a session sends.
func (c *conn) signedIn(it *stream.Item) error {
	if it.Kind == stream.Element {
		it.Span.To(c.server.Router.Managing(c.org))
		return c.nonza(it.Element)
	}
	c.ctx.Span = it.Span
	st := it.Stanza
	if raw := st.RawFrom(); raw != nil && !c.isOwn(raw) {
		return stream.NewError(stream.InvalidFrom, "")
	}
	if !c.ctx.Session.Received(c.stream) {
		return nil
	}
	defer c.ctx.Session.Routed()
	if st.Kind == stanza.IQ && st.Type == stanza.Set && st.RawTo() == nil {
		if payload, ok := st.First(); ok && c.negotiated(st, payload) {
			return nil
		}
	}
	return c.server.Router.Route(c.ctx, st)
}

// isOwn says whether a 'from' is the client's own, full or bare (RFC 6120
// §8.1.2.1).
func (c *conn) isOwn(raw []byte) bool {
	s := c.ctx.Session
	if string(raw) == s.JID.String() {
		return true
	}
	from, err := jid.Parse(stanza.Unescape(raw))
	return err == nil && (from == s.JID || from == s.JID.Bare())
}

// negotiated answers requests of the negotiation that come late: the session
// of RFC 3921, which does nothing, and a second binding.
func (c *conn) negotiated(st *stanza.Stanza, payload stanza.Element) bool {
	switch {
	case payload.Is(nsSession, "session"):
		st.From = c.ctx.Session.JID
		c.ctx.Session.Send(stanza.ResultOf(st, nil))
	case payload.Is(nsBind, "bind"):
		st.From = c.ctx.Session.JID
		c.ctx.Fail(st, stanza.NotAllowed("a resource is bound already"))
	default:
		return false
	}
	return true
}
