package stream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/stream"
)

// wait polls until ok, for what no channel tells.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
	}
}

// rawDial gives the bare socket to a server of mode tcp.
func rawDial(t testing.TB, s *server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.target[len("tcp://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// readUntil reads until the bytes hold want, or the end.
func readUntil(t testing.TB, nc net.Conn, want string) string {
	t.Helper()
	var got []byte
	buf := make([]byte, 4096)
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(string(got), want) {
		n, err := nc.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("%v; got %q, want %q", err, got, want)
		}
	}
	return string(got)
}

const (
	tcpHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='x' version='1.0'>"
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
)

// starttls serves a stream that asks for TLS first.
func starttls(c *stream.Conn, cfg *tls.Config, done func(error)) stream.Handler {
	h := echo(c)
	plain := h.Item
	h.Item = func(it *stream.Item) error {
		if it.Kind == stream.Element && it.Element.Is(nsTLS, "starttls") {
			if err := c.Write([]byte("<proceed xmlns='" + nsTLS + "'/>")); err != nil {
				return err
			}
			c.StartTLS(cfg, done)
			return nil
		}
		return plain(it)
	}
	return h
}

func TestStartTLS(t *testing.T) {
	p := newPoller(t, stream.Options{})
	cfg, ccfg := certificate(t)
	var shaken atomic.Int64
	s := listen(t, "tcp", p, func(c *stream.Conn) {
		c.Serve(starttls(c, cfg, func(err error) {
			if err == nil {
				shaken.Add(1)
			}
		}))
	})
	for range 20 {
		c := dial(t, s)
		items := make(chan string, 10)
		closed := make(chan error, 1)
		c.Serve(stream.Handler{
			Item: func(it *stream.Item) error {
				switch {
				case it.Kind == stream.Open:
					if _, secure := c.TLS(); secure {
						return c.Write([]byte("<message id='secret'/>"))
					}
					return c.Write([]byte("<starttls xmlns='" + nsTLS + "'/>"))
				case it.Kind == stream.Element && it.Element.Is(nsTLS, "proceed"):
					c.StartTLSClient(ccfg, func(err error) {
						if err != nil {
							t.Error(err)
							return
						}
						if err := c.Write([]byte(tcpHeader)); err != nil {
							t.Error(err)
						}
					})
				case it.Kind == stream.Stanza:
					items <- string(it.Element.Bytes())
				}
				return nil
			},
			Closed: func(err error) { closed <- err },
		})
		if err := c.Write([]byte(tcpHeader)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-items:
			if !strings.Contains(got, "secret") {
				t.Error(got)
			}
		case err := <-closed:
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatal("no answer")
		}
		state, ok := c.TLS()
		if !ok || state.Version != tls.VersionTLS13 {
			t.Error("TLS state", state.Version, ok)
		}
		c.Close(nil)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
	if shaken.Load() != 20 {
		t.Error("done was called", shaken.Load())
	}
}

// TestInjection: clear bytes after <starttls/> are not taken into TLS.
func TestInjection(t *testing.T) {
	p := newPoller(t, stream.Options{})
	cfg, _ := certificate(t)
	for _, after := range []string{"<message/>", " ", "\x16\x03\x01"} {
		s := listen(t, "tcp", p, func(c *stream.Conn) { c.Serve(starttls(c, cfg, nil)) })
		nc := rawDial(t, s)
		fmt.Fprint(nc, tcpHeader, "<starttls xmlns='"+nsTLS+"'/>", after)
		got := readUntil(t, nc, "</stream:stream>")
		if !strings.Contains(got, "policy-violation") {
			t.Errorf("%q: %q", after, got)
		}
	}
}

func TestTLSFails(t *testing.T) {
	p := newPoller(t, stream.Options{TLSTimeout: 50 * time.Millisecond})
	for _, garbage := range []string{"GET / HTTP/1.0\r\n\r\n", ""} {
		ended, told := make(chan error, 1), make(chan error, 1)
		cfg, _ := certificate(t)
		s := listen(t, "tcp", p, func(c *stream.Conn) {
			h := echo(c)
			h.Closed = func(err error) { ended <- err }
			c.StartTLS(cfg, func(err error) { told <- err })
			c.Serve(h)
		})
		nc := rawDial(t, s)
		fmt.Fprint(nc, garbage) // none: the handshake times out
		if err := <-told; err == nil {
			t.Error("done was told no error")
		}
		if err := <-ended; err == nil {
			t.Error("closed without error")
		}
	}
}

// TestDrip sends a stream byte by byte through each transport.
func TestDrip(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range []string{"tcp", "tls"} {
		s := listen(t, mode, p, func(c *stream.Conn) { c.Serve(echo(c)) })
		front, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		back := strings.TrimPrefix(strings.TrimPrefix(s.target, "tcp://"), "tls://")
		go func() { // a wire that carries one byte at a time to the server
			nc, err := front.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", back)
			if err != nil {
				return
			}
			go func() { io.Copy(nc, up); nc.Close() }()
			buf := make([]byte, 4096)
			for {
				n, err := nc.Read(buf)
				for i := range n {
					up.Write(buf[i : i+1])
				}
				if err != nil {
					up.Close()
					return
				}
			}
		}()
		c := newPeer(dial(t, &server{target: mode + "://" + front.Addr().String(), p: p}))
		c.open(t)
		for i := range 20 {
			msg := fmt.Sprintf("<message id='%d'><body a='>&lt;'>ü€😀 &amp; <![CDATA[]]]]> </body></message>", i)
			if err := c.Write([]byte(msg)); err != nil {
				t.Fatal(err)
			}
			c.expect(t, "<body a='>&lt;'>ü€😀 &amp; <![CDATA[]]]]> </body></message>")
		}
		c.Close(nil)
		if err := c.end(t); err != nil {
			t.Error(err)
		}
		front.Close()
	}
}

func TestPause(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range append(modes, "pipe") {
		t.Run(mode, func(t *testing.T) {
			var seen atomic.Int64
			conns := make(chan *stream.Conn, 1)
			serve := func(c *stream.Conn) {
				c.Serve(stream.Handler{Item: func(it *stream.Item) error {
					if it.Kind == stream.Open {
						return c.Write(stream.AppendHeader(nil, stream.Header{From: "x"}, c.WebSocket()))
					}
					if seen.Add(1)%10 == 0 {
						c.Pause()
						conns <- c
					}
					return nil
				}})
			}
			var c *peer
			if mode == "pipe" {
				a, b := net.Pipe()
				serve(stream.NewConn(a, p))
				c = newPeer(stream.NewConn(b, p))
			} else {
				c = newPeer(dial(t, listen(t, mode, p, serve)))
			}
			c.open(t)
			go func() {
				for range 10 {
					msgs := make([][]byte, 10)
					for i := range msgs {
						msgs[i] = []byte("<message xmlns='jabber:client'/>")
					}
					c.WriteItems(msgs...)
				}
			}()
			for i := 1; i <= 10; i++ {
				srv := <-conns
				time.Sleep(time.Millisecond)
				if n := seen.Load(); n != int64(10*i) {
					t.Fatalf("%d items while paused after %d", n, 10*i)
				}
				srv.Resume()
			}
			c.Close(nil)
			c.end(t)
		})
	}
}

// TestNeverReads: a peer that does not read costs the write timeout, and
// nothing once the stream is closed.
func TestNeverReads(t *testing.T) {
	for _, closeIt := range []bool{false, true} {
		t.Run(fmt.Sprint("close=", closeIt), func(t *testing.T) {
			opt := stream.Options{WriteTimeout: 100 * time.Millisecond}
			if closeIt {
				opt.WriteTimeout = time.Hour
			}
			p := newPoller(t, opt)
			conns := make(chan *stream.Conn, 1)
			ended := make(chan error, 1)
			s := listen(t, "tcp", p, func(c *stream.Conn) {
				h := echo(c)
				h.Closed = func(err error) { ended <- err }
				c.Serve(h)
				conns <- c
			})
			nc := rawDial(t, s)
			fmt.Fprint(nc, tcpHeader)
			c := <-conns
			failed := make(chan error, 1)
			go func() {
				item := []byte("<message><body>" + strings.Repeat("x", 1<<20) + "</body></message>")
				for {
					if err := c.Write(item); err != nil {
						failed <- err
						return
					}
				}
			}()
			if closeIt {
				wait(t, "writer is stuck", func() bool {
					n := c.BytesOut()
					time.Sleep(20 * time.Millisecond)
					return n > 1<<20 || c.BytesOut() == n && n > 0
				})
				c.Close(&stream.Error{Condition: stream.Conflict})
			}
			if err := <-failed; err == nil {
				t.Error("no error")
			}
			if err := <-ended; err == nil {
				t.Error("closed without error")
			}
		})
	}
}

func TestPipe(t *testing.T) {
	p := newPoller(t, stream.Options{})
	a, b := net.Pipe()
	cfg, ccfg := certificate(t)
	ended := make(chan error, 1)
	srv := stream.NewConn(a, p)
	h := starttls(srv, cfg, nil)
	h.Closed = func(err error) { ended <- err }
	srv.Serve(h)
	if err := b.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var nc net.Conn = b
	speak := func(say, want string) {
		t.Helper()
		go fmt.Fprint(nc, say)
		readUntil(t, nc, want)
	}
	speak(tcpHeader, "version='1.0'>")
	speak("<message id='1'/>", "id='1'></message>"[:7])
	speak("<starttls xmlns='"+nsTLS+"'/>", "/>")
	tc := tls.Client(b, ccfg)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	nc = tc
	speak(tcpHeader, "version='1.0'>")
	speak("<message id='2'/>", "id='2'")
	speak("</stream:stream>", "</stream:stream>")
	go io.Copy(io.Discard, b)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestHalfClose: what was sent before the end of the peer's half is handled.
func TestHalfClose(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, foot := range []string{"", "</stream:stream>"} {
		ended := make(chan error, 1)
		s := listen(t, "tcp", p, func(c *stream.Conn) {
			h := echo(c)
			h.Closed = func(err error) { ended <- err }
			c.Serve(h)
		})
		nc := rawDial(t, s)
		fmt.Fprint(nc, tcpHeader, "<message id='last'/>", foot)
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		readUntil(t, nc, "id='last'")
		err := <-ended
		if foot == "" && !errors.Is(err, io.EOF) || foot != "" && err != nil {
			t.Errorf("%q: %v", foot, err)
		}
	}
}

// TestOversize: the error reaches a peer that goes on sending.
func TestOversize(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			s := listen(t, mode, p, func(c *stream.Conn) {
				c.SetLimits(stream.Limits{Bytes: 10000})
				c.Serve(echo(c))
			})
			c := newPeer(dial(t, s))
			c.open(t)
			go func() {
				c.Write([]byte("<message xmlns='jabber:client'><body>" + strings.Repeat("x", 5<<20) + "</body></message>"))
			}()
			c.expect(t, "policy-violation")
			c.expect(t, "close")
			c.end(t)
		})
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	p := newPoller(t, stream.Options{Log: quiet(&log)})
	ended := make(chan error, 1)
	s := listen(t, "tcp", p, func(c *stream.Conn) {
		c.Serve(stream.Handler{
			Item:   func(*stream.Item) error { panic("a bug") },
			Closed: func(err error) { ended <- err },
		})
	})
	c := newPeer(dial(t, s))
	if err := c.Write([]byte(tcpHeader)); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "open")
	c.expect(t, "internal-server-error")
	if err := <-ended; err == nil {
		t.Error("closed without error")
	}
	if !strings.Contains(log.String(), "a bug") {
		t.Error("not logged")
	}
	c.end(t)
}

// TestNoGoroutines: idle connections have none.
func TestNoGoroutines(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p := newPoller(t, stream.Options{})
			s := listen(t, mode, p, func(c *stream.Conn) { c.Serve(echo(c)) })
			first := newPeer(dial(t, s))
			first.open(t)
			conns := []*peer{first}
			for range 100 {
				c := newPeer(dial(t, s))
				c.open(t)
				conns = append(conns, c)
			}
			wait(t, "few goroutines", func() bool { return runtime.NumGoroutine() < 30 })
			for _, c := range conns {
				c.Close(nil)
				c.end(t)
			}
		})
	}
}

