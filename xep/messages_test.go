package xep_test

import (
	"github.com/bearhug/bearhug/feature"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const enable = "<enable xmlns='urn:xmpp:carbons:2'/>"

func TestCarbonsReceivedAndSent(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	home, work, plain := h.connect("amy/home"), h.connect("amy/work"), h.connect("amy/plain")
	den, van := h.connect("ben/den"), h.connect("ben/van")
	for _, p := range []*person{home, work, den, van} {
		p.wantResult("set", "", enable, "")
		p.wantResult("set", "", enable, "") // a second time is no error
	}
	for _, p := range []*person{home, den} {
		p.available(0)
	}
	home.send("<message to='ben@hug.example/den' type='chat' id='m1'><body>a &amp; b</body></message>")
	got := den.expect("<message xmlns='jabber:client' from='amy@hug.example/home' to='ben@hug.example/den' type='chat' id='m1'>" +
		"<body>a &amp; b</body><stanza-id xmlns='urn:xmpp:sid:0' id='…' by='ben@hug.example'/></message>")
	id := got[0]
	van.expect("<message xmlns='jabber:client' from='ben@hug.example' to='ben@hug.example/van' type='chat'>" +
		"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
		"<message xmlns='jabber:client' from='amy@hug.example/home' to='ben@hug.example/den' type='chat' id='m1'><body>a &amp; b</body>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' id='" + id + "' by='ben@hug.example'/></message></forwarded></received></message>")
	work.expect("<message xmlns='jabber:client' from='amy@hug.example' to='amy@hug.example/work' type='chat'>" +
		"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
		"<message xmlns='jabber:client' from='amy@hug.example/home' to='ben@hug.example/den' type='chat' id='m1'><body>a &amp; b</body>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' id='" + id + "' by='amy@hug.example'/></message></forwarded></sent></message>")
	for _, p := range []*person{home, work, plain, den, van} {
		p.nothing()
	}
}

func TestCarbonsRules(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	home, work := h.connect("amy/home"), h.connect("amy/work")
	den, van := h.connect("ben/den"), h.connect("ben/van")
	for _, p := range []*person{work, van} {
		p.wantResult("set", "", enable, "")
	}
	den.available(0)
	for _, c := range []struct {
		attrs, body string
		copied      bool
	}{
		{"type='chat'", "<body>x</body>", true},
		{"", "<body>x</body>", true},
		{"", "<subject>x</subject>", false},
		{"type='chat'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", true},
		{"", "<received xmlns='urn:xmpp:receipts' id='1'/>", true},
		{"type='headline'", "<body>x</body>", false},
		{"type='chat'", "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>", false},
		{"type='chat'", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>", false},
	} {
		home.send("<message to='ben@hug.example/den' %s>%s</message>", c.attrs, c.body)
		den.expect("<message …")
		for p, kind := range map[*person]string{work: "<sent ", van: "<received xmlns='urn:xmpp:carbons:2'>"} {
			if !c.copied {
				p.nothing()
				continue
			}
			if s := p.next(); !strings.Contains(s, kind) {
				t.Errorf("%s %s: %s", c.attrs, c.body, s)
			}
		}
	}
	work.wantResult("set", "", "<disable xmlns='urn:xmpp:carbons:2'/>", "")
	work.wantResult("set", "", "<disable xmlns='urn:xmpp:carbons:2'/>", "")
	home.send("<message to='ben@hug.example/den' type='chat'><body>x</body></message>")
	den.expect("<message …")
	van.expect("<message …")
	work.nothing()
}

// TestCarbonsToSelf: the sender gets the message, or nothing; another resource
// one copy.
func TestCarbonsToSelf(t *testing.T) {
	h := newHouse(t)
	h.people("amy")
	home, work := h.connect("amy/home"), h.connect("amy/work")
	for _, p := range []*person{home, work} {
		p.wantResult("set", "", enable, "")
	}
	home.send("<message to='amy@hug.example/home' type='chat' id='m1'><body>x</body></message>")
	home.expect("<message … id='m1'…")
	work.expect("<message …<received …")
	home.send("<message to='amy@hug.example/work' type='chat' id='m2'><body>x</body></message>")
	work.expect("<message … id='m2'…")
	for _, p := range []*person{home, work} {
		p.nothing()
	}
}

// TestCarbonsOfScope: a session for one peer gets no copies of other
// conversations.
func TestCarbonsOfScope(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat")
	home, chat := h.connect("amy/home"), h.connect("amy/chat", "ben")
	ben, cat := h.connect("ben/den"), h.connect("cat/loft")
	chat.wantResult("set", "", enable, "")
	for _, p := range []*person{home, ben, cat} {
		p.available(0)
	}
	for _, to := range []string{"cat", "ben"} {
		home.send("<message to='%s@hug.example' type='chat' id='%s'><body>x</body></message>", to, to)
	}
	chat.expect("<message …<sent … to='ben@hug.example'…")
	for _, p := range []*person{cat, ben} {
		p.skipTo("<message …")
		p.send("<message to='amy@hug.example/home' type='chat'><body>x</body></message>")
		home.skipTo("<message …")
	}
	chat.expect("<message …<received … from='ben@hug.example/den'…")
	if s := chat.ask("get", domain, "<ping xmlns='urn:xmpp:ping'/>"); !strings.Contains(s, "result") {
		t.Error(s)
	}
}

// TestCarbonsHidden: a message that is kept out of the archive has no id there.
func TestCarbonsHidden(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	home, work := h.connect("amy/home"), h.connect("amy/work")
	ben := h.connect("ben/den")
	ben.available(0)
	work.wantResult("set", "", enable, "")
	home.wantResult("set", "", "<prefs xmlns='urn:xmpp:mam:2' default='never'/>", "")
	home.send("<message to='ben@hug.example/den' type='chat'><body>x</body></message>")
	ben.expect("<message …<body>x</body><stanza-id …")
	work.expect("<message …<sent …<body>x</body></message></forwarded></sent></message>")
}

func TestLastActivity(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "cat", "new")
	h.befriend("amy", "ben")
	h.befriend("amy", "new")
	const ask = "<query xmlns='jabber:iq:last'/>"
	amy := h.connect("amy/home")
	got := amy.wantResult("get", domain, ask, "<query xmlns='jabber:iq:last' seconds='")
	if m := like("…seconds='9…'/></iq>").FindStringSubmatch(got); m == nil { // 90 s and what the test took
		t.Errorf("uptime: %s", got)
	}
	for _, who := range []string{"cat", "nobody"} {
		amy.wantError("get", who+"@"+domain, ask, "forbidden")
	}
	amy.wantError("get", "new@"+domain, ask, "item-not-found")
	amy.wantResult("get", "", ask, "seconds='0'/>")
	ben := h.connect("ben/den")
	ben.available(0)
	amy.wantResult("get", "ben@"+domain, ask, "seconds='0'/>")
	ben.send("<presence type='unavailable'><status>to &lt;bed&gt;</status></presence>")
	ben.settle()
	ben.conn.Close(nil)
	a := h.account("ben")
	for len(a.Resources()) > 0 {
		time.Sleep(time.Millisecond)
	}
	var answer string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if answer = amy.ask("get", "ben@"+domain, ask); strings.Contains(answer, "result") {
			break
		}
	}
	if !strings.Contains(answer, ">to &lt;bed&gt;</query>") {
		t.Errorf("after leaving: %s", answer)
	}
	h.stop() // what has gathered is written
	last, err := h.host.Store.Last(t.Context(), h.org, a.ID)
	check(t, err)
	if last.Status != "to <bed>" || time.Since(last.At) > time.Minute {
		t.Errorf("written: %+v", last)
	}
	amy.wantResult("get", "ben@"+domain, ask, ">to &lt;bed&gt;</query>")
}

