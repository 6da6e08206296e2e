package console

import (
	"context"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// What moves campaigns: the functions of outreach, audited, with their events.

func campaignMoves() []operation {
	move := func(verb, doc string, roles []Role, fn func(context.Context, *call, *CampaignIn) (*campaignStateOut, error)) operation {
		return op(operation{ID: "campaign-" + verb, Method: "POST", Path: campaignPath + "/{campaign}/" + verb, Doc: doc, Roles: roles, Scope: "campaigns:write"}, fn)
	}
	return []operation{
		move("start", "Launch a draft.", planners(), func(ctx context.Context, k *call, in *CampaignIn) (*campaignStateOut, error) {
			return k.move(ctx, in, "campaign.started", func(o *Campaigns) moveFunc { return o.Launch })
		}),
		move("pause", "Pause a campaign: from then on nothing is handed.", pacers(), func(ctx context.Context, k *call, in *CampaignIn) (*campaignStateOut, error) {
			return k.move(ctx, in, "campaign.paused", func(o *Campaigns) moveFunc { return o.Pause })
		}),
		move("resume", "Go on with a paused campaign.", pacers(), func(ctx context.Context, k *call, in *CampaignIn) (*campaignStateOut, error) {
			return k.move(ctx, in, "campaign.resumed", func(o *Campaigns) moveFunc { return o.Resume })
		}),
		move("stop", "Stop a campaign for good.", pacers(), func(ctx context.Context, k *call, in *CampaignIn) (*campaignStateOut, error) {
			return k.move(ctx, in, "campaign.stopped", func(o *Campaigns) moveFunc { return o.Stop })
		}),
		op(operation{ID: "campaign-retry", Method: "POST", Path: campaignPath + "/{campaign}/retry", Doc: "Plan again what failed.", Roles: planners(), Scope: "campaigns:write"}, retryFailed),
		op(operation{ID: "campaign-resolve", Method: "POST", Path: campaignPath + "/{campaign}/resolve", Doc: "Decide on ambiguous invitations: send again, or count as sent.", Roles: planners(), Scope: "campaigns:write"}, resolveAmbiguous),
		op(operation{ID: "campaign-release", Method: "POST", Path: campaignPath + "/{campaign}/release", Doc: "Decide on invitations that are held for being late: send, or give up.", Roles: planners(), Scope: "campaigns:write"}, releaseHeld),
	}
}

type moveFunc = func(ctx context.Context, org feature.Org, id int64) error

type campaignStateOut struct{ Body Campaign }

// move does one of outreach's moves and tells webhooks.
func (k *call) move(ctx context.Context, in *CampaignIn, event string, which func(*Campaigns) moveFunc) (*campaignStateOut, error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	if k.Campaigns == nil {
		return nil, noOutreach()
	}
	if err := k.audit(ctx, "campaign "+c.Name, map[string]any{"id": in.Campaign}); err != nil {
		return nil, err
	}
	if err := which(k.Campaigns)(ctx, k.org, c.ID); err != nil {
		return nil, said(err)
	}
	if c, err = k.Store.Campaign(ctx, k.org, c.ID); err != nil {
		return nil, err
	}
	data := map[string]any{"campaign": id(c.ID), "state": c.State.String(), "anonymous": c.Anonymous}
	if err := k.Store.Emit(ctx, k.org, store.Event{Name: event, At: k.Now(), Data: data, Content: map[string]any{"name": c.Name}}); err != nil {
		return nil, err
	}
	return &campaignStateOut{campaignOf(c)}, nil
}

// Turned counts invitations.
type Turned struct {
	Count int `json:"count"`
}

type turnedOut struct{ Body Turned }

func retryFailed(ctx context.Context, k *call, in *CampaignIn) (*turnedOut, error) {
	return k.turn(ctx, in, nil, func(c *store.Campaign, _ []int64) (int, error) { return k.Campaigns.RetryFailed(ctx, k.org, c.ID) })
}

// DecideIn says which invitations are decided on, and how.
type DecideIn struct {
	CampaignIn
	Body struct {
		Send bool     `json:"send" doc:"true: they are sent (again); false: they are not"`
		Only []string `json:"only,omitempty" maxItems:"1000" doc:"ids; none: all"`
	}
}

func resolveAmbiguous(ctx context.Context, k *call, in *DecideIn) (*turnedOut, error) {
	return k.turn(ctx, &in.CampaignIn, in.Body.Only, func(c *store.Campaign, only []int64) (int, error) {
		return k.Campaigns.Resolve(ctx, k.org, c.ID, in.Body.Send, only)
	})
}

func releaseHeld(ctx context.Context, k *call, in *DecideIn) (*turnedOut, error) {
	return k.turn(ctx, &in.CampaignIn, in.Body.Only, func(c *store.Campaign, only []int64) (int, error) {
		return k.Campaigns.Release(ctx, k.org, c.ID, in.Body.Send, only)
	})
}

// turn decides on invitations of a campaign; others' numbers change nothing.
func (k *call) turn(ctx context.Context, in *CampaignIn, list []string, fn func(*store.Campaign, []int64) (int, error)) (*turnedOut, error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	if k.Campaigns == nil {
		return nil, noOutreach()
	}
	var only []int64
	for _, text := range list {
		n, err := number(text)
		if err != nil {
			return nil, err
		}
		only = append(only, n)
	}
	if len(only) > 0 {
		found, err := k.Store.Invitations(ctx, k.org, only...)
		if err != nil {
			return nil, err
		}
		only = only[:0]
		for _, v := range found {
			if v.Campaign == c.ID {
				only = append(only, v.ID)
			}
		}
		if len(only) == 0 {
			return nil, store.ErrNotFound
		}
	}
	if err := k.audit(ctx, "campaign "+c.Name, map[string]any{"id": in.Campaign, "only": len(only)}); err != nil {
		return nil, err
	}
	n, err := fn(c, only)
	if err != nil {
		return nil, said(err)
	}
	return &turnedOut{Turned{n}}, nil
}

func outboxOperations() []operation {
	return []operation{
		op(operation{ID: "outbox-list", Method: "GET", Path: "/api/orgs/{org}/outbox", Doc: "Read the e-mails of the built-in outbox, newest first.", Roles: admins(), Scope: "outbox:read", Views: true}, listOutbox),
		op(operation{ID: "suppression-list", Method: "GET", Path: "/api/orgs/{org}/suppressions", Doc: "List who is not written to any more, and why.", Roles: planners(), Scope: "people:read"}, listSuppressions),
		op(operation{ID: "suppression-add", Method: "PUT", Path: "/api/orgs/{org}/suppressions/{address}", Doc: "Put an e-mail address on that list.", Roles: planners(), Scope: "people:write"}, addSuppression),
	}
}

// Letter is an e-mail of the outbox.
type Letter struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html,omitempty"`
}

