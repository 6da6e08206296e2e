package db

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// Share says that N of the units a transaction writes belong to Org.
type Share struct {
	Org feature.Org
	N   int
}

// Tx is a transaction, or a connection that only reads. It is good until the
// function it was handed to returns, and has one user at a time.
type Tx struct {
	db     *DB
	c      *conn
	ctx    context.Context
	org    feature.Org
	shares []Share // when several organisations pay
	units  int     // sum of shares
	rows   int64   // read so far
	begun  time.Time

	wait time.Duration // for the connection; the next statement's feature pays
	span *feature.Span // of the writer's goroutine; nil: the caller's time is charged where it began
	last *Statement    // run last

	replica bool            // it reads on a replica
	wrote   []*atomic.Int64 // of the features whose statements have written, where there are replicas
}

// For names who pays for the statements that follow.
func (tx *Tx) For(org feature.Org) { tx.org, tx.shares = org, nil }

// Split has several organisations pay for the statements that follow, each by
// its part of the units.
func (tx *Tx) Split(shares []Share) {
	if len(shares) == 1 {
		tx.For(shares[0].Org)
		return
	}
	tx.shares, tx.units = shares, 0
	for _, s := range shares {
		tx.units += s.N
	}
}

// Held is how long the transaction has held its connection: for SQLite, how
// long nobody else could write. Work in steps stops at a few milliseconds and
// goes on in the next transaction.
func (tx *Tx) Held() time.Duration { return time.Since(tx.begun) }

// Exec runs a named statement and returns how many rows it changed (for an
// UPDATE: matched).
func (tx *Tx) Exec(name string, args ...any) (int64, error) {
	s, err := tx.db.statement(name)
	if err != nil {
		return 0, err
	}
	return tx.exec(s, s.text, args, 1)
}

// ExecRows runs a named statement whose text ends a row of placeholders with
// "...": args hold row after row. It returns how many rows were changed.
func (tx *Tx) ExecRows(name string, args []any) (int64, error) {
	s, err := tx.db.statement(name)
	if err != nil {
		return 0, err
	}
	if s.cols == 0 || s.list || len(args)%s.cols != 0 {
		return 0, fmt.Errorf("%s: %d values do not make rows of %d", name, len(args), s.cols)
	}
	var total int64
	for i, n := range chunks {
		for len(args) >= n*s.cols {
			changed, err := tx.exec(s, s.many[i], args[:n*s.cols], n)
			if err != nil {
				return total, err
			}
			total += changed
			args = args[n*s.cols:]
		}
	}
	return total, nil
}

// ExecList runs a named statement that has a list "(?...)" for as many of the
// values as it takes at a time; fixed are the values before the list.
func (tx *Tx) ExecList(name string, fixed, list []any) (int64, error) {
	var total int64
	err := tx.spread(name, fixed, list, func(s *Statement, text string, args []any) error {
		n, err := tx.exec(s, text, args, 1)
		total += n
		return err
	})
	return total, err
}

// QueryList is Query for a statement that has a list "(?...)". Rows come in
// the statement's order within a chunk only.
func (tx *Tx) QueryList(name string, fixed, list []any, each func(*Row) error) error {
	return tx.spread(name, fixed, list, func(s *Statement, text string, args []any) error {
		return tx.query(s, text, args, each)
	})
}

// spread cuts list into the fixed sizes. A rest that fits no size well is
// padded with its last value, which a list does not mind.
func (tx *Tx) spread(name string, fixed, list []any, run func(*Statement, string, []any) error) error {
	s, err := tx.db.statement(name)
	if err != nil {
		return err
	}
	if !s.list || len(fixed) != s.fixed {
		return fmt.Errorf("%s: has no list, or wants %d values before it", name, s.fixed)
	}
	args := make([]any, 0, len(fixed)+chunks[0])
	for len(list) > 0 {
		i := 0
		for i < len(chunks)-1 && chunks[i+1] >= len(list) {
			i++
		}
		take := min(chunks[i], len(list))
		args = append(append(args[:0], fixed...), list[:take]...)
		for k := take; k < chunks[i]; k++ {
			args = append(args, list[take-1])
		}
		if err := run(s, s.many[i], args); err != nil {
			return err
		}
		list = list[take:]
	}
	return nil
}

// Query runs a named statement and calls each for every row; an error from
// each ends it and is returned.
func (tx *Tx) Query(name string, each func(*Row) error, args ...any) error {
	s, err := tx.db.statement(name)
	if err != nil {
		return err
	}
	return tx.query(s, s.text, args, each)
}

func (tx *Tx) exec(s *Statement, text string, args []any, rows int) (int64, error) {
	start := time.Now()
	n, err := tx.c.exec(tx.ctx, text, args)
	tx.charge(s, int64(rows), time.Since(start))
	if tx.db.replicas != nil && !slices.Contains(tx.wrote, s.wrote) {
		tx.wrote = append(tx.wrote, s.wrote)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	return n, nil
}

func (tx *Tx) query(s *Statement, text string, args []any, each func(*Row) error) error {
	start := time.Now()
	n, err := tx.c.query(tx.ctx, text, args, each)
	tx.rows += n
	tx.charge(s, n, time.Since(start))
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// charge books a statement.
func (tx *Tx) charge(s *Statement, rows int64, took time.Duration) {
	tx.last = s
	wait := int64(tx.wait)
	tx.wait = 0
	cpu := tx.span.Take()
	tx.share(s, func(i int, a *feature.Account, part func(int64) int64) {
		if i == 0 {
			a.Statements.Add(1) // one statement stays one in the sum
			if tx.replica {
				a.Replica.Add(1)
			}
		}
		a.Rows.Add(part(rows))
		a.SQLTime.Add(part(int64(took)))
		a.CPU.Add(part(cpu))
		a.Wait.Add(part(wait))
	})
}

// finish charges what came after the last statement: the commit. What was
// written, or may have been, is on no replica that has not seen a later beat.
func (tx *Tx) finish() {
	for _, at := range tx.wrote {
		raise(at, tx.db.clock())
	}
	if cpu := tx.span.Take(); cpu != 0 && tx.last != nil {
		tx.share(tx.last, func(_ int, a *feature.Account, part func(int64) int64) { a.CPU.Add(part(cpu)) })
	}
}

// share calls each with the accounts that pay for s, and what part of a sum is
// theirs.
func (tx *Tx) share(s *Statement, each func(i int, a *feature.Account, part func(int64) int64)) {
	if tx.shares == nil {
		each(0, s.account(tx.db.board, tx.org), func(sum int64) int64 { return sum })
		return
	}
	for i, share := range tx.shares {
		each(i, s.account(tx.db.board, share.Org), func(sum int64) int64 {
			return sum * int64(share.N) / int64(max(tx.units, 1))
		})
	}
}
