//go:build linux && amd64

package db_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/db"
)

// child writes row after row, prints what was acknowledged, and has the disk
// fail in the middle, as BEARHUG_DB_CHILD says: "fsync" or "write".
func child() int {
	ctx := context.Background()
	d, err := db.Open(ctx, db.Config{URL: os.Getenv("BEARHUG_DB_URL"), Statements: []string{statements}, Migrations: migrations})
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	write := func(k int) error {
		return d.Write(ctx, 1, func(tx *db.Tx) error {
			_, err := tx.ExecRows("put", []any{k, k})
			return err
		})
	}
	for k := range 10_000 {
		if k == 100 {
			if err := failDisk(os.Getenv("BEARHUG_DB_CHILD")); err != nil {
				fmt.Println("inject:", err)
				return 1
			}
		}
		if err := write(k); err != nil {
			select {
			case <-d.Broken():
			default:
				fmt.Println("not broken:", err)
				return 1
			}
			if next := write(99_999); !errors.Is(err, db.ErrBroken) || !errors.Is(next, db.ErrBroken) {
				fmt.Println("after the failure:", err, next)
				return 1
			}
			fmt.Println("broken", k)
			return 0
		}
		fmt.Println("ack", k)
	}
	fmt.Println("the disk never failed")
	return 1
}

// failDisk makes the kernel refuse: fsync by a filter on system calls, writes
// by a limit on the size of files.
func failDisk(how string) error {
	if how == "write" {
		signal.Ignore(unix.SIGXFSZ)
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 200_000, Max: 200_000})
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	eio := uint32(unix.SECCOMP_RET_ERRNO | uint32(unix.EIO))
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: eio},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return e
	}
	return nil
}

// TestDiskFails: a refused fsync or write is an error of that transaction and
// of all after it; what was acknowledged before is there after a restart.
func TestDiskFails(t *testing.T) {
	for _, how := range []string{"fsync", "write"} {
		t.Run(how, func(t *testing.T) {
			url := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "BEARHUG_DB_CHILD="+how, "BEARHUG_DB_URL="+url)
			out, err := cmd.CombinedOutput()
			if strings.HasPrefix(string(out), "inject:") || strings.Contains(string(out), "\ninject:") {
				t.Skipf("this machine forbids it: %s", out)
			}
			if err != nil || !strings.Contains(string(out), "broken") {
				t.Fatalf("%v\n%s", err, tail(string(out)))
			}
			got := all(t, open(t, db.Config{URL: url}))
			lines := bufio.NewScanner(strings.NewReader(string(out)))
			acked := 0
			for lines.Scan() {
				var k int64
				if n, _ := fmt.Sscanf(lines.Text(), "ack %d", &k); n == 1 {
					acked++
					if v, ok := got[k]; !ok || v != k {
						t.Fatalf("row %d was acknowledged and is lost", k)
					}
				}
			}
			if acked < 100 {
				t.Errorf("%d rows before the failure", acked)
			}
		})
	}
}

func tail(s string) string { return s[max(0, len(s)-500):] }
