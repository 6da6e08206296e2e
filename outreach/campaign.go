package outreach

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/store"
)

// Settings are what a campaign does, as JSON in its row.
type Settings struct {
	Schedule calendar.Schedule  `json:"schedule"`
	Channels []calendar.Channel `json:"channels"` // each person by each of them
	// Either: each person by the first channel that reaches them, not by all.
	Either   bool                 `json:"either,omitempty"`
	Language string               `json:"language"`         // of the texts, for people whose own has none
	Texts    map[string]mail.Text `json:"texts,omitempty"`  // e-mail, by language
	Chat     map[string]string    `json:"chat,omitempty"`   // words in chat, by language
	Remind   map[string]mail.Text `json:"remind,omitempty"` // e-mail of reminders; none: Texts
	Nudge    map[string]string    `json:"nudge,omitempty"`  // words of reminders in chat; none: Chat
	Replies  []Reply              `json:"replies,omitempty"`
	Variants []Variant            `json:"variants,omitempty"` // of an A/B trial, two to five
	Rate     float64              `json:"rate,omitempty"`     // invitations a second; 0: as fast as all may
	Burst    float64              `json:"burst,omitempty"`    // at once after a lull; 0: a second's
	// Twice: an e-mail of which nobody knows whether it went is sent again. A
	// person may get it twice; without it, never.
	Twice bool `json:"twice,omitempty"`
}

// Variant is an arm of an A/B trial. What it does not say is as in Settings.
type Variant struct {
	Name     string               `json:"name"`
	Weight   int                  `json:"weight,omitempty"` // of people; 0 is 1
	Texts    map[string]mail.Text `json:"texts,omitempty"`
	Chat     map[string]string    `json:"chat,omitempty"`
	Question string               `json:"question,omitempty"` // variant of the flow
}

// Fields are what texts may name, beside the free attributes of people.
func Fields() []string {
	return []string{"name", "first_name", "team", "link", "campaign", "organisation", "milestone", "step"}
}

// campaign is a row and what was made of it. It is not changed, but for the row.
type campaign struct {
	row      *store.Campaign
	set      Settings
	org      *Organisation
	fields   []string // free attributes
	mails    []*mail.Template
	reminds  *mail.Template
	chats    []*mail.Template
	nudges   *mail.Template
	weights  int
	compiled time.Time
}

// ParseSettings reads settings; an unknown key is refused.
func ParseSettings(text []byte) (Settings, error) {
	var s Settings
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("settings of the campaign: %w", err)
	}
	if d.More() {
		return s, errors.New("settings of the campaign: there is something behind their end")
	}
	return s, s.Validate()
}

// Validate says what is wrong with settings in one sentence. Texts are checked
// when the fields of the organisation are known.
func (s *Settings) Validate() error {
	if err := s.Schedule.Validate(); err != nil {
		return err
	}
	if len(s.Channels) == 0 {
		return errors.New("the campaign has no channel: give email, chat or both")
	}
	for i, ch := range s.Channels {
		switch {
		case ch != calendar.Email && ch != calendar.Chat:
			return fmt.Errorf("channel %.40q is not known: give email, chat or both", ch)
		case slices.Contains(s.Channels[:i], ch):
			return fmt.Errorf("channel %s is there twice", ch)
		case ch == calendar.Email && len(s.Texts) == 0:
			return errors.New("the campaign has no texts for e-mail")
		case ch == calendar.Chat && len(s.Chat) == 0:
			return errors.New("the campaign has no words for chat")
		}
	}
	if !(s.Rate >= 0 && s.Rate <= calendar.MaxRate) || s.Burst != 0 && !(s.Burst >= 1 && s.Burst <= calendar.MaxBurst) {
		return fmt.Errorf("the rate is 0 to %g a second, the burst 1 to %g", float64(calendar.MaxRate), float64(calendar.MaxBurst))
	}
	if n := len(s.Variants); n == 1 || n > 5 {
		return fmt.Errorf("a trial has two to five variants, not %d", n)
	}
	for i, v := range s.Variants {
		if v.Name == "" || v.Weight < 0 || v.Weight > 1000 {
			return fmt.Errorf("variant %d: it has a name, and a weight from 0 to 1000", i+1)
		}
	}
	return nil
}

