package store

import (
	"context"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// LedgerRow is what one feature cost one organisation in a span of time.
type LedgerRow struct {
	feature.Row
	At     time.Time // end of the span
	Span   time.Duration
	Online int // people who were online then, of the organisation; of org 0: all
}

// AddLedger keeps rows, in one transaction. Rows that are there already stay.
func (s *Store) AddLedger(ctx context.Context, rows []LedgerRow) error {
	args := make([]any, 0, 15*len(rows))
	for i := range rows {
		r := &rows[i]
		args = append(args, r.At, r.Org, r.Feature, int64(r.Span), r.Online, r.Calls, r.CPU, r.Sent,
			r.BytesIn, r.BytesOut, r.ClusterBytes, r.Statements, r.Rows, r.SQLTime, r.Wait)
	}
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.ExecRows("ledger-insert", args)
		return err
	}); err != nil {
		return fmt.Errorf("write %d rows of the ledger: %w", len(rows), err)
	}
	return nil
}

// Ledger reads the rows whose spans ended from one time until before another,
// in their order, limit at most.
func (s *Store) Ledger(ctx context.Context, from, until time.Time, limit int) (out []LedgerRow, err error) {
	if err := s.db.Query(ctx, 0, "ledger-between", func(r *db.Row) error {
		out = append(out, LedgerRow{
			At: r.Time(0), Span: time.Duration(r.Int(3)), Online: int(r.Int(4)),
			Row: feature.Row{
				Org: feature.Org(r.Int(1)), Feature: r.Text(2), Calls: r.Int(5), CPU: r.Int(6), Sent: r.Int(7),
				BytesIn: r.Int(8), BytesOut: r.Int(9), ClusterBytes: r.Int(10),
				Statements: r.Int(11), Rows: r.Int(12), SQLTime: r.Int(13), Wait: r.Int(14),
			},
		})
		return nil
	}, from, until, limit); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return out, nil
}

// ledgerStep is how many times of the ledger are deleted by one statement: as
// few as keep it short.
const ledgerStep = 4

// ThinLedger deletes, in small steps, what is older than keep, and of what is
// older than dense all but the first of each hour. It goes on where it was left
// at from, looks at no more than most times, and returns where to go on the
// next time: zero when it has seen all.
func (s *Store) ThinLedger(ctx context.Context, keep, dense, from time.Time, most int) (next time.Time, deleted int, err error) {
	if from.IsZero() {
		from = time.UnixMicro(0)
	}
	var times []time.Time
	if err := s.db.Query(ctx, 0, "ledger-times", func(r *db.Row) error {
		times = append(times, r.Time(0))
		return nil
	}, from, dense, most); err != nil {
		return from, 0, fmt.Errorf("thin the ledger: %w", err)
	}
	var gone []any
	hour := from.Truncate(time.Hour) // the first of it was seen before, unless from is no time of the ledger
	for _, at := range times {
		if !at.Before(keep) && at.Truncate(time.Hour).After(hour) {
			hour = at.Truncate(time.Hour)
			continue
		}
		gone = append(gone, at)
	}
	for len(gone) > 0 {
		n := min(ledgerStep, len(gone))
		if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
			_, err := tx.ExecList("ledger-drop", nil, gone[:n])
			return err
		}); err != nil {
			return from, deleted, fmt.Errorf("thin the ledger: %w", err)
		}
		deleted += n
		gone = gone[n:]
	}
	if len(times) < most {
		return time.Time{}, deleted, nil
	}
	return times[len(times)-1], deleted, nil
}
