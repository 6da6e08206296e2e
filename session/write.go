package session

import (
	"slices"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// flushAt bounds what one write gathers, in bytes.
const flushAt = 32 << 10

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, flushAt+4096); return &b }}

// maxFlushes is how many writes one client gets before others have their turn.
const maxFlushes = 8

// write is the writer: it is asked for when there is something to write to conn,
// and one at most is under way. It never waits for the client.
// 1. Take all that waits. 2. Join it into few writes; when the client does not
// keep up, go on once it has taken them. 3. Tell what was delivered. 4. Again,
// until nothing waits.
func (s *Session) write(conn *stream.Conn) { s.writeOn(conn, turn{}, false) }

// writeOn is write from the middle of a turn, when begun.
func (s *Session) writeOn(conn *stream.Conn, t turn, begun bool) {
	buf := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 4*flushAt {
			scratch.Put(buf)
		}
	}()
	var span feature.Span
	defer span.End()
	for left := maxFlushes; ; {
		span.Begin(s.host.writing(s.Org))
		if !begun {
			if t, begun = s.take(conn); !begun {
				return
			}
		}
		all, err := s.flush(conn, buf, &t, &left)
		s.share(&span, t.unshared())
		switch {
		case err != nil:
			s.unwritten(conn, t.plain)
			return
		case !all:
			s.await(conn, t)
			return
		case t.unfinished():
			rest := t
			conn.Soon(func() { s.writeOn(conn, rest, true) })
			return
		}
		s.wrote(t.plain)
		span.End()
		if t.end != nil {
			conn.Close(t.end.err)
			return
		}
		begun = false
		if left <= 0 {
			conn.Soon(func() { s.write(conn) })
			return
		}
	}
}

// await goes on with a turn once the client has taken what was written so far.
func (s *Session) await(conn *stream.Conn, t turn) {
	conn.WhenFlushed(func(err error) {
		if err != nil {
			s.unwritten(conn, t.plain)
			return
		}
		s.writeOn(conn, t, true)
	})
}

// A turn is what the writer writes before it looks again.
type turn struct {
	batch  []*stanza.Wire
	plain  []*stanza.Wire // those of batch that stream management does not count
	at     int            // so many of batch are written
	shared int            // and so many have paid for it
	ack    []byte         // what is left of it
	end    *closing
}

// unfinished says whether more is to be written.
func (t *turn) unfinished() bool { return t.at < len(t.batch) || len(t.ack) > 0 }

// unshared lists those that have not paid yet.
func (t *turn) unshared() []*stanza.Wire {
	list := t.batch[t.shared:t.at]
	t.shared = t.at
	return list
}

// take empties the queue. ok is false when there is nothing left to do for
// conn; the writer then counts as gone.
func (s *Session) take(conn *stream.Conn) (t turn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn || s.ended && s.out.end == nil {
		if s.conn == conn {
			s.out.writing = false
		}
		return turn{}, false
	}
	t.batch, t.end = s.out.queue, s.out.end
	s.out.queue, s.out.bytes = nil, 0
	t.plain = t.batch
	if s.sm != nil {
		t.plain = t.batch[:min(s.out.plain, len(t.batch))]
		s.out.plain -= len(t.plain)
	}
	s.pass(t.plain)
	t.ack = s.in.takeAck()
	after := int(s.host.Request.Int(s.Org))
	if s.out.wanted {
		after = 0
	}
	if s.sm != nil && s.sm.mustRequest(after) {
		t.ack = append(t.ack, smRequest...)
	}
	if len(t.batch) == 0 && t.ack == nil && t.end == nil {
		s.out.writing = false
		return turn{}, false
	}
	return t, true
}

// flush writes the batch and the acks behind it, joined as far as flushAt. It
// stops, with more to be written, when none is left of the writes; all is false
// when the client does not keep up, and the socket has the last write still.
func (s *Session) flush(conn *stream.Conn, buf *[]byte, t *turn, left *int) (all bool, err error) {
	b := (*buf)[:0]
	defer func() { *buf = b[:0] }()
	for all = true; t.unfinished() && *left > 0 && all && err == nil; *left-- {
		b = b[:0]
		for t.at < len(t.batch) && len(b) < flushAt {
			w := t.batch[t.at]
			b = conn.AppendWire(b, w)
			s.charge(w)
			t.at++
		}
		for t.at == len(t.batch) && len(t.ack) > 0 { // <a/> and <r/> are elements of their own
			n := elementEnd(t.ack)
			b = conn.AppendItem(b, t.ack[:n])
			t.ack = t.ack[n:]
		}
		all, err = conn.TryFlush(b)
	}
	return all, err
}

