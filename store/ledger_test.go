package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestLedger(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		base := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		var rows []store.LedgerRow
		for i := range 600 { // ten hours of minutes
			rows = append(rows, store.LedgerRow{At: base.Add(time.Duration(i) * time.Minute), Span: time.Minute, Online: i,
				Row: feature.Row{Feature: "presence", Org: 3, Calls: 1, CPU: 2, Sent: 3, BytesIn: 4, BytesOut: 5, ClusterBytes: 6,
					Statements: 7, Rows: 8, SQLTime: 9, Wait: 1 << 60}})
		}
		for range 2 { // the same again changes nothing
			if err := s.AddLedger(ctx, rows); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Ledger(ctx, base.Add(time.Minute), base.Add(3*time.Minute), 10)
		for i := range got {
			got[i].At = got[i].At.UTC()
		}
		if err != nil || !slices.Equal(got, rows[1:3]) {
			t.Fatalf("%+v %v", got, err)
		}
		if got, err := s.Ledger(ctx, base, base.Add(time.Hour), 7); err != nil || len(got) != 7 {
			t.Errorf("%d rows %v", len(got), err)
		}
		// Older than two hours: gone. Then one of each hour, until the last.
		keep, dense := base.Add(2*time.Hour), base.Add(8*time.Hour)
		var next time.Time
		total, rounds := 0, 0
		for again := true; again; again = !next.IsZero() {
			var n int
			if next, n, err = s.ThinLedger(ctx, keep, dense, next, 50); err != nil {
				t.Fatal(err)
			}
			total += n
			rounds++
		}
		left, err := s.Ledger(ctx, base, base.Add(24*time.Hour), 1000)
		if err != nil || len(left) != 6+120 || total != 600-126 || rounds < 9 {
			t.Fatalf("%d left, %d deleted in %d rounds, %v", len(left), total, rounds, err)
		}
		for i := range 6 {
			if want := keep.Add(time.Duration(i) * time.Hour); !left[i].At.Equal(want) {
				t.Errorf("kept %v, want %v", left[i].At, want)
			}
		}
		if _, n, err := s.ThinLedger(ctx, keep, dense, time.Time{}, 1000); n != 0 || err != nil {
			t.Errorf("thinned again: %d %v", n, err)
		}
	})
}
