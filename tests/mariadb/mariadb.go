// Package mariadb starts a private MariaDB for tests and benchmarks: its own
// port on loopback, its own socket, its own data directory, durable commits.
// It is imported from tests only.
package mariadb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNotInstalled: the programs of MariaDB are not on this machine.
var ErrNotInstalled = errors.New("MariaDB is not installed (apt-get install mariadb-server)")

// Server is one running mariadbd.
type Server struct {
	Dir  string // data, socket and log
	Port int

	number int // of a primary 1, of its replica 2; 0: it has no binary log
	cmd    *exec.Cmd
	done   chan error
	held   io.Closer // the port, until the process ends
}

// find looks for a program in PATH and where distributions put daemons.
func find(names ...string) (string, error) {
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p, nil
		}
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
			p := filepath.Join(dir, n)
			if st, err := os.Stat(p); err == nil && !st.IsDir() {
				return p, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w", names[0], ErrNotInstalled)
}

// Start makes a data directory under dir and starts a server on it. The data
// directory belongs to the server's user, so dir must be passable by others
// when this runs as root.
func Start(ctx context.Context, dir string) (*Server, error) {
	install, err := find("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, err
	}
	return start(ctx, &Server{Dir: dir}, install)
}

func start(ctx context.Context, s *Server, install string) (_ *Server, err error) {
	if err := s.install(ctx, install); err != nil {
		return nil, err
	}
	for range 3 { // somebody may take the port before the server does
		if s.Port, s.held, err = ClaimPort(); err != nil {
			return nil, err
		}
		if err = s.Restart(ctx); err == nil {
			return s, nil
		}
		err = errors.Join(err, s.held.Close())
	}
	return nil, err
}

// install makes the data directory. A machine with much else to do may refuse
// the bootstrap something once; then it begins again.
func (s *Server) install(ctx context.Context, program string) error {
	args := []string{"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.scratch(), "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-use-native-aio=0"}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	err := os.MkdirAll(s.scratch(), 0o700)
	if err != nil {
		return err
	}
	for range 3 {
		var out []byte
		if out, err = exec.CommandContext(ctx, program, args...).CombinedOutput(); err == nil {
			return nil
		}
		err = fmt.Errorf("make a data directory: %w: %s", err, complaint(out))
		if e := os.RemoveAll(s.data()); e != nil {
			return errors.Join(err, e)
		}
	}
	return err
}

func (s *Server) data() string   { return filepath.Join(s.Dir, "data") }
func (s *Server) socket() string { return filepath.Join(s.Dir, "sock") }

// scratch is for temporary tables: a server that starts deletes all that lie
// in its directory, and others may be at work on theirs.
func (s *Server) scratch() string { return filepath.Join(s.Dir, "tmp") }

// ClaimPort finds a port of loopback that is free and stays so until held is
// closed or this process ends, though nobody listens there: a killed server
// must find it free again. It lies below those that the kernel gives to
// outgoing connections, and other tests that claim theirs know of it, by a name
// in the kernel.
func ClaimPort() (port int, held io.Closer, err error) {
	for range 1000 {
		port = 10_000 + rand.IntN(22_000)
		if held, err = net.Listen("unix", "@bearhug-test-port-"+strconv.Itoa(port)); err != nil {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, held, l.Close()
		}
		if e := held.Close(); e != nil {
			return 0, nil, e
		}
	}
	return 0, nil, fmt.Errorf("no free port: %w", err)
}

// Restart starts the server on its data directory, after Stop or Kill, and
// waits until it answers.
func (s *Server) Restart(ctx context.Context) error {
	daemon, err := find("mariadbd", "mysqld")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	me, err := user.Current()
	if err != nil {
		return err
	}
	s.cmd = exec.Command(daemon, "--no-defaults", "--user="+me.Username,
		"--datadir="+s.data(), "--tmpdir="+s.scratch(), "--socket="+s.socket(), "--pid-file="+filepath.Join(s.Dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.Port), "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1",
		"--innodb-use-native-aio=0", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M", "--max-connections=200")
	s.cmd.Args = append(s.cmd.Args, s.binlog()...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// It must not outlive the tests, however they end. (The signal comes with
	// the end of the starting thread; the runtime keeps its threads.)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", daemon, err)
	}
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(s.cmd, s.done)
	if err := s.wait(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// wait asks until the server greets. It asks by the socket: on the port
// somebody else might answer.
func (s *Server) wait(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := s.greeted()
		if err == nil {
			return nil
		}
		select {
		case end := <-s.done:
			s.done <- end
			out, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
			return fmt.Errorf("mariadbd ended (%w): %s", end, complaint(out))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mariadbd does not answer: %w", err)
		}
	}
}

// greeted reads the first byte that the server sends.
func (s *Server) greeted() error {
	c, err := net.DialTimeout("unix", s.socket(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func (s *Server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is the database's address as the configuration wants it; the database
// is made by Create.
func (s *Server) URL(name string) string { return "mysql://root@" + s.addr() + "/" + name }

// Create makes an empty database and returns its URL. The name is an
// identifier.
func (s *Server) Create(ctx context.Context, name string) (string, error) {
	client, err := find("mariadb", "mysql")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, client, "--no-defaults", "--user=root", "--protocol=socket", "--socket="+s.socket(),
		"--execute=CREATE DATABASE "+name+" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("create database %s: %w: %s", name, err, tail(out))
	}
	return s.URL(name), nil
}

// Log is all that the server has said.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Status is what the server is doing: its connections, its transactions, who
// waits for whose lock. It is for people to read.
func (s *Server) Status(ctx context.Context) string {
	client, err := find("mariadb", "mysql")
	if err != nil {
		return err.Error()
	}
	out, err := exec.CommandContext(ctx, client, "--no-defaults", "--user=root", "--protocol=socket", "--socket="+s.socket(),
		"--connect-timeout=5", "--vertical", "--execute=SHOW FULL PROCESSLIST; SELECT * FROM information_schema.INNODB_TRX;"+
			" SELECT * FROM information_schema.INNODB_LOCK_WAITS; SHOW ENGINE INNODB STATUS").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// PID is the process, for those who want to stop or kill it themselves.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the server as a power cut of the process would: SIGKILL.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Stop ends it in order, or by force when it does not listen: one that has
// just started may miss the signal.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	force := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer force.Stop()
	<-s.done // how it ended is what we asked for
	s.done <- nil
	return nil
}

// complaint is what a program said was wrong, or the end of what it said.
func complaint(out []byte) string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ERROR") || strings.Contains(line, "rror:") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return tail(out)
	}
	return tail([]byte(strings.Join(lines, "")))
}

// tail is the end of a program's output, for an error.
func tail(b []byte) string {
	if len(b) > 800 {
		b = b[len(b)-800:]
	}
	return string(b)
}
