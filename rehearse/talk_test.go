package rehearse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/sasl"
)

// relay is just enough of a server: it signs in, hands messages on and
// acknowledges them. spoil says what it does wrong to the hundredth message.
type relay struct {
	t     *testing.T
	keys  sasl.Keys
	spoil string

	mu    sync.Mutex
	seen  int
	lines map[string]net.Conn
	held  []byte // a message that is overtaken

	gather bool // everyone sees everyone's presence
	blind  bool // but for p00002, who does not see p00001
	refuse int  // connections that are closed at once
}

func (r *relay) serve(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		reset := r.refuse > 0
		r.refuse--
		r.mu.Unlock()
		if reset {
			nc.Close()
			continue
		}
		go r.line(nc)
	}
}

// line is one client's.
func (r *relay) line(nc net.Conn) {
	defer nc.Close()
	defer r.left(nc)
	var in []byte
	var who string
	var handled int
	var srv *sasl.Server
	signed := false
	say := func(format string, a ...any) { fmt.Fprintf(nc, format, a...) }
	buf := make([]byte, 64<<10)
	for {
		el, n, err := cut(in)
		if err != nil {
			return
		}
		if n == 0 {
			got, err := nc.Read(buf)
			if err != nil {
				return
			}
			in = append(in, buf[:got]...)
			continue
		}
		switch {
		case header(el) && !signed:
			say("<?xml version='1.0'?><stream:stream id='1'><stream:features><mechanisms/></stream:features>")
		case header(el):
			say("<?xml version='1.0'?><stream:stream id='2'><stream:features><bind/></stream:features>")
		case named(el, "auth"):
			srv, err = sasl.NewServer(sasl.SCRAMSHA1, sasl.ServerConfig{
				Domain: "test", Offered: []string{sasl.SCRAMSHA1}, Secret: make([]byte, 32),
				Lookup: func(local string) (sasl.Credentials, error) {
					who = local
					return sasl.Credentials{Keys: []sasl.Keys{r.keys}}, nil
				},
				Local: func(s string) (string, error) { return s, nil },
				Bare:  func(s string) (string, error) { return s, nil },
			})
			fallthrough
		case named(el, "response"):
			raw, _ := base64.StdEncoding.DecodeString(string(text(el)))
			var out []byte
			if err == nil {
				out, signed, err = srv.Step(raw)
			}
			switch {
			case err != nil:
				r.t.Error(err)
				return
			case signed:
				say("<success>%s</success>", base64.StdEncoding.EncodeToString(out))
			default:
				say("<challenge>%s</challenge>", base64.StdEncoding.EncodeToString(out))
			}
		case named(el, "iq") && string(attr(el, "id")) == "roster":
			r.roster(nc, el)
		case named(el, "iq"):
			say("<iq type='result' id='bind'><bind><jid>%s@test/x</jid></bind></iq>", who)
		case named(el, "enable"):
			say("<enabled id='sm-%s' resume='true'/>", who)
			r.mu.Lock()
			r.lines[who+"@test"] = nc
			r.mu.Unlock()
		case named(el, "presence"):
			handled++
			if r.gather {
				r.online(nc, who+"@test", el)
				break
			}
			say("<presence from='%s@test/x'/>", who)
		case named(el, "message"):
			handled++
			r.pass(el)
			say("<a h='%d'/>", handled)
		}
		in = in[n:]
	}
}

// pass hands a message on, well or badly.
func (r *relay) pass(el []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.lines[string(attr(el, "to"))]
	r.seen++
	if r.held != nil && bytes.Equal(attr(r.held, "to"), attr(el, "to")) {
		el = append(bytes.Clone(el), r.held...)
		r.held = nil
	}
	if r.seen == 100 {
		switch r.spoil {
		case "lose":
			return
		case "double":
			el = append(bytes.Clone(el), el...)
		case "overtake":
			r.held = bytes.Clone(el)
			return
		}
	}
	to.Write(el)
}

