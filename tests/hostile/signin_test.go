package hostile

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// auth sends the first message of a mechanism, and the following ones, and
// returns all answers.
func auth(w *wire, mech string, messages ...string) (answers []string) {
	w.t.Helper()
	for i, m := range messages {
		text := base64.StdEncoding.EncodeToString([]byte(m))
		if i == 0 {
			w.say("<auth xmlns='" + nsSASL + "' mechanism='" + mech + "'>" + text + "</auth>")
		} else {
			w.say("<response xmlns='" + nsSASL + "'>" + text + "</response>")
		}
		answer := w.hear(">")
		switch {
		case strings.HasPrefix(answer, "<failure"):
			return append(answers, answer+w.hear("</failure>"))
		case strings.HasPrefix(answer, "<challenge"):
			answer += w.hear("</challenge>")
		}
		answers = append(answers, answer)
	}
	return answers
}

// TestNoOracle: the answers to a failing sign-in are the same, byte for byte,
// whether the account exists or not.
func TestNoOracle(t *testing.T) {
	s := start(t, map[string]string{"c2s.failures": "100000"})
	salts := map[string]string{}
	for _, mech := range []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		var told []string // by each of the names
		for _, name := range []string{"eve", "nobody", "Eve", "evé", strings.Repeat("e", 1023)} {
			var answers []string
			for range 2 { // twice: a salt that changes would tell
				w := dial(t, s.Addr("c2s"), "").open()
				if mech == "PLAIN" {
					answers = append(answers, auth(w, mech, "\x00"+name+"\x00wrong")...)
					w.Close()
					continue
				}
				first := auth(w, mech, "n,,n="+name+",r=clientnonce")[0]
				challenge := decode(t, first)
				nonce, salt, shape := parts(t, challenge)
				if known := salts[mech+name]; known != "" && known != salt {
					t.Errorf("%s: the salt of %s changes: %s, %s", mech, name, known, salt)
				}
				salts[mech+name] = salt
				proof := base64.StdEncoding.EncodeToString(make([]byte, map[string]int{"SCRAM-SHA-1": 20, "SCRAM-SHA-256": 32}[mech]))
				w.say("<response xmlns='" + nsSASL + "'>" + base64.StdEncoding.EncodeToString([]byte("c=biws,r="+nonce+",p="+proof)) + "</response>")
				answers = append(answers, shape, w.hear("</failure>"))
				w.Close()
			}
			told = append(told, strings.Join(answers, "\n"))
		}
		for i := range told {
			if told[i] != told[0] {
				t.Errorf("%s: answers differ:\n%s\n%s", mech, told[0], told[i])
			}
		}
		t.Logf("%s, always:\n%s", mech, told[0])
	}
	for _, mech := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256"} {
		if salts[mech+"nobody"] == salts[mech+strings.Repeat("e", 1023)] {
			t.Errorf("%s: accounts that do not exist share a salt", mech)
		}
	}
}

func decode(t *testing.T, challenge string) string {
	t.Helper()
	_, text, _ := strings.Cut(challenge, ">")
	text, _, _ = strings.Cut(text, "<")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("%s: %v", challenge, err)
	}
	return string(b)
}

var challengeForm = regexp.MustCompile(`^r=([^,]+),s=([^,]+),i=(\d+)(.*)$`)

// parts takes a challenge apart: nonce, salt, and the shape that must be the
// same for all: iterations, extensions, and the length of everything.
func parts(t *testing.T, challenge string) (nonce, salt, shape string) {
	t.Helper()
	m := challengeForm.FindStringSubmatch(challenge)
	if m == nil {
		t.Fatalf("a challenge reads %q", challenge)
	}
	return m[1], m[2], fmt.Sprintf("nonce of %d, salt of %d, %s iterations%s", len(m[1]), len(m[2]), m[3], m[4])
}

