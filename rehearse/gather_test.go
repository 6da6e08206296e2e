package rehearse

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/sasl"
)

// stage is a relay that shows everyone to everyone, and people for it.
func stage(t *testing.T, r *relay, people int) (*Crowd, []*Person) {
	t.Helper()
	keys, err := sasl.DeriveClient(sasl.SCRAMSHA1, "secret", 4096, []byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r.t, r.keys, r.lines = t, keys.Keys(), map[string]net.Conn{}
	go r.serve(l)
	loop, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loop.Close() })
	c := &Crowd{
		Loop: loop, Address: l.Addr().(*net.TCPAddr).AddrPort(), PIDs: []int{os.Getpid()},
		Wishes: Wishes{Roster: true, Presence: true, Caps: true}, Attempts: 5,
	}
	var list []*Person
	for i := range people {
		list = append(list, &Person{Local: Name(i), Domain: "test", Keys: &keys})
	}
	return c, list
}

// TestGathering: an honest server's storm is complete, so is its flap, and so
// is the return of people who know their rosters; who is refused comes again.
func TestGathering(t *testing.T) {
	t.Parallel()
	const n = 20
	c, people := stage(t, &relay{gather: true, refuse: 3}, n)
	g := Gathering{Crowd: c, Size: n, Patience: 20 * time.Second}
	m, err := g.Connect(people)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Complete() || m.Pairs != n*(n-1) || m.Came < n*(n-1) || g.Missing() != "" || m.SignedIn == 0 {
		t.Errorf("%+v, %s", m, g.Missing())
	}
	if m.Arrival.Failed != 3 || m.Arrival.Most < 2 || m.Arrival.People != n {
		t.Errorf("%d failed, %d attempts, %d people", m.Arrival.Failed, m.Arrival.Most, m.Arrival.People)
	}
	if items := c.Guests[5].Items; items != 2 {
		t.Errorf("a roster of %d people", items)
	}
	if m, err = g.Change("away"); err != nil || !m.Complete() {
		t.Errorf("flap: %+v, %v", m, err)
	}
	c.CutOff()
	if m, err = g.Return(); err != nil || !m.Complete() {
		t.Errorf("return: %+v, %v, %s", m, err, g.Missing())
	}
	if items := c.Guests[5].Items; items != 0 {
		t.Errorf("who knows the roster was sent %d people", items)
	}
}

// TestGatheringIncomplete: what was not seen is told.
func TestGatheringIncomplete(t *testing.T) {
	t.Parallel()
	c, people := stage(t, &relay{gather: true, blind: true}, 4)
	g := Gathering{Crowd: c, Size: 4, Patience: 500 * time.Millisecond}
	m, err := g.Connect(people)
	if err != nil {
		t.Fatal(err)
	}
	if m.Complete() || m.Pairs-m.Seen != 1 || !strings.HasPrefix(g.Missing(), "p00002 has not seen p00001,") {
		t.Errorf("%d of %d, %q", m.Seen, m.Pairs, g.Missing())
	}
	if _, err := (&Gathering{Crowd: c, Size: 3}).Return(); err == nil {
		t.Error("four people are groups of three")
	}
}

// TestStranger: a presence from outside of the group is a fault.
func TestStranger(t *testing.T) {
	t.Parallel()
	c, people := stage(t, &relay{gather: true}, 4)
	g := Gathering{Crowd: c, Size: 2, Patience: 5 * time.Second}
	if _, err := g.Connect(people); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("two groups see each other: %v", err)
	}
}

func TestAuthor(t *testing.T) {
	for _, c := range []struct {
		tag string
		n   int
		ok  bool
	}{
		{"<presence from='p00042@x/y' to='p00001@x'", 42, true},
		{`<presence to="p00001@x" from="p10000@x/y"`, 10000, true},
		{"<presence from='p00042@x/y' type='unavailable'", 0, false},
		{"<presence from='a00042@x/y'", 0, false},
		{"<presence from='p00042", 0, false},
		{"<presence from=", 0, false},
		{"<presence to='p00042@x'", 0, false},
	} {
		if n, ok := author([]byte(c.tag)); ok != c.ok || ok && n != c.n {
			t.Errorf("%s: %d, %v", c.tag, n, ok)
		}
	}
}

// TestSignOut: a server that does not close a stream is not waited for.
func TestSignOut(t *testing.T) {
	t.Parallel()
	c, people := stage(t, &relay{gather: true}, 3)
	if _, err := c.SignIn(people, 3); err != nil {
		t.Fatal(err)
	}
	if err := c.SignOut(50 * time.Millisecond); err != nil || c.Loop.Open() != 0 {
		t.Errorf("%d lines are open, %v", c.Loop.Open(), err)
	}
}

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
