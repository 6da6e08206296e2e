// Package house runs the real program for the tests of the whole house: it
// builds it once per test binary, starts it on free ports of loopback with a
// data directory of its own, kills it, starts it again on the same data.
// It is imported from tests only.
//
// A Server belongs to one goroutine, apart from Addr, Log and Resident.
package house

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// Password is that of all accounts of these tests.
const Password = "correct horse battery staple"

// Patience bounds the wait for what must happen. It is long, for a machine may
// be busy; nothing is proven by its passing.
const Patience = 2 * time.Minute

// programVar names a program that is to be tested instead of one built here.
const programVar = "BEARHUG_TEST_PROGRAM"

// Main runs the tests of a package on a freshly built program: to be called by
// TestMain.
func Main(run func() int) int {
	if os.Getenv(programVar) != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "bearhug-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bearhug")
	build := exec.Command("go", "build", "-o", program, "github.com/bearhug/bearhug/cmd/bearhug")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(programVar, program); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// Options say how a server is set up.
type Options struct {
	Domain   string            // of its one organisation, default "house.test"
	People   []string          // local parts of its accounts; all have Password
	Database string            // db.url; "" for SQLite in the data directory
	Flags    map[string]string // further configuration
}

// Server is one server: a data directory, and a process when it runs.
type Server struct {
	Domain string
	Data   string
	Keys   *client.Keys // spares the people PBKDF2

	tb      testing.TB
	program string
	flags   []string
	logFile string

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	done chan error // of cmd's end
	addr map[string]string
}

// New makes the organisation and its accounts, by the commands that people
// use, and starts the server. It is ended with the test.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := Prepare(tb, o)
	if err := s.Start(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Prepare is New without the start.
func Prepare(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.Domain == "" {
		o.Domain = "house.test"
	}
	dir := tb.TempDir()
	s := &Server{
		Domain: o.Domain, Data: filepath.Join(dir, "data"), Keys: &client.Keys{},
		tb: tb, program: os.Getenv(programVar), logFile: filepath.Join(dir, "log"),
	}
	for _, key := range []string{"c2s.listen", "c2s.tls_listen", "http.listen", "http.tls_listen", "ops.listen"} {
		port, held, err := mariadb.ClaimPort()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { held.Close() })
		s.flags = append(s.flags, "--"+key+"=127.0.0.1:"+strconv.Itoa(port))
	}
	if o.Database != "" {
		s.flags = append(s.flags, "--db.url="+o.Database)
	}
	for k, v := range o.Flags {
		s.flags = append(s.flags, "--"+k+"="+v)
	}
	s.Command("", "org", "add", o.Domain)
	if len(o.People) > 0 {
		var csv strings.Builder
		csv.WriteString("jid,password\n")
		for _, p := range o.People {
			fmt.Fprintf(&csv, "%s@%s,%s\n", p, o.Domain, Password)
		}
		file := filepath.Join(dir, "people.csv")
		if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.Command("", "user", "import", file)
	}
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("the end of the server's log:\n%s", s.Log(4000))
			if dir := os.Getenv("BEARHUG_TEST_LOGS"); dir != "" { // the whole of it
				err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(tb.Name(), "/", "-")+".log"), []byte(s.Log(1<<30)), 0o600)
				if err != nil {
					tb.Log(err)
				}
			}
		}
	})
	return s
}

