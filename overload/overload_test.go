package overload_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/overload"
)

// running is a signal that reads until the test ends; inside of a bubble.
func running(t *testing.T) (*overload.Signal, *feature.Board) {
	t.Helper()
	b := feature.NewBoard()
	s, err := overload.NewSignal(b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return s, b
}

// TestClass: decision 10, matter by matter, with and without care.
func TestClass(t *testing.T) {
	for m, want := range map[overload.Matter][2]overload.Class{
		overload.Talk:        {overload.Chat, overload.Care},
		overload.Sign:        {overload.Presence, overload.Presence},
		overload.Resumption:  {overload.Return, overload.Return},
		overload.SignIn:      {overload.Return, overload.Return},
		overload.FirstSignIn: {overload.SignUp, overload.Return},
		overload.Keeping:     {overload.Return, overload.Return},
		overload.Reading:     {overload.History, overload.History},
		overload.Uploading:   {overload.History, overload.History},
		overload.Register:    {overload.SignUp, overload.SignUp},
		overload.Showing:     {overload.Presence, overload.Presence},
		overload.Reporting:   {overload.Report, overload.Report},
		overload.Inviting:    {overload.Outreach, overload.Outreach},
		overload.Scoring:     {overload.Outreach, overload.Outreach},
	} {
		if got := [2]overload.Class{m.Class(false), m.Class(true)}; got != want {
			t.Errorf("matter %d: %v, not %v", m, got, want)
		}
	}
	seen := map[string]bool{}
	for c := range overload.Class(overload.Classes) {
		if seen[c.String()] || c.Felt() != (c < 3) {
			t.Errorf("class %d is %q, felt: %t", c, c, c.Felt())
		}
		seen[c.String()] = true
	}
	if overload.Class(200).String() != "unknown" || overload.Place(200).String() != "unknown" {
		t.Error("what is no class and no place has a name")
	}
}

// TestWindow: figures are of the last second, by class, within an eighth of
// the truth.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := running(t)
		random := rand.New(rand.NewPCG(1, 2))
		var waits []time.Duration
		sum := time.Duration(0)
		for range 5000 {
			d := time.Duration(random.ExpFloat64() * float64(8*time.Millisecond))
			s.At(overload.Archive).Add(overload.Chat, d)
			waits, sum = append(waits, d), sum+d
		}
		s.At(overload.Archive).Add(overload.Presence, time.Minute/2)
		s.At(overload.Pool).Add(overload.Return, 0)
		s.At(overload.Pool).Add(overload.Classes, time.Hour) // no class
		time.Sleep(overload.Slice)
		synctest.Wait()
		slices.Sort(waits)
		near := func(what string, got, want time.Duration) {
			t.Helper()
			if got < want*7/8 || got > want*9/8 {
				t.Errorf("%s: %s, not %s", what, got, want)
			}
		}
		f := s.Window(overload.Archive, overload.Care, overload.Chat)
		if f.Count != 5000 || f.Oldest != 0 {
			t.Errorf("%+v", f)
		}
		near("mean", f.Mean, sum/5000)
		near("p99", f.P99, waits[4950])
		near("max", f.Max, waits[4999])
		near("another class", s.Window(overload.Archive, overload.Presence, overload.Presence).Max, time.Minute/2)
		if f := s.Window(overload.Archive, overload.Care, overload.Outreach); f.Count != 5001 {
			t.Errorf("all classes: %+v", f)
		}
		if f := s.Window(overload.Pool, 0, overload.Classes-1); f != (overload.Figures{Count: 1}) {
			t.Errorf("no wait is none: %+v", f)
		}
		if f := s.Window(overload.Read, 0, overload.Classes-1); f != (overload.Figures{}) {
			t.Errorf("a place where nothing was: %+v", f)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if f := s.Window(overload.Archive, 0, overload.Classes-1); f != (overload.Figures{}) {
			t.Errorf("a second later: %+v", f)
		}
	})
}

