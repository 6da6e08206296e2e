package calendar

import (
	"container/heap"
	"fmt"
	"math"
	"time"
)

// Bucket is a token bucket as a value: it lives in a row, and each call gives
// the value to write back. Any process may take from it next.
type Bucket struct {
	Rate   float64   `json:"rate"`  // tokens a second, 0 to MaxRate
	Burst  float64   `json:"burst"` // most tokens there can be, 1 to MaxBurst
	Tokens float64   `json:"tokens"`
	At     time.Time `json:"at"` // when Tokens was right
}

// Limits of a bucket, and how long a caller waits at most before he asks again.
const (
	MaxRate  = 1e6
	MaxBurst = 1e6
	MaxWait  = time.Minute
)

// NewBucket is a full bucket.
func NewBucket(rate, burst float64, now time.Time) (Bucket, error) {
	b := Bucket{Rate: rate, Burst: burst, Tokens: burst, At: now}
	return b, b.Validate()
}

// Validate refuses rates nobody means.
func (b Bucket) Validate() error {
	switch {
	case !(b.Rate >= 0 && b.Rate <= MaxRate):
		return fmt.Errorf("a rate of %g a second is not from 0 to %g", b.Rate, float64(MaxRate))
	case !(b.Burst >= 1 && b.Burst <= MaxBurst):
		return fmt.Errorf("a burst of %g is not from 1 to %g", b.Burst, float64(MaxBurst))
	}
	return nil
}

// Take takes up to n whole tokens, with the rate times a factor (0 to 1, see
// [Pace]). It gives the bucket afterwards, how many were got, and, when none
// was, how long until there is one: at most MaxWait, then ask again.
//
// A clock that jumps back stops nothing: tokens stay and time counts on from
// there. One that jumps ahead, and time in which nothing ran, give no more than
// Burst.
func (b Bucket) Take(now time.Time, n int, factor float64) (after Bucket, got int, wait time.Duration) {
	b = b.refill(now, factor)
	got = min(max(n, 0), int(b.Tokens))
	b.Tokens -= float64(got)
	if got > 0 || n <= 0 {
		return b, got, 0
	}
	wait = MaxWait
	if rate := b.Rate * within(factor, 0, 1); rate > 0 {
		if s := (1 - b.Tokens) / rate; s < MaxWait.Seconds() {
			// A microsecond more, so that rounding does not ask twice.
			wait = time.Duration(s*float64(time.Second)) + time.Microsecond
		}
	}
	return b, 0, wait
}

// Put gives tokens back that were taken and not used.
func (b Bucket) Put(n int) Bucket {
	b.Tokens = within(b.Tokens+float64(max(n, 0)), 0, b.Burst)
	return b
}

// Set changes rate and burst and keeps what is in the bucket, up to the burst.
func (b Bucket) Set(now time.Time, rate, burst float64) (Bucket, error) {
	b = b.refill(now, 1)
	b.Rate, b.Burst = rate, burst
	if err := b.Validate(); err != nil {
		return Bucket{}, err
	}
	b.Tokens = within(b.Tokens, 0, burst)
	return b, nil
}

func (b Bucket) refill(now time.Time, factor float64) Bucket {
	b.Rate, b.Burst = within(b.Rate, 0, MaxRate), within(b.Burst, 1, MaxBurst)
	if past := now.Sub(b.At).Seconds(); past > 0 && !b.At.IsZero() {
		b.Tokens += past * b.Rate * within(factor, 0, 1)
	}
	b.Tokens, b.At = within(b.Tokens, 0, b.Burst), now
	return b
}

// within keeps x between two bounds; what is no number is the lower one.
func within(x, low, high float64) float64 {
	if !(x > low) {
		return low
	}
	return math.Min(x, high)
}

// Claim is what a campaign would send now.
type Claim struct {
	ID      int64
	Weight  float64 // share against others, 0.001 to 1000; other values are cut
	Waiting int     // how many it could send: due, and allowed by its own bucket
}

// Fair divides what may be sent between campaigns by weight, over time: a
// value that is kept between calls (start-time fair queueing). The zero value
// is ready. A campaign that had nothing to send gains no credit by that, and a
// new one begins level with the others.
type Fair struct {
	// Pass is how far campaigns are ahead of their share, by ID.
	Pass map[int64]float64 `json:"pass,omitempty"`
}

// maxShare is how many one call divides.
const maxShare = 100000

// Divide gives each claim its part of n, in the order of the claims, and the
// value to keep. Nothing is left over while somebody waits.
func (f Fair) Divide(n int, claims []Claim) (Fair, []int) {
	parts := make([]int, len(claims))
	q := make(queue, 0, len(claims))
	for i, c := range claims {
		if c.Waiting > 0 {
			q = append(q, turn{within(f.Pass[c.ID], 0, math.MaxFloat64), i})
		}
	}
	heap.Init(&q)
	after, now := Fair{Pass: map[int64]float64{}}, 0.0
	for n = min(n, maxShare); n > 0 && len(q) > 0; n-- {
		t := &q[0]
		c := claims[t.claim]
		now = max(now, t.pass)
		parts[t.claim]++
		t.pass += 1 / within(c.Weight, 0.001, 1000)
		after.Pass[c.ID] = t.pass
		if parts[t.claim] >= c.Waiting {
			heap.Pop(&q)
		} else {
			heap.Fix(&q, 0)
		}
	}
	for id, p := range f.Pass {
		if _, ok := after.Pass[id]; !ok {
			after.Pass[id] = within(p, 0, math.MaxFloat64)
		}
	}
	// Who is not ahead any more is forgotten, and numbers stay small.
	for id := range after.Pass {
		if after.Pass[id] -= now; after.Pass[id] <= 0 {
			delete(after.Pass, id)
		}
	}
	return after, parts
}

type turn struct {
	pass  float64
	claim int
}

// queue is a heap of turns, the earliest first; of equals the first claim.
type queue []turn

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].pass < q[j].pass || q[i].pass == q[j].pass && q[i].claim < q[j].claim
}
func (q *queue) Push(x any) { *q = append(*q, x.(turn)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
