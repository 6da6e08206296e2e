package session

import (
	"sync"
	"time"

	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// flushAt bounds what one write gathers, in bytes.
const flushAt = 32 << 10

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, flushAt+4096); return &b }}

// write is the writer: it lives while there is something to write to conn.
// 1. Take all that waits. 2. Join it into few writes. 3. Tell what was
// delivered. 4. Again, until nothing waits.
func (s *Session) write(conn *stream.Conn) {
	buf := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 4*flushAt {
			scratch.Put(buf)
		}
	}()
	for {
		batch, ack, end, ok := s.take(conn)
		if !ok {
			return
		}
		err := s.flush(conn, buf, batch, ack)
		if err != nil {
			s.Detach(conn)
			return
		}
		s.wrote(batch)
		if end != nil {
			conn.Close(end.err)
			return
		}
	}
}

// take empties the queue. ok is false when there is nothing left to do for
// conn; the writer then counts as gone.
func (s *Session) take(conn *stream.Conn) (batch []*stanza.Wire, ack []byte, end *closing, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn || s.ended && s.out.end == nil {
		if s.conn == conn {
			s.out.writing = false
		}
		return nil, nil, nil, false
	}
	batch = s.out.queue
	s.out.queue, s.out.bytes = nil, 0
	ack = s.in.takeAck()
	if s.sm != nil && s.sm.mustRequest(int(s.host.Request.Int(s.Org))) {
		ack = append(ack, smRequest...)
	}
	if len(batch) == 0 && ack == nil && s.out.end == nil {
		s.out.writing = false
		return nil, nil, nil, false
	}
	return batch, ack, s.out.end, true
}

// flush writes the batch and the acks behind it, joined as far as flushAt.
func (s *Session) flush(conn *stream.Conn, buf *[]byte, batch []*stanza.Wire, ack []byte) (err error) {
	b := (*buf)[:0]
	defer func() { *buf = b[:0] }()
	for _, w := range batch {
		b = conn.AppendWire(b, w)
		s.charge(w)
		if len(b) >= flushAt {
			if err := conn.Flush(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	for len(ack) > 0 { // <a/> and <r/> are elements of their own
		n := elementEnd(ack)
		b = conn.AppendItem(b, ack[:n])
		ack = ack[n:]
	}
	if len(b) == 0 {
		return nil
	}
	return conn.Flush(b)
}

// charge books the bytes of w where its feature pays.
func (s *Session) charge(w *stanza.Wire) {
	if acct := s.host.Board.ByNumber(w.Number); acct != nil {
		acct.BytesOut.Add(int64(w.Len()))
	}
}

// wrote tells what left: without stream management a written message counts
// as delivered.
func (s *Session) wrote(batch []*stanza.Wire) {
	s.mu.Lock()
	managed := s.sm != nil
	resync := s.out.dropped && len(s.out.queue) == 0
	if resync {
		s.out.dropped = false
	}
	s.release()
	s.mu.Unlock()
	if !managed {
		s.delivered(batch)
	}
	if resync {
		s.host.Resync(s)
	}
}

// delivered reports the greatest archive id among batch. An iq bears one when
// it ends a page of the archive that the client read (XEP-0313): it has the
// messages then whatever its priority is.
func (s *Session) delivered(batch []*stanza.Wire) {
	var last stanza.ArchiveID
	wants := s.Wants()
	for _, w := range batch {
		if !w.ID.IsZero() && (wants || w.Kind == stanza.IQ) && last.Less(w.ID) {
			last = w.ID
		}
	}
	if !last.IsZero() {
		s.host.Delivered(s, last)
	}
}

// Detach is told that conn is broken. A session that may be resumed waits for
// it without a stream; any other is lost.
func (s *Session) Detach(conn *stream.Conn) {
	conn.Close(nil)
	s.mu.Lock()
	if s.conn != conn || s.ended {
		s.mu.Unlock()
		return
	}
	s.conn, s.cut = nil, time.Now()
	s.out.writing = false
	resumable := s.sm != nil && s.sm.resume && s.out.end == nil
	s.out.queue, s.out.bytes = nil, 0
	if s.sm != nil {
		s.sm.requested = false
	}
	s.mu.Unlock()
	s.host.Lost(s, resumable)
}
