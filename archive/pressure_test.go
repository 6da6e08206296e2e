package archive_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/overload"
)

// TestPressure: while the disk takes nothing the pressure rises to all there is
// within a second, of one message already; once it takes again it falls.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		signal, err := overload.NewSignal(feature.NewBoard())
		s.check(err)
		s.Waits = signal.At(overload.Archive)
		signal.Watch(overload.Archive, s.Oldest)
		ctx, cancel := context.WithCancel(context.Background())
		var reader sync.WaitGroup
		reader.Go(func() { signal.Run(ctx) })
		defer reader.Wait()
		defer cancel()
		hand := func(name string, c overload.Class) {
			m := s.message(name, true, "")
			m.Class = c
			s.check(s.Append(m))
		}
		settled := func(n int) func() bool { return func() bool { return len(s.settled) == n } }

		hand("1", overload.Chat)
		s.wait("the first", settled(1))
		time.Sleep(time.Second)
		synctest.Wait()
		if p := signal.Pressure(); p > 0.1 {
			t.Errorf("nothing waits: %.2f", p)
		}

		release := s.stick()
		hand("2", overload.Presence)
		time.Sleep(time.Second)
		synctest.Wait()
		if p := signal.Pressure(); p > 0.1 {
			t.Errorf("typing waits, which nobody feels: %.2f", p)
		}
		release()
		s.wait("the second", settled(2))

		release = s.stick()
		hand("3", overload.Presence)
		hand("4", overload.Care) // in the next batch, or in the same
		time.Sleep(time.Second)
		synctest.Wait()
		if p := signal.Pressure(); p != 1 {
			t.Errorf("stuck for a second: %.2f", p)
		}
		if f := signal.Window(overload.Archive, overload.Care, overload.Care); f.Oldest < 900*time.Millisecond {
			t.Errorf("%+v", f)
		}
		release()
		s.wait("the last", settled(4))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p := signal.Pressure(); p > 0.1 {
			t.Errorf("the disk takes again: %.2f", p)
		}
		if since := s.Oldest(); since != ([overload.Classes]time.Time{}) {
			t.Errorf("nothing waits, but %v", since)
		}
	})
}
