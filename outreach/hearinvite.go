package outreach

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// How a conversation comes about: by an invitation in chat, by a link, or at
// once, for who tries a flow. The talk is a row from the invitation on; nothing
// of the flow is said before the person comes.

// ErrFlow is wrapped where a campaign's flow cannot be used.
var ErrFlow = errors.New("the flow cannot be used")

// Say says an invitation as the organisation's bot, and begins to expect the
// person. It returns when the words are archived; said again they are there
// once. ErrNobody when there is no such account. It is Config.Say.
func (b *Bot) Say(ctx context.Context, w Words) error {
	d, err := b.desk(ctx, w.Org)
	if err != nil {
		return err
	}
	u := store.Utterance{Text: w.Body, Language: w.Language}
	for _, r := range w.Replies {
		u.Replies = append(u.Replies, store.Button{Value: r.Value, Label: r.Label})
	}
	if v := &w.Invitation; v.ID != 0 {
		if w.Account == "" {
			return fmt.Errorf("say an invitation: %w", ErrNobody)
		}
		k, err := d.expect(ctx, v)
		if err != nil {
			return err
		}
		if v.Attempts > 0 { // it may have arrived before this process began
			there, err := d.arrived(ctx, w.Account, w.OriginID, v.ID)
			if err != nil || there {
				return err
			}
		}
		if err := d.repeat(ctx, k, &u); err != nil {
			return err
		}
	}
	settled := make(chan struct{})
	err = d.speak(ctx, w.Account, &u, w.OriginID, func() { close(settled) })
	var refused *stanza.Error
	switch {
	case errors.Is(err, presence.ErrUnknown):
		return fmt.Errorf("say an invitation to %s: %w", w.Account, ErrNobody)
	case errors.As(err, &refused):
		return fmt.Errorf("say an invitation to %s: they block the bot: %w", w.Account, ErrNobody)
	case err != nil:
		return err
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeat adds the question that is open, when a reminder is about a conversation
// that is half-way: what is answered to it is an answer to that.
func (d *desk) repeat(ctx context.Context, k *store.Talk, u *store.Utterance) error {
	if k.Phase != store.TalkOpen {
		return nil
	}
	f, err := d.flow(ctx, k.Script)
	if err != nil {
		return err
	}
	var m memory
	if err := json.Unmarshal(k.State, &m); err != nil {
		return err
	}
	_, then := flow.Talker{Flow: f}.Next(m.Flow, flow.Input{Event: flow.Resume})
	for _, l := range then.Say {
		if l.Question == nil {
			continue
		}
		u.Text += "\n\n" + l.Plain()
		u.Language, u.Replies = m.Flow.Language, nil
		for _, o := range l.Question.Options {
			u.Replies = append(u.Replies, store.Button{Value: o.Value, Label: o.Label})
		}
	}
	return nil
}

// expect is the talk of an invitation, made when there is none.
func (d *desk) expect(ctx context.Context, v *store.Invitation) (*store.Talk, error) {
	s := d.bot.host.Store
	k, err := s.TalkOf(ctx, d.org, v.Campaign, v.Wave, int64(v.Person))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return k, err
	}
	c, err := s.Campaign(ctx, d.org, v.Campaign)
	if err != nil {
		return nil, err
	}
	p, err := s.Person(ctx, d.org, v.Person)
	if err != nil {
		return nil, err
	}
	if p.Account == "" {
		return nil, fmt.Errorf("person %d: %w", v.Person, ErrNobody)
	}
	if d.bot.cfg.Document == nil {
		return nil, fmt.Errorf("campaign %s: %w: it has no document", c.Name, ErrFlow)
	}
	doc, err := d.bot.cfg.Document(ctx, c)
	if err != nil {
		return nil, err
	}
	f, err := flow.Parse(doc)
	if err != nil {
		return nil, fmt.Errorf("campaign %s: %w: %w", c.Name, ErrFlow, err)
	}
	what := about{Language: p.Speaks(), Zone: p.Zone, Country: p.Attrs["country"], Attributes: attributes(f, &p, d.jid.Domain())}
	if !c.Anonymous {
		what.Name = firstName(p.Name)
	}
	if set, err := ParseSettings(c.Settings); err == nil && v.Variant < len(set.Variants) {
		what.Variant = set.Variants[v.Variant].Question
	}
	k = &store.Talk{Org: d.org, Account: p.Account, Person: int64(v.Person), Campaign: v.Campaign, Wave: v.Wave, Anonymous: c.Anonymous}
	return d.add(ctx, k, f, what, doc)
}

// add keeps a new talk; a flow that asks for free text wants helplines first.
func (d *desk) add(ctx context.Context, k *store.Talk, f *flow.Flow, what about, doc []byte) (*store.Talk, error) {
	lines := d.helplines(what.Country, what.Zone, f.Language(what.Language))
	if p := f.Validate(flow.Conditions{Helplines: lines != "", Anonymous: k.Anonymous}); len(p) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrFlow, p)
	}
	var err error
	if k.About, err = json.Marshal(&what); err != nil {
		return nil, err
	}
	if _, err := rand.Read(k.Pseudonym[:]); err != nil {
		return nil, err
	}
	k.Script, k.Touched = f.Hash(), d.bot.cfg.Clock.Now()
	kept, _, err := d.bot.host.Store.BeginTalk(ctx, k, doc)
	return kept, err
}

