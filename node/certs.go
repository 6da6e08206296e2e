package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"github.com/bearhug/bearhug/ops"
)

const (
	// recheck is how often at most the files of a certificate are looked at.
	recheck = time.Second
	// selfSignedFor is how long a certificate of our own making is valid; it
	// is made anew in its last month.
	selfSignedFor = 5 * 365 * 24 * time.Hour
	lastMonth     = 30 * 24 * time.Hour
)

// Certs finds the certificate of a handshake: DOMAIN.crt (or .pem) with
// DOMAIN.key in the configured directory, else a self-signed one that is made
// when it is first needed. A changed file is read at the next handshake, at
// most a second later; a broken one is told in the log and the old one served.
//
// A client that names no domain, or one that is not ours, gets the only
// organisation's certificate, or, where there are several, one that names none
// of them.
type Certs struct {
	dir  string // tls.certs, or ""
	self string // directory of self-signed ones
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	domains map[string]string // host in ASCII form → domain
	hosts   map[string][]string
	only    string // the only organisation's domain, or nobody
	certs   map[string]*certFile
}

// nobody names the certificate for those who asked for no domain of ours.
const nobody = "localhost"

type certFile struct {
	cert    *tls.Certificate
	checked time.Time
	stamp   string // of the files cert was read from
	bad     string // stamp of files that could not be used
}

// NewCerts serves certificates from dir ("" for none), keeping its own in self.
func NewCerts(dir, self string, log *slog.Logger) *Certs {
	return &Certs{dir: dir, self: self, log: log, now: time.Now, only: nobody,
		domains: map[string]string{}, hosts: map[string][]string{}, certs: map[string]*certFile{}}
}

// SetDomains says which organisations there are, each with the further host
// names of its web.
func (c *Certs) SetDomains(hosts map[string][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.domains)
	clear(c.certs) // a self-signed one may lack a new host
	c.hosts, c.only = hosts, nobody
	for domain, list := range hosts {
		c.domains[ascii(domain)] = domain
		for _, h := range list {
			c.domains[ascii(h)] = domain
		}
		if len(hosts) == 1 {
			c.only = domain
		}
	}
}

// ascii is the form of a domain in TLS and in certificates (RFC 5890 A-labels).
func ascii(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return domain
}

// Config is the TLS configuration of a listener that announces these
// application protocols. Make it once per listener: session tickets hang on it.
func (c *Certs) Config(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: alpn,
		// Small first records help browsers to show a page sooner; here they
		// are a write each.
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.find(h.ServerName)
		},
	}
}

// Leaf is the certificate that a client with this server name is shown: what
// the channel binding tls-server-end-point hashes (RFC 5929 §4).
func (c *Certs) Leaf(serverName string) (*x509.Certificate, error) {
	cert, err := c.find(serverName)
	if err != nil {
		return nil, err
	}
	return cert.Leaf, nil
}

// find is called by every handshake.
func (c *Certs) find(serverName string) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	domain, ok := c.domains[ascii(serverName)]
	if !ok {
		domain = c.only
	}
	return c.domain(domain)
}

// domain is called under mu.
func (c *Certs) domain(domain string) (*tls.Certificate, error) {
	f := c.certs[domain]
	if f == nil {
		f = &certFile{}
		c.certs[domain] = f
	}
	now := c.now()
	if f.cert != nil && now.Sub(f.checked) < recheck && !now.Before(f.checked) {
		return f.cert, nil
	}
	f.checked = now
	crt, key, stamp := c.files(domain)
	switch {
	case stamp != "" && stamp == f.stamp:
		return f.cert, nil
	case stamp != "" && stamp != f.bad:
		cert, err := tls.LoadX509KeyPair(crt, key)
		if err == nil {
			f.cert, f.stamp, f.bad = &cert, stamp, ""
			c.log.Info("certificate read", "domain", domain, "file", crt, "until", cert.Leaf.NotAfter)
			return f.cert, nil
		}
		f.bad = stamp
		c.log.Error("certificate cannot be used", "domain", domain, "file", crt, "err", err)
	}
	if f.cert != nil && (f.stamp != "" || f.cert.Leaf.NotAfter.Sub(now) > lastMonth) {
		return f.cert, nil // the files are gone or broken: what was good stays
	}
	if c.dir != "" && stamp == "" && f.cert == nil {
		c.log.Warn("no certificate in tls.certs: serving a self-signed one", "domain", domain, "dir", c.dir)
	}
	cert, err := c.selfSigned(domain, now)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", domain, err)
	}
	f.cert, f.stamp = cert, ""
	return cert, nil
}

