package insight

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// ENPS is the employee net promoter score: the share of 9 and 10 less the
// share of 0 to 6, in points from -100 to 100.
type ENPS struct {
	Score      int // rounded to the nearest point, halves away from zero; 0 if N is 0
	Promoters  int // people who answered 9 or 10
	Passives   int // 7 or 8
	Detractors int // 0 to 6
	N          int
}

// ENPSOf computes it from people by answer, as Cell.Counts has them. Answers
// outside 0 … 10 do not count. The rounding is of the exact difference, never
// of the shares: 1 promoter and 1 detractor of 3 are 0, not 33 - 33.
func ENPSOf(counts map[int]int) ENPS {
	var e ENPS
	for v, n := range counts {
		switch {
		case v < 0 || v > 10 || n < 0:
			continue
		case v >= 9:
			e.Promoters += n
		case v >= 7:
			e.Passives += n
		default:
			e.Detractors += n
		}
		e.N += n
	}
	if e.N > 0 {
		e.Score = int(math.Round(100 * float64(e.Promoters-e.Detractors) / float64(e.N)))
	}
	return e
}

// Mood is the average of a mood question.
type Mood struct {
	Mean  float64 // on the question's scale
	Index int     // the same from 0 (all at the lowest) to 100, rounded
	N     int
}

// MoodOf averages people by answer on a scale from least to most; answers
// outside the scale do not count.
func MoodOf(counts map[int]int, least, most int) Mood {
	sum, n := 0, 0
	for v, people := range counts {
		if v >= least && v <= most && people > 0 {
			sum += v * people
			n += people
		}
	}
	if n == 0 {
		return Mood{}
	}
	m := Mood{Mean: float64(sum) / float64(n), N: n}
	if most > least {
		m.Index = int(math.Round(100 * (m.Mean - float64(least)) / float64(most-least)))
	}
	return m
}

// Participation is how many of those who were invited did what.
type Participation struct {
	Invited, Began, Finished int
	Percent                  int // that began, of those invited; rounded
	FinishedPercent          int // that finished, of those who began; rounded
}

// ParticipationOf computes the shares; nobody invited is 0 %.
func ParticipationOf(invited, began, finished int) Participation {
	return Participation{invited, began, finished, percent(began, invited), percent(finished, began)}
}

func percent(part, whole int) int {
	if whole <= 0 {
		return 0
	}
	return int(math.Round(100 * float64(part) / float64(whole)))
}

// Quantiles are those of durations at the shares q, 0 … 1 (0.5 is the median),
// with straight lines between neighbours; nil without durations.
func Quantiles(times []time.Duration, q ...float64) []time.Duration {
	if len(times) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(times))
	out := make([]time.Duration, len(q))
	for i, share := range q {
		at := max(0, min(1, share)) * float64(len(s)-1)
		low := int(at)
		high := min(low+1, len(s)-1)
		out[i] = s[low] + time.Duration(math.Round((at-float64(low))*float64(s[high]-s[low])))
	}
	return out
}

// MinDrivers is the least number of people of whom a connection is told.
const MinDrivers = 30

// Driver is how a question goes along with an outcome (eNPS, mood). It is a
// correlation: it does not say that one makes the other.
type Driver struct {
	Question  string
	N         int     // people who answered both
	R         float64 // Spearman's rank correlation, -1 … 1; 0 if it is not told
	Low, High float64 // where R is in 95 of 100 cases, for all questions together
	Clear     bool    // Low and High are on the same side of 0
	Text      string  // in a sentence, with n
}

