// Package session keeps bound resources: the mailbox of stanzas on their way
// to one client, the writer that is at work while there is something to write,
// stream management (XEP-0198) and client state (XEP-0352).
//
// A Session outlives its stream: after a cut it waits, detached, for the
// client to resume. It knows nothing of routing or of disk; what it must tell
// others it tells through the funcs of its Host.
//
// Locks: Session.mu guards everything below it in the struct. Nothing is
// called out under it. See docs/locks.md.
package session

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// A Host is what all sessions of a server share.
type Host struct {
	Board   *feature.Board
	Mailbox *feature.Dial // bytes a mailbox may hold
	Request *feature.Dial // bytes unacknowledged after which an ack is asked for
	Feature feature.ID    // pays for what no stanza does: acknowledgements, the mailbox

	// Delivered is told the stanzas with an archive id that the client has
	// received: acknowledged under stream management, written without. Until it
	// returns Has still finds them: who looks for a message finds it with the
	// session, or with whoever is told here. The slice is not to be kept.
	Delivered func(s *Session, done []*stanza.Wire)
	// Unwritten is told, once the session is over, what a write that failed
	// has left behind: End could not list it.
	Unwritten func(s *Session, rest []*stanza.Wire)
	// Lost is told that the stream of a session is gone. The session is
	// detached when it may be resumed, over otherwise.
	Lost func(s *Session, resumable bool)
	// Room is told that a session which did not take a whole batch takes
	// presence again; lost, that some was dropped from its mailbox meanwhile,
	// so that all has to be told once more.
	Room func(s *Session, lost bool)
}

// writing is the account of what writing costs beside the stanzas.
func (h *Host) writing(org feature.Org) *feature.Account { return h.Board.Account(h.Feature, org) }

// unavailable is no priority.
const unavailable = -1000

// A Session is one resource of an account, RFC 6120 §7.
type Session struct {
	JID     jid.JID     // full
	Org     feature.Org // organisation of the account
	Account int64       // the account's number in the store
	Bounds
	Since time.Time // when it was bound
	Owner any       // the host's; set before the session is used

	Carbons atomic.Bool // XEP-0280 enabled
	// Interested is set once the client has asked for its roster (RFC 6121 §2.2).
	Interested atomic.Bool
	// BlockAware is set once the client has asked for its block list (XEP-0191 §3.3).
	BlockAware atomic.Bool

	host     *Host
	priority atomic.Int32 // of the last presence, or unavailable
	closing  atomic.Bool  // out.end is set: it takes nothing any more

	mu      sync.Mutex
	conn    *stream.Conn // nil while detached
	last    *stream.Conn // what a failed write has cut it from, until that is read to its end
	out     outbox
	in      inbox
	sm      *management // nil until enabled
	csi     *inactive   // nil while the client is active
	ended   bool
	paged   stanza.ArchiveID // how far the client has read its archive by itself
	cut     time.Time        // since when it has no stream
	catchup *held            // messages that wait until the delivery log has been read
	caught  stanza.ArchiveID // messages up to here came by the log, or before it was read
	over    chan struct{}    // of Over; closed by End
}

// Bounds are what a session may see and say (decision 16); the zero value has
// none.
type Bounds struct {
	Scope jid.JID // the only peer this session may talk to
	// After is the message up to which the session is shown nothing: not in the
	// archive, not from the delivery log, no copies of other resources: it is a
	// further device before its code.
	After stanza.ArchiveID
}

// An outbox is what waits to be written.
type outbox struct {
	queue   []*stanza.Wire
	bytes   int
	plain   int              // so many at the head of queue were sent before sm counted
	passing [][]*stanza.Wire // logged ones between the mailbox and Host.Delivered
	left    []*stanza.Wire   // uncounted ones that a broken stream did not take
	writing bool             // a writer is at it, or will be
	end     *closing         // close the stream when the queue is empty
	dropped bool             // presence was dropped: Host.Room when there is room
	wanted  bool             // a batch was not taken whole: Host.Room when there is room
	waiter  chan struct{}
}

// closing says how the stream is to end; err is nil for a plain end.
type closing struct{ err *stream.Error }

// New makes the session of a stream that has just bound a resource.
func New(h *Host, conn *stream.Conn, full jid.JID) *Session {
	s := &Session{JID: full, host: h, conn: conn, Since: time.Now()}
	s.priority.Store(unavailable)
	return s
}

// Priority returns the priority of the last presence; ok is false while the
// resource is not available (RFC 6121 §4.7.2.3).
func (s *Session) Priority() (priority int8, ok bool) {
	p := s.priority.Load()
	if p == unavailable {
		return 0, false
	}
	return int8(p), true
}

// Wants reports whether the resource takes messages sent to the bare JID:
// available with a priority of zero or more (RFC 6121 §8.5.2.1.1), and not
// about to be closed.
func (s *Session) Wants() bool { return s.priority.Load() >= 0 && !s.closing.Load() }

