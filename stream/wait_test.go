package stream

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/overload"
)

// TestRunQueueWaits: how long things waited is told by lane, of one in four,
// and of the first that waits still.
func TestRunQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signal, err := overload.NewSignal(feature.NewBoard())
		if err != nil {
			t.Fatal(err)
		}
		var q runQueue[int]
		var done sync.WaitGroup
		q.setUp(1, 1, &done, func() { t.Error("a second worker") })
		q.workers = 1 // this test
		q.measure(signal, overload.Read)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go signal.Run(ctx)
		read := func(p overload.Place) overload.Figures {
			synctest.Wait()
			return signal.Window(p, overload.Care, overload.Outreach)
		}
		time.Sleep(overload.Slice / 2) // no reading comes at the same time as what follows

		q.put(settled, make([]int, 2*toldOf)...)
		time.Sleep(overload.Slice)
		q.put(negotiating, 1)
		time.Sleep(overload.Slice)
		if f := read(overload.Read); f.Count != 0 || f.Oldest != 3*overload.Slice/2 {
			t.Errorf("nobody takes what is ready: %+v", f)
		}
		if f := read(overload.Enter); f.Count != 0 || f.Oldest != overload.Slice/2 {
			t.Errorf("nobody takes who signs in: %+v", f)
		}
		if p := signal.Pressure(); p < 0.7 {
			t.Errorf("pressure %.2f", p)
		}
		for range 2*toldOf + 1 {
			q.take()
		}
		time.Sleep(overload.Slice)
		if f := read(overload.Read); f.Count != 2 || f.Oldest != 0 || f.Mean < 190*time.Millisecond || f.Mean > 210*time.Millisecond {
			t.Errorf("taken after %s: %+v", 2*overload.Slice, f)
		}
		if f := read(overload.Enter); f.Oldest != 0 {
			t.Errorf("%+v", f)
		}
		q.end()
		done.Wait()
	})
}
