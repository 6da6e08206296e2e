package console

import (
	"context"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/people"
	"github.com/bearhug/bearhug/store"
)

func audienceOperations() []operation {
	const base = "/api/orgs/{org}/audiences"
	return []operation{
		op(operation{ID: "audience-list", Method: "GET", Path: base, Doc: "List audiences.", Roles: watchers(), Scope: "audiences:read"}, listAudiences),
		op(operation{ID: "audience-add", Method: "POST", Path: base, Doc: "Add an audience. One of nobody or everybody is confirmed by the number of people.", Roles: planners(), Scope: "audiences:write", Status: 201}, addAudience),
		op(operation{ID: "audience-preview", Method: "POST", Path: base + "/preview", Doc: "Say whom a rule means now, with samples.", Roles: planners(), Scope: "people:read", Views: true}, previewAudience),
		op(operation{ID: "audience-remove", Method: "DELETE", Path: base + "/{audience}", Doc: "Delete an audience.", Roles: planners(), Scope: "audiences:write"}, removeAudience),
	}
}

// Audience is a rule over people.
type Audience struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Rule string    `json:"rule"`
	At   time.Time `json:"at" doc:"of the last change"`
}

func audienceOf(a *store.Audience) Audience { return Audience{id(int64(a.ID)), a.Name, a.Rule, a.At} }

func listAudiences(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Audience], error) {
	var after string
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Audiences(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, audienceOf, func(a *store.Audience) any { return a.Name })
}

// AudiencePreview says whom a rule means.
type AudiencePreview struct {
	People  int            `json:"people" doc:"who are here"`
	Matched int            `json:"matched" doc:"whom the rule means"`
	Samples []Person       `json:"samples"`
	Parts   []AudiencePart `json:"parts,omitempty" doc:"conditions alone, when the whole finds nobody"`
	Doubt   string         `json:"doubt,omitempty" doc:"what is to be confirmed"`
}

// AudiencePart is a condition of a rule, and how many it finds alone.
type AudiencePart struct {
	Text    string `json:"text"`
	Matched int    `json:"matched"`
}

func (k *call) look(ctx context.Context, text string, samples int) (AudiencePreview, error) {
	rule, err := people.Compile(ctx, k.Store, k.org, text)
	if err != nil {
		return AudiencePreview{}, refusal(err)
	}
	p, err := people.Look(ctx, k.Store, k.here(), rule, k.Now(), samples)
	if err != nil {
		return AudiencePreview{}, err
	}
	out := AudiencePreview{People: p.People, Matched: p.Matched, Samples: []Person{}, Doubt: p.Doubt}
	for i := range p.Some {
		out.Samples = append(out.Samples, personOf(&p.Some[i]))
	}
	for _, part := range p.Parts {
		out.Parts = append(out.Parts, AudiencePart(part))
	}
	return out, nil
}

type audiencePreviewIn struct {
	OrgIn
	Body struct {
		Rule    string `json:"rule" minLength:"1" maxLength:"16384"`
		Samples int    `json:"samples,omitempty" minimum:"1" maximum:"100" default:"5"`
	}
}

type audiencePreviewOut struct{ Body AudiencePreview }

func previewAudience(ctx context.Context, k *call, in *audiencePreviewIn) (*audiencePreviewOut, error) {
	if err := k.audit(ctx, "", nil); err != nil {
		return nil, err
	}
	p, err := k.look(ctx, in.Body.Rule, max(in.Body.Samples, 1))
	return &audiencePreviewOut{p}, err
}

type audienceAddIn struct {
	OrgIn
	Body struct {
		Name    string `json:"name" minLength:"1" maxLength:"190"`
		Rule    string `json:"rule" minLength:"1" maxLength:"16384"`
		Confirm *int   `json:"confirm,omitempty" doc:"the number of people, when the rule means nobody or everybody"`
	}
}

type audienceOut struct{ Body Audience }

func addAudience(ctx context.Context, k *call, in *audienceAddIn) (*audienceOut, error) {
	p, err := k.look(ctx, in.Body.Rule, 1)
	if err != nil {
		return nil, err
	}
	if c := in.Body.Confirm; c != nil && *c != p.Matched {
		return nil, refusal(fmt.Errorf("confirm says %d people, but the rule means %d of %d", *c, p.Matched, p.People))
	}
	if p.Doubt != "" && in.Body.Confirm == nil {
		return nil, refusal(fmt.Errorf("%s; send confirm: %d if that is meant", p.Doubt, p.Matched))
	}
	if err := k.audit(ctx, "audience "+in.Body.Name, map[string]any{"matched": p.Matched}); err != nil {
		return nil, err
	}
	row := store.Audience{Name: in.Body.Name, Rule: in.Body.Rule, Who: k.actor()}
	n, err := k.Store.AddAudience(ctx, k.org, row)
	if err != nil {
		return nil, err
	}
	if row, err = k.Store.Audience(ctx, k.org, n); err != nil {
		return nil, err
	}
	return &audienceOut{audienceOf(&row)}, nil
}

type audienceIn struct {
	OrgIn
	Audience string `path:"audience" maxLength:"20" doc:"its id"`
}

func removeAudience(ctx context.Context, k *call, in *audienceIn) (*struct{}, error) {
	n, err := number(in.Audience)
	if err != nil {
		return nil, err
	}
	row, err := k.Store.Audience(ctx, k.org, store.AudienceID(n))
	if err != nil {
		return nil, err
	}
	if used, err := k.audienceUsed(ctx, n); err != nil || used != "" {
		if err == nil {
			err = refusal(fmt.Errorf("the campaign %q needs this audience", used))
		}
		return nil, err
	}
	if err := k.audit(ctx, "audience "+row.Name, nil); err != nil {
		return nil, err
	}
	return nil, k.Store.DeleteAudience(ctx, k.org, row.ID)
}

// audienceUsed is a campaign that is not over and needs an audience.
func (k *call) audienceUsed(ctx context.Context, audience int64) (name string, err error) {
	for after := int64(0); ; {
		rows, err := k.Store.Campaigns(ctx, k.org, after, 100)
		if err != nil || len(rows) == 0 {
			return "", err
		}
		for _, c := range rows {
			if after = c.ID; c.Audience == audience && c.State != store.CampaignStopped && c.State != store.CampaignDone {
				return c.Name, nil
			}
		}
	}
}
