package feature

import (
	"math/rand/v2"
	"runtime"

	"golang.org/x/sys/unix"
)

// sampleEvery is how many spans of work share one reading of the clock.
const sampleEvery = 64

// Meter measures the CPU time of one span of work on one goroutine. One span
// in 64, chosen at random, reads the thread's clock twice and counts 64-fold;
// the others cost a random number. It is a value: no allocation.
//
//	m := account.Meter()
//	... work ...
//	m.Stop()
type Meter struct {
	account *Account
	start   int64 // ns; 0 when this span is not sampled
}

// Meter counts a call and begins a span that the account pays for.
func (a *Account) Meter() Meter {
	a.Calls.Add(1)
	return Meter{account: a, start: sample()}
}

// Meter is a.Meter, for those who hold the board.
func (b *Board) Meter(a *Account) Meter { return a.Meter() }

// Sample begins a span that no account pays for yet: whoever shares it out
// takes what Stop returns (a write of many stanzas, by their sizes).
func Sample() Meter { return Meter{start: sample()} }

// Sampled reports whether Stop will return a time. The work of sharing out
// can be left undone otherwise.
func (m Meter) Sampled() bool { return m.start != 0 }

// Stop ends the span on the goroutine that began it, charges the account if
// there is one, and returns the estimate in nanoseconds: 0 for a span that is
// not sampled, 64 times what was measured for one that is.
func (m Meter) Stop() int64 {
	if m.start == 0 {
		return 0
	}
	ns := (threadTime() - m.start) * sampleEvery
	runtime.UnlockOSThread()
	if ns < 0 {
		ns = 0
	}
	if m.account != nil {
		m.account.CPU.Add(ns)
	}
	return ns
}

func sample() int64 {
	if rand.Uint32()%sampleEvery != 0 {
		return 0
	}
	runtime.LockOSThread() // the clock belongs to the thread
	if t := threadTime(); t > 0 {
		return t
	}
	runtime.UnlockOSThread()
	return 0
}

// threadTime is the CPU time of the calling thread in nanoseconds.
func threadTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
