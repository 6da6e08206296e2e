package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/store"
)

func resultOperations() []operation {
	return []operation{
		op(operation{ID: "result-participation", Method: "GET", Path: campaignPath + "/{campaign}/participation", Doc: "Count who was invited, began and finished, by wave.", Roles: readers(), Scope: "results:read"}, showParticipation),
		op(operation{ID: "result-show", Method: "GET", Path: campaignPath + "/{campaign}/results", Doc: "Show the results of a wave, by question, and in a named campaign by team. What is about too few people is hidden, with the reason.", Roles: readers(), Scope: "results:read"}, showResults),
		op(operation{ID: "answer-list", Method: "GET", Path: campaignPath + "/{campaign}/answers", Doc: "List the answers of people in a wave of a named campaign.", Roles: []Role{HR}, Scope: "answers:read", Views: true}, listAnswers),
	}
}

// Participation counts people in a wave.
type Participation struct {
	Wave     string `json:"wave"`
	Invited  int    `json:"invited"`
	Began    int    `json:"began"`
	Finished int    `json:"finished"`
	Percent  int    `json:"percent" doc:"that began, of those invited"`
	Why      string `json:"why,omitempty" doc:"why nothing is shown"`
}

func showParticipation(ctx context.Context, k *call, in *CampaignIn) (*PageOut[Participation], error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	counts, err := k.Store.TalkCounts(ctx, k.org, c.ID)
	if err != nil {
		return nil, err
	}
	byWave := map[int64]*insight.Participation{}
	for _, t := range counts {
		p := byWave[t.Wave]
		if p == nil {
			p = &insight.Participation{}
			byWave[t.Wave] = p
		}
		p.Invited += t.Talks
		p.Began += t.Answered
		if t.Phase == store.TalkEnded {
			p.Finished += t.Talks
		}
	}
	least := insight.DefaultMinimum
	if g := k.guard(k.org); g.Minimum != 0 {
		least = max(g.Minimum, insight.FloorMinimum)
	}
	out := &PageOut[Participation]{Page[Participation]{Items: []Participation{}}}
	for wave, p := range byWave {
		line := Participation{Wave: id(wave)}
		if p.Invited < least {
			line.Why = fmt.Sprintf("%d people, minimum %d", p.Invited, least)
		} else {
			q := insight.ParticipationOf(p.Invited, p.Began, p.Finished)
			line.Invited, line.Began, line.Finished, line.Percent = q.Invited, q.Began, q.Finished, q.Percent
		}
		out.Body.Items = append(out.Body.Items, line)
	}
	slices.SortFunc(out.Body.Items, func(a, b Participation) int {
		x, _ := number(a.Wave)
		y, _ := number(b.Wave)
		return int(min(1, max(-1, x-y)))
	})
	return out, nil
}

type resultsIn struct {
	CampaignIn
	Wave string `query:"wave" required:"true" maxLength:"20"`
	By   string `query:"by" enum:"team" required:"false" doc:"in a named campaign"`
}

// Results are those of a wave.
type Results struct {
	Campaign  string     `json:"campaign"`
	Wave      string     `json:"wave"`
	Anonymous bool       `json:"anonymous"`
	Questions []Question `json:"questions"`
}

// Question is a question with its results.
type Question struct {
	Question string `json:"question"`
	Kind     string `json:"kind"`
	Measure  string `json:"measure,omitempty"`
	Cells    []Cell `json:"cells" doc:"the first is everybody"`
}

// Cell is a result about a group, or why there is none.
type Cell struct {
	Group   string         `json:"group,omitempty"`
	Shown   bool           `json:"shown"`
	People  int            `json:"people,omitempty"`
	Mean    float64        `json:"mean,omitempty"`
	Counts  map[string]int `json:"counts,omitempty" doc:"people by value"`
	ENPS    *int           `json:"enps,omitempty"`
	Mood    *int           `json:"mood,omitempty" doc:"0 to 100"`
	Waiting int            `json:"waiting,omitempty" doc:"newer answers that are not counted yet"`
	Why     string         `json:"why,omitempty"`
}