// templates parses texts of one kind for each variant.
func (c *campaign) templates() error {
	fields := append(Fields(), c.fields...)
	parse := func(what string, texts map[string]mail.Text) (*mail.Template, error) {
		if len(texts) == 0 {
			return nil, nil
		}
		t, err := mail.ParseTemplate(texts, c.set.Language, fields)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		return t, nil
	}
	variants := c.set.Variants
	if len(variants) == 0 {
		variants = []Variant{{Name: "", Weight: 1}}
	}
	for i, v := range variants {
		c.weights += max(v.Weight, 1)
		texts, chat := v.Texts, v.Chat
		if len(texts) == 0 {
			texts = c.set.Texts
		}
		if len(chat) == 0 {
			chat = c.set.Chat
		}
		m, err := parse(fmt.Sprintf("e-mail of variant %d", i+1), texts)
		if err != nil {
			return err
		}
		w, err := parse(fmt.Sprintf("chat of variant %d", i+1), spoken(chat))
		if err != nil {
			return err
		}
		c.mails, c.chats = append(c.mails, m), append(c.chats, w)
	}
	var err error
	if c.reminds, err = parse("reminders", c.set.Remind); err != nil {
		return err
	}
	c.nudges, err = parse("reminders in chat", spoken(c.set.Nudge))
	return err
}

// spoken makes words in chat a template, which wants a subject.
func spoken(words map[string]string) map[string]mail.Text {
	out := make(map[string]mail.Text, len(words))
	for language, w := range words {
		out[language] = mail.Text{Subject: "chat", Text: w}
	}
	return out
}

// compile reads a row. It asks for the organisation and its fields.
func (e *Engine) compile(ctx context.Context, row *store.Campaign) (*campaign, error) {
	set, err := ParseSettings(row.Settings)
	if err != nil {
		return nil, err
	}
	c := &campaign{row: row, set: set}
	if string(set.Schedule.Kind) != row.Kind {
		return nil, fmt.Errorf("the campaign is of kind %s, its schedule of kind %s", row.Kind, set.Schedule.Kind)
	}
	if c.org, err = e.cfg.Organisation(ctx, row.Org); err != nil {
		return nil, err
	}
	fields, err := e.cfg.Store.PersonFields(ctx, row.Org)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		c.fields = append(c.fields, f.Name)
	}
	return c, c.templates()
}

// recompile is how long what an organisation says is believed.
const recompile = 10 * time.Second

// compiled is the campaign of a short row, read again when its version moved.
func (e *Engine) compiled(ctx context.Context, row *store.Campaign) (*campaign, error) {
	k := key{row.Org, row.ID}
	e.mu.Lock()
	c := e.open[k]
	e.mu.Unlock()
	now := e.now()
	if c != nil && c.row.Version == row.Version && now.Sub(c.compiled).Abs() < recompile {
		full := *c.row
		full.State, full.Tokens, full.LastWave, full.Launched = row.State, row.Tokens, row.LastWave, row.Launched
		next := *c
		next.row = &full
		return &next, nil
	}
	full, err := e.cfg.Store.Campaign(ctx, row.Org, row.ID)
	if err != nil {
		return nil, err
	}
	if c, err = e.compile(ctx, full); err != nil {
		return nil, fmt.Errorf("campaign %s: %w", full.Name, err)
	}
	c.compiled = now
	e.mu.Lock()
	e.open[k] = c
	e.mu.Unlock()
	delete(e.looks, k)
	return c, nil
}

// variant is the arm of a person: the same in each wave, evenly by weight.
func (c *campaign) variant(person store.PersonID) int {
	if len(c.set.Variants) == 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d", c.row.ID, person)
	// The low bits of FNV alone are not even.
	sum := h.Sum64()
	sum ^= sum >> 32
	at := int(sum * 0x9e3779b97f4a7c15 >> 33 % uint64(c.weights))
	for i, v := range c.set.Variants {
		if at -= max(v.Weight, 1); at < 0 {
			return i
		}
	}
	return 0
}

