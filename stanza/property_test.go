package stanza_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// genText makes character data as it stands in a document.
func genText(t *rapid.T, attr byte) string {
	var b strings.Builder
	for range rapid.IntRange(0, 6).Draw(t, "pieces") {
		piece := rapid.SampledFrom([]string{
			"x", "hello world", "&amp;", "&lt;", "&#65;", "&#x1F600;", "&quot;", "&apos;", ">", "'", `"`, "\n", "\t", "\r\n", "ü", "日本語", "😀",
			"]]", "&#10;", "\u0085", "\u2028", "\x7f", " ", "/>", "=", "xmlns",
		}).Draw(t, "piece")
		if attr != 0 && strings.IndexByte(piece, attr) >= 0 {
			continue
		}
		b.WriteString(piece)
	}
	if attr == 0 {
		return strings.ReplaceAll(b.String(), "]]>", "]]&gt;")
	}
	return b.String()
}

var genQuote = rapid.SampledFrom([]string{"'", `"`})

// genElement makes an element and its children; bound are the prefixes in
// force. Now and then it makes a mistake.
func genElement(t *rapid.T, name string, bound []string, depth int) string {
	var b strings.Builder
	attrs := map[string]bool{}
	put := func(n, v string) {
		if attrs[n] && !oops(t) {
			return
		}
		attrs[n] = true
		q := genQuote.Draw(t, "quote")
		if v == "" {
			v = genText(t, q[0])
		}
		fmt.Fprintf(&b, "%s%s%s=%s%s%s%s", rapid.SampledFrom([]string{" ", "  ", "\n", "\t"}).Draw(t, "gap"), n,
			rapid.SampledFrom([]string{"", "", "", " "}).Draw(t, "gap"), rapid.SampledFrom([]string{"", "", " "}).Draw(t, "gap"), q, v, q)
	}
	if name == "" {
		name = rapid.SampledFrom([]string{"body", "x", "query", "item", "ä"}).Draw(t, "name")
		if rapid.IntRange(0, 2).Draw(t, "default") == 0 {
			put("xmlns", rapid.SampledFrom([]string{"urn:a", "urn:b", "jabber:client", "u&amp;v", "http://etherx.jabber.org/streamz"}).Draw(t, "ns"))
		}
	} else if rapid.Bool().Draw(t, "declared") {
		put("xmlns", "jabber:client")
	}
	for range rapid.IntRange(0, 2).Draw(t, "declarations") {
		p := rapid.SampledFrom([]string{"p", "q", "r", "stream"}).Draw(t, "prefix")
		if !attrs["xmlns:"+p] {
			put("xmlns:"+p, rapid.SampledFrom([]string{"urn:p", "urn:q", "urn:a", "urn:&#112;"}).Draw(t, "ns"))
			bound = append(bound[:len(bound):len(bound)], p)
		}
	}
	some := func(local string) string {
		if oops(t) {
			return "nowhere:" + local
		}
		if len(bound) == 0 || rapid.Bool().Draw(t, "plain") {
			return local
		}
		return rapid.SampledFrom(bound).Draw(t, "prefix") + ":" + local
	}
	for range rapid.IntRange(0, 3).Draw(t, "attrs") {
		put(some(rapid.SampledFrom([]string{"a", "b", "id", "type", "c-1"}).Draw(t, "attr")), "")
	}
	if rapid.IntRange(0, 5).Draw(t, "lang") == 0 {
		put("xml:lang", "fr")
	}
	if depth > 0 {
		name = some(name)
	}
	head := "<" + name + b.String()
	n := 0
	if depth < 4 {
		n = rapid.IntRange(0, 4).Draw(t, "children")
	}
	if n == 0 && rapid.Bool().Draw(t, "empty") {
		return head + rapid.SampledFrom([]string{"/>", " />", "\n/>"}).Draw(t, "end")
	}
	body := genText(t, 0)
	for range n {
		if rapid.IntRange(0, 6).Draw(t, "cdata") == 0 {
			body += "<![CDATA[" + rapid.SampledFrom([]string{"", "<x>&", "]]", "ü]"}).Draw(t, "cdata text") + "]]>"
		}
		body += genElement(t, "", bound, depth+1) + genText(t, 0)
	}
	if oops(t) {
		name += "x"
	}
	return head + ">" + body + "</" + name + rapid.SampledFrom([]string{">", " >"}).Draw(t, "end")
}

// oops is true now and then: the generator makes a mistake.
func oops(t *rapid.T) bool { return rapid.IntRange(0, 150).Draw(t, "oops") == 77 }

// TestProperties checks generated stanzas as the fuzzers check theirs.
func TestProperties(t *testing.T) {
	needExpat(t)
	rapid.Check(t, func(rt *rapid.T) {
		which := rapid.IntRange(0, len(streamCases)-1).Draw(rt, "header")
		var bound []string
		if sc := streamCases[which].scope; sc != nil {
			for _, d := range sc.Decls {
				if d.Prefix != "" && d.Prefix != "stream" {
					bound = append(bound, d.Prefix)
				}
			}
		}
		doc := genElement(rt, rapid.SampledFrom([]string{"message", "presence", "iq"}).Draw(rt, "kind"), bound, 0)
		checkScan(t, []byte(doc), which, rapid.Uint64().Draw(rt, "seed"))
		checkWire(t, []byte(doc), which, rapid.Uint8().Draw(rt, "cut"))
		if t.Failed() {
			rt.Fatalf("%q", doc)
		}
	})
}
