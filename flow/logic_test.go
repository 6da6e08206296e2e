package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// short flows for the tables below are written in English only; two spaces of
// indentation, privacy told first.
func quick(t testing.TB, steps string) *Flow {
	t.Helper()
	f, err := Parse([]byte(document(steps)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func document(steps string) string {
	return "flow: quick\nversion: 1\ntitle: {en: Quick}\nlanguages: [en]\nhelplines: true\nattributes: {team: text, years: number, lead: bool}\nsteps:\n" +
		"  - {id: told, privacy: {en: We read this.}}\n" + steps
}

const plain = `
  - {id: mood, mood: {en: Mood}}
  - {id: pick, choice: {en: Pick}, required: true, options: [{value: tea, label: {en: Tea}}, {value: coffee, label: {en: Coffee}}]}
  - {id: nap, wait: 3d}
  - {id: why, text: {en: "Why {{answer.pick}}?"}, length: 20}
  - {id: bye, end: {en: Bye.}}
`

// A move is one input and what must follow, each in the words of summary.
type move struct{ say, want string }

// summary writes a turn on one line: answers, flags, the open question.
func summary(_ State, turn Turn) string {
	var out []string
	for _, a := range turn.Answers {
		out = append(out, strings.ReplaceAll(a.String(), ", in place of an earlier answer", " (edit)"))
	}
	flags := map[string]bool{"unclear": turn.Unclear, "outside": turn.Outside, "snooze": turn.Snooze, "stopped": turn.Stopped, "ended": turn.Ended, "changed": turn.Changed}
	for _, name := range []string{"unclear", "outside", "snooze", "stopped", "ended", "changed"} {
		if flags[name] {
			out = append(out, name)
		}
	}
	if turn.Handover != nil {
		out = append(out, "person:"+turn.Handover.Reason)
	}
	if turn.Wait > 0 {
		out = append(out, "wait:"+span(turn.Wait))
	}
	asked := ""
	for _, l := range turn.Say {
		if l.Question != nil {
			asked = "? " + l.Question.ID
		}
	}
	if asked != "" {
		out = append(out, asked)
	}
	return strings.Join(out, "; ")
}

func event(say string) Input {
	switch {
	case say == ":timer":
		return Input{Event: Timer}
	case say == ":resume":
		return Input{Event: Resume}
	case strings.HasPrefix(say, "!"): // the caller's rules find danger in it
		return Input{Text: say[1:], Danger: true}
	case strings.HasPrefix(say, "["): // a button of a question
		q, v, _ := strings.Cut(say[1:], "]")
		return Input{Text: v, Question: q}
	}
	return Input{Text: say}
}

func TestDialogue(t *testing.T) {
	for name, moves := range map[string][]move{
		"straight through": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"because", "why = because; ended"}},
		"not understood: twice asked again, then a way out": {
			{"what?", "unclear; ? mood"}, {"9", "unclear; ? mood"}, {"hm", "unclear; ? mood"}, {"hm", "unclear; ? mood"}, {"skip", "mood skipped; ? pick"}},
		"a required question cannot be skipped until nothing else helps": {
			{"3", "mood = 3; ? pick"}, {"skip", "? pick"}, {"water", "unclear; ? pick"}, {"milk", "unclear; ? pick"}, {"beer", "unclear; ? pick"}, {"skip", "pick skipped; wait:3d"}},
		"nothing understood is counted anew at the next question": {
			{"x", "unclear; ? mood"}, {"x", "unclear; ? mood"}, {"3", "mood = 3; ? pick"}, {"x", "unclear; ? pick"}, {"x", "unclear; ? pick"}, {"tea", "pick = tea; wait:3d"}},
		"resume repeats and counts nothing": {
			{":resume", "? mood"}, {"x", "unclear; ? mood"}, {":resume", "? mood"}, {":resume", "? mood"}, {"x", "unclear; ? mood"}, {"5", "mood = 5; ? pick"}},
		"edit": {
			{"4", "mood = 4; ? pick"}, {"edit my last answer", "? mood"}, {"2", "mood = 2 (edit); ? pick"}, {"coffee", "pick = coffee; wait:3d"}},
		"edit twice goes back twice": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {"edit", "? pick"}, {"edit", "? mood"}, {"edit", "? mood"}, {"1", "mood = 1 (edit); ? pick"}, {"coffee", "pick = coffee (edit); wait:3d"}},
		"edit and skip keeps the answer": {
			{"4", "mood = 4; ? pick"}, {"back", "? mood"}, {"skip", "? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"x", "why = x; ended"}},
		"edit after the end": {
			{"4", "mood = 4; ? pick"}, {"1", "pick = tea; wait:3d"}, {":timer", "? why"}, {"a", "why = a; ended"}, {"late", "outside; ended"}, {"edit my last answer", "? why"}, {"b", "why = b (edit); ended"}},
		"edit before the first answer": {
			{"edit", "? mood"}, {"4", "mood = 4; ? pick"}},
		"tomorrow": {
			{"remind me tomorrow", "snooze"}, {":timer", "? mood"}, {":timer", ""}, {"4", "mood = 4; ? pick"}},
		"an answer makes the reminder void": {
			{"not now", "snooze"}, {"4", "mood = 4; ? pick"}, {":timer", ""}, {"tea", "pick = tea; wait:3d"}},
		"stop, and continue": {
			{"4", "mood = 4; ? pick"}, {"stop", "stopped"}, {"tea", "outside; stopped"}, {"edit", "stopped"}, {"skip", "stopped"}, {":timer", "stopped"}, {":resume", "stopped"}, {"continue", "? pick"}, {"tea", "pick = tea; wait:3d"}},
		"stop while waiting": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {"stop", "stopped"}, {":timer", "stopped"}, {"continue", "wait:3d"}, {":timer", "? why"}},
		"what comes while waiting is for a person": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {"by the way", "outside"}, {":resume", ""}, {":timer", "? why"}},
		"a timer that nobody waits for": {
			{":timer", ""}, {":timer", ""}, {"4", "mood = 4; ? pick"}},
		"a person at any time": {
			{"talk to a human", "person:asked; ? mood"}, {"4", "mood = 4; ? pick"}, {"/person", "person:asked; ? pick"}, {"tea", "pick = tea; wait:3d"}, {"and?", "outside"}},
		"help": {
			{"help", "? mood"}, {"?", "unclear; ? mood"}, {"/help", "? mood"}, {"4", "mood = 4; ? pick"}},
		"free text is what it says": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"I want to stop smoking", "why = I want to stop smoki; ended"}},
		"free text that looks like a wide command": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"later", "why = later; ended"}},
		"the exact command counts in free text": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"  STOP! ", "stopped"}},
		"an empty text": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {" \n\t ", "unclear; ? why"}, {"ok", "why = ok; ended"}},
		"a late button": {
			{"[mood]4", "mood = 4; ? pick"}, {"[mood]2", "unclear; ? pick"}, {"[pick]tea", "pick = tea; wait:3d"}, {"[pick]coffee", "unclear"}, {":timer", "? why"}},
		"the end is the end": {
			{"4", "mood = 4; ? pick"}, {"1", "pick = tea; wait:3d"}, {":timer", "? why"}, {"a", "why = a; ended"}, {":timer", "ended"}, {":resume", "ended"}, {"b", "outside; ended"}, {"stop", "stopped"}, {"continue", "ended"}},
		"danger in place of an answer": {
			{"!I want to die", "outside; person:danger"}, {"please", "outside"}, {":resume", ""}, {":timer", ""}, {"later", ""}, {"continue", "? mood"}, {"2", "mood = 2; ? pick"}},
		"danger in an answer": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {":timer", "? why"}, {"!no way out", "why = no way out; person:danger"}, {"hello?", "outside"}, {"skip", "ended"}},
		"danger while nothing is asked": {
			{"4", "mood = 4; ? pick"}, {"tea", "pick = tea; wait:3d"}, {"!I want to die", "outside; person:danger"}, {":timer", "? why"}, {"a", "why = a; ended"}, {"!again", "outside; ended; person:danger"}, {"stop", "stopped"}, {"!again", "outside; stopped; person:danger"}},
		"danger, and then stop or edit": {
			{"4", "mood = 4; ? pick"}, {"!bad", "outside; person:danger"}, {"edit", "? mood"}, {"1", "mood = 1 (edit); ? pick"}, {"!bad", "outside; person:danger"}, {"stop", "stopped"}, {"continue", "? pick"}},
		"a language that the flow does not have": {
			{"deutsch", "? mood"}, {"4", "mood = 4; ? pick"}},
	} {
		t.Run(name, func(t *testing.T) { lead(t, Talker{Flow: quick(t, plain)}, moves) })
	}
}

