package c2s_test

import (
	"context"
	"fmt"
	"github.com/bearhug/bearhug/feature"
	"runtime"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/c2s"
)

// bindToken signs in by token and binds.
func (h *house) bindToken(name, scope string) (*talk, string) {
	h.tb.Helper()
	p := h.dial()
	p.open()
	p.say(h.token(name, scope)).hear("<success")
	p.open()
	p.say(bind).hear("<jid>")
	return p, strings.TrimSuffix(p.hear("</jid>"), "</jid>")
}

// echo proves that all that was said before has been handled, and returns what
// came meanwhile.
func (c *talk) echo(id string) string {
	c.tb.Helper()
	return c.say("<iq type='get' id='" + id + "'><open xmlns='urn:test'/></iq>").hear("id='" + id + "'")
}

// TestScope: a sign-in for one peer reaches nobody else, and nobody else
// reaches it (decision 16).
func TestScope(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada", "bot", "eve"})
	p, scoped := h.bindToken("ada", "bot@"+domain)
	bot, eve, whole := h.dial(), h.dial(), h.dial()
	bot.bind("bot")
	eveJID, wholeJID := eve.bind("eve"), whole.bind("ada")
	for _, c := range []*talk{p, bot, eve, whole} {
		c.say("<presence/>").hear("<presence")
	}
	p.echo("ready")
	for i, c := range []struct{ say, hear string }{
		{"<message id='%d' type='chat' to='eve@hug.example'><body>x</body></message>", "<forbidden"},
		{"<message id='%d' type='chat' to='" + eveJID + "'><body>x</body></message>", "<forbidden"},
		{"<message id='%d' type='chat'><body>to myself</body></message>", "<forbidden"},
		{"<message id='%d' type='chat' to='" + wholeJID + "'><body>x</body></message>", "<forbidden"},
		{"<iq id='%d' type='get' to='" + eveJID + "'><open xmlns='urn:test'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get' to='" + eveJID + "'><never-heard-of xmlns='urn:x'/></iq>", "<forbidden"},
		{"<iq id='%d' type='set' to='" + wholeJID + "'><never-heard-of xmlns='urn:x'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get' to='eve@hug.example'><open xmlns='urn:test'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get' to='nobody@hug.example'><never-heard-of xmlns='urn:x'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get' to='bot@other.example'><open xmlns='urn:test'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get'><whole xmlns='urn:test'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get' to='bot@hug.example'><whole xmlns='urn:test'/></iq>", "<forbidden"},
		{"<iq id='%d' type='get'><open xmlns='urn:test'/></iq>", "type='result'"},
		{"<iq id='%d' type='get' to='bot@hug.example'><open xmlns='urn:test'/></iq>", "type='result'"},
		{"<iq id='%d' type='get'><never-heard-of xmlns='urn:x'/></iq>", "<service-unavailable"},
	} {
		p.say(fmt.Sprintf(c.say, i)).hear(fmt.Sprintf("id='%d'", i))
		p.at -= len(fmt.Sprintf("id='%d'", i)) + len("<iq xmlns='jabber:client' type='result' ")
		p.hear(c.hear)
	}
	// Things that are not answered.
	p.say("<presence to='eve@hug.example'/><presence type='subscribe' to='eve@hug.example'/><presence type='probe' to='eve@hug.example'/>")
	p.say("<iq type='result' id='r' to='" + eveJID + "'/><iq type='result' id='r' to='" + wholeJID + "'/>")
	p.say("<message type='chat' id='hello' to='bot@hug.example'><body>hello</body></message>")
	p.echo("said")
	bot.hear("<body>hello</body>")
	bot.say("<message type='chat' to='" + scoped + "'><body>welcome</body></message>")
	p.hear("<body>welcome</body>")
	// Others do not reach it, by any name.
	eve.say("<message type='chat' to='" + scoped + "'><body>psst</body></message><presence to='" + scoped + "'/>")
	eve.say("<iq type='get' id='ping' to='" + scoped + "'><ping xmlns='urn:xmpp:ping'/></iq>").hear("<service-unavailable")
	whole.hear("<body>psst</body>") // the other sign-in gets it, as if the address were not there
	bot.say("<message type='headline' to='" + scoped + "'><body>last</body></message>")
	if before := p.hear("<body>last</body>"); strings.Contains(before, "eve") || strings.Contains(before, wholeJID) {
		t.Errorf("it learned: %s", before)
	}
	if before := eve.echo("e"); strings.Contains(before, "ada@") && strings.Contains(before, "<presence") {
		t.Errorf("a stranger learned: %s", before)
	}
	if before := whole.echo("w"); strings.Contains(before, "type='result' id='r'") || strings.Contains(before, scoped) {
		t.Errorf("the own account learned: %s", before)
	}
}

// TestScopeKeepsItsSessions: a sign-in for one peer neither resumes nor
// replaces a session for all, nor the reverse.
func TestScopeKeepsItsSessions(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada", "bot"})
	whole := h.dial()
	address := whole.bind("ada")
	whole.say("<enable resume='true'" + sm).hear("<enabled")
	_, rest, _ := strings.Cut(whole.hear("/>"), " id='")
	id, _, _ := strings.Cut(rest, "'")
	p := h.dial()
	p.open()
	p.say(h.token("ada", "bot@"+domain)).hear("<success")
	p.open()
	p.say("<resume previd='" + id + "' h='0'" + sm).hear("<item-not-found")
	_, resource, _ := strings.Cut(address, "/")
	p.say(strings.Replace(bind, "'/>", "'><resource>"+resource+"</resource></bind>", 1)).hear("<conflict")
	p.say(bind).hear("</jid>")
	whole.echo("still")
	back := h.dial()
	back.signIn("ada").say("<resume previd='" + id + "' h='1'" + sm).hear("<resumed")
	whole.hear("<conflict")
	whole.hear("</stream:stream>")
	back.echo("here")
}

