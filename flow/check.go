package flow

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// What must hold for the conversation as a whole: every step can be reached
// and led to an end, nothing goes round without asking, people are told who
// reads before they are asked, and what is remembered is bounded.

// check looks at the whole flow once each part of it is right.
func (p *parser) check() {
	f := p.flow
	if last := &f.steps[len(f.steps)-1]; last.next == len(f.steps) && leads(last) {
		p.fail(last.at, p.path(len(f.steps)-1), "nothing follows the last step: add an end, or say what is next")
		return
	}
	if !slices.ContainsFunc(f.steps, func(s step) bool { return s.asks() }) {
		p.fail(f.steps[0].at, "steps", "a flow asks something: add a question")
		return
	}
	p.unreachable()
	p.endless()
	p.silent()
	p.privacy()
	p.firstQuestion()
	p.precedence()
	p.freeText()
	p.size()
}

func (p *parser) path(i int) string { return fmt.Sprintf("steps[%d]", i) }

func (p *parser) failStep(i int, format string, args ...any) {
	p.fail(p.flow.steps[i].at, p.path(i), format, args...)
}

// leads reports whether next follows the step.
func leads(s *step) bool {
	switch s.kind {
	case kindBranch:
		return false
	case kindEnd:
		return s.when != nil
	case kindHandover:
		return !s.finishes || s.when != nil
	}
	return true
}

// ways are the steps that can follow step i.
func (f *Flow) ways(i int) []int {
	s := &f.steps[i]
	var out []int
	for _, c := range s.cases {
		out = append(out, c.to)
	}
	if leads(s) {
		out = append(out, s.next)
	}
	return out
}

// reach finds all steps that can come after those given, which are among
// them. Nothing is looked for behind a step that stops.
func (f *Flow) reach(from []int, stops func(*step) bool) []bool {
	seen := make([]bool, len(f.steps))
	for len(from) > 0 {
		i := from[len(from)-1]
		from = from[:len(from)-1]
		if i >= len(f.steps) || seen[i] {
			continue
		}
		seen[i] = true
		if stops == nil || !stops(&f.steps[i]) {
			from = append(from, f.ways(i)...)
		}
	}
	return seen
}

func (p *parser) unreachable() {
	for i, seen := range p.flow.reach([]int{0}, nil) {
		if !seen {
			p.failStep(i, "no way leads to step “%s”: remove it, or go to it from somewhere", p.flow.steps[i].id)
		}
	}
}

// endless finds steps from which no end can be reached.
func (p *parser) endless() {
	f := p.flow
	ends := make([]bool, len(f.steps))
	for i := range f.steps {
		s := &f.steps[i]
		ends[i] = s.kind == kindEnd || s.kind == kindHandover && s.finishes
	}
	for changed := true; changed; {
		changed = false
		for i := range f.steps {
			if !ends[i] && slices.ContainsFunc(f.ways(i), func(to int) bool { return ends[to] }) {
				ends[i], changed = true, true
			}
		}
	}
	if i := slices.Index(ends, false); i >= 0 {
		p.failStep(i, "from step “%s” no end can be reached: people would be asked for ever", f.steps[i].id)
	}
}

// silent finds ways that ask nothing: round in a circle, or too long a speech.
func (p *parser) silent() {
	f := p.flow
	const unseen, open, done = 0, 1, 2
	mark, lines := make([]int, len(f.steps)), make([]int, len(f.steps))
	circle := false
	var visit func(int) int
	visit = func(i int) int {
		s := &f.steps[i]
		if s.asks() && s.when == nil {
			return 0
		}
		switch mark[i] {
		case open:
			if !circle {
				p.failStep(i, "from step “%s” the conversation can come back to it without a question: it would never stop talking", s.id)
			}
			circle = true
			return 0
		case done:
			return lines[i]
		}
		mark[i] = open
		most := 0
		for _, to := range f.ways(i) {
			most = max(most, visit(to))
		}
		if len(s.texts) > 0 {
			most++
		}
		mark[i], lines[i] = done, most
		return most
	}
	for i := range f.steps {
		starts := []int{i}
		if f.steps[i].asks() {
			starts = f.ways(i)
		}
		for _, from := range starts {
			if n := visit(from); n > maxSilent && !circle {
				p.failStep(from, "from here up to %d messages can come without a question; at most %d are allowed", n, maxSilent)
				return
			}
		}
	}
}

// privacy finds a question that can be asked before it is told who reads.
func (p *parser) privacy() {
	f := p.flow
	told := func(s *step) bool { return s.kind == kindPrivacy && s.when == nil || s.asks() && s.when == nil }
	for i, seen := range f.reach([]int{0}, told) {
		if seen && f.steps[i].asks() {
			p.failStep(i, "“%s” can be asked before people are told who reads the answers: put a step with privacy before it", f.steps[i].id)
			return
		}
	}
}

// firstQuestion finds variants on a question that is not the first.
func (p *parser) firstQuestion() {
	f := p.flow
	first := f.reach([]int{0}, func(s *step) bool { return s.asks() })
	before := -1
	for i := range f.steps {
		if f.steps[i].variants == nil {
			continue
		}
		if !first[i] {
			p.failStep(i, "only the first question has variants: what people answered before would blur the comparison")
		}
		if before >= 0 {
			p.failStep(i, "only one question has variants: “%s” has some already", f.steps[before].id)
		}
		before = i
	}
}

