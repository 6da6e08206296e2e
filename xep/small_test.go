package xep_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/caps"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
)

// scopedToo says of each request whether a session that is for one peer may
// ask it.
func TestScopedSessions(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	h.befriend("amy", "ben")
	h.befriend("amy", "cat")
	amy := h.connect("amy/chat", "ben")
	for _, c := range []struct {
		typ, to, payload string
		allowed          bool
	}{
		{"get", domain, "<ping xmlns='urn:xmpp:ping'/>", true},
		{"get", domain, "<query xmlns='jabber:iq:version'/>", true},
		{"get", domain, "<time xmlns='urn:xmpp:time'/>", true},
		{"get", domain, "<query xmlns='http://jabber.org/protocol/disco#info'/>", true},
		{"get", "ben@" + domain, "<query xmlns='http://jabber.org/protocol/disco#info'/>", true},
		{"get", "cat@" + domain, "<query xmlns='http://jabber.org/protocol/disco#info'/>", false},
		{"get", "", "<query xmlns='http://jabber.org/protocol/disco#items'/>", true},
		{"get", domain, "<query xmlns='jabber:iq:last'/>", false},
		{"get", "ben@" + domain, "<query xmlns='jabber:iq:last'/>", false},
		{"get", "", "<query xmlns='jabber:iq:roster'/>", true},
		{"set", "", "<query xmlns='jabber:iq:roster'><item jid='dan@hug.example'/></query>", false},
		{"set", "", "<query xmlns='jabber:iq:roster'><item jid='ben@hug.example' subscription='remove'/></query>", false},
		{"get", "", "<blocklist xmlns='urn:xmpp:blocking'/>", false},
		{"set", "", "<block xmlns='urn:xmpp:blocking'><item jid='ben@hug.example'/></block>", false},
		{"set", "", "<unblock xmlns='urn:xmpp:blocking'/>", false},
		{"get", "", "<vCard xmlns='vcard-temp'/>", true},
		{"set", "", "<vCard xmlns='vcard-temp'/>", false},
		{"get", "cat@" + domain, "<vCard xmlns='vcard-temp'/>", false},
		{"get", "", "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>", false},
		{"set", "", "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>", false},
		{"set", "", "<enable xmlns='urn:xmpp:carbons:2'/>", true},
		{"set", "", "<disable xmlns='urn:xmpp:carbons:2'/>", true},
		{"set", "", "<query xmlns='urn:xmpp:mam:2'/>", true},
		{"get", "", "<query xmlns='urn:xmpp:mam:2'/>", true},
		{"get", "", "<metadata xmlns='urn:xmpp:mam:2'/>", true},
		{"get", "", "<prefs xmlns='urn:xmpp:mam:2'/>", false},
		{"set", "", "<prefs xmlns='urn:xmpp:mam:2' default='never'/>", false},
		{"set", domain, "<query xmlns='jabber:iq:register'><remove/></query>", false},
	} {
		check(t, h.host.Board.Set("register", feature.Scope{}, 1, 0))
		answer := amy.ask(c.typ, c.to, c.payload)
		if refused := strings.Contains(answer, "<forbidden "); refused == c.allowed {
			t.Errorf("%s %s %s: allowed %v, answered %s", c.typ, c.to, c.payload, c.allowed, answer)
		}
	}
	if got := amy.ask("get", "", "<query xmlns='jabber:iq:roster'/>"); !strings.Contains(got, "ben@") || strings.Contains(got, "cat@") {
		t.Errorf("the roster of a session for one peer is that peer: %s", got)
	}
}

func TestPingVersionTime(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	for _, to := range []string{domain, "", "amy@" + domain} {
		amy.wantResult("get", to, "<ping xmlns='urn:xmpp:ping'/>", "")
	}
	amy.wantError("get", "ben@"+domain, "<ping xmlns='urn:xmpp:ping'/>", "service-unavailable")
	amy.wantError("get", "nobody@"+domain, "<ping xmlns='urn:xmpp:ping'/>", "service-unavailable")
	amy.wantResult("get", domain, "<query xmlns='jabber:iq:version'/>",
		"<query xmlns='jabber:iq:version'><name>Bearhug</name><version>1.2.3</version></query>")
	got := amy.wantResult("get", domain, "<time xmlns='urn:xmpp:time'/>", "<tzo>+00:00</tzo>")
	if like("…<utc>20…-…-…T…:…:….…Z</utc></time></iq>").FindString(got) == "" {
		t.Errorf("no time of XEP-0082: %s", got)
	}
}

