package stream

import (
	"testing"
	"time"
)

// TestTLSLayout tells when crypto/tls has changed and nothing is trimmed.
func TestTLSLayout(t *testing.T) {
	if !layoutOfTLS.ok {
		t.Error("crypto/tls keeps its buffers elsewhere now: look at tlstrim.go")
	}
}

// BeWebSocket frames a connection without the handshake.
func (c *Conn) BeWebSocket() { c.beWebSocket() }

// Age has d pass for what is kept.
func (c *Conn) Age(d time.Duration) {
	c.sock.omu.Lock()
	defer c.sock.omu.Unlock()
	if o := c.sock.over; o != nil {
		o.until = o.until.Add(-d)
	}
}

// Look is what the timer of what is kept does.
func (c *Conn) Look() { c.sock.expired() }
