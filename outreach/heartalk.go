package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/store"
)

// about is what a talk begins with, as JSON in its row.
type about struct {
	Variant    string         `json:"variant,omitempty"`
	Language   string         `json:"language,omitempty"`
	Name       string         `json:"name,omitempty"` // not in an anonymous campaign
	Attributes map[string]any `json:"attributes,omitempty"`
	Zone       string         `json:"zone,omitempty"`
	Country    string         `json:"country,omitempty"`
}

// memory is what a talk remembers, as JSON in its row.
type memory struct {
	Flow flow.State `json:"flow"`
	// Last is the id attribute of the last message that gave an answer: what
	// corrects it (XEP-0308) changes that answer.
	Last string `json:"last,omitempty"`
}

// turn is what follows from one job, while it is worked out.
type turn struct {
	desk  *desk
	job   *job
	talks []*store.Talk
	now   time.Time
	id    int64 // of the texts
	out   store.Heard
	feels map[string]insight.Sentiment // by text
}

// speech is one talk with what belongs to it.
type speech struct {
	*store.Talk
	about  about
	memory memory
	fresh  bool // nothing of the flow was said yet
	talker flow.Talker
}

// answer works out what follows.
func (t *turn) answer(ctx context.Context) error {
	if t.job.event == eventMessage {
		return t.hear(ctx)
	}
	k, err := t.talkByID(ctx, t.job.talk)
	if err != nil || k == nil {
		return err
	}
	s, err := t.open(ctx, k)
	if err != nil || s.Phase == store.TalkBroken {
		return err
	}
	switch t.job.event {
	case eventTimer:
		if k.Due.IsZero() || k.Due.After(t.now) {
			return nil
		}
		k.Due = time.Time{}
		if s.fresh && k.Phase != store.TalkInvited {
			return t.keep(s)
		}
		if s.fresh {
			return t.begin(ctx, s, "")
		}
		return t.next(ctx, s, flow.Input{Event: flow.Timer}, nil)
	case eventOpen:
		if s.fresh {
			return t.begin(ctx, s, "")
		}
		return nil
	}
	if s.fresh {
		return t.begin(ctx, s, "")
	}
	return t.next(ctx, s, flow.Input{Event: flow.Resume}, nil)
}

