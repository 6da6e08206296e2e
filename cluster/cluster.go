// Package cluster is the seam between the nodes of a cell: what one node
// publishes, every other one applies, in order and once.
//
// # How nothing stays missed
//
// The bus carries, it never remembers. Every frame says which node sent it, in
// which life of that node (the epoch), and its number. A receiver drops what
// it has had, puts a few that came out of order in order, and when one is
// missing, or the node began a new life, asks that node for a snapshot: the
// node's whole state as a stream of pieces, with the number of the last change
// it stands for. Changes that come meanwhile wait, up to a bound; past it the
// snapshot is asked for anew. Each node's heartbeat carries the number of its
// last change, so that the loss of the last one is noticed too. A node that
// has not been heard for a while is lost, and those who handle its words are
// told to forget what it said.
//
// # What a feature brings
//
// A [Handler]. Its state of another node is what Apply has been told, and
// whatever it keeps is by keys of its own where the later word wins: a
// snapshot may repeat what was applied, and may already contain what is still
// to come.
//
// # A cluster of one
//
// A nil *Cluster is a cluster of one: Publish returns at once.
//
// # Locks
//
// peer.turn is held while one node's words are applied, over the handlers.
// Cluster.out gives numbers, and is held over Transport.Send, so that the
// order of numbers is the order of sending. Handlers may publish; a publisher
// may hold its own locks. The others are leaves.
package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// Node is the number of a node of a cell: from 1, given out by the
// configuration.
type Node uint16

// MaxPayload is the most that one Publish carries, bytes: with its head it
// stays below what a bus takes as one message (NATS: 1 MiB).
const MaxPayload = 1<<20 - 1<<10

// maxNodes bounds the other nodes that are listened to.
const maxNodes = 256

// Errors of the package, for errors.Is.
var (
	ErrTooLarge = errors.New("too large for one frame")
	ErrConfig   = errors.New("bad cluster configuration")
)

// Config is what a Cluster is made with. Zero values of durations and bounds
// mean the defaults.
type Config struct {
	Self      Node   // this node: from 1
	Epoch     uint64 // this life of the node, greater than the last one's; 0: the time of now in µs
	Board     *feature.Board
	Transport Transport
	Log       *slog.Logger // nil: discarded

	Beat     time.Duration // between heartbeats (1 s)
	Silence  time.Duration // after which a node is lost (5 s)
	Patience time.Duration // how long a missing frame may be late (100 ms)
	Window   int           // how many frames may be ahead of a missing one (256)
	Waiting  int           // bytes that wait for the end of a snapshot, per node (16 MiB)
	Piece    int           // bytes of a piece of a snapshot (64 KiB)
}