// lead plays a table, each state through JSON as it would be stored.
func lead(t *testing.T, talker Talker, moves []move) State {
	t.Helper()
	s, _ := talker.Open(Person{}, Options{})
	for i, m := range moves {
		stored, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		s = State{}
		if err := json.Unmarshal(stored, &s); err != nil {
			t.Fatal(err)
		}
		var turn Turn
		s, turn = talker.Next(s, event(m.say))
		if got := summary(s, turn); got != m.want {
			t.Fatalf("move %d, %q:\n got %s\nwant %s", i+1, m.say, got, m.want)
		}
	}
	return s
}

func TestConditions(t *testing.T) {
	const steps = `
  - {id: n, scale: {en: N}}
  - {id: c, choice: {en: C}, options: [{value: x, label: {en: Ex}, score: 3}, {value: y, label: {en: Why}, score: 1}]}
  - {id: m, multi: {en: M}, options: [{value: p, label: {en: Pea}}, {value: q, label: {en: Queue}}]}
  - {id: w, text: {en: W}}
  - {id: test, branch: [{if: 'CONDITION', go: yes1}], otherwise: no1}
  - {id: yes1, end: {en: holds}}
  - {id: no1, end: {en: does not}}
`
	answers := []string{"7", "x", "1", "so bitter"}
	skips := []string{"skip", "skip", "skip", "skip"}
	for _, c := range []struct {
		condition string
		inputs    []string
		want      bool
	}{
		{`answer.n == 7`, answers, true},
		{`score.n > 7`, answers, false},
		{`score.c == 3 && answer.c == "x"`, answers, true},
		{`answer.c != "x"`, answers, false},
		{`answer.c in ["x", "y"]`, answers, true},
		{`answer.c not in ["y"]`, answers, true},
		{`"p" in answer.m`, answers, true},
		{`"q" in answer.m`, answers, false},
		{`len(answer.m) == 1`, answers, true},
		{`sentiment.w < -0.5`, answers, true},
		{`lower(answer.w) contains "BITTER" or answer.w contains "bitter"`, answers, true},
		{`attribute.team == "ops"`, answers, true},
		{`attribute.years >= 2`, answers, true},
		{`attribute.lead`, answers, true},
		{`not attribute.lead`, answers, false},
		{`answered.n and not anonymous and language == "en"`, answers, true},
		{`score.n * 2 - 4 == 10`, answers, true},
		{`answer.n == 7`, skips, false},
		{`answer.n != 7`, skips, false},
		{`not (answer.n == 7)`, skips, false},
		{`not answered.n || answer.n > 3`, skips, true},
		{`(not answered.n || answer.n > 3) && attribute.lead`, skips, true},
		{`answer.n > 3 || answer.n <= 3`, skips, false},
		{`"p" not in answer.m`, skips, false},
		{`sentiment.w < 0`, skips, false},
		{`1 / (score.n - 7) > 0`, answers, true}, // infinite, and no panic
		{`score.n % (score.n - 7) > 0`, answers, false},
	} {
		f := quick(t, strings.Replace(steps, "CONDITION", c.condition, 1))
		talker := Talker{Flow: f, Sentiment: toneOf}
		s, _ := talker.Open(Person{Attributes: map[string]any{"team": "ops", "years": 2, "lead": true, "secret": "x"}}, Options{})
		if _, there := s.Attributes["secret"]; there {
			t.Fatal("an attribute that the flow does not declare is in the state")
		}
		var turn Turn
		for _, in := range c.inputs {
			s, turn = talker.Next(s, Input{Text: in})
		}
		if got := turn.Say[len(turn.Say)-1].Text == "holds"; got != c.want {
			t.Errorf("%s after %v: %v", c.condition, c.inputs, got)
		}
	}
}

