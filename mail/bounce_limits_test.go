package mail_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bearhug/bearhug/mail"
)

// dsn is the smallest report: one recipient.
func dsn(status, words string) []byte {
	return []byte("From: MAILER-DAEMON@mx.example.net\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n" +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n" +
		"Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: " + status + "\nDiagnostic-Code: " + words + "\n\n--b--\n")
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		status, words string
		want          mail.BounceKind
		best          string
	}{
		{"5.1.1", "smtp; 550 5.1.1 User unknown", mail.Hard, "5.1.1"},
		{"5.0.0 (permanent failure)", "smtp; 550 No such user here", mail.Hard, "5.0.0"},
		{"5.0.0", "smtp; 550 5.1.1 unknown", mail.Hard, "5.1.1"},
		{"", "smtp; 550 unknown user a@example.com", mail.Hard, ""},
		{"5.1.1", "smtp; 550 5.1.1 host antispam.example.com: mailbox does not exist", mail.Hard, "5.1.1"},
		{"5.1.6", "smtp; 550 5.1.6 recipient no longer on server", mail.Hard, "5.1.6"},
		{"5.4.4", "X-Postfix; Host or domain name not found. Name service error: Host not found", mail.Hard, "5.4.4"},
		{"5.4.4", "smtp; 550 5.4.4 invalid domain", mail.Soft, "5.4.4"},
		{"5.1.1", "smtp; 450 4.1.1 unverified address", mail.Soft, "4.1.1"},
		{"5.1.1", "smtp; 550 5.1.1 undeliverable address: connect to mx.example.com: Connection timed out", mail.Soft, "5.1.1"},
		{"5.1.1", "smtp; 550 5.1.1 refused, see https://www.spamhaus.example/query?ip=192.0.2.1", mail.Soft, "5.1.1"},
		{"5.1.1", "smtp; 550 5.7.1 policy", mail.Soft, "5.7.1"},
		{"5.7.1", "smtp; 550 user unknown", mail.Soft, "5.7.1"},
		{"5.1.1", "X-Postfix; procmail: Couldn't create \"/var/mail/a\": No such user", mail.Soft, "5.1.1"},
		{"5.2.1", "smtp; 550 5.2.1 mailbox disabled", mail.Soft, "5.2.1"},
		{"5.2.1", "smtp; 550 5.2.1 The account is inactive, user unknown", mail.Soft, "5.2.1"},
		{"5.1.0", "smtp; 550 5.1.0 Sender domain does not exist", mail.Soft, "5.1.0"},
		{"5.1.0", "smtp; 553 5.1.0 mail.example.org does not exist", mail.Soft, "5.1.0"},
		{"5.0.0", "smtp; 550 Domain of sender address b@example.org does not exist", mail.Soft, "5.0.0"},
		{"5.4.1", "smtp; 550 5.4.1 Recipient address rejected: Access denied", mail.Soft, "5.4.1"},
		{"5.1.1", "smtp; 550 5.1.1 This address is restricted to members", mail.Soft, "5.1.1"},
		{"5.0.0", "smtp; 550 rejected by 5.1.1.9", mail.Soft, "5.0.0"}, // an address is no status
		{"5.0.0", "smtp; 550 mx 10.5.1.1 says no", mail.Soft, "5.0.0"},
		{"2.0.0", "smtp; 250 ok", mail.Soft, ""},
		{"nonsense", "", mail.Soft, ""},
	} {
		got, err := mail.ParseBounce(dsn(test.status, test.words))
		if err != nil || got.Kind != test.want || got.Status != test.best {
			t.Errorf("%s | %s: %+v %v, want %s %q", test.status, test.words, got, err, test.want, test.best)
		}
	}
}

// The delimiters were lost, the words are still there.
func TestBounceWithoutDelimiters(t *testing.T) {
	got, err := mail.ParseBounce([]byte("From: MAILER-DAEMON@mx.example.net\nSubject: Returned mail: see transcript for details\n" +
		"Content-Type: multipart/report; boundary=other\n\nThe following addresses had permanent fatal errors\n<a@example.com>\n\n" +
		"550 5.1.1 <a@example.com>... User unknown\n\nMessage-ID: <i-9@outreach.example.org>\n"))
	want := mail.Bounce{Kind: mail.Hard, MessageID: "i-9@outreach.example.org", Recipient: "a@example.com", Status: "5.1.1", Reason: "550 5.1.1 <a@example.com>... User unknown"}
	if err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
}

