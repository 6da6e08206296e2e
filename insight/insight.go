// Package insight says what answers say: their language, their sentiment with
// reasons, words of crisis, risk, the scores of a campaign, and which of these
// may be shown without pointing at a person.
//
// It is pure: no I/O, no clock, no state but tables that never change. Layout:
// text.go (words out of a text), language.go, lexicon.go and english.go (the
// scorers), crisis.go and rule.go, risk.go, stats.go, guard.go and span.go
// (anonymity). How well it does it, and where it ends: docs/insight.md.
// There are no locks; every value may be used by many goroutines at once.
package insight

import (
	"context"
	"errors"
	"math"
	"slices"
)

// Label is a sentiment in a word.
type Label string

// The labels.
const (
	Positive Label = "positive"
	Neutral  Label = "neutral"
	Negative Label = "negative"
)

// ErrLanguage: the text is in no language that the scorer knows. Such a text
// has no sentiment, which is not the same as a neutral one.
var ErrLanguage = errors.New("no sentiment: the text is in none of the languages en, de and nl")

// Reason is a word or phrase of the text and what it adds to the score: the
// weights are on the lexicons' scale, about -6 … 6, before they are added up
// and bent to -1 … 1.
type Reason struct {
	Word   string  `json:"word"`
	Weight float64 `json:"weight"`
}

// Sentiment is what a text sounds like. It is about the text, not a state of
// the person.
type Sentiment struct {
	Score    float64  `json:"score"` // -1 … 1
	Label    Label    `json:"label"`
	Language string   `json:"language"` // the language it was read in: en, de, nl
	Reasons  []Reason `json:"reasons,omitempty"`
}

// Scorer gives a text its sentiment. Lexicons is the one that is built in;
// one that asks a model over HTTP fits the same place. The language is a hint
// ("de", "de-AT", ""); a Scorer that is surer than the hint goes its own way
// and says so in Sentiment.Language.
type Scorer interface {
	Score(ctx context.Context, language, text string) (Sentiment, error)
}

const (
	maxScored  = 8 << 10 // bytes of a text that are scored; the rest is not looked at
	maxReasons = 12
	alpha      = 15 // of the curve, as VADER has it
)

// bend maps a sum of weights to -1 … 1.
func bend(sum float64) float64 { return sum / math.Sqrt(sum*sum+alpha) }

// unbend is its inverse.
func unbend(score float64) float64 {
	score = max(-0.9999, min(0.9999, score))
	return score * math.Sqrt(alpha/(1-score*score))
}

// LabelOf is the label of a score: positive from 0.2, negative from -0.2.
func LabelOf(score float64) Label {
	switch {
	case score >= 0.2:
		return Positive
	case score <= -0.2:
		return Negative
	}
	return Neutral
}

// sentiment puts the sums of a text's sentences together. The sum of many
// sentences is damped, so that a long text is not extreme for being long.
func sentiment(language string, sums []float64, reasons []Reason) Sentiment {
	total, telling := 0.0, 0
	for _, s := range sums {
		total += s
		if s != 0 {
			telling++
		}
	}
	if telling > 1 {
		total /= math.Sqrt(float64(telling))
	}
	score := math.Round(bend(total)*1000) / 1000
	return Sentiment{Score: score, Label: LabelOf(score), Language: language, Reasons: strongest(reasons)}
}

// strongest are the reasons that weigh most, in order.
func strongest(reasons []Reason) []Reason {
	slices.SortStableFunc(reasons, func(a, b Reason) int {
		switch x, y := math.Abs(a.Weight), math.Abs(b.Weight); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	if len(reasons) > maxReasons {
		reasons = reasons[:maxReasons]
	}
	for i := range reasons {
		reasons[i].Weight = math.Round(reasons[i].Weight*100) / 100
	}
	return reasons
}
