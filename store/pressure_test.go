package store_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestPressure(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		at := time.Date(2026, 3, 2, 10, 0, 0, 123000, time.UTC)
		set := func(node string, at time.Time, pressure float64) {
			t.Helper()
			if err := s.SetPressure(ctx, store.PressureRow{Node: node, At: at, Pressure: pressure, Waits: []byte(`[{"place":"read"}]`)}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(rows ...store.PressureRow) {
			t.Helper()
			got, err := s.Pressures(ctx)
			if err != nil || len(got) != len(rows) {
				t.Fatalf("%+v %v", got, err)
			}
			for i, r := range rows {
				if g := got[i]; g.Node != r.Node || !g.At.Equal(r.At) || math.Abs(g.Pressure-r.Pressure) > 1e-6 || string(g.Waits) != `[{"place":"read"}]` {
					t.Errorf("row %d is %+v, not %+v", i, g, r)
				}
			}
		}
		want()
		set("one /var/lib", at, 0.25)
		set("two", at.Add(time.Second), 1)
		want(store.PressureRow{Node: "two", At: at.Add(time.Second), Pressure: 1}, store.PressureRow{Node: "one /var/lib", At: at, Pressure: 0.25})
		for i := range 100 { // it stays one row a node
			set("one /var/lib", at.Add(time.Duration(i)*time.Minute), 0.123456)
		}
		one := store.PressureRow{Node: "one /var/lib", At: at.Add(99 * time.Minute), Pressure: 0.123456}
		want(one, store.PressureRow{Node: "two", At: at.Add(time.Second), Pressure: 1})
		if err := s.ThinPressure(ctx, at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		want(one)
		if err := s.DropPressure(ctx, "one /var/lib"); err != nil {
			t.Fatal(err)
		}
		want()
		for _, r := range []store.PressureRow{
			{At: at}, {Node: strings.Repeat("n", 256), At: at}, {Node: "n", Pressure: -0.1}, {Node: "n", Pressure: 1.1},
			{Node: "n", Pressure: math.NaN()}, {Node: "n", Waits: make([]byte, 5000)},
		} {
			if s.SetPressure(ctx, r) == nil {
				t.Errorf("taken: %.50v", r)
			}
		}
	})
}

func TestCapacity(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		add := func(at time.Time, n int) {
			t.Helper()
			if err := s.AddCapacity(ctx, store.Capacity{At: at, Conversations: n, Conditions: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		add(at, 100)
		add(at.AddDate(1, 0, 0), 200)
		add(at.AddDate(1, 0, 0), 300) // the same moment: the first stays
		add(at.AddDate(2, 6, 0), 400)
		got, err := s.Capacities(ctx, 10)
		if err != nil || len(got) != 2 || got[0].Conversations != 400 || got[1].Conversations != 200 || string(got[1].Conditions) != "{}" {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := s.Capacities(ctx, 1); err != nil || len(got) != 1 || got[0].Conversations != 400 {
			t.Errorf("%+v %v", got, err)
		}
		if s.AddCapacity(ctx, store.Capacity{At: at, Conversations: -1}) == nil {
			t.Error("less than nothing is taken")
		}
	})
}
