package stream_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/stream"
)

// TestIdleMemory measures what an idle connection costs a server that has
// connections only. BEARHUG_IDLE=5000 runs it with that many in each mode; the
// server is a process of its own.
func TestIdleMemory(t *testing.T) {
	if mode := os.Getenv("BEARHUG_IDLE_SERVER"); mode != "" {
		serveIdle(t, mode)
		return
	}
	n, err := strconv.Atoi(os.Getenv("BEARHUG_IDLE"))
	if err != nil {
		t.Skip("set BEARHUG_IDLE to a number of connections")
	}
	for _, mode := range modes {
		measureIdle(t, mode, n)
	}
}

// usage is what the server says of itself.
type usage struct {
	RSS, Heap, Stack, Goroutines int
}

func serveIdle(t *testing.T, mode string) {
	p := newPoller(t, stream.Options{})
	s := listen(t, mode, p, func(c *stream.Conn) { c.Serve(echo(c)) })
	fmt.Println("TARGET", s.target)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Fatal(err)
		}
		pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
		out, _ := json.Marshal(usage{pages * os.Getpagesize(), int(m.HeapAlloc), int(m.StackInuse), runtime.NumGoroutine()})
		fmt.Println("USAGE", string(out))
		if f := os.Getenv("BEARHUG_IDLE_PROFILE"); f != "" {
			writeHeap(t, f+"."+mode)
		}
	}
	os.Exit(0)
}

func measureIdle(t *testing.T, mode string, n int) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleMemory$")
	cmd.Env = append(os.Environ(), "BEARHUG_IDLE_SERVER="+mode)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
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
	ask := func() (u usage) {
		io.WriteString(in, "\n")
		if err := json.Unmarshal([]byte(next("USAGE")), &u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	warm := newPeer(dial(t, s))
	warm.open(t)
	before := ask()
	body := strings.Repeat("x", 220)
	conns := make([]*peer, n)
	for i := range conns {
		conns[i] = newPeer(dial(t, s))
		conns[i].items = make(chan string, 4)
		conns[i].open(t)
		conns[i].Write([]byte("<message xmlns='jabber:client' to='bob@example.org' id='1'><body>" + body + "</body></message>"))
		conns[i].expect(t, "<body>")
	}
	after := ask()
	kb := func(a, b int) float64 { return float64(b-a) / 1024 / float64(n) }
	t.Logf("%-4s %d connections: RSS %.2f KB, heap %.2f KB, stack %.2f KB each; %d goroutines",
		mode, n, kb(before.RSS, after.RSS), kb(before.Heap, after.Heap), kb(before.Stack, after.Stack), after.Goroutines)
	for _, c := range conns {
		c.Close(nil)
		c.end(t)
	}
	warm.Close(nil)
	warm.end(t)
}