// SetPriority notes the priority of an available presence.
func (s *Session) SetPriority(p int8) { s.priority.Store(int32(p)) }

// SetUnavailable notes that the resource sent unavailable presence.
func (s *Session) SetUnavailable() { s.priority.Store(unavailable) }

// Allows reports whether the scope of the session admits the other address.
func (s *Session) Allows(other jid.JID) bool {
	return s.Scope.IsZero() || other.Bare() == s.Scope
}

// Send puts w into the mailbox. It never blocks. It returns false when the
// session is over or its mailbox is full; then the archive is what is left.
func (s *Session) Send(w *stanza.Wire) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.out.end != nil {
		return false
	}
	if w.Kind == stanza.Message && !w.ID.IsZero() {
		if s.catchup != nil {
			s.catchup.add(w, s.limit()/4)
			return true
		}
		if !s.caught.Less(w.ID) {
			return true // the log has brought it
		}
	}
	if s.csi != nil && s.csi.takes(w, s.limit()/4) {
		return true
	}
	ok := s.enqueue(w)
	s.wake()
	return ok
}

// SendBatch puts presence into the mailbox, in order, as much of it as half of
// the mailbox holds, and returns how many stanzas that was. When it was not all
// of them the rest is not lost, for whoever sent it has it still: Host.Room is
// called once it is of use to try again. That is when the client has read, or
// acknowledged, what it has; when it says that it is active (XEP-0352); when it
// is back after a cut. A session that is over takes all.
func (s *Session) SendBatch(ws []*stanza.Wire) (taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.out.end != nil {
		return len(ws)
	}
	if s.csi != nil || s.away() {
		s.out.wanted = true
		return 0
	}
	limit := s.limit() / 2
	used, before := s.used(), s.out.bytes
	for ; taken < len(ws); taken++ {
		size := ws[taken].Len()
		if used > limit/8 && used+size > limit {
			break
		}
		used += size
		s.out.bytes += size
		if s.sm != nil {
			s.sm.sent(ws[taken], size)
		}
	}
	s.out.queue = append(s.out.queue, ws[:taken]...)
	if taken < len(ws) {
		s.out.wanted = true
		if s.sm != nil && s.out.bytes == before { // only an acknowledgement makes room
			s.askAck()
		}
	}
	s.wake()
	return taken
}

// away reports whether the session waits for its client to come back. One that
// has not had a stream yet does not.
func (s *Session) away() bool { return s.conn == nil && !s.cut.IsZero() }

// room reports whether the host is to be told that there is room, and that
// presence was lost. The caller tells it, without the lock.
func (s *Session) room() (told, lost bool) {
	if !s.out.wanted && !s.out.dropped || s.ended || s.csi != nil || s.away() || s.used() > s.limit()/4 {
		return false, false
	}
	lost = s.out.dropped
	s.out.wanted, s.out.dropped = false, false
	return true, lost
}

// limit is how many bytes the mailbox may hold.
func (s *Session) limit() int { return int(s.host.Mailbox.Int(s.Org)) }

// used is what the mailbox holds: all that is not acknowledged, or without
// stream management what is not written.
func (s *Session) used() int {
	if s.sm == nil {
		return s.out.bytes
	}
	return max(s.out.bytes, s.sm.bytes)
}

// enqueue appends w within the limit of the mailbox. Presence gives way first;
// a mailbox that is full without any ends the stream with resource-constraint.
func (s *Session) enqueue(w *stanza.Wire) bool {
	size := w.Len()
	if s.full(size) {
		if transient(w) {
			s.out.dropped = true
			return false
		}
		s.dropPresence()
		if s.full(size) {
			s.shut(slow())
			if s.conn == nil { // nobody else would notice; not on this stack: the caller may hold locks
				go s.host.Lost(s, false)
			}
			return false
		}
	}
	s.out.queue = append(s.out.queue, w)
	s.out.bytes += size
	if s.sm != nil && w.Kind != stanza.Nonza {
		s.sm.sent(w, size)
	}
	return true
}

func slow() *stream.Error {
	return stream.NewError(stream.ResourceConstraint, "your client does not keep up; what you missed is in the archive")
}

// full reports whether there is no room for size bytes. A mailbox that holds
// little takes one stanza of any size, such as a long roster.
func (s *Session) full(size int) bool {
	used, limit := s.used(), s.limit()
	return used > limit/8 && used+size > limit
}

// transient reports whether w is presence that a later snapshot replaces.
func transient(w *stanza.Wire) bool {
	return w.Kind == stanza.Presence && (w.Type == stanza.Available || w.Type == stanza.Unavailable)
}

// dropPresence makes room. Under stream management what was counted must stay,
// so only sessions without it can lose queued presence.
func (s *Session) dropPresence() {
	if s.sm != nil {
		return
	}
	kept := s.out.queue[:0]
	bytes := 0
	for _, w := range s.out.queue {
		if transient(w) {
			s.out.dropped = true
			continue
		}
		kept = append(kept, w)
		bytes += w.Len()
	}
	clear(s.out.queue[len(kept):])
	s.out.queue, s.out.bytes = kept, bytes
}

