// Command drivers compares SQLite drivers on what the archive does: messages
// appended in batches of 200, one durable commit each, and their entries, with
// an index, in sorted order behind. It is a module of its own, so that the
// server does not depend on what it was compared with.
//
//	go build -o drivers . && go build -tags ncruces -o drivers-ncruces .
//	for d in modernc modernc-sql zombiezen mattn mattn-sql; do taskset -c 0 ./drivers $d; done
//	taskset -c 0 ./drivers-ncruces ncruces
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	modernc "modernc.org/sqlite"
	zombiezen "zombiezen.com/go/sqlite"
)

// execer runs a statement, kept prepared.
type execer interface {
	exec(text string, args []driver.Value) error
}

// direct uses a driver without database/sql.
type direct struct {
	c     driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue
}

func (d *direct) exec(text string, args []driver.Value) (err error) {
	s := d.stmts[text]
	if s == nil {
		if s, err = d.c.Prepare(text); err != nil {
			return err
		}
		d.stmts[text] = s
	}
	d.args = d.args[:0]
	for i, a := range args {
		d.args = append(d.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), d.args)
	if strings.HasPrefix(text, "PRAGMA") { // mattn leaves a statement that gave a row open
		delete(d.stmts, text)
		_ = s.Close()
	}
	return err
}

// pooled goes through database/sql, on one connection.
type pooled struct {
	c     *sql.Conn
	stmts map[string]*sql.Stmt
}

func (d *pooled) exec(text string, args []driver.Value) (err error) {
	s := d.stmts[text]
	if s == nil {
		if s, err = d.c.PrepareContext(context.Background(), text); err != nil {
			return err
		}
		d.stmts[text] = s
	}
	list := make([]any, len(args))
	for i := range args {
		list[i] = args[i]
	}
	_, err = s.ExecContext(context.Background(), list...)
	if strings.HasPrefix(text, "PRAGMA") {
		delete(d.stmts, text)
		_ = s.Close()
	}
	return err
}

// zomb is zombiezen's own API.
type zomb struct{ c *zombiezen.Conn }

func (z *zomb) exec(text string, args []driver.Value) error {
	s, err := z.c.Prepare(text)
	if err != nil {
		return err
	}
	for i, a := range args {
		switch v := a.(type) {
		case int64:
			s.BindInt64(i+1, v)
		case []byte:
			s.BindBytes(i+1, v)
		}
	}
	for more := true; more; {
		if more, err = s.Step(); err != nil {
			return err
		}
	}
	return s.Reset()
}

func open(which, file string) (execer, error) {
	switch which {
	case "modernc":
		c, err := (&modernc.Driver{}).Open(file)
		return &direct{c: c, stmts: map[string]driver.Stmt{}}, err
	case "mattn", "ncruces":
		c, err := other.Open("file:" + file)
		return &direct{c: c, stmts: map[string]driver.Stmt{}}, err
	case "modernc-sql", "mattn-sql":
		db, err := sql.Open(map[string]string{"modernc-sql": "sqlite", "mattn-sql": "sqlite3"}[which], file)
		if err != nil {
			return nil, err
		}
		c, err := db.Conn(context.Background())
		return &pooled{c, map[string]*sql.Stmt{}}, err
	case "zombiezen":
		c, err := zombiezen.OpenConn(file, zombiezen.OpenReadWrite|zombiezen.OpenCreate)
		return &zomb{c}, err
	}
	return nil, fmt.Errorf("no driver is called %q", which)
}

const chunk = 50 // rows of a statement

func many(head string, columns int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return head + strings.TrimSuffix(strings.Repeat(row+",", chunk), ",")
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure prints what a unit of work cost.
func measure(name, unit string, work func() (int, error)) error {
	start, before := time.Now(), cpu()
	n, err := work()
	fmt.Printf("%-12s %-8s %6.2f us wall %6.2f us cpu\n", name, unit,
		float64(time.Since(start).Nanoseconds())/1e3/float64(n), float64((cpu()-before).Nanoseconds())/1e3/float64(n))
	return err
}

func run(which string) error {
	dir, err := os.MkdirTemp("", "drivers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e, err := open(which, filepath.Join(dir, "x.db"))
	if err != nil {
		return err
	}
	for _, text := range []string{
		"PRAGMA page_size=8192", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-65536", "PRAGMA wal_autocheckpoint=1000",
		"CREATE TABLE message (seq INTEGER PRIMARY KEY, rnd BIGINT NOT NULL, org INT NOT NULL, copies BLOB, stanza BLOB NOT NULL)",
		"CREATE TABLE entry (owner BIGINT, dir INT, seq BIGINT, peer BIGINT, flags INT, origin BIGINT, PRIMARY KEY (owner, dir, seq)) WITHOUT ROWID",
		"CREATE INDEX entry_peer ON entry (owner, peer, seq)",
	} {
		if err := e.exec(text, nil); err != nil {
			return err
		}
	}
	seq := time.Now().UnixMilli() << 16
	if err := measure(which, "message", func() (int, error) { return messages(e, &seq) }); err != nil {
		return err
	}
	return measure(which, "entry", func() (int, error) { return entries(e, &seq) })
}

// messages are 500 batches of 200.
func messages(e execer, seq *int64) (int, error) {
	text := many("INSERT OR IGNORE INTO message VALUES ", 5)
	stanza, copies := make([]byte, 350), make([]byte, 50)
	var args []driver.Value
	for range 500 {
		if err := e.exec("BEGIN IMMEDIATE", nil); err != nil {
			return 1, err
		}
		for range 200 / chunk {
			args = args[:0]
			for range chunk {
				*seq += 40
				args = append(args, *seq, rand.Int64(), int64(1), copies, stanza)
			}
			if err := e.exec(text, args); err != nil {
				return 1, err
			}
		}
		if err := e.exec("COMMIT", nil); err != nil {
			return 1, err
		}
	}
	return 500 * 200, nil
}

// entries are 5 rounds of 60,000 over 10,000 owners, sorted, 1,000 a commit.
func entries(e execer, seq *int64) (int, error) {
	text := many("INSERT OR IGNORE INTO entry VALUES ", 6)
	var args []driver.Value
	for range 5 {
		rows := make([][4]int64, 60_000)
		for i := range rows {
			*seq += 20
			rows[i] = [4]int64{(1_700_000_000_000 + rand.Int64N(10_000)*7) << 16, int64(i & 1), *seq, rand.Int64()}
		}
		slices.SortFunc(rows, func(a, b [4]int64) int { return slices.Compare(a[:3], b[:3]) })
		for part := range slices.Chunk(rows, 1000) {
			if err := e.exec("BEGIN IMMEDIATE", nil); err != nil {
				return 1, err
			}
			for some := range slices.Chunk(part, chunk) {
				args = args[:0]
				for _, r := range some {
					args = append(args, r[0], r[1], r[2], r[3], int64(3), rand.Int64())
				}
				if err := e.exec(text, args); err != nil {
					return 1, err
				}
			}
			if err := e.exec("COMMIT", nil); err != nil {
				return 1, err
			}
		}
	}
	return 5 * 60_000, nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: drivers modernc|modernc-sql|zombiezen|mattn|mattn-sql|ncruces")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
