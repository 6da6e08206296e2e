package insight

import (
	"strings"

	"github.com/jonreiter/govader"
)

// english is VADER (Hutto and Gilbert 2014, in Go by J. Reiter) with a
// supplement of ours: lexicon/en.txt.
type english struct {
	vader   *govader.SentimentIntensityAnalyzer
	phrases map[string][][]string // of the supplement, by first word
}

func newEnglish() (*english, error) {
	e := &english{vader: govader.NewSentimentIntensityAnalyzer(), phrases: map[string][][]string{}}
	err := readEntries("en", func(entry string, weight float64) {
		if weight == 0 {
			delete(e.vader.Lexicon, entry)
		} else {
			e.vader.Lexicon[entry] = weight
		}
		if words := strings.Split(entry, "_"); len(words) > 1 {
			e.phrases[words[0]] = append(e.phrases[words[0]], words)
		}
	})
	return e, err
}

// score reads an English text sentence by sentence, as VADER was made for.
func (e *english) score(text string) Sentiment {
	text = strings.NewReplacer("’", "'", "‘", "'", "`", "'").Replace(text)
	var sums []float64
	var reasons []Reason
	for _, s := range sentences(tokens(text, "en")) {
		words := e.words(s)
		if len(words) == 0 {
			continue
		}
		sum := unbend(e.vader.PolarityScores(strings.Join(words, " ")).Compound)
		sums = append(sums, sum)
		if sum != 0 || len(words) > 1 {
			reasons = append(reasons, e.reasons(words, sum)...)
		}
	}
	return sentiment("en", sums, reasons)
}

// words are a sentence as VADER reads it: phrases of the supplement joined by
// an underscore, marks as words of their own, emoji as they are.
func (e *english) words(s []token) []string {
	var out []string
	for i := 0; i < len(s); {
		t := s[i]
		if n := e.phraseAt(s, i); n > 0 {
			parts := make([]string, 0, n)
			for _, p := range s[i : i+n] {
				parts = append(parts, p.word)
			}
			out = append(out, strings.Join(parts, "_"))
			i += n
			continue
		}
		out = append(out, t.text)
		i++
	}
	return out
}

// phraseAt is the length of the longest phrase of the supplement at s[i].
func (e *english) phraseAt(s []token, i int) int {
	best := 0
	for _, p := range e.phrases[s[i].word] {
		if len(p) <= best || i+len(p) > len(s) {
			continue
		}
		same := true
		for j, w := range p {
			same = same && s[i+j].kind == word && s[i+j].word == w
		}
		if same {
			best = len(p)
		}
	}
	return best
}

// maxLeftOut bounds the work of finding reasons: words of one sentence that
// are tried, and words of a sentence that is tried at all.
const (
	maxLeftOut  = 24
	maxSentence = 120
)

// reasons leaves out one telling word at a time: its weight is what the sum
// changes by, so negation and degree are in it.
func (e *english) reasons(words []string, sum float64) []Reason {
	if len(words) > maxSentence {
		return nil
	}
	var out []Reason
	rest := make([]string, len(words))
	for i, w := range words {
		if !e.telling(w) || len(out) == maxLeftOut {
			continue
		}
		copy(rest, words)
		rest[i] = "x"
		without := unbend(e.vader.PolarityScores(strings.Join(rest, " ")).Compound)
		if d := sum - without; d > 0.01 || d < -0.01 {
			out = append(out, Reason{strings.ReplaceAll(w, "_", " "), d})
		}
	}
	return out
}

func (e *english) telling(w string) bool {
	if _, ok := e.vader.Lexicon[strings.ToLower(w)]; ok {
		return true
	}
	_, ok := e.vader.EmojiDict[w]
	return ok
}
