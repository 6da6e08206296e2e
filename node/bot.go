package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
)

// The bots of this node, and what operators can do with them. Campaigns bring
// people to the bot; these operations are for one person at a time.

// newBots makes the bots over the node's store.
func (n *Node) newBots() (*outreach.Bot, error) {
	if err := insight.CheckRules(); err != nil {
		return nil, fmt.Errorf("crisis rules: %w", err)
	}
	scorer, err := insight.NewLexicons()
	if err != nil {
		return nil, fmt.Errorf("sentiment: %w", err)
	}
	return outreach.NewBot(outreach.BotConfig{
		Clock: outreach.Clock{Now: time.Now, After: time.After}, Scorer: scorer, Document: n.flowOf, Rules: n.rulesOf, Mail: n.mailCode,
		Web: n.webOf,
	}), nil
}

// flowOf is the flow of a campaign: one that was published, or one of those that
// come with the server, which are numbered from 1 in the order of their names.
func (n *Node) flowOf(ctx context.Context, c *store.Campaign) ([]byte, error) {
	f, err := n.Store.Flow(ctx, c.Org, c.Flow, c.FlowVersion)
	if err == nil {
		return f.Text, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	names := flow.Shipped()
	if c.Flow < 1 || int(c.Flow) > len(names) {
		return nil, fmt.Errorf("campaign %s: there is no flow %d", c.Name, c.Flow)
	}
	doc, _ := flow.Document(names[c.Flow-1])
	return doc, nil
}

// rulesOf are the quiet hours by which a reminder of the bot is deferred.
func (n *Node) rulesOf(_ context.Context, _ feature.Org, p *store.Person) (own, persons calendar.Rules, err error) {
	quiet, err := calendar.ParseQuiet("21:00-08:00")
	if err != nil {
		return own, persons, err
	}
	own.Quiet = []calendar.Quiet{quiet}
	if p == nil {
		return own, persons, nil
	}
	if persons.Zone, err = time.LoadLocation(p.Zone); err != nil || p.Zone == "" {
		persons.Zone = nil // that of the organisation
	}
	for _, text := range p.Prefs.Quiet {
		if q, err := calendar.ParseQuiet(text); err == nil && len(persons.Quiet) < calendar.MaxQuiet {
			persons.Quiet = append(persons.Quiet, q)
		}
	}
	return own, persons, nil
}

// webOf is where links of an organisation lead: its first web host.
func (n *Node) webOf(org feature.Org) string {
	orgs, err := n.Store.Orgs(context.Background())
	if err != nil {
		return ""
	}
	for _, o := range orgs {
		if o.ID != org {
			continue
		}
		if hosts := n.Config.Orgs[o.Domain].Hosts; len(hosts) > 0 {
			return "https://" + hosts[0]
		}
		return "https://" + o.Domain
	}
	return ""
}

// mailCode puts a code into the built-in outbox.
func (n *Node) mailCode(ctx context.Context, org feature.Org, to, subject, text string) error {
	return n.Store.Post(ctx, org, store.Letter{At: time.Now(), To: to, Subject: subject, Text: text})
}

// TalkArgs is the argument of talk.begin and talk.link.
type TalkArgs struct {
	JID       string `json:"jid"`
	Flow      string `json:"flow,omitempty"`     // one that comes with the server
	Document  string `json:"document,omitempty"` // or the text of one
	Anonymous bool   `json:"anonymous,omitempty"`
	Language  string `json:"language,omitempty"`
	Name      string `json:"name,omitempty"`
	Zone      string `json:"zone,omitempty"`
	Country   string `json:"country,omitempty"`
	Talk      int64  `json:"talk,omitempty"`
	Email     string `json:"email,omitempty"` // for codes
	Link      string `json:"link,omitempty"`
}

// CaseArgs is the argument of case.answer.
type CaseArgs struct {
	Domain string `json:"domain"`
	ID     int64  `json:"id,omitempty"` // 0: the one that is due first
	Author string `json:"author,omitempty"`
	Text   string `json:"text,omitempty"`
}

// botDesk are the operations on conversations.
type botDesk struct {
	*admin
	bots *outreach.Bot
}

func (b *botDesk) register(c *ops.Control) {
	c.Handle("talk.begin", b.begin)
	c.Handle("talk.link", b.link)
	c.Handle("talk.answers", b.answers)
	c.Handle("case.ls", b.cases)
	c.Handle("case.answer", b.answer)
}

// begin opens a conversation with one person, to try a flow.
func (b *botDesk) begin(c *ops.Call) (any, error) {
	var arg TalkArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	who, org, err := b.account(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("begin a talk: %w", err)
	}
	doc := []byte(arg.Document)
	if arg.Flow != "" {
		var ok bool
		if doc, ok = flow.Document(arg.Flow); !ok {
			return nil, fmt.Errorf("begin a talk: there is no flow %q; there are %v", arg.Flow, flow.Shipped())
		}
	}
	arg.Talk, err = b.bots.Begin(c.Context(), org, outreach.Trial{Account: who.Local(), Document: doc, Anonymous: arg.Anonymous,
		Language: arg.Language, Name: arg.Name, Zone: arg.Zone, Country: arg.Country})
	arg.Document = ""
	return arg, err
}

// link makes a link to somebody's newest conversation.
func (b *botDesk) link(c *ops.Call) (any, error) {
	var arg TalkArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	k, err := b.newest(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("make a link: %w", err)
	}
	arg.Talk = k.ID
	arg.Link, err = b.bots.LinkTo(c.Context(), k, arg.Email, 24*time.Hour)
	return arg, err
}

func (b *botDesk) newest(ctx context.Context, address string) (*store.Talk, error) {
	who, org, err := b.account(ctx, address)
	if err != nil {
		return nil, err
	}
	talks, _, err := b.store.Talks(ctx, org, who.Local())
	if err == nil && len(talks) == 0 {
		err = fmt.Errorf("%s has no conversation", who)
	}
	if err != nil {
		return nil, err
	}
	return talks[0], nil
}

// AnswerLine is one line of talk.answers.
type AnswerLine struct {
	Question string   `json:"question"`
	Values   []string `json:"values,omitempty"`
	Score    *int     `json:"score,omitempty"`
	Text     string   `json:"text,omitempty"`
	Skipped  bool     `json:"skipped,omitempty"`
	Edits    int      `json:"edits,omitempty"`
}

// answers are those of somebody's newest conversation.
func (b *botDesk) answers(c *ops.Call) (any, error) {
	var arg TalkArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	k, err := b.newest(c.Context(), arg.JID)
	if err != nil {
		return nil, fmt.Errorf("list answers: %w", err)
	}
	list, err := b.store.AnswersOf(c.Context(), k.Org, k.Campaign, k.Wave, k.Who())
	if err != nil {
		return nil, err
	}
	out := make([]AnswerLine, len(list))
	for i, a := range list {
		out[i] = AnswerLine{a.Question, a.Values, a.Score, a.Text, a.Skipped, a.Edits}
	}
	return out, nil
}

// CaseLine is one line of case.ls. Of an anonymous one the person is not told.
type CaseLine struct {
	ID     int64     `json:"id"`
	Person string    `json:"person,omitempty"`
	State  string    `json:"state"`
	Class  int       `json:"class"`
	Reason string    `json:"reason"`
	Owner  string    `json:"owner,omitempty"`
	Due    time.Time `json:"due"`
	Lines  []string  `json:"lines,omitempty"` // what was written
}

func (b *botDesk) cases(c *ops.Call) (any, error) {
	var arg CaseArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := b.org(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	out := []CaseLine{}
	for _, state := range []store.CaseState{store.CaseOpen, store.CaseTaken} {
		list, err := b.store.Cases(c.Context(), org, state, nil, 500)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			line := CaseLine{ID: k.ID, Person: k.Account, State: k.State.String(), Class: k.Class, Reason: k.Reason, Owner: k.Owner, Due: k.Due}
			lines, err := b.store.CaseLines(c.Context(), org, k.ID, 0, 100)
			if err != nil {
				return nil, err
			}
			for _, l := range lines {
				if l.Kind != store.LineChange {
					line.Lines = append(line.Lines, l.Text)
				}
			}
			out = append(out, line)
		}
	}
	return out, nil
}

func (b *botDesk) answer(c *ops.Call) (any, error) {
	var arg CaseArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := b.org(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("answer a case: %w", err)
	}
	if arg.ID == 0 {
		list, err := b.store.Cases(c.Context(), org, store.CaseOpen, nil, 1)
		if err == nil && len(list) == 0 {
			err = errors.New("answer a case: none is open")
		}
		if err != nil {
			return nil, err
		}
		arg.ID = list[0].ID
	}
	return arg, b.bots.AnswerCase(c.Context(), org, arg.ID, arg.Author, arg.Text)
}
