package stream

import "testing"

// TestTLSLayout tells when crypto/tls has changed and nothing is trimmed.
func TestTLSLayout(t *testing.T) {
	if !layoutOfTLS.ok {
		t.Error("crypto/tls keeps its buffers elsewhere now: look at tlstrim.go")
	}
}

// BeWebSocket frames a connection without the handshake.
func (c *Conn) BeWebSocket() { c.beWebSocket() }
