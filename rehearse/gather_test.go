package rehearse

import (
	"fmt"
	"strings"
	"testing"
)

// bulk is what one person is sent: the presences of n others.
func bulk(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<presence xmlns='jabber:client' from='%s@peers.example/1234567890' to='p00000@peers.example/0987654321'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://bearhug.example/rehearse' ver='%s'/></presence>", Name(i), capsHash())
	}
	return []byte(b.String())
}

// BenchmarkPresence is one presence, from bytes that were read to the bit: it
// must cost less than 0.5 µs.
func BenchmarkPresence(b *testing.B) {
	const n = 1000
	in := bulk(n)
	g := Gathering{Crowd: &Crowd{}, Size: n}
	var people []*Person
	for i := range n {
		people = append(people, &Person{Local: Name(i), Domain: "peers.example"})
	}
	guests := g.Crowd.invite(people)
	if _, err := g.begin(n, ""); err != nil {
		b.Fatal(err)
	}
	line := &Line{Element: guests[0].element}
	b.SetBytes(int64(len(in) / n))
	b.ResetTimer()
	for i := 0; i < b.N; {
		for rest := in; len(rest) > 0 && i < b.N; i++ {
			el, used, err := line.cut.cut(rest)
			if err != nil || used == 0 {
				b.Fatal(err)
			}
			if err := line.Element(el); err != nil {
				b.Fatal(err)
			}
			rest = rest[used:]
		}
	}
}
