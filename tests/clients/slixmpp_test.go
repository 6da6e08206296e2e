// Package clients has the clients that people use talk to the real server:
// slixmpp, Converse.js in a browser, openssl's s_client.
package clients

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/bearhug/bearhug/tests/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m.Run)) }

// python is Debian's, for python3-slixmpp is Debian's package.
const python = "/usr/bin/python3"

// missing skips a test for want of a tool, but never in continuous integration.
func missing(t *testing.T, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: %s", what, remedy)
	}
	t.Skipf("NOT TESTED: %s is missing: %s", what, remedy)
}

func needSlixmpp(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import slixmpp").CombinedOutput(); err != nil {
		missing(t, "slixmpp", "apt-get install python3-slixmpp: "+string(out))
	}
}

// run runs a program to its end and shows what it printed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*house.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestSlixmpp is a day of two people with slixmpp.
func TestSlixmpp(t *testing.T) {
	needSlixmpp(t)
	s := house.New(t, house.Options{People: []string{"ada", "bob"}})
	host, port, err := net.SplitHostPort(s.Addr("c2s"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, python, "story.py", host, port, s.Domain, house.Password, s.Certificate())
}
