package insight

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Severity orders what people have to look at.
type Severity int

// The severities, and the time within which a person looks: see RiskRules.Due.
const (
	Watch  Severity = iota + 1 // something to talk about
	Soon                       // somebody should talk with this person
	Urgent                     // somebody has to act now
)

func (s Severity) String() string {
	return [...]string{"none", "watch", "soon", "urgent"}[max(0, min(3, int(s)))]
}

// Risk is a reason to open a case. It repeats what the person has said and
// never names an illness: what it means is for the one who talks with them.
type Risk struct {
	Rule     string        // "crisis", "low mood", "falling mood", "negative text", "low eNPS"
	Reason   string        // for people, with the answer or the words
	Severity Severity      //
	Due      time.Duration // from the answer: proposed time to act
}

// MoodAnswer is an answer to a mood question.
type MoodAnswer struct {
	At          time.Time
	Value       int
	Least, Most int // of the scale
}

// share is where the answer lies on its scale, 0 … 1.
func (m MoodAnswer) share() float64 {
	if m.Most <= m.Least {
		return 0.5
	}
	return max(0, min(1, float64(m.Value-m.Least)/float64(m.Most-m.Least)))
}

// Told is what one person has said up to now, the newest included.
type Told struct {
	Moods     []MoodAnswer // in any order
	ENPS      *int         // the newest, 0 … 10
	Sentiment *Sentiment   // of the newest free text
	Hits      []Hit        // of the newest free text
}

// RiskRules are the limits; clinicians and organisations set their own.
type RiskRules struct {
	LowMood  float64                    // share of the scale; at or below it is low
	Fall     float64                    // share of the scale by which the mood falls below its usual
	Strong   float64                    // sentiment at or below it is strongly negative
	LowENPS  int                        // at or below it, together with a negative text
	Due      map[Severity]time.Duration // time to act
	MinMoods int                        // earlier answers that make a "usual"
}

// DefaultRiskRules: the lowest fifth of a scale is low, a fall of three tenths
// below the usual of at least three answers is a fall.
func DefaultRiskRules() RiskRules {
	return RiskRules{LowMood: 0.2, Fall: 0.3, Strong: -0.6, LowENPS: 4, MinMoods: 3,
		Due: map[Severity]time.Duration{Urgent: time.Hour, Soon: 24 * time.Hour, Watch: 7 * 24 * time.Hour}}
}

// Of gives the risks in what a person has told, the most severe first.
func (r RiskRules) Of(t Told) []Risk {
	var out []Risk
	add := func(rule string, s Severity, format string, args ...any) {
		out = append(out, Risk{rule, fmt.Sprintf(format, args...), s, r.Due[s]})
	}
	if len(t.Hits) > 0 {
		var words []string
		for _, h := range t.Hits {
			if w := fmt.Sprintf("%q", h.Words); !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
		add("crisis", Urgent, "the text speaks of %s, read it now: %s", kinds(t.Hits), strings.Join(words[:min(3, len(words))], ", "))
	}
	r.moods(t.Moods, add)
	if s := t.Sentiment; s != nil && s.Score <= r.Strong {
		add("negative text", Soon, "the text is strongly negative (%.2f): %s", s.Score, negative(s.Reasons))
	}
	if t.ENPS != nil && *t.ENPS <= r.LowENPS && t.Sentiment != nil && t.Sentiment.Label == Negative {
		add("low eNPS", Watch, "would recommend with %d of 10, and the text is negative: %s", *t.ENPS, negative(t.Sentiment.Reasons))
	}
	slices.SortStableFunc(out, func(a, b Risk) int { return int(b.Severity - a.Severity) })
	return out
}

// moods looks at the newest mood, alone and against the usual one.
func (r RiskRules) moods(moods []MoodAnswer, add func(string, Severity, string, ...any)) {
	if len(moods) == 0 {
		return
	}
	m := slices.SortedStableFunc(slices.Values(moods), func(a, b MoodAnswer) int { return a.At.Compare(b.At) })
	last := m[len(m)-1]
	if last.share() <= r.LowMood {
		s, again := Soon, 1
		for i := len(m) - 2; i >= 0 && m[i].share() <= r.LowMood; i-- {
			again++
		}
		if again > 1 {
			add("low mood", s, "mood %d on a scale of %d to %d, low for the %d. time in a row", last.Value, last.Least, last.Most, again)
		} else {
			add("low mood", s, "mood %d on a scale of %d to %d", last.Value, last.Least, last.Most)
		}
	}
	earlier := m[max(0, len(m)-7) : len(m)-1]
	if len(earlier) < r.MinMoods {
		return
	}
	shares := make([]float64, len(earlier))
	for i, e := range earlier {
		shares[i] = e.share()
	}
	slices.Sort(shares)
	usual := (shares[(len(shares)-1)/2] + shares[len(shares)/2]) / 2
	if fall := usual - last.share(); fall >= r.Fall-1e-9 {
		add("falling mood", Soon, "mood %d, usually about %.1f on a scale of %d to %d (%d answers before)",
			last.Value, float64(last.Least)+usual*float64(last.Most-last.Least), last.Least, last.Most, len(earlier))
		return
	}
	if n := falls(m); n >= 3 && m[len(m)-1-n].share()-last.share() >= r.Fall-1e-9 {
		add("falling mood", Watch, "mood lower each time, %d times in a row, now %d on a scale of %d to %d", n, last.Value, last.Least, last.Most)
	}
}

// falls is how many times in a row, up to the newest, the mood was lower than
// before.
func falls(m []MoodAnswer) int {
	n := 0
	for i := len(m) - 1; i > 0 && m[i].share() < m[i-1].share(); i-- {
		n++
	}
	return n
}

// kinds names what the hits are about, each once.
func kinds(hits []Hit) string {
	var out []string
	for _, h := range hits {
		if !slices.Contains(out, string(h.Kind)) {
			out = append(out, string(h.Kind))
		}
	}
	return strings.Join(out, " and ")
}

// negative are the words that pull a text down.
func negative(reasons []Reason) string {
	var out []string
	for _, r := range reasons {
		if r.Weight < 0 && len(out) < 4 {
			out = append(out, fmt.Sprintf("%q %.1f", r.Word, math.Round(r.Weight*10)/10))
		}
	}
	if len(out) == 0 {
		return "no single word"
	}
	return strings.Join(out, ", ")
}