// precedence finds texts and conditions on questions that cannot have been
// asked before.
func (p *parser) precedence() {
	f := p.flow
	after := map[string][]bool{} // question → the steps that can follow its answer
	for i := range f.steps {
		for _, r := range f.uses(i) {
			at, ok := f.index[r.name]
			switch r.group {
			case groupAnswer, groupAnswered, groupScore, groupSentiment:
			default:
				continue
			}
			if !ok {
				continue
			}
			if after[r.name] == nil {
				after[r.name] = f.reach(f.ways(at), nil)
			}
			if !after[r.name][i] {
				p.failStep(i, "“%s” uses {{%s}}, but “%s” is never asked before it", f.steps[i].id, r, r.name)
			}
		}
	}
}

// uses are the references of a step's conditions and texts.
func (f *Flow) uses(i int) []reference {
	s := &f.steps[i]
	var out []reference
	if s.when != nil {
		out = append(out, s.when.uses...)
	}
	for _, c := range s.cases {
		if c.when != nil {
			out = append(out, c.when.uses...)
		}
	}
	texts := append(slices.Clone(s.texts), s.anonymous...)
	for _, v := range s.variants {
		texts = append(texts, v...)
	}
	for _, t := range texts {
		for _, piece := range t.pieces {
			if piece.place.group != "" {
				out = append(out, piece.place)
			}
		}
	}
	return out
}

func (p *parser) freeText() {
	for i := range p.flow.steps {
		if p.flow.steps[i].kind == Text && !p.flow.helplines {
			p.failStep(i, "“%s” takes free text, in which people may write that they are in danger: say “helplines: true” at the top of the document", p.flow.steps[i].id)
			return
		}
	}
}

// Bytes that parts of a state need in JSON at most: a character is six bytes
// where it is written as \u003c.
const (
	stateHead   = 1024            // names of keys, flow, hash, language, step
	stateName   = 6 * keptName    // the person's name
	stateFact   = 64 + 6*keptFact // an attribute
	stateAnswer = 64              // an answer's keys, its number and sentiment, without its id
	stateWords  = 12              // the key and brackets of its text or values
	stateTrail  = maxTrail * 43
	keptName    = 80
	keptFact    = 200
)

// size finds flows whose states could be too big.
func (p *parser) size() {
	f := p.flow
	most := stateHead + stateName + stateTrail + stateFact*len(f.attributes)
	for i := range f.steps {
		s := &f.steps[i]
		if !s.asks() {
			continue
		}
		most += stateAnswer + len(s.id)
		switch {
		case s.kind == Text && s.keep:
			most += stateWords + 6*min(s.length, keptText)
		case s.kind == Choice:
			most += stateWords + 43
		case s.kind == Multi:
			most += stateWords
			for _, v := range s.values() {
				most += len(v) + 3
			}
		}
	}
	if most > MaxState {
		p.failStep(0, "what a conversation has to remember can reach %d bytes; at most %d are kept: ask less, or use fewer texts and attributes again", most, MaxState)
	}
}

// Conditions are what a flow finds where it is to be used.
type Conditions struct {
	Helplines  bool              // helplines are configured
	Anonymous  bool              // the campaign is anonymous
	Attributes map[string]string // the organisation's attributes, name → text, number or bool; nil: not checked
}

// Validate says what stands against using the flow under these conditions,
// nil if nothing.
func (f *Flow) Validate(c Conditions) Problems {
	var out Problems
	if f.FreeText() && !c.Helplines {
		out = append(out, Problem{Line: 1, Column: 1, Text: "the flow takes free text and no helplines are configured: configure them for every language and country first"})
	}
	if c.Anonymous && !f.Anonymous() {
		out = append(out, Problem{Line: 1, Column: 1, Text: "the flow does not say what an anonymous campaign means: add “anonymous” to its privacy steps, or make the campaign a named one"})
	}
	if c.Attributes == nil {
		return out
	}
	var all []string
	for name := range c.Attributes {
		all = append(all, name)
	}
	slices.Sort(all)
	for name, kind := range f.attributes {
		at := f.places["attributes."+name]
		theirs, ok := c.Attributes[name]
		switch {
		case !ok:
			out = append(out, Problem{at.line, at.column, "attributes." + name, fmt.Sprintf("people of this organisation have no attribute “%s”%s", name, meant(name, all))})
		case theirs != kind:
			out = append(out, Problem{at.line, at.column, "attributes." + name, fmt.Sprintf("the flow takes “%s” for %s, and it is %s", name, kind, theirs)})
		}
	}
	return out.tidy()
}

// language is the index of the language that fits a tag.
func (f *Flow) language(tag string) int {
	tag = strings.ReplaceAll(tag, "_", "-")
	base, _, _ := strings.Cut(tag, "-")
	best, fit := 0, math.MaxInt
	for i, l := range f.languages {
		own, _, _ := strings.Cut(l, "-")
		switch {
		case strings.EqualFold(l, tag):
			return i
		case strings.EqualFold(l, base) && fit > 1:
			best, fit = i, 1
		case strings.EqualFold(own, base) && base != "" && fit > 2:
			best, fit = i, 2
		}
	}
	return best
}
