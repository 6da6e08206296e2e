// Package ops is what an operator meets: metrics, health and profiles over
// HTTP ([Server]), the control socket by which commands reach a running server
// ([Control], [Dial]), the lock of the data directory ([LockDir]), and
// restoring a backup ([Restore]).
//
// # Locks
//
// Server.mu and Control.mu guard their lists; nothing is called under them.
package ops