type resultsOut struct{ Body Results }

// maxResultAnswers bounds what one request reads.
const maxResultAnswers = 500_000

func showResults(ctx context.Context, k *call, in *resultsIn) (*resultsOut, error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	wave, err := number(in.Wave)
	if err != nil {
		return nil, err
	}
	if in.By != "" && c.Anonymous {
		return nil, refusal(errors.New("this campaign is anonymous: its answers know no team"))
	}
	select {
	case k.large <- struct{}{}:
		defer func() { <-k.large }()
	default:
		return nil, &refused{http.StatusServiceUnavailable, errors.New("other results are being worked out; try again in a few seconds")}
	}
	asks, err := k.asks(ctx, c)
	if err != nil {
		return nil, err
	}
	answers, kinds, err := k.scores(ctx, c, wave, in.By)
	if err != nil {
		return nil, err
	}
	out := Results{Campaign: id(c.ID), Wave: in.Wave, Anonymous: c.Anonymous, Questions: []Question{}}
	names := make([]string, 0, len(answers))
	for name := range answers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		cells, err := k.ask(ctx, store.RegisterKey{Campaign: c.ID, Wave: wave, Question: name}, answers[name])
		if err != nil {
			return nil, err
		}
		q := Question{Question: name, Kind: kinds[name].Kind, Measure: kinds[name].Measure}
		for i := range cells {
			q.Cells = append(q.Cells, cellOf(&cells[i], q.Kind, q.Measure, asks[name]))
		}
		out.Questions = append(out.Questions, q)
	}
	return &resultsOut{out}, nil
}

