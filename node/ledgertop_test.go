package node

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
)

// TestGrowthOfWhatHasNoCalls: presence is compared at its own churn, stream,
// which nobody calls, at that of all.
func TestGrowthOfWhatHasNoCalls(t *testing.T) {
	h := history{past: map[string]*past{}}
	for _, people := range []int{200, 600, 2000} {
		n := int64(people)
		for _, churn := range []int64{1, 1, 1, 1, 5} { // a minute in five is busier
			h.add(map[string]feature.Row{
				"presence": {Calls: churn * n, CPU: churn * 3 * n * n, BytesOut: churn * n * n * n},
				"stream":   {CPU: churn * 70 * n},
			}, people, 1)
		}
	}
	for name, want := range map[string]float64{"presence": 2, "stream": 1} {
		p := h.past[name]
		if p.grow(); p.growth == nil || math.Abs(p.growth.Exponent-want) > 1e-6 || p.growth.Points != 12 {
			t.Errorf("%s: %+v, want %v", name, p.growth, want)
		}
	}
	if g := h.past["presence"].sends; g == nil || math.Abs(g.Exponent-3) > 1e-6 || g.Points != 12 {
		t.Errorf("what presence sends: %+v", g)
	}
	if g := h.past["stream"].sends; g != nil {
		t.Errorf("stream sends nothing: %+v", g)
	}
	h.add(map[string]feature.Row{"stream": {CPU: 5}}, 0, 1)
	if p := h.of("stream"); p.points != nil {
		t.Errorf("nobody is online: %+v", p.points)
	}
}

// TestSince: the rows add up to what the process spent, whatever was measured.
func TestSince(t *testing.T) {
	key := accountKey{"presence", 1}
	at := time.Now()
	from := reading{at: at, cpu: 1000, gc: 10, rows: map[accountKey]feature.Row{key: {Feature: "presence", Org: 1, CPU: 500}}}
	for _, c := range []struct{ measured, gc, named, rest int64 }{
		{800, 110, 800, 200},
		{1200, 110, 900, 100},  // over: down to the process's time without the collector's
		{1200, 5010, 500, 500}, // no more than half is believed to be the collector's
		{-100, 10, 0, 1000},
	} {
		to := reading{at: at.Add(time.Second), cpu: 2000, gc: c.gc,
			rows: map[accountKey]feature.Row{key: {Feature: "presence", Org: 1, CPU: 500 + c.measured, Calls: 1}}}
		rows, measured := to.since(&from)
		got := map[string]int64{}
		for _, r := range rows {
			got[r.Feature] += r.CPU
		}
		if got["presence"] != c.named || got[runtimeName] != c.rest || measured != max(c.measured, 0) {
			t.Errorf("%+v: %v, measured %d", c, got, measured)
		}
	}
}

// TestHistories: what was made of the history is kept for several
// organisations, but not for any number of them.
func TestHistories(t *testing.T) {
	var b books
	at := time.Now()
	for org := range feature.Org(3 * histories) {
		b.keepHistory(org, &history{at: at.Add(time.Duration(org) * time.Second)})
		if len(b.history) > histories || b.history[org] == nil {
			t.Fatalf("%d histories after %d", len(b.history), org)
		}
	}
	for org := range b.history {
		if org < 2*histories {
			t.Errorf("the oldest go first, but %d is there", org)
		}
	}
}

// TestGrowthInMetrics: the powers that are known are told with their interval,
// and nothing is told of the others, nor of a history that is old.
func TestGrowthInMetrics(t *testing.T) {
	b := books{history: map[feature.Org]*history{0: {at: time.Now(), past: map[string]*past{
		"presence": {growth: &feature.Growth{Exponent: 1.7, Low: 1.6, High: 1.8, Points: 21}, sends: &feature.Growth{Exponent: 2, Low: 1.9, High: 2.1, Points: 20}},
		"stream":   {},
	}}}}
	page := func() string {
		var m ops.Metrics
		var text strings.Builder
		b.metrics(&m)
		if _, err := m.WriteTo(&text); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	text := page()
	for _, line := range []string{
		`bearhug_growth_exponent{feature="presence",of="cpu"} 1.7`, `bearhug_growth_low{feature="presence",of="cpu"} 1.6`,
		`bearhug_growth_high{feature="presence",of="cpu"} 1.8`, `bearhug_growth_points{feature="presence",of="cpu"} 21`,
		`bearhug_growth_exponent{feature="presence",of="sent"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	if strings.Contains(text, "stream") {
		t.Errorf("what is not known is told:\n%s", text)
	}
	if b.scraped.IsZero() {
		t.Error("nobody notes that it was asked for")
	}
	b.history[0].at = time.Now().Add(-3 * growthEvery)
	if text := page(); text != "" {
		t.Errorf("of old:\n%s", text)
	}
}
