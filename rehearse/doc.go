// Package rehearse plays many people at once against a server: the one loader
// of the house. A load test is a correctness test here: every message is
// numbered, and one that is lost, doubled or out of order is told.
//
// A Loop drives all lines (TCP connections with a person at the end) from one
// goroutine, over its own epoll instance and raw sockets, with bytes that were
// made before: one core drives more than 100,000 messages a second, so that
// the server is what is measured. Elements that come in are cut at their tags
// and looked at with bytes functions; that the server writes well-formed XML
// is tested elsewhere.
//
//	cut.go        elements out of bytes
//	login.go      one sign-in as a state machine, for TCP and WebSocket
//	loop.go       the loop and its lines
//	crowd.go      people who sign in, are cut off, resume
//	chat.go       people who write: closed and open model, the oracle
//	hold.go       people who only stay, over TLS and WebSocket
//	stir.go       people who change their presence, and a model of who sees what
//	lookout.go    what everyone is told of one contact
//	histogram.go  latencies
//	process.go    what a server process uses, read from /proc
//
// Nothing here is safe for use by two goroutines unless it says so.
package rehearse
