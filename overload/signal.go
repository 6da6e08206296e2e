package overload

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
)

const (
	// Slice is how far the readings of a Signal are apart.
	Slice = 100 * time.Millisecond
	// slices make a window.
	slices = 10
	// memory is over how many slices the wait is smoothed.
	memory = 5
	// most is what a slice counts at most, in targets.
	most = 2
)

// targetDial is the dial of the target.
const targetDial = "overload.target"

// Declare puts the feature on a board, unless it is there.
func Declare(b *feature.Board) error {
	if _, ok := b.Lookup("overload"); ok {
		return nil
	}
	_, err := b.DeclareAlways("overload", "how long work waits, and what follows from it", feature.Lever{
		Name: targetDial, Unit: "ms", Default: 20, Min: 1, Max: 10000, Reach: feature.ServerOnly,
		Doc: "how long what people feel may wait in the server; outreach slows down from a quarter of it and stands still at all of it",
	})
	if err != nil {
		return fmt.Errorf("declare overload control: %w", err)
	}
	return nil
}

// An Oldest tells since when the oldest work of each class waits at a place; a
// zero time: none does. It must not block.
type Oldest func() [Classes]time.Time

// Figures are the waits of a second, or less after the start. Max is that of
// its bucket, so up to an eighth too much; all are at least the age of what
// waits still.
type Figures struct {
	Count          uint64
	Mean, P99, Max time.Duration
	Oldest         time.Duration // of what waits still
}

// A Signal tells how long work waits. It is ready from NewSignal on; Run has it
// read. Its methods may be called by any goroutine.
type Signal struct {
	target *feature.Dial
	waits  [Places]Waits

	wait atomic.Int64 // smoothed, ns

	mu       sync.Mutex // guards what follows
	oldest   [Places][]Oldest
	cells    [Places][Classes]*cell
	at       int // the slice that is written next
	smoothed float64
}

// cell is what was read of one class at one place; nil while nothing was added.
type cell struct {
	last [buckets]uint64
	ring [slices][buckets]uint32
	age  time.Duration // of the oldest, at the last reading
}

// NewSignal makes a signal that follows the target on a board.
func NewSignal(b *feature.Board) (*Signal, error) {
	if err := Declare(b); err != nil {
		return nil, err
	}
	return &Signal{target: b.Dial(targetDial)}, nil
}

// At is where a place adds its waits.
func (s *Signal) At(p Place) *Waits {
	if s == nil {
		return nil
	}
	return &s.waits[p]
}

// Watch has a place asked for its oldest work, before Run. It may have several
// parts.
func (s *Signal) Watch(p Place, oldest Oldest) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.oldest[p] = append(s.oldest[p], oldest)
	s.mu.Unlock()
}

// Run reads the places until ctx ends.
func (s *Signal) Run(ctx context.Context) {
	tick := time.NewTicker(Slice)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.read(time.Now())
		}
	}
}

// Target is the dial overload.target.
func (s *Signal) Target() time.Duration {
	return time.Duration(s.target.Int(0)) * time.Millisecond
}

// Wait is the smoothed queueing time of the classes that people feel.
func (s *Signal) Wait() time.Duration { return time.Duration(s.wait.Load()) }

// Pressure is the wait as a part of the target: 0 when nothing waits, 1 when
// the target is reached.
func (s *Signal) Pressure() float64 {
	return min(1, float64(s.Wait())/float64(s.Target()))
}

// read takes one slice.
func (s *Signal) read(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := time.Duration(0)
	for p := range Place(Places) {
		ages := s.ages(p, now)
		var count, sum uint64
		age := time.Duration(0)
		for c := range Class(Classes) {
			n, ns := s.cut(p, c, ages[c])
			if c.Felt() {
				count, sum, age = count+n, sum+ns, max(age, ages[c])
			}
		}
		if count > 0 {
			worst = max(worst, time.Duration(sum/count))
		}
		worst = max(worst, age)
	}
	s.at = (s.at + 1) % slices
	worst = min(worst, most*s.Target())
	s.smoothed += (float64(worst) - s.smoothed) / memory
	s.wait.Store(int64(s.smoothed))
}

// ages are those of the oldest work of a place.
func (s *Signal) ages(p Place, now time.Time) (ages [Classes]time.Duration) {
	for _, oldest := range s.oldest[p] {
		for c, since := range oldest() {
			if !since.IsZero() {
				ages[c] = max(ages[c], now.Sub(since))
			}
		}
	}
	return ages
}

// cut makes a slice of what one class has added at one place since the last,
// and returns their number and sum.
func (s *Signal) cut(p Place, c Class, age time.Duration) (n, sum uint64) {
	var now [buckets]uint64
	s.waits[p].of[c].read(&now)
	k := s.cells[p][c]
	if k == nil {
		if now == [buckets]uint64{} && age == 0 {
			return 0, 0
		}
		k = new(cell)
		s.cells[p][c] = k
	}
	k.age = age
	slice := &k.ring[s.at]
	for b := range now {
		d := now[b] - k.last[b]
		slice[b] = uint32(min(d, 1<<32-1))
		n += d
		sum += d * uint64(middle(b))
	}
	k.last = now
	return n, sum
}

// Window tells of the last second at a place, over the classes from first to
// last.
func (s *Signal) Window(p Place, first, last Class) (f Figures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum [buckets]uint64
	for c := first; c <= last && c < Classes; c++ {
		k := s.cells[p][c]
		if k == nil {
			continue
		}
		f.Oldest = max(f.Oldest, k.age)
		for i := range k.ring {
			for b, n := range k.ring[i] {
				sum[b] += uint64(n)
			}
		}
	}
	total := uint64(0)
	for b, n := range sum {
		if n > 0 {
			f.Count += n
			total += n * uint64(middle(b))
			f.Max = edge(b + 1)
		}
	}
	if f.Count > 0 {
		f.Mean = time.Duration(total / f.Count)
		f.P99 = quantile(&sum, f.Count, 0.99)
	}
	if sum[0] == f.Count {
		f.Max = 0
	}
	f.P99, f.Max = max(f.P99, f.Oldest), max(f.Max, f.Oldest)
	return f
}

// quantile is the wait that a share q of n does not exceed.
func quantile(sum *[buckets]uint64, n uint64, q float64) time.Duration {
	rank, seen := uint64(q*float64(n)), uint64(0)
	for b, c := range sum {
		if seen += c; c > 0 && seen > min(rank, n-1) {
			return middle(b)
		}
	}
	return 0
}
