package router_test

import (
	"context"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// caring makes ada a therapist who cares for bob; cy is in a group that sees
// ada's without care, eve in none.
func (h *hall) caring() {
	h.t.Helper()
	ctx, gs := context.Background(), h.Rosters.Groups
	if err := gs.Load(ctx); err != nil {
		h.t.Fatal(err)
	}
	group := func(name string, who ...string) *roster.Group {
		g, err := gs.AddGroup(ctx, h.one, roster.NewGroup{Name: name})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, w := range who {
			if w != "ada" && w != "bob" {
				if _, err := h.Store.CreateAccount(ctx, h.one, w, nil); err != nil {
					h.t.Fatal(err)
				}
			}
			if _, err := gs.Join(ctx, g, jid.MustParse(w+"@one.example")); err != nil {
				h.t.Fatal(err)
			}
		}
		return g
	}
	therapists, clients, others := group("therapists", "ada"), group("clients", "bob"), group("others", "cy")
	for _, show := range [...]struct {
		other, to *roster.Group
		care      bool
	}{{clients, therapists, true}, {therapists, others, false}} {
		if err := gs.Show(ctx, show.other, show.to, show.care); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestClass: the class of a stanza by what it is, who says it and to whom.
func TestClass(t *testing.T) {
	h := newHall(t)
	h.caring()
	const body, typing = "<body>hail</body>", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	for _, c := range [...]struct {
		from, to, kind, inner string
		want                  overload.Class
	}{
		{"ada", "bob", "message type='chat'", body, overload.Care},
		{"bob", "ada", "message type='chat'", body, overload.Care},
		{"bob", "ada", "message type='chat'", body + typing, overload.Care},
		{"bob", "ada", "message", "<reactions xmlns='urn:xmpp:reactions:0' id='x'/>", overload.Care},
		{"bob", "ada", "message", "<encrypted xmlns='urn:xmpp:omemo:2'/>", overload.Care},
		{"bob", "ada", "message", "<propose xmlns='urn:xmpp:jingle-message:0' id='x'/>", overload.Care},
		{"ada", "cy", "message type='chat'", body, overload.Chat},
		{"cy", "ada", "message type='chat'", body, overload.Chat},
		{"bob", "cy", "message type='chat'", body, overload.Chat},
		{"bob", "bob", "message type='chat'", body, overload.Chat},
		{"bob", "eve", "message type='chat'", body, overload.Chat},
		{"ada", "bob", "message type='chat'", typing, overload.Presence},
		{"ada", "bob", "message", "<received xmlns='urn:xmpp:receipts' id='x'/>", overload.Presence},
		{"ada", "bob", "message", "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>", overload.Presence},
		{"ada", "bob", "presence", "", overload.Presence},
		{"ada", "bob", "presence type='subscribe'", "", overload.Presence},
		{"ada", "", "iq type='get' id='x'", "<ping xmlns='urn:xmpp:ping'/>", overload.Return},
		{"ada", "", "iq type='get' id='x'", "<query xmlns='jabber:iq:roster'/>", overload.Return},
		{"ada", "", "iq type='set' id='x'", "<enable xmlns='urn:xmpp:carbons:2'/>", overload.Return},
		{"ada", "", "iq type='set' id='x'", "<query xmlns='urn:xmpp:mam:2'/>", overload.History},
		{"ada", "", "iq type='get' id='x'", "<query xmlns='jabber:iq:search'/>", overload.History},
		{"ada", "", "iq type='get' id='x'", "<request xmlns='urn:xmpp:http:upload:0'/>", overload.History},
		{"ada", "", "iq type='get' id='x'", "<query xmlns='urn:somebody:else'/>", overload.History},
		{"ada", "bob", "iq type='result' id='x'", "", overload.History},
		{"ada", "", "iq type='set' id='x'", "<query xmlns='jabber:iq:register'/>", overload.SignUp},
		{"ada", "", "iq type='set' id='x'", "<visible xmlns='urn:bearhug:visible:0'/>", overload.Presence},
	} {
		name, _, _ := strings.Cut(c.kind, " ")
		st, err := stanza.Parse([]byte("<" + c.kind + " xmlns='jabber:client'>" + c.inner + "</" + name + ">"))
		if err != nil {
			t.Fatal(err)
		}
		st.From = jid.MustParse(c.from + "@one.example/x")
		if st.To = st.From.Bare(); c.to != "" {
			st.To = jid.MustParse(c.to + "@one.example/y")
		}
		if got := h.Class(st); got != c.want {
			t.Errorf("%s to %s: <%s>%s is %s, not %s", c.from, c.to, c.kind, c.inner, got, c.want)
		}
	}
}
