package xep_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/feature"
)

func rosterSet(item string) string { return "<query xmlns='jabber:iq:roster'>" + item + "</query>" }

func TestRosterErrors(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	long := strings.Repeat("x", 1024)
	groups := ""
	for i := range 101 {
		groups += fmt.Sprintf("<group>g%d</group>", i)
	}
	for _, c := range []struct{ to, item, condition string }{
		{"ben@" + domain, "<item jid='cat@hug.example'/>", "forbidden"},
		{"nobody@" + domain, "<item jid='cat@hug.example'/>", "forbidden"},
		{"", "", "bad-request"},
		{"", "<item jid='a@hug.example'/><item jid='b@hug.example'/>", "bad-request"},
		{"", "<other xmlns='x'/>", "bad-request"},
		{"", "<item/>", "bad-request"},
		{"", "<item jid='@'/>", "jid-malformed"},
		{"", "<item jid='amy@hug.example'/>", "not-allowed"},
		{"", "<item jid='amy@hug.example/home'/>", "not-allowed"},
		{"", "<item jid='ben@hug.example' name='" + long + "'/>", "not-acceptable"},
		{"", "<item jid='ben@hug.example'><group/></item>", "not-acceptable"},
		{"", "<item jid='ben@hug.example'><group>" + long + "</group></item>", "not-acceptable"},
		{"", "<item jid='ben@hug.example'>" + groups + "</item>", "not-acceptable"},
		{"", "<item jid='ben@hug.example'><group>a</group><group>a</group></item>", "bad-request"},
		{"", "<item jid='ben@hug.example' subscription='remove'/>", "item-not-found"},
	} {
		amy.wantError("set", c.to, rosterSet(c.item), c.condition)
	}
	amy.wantError("get", "ben@"+domain, "<query xmlns='jabber:iq:roster'/>", "forbidden")
	amy.wantError("get", domain, "<query xmlns='jabber:iq:roster'/>", "service-unavailable")
	amy.wantResult("get", "", "<query xmlns='jabber:iq:roster'/>", "<query xmlns='jabber:iq:roster' ver='0'/>")
}

func TestRosterVersions(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy, other := h.connect("amy/home"), h.connect("amy/work")
	amy.wantResult("get", "", "<query xmlns='jabber:iq:roster' ver=''/>", "ver='0'")
	amy.send("<iq type='set' id='s1'>%s</iq>", rosterSet("<item jid='ben@hug.example/x' name='B &amp; b' subscription='both'><group>a</group></item>"))
	m := amy.expect("<iq …<query xmlns='jabber:iq:roster' ver='…'><item jid='ben@hug.example' name='B &amp; b' subscription='none'><group>a</group></item></query></iq>")
	amy.expect("<iq … type='result' id='s1'…")
	first := m[1]
	other.nothing() // it has not asked for the roster
	amy.wantResult("get", "", "<query xmlns='jabber:iq:roster'/>", "<item jid='ben@hug.example' name='B &amp; b'")
	for _, item := range []string{
		"<item jid='cat@hug.example'/>", "<item jid='dan@hug.example'/>",
		"<item jid='ben@hug.example' name='Ben'/>", "<item jid='cat@hug.example' subscription='remove'/>",
	} {
		amy.wantResult("set", "", rosterSet(item), "")
	}
	// Another resource comes back with the first version: nothing, then what changed.
	other.send("<iq type='get' id='g1'><query xmlns='jabber:iq:roster' ver='%s'/></iq>", first)
	other.expect("<iq … type='result' id='g1' …></iq>")
	other.expect("<iq … type='set' …<item jid='dan@hug.example' subscription='none'/></query></iq>")
	other.expect("<iq … type='set' …<item jid='ben@hug.example' name='Ben' subscription='none'/></query></iq>")
	last := other.expect("<iq … type='set' …ver='…'><item jid='cat@hug.example' subscription='remove'/></query></iq>")
	other.send("<iq type='get' id='g2'><query xmlns='jabber:iq:roster' ver='%s'/></iq>", last[2])
	other.expect("<iq … type='result' id='g2' …></iq>")
	other.nothing()
	for _, ver := range []string{"nonsense", "999999"} { // not of ours: the whole roster
		got := other.wantResult("get", "", "<query xmlns='jabber:iq:roster' ver='"+ver+"'/>", "dan@hug.example")
		if strings.Contains(got, "cat@") {
			t.Errorf("a removed contact: %s", got)
		}
	}
}

