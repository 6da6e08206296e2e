package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/emersion/go-msgauth/dkim"
)

// A scripted relay answers as it is told. What it heard, a line each without
// content, ends up in heard when the line ends.
type scripted struct {
	offers []string                                 // after EHLO
	answer func(command string, message int) string // "" is the usual answer
	heard  chan []string
}

// serve takes one connection.
func (s *scripted) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.heard = make(chan []string, 1)
	go func() { // ends with the connection
		conn, err := l.Accept()
		_ = l.Close()
		if err == nil {
			s.talk(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return "smtp://" + l.Addr().String()
}

func (s *scripted) talk(conn net.Conn) {
	var heard []string
	defer func() { s.heard <- heard }()
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	content, message := false, 1
	say := func(command, usual string) bool {
		if s.answer != nil {
			if a := s.answer(command, message); a != "" {
				usual = a
			}
		}
		if usual == "HANG UP" {
			return false
		}
		content = command == "DATA" && strings.HasPrefix(usual, "354")
		_, err := fmt.Fprintf(conn, "%s\r\n", usual)
		return err == nil
	}
	if !say("greeting", "220 scripted.test ESMTP") {
		return
	}
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		text = strings.TrimSuffix(text, "\r\n")
		usual := "250 2.0.0 ok"
		switch verb, _, _ := strings.Cut(text, " "); {
		case content && text != ".":
			continue
		case content:
			if !say(".", usual) {
				return
			}
			message++
			continue
		case verb == "EHLO":
			usual = "250-scripted.test\r\n250-" + strings.Join(append(s.offers, "HELP"), "\r\n250-")
			usual = usual[:strings.LastIndex(usual, "250-")] + "250 HELP"
		case verb == "DATA":
			usual = "354 go on"
		case verb == "QUIT":
			usual = "221 bye"
		}
		heard = append(heard, text)
		if !say(text, usual) || text == "QUIT" {
			return
		}
	}
}

// commands are those after EHLO.
func (s *scripted) commands() []string { return (<-s.heard)[1:] }

// started is dial without the check of Close: some of these relays are gone.
func started(t *testing.T, cfg mail.RelayConfig) *mail.Conn {
	t.Helper()
	r, err := mail.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Dial(context.Background()) // ends with Close
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// What is said to the relay, and only that.
func TestCommands(t *testing.T) {
	for _, test := range []struct {
		name   string
		offers []string
		to     string
		want   []string
		state  mail.State
	}{
		{"bare", nil, "joerg@example.net", []string{"MAIL FROM:<bounces@example.org>", "RCPT TO:<joerg@example.net>", "DATA", "QUIT"}, mail.Accepted},
		{"pipelining", []string{"PIPELINING", "8BITMIME"}, "joerg@example.net", []string{"MAIL FROM:<bounces@example.org>", "RCPT TO:<joerg@example.net>", "DATA", "QUIT"}, mail.Accepted},
		{"SMTPUTF8 without need", []string{"SMTPUTF8", "8BITMIME"}, "joerg@example.net", []string{"MAIL FROM:<bounces@example.org>", "RCPT TO:<joerg@example.net>", "DATA", "QUIT"}, mail.Accepted},
		{"IDN", nil, "joerg@Bücher.example", []string{"MAIL FROM:<bounces@example.org>", "RCPT TO:<joerg@xn--bcher-kva.example>", "DATA", "QUIT"}, mail.Accepted},
		{"letters beyond ASCII", []string{"SMTPUTF8", "8BITMIME"}, "jörg@bücher.example", []string{"MAIL FROM:<bounces@example.org> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<jörg@xn--bcher-kva.example>", "DATA", "QUIT"}, mail.Accepted},
		{"letters beyond ASCII, not offered", []string{"8BITMIME"}, "jörg@bücher.example", []string{"QUIT"}, mail.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &scripted{offers: test.offers}
			c := started(t, mail.RelayConfig{URL: s.serve(t)})
			if o := c.Send(message(test.to), nothing); o.State != test.state {
				t.Errorf("%+v", o)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if got := s.commands(); strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("%q\nwant %q", got, test.want)
			}
		})
	}
}

// A refusal in any place leaves the line in step: the next message goes.
func TestInStep(t *testing.T) {
	for _, offers := range [][]string{nil, {"PIPELINING", "SIZE 10000000"}} {
		for verb, want := range map[string]mail.Outcome{
			"MAIL": {State: mail.Refused, Code: 550, Status: "5.7.1", Reason: "550 5.7.1 go away, and stay there"},
			"RCPT": {State: mail.Refused, Code: 550, Status: "5.7.1", Reason: "550 5.7.1 go away, and stay there"},
			"DATA": {State: mail.Refused, Code: 550, Status: "5.7.1", Reason: "550 5.7.1 go away, and stay there"},
			".":    {State: mail.Refused, Code: 550, Status: "5.7.1", Reason: "550 5.7.1 go away, and stay there"},
		} {
			refuse := true
			s := &scripted{offers: offers, answer: func(command string, _ int) string {
				if refuse && strings.HasPrefix(command, verb) {
					refuse = false
					return "550-5.7.1 go away,\r\n550 5.7.1 and stay there"
				}
				return ""
			}}
			c := started(t, mail.RelayConfig{URL: s.serve(t), Timeout: 5 * time.Second})
			if o := c.Send(message("a@example.net"), nothing); o != want || !c.Alive() {
				t.Errorf("%v %s: %+v, alive %v", offers, verb, o, c.Alive())
			}
			if o := c.Send(message("b@example.net"), nothing); o.State != mail.Accepted {
				t.Errorf("%v %s, then: %+v", offers, verb, o)
			}
		}
	}
}

// Relays that misbehave: nothing is taken for accepted that is not, and nothing
// for not accepted that may be.
func TestOddRelays(t *testing.T) {
	endless := strings.Repeat("250-more\r\n", 40_000) + "250 done"
	for _, test := range []struct {
		name   string
		answer func(command string, message int) string
		want   [2]mail.State // of two messages
		handed int
	}{
		{"another 2xx is yes", func(c string, _ int) string { return when(c == ".", "252 maybe") }, [2]mail.State{mail.Accepted, mail.Accepted}, 2},
		{"a 3xx at the end is no answer", func(c string, _ int) string { return when(c == ".", "354 more") }, [2]mail.State{mail.Ambiguous, mail.Later}, 1},
		{"no code at the end", func(c string, _ int) string { return when(c == ".", "what?") }, [2]mail.State{mail.Ambiguous, mail.Later}, 1},
		{"two answers to one", func(c string, n int) string { return when(n == 1 && c == ".", "250 ok\r\n250 ok") }, [2]mail.State{mail.Accepted, mail.Later}, 1},
		{"two answers to RCPT", func(c string, _ int) string { return when(strings.HasPrefix(c, "RCPT"), "250 ok\r\n250 ok") }, [2]mail.State{mail.Later, mail.Later}, 1},
		{"endless answer", func(c string, _ int) string { return when(strings.HasPrefix(c, "RCPT"), endless) }, [2]mail.State{mail.Later, mail.Later}, 0},
		{"one message, then 421", func(c string, n int) string {
			return when(n == 2 && strings.HasPrefix(c, "MAIL"), "421 4.7.0 too many messages")
		}, [2]mail.State{mail.Accepted, mail.Later}, 1},
		{"one message, then gone", func(c string, n int) string { return when(n == 2, "HANG UP") }, [2]mail.State{mail.Accepted, mail.Later}, 1},
		{"gone at DATA", func(c string, n int) string { return when(c == "DATA", "HANG UP") }, [2]mail.State{mail.Later, mail.Later}, 1},
		{"gone at the end", func(c string, n int) string { return when(c == ".", "HANG UP") }, [2]mail.State{mail.Ambiguous, mail.Later}, 1},
		{"421 at the end", func(c string, n int) string { return when(c == ".", "421 4.3.0 closing") }, [2]mail.State{mail.Later, mail.Later}, 1},
	} {
		for _, offers := range [][]string{nil, {"PIPELINING"}} {
			t.Run(fmt.Sprint(test.name, offers), func(t *testing.T) {
				s := &scripted{offers: offers, answer: test.answer}
				c := started(t, mail.RelayConfig{URL: s.serve(t), Timeout: 5 * time.Second})
				handed := 0
				for i, want := range test.want {
					if o := c.Send(message("a@example.net"), func() error { handed++; return nil }); o.State != want {
						t.Errorf("message %d: %+v, want %s", i+1, o, want)
					}
				}
				if handed != test.handed {
					t.Errorf("%d handed, want %d", handed, test.handed)
				}
			})
		}
	}
}

func when(yes bool, answer string) string {
	if yes {
		return answer
	}
	return ""
}

// A relay that takes a message and is slow to hand over what was written down
// does not lose the line: each answer has its own time.
func TestSlowHanding(t *testing.T) {
	t.Parallel() // it waits
	s := &scripted{}
	c := started(t, mail.RelayConfig{URL: s.serve(t), Timeout: 3 * time.Second})
	o := c.Send(message("a@example.net"), func() error { time.Sleep(3200 * time.Millisecond); return nil })
	if o.State != mail.Accepted {
		t.Errorf("%+v", o)
	}
}

func TestSignIn(t *testing.T) {
	for _, test := range []struct{ offer, want string }{
		{"AUTH LOGIN PLAIN", "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00hr\x00s3cret"))},
		{"AUTH LOGIN", "AUTH LOGIN"},
		{"AUTH GSSAPI", ""},
		{"", ""},
	} {
		s := &scripted{answer: func(command string, _ int) string {
			switch {
			case command == "AUTH LOGIN":
				return "334 VXNlcm5hbWU6"
			case command == base64.StdEncoding.EncodeToString([]byte("hr")):
				return "334 UGFzc3dvcmQ6"
			case strings.HasPrefix(command, "AUTH PLAIN"), command == base64.StdEncoding.EncodeToString([]byte("s3cret")):
				return "235 2.7.0 welcome"
			}
			return ""
		}}
		if test.offer != "" {
			s.offers = []string{test.offer}
		}
		r, err := mail.NewRelay(mail.RelayConfig{URL: strings.Replace(s.serve(t), "smtp://", "smtp://hr:s3cret@", 1)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.Dial(t.Context())
		if (err == nil) != (test.want != "") {
			t.Errorf("%q: %v", test.offer, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is told: %v", err)
			}
			<-s.heard // the line was cut
			continue
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got := s.commands(); got[0] != test.want {
			t.Errorf("%q: %q", test.offer, got)
		}
	}
}

// A relay that greets and then says nothing does not hold who gives up.
func TestDialCancelled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	r, err := mail.NewRelay(mail.RelayConfig{URL: "smtp://" + l.Addr().String(), Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Dial(ctx)
		done <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("it was connected")
	}
	one := make([]byte, 1)
	if _, err := conn.Read(one); err == nil {
		t.Error("the line was not cut")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestImplicitTLS(t *testing.T) {
	cert, pool := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	s := &scripted{heard: make(chan []string, 1)}
	go func() { // ends with the connection
		if conn, err := l.Accept(); err == nil {
			s.talk(conn)
		}
	}()
	c := started(t, mail.RelayConfig{URL: "smtps://" + l.Addr().String(), TLS: &tls.Config{RootCAs: pool}})
	if o := c.Send(message("a@example.net"), nothing); o.State != mail.Accepted {
		t.Errorf("%+v", o)
	}
}

// Addresses and fields that would be read as something else.
func TestInjection(t *testing.T) {
	s := sink(t, &mailtest.Sink{}, nil)
	c := dial(t, mail.RelayConfig{URL: s.URL()})
	for name, spoil := range map[string]func(*mail.Message){
		"parameter in a quoted recipient": func(m *mail.Message) { m.To.Mail = `"x> NOTIFY=NEVER <y"@example.org` },
		"what a quoted one comes to":      func(m *mail.Message) { m.To.Mail = `x> NOTIFY=NEVER <y@example.org` },
		"parameter in the sender":         func(m *mail.Message) { m.Sender = "a@example.org> SIZE=1 <b@example.org" },
		"name and address as recipient":   func(m *mail.Message) { m.To.Mail = "X <x@example.org>" },
		"two recipients":                  func(m *mail.Message) { m.To.Mail = "a@example.org,b@example.org" },
		"a machine as recipient":          func(m *mail.Message) { m.To.Mail = "root@[127.0.0.1]" },
		"a space":                         func(m *mail.Message) { m.To.Mail = "a b@example.org" },
		"dots":                            func(m *mail.Message) { m.To.Mail = "a..b@example.org" },
		"a domain that is none":           func(m *mail.Message) { m.To.Mail = "a@-x.example.org" },
		"direction marks":                 func(m *mail.Message) { m.To.Mail = "a\u202eb@example.org" },
		"a name with a line":              func(m *mail.Message) { m.From.Name = "x\u2028y" },
		"another list to leave":           func(m *mail.Message) { m.Unsubscribe = "https://example.org/u>, <https://evil.example/" },
		"user in unsubscribe":             func(m *mail.Message) { m.Unsubscribe = "https://example.org@evil.example/" },
		"long unsubscribe":                func(m *mail.Message) { m.Unsubscribe = "https://example.org/" + strings.Repeat("x", 900) },
		"language":                        func(m *mail.Message) { m.Language = "de, en; q=1" },
		"id with a space":                 func(m *mail.Message) { m.ID = "a b@c" },
		"id with two @":                   func(m *mail.Message) { m.ID = "a@b@c" },
		"long id":                         func(m *mail.Message) { m.ID = strings.Repeat("a", 250) + "@b" },
		"text not UTF-8":                  func(m *mail.Message) { m.Text = "\xff" },
	} {
		m := message("joerg@example.net")
		spoil(m)
		handed := false
		if o := c.Send(m, func() error { handed = true; return nil }); o.State != mail.Refused || handed || !c.Alive() {
			t.Errorf("%s: %+v, handed %v", name, o, handed)
		}
	}
	for _, bad := range []string{`"a b"@example.org`, "a@[192.0.2.1]", "=?utf-8?q?x=0D=0ABcc:_y?= <a@example.org>", "a@b@c", "@b", "a@", "a@x_y.example"} {
		if got, err := mail.ParseAddress(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	for _, good := range []string{"a@b", "Jo <o'hara+x=y@sub.example.org>", "jörg@bücher.example", "a@xn--bcher-kva.example"} {
		if _, err := mail.ParseAddress(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if s.Taken() != 0 {
		t.Errorf("%d were taken", s.Taken())
	}
}

// Whatever is in a message: its lines are short, its header is read as meant,
// its dots arrive, and the signature holds.
func TestWire(t *testing.T) {
	key := mail.Key{Domain: "bücher.example", Selector: "s1", PEM: keys(t)["ed25519"]}
	record, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 3000)
	for name, change := range map[string]func(*mail.Message){
		"as it is":               func(*mail.Message) {},
		"long lines":             func(m *mail.Message) { m.Text, m.HTML = long+"\n."+long, "<p>"+long+"</p>" },
		"text only":              func(m *mail.Message) { m.HTML = "" },
		"dots":                   func(m *mail.Message) { m.Text, m.HTML = ".\r\n..\r\n.x\r\n", "" },
		"bare CR and LF":         func(m *mail.Message) { m.Text = "a\rb\nc\r\nd" },
		"a boundary in the text": func(m *mail.Message) { m.Text = "--=_0\n--=_\n" },
		"folded subject":         func(m *mail.Message) { m.Subject = strings.TrimSpace(strings.Repeat("wort ", 49)) },
		"one long word":          func(m *mail.Message) { m.Subject = strings.Repeat("w", 250) },
		"encoded subject":        func(m *mail.Message) { m.Subject = strings.Repeat("ü🙂 ", 80) + "." },
		"looks encoded":          func(m *mail.Message) { m.Subject = "=?utf-8?q?=0D=0ABcc:_x?= äh" },
		"name looks encoded":     func(m *mail.Message) { m.To.Name = "=?utf-8?q?Boss?=" },
		"long name":              func(m *mail.Message) { m.To.Name = strings.Repeat("Wolfeschlegelstein ", 40) },
		"name with quotes":       func(m *mail.Message) { m.To.Name = `a "b" \c` },
		"long id":                func(m *mail.Message) { m.ID = strings.Repeat("i", 200) + "@outreach.example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			s := sink(t, &mailtest.Sink{}, nil)
			c := dial(t, mail.RelayConfig{URL: s.URL(), Keys: []mail.Key{key}})
			m := message("joerg@example.net")
			m.From.Mail = "hr@BÜCHER.example"
			change(m)
			for range 2 {
				if o := c.Send(m, nothing); o.State != mail.Accepted {
					t.Fatalf("%+v", o)
				}
			}
			raw := s.Deliveries()[0].Raw
			for text := range bytes.Lines(raw) {
				if len(text) > 1000 || !bytes.HasSuffix(text, []byte("\r\n")) || bytes.Count(text, []byte("\r")) != 1 {
					t.Errorf("line %.80q of %d bytes", text, len(text))
				}
			}
			if i := bytes.IndexFunc(raw, func(r rune) bool { return r > '~' }); i >= 0 {
				t.Errorf("beyond ASCII at %d", i)
			}
			_, first, _ := bytes.Cut(raw, []byte("\nDate: "))
			if _, second, _ := bytes.Cut(s.Deliveries()[1].Raw, []byte("\nDate: ")); !bytes.Equal(first, second) {
				t.Error("sent twice, it is not the same")
			}
			read(t, raw, m)
			verified, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "s1._domainkey.xn--bcher-kva.example" {
					return nil, errors.New(name)
				}
				return []string{record}, nil
			}})
			if err != nil || len(verified) != 1 || verified[0].Err != nil {
				t.Errorf("signature: %v %+v", err, verified)
			}
		})
	}
}

// read compares what arrives with what was meant.
func read(t *testing.T, raw []byte, want *mail.Message) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != want.Subject {
		t.Errorf("subject %q %v", subject, err)
	}
	to, err := m.Header.AddressList("To")
	name := []rune(want.To.Name)
	if err != nil || len(to) != 1 || to[0].Address != want.To.Mail || to[0].Name != strings.TrimSpace(string(name[:min(len(name), 120)])) {
		t.Errorf("to %+v %v", to, err)
	}
	if id := m.Header.Get("Message-Id"); id != "<"+want.ID+">" {
		t.Errorf("id %q", id)
	}
	if len(m.Header["Bcc"]) > 0 || len(m.Header["From"]) != 1 || len(m.Header["List-Unsubscribe"]) != 1 {
		t.Errorf("header %v", m.Header)
	}
	if want.HTML == "" {
		return
	}
	lines := func(s string) string {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
		return strings.TrimRight(s, "\n")
	}
	if text := part(t, m, 0); lines(text) != lines(want.Text) {
		t.Errorf("text %.200q", text)
	}
}

// One click is for https (RFC 8058 §3.1).
func TestUnsubscribe(t *testing.T) {
	s := sink(t, &mailtest.Sink{}, nil)
	c := dial(t, mail.RelayConfig{URL: s.URL()})
	m := message("joerg@example.net")
	m.Unsubscribe = "http://127.0.0.1:8080/u/abc"
	if o := c.Send(m, nothing); o.State != mail.Accepted {
		t.Fatalf("%+v", o)
	}
	got, err := netmail.ReadMessage(bytes.NewReader(s.Deliveries()[0].Raw))
	if err != nil || got.Header.Get("List-Unsubscribe") != "<http://127.0.0.1:8080/u/abc>" || got.Header.Get("List-Unsubscribe-Post") != "" {
		t.Errorf("%v %v", got.Header, err)
	}
}

func TestDead(t *testing.T) {
	for _, test := range []struct {
		o    mail.Outcome
		want bool
	}{
		{mail.Outcome{State: mail.Refused, Code: 550, Status: "5.1.1", Reason: "550 5.1.1 no such user"}, true},
		{mail.Outcome{State: mail.Refused, Code: 550, Reason: "550 user unknown"}, true},
		{mail.Outcome{State: mail.Later, Code: 450, Status: "4.1.1", Reason: "450 4.1.1 user unknown"}, false},
		{mail.Outcome{State: mail.Refused, Code: 550, Status: "5.1.1", Reason: "550 5.1.1 sender address rejected"}, false},
		{mail.Outcome{State: mail.Refused, Code: 550, Status: "5.2.1", Reason: "550 5.2.1 mailbox disabled"}, false},
		{mail.Outcome{State: mail.Refused, Code: 554, Status: "5.7.1", Reason: "554 5.7.1 looks like spam"}, false},
		{mail.Outcome{State: mail.Refused, Reason: "to: no such user"}, false}, // our own words
	} {
		if got := test.o.Dead(); got != test.want {
			t.Errorf("%+v: %v", test.o, got)
		}
	}
}