// Some relays write Message-ID anew; the other field is ours still, in the
// header and in plain words.
func TestBounceOfRewrittenID(t *testing.T) {
	const original = "Received: from chat.example.org\nMessage-ID: <0100@email.relay.example>\nX-Bearhug-Id: i-9@outreach.example.org\nTo: a@example.com\n\nHello\n"
	report := strings.Replace(string(dsn("5.1.1", "smtp; 550 5.1.1 User unknown")), "--b--\n", "--b\nContent-Type: message/rfc822\n\n"+original+"--b--\n", 1)
	words := "From: MAILER-DAEMON@mx.example.net\nSubject: failure notice\n\n<a@example.com>:\n550 5.1.1 User unknown\n\n--- Below this line is a copy of the message.\n\n" + original
	for _, raw := range []string{report, words} {
		if got, err := mail.ParseBounce([]byte(raw)); err != nil || got.Kind != mail.Hard || got.MessageID != "i-9@outreach.example.org" {
			t.Errorf("%+v %v", got, err)
		}
	}
}

func TestNoMail(t *testing.T) {
	for _, raw := range []string{"", "\n\n", "hello", "a b: c\n\n", " : x\n", "\x00\xff"} {
		if got, err := mail.ParseBounce([]byte(raw)); err != mail.ErrNotMail {
			t.Errorf("%q: %+v %v", raw, got, err)
		}
	}
}

// What a sender who means ill may send costs little: memory is counted, and the
// shapes are those where a careless reader takes quadratic time.
func TestBounceLimits(t *testing.T) {
	report := "From: MAILER-DAEMON@x\nSubject: Undelivered Mail\nContent-Type: multipart/report; boundary=b\n\n"
	nested := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		}
		return b.String() + "\n550 5.1.1 user unknown\n"
	}
	for name, raw := range map[string]string{
		"one line":        "From: MAILER-DAEMON@x\nSubject: Undelivered Mail\n\n" + strings.Repeat("550 5.1.1 a@b.c: ", 1<<20),
		"one header line": "Subject: " + strings.Repeat("x", 16<<20),
		"many fields":     strings.Repeat("a:b\n", 4<<20),
		"folded":          "a: b\n" + strings.Repeat(" c\n", 1<<22),
		"many parts":      report + strings.Repeat("--b\n\n", 1<<20),
		"near delimiters": report + strings.Repeat("--bb", 1<<20),
		"no line ends":    report + strings.Repeat("--b", 1<<21),
		"nested":          "From: MAILER-DAEMON@x\n" + nested(20_000),
		"many recipients": report + "--b\nContent-Type: message/delivery-status\n\n" + strings.Repeat("Final-Recipient: rfc822; a@b.c\nAction: failed\nStatus: 5.1.1\n\n", 1<<16),
		"tags":            "From: MAILER-DAEMON@x\nSubject: Undelivered\nContent-Type: text/html\n\n" + strings.Repeat("<", 8<<20),
		"paragraphs":      "From: MAILER-DAEMON@x\nSubject: Undelivered\n\n" + strings.Repeat("550 5.1.1 no\n\n", 1<<19),
		"addresses":       "From: " + strings.Repeat("(", 1<<20) + "MAILER-DAEMON\n\n<" + strings.Repeat("@", 1<<20) + ">",
		"statuses":        string(dsn(strings.Repeat("5.1.", 1<<20), strings.Repeat("5.", 1<<20))),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := mail.ParseBounce([]byte(raw)[:len(raw):len(raw)])
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc - uint64(len(raw)); used > 64<<20 {
				t.Errorf("%d MiB allocated", used>>20)
			}
			sound(t, got, err)
		})
	}
}

// sound are the properties of any answer.
func sound(t *testing.T, b mail.Bounce, err error) {
	t.Helper()
	switch {
	case err != nil && b != mail.Bounce{}:
		t.Errorf("an error and %+v", b)
	case b.Kind > mail.Complaint, b.Kind == mail.NoBounce && b != mail.Bounce{}:
		t.Errorf("%+v", b)
	case len(b.Reason) > 500 || len(b.MessageID) > 250 || len(b.Recipient) > 254 || len(b.Status) > 9:
		t.Errorf("too long: %+v", b)
	case b.Status != "" && b.Status[0] != '4' && b.Status[0] != '5':
		t.Errorf("status %q", b.Status)
	case b.Kind == mail.Hard && strings.HasPrefix(b.Status, "4"):
		t.Errorf("hard for now: %+v", b)
	}
	for _, s := range []string{b.MessageID, b.Recipient, b.Status, b.Reason} {
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
			t.Errorf("%q", s)
		}
	}
}

func FuzzBounce(f *testing.F) {
	for _, s := range samples {
		f.Add(sample(f, s.name))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		kept := bytes.Clone(raw)
		b, err := mail.ParseBounce(raw)
		sound(t, b, err)
		if !bytes.Equal(kept, raw) {
			t.Error("the message was written to")
		}
		if again, _ := mail.ParseBounce(raw); again != b {
			t.Errorf("%+v, then %+v", b, again)
		}
	})
}