func TestRosterLimit(t *testing.T) {
	h := newHouse(t)
	h.people("amy")
	amy := h.connect("amy/home")
	check(t, h.host.Board.Set("roster.items", feature.Scope{}, 2, 0))
	amy.wantResult("set", "", rosterSet("<item jid='a@hug.example'/>"), "")
	amy.wantResult("set", "", rosterSet("<item jid='b@other.example'/>"), "")
	amy.wantError("set", "", rosterSet("<item jid='c@hug.example'/>"), "policy-violation")
	amy.wantResult("set", "", rosterSet("<item jid='a@hug.example' name='A'/>"), "")
	amy.wantResult("set", "", rosterSet("<item jid='a@hug.example' subscription='remove'/>"), "")
	amy.wantResult("set", "", rosterSet("<item jid='c@hug.example'/>"), "")
}

// TestRosterBytes: few contacts may still be too much; one who is at the bound
// may change what there is, unless it grows.
func TestRosterBytes(t *testing.T) {
	h := newHouse(t)
	h.people("amy")
	amy := h.connect("amy/home")
	item := func(n, groups int) string {
		var text strings.Builder
		fmt.Fprintf(&text, "<item jid='a%d@hug.example'>", n)
		for g := range groups {
			fmt.Fprintf(&text, "<group>%01023d</group>", g)
		}
		return rosterSet(text.String() + "</item>")
	}
	const fit = (4 << 20) / (100*(1023+16) + 16 + 13)
	for n := range fit {
		amy.wantResult("set", "", item(n, 100), "")
	}
	amy.wantError("set", "", item(fit, 100), "policy-violation")
	amy.wantResult("set", "", item(fit, 1), "")
	amy.wantError("set", "", item(fit, 100), "policy-violation")
	amy.wantResult("set", "", item(0, 100), "")
	amy.wantResult("set", "", rosterSet("<item jid='a0@hug.example' subscription='remove'/>"), "")
	amy.wantResult("set", "", item(fit, 99), "")
}

func TestBlocking(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	h.befriend("amy", "ben")
	h.befriend("amy", "cat")
	amy, other := h.connect("amy/home"), h.connect("amy/work")
	ben, cat := h.connect("ben/den"), h.connect("cat/loft")
	for _, p := range []*person{amy, ben, cat} {
		p.available(0)
	}
	for _, p := range []*person{amy, ben, cat} {
		p.settle()
	}
	const list = "<blocklist xmlns='urn:xmpp:blocking'/>"
	amy.wantResult("get", "", list, "<blocklist xmlns='urn:xmpp:blocking'/>")
	amy.wantError("set", "", "<block xmlns='urn:xmpp:blocking'/>", "bad-request")
	amy.wantError("set", "", "<block xmlns='urn:xmpp:blocking'><item/></block>", "bad-request")
	amy.wantError("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='@'/></block>", "jid-malformed")

	amy.send("<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='BEN@hug.example'/><item jid='ben@hug.example'/></block></iq>")
	amy.expect("<iq … type='result' id='b1'…")
	amy.expect("<iq … type='set' …<block xmlns='urn:xmpp:blocking'><item jid='ben@hug.example'/></block></iq>")
	other.nothing() // it has not asked for the list
	ben.expect("<presence … type='unavailable' from='amy@hug.example/home'…")
	amy.wantError("get", "ben@hug.example/den", "<ping xmlns='urn:xmpp:ping'/>", "not-acceptable")
	ben.wantError("get", "amy@hug.example/home", "<ping xmlns='urn:xmpp:ping'/>", "service-unavailable")
	other.wantResult("get", "", list, "<item jid='ben@hug.example'/>")

	amy.wantResult("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='hug.example'/></block>", "")
	cat.expect("<presence … type='unavailable' from='amy@hug.example/home'…")
	ben.nothing() // he was blocked already

	amy.settle()
	other.settle()
	other.send("<iq type='set' id='u1'><unblock xmlns='urn:xmpp:blocking'><item jid='hug.example'/></unblock></iq>")
	other.expect("<iq … type='result' id='u1'…")
	other.expect("<iq … type='set' …<unblock xmlns='urn:xmpp:blocking'><item jid='hug.example'/></unblock></iq>")
	amy.expect("<iq … type='set' …<unblock xmlns='urn:xmpp:blocking'><item jid='hug.example'/></unblock></iq>")
	cat.expect("<presence … from='amy@hug.example/home'…")
	ben.nothing() // still blocked by name

	other.send("<iq type='set' id='u2'><unblock xmlns='urn:xmpp:blocking'/></iq>")
	other.expect("<iq … type='result' id='u2'…")
	other.expect("<iq … type='set' …<unblock xmlns='urn:xmpp:blocking'/></iq>")
	ben.expect("<presence … from='amy@hug.example/home'…")
	if h.account("amy").Blocked.Load() != nil {
		t.Error("an empty block list is kept")
	}
	rows, err := h.host.Store.Blocks(t.Context(), h.org, h.account("amy").ID)
	check(t, err)
	if len(rows) != 0 {
		t.Errorf("rows are left: %v", rows)
	}
}

