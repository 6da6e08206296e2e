package overload_test

import (
	"testing"
	"time"

	"github.com/bearhug/bearhug/overload"
)

// TestFar: what other processes told is believed for five seconds, by our own
// clock, however theirs goes.
func TestFar(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	type told = overload.Told
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	for name, looks := range map[string][]struct {
		now  float64
		told []told
		want float64
	}{
		"nobody": {{0, nil, 1}, {10, nil, 1}},
		"one": {
			{0, []told{{"a", at(-0.5), 0.3}}, 0.3},
			{1, []told{{"a", at(0.5), 0.4}}, 0.4},
			{5.9, []told{{"a", at(0.5), 0.4}}, 0.4}, // seen at 1
			{6.1, []told{{"a", at(0.5), 0.4}}, 1},
			{7, []told{{"a", at(6.9), 0.1}}, 0.1},
			{8, nil, 1}, // ended in order
		},
		"a left-over":        {{0, []told{{"a", at(-6), 0}}, 1}, {1, []told{{"a", at(-6), 0}}, 1}, {2, []told{{"a", at(1.5), 0}}, 0}},
		"the worst":          {{0, []told{{"a", at(0), 0.2}, {"b", at(0), 0.7}, {"c", at(0), 0}}, 0.7}},
		"too much":           {{0, []told{{"a", at(0), 7}}, 1}},
		"one of two is late": {{0, []told{{"a", at(0), 0}, {"b", at(0), 0}}, 0}, {6, []told{{"a", at(5), 0}, {"b", at(0), 0}}, 1}},
		"one of two is gone": {{0, []told{{"a", at(0), 0.1}, {"b", at(-61), 0.9}}, 0.1}},
		"both are gone":      {{0, []told{{"a", at(-100), 0}, {"b", at(-61), 0}}, 1}},
		"a clock of an hour ago": {
			{0, []told{{"a", at(-3600), 0.2}}, 1}, // may be a left-over
			{1, []told{{"a", at(-3599), 0.2}}, 0.2},
			{7, []told{{"a", at(-3599), 0.2}}, 1},
		},
		"a clock of the next hour": {
			{0, []told{{"a", at(3600), 0.2}}, 1},
			{1, []told{{"a", at(3601), 0.2}}, 0.2},
			{2, []told{{"a", at(3000), 0.3}}, 0.3}, // set back
			{8, []told{{"a", at(3000), 0.3}}, 1},
		},
	} {
		var f overload.Far
		for i, l := range looks {
			if got := f.Pressure(l.told, at(l.now)); got != l.want {
				t.Errorf("%s, look %d: %.2f, not %.2f", name, i, got, l.want)
			}
		}
	}
}
