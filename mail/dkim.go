package mail

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	gomail "github.com/wneessen/go-mail"
)

// A Key signs the mail of one domain (RFC 6376; Ed25519: RFC 8463).
type Key struct {
	Domain   string // d=
	Selector string // s=
	PEM      []byte // private key, PKCS #8 or PKCS #1; RSA or Ed25519
}

// signed are the fields a signature covers. RFC 8058 §4 wants both List-…
// fields among them. A field named once more than it is there cannot be added
// by who passes the message on (RFC 6376 §8.15).
var signed = [...]string{
	"From", "From", "To", "To", "Reply-To", "Reply-To", "Subject", "Subject", "Date", "Date", "Message-ID", idField,
	"MIME-Version", "MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding", "Content-Transfer-Encoding",
	"List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted",
}

func (k Key) signer() (*dkim.SignOptions, error) {
	key, err := gomail.PrivKeyFromPEM(k.PEM)
	if err != nil {
		return nil, fmt.Errorf("DKIM key of %s: %w", k.Domain, err)
	}
	if old, ok := key.(*rsa.PrivateKey); ok && old.N.BitLen() < 1024 {
		return nil, fmt.Errorf("DKIM key of %s: %d bits; RFC 8301 wants 1024 at least", k.Domain, old.N.BitLen())
	}
	domain, err := asciiDomain(k.Domain)
	if err != nil {
		return nil, fmt.Errorf("DKIM key: %w", err)
	}
	if _, err := asciiDomain(k.Selector); err != nil { // the same letters (RFC 6376 §3.1)
		return nil, fmt.Errorf("DKIM key of %s: selector %q: letters, digits, - and dots only", k.Domain, k.Selector)
	}
	s := &dkim.SignOptions{
		Domain: domain, Selector: k.Selector, Signer: key, HeaderKeys: signed[:],
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}
	if err := dkim.Sign(io.Discard, strings.NewReader("From: a@b.c\r\n\r\n"), s); err != nil {
		return nil, fmt.Errorf("DKIM key of %s: %w", k.Domain, err)
	}
	return s, nil
}

// PublicKey is the TXT record that belongs at SELECTOR._domainkey.DOMAIN.
func (k Key) PublicKey() (string, error) {
	key, err := gomail.PrivKeyFromPEM(k.PEM)
	if err != nil {
		return "", fmt.Errorf("DKIM key of %s: %w", k.Domain, err)
	}
	return publicKey(key)
}

// publicKey is a key record (RFC 6376 §3.6.1; Ed25519: RFC 8463 §4).
func publicKey(key crypto.Signer) (string, error) {
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("public key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	}
	return "", fmt.Errorf("%T is no key for DKIM", key.Public())
}
