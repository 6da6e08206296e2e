package store

import (
	"context"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
)

// Bounds of a row of pressure, and of one of capacity.
const (
	nodeBytes     = 255
	waitsBytes    = 4 << 10
	capacityBytes = 16 << 10
	pressureMost  = 1000 // nodes
)

// PressureRow is what a node has told of itself.
type PressureRow struct {
	Node     string // its name: 1 to 255 bytes, the same after a restart
	At       time.Time
	Pressure float64 // 0 to 1, kept to a millionth
	Waits    []byte  // how long is waited where, JSON; 4 KiB at most
}

// SetPressure writes a node's row. It need not be on disk: a second later there
// is another.
func (s *Store) SetPressure(ctx context.Context, r PressureRow) error {
	if r.Node == "" || len(r.Node) > nodeBytes || len(r.Waits) > waitsBytes || !(r.Pressure >= 0 && r.Pressure <= 1) {
		return fmt.Errorf("write the pressure of node %q: want a name of 1 to %d bytes, a pressure of 0 to 1 and waits of at most %d bytes",
			r.Node, nodeBytes, waitsBytes)
	}
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("pressure-set", r.Node, r.At, int64(r.Pressure*1e6), append([]byte{}, r.Waits...))
		return err
	}); err != nil {
		return fmt.Errorf("write the pressure: %w", err)
	}
	return nil
}

// Pressures are the rows of all nodes, the latest first: 1,000 at most.
func (s *Store) Pressures(ctx context.Context) (out []PressureRow, err error) {
	if err := s.db.Query(ctx, 0, "pressure-list", func(r *db.Row) error {
		out = append(out, PressureRow{Node: r.Text(0), At: r.Time(1), Pressure: float64(r.Int(2)) / 1e6, Waits: r.Bytes(3)})
		return nil
	}, pressureMost); err != nil {
		return nil, fmt.Errorf("read the pressure: %w", err)
	}
	return out, nil
}

// DropPressure deletes a node's row: it has ended in order.
func (s *Store) DropPressure(ctx context.Context, node string) error {
	return s.thin(ctx, "pressure-drop", node)
}

// ThinPressure deletes the rows of nodes that have told nothing since a time.
func (s *Store) ThinPressure(ctx context.Context, before time.Time) error {
	return s.thin(ctx, "pressure-thin", before)
}

func (s *Store) thin(ctx context.Context, statement string, arg any) error {
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec(statement, arg)
		return err
	}); err != nil {
		return fmt.Errorf("delete old rows of the pressure: %w", err)
	}
	return nil
}

// Capacity is one measurement of how much a server carries.
type Capacity struct {
	At            time.Time
	Conversations int    // at once
	Conditions    []byte // how it was measured, JSON; 16 KiB at most
}

// capacityKeep is how long a measurement is kept. Hardware and people change.
const capacityKeep = 2 * 365 * 24 * time.Hour

// AddCapacity keeps a measurement, and forgets those of two years ago.
func (s *Store) AddCapacity(ctx context.Context, c Capacity) error {
	if c.Conversations < 0 || len(c.Conditions) > capacityBytes {
		return fmt.Errorf("keep a capacity of %d: want 0 or more, and conditions of at most %d bytes", c.Conversations, capacityBytes)
	}
	if err := s.db.Write(ctx, 0, func(tx *db.Tx) error {
		if _, err := tx.Exec("capacity-thin", c.At.Add(-capacityKeep)); err != nil {
			return err
		}
		_, err := tx.Exec("capacity-insert", c.At, c.Conversations, append([]byte{}, c.Conditions...))
		return err
	}); err != nil {
		return fmt.Errorf("keep the capacity: %w", err)
	}
	return nil
}

// Capacities are the latest measurements, the last one first.
func (s *Store) Capacities(ctx context.Context, limit int) (out []Capacity, err error) {
	if err := s.db.Query(ctx, 0, "capacity-list", func(r *db.Row) error {
		out = append(out, Capacity{At: r.Time(0), Conversations: int(r.Int(1)), Conditions: r.Bytes(2)})
		return nil
	}, limit); err != nil {
		return nil, fmt.Errorf("read the capacity: %w", err)
	}
	return out, nil
}
