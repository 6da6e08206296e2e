package sasl_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/sasl"
)

// certificate makes a self-signed one.
func certificate(t *testing.T, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.b"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// handshake gives the two ends' views of a TLS connection.
func handshake(t *testing.T, cert tls.Certificate, version uint16) (server, client tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version, MinVersion: version, SessionTicketsDisabled: true})
	c := tls.Client(b, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return s.ConnectionState(), c.ConnectionState()
}

func TestBinding(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		key      crypto.Signer
		version  uint16
		endPoint func([]byte) []byte
	}{
		{"TLS 1.3, P-256", p256, tls.VersionTLS13, func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }},
		{"TLS 1.3, P-384", p384, tls.VersionTLS13, func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }},
		{"TLS 1.3, Ed25519", ed, tls.VersionTLS13, nil},
		{"TLS 1.2, P-256", p256, tls.VersionTLS12, func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert := certificate(t, c.key)
			scs, ccs := handshake(t, cert, c.version)
			sb, cb := sasl.NewBinding(&scs, cert.Leaf), sasl.NewBinding(&ccs, ccs.PeerCertificates[0])
			types := []string{sasl.TLSExporter}
			if c.endPoint != nil {
				types = append(types, sasl.TLSServerEndPoint)
			}
			if !slices.Equal(sb.Types(), types) || !slices.Equal(cb.Types(), types) {
				t.Errorf("types %v and %v, want %v", sb.Types(), cb.Types(), types)
			}
			for _, kind := range types {
				sd, err1 := sb(kind)
				cd, err2 := cb(kind)
				if err1 != nil || err2 != nil || !bytes.Equal(sd, cd) || len(sd) < 32 {
					t.Errorf("%s: %x, %x, %v, %v", kind, sd, cd, err1, err2)
				}
			}
			if d, err := sb(sasl.TLSServerEndPoint); c.endPoint == nil && !errors.Is(err, sasl.ErrBinding) || c.endPoint != nil && !bytes.Equal(d, c.endPoint(cert.Leaf.Raw)) {
				t.Errorf("tls-server-end-point: %x, %v", d, err)
			}
			if _, err := sb("tls-unique"); !errors.Is(err, sasl.ErrBinding) {
				t.Errorf("tls-unique: %v", err)
			}
			// Another connection with the same certificate has another exporter, and the same end point.
			other, _ := handshake(t, cert, c.version)
			a, _ := sb(sasl.TLSExporter)
			b, _ := sasl.NewBinding(&other, nil)(sasl.TLSExporter)
			if bytes.Equal(a, b) {
				t.Error("two connections have one tls-exporter")
			}
			scfg := sasl.ServerConfig{Domain: "a.b", Offered: plus, Lookup: account("anna", "right", 4096), Secret: secret, Binding: sb, Types: sb.Types()}
			ccfg := sasl.ClientConfig{Local: "anna", Password: "right", Offered: plus, Types: sb.Types(), Binding: cb}
			if mech := ccfg.Choose(); mech != sasl.SCRAMSHA256Plus {
				t.Errorf("chosen: %s", mech)
			}
			s := server(t, sasl.SCRAMSHA256Plus, scfg)
			if clientDone, serverDone, clientErr, serverErr := play(client(t, sasl.SCRAMSHA256Plus, ccfg), s, nil); !clientDone || !serverDone {
				t.Errorf("%v, %v", clientErr, serverErr)
			}
			scfg.Binding = sasl.NewBinding(&other, cert.Leaf)
			if _, serverDone, _, serverErr := play(client(t, sasl.SCRAMSHA256Plus, ccfg), server(t, sasl.SCRAMSHA256Plus, scfg), nil); serverDone || condition(serverErr) != sasl.NotAuthorized {
				t.Errorf("relayed: %v", serverErr)
			}
		})
	}
	if types := sasl.Binding(nil).Types(); types != nil {
		t.Errorf("no binding has %v", types)
	}
}
