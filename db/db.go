// Package db keeps connections to one database, SQLite or MariaDB/MySQL,
// behind one concrete type.
//
// # Layout
//
// Statements have names and live in .sql texts; the header of each says who
// pays and where it may run, and has db rewrite exactly four things for the
// engine: insert-ignore, upsert, table options, the binary type. A statement
// whose text spreads over rows or a list is prepared in a few fixed sizes.
// Statements, rows and SQL time are charged to (feature, organisation).
//
// SQLite runs with WAL and synchronous=FULL. All writes go through one writer
// goroutine ([DB.Write], [DB.WriteArchive]): the archive lane first (but not for
// ever), small jobs of the other lane share a commit, nobody holds the writer
// above 20 ms. Reads have a bounded pool of connections.
//
// On MariaDB writes and reads share a bounded pool, and the archive lane has a
// connection of its own. Where there are replicas, statements "on: replica" are
// read there while they are not too far behind (replica.go). Transactions that the engine rolled back (1213, 1205,
// SQLITE_BUSY) are run again as a whole. A commit without an answer is
// [ErrInDoubt]: run the same idempotent work again.
//
// A failed fsync or write to the files of SQLite stops all writing for good
// ([ErrBroken], [DB.Broken]): what the kernel could not write it may forget.
//
// # Locks
//
// pool.mu, writer.mu, outage.mu, replicas.mu and DB.brokenMu are leaves. DB.archiveMu is held for a
// whole archive transaction on MariaDB.
package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	mysqldriver "github.com/go-sql-driver/mysql"
	sqlitedriver "modernc.org/sqlite"
)

// Config says which database and which statements.
type Config struct {
	URL        string         // "sqlite:FILE" or "mysql://user:password@host:port/name"
	Statements []string       // .sql texts
	Migrations string         // .sql text whose statements are the migrations, in order
	Board      *feature.Board // who pays; nil makes one
	Log        *slog.Logger   // nil discards
	Replicas   []string       // read replicas of a MariaDB: URLs as URL
	ReadConns  int            // readers (SQLite) or connections (MariaDB); 0: 4 or 16
	// Waited is told how long each has waited for its turn, also who did not
	// wait at all; by many goroutines. nil: nobody is.
	Waited func(Line, time.Duration)
}

// A Line is what one waits in for a turn.
type Line uint8

// The lines.
const (
	ArchiveLine Line = iota // the archive lane of SQLite's only writer
	WriteLine               // the other lane
	PoolLine                // for a connection
)

// DB is one database.
type DB struct {
	engine     engine
	file       string              // of SQLite
	server     *mysqldriver.Config // of MariaDB
	board      *feature.Board
	log        *slog.Logger
	statements map[string]*Statement
	waited     func(Line, time.Duration)
	migrations []*Statement
	lock       *os.File // of SQLite: this process owns the file

	pool   *pool
	writer *writer // SQLite only

	checkpoints *checkpointer // SQLite only

	outage   outage
	replicas *replicas // nil: there are none
	began    time.Time

	archiveMu   sync.Mutex // MariaDB: one archive transaction at a time
	archiveConn *conn

	brokenMu sync.Mutex
	broken   chan struct{} // closed when writing has stopped for good
	cause    error         // what broke it
}

