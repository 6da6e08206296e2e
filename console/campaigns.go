package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/store"
)

const campaignPath = "/api/orgs/{org}/campaigns"

func campaignOperations() []operation {
	return []operation{
		op(operation{ID: "campaign-list", Method: "GET", Path: campaignPath, Doc: "List campaigns.", Roles: watchers(), Scope: "campaigns:read"}, listCampaigns),
		op(operation{ID: "campaign-add", Method: "POST", Path: campaignPath, Doc: "Make a campaign as a draft, when its settings are right.", Roles: planners(), Scope: "campaigns:write", Limit: 5 << 20, Status: 201}, addCampaign),
		op(operation{ID: "campaign-show", Method: "GET", Path: campaignPath + "/{campaign}", Doc: "Show a campaign with its settings.", Roles: watchers(), Scope: "campaigns:read"}, showCampaign),
		op(operation{ID: "campaign-progress", Method: "GET", Path: campaignPath + "/{campaign}/progress", Doc: "Count invitations by state and reason, and the last waves.", Roles: watchers(), Scope: "campaigns:read"}, showProgress),
		op(operation{ID: "campaign-invitations", Method: "GET", Path: campaignPath + "/{campaign}/invitations", Doc: "List invitations in a state: who did not get it, and why.", Roles: planners(), Scope: "people:read"}, listInvitations),
	}
}

// Campaign is a campaign without its settings.
type Campaign struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Kind        string    `json:"kind" doc:"once, recurring or milestone"`
	State       string    `json:"state" doc:"draft, scheduled, running, paused, stopped or done"`
	Anonymous   bool      `json:"anonymous"`
	Flow        string    `json:"flow,omitempty"`
	FlowVersion int64     `json:"flow_version,omitempty"`
	Audience    string    `json:"audience,omitempty" doc:"none: everybody"`
	Weight      int       `json:"weight" doc:"thousandths of a share against other campaigns"`
	Made        time.Time `json:"made"`
	Launched    time.Time `json:"launched,omitzero"`
	Version     string    `json:"version"`
}

// FullCampaign is a campaign with its settings.
type FullCampaign struct {
	Campaign
	Settings json.RawMessage `json:"settings"`
}

// some is the text of a number, "" of 0.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return id(n)
}

func campaignOf(c *store.Campaign) Campaign {
	return Campaign{ID: id(c.ID), Name: c.Name, Kind: c.Kind, State: c.State.String(), Anonymous: c.Anonymous, Flow: some(c.Flow), FlowVersion: c.FlowVersion,
		Audience: some(c.Audience), Weight: c.Weight, Made: c.At, Launched: c.Launched, Version: id(c.Version)}
}

func listCampaigns(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Campaign], error) {
	var after int64
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Campaigns(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, func(c **store.Campaign) Campaign { return campaignOf(*c) }, func(c **store.Campaign) any { return (*c).ID })
}

// CampaignIn names a campaign.
type CampaignIn struct {
	OrgIn
	Campaign string `path:"campaign" maxLength:"20"`
}

func (k *call) campaign(ctx context.Context, text string) (*store.Campaign, error) {
	n, err := number(text)
	if err != nil {
		return nil, err
	}
	return k.Store.Campaign(ctx, k.org, n)
}

type campaignOut struct{ Body FullCampaign }

func showCampaign(ctx context.Context, k *call, in *CampaignIn) (*campaignOut, error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	return &campaignOut{FullCampaign{campaignOf(c), json.RawMessage(c.Settings)}}, nil
}

type campaignAddIn struct {
	OrgIn
	Body struct {
		Name        string          `json:"name" minLength:"1" maxLength:"190"`
		Kind        string          `json:"kind" enum:"once,recurring,milestone"`
		Anonymous   bool            `json:"anonymous" doc:"told before the first question, never changed"`
		Flow        string          `json:"flow" maxLength:"20" doc:"id of a published flow"`
		FlowVersion int64           `json:"flow_version" minimum:"1"`
		Audience    string          `json:"audience,omitempty" maxLength:"20" doc:"id; none: everybody"`
		Weight      int             `json:"weight,omitempty" minimum:"1" maximum:"1000000" default:"1000"`
		Settings    json.RawMessage `json:"settings" doc:"schedule, channels, texts, rate; unknown keys are refused"`
	}
}

