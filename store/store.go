// Package store holds every SQL statement of the house.
package store

import (
	"context"
	"errors"
	"log/slog"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
)

// Errors of the store, for errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrCollision = errors.New("archive id is taken by another message")
)

var errTodo = errors.New("todo")

// Config says where the store is.
type Config struct {
	URL       string         // "sqlite:FILE" or "mysql://user:password@host:port/name"
	Replicas  []string       // same form, read-only
	Board     *feature.Board // pays for statements; nil makes one
	Log       *slog.Logger   // nil discards
	ReadConns int            // size of the pool of readers; 0 is the default
}

// Store is the one shelf of all rows.
type Store struct {
}

func Open(ctx context.Context, cfg Config) (*Store, error) { return nil, errTodo }
func (s *Store) Close() error                              { return errTodo }
func (s *Store) Flush(ctx context.Context) error           { return errTodo }
func (s *Store) Peer(bare jid.JID) Peer                    { return 0 }
