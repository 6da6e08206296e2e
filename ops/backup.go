package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/bearhug/bearhug/db"
)

// BackupInfo says what a backup or a restored database is like.
type BackupInfo struct {
	File  string           `json:"file"`
	Bytes int64            `json:"bytes"`
	Rows  map[string]int64 `json:"rows,omitempty"` // by table; nil after a backup
}

// verify reads a whole SQLite file that nobody writes to.
func verify(ctx context.Context, file string) (BackupInfo, error) {
	info := BackupInfo{File: file}
	st, err := os.Stat(file)
	if err != nil {
		return info, err
	}
	info.Bytes = st.Size()
	if wal, err := os.Stat(file + "-wal"); err == nil && wal.Size() > 0 {
		return info, fmt.Errorf("%s-wal is beside it, so this is a live database and no backup; make one with `bearhug backup`", file)
	}
	report, err := db.Verify(ctx, file)
	info.Rows = report.Rows
	return info, err
}

// restored is what the name of a verified copy ends in that is to take the
// place of the database: from then on it will, also when the process dies.
const restored = ".restored"

// Restore puts a backup in the place of the database file to, whose directory
// the caller has locked. The backup is verified, copied, and the copy verified
// before anything is moved; a database that is there already is kept beside it
// under the name that is returned ("" if there was none). What is cut short by
// the end of the process is either not begun or ended by FinishRestore.
func Restore(ctx context.Context, from, to string) (info BackupInfo, kept string, err error) {
	source, err := verify(ctx, from)
	if err != nil {
		return source, "", fmt.Errorf("restore %s: %w", from, err)
	}
	fresh := to + ".restoring"
	defer os.Remove(fresh) // gone already when all went well
	if err := copyFile(from, fresh); err != nil {
		return source, "", fmt.Errorf("restore %s: %w", from, err)
	}
	info, err = verify(ctx, fresh)
	if err != nil {
		return info, "", fmt.Errorf("restore %s: the copy: %w", from, err)
	}
	if info.Bytes != source.Bytes || !maps.Equal(info.Rows, source.Rows) {
		return info, "", fmt.Errorf("restore %s: the copy differs from it; was it being written?", from)
	}
	info.File = to
	if _, err := FinishRestore(to); err != nil { // an older one
		return info, "", fmt.Errorf("restore %s: %w", from, err)
	}
	if err := errors.Join(os.Rename(fresh, to+restored), syncDir(filepath.Dir(to))); err != nil {
		return info, "", fmt.Errorf("restore %s: %w", from, err)
	}
	kept, err = FinishRestore(to)
	if err != nil {
		return info, kept, fmt.Errorf("restore %s: %w", from, err)
	}
	return info, kept, nil
}

// FinishRestore ends a restore of the database file to that was cut short while
// files were being renamed; it does nothing when there was none. Whoever opens
// the database calls it before, with the directory locked: the files of two
// databases may lie there mixed. kept is where the old one is, "" if there was
// none.
func FinishRestore(to string) (kept string, err error) {
	st, err := os.Stat(to + restored)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("finish a restore: %w", err)
	}
	// The name is the same at every attempt: the files of the old database
	// stay together.
	aside := to + ".before-" + st.ModTime().UTC().Format("20060102T150405.000000")
	if exists(aside) && exists(to) {
		return "", fmt.Errorf("put the old database aside: %s is there already; move it away", aside)
	}
	for _, ext := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(to+ext, aside+ext); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("put the old database aside: %w", err)
		}
	}
	if exists(aside) {
		kept = aside
	}
	if err := os.Rename(to+restored, to); err != nil {
		return kept, fmt.Errorf("finish a restore: %w", err)
	}
	return kept, syncDir(filepath.Dir(to))
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}
