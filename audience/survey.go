package audience

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// maxSamples is how many samples a survey takes at most.
const maxSamples = 100

// Survey is what a rule finds among people.
type Survey struct {
	People  int   `json:"people"`
	Matched int   `json:"matched"`
	Samples []int `json:"samples"` // places of some who are meant, spread evenly by chance
	// Parts are the conditions that and joins, each alone, when the whole finds
	// nobody: the one with 0 is likely the mistake.
	Parts []Part `json:"parts,omitempty"`
}

// Part is a condition of a rule, and how many it finds alone.
type Part struct {
	Text    string `json:"text"`
	Matched int    `json:"matched"`
}

// Survey counts whom the rule means among n people on a day and takes up to
// some samples, the same each time. Get gives an attribute of person i, see
// [Matcher.Match].
func (r *Rule) Survey(now time.Time, n int, get func(i int, field string) any, samples int) (Survey, error) {
	s := Survey{People: n, Samples: []int{}}
	samples = min(samples, maxSamples)
	random := rand.New(rand.NewPCG(uint64(n), 1))
	m := r.Matcher(now)
	for i := range n {
		yes, err := m.Match(func(field string) any { return get(i, field) })
		if err != nil {
			return Survey{}, err
		}
		if !yes {
			continue
		}
		// Each who is meant is as likely a sample as any other.
		if s.Matched++; len(s.Samples) < samples {
			s.Samples = append(s.Samples, i)
		} else if k := random.IntN(s.Matched); k < samples {
			s.Samples[k] = i
		}
	}
	if s.Matched > 0 || n == 0 || len(r.parts) < 2 || len(r.parts) > 10 {
		return s, nil
	}
	for _, text := range r.parts {
		part, err := Compile(text, r.all)
		if err != nil {
			continue // printed in a way that does not read back: no part
		}
		count, m := 0, part.Matcher(now)
		for i := range n {
			if yes, err := m.Match(func(field string) any { return get(i, field) }); err == nil && yes {
				count++
			}
		}
		s.Parts = append(s.Parts, Part{text, count})
	}
	return s, nil
}

// Doubt asks back where a rule means nobody or everybody, in words with the
// number that is to be confirmed; "" if it means some.
func (s Survey) Doubt() string {
	switch s.Matched {
	case 0:
		text := fmt.Sprintf("the rule means nobody of %s people", thousands(s.People))
		for _, p := range s.Parts {
			if p.Matched == 0 {
				return text + ": nobody has " + clip(p.Text)
			}
		}
		return text
	case s.People:
		return fmt.Sprintf("the rule means everybody: confirm with the number %d", s.People)
	}
	return ""
}

// thousands is 30,000.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
