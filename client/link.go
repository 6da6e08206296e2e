package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// link is a transport: bytes over TCP or TLS, or messages over WebSocket. Reads belong to the reading goroutine,
// writes are ordered by the Client.
type link struct {
	raw    net.Conn      // the socket
	nc     net.Conn      // the same, or TLS over it
	br     *bufio.Reader // WebSocket: what the handshake read too much, then everything
	ws     bool
	secure bool
	once   sync.Once
	done   chan struct{} // closed when the reading goroutine has ended
}

// dial connects as cfg.Server says.
func dial(ctx context.Context, cfg Config) (*link, error) {
	d := net.Dialer{LocalAddr: cfg.Local}
	scheme, rest, found := strings.Cut(cfg.Server, "://")
	if !found {
		nc, err := d.DialContext(ctx, "tcp", cfg.Server)
		return &link{raw: nc, nc: nc}, err
	}
	u, err := url.Parse(cfg.Server)
	if err != nil {
		return nil, err
	}
	host := rest
	if scheme != "tls" {
		host = u.Host
	}
	nc, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	l := &link{raw: nc, nc: nc}
	if scheme == "tls" || scheme == "wss" {
		proto := "xmpp-client" // XEP-0368 §3
		if scheme == "wss" {
			proto = "http/1.1"
		}
		if err := l.secureAs(ctx, cfg, proto); err != nil {
			nc.Close()
			return nil, err
		}
	}
	switch scheme {
	case "tls":
		return l, nil
	case "ws", "wss":
		if err := l.upgrade(ctx, u); err != nil {
			l.nc.Close()
			return nil, err
		}
		return l, nil
	}
	nc.Close()
	return nil, fmt.Errorf("unknown transport %q", scheme)
}

// tlsConfig is the configured one with the name of the account's domain (RFC 6120 §13.7.2).
func (cfg *Config) tlsConfig(protos ...string) *tls.Config {
	t := &tls.Config{}
	if cfg.TLS != nil {
		t = cfg.TLS.Clone()
	}
	if t.ServerName == "" {
		t.ServerName = cfg.Account.Domain()
	}
	t.NextProtos = protos
	return t
}

func (l *link) secureAs(ctx context.Context, cfg Config, protos ...string) error {
	tc := tls.Client(l.nc, cfg.tlsConfig(protos...))
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	l.nc, l.secure = tc, true
	return nil
}

// upgrade is the opening handshake of RFC 7395 §3.1.
func (l *link) upgrade(ctx context.Context, u *url.URL) error {
	if at, ok := ctx.Deadline(); ok {
		if err := l.nc.SetDeadline(at); err != nil {
			return err
		}
		defer l.nc.SetDeadline(time.Time{})
	}
	d := ws.Dialer{Protocols: []string{"xmpp"}}
	br, hs, err := d.Upgrade(l.nc, u)
	if err != nil {
		return fmt.Errorf("WebSocket handshake: %w", err)
	}
	if hs.Protocol != "xmpp" {
		return fmt.Errorf("WebSocket handshake: the server chose the protocol %q, not xmpp", hs.Protocol)
	}
	if br == nil {
		br = bufio.NewReaderSize(l.nc, 4096)
	}
	l.br, l.ws = br, true
	return nil
}

// errWebSocketClosed is the end of a WebSocket: a close frame.
var errWebSocketClosed = errors.New("close frame")

// message reads the next whole text message into buf and answers pings. write sends a frame.
func (l *link) message(buf []byte, limit int, write func(ws.Frame) error) ([]byte, error) {
	buf = buf[:0]
	for {
		h, err := ws.ReadHeader(l.br)
		if err != nil {
			return buf, err
		}
		if h.Masked {
			return buf, errors.New("a server must not mask its frames")
		}
		if h.Length > int64(limit-len(buf)) {
			return buf, fmt.Errorf("message longer than %d bytes", limit)
		}
		at := len(buf)
		buf = append(buf, make([]byte, h.Length)...)
		if _, err := io.ReadFull(l.br, buf[at:]); err != nil {
			return buf, err
		}
		switch h.OpCode {
		case ws.OpText, ws.OpContinuation:
			if h.Fin {
				return buf, nil
			}
		case ws.OpPing:
			if err := write(ws.NewPongFrame(append([]byte(nil), buf[at:]...))); err != nil {
				return buf, err
			}
			buf = buf[:at]
		case ws.OpPong:
			buf = buf[:at]
		case ws.OpClose:
			code := 1005
			if len(buf)-at >= 2 {
				code = int(binary.BigEndian.Uint16(buf[at:]))
			}
			return buf[:at], fmt.Errorf("%w %d %s", errWebSocketClosed, code, buf[min(at+2, len(buf)):])
		default:
			return buf, fmt.Errorf("frame of type %d", h.OpCode)
		}
	}
}

// appendFrame appends one masked frame, a message of its own; the mask is fixed, for nothing here needs to be hidden from a proxy.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, mask[:]...)
	at := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[at:], mask, 0)
	return dst
}

// cut drops the connection at once: unsent bytes are thrown away and the server sees a reset.
func (l *link) cut() {
	l.once.Do(func() {
		if t, ok := l.raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = l.raw.Close()
	})
}