// TestChurn closes from all sides at once while descriptors are reused.
func TestChurn(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p := newPoller(t, stream.Options{Linger: 10 * time.Millisecond})
			var opened, ended atomic.Int64
			s := listen(t, mode, p, func(c *stream.Conn) {
				opened.Add(1)
				h := echo(c)
				n := opened.Load()
				inner := h.Item
				h.Item = func(it *stream.Item) error {
					if it.Kind == stream.Stanza && n%3 == 0 {
						go c.Close(&stream.Error{Condition: stream.Conflict})
					}
					if it.Kind == stream.Stanza && n%3 == 1 {
						c.Close(nil)
					}
					return inner(it)
				}
				h.Closed = func(error) { ended.Add(1) }
				c.Serve(h)
			})
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range 40 {
						c := newPeer(dial(t, s))
						c.Write(stream.AppendHeader(nil, stream.Header{To: "x"}, c.WebSocket()))
						for k := range 3 {
							c.Write([]byte(fmt.Sprintf("<message xmlns='jabber:client' id='%d'/>", k)))
						}
						if (w+i)%2 == 0 {
							runtime.Gosched()
							c.Close(nil)
						} else if (w+i)%5 == 0 {
							go c.Close(nil)
						} else {
							time.AfterFunc(20*time.Millisecond, func() { c.Close(nil) })
						}
						c.end(t)
					}
				}()
			}
			wg.Wait()
			wait(t, "all ended", func() bool { return ended.Load() == opened.Load() })
		})
	}
}

