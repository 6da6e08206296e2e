package rehearse

import (
	"bytes"
	"testing"
	"time"
)

func TestCut(t *testing.T) {
	for _, c := range []struct{ in, el, rest string }{
		{"<?xml version='1.0'?><stream:stream to='a'>x", "<stream:stream to='a'>", "x"},
		{"<a/>", "<a/>", ""},
		{" \n<a b='c'><d/>text</a><e", "<a b='c'><d/>text</a>", "<e"},
		{"<a><a></a></a></stream:stream>", "<a><a></a></a>", "</stream:stream>"},
		{"</stream:stream>", "</stream:stream>", ""},
		{"<a><b></b>", "", "<a><b></b>"},
		{"<a b='", "", "<a b='"},
		{"<a>text<", "", "<a>text<"},
		{"<", "", "<"},
		{" ", "", " "},
		{"", "", ""},
	} {
		el, n, err := cut([]byte(c.in))
		if err != nil || string(el) != c.el || c.in[n:] != c.rest {
			t.Errorf("cut(%q) = %q, rest %q, %v", c.in, el, c.in[n:], err)
		}
	}
	if _, _, err := cut([]byte("text<a/>")); err == nil {
		t.Error("text between elements is accepted")
	}
}

// TestCutPieces: in whatever pieces an element comes, it is cut the same, and
// the items in it are counted once.
func TestCutPieces(t *testing.T) {
	in := "<iq type='result' id='roster'><query ver='5'><item jid='a'/><item jid='b'><group>x</group></item> <item jid='c'/></query></iq><r/>"
	for size := 1; size <= len(in); size++ {
		var c cutter
		var have []byte
		var got []string
		items := 0
		for rest := in; len(rest) > 0; {
			n := min(size, len(rest))
			have, rest = append(have, rest[:n]...), rest[n:]
			for {
				el, n, err := c.cut(have)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				if got = append(got, string(el)); len(got) == 1 {
					items = c.tags
				}
				have = have[n:]
			}
		}
		if len(got) != 2 || got[0]+got[1] != in || items != 3 {
			t.Fatalf("in pieces of %d: %d items in %q", size, items, got)
		}
	}
}

// TestSkim: of an element that is too large to be kept, its own tag and all
// its items are known.
func TestSkim(t *testing.T) {
	const items = 20000
	in := []byte("<iq type='result' id='roster' to='me'><query ver='5'>")
	for range items {
		in = append(in, "<item jid='somebody@example.com' subscription='both'/>"...)
	}
	in = append(in, "</query></iq><r/>"...)
	var c cutter
	var have []byte
	most := 0
	for len(in) > 0 {
		n := min(10_000, len(in))
		have, in = append(have, in[:n]...), in[n:]
		el, used, err := c.cut(have)
		if err != nil {
			t.Fatal(err)
		}
		if used > 0 {
			if c.tags != items || string(attr(el, "id")) != "roster" || !bytes.HasSuffix(el, []byte("</query></iq>")) {
				t.Fatalf("%d items, %.100q", c.tags, el)
			}
			if rest := have[used:]; string(rest) != "<r/>" {
				t.Fatalf("then came %q", rest)
			}
			break
		}
		have = c.skim(have)
		most = max(most, len(have))
	}
	if most > 20*kept {
		t.Errorf("%d bytes were kept", most)
	}
	if c.depth != 0 {
		t.Error("the element did not end")
	}
}

func TestAttr(t *testing.T) {
	el := []byte(`<message xmlns='jabber:client' type="chat" id='1.2.3' grid='no'><a id='4'/></message>`)
	for name, want := range map[string]string{"id": "1.2.3", "type": "chat", "xmlns": "jabber:client", "to": "", "grid": "no"} {
		if got := attr(el, name); string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// FuzzCut: whatever comes, in whatever pieces, elements are cut where they
// would be cut from the whole.
func FuzzCut(f *testing.F) {
	f.Add([]byte("<stream:stream a='b'><a><b/>c</a><r/>"), uint8(3))
	f.Add([]byte("<?xml?><x></x> <y/>"), uint8(8))
	f.Add([]byte("<<>>"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, at uint8) {
		el, n, err := cut(b)
		if n > len(b) || n < len(el) {
			t.Fatalf("%d of %d bytes, element %q", n, len(b), el)
		}
		if n == 0 || err != nil {
			return
		}
		early, m, err := cut(b[:min(int(at), n-1)])
		if err != nil || m != 0 {
			t.Fatalf("cut %q of a part of %q: %v", early, el, err)
		}
		attr(el, "id")
		text(el)
	})
}

func TestHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 10000 {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.99, 0.999, 1} {
		want := float64(10000 * time.Microsecond)
		want *= q
		got := float64(h.Quantile(q))
		if d := got - want; d > want/50+2000 || d < -want/50-2000 {
			t.Errorf("quantile %v is %v", q, h.Quantile(q))
		}
	}
	last := -1
	for ns := uint64(0); ns < 1<<58; ns = ns*9/8 + 1 {
		b := bucket(ns)
		if b < last || b >= len(h.counts) {
			t.Fatalf("%d ns in bucket %d after %d", ns, b, last)
		}
		last = b
	}
}

func TestNumber(t *testing.T) {
	if v, rest := number([]byte("042.7")); v != 42 || !bytes.Equal(rest, []byte(".7")) {
		t.Errorf("%d %q", v, rest)
	}
}
