package ops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// BackupInfo says what a backup holds.
type BackupInfo struct {
	File  string           `json:"file"`
	Bytes int64            `json:"bytes"`
	Rows  map[string]int64 `json:"rows"` // by table
}

// Verify reads a whole SQLite file that nobody writes to: it is sound, its
// indexes agree with its tables, and it has these rows.
func Verify(ctx context.Context, file string) (BackupInfo, error) {
	info := BackupInfo{File: file, Rows: map[string]int64{}}
	st, err := os.Stat(file)
	if err != nil {
		return info, fmt.Errorf("verify backup: %w", err)
	}
	info.Bytes = st.Size()
	if wal, err := os.Stat(file + "-wal"); err == nil && wal.Size() > 0 {
		return info, fmt.Errorf("verify backup: %s-wal is beside it, so this is a live database and no backup; make one with `bearhug backup`", file)
	}
	uri := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: "mode=ro&immutable=1"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return info, fmt.Errorf("verify backup %s: %w", file, err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return info, fmt.Errorf("verify backup %s: %w", file, err)
	}
	if verdict != "ok" {
		return info, fmt.Errorf("verify backup %s: damaged: %s", file, strings.ReplaceAll(verdict, "\n", "; "))
	}
	if err := countRows(ctx, db, info.Rows); err != nil {
		return info, fmt.Errorf("verify backup %s: %w", file, err)
	}
	if _, ok := info.Rows["account"]; !ok {
		return info, fmt.Errorf("verify backup %s: a sound SQLite file, but no database of bearhug", file)
	}
	return info, nil
}

func countRows(ctx context.Context, db *sql.DB, counts map[string]int64) error {
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		return err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return err
		}
		names = append(names, n)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, n := range names {
		var count int64
		quoted := `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted).Scan(&count); err != nil {
			return err
		}
		counts[n] = count
	}
	return nil
}

// Restore puts a backup in the place of the database file to, whose directory
// the caller has locked. The backup is verified, copied, and the copy verified
// before anything is moved; a database that is there already is kept beside it
// under the name that is returned ("" if there was none).
func Restore(ctx context.Context, from, to string) (info BackupInfo, kept string, err error) {
	source, err := Verify(ctx, from)
	if err != nil {
		return source, "", err
	}
	fresh := to + ".restoring"
	defer os.Remove(fresh) // gone already when all went well
	if err := copyFile(from, fresh); err != nil {
		return source, "", fmt.Errorf("restore %s: %w", from, err)
	}
	info, err = Verify(ctx, fresh)
	if err != nil {
		return info, "", fmt.Errorf("restore %s: the copy: %w", from, err)
	}
	if info.Bytes != source.Bytes || !maps.Equal(info.Rows, source.Rows) {
		return info, "", fmt.Errorf("restore %s: the copy differs from it; was it being written?", from)
	}
	info.File = to
	if _, err := os.Stat(to); err == nil {
		kept = to + ".before-" + time.Now().UTC().Format("20060102T150405.000")
		for _, ext := range []string{"-wal", "-shm", ""} {
			if err := os.Rename(to+ext, kept+ext); err != nil && !errors.Is(err, os.ErrNotExist) {
				return info, "", fmt.Errorf("restore %s: put the old database aside: %w", from, err)
			}
		}
	}
	if err := os.Rename(fresh, to); err != nil {
		return info, kept, fmt.Errorf("restore %s: %w", from, err)
	}
	return info, kept, syncDir(filepath.Dir(to))
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
