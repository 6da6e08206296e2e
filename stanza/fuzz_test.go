package stanza_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// roomy limits, so that what is compared is the grammar.
var roomy = stanza.Limits{Bytes: 1 << 20, Depth: 64, Attrs: 64}

// A streamCase is a header to scan under.
type streamCase struct {
	head  string // what expat reads before the element
	foot  string
	scope *stanza.Scope
}

var streamCases = []streamCase{
	{},
	{
		"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", "</stream:stream>",
		&stanza.Scope{Decls: []stanza.Decl{{URI: stanza.NSClient}, {Prefix: "stream", URI: stanza.NSStream}}},
	},
	{
		"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:p='urn:p' xmlns:q='urn:q&amp;x' xml:lang='de'>", "</stream:stream>",
		&stanza.Scope{Decls: []stanza.Decl{{URI: stanza.NSClient}, {Prefix: "stream", URI: stanza.NSStream}, {Prefix: "p", URI: "urn:p"}, {Prefix: "q", URI: "urn:q&x"}}, Lang: "de"},
	},
	{
		"<stream xmlns='http://etherx.jabber.org/streams' xmlns:p='urn:p'>", "</stream>",
		&stanza.Scope{Decls: []stanza.Decl{{URI: stanza.NSStream}, {Prefix: "p", URI: "urn:p"}}},
	},
}

// scan scans doc whole; ok when it is exactly one element.
func scan(sc *stanza.Scanner, doc []byte, scope *stanza.Scope) (ok bool, err error) {
	sc.Reset(scope, roomy)
	n, err := sc.Scan(doc)
	return err == nil && n == len(doc), err
}

// drip scans doc in pieces, each cut by one bit pattern of seed.
func drip(sc *stanza.Scanner, doc []byte, scope *stanza.Scope, seed uint64) (ok bool, err error) {
	sc.Reset(scope, roomy)
	for end := 1; ; {
		// A copy each time: the buffer may move, and reading past it would show.
		n, err := sc.Scan(append(make([]byte, 0, end), doc[:end]...))
		if err != nil {
			return false, err
		}
		if n > 0 {
			return n == len(doc), nil
		}
		if end == len(doc) {
			return false, nil
		}
		seed = seed*6364136223846793005 + 1442695040888963407
		end = min(len(doc), end+1+int(seed>>61))
	}
}

// conditionOf is the stream error of what a scan said.
func conditionOf(err error) string {
	var se *stanza.SyntaxError
	if errors.As(err, &se) {
		return se.Condition
	}
	return ""
}

// checkScan compares a scan with expat, and with itself in pieces.
func checkScan(t *testing.T, doc []byte, which int, seed uint64) {
	x := needExpat(t)
	sc := streamCases[which]
	doc = bytes.TrimRight(doc, " \t\r\n")
	if len(doc) == 0 || doc[0] != '<' {
		return // the Framer's business
	}
	var s stanza.Scanner
	ok, err := scan(&s, doc, sc.scope)
	var d stanza.Scanner
	dok, derr := drip(&d, doc, sc.scope, seed)
	// In pieces a tag is read when its '>' has come: a fault may show later.
	if ok != dok || (derr != nil && err == nil) {
		t.Fatalf("whole: %v %v, in pieces: %v %v\n%q", ok, err, dok, derr, doc)
	}
	if !ok && sc.scope != nil && err == nil {
		return // no or several elements: expat would read on
	}
	verdict, seen := x.ask(t, []byte(sc.head+string(doc)+sc.foot))
	if ok {
		if verdict != accepted {
			t.Fatalf("we accept, expat does not: %s\n%q", seen, doc)
		}
		if sc.scope == nil {
			if got := canonical(s.Element(doc), nil); got != seen {
				t.Fatalf("seen by views:\n%q\nby expat:\n%q\n%q", got, seen, doc)
			}
			checkContent(t, s.Element(doc), doc)
		}
		return
	}
	if verdict == accepted {
		switch conditionOf(err) {
		case "policy-violation", "bad-namespace-prefix", "invalid-namespace":
		default:
			t.Fatalf("expat accepts, we do not: %v\n%q", err, doc)
		}
	}
}