func TestNewEdition(t *testing.T) {
	old := Talker{Flow: quick(t, plain)}
	s, _ := old.Open(Person{}, Options{})
	s, _ = old.Next(s, Input{Text: "4"})
	newer := Talker{Flow: quick(t, strings.Replace(plain, "Bye.", "Goodbye.", 1))}
	next, turn := newer.Next(s, Input{Text: "tea"})
	if got := summary(next, turn); got != "pick = tea; wait:3d" || next.Hash != newer.Flow.Hash() {
		t.Errorf("with the open question still there: %s", got)
	}
	other := Talker{Flow: quick(t, strings.ReplaceAll(plain, "pick", "choose"))}
	next, turn = other.Next(s, Input{Text: "tea"})
	if got := summary(next, turn); got != "outside; ended; changed" {
		t.Errorf("with the open question gone: %s", got)
	}
}

func TestTexts(t *testing.T) {
	f := quick(t, `
  - {id: hi, message: {en: "Hi {{name}}, of {{attribute.team|some team}} for {{attribute.years}} years."}}
  - {id: m, multi: {en: "{{name|You}}, which?"}, options: [{value: p, label: {en: Pea}}, {value: q, label: {en: Queue}}, {value: r, label: {en: Are}}]}
  - {id: w, text: {en: "You said {{answer.m}}."}}
  - {id: bye, end: {en: "“{{answer.w}}” {{helplines}}"}}
`)
	talker := Talker{Flow: f, Helplines: helplinesFor}
	for _, c := range []struct {
		person Person
		o      Options
		inputs []string
		want   string
	}{
		{Person{Name: "Ann", Attributes: map[string]any{"team": "Ops", "years": 2.5}}, Options{}, []string{"all", "one\ntwo"}, "We read this.|Hi Ann, of Ops for 2.5 years.|Ann, which?|You said Pea, Queue and Are.|“one two” Example Line 0000"},
		{Person{}, Options{}, []string{"1", "{{name}}"}, "We read this.|Hi, of some team for years.|You, which?|You said Pea.|“{{name}}” Example Line 0000"},
		{Person{Name: "Ann"}, Options{Anonymous: true}, []string{"skip", "skip"}, "We read this.|Hi, of some team for years.|You, which?|You said.|“” Example Line 0000"},
		{Person{Name: "A\x00n\u202en\nx " + strings.Repeat("y", 200), Attributes: map[string]any{"team": 7, "years": "x"}}, Options{}, []string{"1", "2"}, "We read this.|Hi Ann x " + strings.Repeat("y", 73) + ", of some team for years.|Ann x " + strings.Repeat("y", 73) + ", which?|You said Pea.|“2” Example Line 0000"},
	} {
		var got []string
		s, turn := talker.Open(c.person, c.o)
		for i := 0; ; i++ {
			for _, l := range turn.Say {
				got = append(got, l.Text)
			}
			if i == len(c.inputs) {
				break
			}
			s, turn = talker.Next(s, Input{Text: c.inputs[i]})
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("got  %s\nwant %s", text, c.want)
		}
	}
}

