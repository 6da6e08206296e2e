package insight_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/insight"
)

func TestENPS(t *testing.T) {
	for _, c := range []struct {
		counts map[int]int
		want   insight.ENPS
	}{
		{nil, insight.ENPS{}},
		{map[int]int{10: 1, 8: 1, 0: 1}, insight.ENPS{Score: 0, Promoters: 1, Passives: 1, Detractors: 1, N: 3}},
		{map[int]int{9: 2, 7: 1}, insight.ENPS{Score: 67, Promoters: 2, Passives: 1, N: 3}},
		{map[int]int{6: 2, 7: 1}, insight.ENPS{Score: -67, Passives: 1, Detractors: 2, N: 3}},
		{map[int]int{9: 1, 8: 7}, insight.ENPS{Score: 13, Promoters: 1, Passives: 7, N: 8}},   // 12.5
		{map[int]int{6: 1, 8: 7}, insight.ENPS{Score: -13, Passives: 7, Detractors: 1, N: 8}}, // -12.5
		{map[int]int{11: 4, -1: 2, 10: 1}, insight.ENPS{Score: 100, Promoters: 1, N: 1}},      // off the scale
	} {
		if got := insight.ENPSOf(c.counts); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.counts, got, c.want)
		}
	}
}

func TestMoodAndParticipation(t *testing.T) {
	if got, want := insight.MoodOf(map[int]int{1: 1, 5: 3, 9: 4}, 1, 5), (insight.Mood{Mean: 4, Index: 75, N: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := insight.MoodOf(nil, 1, 5); got != (insight.Mood{}) {
		t.Errorf("nobody: got %+v", got)
	}
	if got, want := insight.ParticipationOf(30000, 22500, 20001), (insight.Participation{Invited: 30000, Began: 22500, Finished: 20001, Percent: 75, FinishedPercent: 89}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := insight.ParticipationOf(0, 0, 0); got.Percent != 0 || got.FinishedPercent != 0 {
		t.Errorf("nobody invited: %+v", got)
	}
}

func TestQuantiles(t *testing.T) {
	times := []time.Duration{40 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second}
	if got, want := insight.Quantiles(times, 0, 0.5, 0.9, 1), []time.Duration{10 * time.Second, 25 * time.Second, 37 * time.Second, 40 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := insight.Quantiles(nil, 0.5); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

// TestDrivers: a made-up connection is found with its sign, noise is not, and
// of few people nothing is told.
func TestDrivers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var rows []map[string]float64
	for i := range 200 {
		base := rnd.NormFloat64()
		row := map[string]float64{"enps": math.Round(6 + 2*base), "recognition": math.Round(3 + base + rnd.NormFloat64()/2), "workload": math.Round(3 - base + rnd.NormFloat64()), "canteen": float64(rnd.IntN(5)), "same": 3}
		if i < 20 {
			row["rare"] = row["enps"]
		}
		rows = append(rows, row)
	}
	got := insight.Drivers("enps", rows)
	by := map[string]insight.Driver{}
	for _, d := range got {
		by[d.Question] = d
		if d.R < d.Low || d.R > d.High {
			t.Errorf("%+v: the interval does not have the value", d)
		}
	}
	if d := by["recognition"]; !d.Clear || d.R < 0.6 || got[0].Question != "recognition" {
		t.Errorf("recognition: %+v, first is %s", d, got[0].Question)
	}
	if d := by["workload"]; !d.Clear || d.R > -0.4 || !strings.Contains(d.Text, "lower") {
		t.Errorf("workload: %+v", d)
	}
	if d := by["canteen"]; d.Clear {
		t.Errorf("canteen: %+v", d)
	}
	if d := by["rare"]; d.R != 0 || d.Clear || d.Text != "n 20: at least 30 answers to both are needed" {
		t.Errorf("rare: %+v", d)
	}
	if d := by["same"]; d.Clear || !strings.Contains(d.Text, "the same") {
		t.Errorf("same: %+v", d)
	}
	// Of forty questions that are noise, hardly any may look clear.
	clear := 0
	for range 25 {
		var noise []map[string]float64
		for range 60 {
			row := map[string]float64{"enps": float64(rnd.IntN(11))}
			for q := range 40 {
				row[string(rune('a'+q))] = float64(rnd.IntN(5))
			}
			noise = append(noise, row)
		}
		for _, d := range insight.Drivers("enps", noise) {
			if d.Clear {
				clear++
				break
			}
		}
	}
	if clear > 4 {
		t.Errorf("noise looked like a driver in %d of 25 campaigns, want about 1", clear)
	}
}

func TestComments(t *testing.T) {
	at := func(d int) time.Time { return time.Date(2026, 11, d, 23, 30, 0, 0, time.UTC) }
	all := []insight.Said{{pseudonym(1), "a", at(16)}, {pseudonym(2), "b", at(22)}, {pseudonym(3), "c", at(23)}, {pseudonym(4), "", at(23)}, {pseudonym(9), "not counted", at(23)}}
	orders := map[string]bool{}
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		order := ""
		got := insight.Comments(all, []insight.Pseudonym{pseudonym(1), pseudonym(2), pseudonym(3), pseudonym(4)}, rnd)
		for _, c := range got {
			order += c.Text
			if want := map[string]string{"a": "2026-11-16", "b": "2026-11-16", "c": "2026-11-23"}[c.Text]; c.Week != want {
				t.Fatalf("%s: week %s, want %s", c.Text, c.Week, want)
			}
		}
		if len(got) != 3 {
			t.Fatalf("got %v", got)
		}
		orders[order] = true
	}
	if len(orders) != 6 {
		t.Errorf("%d orders of three comments in 50 shuffles, want 6", len(orders))
	}
}

func TestRisk(t *testing.T) {
	day := func(n int, v int) insight.MoodAnswer {
		return insight.MoodAnswer{At: time.Date(2026, 11, n, 9, 0, 0, 0, time.UTC), Value: v, Least: 1, Most: 5}
	}
	ten := func(n int, v int) insight.MoodAnswer {
		m := day(n, v)
		m.Most = 10
		return m
	}
	two := 2
	bad := &insight.Sentiment{Score: -0.72, Label: insight.Negative, Reasons: []insight.Reason{{Word: "exhausted", Weight: -2.4}, {Word: "nice", Weight: 1.2}}}
	mild := &insight.Sentiment{Score: -0.3, Label: insight.Negative, Reasons: []insight.Reason{{Word: "slow", Weight: -1.2}}}
	rules := insight.DefaultRiskRules()
	for _, c := range []struct {
		name string
		told insight.Told
		want []string // rule severity reason
	}{
		{"nothing", insight.Told{}, nil},
		{"a good mood", insight.Told{Moods: []insight.MoodAnswer{day(1, 4)}}, nil},
		{"low", insight.Told{Moods: []insight.MoodAnswer{day(1, 1)}}, []string{"low mood soon mood 1 on a scale of 1 to 5"}},
		{"low again", insight.Told{Moods: []insight.MoodAnswer{day(2, 1), day(1, 1)}}, []string{"low mood soon mood 1 on a scale of 1 to 5, low for the 2. time in a row"}},
		{"a fall", insight.Told{Moods: []insight.MoodAnswer{day(4, 2), day(1, 4), day(2, 4), day(3, 5)}}, []string{"falling mood soon mood 2, usually about 4.0 on a scale of 1 to 5 (3 answers before)"}},
		{"too few to know the usual", insight.Told{Moods: []insight.MoodAnswer{day(1, 5), day(2, 2)}}, nil},
		{"step by step", insight.Told{Moods: []insight.MoodAnswer{day(1, 5), day(2, 5), day(3, 4), day(4, 4), day(5, 4)}}, nil},
		{"a little lower each time", insight.Told{Moods: []insight.MoodAnswer{ten(1, 8), ten(2, 7), ten(3, 6), ten(4, 5)}}, []string{"falling mood watch mood lower each time, 3 times in a row, now 5 on a scale of 1 to 10"}},
		{"strong words", insight.Told{Sentiment: bad}, []string{`negative text soon the text is strongly negative (-0.72): "exhausted" -2.4`}},
		{"eNPS with words", insight.Told{ENPS: &two, Sentiment: mild}, []string{`low eNPS watch would recommend with 2 of 10, and the text is negative: "slow" -1.2`}},
		{"eNPS alone", insight.Told{ENPS: &two}, nil},
		{"crisis first", insight.Told{Moods: []insight.MoodAnswer{day(1, 1)}, Hits: insight.Crisis("I want to kill myself")}, []string{"crisis urgent the text speaks of suicide, read it now:", "low mood soon"}},
	} {
		got := rules.Of(c.told)
		if len(got) != len(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			continue
		}
		for i, r := range got {
			if text := r.Rule + " " + r.Severity.String() + " " + r.Reason; !strings.HasPrefix(text, c.want[i]) {
				t.Errorf("%s: got %q, want %q", c.name, text, c.want[i])
			}
			if r.Due != rules.Due[r.Severity] || r.Due <= 0 {
				t.Errorf("%s: due in %v", c.name, r.Due)
			}
		}
	}
}
