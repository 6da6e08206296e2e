package rehearse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// quietCrowd are people who are signed in to nobody.
func quietCrowd(t *testing.T, n int) *Crowd {
	t.Helper()
	loop, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loop.Close() })
	c := &Crowd{Loop: loop, times: new(Histogram)}
	var people []*Person
	for i := range n {
		people = append(people, &Person{Local: Name(i), Domain: "test"})
	}
	for _, g := range c.invite(people) {
		g.line = &Line{connecting: true} // it takes what is sent, and keeps it
	}
	return c
}

// TestStir: what viewers were told is held against what was said, pair by pair.
func TestStir(t *testing.T) {
	t.Parallel()
	const n = 4 // two groups of two
	s := &Stir{Crowd: quietCrowd(t, n), Size: 2, random: rand.New(rand.NewPCG(1, 2))}
	s.expect(n)
	told := func(viewer, who int, inner string) {
		t.Helper()
		el := fmt.Sprintf("<presence from='%s@test/x' to='%s@test/x'>%s</presence>", Name(who), Name(viewer), inner)
		if err := s.took(s.Crowd.Guests[viewer], []byte(el)); err != nil {
			t.Error(err)
		}
	}
	wrong := func(want int) {
		t.Helper()
		if s.wrong != want {
			t.Errorf("%d pairs are wrong, not %d: %s", s.wrong, want, s.missing())
		}
	}
	wrong(4)
	for _, pair := range [...][2]int{{0, 1}, {1, 0}, {2, 3}, {3, 2}, {2, 2}} {
		told(pair[0], pair[1], "")
	}
	wrong(0)
	s.change(s.Crowd.Guests[1], 0)
	if sent := string(s.Crowd.Guests[1].line.out); !strings.Contains(sent, "<show>dnd</show><status>1</status>") {
		t.Error(sent)
	}
	wrong(1)
	if text := s.missing(); text != "p00000 has seen change 0 of p00001, not change 1" {
		t.Error(text)
	}
	told(0, 1, "<show>dnd</show><status>1</status>")
	wrong(0)
	told(0, 1, "<show>dnd</show><status>1</status>") // again
	wrong(0)
	told(0, 1, "<idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/>")
	wrong(1)
	told(0, 1, "<show>dnd</show><status>1</status>")
	if wrong(0); s.Disordered != 0 {
		t.Error("what was repeated is not out of order")
	}
	told(0, 1, "")
	if wrong(1); s.Disordered != 1 {
		t.Error("an older presence is out of order")
	}
	if s.Times.Count() == 0 || s.CameBetween(0, time.Hour) != 9 {
		t.Errorf("%d times, %d presences", s.Times.Count(), s.CameBetween(0, time.Hour))
	}
	if err := s.Settle(0); err == nil || !strings.Contains(err.Error(), "p00000 has seen change 0 of p00001") {
		t.Error(err)
	}
}

// TestStirFaults: what no honest server sends.
func TestStirFaults(t *testing.T) {
	t.Parallel()
	s := &Stir{Crowd: quietCrowd(t, 4), Size: 2}
	s.expect(4)
	for el, want := range map[string]string{
		"<presence from='p00002@test/x'/>":                                                         "stranger",
		"<presence from='p00001@test/x'><show>away</show><status>1</status></presence>":            "had show",
		"<presence from='p00001@test/x' type='error'/>":                                            "got",
		"<presence from='somebody@test/x'/>":                                                       "got",
		"<presence from='p00009@test/x' type='unavailable'/>":                                      "stranger",
		"<presence from='p00001@test/x'><show>away</show><status>5</status><priority/></presence>": "had show",
	} {
		if err := s.took(s.Crowd.Guests[0], []byte(el)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", el, err)
		}
	}
}

// TestLookout: pushes and presences of the contact and of others are told
// apart, and a push brings the version on, in the middle of a sign-in too.
func TestLookout(t *testing.T) {
	t.Parallel()
	c := quietCrowd(t, 1)
	g := c.Guests[0]
	l := c.Watch("p00007@test")
	push := func(who, sub string, ver int) string {
		return fmt.Sprintf("<iq type='set' id='push'><query xmlns='jabber:iq:roster' ver='%d'><item jid='%s@test' subscription='%s'/></query></iq>", ver, who, sub)
	}
	g.login = &login{person: g.Person, bound: true, await: awaitPresence, jid: "p00000@test/x", version: "1"}
	for _, el := range []string{
		push("p00007", "to", 2), push("p00008", "to", 3), "<presence from='p00007@test/x'/>", "<presence from='p00008@test/x'/>",
		"<presence from='p00000@test/x'/>", push("p00007", "remove", 4), "<presence from='p00007@test/x' type='unavailable'/>",
	} {
		if err := g.element([]byte(el)); err != nil {
			t.Fatal(err)
		}
	}
	want := Sight{Pushes: 2, Presences: 2, Subscription: "remove", OtherPushes: 1, OtherPresences: 1}
	if l.Sights[0] != want {
		t.Errorf("%+v", l.Sights[0])
	}
	if g.version != "4" {
		t.Errorf("version %q", g.version)
	}
	if n, err := l.Until(0, func(_ int, s *Sight) bool { return s.Pushes == 1 }); err != nil || n != 1 {
		t.Errorf("%d wrong, %v", n, err)
	}
}
