package calendar

import (
	"errors"
	"fmt"
	"math"
)

// Arm is a variant of an A/B trial and what it brought. Asked counts only
// people whose answer is known: they answered, or their time to do so is over.
type Arm struct {
	Name     string `json:"name"`
	Asked    int    `json:"asked"`
	Answered int    `json:"answered"`
}

// Trial is an A/B trial as a value that is kept: what was planned before, and
// what came out. It is decided once, at the first look at which every arm has
// the planned number, and never again: whoever looks at a significance test
// after each answer finds a winner among equals sooner or later.
type Trial struct {
	Planned int     `json:"planned"` // people of each arm, see PlannedSize
	Level   float64 `json:"level"`   // chance to name a winner among equals, 0.001 to 0.2; 0 is 0.05
	Decided bool    `json:"decided"`
	Winner  string  `json:"winner,omitempty"`  // "" when decided: no difference was found
	P       float64 `json:"p,omitempty"`       // of the best arm against the next, as decided
	Verdict string  `json:"verdict,omitempty"` // in words
}

const (
	defaultLevel = 0.05
	maxArms      = 5
	maxPlanned   = 1000000
)

// Validate refuses a plan that decides nothing.
func (t Trial) Validate() error {
	switch {
	case t.Planned < 10 || t.Planned > maxPlanned:
		return fmt.Errorf("an A/B trial is planned for 10 to %d people of each variant, not %d", maxPlanned, t.Planned)
	case t.Level != 0 && !(t.Level >= 0.001 && t.Level <= 0.2):
		return errors.New("the level of an A/B trial is 0.001 to 0.2")
	}
	return nil
}

// Look gives the trial after a look at its arms, two to five. Before the
// planned number Verdict says how many there are; after the decision nothing
// changes any more. A winner is better than each other arm, by Fisher's exact
// test where numbers are small and by the test of two proportions where every
// expected count is at least ten. The level is divided by half the number of
// arms: a false winner must beat one that is as good, which each of k arms does
// with at most half the level of a pair.
func (t Trial) Look(arms []Arm) (Trial, error) {
	if err := t.Validate(); err != nil {
		return t, err
	}
	if t.Decided {
		return t, nil
	}
	if len(arms) < 2 || len(arms) > maxArms {
		return t, fmt.Errorf("an A/B trial has 2 to %d variants, not %d", maxArms, len(arms))
	}
	least, best := arms[0].Asked, 0
	for i, a := range arms {
		if a.Asked < 0 || a.Answered < 0 || a.Answered > a.Asked {
			return t, fmt.Errorf("variant %s has %d answers of %d", clip(a.Name), a.Answered, a.Asked)
		}
		least = min(least, a.Asked)
		// a.Answered/a.Asked > best's, in whole numbers.
		if int64(a.Answered)*int64(arms[best].Asked) > int64(arms[best].Answered)*int64(a.Asked) {
			best = i
		}
	}
	if least < t.Planned {
		t.Verdict = fmt.Sprintf("not enough answers yet: %d of %d of each variant answered or had their time", least, t.Planned)
		return t, nil
	}
	level := t.Level
	if level == 0 {
		level = defaultLevel
	}
	level *= 2 / float64(len(arms))
	t.Decided, t.P = true, 0
	next := -1
	for i, a := range arms {
		if i == best {
			continue
		}
		if p := PValue(arms[best], a); p >= t.P {
			t.P, next = p, i
		}
	}
	b, n := arms[best], arms[next]
	figures := fmt.Sprintf("%s %s, %s %s, p = %.3g", clip(b.Name), share(b), clip(n.Name), share(n), t.P)
	if t.P < level {
		t.Winner = b.Name
		t.Verdict = fmt.Sprintf("%s is better: %s", clip(b.Name), figures)
	} else {
		t.Verdict = fmt.Sprintf("no difference was found: %s is not below %.3g", figures, level)
	}
	return t, nil
}

func share(a Arm) string {
	return fmt.Sprintf("%.1f %% (%d of %d)", 100*float64(a.Answered)/float64(max(1, a.Asked)), a.Answered, a.Asked)
}

// PValue is the two-sided chance of a difference at least as great between two
// arms that are alike: Fisher's exact test if any expected count is below ten,
// else the test of two proportions with a common one.
func PValue(a, b Arm) float64 {
	n, yes := float64(a.Asked+b.Asked), float64(a.Answered+b.Answered)
	if a.Asked <= 0 || b.Asked <= 0 || yes == 0 || yes == n {
		return 1
	}
	few := math.Min(float64(a.Asked), float64(b.Asked)) * math.Min(yes, n-yes) / n
	if few < 10 {
		return fisher(a, b)
	}
	p := yes / n
	z := (float64(a.Answered)/float64(a.Asked) - float64(b.Answered)/float64(b.Asked)) /
		math.Sqrt(p*(1-p)*(1/float64(a.Asked)+1/float64(b.Asked)))
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

// fisher sums the chances of all tables with the same margins that are not
// more likely than this one.
func fisher(a, b Arm) float64 {
	yes := a.Answered + b.Answered
	low, high := max(0, yes-b.Asked), min(yes, a.Asked)
	whole := choose(a.Asked+b.Asked, yes)
	chance := func(k int) float64 { return math.Exp(choose(a.Asked, k) + choose(b.Asked, yes-k) - whole) }
	// Equal up to rounding is equal.
	own, sum := chance(a.Answered)*(1+1e-7), 0.0
	for k := low; k <= high; k++ {
		if c := chance(k); c <= own {
			sum += c
		}
	}
	return math.Min(1, sum)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// PlannedSize is how many people of each variant a trial needs to find a share
// of answers that rises from one to another, four times in five, at a level
// (0 is 0.05).
func PlannedSize(from, to, level float64) (int, error) {
	if level == 0 {
		level = defaultLevel
	}
	if !(from > 0 && from < 1 && to > 0 && to < 1) || from == to || !(level >= 0.001 && level <= 0.2) {
		return 0, errors.New("give two different shares between 0 and 1 and a level of 0.001 to 0.2")
	}
	const power = 0.8416212335729143 // quantile of 80 %
	z := math.Sqrt2 * math.Erfinv(1-level)
	mean := (from + to) / 2
	root := z*math.Sqrt(2*mean*(1-mean)) + power*math.Sqrt(from*(1-from)+to*(1-to))
	n := math.Ceil(root * root / ((to - from) * (to - from)))
	if n > maxPlanned {
		return 0, fmt.Errorf("that difference is too small to find with %d people of each variant", maxPlanned)
	}
	return max(10, int(n)), nil
}
