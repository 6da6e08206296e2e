package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// hook is a server that webhooks lead to.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	status int
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: 200}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.heads = append(h.bodies, string(text)), append(h.heads, r.Header)
		if h.status == http.StatusFound {
			w.Header().Set("Location", h.URL+"/elsewhere")
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	h.status = status
	h.mu.Unlock()
}

func TestWebhooks(t *testing.T) {
	b, h := newBench(t, storetest.Open(t)), newHook(t)
	ctx, now := context.Background(), time.Now()
	b.c.Now = func() time.Time { return now }
	org := b.orgs[alpha]
	w := store.Webhook{URL: h.URL + "/hook", Events: []string{"test"}}
	b.ok(b.s.AddWebhook(ctx, org, &w))
	emit := func() { b.ok(b.s.Emit(ctx, org, store.Event{Name: "test", At: now, Data: map[string]int{"n": 1}})) }
	deliver := func() { b.ok(b.c.deliver(ctx, b.c.client(false), b.c.client(true))) }
	waiting := func() []store.Delivery {
		list, err := b.s.Deliveries(ctx, org, w.ID, 0, 10)
		b.ok(err)
		return list
	}

	emit()
	deliver() // loopback is not listed
	if len(h.bodies) != 0 || len(waiting()) != 1 || !strings.Contains(waiting()[0].Why, "webhook.allow") {
		t.Fatalf("%d arrived, waiting: %+v", len(h.bodies), waiting())
	}
	b.c.WebhookAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for i, status := range []int{500, 302, 200} {
		deliver()
		if len(h.bodies) != i {
			t.Fatalf("tried again at once: %d", len(h.bodies))
		}
		h.answer(status)
		now = now.Add(longestWait + time.Hour)
		deliver()
		if len(h.bodies) != i+1 {
			t.Fatalf("after %d: %d arrived", status, len(h.bodies))
		}
	}
	if len(waiting()) != 0 {
		t.Errorf("still waiting: %+v", waiting())
	}
	for i, head := range h.heads {
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(head.Get("Bearhug-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, w.Secret)
		fmt.Fprintf(mac, "%s.%s", stamp, h.bodies[i])
		if sum != hex.EncodeToString(mac.Sum(nil)) || head.Get("Bearhug-Event") != "test" || head.Get("Bearhug-Delivery") != h.heads[0].Get("Bearhug-Delivery") {
			t.Errorf("headers %v", head)
		}
	}

	emit() // fails for days
	h.answer(500)
	for range 20 {
		deliver()
		now = now.Add(longestWait + time.Hour)
	}
	got, err := b.s.Webhook(ctx, org, w.ID)
	b.ok(err)
	if got.State != store.WebhookDisabled || len(waiting()) != 0 {
		t.Errorf("%+v, waiting %+v", got, waiting())
	}
	before := len(h.bodies)
	emit()
	deliver()
	if len(h.bodies) != before {
		t.Error("a disabled webhook is told")
	}
}

// A name that leads inside is refused when it is dialled, and so are all ways
// to write such an address.
func TestInside(t *testing.T) {
	c := &Console{}
	for _, text := range []string{"127.0.0.1", "127.8.9.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
		"0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.9", "198.51.100.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
		"fc00::1", "ff02::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
		"2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "fec0::1", "::127.0.0.1", "100::1"} {
		if c.mayReach(netip.MustParseAddr(text), false) == nil {
			t.Errorf("%s may be reached", text)
		}
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "2606:4700::1", "2a00:1450::1", "64:ff9b::808:808", "2002:808:808::1"} {
		if err := c.mayReach(netip.MustParseAddr(text), false); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if c.mayReach(netip.MustParseAddr(text), true) == nil {
			t.Errorf("%s may be reached without TLS", text)
		}
	}
	c.WebhookAllow = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	if c.mayReach(netip.MustParseAddr("::ffff:10.1.2.3"), true) != nil || c.mayReach(netip.MustParseAddr("10.2.0.1"), false) == nil {
		t.Error("webhook.allow is not what decides")
	}
}

func TestWebhookAddresses(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	for _, url := range []string{"ftp://example.org/", "https://", "https://user:pw@example.org/", "https://example.org/#x", "javascript:alert(1)", "//example.org"} {
		if w := b.do("POST", "/api/orgs/alpha.example/webhooks", b.tokens["administrator "+alpha], fmt.Sprintf(`{"url":%q}`, url)); w.Code != 422 {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
}
