package node_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/stanza"
)

// TestClients: what software people use is counted from one answer, for
// operators by the names that clients give themselves, in metrics by known ones.
func TestClients(t *testing.T) {
	cfg := orgAndGroup(t)
	cfg.C2S.Plaintext = true
	for _, who := range []string{"anna", "bert", "carl"} {
		do(t, cfg, "user.add", node.User{JID: who + "@a.example", Password: "secret"}, nil)
	}
	n := start(t, cfg)
	defer stop(t, n)
	const caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' ver='WLThnV4NHA6mbC7HzN4QuzNknBo='/>" // of client/pc//Gajim a.example 1.9<urn:b<
	anna, bert, carl := talker(t, n, "anna"), talker(t, n, "bert"), talker(t, n, "carl")
	if err := anna.Presence(stanza.Available, []byte(caps)); err != nil {
		t.Fatal(err)
	}
	question, err := anna.Take(t.Context(), func(it client.Item) bool { return it.Is("jabber:client", "iq") })
	if err != nil {
		t.Fatal(err)
	}
	st, err := question.Stanza()
	if err != nil || st.Type != stanza.Get || string(st.RawFrom()) != "a.example" {
		t.Fatalf("%s %v", question.Doc(), err)
	}
	answer := "<iq type='result' to='a.example' id='" + string(st.ID()) + "'><query xmlns='http://jabber.org/protocol/disco#info'>" +
		"<identity category='client' type='pc' name='Gajim a.example 1.9'/><feature var='urn:b'/></query></iq>"
	if err := anna.Send([]byte(answer)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		c    *client.Client
		body string
	}{{bert, caps}, {carl, ""}} {
		if err := p.c.Presence(stanza.Available, []byte(p.body)); err != nil {
			t.Fatal(err)
		}
	}
	var top node.Top
	eventually(t, "clients are counted", func() bool {
		do(t, cfg, "ledger.top", node.TopArgs{}, &top)
		return len(top.Clients) == 2 && top.Clients[0].Name == "Gajim a.example" && top.Clients[0].Type == "pc" && top.Clients[0].Sessions == 2 &&
			top.Clients[1].Name == "unknown" && top.Clients[1].Sessions == 1
	})
	_, text := fetch(t, n, "/metrics")
	for _, line := range []string{`bearhug_caps_sessions{client="gajim",type="pc"} 2`, `bearhug_caps_sessions{client="unknown",type="other"} 1`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in metrics", line)
		}
	}
	if strings.Contains(text, "a.example") {
		t.Error("what a client calls itself is in metrics")
	}
	top = node.Top{}
	if do(t, cfg, "ledger.top", node.TopArgs{Org: "b.example"}, &top); len(top.Clients) != 0 {
		t.Errorf("clients of another organisation: %+v", top.Clients)
	}
	id, _ := n.Board.Lookup("caps")
	if a := n.Board.Account(id, 1); a.BytesOut.Load() < 100 || a.BytesIn.Load() < 100 || a.Statements.Load() != 0 {
		t.Errorf("caps: %d bytes out, %d in, %d statements", a.BytesOut.Load(), a.BytesIn.Load(), a.Statements.Load())
	}
}
