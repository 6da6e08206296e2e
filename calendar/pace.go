package calendar

import (
	"math"
	"time"
)

// Numbers of the pace. The target is the queueing time at which chat would
// begin to feel outreach; product tests aim at 20 ms.
const (
	Target = 20 * time.Millisecond
	// Stale is the age after which a pressure that another process wrote is not
	// believed: then count it as Target.
	Stale = 5 * time.Second

	climb     = 0.02 // of the full pace, a second
	halving   = 0.5  // seconds in which a pace above what is permitted halves
	learn     = 1.0  // seconds in which a rise of the queueing time is believed
	forget    = 5.0  // seconds in which a fall of it is
	perhaps   = 0.02 // the pace rises only if it would by more than this
	least     = 0.01 // below this the pace is none
	longest   = 2.0  // seconds that count at most between two looks
	fullUntil = 0.25 // of the target
)

// Pace is how fast outreach may go, as a part of its full rate, given the
// chat's queueing time: a value that is kept between calls. The zero value is
// ready and starts at a standstill, so that a start is no step.
type Pace struct {
	Factor float64   `json:"factor"` // 0 to 1
	Queue  float64   `json:"queue"`  // smoothed queueing time, ms
	At     time.Time `json:"at"`
}

// Permitted is the pace that a steady queueing time permits: 1 below a quarter
// of the target, falling evenly from there, 0 at the target and above.
func Permitted(queueing, target time.Duration) float64 {
	if target <= 0 {
		return 0
	}
	part := float64(queueing) / float64(target)
	return within((1-part)/(1-fullUntil), 0, 1)
}

// Next is the pace after a look at the chat's queueing time, of the worst node
// there is; looks are up to some seconds apart.
//
// It rises by addition (50 s from standstill to full) and falls by
// multiplication (halves each half second while too high). A rise of the
// queueing time is believed within a look or two, so that one hiccup is no
// standstill; a fall only over five seconds. So the pace falls fast, rises
// late, and does not swing with the load that it makes itself.
func (p Pace) Next(queueing, target time.Duration, now time.Time) Pace {
	past := within(now.Sub(p.At).Seconds(), 0, longest)
	if p.At.IsZero() {
		past = 0
	}
	p.At = now
	p.Factor = within(p.Factor, 0, 1)
	ms, old := within(float64(queueing)/float64(time.Millisecond), 0, 1e9), within(p.Queue, 0, 1e9)
	slow := forget
	if ms > old {
		slow = learn
	}
	p.Queue = old + (ms-old)*past/(past+slow)
	limit := Permitted(time.Duration(p.Queue*float64(time.Millisecond)), target)
	switch {
	case limit < p.Factor:
		if p.Factor = max(limit, p.Factor*math.Exp2(-past/halving)); p.Factor < least {
			p.Factor = 0
		}
	case limit > p.Factor+perhaps || limit == 1:
		p.Factor = min(limit, p.Factor+climb*past)
	}
	return p
}
