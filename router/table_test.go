package router_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store/storetest"
)

// A hall is a router over a store, with two organisations.
type hall struct {
	t *testing.T
	*router.Router
	one, two feature.Org
}

func newHall(t *testing.T, modules ...router.Module) *hall {
	t.Helper()
	h := &hall{t: t}
	ctx, st := context.Background(), storetest.Open(t)
	domains := map[string]feature.Org{}
	for domain, org := range map[string]*feature.Org{"one.example": &h.one, "two.example": &h.two} {
		var err error
		if *org, err = st.AddOrg(ctx, domain); err != nil {
			t.Fatal(err)
		}
		domains[domain] = *org
		for _, name := range []string{"ada", "bob"} {
			if _, err := st.CreateAccount(ctx, *org, name, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	host := &router.Host{Rosters: roster.New(st), Store: st, Board: feature.NewBoard(), Log: slog.New(slog.DiscardHandler)}
	var err error
	if h.Router, err = router.New(ctx, host, domains); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Archive.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	var makers []func(*router.Host) router.Module
	for _, m := range modules {
		makers = append(makers, func(*router.Host) router.Module { return m })
	}
	if err := h.Use(makers); err != nil {
		t.Fatal(err)
	}
	return h
}

// bind makes a session without a stream.
func (h *hall) bind(address string, scope jid.JID) *router.Ctx {
	h.t.Helper()
	full := jid.MustParse(address)
	a, err := h.Directory.Account(context.Background(), full.Bare())
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := h.Bind(a, nil, full.Resource(), scope, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// route has a session say something.
func (h *hall) route(c *router.Ctx, s string) {
	h.t.Helper()
	st, err := stanza.Parse([]byte(s))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.Route(c, st); err != nil {
		h.t.Fatal(err)
	}
}

// heard is all that a session was sent; it ends with that.
func heard(s *session.Session) (list []string) {
	wires, _ := s.End()
	for _, w := range wires {
		list = append(list, string(w.Append(nil)))
	}
	return list
}

const ask = "<iq xmlns='jabber:client' type='get' id='x'><q xmlns='urn:q'/></iq>"

// TestSwitches: a switch of one organisation concerns that one only, at once;
// what is off is nowhere: not asked, not announced, not called.
func TestSwitches(t *testing.T) {
	h := newHall(t, router.Module{
		Name: "q", Doc: "answers", Disco: []string{"urn:q"}, AccountDisco: []string{"urn:q:account"},
		IQ: []router.IQ{{Type: stanza.Get, NS: "urn:q", Local: "q", To: router.Self,
			Func: func(c *router.Ctx, iq *stanza.Stanza) error { return c.Result(iq, nil) }}},
		PreAuth: func(_ context.Context, p *router.PreAuth) (*stanza.Wire, bool) {
			return stanza.ResultOf(p.Stanza, nil), true
		},
		Features: func(x *stanza.XML, _ feature.Org, _ bool) { x.Empty("q") },
		Node:     func(feature.Org, string) *router.Info { return new(router.Info) },
	}, router.Module{Name: "always", Doc: "has no switch", Always: true, Disco: []string{"urn:always"}})
	on := func(org feature.Org) bool {
		t.Helper()
		domain := map[feature.Org]string{h.one: "one.example", h.two: "two.example"}[org]
		c := h.bind("ada@"+domain+"/x", jid.JID{})
		h.route(c, ask)
		got := strings.Join(heard(c.Session), "")
		h.Directory.Unbind(c.Account, c.Session, false)
		c.Account.Release()
		st, err := stanza.Parse([]byte(ask))
		if err != nil {
			t.Fatal(err)
		}
		_, early := h.PreAuth(context.Background(), &router.PreAuth{Org: org, Stanza: st})
		x := new(stanza.XML)
		h.StreamFeatures(x, org, true)
		on := strings.Contains(got, "type='result'")
		for what, is := range map[string]bool{
			"answered before sign-in": early, "offered": len(x.Bytes()) > 0, "a node": h.NodeInfo(org, "n") != nil,
			"announced":            slices.Contains(h.Info(org).Features, "urn:q"),
			"announced by account": slices.Contains(h.AccountInfo(org).Features, "urn:q:account"),
		} {
			if is != on {
				t.Errorf("organisation %d: answered %v, but %s %v", org, on, what, is)
			}
		}
		if !slices.Contains(h.Info(org).Features, "urn:always") {
			t.Error("what has no switch is gone")
		}
		return on
	}
	set := func(org feature.Org, value int64, version uint64) {
		t.Helper()
		if err := h.Board.Set("q", feature.Scope{Org: org}, value, version); err != nil {
			t.Fatal(err)
		}
	}
	if !on(h.one) || !on(h.two) {
		t.Error("off from the beginning")
	}
	set(h.one, 0, 1)
	if on(h.one) || !on(h.two) {
		t.Error("a switch of one organisation")
	}
	set(0, 0, 2)
	set(h.one, 1, 3)
	if !on(h.one) || on(h.two) {
		t.Error("off for all but one")
	}
	if err := h.Board.Set("always", feature.Scope{}, 0, 4); err == nil {
		t.Error("what has no switch was switched off")
	}
	before := h.Info(h.two)
	h.AddOrganisation("three.example", 77)
	if org, ok := h.Organisation("three.example"); !ok || org != 77 {
		t.Error("a new organisation is not there")
	}
	if !slices.Equal(h.Info(77).Features, before.Features) {
		t.Errorf("a new organisation: %v", h.Info(77).Features)
	}
}

// TestHooks: modules are met in their order; who stops a stanza is the last
// that sees it; errors are told as what they are.
func TestHooks(t *testing.T) {
	var calls []string
	hook := func(name string, v router.Verdict) func(*router.Ctx, *stanza.Stanza) router.Verdict {
		return func(_ *router.Ctx, st *stanza.Stanza) router.Verdict {
			calls = append(calls, name)
			if string(st.ID()) != "stop" {
				return router.Pass
			}
			return v
		}
	}
	arrived := func(name string) func(*router.Ctx, *router.Arrival) router.Verdict {
		return func(_ *router.Ctx, a *router.Arrival) router.Verdict {
			calls = append(calls, name+" at "+a.Account.JID.Local())
			return router.Pass
		}
	}
	missed := func(name string) func(*router.Ctx, *router.Arrival) {
		return func(*router.Ctx, *router.Arrival) { calls = append(calls, name) }
	}
	fails := func(err error) func(*router.Ctx, *stanza.Stanza) error {
		return func(*router.Ctx, *stanza.Stanza) error { return err }
	}
	h := newHall(t,
		router.Module{Name: "a", Doc: "a", Sent: hook("a sent", router.Pass), Arrived: arrived("a"), Missed: missed("a missed")},
		router.Module{Name: "b", Doc: "b", Sent: hook("b sent", router.Stop), Arrived: arrived("b"), Missed: missed("b missed")},
		router.Module{Name: "c", Doc: "c", Sent: hook("c sent", router.Pass), IQ: []router.IQ{
			{Type: stanza.Get, NS: "urn:q", Local: "known", To: router.Self, Func: fails(stanza.NotAllowed("why"))},
			{Type: stanza.Get, NS: "urn:q", Local: "broken", To: router.Self, Func: fails(errors.New("secret of the house"))},
		}})
	c := h.bind("ada@one.example/x", jid.JID{})
	h.route(c, "<message xmlns='jabber:client' id='stop' to='bob@one.example' type='headline'/>")
	h.route(c, "<message xmlns='jabber:client' id='go' to='bob@one.example' type='headline'/>")
	want := []string{"a sent", "b sent", "a sent", "b sent", "c sent", "a at bob", "b at bob", "a missed", "b missed"}
	if !slices.Equal(calls, want) {
		t.Errorf("%q\nwant %q", calls, want)
	}
	h.route(c, "<iq xmlns='jabber:client' type='get' id='1'><known xmlns='urn:q'/></iq>")
	h.route(c, "<iq xmlns='jabber:client' type='get' id='2'><broken xmlns='urn:q'/></iq>")
	h.route(c, "<iq xmlns='jabber:client' type='set' id='3'><known xmlns='urn:q'/></iq>")
	h.route(c, "<iq xmlns='jabber:client' type='get' id='4' to='one.example'><known xmlns='urn:q'/></iq>")
	h.route(c, "<iq xmlns='jabber:client' type='get' id='5'/>")
	h.route(c, "<iq xmlns='jabber:client' type='get'><known xmlns='urn:q'/></iq>")
	h.route(c, "<iq xmlns='jabber:client' type='error' id='6'><known xmlns='urn:q'/></iq>")
	h.route(c, "<message xmlns='jabber:client' type='error' id='7' to='nobody@one.example'><body/></message>")
	h.route(c, "<message xmlns='jabber:client' id='8' to='@'/>")
	got := heard(c.Session)
	for i, want := range []string{"<not-allowed ", "<internal-server-error ", "<service-unavailable ", "<service-unavailable ", "<bad-request ", "<bad-request ", "<jid-malformed "} {
		if i >= len(got) || !strings.Contains(got[i], want) {
			t.Fatalf("answer %d: %q, want %s", i, got, want)
		}
	}
	if len(got) != 7 || strings.Contains(got[1], "secret") {
		t.Errorf("%q", got)
	}
}

// TestOrganisationsApart: nothing goes from one organisation to another,
// whatever the kind, and no answer tells who is there.
func TestOrganisationsApart(t *testing.T) {
	h := newHall(t)
	there := h.bind("ada@two.example/x", jid.JID{})
	h.route(there, "<presence xmlns='jabber:client'/>")
	for _, s := range []string{
		"<message xmlns='jabber:client' id='i' to='%s' type='chat'><body>x</body></message>",
		"<iq xmlns='jabber:client' type='get' id='i' to='%s'><q xmlns='urn:q'/></iq>",
		"<iq xmlns='jabber:client' type='result' id='i' to='%s'/>",
		"<presence xmlns='jabber:client' id='i' to='%s'/>",
		"<presence xmlns='jabber:client' id='i' to='%s' type='unavailable'/>",
		"<presence xmlns='jabber:client' id='i' to='%s' type='subscribe'/>",
		"<presence xmlns='jabber:client' id='i' to='%s' type='subscribed'/>",
		"<presence xmlns='jabber:client' id='i' to='%s' type='probe'/>",
	} {
		var answers []string
		for _, local := range []string{"ada@two.example", "ada@two.example/x", "nobody@two.example", "nobody@two.example/x", "ada@elsewhere.example"} {
			c := h.bind("ada@one.example/x", jid.JID{})
			h.route(c, strings.Replace(s, "%s", local, 1))
			answers = append(answers, strings.ReplaceAll(strings.Join(heard(c.Session), ""), local, "…"))
			h.Directory.Unbind(c.Account, c.Session, false)
			c.Account.Release()
		}
		for i, a := range answers {
			if a != answers[0] || !strings.Contains(s, "'result'") && !strings.Contains(a, "<remote-server-not-found ") {
				t.Errorf("%s: answer %d is %q, the first %q", s, i, a, answers[0])
			}
		}
	}
	if got := heard(there.Session); len(got) != 1 {
		t.Errorf("it heard %q", got)
	}
}
