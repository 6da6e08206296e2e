package c2s_test

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
)

// A lateConn hands over the bytes of the next Read after hold when release is
// closed: whoever reads was kept from going on for so long.
type lateConn struct {
	net.Conn
	hold    chan struct{} // takes one value: the next bytes are late
	held    chan struct{} // closed when they are here
	release chan struct{}
}

func (c *lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.hold:
		close(c.held)
		<-c.release
	default:
	}
	return n, err
}

// dialLate is dial for a connection that the server may read late.
func (h *house) dialLate() (*talk, *lateConn) {
	h.tb.Helper()
	ours, theirs := net.Pipe()
	late := &lateConn{Conn: ours, hold: make(chan struct{}, 1), held: make(chan struct{}), release: make(chan struct{})}
	h.doors.conns <- late
	return h.talkOver(theirs), late
}

// TestLateStanza: a stanza that the server has read from a stream, but handles
// only when the client has resumed twice since, is the one that the client has
// sent again: it counts once (XEP-0198 §5).
func TestLateStanza(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada"})
	p, late := h.dialLate()
	full := jid.MustParse(p.bind("ada"))
	p.say("<enable resume='true'" + sm).hear("<enabled")
	_, rest, _ := strings.Cut(p.hear("/>"), " id='")
	id, _, _ := strings.Cut(rest, "'")
	p.echo("first")
	late.hold <- struct{}{}
	p.say("<presence/>") // read, and not yet handled
	<-late.held
	p.nc.Close()

	back := h.dial()
	back.signIn("ada").say("<resume previd='" + id + "' h='1'" + sm).hear("<resumed")
	if s := back.hear("/>"); !strings.Contains(s, "h='1'") {
		t.Fatalf("resumed: %s", s)
	}
	back.say("<presence/><r" + sm).hear("h='2'")
	back.nc.Close()
	a := h.router.Directory.Find(full.Bare())
	defer a.Release()
	s := a.Resource(full.Resource())
	soon := func(what string, is func() bool) {
		t.Helper()
		for begin := time.Now(); !is(); runtime.Gosched() {
			if time.Since(begin) > patience {
				t.Fatalf("not so: %s", what)
			}
		}
	}
	soon("the session waits", func() bool { _, detached := s.Detached(); return detached })
	close(late.release)
	soon("both streams are gone", func() bool { return h.server.Count().Streams == 0 })
	again := h.dial()
	again.signIn("ada").say("<resume previd='" + id + "' h='1'" + sm).hear("<resumed")
	if s := again.hear("/>"); !strings.Contains(s, "h='2'") {
		t.Errorf("the client has sent 2 stanzas; resumed: %s", s)
	}
}