// defaults fills what is zero.
func (c *Config) defaults() {
	if c.Epoch == 0 {
		c.Epoch = uint64(time.Now().UnixMicro())
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{{&c.Beat, time.Second}, {&c.Silence, 5 * time.Second}, {&c.Patience, 100 * time.Millisecond}} {
		if *d.of == 0 {
			*d.of = d.is
		}
	}
	for _, d := range []struct {
		of *int
		is int
	}{{&c.Window, 256}, {&c.Waiting, 16 << 20}, {&c.Piece, 64 << 10}} {
		if *d.of == 0 {
			*d.of = d.is
		}
	}
}

// A Handler is what a feature does with the words of other nodes. All calls
// about one node come one after the other, in that node's order; calls about
// different nodes may come at once. Nil functions are not called.
type Handler struct {
	// Apply takes one word of node from: a change, or a part of its snapshot.
	// The payload may be kept, and must not be changed.
	Apply func(from Node, org feature.Org, payload []byte)
	// Snapshot sends this node's own state, in words such as it publishes.
	// send may wait for the receiver, so no lock may be held that anybody
	// else needs; after false there is no use in going on. It runs on a
	// goroutine of its own, for several receivers at once if need be. What
	// was published before the call must be seen by it: whoever publishes
	// changes its state first, or holds the same lock over both.
	Snapshot func(send func(org feature.Org, payload ...[]byte) bool)
	// Begin says that a snapshot of node from follows: all that is known of
	// it is in doubt. It may come again before End: then from the beginning.
	Begin func(from Node)
	// End says that what was not applied since the last Begin is gone.
	End func(from Node)
	// Lost says that node from is gone, and all its state with it.
	Lost func(from Node)
}

// Stats are counts since the start.
type Stats struct {
	Sent, Refused     int64 // changes published; frames the transport did not take
	Applied           int64 // changes of others applied
	Doubled, Early    int64 // frames dropped as had already; frames that were ahead of a missing one
	Gaps, Overflows   int64 // snapshots asked for a missing frame; because too much waited
	Asked, Served     int64 // snapshots asked of others, given to others
	Bad, Stale, Lost  int64 // frames not understood; frames of a life that is over; nodes lost
	Conflicts, Beyond int64 // frames under this node's own number; frames of nodes beyond the bound
}

// counters are Stats while they are counted.
type counters struct {
	sent, refused, applied, doubled, early, gaps, overflows atomic.Int64
	asked, served, bad, stale, lost, conflicts, beyond      atomic.Int64
}

// A Cluster is this node's place among the others.
type Cluster struct {
	Config
	handlers map[string]*Handler // by name of feature; fixed by Start
	names    []string            // of handlers, in the order in which they came
	subject  string              // where this node speaks
	count    counters

	out sync.Mutex
	seq uint64 // of the last change; guarded by out

	mu      sync.Mutex
	peers   map[Node]*peer
	left    map[Node]farewell
	streams map[Node]*snapshot
	askings uint64 // the number of the last asking
	started bool
	closed  bool

	stop  chan struct{}
	stops []func()
	tasks sync.WaitGroup
}

// A farewell is a good-bye. Frames of that life, and of those before, that come
// late are not heard; after the time of silence none are on their way, and a
// node whose clock was set back is heard again.
type farewell struct {
	epoch uint64
	at    time.Time
}

// New makes the cluster of a node. Nothing is sent before Start.
func New(c Config) (*Cluster, error) {
	c.defaults()
	switch {
	case c.Self == 0:
		return nil, fmt.Errorf("%w: a node's number is from 1 to 65535", ErrConfig)
	case c.Board == nil || c.Transport.Send == nil || c.Transport.Listen == nil:
		return nil, fmt.Errorf("%w: a board and a transport are needed", ErrConfig)
	case c.Silence < 2*c.Beat:
		return nil, fmt.Errorf("%w: silence of %v is less than two heartbeats of %v", ErrConfig, c.Silence, c.Beat)
	case c.Window < 1 || c.Waiting < 1 || c.Piece < 1 || c.Piece > MaxPayload:
		return nil, fmt.Errorf("%w: bounds are from 1, a piece is at most %d bytes", ErrConfig, MaxPayload)
	}
	return &Cluster{
		Config: c, subject: subjectFrom(c.Self), handlers: map[string]*Handler{},
		peers: map[Node]*peer{}, left: map[Node]farewell{}, streams: map[Node]*snapshot{}, stop: make(chan struct{}),
	}, nil
}

// Handle has h take the words of feature f. It is called before Start.
func (c *Cluster) Handle(f feature.ID, h Handler) {
	if c == nil {
		return
	}
	name := c.Board.Name(f)
	if c.handlers[name] == nil {
		c.names = append(c.names, name)
	}
	c.handlers[name] = &h
}

// Start begins to listen and to be heard.
func (c *Cluster) Start() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	again := c.started
	c.started = true
	c.mu.Unlock()
	if again {
		return fmt.Errorf("%w: a cluster is started once", ErrConfig)
	}
	for _, subject := range []string{subjectAll, subjectTo(c.Config.Self)} {
		stop, err := c.Transport.Listen(subject, c.receive)
		if err != nil {
			c.unlisten()
			return fmt.Errorf("listen on %s: %w", subject, err)
		}
		c.stops = append(c.stops, stop)
	}
	c.tasks.Go(c.run)
	return nil
}

func (c *Cluster) unlisten() {
	for _, stop := range c.stops {
		stop()
	}
	c.stops = nil
}

// Close says good-bye. No handler is called once it has returned.
func (c *Cluster) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	again := c.closed || !c.started
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	close(c.stop)
	c.unlisten()
	c.say(kindBye)
	c.tasks.Wait()
	for _, p := range c.all() {
		p.forget()
	}
	return nil
}

// Self is this node's number; 0 in a cluster of one.
func (c *Cluster) Self() Node {
	if c == nil {
		return 0
	}
	return c.Config.Self
}

// Nodes lists the other nodes that are heard, by number.
func (c *Cluster) Nodes() []Node {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.peers))
}

