package session

import (
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// inactive holds what an inactive client need not see now (XEP-0352 §3): the
// last presence that each address sent to it directly. What comes in batches is
// held by whoever sends it.
type inactive struct {
	presence map[jid.JID]*stanza.Wire
	bytes    int
}

// takes reports whether w is held back or dropped: presence is held, the
// latest of an address replacing the one before, up to so many bytes; messages
// that carry nothing but a chat state are dropped.
func (i *inactive) takes(w *stanza.Wire, limit int) bool {
	if w.Flags.Has(stanza.StateOnly) {
		return true
	}
	if !transient(w) {
		return false
	}
	size := w.Len()
	if old := i.presence[w.From]; old != nil {
		size -= old.Len()
	}
	if i.bytes+size > limit {
		i.forget(w.From) // w goes to the client; what it replaces must not follow
		return false
	}
	if i.presence == nil {
		i.presence = make(map[jid.JID]*stanza.Wire)
	}
	i.presence[w.From] = w
	i.bytes += size
	return true
}

func (i *inactive) forget(from jid.JID) {
	if old := i.presence[from]; old != nil {
		i.bytes -= old.Len()
		delete(i.presence, from)
	}
}

// Inactive is the client's <inactive/>.
func (s *Session) Inactive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.csi == nil && !s.ended {
		s.csi = &inactive{}
	}
}

// Active is the client's <active/>: what was held is sent.
func (s *Session) Active() {
	s.mu.Lock()
	s.activate()
	s.wake()
	told, lost := s.room()
	s.mu.Unlock()
	if told {
		s.host.Room(s, lost)
	}
}

// activate puts what was held into the mailbox.
func (s *Session) activate() {
	if s.csi == nil {
		return
	}
	held := s.csi.presence
	s.csi = nil
	for _, w := range held {
		s.enqueue(w)
	}
}

// held keeps live messages in order while the delivery log is read.
type held struct {
	upto  stanza.ArchiveID // the log is to be read up to here; what is live is beyond
	wires []*stanza.Wire
	bytes int
	full  bool // more came than is kept: all of it is to be read from the log
}

// maxCatchup is how many live messages are kept while the log is read; past
// it the log is read further instead.
const maxCatchup = 128

// add keeps a live message; limit is in bytes.
func (h *held) add(w *stanza.Wire, limit int) {
	if !h.upto.Less(w.ID) {
		return // the log brings it
	}
	h.bytes += w.Len()
	if h.full || len(h.wires) >= maxCatchup || h.bytes > limit {
		h.full, h.wires, h.upto = true, nil, w.ID
		return
	}
	h.wires = append(h.wires, w)
}

// BeginCatchup makes live archived messages beyond upto wait until the
// delivery log has been sent that far, so that order and number are those of
// the archive. It returns false when the log is being read for the session
// already, which then is read up to there; or when the session is over.
func (s *Session) BeginCatchup(upto stanza.ArchiveID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	c := s.catchup
	if c == nil {
		s.catchup = &held{upto: upto}
		return true
	}
	if c.upto.Less(upto) {
		c.upto = upto
		for len(c.wires) > 0 && !upto.Less(c.wires[0].ID) {
			c.bytes -= c.wires[0].Len()
			c.wires = c.wires[1:]
		}
	}
	return false
}

// CatchupTo is up to where the log is to be read; zero when it is not.
func (s *Session) CatchupTo() (upto stanza.ArchiveID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catchup != nil {
		upto = s.catchup.upto
	}
	return upto
}

// Replay sends one message of the delivery log past those that wait.
func (s *Session) Replay(w *stanza.Wire) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.out.end != nil {
		return false
	}
	ok := s.enqueue(w)
	s.wake()
	return ok
}

// EndCatchup is told up to where the log was replayed. It sends the live
// messages beyond and returns true; false means that the log must be read on,
// up to CatchupTo.
func (s *Session) EndCatchup(read stanza.ArchiveID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.catchup
	if c == nil {
		return true
	}
	if read.Less(c.upto) {
		c.full, c.bytes = false, 0
		for _, w := range c.wires {
			c.bytes += w.Len()
		}
		return false
	}
	s.catchup, s.caught = nil, read
	for _, w := range c.wires {
		s.enqueue(w)
	}
	s.wake()
	return true
}
