package stream

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// tlsStart is a handshake that is due.
type tlsStart struct {
	cfg    *tls.Config
	client bool
	done   func(error)
}

// StartTLS makes the connection TLS, as the server: inside of Item after
// <proceed/> was written, or before Serve for TLS from the first byte. The
// handshake begins when Item returns, on a goroutine of its own. done, which
// may be nil, is told how it went before anything else is read; after an error
// the stream closes. A new stream header is expected. cfg should have
// DynamicRecordSizingDisabled set: what is written at once then leaves in one
// system call up to 16 KiB, not in one per 1.4 KiB.
func (c *Conn) StartTLS(cfg *tls.Config, done func(error)) {
	c.start = &tlsStart{cfg: cfg, done: done}
}

// StartTLSClient is StartTLS for the connecting side.
func (c *Conn) StartTLSClient(cfg *tls.Config, done func(error)) {
	c.start = &tlsStart{cfg: cfg, client: true, done: done}
}

// shake is the goroutine of one handshake; it owns the connection.
func (c *Conn) shake() {
	defer func() {
		if c.sock != nil {
			c.wake(stReady, stBusy)
		}
	}()
	defer c.recovered()
	var span feature.Span
	c.measure(&span)
	defer span.End()
	st := c.start
	c.start = nil
	c.wmu.Lock()
	under := c.nc
	c.wmu.Unlock()
	t := tls.Server(under, st.cfg)
	if st.client {
		t = tls.Client(under, st.cfg)
	}
	err := under.SetDeadline(time.Now().Add(c.p.opt.TLSTimeout))
	if err == nil && c.state.Load()&stClosing != 0 { // Close did not see us
		err = ErrClosed
	}
	if err == nil {
		err = t.Handshake()
	}
	if err == nil {
		err = under.SetDeadline(time.Time{})
	}
	if err != nil {
		err = fmt.Errorf("TLS handshake: %w", err)
		c.abort(err)
	} else {
		c.wmu.Lock()
		c.nc, c.wrote = t, false
		c.wmu.Unlock()
		c.framer.Restart()
		c.trim(0)
	}
	if st.done != nil {
		st.done(err)
	}
}
