package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is what clients get to hear that the server goes down.
const drainTime = 20 * time.Second

// ErrForced says that a second signal cut the shutdown short.
var ErrForced = errors.New("stopped by a second signal before everything was closed")

// NewLog makes the log that the configuration asks for.
func NewLog(c LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // checked by Load
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Serve runs a node until ctx ends or SIGTERM or SIGINT comes; then it drains:
// nil when everything was closed in order. A second signal ends it at once.
func Serve(ctx context.Context, cfg *Config, log *slog.Logger) error {
	return serve(ctx, cfg, log, false)
}

// ServeUnmetered is Serve with Node.Unmetered set.
func ServeUnmetered(ctx context.Context, cfg *Config, log *slog.Logger) error {
	return serve(ctx, cfg, log, true)
}

func serve(ctx context.Context, cfg *Config, log *slog.Logger, unmetered bool) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	raiseFiles(log)
	n, err := New(cfg, log)
	if err != nil {
		return err
	}
	n.Unmetered = unmetered
	startCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- n.Start(startCtx) }() // ends with Start
	select {
	case err = <-started:
	case s := <-signals:
		log.Info("interrupted while starting", "signal", s.String())
		cancel()
		if err = <-started; err != nil {
			return nil // nothing was running yet
		}
		signals <- s
	}
	if err != nil {
		return err
	}
	log.Info("serving", "version", n.Version, "data", cfg.Data, "pid", os.Getpid())
	select {
	case s := <-signals:
		log.Info("shutting down", "signal", s.String())
	case <-ctx.Done():
		log.Info("shutting down")
	case <-n.Store.DB().Broken():
		// What the disk has after a failed fsync is not known (a second
		// fsync would lie): only a new process reads it afresh.
		return errors.New("the database file could not be written to disk; see the log, mend the disk, start again")
	}
	return n.shutdown(signals)
}

func (n *Node) shutdown(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(ctx) }() // ends with Stop, or with the process
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("shut down: %w", err)
		}
		n.Log.Info("stopped", "seconds", time.Since(began).Seconds())
		return nil
	case <-signals:
		return ErrForced
	}
}

// raiseFiles allows as many descriptors as the system lets this process have:
// each client is one.
func raiseFiles(log *slog.Logger) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur == r.Max {
		return
	}
	was := r.Cur
	r.Cur = r.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		log.Warn("limit of descriptors stays", "limit", was, "err", err)
		return
	}
	log.Debug("limit of descriptors raised", "from", was, "to", r.Max)
}