func addCampaign(ctx context.Context, k *call, in *campaignAddIn) (*campaignOut, error) {
	b := &in.Body
	if k.Campaigns == nil {
		return nil, noOutreach()
	}
	c := &store.Campaign{Org: k.org, Name: b.Name, Kind: b.Kind, Anonymous: b.Anonymous, FlowVersion: b.FlowVersion, Weight: b.Weight, Settings: b.Settings}
	var err error
	if c.Flow, err = number(b.Flow); err != nil {
		return nil, refusal(fmt.Errorf("flow %q is no id", b.Flow))
	}
	text, err := k.Store.Flow(ctx, k.org, c.Flow, c.FlowVersion)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refusal(fmt.Errorf("there is no version %d of a flow %s: publish it first", b.FlowVersion, b.Flow))
	}
	if err != nil {
		return nil, err
	}
	f, err := flow.Parse(text.Text)
	if err != nil {
		return nil, refusal(err)
	}
	if b.Anonymous && !f.Anonymous() {
		return nil, refusal(fmt.Errorf("the flow %s may not be used in an anonymous campaign", f.ID()))
	}
	if b.Audience != "" {
		if c.Audience, err = number(b.Audience); err == nil {
			_, err = k.Store.Audience(ctx, k.org, store.AudienceID(c.Audience))
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil, refusal(fmt.Errorf("there is no audience %s", b.Audience))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := k.audit(ctx, "campaign "+b.Name, map[string]any{"kind": b.Kind, "anonymous": b.Anonymous, "flow": b.Flow, "audience": b.Audience}); err != nil {
		return nil, err
	}
	n, err := k.Campaigns.Create(ctx, c)
	if err != nil {
		return nil, said(err)
	}
	if c, err = k.Store.Campaign(ctx, k.org, n); err != nil {
		return nil, err
	}
	return &campaignOut{FullCampaign{campaignOf(c), json.RawMessage(c.Settings)}}, nil
}

func noOutreach() error {
	return &refused{http.StatusServiceUnavailable, errors.New("this server has no role outreach")}
}

// said tells an error of outreach in its own words, but for those of the store.
func said(err error) error {
	for _, e := range []error{store.ErrNotFound, store.ErrExists, store.ErrMoved, context.Canceled} {
		if errors.Is(err, e) {
			return err
		}
	}
	return refusal(err)
}

// Progress is where a campaign stands.
type Progress struct {
	Campaign Campaign         `json:"campaign"`
	States   map[string]int   `json:"states" doc:"invitations by state"`
	Reasons  []ProgressReason `json:"reasons" doc:"the most frequent ones"`
	Variants []VariantLine    `json:"variants,omitempty" doc:"of a trial: accepted more than a day ago, and answered"`
	Waves    []WaveLine       `json:"waves" doc:"the first hundred after the newest hundred days"`
}

// ProgressReason counts invitations in a state for a reason.
type ProgressReason struct {
	Wave    string `json:"wave"`
	Step    int    `json:"step" doc:"0 is the invitation, then reminders"`
	Channel string `json:"channel"`
	State   string `json:"state"`
	Why     string `json:"why"`
	Count   int    `json:"count"`
}

// VariantLine is what a variant of a trial brought.
type VariantLine struct {
	Variant  int `json:"variant"`
	Asked    int `json:"asked"`
	Answered int `json:"answered"`
}

// WaveLine is an occurrence of a campaign.
type WaveLine struct {
	Wave   string    `json:"wave"`
	State  string    `json:"state"`
	People int       `json:"people" doc:"who have an invitation"`
	Why    string    `json:"why,omitempty"`
	At     time.Time `json:"at"`
}

type progressOut struct{ Body Progress }

// progressRows bounds reasons and waves.
const progressRows = 100

func showProgress(ctx context.Context, k *call, in *CampaignIn) (*progressOut, error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	out := Progress{Campaign: campaignOf(c), States: map[string]int{}, Reasons: []ProgressReason{}, Waves: []WaveLine{}}
	counts, err := k.Store.InvitationCounts(ctx, k.org, c.ID)
	if err != nil {
		return nil, err
	}
	for state, n := range counts {
		out.States[state.String()] = n
	}
	reasons, err := k.Store.InvitationReasons(ctx, k.org, c.ID, progressRows)
	if err != nil {
		return nil, err
	}
	for _, r := range reasons {
		out.Reasons = append(out.Reasons, ProgressReason{id(r.Wave), r.Step, r.Channel.String(), r.State.String(), r.Why, r.Count})
	}
	variants, err := k.Store.VariantCounts(ctx, k.org, c.ID, k.Now().AddDate(0, 0, -1))
	if err != nil {
		return nil, err
	}
	for _, v := range variants {
		out.Variants = append(out.Variants, VariantLine(v))
	}
	waves, err := k.Store.Waves(ctx, k.org, c.ID, max(0, c.LastWave-int64(100*24*time.Hour/time.Microsecond)), progressRows)
	if err != nil {
		return nil, err
	}
	for _, w := range waves {
		out.Waves = append(out.Waves, WaveLine{id(w.Wave), w.State.String(), w.People, w.Why, w.At})
	}
	return &progressOut{out}, nil
}

// Invitation is one, with who it is for.
type Invitation struct {
	ID       string    `json:"id"`
	Wave     string    `json:"wave"`
	Step     int       `json:"step"`
	Channel  string    `json:"channel"`
	State    string    `json:"state"`
	Why      string    `json:"why,omitempty"`
	Person   string    `json:"person" doc:"number"`
	Name     string    `json:"name,omitempty"`
	Email    string    `json:"email,omitempty"`
	Due      time.Time `json:"due,omitzero"`
	Handed   time.Time `json:"handed,omitzero"`
	Attempts int       `json:"attempts"`
}

type invitationsIn struct {
	CampaignIn
	PageIn
	State string `query:"state" enum:"planned,claimed,handed,accepted,failed,bounced,suppressed,ambiguous,held" default:"failed"`
}

func stateOf(word string) store.InvitationState {
	for s := store.Planned; s <= store.Held; s++ {
		if s.String() == word {
			return s
		}
	}
	return 0
}

type duePlace struct {
	State string `json:"s"`
	Due   int64  `json:"d"`
	ID    int64  `json:"i"`
}

func listInvitations(ctx context.Context, k *call, in *invitationsIn) (*PageOut[Invitation], error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	var at duePlace
	if err := k.place(in.Cursor, &at); err != nil {
		return nil, err
	}
	var after store.InvitationPage
	if in.Cursor != "" {
		if at.State != in.State {
			return nil, refusal(errors.New("this cursor is of another state"))
		}
		after = store.InvitationPage{Due: time.UnixMicro(at.Due), ID: at.ID}
	}
	rows, err := k.Store.InvitationsOf(ctx, k.org, c.ID, stateOf(in.State), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	ids := make([]store.PersonID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Person
	}
	people := map[store.PersonID]store.Person{}
	if len(ids) > 0 {
		list, err := k.Store.PeopleByID(ctx, k.org, ids)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			people[p.ID] = p
		}
	}
	return page(k, in.Limit, rows, func(v *store.Invitation) Invitation {
		p := people[v.Person]
		out := Invitation{ID: id(v.ID), Wave: id(v.Wave), Step: v.Step, Channel: v.Channel.String(), State: v.State.String(), Why: v.Why,
			Person: id(int64(v.Person)), Name: p.Name, Email: p.Email, Handed: v.Handed, Attempts: v.Attempts}
		if v.Due.Before(store.Never) {
			out.Due = v.Due
		}
		return out
	}, func(v *store.Invitation) any { return duePlace{in.State, v.Due.UnixMicro(), v.ID} })
}
