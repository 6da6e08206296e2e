package node

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// The collector's settings. Go's own rule (start again when the heap has
// doubled) collects far too often while the heap is a few megabytes and
// messages rush through, and keeps as much garbage as there is life when
// 100,000 people are signed in. So: room for garbage is at least gcRoom, and
// at most a share of what is alive.
const (
	gcRoom  = 32 << 20 // bytes of garbage always allowed
	gcShare = 0.35     // of the live heap, when that is more
)

// gcTuner sets the percentage anew after each collection.
type gcTuner struct {
	stopped atomic.Bool
	before  int // the percentage before us
}

// sentinel is garbage from its birth; its finalizer runs once per collection.
type sentinel struct{ tuner *gcTuner }

// startGC takes over unless the operator has set GOGC or GOMEMLIMIT himself.
func startGC() *gcTuner {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	t := &gcTuner{}
	t.before = debug.SetGCPercent(gcPercent(0))
	t.arm()
	return t
}

func (t *gcTuner) arm() {
	runtime.SetFinalizer(&sentinel{t}, func(s *sentinel) {
		if s.tuner.stopped.Load() {
			return
		}
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindUint64 {
			debug.SetGCPercent(gcPercent(sample[0].Value.Uint64()))
		}
		s.tuner.arm()
	})
}

// gcPercent is the percentage that gives the wanted room above live bytes.
func gcPercent(live uint64) int {
	room := max(gcRoom, gcShare*float64(live))
	const least = 4 << 20 // the runtime counts stacks and globals too
	return int(math.Ceil(100 * room / float64(max(live, least))))
}

// stop gives the percentage back that was there before.
func (t *gcTuner) stop() {
	if t != nil && !t.stopped.Swap(true) {
		debug.SetGCPercent(t.before)
	}
}