// Command runs a command of the program on the server's data and returns what
// it prints; input is its standard input.
func (s *Server) Command(input string, args ...string) string {
	s.tb.Helper()
	cmd := exec.Command(s.program, append(args, append([]string{"--data=" + s.Data}, s.flags...)...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.tb.Fatalf("bearhug %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var (
	listening = regexp.MustCompile(`msg=listening listener=(\S+) address=(\S+)`)
	serving   = regexp.MustCompile(`msg=serving `)
)

// ErrEnded is returned when the program ends before it serves.
var ErrEnded = errors.New("the program has ended")

// Start starts the process and waits until it serves.
func (s *Server) Start() error {
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.program, append([]string{"serve", "--data=" + s.Data}, s.flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done, up := make(chan error, 1), make(chan struct{})
	s.mu.Lock()
	s.cmd, s.done, s.addr = cmd, done, map[string]string{}
	s.mu.Unlock()
	out, err := os.OpenFile(s.logFile, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	go func() { // ends with the process
		defer out.Close()
		s.follow(bufio.NewScanner(stderr), out, up)
		done <- cmd.Wait()
	}()
	select {
	case <-up:
		return nil
	case err := <-done:
		done <- err
		return fmt.Errorf("%w (%v): %s", ErrEnded, err, s.Log(500))
	case <-time.After(Patience):
		return errors.Join(errors.New("the server does not start"), s.Kill())
	}
}

// follow reads the log until the process ends; up is closed when it serves.
func (s *Server) follow(lines *bufio.Scanner, out *os.File, up chan struct{}) {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, lines.Text()); err != nil {
			s.tb.Log(err)
		}
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			s.mu.Lock()
			s.addr[m[1]] = m[2]
			s.mu.Unlock()
		}
		if up != nil && serving.MatchString(lines.Text()) {
			close(up)
			up = nil
		}
	}
}

// Addr is where a listener stands: "c2s", "c2s-tls", "http", "http-tls", "ops".
func (s *Server) Addr(listener string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr[listener]
}

// Log is the end of the server's log.
func (s *Server) Log(most int) string {
	b, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// PID is the process, 0 when it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Kill ends the process with SIGKILL, if it runs.
func (s *Server) Kill() error {
	_, err := s.end(syscall.SIGKILL)
	return err
}

// Terminate ends the process with SIGTERM and returns its exit code.
func (s *Server) Terminate() (code int, err error) { return s.end(syscall.SIGTERM) }

// Signal sends SIGTERM and does not wait; Terminate may follow.
func (s *Server) Signal() error { return syscall.Kill(s.PID(), syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) (int, error) {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return 0, nil
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-done: // how it ended is in ProcessState
	case <-time.After(Patience):
		return 0, fmt.Errorf("the server does not end on %v", sig)
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Resident is the memory of the process in bytes (VmRSS), and the most it ever
// was (VmHWM).
func (s *Server) Resident() (now, most int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			most = n << 10
		}
	}
	return now, most, nil
}

// JID is the bare address of one of the people, of the organisation for "".
func (s *Server) JID(local string) jid.JID {
	if local == "" {
		return jid.MustParse(s.Domain)
	}
	return jid.MustParse(local + "@" + s.Domain)
}

// Config is what one of the people signs in with, over TCP: in plain where the
// server allows it, else with STARTTLS.
func (s *Server) Config(local string) client.Config {
	return client.Config{Server: s.Addr("c2s"), Account: s.JID(local), Password: Password, Keys: s.Keys, TLS: s.Trust()}
}

// Certificate is the file of the organisation's self-signed certificate, which
// the server makes with the first handshake.
func (s *Server) Certificate() string {
	s.tb.Helper()
	file := filepath.Join(s.Data, "certs", s.Domain+".crt")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	c, err := tls.Dial("tcp", s.Addr("c2s-tls"), &tls.Config{ServerName: s.Domain, InsecureSkipVerify: true}) //nolint:gosec // it is thrown away
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := c.Close(); err != nil {
		s.tb.Log(err)
	}
	return file
}

// Trust believes the organisation's self-signed certificate and no other.
func (s *Server) Trust() *tls.Config {
	s.tb.Helper()
	pem, err := os.ReadFile(s.Certificate())
	if err != nil {
		s.tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		s.tb.Fatalf("%s holds no certificate", s.Certificate())
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Context is the test's with Patience.
func Context(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	tb.Cleanup(cancel)
	return ctx
}

// Connect signs one of the people in; the connection is cut with the test.
func (s *Server) Connect(local string, sm *client.Session) *client.Client {
	s.tb.Helper()
	cfg := s.Config(local)
	c, err := client.Connect(Context(s.tb), cfg, sm)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(c.Cut)
	return c
}
