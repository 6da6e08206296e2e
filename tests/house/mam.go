package house

import (
	"context"
	"fmt"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// Namespaces of what is read here.
const (
	NSMAM     = "urn:xmpp:mam:2"
	NSRSM     = "http://jabber.org/protocol/rsm"
	NSForward = "urn:xmpp:forward:0"
	NSSID     = "urn:xmpp:sid:0"
)

// Message is a chat message as the archive gives it, or as it arrived.
type Message struct {
	ID     string // of the archive (XEP-0359 stanza-id), "" when it has none
	From   jid.JID
	To     jid.JID
	Origin string // origin-id, "" when it has none
	Body   string
	Delay  bool // it came with a XEP-0203 delay
}

// ReadMessage reads a message that arrived; by is the receiver's account.
func ReadMessage(s *stanza.Stanza, by jid.JID) Message {
	m := Message{From: address(s.RawFrom()), To: address(s.RawTo())}
	for e := range s.Children() {
		switch {
		case e.Is(NSSID, "stanza-id"):
			if a, _ := e.Attr("by"); a == by.Bare().String() {
				m.ID, _ = e.Attr("id")
			}
		case e.Is(NSSID, "origin-id"):
			m.Origin, _ = e.Attr("id")
		case e.Is(stanza.NSClient, "body"):
			m.Body = e.Text()
		case e.Is("urn:xmpp:delay", "delay"):
			m.Delay = true
		}
	}
	return m
}

func address(raw []byte) jid.JID {
	j, err := jid.Parse(stanza.Unescape(raw))
	if err != nil {
		return jid.JID{}
	}
	return j
}

// Archive reads a whole archive by MAM, page by page, the oldest first. The
// client must not have been given to Handle.
func Archive(ctx context.Context, c *client.Client, page int) ([]Message, error) {
	var all []Message
	after := ""
	for {
		rows, last, complete, err := Page(ctx, c, page, after)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if complete {
			return all, nil
		}
		if last == "" || last == after {
			return nil, fmt.Errorf("a page after %q is neither complete nor does it lead on", after)
		}
		after = last
	}
}

// Page reads one page after an id ("" for the first): XEP-0313 §4, XEP-0059.
func Page(ctx context.Context, c *client.Client, most int, after string) (rows []Message, last string, complete bool, err error) {
	var x stanza.XML
	x.Start("query", "xmlns", NSMAM, "queryid", "p").Start("set", "xmlns", NSRSM).Element("max", fmt.Sprint(most))
	if after != "" {
		x.Element("after", after)
	}
	answer, err := c.Request(ctx, stanza.Set, jid.JID{}, x.End().End().Bytes())
	if err != nil {
		return nil, "", false, fmt.Errorf("page of the archive after %q: %w", after, err)
	}
	fin, ok := answer.Child(NSMAM, "fin")
	if !ok {
		return nil, "", false, fmt.Errorf("no <fin/>: %s", answer.Bytes())
	}
	done, _ := fin.Attr("complete")
	if set, ok := fin.Child(NSRSM, "set"); ok {
		if e, ok := set.Child(NSRSM, "last"); ok {
			last = e.Text()
		}
	}
	for _, it := range c.Waiting() {
		if m, ok := result(it, c.JID()); ok {
			rows = append(rows, m)
		}
	}
	for range rows { // they stand before the answer: taking them does not wait
		if _, err := c.Take(ctx, func(it client.Item) bool { _, ok := result(it, c.JID()); return ok }); err != nil {
			return nil, "", false, err
		}
	}
	return rows, last, done == "true", nil
}

// result reads one <result/> of a page.
func result(it client.Item, owner jid.JID) (Message, bool) {
	s, err := it.Stanza()
	if err != nil {
		return Message{}, false
	}
	r, ok := s.Child(NSMAM, "result")
	if !ok {
		return Message{}, false
	}
	id, _ := r.Attr("id")
	f, _ := r.Child(NSForward, "forwarded")
	e, ok := f.Child(stanza.NSClient, "message")
	if !ok {
		return Message{}, false
	}
	inner, err := stanza.Parse(e.AppendStandalone(nil))
	if err != nil {
		return Message{}, false
	}
	m := ReadMessage(inner, owner)
	m.ID, m.Delay = id, false
	return m, true
}