// VariantName is the name of a variant of a campaign's row, "" without a trial.
func VariantName(settings []byte, variant int) string {
	s, err := ParseSettings(settings)
	if err != nil || variant < 0 || variant >= len(s.Variants) {
		return ""
	}
	return s.Variants[variant].Name
}

// values are what texts may name.
func (c *campaign) values(p *store.Person, v *store.Invitation, link string) map[string]string {
	first, _, _ := strings.Cut(strings.TrimSpace(p.Name), " ")
	out := make(map[string]string, len(p.Attrs)+8)
	for k, a := range p.Attrs {
		out[k] = a
	}
	out["name"], out["first_name"], out["team"], out["link"] = p.Name, first, p.Team, link
	out["campaign"], out["organisation"] = c.row.Name, c.org.From.Name
	out["milestone"], out["step"] = v.Milestone, fmt.Sprint(v.Step)
	return out
}

// mailOnly reports whether all of it goes through the relay.
func (c *campaign) mailOnly() bool {
	return len(c.set.Channels) == 1 && c.set.Channels[0] == calendar.Email
}

// language is what a person reads.
func (c *campaign) language(p *store.Person) string {
	if l := p.Speaks(); l != "" {
		return l
	}
	return c.org.Language
}

// zones are time zones by name. mu is a leaf.
type zones struct {
	mu   sync.Mutex
	have map[string]*time.Location
}

// of is a zone by its name, nil when there is no such zone: then that of the
// organisation counts.
func (z *zones) of(name string) *time.Location {
	if name == "" {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if l, ok := z.have[name]; ok {
		return l
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		l = nil
	}
	if z.have == nil || len(z.have) > 2000 {
		z.have = map[string]*time.Location{}
	}
	z.have[name] = l
	return l
}

// rules are a person's own.
func (e *Engine) rules(p *store.Person) calendar.Rules {
	r := calendar.Rules{Zone: e.zones.of(p.Zone)}
	for _, text := range p.Prefs.Quiet {
		if q, err := calendar.ParseQuiet(text); err == nil && len(r.Quiet) < calendar.MaxQuiet {
			r.Quiet = append(r.Quiet, q)
		}
	}
	return r
}

// unwanted says why a person is not invited by a channel, or "".
func unwanted(p *store.Person, ch calendar.Channel, now time.Time) string {
	switch {
	case !p.Here(now):
		return "left the organisation"
	case !p.Prefs.OptedOut.IsZero():
		return "opted out on " + p.Prefs.OptedOut.UTC().Format(time.DateOnly)
	case len(p.Prefs.Channels) > 0 && !slices.Contains(p.Prefs.Channels, string(ch)):
		return "wishes no " + string(ch)
	case ch == calendar.Email && p.Email == "":
		return "has no e-mail address"
	case ch == calendar.Chat && p.Account == "":
		return "has no account in chat"
	}
	return ""
}

// channelOf is the number that rows have.
func channelOf(ch calendar.Channel) store.Channel {
	if ch == calendar.Chat {
		return store.InChat
	}
	return store.ByEmail
}

func channelName(ch store.Channel) calendar.Channel {
	if ch == store.InChat {
		return calendar.Chat
	}
	return calendar.Email
}

// suppressed finds those of some people who are on the organisation's list, by
// PersonKey or address.
func (e *Engine) suppressed(ctx context.Context, org feature.Org, people []*store.Person) (map[string]store.Suppression, error) {
	who := make([]string, 0, 2*len(people))
	for _, p := range people {
		who = append(who, store.PersonKey(p.ID))
		if p.Email != "" {
			who = append(who, strings.ToLower(p.Email))
		}
	}
	return e.cfg.Store.Suppressed(ctx, org, who)
}

// listed says why a person is on that list for a channel, or "".
func listed(list map[string]store.Suppression, p *store.Person, ch calendar.Channel) string {
	if s, ok := list[store.PersonKey(p.ID)]; ok {
		return s.Kind.String() + ": " + s.Why
	}
	if s, ok := list[strings.ToLower(p.Email)]; ok && ch == calendar.Email {
		return s.Kind.String() + ": " + s.Why
	}
	return ""
}
