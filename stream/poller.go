package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// readSize is how much one read takes at most.
const readSize = 64 << 10

// Options are what all connections of a Poller share. Zero fields take the
// defaults.
type Options struct {
	Workers      int           // most goroutines reading at once; default 1,024
	WriteTimeout time.Duration // how long a peer may take nothing of what we write; default 20 s
	TLSTimeout   time.Duration // for a handshake; default 20 s
	Linger       time.Duration // how long a peer may take to read our last words; default 2 s
	Log          *slog.Logger  // for panics of handlers; default slog.Default()
	// Account pays for waiting, and for what no connection's account does; nil:
	// the time is not measured.
	Account *feature.Account
}

// A Poller waits for many connections with one epoll instance, edge-triggered,
// whose own readiness the Go runtime waits for: one goroutine, and no thread,
// blocks. What is ready goes to a few workers. More of them are started while
// all are blocked, and end when there is nothing to do.
type Poller struct {
	opt      Options
	file     *os.File
	raw      syscall.RawConn
	fd       int
	base     int       // workers kept
	writers  sync.Pool // of *writer
	scanners sync.Pool // of *stanza.Scanner, for items that come in pieces

	mu    sync.Mutex // guards slots, free and shut
	slots []slot
	free  []uint32
	shut  bool

	run  runQueue
	live sync.WaitGroup // connections whose handlers have not been told their end
	done sync.WaitGroup // goroutines
}

// A slot finds the connection of an event. The generation tells an event of a
// former owner of the slot.
type slot struct {
	c   *Conn
	gen uint32
}

// runQueue holds the connections that are ready.
type runQueue struct {
	mu      sync.Mutex
	more    sync.Cond
	conns   []*Conn // a ring: n of them from head on
	head, n int
	workers int
	idle    int
	taken   uint64 // connections taken so far
	watched bool   // watch is running
	ended   bool
}

// NewPoller opens a poller. Close ends it.
func NewPoller(opt Options) (*Poller, error) {
	opt.defaults()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("make epoll pollable: %w", err), unix.Close(fd))
	}
	p := &Poller{opt: opt, fd: fd, file: os.NewFile(uintptr(fd), "epoll"), base: max(2, runtime.GOMAXPROCS(0))}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("make epoll pollable: %w", err), p.file.Close())
	}
	p.writers.New = newWriter
	p.scanners.New = func() any { return new(stanza.Scanner) }
	p.run.more.L = &p.run.mu
	p.done.Add(1)
	go p.poll()
	return p, nil
}

func (o *Options) defaults() {
	if o.Workers <= 0 {
		o.Workers = 1024
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 20 * time.Second
	}
	if o.TLSTimeout <= 0 {
		o.TLSTimeout = 20 * time.Second
	}
	if o.Linger <= 0 {
		o.Linger = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Close cuts the connections that are left, without last words, waits until
// their handlers were told, and ends the goroutines. It must not be called from
// a handler.
func (p *Poller) Close() error {
	p.mu.Lock()
	p.shut = true
	var left []*Conn
	for i := range p.slots {
		if c := p.slots[i].c; c != nil {
			left = append(left, c)
		}
	}
	p.mu.Unlock()
	for _, c := range left {
		c.abort(ErrClosed)
	}
	p.live.Wait()
	for _, c := range left {
		c.shut() // also those whose peers were still reading our last words
	}
	err := p.file.Close()
	p.run.mu.Lock()
	p.run.ended = true
	p.run.more.Broadcast()
	p.run.mu.Unlock()
	p.done.Wait()
	return err
}

// poll is the goroutine that waits. Events are taken inside of the callback,
// which waits again unless there may be more: readiness that comes between is
// kept by the runtime, for it is reset only when Read begins.
func (p *Poller) poll() {
	defer p.done.Done()
	events := make([]unix.EpollEvent, 256)
	ready := make([]*Conn, 0, len(events))
	var span feature.Span
	for {
		if err := p.raw.Read(func(fd uintptr) bool {
			if p.opt.Account != nil {
				span.Begin(p.opt.Account)
				defer span.End()
			}
			for {
				n, err := unix.EpollWait(int(fd), events, 0)
				if err == unix.EINTR {
					continue
				}
				if err != nil {
					return true
				}
				ready = p.collect(ready[:0], events[:n])
				p.enqueue(ready)
				clear(ready) // what is closed is to be forgotten
				if n < len(events) {
					return false
				}
			}
		}); err != nil {
			return // closed
		}
	}
}

// collect marks the connections of events and appends those that nobody works
// on.
func (p *Poller) collect(ready []*Conn, events []unix.EpollEvent) []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		s := p.slots[uint32(e.Fd)]
		if s.c == nil || s.gen != uint32(e.Pad) {
			continue
		}
		bits := stReady
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			bits |= stGone
		}
		if s.c.mark(bits, 0) {
			ready = append(ready, s.c)
		}
	}
	return ready
}

