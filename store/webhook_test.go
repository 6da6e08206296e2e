package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestDeliveries(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		now := time.Now().Truncate(time.Microsecond)
		all := store.Webhook{URL: "https://all.example/", Content: true}
		one := store.Webhook{URL: "https://one.example/", Events: []string{"case.opened"}}
		other := store.Webhook{URL: "https://other.example/"}
		for _, w := range []*store.Webhook{&all, &one} {
			if err := s.AddWebhook(ctx, 1, w); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AddWebhook(ctx, 2, &other); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"campaign.started", "case.opened"} {
			if err := s.Emit(ctx, 1, store.Event{Name: name, At: now, Data: map[string]any{"n": 1}, Content: "secret words"}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.ClaimDeliveries(ctx, now, now.Add(time.Minute), 10)
		if err != nil || len(list) != 3 {
			t.Fatalf("%d deliveries, %v, want 3", len(list), err)
		}
		for _, d := range list {
			if !json.Valid(d.Body) || strings.Contains(string(d.Body), "secret words") != (d.Webhook == all.ID) || d.Org != 1 || d.Tries != 1 {
				t.Errorf("%+v: %s", d, d.Body)
			}
		}
		if again, err := s.ClaimDeliveries(ctx, now.Add(time.Second), now.Add(time.Minute), 10); err != nil || len(again) != 0 {
			t.Fatalf("claimed twice: %+v, %v", again, err)
		}
		if err := s.Delivered(ctx, &list[0], true); err != nil {
			t.Fatal(err)
		}
		if disabled, err := s.NotDelivered(ctx, &list[1], now, now.Add(time.Hour), now.Add(-time.Hour), "refused"); err != nil || disabled {
			t.Fatal(disabled, err)
		}
		// The third was left by a process that died: it is free when its claim is over.
		later := now.Add(2 * time.Minute)
		if rest, err := s.ClaimDeliveries(ctx, later, later.Add(time.Minute), 10); err != nil || len(rest) != 1 || rest[0].ID != list[2].ID || rest[0].Tries != 2 {
			t.Fatalf("%+v, %v", rest, err)
		}
		// An answer of who lost the claim changes nothing.
		if err := s.Delivered(ctx, &list[2], true); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Deliveries(ctx, 1, list[2].Webhook, 0, 10); err != nil || len(left) == 0 {
			t.Fatalf("%+v, %v", left, err)
		}
		w, err := s.Webhook(ctx, 1, list[1].Webhook)
		if err != nil || w.Why != "refused" || !w.Failing.Equal(now) {
			t.Fatalf("%+v, %v", w, err)
		}
		if disabled, err := s.NotDelivered(ctx, &list[1], later, later, later, "still refused"); err != nil || !disabled {
			t.Fatal("not disabled after its patience", err)
		}
		if _, err := s.Webhook(ctx, 2, all.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another organisation's webhook: %v", err)
		}
		if err := s.DeleteWebhook(ctx, 1, all.ID); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Deliveries(ctx, 1, all.ID, 0, 10); err != nil || len(left) != 0 {
			t.Errorf("left of a deleted webhook: %+v, %v", left, err)
		}
	})
}

func TestTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		now := time.Now()
		k := store.APIToken{Org: 1, Name: "test", Role: "hr", Scopes: []string{"people:read"}, Expires: now.Add(time.Hour)}
		text, err := s.AddToken(ctx, &k)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Token(ctx, text, now)
		if err != nil || got.ID != k.ID || got.Role != "hr" || len(got.Scopes) != 1 || !strings.HasPrefix(text, got.Prefix) {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, bad := range []string{"", "bearhug_", text + "x", text[:len(text)-1], got.Prefix, strings.ToUpper(text)} {
			if _, err := s.Token(ctx, bad, now); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if _, err := s.Token(ctx, text, now.Add(time.Hour)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after its time: %v", err)
		}
		if err := s.DeleteToken(ctx, 2, k.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("by another organisation: %v", err)
		}
		if err := s.DeleteToken(ctx, 1, k.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(ctx, text, now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("taken back: %v", err)
		}
	})
}

func TestWebSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org, err := s.AddOrg(ctx, "example.org")
		if err != nil {
			t.Fatal(err)
		}
		key := func(salt string) []store.Key {
			return []store.Key{{Mechanism: "SCRAM-SHA-256", Iterations: 4096, Salt: []byte(salt), StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}}
		}
		now := time.Now()
		begin := func(name string) string {
			t.Helper()
			if _, err := s.CreateAccount(ctx, org, name, key("salt")); err != nil {
				t.Fatal(err)
			}
			if err := s.SetRole(ctx, org, name, "hr"); err != nil {
				t.Fatal(err)
			}
			c, err := s.AddWebSession(ctx, org, name, now, now.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if w, err := s.WebSession(ctx, c, now); err != nil || w.Account != name || w.Role != "hr" || w.Org != org {
				t.Fatalf("%+v, %v", w, err)
			}
			return c
		}
		for name, end := range map[string]func(string) error{
			"password": func(n string) error { return s.SetKeys(ctx, org, n, key("other")) },
			"disabled": func(n string) error { return s.SetDisabled(ctx, org, n, true) },
			"role":     func(n string) error { return s.SetRole(ctx, org, n, "") },
			"gone":     func(n string) error { return s.DeleteAccount(ctx, org, n) },
		} {
			c := begin(name)
			if err := end(name); err != nil {
				t.Fatal(err)
			}
			if _, err := s.WebSession(ctx, c, now); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("session goes on: %s, %v", name, err)
			}
		}
		c := begin("time")
		if _, err := s.WebSession(ctx, c, now.Add(time.Hour)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("session goes on after its time: %v", err)
		}
		if n, err := s.ThinConsole(ctx, now.Add(2*time.Hour), now, 100); err != nil || n != 5 {
			t.Errorf("%d sessions forgotten, %v, want 5", n, err)
		}
	})
}

func TestIdempotency(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		k, now := store.IdemKey{Org: 1, Who: "token 1", Name: "key"}, time.Now()
		if _, fresh, err := s.BeginIdem(ctx, k, []byte("h"), now); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		if a, fresh, err := s.BeginIdem(ctx, k, []byte("other"), now); err != nil || fresh || a.Status != 0 || string(a.Hash) != "h" {
			t.Fatalf("%+v, %v, %v", a, fresh, err)
		}
		if err := s.EndIdem(ctx, k, &store.IdemAnswer{Status: 201, Kind: "application/json", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if a, fresh, err := s.BeginIdem(ctx, k, []byte("h"), now); err != nil || fresh || a.Status != 201 || string(a.Body) != "{}" {
			t.Fatalf("%+v, %v, %v", a, fresh, err)
		}
		other := k
		other.Who = "token 2"
		if _, fresh, err := s.BeginIdem(ctx, other, []byte("h"), now); err != nil || !fresh {
			t.Fatal("somebody else's key", fresh, err)
		}
		if n, err := s.ThinConsole(ctx, now, now.Add(time.Second), 100); err != nil || n != 2 {
			t.Fatal(n, err)
		}
	})
}

func TestFlows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		publish := func(name, hash string) (*store.FlowVersion, bool) {
			t.Helper()
			f := &store.FlowVersion{Name: name, Hash: hash, Text: []byte(hash)}
			fresh, err := s.PublishFlow(ctx, 1, f)
			if err != nil {
				t.Fatal(err)
			}
			return f, fresh
		}
		a, fresh := publish("pulse", "1")
		if !fresh || a.Version != 1 {
			t.Fatalf("%+v, %v", a, fresh)
		}
		if same, fresh := publish("pulse", "1"); fresh || same.Version != 1 || same.Flow != a.Flow {
			t.Fatalf("%+v, %v", same, fresh)
		}
		if b, fresh := publish("pulse", "2"); !fresh || b.Version != 2 || b.Flow != a.Flow {
			t.Fatalf("%+v, %v", b, fresh)
		}
		if c, _ := publish("other", "1"); c.Flow == a.Flow || c.Version != 1 {
			t.Fatalf("%+v", c)
		}
		if f, err := s.Flow(ctx, 1, a.Flow, 1); err != nil || string(f.Text) != "1" {
			t.Fatalf("%+v, %v", f, err)
		}
		if _, err := s.Flow(ctx, 2, a.Flow, 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another organisation's flow: %v", err)
		}
		if list, err := s.Flows(ctx, 1, a.Flow, 1, 10); err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestRegisters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		k := store.RegisterKey{Campaign: 1, Wave: 2, Question: "mood"}
		if text, v, err := s.Register(ctx, 1, k); err != nil || v != 0 || text != nil {
			t.Fatal(text, v, err)
		}
		if err := s.SetRegister(ctx, 1, k, []byte("a"), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.SetRegister(ctx, 1, k, []byte("b"), 0); !errors.Is(err, store.ErrMoved) {
			t.Fatalf("what was shown is overwritten: %v", err)
		}
		if err := s.SetRegister(ctx, 1, k, []byte("b"), 1); err != nil {
			t.Fatal(err)
		}
		if err := s.SetRegister(ctx, 1, k, []byte("c"), 1); !errors.Is(err, store.ErrMoved) {
			t.Fatalf("what was shown is overwritten: %v", err)
		}
		if text, v, err := s.Register(ctx, 1, k); err != nil || v != 2 || string(text) != "b" {
			t.Fatal(string(text), v, err)
		}
	})
}
