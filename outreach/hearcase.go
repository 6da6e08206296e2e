package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/store"
)

// What a person has to look at. A case says what was written and which rule it
// set off; what it means is for whoever reads it.

// Reasons of cases, beside those of flows and of insight's risk rules.
const (
	reasonDanger  = "danger"  // a message sounds like danger
	reasonMessage = "message" // something was written that no question asked for
)

// messageDue is within what time somebody answers what is not urgent.
const messageDue = 48 * time.Hour

// facts are what set a case off.
type facts struct {
	Hits  []insight.Hit `json:"hits,omitempty"`
	Risks []string      `json:"risks,omitempty"`
	Step  string        `json:"step,omitempty"` // of the flow
}

// cases opens or adds to a case where a turn asks for it.
func (t *turn) cases(ctx context.Context, s *speech, then *flow.Turn, hits []insight.Hit) error {
	due := insight.DefaultRiskRules().Due
	switch {
	case len(hits) > 0:
		if err := t.raise(ctx, s, reasonDanger, overload.Care, due[insight.Urgent], facts{Hits: hits}); err != nil {
			return err
		}
	case then.Handover != nil:
		h := then.Handover
		within := due[insight.Soon]
		if h.Urgent {
			within = due[insight.Urgent]
		}
		if err := t.raise(ctx, s, h.Reason, overload.Care, within, facts{Step: h.Step}); err != nil {
			return err
		}
	case then.Outside:
		if err := t.outside(ctx, s); err != nil {
			return err
		}
	}
	return t.risks(ctx, s, then)
}

// outside keeps what no question asked for: in the case that is open, and where
// the flow waits, in one of its own, for it promises a person then. At the end of
// a conversation people are told honestly that nobody reads on.
func (t *turn) outside(ctx context.Context, s *speech) error {
	c, err := t.openCase(ctx, s.Who())
	if err != nil || c == nil && s.Phase != store.TalkWaiting {
		return err
	}
	return t.raise(ctx, s, reasonMessage, overload.Chat, messageDue, facts{})
}

// risks looks at what was answered by insight's risk rules.
func (t *turn) risks(ctx context.Context, s *speech, then *flow.Turn) error {
	if len(then.Answers) == 0 {
		return nil
	}
	var told insight.Told
	for _, a := range then.Answers {
		switch {
		case a.Kind == flow.Mood && a.Score != nil:
			told.Moods = append(told.Moods, insight.MoodAnswer{At: t.now, Value: *a.Score, Least: 1, Most: 5})
		case a.Kind == flow.Text:
			if feeling, ok := t.feels[a.Text]; ok {
				told.Sentiment = &feeling
			}
		}
	}
	if told.Sentiment != nil {
		told.ENPS = enps(s)
	}
	for _, r := range insight.DefaultRiskRules().Of(told) {
		if err := t.raise(ctx, s, r.Rule, overload.Care, r.Due, facts{Risks: []string{r.Reason}}); err != nil {
			return err
		}
	}
	return nil
}

// enps is what the person answered to the question of that measure.
func enps(s *speech) *int {
	for _, q := range s.talker.Flow.Questions() {
		if q.Measure != "enps" {
			continue
		}
		for _, g := range s.memory.Flow.Answers {
			if g.Question == q.ID && !g.Skipped {
				return g.Score
			}
		}
	}
	return nil
}