// TestPressure: it follows the formula of the package comment, rises within a
// few slices, falls by itself, and takes the worst place and felt classes only.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := running(t)
		slice := func(p overload.Place, c overload.Class, d time.Duration) {
			for range 10 {
				s.At(p).Add(c, d)
			}
			time.Sleep(overload.Slice)
			synctest.Wait()
		}
		if s.Pressure() != 0 || s.Target() != 20*time.Millisecond {
			t.Error(s.Pressure(), s.Target())
		}
		for range 20 {
			slice(overload.Pool, overload.History, time.Second)
		}
		if s.Pressure() != 0 {
			t.Errorf("who reads waits, and the pressure is %.3f", s.Pressure())
		}
		// A steady wait is what is told, of the worst place.
		for range 40 {
			s.At(overload.Read).Add(overload.Care, time.Millisecond)
			slice(overload.Archive, overload.Chat, 10*time.Millisecond)
		}
		if p := s.Pressure(); p < 0.46 || p > 0.54 {
			t.Errorf("half the target: %.3f", p)
		}
		// A standstill of seconds counts no more than twice the target.
		for n := 1; s.Pressure() < 1; n++ {
			if n > 4 {
				t.Fatalf("%.3f after %d slices of a second", s.Pressure(), n)
			}
			slice(overload.Archive, overload.Chat, time.Second)
		}
		n := 0
		for before := 1.0; s.Pressure() > 0.1; n++ {
			slice(overload.Archive, overload.Chat, 0)
			if p := s.Pressure(); p > before {
				t.Fatalf("it falls from %.3f to %.3f", before, p)
			} else {
				before = p
			}
		}
		if n < 5 || n > 15 {
			t.Errorf("down after %d slices", n)
		}
		// One bad slice is not a standstill.
		for range 20 {
			slice(overload.Archive, overload.Chat, 0)
		}
		if slice(overload.Archive, overload.Chat, time.Second); s.Pressure() < 0.35 || s.Pressure() > 0.45 {
			t.Errorf("a hiccup: %.3f", s.Pressure())
		}
		if err := b.Set("overload.target", feature.Scope{}, 1000, 1); err != nil {
			t.Fatal(err)
		}
		if s.Pressure() > 0.01 {
			t.Errorf("the target is a second now: %.3f", s.Pressure())
		}
	})
}

// TestStuck: where nothing ends, the oldest that waits counts; who waits for a
// class that nobody feels does not.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := running(t)
		var mu sync.Mutex
		var since [overload.Classes]time.Time
		set := func(c overload.Class, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			since[c] = at
		}
		s.Watch(overload.Archive, func() [overload.Classes]time.Time {
			mu.Lock()
			defer mu.Unlock()
			return since
		})
		s.Watch(overload.Archive, func() (none [overload.Classes]time.Time) { return none })
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.Pressure() != 0 {
			t.Errorf("nothing waits: %.3f", s.Pressure())
		}
		set(overload.Presence, time.Now())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s.Pressure() != 0 {
			t.Errorf("typing waits: %.3f", s.Pressure())
		}
		set(overload.Chat, time.Now())
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if s.Pressure() != 1 {
			t.Errorf("stuck for half a second: %.3f", s.Pressure())
		}
		f := s.Window(overload.Archive, overload.Care, overload.Chat)
		if f.Count != 0 || f.Oldest < 400*time.Millisecond || f.P99 != f.Oldest || f.Max != f.Oldest {
			t.Errorf("%+v", f)
		}
		set(overload.Chat, time.Time{})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.Pressure() > 0.02 {
			t.Errorf("it goes on: %.3f", s.Pressure())
		}
	})
}

// TestAdd: nothing is lost when many add at once, and nothing is allocated; a
// place that nobody measures takes all.
func TestAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := running(t)
		var all sync.WaitGroup
		for k := range 8 {
			all.Go(func() {
				for i := range 10000 {
					s.At(overload.Read).Add(overload.Class(k%3), time.Duration(i)*time.Microsecond)
				}
			})
		}
		all.Wait()
		time.Sleep(overload.Slice)
		synctest.Wait()
		if f := s.Window(overload.Read, overload.Care, overload.Chat); f.Count != 80000 {
			t.Errorf("%+v", f)
		}
	})
	var none *overload.Signal
	none.At(overload.Read).Add(overload.Care, time.Second)
	none.Watch(overload.Read, nil)
	var w overload.Waits
	if n := testing.AllocsPerRun(1000, func() { w.Add(overload.Chat, 3*time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	var w overload.Waits
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Add(overload.Chat, time.Duration(i)*1000)
	}
}

func BenchmarkAddParallel(b *testing.B) {
	var w overload.Waits
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			w.Add(overload.Chat, time.Duration(i)*1000)
		}
	})
}

// BenchmarkRead is one reading of all places, ten a second.
func BenchmarkRead(b *testing.B) {
	s, err := overload.NewSignal(feature.NewBoard())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		overload.ReadSlice(s)
	}
}