// TestRefused: a connection that is closed before it is served is told why.
func TestRefused(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range modes {
		s := listen(t, mode, p, func(c *stream.Conn) {
			if mode == "tls" { // nobody could read it before the handshake
				c.Serve(stream.Handler{Item: func(*stream.Item) error { return &stream.Error{Condition: stream.ResourceConstraint} }})
				return
			}
			c.Close(&stream.Error{Condition: stream.ResourceConstraint})
		})
		c := newPeer(dial(t, s))
		if err := c.Write(stream.AppendHeader(nil, stream.Header{To: "x"}, c.WebSocket())); err != nil {
			t.Fatal(err)
		}
		c.expect(t, "open")
		c.expect(t, "resource-constraint")
		c.expect(t, "close")
		if err := c.end(t); err != nil {
			t.Error(mode, err)
		}
	}
}

func TestPollerClose(t *testing.T) {
	p, err := stream.NewPoller(stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 20
	for range n {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		srv, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := stream.NewConn(srv, p)
		c.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(error) { ended.Add(1) }})
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if ended.Load() != n {
		t.Errorf("%d of %d were told", ended.Load(), n)
	}
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	told := make(chan error, 1)
	stream.NewConn(nc, p).Serve(stream.Handler{Closed: func(err error) { told <- err }})
	if err := <-told; !errors.Is(err, stream.ErrClosed) {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	p := newPoller(t, stream.Options{})
	d := stream.Dialer{Poller: p}
	for _, target := range []string{"127.0.0.1:1", "tls://127.0.0.1:1", "ws://127.0.0.1:1/", "wss://127.0.0.1:1/", "ftp://127.0.0.1:1", "tls://nonsense"} {
		if c, err := d.Dial(context.Background(), target); err == nil || c != nil {
			t.Error(target, err)
		}
	}
}
