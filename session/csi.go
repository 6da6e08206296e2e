package session

import (
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// maxHeld bounds the contacts whose presence waits for an inactive client.
const maxHeld = 20000

// inactive holds what an inactive client need not see now (XEP-0352 §3): the
// last presence of each address.
type inactive struct {
	presence map[jid.JID]*stanza.Wire
}

// takes reports whether w is held back or dropped: presence is held, the
// latest of an address replacing the one before; messages that carry nothing
// but a chat state are dropped.
func (i *inactive) takes(w *stanza.Wire) bool {
	if w.Flags.Has(stanza.StateOnly) {
		return true
	}
	if !transient(w) || len(i.presence) >= maxHeld {
		return false
	}
	if i.presence == nil {
		i.presence = make(map[jid.JID]*stanza.Wire)
	}
	i.presence[w.From] = w
	return true
}

// Inactive is the client's <inactive/>.
func (s *Session) Inactive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.csi == nil {
		s.csi = &inactive{}
	}
}

// Active is the client's <active/>: what was held is sent.
func (s *Session) Active() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.csi == nil {
		return
	}
	held := s.csi.presence
	s.csi = nil
	for _, w := range held {
		s.enqueue(w)
	}
	s.wake()
}

// held keeps live messages in order while the delivery log is read.
type held struct {
	wires    []*stanza.Wire
	overflow bool
}

// maxCatchup is how many live messages are kept while the log is read; past
// it the log is read further instead.
const maxCatchup = 128

func (h *held) add(w *stanza.Wire) {
	if len(h.wires) >= maxCatchup {
		h.overflow, h.wires = true, nil
		return
	}
	if !h.overflow {
		h.wires = append(h.wires, w)
	}
}

// BeginCatchup makes live archived messages wait until the delivery log has
// been sent, so that order and number are those of the archive.
func (s *Session) BeginCatchup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catchup == nil {
		s.catchup = &held{}
	}
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

// EndCatchup is told the last id that was replayed. It sends the live messages
// beyond it and returns true; false means that more came than was kept, and
// the log must be read on.
func (s *Session) EndCatchup(last stanza.ArchiveID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.catchup
	if c == nil {
		return true
	}
	if c.overflow {
		s.catchup = &held{}
		return false
	}
	s.catchup = nil
	for _, w := range c.wires {
		if last.Less(w.ID) {
			s.enqueue(w)
		}
	}
	s.wake()
	return true
}
