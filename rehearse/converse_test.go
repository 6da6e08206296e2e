package rehearse

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestConversations: who is asked answers whoever asked; what is answered, is
// refused and is missing is told apart, and nothing counts twice.
func TestConversations(t *testing.T) {
	t.Parallel()
	crowd := quietCrowd(t, 4)
	for _, g := range crowd.Guests {
		g.JID = g.Person.JID() + "/x"
	}
	c := &Conversations{Crowd: crowd, Body: 3}
	if err := (&Conversations{Crowd: crowd}).Pair([]*Person{{}}, 1); err == nil {
		t.Error("one person has nobody to talk to")
	}
	p, err := c.Step(1000, 20*time.Millisecond, nil)
	if err != nil || p.Planned < 15 || p.Open != p.Planned || p.Answered != 0 {
		t.Fatalf("%+v %v", p, err)
	}
	said := func(i int) string { return string(crowd.Guests[i].line.out) }
	first := "<message xmlns='jabber:client' type='chat' to='p00002@test/x' id='q0'><body>xxx</body></message>"
	if !strings.HasPrefix(said(0), first) || !strings.Contains(said(1), "to='p00003@test/x' id='q1'") || said(2)+said(3) != "" {
		t.Fatalf("%s\n%s", said(0), said(1))
	}
	hear := func(i int, format string, args ...any) {
		t.Helper()
		if err := crowd.Guests[i].element(fmt.Appendf(nil, format, args...)); err != nil {
			t.Fatal(err)
		}
	}
	crowd.handle = c.handle
	hear(2, "<message from='p00000@test/x' to='p00002@test/x' type='chat' id='q0'><body>xxx</body></message>")
	if want := "<message xmlns='jabber:client' type='chat' to='p00000@test/x' id='r0'><body>xxx</body></message>"; said(2) != want {
		t.Errorf("%s", said(2))
	}
	for range 2 {
		hear(0, "<message from='p00002@test/x' to='p00000@test/x' type='chat' id='r0'><body>xxx</body></message>")
	}
	hear(1, "<message from='p00003@test/x' to='p00001@test/x' type='error' id='q1'><error/></message>")
	if c.pace.Answered != 1 || c.pace.Refused != 1 || len(c.asked) != p.Planned-2 || c.pace.Times.Count() != 1 {
		t.Errorf("%+v, %d open", c.pace, len(c.asked))
	}
	if err := crowd.Guests[0].element([]byte("<message from='p00002@test/x'/>")); err == nil {
		t.Error("a message of nobody's is no error")
	}
	if lost, err := c.Drain(0); err != nil || lost != p.Planned-2 || len(c.asked) != 0 {
		t.Errorf("%d lost, %v", lost, err)
	}
	// A judge ends a step at once.
	if p, err = c.Step(10, time.Hour, func() bool { return true }); err != nil || p.Planned != 1 {
		t.Errorf("%+v %v", p, err)
	}
}