// TestTalk: an honest server passes; each fault is noticed.
func TestTalk(t *testing.T) {
	keys, err := sasl.DeriveClient(sasl.SCRAMSHA1, "secret", 4096, []byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spoil string
		rate  float64
		want  string
	}{
		{"", 0, ""}, {"", 2000, ""},
		{"double", 0, "1 doubled"}, {"overtake", 0, "out of order"}, {"lose", 2000, "1 were lost"},
	} {
		t.Run(fmt.Sprintf("%s at %.0f", c.spoil, c.rate), func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go (&relay{t: t, keys: keys.Keys(), spoil: c.spoil, lines: map[string]net.Conn{}}).serve(l)
			loop, err := NewLoop()
			if err != nil {
				t.Fatal(err)
			}
			defer loop.Close()
			crowd := &Crowd{
				Loop: loop, Address: l.Addr().(*net.TCPAddr).AddrPort(),
				Wishes: Wishes{Manage: true, Presence: true}, PIDs: []int{os.Getpid()},
			}
			var people []*Person
			for i := range 10 {
				people = append(people, &Person{Local: fmt.Sprint("p", i), Domain: "test", Keys: &keys})
			}
			a, err := crowd.SignIn(people, 4)
			if err != nil {
				t.Fatal(err)
			}
			if a.Times.Count() != 10 || crowd.Guests[3].JID != "p3@test/x" {
				t.Errorf("%d arrived, %q", a.Times.Count(), crowd.Guests[3].JID)
			}
			o, err := crowd.Talk(Chat{
				Body: 20, Durable: true, Origin: true, Window: 3, Rate: c.rate,
				Warm: 50 * time.Millisecond, Length: 300 * time.Millisecond, Patience: 2 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			err = o.Check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%d sent: %v", o.Sent, err)
			}
		})
	}
}

// TestLostServer: a connection that is refused or ends is an error.
func TestLostServer(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	}()
	for _, closed := range []bool{false, true} {
		if closed {
			l.Close()
		}
		loop, err := NewLoop()
		if err != nil {
			t.Fatal(err)
		}
		crowd := &Crowd{Loop: loop, Address: netip.MustParseAddrPort(l.Addr().String())}
		if _, err := crowd.SignIn([]*Person{{Local: "a", Domain: "test"}}, 1); err == nil {
			t.Error("nobody was there, and nobody minds")
		}
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	}
}

// roster answers with two contacts, or with nothing to who knows version 7.
func (r *relay) roster(nc net.Conn, el []byte) {
	_, query, _ := bytes.Cut(el, []byte("<query"))
	if string(attr(query, "ver")) == "7" {
		fmt.Fprint(nc, "<iq type='result' id='roster'/>")
		return
	}
	fmt.Fprint(nc, "<iq type='result' id='roster'><query ver='7'><item jid='a@test'/><item jid='b@test'/></query></iq>")
}

// online tells everyone of somebody's presence, and somebody who is new of
// everyone's.
func (r *relay) online(nc net.Conn, who string, el []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines[who] != nc {
		for name := range r.lines {
			r.tell(nc, who, name, "")
		}
		r.lines[who] = nc
	}
	_, inner, _ := bytes.Cut(el, []byte(">"))
	inner, _, _ = bytes.Cut(inner, []byte("</presence>"))
	for name, other := range r.lines {
		r.tell(other, name, who, string(inner))
	}
}

// tell sends a presence, and one that does not count.
func (r *relay) tell(nc net.Conn, to, about, inner string) {
	if r.blind && to == "p00002@test" && about == "p00001@test" {
		about = "p00000@test"
	}
	fmt.Fprintf(nc, "<presence to='%s/x' from='%s/x'>%s</presence><presence to='%s/x' from='%s/y' type='unavailable'/>", to, about, inner, to, about)
}

// left forgets somebody whose line ended.
func (r *relay) left(nc net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.lines, func(_ string, other net.Conn) bool { return other == nc })
}