func TestBlockingLimit(t *testing.T) {
	h := newHouse(t)
	h.people("amy")
	amy := h.connect("amy/home")
	check(t, h.host.Board.Set("blocking.items", feature.Scope{}, 1, 0))
	amy.wantResult("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='a.example'/></block>", "")
	amy.wantError("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='b.example'/></block>", "policy-violation")
	amy.wantResult("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>",
		"<blocklist xmlns='urn:xmpp:blocking'><item jid='a.example'/></blocklist>")
}

func TestVCard(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	amy, ben := h.connect("amy/home"), h.connect("ben/den")
	const ask = "<vCard xmlns='vcard-temp'/>"
	amy.wantResult("get", "", ask, "<vCard xmlns='vcard-temp'/>")
	for _, who := range []string{"cat", "nobody"} {
		amy.wantError("get", who+"@"+domain, ask, "service-unavailable")
		amy.wantError("set", who+"@"+domain, ask, "forbidden")
	}
	amy.wantResult("set", "", "<vCard xmlns='vcard-temp' xmlns:y='urn:y'><FN>Amy &amp; co</FN><y:z/></vCard>", "")
	for _, p := range []*person{amy, ben} {
		p.wantResult("get", "amy@"+domain, ask, "<FN>Amy &amp; co</FN><y:z/></vCard></iq>")
	}
	check(t, h.host.Board.Set("vcard.size", feature.Scope{}, 1024, 0))
	amy.wantError("set", "", "<vCard xmlns='vcard-temp'><FN>"+strings.Repeat("x", 1024)+"</FN></vCard>", "policy-violation")
}

func TestPrivate(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	private := func(s string) string { return "<query xmlns='jabber:iq:private'>" + s + "</query>" }
	for _, c := range []struct{ typ, to, inner, condition string }{
		{"get", "", "", "bad-request"},
		{"get", "", "<a xmlns='a'/><b xmlns='b'/>", "bad-request"},
		{"get", "", "<a/>", "not-acceptable"},
		{"set", "", "", "bad-request"},
		{"set", "", "<a xmlns=''/>", "not-acceptable"},
		{"get", "ben@" + domain, "<a xmlns='a'/>", "forbidden"},
		{"set", "nobody@" + domain, "<a xmlns='a'/>", "forbidden"},
		{"set", "", "<" + strings.Repeat("n", 201) + " xmlns='a'/>", "not-acceptable"},
	} {
		amy.wantError(c.typ, c.to, private(c.inner), c.condition)
	}
	amy.wantResult("get", "", private("<a xmlns='urn:a'/>"), private("<a xmlns='urn:a'/>"))
	amy.wantResult("set", "", private("<a xmlns='urn:a' k='&apos;'><b>one</b></a><p:a xmlns:p='urn:b'><p:b/></p:a>"), "")
	amy.wantResult("get", "", private("<a xmlns='urn:a'/>"), private("<a xmlns='urn:a' k='&apos;'><b>one</b></a>"))
	amy.wantResult("get", "", private("<a xmlns='urn:b'/>"), private("<p:a xmlns='jabber:iq:private' xmlns:p='urn:b'><p:b/></p:a>"))
	check(t, h.host.Board.Set("private.size", feature.Scope{}, 1024, 0))
	amy.wantError("set", "", private("<a xmlns='urn:a'>"+strings.Repeat("x", 1024)+"</a>"), "policy-violation")
}

func TestPrefs(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	prefs := func(def, inner string) string {
		return "<prefs xmlns='urn:xmpp:mam:2' default='" + def + "'>" + inner + "</prefs>"
	}
	amy.wantResult("get", "", "<prefs xmlns='urn:xmpp:mam:2'/>", prefs("always", "<always/><never/>"))
	many := "<never>" + strings.Repeat("<jid>a@b.example</jid>", 1001) + "</never>"
	for _, c := range []struct{ to, payload, condition string }{
		{"", "<prefs xmlns='urn:xmpp:mam:2'/>", "bad-request"},
		{"", prefs("sometimes", ""), "bad-request"},
		{"", prefs("never", "<always><jid>@</jid></always>"), "jid-malformed"},
		{"", prefs("never", many), "policy-violation"},
		{"ben@" + domain, prefs("never", ""), "forbidden"},
		{"nobody@" + domain, prefs("never", ""), "forbidden"},
	} {
		amy.wantError("set", c.to, c.payload, c.condition)
	}
	want := prefs("roster", "<always><jid>ben@hug.example</jid></always><never><jid>x.example</jid></never>")
	amy.wantResult("set", "", prefs("roster", "<never><jid>X.example</jid></never><always><jid>ben@hug.example</jid></always>"), want)
	amy.wantResult("get", "", "<prefs xmlns='urn:xmpp:mam:2'/>", want)
	row, err := h.host.Store.Prefs(t.Context(), h.org, h.account("amy").ID)
	check(t, err)
	if !strings.Contains(string(row), "roster") {
		t.Errorf("not written: %s", row)
	}
}
