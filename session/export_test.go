package session

// SetCounts puts both counters of stream management to n.
func SetCounts(s *Session, n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sm.acked, s.in.received = n, n
}

// Unacked is how many stanzas are unacknowledged.
func Unacked(s *Session) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sm.unacked)
}