// preAuth asks before sign-in.
func (h *house) preAuth(typ, address, payload string) (string, bool) {
	h.tb.Helper()
	st, err := stanza.Parse([]byte("<iq xmlns='jabber:client' id='r' type='" + typ + "'>" + payload + "</iq>"))
	check(h.tb, err)
	w, ok := h.router.PreAuth(h.tb.Context(), &router.PreAuth{
		Domain: domain, Org: h.org, Address: address, Secure: true, Stanza: st,
	})
	if !ok {
		return "", false
	}
	return string(w.Append(nil)), true
}

func registerQuery(inner string) string {
	return "<query xmlns='jabber:iq:register'>" + inner + "</query>"
}

func TestRegister(t *testing.T) {
	h := newHouse(t)
	h.people("taken")
	if _, ok := h.preAuth("get", "127.0.0.1", registerQuery("")); ok {
		t.Fatal("it is off by default")
	}
	check(t, h.host.Board.Set("register", feature.Scope{}, 1, 0))
	if got, _ := h.preAuth("get", "127.0.0.1", registerQuery("")); !strings.Contains(got, "<username/><password/>") {
		t.Errorf("fields: %s", got)
	}
	if _, ok := h.preAuth("get", "127.0.0.1", "<query xmlns='jabber:iq:roster'/>"); ok {
		t.Error("it answers what is not its own")
	}
	form := "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>Form</value></field><field var='password'><value>pw</value></field></x>"
	for i, c := range []struct{ address, inner, want string }{
		{"10.0.0.1", "", "not-acceptable"},
		{"10.0.0.1", "<username>amy</username>", "not-acceptable"},
		{"10.0.0.1", "<username>a b@c</username><password>p</password>", "not-acceptable"},
		{"10.0.0.1", "<username>amy</username><password>" + strings.Repeat("x", 1024) + "</password>", "not-acceptable"},
		{"10.0.0.1", "<remove/>", "unexpected-request"},
		{"10.0.0.1", "<username>AMY</username><password>secret</password>", "type='result'"},
		{"10.0.0.1", "<username>taken</username><password>secret</password>", "conflict"},
		{"10.0.0.1", "<username>more</username><password>secret</password>", "resource-constraint"},
		{"::ffff:10.0.0.1", "<username>more</username><password>secret</password>", "resource-constraint"},
		{"10.0.0.2", "<username>amy</username><password>\x7f</password>", "not-acceptable"},
		{"10.0.0.2", form, "type='result'"},
		{"2001:db8::1", "<username>v1</username><password>secret</password>", "type='result'"},
		{"2001:db8::2", "<username>v2</username><password>secret</password>", "type='result'"},
		{"2001:db8::3", "<username>v3</username><password>secret</password>", "resource-constraint"},
		{"2001:db8:0:1::3", "<username>v3</username><password>secret</password>", "type='result'"},
		{"nonsense", "<username>v4</username><password>secret</password>", "resource-constraint"},
	} {
		if got, ok := h.preAuth("set", c.address, registerQuery(c.inner)); !ok || !strings.Contains(got, c.want) {
			t.Errorf("%d: %s from %s: want %s, got %s", i, c.inner, c.address, c.want, got)
		}
	}
	a, err := h.host.Store.Account(t.Context(), h.org, "amy")
	check(t, err)
	h.verify(a, "secret")
	if _, err := h.host.Store.Account(t.Context(), h.org, "form"); err != nil {
		t.Error(err)
	}
}

