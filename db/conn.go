package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// conn is one connection with its prepared statements. The drivers are used
// through database/sql/driver and not through database/sql: pools, lanes and
// retries are ours, and a statement costs no locks and no reflection.
// A conn has one user at a time.
type conn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // reused
	bad   bool                // to be closed, not to be used again
	noCtx bool                // SQLite: a context costs a goroutine per statement
}

func newConn(raw driver.Conn, noCtx bool) *conn {
	return &conn{raw: raw, stmts: map[string]driver.Stmt{}, noCtx: noCtx}
}

func (c *conn) close() {
	if c.noCtx { // MariaDB forgets them with the connection
		for _, s := range c.stmts {
			_ = s.Close()
		}
	}
	_ = c.raw.Close()
	c.bad = true
}

// prepare finds or prepares the statement for text.
func (c *conn) prepare(ctx context.Context, text string) (driver.Stmt, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	s, err := c.prepared(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	c.stmts[text] = s
	return s, nil
}

// prepared prepares a statement and leaves it to the caller.
func (c *conn) prepared(ctx context.Context, text string) (s driver.Stmt, err error) {
	if p, ok := c.raw.(driver.ConnPrepareContext); ok {
		s, err = p.PrepareContext(ctx, text)
	} else {
		s, err = c.raw.Prepare(text)
	}
	if err != nil {
		c.check(err)
	}
	return s, err
}

// check notes that the connection is gone.
func (c *conn) check(err error) {
	if lost(err) {
		c.bad = true
	}
}

func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value(a)})
	}
	return c.args
}

// manyArgs is how many arguments a connection keeps room for.
const manyArgs = 256

// unbind lets go of what was bound: one statement of many rows would keep
// them, and room for as many, until the connection ends.
func (c *conn) unbind() {
	clear(c.args)
	if cap(c.args) > manyArgs {
		c.args = nil
	}
}

// value brings Go values into the few types of a driver. Text goes as bytes,
// for both engines compare bytes only.
func value(a any) driver.Value {
	switch v := a.(type) {
	case int64, nil:
		return v
	case []byte:
		if v == nil {
			return []byte{} // NULL is said by nil alone
		}
		return v
	case string:
		return []byte(v)
	case int:
		return int64(v)
	case uint64:
		return int64(v)
	case uint32:
		return int64(v)
	case uint8:
		return int64(v)
	case feature.Org:
		return int64(v)
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case time.Time:
		return v.UnixMicro()
	default:
		panic(fmt.Sprintf("db: cannot bind a %T", a))
	}
}

// exec runs text and returns the rows it changed.
func (c *conn) exec(ctx context.Context, text string, args []any) (int64, error) {
	if c.noCtx {
		ctx = context.Background()
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(ctx, c.bind(args))
	c.unbind()
	if err != nil {
		c.check(err)
		return 0, named(err)
	}
	return res.RowsAffected()
}

// query runs text and calls each for every row; it returns how many there were.
func (c *conn) query(ctx context.Context, text string, args []any, each func(*Row) error) (n int64, err error) {
	if c.noCtx {
		ctx = context.Background()
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.bind(args))
	c.unbind()
	if err != nil {
		c.check(err)
		return 0, named(err)
	}
	r := &Row{vals: make([]driver.Value, len(rows.Columns())), ours: c.noCtx}
	for {
		if err = rows.Next(r.vals); err != nil {
			break
		}
		n++
		if err = each(r); err == nil {
			err = r.err
		}
		if err != nil {
			_ = rows.Close() // err says more
			return n, err
		}
	}
	if closeErr := rows.Close(); errors.Is(err, io.EOF) {
		err = closeErr // io.EOF itself is how a driver says "no more rows"
	}
	if err != nil {
		c.check(err)
		return n, err
	}
	return n, nil
}

// script runs a statement once, without keeping it prepared.
func (c *conn) script(ctx context.Context, text string) error {
	s, err := c.prepared(ctx, text)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", text, err)
	}
	_, err = s.(driver.StmtExecContext).ExecContext(ctx, nil)
	c.check(err)
	_ = s.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// Row is the row a query stands at. Values are read by column number, from 0;
// they are the caller's to keep.
type Row struct {
	vals []driver.Value
	ours bool // the driver made the byte slices for us
	err  error
}

func (r *Row) wrong(i int, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d holds a %T, not %s", i, r.vals[i], want)
	}
}

// Int is an integer column; NULL is 0.
func (r *Row) Int(i int) int64 {
	switch v := r.vals[i].(type) {
	case int64:
		return v
	case uint64:
		return int64(v)
	case nil:
		return 0
	case []byte: // MariaDB sends what a function computed as digits
		var n int64
		if _, err := fmt.Sscan(string(v), &n); err == nil {
			return n
		}
	}
	r.wrong(i, "an integer")
	return 0
}

// Bool is an integer column that is not 0.
func (r *Row) Bool(i int) bool { return r.Int(i) != 0 }

// Null reports whether column i is NULL.
func (r *Row) Null(i int) bool { return r.vals[i] == nil }

// Bytes is a binary column; NULL is nil, empty is not.
func (r *Row) Bytes(i int) []byte {
	switch v := r.vals[i].(type) {
	case []byte:
		if r.ours {
			return v
		}
		return append(make([]byte, 0, len(v)), v...)
	case string:
		return []byte(v)
	case nil:
		return nil
	}
	r.wrong(i, "bytes")
	return nil
}

// View is Bytes without a copy: good until each returns.
func (r *Row) View(i int) []byte {
	if v, ok := r.vals[i].([]byte); ok {
		return v
	}
	return r.Bytes(i)
}

// Text is a binary column as a string; NULL is "".
func (r *Row) Text(i int) string { return string(r.View(i)) }

// Time is an integer column of microseconds; NULL and 0 are the zero time.
func (r *Row) Time(i int) time.Time {
	us := r.Int(i)
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}
