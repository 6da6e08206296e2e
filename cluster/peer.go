package cluster

import (
	"bytes"
	"sync"
	"time"
)

const (
	// pieces is how many pieces of a snapshot are on their way at once.
	pieces = 8
	// overhead is what a frame that waits costs beside its bytes.
	overhead = 128
)

// peer is what this node knows of another one.
type peer struct {
	c    *Cluster
	node Node

	turn  sync.Mutex
	gone  bool // it is not in Cluster.peers any more
	epoch uint64
	heard time.Time

	next   uint64 // number of the change to be applied next
	latest uint64 // greatest number heard of
	held   map[uint64]frame
	bytes  int       // of held
	hole   time.Time // since when next is missing while others are here; zero when it is not

	asking asking
	timer  *time.Timer // looks after hole and asking
}

// asking is a snapshot that was asked for.
type asking struct {
	on     bool
	number uint64
	begun  bool   // its first piece is here
	stands uint64 // what it stands for; once begun
	piece  uint64 // the one to be applied next
	ahead  map[uint64]frame
	moved  time.Time // of the last progress
	tried  time.Time // of the last progress, or of asking for the next piece again
	tries  int       // since the last progress
}

// newPeer makes a peer that nothing is known of. Its first frame begins an
// epoch, and with it an asking.
func newPeer(c *Cluster, n Node) *peer {
	p := &peer{c: c, node: n, heard: time.Now(), held: map[uint64]frame{}}
	p.timer = time.AfterFunc(time.Hour, p.due)
	p.timer.Stop()
	return p
}

// receive takes a frame of this node. False means that the node was lost in
// between, and is to be looked up again.
func (p *peer) receive(f frame) bool {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.gone {
		return false
	}
	if f.epoch < p.epoch {
		p.c.count.stale.Add(1)
		return true
	}
	p.heard = time.Now()
	if f.kind == kindBye {
		p.lose("left", f.epoch)
		return true
	}
	if f.epoch > p.epoch {
		p.epoch, p.next, p.latest = f.epoch, 0, 0
		p.ask()
	}
	switch f.kind {
	case kindData:
		p.data(f)
	case kindBeat:
		p.latest = max(p.latest, f.seq)
	case kindPiece:
		p.piece(f)
	}
	p.watch()
	return true
}

// data takes one change.
func (p *peer) data(f frame) {
	p.latest = max(p.latest, f.seq)
	if f.seq < p.next {
		p.c.count.doubled.Add(1)
		return
	}
	if f.seq == p.next && !p.asking.on {
		p.apply(f)
		p.release()
		return
	}
	if _, has := p.held[f.seq]; has {
		p.c.count.doubled.Add(1)
		return
	}
	p.c.count.early.Add(1)
	p.held[f.seq] = f
	p.bytes += len(f.payload) + overhead
	switch {
	case p.bytes > p.c.Waiting:
		p.c.count.overflows.Add(1)
		p.ask()
	case !p.asking.on && len(p.held) > p.c.Window:
		p.gap()
	}
}

// apply applies the next change.
func (p *peer) apply(f frame) {
	p.next = f.seq + 1
	p.c.count.applied.Add(1)
	p.tell(f.item)
}

// tell gives a word to whom it concerns. A feature this node does not have is
// passed over.
func (p *peer) tell(i item) {
	if h := p.c.handlers[string(i.name)]; h != nil && h.Apply != nil {
		h.Apply(p.node, i.org, i.payload)
	}
}

// each calls one of the functions of every handler.
func (p *peer) each(which func(*Handler) func(Node)) {
	for _, name := range p.c.names {
		if fn := which(p.c.handlers[name]); fn != nil {
			fn(p.node)
		}
	}
}

// release applies what was held, as far as nothing is missing.
func (p *peer) release() {
	for {
		f, ok := p.held[p.next]
		if !ok {
			break
		}
		delete(p.held, f.seq)
		p.bytes -= len(f.payload) + overhead
		p.apply(f)
	}
	p.hole = time.Time{} // what is missing now has been for no time yet
}

// gap gives up on what is missing.
func (p *peer) gap() {
	p.c.count.gaps.Add(1)
	p.c.Log.Debug("frames are missing: asking for a snapshot", "node", p.node, "missing", p.next, "latest", p.latest)
	p.ask()
}