// verify checks that the keys of an account are those of a password.
func (h *house) verify(a *store.Account, password string) {
	h.tb.Helper()
	mechanisms := map[string]bool{}
	for _, k := range a.Keys {
		mechanisms[k.Mechanism] = true
		keys := sasl.Keys{Mechanism: k.Mechanism, Iterations: k.Iterations, Salt: k.Salt, StoredKey: k.StoredKey, ServerKey: k.ServerKey}
		if !keys.Verify(password) {
			h.tb.Errorf("%s does not verify", k.Mechanism)
		}
	}
	if !mechanisms[sasl.SCRAMSHA1] || !mechanisms[sasl.SCRAMSHA256] {
		h.tb.Errorf("keys of %v", mechanisms)
	}
}

func TestRegisterSignedIn(t *testing.T) {
	h := newHouse(t)
	check(t, h.host.Board.Set("register", feature.Scope{}, 1, 0))
	h.people("amy", "ben")
	h.befriend("amy", "ben")
	amy, other, ben := h.connect("amy/home"), h.connect("amy/work"), h.connect("ben/den")
	for _, p := range []*person{amy, ben} {
		p.available(0)
	}
	for _, p := range []*person{amy, ben} {
		p.settle()
	}
	amy.wantResult("get", domain, registerQuery(""), "<registered/><username>amy</username><password/>")
	for _, c := range []struct{ inner, condition string }{
		{"", "bad-request"},
		{"<username>amy</username>", "bad-request"},
		{"<username>ben</username><password>x</password>", "not-allowed"},
		{"<username>amy</username><password>\x7f</password>", "not-acceptable"},
		{"<remove/><username>amy</username>", "bad-request"},
	} {
		amy.wantError("set", domain, registerQuery(c.inner), c.condition)
	}
	amy.wantResult("set", domain, registerQuery("<username>amy</username><password>newer</password>"), "")
	row, err := h.host.Store.Account(t.Context(), h.org, "amy")
	check(t, err)
	h.verify(row, "newer")

	amy.send("<iq type='set' id='gone' to='%s'>%s</iq>", domain, registerQuery("<remove/>"))
	amy.skipTo("<iq … type='result' id='gone'…")
	ben.skipTo("<presence … type='unavailable' from='amy@hug.example/home'…")
	for _, p := range []*person{amy, other} {
		select {
		case <-p.end:
		case <-time.After(patience):
			t.Fatalf("%s is still connected", p.jid)
		}
	}
	if _, err := h.host.Store.Account(t.Context(), h.org, "amy"); err == nil {
		t.Error("the account is still there")
	}
	ben.wantError("get", "amy@"+domain, "<vCard xmlns='vcard-temp'/>", "service-unavailable")
	ben.send("<message to='amy@hug.example' type='chat' id='late'><body>x</body></message>")
	ben.skipTo("<message … type='error' id='late'…<service-unavailable …")
	if h.host.Directory.Find(jid.MustParse("amy@hug.example")) != nil {
		t.Error("the account is still in memory")
	}
}
