package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Simulator talks in plain text, for a terminal and for transcripts. What
// the bot says comes as it is, what the server would do with it in brackets.
// It reads no clock: time passes when it is told so.
type Simulator struct {
	talker Talker
	state  State
}

// SimulatorHelp says what a line may be besides an answer.
const SimulatorHelp = "Write as the person would. :later lets time pass (a wait, a reminder), :resume opens the conversation on another device, :state shows what is remembered, :quit ends."

// Simulate opens a conversation; text is what is said first.
func Simulate(t Talker, p Person, o Options) (s *Simulator, text string) {
	s = &Simulator{talker: t}
	var turn Turn
	s.state, turn = t.Open(p, o)
	return s, turn.Plain()
}

// Say takes one line of the person, or one that begins with a colon for the
// simulator itself. over is true when :quit was said.
func (s *Simulator) Say(line string) (text string, over bool) {
	in := Input{Text: line}
	switch strings.TrimSpace(line) {
	case ":quit":
		return "", true
	case ":state":
		out, err := json.MarshalIndent(s.state, "", "  ")
		if err != nil {
			return err.Error(), false
		}
		return string(out), false
	case ":later":
		in = Input{Event: Timer}
	case ":resume":
		in = Input{Event: Resume}
	}
	var turn Turn
	s.state, turn = s.talker.Next(s.state, in)
	return turn.Plain(), false
}

// State is what is remembered now.
func (s *Simulator) State() State { return s.state }

// Plain is the turn in plain text: in brackets what is stored and done, then
// what is said.
func (t Turn) Plain() string {
	var lines []string
	note := func(format string, args ...any) { lines = append(lines, "["+fmt.Sprintf(format, args...)+"]") }
	for _, a := range t.Answers {
		note("%s", a)
	}
	if t.Unclear {
		note("not understood as an answer")
	}
	if t.Outside {
		note("outside any question: for a person")
	}
	if t.Changed {
		note("the flow was changed")
	}
	for _, l := range t.Say {
		lines = append(lines, l.Plain())
	}
	if h := t.Handover; h != nil {
		urgent := ""
		if h.Urgent {
			urgent = ", urgent"
		}
		note("a person is called: %s%s", h.Reason, urgent)
	}
	if t.Snooze {
		note("reminder tomorrow")
	}
	if t.Wait > 0 {
		note("nothing for %s", span(t.Wait))
	}
	if t.Stopped {
		note("stopped")
	}
	if t.Ended {
		note("the end")
	}
	return strings.Join(lines, "\n")
}

// String is the answer on one line: "mood = 4".
func (a Answer) String() string {
	var b strings.Builder
	b.WriteString(a.Question)
	switch {
	case a.Skipped:
		b.WriteString(" skipped")
	case a.Kind == Text:
		b.WriteString(" = " + short(strings.ReplaceAll(a.Text, "\n", " ")))
	case len(a.Values) == 0:
		b.WriteString(" = none of them")
	default:
		b.WriteString(" = " + strings.Join(a.Values, " + "))
	}
	if a.Score != nil && a.Kind == Choice {
		fmt.Fprintf(&b, ", score %d", *a.Score)
	}
	if a.Sentiment != nil {
		fmt.Fprintf(&b, ", sentiment %+.2f", *a.Sentiment)
	}
	if a.Edit {
		b.WriteString(", in place of an earlier answer")
	}
	return b.String()
}

// span says a time as documents do: 3d, 4h, 30m.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}} {
		if d%unit.is == 0 {
			return fmt.Sprintf("%d%s", d/unit.is, unit.name)
		}
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}
