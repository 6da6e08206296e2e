package session_test

import (
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// host is what sessions need, with dials of their own.
func host(tb testing.TB) *session.Host {
	tb.Helper()
	b := feature.NewBoard()
	_, err := b.DeclareAlways("session", "mailboxes",
		feature.Lever{Name: "session.mailbox", Default: 64 << 10, Min: 1, Max: 1 << 30},
		feature.Lever{Name: "session.request", Default: 16 << 10, Min: 1, Max: 1 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	return &session.Host{
		Board: b, Mailbox: b.Dial("session.mailbox"), Request: b.Dial("session.request"),
		Delivered: func(*session.Session, []*stanza.Wire) {},
		Unwritten: func(*session.Session, []*stanza.Wire) {},
		Lost:      func(*session.Session, bool) {},
		Room:      func(*session.Session, bool) {},
	}
}