// openCase is the newest open case of a person, with what this turn adds.
func (t *turn) openCase(ctx context.Context, who []byte) (*store.Case, error) {
	if len(t.out.Cases) > 0 {
		return &t.out.Cases[0], nil
	}
	list, err := t.desk.bot.host.Store.OpenCases(ctx, t.desk.org, who)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// raise opens a case about a talk, or adds to the one that is open. In an
// anonymous campaign it carries the pseudonym and nothing else.
func (t *turn) raise(ctx context.Context, s *speech, reason string, class overload.Class, within time.Duration, why facts) error {
	fresh := store.Case{Campaign: s.Campaign, Wave: s.Wave, Who: s.Who()}
	if !s.Anonymous {
		fresh.Account, fresh.Person = s.Account, s.Person
	}
	return t.raiseFor(ctx, fresh, reason, class, within, why)
}

// raiseFor is raise with whose case it is.
func (t *turn) raiseFor(ctx context.Context, fresh store.Case, reason string, class overload.Class, within time.Duration, why facts) error {
	had, err := t.openCase(ctx, fresh.Who)
	if err != nil {
		return err
	}
	b, err := json.Marshal(why)
	if err != nil {
		return err
	}
	c := fresh
	c.Reason, c.Facts, c.Opened = reason, b, t.now
	if had != nil {
		c = *had
	}
	if had != nil && reason != reasonMessage {
		c.Lines = append(c.Lines, t.line(store.LineChange, strings.TrimSpace(reason+" "+string(b))))
	}
	if had == nil {
		c.ID, c.State, c.Class, c.Due = t.desk.bot.host.Store.NewID(), store.CaseOpen, int(class), t.now.Add(within)
	}
	c.Class, c.Changed = min(c.Class, int(class)), t.now
	if due := t.now.Add(within); due.Before(c.Due) {
		c.Due = due
	}
	if m := t.job.message; m != nil && m.text != "" && !hasLine(c.Lines, m.text) {
		c.Lines = append(c.Lines, t.line(store.LineFrom, m.text))
	}
	t.out.Cases = append(t.out.Cases[:0], c)
	return nil
}

func hasLine(list []store.CaseLine, text string) bool {
	for _, l := range list {
		if l.Kind == store.LineFrom && l.Text == text {
			return true
		}
	}
	return false
}

func (t *turn) line(kind store.LineKind, text string) store.CaseLine {
	return store.CaseLine{ID: t.desk.bot.host.Store.NewID(), Kind: kind, At: t.now, Text: text}
}

// alarm answers danger in a talk whose flow has not begun.
func (t *turn) alarm(ctx context.Context, s *speech, hits []insight.Hit) error {
	if err := t.raise(ctx, s, reasonDanger, overload.Care, insight.DefaultRiskRules().Due[insight.Urgent], facts{Hits: hits}); err != nil {
		return err
	}
	t.help(s.about.Country, s.about.Zone, s.language())
	return t.keep(s)
}

// alarmOf answers danger from somebody without a talk.
func (t *turn) alarmOf(ctx context.Context, language string, hits []insight.Hit) error {
	c, err := t.desk.caseOf(ctx, t.job.account)
	if err != nil {
		return err
	}
	t.help("", "", language)
	return t.raiseFor(ctx, c, reasonDanger, overload.Care, insight.DefaultRiskRules().Due[insight.Urgent], facts{Hits: hits})
}

// help shows where help is.
func (t *turn) help(country, zone, language string) {
	t.say(own("danger", language), language)
	if lines := t.desk.helplines(country, zone, language); lines != "" {
		t.say(own("help", language)+" "+lines, language)
	}
	t.say(own("told", language), language)
}

// caseOf is whose case it would be of an account without a talk: the person's,
// or that of the account alone.
func (d *desk) caseOf(ctx context.Context, account string) (store.Case, error) {
	p, err := d.bot.host.Store.PersonByAccount(ctx, d.org, account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Case{}, err
	}
	if err == nil {
		k := store.Talk{Person: int64(p.ID)}
		return store.Case{Who: k.Who(), Account: account, Person: int64(p.ID)}, nil
	}
	return store.Case{Who: []byte(fmt.Sprintf("a%07x", hashName(account)&0xfffffff)), Account: account}, nil
}

// thread hands what was written to the person who answers the case. Over is
// false when the flow takes the message after all: the case is closed, or the
// person wants to go on with the questions.
func (t *turn) thread(ctx context.Context, s *speech, hits []insight.Hit) (over bool, err error) {
	m := t.job.message
	c, err := t.desk.bot.host.Store.Case(ctx, t.desk.org, s.Case)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err != nil || c.State == store.CaseClosed {
		s.Case = 0
		return false, nil
	}
	if goesOn(m.text) && len(hits) == 0 {
		s.Case = 0
		if s.fresh {
			return true, t.begin(ctx, s, "")
		}
		return true, t.next(ctx, s, flow.Input{Text: m.text}, nil)
	}
	c.Changed = t.now
	if len(hits) > 0 {
		if due := t.now.Add(insight.DefaultRiskRules().Due[insight.Urgent]); due.Before(c.Due) || c.Due.IsZero() {
			c.Due = due
		}
		c.Class = int(overload.Care)
		if b, err := json.Marshal(facts{Hits: hits}); err == nil {
			c.Lines = append(c.Lines, t.line(store.LineChange, reasonDanger+" "+string(b)))
		}
		t.help(s.about.Country, s.about.Zone, s.language())
	}
	c.Lines = append(c.Lines, t.line(store.LineFrom, m.text))
	t.out.Cases = append(t.out.Cases[:0], *c)
	return true, t.keep(s)
}

// goesOn reports whether somebody who talks with a person wants to go back to
// the questions.
func goesOn(text string) bool {
	switch strings.ToLower(strings.Trim(strings.TrimSpace(text), ".!“”\"'")) {
	case "continue", "weiter", "verder", "/continue":
		return true
	}
	return false
}

// urgent opens a case about a message that was not taken, whatever the store
// does at the moment: it is tried until it is done.
func (d *desk) urgent(account, text string, hits []insight.Hit) {
	d.bot.mu.Lock()
	life := d.bot.life
	d.bot.mu.Unlock()
	if life == nil || !d.bot.alarms.enter() {
		d.log.Error("a message that sounds like danger was not taken, and too many wait to be noted: look at the log of this minute")
		return
	}
	now := d.bot.cfg.Clock.Now()
	id, line := d.bot.host.Store.NewID(), d.bot.host.Store.NewID()
	d.bot.wait.Go(func() {
		defer d.bot.alarms.leave()
		for life.Err() == nil {
			err := d.alarmRefused(life, account, id, store.CaseLine{ID: line, Kind: store.LineRefused, At: now, Text: text}, hits)
			if err == nil {
				return
			}
			d.pause(life, err, "a case is not noted yet; trying again")
		}
	})
}

func (d *desk) alarmRefused(ctx context.Context, account string, id int64, line store.CaseLine, hits []insight.Hit) error {
	s := d.bot.host.Store
	talks, _, err := s.Talks(ctx, d.org, account)
	if err != nil {
		return err
	}
	t := &turn{desk: d, job: &job{account: account}, talks: talks, now: line.At}
	var c store.Case
	if k := t.current(); k != nil {
		c = store.Case{Campaign: k.Campaign, Wave: k.Wave, Who: k.Who()}
		if !k.Anonymous {
			c.Account, c.Person = k.Account, k.Person
		}
	} else if c, err = d.caseOf(ctx, account); err != nil {
		return err
	}
	if err := t.raiseFor(ctx, c, reasonDanger, overload.Care, insight.DefaultRiskRules().Due[insight.Urgent], facts{Hits: hits}); err != nil {
		return err
	}
	made := &t.out.Cases[0]
	if len(made.Lines) == 0 { // a new one: tried again, it is the same
		made.ID = id
	}
	made.Lines = append(made.Lines, line)
	if err := s.OpenCase(ctx, d.org, made); err != nil {
		return err
	}
	d.mu.Lock()
	d.cares[account] = true
	d.mu.Unlock()
	return nil
}

// reloadCases reads who has an open case.
func (d *desk) reloadCases(ctx context.Context) error {
	s := d.bot.host.Store
	accounts, pseudonyms, err := s.CasePeople(ctx, d.org)
	if err != nil {
		return err
	}
	cares := make(map[string]bool, len(accounts)+len(pseudonyms))
	for _, a := range accounts {
		cares[a] = true
	}
	for _, p := range pseudonyms {
		k, err := s.TalkOfPseudonym(ctx, d.org, p)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		cares[k.Account] = true
	}
	d.mu.Lock()
	d.cares = cares
	d.mu.Unlock()
	return nil
}

// AnswerCase writes to the person of a case, who is told by the bot. Neither
// learns who the other is beyond what author says.
func (b *Bot) AnswerCase(ctx context.Context, org feature.Org, id int64, author, text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("answer a case: there is nothing to say")
	}
	if err := b.host.Store.AnswerCase(ctx, org, id, author, text, b.cfg.Clock.Now()); err != nil {
		return err
	}
	if d := b.find(org); d != nil {
		nudge(d.poke)
	}
	return nil
}

// Unlink ends what a campaign's pseudonyms could be traced by, for the engine
// to call when an anonymous campaign has ended: talks, links and devices. Cases
// that are open keep what was written; nobody can write to their people any
// more. It may be called again.
func (b *Bot) Unlink(ctx context.Context, org feature.Org, campaign int64) (talks int, err error) {
	return b.host.Store.Unlink(ctx, org, campaign)
}
