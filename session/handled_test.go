package session_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/session"
)

// TestHandled: h covers nothing whose fate is unknown (XEP-0198 §4), not even
// between the moment a stanza is read and the moment it waits for its commit.
func TestHandled(t *testing.T) {
	for _, c := range []struct {
		steps string
		want  uint32
	}{
		{"read", 0},
		{"read routed", 1},
		{"read await routed", 0},
		{"read await routed commit", 1},
		{"read await commit routed", 1},
		{"read await routed read", 0},
		{"read await routed read commit", 1},
		{"read await routed read commit await routed", 1},
		{"read await routed read await routed commit", 1},
		{"read await routed read routed", 0},
		{"read await routed read routed commit", 2},
	} {
		t.Run(c.steps, func(t *testing.T) {
			s := session.New(host(t), nil, jid.MustParse("ada@house.test/desk"))
			if !s.Enable("id", true, nil) {
				t.Fatal("stream management is not enabled")
			}
			for step := range strings.FieldsSeq(c.steps) {
				switch step {
				case "read":
					s.Received(nil)
				case "await":
					s.Await()
				case "commit":
					s.Committed()
				case "routed":
					s.Routed()
				}
			}
			if got := s.Handled(); got != c.want {
				t.Errorf("h = %d, want %d", got, c.want)
			}
			all := strings.Count(c.steps, "read")
			if settled := s.Settled() == nil; settled != (int(c.want) == all) {
				t.Errorf("settled: %v with h = %d of %d", settled, s.Handled(), all)
			}
		})
	}
}
