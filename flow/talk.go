package flow

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxUnclear is how often a question is asked again before the bot offers to
// leave it out or to call a person.
const maxUnclear = 2

// A talk is one call of Open or Next.
type talk struct {
	Talker
	state State
	turn  Turn
	lang  int // of the flow's languages
}

// Open begins a conversation and says what comes up to the first question.
func (t Talker) Open(p Person, o Options) (State, Turn) {
	if t.Flow == nil {
		return State{Phase: Ended}, Turn{Ended: true}
	}
	f := t.Flow
	tag := o.Language
	if tag == "" {
		tag = p.Language
	}
	k := talk{Talker: t, state: State{Flow: f.id, Version: f.version, Hash: f.hash, Language: f.Language(tag), Anonymous: o.Anonymous}}
	if slices.Contains(f.Variants(), o.Variant) {
		k.state.Variant = o.Variant
	}
	if !o.Anonymous {
		k.state.Name = kept(p.Name, keptName)
	}
	for name, kind := range f.attributes {
		if v := fact(p.Attributes[name], kind); v != nil {
			if k.state.Attributes == nil {
				k.state.Attributes = map[string]any{}
			}
			k.state.Attributes[name] = v
		}
	}
	k.lang = f.language(k.state.Language)
	k.advance(0)
	return k.end()
}

// kept makes a text from outside fit to be said again: one line, so many
// characters, none that turns the direction of what stands around it.
func kept(s string, most int) string {
	out, _ := clean(s, most)
	out = strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, out)
	return strings.Join(strings.Fields(out), " ")
}

// fact makes an attribute what the flow declares; nil if it is something else.
func fact(v any, kind string) any {
	switch v := v.(type) {
	case string:
		if kind == "text" && strings.TrimSpace(v) != "" {
			return kept(v, keptFact)
		}
	case bool:
		if kind == "bool" {
			return v
		}
	case float64:
		if kind == "number" && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v
		}
	case int:
		if kind == "number" {
			return float64(v)
		}
	case int64:
		if kind == "number" {
			return float64(v)
		}
	}
	return nil
}

// Next takes a conversation on by one input. The state given stays as it was.
func (t Talker) Next(s State, in Input) (State, Turn) {
	if t.Flow == nil {
		return s, Turn{Ended: true, Outside: in.Event == Said}
	}
	k := talk{Talker: t, state: s}
	k.lang = t.Flow.language(s.Language)
	if !k.fits() {
		k.say("changed")
		k.turn.Changed = true
		k.state.Phase, k.state.Step = Ended, ""
		k.turn.Outside = in.Event == Said
		return k.end()
	}
	switch in.Event {
	case Timer:
		k.timer()
	case Resume:
		k.resume()
	default:
		k.hear(in)
	}
	return k.end()
}

// end is what Open and Next return.
func (t *talk) end() (State, Turn) {
	t.turn.Ended, t.turn.Stopped = t.state.Phase == Ended, t.state.Phase == Stopped
	return t.state, t.turn
}

// fits makes the state one of this document, or says that it cannot be. A
// newer edition may go on where the open question is still there.
func (t *talk) fits() bool {
	if t.state.Hash == t.Flow.hash && t.state.Flow == t.Flow.id {
		return t.state.Phase == Ended || t.state.Phase == Stopped || t.open() != nil || t.waiting() != nil || t.held() != nil
	}
	s := t.at()
	ok := t.state.Flow == t.Flow.id && (t.state.Phase == Asking && t.open() != nil || t.state.Phase == Ended ||
		t.held() != nil || t.state.Phase == Stopped && (t.state.Step == "" || s != nil && s.asks()))
	if ok {
		t.state.Hash, t.state.Version = t.Flow.hash, t.Flow.version
		t.state.Language = t.Flow.languages[t.lang]
	}
	return ok
}

// at is the step where the conversation stands, nil for none.
func (t *talk) at() *step {
	if i, ok := t.Flow.index[t.state.Step]; ok {
		return &t.Flow.steps[i]
	}
	return nil
}

// open is the open question, nil if none is.
func (t *talk) open() *step {
	if s := t.at(); s != nil && s.asks() && t.state.Phase == Asking {
		return s
	}
	return nil
}

func (t *talk) waiting() *step {
	if s := t.at(); s != nil && s.kind == kindWait && t.state.Phase == Waiting {
		return s
	}
	return nil
}

// held is the question that waits until the person wants to go on.
func (t *talk) held() *step {
	if s := t.at(); s != nil && s.asks() && t.state.Phase == Held {
		return s
	}
	return nil
}

func (t *talk) timer() {
	switch s := t.waiting(); {
	case s != nil:
		t.advance(s.next)
	case t.state.Snoozed && t.open() != nil:
		t.state.Snoozed = false
		t.say("again")
		t.ask(t.open())
	}
}

