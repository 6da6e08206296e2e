package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/store"
)

// How commands reach the server: over the control socket when one runs (it has
// the lock of the data directory), else by opening the store themselves.

// socketTime is how long a command waits for a server that has the lock and
// does not answer yet: it is starting.
const socketTime = 10 * time.Second

// Do does one operation. See With.
func Do(ctx context.Context, cfg *Config, create bool, r ops.Request, result any) error {
	return With(ctx, cfg, create, func(c *ops.Caller) error { return c.Call(ctx, r, result) })
}

// With runs fn with a way to the operations, on the running server or on the
// store. A data directory that does not exist is made only if create is true.
func With(ctx context.Context, cfg *Config, create bool, fn func(*ops.Caller) error) (err error) {
	if _, err := os.Stat(cfg.Data); errors.Is(err, os.ErrNotExist) && !create {
		return fmt.Errorf("no data directory %s here: name it with --data, or make one with `bearhug org add DOMAIN`", cfg.Data)
	}
	lock, err := ops.LockDir(cfg.Data)
	if errors.Is(err, ops.ErrLocked) {
		c, err := dial(ctx, cfg, err)
		if err != nil {
			return err
		}
		return fn(c)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	log := NewLog(LogConfig{Level: "warn", Format: "text"}, os.Stderr)
	s, err := openStore(ctx, cfg, nil, log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	control := ops.NewControl(slog.New(slog.DiscardHandler))
	adm, board := &admin{config: cfg, store: s, log: log}, feature.NewBoard()
	if err := router.Declare(board, modules(outreach.NewBot(outreach.BotConfig{}))); err != nil {
		return err
	}
	adm.register(control)
	(&leverDesk{admin: adm, board: board}).register(control)
	control.Handle("capacity.last", adm.lastCapacity)
	return fn(control.Caller())
}

// openStore opens the store; the caller has locked the data directory. board
// and waited may be nil.
func openStore(ctx context.Context, cfg *Config, board *feature.Board, log *slog.Logger, waited waited) (*store.Store, error) {
	if file := cfg.DatabaseFile(); file != "" {
		kept, err := ops.FinishRestore(file)
		if err != nil {
			return nil, err
		}
		if kept != "" {
			log.Warn("a restore that was cut short is done now", "database", file, "kept", kept)
		}
	}
	replicas := cfg.DB.Replicas
	if board == nil { // a command is done before it knows how far they are
		replicas = nil
	}
	s, err := store.Open(ctx, store.Config{URL: cfg.DatabaseURL(), Replicas: replicas, Board: board, Log: log, Waited: waited})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// dial waits for the socket of a server that is starting. locked is what it
// says when nobody answers.
func dial(ctx context.Context, cfg *Config, locked error) (*ops.Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, socketTime)
	defer cancel()
	for {
		c, err := ops.Dial(ctx, cfg.Socket())
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, ops.ErrNoServer) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (it does not answer on %s)", locked, cfg.Socket())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Backup writes a verified copy of the database to file, an absolute path.
func Backup(ctx context.Context, cfg *Config, file string) (info ops.BackupInfo, err error) {
	err = Do(ctx, cfg, false, ops.Request{Op: "backup", Args: BackupArgs{file}}, &info)
	return info, err
}

// Restore puts a backup in the place of the database. It refuses while a
// server runs. kept is where the old database went, "" if there was none.
func Restore(ctx context.Context, cfg *Config, file string) (info ops.BackupInfo, kept string, err error) {
	to := cfg.DatabaseFile()
	if to == "" {
		return info, "", errors.New("restore: the database is no SQLite file; use the tools of your database")
	}
	lock, err := ops.LockDir(cfg.Data)
	if errors.Is(err, ops.ErrLocked) {
		return info, "", fmt.Errorf("restore: stop the server first: %w", err)
	}
	if err != nil {
		return info, "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return info, "", fmt.Errorf("restore: %w", err)
	}
	info, kept, err = ops.Restore(ctx, file, to)
	if err != nil {
		return info, kept, err
	}
	// Open it once: its schema is brought to this version, and it is seen
	// to work before anybody relies on it.
	s, err := openStore(ctx, cfg, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return info, kept, fmt.Errorf("restore: the restored database: %w", err)
	}
	return info, kept, s.Close()
}
