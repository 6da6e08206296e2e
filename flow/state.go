package flow

import (
	"slices"
	"time"
)

// MaxState bounds a State in JSON, in bytes. Parse refuses a flow whose
// conversations could need more.
const MaxState = 64 << 10

// A Person is who the conversation is with.
type Person struct {
	Name       string
	Language   string         // a tag such as "de" or "de-AT"; "" if not known
	Attributes map[string]any // text, number or bool; only those that the flow names are used
}

// Options are how a conversation is opened.
type Options struct {
	Language  string // goes before the person's own; "" for that
	Variant   string // one of Flow.Variants; another means the first
	Anonymous bool   // the campaign is anonymous: texts say so, and the name is not used
}

// A Talker leads conversations along a flow. It is a value and keeps nothing.
type Talker struct {
	Flow *Flow
	// Sentiment scores a free text from -1 to 1; nil where that is switched
	// off, and then no branch on sentiment holds. It must be a pure function.
	Sentiment func(text, language string) float64
	// Helplines is what {{helplines}} says in a language. It may be nil.
	Helplines func(language string) string
}

// A State is what a conversation remembers between two inputs. It marshals to
// JSON of at most MaxState bytes and means the same after a round trip.
type State struct {
	Flow       string         `json:"flow"`
	Version    int            `json:"version"`
	Hash       string         `json:"hash"`
	Language   string         `json:"language"`
	Variant    string         `json:"variant,omitempty"`
	Anonymous  bool           `json:"anonymous,omitempty"`
	Name       string         `json:"name,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`

	Phase   Phase    `json:"phase"`
	Step    string   `json:"step,omitempty"`    // the open question, or the wait
	Unclear int      `json:"unclear,omitempty"` // times in a row that the open question was not understood
	Editing bool     `json:"editing,omitempty"` // the open question has been answered before and is being changed
	Snoozed bool     `json:"snoozed,omitempty"` // the person asked to be reminded
	Handed  bool     `json:"handed,omitempty"`  // a person has been called
	Answers []Given  `json:"answers,omitempty"` // one per question
	Trail   []string `json:"trail,omitempty"`   // the last questions answered, for "edit my last answer"
}

// A Phase is where a conversation stands.
type Phase string

// The phases of a conversation.
const (
	Asking  Phase = "asking"  // a question is open
	Waiting Phase = "waiting" // nothing is open until a timer
	Ended   Phase = "ended"   // all is said
	Stopped Phase = "stopped" // the person said stop
	Held    Phase = "held"    // what the person wrote sounds like danger: nothing is asked until they say continue
)

// A Given is an answer as the conversation remembers it.
type Given struct {
	Question  string   `json:"question"`
	Values    []string `json:"values,omitempty"`
	Score     *int     `json:"score,omitempty"`
	Text      string   `json:"text,omitempty"` // the beginning, and only where a later step uses it
	Sentiment *float64 `json:"sentiment,omitempty"`
	Skipped   bool     `json:"skipped,omitempty"`
}

// given finds what was answered to a question, nil if it was not asked.
func (s *State) given(question string) *Given {
	for i := range s.Answers {
		if s.Answers[i].Question == question {
			return &s.Answers[i]
		}
	}
	return nil
}

// give remembers an answer in place of an earlier one. The caller's copy of
// the state is left as it is.
func (s *State) give(g Given) {
	s.Answers = slices.Clone(s.Answers)
	if old := s.given(g.Question); old != nil {
		*old = g
	} else {
		s.Answers = append(s.Answers, g)
	}
}

// maxTrail is how often in a row an answer can be gone back to.
const maxTrail = 20

func (s *State) pushTrail(question string) {
	trail := slices.Clone(s.Trail)
	if len(trail) >= maxTrail {
		trail = trail[len(trail)-maxTrail+1:]
	}
	s.Trail = append(trail, question)
}

// An Event is why Next is called.
type Event uint8

// The events of a conversation.
const (
	Said   Event = iota // the person wrote or pressed a button
	Resume              // the person opened the conversation again: the open question is repeated
	Timer               // the time of Turn.Wait or of a reminder is over
)

// An Input is what happens in a conversation.
type Input struct {
	Event Event
	Text  string // what the person typed, or the value of a button
	// Question is the question that a pressed button belongs to, where the
	// client says so: a late press does not answer the question after it.
	Question string
	// Danger says that the caller's rules find danger in the text. Then help
	// is shown, a person is called as urgent, and the questions wait.
	Danger bool
}

// A Turn is what follows from an input.
type Turn struct {
	Say      []Line
	Answers  []Answer
	Handover *Handover
	Wait     time.Duration // nothing more until a Timer after this time
	Snooze   bool          // the person asked to be reminded tomorrow: a Timer then
	Unclear  bool          // the input was no answer to the open question
	Outside  bool          // the input came outside any question: a person should see it
	Ended    bool          // nothing is open and nothing will come; edits may reopen it
	Stopped  bool          // the person wants no more of this conversation
	Changed  bool          // the document was changed beneath the conversation, which cannot go on
}

// A Line is one message of the bot.
type Line struct {
	Text     string
	Question *Question // the buttons under the text, nil for none
}

// A Question is what an answer may be.
type Question struct {
	ID, Kind string
	Options  []Option // buttons; for text the commands on offer
	Min, Max int      // of mood and scale the numbers, of multi how many, of text the characters
	Low      string   // what the least number of a scale means, "" if the flow does not say
	High     string
	Hint     string // how to answer where there are no buttons
	Optional bool   // may be skipped
}

// An Option is a button: what it says and what it sends.
type Option struct{ Value, Label string }

// An Answer is what is to be stored of an input.
type Answer struct {
	Question, Kind string
	Measure        string   // what it measures: "mood", "enps", a driver; "" if nothing
	Values         []string // the options of choice and multi; the number of mood and scale as text
	Score          *int     // of mood, scale, and a choice whose options have scores
	Text           string   // of text
	Sentiment      *float64 // of text, where a scorer is given
	Cut            bool     // the text was longer than the question takes
	Edit           bool     // replaces an earlier answer of this conversation
	Skipped        bool     // no answer was given
}

// A Handover calls a person.
type Handover struct {
	Step   string // the step that calls; "" if it is none of the flow's
	Reason string // a word of the flow: "low_mood"; "asked" if the person asked, "danger" for Input.Danger
	Urgent bool
}
