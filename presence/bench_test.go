package presence_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
)

// crowd makes n people of one group in which everybody sees everybody.
func crowd(tb testing.TB, n int) *town {
	st, h, d, org := openTown(tb)
	w := populate(tb, st, h, d, org, "c", n)
	g, err := d.Rosters.Groups.AddGroup(context.Background(), org, roster.NewGroup{Name: "all", Kind: roster.Everyone})
	if err != nil || g == nil {
		tb.Fatal(err)
	}
	return w
}

// leave ends all sessions and tells how many presences they were given.
func (w *town) leave() (n int) {
	for _, p := range w.people {
		for _, c := range p.resources {
			wires, _ := c.s.End()
			n += len(wires)
			w.d.Unbind(c.a, c.s, false)
			c.a.Release()
		}
		p.resources = nil
	}
	presence.Quiet(w.d)
	return n
}

// BenchmarkJoin: n people of one group come online. What each presence that is
// told costs, without sign-in and sockets, and what it allocates.
func BenchmarkJoin(b *testing.B) {
	for _, n := range []int{200, 1000, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := crowd(b, n)
			var told, before, after runtime.MemStats
			total := 0
			for b.Loop() {
				b.StopTimer()
				for _, p := range w.people {
					w.bind(p, "desk")
				}
				runtime.ReadMemStats(&before)
				b.StartTimer()
				for _, p := range w.people {
					w.say(p.resources[0], 1)
				}
				presence.Quiet(w.d)
				b.StopTimer()
				runtime.ReadMemStats(&after)
				told.Mallocs += after.Mallocs - before.Mallocs
				total += w.leave()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/presence")
			b.ReportMetric(float64(told.Mallocs)/float64(total), "allocs/presence")
			if total < b.N*n*n {
				b.Fatalf("%d presences told, want %d", total, b.N*n*n)
			}
		})
	}
}

// BenchmarkFlap: n people of one group who are online change what they show.
func BenchmarkFlap(b *testing.B) {
	for _, n := range []int{200, 1000, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := crowd(b, n)
			for _, p := range w.people {
				w.bind(p, "desk")
				w.say(p.resources[0], 1)
			}
			presence.Quiet(w.d)
			status := 1
			var start, end runtime.MemStats
			runtime.ReadMemStats(&start)
			for b.Loop() {
				status++
				for _, p := range w.people {
					w.say(p.resources[0], status)
				}
				presence.Quiet(w.d)
			}
			runtime.ReadMemStats(&end)
			told := w.leave() - n*n
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(told), "ns/presence")
			b.ReportMetric(float64(end.Mallocs-start.Mallocs)/float64(told), "allocs/presence")
		})
	}
}

// BenchmarkBlock: one of n people of one group blocks another, and lets it
// again. Whom it does not concern should not make it dear.
func BenchmarkBlock(b *testing.B) {
	for _, n := range []int{200, 1000, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := crowd(b, n)
			for _, p := range w.people {
				w.bind(p, "desk")
				w.say(p.resources[0], 1)
			}
			presence.Quiet(w.d)
			a := w.people[0].resources[0].a
			list := &presence.Blocklist{w.people[1].jid: {}}
			for b.Loop() {
				w.d.Block(a, list, func() {})
				w.d.Block(a, nil, func() {})
			}
			w.leave()
		})
	}
}
