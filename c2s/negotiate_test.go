package c2s_test

import (
	"context"
	"crypto/tls"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/c2s"
	"github.com/bearhug/bearhug/sasl"
)

const sm = " xmlns='urn:xmpp:sm:3'/>"

// TestWrongOrder: what may not be said now is answered with the error that the
// standards name, and the state does not move.
func TestWrongOrder(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada"})
	for _, c := range []struct {
		name  string
		state string // new, open, signed in, bound
		say   string
		hear  string
		goes  bool // the stream goes on
	}{
		{"stanza before the header", "new", "<message/>", "<stream:error>", false},
		{"header for nobody", "new", strings.Replace(head, domain, "nobody.example", 1), "<host-unknown", false},
		{"header for a person", "new", strings.Replace(head, domain, "ada@"+domain, 1), "<host-unknown", false},
		{"header without version", "new", strings.Replace(head, "version='1.0'", "", 1), "<unsupported-version", false},
		{"header of version 0.9", "new", strings.Replace(head, "1.0", "0.9", 1), "<unsupported-version", false},
		{"message", "open", "<message to='ada@hug.example'/>", "<not-authorized", false},
		{"bind", "open", bind, "<not-authorized", false},
		{"request that nobody answers", "open", "<iq type='get' id='x'><x xmlns='urn:x'/></iq>", "<not-authorized", false},
		{"request that is answered early", "open", "<iq type='get' id='x'><early xmlns='urn:test'/></iq>", "type='result'", true},
		{"response to nothing", "open", "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<malformed-request/>", true},
		{"abort of nothing", "open", "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<aborted/>", true},
		{"unknown mechanism", "open", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X'/>", "<invalid-mechanism/>", true},
		{"-PLUS without TLS", "open", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256-PLUS'/>", "<invalid-mechanism/>", true},
		{"no base64", "open", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>!</auth>", "<incorrect-encoding/>", true},
		{"wrong password", "open", plain("ada", "wrong"), "<not-authorized/>", true},
		{"nobody of that name", "open", plain("nobody", "wrong"), "<not-authorized/>", true},
		{"enable", "open", "<enable" + sm, "<failed", true},
		{"resume", "open", "<resume previd='x' h='0'" + sm, "<failed", true},
		{"ack", "open", "<a h='0'" + sm, "<failed", true},
		{"client state", "open", "<active xmlns='urn:xmpp:csi:0'/>", "<not-authorized", false},
		{"message", "signed in", "<message/>", "<not-authorized", false},
		{"enable", "signed in", "<enable" + sm, "<failed", true},
		{"sign-in", "signed in", plain("ada", password), "<policy-violation", false},
		{"TLS", "signed in", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'", false},
		{"early request", "signed in", "<iq type='get' id='x'><early xmlns='urn:test'/></iq>", "<not-authorized", false},
		{"no such session", "signed in", "<resume previd='x' h='0'" + sm, "<item-not-found", true},
		{"no such number", "signed in", "<resume previd='x' h='many'" + sm, "<bad-request", true},
		{"bad resource", "signed in", strings.Replace(bind, "'/>", "'><resource>&#x7;</resource></bind>", 1), "<stream:error>", false},
		{"bind without id", "signed in", strings.Replace(bind, " id='b'", "", 1), "<bad-format", false},
		{"second bind", "bound", bind, "<not-allowed", true},
		{"session", "bound", "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>", "type='result'", true},
		{"sign-in", "bound", plain("ada", password), "<unsupported-stanza-type", false},
		{"resume", "bound", "<resume previd='x' h='0'" + sm, "<unexpected-request", true},
		{"h that is no number", "bound", "<a h='-1'" + sm, "<bad-format", false},
		{"somebody else's address", "bound", "<message from='bob@hug.example'/>", "<invalid-from", false},
		{"the own one", "bound", "<iq from='ada@hug.example' type='get' id='x'><open xmlns='urn:test'/></iq>", "type='result'", true},
	} {
		t.Run(c.state+"/"+c.name, func(t *testing.T) {
			p := h.dial()
			p.tb = t
			switch c.state {
			case "open":
				p.open()
			case "signed in":
				p.signIn("ada")
			case "bound":
				p.bind("ada")
			}
			p.say(c.say).hear(c.hear)
			if !c.goes {
				p.hear("</stream:stream>")
				return
			}
			switch c.state {
			case "open":
				p.say(plain("ada", password)).hear("<success")
			case "signed in":
				p.say(bind).hear("</jid>")
			case "bound":
				p.say("<iq type='get' id='again'><open xmlns='urn:test'/></iq>").hear("id='again'")
			}
		})
	}
}

// TestOffer: before TLS nothing but TLS is offered where it is required; after
// it everything; without TLS, where that is allowed, no channel binding.
func TestOffer(t *testing.T) {
	strict := newHouse(t, func(c *c2s.Config) { c.Plaintext = false })
	strict.people([]string{"ada"})
	p := strict.dial()
	f := p.open()
	if !strings.Contains(f, "<required/>") || strings.Contains(f, "<mechanism") {
		t.Errorf("before TLS: %s", f)
	}
	p.say(plain("ada", password)).hear("<encryption-required/>")
	f = secure(t, strict)
	for _, want := range []string{
		"<mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>OAUTHBEARER</mechanism><mechanism>PLAIN</mechanism>",
		"<channel-binding type='tls-exporter'/>", "<channel-binding type='tls-server-end-point'/>",
	} {
		if !strings.Contains(f, want) {
			t.Errorf("no %s in %s", want, f)
		}
	}
	if strings.Contains(f, "<starttls") {
		t.Errorf("TLS twice: %s", f)
	}
	plainly := newHouse(t)
	f = plainly.dial().open()
	if strings.Contains(f, "PLUS") || strings.Contains(f, "channel-binding") || !strings.Contains(f, "<starttls") ||
		!strings.Contains(f, "<mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism>") {
		t.Errorf("without TLS: %s", f)
	}
}

// secure opens a stream, makes it TLS, opens it again and returns the features.
func secure(t *testing.T, h *house) string {
	t.Helper()
	nc := h.pipe()
	t.Cleanup(func() { nc.Close() })
	say := func(w io.ReadWriter, what, until string) (all string) {
		t.Helper()
		if _, err := io.WriteString(w, what); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		for !strings.Contains(all, until) {
			n, err := w.Read(b)
			all += string(b[:n])
			if err != nil {
				t.Fatal(all, err)
			}
		}
		return all
	}
	say(nc, head, "</stream:features>")
	say(nc, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: domain, MinVersion: tls.VersionTLS13})
	return say(tc, head, "</stream:features>")
}

// TestMechanismsOfOrganisation: an account that has old keys only makes its
// organisation offer what it can do; the other one does not notice.
func TestMechanismsOfOrganisation(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada"})
	if f := h.dial().open(); !strings.Contains(f, ">SCRAM-SHA-256<") {
		t.Errorf("%s", f)
	}
	h.people([]string{"old"}, sasl.SCRAMSHA1)
	p := h.dial()
	if f := p.open(); strings.Contains(f, "SHA-256") || !strings.Contains(f, ">SCRAM-SHA-1<") {
		t.Errorf("%s", f)
	}
	p.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1vbGQscj1h</auth>").hear("<invalid-mechanism/>")
	p = h.dial()
	if f := p.say(strings.Replace(head, domain, "other.example", 1)).hear("</stream:features>"); !strings.Contains(f, ">SCRAM-SHA-256<") {
		t.Errorf("%s", f)
	}
}

// TestMixedKeys: where no SCRAM is for all, who signs in by PLAIN gets the keys
// that were lacking.
func TestMixedKeys(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"old"}, sasl.SCRAMSHA1)
	h.people([]string{"new"}, sasl.SCRAMSHA256)
	mechanisms := func(name string) (list []string) {
		t.Helper()
		a, err := h.store.Account(t.Context(), h.org, name)
		h.check(err)
		for _, k := range a.Keys {
			list = append(list, k.Mechanism)
		}
		return list
	}
	p := h.dial()
	if f := p.open(); strings.Contains(f, "SCRAM") || !strings.Contains(f, ">PLAIN<") {
		t.Errorf("%s", f)
	}
	p.say(plain("old", "wrong")).hear("<not-authorized/>")
	if got := mechanisms("old"); len(got) != 1 {
		t.Errorf("a wrong password gives keys: %v", got)
	}
	p.say(plain("old", password)).hear("<success")
	if got := mechanisms("old"); !slices.Equal(got, []string{sasl.SCRAMSHA1, sasl.SCRAMSHA256}) {
		t.Errorf("old has %v", got)
	}
	p = h.dial()
	p.open()
	p.say(plain("new", password)).hear("<success")
	if got := mechanisms("new"); !slices.Equal(got, []string{sasl.SCRAMSHA256, sasl.SCRAMSHA1}) {
		t.Errorf("new has %v", got)
	}
	p = h.dial()
	p.open()
	p.say(plain("old", password)).hear("<success") // as before
}

// TestTries: a stream may fail so often, an address so often in a minute; then
// also the right password is not looked at.
func TestTries(t *testing.T) {
	h := newHouse(t, func(c *c2s.Config) { c.Failures = 7 })
	h.people([]string{"ada"})
	p := h.dial()
	p.open()
	for range 5 {
		p.say(plain("ada", "wrong")).hear("<not-authorized/>")
	}
	p.hear("<policy-violation")
	p.hear("</stream:stream>")
	p = h.dial()
	p.open()
	p.say(plain("nobody", "wrong")).hear("<not-authorized/>")
	p.say(plain("ada", "wrong")).hear("<not-authorized/>")
	p.say(plain("ada", password)).hear("<temporary-auth-failure/>")
	if n := h.server.Count().Failures; n != 7 {
		t.Errorf("%d failures", n)
	}
}

// TestTokens: what a bearer token is good for.
func TestTokens(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada", "gone"})
	if err := h.store.SetDisabled(context.Background(), h.org, "gone", true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, auth, hear string }{
		{"good", h.token("ada", ""), "<success"},
		{"with a scope", h.token("ada", "bot@"+domain), "<success"},
		{"expired", h.token("ada", "", func(c *sasl.Claims) { c.Expires = time.Now().Add(-time.Second) }), "<"},
		{"of another organisation", h.token("ada", "", func(c *sasl.Claims) { c.Org++ }), "<"},
		{"of nobody", h.token("nobody", ""), "<"},
		{"of somebody disabled", h.token("gone", ""), "<"},
		{"with a broken scope", h.token("ada", "@"), "<not-authorized/>"},
	} {
		p := h.dial()
		p.open()
		p.say(c.auth)
		if c.hear == "<" { // OAUTHBEARER tells why in a challenge first, RFC 7628 §3.2.3
			if s := p.hear(">"); strings.Contains(s, "success") {
				t.Errorf("%s: %s", c.name, s)
			}
			continue
		}
		p.hear(c.hear)
	}
}
