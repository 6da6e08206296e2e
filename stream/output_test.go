package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/bearhug/bearhug/stream"
)

// sent is a stanza of some size that tells its number.
func sent(n int) []byte {
	return fmt.Appendf(nil, "<message xmlns='jabber:client' id='%d'><body>%s</body></message>", n, strings.Repeat("x", 8000))
}

// cram writes until the socket takes no more, and gives how many it was given.
func cram(t testing.TB, c *stream.Conn) int {
	t.Helper()
	for n := 1; n < 10000; n++ {
		all, err := c.TryFlush(c.AppendItem(nil, sent(n)))
		if err != nil {
			t.Fatal(err)
		}
		if !all {
			return n
		}
	}
	t.Fatal("the socket takes without end")
	return 0
}

// silent opens a stream to s, whose end of it comes by conns, and does not read.
func silent(t testing.TB, s *server, conns chan *stream.Conn) (client, served *stream.Conn) {
	t.Helper()
	client = dial(t, s)
	if err := client.Write(stream.AppendHeader(nil, stream.Header{To: "x"}, client.WebSocket())); err != nil {
		t.Fatal(err)
	}
	return client, <-conns
}

// announce is the server of silent: it tells of streams once they are open.
func announce(conns chan *stream.Conn, ended chan error) func(*stream.Conn) {
	return func(c *stream.Conn) {
		c.Serve(stream.Handler{
			Item: func(it *stream.Item) error {
				if it.Kind != stream.Open {
					return nil
				}
				err := c.Write(stream.AppendHeader(nil, stream.Header{From: "x"}, c.WebSocket()))
				conns <- c
				return err
			},
			Closed: func(err error) { ended <- err },
		})
	}
}

// TestSlowReader: what a peer does not take is kept; nobody waits for it, and it
// gets all in order once it reads.
func TestSlowReader(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p := newPoller(t, stream.Options{WriteTimeout: time.Hour})
			conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
			client, c := silent(t, listen(t, mode, p, announce(conns, ended)), conns)
			n := cram(t, c)
			flushed := make(chan error, 1)
			c.WhenFlushed(func(err error) { flushed <- err })
			for range 3 { // what comes all the same is kept in its place
				n++
				if all, err := c.TryFlush(c.AppendItem(nil, sent(n))); all || err != nil {
					t.Fatal(all, err)
				}
			}
			waited := make(chan error, 1)
			last := n + 1
			go func() { waited <- c.Write(sent(last)) }()
			select {
			case err := <-flushed:
				t.Fatal("flushed, and nobody has read:", err)
			case err := <-waited:
				t.Fatal("written, and nobody has read:", err)
			default:
			}
			var got atomic.Int64
			closed := make(chan error, 1)
			client.Serve(stream.Handler{
				Item: func(it *stream.Item) error {
					if it.Kind == stream.Stanza && string(it.Stanza.ID()) != fmt.Sprint(got.Add(1)) {
						t.Errorf("%s is number %d", it.Stanza.ID(), got.Load())
					}
					return nil
				},
				Closed: func(err error) { closed <- err },
			})
			if err := <-flushed; err != nil {
				t.Error(err)
			}
			if err := <-waited; err != nil {
				t.Error(err)
			}
			wait(t, "all have come", func() bool { return got.Load() == int64(last) })
			if all, err := c.TryFlush(c.AppendItem(nil, sent(last+1))); !all || err != nil {
				t.Error("there is room again:", all, err)
			}
			c.WhenFlushed(func(err error) { flushed <- err })
			if err := <-flushed; err != nil {
				t.Error(err)
			}
			c.Close(nil)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := <-closed; err != nil || got.Load() != int64(last+1) {
				t.Error(got.Load(), "of", last+1, err)
			}
		})
	}
}

// TestStopsReading: who takes nothing is cut after the write timeout; a stream
// that is closed meanwhile ends at once. Whoever waits is told.
func TestStopsReading(t *testing.T) {
	for _, mode := range modes {
		for _, closeIt := range []bool{false, true} {
			t.Run(fmt.Sprint(mode, closeIt), func(t *testing.T) {
				opt := stream.Options{WriteTimeout: 50 * time.Millisecond}
				if closeIt {
					opt.WriteTimeout = time.Hour
				}
				p := newPoller(t, opt)
				conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
				client, c := silent(t, listen(t, mode, p, announce(conns, ended)), conns)
				flushed := make(chan error, 2)
				cram(t, c)
				c.WhenFlushed(func(err error) { flushed <- err })
				if closeIt {
					c.Close(&stream.Error{Condition: stream.Conflict})
				}
				if err := <-flushed; err == nil || errors.Is(err, os.ErrDeadlineExceeded) == closeIt {
					t.Error(err)
				}
				if err := <-ended; err == nil {
					t.Error("closed without error")
				}
				if _, err := c.TryFlush([]byte("<message/>")); err == nil {
					t.Error("written after the end")
				}
				c.WhenFlushed(func(err error) { flushed <- err })
				if err := <-flushed; err == nil {
					t.Error("what was kept counts as written")
				}
				client.Serve(stream.Handler{Item: func(*stream.Item) error { return nil }, Closed: func(error) { ended <- nil }})
				<-ended
			})
		}
	}
}

