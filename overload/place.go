package overload

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A Place is where work waits.
type Place uint8

// The places. One that cannot tell classes apart adds under the best that may
// wait there, for it makes them all wait.
const (
	Read    Place = iota // ready streams of people who are signed in, for a worker: Care
	Enter                // streams that are being set up, for a worker: Return
	Write                // what is to be sent, for a worker: Care
	Archive              // messages, from the append to the commit: by message
	Writer               // transactions, for SQLite's only writer: the archive's Care, others History
	Pool                 // statements, for a connection of the database: Return
	Places  = 6          // how many there are
)

// String is a word, as it stands in figures.
func (p Place) String() string {
	if p >= Places {
		return "unknown"
	}
	return [Places]string{"read", "enter", "write", "archive", "writer", "pool"}[p]
}

// A histogram counts waits in buckets of an eighth of their size, in units of
// 1,024 ns: a value read from it is within 7 % of the truth, from a microsecond
// up to a minute.
const (
	unitBits   = 10
	octaveBits = 3
	octaves    = 24
	buckets    = octaves << octaveBits
)

// bucket is where a wait is counted.
func bucket(d time.Duration) int {
	if d < 0 {
		return 0
	}
	n := uint64(d) >> unitBits
	if n < 1<<octaveBits {
		return int(n)
	}
	shift := bits.Len64(n) - octaveBits - 1
	return min(shift<<octaveBits+int(n>>shift), buckets-1)
}

// edge is the least wait of a bucket.
func edge(b int) time.Duration {
	if b < 1<<octaveBits {
		return time.Duration(b) << unitBits
	}
	shift := b>>octaveBits - 1
	return time.Duration(b&(1<<octaveBits-1)+1<<octaveBits) << (shift + unitBits)
}

// middle is what a wait of a bucket counts as; the first is no wait at all.
func middle(b int) time.Duration {
	if b == 0 {
		return 0
	}
	return (edge(b) + edge(b+1)) / 2
}

// copies of each histogram let several processors add without passing one line
// of memory to and fro.
const copies = 4

// counts are the waits of one class at one place since the start.
type counts [copies][buckets]atomic.Uint64

// Waits takes how long work has waited at one place. A nil one takes it and
// does nothing. Its methods may be called by any goroutine.
type Waits struct {
	of [Classes]counts
}

// Add counts one wait: an atomic addition and a random number.
func (w *Waits) Add(c Class, d time.Duration) {
	if w != nil && c < Classes {
		w.of[c][rand.Uint32()%copies][bucket(d)].Add(1)
	}
}

// read adds all copies up.
func (c *counts) read(sum *[buckets]uint64) {
	*sum = [buckets]uint64{}
	for k := range c {
		for b := range sum {
			sum[b] += c[k][b].Load()
		}
	}
}
