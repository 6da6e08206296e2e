package session

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

const nsSM = "urn:xmpp:sm:3"

var smRequest = []byte("<r xmlns='urn:xmpp:sm:3'/>")

// MaxInFlight is how many messages of one stream may wait for their commit
// before the stream is read no further.
const MaxInFlight = 256

// An inbox counts what came in, XEP-0198 §4. Stanzas are numbered as they are
// read; those that wait for a commit are remembered, so that the count given
// to the client never covers what could still be lost.
type inbox struct {
	received uint32   // stanzas read since stream management was enabled
	waiting  []uint32 // numbers of those whose commit is under way, ascending
	told     uint32   // the last h the client was given
	before   int      // commits under way since before counting began
	due      bool     // an <a/> is owed
	routing  bool     // what becomes of the stanza read last is not known yet
	short    bool     // an <a/> is owed once the stanza being routed is handled
	counting bool
	paused   bool
}

// handled is the committed prefix: the h of an <a/>.
func (i *inbox) handled() uint32 {
	switch {
	case len(i.waiting) > 0:
		return i.waiting[0] - 1
	case i.routing:
		return i.received - 1
	}
	return i.received
}

// settled reports whether nothing that came in is under way.
func (i *inbox) settled() bool { return len(i.waiting) == 0 && !i.routing }

func (i *inbox) owesAck() bool { return i.counting && i.due }

func (i *inbox) takeAck() []byte {
	if !i.owesAck() {
		return nil
	}
	i.due = false
	i.told = i.handled()
	i.short = i.routing
	b := append(make([]byte, 0, 64), "<a xmlns='urn:xmpp:sm:3' h='"...)
	b = strconv.AppendUint(b, uint64(i.told), 10)
	return append(b, "'/>"...)
}

// Received counts a stanza that was read from conn. Until Routed it counts as
// unhandled: it may yet have to wait for a commit. It returns false when the
// session is over, or has moved to another stream: then the client sends the
// stanza there, even when the session has lost that stream again since.
func (s *Session) Received(conn *stream.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.reads(conn) {
		return false
	}
	s.in.received++
	s.in.routing = true
	return true
}

// Routed tells that the stanza read last is handled, or awaited.
func (s *Session) Routed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.routing = false
	if s.in.short {
		s.in.short = false
		if s.in.handled() != s.in.told {
			s.in.due = true
			s.wake()
		}
	}
	s.settle()
}

// settle tells who waits for it that nothing is under way.
func (s *Session) settle() {
	if s.sm != nil && s.sm.settled != nil && s.in.settled() {
		close(s.sm.settled)
		s.sm.settled = nil
	}
}

// Answered tells that the client hears of the stanza being routed without a
// commit: it was refused. Once it is handled an <a/> follows, as one follows a
// commit: a client that waits for that before it sends more must not wait for
// ever.
func (s *Session) Answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.short = s.in.counting && s.in.routing
}

// Await notes that the stanza read last is complete only when its commit is
// told by Committed. With too many of them the stream is not read on.
func (s *Session) Await() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.waiting = append(s.in.waiting, s.in.received)
	if len(s.in.waiting) >= MaxInFlight && !s.in.paused {
		s.in.paused = true
		if s.conn != nil {
			s.conn.Pause()
		}
	}
}

// Committed tells that the oldest awaited stanza is safe. An <a/> follows.
func (s *Session) Committed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.in.before > 0:
		s.in.before--
	case len(s.in.waiting) > 1:
		s.in.waiting = s.in.waiting[1:]
	default:
		s.in.waiting = nil
	}
	if s.in.counting {
		s.in.due = true
		s.wake()
	}
	if s.in.paused && len(s.in.waiting) < MaxInFlight/2 {
		s.in.paused = false
		if s.conn != nil {
			s.conn.Resume()
		}
	}
	s.settle()
}

// management is what stream management keeps while it is enabled.
type management struct {
	id        string
	resume    bool
	acked     uint32         // the last h the client gave
	unacked   []*stanza.Wire // sent after it, in order
	bytes     int
	since     int  // bytes sent since the last <r/>
	requested bool // an <r/> is unanswered
	resumed   bool // the client knows id: it has all that was sent before it
	settled   chan struct{}
}

func (m *management) sent(w *stanza.Wire, size int) {
	m.unacked = append(m.unacked, w)
	m.bytes += size
	m.since += size
}

func (m *management) mustRequest(after int) bool {
	if m.requested || m.since < after || len(m.unacked) == 0 {
		return false
	}
	m.requested, m.since = true, 0
	return true
}

// Enable starts stream management (XEP-0198 §3): counting begins now, in both
// directions, with answer, the <enabled/>, in its place among what is sent. id
// names the session for a later resumption; resume tells whether that is
// allowed. It returns false when it was enabled before.
func (s *Session) Enable(id string, resume bool, answer []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sm != nil {
		return false
	}
	s.out.plain = len(s.out.queue)
	s.sm = &management{id: id, resume: resume}
	s.in = inbox{counting: true, paused: s.in.paused, before: s.in.before + len(s.in.waiting)}
	if !s.ended && s.out.end == nil {
		s.nonza(answer)
	}
	return true
}

// Managed returns the resumption id, empty without stream management.
func (s *Session) Managed() (id string, resumable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sm == nil {
		return "", false
	}
	return s.sm.id, s.sm.resume
}

