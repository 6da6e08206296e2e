package rehearse

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets of 1/64 of their size: quantiles
// are within 1.6 % of the truth.
type Histogram struct {
	counts [64 * 64]uint64
	n      uint64
}

const histogramBits = 6

func bucket(ns uint64) int {
	if ns < 1<<histogramBits {
		return int(ns)
	}
	shift := bits.Len64(ns) - histogramBits - 1
	return (shift+1)<<histogramBits + int(ns>>shift) - 1<<histogramBits
}

// value is the middle of a bucket.
func value(b int) uint64 {
	if b < 1<<histogramBits {
		return uint64(b)
	}
	shift := b>>histogramBits - 1
	return (uint64(b&(1<<histogramBits-1))+1<<histogramBits)<<shift + 1<<shift/2
}

// Add counts one duration; a negative one counts as zero.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(0, d)))]++
	h.n++
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.n }

// Quantile gives the duration that a share q (0 to 1) does not exceed; 0 when
// nothing was added.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(h.n)), uint64(0)
	for b, c := range h.counts {
		if seen += c; c > 0 && seen > min(rank, h.n-1) {
			return time.Duration(value(b))
		}
	}
	return 0
}