// files finds a domain's certificate in the configured directory. The stamp
// changes whenever one of them does; "" when they are not both there.
func (c *Certs) files(domain string) (crt, key, stamp string) {
	if c.dir == "" {
		return "", "", ""
	}
	for _, base := range []string{domain, ascii(domain)} {
		for _, ext := range []string{".crt", ".pem"} {
			crt, key = filepath.Join(c.dir, base+ext), filepath.Join(c.dir, base+".key")
			a, err := os.Stat(crt)
			if err != nil {
				continue
			}
			b, err := os.Stat(key)
			if err != nil {
				continue
			}
			return crt, key, fmt.Sprint(crt, a.ModTime().UnixNano(), a.Size(), b.ModTime().UnixNano(), b.Size())
		}
	}
	return "", "", ""
}

// selfSigned reads a certificate of our own making, or makes it.
func (c *Certs) selfSigned(domain string, now time.Time) (*tls.Certificate, error) {
	base := filepath.Join(c.self, ascii(domain))
	if cert, err := tls.LoadX509KeyPair(base+".crt", base+".key"); err == nil &&
		cert.Leaf.NotAfter.Sub(now) > lastMonth && names(cert.Leaf, c.hosts[domain]) {
		return &cert, nil
	}
	crt, key, err := makeCert(append([]string{domain}, c.hosts[domain]...), now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.self, 0o700); err != nil {
		return nil, err
	}
	// The key first: a certificate without its key is made anew.
	if err := errors.Join(writeFile(base+".key", key), writeFile(base+".crt", crt)); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil, err
	}
	c.log.Info("self-signed certificate made", "domain", domain, "file", base+".crt")
	return &cert, nil
}

// names reports whether the certificate is good for all hosts.
func names(cert *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if !slices.Contains(cert.DNSNames, ascii(h)) {
			return false
		}
	}
	return true
}

// writeFile replaces a file, readable by its owner only.
func writeFile(name string, text []byte) error {
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// makeCert makes an ECDSA P-256 certificate (an RSA one costs 1 ms more at
// every handshake) with its key, both in PEM.
func makeCert(hosts []string, now time.Time) (crt, key []byte, err error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Bearhug, self-signed"}},
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, ascii(h))
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &priv.PublicKey, priv)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// metrics tells when the first certificate in use runs out; which domain's it
// is stands in the log, not in a label.
func (c *Certs) metrics(m *ops.Metrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first time.Time
	count := 0
	for _, domain := range c.all() {
		cert, err := c.domain(domain)
		if err != nil {
			c.log.Error("certificate cannot be made", "domain", domain, "err", err)
			continue
		}
		count++
		if first.IsZero() || cert.Leaf.NotAfter.Before(first) {
			first = cert.Leaf.NotAfter
		}
	}
	m.Gauge("bearhug_tls_certificates", "certificates in use", float64(count))
	if !first.IsZero() {
		m.Gauge("bearhug_tls_expiry_seconds", "when the first certificate in use runs out, seconds since 1970", float64(first.Unix()))
	}
}

// all lists the domains that have certificates; called under mu.
func (c *Certs) all() []string {
	var out []string
	for domain := range c.hosts {
		out = append(out, domain)
	}
	if len(out) == 0 {
		return []string{nobody}
	}
	return out
}

// Domain finds the organisation that a web host belongs to; a host that no
// organisation lists belongs to the only one.
func (c *Certs) Domain(host string) (domain string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if domain, ok = c.domains[ascii(host)]; ok {
		return domain, true
	}
	return c.only, c.only != nobody
}