// talkByID finds a talk of the account; nil when it is gone or somebody else's.
func (t *turn) talkByID(ctx context.Context, id int64) (*store.Talk, error) {
	for _, k := range t.talks {
		if k.ID == id {
			return k, nil
		}
	}
	k, err := t.desk.bot.host.Store.Talk(ctx, t.desk.org, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && k.Account != t.job.account {
		return nil, nil
	}
	return k, err
}

// hear is what follows from a message.
func (t *turn) hear(ctx context.Context) error {
	m := t.job.message
	hits := insight.Crisis(m.text) // before anything else can happen to it
	k := t.current()
	if k == nil {
		return t.stranger(ctx, hits)
	}
	s, err := t.open(ctx, k)
	if err != nil {
		return err
	}
	if s.Phase == store.TalkBroken {
		return t.stranger(ctx, hits)
	}
	if m.sealed {
		t.say(own("sealed", s.language()), s.language())
		return t.keep(s)
	}
	if k.Case != 0 {
		if over, err := t.thread(ctx, s, hits); over || err != nil {
			return err
		}
	}
	if s.fresh {
		if len(hits) > 0 {
			return t.alarm(ctx, s, hits)
		}
		return t.begin(ctx, s, m.text)
	}
	if m.corrects != "" {
		return t.correct(ctx, s, hits)
	}
	return t.next(ctx, s, t.input(hits), hits)
}

// input is the message as the flow takes it. A pressed action says which
// question it belongs to: a late press answers none.
func (t *turn) input(hits []insight.Hit) flow.Input {
	m := t.job.message
	in := flow.Input{Text: m.text, Danger: len(hits) > 0}
	if m.action != "" && m.text == "" {
		what, question, _ := strings.Cut(m.action, ":")
		in.Text, in.Question = "/"+what, question
	}
	return in
}

// current is the talk that a message belongs to: one whose case a person
// answers, else the open one that was touched last, else an invitation, else
// what was last.
func (t *turn) current() *store.Talk {
	var open, invited, last *store.Talk
	for _, k := range t.talks {
		switch {
		case k.Phase == store.TalkBroken:
		case k.Case != 0:
			return k
		case k.Phase == store.TalkInvited:
			if invited == nil {
				invited = k
			}
		case !k.Phase.Over():
			if open == nil {
				open = k
			}
		case last == nil:
			last = k
		}
	}
	switch {
	case open != nil:
		return open
	case invited != nil:
		return invited
	}
	return last
}

// open reads what a talk remembers, and its flow. What cannot be read is a
// fault of ours: the talk is broken and says so from then on.
func (t *turn) open(ctx context.Context, k *store.Talk) (*speech, error) {
	s := &speech{Talk: k, fresh: len(k.State) == 0}
	f, err := t.desk.flow(ctx, k.Script)
	var bad flow.Problems
	broken := errors.Is(err, store.ErrNotFound) || errors.As(err, &bad)
	if err != nil && !broken {
		return nil, err
	}
	if !broken {
		err = json.Unmarshal(k.About, &s.about)
		if err == nil && !s.fresh {
			err = json.Unmarshal(k.State, &s.memory)
		}
		broken = err != nil
	}
	if broken {
		t.desk.log.Error("a talk cannot go on: what it remembers cannot be read", "talk", k.ID, "cause", err)
		k.Phase, k.Due, k.Touched = store.TalkBroken, time.Time{}, t.now
		t.out.Talks = append(t.out.Talks, k)
		return s, nil
	}
	s.talker = flow.Talker{Flow: f, Sentiment: t.feel(ctx), Helplines: func(language string) string {
		return t.desk.helplines(s.about.Country, s.about.Zone, language)
	}}
	return s, nil
}

func (s *speech) language() string {
	if s.memory.Flow.Language != "" {
		return s.memory.Flow.Language
	}
	if s.talker.Flow != nil {
		return s.talker.Flow.Language(s.about.Language)
	}
	return s.about.Language
}

// begin says what the flow begins with. Text is what the person wrote to an
// invitation: only that they do not want to, or not now, counts; who reads the
// answers is told before the first of them.
func (t *turn) begin(ctx context.Context, s *speech, text string) error {
	state, first := s.talker.Open(flow.Person{Name: s.about.Name, Language: s.about.Language, Attributes: s.about.Attributes},
		flow.Options{Variant: s.about.Variant, Anonymous: s.Anonymous})
	if text != "" {
		_, then := s.talker.Next(state, flow.Input{Text: text})
		switch {
		case then.Stopped:
			if s.Phase != store.TalkStopped {
				t.out.Stopped = t.invitedTo(s)
			}
			s.Phase, s.Due = store.TalkStopped, time.Time{}
			t.lines(then.Say, state.Language)
			return t.keep(s)
		case then.Snooze:
			due, err := t.tomorrow(ctx, s)
			if err != nil {
				return err
			}
			s.Due = due
			t.lines(then.Say, state.Language)
			return t.keep(s)
		}
	}
	s.Due, s.Began = time.Time{}, t.now
	return t.settle(ctx, s, state, &first, nil)
}

// next takes the conversation on by one input.
func (t *turn) next(ctx context.Context, s *speech, in flow.Input, hits []insight.Hit) error {
	state, then := s.talker.Next(s.memory.Flow, in)
	return t.settle(ctx, s, state, &then, hits)
}

// correct takes a correction of the last answer as an edit of it, and says so
// of any other: what was counted does not change unseen (XEP-0308).
func (t *turn) correct(ctx context.Context, s *speech, hits []insight.Hit) error {
	m := t.job.message
	if m.corrects == s.memory.Last && s.memory.Last != "" {
		if state, then := s.talker.Next(s.memory.Flow, flow.Input{Text: "/edit"}); state.Editing && state.Phase == flow.Asking && len(then.Say) > 0 {
			s.memory.Flow = state
			return t.next(ctx, s, flow.Input{Text: m.text, Danger: len(hits) > 0}, hits)
		}
	}
	if len(hits) > 0 {
		return t.next(ctx, s, flow.Input{Text: m.text, Danger: true}, hits)
	}
	t.say(own("correction", s.language()), s.language())
	return t.keep(s)
}

// settle notes what a turn of the flow brought.
func (t *turn) settle(ctx context.Context, s *speech, state flow.State, then *flow.Turn, hits []insight.Hit) error {
	before := s.Phase
	s.memory.Flow, s.fresh = state, false
	s.Phase = map[flow.Phase]store.TalkPhase{flow.Asking: store.TalkOpen, flow.Waiting: store.TalkWaiting, flow.Held: store.TalkHeld,
		flow.Ended: store.TalkEnded, flow.Stopped: store.TalkStopped}[state.Phase]
	if s.Phase == 0 {
		s.Phase = store.TalkEnded
	}
	if err := t.time(ctx, s, then); err != nil {
		return err
	}
	t.answers(s, then)
	if s.Phase == store.TalkStopped && before != store.TalkStopped {
		t.out.Stopped = t.invitedTo(s)
	}
	if err := t.cases(ctx, s, then, hits); err != nil {
		return err
	}
	t.lines(then.Say, state.Language)
	if err := t.keep(s); err != nil {
		return err
	}
	if s.Phase.Over() && !before.Over() {
		return t.other(ctx, s.Talk)
	}
	return nil
}

// keep puts a talk into what is saved.
func (t *turn) keep(s *speech) error {
	if !s.fresh {
		b, err := json.Marshal(&s.memory)
		if err != nil {
			return err
		}
		s.State = b
	}
	s.Touched = t.now
	if !slices.Contains(t.out.Talks, s.Talk) {
		t.out.Talks = append(t.out.Talks, s.Talk)
	}
	return nil
}

// other goes on with another conversation that is half-way, once one is over.
func (t *turn) other(ctx context.Context, over *store.Talk) error {
	for _, k := range t.talks {
		if k == over || k.Phase != store.TalkOpen {
			continue
		}
		s, err := t.open(ctx, k)
		if err != nil || s.Phase == store.TalkBroken {
			return err
		}
		_, then := s.talker.Next(s.memory.Flow, flow.Input{Event: flow.Resume})
		t.lines(then.Say, s.language())
		return t.keep(s)
	}
	return nil
}

// invitedTo is a talk whose invitations are to be told; nil for a trial.
func (t *turn) invitedTo(s *speech) *store.Talk {
	if s.Campaign == 0 || s.Person == 0 {
		return nil
	}
	return s.Talk
}

// answers notes answers as rows.
func (t *turn) answers(s *speech, then *flow.Turn) {
	if len(then.Answers) == 0 {
		return
	}
	if s.Answered == 0 {
		t.out.First = t.invitedTo(s)
	}
	if m := t.job.message; m != nil {
		s.memory.Last = m.name
	}
	at := t.now
	if s.Anonymous { // the moment would be as good as a name to who sees the archive
		at = t.now.UTC().Truncate(24 * time.Hour)
	}
	for _, a := range then.Answers {
		row := store.Answer{Campaign: s.Campaign, Wave: s.Wave, Who: s.Who(), Question: a.Question, Kind: a.Kind, Measure: a.Measure,
			Values: a.Values, Score: a.Score, Text: a.Text, Sentiment: a.Sentiment, Language: s.memory.Flow.Language, Skipped: a.Skipped, At: at}
		if !s.Anonymous {
			row.Person = s.Person
		}
		if feeling, ok := t.feels[a.Text]; ok && a.Sentiment != nil {
			if b, err := json.Marshal(feeling.Reasons); err == nil {
				row.Reasons = b
			}
		}
		t.out.Answers = append(t.out.Answers, row)
	}
	s.Answered = 0
	for _, g := range s.memory.Flow.Answers {
		if !g.Skipped {
			s.Answered++
		}
	}
}

// feel scores a free text, and keeps why; nil where it is switched off.
func (t *turn) feel(ctx context.Context) func(text, language string) float64 {
	scorer := t.desk.bot.cfg.Scorer
	if scorer == nil || t.desk.sets().NoSentiment {
		return nil
	}
	return func(text, language string) float64 {
		feeling, err := scorer.Score(ctx, language, text)
		if err != nil {
			if !errors.Is(err, insight.ErrLanguage) {
				t.desk.log.Warn("a text has no sentiment", "cause", err)
			}
			return math.NaN()
		}
		if t.feels == nil {
			t.feels = map[string]insight.Sentiment{}
		}
		t.feels[text] = feeling
		return feeling.Score
	}
}

// time notes when the talk goes on by itself: never at a quiet hour.
func (t *turn) time(ctx context.Context, s *speech, then *flow.Turn) error {
	state := &s.memory.Flow
	switch {
	case then.Snooze:
		due, err := t.tomorrow(ctx, s)
		if err != nil {
			return err
		}
		s.Due = due
	case then.Wait > 0:
		due, err := t.permitted(ctx, s, t.now.Add(then.Wait))
		if err != nil {
			return err
		}
		s.Due = due
	case state.Phase != flow.Waiting && !state.Snoozed:
		s.Due = time.Time{}
	}
	return nil
}

// remindAt is the hour at which a person is reminded who asked for tomorrow.
const remindAt = 9

// tomorrow is the next day in the person's time zone, outside of quiet hours.
func (t *turn) tomorrow(ctx context.Context, s *speech) (time.Time, error) {
	own, persons, err := t.rules(ctx, s)
	if err != nil {
		return time.Time{}, err
	}
	local := t.now.In(calendar.ZoneOf(own, persons))
	day := time.Date(local.Year(), local.Month(), local.Day()+1, remindAt, 0, 0, 0, local.Location())
	return earliest(day, own, persons), nil
}

func (t *turn) permitted(ctx context.Context, s *speech, at time.Time) (time.Time, error) {
	own, persons, err := t.rules(ctx, s)
	if err != nil {
		return time.Time{}, err
	}
	return earliest(at, own, persons), nil
}

// earliest is the first permitted instant; rules that permit none do not lose
// the talk.
func earliest(at time.Time, own, persons calendar.Rules) time.Time {
	if due, _, err := calendar.Earliest(at, own, persons); err == nil {
		return due
	}
	return at
}

// rules are those of the organisation and of the person.
func (t *turn) rules(ctx context.Context, s *speech) (own, persons calendar.Rules, err error) {
	var p *store.Person
	if s.Person != 0 {
		found, err := t.desk.bot.host.Store.Person(ctx, t.desk.org, store.PersonID(s.Person))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return own, persons, err
		}
		if err == nil {
			p = &found
		}
	}
	if f := t.desk.bot.cfg.Rules; f != nil {
		if own, persons, err = f(ctx, t.desk.org, p); err != nil {
			return own, persons, err
		}
	} else if q, err := calendar.ParseQuiet("21:00-08:00"); err == nil {
		own.Quiet = []calendar.Quiet{q}
	}
	if persons.Zone == nil {
		persons.Zone = t.desk.bot.zones.of(s.about.Zone)
	}
	return own, persons, nil
}

