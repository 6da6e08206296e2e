package stream

import (
	"sync"
	"time"

	"github.com/bearhug/bearhug/overload"
)

// The classes of what waits for a worker: a stream that is set up goes before
// those that are being set up, so that it answers while thousands come back.
const (
	settled = iota
	negotiating
	classes
)

// felt is the best of those who wait in a lane.
func felt(class int) overload.Class {
	if class == settled {
		return overload.Care
	}
	return overload.Return
}

// inARow is how many settled ones are taken before one that negotiates has
// its turn, so that nobody waits for ever.
const inARow = 8

// A runQueue gives what is ready to a few workers: in each class, what came
// first is taken first. More workers are started while all are blocked, and end
// when there is nothing to do.
type runQueue[T any] struct {
	base  int                      // workers kept
	most  int                      // workers at once
	start func()                   // what a worker does, on its goroutine
	done  *sync.WaitGroup          // goroutines
	told  [classes]*overload.Waits // nil: nobody measures
	begun time.Time

	mu      sync.Mutex // guards what follows
	more    sync.Cond
	lanes   [classes]ring[waiting[T]]
	n       int // in all lanes
	row     int // settled ones taken in a row while others waited
	workers int
	idle    int
	taken   uint64 // so far
	watched bool   // watch is running
	ended   bool
}

// setUp is called before anything else.
func (q *runQueue[T]) setUp(base, most int, done *sync.WaitGroup, start func()) {
	q.base, q.most, q.done, q.start = min(base, most), most, done, start
	q.more.L = &q.mu
}

// A waiting item is of a time since the queue began.
type waiting[T any] struct {
	it T
	at time.Duration
}

// toldOf says of how many waits one is told of.
const toldOf = 4

// measure has waits told of: at a place those of streams that are set up. It is
// called before the first is put.
func (q *runQueue[T]) measure(s *overload.Signal, place overload.Place) {
	q.begun = time.Now()
	q.told = [classes]*overload.Waits{s.At(place), s.At(overload.Enter)}
	s.Watch(place, func() (since [overload.Classes]time.Time) {
		since[felt(settled)] = q.oldest(settled)
		return since
	})
	s.Watch(overload.Enter, func() (since [overload.Classes]time.Time) {
		since[felt(negotiating)] = q.oldest(negotiating)
		return since
	})
}

// oldest is since when the first of a lane waits.
func (q *runQueue[T]) oldest(class int) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane := &q.lanes[class]
	if lane.n == 0 {
		return time.Time{}
	}
	return q.begun.Add(lane.items[lane.head].at)
}

// put hands over what is ready. It returns false when the queue has ended.
func (q *runQueue[T]) put(class int, items ...T) bool {
	if len(items) == 0 {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	at := time.Duration(0)
	if q.told[class] != nil {
		at = time.Since(q.begun)
	}
	for _, it := range items {
		q.lanes[class].put(waiting[T]{it, at})
	}
	q.n += len(items)
	for range min(len(items), q.idle) {
		q.more.Signal()
	}
	for short := q.n - q.idle; short > 0 && q.workers < q.base; short-- {
		q.startWorker()
	}
	if q.n > q.idle && !q.watched {
		q.watched = true
		q.done.Add(1)
		go q.watch()
	}
	return true
}

// watch starts one more worker each time it finds that all were blocked for a
// millisecond while something waited. It ends when nothing waits.
func (q *runQueue[T]) watch() {
	defer q.done.Done()
	last := uint64(0)
	for {
		time.Sleep(time.Millisecond)
		q.mu.Lock()
		if q.n == 0 {
			q.watched = false
			q.mu.Unlock()
			return
		}
		if q.taken == last && q.idle == 0 && q.workers < q.most {
			q.startWorker()
		}
		last = q.taken
		q.mu.Unlock()
	}
}

// startWorker is called with mu held.
func (q *runQueue[T]) startWorker() {
	q.workers++
	q.done.Add(1)
	go func() {
		defer q.done.Done()
		q.start()
	}()
}

// take waits for what is ready. With ok false the worker ends: there are enough
// others, or the queue has ended and is empty.
func (q *runQueue[T]) take() (it T, class int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 {
		if q.ended || q.idle >= q.base {
			q.workers--
			return it, class, false
		}
		q.idle++
		q.more.Wait()
		q.idle--
	}
	class = q.next()
	q.n--
	q.taken++
	w := q.lanes[class].take()
	if told := q.told[class]; told != nil && q.taken%toldOf == 0 {
		told.Add(felt(class), time.Since(q.begun)-w.at)
	}
	return w.it, class, true
}

// next is the lane whose turn it is; mu is held.
func (q *runQueue[T]) next() int {
	switch {
	case q.lanes[negotiating].n == 0:
		q.row = 0
		return settled
	case q.lanes[settled].n == 0 || q.row >= inARow:
		q.row = 0
		return negotiating
	}
	q.row++
	return settled
}

// end lets the workers end once nothing is left.
func (q *runQueue[T]) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Broadcast()
}

// A ring is a queue that grows when full.
type ring[T any] struct {
	items   []T // n of them from head on
	head, n int
}

func (r *ring[T]) put(it T) {
	if r.n == len(r.items) {
		bigger := make([]T, max(64, 2*r.n))
		k := copy(bigger, r.items[r.head:])
		copy(bigger[k:], r.items[:r.head])
		r.items, r.head = bigger, 0
	}
	r.items[(r.head+r.n)%len(r.items)] = it
	r.n++
}

// ringKept is how large a ring stays that has become empty.
const ringKept = 1024

// take takes the first; there is one.
func (r *ring[T]) take() (it T) {
	var none T
	it, r.items[r.head] = r.items[r.head], none
	r.head = (r.head + 1) % len(r.items)
	if r.n--; r.n == 0 && len(r.items) > ringKept {
		r.items, r.head = nil, 0
	}
	return it
}
