package stream_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stream"
)

// TestLoad measures how many messages a server on one core carries from socket
// to socket. BEARHUG_LOAD=3 runs it for that many seconds in each mode, with
// BEARHUG_LOAD_PAIRS pairs of connections.
func TestLoad(t *testing.T) {
	if mode := os.Getenv("BEARHUG_LOAD_SERVER"); mode != "" {
		serveLoad(t, mode)
		return
	}
	secs, err := strconv.Atoi(os.Getenv("BEARHUG_LOAD"))
	if err != nil {
		t.Skip("set BEARHUG_LOAD to a number of seconds")
	}
	pairs, err := strconv.Atoi(os.Getenv("BEARHUG_LOAD_PAIRS"))
	if err != nil {
		pairs = 200
	}
	for _, mode := range modes {
		measureLoad(t, mode, pairs, time.Duration(secs)*time.Second)
	}
}

// serveLoad sends each stanza to the connection numbered in its to attribute.
func serveLoad(t *testing.T, mode string) {
	p := newPoller(t, stream.Options{})
	var mu sync.RWMutex
	conns := map[string]*stream.Conn{}
	from := jid.MustParse("alice@example.org/phone")
	s := listen(t, mode, p, func(c *stream.Conn) {
		c.Serve(stream.Handler{Item: func(it *stream.Item) error {
			switch it.Kind {
			case stream.Open:
				mu.Lock()
				conns[it.Header.From] = c
				mu.Unlock()
				return c.Write(stream.AppendHeader(nil, stream.Header{From: "x"}, c.WebSocket()))
			case stream.Stanza:
				mu.RLock()
				to := conns[string(it.Stanza.RawTo())]
				mu.RUnlock()
				it.Stanza.From = from
				buf := make([]byte, 0, 512)
				return to.Flush(to.AppendWire(buf, it.Stanza.Wire()))
			}
			return nil
		}})
	})
	fmt.Println("TARGET", s.target)
	if f := os.Getenv("BEARHUG_LOAD_PROFILE"); f != "" {
		out, err := os.Create(f + "." + mode)
		if err == nil {
			err = pprof.StartCPUProfile(out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var ru syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
			t.Fatal(err)
		}
		fmt.Println("CPU", time.Duration(ru.Utime.Nano()).Microseconds(), time.Duration(ru.Stime.Nano()).Microseconds())
	}
	pprof.StopCPUProfile()
	os.Exit(0)
}

func measureLoad(t *testing.T, mode string, pairs int, d time.Duration) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoad$")
	cmd.Env = append(os.Environ(), "BEARHUG_LOAD_SERVER="+mode, "GOMAXPROCS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	lines := bufio.NewScanner(out)
	next := func(word string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), word+" "); ok {
				return rest
			}
		}
		t.Fatal("the server ended")
		return ""
	}
	s := &server{target: next("TARGET"), p: newPoller(t, stream.Options{})}
	cpu := func() (user, sys int) {
		fmt.Fprintln(in)
		if _, err := fmt.Sscan(next("CPU"), &user, &sys); err != nil {
			t.Fatal(err)
		}
		return user, sys
	}
	var got atomic.Int64
	conns := make([]*stream.Conn, 2*pairs)
	var ready sync.WaitGroup
	for i := range conns {
		c := dial(t, s)
		conns[i] = c
		msg := []byte(strings.Replace(chat258(t), `to="bob@example.org"`, fmt.Sprintf(`xmlns="jabber:client" to="%d"`, i^1), 1))
		ready.Add(1)
		c.Serve(stream.Handler{Item: func(it *stream.Item) error {
			if it.Kind == stream.Open {
				ready.Done()
				return nil
			}
			got.Add(1)
			return c.Write(msg)
		}})
		c.Write(stream.AppendHeader(nil, stream.Header{From: strconv.Itoa(i)}, c.WebSocket()))
		defer c.Close(nil)
	}
	ready.Wait()
	for i, c := range conns {
		c.Write([]byte(strings.Replace(chat258(t), `to="bob@example.org"`, fmt.Sprintf(`xmlns="jabber:client" to="%d"`, i^1), 1)))
	}
	time.Sleep(d / 4)
	u0, s0 := cpu()
	n0, t0 := got.Load(), time.Now()
	time.Sleep(d)
	u1, s1 := cpu()
	n, took := float64(got.Load()-n0), time.Since(t0)
	t.Logf("%-4s %d connections: %.0f messages/s; server %.2f µs user, %.2f µs system each, %.0f%% of a core", mode, len(conns),
		n/took.Seconds(), float64(u1-u0)/n, float64(s1-s0)/n, 100*float64(u1-u0+s1-s0)/float64(took.Microseconds()))
}
