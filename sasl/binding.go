package sasl

import (
	"crypto"
	_ "crypto/sha256" // the hash functions of serverEndPoint
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Channel binding types, as streams announce them (XEP-0440). tls-unique is not among them: TLS 1.3 does not have it.
const (
	TLSExporter       = "tls-exporter"         // RFC 9266
	TLSServerEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// ErrBinding says that a channel does not have a channel binding of a type.
var ErrBinding = errors.New("no channel binding of this type")

// A Binding gives the channel binding data of a stream for a type, and ErrBinding for a type it does not have.
type Binding func(kind string) ([]byte, error)

// NewBinding gives the channel bindings of a TLS connection after its handshake. server is the certificate that the server sent: on a client
// cs.PeerCertificates[0], on a server the one it chose; nil leaves out tls-server-end-point. cs is kept.
func NewBinding(cs *tls.ConnectionState, server *x509.Certificate) Binding {
	return func(kind string) ([]byte, error) {
		switch {
		case kind == TLSExporter:
			return exporter(cs)
		case kind == TLSServerEndPoint && server != nil:
			return serverEndPoint(server)
		}
		return nil, fmt.Errorf("%s: %w", kind, ErrBinding)
	}
}

// Types tells which types a binding has, the best first. nil has none.
func (b Binding) Types() []string {
	var types []string
	for _, t := range []string{TLSExporter, TLSServerEndPoint} {
		if b != nil {
			if _, err := b(t); err == nil {
				types = append(types, t)
			}
		}
	}
	return types
}

// exporter is the channel binding of RFC 9266 §2. With TLS 1.2 it exists only with the extended master secret, of which crypto/tls takes care.
func exporter(cs *tls.ConnectionState) ([]byte, error) {
	// The context is there and empty, which with TLS 1.2 is not the same as none.
	b, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", TLSExporter, ErrBinding, err)
	}
	return b, nil
}

// serverEndPoint is the hash of the certificate by the hash function of its signature, SHA-256 instead of the weak ones (RFC 5929 §4.1).
func serverEndPoint(c *x509.Certificate) ([]byte, error) {
	var h crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512
	default: // Ed25519 has no one hash function: not defined
		return nil, fmt.Errorf("%s of a certificate signed by %v: %w", TLSServerEndPoint, c.SignatureAlgorithm, ErrBinding)
	}
	d := h.New()
	d.Write(c.Raw)
	return d.Sum(nil), nil
}
