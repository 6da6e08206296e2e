package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	mysqldriver "github.com/go-sql-driver/mysql"
	sqlitedriver "modernc.org/sqlite"
)

// Errors of this package, for errors.Is.
var (
	// ErrInDoubt: the connection broke while the commit was under way, so the
	// transaction may or may not have happened. Whoever sees it runs the same
	// idempotent work again.
	ErrInDoubt = errors.New("commit in doubt")
	// ErrBroken: the disk refused a write or an fsync. Nothing is written any
	// more, for pages the kernel could not write may look clean; the process
	// must be restarted, and reads the files afresh.
	ErrBroken = errors.New("database is broken: the disk refused a write")
	// ErrClosed: the database was closed.
	ErrClosed = errors.New("database is closed")
	// ErrLocked: another process holds the database file.
	ErrLocked = errors.New("another process holds the database")
	// ErrDuplicate: a key exists already.
	ErrDuplicate = errors.New("duplicate key")
)

// SQLite result codes (https://www.sqlite.org/rescode.html).
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteIOErr      = 10
	sqliteCorrupt    = 11
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
	sqliteRowID      = 2579
	sqliteIOErrNoMem = 3082
)

// MariaDB error numbers.
const (
	mysqlIndexExists = 1061
	mysqlDuplicate   = 1062
	mysqlLockTimeout = 1205
	mysqlDeadlock    = 1213
)

// again reports whether err says that the whole transaction was rolled back
// and may simply be run again.
func again(err error) bool {
	var m *mysqldriver.MySQLError
	if errors.As(err, &m) {
		return m.Number == mysqlDeadlock || m.Number == mysqlLockTimeout || string(m.SQLState[:]) == "40001"
	}
	var s *sqlitedriver.Error
	if errors.As(err, &s) {
		return s.Code()&0xff == sqliteBusy || s.Code()&0xff == sqliteLocked
	}
	return false
}

// indexExists: MySQL has no CREATE INDEX IF NOT EXISTS.
func indexExists(err error) bool {
	var m *mysqldriver.MySQLError
	return errors.As(err, &m) && m.Number == mysqlIndexExists
}

// lost reports whether err says that the connection is gone.
func lost(err error) bool {
	var n net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &n)
}

// fatal reports whether err means that the files cannot be trusted any more.
func fatal(err error) bool {
	var s *sqlitedriver.Error
	if !errors.As(err, &s) {
		return false
	}
	if s.Code() == sqliteIOErrNoMem {
		return false
	}
	return s.Code()&0xff == sqliteIOErr || s.Code()&0xff == sqliteCorrupt
}

// named gives errors of both drivers that callers ask for one name.
func named(err error) error {
	var m *mysqldriver.MySQLError
	if errors.As(err, &m) && m.Number == mysqlDuplicate {
		return fmt.Errorf("%w: %w", ErrDuplicate, err)
	}
	var s *sqlitedriver.Error
	if errors.As(err, &s) && (s.Code() == sqlitePrimaryKey || s.Code() == sqliteUnique || s.Code() == sqliteRowID) {
		return fmt.Errorf("%w: %w", ErrDuplicate, err)
	}
	return err
}
