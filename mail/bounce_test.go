package mail_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/mail"
)

// samples are returned messages as mail systems write them, and what they
// mean for the person. A hard one ends all mail to them: in doubt soft.
var samples = [...]struct {
	name          string
	kind          mail.BounceKind
	id, recipient string
	status        string
}{
	{"postfix-unknown-user", mail.Hard, "i-101@outreach.example.org", "nora@example.com", "5.1.1"},
	{"postfix-mailbox-full", mail.Soft, "i-102@outreach.example.org", "bram@example.nl", "5.2.2"},
	{"postfix-delayed", mail.NoBounce, "", "", ""},
	{"postfix-delivered", mail.NoBounce, "", "", ""},
	{"postfix-domain-gone", mail.Hard, "i-105@outreach.example.org", "ken@gone.example", "5.4.4"},
	{"postfix-greylisted-gave-up", mail.Soft, "i-106@outreach.example.org", "lea@example.fr", "4.2.0"},
	{"postfix-headers-only", mail.Hard, "i-107@outreach.example.org", "max@example.com", "5.1.1"},
	{"postfix-no-message-id", mail.Hard, "", "eva@example.com", "5.1.1"},
	{"postfix-alias-two-readers", mail.Soft, "i-109@outreach.example.org", "team@example.com", "4.2.2"},
	{"postfix-alias-one-delivered", mail.Soft, "i-110@outreach.example.org", "team@example.com", "5.1.1"},
	{"postfix-sender-refused", mail.Soft, "i-111@outreach.example.org", "uwe@example.de", "5.1.8"},
	{"postfix-spam-refused", mail.Soft, "i-112@outreach.example.org", "mia@example.com", "5.7.1"},
	{"gateway-status-against-words", mail.Soft, "i-113@outreach.example.org", "sam@example.com", "5.7.1"},
	{"zimbra-over-quota", mail.Soft, "i-114@outreach.example.org", "zoe@example.com", "4.2.2"},
	{"mimecast-policy", mail.Soft, "i-115@outreach.example.org", "tim@example.co.uk", "5.0.0"},
	{"mimecast-invalid-recipient", mail.Hard, "i-116@outreach.example.org", "tom@example.co.uk", "5.0.0"},
	{"truncated-in-report", mail.Hard, "", "rob@example.com", "5.1.1"},
	{"truncated-in-original", mail.Hard, "i-118@outreach.example.org", "una@example.com", "5.1.1"},
	{"truncated-in-header", mail.NoBounce, "", "", ""},
	{"exim-unknown-user", mail.Hard, "i-121@outreach.example.org", "jan@example.nl", "5.1.1"},
	{"exim-unrouteable", mail.Soft, "i-122@outreach.example.org", "kim@nowhere.example", ""},
	{"exim-delay-warning", mail.NoBounce, "", "", ""},
	{"exim-retry-timeout", mail.Soft, "i-124@outreach.example.org", "ada@example.com", ""},
	{"exim-report-spam", mail.Soft, "i-125@outreach.example.org", "eli@example.com", "5.7.1"},
	{"sendmail-unknown-user", mail.Hard, "i-131@outreach.example.org", "prof@example.edu", "5.1.1"},
	{"sendmail-warning", mail.NoBounce, "", "", ""},
	{"sendmail-host-unknown", mail.Hard, "i-133@outreach.example.org", "kay@closed.example", "5.1.2"},
	{"sendmail-too-large", mail.Soft, "i-134@outreach.example.org", "lab@example.edu", "5.3.4"},
	{"sendmail-five-days", mail.Soft, "i-135@outreach.example.org", "sea@example.edu", "4.4.7"},
	{"proofpoint-blocked", mail.Soft, "i-136@outreach.example.org", "cfo@example.com", "5.7.0"},
	{"qmail-no-mailbox", mail.Hard, "i-141@outreach.example.org", "gus@example.com", "5.1.1"},
	{"qmail-no-host", mail.Hard, "i-142@outreach.example.org", "gil@shut.example", "5.1.2"},
	{"qmail-full-with-tricky-copy", mail.Soft, "i-143@outreach.example.org", "hal@example.com", "5.2.2"},
	{"yahoo-no-account", mail.Hard, "i-144@outreach.example.org", "ivy@ymail.example", ""},
	{"haraka-no-user", mail.Hard, "i-145@outreach.example.org", "ned@example.com", "5.1.1"},
	{"exchange2010-not-found", mail.Hard, "i-151@outreach.example.org", "amy@example.com", "5.1.1"},
	{"exchange2010-not-authorized", mail.Soft, "i-152@outreach.example.org", "boss@example.com", "5.7.1"},
	{"exchange-german-base64", mail.Hard, "i-153@outreach.example.org", "anja@example.de", "5.1.1"},
	{"office365-not-found", mail.Hard, "i-154@outreach.example.org", "cal@example.com", "5.1.10"},
	{"office365-dmarc", mail.Soft, "i-155@outreach.example.org", "dot@example.com", "5.7.509"},
	{"office365-quota", mail.Soft, "i-156@outreach.example.org", "fay@example.com", "5.2.2"},
	{"office365-domain-gone", mail.Hard, "i-157@outreach.example.org", "gem@lost.example", "5.4.310"},
	{"exchange-delayed", mail.NoBounce, "", "", ""},
	{"outlook-com-unavailable", mail.Soft, "i-159@outreach.example.org", "wes@hotmail.example", "5.5.0"},
	{"gmail-not-found", mail.Hard, "i-161@outreach.example.org", "pia@gmail.example", "5.1.1"},
	{"gmail-inbox-full", mail.Soft, "i-162@outreach.example.org", "ole@gmail.example", "5.2.2"},
	{"gmail-incomplete", mail.NoBounce, "", "", ""},
	{"gmail-unauthenticated", mail.Soft, "i-164@outreach.example.org", "rex@gmail.example", "5.7.26"},
	{"ses-unknown-user", mail.Hard, "i-171@outreach.example.org", "abe@example.com", "5.1.1"},
	{"opensmtpd-no-such-user", mail.Hard, "i-172@outreach.example.org", "bea@example.com", "5.1.1"},
	{"courier-unknown-user", mail.Hard, "i-173@outreach.example.org", "cleo@example.com", "5.1.1"},
	{"domino-not-listed", mail.Hard, "", "dirk@example.com", ""},
	{"groupwise-user-not-found", mail.Hard, "i-174@outreach.example.org", "elsa@example.com", ""},
	{"mailru-unknown-user", mail.Hard, "i-175@outreach.example.org", "fedor@mail.example.ru", "5.1.1"},
	{"webde-mailbox-full", mail.Soft, "i-176@outreach.example.org", "gitta@web.example", "5.2.2"},
	{"gmx-german-unknown", mail.Hard, "i-177@outreach.example.org", "hanne@gmx.example", "5.1.1"},
	{"german-mailbox-full-words", mail.Soft, "i-178@outreach.example.org", "ilse@post.example", ""},
	{"arf-complaint", mail.Complaint, "i-181@outreach.example.org", "jo@ymail.example", ""},
	{"arf-redacted", mail.Complaint, "i-182@outreach.example.org", "", ""},
	{"arf-not-spam", mail.NoBounce, "", "", ""},
	{"arf-auth-failure", mail.NoBounce, "", "", ""},
	{"dmarc-aggregate", mail.NoBounce, "", "", ""},
	{"vacation-en", mail.NoBounce, "", "", ""},
	{"vacation-de-left", mail.NoBounce, "", "", ""},
	{"vacation-nl-bare", mail.NoBounce, "", "", ""},
	{"human-quotes-bounce", mail.NoBounce, "", "", ""},
	{"human-forwards-bounce", mail.NoBounce, "", "", ""},
	{"nested-forward", mail.NoBounce, "", "", ""},
	{"report-within-mixed", mail.Hard, "i-197@outreach.example.org", "oda@example.com", "5.1.1"},
	{"challenge", mail.NoBounce, "", "", ""},
	{"read-receipt", mail.NoBounce, "", "", ""},
	{"global-report-qp", mail.Hard, "i-201@outreach.example.org", "jörg@example.de", "5.1.1"},
	{"amavis-infected", mail.Soft, "i-202@outreach.example.org", "sue@example.com", "5.7.0"},
	{"mailgun-suppressed", mail.Soft, "i-203@outreach.example.org", "val@example.com", "5.0.0"},
	{"forwarded-to-dead", mail.Soft, "i-204@outreach.example.org", "wim@example.nl", "5.1.1"},
	{"exim-forwarded-to-dead", mail.Soft, "i-205@outreach.example.org", "tess@example.nl", "5.1.1"},
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "bounces", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBounceSamples(t *testing.T) {
	for _, want := range samples {
		raw := sample(t, want.name)
		for _, ends := range [...]struct {
			name string
			raw  []byte
		}{{"LF", raw}, {"CRLF", bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))}} {
			t.Run(want.name+"/"+ends.name, func(t *testing.T) {
				got, err := mail.ParseBounce(ends.raw)
				if err != nil {
					t.Fatal(err)
				}
				if got.Kind != want.kind {
					t.Fatalf("%s, want %s: %+v", got.Kind, want.kind, got)
				}
				if want.kind == mail.NoBounce {
					return
				}
				if got.MessageID != want.id || got.Recipient != want.recipient || got.Status != want.status {
					t.Errorf("%+v\nwant %+v", got, want)
				}
				if want.kind != mail.Complaint && (got.Reason == "" || strings.ContainsAny(got.Reason, "\r\n")) {
					t.Errorf("reason %q", got.Reason)
				}
			})
		}
	}
	files, err := filepath.Glob("testdata/bounces/*.eml")
	if err != nil || len(files) != len(samples) {
		t.Errorf("%d files, %d samples, %v", len(files), len(samples), err)
	}
}
