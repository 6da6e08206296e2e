package ops

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("data directory is in use")

// Lock is one process's claim on a data directory. It ends with Unlock or
// with the process, however that dies.
type Lock struct{ file *os.File }

// LockDir makes the data directory if there is none (mode 0700) and claims it.
// When another process has it, the error is ErrLocked and names that process.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		holder := "another process"
		buf := make([]byte, 32)
		n, _ := f.ReadAt(buf, 0) // empty while the holder has not written yet
		if pid := bytes.TrimSpace(buf[:n]); len(pid) > 0 {
			holder = "process " + string(pid)
		}
		return nil, fmt.Errorf("%w: %s belongs to one process, and %s has it; stop that one or choose another --data", ErrLocked, dir, holder)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return &Lock{f}, nil
}

// Unlock gives the directory back.
func (l *Lock) Unlock() error { return l.file.Close() }