// TestResumeCounts: what was sent while the stream was away comes behind
// <resumed/>, once; h is what was handled.
func TestResumeCounts(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada", "bob"})
	p, bob := h.dial(), h.dial()
	p.bind("ada")
	bob.bind("bob")
	p.say("<presence/>").hear("<presence")
	p.say("<enable resume='true'" + sm).hear("<enabled")
	_, rest, _ := strings.Cut(p.hear("/>"), " id='")
	id, _, _ := strings.Cut(rest, "'")
	for i := range 3 {
		p.echo(fmt.Sprint("before", i))
	}
	p.say("<r" + sm).hear("h='3'")
	p.nc.Close()
	for i := range 5 {
		bob.say(fmt.Sprintf("<message type='chat' id='m%d' to='ada@hug.example'><body>%d</body></message>", i, i))
	}
	bob.echo("sent")
	for round := range 2 { // the first resumption acknowledges nothing: all comes again
		back := h.dial()
		back.signIn("ada").say("<resume previd='" + id + "' h='3'" + sm).hear("<resumed")
		if s := back.hear("/>"); !strings.Contains(s, "h='3'") {
			t.Errorf("round %d: %s", round, s)
		}
		for i := range 5 {
			if s := back.hear(fmt.Sprintf("<body>%d</body>", i)); strings.Count(s, "<message ") != 1 {
				t.Errorf("round %d: %s", round, s)
			}
		}
		if round == 0 {
			back.nc.Close()
			continue
		}
		back.say("<a h='8'" + sm)
		if s := back.echo("after"); strings.Contains(s, "<message") {
			t.Errorf("more came: %s", s)
		}
		back.say("</stream:stream>").hear("</stream:stream>")
	}
	again := h.dial() // nothing waits any more
	again.bind("ada")
	again.say("<presence/>").hear("<presence")
	if s := again.echo("end"); strings.Contains(s, "<message") {
		t.Errorf("it comes once more: %s", s)
	}
}

// TestUnacknowledged: what a client never acknowledged goes to the next one,
// in order, once; also when its session could have been resumed.
func TestUnacknowledged(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada", "bob"})
	bob := h.dial()
	bob.bind("bob")
	p := h.dial()
	full := p.bind("ada")
	p.say("<presence/>").hear("<presence")
	p.say("<enable resume='true'" + sm).hear("<enabled")
	for i := range 4 {
		bob.say(fmt.Sprintf("<message type='chat' id='m%d' to='%s'><body>%d</body></message>", i, [...]string{"ada@hug.example", full}[i%2], i))
	}
	p.hear("<body>3</body>")
	p.say("<a h='2'" + sm)
	p.echo("acked")
	p.nc.Close()
	next := h.dial()
	next.bind("ada")
	next.say("<presence/>")
	for i := 2; i < 4; i++ {
		if s := next.hear(fmt.Sprintf("<body>%d</body>", i)); strings.Count(s, "<message ") != 1 {
			t.Errorf("%s", s)
		}
	}
	bob.say("<message type='chat' to='ada@hug.example'><body>live</body></message>")
	if s := next.hear("<body>live</body>"); strings.Count(s, "<message ") != 1 {
		t.Errorf("%s", s)
	}
}

// TestTooManySessions: who signs in again and again loses the session that
// waited longest, not the door.
func TestTooManySessions(t *testing.T) {
	h := newHouse(t)
	h.people([]string{"ada"})
	if err := h.router.Board.Set("session.streams", feature.Scope{}, 3, 1); err != nil {
		t.Fatal(err)
	}
	stay := h.dial()
	stay.bind("ada")
	for range 5 {
		p := h.dial()
		p.bind("ada")
		p.say("<enable resume='true'" + sm).hear("<enabled")
		n := h.server.Count().Streams
		p.nc.Close()
		for h.server.Count().Streams >= n { // until the server has noticed
			runtime.Gosched()
		}
	}
	for range 2 {
		h.dial().bind("ada")
	}
	p := h.dial()
	p.signIn("ada").say(bind).hear("<resource-constraint")
	stay.echo("still here")
}

// TestFull: past the limit streams are refused with words; a drained server
// ends those there are.
func TestFull(t *testing.T) {
	h := newHouse(t, func(c *c2s.Config) { c.MaxStreams = 2 })
	h.people([]string{"ada"})
	first, second := h.dial(), h.dial()
	first.bind("ada")
	second.open()
	h.dial().hear("<resource-constraint")
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		h.server.Drain(ctx)
	}()
	for _, p := range []*talk{first, second} {
		p.hear("<system-shutdown")
		p.hear("</stream:stream>")
	}
	<-done
	h.dial().hear("<system-shutdown")
}

// TestLate: a stream that does not get on is closed; one that is bound stays.
func TestLate(t *testing.T) {
	h := newHouse(t, func(c *c2s.Config) { c.Negotiation = 0 })
	h.people([]string{"ada"})
	bound, silent, idle := h.dial(), h.dial(), h.dial()
	bound.bind("ada")
	idle.open()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.server.Run(ctx) }()
	silent.hear("<connection-timeout")
	idle.hear("<connection-timeout")
	bound.echo("here")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
