package presence_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/stream"
)

// TestResumed: who was cut off and resumes is told of each contact as it is
// now, once, however much has happened meanwhile; and of who came and went not
// at all.
func TestResumed(t *testing.T) {
	c := openCity(t, 1<<20)
	c.settlers(t, "r", 4)
	ada, bob, eve, dan := c.people[0], c.people[1], c.people[2], c.people[3]
	for _, p := range []*person{bob, eve, dan} {
		c.befriend(ada, p)
	}
	c.enter(t, ada, "phone")
	phone := ada.resources[0]
	if !phone.s.Enable("id", true, []byte("<enabled xmlns='urn:xmpp:sm:3' id='id' resume='true'/>")) {
		t.Fatal("no stream management")
	}
	phone.reader.read()
	c.say(phone, 1)
	for _, p := range []*person{bob, eve} {
		c.bind(p, "desk")
		c.say(p.resources[0], 2)
	}
	await := func(r *reader, what string) string {
		for late := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			r.mu.Lock()
			text := r.got.String()
			r.mu.Unlock()
			if strings.Contains(text, what) {
				return text
			}
			if time.Now().After(late) {
				t.Fatalf("%q never came, but %s", what, text)
			}
		}
	}
	full := eve.resources[0].s.JID.String()
	await(phone.reader, bob.resources[0].s.JID.String())
	text := await(phone.reader, full)
	for !strings.HasSuffix(text, "</presence>") && !strings.HasSuffix(text, "/>") {
		text = await(phone.reader, full)
	}
	conn := phone.s.Conn()
	_ = phone.reader.conn.Close()
	phone.s.Detach(conn)
	for n := range 50 {
		c.say(bob.resources[0], 100+n)
	}
	c.unbind(eve, 0, false)
	c.bind(dan, "desk")
	c.say(dan.resources[0], 7)
	c.unbind(dan, 0, false)
	presence.Quiet(c.d)
	ours, theirs := net.Pipe()
	back := &reader{conn: theirs}
	back.read()
	h := uint32(strings.Count(text, "<presence"))
	if _, err := phone.s.Resume(stream.NewConn(ours, c.poller), h, false); err != nil {
		t.Fatal(err)
	}
	await(back, "<status>149</status>")
	text = await(back, full)
	presence.Quiet(c.d)
	if n := strings.Count(text, bob.resources[0].s.JID.String()); n != 1 {
		t.Errorf("bob %d times: %s", n, text)
	}
	if strings.Contains(text, dan.jid.String()) {
		t.Errorf("dan came and went: %s", text)
	}
	if !strings.Contains(text, "unavailable") {
		t.Errorf("eve is not told to be gone: %s", text)
	}
	phone.reader = back
	c.end()
}
