// Package flow holds conversations as documents and leads them: what is asked,
// what follows from an answer, when a person takes over.
//
// It is pure: no clock, no network, no file, no chance. A document (YAML or
// JSON, schema.json) is read by Parse, which accepts only what can be led to an
// end; a Talker opens a conversation and takes it on by one input at a time.
// All that a conversation remembers is its State, a small value that the caller
// keeps; the same state and input give the same turn, today and on another
// machine.
//
//	document → node.go → fields.go, parse.go → check.go → Flow
//	State + Input → commands.go, understand.go → talk.go → State + Turn
//
// Nothing here is shared and changed: a Flow is read-only once made, and there
// are no locks.
package flow

import (
	"maps"
	"slices"
	"time"

	"github.com/expr-lang/expr/vm"
)

// A Flow is a conversation that can be led. It does not change once parsed and
// may be used by any number of goroutines.
type Flow struct {
	id         string
	version    int
	hash       string
	title      map[string]string
	languages  []string // the first is for those whose language is not among them
	helplines  bool
	attributes map[string]string // name → text, number or bool
	phrases    map[string]map[string]string
	steps      []step
	index      map[string]int
	places     map[string]*node // of what Validate may complain about
}

// The kinds of questions.
const (
	Mood   = "mood"   // five faces, 1 (very bad) to 5 (very good)
	Scale  = "scale"  // whole numbers, 0 to 10 unless the step says otherwise
	Choice = "choice" // one of several options
	Multi  = "multi"  // some of several options
	Text   = "text"   // free text
)

// The kinds of steps that are no questions.
const (
	kindMessage  = "message"
	kindPrivacy  = "privacy"
	kindBranch   = "branch"
	kindWait     = "wait"
	kindHandover = "handover"
	kindEnd      = "end"
)

// A step is one entry of a document's list.
type step struct {
	id, kind string
	when     *condition // nil: always
	next     int        // index of the step that follows

	texts     []template            // by language; empty where the kind has none
	anonymous []template            // instead of texts in an anonymous campaign
	variants  map[string][]template // instead of both, on the first question

	required         bool
	measure          string
	min, max         int // of a scale; of a multi: how many
	low, high        []string
	options          []option
	yesNo            bool // yes and no are among the values of the options
	length           int  // of a text, in characters
	keep             bool // the text is recalled or decided on later: the state keeps its beginning
	cases            []branch
	wait             time.Duration
	reason           string
	urgent, finishes bool // of a handover: a case of high urgency; the conversation ends here

	at *node
}

// asks reports whether the step waits for an answer.
func (s *step) asks() bool {
	switch s.kind {
	case Mood, Scale, Choice, Multi, Text:
		return true
	}
	return false
}

// An option is one answer of a choice.
type option struct {
	value  string
	labels []string   // by language
	folded [][]string // the labels as they are compared, by language: see spellings
	words  [][]string // their words, by language
	score  *int
}

// A branch is one way of a branching step; the last has no condition.
type branch struct {
	when *condition
	to   int
}

// A condition is a compiled expression and what it asks about, or two of them
// joined by and, or.
type condition struct {
	program *vm.Program
	parts   []*condition
	or      bool
	uses    []reference // of the parts, too
}

// A reference is a value of the conversation that a text or a condition uses:
// answer.why, attribute.team, name.
type reference struct{ group, name string }

// ID is the flow's name, the same in all its versions.
func (f *Flow) ID() string { return f.id }

// Version is the document's own count of its editions, from 1.
func (f *Flow) Version() int { return f.version }

// Hash is a fingerprint of the document's bytes, 32 hexadecimal digits.
func (f *Flow) Hash() string { return f.hash }

// Languages are the flow's languages; the first serves those whose language is
// not among them.
func (f *Flow) Languages() []string { return slices.Clone(f.languages) }

// Title is what the flow is called in a language, by the rules of Language.
func (f *Flow) Title(language string) string { return f.title[f.Language(language)] }

// Language is the flow's language that fits a tag best: the tag itself, its
// base ("de" for "de-AT"), another region of it, or the flow's first.
func (f *Flow) Language(tag string) string {
	return f.languages[f.language(tag)]
}

// Variants are the names of the first question's versions: "a" is the text of
// the step itself, the others come after it in order. A flow without variants
// has only "a".
func (f *Flow) Variants() []string {
	for i := range f.steps {
		if f.steps[i].variants != nil {
			return append([]string{firstVariant}, slices.Sorted(maps.Keys(f.steps[i].variants))...)
		}
	}
	return []string{firstVariant}
}

// firstVariant is the name of the first question as the step has it.
const firstVariant = "a"

// Anonymous reports whether the flow tells people what an anonymous campaign
// means for them; only such a flow may be used for one.
func (f *Flow) Anonymous() bool {
	for i := range f.steps {
		if s := &f.steps[i]; s.kind == kindPrivacy && len(s.anonymous) == 0 {
			return false
		}
	}
	return true
}

// FreeText reports whether the flow has a free-text question; such a flow does
// not start without helplines.
func (f *Flow) FreeText() bool {
	return slices.ContainsFunc(f.steps, func(s step) bool { return s.kind == Text })
}

// Attributes are the attributes of a person that the flow uses, name → "text",
// "number" or "bool".
func (f *Flow) Attributes() map[string]string { return maps.Clone(f.attributes) }

// An Ask is a question as reports see it.
type Ask struct {
	ID, Kind string
	Measure  string            // what is measured: "mood", "enps", a driver; "" if nothing
	Text     map[string]string // by language, with the names of recalled values in place of them
	Options  []AskOption       // of choice and multi
	Min, Max int               // of mood and scale
}

// An AskOption is an option as reports see it.
type AskOption struct {
	Value  string
	Labels map[string]string // by language
	Score  *int
}

// Questions lists the flow's questions in the order of the document.
func (f *Flow) Questions() []Ask {
	var out []Ask
	for i := range f.steps {
		s := &f.steps[i]
		if !s.asks() {
			continue
		}
		q := Ask{ID: s.id, Kind: s.kind, Measure: s.measure, Text: map[string]string{}}
		if s.kind == Mood || s.kind == Scale {
			q.Min, q.Max = s.min, s.max
		}
		for l, language := range f.languages {
			q.Text[language] = s.texts[l].source
		}
		for _, o := range s.options {
			a := AskOption{Value: o.value, Labels: map[string]string{}, Score: o.score}
			for l, language := range f.languages {
				a.Labels[language] = o.labels[l]
			}
			q.Options = append(q.Options, a)
		}
		out = append(out, q)
	}
	return out
}
