package cluster

import (
	"maps"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// snapshot is this node's state on its way to another one. Pieces that the
// receiver has not confirmed are kept, at most a window of them, so that a
// lost one can be sent again; the handlers wait while the window is full.
type snapshot struct {
	c      *Cluster
	node   Node   // who asked
	epoch  uint64 // in which of its lives
	number uint64 // of its asking
	stands uint64

	asked   time.Time     // for the last time; guarded by Cluster.mu
	wake    chan struct{} // the receiver was heard
	pending []byte        // the piece that is being filled, without its head
	next    uint64        // its number

	mu    sync.Mutex
	first uint64   // number of kept[0]
	kept  [][]byte // frames that are not confirmed
	heard time.Time
	over  bool // replaced, or confirmed as a whole, or given up
}

// asked takes a frame that asks for a snapshot or for more of it.
func (c *Cluster) asked(f frame) {
	if f.other != c.Epoch {
		c.count.stale.Add(1) // it asks a life that is over; a heartbeat will tell it
		return
	}
	c.mu.Lock()
	s := c.streams[f.node]
	now := time.Now()
	if s != nil && s.epoch == f.epoch && s.number == f.seq {
		s.asked = now
		c.mu.Unlock()
		s.confirm(f.piece, f.flag)
		return
	}
	// A smaller epoch is a late frame, or a node whose clock was set back: that
	// one goes on asking.
	older := s != nil && (f.epoch < s.epoch && now.Sub(s.asked) < c.Silence || f.epoch == s.epoch && f.seq < s.number)
	if c.closed || older || f.piece > 0 || s == nil && !c.room(now) {
		c.mu.Unlock()
		c.count.stale.Add(1)
		return
	}
	fresh := &snapshot{
		c: c, node: f.node, epoch: f.epoch, number: f.seq,
		asked: now, heard: now, wake: make(chan struct{}, 1),
	}
	c.streams[f.node] = fresh
	c.tasks.Add(1)
	c.mu.Unlock()
	if s != nil {
		s.end()
	}
	c.count.served.Add(1)
	go fresh.run()
}

// room reports whether there may be one more snapshot. Marks of those that
// ended long ago go first. c.mu is held.
func (c *Cluster) room(now time.Time) bool {
	if len(c.streams) >= maxNodes {
		maps.DeleteFunc(c.streams, func(_ Node, s *snapshot) bool { return now.Sub(s.asked) > 2*c.Silence })
	}
	return len(c.streams) < maxNodes
}

// run gives the snapshot. It ends when the receiver has all of it, is not
// heard any more, or asks anew.
func (s *snapshot) run() {
	defer s.c.tasks.Done()
	s.stands = s.c.sequence()
	for _, name := range s.c.names {
		h := s.c.handlers[name]
		if h.Snapshot == nil {
			continue
		}
		h.Snapshot(func(org feature.Org, payload ...[]byte) bool { return s.add(name, org, payload) })
	}
	if s.flush(true) {
		s.wait(func() bool { return len(s.kept) == 0 })
	}
	s.close()
}

// close leaves a mark only: the same asking is not answered twice, for pieces
// of two answers would not fit together.
func (s *snapshot) close() {
	s.pending = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.kept = true, nil
}

// add adds a word to the piece that is being filled.
func (s *snapshot) add(name string, org feature.Org, payload [][]byte) bool {
	size := length(payload)
	if size > MaxPayload {
		s.c.count.refused.Add(1)
		s.c.Log.Error("a word of a snapshot is too large and was left out", "feature", name, "bytes", size)
		return true
	}
	if len(s.pending) > 0 && len(s.pending)+size > s.c.Piece && !s.flush(false) {
		return false
	}
	before := len(s.pending)
	s.pending = appendItem(s.pending, name, org, payload)
	if f, ok := s.c.Board.Lookup(name); ok {
		s.c.Board.Account(f, org).ClusterBytes.Add(int64(len(s.pending) - before))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over
}

// flush sends the piece that is being filled once the window has room.
func (s *snapshot) flush(last bool) bool {
	if !s.wait(func() bool { return len(s.kept) < pieces }) {
		return false
	}
	b := appendHead(make([]byte, 0, fixed+40+len(s.pending)), kindPiece, s.c.Config.Self, s.c.Epoch, s.stands)
	b = appendPiece(b, s.epoch, s.number, s.next, last)
	s.c.pay(len(b))
	b = append(b, s.pending...)
	s.pending = s.pending[:0]
	s.next++
	s.mu.Lock()
	s.kept = append(s.kept, b)
	s.mu.Unlock()
	s.c.send(subjectTo(s.node), b)
	return true
}

// wait waits until ready, which is asked under s.mu. False: there is no use in
// going on.
func (s *snapshot) wait(ready func() bool) bool {
	timer := time.NewTimer(s.c.Silence)
	defer timer.Stop()
	for {
		s.mu.Lock()
		is, left := ready(), s.c.Silence-time.Since(s.heard)
		if left <= 0 {
			s.over = true
		}
		over := s.over
		s.mu.Unlock()
		if over || is {
			return !over
		}
		timer.Reset(left)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.c.stop:
			s.end()
		}
	}
}

// confirm drops what the receiver has; again sends what it lacks once more.
func (s *snapshot) confirm(piece uint64, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
	if piece > s.first && piece-s.first <= uint64(len(s.kept)) {
		n := copy(s.kept, s.kept[piece-s.first:])
		clear(s.kept[n:])
		s.kept, s.first = s.kept[:n], piece
	}
	if again {
		for _, b := range s.kept {
			s.c.pay(len(b))
			s.c.send(subjectTo(s.node), b)
		}
	}
	s.poke()
}

// end has the snapshot stop.
func (s *snapshot) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.poke()
}

func (s *snapshot) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
