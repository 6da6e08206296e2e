// Package node puts a server together: configuration, store, certificates,
// operators' face, and the rooms of each role (a role is a file). Everything a
// running server has hangs on a [Node]; several nodes live in one process in
// tests.
//
// It keeps no state of its own beyond the parts it starts and stops, in this
// order: lock of the data directory, store, board, ops, certificates, roles;
// and stops in the opposite one.
package node