// SendNonza puts an element that is no stanza (an ack, a SASL or stream
// management answer) into the mailbox, in order with the stanzas.
func (s *Session) SendNonza(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && s.out.end == nil {
		s.nonza(b)
	}
}

func (s *Session) nonza(b []byte) {
	w := stanza.NonzaOf(b)
	if s.out.bytes > s.limit() { // it asks for answers and does not read them
		s.shut(slow())
		return
	}
	s.out.queue = append(s.out.queue, w)
	s.out.bytes += w.Len()
	s.wake()
}

// wake asks for the writer when there is something to write and none is at it.
func (s *Session) wake() {
	if s.out.writing || s.conn == nil {
		return
	}
	if len(s.out.queue) == 0 && s.out.end == nil && !s.in.owesAck() {
		return
	}
	s.out.writing = true
	conn := s.conn
	conn.Soon(func() { s.write(conn) })
}

// Close ends the stream after what is queued has been written; e may be nil.
// The session ends with it: a closed stream cannot be resumed (XEP-0198 §6).
func (s *Session) Close(e *stream.Error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.shut(e)
	detached := s.conn == nil
	s.mu.Unlock()
	if detached {
		s.host.Lost(s, false)
	}
}

func (s *Session) shut(e *stream.Error) {
	if s.out.end != nil {
		return
	}
	s.out.end = &closing{e}
	s.closing.Store(true)
	s.wake()
}

// End marks the session as over and returns what was never acknowledged. ok
// is true for the first call only.
func (s *Session) End() (rest []*stanza.Wire, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, false
	}
	s.ended = true
	s.closing.Store(true)
	rest = s.unsent()
	s.out.queue, s.out.left, s.out.bytes, s.csi, s.catchup = nil, nil, 0, nil, nil
	if s.sm != nil {
		s.sm.unacked, s.sm.bytes = nil, 0
		if s.sm.settled != nil {
			close(s.sm.settled)
			s.sm.settled = nil
		}
	}
	s.release()
	if s.over != nil {
		close(s.over)
	}
	return rest, true
}

// unsent lists what the client may not have: all that is unacknowledged, or
// without stream management all that is unwritten.
func (s *Session) unsent() []*stanza.Wire {
	if s.sm != nil {
		return slices.Concat(s.out.left, s.out.queue[:min(s.out.plain, len(s.out.queue))], s.sm.unacked)
	}
	return slices.Concat(s.out.left, s.out.queue)
}

// Has reports whether the message with this archive id is with the session: on
// its way to the client, or arrived and Host.Delivered has not returned yet.
func (s *Session) Has(id stanza.ArchiveID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists := [...][]*stanza.Wire{s.out.queue, s.out.left, nil, nil}
	if s.sm != nil {
		lists[2] = s.sm.unacked
	}
	if s.catchup != nil {
		lists[3] = s.catchup.wires
	}
	is := func(w *stanza.Wire) bool { return w.ID == id && w.Kind == stanza.Message }
	for _, list := range lists {
		if slices.ContainsFunc(list, is) {
			return true
		}
	}
	return slices.ContainsFunc(s.out.passing, func(list []*stanza.Wire) bool { return slices.ContainsFunc(list, is) })
}

// Over returns a channel that is closed when the session is over.
func (s *Session) Over() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = make(chan struct{})
		if s.ended {
			close(s.over)
		}
	}
	return s.over
}

// Ended reports whether the session is over.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Paged notes that the client has read its archive up to id (XEP-0313): what
// it has read is not replayed to it. PagedTo tells how far that is.
func (s *Session) Paged(id stanza.ArchiveID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paged.Less(id) {
		s.paged = id
	}
}

// PagedTo is the id given to Paged last, zero when there was none.
func (s *Session) PagedTo() stanza.ArchiveID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paged
}

// Detached returns since when the session waits without a stream.
func (s *Session) Detached() (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut, s.conn == nil
}

// Reads reports whether what is read from conn is the session's: conn is its
// stream, or the one that it was cut from last. What comes late from a stream
// before that is not: the client has sent it again since.
func (s *Session) Reads(conn *stream.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads(conn)
}

func (s *Session) reads(conn *stream.Conn) bool {
	return s.conn == conn || s.conn == nil && s.last == conn
}

// Conn returns the stream of the session, nil while it is detached.
func (s *Session) Conn() *stream.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// Room returns a channel that is closed when less than half of the mailbox
// is in use or the session is over; nil when that is so already.
func (s *Session) Room() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.crowded() {
		return nil
	}
	if s.out.waiter == nil {
		s.out.waiter = make(chan struct{})
	}
	return s.out.waiter
}

func (s *Session) crowded() bool { return s.used() > s.limit()/2 }

func (s *Session) release() {
	if s.out.waiter != nil && (s.ended || !s.crowded()) {
		close(s.out.waiter)
		s.out.waiter = nil
	}
}
