package cluster

import (
	"bytes"
	"testing"
)

// encode writes a frame that was read back to bytes.
func encode(f frame) []byte {
	b := appendHead(nil, f.kind, f.node, f.epoch, f.seq)
	switch f.kind {
	case kindData:
		b = append(appendName(b, string(f.name), f.org), f.payload...)
	case kindAsk:
		b = appendAsk(b, f.other, f.piece, f.flag)
	case kindPiece:
		b = append(appendPiece(b, f.other, f.asking, f.piece, f.flag), f.items...)
	}
	return b
}

func examples() [][]byte {
	head := func(k kind) []byte { return appendHead(nil, k, 7, 1<<50, 99) }
	items := appendItem(nil, "presence", 3, [][]byte{[]byte("<presence"), []byte("/>")})
	items = appendItem(items, "lever", 1<<32-1, nil)
	return [][]byte{
		append(appendName(head(kindData), "presence", 3), "<presence/>"...),
		appendName(head(kindData), "x", 0),
		head(kindBeat), head(kindBye),
		appendAsk(head(kindAsk), 1<<63, 300, true),
		append(appendPiece(head(kindPiece), 1, 2, 3, true), items...),
		appendPiece(head(kindPiece), 1, 200, 3, false),
	}
}

func TestFrames(t *testing.T) {
	for _, b := range examples() {
		f, err := decode(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if f.node != 7 || f.epoch != 1<<50 || f.seq != 99 {
			t.Errorf("%x: head read as %d %d %d", b, f.node, f.epoch, f.seq)
		}
		if back := encode(f); !bytes.Equal(back, b) {
			t.Errorf("%x came back as %x", b, back)
		}
		for n := range b { // cut short anywhere: another frame, or none
			if f, err := decode(b[:n]); err == nil && f.kind != kindData && f.kind != kindPiece {
				t.Errorf("%x is %d bytes of a frame of %d and was read", b[:n], n, len(b))
			}
		}
	}
	f, err := decode(examples()[5])
	if err != nil {
		t.Fatal(err)
	}
	r := reader{rest: f.items}
	one, two := r.item(), r.item()
	if r.bad || len(r.rest) > 0 || string(one.name) != "presence" || one.org != 3 || string(one.payload) != "<presence/>" ||
		string(two.name) != "lever" || two.org != 1<<32-1 || len(two.payload) != 0 {
		t.Errorf("items read as %q %d %q, %q %d %q", one.name, one.org, one.payload, two.name, two.org, two.payload)
	}
}

// What is read is written the same: there is one encoding only, and what is
// not a frame is refused, whatever it is.
func FuzzFrame(f *testing.F) {
	for _, b := range examples() {
		f.Add(b)
	}
	f.Add([]byte("\x11\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01x\x80\x00")) // a number that is longer than it need be
	f.Fuzz(func(t *testing.T, b []byte) {
		f, err := decode(b)
		if err != nil {
			return
		}
		if back := encode(f); !bytes.Equal(back, b) {
			t.Fatalf("%x came back as %x", b, back)
		}
		for r := (reader{rest: f.items}); len(r.rest) > 0; {
			before := len(r.rest)
			i := r.item()
			if !r.bad && len(i.name)+len(i.payload) >= before {
				t.Fatalf("an item of %d bytes in %d", len(i.name)+len(i.payload), before)
			}
		}
	})
}