// Stats reads the counts.
func (c *Cluster) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	n := &c.count
	return Stats{
		Sent: n.sent.Load(), Refused: n.refused.Load(), Applied: n.applied.Load(),
		Doubled: n.doubled.Load(), Early: n.early.Load(), Gaps: n.gaps.Load(), Overflows: n.overflows.Load(),
		Asked: n.asked.Load(), Served: n.served.Load(), Bad: n.bad.Load(), Stale: n.stale.Load(),
		Lost: n.lost.Load(), Conflicts: n.conflicts.Load(), Beyond: n.beyond.Load(),
	}
}

// Publish tells all other nodes one word of feature f, once. It does not wait
// for anybody: what the transport cannot take now, the others notice to be
// missing. The only error is ErrTooLarge.
func (c *Cluster) Publish(f feature.ID, org feature.Org, payload ...[]byte) error {
	if c == nil {
		return nil
	}
	size := length(payload)
	if size > MaxPayload {
		return fmt.Errorf("publish %s: %d bytes, at most %d: %w", c.Board.Name(f), size, MaxPayload, ErrTooLarge)
	}
	b := make([]byte, 0, fixed+nameSize+8+size)
	b = appendHead(b, kindData, c.Config.Self, c.Epoch, 0)
	b = appendName(b, c.Board.Name(f), org)
	for _, p := range payload {
		b = append(b, p...)
	}
	c.Board.Account(f, org).ClusterBytes.Add(int64(len(b)))
	c.out.Lock()
	defer c.out.Unlock()
	c.seq++
	setSequence(b, c.seq)
	c.count.sent.Add(1)
	c.send(c.subject, b)
	return nil
}

// send hands a frame to the transport.
func (c *Cluster) send(subject string, b []byte) {
	if err := c.Transport.Send(subject, b); err != nil {
		c.count.refused.Add(1)
	}
}

// pay charges what no feature asked for.
func (c *Cluster) pay(n int) { c.Board.Account(feature.Server, 0).ClusterBytes.Add(int64(n)) }

// say tells everybody the number of the last change.
func (c *Cluster) say(k kind) {
	c.out.Lock()
	defer c.out.Unlock()
	b := appendHead(make([]byte, 0, fixed), k, c.Config.Self, c.Epoch, c.seq)
	c.pay(len(b))
	c.send(c.subject, b)
}

// sequence is the number of the last change.
func (c *Cluster) sequence() uint64 {
	c.out.Lock()
	defer c.out.Unlock()
	return c.seq
}

// run beats, and notices who does not, until Close.
func (c *Cluster) run() {
	beat := time.NewTicker(c.Beat)
	defer beat.Stop()
	for {
		c.say(kindBeat)
		select {
		case <-c.stop:
			return
		case <-beat.C:
		}
		for _, p := range c.all() {
			p.listen()
		}
	}
}

func (c *Cluster) all() []*peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.peers))
}

// receive takes a frame off the transport.
func (c *Cluster) receive(b []byte) {
	f, err := decode(b)
	switch {
	case err != nil:
		c.count.bad.Add(1)
	case f.node == c.Config.Self:
		if f.epoch != c.Epoch && c.count.conflicts.Add(1) == 1 {
			c.Log.Error("another node has this node's number: give each its own", "node", f.node)
		}
	case f.kind == kindAsk:
		c.asked(f)
	default:
		for {
			p := c.peer(f)
			if p == nil || p.receive(f) {
				return
			}
		}
	}
}

// peer finds what is known of a frame's node; nil when it has left, when there
// is no room for it, or when the cluster is closed.
func (c *Cluster) peer(f frame) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, left := c.peers[f.node], c.left[f.node]
	switch {
	case c.closed:
		return nil
	case p == nil && f.epoch <= left.epoch && time.Since(left.at) < c.Silence:
		c.count.stale.Add(1)
	case p == nil && len(c.peers) >= maxNodes:
		if c.count.beyond.Add(1) == 1 {
			c.Log.Error("more nodes than a cell may have: the others are not heard", "max", maxNodes)
		}
	case p == nil:
		p = newPeer(c, f.node)
		c.peers[f.node] = p
		delete(c.left, f.node)
	}
	return p
}

// remove forgets a node; left is its life that is over, 0 when it may come
// back.
func (c *Cluster) remove(n Node, left uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.peers, n)
	if left > 0 {
		c.left[n] = farewell{left, time.Now()}
	}
}

// asking numbers an asking for a snapshot.
func (c *Cluster) asking() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.askings++
	return c.askings
}