func listOutbox(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Letter], error) {
	var before int64
	if err := k.place(in.Cursor, &before); err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "", nil); err != nil {
		return nil, err
	}
	rows, err := k.Store.Outbox(ctx, k.org, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, func(l *store.Letter) Letter { return Letter{id(l.ID), l.At, l.From, l.To, l.Subject, l.Text, l.HTML} },
		func(l *store.Letter) any { return l.ID })
}

// Suppressed is who is not written to.
type Suppressed struct {
	Who  string    `json:"who" doc:"an e-mail address, or # and a person's number"`
	Kind string    `json:"kind"`
	Why  string    `json:"why"`
	At   time.Time `json:"at"`
}

func suppressedOf(s *store.Suppression) Suppressed {
	return Suppressed{s.Who, s.Kind.String(), s.Why, s.At}
}

func listSuppressions(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Suppressed], error) {
	var after string
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Suppressions(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, suppressedOf, func(s *store.Suppression) any { return s.Who })
}

type suppressIn struct {
	OrgIn
	Address string `path:"address" maxLength:"320" format:"email"`
	Body    struct {
		Why string `json:"why" minLength:"1" maxLength:"500"`
	}
}

type suppressedOut struct{ Body Suppressed }

func addSuppression(ctx context.Context, k *call, in *suppressIn) (*suppressedOut, error) {
	s := store.Suppression{Who: in.Address, Kind: store.SuppressedByHand, Why: in.Body.Why, At: k.Now()}
	people, err := k.Store.PeopleByEmail(ctx, k.org, in.Address)
	if err != nil {
		return nil, err
	}
	ids := make([]store.PersonID, len(people))
	for i := range people {
		ids[i] = people[i].ID
	}
	if err := k.audit(ctx, in.Address, nil); err != nil {
		return nil, err
	}
	if err := k.Store.Suppress(ctx, k.org, s, ids...); err != nil {
		return nil, err
	}
	return &suppressedOut{suppressedOf(&s)}, nil
}
