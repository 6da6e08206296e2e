package cluster

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// room is how many frames may be on their way to one listener of a Hub.
const room = 1 << 16

// errRoom means that a listener has not taken its frames for too long.
var errRoom = errors.New("no room for the frame")

// A Hub joins nodes of one process: the transport of tests, and of whoever
// runs several nodes in one process. It loses nothing unless told to, and
// gives frames in the order in which they were sent.
type Hub struct {
	mu     sync.Mutex
	rng    *rand.Rand
	faults Faults
	cuts   map[[2]Node]bool
	lines  []*line
}

// Faults is what a Hub does to frames. Shares are from 0 to 1; each frame to
// each listener has its own fate.
type Faults struct {
	Drop    float64       // this share never comes
	Double  float64       // this share comes twice
	Reorder float64       // this share comes up to 4×Delay (at least 50 ms) later than its turn
	Delay   time.Duration // each comes up to so much later
}

// NewHub makes a hub without nodes. Its faults follow from seed, as far as the
// order of sending does.
func NewHub(seed uint64) *Hub {
	return &Hub{rng: rand.New(rand.NewPCG(seed, seed)), cuts: map[[2]Node]bool{}}
}

// Set says what happens to frames that are sent from now on.
func (h *Hub) Set(f Faults) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = f
}

// Cut cuts the way from one node to another, or mends it. The way back is a
// way of its own.
func (h *Hub) Cut(from, to Node, cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cuts[[2]Node{from, to}] = cut
}

// Join gives node n its transport.
func (h *Hub) Join(n Node) Transport {
	return Transport{
		Send: func(subject string, frame []byte) error { return h.send(n, subject, frame) },
		Listen: func(subject string, receive func([]byte)) (func(), error) {
			return h.listen(n, subject, receive), nil
		},
	}
}

func (h *Hub) listen(n Node, subject string, receive func([]byte)) func() {
	l := &line{node: n, subject: subject, receive: receive, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	h.mu.Lock()
	h.lines = append(h.lines, l)
	h.mu.Unlock()
	l.task.Go(l.run)
	return func() {
		h.mu.Lock()
		for i, other := range h.lines {
			if other == l {
				h.lines = append(h.lines[:i:i], h.lines[i+1:]...)
				break
			}
		}
		h.mu.Unlock()
		close(l.stop)
		l.task.Wait()
	}
}

func (h *Hub) send(n Node, subject string, frame []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	for _, l := range h.lines {
		if h.cuts[[2]Node{n, l.node}] || !matches(l.subject, subject) {
			continue
		}
		copies := 1
		switch dice := h.rng.Float64(); {
		case n == l.node: // what a node tells itself does not travel
		case dice < h.faults.Drop:
			copies = 0
		case dice < h.faults.Drop+h.faults.Double:
			copies = 2
		}
		for range copies {
			if !l.put(frame, h.due()) {
				err = errRoom
			}
		}
	}
	return err
}

// due is when a frame arrives.
func (h *Hub) due() time.Time {
	due, f := time.Now(), h.faults
	if f.Delay > 0 {
		due = due.Add(time.Duration(h.rng.Int64N(int64(f.Delay))))
	}
	if f.Reorder > 0 && h.rng.Float64() < f.Reorder {
		due = due.Add(time.Duration(h.rng.Int64N(int64(max(4*f.Delay, 50*time.Millisecond)))))
	}
	return due
}

// matches reports whether a pattern with * for its last word, or without,
// covers a subject.
func matches(pattern, subject string) bool {
	head, wild := strings.CutSuffix(pattern, "*")
	if !wild {
		return pattern == subject
	}
	rest, ok := strings.CutPrefix(subject, head)
	return ok && rest != "" && !strings.Contains(rest, ".")
}

// line is one listener and the frames on their way to it.
type line struct {
	node    Node
	subject string
	receive func([]byte)
	wake    chan struct{}
	stop    chan struct{}
	task    sync.WaitGroup

	mu    sync.Mutex
	way   parcels
	count uint64
}

// parcel is a frame on its way.
type parcel struct {
	due   time.Time
	turn  uint64 // of two that are due at once, the first sent is first
	frame []byte
}

type parcels []parcel

func (p parcels) Len() int { return len(p) }
func (p parcels) Less(i, j int) bool {
	if p[i].due.Equal(p[j].due) {
		return p[i].turn < p[j].turn
	}
	return p[i].due.Before(p[j].due)
}
func (p parcels) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = parcel{}
	*p = (*p)[:last]
	return x
}

func (l *line) put(frame []byte, due time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.way) >= room {
		return false
	}
	l.count++
	heap.Push(&l.way, parcel{due, l.count, frame})
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// take takes the next frame, or says how long to wait for one.
func (l *line) take() ([]byte, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.way) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(l.way[0].due); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&l.way).(parcel).frame, 0
}

// run gives the frames to the listener until it stops.
func (l *line) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		frame, wait := l.take()
		if frame != nil {
			l.receive(frame)
			continue
		}
		timer.Reset(wait)
		select {
		case <-l.stop:
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}
