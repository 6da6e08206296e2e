package stream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/stream"
)

// patience bounds waits that never last long; no test depends on its size.
const patience = 30 * time.Second

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{InsecureSkipVerify: true}
}

func newPoller(t testing.TB, opt stream.Options) *stream.Poller {
	t.Helper()
	p, err := stream.NewPoller(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// server accepts in one mode; serve gets each connection before Serve.
type server struct {
	target string
	p      *stream.Poller
}

func listen(t testing.TB, mode string, p *stream.Poller, serve func(*stream.Conn)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := certificate(t)
	s := &server{p: p}
	switch mode {
	case "tcp", "tls":
		s.target = mode + "://" + l.Addr().String()
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				c := stream.NewConn(nc, p)
				if mode == "tls" {
					c.StartTLS(cfg, nil)
				}
				serve(c)
			}
		}()
		t.Cleanup(func() { l.Close(); wg.Wait() })
	case "ws", "wss":
		s.target = mode + "://" + l.Addr().String() + "/xmpp-websocket"
		hs := &http.Server{TLSConfig: cfg, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := stream.Upgrade(w, r, p)
			if err != nil {
				t.Log(err)
				return
			}
			serve(c)
		})}
		wl := stream.Listen(l)
		if mode == "wss" {
			wl = tls.NewListener(wl, cfg)
		}
		go hs.Serve(wl)
		t.Cleanup(func() { hs.Close() })
	}
	return s
}

var modes = []string{"tcp", "tls", "ws", "wss"}

func dial(t testing.TB, s *server) *stream.Conn {
	t.Helper()
	_, cfg := certificate(t)
	d := stream.Dialer{Poller: s.p, TLS: cfg}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := d.Dial(ctx, s.target)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// echo answers a header with a header and a stanza with itself.
func echo(c *stream.Conn) stream.Handler {
	return stream.Handler{
		Item: func(it *stream.Item) error {
			switch it.Kind {
			case stream.Open:
				return c.Write(stream.AppendHeader(nil, stream.Header{From: "x", ID: "1"}, c.WebSocket()))
			case stream.Stanza:
				return c.Flush(c.AppendWire(nil, it.Stanza.Wire()))
			}
			return nil
		},
	}
}

// peer is a client that puts what it receives on channels.
type peer struct {
	*stream.Conn
	items  chan string
	closed chan error
}

func newPeer(c *stream.Conn) *peer {
	p := &peer{Conn: c, items: make(chan string, 64), closed: make(chan error, 1)}
	c.Serve(stream.Handler{
		Item: func(it *stream.Item) error {
			switch it.Kind {
			case stream.Open:
				p.items <- "open " + it.Header.From
			case stream.Close:
				p.items <- "close"
			default:
				p.items <- string(it.Element.Bytes())
			}
			return nil
		},
		Closed: func(err error) { p.closed <- err },
	})
	return p
}

func (p *peer) expect(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-p.items:
		if !strings.Contains(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nothing came, want %q", want)
	}
}

func (p *peer) end(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.closed:
		return err
	case <-time.After(patience):
		t.Fatal("the connection did not end")
		return nil
	}
}

func (p *peer) open(t testing.TB) {
	t.Helper()
	if err := p.Write(stream.AppendHeader(nil, stream.Header{To: "x"}, p.WebSocket())); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "open x")
}

func TestEcho(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p := newPoller(t, stream.Options{})
			ended := make(chan error, 1)
			s := listen(t, mode, p, func(c *stream.Conn) {
				h := echo(c)
				h.Closed = func(err error) { ended <- err }
				c.Serve(h)
			})
			c := newPeer(dial(t, s))
			c.open(t)
			for i := range 50 {
				body := strings.Repeat("x", i*i*30)
				msg := fmt.Sprintf("<message xmlns='jabber:client' id='%d'><body>%s</body></message>", i, body)
				if err := c.Write([]byte(msg)); err != nil {
					t.Fatal(err)
				}
				c.expect(t, body)
			}
			c.Close(nil)
			if err := c.end(t); err != nil {
				t.Error("client:", err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error("server:", err)
				}
			case <-time.After(patience):
				t.Fatal("server did not end")
			}
		})
	}
}

// TestMany checks that no wake-up is lost: many connections, each pinging at
// odd moments.
func TestMany(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			s := listen(t, mode, p, func(c *stream.Conn) { c.Serve(echo(c)) })
			n, rounds := 300, 20
			if testing.Short() {
				n = 50
			}
			var wg sync.WaitGroup
			var done atomic.Int64
			sem := make(chan struct{}, 16)
			for range n {
				wg.Add(1)
				sem <- struct{}{}
				go func() {
					defer wg.Done()
					c := newPeer(dial(t, s))
					<-sem
					c.open(t)
					for i := range rounds {
						runtime.Gosched()
						msg := fmt.Sprintf("<message xmlns='jabber:client' id='i%d'/>", i)
						if err := c.Write([]byte(msg)); err != nil {
							t.Error(err)
							return
						}
						c.expect(t, msg[:len(msg)-2])
						done.Add(1)
					}
					c.Close(nil)
					if err := c.end(t); err != nil {
						t.Error(err)
					}
				}()
			}
			wg.Wait()
			if got := done.Load(); got != int64(n*rounds) {
				t.Errorf("%d of %d", got, n*rounds)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	for _, mode := range modes {
		for in, want := range map[string]string{
			"<foo/>":       "bad-format",
			"<?php ?>":     "restricted-xml",
			"<!-- x -->":   "restricted-xml",
			"hello":        "bad-format",
			"<message><a>": "not-well-formed",
		} {
			if !strings.HasPrefix(mode, "ws") && in == "<message><a>" {
				want = "bad-format"
			}
			t.Run(mode+in, func(t *testing.T) {
				p := newPoller(t, stream.Options{})
				ended := make(chan error, 1)
				s := listen(t, mode, p, func(c *stream.Conn) {
					h := echo(c)
					h.Closed = func(err error) { ended <- err }
					c.Serve(h)
				})
				c := newPeer(dial(t, s))
				if err := c.Write([]byte(in)); err != nil {
					t.Fatal(err)
				}
				c.expect(t, "open")
				c.expect(t, want)
				c.expect(t, "close")
				if err := c.end(t); err != nil {
					t.Error(err)
				}
				var se *stream.Error
				if err := <-ended; !errors.As(err, &se) || se.Condition != want {
					t.Error(err)
				}
			})
		}
	}
}