// charge books the bytes of w where its feature pays.
func (s *Session) charge(w *stanza.Wire) {
	s.host.Board.ByNumber(w.Number).BytesOut.Add(int64(w.Len()))
}

// perStanza is what a stanza costs beside its bytes, as so many of them.
const perStanza = 200

// share has those whose stanzas were written pay for the writing, each by its
// part: that is where the time of many small things goes.
func (s *Session) share(span *feature.Span, batch []*stanza.Wire) {
	if !span.Measured() || len(batch) == 0 {
		return // acks only: the session pays
	}
	ns, total := span.Take(), 0
	for _, w := range batch {
		total += w.Len() + perStanza
	}
	for len(batch) > 0 {
		number, part := batch[0].Number, 0
		for len(batch) > 0 && batch[0].Number == number {
			part += batch[0].Len() + perStanza
			batch = batch[1:]
		}
		s.host.Board.ByNumber(number).Write(int64(float64(ns) * float64(part) / float64(total)))
	}
}

// wrote tells what left: what stream management does not count is delivered
// once it is written.
func (s *Session) wrote(plain []*stanza.Wire) {
	if logged(plain) {
		s.host.Delivered(s, plain)
	}
	s.mu.Lock()
	s.passed(plain)
	told, lost := s.room()
	s.release()
	s.mu.Unlock()
	if told {
		s.host.Room(s, lost)
	}
}

// unwritten keeps what a broken conn did not take, or took in part, for
// whatever becomes of the session. Who has resumed it since had all of it.
func (s *Session) unwritten(conn *stream.Conn, plain []*stanza.Wire) {
	s.mu.Lock()
	over, resumed := s.ended, s.sm != nil && s.sm.resumed
	if !resumed {
		s.passed(plain)
		if !over { // what is left already was queued behind it
			s.out.left = slices.Concat(plain, s.out.left)
		}
	}
	s.mu.Unlock()
	switch {
	case resumed:
		s.wrote(plain)
	case over && len(plain) > 0:
		s.host.Unwritten(s, plain)
	}
	s.detach(conn, true)
}

// logged reports whether a list has a stanza with an archive id. An iq bears
// one when it ends a page of the archive that the client read (XEP-0313).
func logged(list []*stanza.Wire) bool {
	return slices.ContainsFunc(list, func(w *stanza.Wire) bool { return !w.ID.IsZero() })
}

// pass notes a list that leaves the mailbox, until passed is called with it: a
// message that neither Has finds nor Host.Delivered was told of would be sent
// again by whoever reads the log meanwhile. It returns false for a list that
// Host.Delivered need not be told of.
func (s *Session) pass(list []*stanza.Wire) bool {
	if !logged(list) {
		return false
	}
	s.out.passing = append(s.out.passing, list)
	return true
}

func (s *Session) passed(list []*stanza.Wire) {
	for i, l := range s.out.passing {
		if len(list) > 0 && &l[0] == &list[0] {
			s.out.passing = slices.Delete(s.out.passing, i, i+1)
			return
		}
	}
}

// arrived tells of what the client has acknowledged; kept is what pass said.
func (s *Session) arrived(done []*stanza.Wire, kept bool) {
	if kept {
		s.host.Delivered(s, done)
		s.mu.Lock()
		s.passed(done)
		s.mu.Unlock()
	}
	clear(done) // the array may live on behind sm.unacked
}

// Detach is told by who reads conn that it is broken, and that nothing more
// comes from it. A session that may be resumed waits for that without a stream;
// any other is lost.
func (s *Session) Detach(conn *stream.Conn) { s.detach(conn, false) }

// detach is Detach; read tells that conn is still being read.
func (s *Session) detach(conn *stream.Conn, read bool) {
	conn.Close(nil)
	s.mu.Lock()
	if s.last == conn && !read {
		s.last = nil
	}
	if s.conn != conn || s.ended {
		s.mu.Unlock()
		return
	}
	s.conn, s.cut = nil, time.Now()
	if read {
		s.last = conn
	}
	s.out.writing = false
	resumable := s.sm != nil && s.sm.resume && s.out.end == nil
	if s.sm != nil { // the rest stands in sm.unacked
		n := min(s.out.plain, len(s.out.queue))
		s.out.left = append(s.out.left, s.out.queue[:n]...)
		s.out.queue, s.out.bytes, s.out.plain = nil, 0, 0
		s.sm.requested = false
	}
	s.mu.Unlock()
	s.host.Lost(s, resumable)
}
