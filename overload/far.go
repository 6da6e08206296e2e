package overload

import "time"

// How old what a node told may be.
const (
	// Stale is the age from which what a node told is not believed any more: it
	// counts as full pressure.
	Stale = 5 * time.Second
	// Gone is the age from which a node counts as gone, as long as there is
	// another: its people are the others' now.
	Gone = time.Minute
)

// A Told is what a node has told of itself.
type Told struct {
	Node     string
	At       time.Time // by the node's clock
	Pressure float64
}

// Far judges the pressure of other processes by what they tell each second. The
// zero value is ready; it is used by one goroutine.
type Far struct {
	seen map[string]sighting
}

// sighting is the last news of a node.
type sighting struct {
	told time.Time // by its clock
	at   time.Time // by ours
}

// Pressure is that of the node where it is greatest: 1 when nobody tells
// anything, or somebody no longer. reports are all rows there are, the same
// again while nothing new was told. News is what is not what it was at the last
// look, so that clocks need not agree; a row that is met first is as old as it
// says.
func (f *Far) Pressure(reports []Told, now time.Time) float64 {
	seen := make(map[string]sighting, len(reports))
	worst, fresh := 0.0, false
	for _, r := range reports {
		s, known := f.seen[r.Node]
		switch {
		case known && !s.told.Equal(r.At):
			s = sighting{r.At, now}
		case !known && r.At.After(now.Add(Stale)):
			s = sighting{r.At, now.Add(-2 * Stale)} // by another clock, and may be a left-over
		case !known:
			s = sighting{r.At, r.At}
		}
		seen[r.Node] = s
		switch age := now.Sub(s.at); {
		case age <= Stale:
			worst, fresh = max(worst, min(r.Pressure, 1)), true
		case age <= Gone:
			worst = 1
		}
	}
	f.seen = seen
	if !fresh {
		return 1
	}
	return worst
}