// TestSlowButAlive: each bit of progress buys the whole write timeout.
func TestSlowButAlive(t *testing.T) {
	p := newPoller(t, stream.Options{WriteTimeout: time.Hour})
	conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
	s := listen(t, "tcp", p, announce(conns, ended))
	nc := rawDial(t, s)
	fmt.Fprint(nc, tcpHeader)
	c := <-conns
	cram(t, c)
	if _, err := c.TryFlush(make([]byte, 12<<20)); err != nil { // more than the socket has room for
		t.Fatal(err)
	}
	c.Age(time.Hour - time.Minute) // almost
	c.Look()
	out := c.BytesOut()
	if _, err := io.CopyN(io.Discard, nc, int64(out)); err != nil {
		t.Fatal(err)
	}
	wait(t, "there was room", func() bool { return c.BytesOut() > out })
	c.Age(2 * time.Minute)
	c.Look()
	if len(ended) > 0 {
		t.Fatal("cut, though it has read")
	}
	c.Age(time.Hour)
	c.Look()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestManyStopReading: a thousand streams that nobody reads have no goroutine,
// and one more is served.
func TestManyStopReading(t *testing.T) {
	p := newPoller(t, stream.Options{WriteTimeout: time.Hour})
	conns, ended := make(chan *stream.Conn, 1), make(chan error, 1000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if err := nc.(*net.TCPConn).SetWriteBuffer(4096); err != nil {
				t.Error(err)
			}
			announce(conns, ended)(stream.NewConn(nc, p))
		}
	}()
	connect := func() (net.Conn, *stream.Conn) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			err = nc.(*net.TCPConn).SetReadBuffer(4096)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprint(nc, tcpHeader)
		return nc, <-conns
	}
	const n = 1000
	var stuck []*stream.Conn
	for range n {
		_, c := connect()
		stuck = append(stuck, c)
	}
	before := runtime.NumGoroutine()
	var crammed sync.WaitGroup
	crammed.Add(n)
	release := make(chan struct{})
	stuck[0].Soon(func() { <-release }) // a worker that is busy for long
	for _, c := range stuck {
		c.Soon(func() {
			defer crammed.Done()
			cram(t, c)
			c.WhenFlushed(func(err error) {
				if err == nil {
					t.Error("written, and nobody has read")
				}
			})
		})
	}
	crammed.Wait()
	wait(t, "a thousand streams have no goroutines", func() bool { return runtime.NumGoroutine() <= before+20 })
	nc, c := connect()
	c.Soon(func() {
		if all, err := c.TryFlush([]byte("<message id='quick'/>")); !all || err != nil {
			t.Error(all, err)
		}
	})
	readUntil(t, nc, "quick")
	close(release)
	for _, c := range stuck {
		c.Close(nil)
	}
	for range stuck {
		<-ended
	}
	l.Close()
	<-accepted
}

// TestPongWaits: a ping that comes while something is kept is answered behind
// it, not inside of it, and not forgotten.
func TestPongWaits(t *testing.T) {
	p := newPoller(t, stream.Options{WriteTimeout: time.Hour})
	conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
	s := listen(t, "ws", p, announce(conns, ended))
	r := dialRaw(t, s)
	r.send(true, ws.OpText, wsOpen)
	c := <-conns
	n := cram(t, c)
	in := c.BytesIn()
	r.send(true, ws.OpPing, "hello")
	wait(t, "the ping has come", func() bool { return c.BytesIn() > in })
	texts := -1 // the header
	for {
		h, err := ws.ReadHeader(r)
		payload := make([]byte, h.Length)
		if err == nil {
			_, err = io.ReadFull(r, payload)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.OpCode == ws.OpText {
			texts++
			continue
		}
		if h.OpCode != ws.OpPong || string(payload) != "hello" || texts != n {
			t.Errorf("%v after %d of %d: %.20q", h, texts, n, payload)
		}
		break
	}
	c.Close(nil)
	<-ended
}

// TestWriterPanics: a panic of a writer ends its stream only.
func TestWriterPanics(t *testing.T) {
	var log bytes.Buffer // read once the stream has ended
	p := newPoller(t, stream.Options{Log: quiet(&log)})
	conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
	s := listen(t, "tcp", p, announce(conns, ended))
	nc := rawDial(t, s)
	fmt.Fprint(nc, tcpHeader)
	c := <-conns
	c.Soon(func() { panic("boo") })
	readUntil(t, nc, "internal-server-error")
	<-ended
	done := make(chan struct{})
	c.Soon(func() { close(done) })
	<-done
	if !strings.Contains(log.String(), "boo") {
		t.Error("the log does not tell")
	}
}

// TestSoonAfterClose: what a Poller is given after its end is done all the same.
func TestSoonAfterClose(t *testing.T) {
	p, err := stream.NewPoller(stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conns, ended := make(chan *stream.Conn, 1), make(chan error, 1)
	s := listen(t, "tcp", p, announce(conns, ended))
	nc := rawDial(t, s)
	fmt.Fprint(nc, tcpHeader)
	c := <-conns
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, stream.ErrClosed) {
		t.Error(err)
	}
	told := make(chan error)
	c.Soon(func() {
		_, err := c.TryFlush([]byte("<message/>"))
		told <- err
	})
	if err := <-told; err == nil {
		t.Error("written after the end")
	}
}