// add begins to wait for a connection.
func (p *Poller) add(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return ErrClosed
	}
	if len(p.free) == 0 {
		p.slots = append(p.slots, slot{})
		p.free = append(p.free, uint32(len(p.slots)-1))
	}
	at := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.slots[at].gen++
	p.slots[at].c = c
	c.slot = at
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(at),
		Pad:    int32(p.slots[at].gen),
	}
	var ctl error
	err := c.sock.raw.Control(func(fd uintptr) { ctl = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &ev) })
	if err = errors.Join(err, ctl); err != nil {
		p.release(at)
		return fmt.Errorf("wait for a connection: %w", err)
	}
	p.live.Add(1)
	return nil
}

// remove ends the waiting. It comes before the descriptor is closed, for its
// number may be another connection's at once.
func (p *Poller) remove(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(c.slot) < len(p.slots) && p.slots[c.slot].c == c {
		p.release(c.slot)
		// An error means that the descriptor is closed, and so out of epoll.
		_ = c.sock.raw.Control(func(fd uintptr) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
	}
}

// release frees a slot; p.mu is held.
func (p *Poller) release(at uint32) {
	p.slots[at].c = nil
	p.free = append(p.free, at)
}

// enqueue hands connections to the workers; their queued bit is set.
func (p *Poller) enqueue(conns []*Conn) {
	if len(conns) == 0 {
		return
	}
	q := &p.run
	q.mu.Lock()
	for _, c := range conns {
		q.put(c)
	}
	for range min(len(conns), q.idle) {
		q.more.Signal()
	}
	for short := q.n - q.idle; short > 0 && q.workers < min(p.base, p.opt.Workers); short-- {
		p.startWorker()
	}
	if q.n > q.idle && !q.watched {
		q.watched = true
		p.done.Add(1)
		go p.watch()
	}
	q.mu.Unlock()
}

// put appends to the ring, which grows when full.
func (q *runQueue) put(c *Conn) {
	if q.n == len(q.conns) {
		bigger := make([]*Conn, max(64, 2*q.n))
		k := copy(bigger, q.conns[q.head:])
		copy(bigger[k:], q.conns[:q.head])
		q.conns, q.head = bigger, 0
	}
	q.conns[(q.head+q.n)%len(q.conns)] = c
	q.n++
}

// watch starts one more worker each time it finds that all were blocked for a
// millisecond while something waited. It ends when nothing waits.
func (p *Poller) watch() {
	defer p.done.Done()
	q := &p.run
	last := uint64(0)
	for tick := time.Millisecond; ; {
		time.Sleep(tick)
		q.mu.Lock()
		if q.n == 0 || q.ended {
			q.watched = false
			q.mu.Unlock()
			return
		}
		if q.taken == last && q.idle == 0 && q.workers < p.opt.Workers {
			p.startWorker()
		}
		last = q.taken
		q.mu.Unlock()
	}
}

// startWorker is called with run.mu held.
func (p *Poller) startWorker() {
	p.run.workers++
	p.done.Add(1)
	go p.work()
}

// A worker has what reading needs and an idle connection does not.
type worker struct {
	p   *Poller
	rd  *reader
	buf []byte
	sc  *stanza.Scanner
	it  Item
	sp  feature.Span
}

// work is a worker's goroutine: it takes connections that are ready until there
// are none and enough others wait.
func (p *Poller) work() {
	defer p.done.Done()
	w := &worker{p: p, rd: newReader(), buf: make([]byte, readSize), sc: new(stanza.Scanner)}
	for {
		c := p.take()
		if c == nil {
			return
		}
		c.serve(w)
	}
}

// take waits for a connection that is ready; nil: the worker ends.
func (p *Poller) take() *Conn {
	q := &p.run
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 {
		if q.ended || q.idle >= p.base {
			q.workers--
			return nil
		}
		q.idle++
		q.more.Wait()
		q.idle--
	}
	c := q.conns[q.head]
	q.conns[q.head] = nil
	q.head = (q.head + 1) % len(q.conns)
	q.n--
	q.taken++
	return c
}
