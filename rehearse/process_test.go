package rehearse

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCPU: the processor time of a process is what the kernel says it has used
// itself, and that of another one is not ours.
func TestCPU(t *testing.T) {
	before := own()
	mine, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after := own() + time.Microsecond; mine < before || mine > after { // which counts whole ones
		t.Errorf("%v used, not from %v to %v", mine, before, after)
	}
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	sleeps, err := CPU(other.Process.Pid)
	if err != nil || sleeps < 0 || sleeps > time.Second {
		t.Errorf("who sleeps has used %v, %v", sleeps, err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := other.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if _, err := CPU(other.Process.Pid); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a process that is gone: %v", err)
	}
}

// TestLimit: a server that takes people and never answers does not hold them
// longer than the limit.
func TestLimit(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	loop, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	c := &Crowd{Loop: loop, Address: netip.MustParseAddrPort(l.Addr().String()), PIDs: []int{os.Getpid()}, Patience: time.Hour, Limit: 20 * time.Millisecond}
	a, err := c.SignIn([]*Person{{Local: "p00000", Domain: "x"}, {Local: "p00001", Domain: "x"}}, 2)
	if !errors.Is(err, ErrPatience) || a == nil || a.People != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}
