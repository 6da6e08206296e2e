package main_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// c2s is where clients reach the server.
func (s *server) c2s(t *testing.T) net.Conn {
	t.Helper()
	m := regexp.MustCompile(`listener=c2s address=(\S+)`).FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("no address in the log:\n%s", s.log)
	}
	c, err := net.Dial("tcp", m[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// readUntil reads until the text is seen.
func readUntil(t *testing.T, c net.Conn, want string) string {
	t.Helper()
	var seen []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(seen), want) {
		n, err := c.Read(buf)
		seen = append(seen, buf[:n]...)
		if err != nil {
			t.Fatalf("%v after %q, waiting for %q", err, seen, want)
		}
	}
	return string(seen)
}

// TestDrain: SIGTERM tells every stream, also one that has not signed in, and
// the server exits with 0 although nobody answers.
func TestDrain(t *testing.T) {
	p := newPlace(t)
	p.ok("a.example added\n", "", "org", "add", "a.example", "--data", "d")
	s := p.serve()
	silent, open := s.c2s(t), s.c2s(t)
	fmt.Fprint(open, "<?xml version='1.0'?><stream:stream to='a.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
	readUntil(t, open, "</stream:features>")
	done := make(chan int, 1)
	go func() { done <- s.stop(t, syscall.SIGTERM) }()
	if seen := readUntil(t, open, "</stream:stream>"); !strings.Contains(seen, "<system-shutdown") {
		t.Errorf("told %q", seen)
	}
	if code := <-done; code != 0 {
		t.Errorf("exit %d\n%s", code, s.log)
	}
	if _, err := io.ReadAll(silent); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the silent one: %v", err)
	}
}

// TestPrompt gives a password on a terminal, where it is not echoed.
func TestPrompt(t *testing.T) {
	p := newPlace(t)
	p.ok("a.example added\n", "", "org", "add", "a.example", "--data", "d")
	for _, c := range []struct{ first, second, want string }{
		{"geheim", "geheim", "anna@a.example added"},
		{"geheim", "gehein", "bearhug: the two passwords differ: nothing was changed"},
		{"", "", "bearhug: the password is empty: nothing was changed"},
	} {
		master, slave := terminal(t)
		cmd := exec.Command(program, "user", "add", "anna@a.example", "--data", "d")
		cmd.Dir = p.dir
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		var seen strings.Builder
		answer := func(prompt, text string) {
			buf := make([]byte, 1024)
			for !strings.Contains(seen.String(), prompt) {
				n, err := master.Read(buf)
				seen.Write(buf[:n])
				if err != nil {
					t.Fatalf("%v after %q", err, seen.String())
				}
			}
			if _, err := master.WriteString(text); err != nil {
				t.Fatal(err)
			}
		}
		// The echo is off when the prompt is there: it is asked for twice.
		answer("Password for anna@a.example: ", "")
		waitNoEcho(t, master)
		answer("Password", c.first+"\n")
		answer("Again: ", "")
		waitNoEcho(t, master)
		answer("Again", c.second+"\n")
		answer(c.want, "")
		_ = cmd.Wait() // its exit code is the other tests' matter
		if strings.Contains(seen.String(), "gehei") {
			t.Errorf("the password is seen: %q", seen.String())
		}
		master.Close()
	}
}

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// waitNoEcho waits until the terminal does not echo.
func waitNoEcho(t *testing.T, master *os.File) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if attrs, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS); err == nil && attrs.Lflag&unix.ECHO == 0 {
			return
		}
	}
	t.Fatal("the terminal still echoes")
}
