package presence

import (
	"container/heap"
	"runtime"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// The flusher passes over audiences in which something has changed and flushes
// their viewers, on a few goroutines that live while there is work. The first
// change after quiet is told at once; while there is more, a pass begins the
// later the more viewers there are and the busier the node is, but never later
// than the dial presence.window: what changes meanwhile leaves in one write.
type flusher struct {
	mu      sync.Mutex
	ready   []*pass   // first in, first out
	due     []*viewer // single ones
	workers int
	closed  bool
	wait    sync.WaitGroup

	since   time.Time // the begin of the slice of time in which changes are counted
	changes int64     // in it
	rate    int64     // changes a second in the slice before
}

// A pace is what the flusher keeps of an audience.
type pace struct {
	busy  bool      // a pass is under way, or waits for its time
	again bool      // something changed meanwhile
	free  time.Time // when the next pass may begin
}

// A pass goes over the viewers of an audience, some at a time, so that large
// audiences do not keep small ones waiting.
type pass struct {
	board    *board
	audience *audience
	viewers  []*viewer
	next     int // in viewers
	open     int // stretches under way
	begun    bool
}

const (
	// stretch is how many viewers are flushed before others have their turn.
	stretch = 64
	// small is how many viewers are flushed by whoever makes the change.
	small = 32
	// perViewer is how much later a pass begins for each viewer of the last:
	// several times what a flush and its write cost.
	perViewer = 100 * time.Microsecond
	slice     = 100 * time.Millisecond
)

// dirty tells that something changed in an audience.
func (f *flusher) dirty(b *board, aud *audience) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count(now)
	if aud.busy {
		aud.again = true
		return
	}
	aud.busy = true
	f.begin(b, aud, now)
}

// count keeps the rate of changes.
func (f *flusher) count(now time.Time) {
	f.changes++
	if passed := now.Sub(f.since); passed >= slice {
		f.rate = f.changes * int64(time.Second) / int64(passed)
		f.since, f.changes = now, 0
	}
}

// begin starts a pass, now or when its time has come; f.mu is held.
func (f *flusher) begin(b *board, aud *audience, now time.Time) {
	start := func() { f.push(&pass{board: b, audience: aud}) }
	if !now.Before(aud.free) {
		start()
		return
	}
	b.directory.agenda.at(aud.free, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		start()
	})
}

func (f *flusher) push(p *pass) {
	if !f.closed {
		f.ready = append(f.ready, p)
		f.hire()
	}
}

// flushSoon has a single viewer flushed.
func (f *flusher) flushSoon(v *viewer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.queued || f.closed {
		return
	}
	v.queued = true
	f.due = append(f.due, v)
	f.hire()
}

// hire starts a worker if there are too few; f.mu is held.
func (f *flusher) hire() {
	if f.workers < runtime.GOMAXPROCS(0) {
		f.workers++
		f.wait.Go(f.work)
	}
}

