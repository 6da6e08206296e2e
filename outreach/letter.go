package outreach

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/store"
)

// badText marks an error that another try would meet again.
type badText struct{ error }

func unsendable(err error, now time.Time) store.Outcome {
	var bad badText
	if errors.As(err, &bad) {
		return store.Outcome{State: store.Failed, Why: bad.Error()}
	}
	return store.Outcome{State: store.Planned, Due: now.Add(lineAgain), Why: err.Error()}
}

// letter renders an e-mail.
func (e *Engine) letter(ctx context.Context, p *parcel) (*mail.Message, error) {
	t := p.c.mails[min(p.v.Variant, len(p.c.mails)-1)]
	if p.v.Step > 0 && p.c.reminds != nil {
		t = p.c.reminds
	}
	if t == nil {
		return nil, badText{errors.New("the campaign has no text for e-mail")}
	}
	link, err := e.link(ctx, p)
	if err != nil {
		return nil, err
	}
	language := t.Language(p.c.language(p.person))
	text, err := t.Render(language, p.c.values(p.person, &p.v, link))
	if err != nil {
		return nil, badText{err}
	}
	m := &mail.Message{
		ID: e.cfg.Store.MessageName(p.c.row.Org, p.v.ID) + "@" + p.c.org.Domain, Date: e.now(), From: p.c.org.From, Sender: p.c.org.Bounces,
		To: mail.Address{Name: p.person.Name, Mail: p.person.Email}, Subject: text.Subject, Text: text.Text, HTML: text.HTML, Language: language,
	}
	if p.c.org.Web != "" && p.v.Person != 0 {
		m.Unsubscribe = p.c.org.Web + "/u/" + e.cfg.Store.UnsubscribeToken(p.c.row.Org, p.v.Person)
	}
	return m, nil
}

func (e *Engine) link(ctx context.Context, p *parcel) (string, error) {
	if e.cfg.Link == nil {
		return p.c.org.Web, nil
	}
	return e.cfg.Link(ctx, p.c.row.Org, &p.v)
}

// spoken renders words in chat.
func (e *Engine) spoken(ctx context.Context, p *parcel) (Words, error) {
	t := p.c.chats[min(p.v.Variant, len(p.c.chats)-1)]
	if p.v.Step > 0 && p.c.nudges != nil {
		t = p.c.nudges
	}
	if t == nil || e.cfg.Say == nil {
		return Words{}, badText{errors.New("there is nothing to say in chat, or nobody to say it")}
	}
	link, err := e.link(ctx, p)
	if err != nil {
		return Words{}, err
	}
	language := t.Language(p.c.language(p.person))
	text, err := t.Render(language, p.c.values(p.person, &p.v, link))
	if err != nil {
		return Words{}, badText{err}
	}
	return Words{Org: p.c.row.Org, Account: p.person.Account, Body: text.Text, Replies: p.c.set.Replies, Language: language,
		OriginID: e.cfg.Store.MessageName(p.c.row.Org, p.v.ID), Invitation: p.v}, nil
}

// Test sends a campaign to one person at once, whatever its state, rules and
// lists, and keeps nothing of it.
func (e *Engine) Test(ctx context.Context, org feature.Org, id int64, to *store.Person, variant int, channel store.Channel) error {
	row, err := e.cfg.Store.Campaign(ctx, org, id)
	if err != nil {
		return err
	}
	c, err := e.compile(ctx, row)
	if err != nil {
		return err
	}
	p := &parcel{c: c, person: to, v: store.Invitation{ID: e.now().UnixMicro(), Campaign: id, Channel: channel, Variant: max(variant, 0)}}
	if channel == store.InChat {
		words, err := e.spoken(ctx, p)
		if err != nil {
			return err
		}
		words.OriginID = "test-" + words.OriginID
		return e.cfg.Say(ctx, words)
	}
	m, err := e.letter(ctx, p)
	if err != nil {
		return err
	}
	m.ID, m.Subject = "test-"+m.ID, "[test] "+m.Subject
	if e.cfg.Relay == nil {
		return e.cfg.Store.Post(ctx, org, letterOf(0, m))
	}
	line, err := e.cfg.Relay.Dial(ctx)
	if err != nil {
		return err
	}
	o := line.Send(m, func() error { return nil })
	_ = line.Close() // the outcome is known
	if o.State != mail.Accepted {
		return fmt.Errorf("the test was not sent: %s", o.Reason)
	}
	return nil
}

// Bounced notes an e-mail that came back: the list says so, no reminder
// follows, and an address that does not work is not written to any more.
func (e *Engine) Bounced(ctx context.Context, b *mail.Bounce) error {
	name, _, _ := strings.Cut(b.MessageID, "@")
	org, id, err := e.cfg.Store.ReadMessageName(name)
	if err != nil || b.Kind == mail.NoBounce {
		return err
	}
	now := e.now()
	list, err := e.cfg.Store.Invitations(ctx, org, id)
	if err != nil || len(list) == 0 {
		return errors.Join(err, store.ErrNotFound)
	}
	p, err := e.cfg.Store.Person(ctx, org, list[0].Person)
	if err != nil {
		return err
	}
	if b.Kind != mail.Complaint {
		if err := e.cfg.Store.InvitationBounced(ctx, org, id, now, b.Reason); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if b.Kind == mail.Soft || p.Email == "" {
		return nil
	}
	s := store.Suppression{Who: strings.ToLower(p.Email), Kind: store.SuppressedBounce, Why: b.Reason, At: now}
	if b.Kind == mail.Complaint {
		s.Kind = store.SuppressedComplaint
	}
	return e.cfg.Store.Suppress(ctx, org, s)
}

// Unsubscribe takes the person of a token out of everything, in all channels.
// store.ErrNotFound when the token is not ours.
func (e *Engine) Unsubscribe(ctx context.Context, token string) error {
	org, person, err := e.cfg.Store.ReadUnsubscribeToken(token)
	if err != nil {
		return err
	}
	now := e.now()
	return e.cfg.Store.Suppress(ctx, org, store.Suppression{Who: store.PersonKey(person), Kind: store.SuppressedUnsubscribed,
		Why: "on " + now.UTC().Format(time.DateOnly), At: now}, person)
}