// checkContent compares the text of the whole document with encoding/xml.
func checkContent(t *testing.T, e stanza.Element, doc []byte) {
	var want strings.Builder
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return // it refuses some names that are right
		}
		if c, ok := tok.(xml.CharData); ok {
			want.Write(c)
		}
	}
	var got int
	var walk func(stanza.Element)
	walk = func(e stanza.Element) {
		got += len(e.Text())
		for c := range e.Children() {
			walk(c)
		}
	}
	walk(e)
	if got != want.Len() {
		t.Fatalf("%d bytes of text, encoding/xml has %d\n%q", got, want.Len(), doc)
	}
}

func FuzzScan(f *testing.F) {
	for i, doc := range seeds() {
		f.Add([]byte(doc), uint8(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, doc []byte, which uint8, seed uint64) {
		checkScan(t, doc, int(which)%len(streamCases), seed)
	})
}

var (
	alice = jid.MustParse("alice@example.org/it's \"<&>\" phone")
	bob   = jid.MustParse("bob@example.org")
)

// checkWire checks what leaves Wire: expat accepts it, it re-reads to the same
// attributes and the same body bytes, wrapped too.
func checkWire(t *testing.T, doc []byte, which int, cut uint8) {
	x := needExpat(t)
	sc := streamCases[which]
	doc = bytes.TrimRight(doc, " \t\r\n")
	var s stanza.Scanner
	if len(doc) == 0 || doc[0] != '<' {
		return
	}
	if ok, _ := scan(&s, doc, sc.scope); !ok {
		return
	}
	st, ok := s.Stanza(doc)
	if !ok {
		return
	}
	st.From, st.To = alice, bob
	if cut&1 != 0 {
		st.To = jid.JID{}
	}
	w := st.Wire()
	b := w.Append(nil)
	if len(b) != w.Len() {
		t.Fatalf("Len %d, %d bytes", w.Len(), len(b))
	}
	head := func(m map[string]string) {
		delete(m, "\x01to")
		m["\x01from"] = st.From.String()
		if !st.To.IsZero() {
			m["\x01to"] = st.To.String()
		}
		const lang = "http://www.w3.org/XML/1998/namespace\x01lang"
		if _, ok := m[lang]; !ok && sc.scope != nil && sc.scope.Lang != "" {
			m[lang] = sc.scope.Lang
		}
	}
	want := canonical(st.Element(), head)
	verdict, seen := x.ask(t, b)
	if verdict != accepted || seen != want {
		t.Fatalf("%d %q\nwant %q\nwire %q\nfrom %q", verdict, seen, want, b, doc)
	}
	again, err := stanza.Parse(b)
	if err != nil {
		t.Fatalf("read again: %v\n%q", err, b)
	}
	if !bytes.Equal(again.Element().Inner(), st.Element().Inner()) {
		t.Fatalf("body changed\n%q\n%q", b, doc)
	}
	if again.Kind != st.Kind || again.Type != st.Type || !bytes.Equal(again.ID(), st.ID()) {
		t.Fatalf("head changed\n%q\n%q", b, doc)
	}
	checkStored(t, w, b)
	checkWrapped(t, x, w, seen)
	checkCut(t, x, st, again, cut)
	checkAlone(t, x, st)
}

// checkStored loads what is stored.
func checkStored(t *testing.T, w *stanza.Wire, b []byte) {
	l, err := stanza.Load(w.Stored())
	if err != nil {
		t.Fatalf("load: %v\n%q", err, b)
	}
	if !bytes.Equal(l.Append(nil), b) || l.From != w.From || l.To != w.To || l.Kind != w.Kind || l.Type != w.Type {
		t.Fatalf("stored and loaded differs\n%q\n%q", l.Append(nil), b)
	}
}

// checkWrapped puts a wire into a carbon and an archive result.
func checkWrapped(t *testing.T, x *expat, w *stanza.Wire, seen string) {
	for _, wrap := range [][2]string{
		{"<message xmlns='jabber:client' from='a@b'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>", "</forwarded></sent></message>"},
		{"<message xmlns='jabber:client'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='x'/>", "</forwarded></result></message>"},
	} {
		const tail = "<stanza-id xmlns='urn:xmpp:sid:0' by='b@b' id='7'/>"
		v := w.WithTail([]byte(tail)).Wrap([]byte(wrap[0]), []byte(wrap[1]))
		b := v.Append(nil)
		if len(b) != v.Len() {
			t.Fatalf("Len %d, %d bytes", v.Len(), len(b))
		}
		verdict, got := x.ask(t, b)
		inner := seen[:len(seen)-1] + "<{urn:xmpp:sid:0}stanza-id {}by=b@b {}id=7|>>"
		if verdict != accepted || !strings.Contains(got, inner) {
			t.Fatalf("wrapped: %d %q\nwithout %q", verdict, got, inner)
		}
	}
}

// checkCut leaves out the children that the bits of cut name.
func checkCut(t *testing.T, x *expat, st, again *stanza.Stanza, cut uint8) {
	var gone []stanza.Element
	var want []string
	i := 0
	for c := range st.Children() {
		if cut>>(i%8)&1 != 0 {
			gone = append([]stanza.Element{c}, gone...) // any order
		}
		i++
	}
	i = 0
	for c := range again.Children() {
		if cut>>(i%8)&1 == 0 {
			want = append(want, canonical(c, nil))
		}
		i++
	}
	b := st.Wire(gone...).Append(nil)
	if verdict, seen := x.ask(t, b); verdict != accepted {
		t.Fatalf("cut: %s\n%q", seen, b)
	}
	left, err := stanza.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	i = 0
	for c := range left.Children() {
		if i >= len(want) || canonical(c, nil) != want[i] {
			t.Fatalf("cut %b: child %d\n%q", cut, i, b)
		}
		i++
	}
	if i != len(want) || left.Count() != len(want) {
		t.Fatalf("cut %b: %d children, want %d\n%q", cut, i, len(want), b)
	}
	if left.Element().Text() != again.Element().Text() {
		t.Fatalf("cut: text changed\n%q", b)
	}
}

// checkAlone makes every element a document of its own.
func checkAlone(t *testing.T, x *expat, st *stanza.Stanza) {
	var walk func(e stanza.Element, depth int)
	walk = func(e stanza.Element, depth int) {
		b := e.AppendStandalone(nil)
		verdict, seen := x.ask(t, b)
		want := canonical(e, nil)
		if verdict != accepted || !strings.Contains(withoutLang(seen), withoutLang(want)) {
			t.Fatalf("standalone: %q\nwant %q\n%q", seen, want, b)
		}
		if depth > 3 {
			return
		}
		for c := range e.Children() {
			walk(c, depth+1)
		}
	}
	walk(st.Element(), 0)
}

// withoutLang removes the language of the first tag, which may be inherited.
func withoutLang(s string) string {
	const lang = " {http://www.w3.org/XML/1998/namespace}lang="
	tag, rest, _ := strings.Cut(s, "|")
	before, after, ok := strings.Cut(tag, lang)
	if !ok {
		return s
	}
	_, more, found := strings.Cut(after, " ")
	if found {
		before += " " + more
	}
	return before + "|" + rest
}

func FuzzWire(f *testing.F) {
	for i, doc := range seeds() {
		f.Add([]byte(doc), uint8(i), uint8(i*37))
	}
	f.Fuzz(func(t *testing.T, doc []byte, which, cut uint8) {
		checkWire(t, doc, int(which)%len(streamCases), cut)
	})
}

// TestSeeds runs every seed under every header.
func TestSeeds(t *testing.T) {
	for _, doc := range seeds() {
		for which := range streamCases {
			checkScan(t, []byte(doc), which, 1)
			for _, cut := range []uint8{0, 1, 2, 4, 5, 255} {
				checkWire(t, []byte(doc), which, cut)
			}
		}
	}
}
