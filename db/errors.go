package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

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
	// ErrAway: the database does not answer. It was told in the log, once for
	// everybody who meets it.
	ErrAway = errors.New("the database does not answer")
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
	mysqlColumnExists = 1060
	mysqlIndexExists  = 1061
	mysqlDuplicate    = 1062
	mysqlUnknown      = 1193 // a setting
	mysqlLockTimeout  = 1205
	mysqlDeadlock     = 1213
)

// mysqlGone are the errors of MariaDB and MySQL after which a connection is
// of no use any more, though it stands: another one may be.
var mysqlGone = [...]uint16{
	1053,                   // the server shuts down
	1158, 1159, 1160, 1161, // a packet was not read or written
	1243,             // it does not know a prepared statement: something stands between us and it
	1290, 1792, 1836, // it only reads now: another server has become the primary
	1927, // somebody killed the connection
	4031, // it had been idle for too long
}

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

// madeAlready: MySQL has no IF NOT EXISTS for indexes, nor for columns.
func madeAlready(err error) bool {
	var m *mysqldriver.MySQLError
	return errors.As(err, &m) && (m.Number == mysqlIndexExists || m.Number == mysqlColumnExists)
}

// unknownSetting reports whether the server does not have what was to be set.
func unknownSetting(err error) bool {
	var m *mysqldriver.MySQLError
	return errors.As(err, &m) && m.Number == mysqlUnknown
}

// lost reports whether err says that the connection is gone, or of no use.
func lost(err error) bool {
	for _, e := range []error{
		driver.ErrBadConn, mysqldriver.ErrInvalidConn, mysqldriver.ErrPktSync, mysqldriver.ErrPktSyncMul,
		mysqldriver.ErrMalformPkt, mysqldriver.ErrBusyBuffer, io.EOF, io.ErrUnexpectedEOF,
		context.Canceled, // the driver has closed it
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var m *mysqldriver.MySQLError
	if errors.As(err, &m) {
		return slices.Contains(mysqlGone[:], m.Number)
	}
	var n net.Error
	return errors.As(err, &n)
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
