package mail_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/emersion/go-msgauth/dkim"
)

func message(to string) *mail.Message {
	return &mail.Message{
		ID: "i-17@outreach.example.org", Date: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		From: mail.Address{Name: "Amélie, HR", Mail: "amelie@example.org"}, To: mail.Address{Name: "Jörg \"Joe\" <x>", Mail: to},
		ReplyTo: mail.Address{Mail: "people@example.org"}, Sender: "bounces@example.org",
		Subject: "Wie geht es Ihnen, Jörg? 🙂", Text: "Guten Tag Jörg,\n\n.ein Punkt am Anfang\nhttps://example.org/c/#abc\n",
		HTML: "<p>Guten Tag Jörg</p>", Language: "de", Unsubscribe: "https://example.org/u/abc",
	}
}

func sink(t testing.TB, s *mailtest.Sink, cert *tls.Certificate) *mailtest.Sink {
	t.Helper()
	if err := s.Start(cert); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t testing.TB, cfg mail.RelayConfig) *mail.Conn {
	t.Helper()
	r, err := mail.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Dial(context.Background()) // ends in Cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func nothing() error { return nil }

func TestSend(t *testing.T) {
	s := sink(t, &mailtest.Sink{}, nil)
	c := dial(t, mail.RelayConfig{URL: s.URL()})
	for range 3 { // one connection carries many
		if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted {
			t.Fatalf("%+v", o)
		}
	}
	got := s.Deliveries()
	if len(got) != 3 || got[0].ID != "i-17@outreach.example.org" || got[0].From != "bounces@example.org" || got[0].To != "joerg@example.net" {
		t.Fatalf("%+v", got)
	}
	m, err := netmail.ReadMessage(bytes.NewReader(got[0].Raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Wie geht es Ihnen, Jörg? 🙂" {
		t.Errorf("subject %q %v", subject, err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Name != "Amélie, HR" {
		t.Errorf("from %v %v", from, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Name != `Jörg "Joe" <x>` || to[0].Address != "joerg@example.net" {
		t.Errorf("to %v %v", to, err)
	}
	for k, v := range map[string]string{
		"List-Unsubscribe": "<https://example.org/u/abc>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Auto-Submitted": "auto-generated", "Content-Language": "de", "Date": "Mon, 23 Nov 2026 09:00:00 +0000",
	} {
		if got := m.Header.Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	text := part(t, m, 0)
	if !strings.Contains(text, "\r\n.ein Punkt am Anfang\r\n") && !strings.Contains(text, "\n.ein Punkt am Anfang\n") {
		t.Errorf("text %q", text)
	}
}

// part is the n-th part of a multipart message, decoded.
func part(t *testing.T, m *netmail.Message, n int) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q %v", kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if n--; n < 0 {
			text, err := io.ReadAll(quotedprintable.NewReader(p))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  mailtest.Fault
		want   mail.State
		taken  int
		handed bool
		reason string
		alive  bool
	}{
		{"taken", mailtest.None, mail.Accepted, 1, true, "", true},
		{"later at the recipient", mailtest.Later, mail.Later, 0, false, "451 4.2.1 mailbox busy, try again", true},
		{"never at the recipient", mailtest.Never, mail.Refused, 0, false, "550 5.1.1 no such user", true},
		{"later after the content", mailtest.LaterData, mail.Later, 0, true, "451 4.3.0 try again later", true},
		{"never after the content", mailtest.NeverData, mail.Refused, 0, true, "554 5.7.1 looks like spam", true},
		{"thrown away, hung up", mailtest.HangUp, mail.Ambiguous, 0, true, "did not answer after the message", false},
		{"taken, hung up", mailtest.TakeHangUp, mail.Ambiguous, 1, true, "did not answer after the message", false},
		{"taken, silent", mailtest.Silent, mail.Ambiguous, 1, true, "did not answer after the message", false},
		{"closing", mailtest.Busy, mail.Later, 0, false, "421 4.3.2 too busy", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sink(t, &mailtest.Sink{Fault: func(string, int) mailtest.Fault { return test.fault }}, nil)
			c := dial(t, mail.RelayConfig{URL: s.URL(), Timeout: 300 * time.Millisecond})
			handed := false
			o := c.Send(message("joerg@example.net"), func() error { handed = true; return nil })
			if o.State != test.want || handed != test.handed || !strings.Contains(o.Reason, test.reason) || c.Alive() != test.alive {
				t.Errorf("%+v, handed %v, alive %v", o, handed, c.Alive())
			}
			if s.Taken() != test.taken {
				t.Errorf("the sink took %d", s.Taken())
			}
			if again := c.Send(message("x@example.net"), nothing); !test.alive && again.State != mail.Later {
				t.Errorf("a dead connection: %+v", again)
			}
		})
	}
}

// What cannot be written down is not sent.
func TestNotHanded(t *testing.T) {
	s := sink(t, &mailtest.Sink{}, nil)
	c := dial(t, mail.RelayConfig{URL: s.URL()})
	o := c.Send(message("joerg@example.net"), func() error { return errors.New("no database") })
	if o.State != mail.Later || o.Reason != "no database" || s.Taken() != 0 {
		t.Errorf("%+v, %d taken", o, s.Taken())
	}
	if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted || s.Taken() != 1 {
		t.Errorf("then: %+v, %d taken", o, s.Taken())
	}
}

// The end of the context ends what waits for an answer.
func TestCancel(t *testing.T) {
	s := sink(t, &mailtest.Sink{Fault: func(string, int) mailtest.Fault { return mailtest.Silent }}, nil)
	r, err := mail.NewRelay(mail.RelayConfig{URL: s.URL(), Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := r.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan mail.Outcome)
	go func() { done <- c.Send(message("joerg@example.net"), nothing) }()
	for s.Taken() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if o := <-done; o.State != mail.Ambiguous {
		t.Errorf("%+v", o)
	}
}

func TestBadMessages(t *testing.T) {
	s := sink(t, &mailtest.Sink{}, nil)
	c := dial(t, mail.RelayConfig{URL: s.URL()})
	for name, spoil := range map[string]func(*mail.Message){
		"header in the subject":     func(m *mail.Message) { m.Subject = "Hi\r\nBcc: everyone@example.org" },
		"header in a name":          func(m *mail.Message) { m.To.Name = "x\nBcc: y@example.org" },
		"command in the recipient":  func(m *mail.Message) { m.To.Mail = "a@b.c>\r\nRCPT TO:<d@e.f" },
		"command in the envelope":   func(m *mail.Message) { m.Sender = "a@b.c\r\nDATA" },
		"header in the language":    func(m *mail.Message) { m.Language = "de\r\nX: y" },
		"header in the unsubscribe": func(m *mail.Message) { m.Unsubscribe = "https://x\r\nX: y" },
		"no recipient":              func(m *mail.Message) { m.To.Mail = "" },
		"not an address":            func(m *mail.Message) { m.To.Mail = "nobody" },
		"no id":                     func(m *mail.Message) { m.ID = "" },
		"id with brackets":          func(m *mail.Message) { m.ID = "a>@b" },
		"no text":                   func(m *mail.Message) { m.Text = "" },
		"not UTF-8":                 func(m *mail.Message) { m.Subject = "\xff" },
		"long subject":              func(m *mail.Message) { m.Subject = strings.Repeat("x", 251) },
		"javascript to unsubscribe": func(m *mail.Message) { m.Unsubscribe = "javascript:alert(1)" },
	} {
		t.Run(name, func(t *testing.T) {
			m := message("joerg@example.net")
			spoil(m)
			handed := false
			if o := c.Send(m, func() error { handed = true; return nil }); o.State != mail.Refused || handed {
				t.Errorf("%+v, handed %v", o, handed)
			}
		})
	}
	if s.Taken() != 0 {
		t.Errorf("%d were taken", s.Taken())
	}
	if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted {
		t.Errorf("a good one then: %+v", o)
	}
}

func keys(t *testing.T) map[string][]byte {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for name, key := range map[string]any{"ed25519": ed, "rsa": old} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return out
}

func TestDKIM(t *testing.T) {
	for name, pem := range keys(t) {
		t.Run(name, func(t *testing.T) {
			key := mail.Key{Domain: "example.org", Selector: "s1", PEM: pem}
			record, err := key.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			s := sink(t, &mailtest.Sink{}, nil)
			c := dial(t, mail.RelayConfig{URL: s.URL(), Keys: []mail.Key{key}})
			if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted {
				t.Fatalf("%+v", o)
			}
			raw := s.Deliveries()[0].Raw
			lookup := &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "s1._domainkey.example.org" {
					return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
				}
				return []string{record}, nil
			}}
			verdict := func(raw []byte) error {
				v, err := dkim.VerifyWithOptions(bytes.NewReader(raw), lookup)
				if err != nil || len(v) != 1 {
					t.Fatalf("%d signatures, %v", len(v), err)
				}
				covered := strings.ToLower(strings.Join(v[0].HeaderKeys, " "))
				if !strings.Contains(covered, "list-unsubscribe list-unsubscribe-post") {
					t.Errorf("covered: %s", covered)
				}
				return v[0].Err
			}
			if err := verdict(raw); err != nil {
				t.Errorf("signature: %v", err)
			}
			if verdict(bytes.Replace(raw, []byte("example.org/u/abc"), []byte("example.org/u/abd"), 1)) == nil {
				t.Error("a changed unsubscribe address passes")
			}
		})
	}
}

func certificate(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pool
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	s := sink(t, &mailtest.Sink{}, cert)
	c := dial(t, mail.RelayConfig{URL: s.URL() + "?tls=must", TLS: &tls.Config{RootCAs: pool}})
	if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted {
		t.Fatalf("%+v", o)
	}
	r, err := mail.NewRelay(mail.RelayConfig{URL: s.URL() + "?tls=must"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Dial(t.Context()); err == nil {
		t.Error("a certificate nobody vouches for was taken")
	}
	plain := sink(t, &mailtest.Sink{}, nil)
	if r, err = mail.NewRelay(mail.RelayConfig{URL: plain.URL() + "?tls=must"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Dial(t.Context()); err == nil {
		t.Error("tls=must was content without TLS")
	}
}

func TestRelayURL(t *testing.T) {
	for _, bad := range []string{"", "mail.example.org", "http://mail.example.org", "smtp://", "smtp://h:99999", "smtp://h?tls=no", "smtp://h?x=y", "smtp://h/path"} {
		if _, err := mail.NewRelay(mail.RelayConfig{URL: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"smtp://h", "smtp://u:p@h:25", "smtps://h", "smtp://[::1]:25", "smtp://h?tls=may"} {
		if _, err := mail.NewRelay(mail.RelayConfig{URL: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		b.Fatal(err)
	}
	key := mail.Key{Domain: "example.org", Selector: "s1", PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
	for _, test := range []struct {
		name string
		keys []mail.Key
	}{{"plain", nil}, {"ed25519", []mail.Key{key}}} {
		b.Run(test.name, func(b *testing.B) {
			s := sink(b, &mailtest.Sink{Light: true}, nil)
			c := dial(b, mail.RelayConfig{URL: s.URL(), Keys: test.keys})
			for b.Loop() {
				if o := c.Send(message("joerg@example.net"), nothing); o.State != mail.Accepted {
					b.Fatalf("%+v", o)
				}
			}
		})
	}
}