// TestGuessing: after so many failures from an address it has to wait, with
// the right password too; other addresses do not notice.
func TestGuessing(t *testing.T) {
	const most = 12
	s := start(t, map[string]string{"c2s.failures": fmt.Sprint(most)})
	n := settle(t, s)
	refused := 0
	w := dial(t, s.Addr("c2s"), "127.0.7.1").open()
	for tries := 0; refused < most; tries++ {
		if tries > 0 && tries%5 == 0 { // a stream has five tries, RFC 6120 §6.4.5
			if got := condition(w.rest()); got != "policy-violation" {
				t.Errorf("after five tries the stream ends with %q", got)
			}
			w = dial(t, s.Addr("c2s"), "127.0.7.1").open()
		}
		answer := auth(w, "PLAIN", "\x00eve\x00guess")[0]
		if !strings.Contains(answer, "<not-authorized/>") {
			t.Fatalf("guess %d: %s", tries, answer)
		}
		refused++
	}
	for _, password := range []string{"another guess", "correct horse battery staple"} {
		w := dial(t, s.Addr("c2s"), "127.0.7.1").open()
		if answer := auth(w, "PLAIN", "\x00eve\x00"+password)[0]; !strings.Contains(answer, "<temporary-auth-failure/>") {
			t.Errorf("after %d failures: %s", most, answer)
		}
		if answer := auth(w, "SCRAM-SHA-1", "n,,n=eve,r=x")[0]; !strings.Contains(answer, "<temporary-auth-failure/>") {
			t.Errorf("after %d failures, SCRAM: %s", most, answer)
		}
	}
	dial(t, s.Addr("c2s"), "127.0.7.2").bind("eve", "elsewhere")
	n.leave()
}

// TestBegunOnly: exchanges that are begun and left, for another or by <abort/>,
// have their bounds on a stream and by address, as wrong passwords have: each
// makes the server look for an account.
func TestBegunOnly(t *testing.T) {
	const most = 10
	s := start(t, map[string]string{"c2s.failures": fmt.Sprint(most)})
	n := settle(t, s)
	begin := func(w *wire) string { return auth(w, "SCRAM-SHA-1", "n,,n=eve,r=x")[0] }
	for _, left := range []struct{ address, by string }{{"127.0.7.3", ""}, {"127.0.7.4", "<abort xmlns='" + nsSASL + "'/>"}} {
		for range most / 5 {
			w := dial(t, s.Addr("c2s"), left.address).open()
			for range 5 {
				if answer := begin(w); !strings.Contains(answer, "<challenge") {
					t.Fatalf("%q: %s", left.by, answer)
				}
				if left.by != "" {
					w.say(left.by)
					w.hear("</failure>")
				}
			}
			if left.by == "" {
				w.say("<auth xmlns='" + nsSASL + "' mechanism='SCRAM-SHA-1'/>")
			}
			if got := condition(w.rest()); got != "policy-violation" {
				t.Errorf("%q: after five the stream ends with %q", left.by, got)
			}
		}
		if answer := begin(dial(t, s.Addr("c2s"), left.address).open()); !strings.Contains(answer, "<temporary-auth-failure/>") {
			t.Errorf("%q: after %d: %s", left.by, most, answer)
		}
	}
	n.leave()
}

// TestBehindStartTLS: what comes behind <starttls/> in clear is not taken for
// something said under TLS (RFC 6120 §5.3.3).
func TestBehindStartTLS(t *testing.T) {
	s := start(t, map[string]string{"c2s.plaintext": "false"})
	for _, behind := range []string{
		"<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + plain("eve", "correct horse battery staple") + "</auth>",
		header, " ", "x",
	} {
		w := dial(t, s.Addr("c2s"), "").open()
		w.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + behind)
		heard := w.rest()
		if strings.Contains(heard, "success") || strings.Contains(heard, "features") {
			t.Errorf("behind <starttls/> the server listened: %s", heard)
		}
	}
	w := dial(t, s.Addr("c2s"), "").open()
	w.say("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + plain("eve", "correct horse battery staple") + "</auth>")
	if answer := w.hear("</failure>"); !strings.Contains(answer, "<encryption-required/>") {
		t.Errorf("a password in clear: %s", answer)
	}
}
