// Package mariadb starts a private MariaDB for tests and benchmarks: its own
// port on loopback, its own socket, its own data directory, durable commits.
// It is imported from tests only.
package mariadb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrNotInstalled: the programs of MariaDB are not on this machine.
var ErrNotInstalled = errors.New("MariaDB is not installed (apt-get install mariadb-server)")

// Server is one running mariadbd.
type Server struct {
	Dir  string // data, socket and log
	Port int

	cmd  *exec.Cmd
	done chan error
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
	s := &Server{Dir: dir}
	args := []string{"--no-defaults", "--datadir=" + s.data(), "--auth-root-authentication-method=normal", "--skip-test-db"}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	out, err := exec.CommandContext(ctx, install, args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make a data directory: %w: %s", err, tail(out))
	}
	for range 3 { // somebody may take the port before the server does
		if s.Port, err = freePort(); err != nil {
			continue
		}
		if err = s.Restart(ctx); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (s *Server) data() string   { return filepath.Join(s.Dir, "data") }
func (s *Server) socket() string { return filepath.Join(s.Dir, "sock") }

// freePort is a port of loopback that is free now, below those that the kernel
// gives to outgoing connections: a killed server must find it free again.
func freePort() (int, error) {
	port := 20_000 + rand.IntN(12_000)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	return port, l.Close()
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
		"--datadir="+s.data(), "--socket="+s.socket(), "--pid-file="+filepath.Join(s.Dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.Port), "--skip-name-resolve", "--skip-log-bin",
		"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1",
		"--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M", "--max-connections=200")
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

// wait dials until the server accepts.
func (s *Server) wait(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := net.DialTimeout("tcp", s.addr(), time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case err := <-s.done:
			s.done <- err
			out, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
			return fmt.Errorf("mariadbd ended (%w): %s", err, tail(out))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mariadbd does not answer: %w", err)
		}
	}
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

// PID is the process, for those who want to stop or kill it themselves.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the server as a power cut of the process would: SIGKILL.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Stop ends it in order.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done // how it ended is what we asked for
	s.done <- nil
	return nil
}

// tail is the end of a program's output, for an error.
func tail(b []byte) string {
	if len(b) > 800 {
		b = b[len(b)-800:]
	}
	return string(b)
}