// asks are the questions of a campaign's flow, by name; empty when the flow is
// not here.
func (k *call) asks(ctx context.Context, c *store.Campaign) (map[string]flow.Ask, error) {
	out := map[string]flow.Ask{}
	row, err := k.Store.Flow(ctx, k.org, c.Flow, c.FlowVersion)
	if errors.Is(err, store.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := flow.Parse(row.Text)
	if err != nil {
		return nil, err
	}
	for _, q := range f.Questions() {
		out[q.ID] = q
	}
	return out, nil
}

// scores reads the answers of a wave that have a score, by question.
func (k *call) scores(ctx context.Context, c *store.Campaign, wave int64, by string) (map[string][]insight.Answer, map[string]store.Answer, error) {
	out, kinds := map[string][]insight.Answer{}, map[string]store.Answer{}
	teams := map[int64]string{}
	var after *store.Answer
	for n := 0; ; {
		rows, err := k.Store.Answers(ctx, k.org, c.ID, wave, after, 1000)
		if err != nil || len(rows) == 0 {
			return out, kinds, err
		}
		if n += len(rows); n > maxResultAnswers {
			return nil, nil, refusal(fmt.Errorf("this wave has more than %d answers", maxResultAnswers))
		}
		if by != "" {
			if err := k.teams(ctx, rows, teams); err != nil {
				return nil, nil, err
			}
		}
		for i := range rows {
			a := &rows[i]
			if a.Score == nil || a.Skipped || len(a.Who) > len(insight.Pseudonym{}) {
				continue
			}
			one := insight.Answer{Value: *a.Score}
			copy(one.Person[:], a.Who)
			if team := teams[a.Person]; team != "" {
				one.Groups = []string{team}
			}
			out[a.Question] = append(out[a.Question], one)
			kinds[a.Question] = *a
		}
		after = &rows[len(rows)-1]
	}
}

// teams finds the teams of who answered.
func (k *call) teams(ctx context.Context, rows []store.Answer, teams map[int64]string) error {
	var ids []store.PersonID
	for i := range rows {
		if _, ok := teams[rows[i].Person]; !ok && rows[i].Person != 0 {
			teams[rows[i].Person] = ""
			ids = append(ids, store.PersonID(rows[i].Person))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	list, err := k.Store.PeopleByID(ctx, k.org, ids)
	for _, p := range list {
		if p.Team != "" {
			teams[int64(p.ID)] = "team=" + escape(p.Team)
		}
	}
	return err
}

// escape keeps & out of the name of a group, which separates groups.
func escape(name string) string {
	out := make([]rune, 0, len(name))
	for _, r := range name {
		if r == '&' {
			r = '＆'
		}
		out = append(out, r)
	}
	return string(out)
}

// ask has the guard decide, and keeps what it will have shown before it is.
func (k *call) ask(ctx context.Context, key store.RegisterKey, answers []insight.Answer) ([]insight.Cell, error) {
	groups := []string{""}
	for _, a := range answers {
		for _, g := range a.Groups {
			if !slices.Contains(groups, g) && len(groups) <= maxGroups {
				groups = append(groups, g)
			}
		}
	}
	slices.Sort(groups)
	for try := 0; ; try++ {
		text, version, err := k.Store.Register(ctx, k.org, key)
		if err != nil {
			return nil, err
		}
		var r insight.Register
		if version != 0 {
			if err := r.UnmarshalBinary(text); err != nil {
				return nil, err
			}
		}
		cells := k.guard(k.org).Ask(&r, answers, groups...)
		now, err := r.MarshalBinary()
		if err != nil || string(now) == string(text) {
			return cells, err
		}
		err = k.Store.SetRegister(ctx, k.org, key, now, version)
		if err == nil {
			return cells, nil
		}
		if !errors.Is(err, store.ErrMoved) || try == 5 {
			return nil, err
		}
	}
}

// maxGroups bounds the teams of a heat-map.
const maxGroups = 500

func cellOf(c *insight.Cell, kind, measure string, ask flow.Ask) Cell {
	out := Cell{Group: c.Key, Shown: c.Shown, Waiting: c.Waiting, Why: c.Why}
	if !c.Shown {
		return out
	}
	out.People, out.Mean, out.Counts = c.N, c.Mean(), map[string]int{}
	for v, n := range c.Counts {
		out.Counts[fmt.Sprint(v)] = n
	}
	switch {
	case measure == "enps":
		score := insight.ENPSOf(c.Counts).Score
		out.ENPS = &score
	case kind == "mood" && ask.Max > ask.Min:
		index := insight.MoodOf(c.Counts, ask.Min, ask.Max).Index
		out.Mood = &index
	}
	return out
}

type answersIn struct {
	CampaignIn
	PageIn
	Wave string `query:"wave" required:"true" maxLength:"20"`
}

type answerPlace struct {
	Wave     int64  `json:"w"`
	Who      []byte `json:"p"`
	Question string `json:"q"`
}

func listAnswers(ctx context.Context, k *call, in *answersIn) (*PageOut[Answer], error) {
	c, err := k.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	if c.Anonymous {
		return nil, &refused{http.StatusForbidden, errors.New("this campaign is anonymous: its answers are shown as results only")}
	}
	wave, err := number(in.Wave)
	if err != nil {
		return nil, err
	}
	var at answerPlace
	if err := k.place(in.Cursor, &at); err != nil {
		return nil, err
	}
	var after *store.Answer
	if in.Cursor != "" {
		after = &store.Answer{Who: at.Who, Question: at.Question}
	}
	if err := k.audit(ctx, "campaign "+c.Name, map[string]any{"id": in.Campaign, "wave": in.Wave}); err != nil {
		return nil, err
	}
	rows, err := k.Store.Answers(ctx, k.org, c.ID, wave, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	for i := range rows { // of an anonymous campaign none may come here
		if rows[i].Person == 0 {
			return nil, fmt.Errorf("answers of campaign %d have no person", c.ID)
		}
	}
	return page(k, in.Limit, rows, answerOf, func(a *store.Answer) any { return answerPlace{wave, a.Who, a.Question} })
}
