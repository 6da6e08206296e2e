package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	b := feature.NewBoard()
	id, err := b.Declare("vcard-temp", "cards", false)
	if err != nil {
		t.Fatal(err)
	}
	b.Account(id, 3).Statements.Add(2)
	b.Account(id, 4).Statements.Add(5)
	b.Account(id, 4).CPU.Add(1_500_000_000)
	s := ops.NewServer(b, quiet(), "1.2.3")
	s.Collect(func(m *ops.Metrics) {
		m.Gauge("bearhug_c2s_streams", "streams", 7, "transport", `we"b\`)
		m.Gauge("bearhug_c2s_streams", "streams", 2, "transport", "tcp")
		m.Histogram("bearhug_archive_append_seconds", "commit", []float64{0.1, 1}, []uint64{3, 2, 1}, 4.5)
	})
	code, body := get(t, s.Handler(), "/metrics")
	if code != 200 {
		t.Fatal(code)
	}
	for _, want := range []string{
		`bearhug_info{version="1.2.3"} 1`,
		"# TYPE bearhug_vcard_temp_statements_total counter\nbearhug_vcard_temp_statements_total 7\n",
		"bearhug_vcard_temp_cpu_seconds_total 1.5\n",
		"bearhug_vcard_temp_on 1\n",
		`bearhug_c2s_streams{transport="we\"b\\"} 7`,
		"bearhug_c2s_streams{transport=\"tcp\"} 2\n",
		"bearhug_archive_append_seconds_bucket{le=\"0.1\"} 3\nbearhug_archive_append_seconds_bucket{le=\"1\"} 5\nbearhug_archive_append_seconds_bucket{le=\"+Inf\"} 6\nbearhug_archive_append_seconds_sum 4.5\nbearhug_archive_append_seconds_count 6\n",
		"process_resident_memory_bytes ", "process_open_fds ", "go_goroutines ", "go_gc_cycles_total ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %q", want)
		}
	}
	if strings.Contains(body, "bearhug_server_on") {
		t.Error("a feature without a switch has no switch in the metrics")
	}
	checkFormat(t, body)
}

// checkFormat holds a page against the grammar of the text format: each
// series belongs to the family named above it, and no family comes twice.
func checkFormat(t *testing.T, body string) {
	t.Helper()
	line := regexp.MustCompile(`^([a-z_:][a-z0-9_:]*)(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? (\+Inf|[0-9.e+-]+)$`)
	seen, family := map[string]bool{}, ""
	for l := range strings.Lines(strings.TrimSpace(body)) {
		l = strings.TrimSuffix(l, "\n")
		if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if seen[family] {
				t.Errorf("family %s comes twice", family)
			}
			seen[family] = true
			continue
		}
		if strings.HasPrefix(l, "# HELP ") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil || !strings.HasPrefix(m[1], family) {
			t.Errorf("bad line %q in family %s", l, family)
		}
	}
}

func TestHealth(t *testing.T) {
	s := ops.NewServer(feature.NewBoard(), quiet(), "v")
	var bad error
	s.Check("database", func(context.Context) error { return bad })
	s.Check("listeners", func(context.Context) error { return nil })
	h := s.Handler()
	check := func(path string, wantCode int, wantBody string) {
		t.Helper()
		if code, body := get(t, h, path); code != wantCode || !strings.Contains(body, wantBody) {
			t.Errorf("%s: %d %q, want %d %q", path, code, body, wantCode, wantBody)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 200, "database: ok\nlisteners: ok\n")
	bad = errors.New("gone away")
	check("/readyz", 503, "database: no: gone away\nlisteners: ok\n")
	if err := s.Ready(t.Context()); err == nil || err.Error() != "database: gone away" {
		t.Error(err)
	}
	bad = nil
	s.Drain()
	check("/readyz", 503, "drain: no: shutting down")
	check("/healthz", 200, "ok")
	check("/debug/pprof/", 200, "goroutine")
	check("/debug/pprof/heap?debug=1", 200, "heap profile")
	check("/", 200, "/metrics")
	check("/nothing", 404, "")
}

func TestServe(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := ops.NewServer(feature.NewBoard(), quiet(), "v")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(ln)
	resp, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(text) != "ok\n" {
		t.Errorf("%q", text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

type sum struct {
	A, B int
}

// control opens a control socket with a few operations.
func control(t *testing.T) (c *ops.Control, path string) {
	t.Helper()
	c = ops.NewControl(quiet())
	c.Handle("sum", func(call *ops.Call) (any, error) {
		var arg sum
		if err := call.Args(&arg); err != nil {
			return nil, err
		}
		return arg.A + arg.B, nil
	})
	c.Handle("total", func(call *ops.Call) (any, error) {
		total := 0
		for i := 0; ; i++ {
			var n int
			if err := call.Read(&n); err != nil {
				return nil, err
			}
			if n == 0 {
				return total, nil
			}
			total += n
			call.Progress(i+1, 0)
		}
	})
	c.Handle("fail", func(*ops.Call) (any, error) { return nil, errors.New("no such thing") })
	c.Handle("panic", func(*ops.Call) (any, error) { panic("oh") })
	c.Handle("hang", func(call *ops.Call) (any, error) {
		<-call.Context().Done()
		return nil, call.Context().Err()
	})
	// A directory deeper than a socket's address may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 90), strings.Repeat("e", 90))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "ctl")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left over
		t.Fatal(err)
	}
	if err := c.Listen(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("socket is left: %v", err)
		}
	})
	return c, path
}

func TestControl(t *testing.T) {
	c, path := control(t)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", st, err)
	}
	remote, err := ops.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for name, caller := range map[string]*ops.Caller{"socket": remote, "in process": c.Caller()} {
		t.Run(name, func(t *testing.T) {
			var got int
			if err := caller.Call(t.Context(), ops.Request{Op: "sum", Args: sum{2, 3}}, &got); err != nil || got != 5 {
				t.Errorf("%d %v", got, err)
			}
			if err := caller.Call(t.Context(), ops.Request{Op: "sum", Args: sum{2, 3}}, nil); err != nil {
				t.Error(err)
			}
			for _, c := range []struct {
				r    ops.Request
				want string
			}{
				{ops.Request{Op: "summ"}, `the server knows no operation "summ": did you mean "sum"?`},
				{ops.Request{Op: "xyzzy"}, `the server knows no operation "xyzzy", only fail, hang, panic, sum, total`},
				{ops.Request{Op: "sum", Args: map[string]int{"C": 1}}, `arguments: json: unknown field "C"`},
				{ops.Request{Op: "fail"}, "no such thing"},
				{ops.Request{Op: "panic"}, "panic: internal error, see the server's log"},
			} {
				if err := caller.Call(t.Context(), c.r, nil); err == nil || err.Error() != c.want {
					t.Errorf("%s: %v", c.r.Op, err)
				}
			}
			steps := 0
			err := caller.Call(t.Context(), ops.Request{Op: "total",
				Progress: func(done, _ int) { steps = done },
				Send: func(next func(any) error) error {
					for i := 1000; i >= 0; i-- {
						if err := next(i); err != nil {
							return err
						}
					}
					return nil
				}}, &got)
			if err != nil || got != 500500 || steps != 1000 {
				t.Errorf("%d %d %v", got, steps, err)
			}
			broken := errors.New("file ended")
			err = caller.Call(t.Context(), ops.Request{Op: "total", Send: func(next func(any) error) error { return broken }}, nil)
			if err == nil {
				t.Error("a sender that fails was not noticed")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := caller.Call(ctx, ops.Request{Op: "hang"}, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("hang: %v", err)
			}
		})
	}
}

// TestControlHangUp: an operation whose caller has gone is told so, though it
// reads nothing.
func TestControlHangUp(t *testing.T) {
	c, path := control(t)
	begun, ended := make(chan bool), make(chan error)
	c.Handle("wait", func(call *ops.Call) (any, error) {
		begun <- true
		<-call.Context().Done()
		ended <- call.Context().Err()
		return nil, nil
	})
	remote, err := ops.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, caller := range []*ops.Caller{remote, c.Caller()} {
		ctx, hangUp := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() {
			answer <- caller.Call(ctx, ops.Request{Op: "wait", Send: func(next func(any) error) error { return next("more") }}, nil)
		}()
		<-begun
		hangUp()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the operation was not told")
		}
		<-answer // of its own, or that it hung up: whichever comes first
	}
}

func TestControlGarbage(t *testing.T) {
	_, path := control(t)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, text := range []string{"hello\n", "\x00\x01\n", "[]\n", "{\"op\":5}\n"} {
		conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/ctl", dir.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error string }
		if err := json.NewDecoder(conn).Decode(&answer); err != nil || answer.Error == "" {
			t.Errorf("%q: %v %v", text, answer, err)
		}
		conn.Close()
	}
}

func TestDialNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	if _, err := ops.Dial(t.Context(), path); !errors.Is(err, ops.ErrNoServer) {
		t.Errorf("no socket: %v", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if _, err := ops.Dial(t.Context(), path); !errors.Is(err, ops.ErrNoServer) {
		t.Errorf("a socket without a listener: %v", err)
	}
}

func TestLockDir(t *testing.T) {
	if dir := os.Getenv("OPS_TEST_LOCK"); dir != "" { // the other process
		_, err := ops.LockDir(dir)
		fmt.Println(err)
		os.Exit(0)
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	l, err := ops.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(os.Args[0], "-test.run=^TestLockDir$")
	other.Env = append(os.Environ(), "OPS_TEST_LOCK="+dir)
	out, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("data directory is in use: %s belongs to one process, and process %d has it; stop that one or choose another --data", dir, os.Getpid())
	if !strings.Contains(string(out), want) {
		t.Errorf("the second process was told %q", out)
	}
	if _, err := ops.LockDir(dir); !errors.Is(err, ops.ErrLocked) {
		t.Errorf("twice in one process: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if l, err = ops.LockDir(dir); err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	l.Unlock()
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", st, err)
	}
}

func TestMetricsWriteTo(t *testing.T) {
	var m ops.Metrics
	m.Gauge("b", "line\nbreak \\", 1)
	m.Counter("a_total", "x", 2)
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	want := "# HELP a_total x\n# TYPE a_total counter\na_total 2\n# HELP b line\\nbreak \\\\\n# TYPE b gauge\nb 1\n"
	if err != nil || b.String() != want || n != int64(len(want)) {
		t.Errorf("%q %d %v", b.String(), n, err)
	}
}

// TestRestoreCutShort: wherever the renaming ended, it goes on from there: the
// new database is in its place, and the files of the old one stay together.
func TestRestoreCutShort(t *testing.T) {
	exts := []string{"-wal", "-shm", ""}
	for _, old := range []bool{true, false} {
		for moved := range len(exts) + 1 { // so many files of the old one were aside
			dir := t.TempDir()
			file := filepath.Join(dir, "b.db")
			write := func(name, text string) {
				t.Helper()
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(file+".restored", "new")
			st, err := os.Stat(file + ".restored")
			if err != nil {
				t.Fatal(err)
			}
			aside := file + ".before-" + st.ModTime().UTC().Format("20060102T150405.000000")
			for i, ext := range exts {
				switch {
				case !old:
				case i < moved:
					write(aside+ext, "old"+ext)
				default:
					write(file+ext, "old"+ext)
				}
			}
			kept, err := ops.FinishRestore(file)
			if err != nil || old != (kept == aside) {
				t.Fatalf("%d moved: %q %v", moved, kept, err)
			}
			want := map[string]string{file: "new"}
			for _, ext := range exts {
				if old {
					want[aside+ext] = "old" + ext
				}
			}
			names, err := filepath.Glob(file + "*")
			if err != nil || len(names) != len(want) {
				t.Errorf("%d moved: there is %v: %v", moved, names, err)
			}
			for name, text := range want {
				if got, err := os.ReadFile(name); err != nil || string(got) != text {
					t.Errorf("%d moved: %s holds %q: %v", moved, name, got, err)
				}
			}
			if kept, err := ops.FinishRestore(file); kept != "" || err != nil {
				t.Errorf("once more: %q %v", kept, err)
			}
		}
	}
}
