package presence

import "github.com/bearhug/bearhug/jid"

// A group is a shared group.
type group struct{ id uint64 }

// ID is its number in the store.
func (g *group) ID() uint64 { return g.id }

// join puts an account before the audiences of its groups.
func (b *board) join(*Account) {}

// attachGroups puts a viewer before the audiences of the groups it sees.
func (b *board) attachGroups(*viewer) {}

// groupContacts calls f for everybody whom a viewer sees by a group.
func (b *board) groupContacts(*viewer, func(jid.JID)) {}
