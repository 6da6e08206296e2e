package console

import (
	"sync"
	"time"
)

// Rates: requests of one token, session or address, and sign-ins that failed.
const (
	requestRate  = 50.0 // a second
	requestBurst = 300.0
	signInRate   = 1.0 / 12 // a second: five a minute
	signInBurst  = 10.0
	maxBuckets   = 10_000
)

// limiter has a token bucket for each name, and bounded memory: full buckets
// are forgotten, for they are as new ones.
type limiter struct {
	rate, burst float64

	mu      sync.Mutex // guards buckets
	buckets map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(rate, burst float64) *limiter {
	return &limiter{rate: rate, burst: burst, buckets: map[string]bucket{}}
}

func (l *limiter) now(b bucket, now time.Time) float64 {
	return min(l.burst, b.tokens+max(0, now.Sub(b.at).Seconds())*l.rate)
}

// take takes n tokens of a name's bucket. wait is how long until there are
// enough; 0: they were taken.
func (l *limiter) take(name string, n float64, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[name]
	if !ok {
		l.room(now)
		b = bucket{l.burst, now}
	}
	have := l.now(b, now)
	if have < n {
		return max(time.Second, time.Duration((n-have)/l.rate*float64(time.Second)))
	}
	l.buckets[name] = bucket{have - n, now}
	return 0
}

// check is how long until there are n tokens; none are taken.
func (l *limiter) check(name string, n float64, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[name]
	if have := l.now(b, now); ok && have < n {
		return max(time.Second, time.Duration((n-have)/l.rate*float64(time.Second)))
	}
	return 0
}

// room forgets full buckets when there are too many, and if that does not
// help, all: for a moment more is let through than should be.
func (l *limiter) room(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for name, b := range l.buckets {
		if l.now(b, now) >= l.burst {
			delete(l.buckets, name)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