// lines are what the flow says, as texts to be said.
func (t *turn) lines(list []flow.Line, language string) {
	for _, l := range list {
		u := store.Utterance{Text: l.Plain(), Language: language}
		if q := l.Question; q != nil {
			for _, o := range q.Options {
				u.Replies = append(u.Replies, store.Button{Value: o.Value, Label: o.Label})
			}
			u.Actions = []store.Button{{Value: "remind:" + q.ID, Label: own("remind", language)}}
		}
		t.utter(u)
	}
}

// say is a sentence of the bot's own.
func (t *turn) say(text, language string) {
	t.utter(store.Utterance{Text: text, Language: language})
}

func (t *turn) utter(u store.Utterance) {
	t.out.Says = append(t.out.Says, store.Said{Org: t.desk.org, ID: t.id, N: len(t.out.Says), Account: t.job.account, At: t.now, Words: u})
}

// stranger is for who has no conversation: what sounds like danger is answered
// and passed on, everything else honestly.
func (t *turn) stranger(ctx context.Context, hits []insight.Hit) error {
	m := t.job.message
	language := t.desk.languageOf(m.text)
	switch {
	case len(hits) > 0:
		return t.alarmOf(ctx, language, hits)
	case m.sealed:
		t.say(own("sealed", language), language)
	default:
		t.say(own("nobody", language), language)
	}
	return nil
}

// origin is the origin-id of a text: the same for the same text.
func origin(x *store.Said) string {
	return "b" + strconv.FormatUint(uint64(x.ID), 36) + "." + strconv.Itoa(x.N)
}
