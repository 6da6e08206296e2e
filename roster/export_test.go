package roster

// ShareFrom sets how many members a group has whose items are written for many
// viewers.
func (gs *Groups) ShareFrom(members int) { gs.parts.from = members }

// Remember sets how many entries an organisation keeps for Delta.
func (gs *Groups) Remember(entries int) { gs.kept = entries }

// Shared is how many parts are kept, and their bytes.
func (gs *Groups) Shared() (n, bytes int) {
	gs.parts.mu.Lock()
	defer gs.parts.mu.Unlock()
	return len(gs.parts.kept), gs.parts.bytes
}
