package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/rehearse"
	"github.com/bearhug/bearhug/sasl"
)

const (
	domain     = "bench.example"
	password   = "correct horse battery staple"
	iterations = 4096
)

// bench is one run of this program.
type bench struct {
	options
	ctx    context.Context
	report report
	keys   *sasl.ClientKeys
}

// people are numbered accounts, which all have the same password and salt, so
// that one PBKDF2 is enough for all.
func (b *bench) people(n int) ([]*rehearse.Person, error) {
	if b.keys == nil {
		k, err := sasl.DeriveClient(sasl.SCRAMSHA1, password, iterations, []byte("salt of the bench"))
		if err != nil {
			return nil, err
		}
		b.keys = &k
	}
	list := make([]*rehearse.Person, n)
	for i := range list {
		list[i] = &rehearse.Person{Local: "p" + strconv.Itoa(i), Domain: domain, Keys: b.keys}
	}
	return list, nil
}

// csv is a file for `bearhug user import`, the SCRAM form.
func (b *bench) csv(people []*rehearse.Person) []byte {
	k := b.keys.Keys()
	b64 := base64.StdEncoding.EncodeToString
	tail := fmt.Sprintf(",%s,%d,%s,%s,%s\n", k.Mechanism, k.Iterations, b64(k.Salt), b64(k.StoredKey), b64(k.ServerKey))
	var out bytes.Buffer
	out.WriteString("jid,mechanism,iterations,salt,stored_key,server_key\n")
	for _, p := range people {
		out.WriteString(p.JID() + tail)
	}
	return out.Bytes()
}

// server is a `bearhug serve` of ours.
type server struct {
	b        *bench
	dir      string
	database string   // db.url
	program  []string // that serves; nil: the one under test
	ports    map[string]netip.AddrPort
	cmd      *exec.Cmd
	log      *os.File
}

// listeners that are opened on free ports.
var listeners = []string{"c2s.listen", "c2s.tls_listen", "http.listen", "http.tls_listen", "ops.listen"}

// server prepares a data directory with people in it. Archive, if not "", is
// a directory whose files are copied instead.
func (b *bench) server(people []*rehearse.Person, database, archive string) (s *server, err error) {
	s = &server{b: b, database: database, ports: map[string]netip.AddrPort{}}
	if s.dir, err = os.MkdirTemp("", "bearhug-bench-"); err != nil {
		return nil, err
	}
	for _, name := range listeners {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s.ports[name] = l.Addr().(*net.TCPAddr).AddrPort()
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "bearhug.toml"), s.config(), 0o600); err != nil {
		return nil, err
	}
	// What the kernel still has to write would be measured with the server.
	defer unix.Sync()
	if archive != "" {
		return s, os.CopyFS(filepath.Join(s.dir, "data"), os.DirFS(archive))
	}
	if err := s.command("org", "add", domain); err != nil {
		return nil, err
	}
	return s, s.importPeople(people)
}

// importPeople runs `bearhug user import`.
func (s *server) importPeople(people []*rehearse.Person) error {
	file := filepath.Join(s.dir, "people.csv")
	if err := os.WriteFile(file, s.b.csv(people), 0o600); err != nil {
		return err
	}
	return s.command("user", "import", file)
}

func (s *server) config() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "data = %q\n", filepath.Join(s.dir, "data"))
	section := ""
	for _, name := range listeners {
		table, key, _ := strings.Cut(name, ".")
		if table != section {
			section = table
			fmt.Fprintf(&out, "[%s]\n", table)
			if table == "c2s" {
				fmt.Fprintln(&out, "plaintext = true")
			}
		}
		fmt.Fprintf(&out, "%s = %q\n", key, s.ports[name])
	}
	if s.database != "" {
		fmt.Fprintf(&out, "[db]\nurl = %q\n", s.database)
	}
	return out.Bytes()
}

func (s *server) arguments(args ...string) []string {
	return append(args, "--config", filepath.Join(s.dir, "bearhug.toml"))
}

// command runs a bearhug command to its end, on the loader's core.
func (s *server) command(args ...string) error {
	out, err := exec.CommandContext(s.b.ctx, s.b.bearhug, s.arguments(args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("bearhug %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// start runs the server on its core and waits until it is ready.
func (s *server) start() (err error) {
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	program := s.program
	if program == nil {
		program = []string{s.b.bearhug, "serve"}
	}
	args := append([]string{"-c", strconv.Itoa(s.b.serverCore)}, s.arguments(program...)...)
	s.cmd = exec.Command("taskset", args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	for range 600 {
		time.Sleep(100 * time.Millisecond)
		if body, err := s.get("/readyz"); err == nil && body != nil {
			return nil
		}
		if err := s.cmd.Process.Signal(syscall.Signal(0)); err != nil {
			break
		}
	}
	return errors.Join(errors.New("the server does not become ready; its log ends: "+s.logTail()), s.stop())
}

func (s *server) logTail() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// get asks the ops listener.
func (s *server) get(path string) ([]byte, error) {
	res, err := http.Get("http://" + s.ports["ops.listen"].String() + path)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return body, err
}

// metrics reads /metrics; series with labels keep them in their names.
func (s *server) metrics() (map[string]float64, error) {
	page, err := s.get("/metrics")
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(page)) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if all[line[:at]], err = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err != nil {
			return nil, fmt.Errorf("metrics: %q", line)
		}
	}
	return all, nil
}

// statements is how many SQL statements the ledger has counted.
func (s *server) statements() (sum float64, err error) {
	all, err := s.metrics()
	for name, v := range all {
		if strings.HasSuffix(name, "_statements_total") {
			sum += v
		}
	}
	return sum, err
}

// tellWriter prints how long transactions held SQLite's writer.
func (s *server) tellWriter() {
	m, err := s.metrics()
	if err != nil {
		fmt.Println("    no metrics:", err)
		return
	}
	if jobs := m["bearhug_db_writer_jobs_total"]; jobs > 0 {
		fmt.Printf("    since the start: %.0f transactions waited %.2f ms each; the longest held the writer %.1f ms, %.0f more than 20 ms\n",
			jobs, 1000*m["bearhug_db_writer_wait_seconds_total"]/jobs, 1000*m["bearhug_db_writer_longest_seconds"], m["bearhug_db_writer_over_total"])
	}
}

// profiled writes a CPU profile of the server for a while, when profiles are
// wanted; it returns at once, and done waits for the end.
func (s *server) profiled(name string, d time.Duration) (done func()) {
	if s.b.profile == "" {
		return func() {}
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		body, err := s.get("/debug/pprof/profile?seconds=" + strconv.Itoa(max(1, int(d.Seconds()))))
		if err == nil {
			err = os.WriteFile(filepath.Join(s.b.profile, name+".pprof"), body, 0o644)
		}
		if err != nil {
			fmt.Println("    no profile:", err)
		}
	}()
	return func() { <-end }
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the server and removes its files.
func (s *server) stop() error {
	var errs []error
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		ended := make(chan error, 1)
		go func() { ended <- s.cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				errs = append(errs, fmt.Errorf("the server ended badly: %w; its log ends: %s", err, s.logTail()))
			}
		case <-time.After(60 * time.Second):
			errs = append(errs, errors.New("the server did not end within 60 s"), s.cmd.Process.Kill())
			<-ended
		}
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if !s.b.keep {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
