package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile makes sure that one process at a time has the SQLite file: what the
// store keeps in memory must be the only truth beside it. The lock goes with
// the process, however it ends.
func (d *DB) lockFile() error {
	f, err := os.OpenFile(d.file+"-lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock %s: %w", d.file, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%w: %s", ErrLocked, d.file), f.Close())
	}
	d.lock = f
	// Made here so that nobody else may read it; the WAL takes over its mode.
	db, err := os.OpenFile(d.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", d.file, err)
	}
	return db.Close()
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Backup writes a copy of the SQLite database to file, which must not exist.
// It reads one state of the database and blocks no writer; while it runs the
// WAL grows. The copy is checked (Verify) and on disk when it has its name.
func (d *DB) Backup(ctx context.Context, file string) error {
	if d.engine != sqlite {
		return errors.New("backup: MariaDB is backed up with its own tools (mariadb-backup, mariadb-dump --single-transaction)")
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("backup to %s: %w", file, os.ErrExist)
	}
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	c, err := d.dialSQLite(ctx, sqliteReader[:])
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer c.close()
	// query_only forbids VACUUM even into another file.
	if err := c.script(ctx, "PRAGMA query_only=0"); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	c.noCtx = false // this one is long: the context may end it
	// As text in the statement: values are bound as bytes, which it refuses.
	_, err = c.exec(ctx, "VACUUM INTO '"+strings.ReplaceAll(part, "'", "''")+"'", nil)
	if err == nil {
		_, err = Verify(ctx, part)
	}
	if err == nil {
		err = keep(part, file)
	}
	if err != nil {
		_ = os.Remove(part) // err says more
		return fmt.Errorf("backup to %s: %w", file, err)
	}
	return nil
}

// keep makes part durable, and only then gives it its name.
func keep(part, file string) error {
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// Report is what Verify found in a whole database.
type Report struct {
	Version int              // migrations that were applied
	Rows    map[string]int64 // per table
}

// inURI writes a path so that SQLite reads it in a URI as it is.
var inURI = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

// Verify opens a copy of an SQLite database (a backup, before it is put in
// place) and reads all of it: structure, order of keys, checks, indexes.
func Verify(ctx context.Context, file string) (Report, error) {
	rep := Report{Rows: map[string]int64{}}
	if _, err := os.Stat(file); err != nil {
		return rep, fmt.Errorf("verify: %w", err)
	}
	d := &DB{file: "file:" + inURI.Replace(file) + "?mode=ro"}
	c, err := d.dialSQLite(ctx, []string{"PRAGMA query_only=1", "PRAGMA mmap_size=1073741824"})
	if err != nil {
		return rep, fmt.Errorf("verify: %w", err)
	}
	defer c.close()
	c.noCtx = false
	var found []string
	if _, err := c.query(ctx, "PRAGMA integrity_check(10)", nil, func(r *Row) error {
		found = append(found, r.Text(0))
		return nil
	}); err != nil {
		return rep, fmt.Errorf("verify %s: %w", file, err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return rep, fmt.Errorf("verify %s: damaged: %q", file, found)
	}
	var tables []string
	if _, err := c.query(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table'", nil, func(r *Row) error {
		tables = append(tables, r.Text(0))
		return nil
	}); err != nil {
		return rep, fmt.Errorf("verify %s: %w", file, err)
	}
	for _, t := range tables {
		if _, err := c.query(ctx, `SELECT COUNT(*) FROM "`+t+`"`, nil, func(r *Row) error {
			rep.Rows[t] = r.Int(0)
			return nil
		}); err != nil {
			return rep, fmt.Errorf("verify %s: %w", file, err)
		}
	}
	rep.Version = int(rep.Rows["migration"])
	if rep.Version == 0 {
		return rep, fmt.Errorf("verify %s: not a database of ours", file)
	}
	return rep, nil
}
