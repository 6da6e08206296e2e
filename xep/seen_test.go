package xep_test

import (
	"strings"
	"testing"
	"time"
)

// TestUnseen: who has a stream and is not available, or not to those who ask,
// is not there for them.
func TestUnseen(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben", "bot")
	h.befriend("amy", "ben")
	amy := h.connect("amy/home")
	amy.available(0)
	const last, items = "<query xmlns='jabber:iq:last'/>", "<query xmlns='http://jabber.org/protocol/disco#items'/>"
	survey := h.connect("ben/survey", "bot")
	survey.send("<presence/>")
	survey.settle()
	unseen := func(why string) {
		t.Helper()
		if got := amy.ask("get", "ben@"+domain, items); strings.Contains(got, "<item") {
			t.Errorf("%s: %s", why, got)
		}
		amy.wantError("get", "ben@"+domain, last, "item-not-found")
	}
	unseen("a session for one peer")
	h.connect("ben/quiet").settle()
	unseen("never available")
	survey.send("<presence type='unavailable'/>")
	survey.settle()
	unseen("a session for one peer has left")

	ben := h.connect("ben/den")
	ben.available(0)
	amy.wantResult("get", "ben@"+domain, last, "seconds='0'/>")
	amy.wantResult("get", "ben@"+domain, items, "<item jid='ben@hug.example/den'/></query>")
	ben.send("<presence type='unavailable'><status>bye</status></presence>")
	ben.settle()
	amy.wantResult("get", "ben@"+domain, last, "'>bye</query>") // while the stream still stands
	ben.send("<presence><priority>1</priority></presence>")
	ben.skipTo("<presence … from='" + ben.jid.String() + "'…")
	ben.conn.Close(nil) // without a word of presence: what it said before is not its farewell
	answer := ""
	for deadline := time.Now().Add(patience); !strings.Contains(answer, "'/></iq>") && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if answer = amy.ask("get", "ben@"+domain, last); strings.Contains(answer, "bye") {
			t.Fatal(answer)
		}
	}
	if !strings.Contains(answer, "result") {
		t.Error(answer)
	}
}
