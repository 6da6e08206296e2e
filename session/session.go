// Package session keeps bound resources: the mailbox of stanzas on their way
// to one client, the goroutine that writes them while there is something to
// write, stream management (XEP-0198) and client state (XEP-0352).
//
// A Session outlives its stream: after a cut it waits, detached, for the
// client to resume. It knows nothing of routing or of disk; what it must tell
// others it tells through the funcs of its Host.
//
// Locks: Session.mu guards everything below it in the struct. Nothing is
// called out under it. See docs/locks.md.
package session

import (
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

	// Delivered is told the greatest archive id that a client of
	// non-negative priority has received: acknowledged under stream
	// management, written without.
	Delivered func(s *Session, id stanza.ArchiveID)
	// Lost is told that the stream of a session is gone. The session is
	// detached when it may be resumed, over otherwise.
	Lost func(s *Session, resumable bool)
	// Resync is told that presence was dropped from a full mailbox and that
	// there is room again.
	Resync func(s *Session)
}

// unavailable is no priority.
const unavailable = -1000

// A Session is one resource of an account, RFC 6120 §7.
type Session struct {
	JID     jid.JID     // full
	Org     feature.Org // organisation of the account
	Account int64       // the account's number in the store
	Scope   jid.JID     // the only peer this session may talk to; zero means no limit
	Since   time.Time   // when it was bound

	Carbons atomic.Bool // XEP-0280 enabled
	// Interested is set once the client has asked for its roster (RFC 6121 §2.2).
	Interested atomic.Bool
	// BlockAware is set once the client has asked for its block list (XEP-0191 §3.3).
	BlockAware atomic.Bool

	host     *Host
	priority atomic.Int32 // of the last presence, or unavailable

	mu      sync.Mutex
	conn    *stream.Conn // nil while detached
	out     outbox
	in      inbox
	sm      *management // nil until enabled
	csi     *inactive   // nil while the client is active
	ended   bool
	paged   stanza.ArchiveID // how far the client has read its archive by itself
	cut     time.Time        // since when it has no stream
	catchup *held            // messages that wait until the delivery log has been read
}

// An outbox is what waits to be written.
type outbox struct {
	queue   []*stanza.Wire
	bytes   int
	writing bool     // a writer goroutine lives
	end     *closing // close the stream when the queue is empty
	dropped bool     // presence was dropped: resync when there is room
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
// available with a priority of zero or more (RFC 6121 §8.5.2.1.1).
func (s *Session) Wants() bool { return s.priority.Load() >= 0 }

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
	if s.ended || s.out.end != nil {
		s.mu.Unlock()
		return false
	}
	if s.catchup != nil && !w.ID.IsZero() && w.Kind == stanza.Message {
		s.catchup.add(w)
		s.mu.Unlock()
		return true
	}
	if s.csi != nil && s.csi.takes(w) {
		s.mu.Unlock()
		return true
	}
	ok := s.enqueue(w)
	s.wake()
	s.mu.Unlock()
	return ok
}

// enqueue appends w within the limit of the mailbox. Presence gives way first;
// a mailbox that is full without any ends the stream with resource-constraint.
func (s *Session) enqueue(w *stanza.Wire) bool {
	size := w.Len()
	if !s.fits(size) {
		if transient(w) {
			s.out.dropped = true
			return false
		}
		s.dropPresence()
		if !s.fits(size) {
			s.shut(stream.NewError("resource-constraint", "your client does not keep up; what you missed is in the archive"))
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

// fits reports whether there is room for size bytes. A mailbox that holds
// little takes one stanza of any size, such as a long roster.
func (s *Session) fits(size int) bool {
	limit, used := int(s.host.Mailbox.Int(s.Org)), s.out.bytes+s.smBytes()
	return used+size <= limit || used <= limit/8
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
	w := stanza.NonzaOf(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.out.end != nil {
		return
	}
	s.out.queue = append(s.out.queue, w)
	s.out.bytes += w.Len()
	s.wake()
}

// wake starts the writer when there is something to write and none lives.
func (s *Session) wake() {
	if s.out.writing || s.conn == nil {
		return
	}
	if len(s.out.queue) == 0 && s.out.end == nil && !s.in.owesAck() {
		return
	}
	s.out.writing = true
	go s.write(s.conn)
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
	s.wake()
}

// End marks the session as over and returns what was never acknowledged.
// Only the first call returns anything.
func (s *Session) End() []*stanza.Wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	rest := s.unsent()
	s.out.queue, s.out.bytes, s.csi, s.catchup = nil, 0, nil, nil
	s.release()
	return rest
}

// unsent lists what the client may not have: all that is unacknowledged, or
// without stream management all that is unwritten.
func (s *Session) unsent() []*stanza.Wire {
	if s.sm != nil {
		return s.sm.unacked
	}
	return s.out.queue
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

func (s *Session) crowded() bool {
	return s.out.bytes+s.smBytes() > int(s.host.Mailbox.Int(s.Org))/2
}

func (s *Session) release() {
	if s.out.waiter != nil && (s.ended || !s.crowded()) {
		close(s.out.waiter)
		s.out.waiter = nil
	}
}
