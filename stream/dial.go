package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// passing are the errors of Accept that pass by themselves.
var passing = [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}

// Dialer connects as a client. The zero fields mean no TLS configuration of
// one's own and any local address.
type Dialer struct {
	Poller    *Poller
	TLS       *tls.Config // for tls:// and wss://; without ServerName the host of the target is checked
	LocalAddr net.Addr
}

// Dial connects to "host:port", "tls://host:port" (XEP-0368), "ws://…" or
// "wss://…" (RFC 7395). TLS and WebSocket are there when it returns; no stream
// header has been sent. StartTLSClient makes a plain connection TLS later. ctx
// ends the dialling only.
func (d *Dialer) Dial(ctx context.Context, target string) (*Conn, error) {
	c, err := d.dial(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	c.client = true
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, target string) (*Conn, error) {
	scheme, addr, ok := strings.Cut(target, "://")
	if !ok {
		scheme, addr = "tcp", target
	}
	switch scheme {
	case "tcp":
		nc, err := d.socket(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return NewConn(nc, d.Poller), nil
	case "tls":
		return d.dialTLS(ctx, addr)
	case "ws", "wss":
		return d.dialWebSocket(ctx, target)
	}
	return nil, errors.New("scheme is none of tcp, tls, ws, wss")
}

// socket dials TCP.
func (d *Dialer) socket(ctx context.Context, network, addr string) (net.Conn, error) {
	nd := net.Dialer{LocalAddr: d.LocalAddr, KeepAlive: -1}
	nc, err := nd.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s, _ := newSock(nc)
	return s, nil
}

func (d *Dialer) dialTLS(ctx context.Context, addr string) (*Conn, error) {
	nc, err := d.socket(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{}
	if d.TLS != nil {
		cfg = d.TLS
	}
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(addr) // dialled: it can be split
	}
	t := tls.Client(nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return NewConn(t, d.Poller), nil
}

func (d *Dialer) dialWebSocket(ctx context.Context, url string) (*Conn, error) {
	wd := ws.Dialer{NetDial: d.socket, TLSConfig: d.TLS, Protocols: []string{"xmpp"}}
	nc, early, hs, err := wd.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if hs.Protocol != "xmpp" {
		return nil, errors.Join(errors.New("the server does not speak the subprotocol xmpp"), nc.Close())
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	c := NewConn(nc, d.Poller)
	c.beWebSocket()
	if early != nil {
		if n := early.Buffered(); n > 0 {
			b, _ := early.Peek(n) // buffered: no error
			c.part, c.held = append([]byte(nil), b...), true
		}
		ws.PutReader(early)
	}
	return c, nil
}
