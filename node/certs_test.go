package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/idna"

	"github.com/bearhug/bearhug/node"
)

// shown is the certificate that a client with this server name gets.
func shown(t *testing.T, c *node.Certs, name string) *x509.Certificate {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Server(far, c.Config("xmpp-client")).Handshake()
	client := tls.Client(near, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	st := client.ConnectionState()
	if st.NegotiatedProtocol != "xmpp-client" {
		t.Errorf("protocol %q", st.NegotiatedProtocol)
	}
	return st.PeerCertificates[0]
}

// write puts a certificate for host into dir under base.
func write(t *testing.T, dir, base, ext, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{base + ext: {Type: "CERTIFICATE", Bytes: der}, base + ".key": {Type: "PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertsSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	c := node.NewCerts("", dir, slog.New(slog.DiscardHandler))
	if got := shown(t, c, "whatever.example"); !slices.Equal(got.DNSNames, []string{"localhost"}) {
		t.Errorf("without organisations: %v", got.DNSNames)
	}
	c.SetDomains(map[string][]string{"alpha.example": {"chat.alpha.example"}})
	a := shown(t, c, "alpha.example")
	if !slices.Equal(a.DNSNames, []string{"alpha.example", "chat.alpha.example"}) {
		t.Errorf("names %v", a.DNSNames)
	}
	if k, ok := a.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		t.Error("not an ECDSA P-256 key")
	}
	for _, name := range []string{"chat.alpha.example", "ALPHA.example", "", "unknown.example"} {
		if !shown(t, c, name).Equal(a) {
			t.Errorf("%q: another certificate than the only organisation's", name)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "alpha.example.key")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}

	// A second start serves the same one.
	c = node.NewCerts("", dir, slog.New(slog.DiscardHandler))
	c.SetDomains(map[string][]string{"alpha.example": {"chat.alpha.example"}, "jérôme.example": nil})
	if !shown(t, c, "alpha.example").Equal(a) {
		t.Error("made anew at the second start")
	}
	alabel, err := idna.Lookup.ToASCII("jérôme.example")
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, c, alabel); !slices.Equal(got.DNSNames, []string{alabel}) {
		t.Errorf("U-label domain: %v", got.DNSNames)
	}
	if got := shown(t, c, "unknown.example"); !slices.Equal(got.DNSNames, []string{"localhost"}) {
		t.Errorf("one of several organisations is told to a stranger: %v", got.DNSNames)
	}
	if d, ok := c.Domain("Chat.Alpha.example"); !ok || d != "alpha.example" {
		t.Errorf("host: %q %v", d, ok)
	}

	// A new host is not in the certificate that is there.
	c.SetDomains(map[string][]string{"alpha.example": {"new.alpha.example"}})
	if got := shown(t, c, "new.alpha.example"); got.Equal(a) || got.VerifyHostname("new.alpha.example") != nil {
		t.Errorf("new host: %v", got.DNSNames)
	}
}

func TestCertsFiles(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	c := node.NewCerts(dir, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	c.SetDomains(map[string][]string{"alpha.example": nil, "beta.example": nil})
	write(t, dir, "alpha.example", ".crt", "alpha.example")
	write(t, dir, "beta.example", ".pem", "beta.example")
	a, b := shown(t, c, "alpha.example"), shown(t, c, "beta.example")
	if a.VerifyHostname("alpha.example") != nil || b.VerifyHostname("beta.example") != nil {
		t.Errorf("%v %v", a.DNSNames, b.DNSNames)
	}
	leaf, err := c.Leaf("beta.example")
	if err != nil || !leaf.Equal(b) {
		t.Errorf("Leaf: %v", err)
	}

	// later is when the files are looked at again.
	later := func(want func(*x509.Certificate) bool, what string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !want(shown(t, c, "alpha.example")); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	write(t, dir, "alpha.example", ".crt", "alpha.example")
	later(func(got *x509.Certificate) bool { return !got.Equal(a) }, "a new file is not served")
	a = shown(t, c, "alpha.example")

	if err := os.WriteFile(filepath.Join(dir, "alpha.example.crt"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	later(func(*x509.Certificate) bool { return strings.Contains(log.String(), "certificate cannot be used") }, "a broken file is not told")
	if !shown(t, c, "alpha.example").Equal(a) {
		t.Error("a broken file replaces a good certificate")
	}
	if n := strings.Count(log.String(), "certificate cannot be used"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestCertsMissing: a domain without files gets a self-signed one, told once.
func TestCertsMissing(t *testing.T) {
	var log strings.Builder
	c := node.NewCerts(t.TempDir(), t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	c.SetDomains(map[string][]string{"alpha.example": nil})
	if got := shown(t, c, "alpha.example"); got.VerifyHostname("alpha.example") != nil {
		t.Error(got.DNSNames)
	}
	if !strings.Contains(log.String(), "serving a self-signed one") {
		t.Error(log.String())
	}
}

func TestTLSVersions(t *testing.T) {
	c := node.NewCerts("", t.TempDir(), slog.New(slog.DiscardHandler))
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Server(far, c.Config()).Handshake()
	err := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}).Handshake()
	if err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}
