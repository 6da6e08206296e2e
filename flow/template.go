package flow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A template is a text with places for what is known: {{name}},
// {{answer.why}}, {{attribute.team}}, {{helplines}}, each with words to use
// when it is not known: {{name|there}}.
type template struct {
	source string
	pieces []piece
}

// A piece is words, or a place and the words for when it is empty.
type piece struct {
	words string
	place reference // of no group: words only
}

// Groups of references.
const (
	groupAnswer    = "answer"
	groupAnswered  = "answered"
	groupScore     = "score"
	groupSentiment = "sentiment"
	groupAttribute = "attribute"
	groupKnown     = "known"
	groupName      = "name"
	groupHelplines = "helplines"
)

// maxFallback bounds what stands behind the bar, in characters.
const maxFallback = 60

// parseTemplate takes a text apart. check says what is wrong with a place.
func parseTemplate(source string, check func(reference) string) (template, []string) {
	t := template{source: source}
	var wrong []string
	rest := source
	for rest != "" {
		words, after, found := strings.Cut(rest, "{{")
		if strings.Contains(words, "}}") {
			wrong = append(wrong, "“}}” closes nothing: write “{{” before the field")
		}
		if words != "" {
			t.pieces = append(t.pieces, piece{words: words})
		}
		if !found {
			break
		}
		inside, end, closed := strings.Cut(after, "}}")
		if !closed {
			wrong = append(wrong, "“{{” is not closed: write “}}” after the field")
			break
		}
		rest = end
		name, fallback, _ := strings.Cut(inside, "|")
		p := piece{words: strings.TrimSpace(fallback), place: reference{group: strings.TrimSpace(name)}}
		if group, field, dotted := strings.Cut(p.place.group, "."); dotted {
			p.place = reference{group, field}
		}
		if utf8.RuneCountInString(p.words) > maxFallback {
			wrong = append(wrong, fmt.Sprintf("the words behind the bar in {{%s|…}} have more than %d characters", p.place, maxFallback))
		}
		if w := check(p.place); w != "" {
			wrong = append(wrong, w)
		}
		t.pieces = append(t.pieces, p)
	}
	return t, wrong
}

func (r reference) String() string {
	if r.name == "" {
		return r.group
	}
	return r.group + "." + r.name
}

// render fills the places. An empty one without other words takes the blank
// before it along: "Hi {{name}}," becomes "Hi,".
func (t template) render(value func(reference) string) string {
	if len(t.pieces) == 1 && t.pieces[0].place.group == "" {
		return t.pieces[0].words
	}
	var b strings.Builder
	for _, p := range t.pieces {
		if p.place.group == "" {
			words := p.words
			if b.Len() == 0 {
				words = strings.TrimLeft(words, " ")
			}
			b.WriteString(words)
			continue
		}
		v := value(p.place)
		if v == "" {
			v = p.words
		}
		if v == "" {
			soFar := strings.TrimRight(b.String(), " ")
			b.Reset()
			b.WriteString(soFar)
		}
		b.WriteString(v)
	}
	return b.String()
}