func (t *talk) resume() {
	switch t.state.Phase {
	case Asking:
		t.say("back")
		t.ask(t.open())
	case Waiting:
		t.say("waiting")
	case Stopped:
		t.say("stopped_still")
	case Held:
		t.say("held")
	default:
		t.say("ended")
	}
}

// hear takes what the person wrote or pressed.
func (t *talk) hear(in Input) {
	q, folded := t.open(), fold(in.Text)
	if in.Question != "" && (q == nil || q.id != in.Question) {
		t.turn.Unclear = true
		t.say("late_button")
		if q != nil {
			t.ask(q)
		}
		return
	}
	if in.Danger {
		t.danger(q, in.Text, folded)
		return
	}
	switch {
	case q != nil && q.kind == Text:
		if c := strictCommand(folded); c != noCommand {
			t.obey(c, q)
			return
		}
	case q == nil || q.named(folded, t.lang) < 0:
		if c := wideCommand(folded); c != noCommand {
			t.obey(c, q)
			return
		}
	}
	if q == nil {
		t.outside()
		return
	}
	u := q.understand(in.Text, folded, t.lang)
	if u.why != "" {
		t.unclear(q, u.why)
		return
	}
	t.answer(q, u)
}

// danger shows where help is and calls a person. What was written is kept; the
// next question would be out of place.
func (t *talk) danger(q *step, text, folded string) {
	t.say("danger")
	if lines := t.helplines(); lines != "" {
		t.turn.Say = append(t.turn.Say, Line{Text: strings.ReplaceAll(t.Flow.phrase("danger_lines", t.state.Language), "{helplines}", lines)})
	}
	t.say("danger_told")
	t.hand(Handover{Reason: "danger", Urgent: true})
	if q == nil {
		t.turn.Outside = true
		return
	}
	u := q.understand(text, folded, t.lang)
	t.turn.Outside = u.why != ""
	if u.why == "" {
		t.store(q, u)
		t.state.Editing = true // to go on is to leave the answer as it is
	}
	t.state.Phase, t.state.Snoozed, t.state.Unclear = Held, false, 0
}

// outside is for what is said when nothing is asked.
func (t *talk) outside() {
	t.turn.Outside = true
	switch {
	case t.state.Handed: // a person has been called and will read it
	case t.state.Phase == Stopped:
		t.say("stopped_still")
	default:
		t.say("outside")
	}
}

func (t *talk) unclear(q *step, why string) {
	t.turn.Unclear = true
	if t.state.Unclear = min(t.state.Unclear+1, maxUnclear+1); t.state.Unclear <= maxUnclear {
		t.turn.Say = append(t.turn.Say, Line{Text: t.bounds(t.Flow.phrase(why, t.state.Language), q), Question: t.question(q)})
		return
	}
	offer := t.question(q)
	offer.Options = append(offer.Options, t.button("person"))
	if q.required { // a way out for who cannot answer
		offer.Options = append(offer.Options, t.button("skip"))
	}
	t.turn.Say = append(t.turn.Say, Line{Text: t.Flow.phrase("offer", t.state.Language), Question: offer})
}

// answer stores an answer and goes on.
func (t *talk) answer(q *step, u understanding) {
	if u.cut {
		t.turn.Say = append(t.turn.Say, Line{Text: strings.ReplaceAll(t.Flow.phrase("cut", t.state.Language), "{max}", strconv.Itoa(q.length))})
	}
	t.store(q, u)
	t.leave(q)
}

// store tells the caller of an answer and remembers it.
func (t *talk) store(q *step, u understanding) {
	a := Answer{Question: q.id, Kind: q.kind, Measure: q.measure, Values: u.values, Score: u.score, Text: u.text, Cut: u.cut, Edit: t.state.given(q.id) != nil}
	g := Given{Question: q.id, Score: u.score}
	switch q.kind {
	case Choice, Multi:
		g.Values = u.values
	case Text:
		if t.Sentiment != nil {
			if v := t.Sentiment(u.text, t.state.Language); !math.IsNaN(v) {
				v = math.Round(1000*min(1, max(-1, v))) / 1000
				a.Sentiment, g.Sentiment = &v, &v
			}
		}
		if q.keep {
			g.Text = kept(u.text, keptText)
		}
	}
	t.turn.Answers = append(t.turn.Answers, a)
	t.state.give(g)
}

// leave goes on behind a question.
func (t *talk) leave(q *step) {
	t.state.pushTrail(q.id)
	t.state.Unclear, t.state.Editing, t.state.Snoozed = 0, false, false
	t.advance(q.next)
}