func TestLanguages(t *testing.T) {
	f := shipped(t, "pulse")
	for tag, want := range map[string]string{"": "en", "de": "de", "de-AT": "de", "DE_ch": "de", "nl-BE": "nl", "fr": "en", "e": "en", "deu": "en"} {
		if got := f.Language(tag); got != want {
			t.Errorf("Language(%q) = %s, want %s", tag, got, want)
		}
	}
	talker := Talker{Flow: f}
	s, turn := talker.Open(Person{Language: "nl-BE"}, Options{})
	if s.Language != "nl" || !strings.HasPrefix(turn.Say[0].Text, "Hoi") {
		t.Errorf("opened in %s: %s", s.Language, turn.Say[0].Text)
	}
	s, turn = talker.Next(s, Input{Text: "Auf Deutsch, bitte!"})
	if s.Language != "de" || turn.Say[1].Question.ID != "mood" || !strings.HasPrefix(turn.Say[1].Text, "Wie ist es Ihnen") {
		t.Errorf("changed to %s: %v", s.Language, turn.Say)
	}
}

func TestValidate(t *testing.T) {
	f := shipped(t, "first-90-days")
	got := f.Validate(Conditions{Attributes: map[string]string{"days": "number", "manager": "number"}}).Error()
	want := `line 1, column 1: the flow takes free text and no helplines are configured: configure them for every language and country first
line 13, column 3: attributes.day: people of this organisation have no attribute “day”; did you mean “days”?
line 14, column 3: attributes.manager: the flow takes “manager” for text, and it is number`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if p := f.Validate(Conditions{Helplines: true, Anonymous: true, Attributes: map[string]string{"day": "number", "manager": "text"}}); p != nil {
		t.Error(p)
	}
	if p := shipped(t, "weekly-check-in").Validate(Conditions{Helplines: true, Anonymous: true}); len(p) != 1 {
		t.Errorf("an anonymous campaign of a flow for named ones: %v", p)
	}
}

