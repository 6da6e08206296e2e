package c2s

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestBudget: failures are counted by address, in minutes; IPv6 by the network
// a customer has; and how much is counted has a bound.
func TestBudget(t *testing.T) {
	b := budget{limit: 2}
	start := time.Unix(1000000, 0)
	b.sweep(start)
	for _, c := range []struct {
		fails, asks string
		spent       bool
	}{
		{"192.0.2.1", "192.0.2.1", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::2", false},
		{"2001:db8::ffff:1", "2001:db8::2", true},
		{"", "2001:db8:0:1::1", false},
		{"::ffff:192.0.2.9", "::ffff:192.0.2.8", false},
		{"::ffff:192.0.2.8", "::ffff:192.0.2.8", false},
		{"::ffff:192.0.2.8", "192.0.2.8", true},
		{"fe80::1%eth0", "fe80::2%eth1", false},
		{"fe80::3%eth0", "fe80::2%eth1", true},
		{"no address", "no address", false},
		{"no address", "no address", true},
	} {
		if c.fails != "" {
			b.fail(c.fails)
		}
		if got := b.spent(c.asks); got != c.spent {
			t.Errorf("%s after %s: %v", c.asks, c.fails, got)
		}
	}
	b.sweep(start.Add(59 * time.Second))
	if !b.spent("192.0.2.1") {
		t.Error("forgotten within the minute")
	}
	b.sweep(start.Add(time.Minute))
	if b.spent("192.0.2.1") {
		t.Error("not forgotten after a minute")
	}
	for i := range maxAddresses + 1000 {
		b.fail(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	b.fail("10.0.0.1")
	if len(b.counts) != maxAddresses || !b.spent("10.0.0.1") {
		t.Errorf("%d addresses are counted", len(b.counts))
	}
}

// TestClientBehindProxy: only a trusted proxy speaks for others, and only for
// the last address that it saw itself.
func TestClientBehindProxy(t *testing.T) {
	s := &Server{Config: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}}
	for _, c := range []struct {
		remote  string
		forward []string
		proto   string
		address string
		secure  bool
	}{
		{"192.0.2.1:5", nil, "", "192.0.2.1", false},
		{"192.0.2.1:5", []string{"203.0.113.7"}, "https", "192.0.2.1", false},
		{"10.1.1.1:5", nil, "", "10.1.1.1", false},
		{"10.1.1.1:5", []string{"203.0.113.7"}, "", "203.0.113.7", false},
		{"10.1.1.1:5", []string{"203.0.113.7"}, "HTTPS", "203.0.113.7", true},
		{"10.1.1.1:5", []string{"1.1.1.1, 203.0.113.7"}, "https", "203.0.113.7", true},
		{"10.1.1.1:5", []string{"1.1.1.1", "203.0.113.7, 10.2.2.2"}, "http", "203.0.113.7", false},
		{"10.1.1.1:5", []string{"10.3.3.3,10.2.2.2"}, "", "10.3.3.3", false},
		{"10.1.1.1:5", []string{"1.1.1.1,,10.2.2.2"}, "", "10.2.2.2", false},
		{"10.1.1.1:5", []string{"203.0.113.7:4711"}, "", "203.0.113.7", false},
		{"10.1.1.1:5", []string{"203.0.113.7, 10.2.2.2:80"}, "", "203.0.113.7", false},
		{"10.1.1.1:5", []string{"[2001:db9::7]:4711"}, "", "2001:db9::7", false},
		{"10.1.1.1:5", []string{"203.0.113.7, unknown"}, "", "10.1.1.1", false},
		{"[::ffff:10.1.1.1]:5", []string{"203.0.113.7"}, "https", "203.0.113.7", true},
		{"[2001:db8::1]:5", []string{"2001:db9::7"}, "https", "2001:db9::7", true},
		{"@", []string{"203.0.113.7"}, "https", "@", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/xmpp-websocket", nil)
		r.RemoteAddr = c.remote
		for _, f := range c.forward {
			r.Header.Add("X-Forwarded-For", f)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if address, secure := s.Visitor(r); address != c.address || secure != c.secure {
			t.Errorf("%s %q %q: %s, %v; want %s, %v", c.remote, c.forward, c.proto, address, secure, c.address, c.secure)
		}
	}
}

// TestHostMeta: XEP-0156, for the hosts of organisations only.
func TestHostMeta(t *testing.T) {
	s := &Server{Config: Config{
		Log:     slog.New(slog.DiscardHandler),
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Hosts:   func(host string) (string, bool) { return "hug.example", host == "chat.hug.example" },
	}}
	mux := http.NewServeMux()
	s.Handle(mux)
	ask := func(path, host, remote, proto string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = host, remote
		if proto != "" {
			r.Header.Set("X-Forwarded-Proto", proto)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct{ host, remote, proto, want string }{
		{"chat.hug.example:8080", "192.0.2.1:5", "", "ws://chat.hug.example:8080/xmpp-websocket"},
		{"Chat.Hug.Example", "192.0.2.1:5", "https", "ws://Chat.Hug.Example/xmpp-websocket"},
		{"chat.hug.example", "10.0.0.1:5", "https", "wss://chat.hug.example/xmpp-websocket"},
		{"evil.example", "192.0.2.1:5", "", ""},
	} {
		for path, form := range map[string]string{
			"/.well-known/host-meta":      `<Link rel="urn:xmpp:alt-connections:websocket" href="%s"></Link></XRD>`,
			"/.well-known/host-meta.json": `{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"%s"}]}`,
		} {
			w := ask(path, c.host, c.remote, c.proto)
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: other origins cannot read it", path, c.host)
			}
			if c.want == "" {
				if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "websocket") {
					t.Errorf("%s %s: %d %s", path, c.host, w.Code, w.Body)
				}
				continue
			}
			if want := fmt.Sprintf(form, c.want); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s %s: %d %s; want %s", path, c.host, w.Code, w.Body, want)
			}
		}
	}
	if w := ask("/xmpp-websocket", "chat.hug.example", "192.0.2.1:5", ""); w.Code < 400 {
		t.Errorf("no upgrade: %d", w.Code)
	}
}