// Drivers compares every question with the outcome. A row is one person's
// numbers by question. The strongest clear ones come first, then the others,
// then those with fewer than MinDrivers people, of which nothing is told.
// With k questions the interval is widened as if k were tried (Bonferroni),
// as somebody who looks at many finds something.
func Drivers(outcome string, rows []map[string]float64) []Driver {
	names := map[string]bool{}
	for _, r := range rows {
		for q := range r {
			if q != outcome {
				names[q] = true
			}
		}
	}
	z := quantileNormal(1 - 0.025/float64(max(1, len(names))))
	out := make([]Driver, 0, len(names))
	for q := range names {
		out = append(out, driver(outcome, q, rows, z))
	}
	slices.SortFunc(out, func(a, b Driver) int {
		if a.Clear != b.Clear {
			if a.Clear {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(math.Abs(b.R), math.Abs(a.R)), cmp.Compare(b.N, a.N), cmp.Compare(a.Question, b.Question))
	})
	return out
}

func driver(outcome, q string, rows []map[string]float64, z float64) Driver {
	var x, y []float64
	for _, r := range rows {
		a, okA := r[q]
		b, okB := r[outcome]
		if okA && okB && !math.IsNaN(a) && !math.IsNaN(b) {
			x, y = append(x, a), append(y, b)
		}
	}
	d := Driver{Question: q, N: len(x)}
	if d.N < MinDrivers {
		d.Text = fmt.Sprintf("n %d: at least %d answers to both are needed", d.N, MinDrivers)
		return d
	}
	r, ok := pearson(ranks(x), ranks(y))
	if !ok {
		d.Text = fmt.Sprintf("n %d: everybody answered the same", d.N)
		return d
	}
	d.R = r
	// Fisher's transformation, with the spread for ranks (Bonett and Wright).
	spread := z * math.Sqrt((1+r*r/2)/float64(d.N-3))
	f := math.Atanh(max(-0.9999, min(0.9999, r)))
	d.Low, d.High = math.Tanh(f-spread), math.Tanh(f+spread)
	d.Clear = d.Low > 0 || d.High < 0
	switch {
	case !d.Clear:
		d.Text = fmt.Sprintf("n %d: no clear connection with %s", d.N, outcome)
	case r > 0:
		d.Text = fmt.Sprintf("n %d: who answers higher here tends to answer higher at %s", d.N, outcome)
	default:
		d.Text = fmt.Sprintf("n %d: who answers higher here tends to answer lower at %s", d.N, outcome)
	}
	return d
}

// ranks are the places in order; equal values share the mean of theirs.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	out := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			out[order[k]] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// pearson is the correlation; not ok if one of them never changes.
func pearson(x, y []float64) (float64, bool) {
	n := float64(len(x))
	var sx, sy float64
	for i := range x {
		sx += x[i]
		sy += y[i]
	}
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-sx/n, y[i]-sy/n
		xx += dx * dx
		yy += dy * dy
		xy += dx * dy
	}
	if xx == 0 || yy == 0 {
		return 0, false
	}
	return xy / math.Sqrt(xx*yy), true
}

// quantileNormal is where a share p of the normal distribution lies below.
func quantileNormal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Comment is a free text as it may be shown in an anonymous campaign.
type Comment struct {
	Text string
	Week string // the Monday of its week in UTC, 2006-01-02
}

// Said is a free text with the moment it was written.
type Said struct {
	Person Pseudonym
	Text   string
	At     time.Time
}

// Comments are the texts of the people that a cell counts (Register.Members of
// the text question, asked with the Guard like any other), without who and
// when: shuffled, and dated by the week. The same order twice would tell as
// much as the order of arrival, so shuffle is a new one each time.
func Comments(all []Said, members []Pseudonym, shuffle *rand.Rand) []Comment {
	in := make(map[Pseudonym]bool, len(members))
	for _, m := range members {
		in[m] = true
	}
	var out []Comment
	for _, s := range all {
		if in[s.Person] && s.Text != "" {
			at := s.At.UTC()
			monday := at.AddDate(0, 0, -(int(at.Weekday())+6)%7)
			out = append(out, Comment{s.Text, monday.Format(time.DateOnly)})
		}
	}
	shuffle.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