// Requested answers an <r/> of the client with the committed prefix, at once.
func (s *Session) Requested() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.due = true
	s.wake()
}

// AskAck asks the client for an <a/> when something is unacknowledged and
// none is under way. It is called now and then, so that cursors move on.
func (s *Session) AskAck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sm != nil && s.conn != nil && s.out.end == nil {
		s.askAck()
	}
}

func (s *Session) askAck() {
	if !s.sm.requested && len(s.sm.unacked) > 0 {
		s.sm.requested, s.sm.since = true, 0
		s.nonza(smRequest)
	}
}

// Acked takes an <a h='…'/> of the client. An h beyond what was sent is the
// stream error of XEP-0198 §4.
func (s *Session) Acked(h uint32) error {
	s.mu.Lock()
	if s.sm == nil {
		s.mu.Unlock()
		return nil
	}
	done, err := s.sm.ack(h)
	kept := s.pass(done)
	s.sm.requested = false
	s.release()
	told, lost := s.room()
	if s.out.wanted && s.conn != nil && s.out.end == nil && !s.ended {
		s.askAck()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.arrived(done, kept)
	if told {
		s.host.Room(s, lost)
	}
	return nil
}

// ack drops what h covers and returns it. Numbers wrap at 2^32.
func (m *management) ack(h uint32) ([]*stanza.Wire, error) {
	if int32(h-m.acked) < 0 {
		return nil, nil // it said more before: late words of a stream that was replaced
	}
	n := int(h - m.acked)
	if n > len(m.unacked) {
		return nil, tooHigh(h, m.acked+uint32(len(m.unacked)))
	}
	done := m.unacked[:n]
	m.unacked = m.unacked[n:]
	if len(m.unacked) == 0 {
		m.unacked = nil
	}
	for _, w := range done {
		m.bytes -= w.Len()
	}
	m.acked = h
	return done, nil
}

func tooHigh(h, sent uint32) *stream.Error {
	e := stream.NewError("undefined-condition", "")
	e.App = []byte("<handled-count-too-high xmlns='" + nsSM + "' h='" + strconv.FormatUint(uint64(h), 10) +
		"' send-count='" + strconv.FormatUint(uint64(sent), 10) + "'/>")
	return e
}

// Settled returns a channel that is closed when nothing that the session
// received is under way or waits for its commit; nil when that is so already.
func (s *Session) Settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sm == nil || s.ended || s.in.settled() {
		return nil
	}
	if s.sm.settled == nil {
		s.sm.settled = make(chan struct{})
	}
	return s.sm.settled
}

// Handled returns the committed prefix.
func (s *Session) Handled() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.handled()
}

// ErrOver is returned when a session that is to be resumed is over.
var ErrOver = errors.New("session is over")

// ErrUnsettled is returned when a session that is to be resumed has something
// under way.
var ErrUnsettled = errors.New("session has something under way")

// Resume moves the session to a new stream (XEP-0198 §5): what the client's h
// covers is forgotten, and what was sent before the client was told the id that
// it resumes by; the rest is sent again behind <resumed/>. The old
// stream, if it still lives, is returned for the caller to close. With force
// what waits for its commit is not waited for: the client sends it again.
func (s *Session) Resume(conn *stream.Conn, h uint32, force bool) (old *stream.Conn, err error) {
	s.mu.Lock()
	switch {
	case s.ended || s.sm == nil || s.out.end != nil:
		err = ErrOver
	case s.in.routing || len(s.in.waiting) > 0 && !force:
		err = ErrUnsettled
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	done, err := s.sm.ack(h)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	left := s.out.left // was sent before <enabled/>, without which nobody resumes
	kept, keptLeft := s.pass(done), s.pass(left)
	old, s.conn, s.last = s.conn, conn, nil
	s.out.left, s.sm.resumed = nil, true
	s.in.due = false
	if s.in.paused {
		conn.Pause()
	}
	s.in.told = s.in.handled()
	// Counting goes on where the client will: at what it is told now.
	s.in.received = s.in.told
	s.in.before += len(s.in.waiting)
	s.in.waiting, s.in.short = nil, false
	s.sm.requested, s.sm.since = false, 0
	var b bytes.Buffer
	b.WriteString("<resumed xmlns='" + nsSM + "' previd='" + s.sm.id + "' h='")
	b.WriteString(strconv.FormatUint(uint64(s.in.told), 10))
	b.WriteString("'/>")
	s.out.queue = append(make([]*stanza.Wire, 0, len(s.sm.unacked)+1), stanza.NonzaOf(b.Bytes()))
	s.out.queue = append(s.out.queue, s.sm.unacked...)
	s.out.bytes = s.sm.bytes + b.Len()
	s.out.plain, s.out.writing = 0, false
	s.activate() // XEP-0352 §5.1: a resumed stream begins as active
	s.wake()
	s.release()
	told, lost := s.room()
	s.mu.Unlock()
	s.arrived(left, keptLeft)
	s.arrived(done, kept)
	if told {
		s.host.Room(s, lost)
	}
	return old, nil
}

// elementEnd is the length of the first element of nonzas in a row.
func elementEnd(b []byte) int { return bytes.IndexByte(b, '>') + 1 }