// Open connects and migrates. A database that a newer version has migrated is
// refused, as is an SQLite file that another process has open (ErrLocked).
func Open(ctx context.Context, cfg Config) (*DB, error) {
	d := &DB{board: cfg.Board, log: cfg.Log, waited: cfg.Waited, broken: make(chan struct{}), began: time.Now()}
	if d.waited == nil {
		d.waited = func(Line, time.Duration) {}
	}
	if d.board == nil {
		d.board = feature.NewBoard()
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if d.engine, d.file, d.server, err = parseURL(cfg.URL); err != nil {
		return nil, err
	}
	if err := d.load(cfg); err != nil {
		return nil, err
	}
	if d.engine == mysql {
		err = d.openMySQL(cfg)
	} else {
		err = d.openSQLite(ctx, cfg)
	}
	if err == nil {
		err = d.migrate(ctx)
	}
	if err == nil {
		err = d.openReplicas(ctx, cfg.Replicas)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// load reads the statements.
func (d *DB) load(cfg Config) error {
	d.statements = map[string]*Statement{}
	wrote := map[string]*atomic.Int64{} // by feature
	for _, text := range cfg.Statements {
		blocks, err := split(text)
		if err != nil {
			return fmt.Errorf("read statements: %w", err)
		}
		for _, b := range blocks {
			s, err := b.statement(d.engine)
			if err != nil {
				return fmt.Errorf("read statements: %w", err)
			}
			if d.statements[s.Name] != nil {
				return fmt.Errorf("read statements: %s twice", s.Name)
			}
			if wrote[s.Feature] == nil {
				wrote[s.Feature] = new(atomic.Int64)
			}
			s.wrote = wrote[s.Feature]
			d.statements[s.Name] = s
		}
	}
	blocks, err := split(cfg.Migrations)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	for _, b := range blocks {
		s, err := b.statement(d.engine)
		if err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		d.migrations = append(d.migrations, s)
	}
	return nil
}

// Settings of SQLite. The page size suits rows of a few hundred bytes (the
// messages) as well as small ones in sorted order (their entries).
// docs/decisions/0002-sqlite-driver.md has the figures.
const sqlitePageSize = "8192"

var sqliteWriter = [...]string{
	"PRAGMA page_size=" + sqlitePageSize, // before the file has a page
	"PRAGMA journal_mode=WAL",
	"PRAGMA synchronous=FULL",
	"PRAGMA busy_timeout=5000",
	"PRAGMA cache_size=-65536",    // KiB
	"PRAGMA wal_autocheckpoint=0", // see checkpoint.go
	"PRAGMA journal_size_limit=134217728",
	"PRAGMA temp_store=MEMORY",
}

var sqliteCheckpointer = [...]string{
	"PRAGMA busy_timeout=0",
	"PRAGMA wal_autocheckpoint=0",
	"PRAGMA synchronous=FULL",
	"PRAGMA cache_size=-256",
}

var sqliteReader = [...]string{
	"PRAGMA busy_timeout=5000",
	"PRAGMA query_only=1",
	"PRAGMA cache_size=-8192",
	"PRAGMA mmap_size=1073741824",
	"PRAGMA temp_store=MEMORY",
}

func (d *DB) openSQLite(ctx context.Context, cfg Config) error {
	if err := d.lockFile(); err != nil {
		return err
	}
	w, err := d.dialSQLite(ctx, sqliteWriter[:])
	if err != nil {
		return err
	}
	k, err := d.dialSQLite(ctx, sqliteCheckpointer[:])
	if err != nil {
		w.close()
		return err
	}
	d.checkpoints = newCheckpointer(d, k)
	if err := durable(ctx, w); err != nil {
		w.close()
		return fmt.Errorf("open %s: %w", d.file, err)
	}
	d.writer = newWriter(d, w)
	size := cfg.ReadConns
	if size <= 0 {
		size = 4
	}
	d.pool = newPool(size, func(ctx context.Context) (*conn, error) {
		return d.dialSQLite(ctx, sqliteReader[:])
	}, d.waited)
	return syncDir(filepath.Dir(d.file))
}

// durable makes sure that the settings took: a file system without shared
// memory refuses WAL by answering with another mode.
func durable(ctx context.Context, c *conn) error {
	for pragma, want := range map[string]string{"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2"} {
		if _, err := c.query(ctx, pragma, nil, func(r *Row) error {
			if got := fmt.Sprint(r.vals[0]); got != want {
				return fmt.Errorf("%s is %s, not %s", pragma, got, want)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) dialSQLite(ctx context.Context, pragmas []string) (*conn, error) {
	raw, err := (&sqlitedriver.Driver{}).Open(d.file)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.file, err)
	}
	c := newConn(raw, true)
	for _, p := range pragmas {
		if err := c.script(ctx, p); err != nil {
			c.close()
			return nil, fmt.Errorf("open %s: %w", d.file, err)
		}
	}
	return c, nil
}

func (d *DB) openMySQL(cfg Config) error {
	size := cfg.ReadConns
	if size <= 0 {
		size = 16
	}
	d.pool = newPool(size, func(ctx context.Context) (*conn, error) { return dialMySQL(ctx, d.server) }, d.waited)
	return nil
}

// dialMySQL connects and signs in. The driver's Timeout bounds the first only:
// of a server that is stopped the kernel takes connections still.
func dialMySQL(ctx context.Context, server *mysqldriver.Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*server.Timeout)
	defer cancel()
	connector, err := mysqldriver.NewConnector(server)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", server.Addr, err)
	}
	raw, err := connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s at %s: %w", server.DBName, server.Addr, err)
	}
	c := newConn(raw, false)
	for _, set := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET SESSION group_concat_max_len=1048576", // MariaDB's own; MySQL's is 1,024
	} {
		if err := c.script(ctx, set); err != nil {
			c.close()
			return nil, err
		}
	}
	// When this machine is gone without a word, what it has locked is free
	// after so long, not after hours. MySQL has no such setting.
	idle := fmt.Sprintf("SET SESSION idle_transaction_timeout=%d", (3*server.ReadTimeout+time.Second-1)/time.Second)
	if err := c.script(ctx, idle); err != nil && !unknownSetting(err) {
		c.close()
		return nil, err
	}
	return c, nil
}

// SQLite reports whether the engine is SQLite: one process, one writer.
func (d *DB) SQLite() bool { return d.engine == sqlite }

// Board is who pays for the statements.
func (d *DB) Board() *feature.Board { return d.board }

// Broken is closed when the disk refused a write. The process should end: a
// restart reads the files as they are.
func (d *DB) Broken() <-chan struct{} { return d.broken }

func (d *DB) isBroken() bool {
	select {
	case <-d.broken:
		return true
	default:
		return false
	}
}

func (d *DB) breakDown(err error) {
	d.brokenMu.Lock()
	defer d.brokenMu.Unlock()
	if d.cause == nil {
		d.cause = err
		d.log.Error("the disk refused a write; no more writes until restart", slog.Any("err", err))
		close(d.broken)
	}
}

// Close ends the writer after what was handed in, and all connections.
func (d *DB) Close() error {
	if d.replicas != nil {
		d.replicas.close()
	}
	if d.checkpoints != nil {
		d.checkpoints.close()
	}
	if d.writer != nil {
		d.writer.close()
	}
	if d.pool != nil {
		d.pool.close()
	}
	d.archiveMu.Lock()
	if d.archiveConn != nil {
		d.archiveConn.close()
		d.archiveConn = nil
	}
	d.archiveMu.Unlock()
	if d.lock != nil {
		return d.lock.Close()
	}
	return nil
}

func (d *DB) statement(name string) (*Statement, error) {
	if s := d.statements[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no statement is named %q", name)
}

// Statements lists what was loaded, in no order.
func (d *DB) Statements() []*Statement {
	var out []*Statement
	for _, s := range d.statements {
		out = append(out, s)
	}
	return append(out, d.migrations...)
}

// Prepare prepares every statement once: what is misspelt shows now.
func (d *DB) Prepare(ctx context.Context) error {
	c, _, err := d.pool.get(ctx, false)
	if err != nil {
		return err
	}
	defer d.pool.put(c)
	var errs []error
	for name, s := range d.statements {
		text := s.text
		if s.cols > 0 {
			text = s.many[len(chunks)-1]
		}
		if _, err := c.prepare(ctx, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Query runs one named statement on a reader and calls each for every row; an
// error from each ends it and is returned. org pays.
//
// A statement "on: replica" may be answered by a replica that is behind by
// db.lag at most, as long as it has all that this process has written by
// statements of the same feature: what others wrote may be missing. It keeps all
// rows until they are whole, so such statements have a LIMIT.
func (d *DB) Query(ctx context.Context, org feature.Org, name string, each func(*Row) error, args ...any) error {
	s, err := d.statement(name)
	if err != nil {
		return err
	}
	if rows, ok := d.fromReplica(ctx, org, s, func(tx *Tx, keep func(*Row) error) error {
		return tx.query(s, s.text, args, keep)
	}); ok {
		return deliver(rows, each)
	}
	return d.read(ctx, org, func(tx *Tx) error { return tx.query(s, s.text, args, each) })
}

// QueryList is Query for a statement with a list "(?...)".
func (d *DB) QueryList(ctx context.Context, org feature.Org, name string, fixed, list []any, each func(*Row) error) error {
	s, err := d.statement(name)
	if err != nil {
		return err
	}
	if rows, ok := d.fromReplica(ctx, org, s, func(tx *Tx, keep func(*Row) error) error {
		return tx.QueryList(name, fixed, list, keep)
	}); ok {
		return deliver(rows, each)
	}
	return d.read(ctx, org, func(tx *Tx) error { return tx.QueryList(name, fixed, list, each) })
}

// Read runs several queries on one connection. Each sees the database as it
// is then, so later ones may see more.
func (d *DB) Read(ctx context.Context, org feature.Org, fn func(*Tx) error) error {
	return d.read(ctx, org, fn)
}

// read lends a connection of the pool to fn. A connection that turns out to be
// dead is replaced once, as long as fn had not seen a row.
func (d *DB) read(ctx context.Context, org feature.Org, fn func(*Tx) error) error {
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, wait, err := d.pool.get(ctx, try > 0)
		if err != nil {
			return d.met(ctx, err, true)
		}
		tx := &Tx{db: d, c: c, ctx: ctx, org: org, wait: wait}
		err = fn(tx)
		dead := c.bad
		d.pool.put(c)
		if err == nil || try > 0 || !dead || tx.rows > 0 || ctx.Err() != nil {
			return d.met(ctx, err, dead)
		}
	}
}

// Write runs fn as one transaction. On SQLite it waits for the writer's turn
// and fn keeps to a few milliseconds (Tx.Held). fn may be run more than once,
// so what it changes outside of the database it sets rather than adds.
func (d *DB) Write(ctx context.Context, org feature.Org, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.writer != nil {
		return d.writer.do(ctx, org, false, fn)
	}
	for try := 0; ; try++ {
		c, wait, err := d.pool.get(ctx, try > 0)
		if err != nil {
			return d.met(ctx, err, true)
		}
		err = d.transact(&Tx{db: d, c: c, ctx: ctx, org: org, wait: wait}, fn)
		dead := c.bad
		d.pool.put(c)
		if err == nil || try > 0 || !dead || errors.Is(err, ErrInDoubt) || ctx.Err() != nil {
			return d.met(ctx, err, dead)
		}
	}
}

// WriteBehind is Write for what can be made again from what is on disk: on
// SQLite it returns without having waited for the disk. A power cut may undo
// it, together with all later ones of its kind; a later Write or WriteArchive
// takes it along.
func (d *DB) WriteBehind(ctx context.Context, org feature.Org, fn func(*Tx) error) error {
	if d.writer == nil {
		return d.Write(ctx, org, fn)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.writer.hand(&job{ctx: ctx, org: org, fn: fn, lax: true}, false)
}

// WriteArchive is Write in the lane that goes first.
func (d *DB) WriteArchive(ctx context.Context, org feature.Org, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.writer != nil {
		return d.writer.do(ctx, org, true, fn)
	}
	d.archiveMu.Lock()
	defer d.archiveMu.Unlock()
	for try := 0; ; try++ {
		if d.archiveConn == nil || d.archiveConn.bad {
			c, err := dialMySQL(ctx, d.server)
			if err != nil {
				return d.met(ctx, err, true)
			}
			d.archiveConn = c
		}
		err := d.transact(&Tx{db: d, c: d.archiveConn, ctx: ctx, org: org}, fn)
		if !d.archiveConn.bad {
			return d.met(ctx, err, false)
		}
		d.archiveConn.close()
		if try > 0 || errors.Is(err, ErrInDoubt) || ctx.Err() != nil {
			return d.met(ctx, err, true)
		}
	}
}

// Oldest is since when the oldest has waited that waits in a line, the zero
// time when none does. Of those who wait for a connection it is known only since
// when none of them was served, if that is later.
func (d *DB) Oldest(line Line) time.Time {
	switch {
	case line == PoolLine:
		return d.pool.oldest()
	case d.writer != nil:
		return d.writer.oldest(line == ArchiveLine)
	}
	return time.Time{}
}

// Stats are figures since Open.
type Stats struct {
	PoolWaits     int64 // how often somebody waited for a connection
	PoolWaited    int64 // ns
	WriterJobs    int64 // SQLite: jobs begun
	WriterWaited  int64 // ns from hand-in to begin
	WriterLongest int64 // ns, the longest hold
	WriterOver    int64 // holds above 20 ms
}

// Stats reads the figures.
func (d *DB) Stats() Stats {
	s := Stats{PoolWaits: d.pool.waits.Load(), PoolWaited: d.pool.waited.Load()}
	if w := d.writer; w != nil {
		s.WriterJobs, s.WriterWaited = w.jobs.Load(), w.waited.Load()
		s.WriterLongest, s.WriterOver = w.longest.Load(), w.over.Load()
	}
	return s
}

// Count counts the rows of a table, all of them: for tests and reports.
func (d *DB) Count(ctx context.Context, table string) (n int64, err error) {
	err = d.read(ctx, 0, func(tx *Tx) error {
		_, err := tx.c.query(ctx, "SELECT COUNT(*) FROM "+table, nil, func(r *Row) error {
			n = r.Int(0)
			return nil
		})
		return err
	})
	return n, err
}
