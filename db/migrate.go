package db

import (
	"context"
	"fmt"
	"time"
)

// migrate brings the schema to the version of this program. A migration is
// one statement and has its number by its place in the text, which is only
// ever appended to: the version is the count. MariaDB commits each DDL by
// itself, so one statement per number is what can be resumed after a crash;
// the only doubt left (made, but not noted) is met by IF NOT EXISTS.
func (d *DB) migrate(ctx context.Context) error {
	create := "CREATE TABLE IF NOT EXISTS migration (n INTEGER NOT NULL PRIMARY KEY, at BIGINT NOT NULL)"
	if err := d.alter(ctx, func(tx *Tx) error {
		_, err := tx.c.exec(ctx, create, nil)
		return err
	}); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	have := 0
	if err := d.read(ctx, 0, func(tx *Tx) error {
		_, err := tx.c.query(ctx, "SELECT COUNT(*) FROM migration", nil, func(r *Row) error {
			have = int(r.Int(0))
			return nil
		})
		return err
	}); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if have > len(d.migrations) {
		return fmt.Errorf("the database has version %d, this program knows %d: use the newer program", have, len(d.migrations))
	}
	for i := have; i < len(d.migrations); i++ {
		m := d.migrations[i]
		if err := d.alter(ctx, func(tx *Tx) error {
			if _, err := tx.c.exec(ctx, m.text, nil); err != nil && !madeAlready(err) {
				return err
			}
			_, err := tx.c.exec(ctx, "INSERT INTO migration (n, at) VALUES (?, ?)", []any{i + 1, time.Now()})
			return err
		}); err != nil {
			return fmt.Errorf("migrate to %d (%s): %w", i+1, m.Name, err)
		}
	}
	return nil
}

// alter is Write for a change of the schema, which takes as long as it takes:
// an index over all messages, or another process that alters the same table.
func (d *DB) alter(ctx context.Context, fn func(*Tx) error) error {
	if d.engine == sqlite {
		return d.Write(ctx, 0, fn)
	}
	server := d.server.Clone()
	server.ReadTimeout = 0
	delete(server.Params, tableLockTime)
	c, err := dialMySQL(ctx, server)
	if err != nil {
		return err
	}
	defer c.close()
	return d.transact(&Tx{db: d, c: c, ctx: ctx}, fn)
}

// Version is how many migrations this program has.
func (d *DB) Version() int { return len(d.migrations) }