// work is a worker: it ends when there is nothing to do.
func (f *flusher) work() {
	var sp feature.Span
	for {
		f.mu.Lock()
		var v *viewer
		var p *pass
		switch {
		case f.closed:
		case len(f.due) > 0:
			v, f.due[0] = f.due[0], nil // what has ended is to be forgotten
			f.due = f.due[1:]
			v.queued = false
		case len(f.ready) > 0:
			p, f.ready[0] = f.ready[0], nil
			f.ready = f.ready[1:]
		}
		if v == nil && p == nil {
			f.workers--
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		var b *board
		if v != nil {
			b = v.account.board
		} else {
			b = p.board
		}
		acct := b.directory.Board.Account(b.directory.Presence, b.org)
		if v != nil {
			sp.Begin(acct)
			b.flush(v)
		} else {
			sp.Whole(acct)
			f.over(p)
		}
		acct.Write(sp.Take())
		sp.Drop()
	}
}

// over goes over one stretch of a pass.
func (f *flusher) over(p *pass) {
	if !p.begun { // nobody else has it yet
		p.begun = true
		p.board.mu.RLock()
		p.viewers = make([]*viewer, len(p.audience.viewers))
		for i, at := range p.audience.viewers {
			p.viewers[i] = at.viewer
		}
		p.board.mu.RUnlock()
	}
	f.mu.Lock()
	from := p.next
	p.next = min(from+stretch, len(p.viewers))
	mine := p.viewers[from:p.next]
	p.open++
	if p.next < len(p.viewers) {
		f.push(p)
	}
	f.mu.Unlock()
	for _, v := range mine {
		p.board.flush(v)
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.open--; p.open == 0 && p.next == len(p.viewers) {
		f.ended(p, now)
	}
}

// ended is the end of a pass; f.mu is held.
func (f *flusher) ended(p *pass, now time.Time) {
	aud := p.audience
	aud.free = now.Add(f.pause(p.board, len(p.viewers)))
	if aud.busy = aud.again; aud.busy {
		aud.again = false
		f.begin(p.board, aud, now)
	}
}

// pause is how long an audience is left alone after a pass.
func (f *flusher) pause(b *board, viewers int) time.Duration {
	window := time.Duration(b.directory.Window.Int(b.org)) * time.Millisecond
	return min(window, time.Duration(viewers)*perViewer*time.Duration(max(1, f.rate/50)))
}

// close ends the flusher; nothing is flushed any more.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed, f.ready, f.due = true, nil, nil
	f.mu.Unlock()
	f.wait.Wait()
}

// An appointment is something to do at a time.
type appointment struct {
	at    time.Time
	do    func()
	index int  // in agenda.list, -1 when it is not there
	idle  bool // nobody waits for it
}

// An agenda does things at their times, with one timer that runs only while
// something is due.
type agenda struct {
	mu     sync.Mutex
	list   appointments
	timer  *time.Timer
	set    time.Time // what the timer is set to
	closed bool
	doing  int // runs under way
	wait   sync.WaitGroup
}

// at has do called at a time, on a goroutine of its own, unless cancelled.
func (g *agenda) at(t time.Time, do func()) *appointment {
	p := &appointment{at: t, do: do}
	g.enter(p)
	return p
}

// atLeisure is at for what changes nothing that anybody sees.
func (g *agenda) atLeisure(t time.Time, do func()) {
	g.enter(&appointment{at: t, do: do, idle: true})
}

func (g *agenda) enter(p *appointment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		heap.Push(&g.list, p)
		g.arm()
	}
}

// cancel takes an appointment back; false means that it is too late.
func (g *agenda) cancel(p *appointment) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.index < 0 {
		return false
	}
	heap.Remove(&g.list, p.index)
	g.arm()
	return true
}

// arm sets the timer to the first appointment; g.mu is held.
func (g *agenda) arm() {
	if g.timer != nil && (len(g.list) == 0 || !g.set.Equal(g.list[0].at)) {
		g.timer.Stop()
		g.timer = nil
	}
	if g.timer == nil && len(g.list) > 0 {
		g.set = g.list[0].at
		g.timer = time.AfterFunc(time.Until(g.set), g.run)
	}
}

// run does what is due.
func (g *agenda) run() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.timer = nil
	g.doing++
	g.wait.Add(1)
	defer g.done()
	var due []*appointment
	for now := time.Now(); len(g.list) > 0 && !g.list[0].at.After(now); {
		due = append(due, heap.Pop(&g.list).(*appointment))
	}
	g.arm()
	g.mu.Unlock()
	for _, p := range due {
		p.do()
	}
}

// done is the end of run.
func (g *agenda) done() {
	g.mu.Lock()
	g.doing--
	g.mu.Unlock()
	g.wait.Done()
}

// close forgets all appointments and waits for those under way.
func (g *agenda) close() {
	g.mu.Lock()
	g.closed, g.list = true, nil
	g.arm()
	g.mu.Unlock()
	g.wait.Wait()
}

// appointments are a heap.
type appointments []*appointment

func (l appointments) Len() int           { return len(l) }
func (l appointments) Less(i, j int) bool { return l[i].at.Before(l[j].at) }
func (l appointments) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

// Push is for container/heap.
func (l *appointments) Push(x any) {
	p := x.(*appointment)
	p.index = len(*l)
	*l = append(*l, p)
}

// Pop is for container/heap.
func (l *appointments) Pop() any {
	last := len(*l) - 1
	p := (*l)[last]
	(*l)[last] = nil
	*l, p.index = (*l)[:last], -1
	return p
}