// ask asks for a snapshot from its beginning. What waits is dropped: the
// snapshot will stand for at least that.
func (p *peer) ask() {
	clear(p.held)
	p.bytes, p.hole = 0, time.Time{}
	now := time.Now()
	p.asking = asking{on: true, number: p.c.asking(), ahead: map[uint64]frame{}, moved: now, tried: now}
	p.c.count.asked.Add(1)
	p.more(false)
}

// more tells the node which piece is wanted next. again: what is on its way
// seems to be lost.
func (p *peer) more(again bool) {
	b := appendHead(make([]byte, 0, fixed+24), kindAsk, p.c.Config.Self, p.c.Epoch, p.asking.number)
	p.c.pay(len(b))
	p.c.send(subjectTo(p.node), appendAsk(b, p.epoch, p.asking.piece, again))
}

// piece takes a piece of a snapshot.
func (p *peer) piece(f frame) {
	a := &p.asking
	switch {
	case f.other != p.c.Epoch || !a.on || f.asking != a.number || f.piece < a.piece:
		p.c.count.doubled.Add(1)
		return
	case f.piece > a.piece+pieces:
		return // not one that was wanted
	}
	a.ahead[f.piece] = f
	for {
		f, ok := a.ahead[a.piece]
		if !ok {
			break
		}
		delete(a.ahead, f.piece)
		a.piece++
		a.moved, a.tries = time.Now(), 0
		a.tried = a.moved
		p.take(f)
		if f.flag {
			p.complete()
			break
		}
	}
	p.more(false)
}

// take applies a piece of a snapshot.
func (p *peer) take(f frame) {
	if !p.asking.begun {
		p.asking.begun, p.asking.stands = true, f.seq
		p.next = f.seq + 1
		for seq, h := range p.held {
			if seq < p.next {
				delete(p.held, seq)
				p.bytes -= len(h.payload) + overhead
			}
		}
		p.each(func(h *Handler) func(Node) { return h.Begin })
	}
	r := reader{rest: f.items}
	for len(r.rest) > 0 {
		i := r.item()
		if r.bad {
			p.c.count.bad.Add(1)
			return
		}
		i.payload = bytes.Clone(i.payload) // its neighbours are not kept with it
		p.tell(i)
	}
}

// complete ends a snapshot: what waited follows.
func (p *peer) complete() {
	p.each(func(h *Handler) func(Node) { return h.End })
	p.asking.on = false
	p.release()
}

// watch sets the timer for what is awaited.
func (p *peer) watch() {
	if p.gone {
		return
	}
	if p.asking.on {
		p.timer.Reset(p.retry() - time.Since(p.asking.tried))
		return
	}
	if p.latest < p.next {
		p.hole = time.Time{}
		p.timer.Stop()
		return
	}
	if p.hole.IsZero() {
		p.hole = time.Now()
	}
	p.timer.Reset(p.c.Patience - time.Since(p.hole))
}

// retry is how long to wait for a piece: longer each time it did not come.
func (p *peer) retry() time.Duration {
	return 2 * p.c.Patience << min(p.asking.tries, 2)
}

// due runs when something that is awaited should have come.
func (p *peer) due() {
	p.turn.Lock()
	defer p.turn.Unlock()
	switch now := time.Now(); {
	case p.gone:
		return
	case p.asking.on && now.Sub(p.asking.moved) >= p.c.Silence: // who gives it has given up
		p.ask()
	case p.asking.on && now.Sub(p.asking.tried) >= p.retry():
		p.asking.tries++
		p.asking.tried = now
		p.more(true)
	case !p.asking.on && !p.hole.IsZero() && now.Sub(p.hole) >= p.c.Patience:
		p.gap()
	}
	p.watch()
}

// listen notices that a node has been silent for too long.
func (p *peer) listen() {
	p.turn.Lock()
	defer p.turn.Unlock()
	if !p.gone && time.Since(p.heard) >= p.c.Silence {
		p.lose("silent", 0)
	}
}

// lose tells that the node is gone, and forgets it.
func (p *peer) lose(why string, left uint64) {
	p.c.count.lost.Add(1)
	p.c.Log.Info("a node is gone", "node", p.node, "why", why)
	p.each(func(h *Handler) func(Node) { return h.Lost })
	p.leave(left)
}

// forget forgets the node without a word.
func (p *peer) forget() {
	p.turn.Lock()
	defer p.turn.Unlock()
	if !p.gone {
		p.leave(0)
	}
}

func (p *peer) leave(left uint64) {
	p.gone = true
	p.timer.Stop()
	p.held, p.asking = nil, asking{}
	p.c.remove(p.node, left)
}