func TestLongAnswers(t *testing.T) {
	f := shipped(t, "weekly-check-in")
	talker := Talker{Flow: f}
	s, _ := talker.Open(Person{}, Options{Language: "en"})
	for _, in := range []string{"4", "4", "4", "1", "skip"} {
		s, _ = talker.Next(s, Input{Text: in})
	}
	s, turn := talker.Next(s, Input{Text: strings.Repeat("<é", 1<<19)})
	a := turn.Answers[0]
	if a.Question != "topic" || !a.Cut || len([]rune(a.Text)) != 1000 || !strings.Contains(turn.Say[0].Text, "1000") {
		t.Errorf("%s: cut %v at %d; said %s", a.Question, a.Cut, len([]rune(a.Text)), turn.Say[0].Text)
	}
	if stored, _ := json.Marshal(s); len(stored) > 8<<10 {
		t.Errorf("the state has %d bytes", len(stored))
	}
}

// TestLargestState fills the largest flow that is accepted with the largest
// answers.
func TestLargestState(t *testing.T) {
	var steps strings.Builder
	texts := 17
	for i := range texts {
		fmt.Fprintf(&steps, "  - {id: %s%03d, text: {en: T}}\n  - {id: r%03d, message: {en: '{{answer.%s%03d}}'}}\n", strings.Repeat("t", 37), i, i, strings.Repeat("t", 37), i)
	}
	steps.WriteString("  - {id: bye, end: {en: Bye.}}\n")
	f := quick(t, steps.String())
	tone := func(string, string) float64 { return -0.123456 }
	talker := Talker{Flow: f, Sentiment: tone}
	s, _ := talker.Open(Person{Name: strings.Repeat("<", 500), Attributes: map[string]any{"team": strings.Repeat("<", 500), "years": -1.2345678901234567e-300}}, Options{})
	for range texts {
		s, _ = talker.Next(s, Input{Text: strings.Repeat("<", 5000)})
	}
	stored, err := json.Marshal(s)
	if err != nil || len(stored) > MaxState || len(stored) < MaxState*3/4 || s.Phase != Ended {
		t.Errorf("%d bytes, phase %s, %v", len(stored), s.Phase, err)
	}
	more := strings.Replace(steps.String(), "  - {id: bye", "  - {id: a1, text: {en: T}}\n  - {id: a2, text: {en: '{{answer.a1}}'}}\n  - {id: a4, text: {en: T}}\n  - {id: a5, message: {en: '{{answer.a2}}{{answer.a4}}'}}\n  - {id: bye", 1)
	if _, err := Parse([]byte(document(more))); err == nil || !strings.Contains(err.Error(), "can reach") {
		t.Errorf("a flow whose states can be too big: %v", err)
	}
}

func TestWaits(t *testing.T) {
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "4h": 4 * time.Hour, "3d": 72 * time.Hour, "2w": 14 * 24 * time.Hour} {
		if got := duration(text); got != want || span(got) != text {
			t.Errorf("%s: %v, back %s", text, got, span(got))
		}
	}
}
