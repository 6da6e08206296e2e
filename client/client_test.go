package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var romeo = jid.MustParse("romeo@verona.example")

func config() client.Config {
	return client.Config{Account: romeo, Password: testPassword}
}

func context30(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// signIn gives a client that has signed in and bound.
func signIn(t *testing.T, s *fakeServer, cfg client.Config) *client.Client {
	t.Helper()
	c := client.New(s.pipe(), cfg)
	t.Cleanup(c.Cut)
	if err := c.SignIn(context30(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(context30(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignInBindClose(t *testing.T) {
	s := newFake(t)
	keys := &client.Keys{}
	for range 2 { // the second time with the keys of the first
		cfg := config()
		cfg.Keys = keys
		c := signIn(t, s, cfg)
		if got := c.JID().String(); got != "romeo@verona.example/here" {
			t.Errorf("bound %s", got)
		}
		if f := c.Features(); !f.Bind || !f.SM {
			t.Errorf("features %+v", f)
		}
		if err := c.Close(context30(t)); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := c.Send([]byte("<presence/>")); !errors.Is(err, client.ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	for _, cfg := range []client.Config{
		{Account: romeo, Password: "wrong"}, {Account: jid.MustParse("nobody@verona.example"), Password: testPassword},
	} {
		c := client.New(newFake(t).pipe(), cfg)
		err := c.SignIn(context30(t))
		var f *client.AuthError
		if !errors.As(err, &f) || f.Condition != "not-authorized" {
			t.Errorf("%s: %v", cfg.Account, err)
		}
		c.Cut()
	}
}

func TestNoMechanism(t *testing.T) {
	s := newFake(t)
	s.tls = &tls.Config{}
	cfg := config()
	cfg.Security = client.TLSNever
	c := client.New(s.pipe(), cfg)
	defer c.Cut()
	if err := c.SignIn(context30(t)); !errors.Is(err, client.ErrNoMechanism) {
		t.Errorf("got %v", err)
	}
}

// selfSigned is a certificate of verona.example.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "verona.example"}, DNSNames: []string{"verona.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestStartTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	s := newFake(t)
	s.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	cfg := config()
	cfg.TLS = &tls.Config{RootCAs: pool}
	c := signIn(t, s, cfg)
	if err := c.Chat(romeo, "", "over TLS"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Request(context30(t), stanza.Get, jid.JID{}, []byte("<ping xmlns='urn:xmpp:ping'/>")); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies(); !slices.Equal(got, []string{"over TLS"}) {
		t.Errorf("received %q", got)
	}
}

func TestStartTLSWrongCertificate(t *testing.T) {
	cert, _ := selfSigned(t)
	s := newFake(t)
	s.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	c := client.New(s.pipe(), config())
	defer c.Cut()
	var bad *tls.CertificateVerificationError
	if err := c.SignIn(context30(t)); !errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
}

func TestRequestLeavesOthersInTheQueue(t *testing.T) {
	c := signIn(t, newFake(t), config())
	s, err := c.Request(context30(t), stanza.Get, jid.JID{}, []byte("<ping xmlns='urn:xmpp:ping'/>"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Child("urn:example", "pong"); !ok {
		t.Errorf("answer %s", s.Bytes())
	}
	it, err := c.Receive(context30(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := it.Stanza()
	if err != nil || m.Kind != stanza.Message {
		t.Fatalf("%s: %v", it.Doc(), err)
	}
	if b, _ := m.Child(stanza.NSClient, "body"); b.Text() != "psst" {
		t.Errorf("body %q", b.Text())
	}
}

func TestErrorOf(t *testing.T) {
	c := signIn(t, newFake(t), config())
	if err := c.Message(stanza.Groupchat, romeo, "g1", []byte("<body>x</body>")); err != nil {
		t.Fatal(err)
	}
	it, err := c.Receive(context30(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := it.Stanza()
	if err != nil {
		t.Fatal(err)
	}
	var e *stanza.Error
	if err := client.ErrorOf(s); !errors.As(err, &e) || e.Condition != "resource-constraint" || e.Type != stanza.Wait || e.Text != "later" {
		t.Errorf("got %#v", err)
	}
}

func TestStreamManagement(t *testing.T) {
	s := newFake(t)
	c := signIn(t, s, config())
	sm := &client.Session{}
	seen := make(chan uint32, 10)
	sm.OnAck(func(h uint32) { seen <- h })
	if err := c.Enable(context30(t), sm); err != nil {
		t.Fatal(err)
	}
	if sm.ID() != "sm1" || sm.Max() != 60 {
		t.Errorf("id %q max %d", sm.ID(), sm.Max())
	}
	for _, b := range []string{"one", "two"} {
		if err := c.Chat(romeo, b, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitAcks(context30(t)); err != nil {
		t.Fatal(err)
	}
	if told := <-seen; sm.Acked() != 2 || len(sm.Unacked()) != 0 || told != 2 {
		t.Errorf("acked %d, unacked %q, told %v", sm.Acked(), sm.Unacked(), told)
	}
	// Two more, of which the server loses the second with the connection.
	if err := c.Chat(romeo, "three", "three"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Request(context30(t), stanza.Get, jid.JID{}, []byte("<ping xmlns='urn:xmpp:ping'/>")); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.lost = 1
	s.mu.Unlock()
	if err := c.Chat(romeo, "four", "four"); err != nil {
		t.Fatal(err)
	}
	s.awaitLoss(context30(t)) // a cut may overtake it: then it would be lost when it is sent again
	c.Cut()
	if n := len(sm.Unacked()); n != 3 {
		t.Fatalf("%d unacknowledged, not 3", n)
	}
	resume(t, s, sm)
	if got := s.bodies(); !slices.Equal(got, []string{"one", "two", "three", "h=3", "four"}) && !slices.Equal(got, []string{"one", "two", "three", "four", "h=3"}) {
		t.Errorf("received %q", got)
	}
}

// resume goes on with a session on a new connection.
func resume(t *testing.T, s *fakeServer, sm *client.Session) {
	t.Helper()
	c := client.New(s.pipe(), config())
	t.Cleanup(c.Cut)
	if err := c.SignIn(context30(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(context30(t), sm); err != nil {
		t.Fatal(err)
	}
	it, err := c.Receive(context30(t))
	if err != nil || !strings.Contains(string(it.Raw), "late") {
		t.Fatalf("%s: %v", it.Raw, err)
	}
	if err := c.AwaitAcks(context30(t)); err != nil {
		t.Fatal(err)
	}
	if n := len(sm.Unacked()); n != 0 {
		t.Errorf("%d unacknowledged", n)
	}
	if sm.Handled() != 3 { // psst and its answer before the cut, late after it
		t.Errorf("handled %d", sm.Handled())
	}
}

func TestResumeFails(t *testing.T) {
	s := newFake(t)
	c := client.New(s.pipe(), config())
	defer c.Cut()
	if err := c.SignIn(context30(t)); err != nil {
		t.Fatal(err)
	}
	err := c.Resume(context30(t), &client.Session{})
	var f *client.ResumeError
	if !errors.As(err, &f) || f.Condition != "item-not-found" || !f.HasH || f.H != 3 {
		t.Fatalf("got %v", err)
	}
	if err := c.Bind(context30(t)); err != nil {
		t.Error(err)
	}
}

func TestHandleAndEnd(t *testing.T) {
	c := signIn(t, newFake(t), config())
	got, end := make(chan string, 10), make(chan error, 1)
	c.Handle(func(v client.View) {
		if v.Kind == 0 {
			end <- v.Err
			return
		}
		got <- string(v.Element.Local())
	})
	if err := c.Send([]byte("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")); err != nil {
		t.Fatal(err)
	}
	if a, b := <-got, <-got; a != "message" || b != "iq" {
		t.Errorf("got %s, %s", a, b)
	}
	c.Cut()
	if err := <-end; err == nil {
		t.Error("no reason for the end")
	}
	if _, err := c.Receive(context30(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("receive after the end: %v", err)
	}
}

func TestStreamErrorIsTold(t *testing.T) {
	c := client.New(newFake(t).pipe(), config())
	defer c.Cut()
	if err := c.SendBytes([]byte("<stream:stream><<")); err != nil {
		t.Fatal(err)
	}
	err := c.Open(context30(t))
	if err == nil {
		t.Fatal("a stream opened")
	}
}

func TestTrace(t *testing.T) {
	var lines []string
	cfg := config()
	cfg.Trace = func(sent bool, b []byte) {
		if sent {
			lines = append(lines, string(b))
		}
	}
	c := signIn(t, newFake(t), cfg)
	if err := c.Close(context30(t)); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 5 || lines[len(lines)-1] != "</stream:stream>" {
		t.Errorf("traced %q", lines)
	}
}
