package presence

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// A presence that no frame holds travels without its content.
func TestLargeWord(t *testing.T) {
	from := jid.MustParse("anna@hug.example/phone")
	for _, typ := range []stanza.Type{stanza.Available, stanza.Unavailable} {
		x := new(stanza.XML)
		x.Start("status")
		x.Text(strings.Repeat("x", cluster.MaxPayload))
		x.End()
		b := append(wordHead(from.Bare(), typ == stanza.Available), wordBody(stanza.Make(stanza.Presence, typ, from, jid.JID{}, "", x.Bytes()))...)
		p, ok := parseWord(b)
		if !ok || len(b) > cluster.MaxPayload || p.st.From != from || p.st.Type != typ || p.st.Count() != 0 {
			t.Errorf("%d bytes, read %v as %+v", len(b), ok, p)
		}
	}
}

// What another node says is taken whole or not at all, and what is taken is
// said again in the same words.
func FuzzWord(f *testing.F) {
	const text = "<presence xmlns='jabber:client' from='anna@hug.example/phone'><show>away</show></presence>"
	f.Add(append(wordHead(jid.JID{}, true), text...))
	f.Add(append(wordHead(jid.MustParse("bot@hug.example"), false), text...))
	f.Add([]byte{wordShown, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseWord(b)
		if !ok {
			return
		}
		wire := p.st.WireTo(jid.JID{})
		again, ok := parseWord(append(wordHead(p.scope, p.shown), wire.Stored()...))
		if !ok || again.shown != p.shown || again.scope != p.scope || again.st.From != p.st.From {
			t.Fatalf("%q was read as %v %v %v, and again as %v %v %v", b, p.shown, p.scope, p.st.From, again.shown, again.scope, again.st.From)
		}
		if second := again.st.WireTo(jid.JID{}); !bytes.Equal(wire.Stored(), second.Stored()) {
			t.Fatalf("%q became %q", wire.Stored(), second.Stored())
		}
	})
}

// TestEvict: an account that nobody holds makes room for others, but not if
// memory knows more of it than the store.
func TestEvict(t *testing.T) {
	sh := shard{accounts: make(map[jid.JID]*Account)}
	for i := range idle {
		who := jid.MustParse(fmt.Sprintf("p%d@hug.example", i))
		sh.accounts[who] = &Account{JID: who}
	}
	odd := func(a *Account) bool { return strings.HasSuffix(a.JID.Local(), "1") }
	for range 100 {
		sh.evict(odd)
	}
	if len(sh.accounts) >= idle {
		t.Errorf("%d accounts are left, want fewer than %d", len(sh.accounts), idle)
	}
	kept := 0
	for _, a := range sh.accounts {
		if odd(a) {
			kept++
		}
	}
	if want := (idle + 8) / 10; kept != want {
		t.Errorf("%d are left that memory alone knows, want %d", kept, want)
	}
}