func TestDisco(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	h.befriend("amy", "ben")
	amy := h.connect("amy/home")
	ben := h.connect("ben/den")
	ben.available(0)
	const info, items = "<query xmlns='http://jabber.org/protocol/disco#info'/>", "<query xmlns='http://jabber.org/protocol/disco#items'/>"
	got := amy.wantResult("get", domain, info, "<identity category='server' type='im' name='Bearhug'/>")
	for _, f := range []string{
		"jabber:iq:roster", "urn:xmpp:blocking", "urn:xmpp:carbons:2", "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time",
		"jabber:iq:last", "vcard-temp", "jabber:iq:private", "msgoffline", "http://jabber.org/protocol/caps",
	} {
		if !strings.Contains(got, "<feature var='"+f+"'/>") {
			t.Errorf("the server does not announce %s", f)
		}
	}
	if strings.Contains(got, "jabber:iq:register") {
		t.Error("registration is announced while it is off")
	}
	if !strings.Contains(got, "<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@hug.example</value></field>") {
		t.Errorf("no contact addresses: %s", got)
	}
	for _, to := range []string{"", "amy@" + domain, "ben@" + domain} {
		got := amy.wantResult("get", to, info, "<identity category='account' type='registered'/>")
		for _, f := range []string{"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"} {
			if !strings.Contains(got, "<feature var='"+f+"'/>") {
				t.Errorf("account %q does not announce %s", to, f)
			}
		}
	}
	for _, to := range []string{"cat@" + domain, "nobody@" + domain} { // one cannot tell them apart
		amy.wantError("get", to, info, "service-unavailable")
		amy.wantResult("get", to, items, "<query xmlns='http://jabber.org/protocol/disco#items'/>")
		amy.wantResult("get", to, "<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>",
			"<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>")
	}
	amy.wantResult("get", "ben@"+domain, items, "<item jid='ben@hug.example/den'/>")
	amy.wantResult("get", domain, items, "<query xmlns='http://jabber.org/protocol/disco#items'/>")
	for _, to := range []string{domain, "", "ben@" + domain} {
		amy.wantError("get", to, "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "item-not-found")
		amy.wantError("get", to, "<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>", "item-not-found")
	}
}

func TestCaps(t *testing.T) {
	// The complex example of XEP-0115 §5.3, with one language.
	info := &router.Info{
		Identities: []router.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features: []string{
			"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
			"http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc",
		},
	}
	if got := caps.Verification(info); got != "QgayPKawpkPSDYmwT/WM94uAlu0=" { // §5.2
		t.Errorf("verification string %s", got)
	}
	h := newHouse(t)
	h.people("amy")
	amy := h.connect("amy/home")
	ver := func() (node, ver string) {
		m := like("…<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='…' ver='…'/>…").FindStringSubmatch(h.features(true))
		if m == nil {
			t.Fatalf("no caps in %s", h.features(true))
		}
		return m[2], m[3]
	}
	node, before := ver()
	if before != caps.Verification(h.router.Info(h.org)) {
		t.Error("the hash is not that of the answer")
	}
	query := func(ver string) string {
		return "<query xmlns='http://jabber.org/protocol/disco#info' node='" + node + "#" + ver + "'/>"
	}
	amy.wantResult("get", domain, query(before), "node='"+node+"#"+before+"'>")
	check(t, h.host.Board.Set("carbons", feature.Scope{Org: h.org}, 0, 0))
	_, after := ver()
	if after == before {
		t.Error("the hash stays the same when a switch is moved")
	}
	amy.wantError("get", domain, query(before), "item-not-found")
	got := amy.wantResult("get", domain, query(after), "")
	if strings.Contains(got, "carbons") {
		t.Error("what is off is announced")
	}
	check(t, h.host.Board.Set("carbons", feature.Scope{Org: h.org}, 1, 0))
	if _, again := ver(); again != before {
		t.Error("the same answer has another hash")
	}
	if strings.Contains(h.features(false), "caps") {
		t.Error("caps before sign-in")
	}
}

func TestStreamFeatures(t *testing.T) {
	h := newHouse(t)
	before, after := h.features(false), h.features(true)
	if want := "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"; before != want {
		t.Errorf("before sign-in: %s", before)
	}
	for _, want := range []string{
		"<ver xmlns='urn:xmpp:features:rosterver'/>", "<sub xmlns='urn:xmpp:features:pre-approval'/>",
		"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>1800</idle-seconds></limits>",
	} {
		if !strings.Contains(after, want) {
			t.Errorf("%s is not in %s", want, after)
		}
	}
	check(t, h.host.Board.Set("register", feature.Scope{}, 1, 0))
	if !strings.Contains(h.features(false), "<register xmlns='http://jabber.org/features/iq-register'/>") {
		t.Errorf("registration is not offered: %s", h.features(false))
	}
	if strings.Contains(h.features(true), "iq-register") {
		t.Error("registration is offered to those who have signed in")
	}
}

// TestAlways holds what cannot be switched off, and what is off.
func TestAlways(t *testing.T) {
	h := newHouse(t)
	want := map[string]string{"blocking": "always", "roster": "always", "prefs": "always", "offline": "always", "register": "off"}
	for _, m := range h.router.Modules() {
		state := "on"
		switch {
		case m.Always:
			state = "always"
		case m.Off:
			state = "off"
		}
		expected := want[m.Name]
		if expected == "" {
			expected = "on"
		}
		if state != expected {
			t.Errorf("%s is %s", m.Name, state)
		}
		if m.Doc == "" {
			t.Errorf("%s has no sentence", m.Name)
		}
		err := h.host.Board.Set(m.Name, feature.Scope{}, 0, 0)
		if (err != nil) != m.Always {
			t.Errorf("switching %s off: %v", m.Name, err)
		}
	}
}