// advance goes on from a step to the next question, wait or end.
func (t *talk) advance(i int) {
	f := t.Flow
	for range 2 * len(f.steps) { // Parse refused circles without a question
		if i >= len(f.steps) {
			break
		}
		s := &f.steps[i]
		if !s.when.holds(t) {
			i = s.next
			continue
		}
		i = s.next
		switch s.kind {
		case kindMessage, kindPrivacy:
			t.tell(s)
		case kindBranch:
			at := slices.IndexFunc(s.cases, func(b branch) bool { return b.when.holds(t) })
			i = s.cases[at].to // the last holds always
		case kindWait:
			t.state.Phase, t.state.Step = Waiting, s.id
			t.turn.Wait = s.wait
			return
		case kindHandover:
			t.tell(s)
			t.hand(Handover{Step: s.id, Reason: s.reason, Urgent: s.urgent})
			if s.finishes {
				t.state.Phase, t.state.Step = Ended, ""
				return
			}
		case kindEnd:
			t.tell(s)
			t.state.Phase, t.state.Step = Ended, ""
			return
		default:
			t.state.Phase, t.state.Step = Asking, s.id
			t.ask(s)
			return
		}
	}
	t.state.Phase, t.state.Step = Ended, ""
}

// hand calls a person; of several calls in one turn the most urgent stays.
func (t *talk) hand(h Handover) {
	t.state.Handed = true
	if t.turn.Handover == nil || h.Urgent && !t.turn.Handover.Urgent {
		t.turn.Handover = &h
	}
}

// obey does what a command says.
func (t *talk) obey(c command, q *step) {
	if t.state.Phase == Stopped && (c == skip || c == edit || c == remind) {
		t.say("stopped_still")
		return
	}
	switch c {
	case skip:
		t.skip(q)
	case edit:
		t.edit(q)
	case remind:
		if q == nil {
			t.say(map[Phase]string{Waiting: "waiting", Held: "held"}[t.state.Phase])
			return
		}
		t.state.Snoozed, t.turn.Snooze = true, true
		t.say("snooze")
	case stop:
		t.state.Phase, t.state.Snoozed, t.state.Unclear = Stopped, false, 0
		t.say("stopped")
	case help:
		t.say("help")
		if lines := t.helplines(); lines != "" {
			t.turn.Say = append(t.turn.Say, Line{Text: strings.ReplaceAll(t.Flow.phrase("help_lines", t.state.Language), "{helplines}", lines)})
		}
		t.repeat(q)
	case person:
		t.say(map[bool]string{false: "person_called", true: "person_called_anonymous"}[t.state.Anonymous])
		t.hand(Handover{Reason: "asked"})
		t.repeat(q)
	case proceed:
		t.proceed(q)
	default:
		t.speak(map[command]string{inEnglish: "en", inGerman: "de", inDutch: "nl"}[c])
		t.repeat(q)
	}
}

func (t *talk) repeat(q *step) {
	if q != nil {
		t.ask(q)
	}
}

func (t *talk) skip(q *step) {
	switch {
	case t.held() != nil:
		t.proceed(nil)
	case q == nil:
		t.outside()
	case t.state.Editing:
		t.leave(q) // the earlier answer stays
	case q.required && t.state.Unclear <= maxUnclear:
		t.say("required")
		t.ask(q)
	default:
		t.turn.Answers = append(t.turn.Answers, Answer{Question: q.id, Kind: q.kind, Measure: q.measure, Skipped: true, Edit: t.state.given(q.id) != nil})
		t.state.give(Given{Question: q.id, Skipped: true})
		t.leave(q)
	}
}

// edit opens the question that was answered last. Said again, it goes one
// further back.
func (t *talk) edit(q *step) {
	for n := len(t.state.Trail); n > 0; n = len(t.state.Trail) {
		last := t.state.Trail[n-1]
		t.state.Trail = slices.Clone(t.state.Trail[:n-1])
		if i, ok := t.Flow.index[last]; ok && t.Flow.steps[i].asks() {
			t.state.Phase, t.state.Step = Asking, last
			t.state.Editing, t.state.Unclear, t.state.Snoozed = true, 0, false
			t.say("edit")
			t.ask(&t.Flow.steps[i])
			return
		}
	}
	t.say("nothing_to_edit")
	t.repeat(q)
}

// proceed takes a stopped conversation up again.
func (t *talk) proceed(q *step) {
	if s := t.at(); t.state.Phase == Stopped && s != nil {
		if !s.asks() { // stopped while waiting
			t.state.Phase, t.turn.Wait = Waiting, s.wait
			t.say("waiting")
			return
		}
		t.state.Phase = Asking
		q = s
	}
	if s := t.held(); s != nil {
		t.state.Phase = Asking
		if t.state.Editing {
			t.leave(s)
			return
		}
		q = s
	}
	switch {
	case q != nil:
		t.say("continued")
		t.ask(q)
	case t.state.Phase == Waiting:
		t.say("waiting")
	default:
		t.state.Phase, t.state.Step = Ended, ""
		t.say("ended")
	}
}

// speak changes the language, where the flow has it.
func (t *talk) speak(language string) {
	at := t.Flow.language(language)
	if base, _, _ := strings.Cut(t.Flow.languages[at], "-"); base != language {
		t.say("help")
		return
	}
	t.lang, t.state.Language = at, t.Flow.languages[at]
	t.say("language")
}
