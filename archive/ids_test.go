package archive

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestIDsGrow: whatever the clock does, and across restarts.
func TestIDsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g ids
		now := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "start"))
		last := g.next(now)
		seen := map[uint64]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "ids") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				now = now.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "jump")))
				if now.UnixMilli() < 0 {
					now = time.UnixMilli(0)
				}
			case 1:
				g = ids{}
				g.seed(last)
			}
			id := g.next(now)
			if !last.Less(id) || sequence(id) <= sequence(last) {
				t.Fatalf("%x after %x", id, last)
			}
			if seen[sequence(id)] {
				t.Fatalf("%x again", id)
			}
			if back, ok := ParseID(FormatID(id)); !ok || back != id {
				t.Fatalf("%x reads as %x", id, back)
			}
			seen[sequence(id)], last = true, id
		}
	})
}

func TestParseID(t *testing.T) {
	for _, s := range []string{"", "x", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA\nAA"} {
		if id, ok := ParseID(s); ok {
			t.Errorf("%q is %x", s, id)
		}
	}
}
