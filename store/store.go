// Package store holds every SQL statement of the house: one .sql and one .go
// per subject, one text for SQLite and MariaDB/MySQL.
//
// # Layout
//
// An account belongs to an organisation and has an [AccountID] that leads the
// primary key of everything it owns. Addresses are bytes. Every method takes
// the organisation first: it pays (package db), and an account is only found
// in its own.
//
// The archive keeps a message once (table message, in the order of ids) and a
// thin entry per owner. On SQLite only the message itself is written in the
// acknowledged transaction; entries, conversations and inboxes follow behind
// in larger, sorted transactions, for a random page costs more than a message.
// The message row names its owners, so what was not yet indexed at a crash is
// indexed at the next Open. Until then it is kept in memory, and every read
// merges both: readers never see a difference. See behind.go. On MariaDB,
// which several processes may share, all of it is one transaction.
//
// # Locks
//
// behind.mu guards what is kept in memory and is a leaf; nothing is asked of
// the database under it.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Errors of the store, for errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrCollision = errors.New("archive id is taken by another message")
	ErrNoRoom    = errors.New("there is no room for more")
	// ErrUnfinished: an account is gone, but not all that it owned is; the rest
	// goes by itself, while the store is open.
	ErrUnfinished = errors.New("the account is gone; what it owned will be")
)

// Severity is how loud an error of the store is told in the log: that the
// database does not answer was told already, once for all who meet it.
func Severity(err error) slog.Level {
	if errors.Is(err, db.ErrAway) {
		return slog.LevelDebug
	}
	return slog.LevelError
}

// Config says where the store is.
type Config struct {
	URL       string                       // "sqlite:FILE" or "mysql://user:password@host:port/name"
	Replicas  []string                     // read replicas of a MariaDB; which methods read there says each of them
	Board     *feature.Board               // pays for statements; nil makes one
	Log       *slog.Logger                 // nil discards
	ReadConns int                          // size of the pool of readers; 0 is the default
	Waited    func(db.Line, time.Duration) // db.Config.Waited
	Clean     time.Duration                // between looks for hidden rows that were delivered; 0 is 10 s
}

//go:embed *.sql
var texts embed.FS

// Store is the one shelf of all rows.
type Store struct {
	db         *db.DB
	log        *slog.Logger
	key        []byte // of hash
	ids        counter
	behind     *behind
	cleaner    *cleaner
	unfinished atomic.Bool   // an erasure was cut short
	signIn     atomic.Uint64 // SignInVersion
	keyBook    keyBook
	onGroups   func(feature.Org) // WatchGroups
}

// Open connects, migrates, indexes what a crash left behind, and goes on with
// erasures that a crash cut short.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	statements, migrations, err := readTexts()
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, db.Config{
		URL: cfg.URL, Statements: statements, Migrations: migrations,
		Replicas: cfg.Replicas, Board: cfg.Board, Log: cfg.Log, ReadConns: cfg.ReadConns, Waited: cfg.Waited,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &Store{db: d, log: cfg.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.start(ctx, cfg.Clean); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), s.Close())
	}
	return s, nil
}

func readTexts() (statements []string, migrations string, err error) {
	names, err := fs.Glob(texts, "*.sql")
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		text, err := texts.ReadFile(name)
		if err != nil {
			return nil, "", err
		}
		if name == "migrations.sql" {
			migrations = string(text)
		} else {
			statements = append(statements, string(text))
		}
	}
	return statements, migrations, nil
}

func (s *Store) start(ctx context.Context, clean time.Duration) error {
	var err error
	if s.key, err = s.Secret(ctx, "hash", 16); err != nil {
		return err
	}
	top, err := s.tick(ctx, "account")
	if err != nil {
		return err
	}
	s.ids.raise(top)
	if s.behind, err = s.newBehind(ctx); err != nil {
		return err
	}
	if err := s.dropImports(ctx); err != nil {
		return err
	}
	s.cleaner = s.newCleaner(clean)
	return nil
}

// Close writes what is kept behind and closes the database. What could not be
// written is no loss: the next Open finds it in the messages.
func (s *Store) Close() error {
	if s.cleaner != nil { // nil when Open came to an end before
		s.cleaner.close()
	}
	var err error
	if s.behind != nil {
		err = s.behind.close()
	}
	return errors.Join(err, s.db.Close())
}

// DB is the database below, for backups, figures and its health.
func (s *Store) DB() *db.DB { return s.db }

// tick reads a number that only grows; 0 when it was never set.
func (s *Store) tick(ctx context.Context, name string) (n int64, err error) {
	err = s.db.Query(ctx, 0, "tick-get", func(r *db.Row) error {
		n = r.Int(0)
		return nil
	}, name)
	return n, err
}