// firstName is how a person is addressed.
func firstName(name string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(name), " ")
	return first
}

// attributes are those of a person that a flow asks about, as the kinds it
// declares.
func attributes(f *flow.Flow, p *store.Person, domain string) map[string]any {
	out := map[string]any{}
	for name, kind := range f.Attributes() {
		text, ok := p.Field(name, domain).(string)
		if !ok {
			continue
		}
		switch kind {
		case "number":
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				out[name] = n
			}
		case "bool":
			if yes, err := strconv.ParseBool(text); err == nil {
				out[name] = yes
			}
		default:
			out[name] = text
		}
	}
	return out
}

// Trial is a conversation with somebody who tries a flow: of no campaign.
type Trial struct {
	Account   string // local part
	Document  []byte // of the flow
	Anonymous bool
	Variant   string
	Language  string
	Name      string
	Zone      string
	Country   string
}

// Begin opens a conversation at once and returns its number when its first words
// are on their way. Its answers are of campaign 0, and of a wave that has the
// talk's number.
func (b *Bot) Begin(ctx context.Context, org feature.Org, t Trial) (talk int64, err error) {
	d, err := b.desk(ctx, org)
	if err != nil {
		return 0, err
	}
	if who, err := jid.New(t.Account, d.jid.Domain(), ""); err != nil {
		return 0, fmt.Errorf("begin a talk: %q is no name of an account", t.Account)
	} else if a, err := b.host.Directory.Account(ctx, who); err != nil {
		return 0, fmt.Errorf("begin a talk with %s: %w", who, ErrNobody)
	} else {
		a.Release()
	}
	f, err := flow.Parse(t.Document)
	if err != nil {
		return 0, fmt.Errorf("begin a talk: %w: %w", ErrFlow, err)
	}
	id := b.host.Store.NewID()
	k := &store.Talk{Org: org, ID: id, Account: t.Account, Wave: id, Anonymous: t.Anonymous}
	what := about{Variant: t.Variant, Language: t.Language, Zone: t.Zone, Country: t.Country}
	if !t.Anonymous {
		what.Name = t.Name
	}
	if _, err := d.add(ctx, k, f, what, t.Document); err != nil {
		return 0, fmt.Errorf("begin a talk: %w", err)
	}
	return id, d.ask(ctx, job{account: t.Account, talk: id, event: eventOpen})
}

// linkValid is how long a link opens a conversation.
const linkValid = 30 * 24 * time.Hour

// Link makes the address at which an invitation is answered (decision 16), with
// a token of its own: what was sent before stays good. It is Config.Link.
func (b *Bot) Link(ctx context.Context, org feature.Org, v *store.Invitation) (string, error) {
	d, err := b.desk(ctx, org)
	if err != nil {
		return "", err
	}
	k, err := d.expect(ctx, v)
	if err != nil {
		return "", err
	}
	email := ""
	if p, err := b.host.Store.Person(ctx, org, v.Person); err == nil {
		email = p.Email
	}
	return b.LinkTo(ctx, k, email, linkValid)
}

// LinkTo makes an address at which a talk is opened, for so long. Codes for
// further devices go to email.
func (b *Bot) LinkTo(ctx context.Context, k *store.Talk, email string, valid time.Duration) (string, error) {
	token := make([]byte, tokenBytes)
	if _, err := rand.Read(token); err != nil {
		return "", err
	}
	link := store.Link{Kind: store.LinkTalk, Talk: k.ID, Campaign: k.Campaign, Person: k.Person, Email: email, Expires: b.cfg.Clock.Now().Add(valid)}
	if err := b.host.Store.AddLinks(ctx, k.Org, []store.Link{link}, [][]byte{token}); err != nil {
		return "", err
	}
	web := ""
	if b.cfg.Web != nil {
		web = b.cfg.Web(k.Org)
	}
	return web + "/c/#" + encode(token), nil
}

// Revoke makes the links to a talk useless and ends the sessions that came by
// them, in this process at once, elsewhere when their stream ends.
func (b *Bot) Revoke(ctx context.Context, org feature.Org, talk int64) error {
	k, err := b.host.Store.Talk(ctx, org, talk)
	if err != nil {
		return err
	}
	if err := b.host.Store.RevokeLinks(ctx, org, talk, b.cfg.Clock.Now()); err != nil {
		return err
	}
	d, err := b.desk(ctx, org)
	if err != nil {
		return err
	}
	who, err := jid.New(k.Account, d.jid.Domain(), "")
	if err != nil {
		return nil
	}
	b.host.Router.CloseScoped(who, d.jid)
	return nil
}
