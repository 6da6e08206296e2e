package clients

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/tests/house"
)

// talker is a program that one talks to by its standard input and output.
type talker struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser

	mu   sync.Mutex
	said bytes.Buffer // what was not expected yet
	all  bytes.Buffer // both directions
	end  bool
}

func talk(t *testing.T, name string, args ...string) *talker {
	t.Helper()
	p := &talker{t: t, cmd: exec.Command(name, args...)}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = p
	var errors bytes.Buffer
	p.cmd.Stderr = &errors
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the program
		defer close(ended)
		_ = p.cmd.Wait() // how it ends is no matter: the server closes the line
		p.mu.Lock()
		p.end = true
		p.mu.Unlock()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-ended
		t.Logf("%s\n%s\n%s", strings.Join(p.cmd.Args, " "), p.all.Bytes(), errors.Bytes())
	})
	return p
}

// Write takes what the program says.
func (p *talker) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said.Write(b)
	fmt.Fprintf(&p.all, "S: %s\n", b)
	return len(b), nil
}

func (p *talker) say(format string, args ...any) {
	p.t.Helper()
	text := fmt.Sprintf(format, args...)
	p.mu.Lock()
	fmt.Fprintf(&p.all, "C: %s\n", text)
	p.mu.Unlock()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		p.t.Fatal(err)
	}
}

// hear waits for a text and takes everything up to its end.
func (p *talker) hear(text string) string {
	p.t.Helper()
	for end := time.Now().Add(house.Patience); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		b, over := p.said.Bytes(), p.end
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			heard := string(b[:i+len(text)])
			p.said.Next(len(heard))
			p.mu.Unlock()
			return heard
		}
		p.mu.Unlock()
		if over || time.Now().After(end) {
			p.t.Fatalf("%q was not said, but %q; program ended: %v", text, b, over)
		}
	}
}

const header = "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='de' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// TestOpenSSL has conversations by hand, through STARTTLS and with direct TLS.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		missing(t, "openssl", "apt-get install openssl")
	}
	s := house.New(t, house.Options{People: []string{"ada"}})
	common := []string{"s_client", "-CAfile", s.Certificate(), "-verify_return_error", "-verify_hostname", s.Domain, "-quiet", "-no_ign_eof"}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"starttls", []string{"-starttls", "xmpp", "-xmpphost", s.Domain, "-connect", s.Addr("c2s")}},
		{"starttls with TLS 1.2", []string{"-starttls", "xmpp", "-xmpphost", s.Domain, "-tls1_2", "-connect", s.Addr("c2s")}},
		{"direct", []string{"-alpn", "xmpp-client", "-servername", s.Domain, "-connect", s.Addr("c2s-tls")}},
		{"direct without a server name", []string{"-alpn", "xmpp-client", "-noservername", "-connect", s.Addr("c2s-tls")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := talk(t, "openssl", append(common, c.args...)...)
			p.say(header, s.Domain)
			features := p.hear("</stream:features>")
			if strings.Contains(features, "starttls") || !strings.Contains(features, "<mechanism>PLAIN</mechanism>") {
				t.Errorf("features within TLS: %s", features)
			}
			p.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>",
				base64.StdEncoding.EncodeToString([]byte("\x00ada\x00"+house.Password)))
			p.hear("<success")
			p.say(header, s.Domain)
			p.hear("</stream:features>")
			p.say("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>shell</resource></bind></iq>")
			p.hear("ada@house.test/shell</jid>")
			p.say("<iq type='get' id='p1' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", s.Domain)
			p.hear("id='p1'")
			p.say("<presence/>")
			p.say("<message to='ada@house.test' type='chat' id='m1'><body>a note to myself</body></message>")
			if m := p.hear("</message>"); !strings.Contains(m, "a note to myself") || !strings.Contains(m, "stanza-id") {
				t.Errorf("the message came back as %s", m)
			}
			p.say("<message to='nobody@house.test' type='chat' id='m2'><body>hello?</body></message>")
			p.hear("service-unavailable")
			p.say("</stream:stream>")
			p.hear("</stream:stream>")
		})
	}
}

// TestNoApplicationProtocol: who asks direct TLS for another protocol is
// refused in the handshake (RFC 7301 §3.2).
func TestNoApplicationProtocol(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		missing(t, "openssl", "apt-get install openssl")
	}
	s := house.New(t, house.Options{})
	out, err := exec.Command("openssl", "s_client", "-alpn", "h2", "-servername", s.Domain, "-connect", s.Addr("c2s-tls")).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("no application protocol")) {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}
