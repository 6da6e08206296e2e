package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// TestLedgerOfAChat: what two people do is charged to who does it, is told by
// ledger.top, by metrics without names of organisations, and becomes rows.
func TestLedgerOfAChat(t *testing.T) {
	cfg := orgAndGroup(t)
	cfg.C2S.Plaintext = true
	for _, who := range []string{"anna", "bert"} {
		do(t, cfg, "user.add", node.User{JID: who + "@a.example", Password: "secret"}, nil)
	}
	n := start(t, cfg)
	defer stop(t, n)
	began := time.Now().Add(-time.Second)
	rows := func() []store.LedgerRow {
		t.Helper()
		list, err := n.Store.Ledger(t.Context(), began, time.Now().Add(time.Minute), 10000)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	mustMove(t, cfg, "set", node.LeverArgs{Name: "ledger.sample", Value: "1"})
	mustMove(t, cfg, "set", node.LeverArgs{Name: "ledger.every", Value: "1s"})
	anna, bert := talker(t, n, "anna"), talker(t, n, "bert")
	for _, c := range []*client.Client{anna, bert} {
		if err := c.Presence(stanza.Available, nil); err != nil {
			t.Fatal(err)
		}
	}
	const messages = 300
	for i := range messages {
		if err := anna.Chat(bert.JID(), fmt.Sprint("m", i), "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := bert.Take(t.Context(), isMessage); err != nil {
			t.Fatal(err)
		}
	}
	account := func(name string) (calls, cpu, in, out int64) {
		id, ok := n.Board.Lookup(name)
		if !ok {
			t.Fatal("no feature " + name)
		}
		a := n.Board.Account(id, 1)
		return a.Calls.Load(), a.CPU.Load(), a.BytesIn.Load(), a.BytesOut.Load()
	}
	if calls, cpu, in, out := account("message"); calls != messages || cpu <= 0 || in < 50*messages || out < 50*messages {
		t.Errorf("message: %d calls, %d ns, %d and %d bytes", calls, cpu, in, out)
	}
	for _, name := range []string{"stream", "signin", "archive", "presence"} {
		if _, cpu, _, _ := account(name); cpu <= 0 {
			t.Errorf("%s: no time", name)
		}
	}
	var top node.Top
	do(t, cfg, "ledger.top", node.TopArgs{Orgs: true}, &top)
	found := map[string]node.TopRow{}
	for _, r := range top.Rows {
		found[r.Feature+" "+r.Org] = r
	}
	if r := found["message a.example"]; r.Calls <= 0 || r.CPU <= 0 || r.BytesOut <= 0 || top.CPU <= 0 || top.Online != 2 {
		t.Errorf("%+v", top)
	}
	do(t, cfg, "ledger.top", node.TopArgs{Org: "b.example"}, &top)
	for _, r := range top.Rows {
		if r.Calls > 0 {
			t.Errorf("the other organisation did nothing: %+v", r)
		}
	}
	if _, text := fetch(t, n, "/metrics"); strings.Contains(text, "a.example") || !strings.Contains(text, "bearhug_message_cpu_seconds_total") {
		t.Error("metrics have features, and nobody's name")
	}
	eventually(t, "rows of the ledger", func() bool {
		var calls int64
		for _, r := range rows() {
			if r.Feature == "message" && r.Org == 1 {
				calls += r.Calls
			}
		}
		return calls == messages
	})
	for _, r := range rows() {
		if r.Span <= 0 || r.Span > time.Minute || r.Feature == "message" && r.Online != 2 {
			t.Errorf("%+v", r)
		}
	}
}

// TestLedgerOfNothing: who does nothing leaves no rows.
func TestLedgerOfNothing(t *testing.T) {
	cfg := orgAndGroup(t)
	began := time.Now().Add(-time.Second)
	n := start(t, cfg)
	mustMove(t, cfg, "set", node.LeverArgs{Name: "ledger.every", Value: "1s"})
	var top node.Top
	do(t, cfg, "ledger.top", node.TopArgs{}, &top)
	stop(t, n) // writes what is left
	s, err := store.Open(t.Context(), store.Config{URL: cfg.DatabaseURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if rows, err := s.Ledger(t.Context(), began, time.Now().Add(time.Minute), 100); err != nil || len(rows) != 0 {
		t.Errorf("%d rows: %+v %v", len(rows), rows, err)
	}
}
