package rehearse

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the processor time a process has used, user and system, threads that
// have ended included, to the nanosecond.
func CPU(pid int) (time.Duration, error) {
	var t unix.Timespec
	// The clock of another process, as clock_getcpuclockid(3) makes it.
	const scheduled = 2
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// RSS is the resident memory of a process, in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	_, rest, _ := bytes.Cut(b, []byte("VmRSS:"))
	kb, _ := number(bytes.TrimLeft(rest, " \t"))
	return int64(kb) << 10, nil
}

// own is the processor time of this process.
func own() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// A Span is a stretch of time with what the server and the loader used in it.
type Span struct {
	Length time.Duration
	Server time.Duration // processor time
	Loader time.Duration // processor time
	began  time.Time
	pids   []int
}

// begin starts a span over the processes of the server; it may have several:
// its database is one.
func begin(pids []int) (s Span, err error) {
	s.pids = pids
	if s.Server, err = s.used(); err != nil {
		return s, err
	}
	s.Loader, s.began = own(), time.Now()
	return s, nil
}

func (s *Span) used() (sum time.Duration, err error) {
	for _, pid := range s.pids {
		d, err := CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

func (s *Span) end() error {
	s.Length = time.Since(s.began)
	s.Loader = own() - s.Loader
	now, err := s.used()
	s.Server = now - s.Server
	return err
}

// LoaderBusy is the share of one core that the loader used, 0 to 1: near 1 it
// is the loader that was measured.
func (s *Span) LoaderBusy() float64 { return float64(s.Loader) / float64(max(1, s.Length)) }

// ServerBusy is the share of one core that the server used.
func (s *Span) ServerBusy() float64 { return float64(s.Server) / float64(max(1, s.Length)) }

// pinned marks that this process is the one on its core.
const pinned = "REHEARSE_PINNED"

// PinSelf starts this program again on one core: a Go program that is moved
// while it runs goes on believing in the cores it saw first. In the program
// that was started again it does nothing.
func PinSelf(core int) error {
	if os.Getenv(pinned) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find myself: %w", err)
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("move to core %d: %w", core, err)
	}
	return unix.Exec(self, os.Args, append(os.Environ(), pinned+"=1"))
}

// Pin moves a process that runs, with all its threads, to a core.
func Pin(pid, core int) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(core)
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("move thread %d: %w", tid, err)
		}
	}
	return nil
}
