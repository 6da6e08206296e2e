package feature

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How often the clock is read. A reading costs about a microsecond.
const (
	// fewest is the least that spans share one measurement: in a short run
	// there are enough of them all the same.
	fewest = 16
	// window is how long measurements are counted before the rate is looked
	// at again, and enough is how many of them in it are more than needed.
	window = 100 * time.Millisecond
	enough = 50 // five hundred a second: less than a percent of a processor
	// pinned is how many spans may be measured at a time: each holds a thread,
	// also while it waits.
	pinned = 128
)

// A Span measures the CPU time of a stretch of work on one goroutine, and
// whose it was: To says from where on the next account pays. So each moment is
// charged once, however deep features call one another. One span in some is
// measured, chosen at random before its work is known, and counts for all
// (Ledger.rate); the others cost a random number. The zero Span is ready; a
// nil one takes all calls and does nothing.
//
//	var sp feature.Span
//	sp.Begin(stream)
//	before := sp.To(message)
//	... route ...
//	sp.To(before)
//	sp.End()
type Span struct {
	account *Account
	ledger  *Ledger
	last    int64 // thread clock at the last boundary; 0: not measured
	weight  int64 // how many spans this one stands for
}

// Begin starts a span that a pays for. The goroutine stays on its thread until
// End, if the span is measured.
func (sp *Span) Begin(a *Account) {
	sp.account, sp.last = a, 0
	if rate := a.ledger.rate.Load(); rate != 0 && (rate == 1 || rand.Uint32()%rate == 0) {
		a.ledger.measured()
		sp.start(a.ledger, int64(rate))
	}
}

// Whole starts a span that is measured for certain: for stretches so long,
// a hundred microseconds and more, that reading the clock is nothing, and so
// rare that one in many would say little.
func (sp *Span) Whole(a *Account) {
	sp.account, sp.last = a, 0
	if a.ledger.rate.Load() != 0 {
		sp.start(a.ledger, 1)
	}
}

func (sp *Span) start(l *Ledger, weight int64) {
	if l.sampler.open.Add(1) > pinned {
		l.sampler.open.Add(-1)
		return
	}
	sp.ledger, sp.weight = l, weight
	runtime.LockOSThread() // the clock belongs to the thread
	before := threadTime()
	sp.last = max(threadTime(), 1)
	l.sampler.reading(sp.last - before)
}

// Measured reports whether Take will return a time. The work of sharing out
// can be left undone otherwise.
func (sp *Span) Measured() bool { return sp != nil && sp.last != 0 }

// To charges what has passed to the account that paid until now and has a pay
// from here on. It returns the one before, to go back to.
func (sp *Span) To(a *Account) (before *Account) {
	if sp == nil {
		return nil
	}
	before = sp.account
	if sp.last != 0 && before != a {
		ns := sp.Take()
		if before != nil {
			before.CPU.Add(ns)
		}
	}
	sp.account = a
	return before
}

// Take returns the estimate of what has passed since the last boundary, in
// nanoseconds, and charges nobody: whoever takes it shares it out. 0 when the
// span is not measured. It is without what reading the clock takes, on average:
// of a moment it may be less than nothing, of many it is right.
func (sp *Span) Take() int64 {
	if sp == nil || sp.last == 0 {
		return 0
	}
	now := threadTime()
	ns := (now - sp.last - sp.ledger.sampler.clock.Load()) * sp.weight
	sp.last = now
	return ns
}

// End ends the span on the goroutine that began it and charges the account
// that pays at last. A span that has ended may begin again.
func (sp *Span) End() {
	if sp == nil || sp.last == 0 {
		return
	}
	if ns := sp.Take(); sp.account != nil {
		sp.account.CPU.Add(ns)
	}
	sp.Drop()
}

// Drop ends the span without a charge: what it measured was taken.
func (sp *Span) Drop() {
	if sp != nil && sp.last != 0 {
		before := threadTime()
		sp.ledger.sampler.reading(threadTime() - before)
		sp.last = 0
		sp.ledger.sampler.open.Add(-1)
		runtime.UnlockOSThread()
	}
}

// sampler sets how many spans share one measurement: between fewest and the
// dial ledger.sample, by what the last moments were like. The choice of a span
// rests on what came before it, never on itself, and it counts by the rate it
// was chosen at: so the sum is right on average whatever comes in bursts.
type sampler struct {
	rate  atomic.Uint32 // one span in so many; 0: none
	most  atomic.Uint32 // the dial; 0: none
	count atomic.Int32  // measured in this window
	since atomic.Int64  // its begin, µs
	open  atomic.Int32  // spans being measured now
	clock atomic.Int64  // what reading the clock takes, ns
	never atomic.Bool   // whatever the dial says
}

// reading learns what reading the clock takes from two readings in a row: one
// pair before a span, where the processor has last done something else, and one
// behind it, where it has just read the clock. In between is what the readings
// of the span take. An interruption counts as twice the time at most; a race
// loses one of many.
func (s *sampler) reading(ns int64) {
	switch old := s.clock.Load(); {
	case ns <= 0:
	case old == 0:
		s.clock.Store(ns)
	default:
		s.clock.Store(old + (min(ns, 2*old)-old)/16)
	}
}

// Fit brings the CPU time of rows, an estimate, down to what can have been
// spent, when their sum is above it: each by the same part. It returns the sum
// as it was measured. A span that waits for another goroutine while it is
// measured costs more than one that is not: its thread is put to sleep and
// woken. Nobody can tell by how much, but the process's own time is exact.
func Fit(rows []Row, spent int64) (measured int64) {
	for i := range rows {
		measured += rows[i].CPU
	}
	if measured <= 0 || measured <= spent {
		return measured
	}
	part := float64(max(spent, 0)) / float64(measured)
	for i := range rows {
		rows[i].CPU = int64(float64(rows[i].CPU) * part)
		rows[i].Sent = int64(float64(rows[i].Sent) * part)
	}
	return measured
}

// measured counts a measurement and looks at the rate now and then.
func (s *sampler) measured() {
	n := s.count.Add(1)
	if n%16 != 0 {
		return
	}
	now := time.Now().UnixMicro()
	since := s.since.Load()
	passed := now - since
	if n < enough && passed < window.Microseconds() || !s.since.CompareAndSwap(since, now) {
		return
	}
	s.count.Store(0)
	rate, most := s.rate.Load(), s.most.Load()
	next := rate
	switch perWindow := int64(n) * window.Microseconds() / max(passed, 1); {
	case perWindow >= enough:
		next = min(rate*2, most)
	case perWindow < enough/4:
		next = max(rate/2, min(fewest, most))
	}
	s.rate.CompareAndSwap(rate, next) // a dial that was turned meanwhile wins
}

// limit takes over the dial.
func (s *sampler) limit(most int64) {
	if s.never.Load() {
		most = 0
	}
	if old := s.most.Swap(uint32(most)); old != uint32(most) {
		s.rate.Store(uint32(min(fewest, most)))
	}
}

// Unmeter has no span measured from now on, whatever the dial ledger.sample
// says: for who wants to know what measuring costs.
func (l *Ledger) Unmeter() {
	l.never.Store(true)
	l.limit(0)
}

// threadTime is the CPU time of the calling thread in nanoseconds.
func threadTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
