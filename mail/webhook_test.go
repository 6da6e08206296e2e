package mail_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/mail"
)

// one is a bounce of a sample.
func one(kind mail.BounceKind, n int, recipient, status, reason string) mail.Bounce {
	b := mail.Bounce{Kind: kind, Recipient: recipient, Status: status, Reason: reason}
	if n > 0 {
		b.MessageID = fmt.Sprintf("i-%d@outreach.example.org", n)
	}
	return b
}

var reports = [...]struct {
	name string
	want []mail.Bounce
}{
	{"ses-unknown-user", []mail.Bounce{one(mail.Hard, 301, "abe@example.com", "5.1.1", "550 5.1.1 user unknown")}},
	{"ses-no-email", []mail.Bounce{one(mail.Hard, 302, "ben@example.com", "", "Permanent NoEmail")}},
	{"ses-permanent-but-spam", []mail.Bounce{one(mail.Soft, 303, "cat@example.com", "5.7.1", "550 5.7.1 rejected as spam")}},
	{"ses-suppressed", []mail.Bounce{one(mail.Soft, 304, "dan@example.com", "5.1.1", "Amazon SES did not send the message to this address because it is on the suppression list for your account.")}},
	{"ses-mailbox-full", []mail.Bounce{one(mail.Soft, 305, "eve@example.com", "5.2.2", "552 5.2.2 Over quota")}},
	{"ses-complaint", []mail.Bounce{one(mail.Complaint, 306, "fin@example.com", "", "marked as spam")}},
	{"ses-not-spam", nil},
	{"ses-delivered", nil},
	{"ses-confirmation", nil},
	{"ses-topic-test", nil},
	{"mailgun-unknown-user", []mail.Bounce{one(mail.Hard, 311, "hal@example.com", "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist")}},
	{"mailgun-retried", nil},
	{"mailgun-gave-up", []mail.Bounce{one(mail.Soft, 313, "jon@example.com", "", "602 Too old")}},
	{"mailgun-suppressed", []mail.Bounce{one(mail.Soft, 314, "kim@example.com", "", "605 Not delivering to previously bounced address")}},
	{"mailgun-complained", []mail.Bounce{one(mail.Complaint, 315, "lea@example.com", "", "marked as spam")}},
	{"mailgun-delivered", nil},
	{"postmark-hard", []mail.Bounce{one(mail.Hard, 321, "nan@example.com", "5.1.1", "550 5.1.1 User unknown")}},
	{"postmark-hard-but-full", []mail.Bounce{one(mail.Soft, 322, "ole@example.com", "5.2.2", "552 5.2.2 Mailbox full")}},
	{"postmark-blocked", []mail.Bounce{one(mail.Soft, 323, "pat@example.com", "5.7.1", "550 5.7.1 blocked using zen")}},
	{"postmark-absent", nil},
	{"postmark-complaint", []mail.Bounce{one(mail.Complaint, 325, "ria@example.com", "", "marked as spam")}},
	{"sendgrid-batch", []mail.Bounce{
		one(mail.Hard, 331, "sue@example.com", "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
		one(mail.Soft, 332, "tom@example.com", "5.7.1", "550 5.7.1 spam"),
		one(mail.Soft, 333, "una@example.com", "5.2.2", "552 5.2.2 full"),
		one(mail.Soft, 335, "wim@example.com", "5.0.0", "Bounced Address"),
		one(mail.Complaint, 336, "xia@example.com", "", "marked as spam"),
	}},
	{"generic-one", []mail.Bounce{one(mail.Hard, 341, "amy@example.com", "5.1.1", "no such user")}},
	{"generic-list", []mail.Bounce{one(mail.Soft, 342, "", "5.2.2", "mailbox full"), one(mail.Complaint, 0, "bob@example.com", "", "")}},
}

func report(t testing.TB, name string) (mail.Provider, []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "webhooks", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	provider, _, _ := strings.Cut(name, "-")
	return mail.Provider(provider), raw
}

func TestWebhooks(t *testing.T) {
	for _, test := range reports {
		from, raw := report(t, test.name)
		got, err := mail.ParseWebhook(from, raw)
		if err != nil || !reflect.DeepEqual(got.Bounces, test.want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", test.name, err, got.Bounces, test.want)
		}
		if (got.SNS != nil) != (from == mail.SES) {
			t.Errorf("%s: SNS %+v", test.name, got.SNS)
		}
		for _, other := range []mail.Provider{mail.SES, mail.Mailgun, mail.Postmark, mail.SendGrid, mail.Generic} {
			if got, err := mail.ParseWebhook(other, raw); other != from && err == nil {
				t.Errorf("%s read as one of %s: %+v", test.name, other, got)
			}
		}
	}
	files, err := filepath.Glob("testdata/webhooks/*.json")
	if err != nil || len(files) != len(reports) {
		t.Errorf("%d files, %d reports, %v", len(files), len(reports), err)
	}
}

func TestBadWebhooks(t *testing.T) {
	for _, test := range []struct {
		from mail.Provider
		body string
		want string
	}{
		{"nobody", `{}`, "unknown provider"},
		{mail.Generic, ``, "not as expected"},
		{mail.Generic, `{"kind":"hard","recipient":"a@example.com"} {}`, "something follows"},
		{mail.Generic, `{"kind":"hard","recipient":"a@example.com","extra":1}`, "unknown field"},
		{mail.Generic, `{"kind":"Hard","recipient":"a@example.com"}`, "write hard, soft or complaint"},
		{mail.Generic, `{"kind":"hard"}`, "message_id or recipient is needed"},
		{mail.Generic, `{"kind":"hard","recipient":"a@b c"}`, "not an e-mail address"},
		{mail.Generic, `{"kind":"hard","message_id":"a\r\nb@c"}`, "no message id"},
		{mail.Generic, `{"kind":"hard","recipient":"a@example.com","status":"2.0.0"}`, "RFC 3463"},
		{mail.Generic, `[{"kind":"hard","recipient":"a@example.com"},{"kind":"soft"}]`, "bounce 2:"},
		{mail.Generic, "[" + strings.Repeat(`{"kind":"soft","recipient":"a@example.com"},`, 5000) + `{"kind":"soft","recipient":"a@example.com"}]`, "more than 5000"},
		{mail.Generic, strings.Repeat(" ", mail.MaxWebhook+1), "more than"},
		{mail.SendGrid, strings.Repeat("[", 100_000), "not as expected"},
		{mail.SendGrid, `{"event":"bounce"}`, "not as expected"},
		{mail.Mailgun, `{"event-data":{}}`, "event-data is missing"},
		{mail.Postmark, `{}`, "RecordType is missing"},
		{mail.SES, `{"Type":"Something"}`, "of SNS"},
		{mail.SES, `{"Type":"Notification","Message":"{}"}`, "raw message delivery"},
		{mail.SES, `{"Type":"Notification","Message":"{\"bounce\":7}","Signature":"x","SigningCertURL":"y"}`, "not as expected"},
	} {
		got, err := mail.ParseWebhook(test.from, []byte(test.body))
		if err == nil || !strings.Contains(err.Error(), test.want) || got.Bounces != nil || got.SNS != nil {
			t.Errorf("%s %.80s: %+v %v, want %q", test.from, test.body, got, err, test.want)
		}
	}
}

func TestVerifyMailgun(t *testing.T) {
	const key = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
	now := time.Unix(1_795_424_500, 0)
	signed := func(key, timestamp, token string) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(timestamp + token))
		return []byte(fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":%q},"event-data":{"event":"failed"}}`, timestamp, token, hex.EncodeToString(mac.Sum(nil))))
	}
	if err := mail.VerifyMailgun(key, signed(key, "1795424404", "abc"), now); err != nil {
		t.Error(err)
	}
	for name, body := range map[string][]byte{
		"another key":  signed("other", "1795424404", "abc"),
		"no token":     signed(key, "1795424404", ""),
		"old":          signed(key, "1795324404", "abc"),
		"of tomorrow":  signed(key, "1795524404", "abc"),
		"no time":      signed(key, "soon", "abc"),
		"no signature": []byte(`{"signature":{"timestamp":"1795424404","token":"abc","signature":""}}`),
		"no JSON":      []byte("x"),
	} {
		if mail.VerifyMailgun(key, body, now) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if mail.VerifyMailgun("", signed("", "1795424404", "abc"), now) == nil {
		t.Error("an empty key was taken")
	}
}

func TestVerifySendGrid(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(der)
	_, body := report(t, "sendgrid-batch")
	now := time.Unix(1_795_424_500, 0)
	sign := func(timestamp string, body []byte) string {
		sum := sha256.Sum256(append([]byte(timestamp), body...))
		s, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(s)
	}
	good := sign("1795424404", body)
	if err := mail.VerifySendGrid(key, good, "1795424404", body, now); err != nil {
		t.Error(err)
	}
	old := strconv.FormatInt(now.Add(-26*time.Hour).Unix(), 10)
	for name, err := range map[string]error{
		"another body":  mail.VerifySendGrid(key, good, "1795424404", append(body, ' '), now),
		"another time":  mail.VerifySendGrid(key, good, "1795424405", body, now),
		"old":           mail.VerifySendGrid(key, sign(old, body), old, body, now),
		"no signature":  mail.VerifySendGrid(key, "", "1795424404", body, now),
		"not base64":    mail.VerifySendGrid(key, "!", "1795424404", body, now),
		"key not DER":   mail.VerifySendGrid("AAAA", good, "1795424404", body, now),
		"key not valid": mail.VerifySendGrid("!", good, "1795424404", body, now),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestVerifySNS(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 9, 1, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	const topic = "arn:aws:sns:eu-west-1:123456789012:bounces"
	for name, order := range map[string][]string{
		"ses-unknown-user": {"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"},
		"ses-confirmation": {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"},
	} {
		_, raw := report(t, name)
		var fields map[string]string
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range order {
			text.WriteString(f + "\n" + fields[f] + "\n")
		}
		one, two := sha1.Sum([]byte(text.String())), sha256.Sum256([]byte(text.String()))
		for version, sum := range map[string]struct {
			hash crypto.Hash
			sum  []byte
		}{"1": {crypto.SHA1, one[:]}, "2": {crypto.SHA256, two[:]}} {
			signature, err := rsa.SignPKCS1v15(nil, private, sum.hash, sum.sum)
			if err != nil {
				t.Fatal(err)
			}
			fields["SignatureVersion"], fields["Signature"] = version, base64.StdEncoding.EncodeToString(signature)
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			w, err := mail.ParseWebhook(mail.SES, body)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.SNS.Verify(certificate, topic, now); err != nil {
				t.Errorf("%s version %s: %v", name, version, err)
			}
			if (w.SNS.Confirmation() != "") != (name == "ses-confirmation") || w.SNS.Certificate() == "" {
				t.Errorf("%q %q", w.SNS.Confirmation(), w.SNS.Certificate())
			}
			for what, spoil := range map[string]func(*mail.SNS){
				"message": func(s *mail.SNS) { s.Message += " " }, "topic": func(s *mail.SNS) { s.TopicArn += "x" },
				"version": func(s *mail.SNS) { s.SignatureVersion = "3" }, "signature": func(s *mail.SNS) { s.Signature = "AAAA" },
				"time": func(s *mail.SNS) { s.Timestamp = "2026-11-20T09:00:05.123Z" },
			} {
				bad := *w.SNS
				if spoil(&bad); bad.Verify(certificate, topic, now) == nil {
					t.Errorf("%s: a changed %s passes", name, what)
				}
			}
			if w.SNS.Verify(certificate, topic, now.Add(26*time.Hour)) == nil || w.SNS.Verify(certificate, topic, now.Add(72*time.Hour)) == nil {
				t.Error("an old report, or an old certificate, passes")
			}
		}
	}
}

// What leads elsewhere than to Amazon is not fetched.
func TestAmazonOnly(t *testing.T) {
	for _, bad := range []string{
		"http://sns.eu-west-1.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com.example.org/x.pem", "https://example.org/sns.eu-west-1.amazonaws.com/x.pem",
		"https://user@sns.eu-west-1.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com:8443/x.pem", "https://s3.eu-west-1.amazonaws.com/x.pem", "https://169.254.169.254/x.pem", "",
	} {
		s := mail.SNS{Type: "SubscriptionConfirmation", SubscribeURL: bad, SigningCertURL: bad}
		if s.Confirmation() != "" || s.Certificate() != "" {
			t.Errorf("%s", bad)
		}
	}
}

func FuzzWebhook(f *testing.F) {
	for _, r := range reports {
		from, raw := report(f, r.name)
		f.Add(string(from), raw)
	}
	f.Fuzz(func(t *testing.T, from string, raw []byte) {
		w, err := mail.ParseWebhook(mail.Provider(from), raw)
		for _, b := range w.Bounces {
			sound(t, b, err)
		}
		if w.SNS != nil {
			_, _ = w.SNS.Confirmation(), w.SNS.Certificate()
		}
	})
}
