package stream_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bearhug/bearhug/stream"
)

// TestBlocked: handlers that wait do not keep others from being read.
func TestBlocked(t *testing.T) {
	p := newPoller(t, stream.Options{})
	const n = 20
	var waiting atomic.Int64
	release := make(chan struct{})
	s := listen(t, "tcp", p, func(c *stream.Conn) {
		h := echo(c)
		plain := h.Item
		h.Item = func(it *stream.Item) error {
			if it.Kind == stream.Stanza && string(it.Stanza.ID()) == "wait" {
				waiting.Add(1)
				<-release
			}
			return plain(it)
		}
		c.Serve(h)
	})
	var conns []*peer
	for range n {
		c := newPeer(dial(t, s))
		c.open(t)
		if err := c.Write([]byte("<message id='wait'/>")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	wait(t, "all handlers wait", func() bool { return waiting.Load() == n })
	c := newPeer(dial(t, s))
	c.open(t)
	if err := c.Write([]byte("<message id='quick'/>")); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "quick")
	close(release)
	conns = append(conns, c)
	for _, c := range conns {
		if c != conns[n] {
			c.expect(t, "wait")
		}
		c.Close(nil)
		c.end(t)
	}
}

// TestHandOver goes through what an owner does in the life of a stream.
func TestHandOver(t *testing.T) {
	p := newPoller(t, stream.Options{})
	for _, mode := range append(modes, "pipe") {
		t.Run(mode, func(t *testing.T) {
			ended := make(chan error, 2)
			serve := func(c *stream.Conn) {
				second := stream.Handler{
					Item: func(it *stream.Item) error {
						switch {
						case it.Kind == stream.Open:
							return c.WriteItems(
								stream.AppendHeader(nil, stream.Header{From: "x", ID: "2"}, c.WebSocket()),
								stream.AppendFeatures(nil, []byte("<bind xmlns='u'/>"), c.WebSocket()))
						case it.Kind == stream.Stanza:
							return c.CloseWrite()
						case it.Kind == stream.Close:
							if err := c.Write([]byte("<late/>")); !errors.Is(err, stream.ErrClosed) {
								t.Error("written after the end:", err)
							}
						}
						return nil
					},
					Closed: func(err error) { ended <- err },
				}
				h := echo(c)
				plain := h.Item
				h.Item = func(it *stream.Item) error {
					if it.Kind == stream.Element { // as SASL ends
						if err := c.Write([]byte("<success xmlns='s'/>")); err != nil {
							return err
						}
						c.Restart()
						c.SetLimits(stream.Limits{Bytes: 5000})
						c.SetHandler(second)
						return nil
					}
					return plain(it)
				}
				h.Closed = func(error) { t.Error("the first handler was told the end") }
				c.Serve(h)
			}
			var nc *stream.Conn
			if mode == "pipe" {
				a, b := net.Pipe()
				serve(stream.NewConn(a, p))
				nc = stream.NewConn(b, p)
			} else {
				nc = dial(t, listen(t, mode, p, serve))
				if nc.LocalAddr().String() == nc.RemoteAddr().String() {
					t.Error("addresses")
				}
			}
			items := make(chan string, 10)
			nc.Serve(stream.Handler{
				Item: func(it *stream.Item) error {
					switch {
					case it.Kind == stream.Open:
						items <- "open " + it.Header.ID
					case it.Kind == stream.Close:
						items <- "close"
					case it.Element.Is("s", "success"):
						nc.Restart()
						items <- "success"
					default:
						items <- string(it.Element.Bytes())
					}
					return nil
				},
				Closed: func(err error) { ended <- err },
			})
			open := stream.AppendHeader(nil, stream.Header{To: "x"}, nc.WebSocket())
			say := func(b []byte, want ...string) {
				t.Helper()
				if err := nc.Write(b); err != nil {
					t.Fatal(err)
				}
				for _, w := range want {
					if got := <-items; !strings.Contains(got, w) {
						t.Fatalf("got %q, want %q", got, w)
					}
				}
			}
			say(open, "open 1")
			say([]byte("<auth xmlns='s'/>"), "success")
			say(open, "open 2", "features")
			if mode != "pipe" && (nc.BytesIn() == 0 || nc.BytesOut() == 0) {
				t.Error("bytes are not counted")
			}
			say([]byte("<message xmlns='jabber:client'/>"), "close")
			for range 2 {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			if err := nc.Write([]byte("<late/>")); err == nil {
				t.Error("written after the end")
			}
		})
	}
}

func TestErrorTexts(t *testing.T) {
	e := stream.NewError(stream.Conflict, "")
	if e.Error() != "stream error conflict" {
		t.Error(e)
	}
	e.Text = "replaced"
	if e.Error() != "stream error conflict: replaced" {
		t.Error(e)
	}
}

func TestAcceptAgain(t *testing.T) {
	for err, want := range map[error]bool{
		&net.OpError{Op: "accept", Err: syscall.EMFILE}: true,
		fmt.Errorf("accept: %w", syscall.ECONNABORTED):  true,
		net.ErrClosed: false,
		io.EOF:        false,
	} {
		if stream.AcceptAgain(err) != want {
			t.Error(err)
		}
	}
}
