package flow

import (
	"strconv"
	"strings"
)

// How the bot says things: texts with their fields filled in, questions with
// their buttons.

// say adds one of the bot's own sentences.
func (t *talk) say(phrase string) {
	if phrase == "" {
		phrase = "ended"
	}
	t.turn.Say = append(t.turn.Say, Line{Text: t.Flow.phrase(phrase, t.state.Language)})
}

// tell adds the text of a step that asks nothing.
func (t *talk) tell(s *step) {
	if text := t.textOf(s); text != "" {
		t.turn.Say = append(t.turn.Say, Line{Text: text})
	}
}

// ask adds an open question.
func (t *talk) ask(s *step) {
	t.turn.Say = append(t.turn.Say, Line{Text: t.textOf(s), Question: t.question(s)})
}

// textOf is a step's text in the conversation's language, variant and mode.
func (t *talk) textOf(s *step) string {
	texts := s.texts
	if own := s.variants[t.state.Variant]; own != nil {
		texts = own
	} else if t.state.Anonymous && s.anonymous != nil {
		texts = s.anonymous
	}
	if t.lang >= len(texts) {
		return ""
	}
	return texts[t.lang].render(t.value)
}

// value is what a field of a text says, "" if it is not known.
func (t *talk) value(r reference) string {
	switch r.group {
	case groupName:
		return t.state.Name
	case groupHelplines:
		return t.helplines()
	case groupAttribute:
		switch v := t.state.Attributes[r.name].(type) {
		case string:
			return v
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return ""
	}
	g, i := t.state.given(r.name), t.Flow.index[r.name]
	if g == nil || g.Skipped {
		return ""
	}
	if r.group == groupScore {
		if g.Score == nil {
			return ""
		}
		return strconv.Itoa(*g.Score)
	}
	return t.answered(&t.Flow.steps[i], g)
}

// answered is an answer in the words of the conversation's language.
func (t *talk) answered(s *step, g *Given) string {
	switch s.kind {
	case Text:
		return g.Text
	case Mood:
		if g.Score != nil && *g.Score >= 1 && *g.Score <= 5 {
			return t.Flow.phrase("mood_"+strconv.Itoa(*g.Score), t.state.Language)
		}
		return ""
	case Scale:
		if g.Score != nil {
			return strconv.Itoa(*g.Score)
		}
		return ""
	}
	var labels []string
	for _, o := range s.options {
		for _, v := range g.Values {
			if v == o.value && t.lang < len(o.labels) {
				labels = append(labels, o.labels[t.lang])
			}
		}
	}
	if n := len(labels); n > 1 {
		last := labels[n-2] + " " + t.Flow.phrase("and", t.state.Language) + " " + labels[n-1]
		labels = append(labels[:n-2], last)
	}
	return strings.Join(labels, ", ")
}

// fact is what a condition asks about, with there false where it is not known.
func (t *talk) fact(r reference) (value any, there bool) {
	g := t.state.given(r.name)
	answered := g != nil && !g.Skipped
	switch r.group {
	case groupAnswered:
		return answered, true
	case groupKnown:
		_, known := t.state.Attributes[r.name]
		return known, true
	case groupAttribute:
		v, known := t.state.Attributes[r.name]
		return v, known
	}
	if !answered {
		return nil, false
	}
	switch r.group {
	case groupScore:
		if g.Score == nil {
			return nil, false
		}
		return *g.Score, true
	case groupSentiment:
		if g.Sentiment == nil {
			return nil, false
		}
		return *g.Sentiment, true
	}
	switch t.Flow.steps[t.Flow.index[r.name]].kind {
	case Mood, Scale:
		if g.Score == nil {
			return nil, false
		}
		return *g.Score, true
	case Choice:
		if len(g.Values) != 1 {
			return nil, false
		}
		return g.Values[0], true
	case Multi:
		return g.Values, true
	}
	return g.Text, true
}

// maxHelplines bounds what a caller says for {{helplines}}, in characters.
const maxHelplines = 1500

func (t *talk) helplines() string {
	if t.Helplines == nil {
		return ""
	}
	lines, _ := clean(t.Helplines(t.state.Language), maxHelplines)
	return lines
}

// maxButtons is how many numbers of a scale become buttons.
const maxButtons = 11

// question is a step's question with its buttons.
func (t *talk) question(s *step) *Question {
	q := &Question{ID: s.id, Kind: s.kind, Min: s.min, Max: s.max, Optional: !s.required}
	q.Hint = t.bounds(t.Flow.phrase("hint_"+s.kind, t.state.Language), s)
	switch s.kind {
	case Mood:
		q.Options = make([]Option, 0, 7)
		for i, face := range faces {
			n := strconv.Itoa(i + 1)
			q.Options = append(q.Options, Option{n, face + " " + t.Flow.phrase("mood_"+n, t.state.Language)})
		}
	case Scale:
		if s.max-s.min < maxButtons {
			q.Options = make([]Option, 0, maxButtons+2)
			for n := s.min; n <= s.max; n++ {
				v := strconv.Itoa(n)
				q.Options = append(q.Options, Option{v, v})
			}
		}
		if t.lang < len(s.low) {
			q.Low = s.low[t.lang]
		}
		if t.lang < len(s.high) {
			q.High = s.high[t.lang]
		}
	case Choice, Multi:
		q.Options = make([]Option, 0, len(s.options)+2)
		for _, o := range s.options {
			q.Options = append(q.Options, Option{o.value, o.labels[t.lang]})
		}
	case Text:
		q.Min, q.Max = 1, s.length
	}
	if !s.required {
		q.Options = append(q.Options, t.button("skip"))
	}
	return q
}

// button is one that sends a command.
func (t *talk) button(command string) Option {
	return Option{"/" + command, t.Flow.phrase(command, t.state.Language)}
}

func (t *talk) bounds(phrase string, s *step) string {
	if !strings.Contains(phrase, "{") {
		return phrase
	}
	return strings.NewReplacer("{min}", strconv.Itoa(s.min), "{max}", strconv.Itoa(s.max)).Replace(phrase)
}

// Plain is the line for a client without buttons: the options numbered as they
// may be answered, and how to answer.
func (l Line) Plain() string {
	q := l.Question
	if q == nil {
		return l.Text
	}
	var b strings.Builder
	b.WriteString(l.Text)
	switch q.Kind {
	case Mood:
		for _, o := range q.Options {
			if !strings.HasPrefix(o.Value, "/") {
				b.WriteString("\n" + o.Value + "  " + o.Label)
			}
		}
	case Choice, Multi:
		n := 0
		for _, o := range q.Options {
			if !strings.HasPrefix(o.Value, "/") {
				n++
				b.WriteString("\n" + strconv.Itoa(n) + "  " + o.Label)
			}
		}
	case Scale:
		b.WriteString("\n" + strconv.Itoa(q.Min))
		if q.Low != "" {
			b.WriteString(" = " + q.Low)
		}
		b.WriteString(" … " + strconv.Itoa(q.Max))
		if q.High != "" {
			b.WriteString(" = " + q.High)
		}
	}
	if q.Hint != "" && q.Kind != Mood && q.Kind != Scale {
		b.WriteString("\n" + q.Hint)
	}
	return b.String()
}
