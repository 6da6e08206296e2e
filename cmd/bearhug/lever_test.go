package main_test

import (
	"encoding/json"
	"os/user"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// blank makes of what changes from run to run what does not.
func blank(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(text, "TIME")
	if me, err := user.Current(); err == nil {
		text = strings.ReplaceAll(text, " by "+me.Username, " by ME")
	}
	return text
}

// says runs a command that must succeed and write this, times and the user's
// name left out.
func (p *place) says(want string, args ...string) {
	p.t.Helper()
	out, errs, code := p.run("", args...)
	if got := blank(out); code != 0 || got != want || errs != "" {
		p.t.Errorf("bearhug %s: exit %d\n out %q\nwant %q\n err %q", strings.Join(args, " "), code, got, want, errs)
	}
}

func TestLeverCommand(t *testing.T) {
	for _, serving := range []bool{false, true} {
		p := newPlace(t)
		p.ok("example.org added\n", "", "org", "add", "example.org", "--data", "d")
		known := "  saves    not known: no server runs\n"
		if serving {
			known = ""
			s := p.serve()
			defer s.stop(t, syscall.SIGTERM)
		}
		lever := func(args ...string) []string { return append(append([]string{"lever"}, args...), "--data", "d") }
		p.says("carbons is off for the server, was on; falls back at TIME\n",
			lever("set", "carbons", "off", "--why", "copies\nburn", "--for", "30m")...)
		p.says("session.mailbox is 4194304 bytes for example.org, was 1048576 bytes\n",
			lever("set", "session.mailbox", "4MiB", "--org", "example.org")...)
		p.says("carbons: XEP-0280 1.0.1: copies messages to the other resources of an account\n"+
			"  value    off\n  default  on\n  takes    off, on\n  scope    down to one organisation\n"+
			"  set      off for the server since TIME until TIME by ME: copies burn (version 1)\n"+known,
			lever("ls", "carbons")...)
		p.says("session.mailbox is 1048576 bytes for example.org, was 4194304 bytes\n", lever("undo")...)
		p.says("3  undo of version 2 for example.org since TIME by ME\n2  4194304 bytes for example.org since TIME by ME\n",
			lever("history", "session.mailbox")...)
		p.says("carbons is on for the server, was off\n", lever("reset", "carbons")...)
		p.says("ping was never set\n", lever("history", "ping")...)
		p.fails(`did you mean "carbons"?`, "", lever("set", "carbosn", "off")...)
		p.fails("is always on", "", lever("set", "blocking", "off")...)
		p.fails("0 is out of range: want 1 to 60000 ms", "", lever("set", "archive.wait", "0")...)
		p.fails("no organisation exampel.org here: did you mean example.org?", "", lever("set", "carbons", "off", "--org", "exampel.org")...)
		p.fails("no group team@example.org here", "", lever("set", "presence", "coarse", "--group", "team@example.org")...)
		p.fails("--for 0s: want a time such as 30m", "", lever("set", "carbons", "off", "--for", "0s")...)
		p.fails("--for -1h0m0s: want a time such as 30m", "", lever("set", "carbons", "off", "--for=-1h")...)
		p.fails("no setting of ping could be taken back", "", lever("undo", "ping")...)
		p.fails("want GROUP@DOMAIN", "", lever("set", "presence", "coarse", "--group", "team")...)
		p.fails("is no group of --org", "", lever("set", "presence", "coarse", "--group", "team@example.org", "--org", "a.org")...)
		out, _, code := p.run("", lever("ls", "--json")...)
		var list struct {
			Running bool
			Levers  []struct{ Name, Value, Range, Reach string }
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || list.Running != serving || len(list.Levers) < 20 {
			t.Errorf("ls --json: %v, exit %d, %+v", err, code, list)
		}
		out, _, _ = p.run("", lever("ls")...)
		if !regexp.MustCompile(`(?m)^presence +full +full +full, visible, coarse, off `).MatchString(out) {
			t.Errorf("ls: %s", out)
		}
	}
}

func TestTopCommand(t *testing.T) {
	p := newPlace(t)
	p.ok("example.org added\n", "", "org", "add", "example.org", "--data", "d")
	p.fails("no server runs in", "", "top", "--data", "d")
	s := p.serve()
	defer s.stop(t, syscall.SIGTERM)
	for _, args := range [][]string{{}, {"--once"}, {"--org", "example.org"}, {"--orgs"}} {
		out, errs, code := p.run("", append([]string{"top", "--data", "d"}, args...)...)
		if code != 0 || errs != "" || !strings.Contains(out, "0 online") || !strings.Contains(out, "GROWS AS") || strings.Contains(out, "\x1b") {
			t.Errorf("top %v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	out, _, code := p.run("", "top", "--json", "--data", "d")
	var top struct {
		Seconds float64
		Rows    []struct{ Feature string }
	}
	if err := json.Unmarshal([]byte(out), &top); err != nil || code != 0 || top.Seconds <= 0 || len(top.Rows) == 0 {
		t.Errorf("--json: %v, exit %d: %s", err, code, out)
	}
	p.fails("no organisation nobody.org here", "", "top", "--org", "nobody.org", "--data", "d")
	p.fails("want at least 100ms", "", "top", "--every", "1ms", "--data", "d")
}
