package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

func escape(s string) string { return string(stanza.AppendEscaped(nil, s)) }

func errorKind(s string) stanza.ErrorKind {
	for _, k := range []stanza.ErrorKind{stanza.Cancel, stanza.Continue, stanza.Modify, stanza.Auth, stanza.Wait} {
		if k.String() == s {
			return k
		}
	}
	return stanza.Cancel
}

// tlsState is the state of TLS, for channel binding.
func (c *Client) tlsState() (tls.ConnectionState, bool) {
	if t, ok := c.link.nc.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// ids numbers the requests of a Client.
type ids struct{ n atomic.Uint64 }

func (i *ids) next() string { return "q" + strconv.FormatUint(i.n.Add(1), 36) }

// Request sends an iq and takes its answer, wherever it stands in the queue; what else arrives stays there. payload is
// one whole element; to zero means one's own account. An error stanza gives *stanza.Error. Not to be used after
// Handle.
func (c *Client) Request(ctx context.Context, typ stanza.Type, to jid.JID, payload []byte) (*stanza.Stanza, error) {
	id := c.ids.next()
	attrs := []string{"xmlns", stanza.NSClient, "type", typ.String(), "id", id}
	if !to.IsZero() {
		attrs = append(attrs, "to", to.String())
	}
	var x stanza.XML
	if err := c.Send(x.Start("iq", attrs...).Raw(payload).End().Bytes()); err != nil {
		return nil, err
	}
	it, err := c.Take(ctx, func(it Item) bool {
		s, err := it.Stanza()
		return err == nil && s.Kind == stanza.IQ && (s.Type == stanza.Result || s.Type == stanza.ErrorType) &&
			stanza.Unescape(s.ID()) == id
	})
	if err != nil {
		return nil, fmt.Errorf("iq %s: %w", id, err)
	}
	s, err := it.Stanza()
	if err != nil {
		return nil, err
	}
	return s, ErrorOf(s)
}

// Message sends a message; payload is its content, whole elements. to zero means one's own account.
func (c *Client) Message(typ stanza.Type, to jid.JID, id string, payload []byte) error {
	attrs := []string{"xmlns", stanza.NSClient, "type", typ.String()}
	if !to.IsZero() {
		attrs = append(attrs, "to", to.String())
	}
	if id != "" {
		attrs = append(attrs, "id", id)
	}
	var x stanza.XML
	return c.Send(x.Start("message", attrs...).Raw(payload).End().Bytes())
}

// Chat sends a text to a person.
func (c *Client) Chat(to jid.JID, id, text string) error {
	var x stanza.XML
	return c.Message(stanza.Chat, to, id, x.Element("body", text).Bytes())
}

// Presence sends presence without an address; payload is its content (show, status, priority), whole elements.
func (c *Client) Presence(typ stanza.Type, payload []byte) error {
	attrs := []string{"xmlns", stanza.NSClient}
	if t := typ.String(); typ != stanza.Available && t != "" {
		attrs = append(attrs, "type", t)
	}
	var x stanza.XML
	return c.Send(x.Start("presence", attrs...).Raw(payload).End().Bytes())
}

// Subscription sends one of the subscription types of presence (RFC 6121 §3).
func (c *Client) Subscription(typ stanza.Type, to jid.JID) error {
	var x stanza.XML
	return c.Send(x.Empty("presence", "xmlns", stanza.NSClient, "type", typ.String(), "to", to.String()).Bytes())
}
