package console

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/store"
)

func caseOperations() []operation {
	const base = "/api/orgs/{org}/cases"
	return []operation{
		op(operation{ID: "case-list", Method: "GET", Path: base, Doc: "List cases of a state by due time. A coach sees those without an owner, and their own.", Roles: helpers(), Scope: "cases:read", Views: true}, listCases),
		op(operation{ID: "case-show", Method: "GET", Path: base + "/{case}", Doc: "Open a case with its lines.", Roles: helpers(), Scope: "cases:read", Views: true}, showCase),
		op(operation{ID: "case-answers", Method: "GET", Path: base + "/{case}/answers", Doc: "Show what the person of a case answered in its wave, in a named campaign.", Roles: helpers(), Scope: "answers:read", Views: true}, caseAnswers),
		op(operation{ID: "case-change", Method: "PUT", Path: base + "/{case}", Doc: "Change owner, state or due time of a case.", Roles: helpers(), Scope: "cases:write"}, changeCase),
		op(operation{ID: "case-note", Method: "POST", Path: base + "/{case}/notes", Doc: "Add a note to a case, for those who look after it.", Roles: helpers(), Scope: "cases:write", Status: 201}, noteCase),
		op(operation{ID: "case-answer", Method: "POST", Path: base + "/{case}/answer", Doc: "Write to the person of a case; the bot says it. In an anonymous campaign neither side learns who the other is.", Roles: helpers(), Scope: "cases:write"}, answerCase),
	}
}

// Case is something that a person has to look at.
type Case struct {
	ID       string          `json:"id"`
	Campaign string          `json:"campaign,omitempty"`
	Wave     string          `json:"wave,omitempty"`
	Person   string          `json:"person,omitempty" doc:"number; none in an anonymous campaign"`
	State    string          `json:"state" doc:"open, taken or closed"`
	Class    int             `json:"class" doc:"0 goes before everything"`
	Reason   string          `json:"reason"`
	Facts    json.RawMessage `json:"facts,omitempty" doc:"what set it off: rules and words, never a diagnosis"`
	Owner    string          `json:"owner,omitempty"`
	Due      time.Time       `json:"due,omitzero"`
	Opened   time.Time       `json:"opened"`
	Changed  time.Time       `json:"changed"`
	Version  string          `json:"version"`
}

func caseOf(c *store.Case) Case {
	out := Case{id(c.ID), some(c.Campaign), some(c.Wave), some(c.Person), c.State.String(), c.Class, c.Reason, nil, c.Owner, c.Due, c.Opened, c.Changed, id(c.Version)}
	if json.Valid(c.Facts) {
		out.Facts = c.Facts
	}
	return out
}

// mine reports whether the caller may see a case.
func (k *call) mine(c *store.Case) bool {
	return k.who.Role != Coach || c.Owner == "" || c.Owner == k.who.Name
}

type casesIn struct {
	OrgIn
	PageIn
	State string `query:"state" enum:"open,taken,closed" default:"open"`
}

type casePlace struct {
	State string `json:"s"`
	Due   int64  `json:"d"`
	ID    int64  `json:"i"`
}

func caseState(word string) store.CaseState {
	for s := store.CaseOpen; s < store.CaseClosed; s++ {
		if s.String() == word {
			return s
		}
	}
	return store.CaseClosed
}

func listCases(ctx context.Context, k *call, in *casesIn) (*PageOut[Case], error) {
	var at casePlace
	if err := k.place(in.Cursor, &at); err != nil {
		return nil, err
	}
	var after *store.Case
	if in.Cursor != "" {
		if at.State != in.State {
			return nil, refusal(fmt.Errorf("this cursor is of the cases that are %s", at.State))
		}
		after = &store.Case{ID: at.ID, Due: time.UnixMicro(at.Due)}
	}
	if err := k.audit(ctx, "", map[string]any{"state": in.State}); err != nil {
		return nil, err
	}
	rows, err := k.Store.Cases(ctx, k.org, caseState(in.State), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out, err := page(k, in.Limit, rows, caseOf, func(c *store.Case) any { return casePlace{in.State, c.Due.UnixMicro(), c.ID} })
	if err != nil {
		return nil, err
	}
	seen := out.Body.Items[:0]
	for i := range out.Body.Items {
		if k.mine(&rows[i]) {
			seen = append(seen, out.Body.Items[i])
		}
	}
	out.Body.Items = seen
	return out, nil
}

// CaseIn names a case.
type CaseIn struct {
	OrgIn
	Case string `path:"case" maxLength:"20"`
}

func (k *call) findCase(ctx context.Context, text string) (*store.Case, error) {
	n, err := number(text)
	if err != nil {
		return nil, err
	}
	c, err := k.Store.Case(ctx, k.org, n)
	if err == nil && !k.mine(c) {
		err = store.ErrNotFound
	}
	return c, err
}

// CaseLine is a line of a case.
type CaseLine struct {
	Kind   string    `json:"kind" doc:"note, from, to, change or refused"`
	Author string    `json:"author,omitempty"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// FullCase is a case with a page of its lines, the oldest first.
type FullCase struct {
	Case
	Lines []CaseLine `json:"lines"`
	Next  string     `json:"next,omitempty" doc:"cursor of the next lines"`
}

type caseShowIn struct {
	CaseIn
	PageIn
}

type caseOut struct{ Body FullCase }

func lineKind(kind store.LineKind) string {
	return [...]string{"", "note", "from", "to", "change", "refused"}[min(kind, store.LineRefused)]
}

func showCase(ctx context.Context, k *call, in *caseShowIn) (*caseOut, error) {
	c, err := k.findCase(ctx, in.Case)
	if err != nil {
		return nil, err
	}
	var after int64
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	if err := k.audit(ctx, caseSubject(c), map[string]any{"case": in.Case}); err != nil {
		return nil, err
	}
	lines, err := k.Store.CaseLines(ctx, k.org, c.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	p, err := page(k, in.Limit, lines, func(l *store.CaseLine) CaseLine { return CaseLine{lineKind(l.Kind), l.Author, l.At, l.Text} },
		func(l *store.CaseLine) any { return l.ID })
	if err != nil {
		return nil, err
	}
	return &caseOut{FullCase{caseOf(c), p.Body.Items, p.Body.Next}}, nil
}

// caseSubject is how the audit log names a case: by its person, when there is one.
func caseSubject(c *store.Case) string {
	if c.Person != 0 {
		return subject(store.PersonID(c.Person))
	}
	return fmt.Sprintf("case %d", c.ID)
}

type caseChangeIn struct {
	CaseIn
	Body struct {
		Version string    `json:"version" maxLength:"20" doc:"as it was read"`
		State   string    `json:"state,omitempty" enum:"open,taken,closed"`
		Owner   *string   `json:"owner,omitempty" maxLength:"190" doc:"an account that is hr or coach; empty: nobody"`
		Due     time.Time `json:"due,omitempty" required:"false"`
		Note    string    `json:"note,omitempty" maxLength:"4000"`
	}
}

func changeCase(ctx context.Context, k *call, in *caseChangeIn) (*caseOut, error) {
	c, err := k.findCase(ctx, in.Case)
	if err != nil {
		return nil, err
	}
	if c.Version, err = number(in.Body.Version); err != nil {
		return nil, refusal(fmt.Errorf("version %q is none", in.Body.Version))
	}
	what := ""
	if o := in.Body.Owner; o != nil && *o != c.Owner {
		if *o != "" {
			role, err := k.Store.Role(ctx, k.org, *o)
			if err != nil {
				return nil, err
			}
			if Role(role) != HR && Role(role) != Coach {
				return nil, refusal(fmt.Errorf("%s may not look after cases: give them the role hr or coach first", *o))
			}
		}
		c.Owner = *o
		what += fmt.Sprintf("owner: %s. ", *o)
		if c.State == store.CaseOpen && *o != "" && in.Body.State == "" {
			c.State = store.CaseTaken
		}
	}
	if in.Body.State != "" && caseState(in.Body.State) != c.State {
		c.State = caseState(in.Body.State)
		what += "state: " + in.Body.State + ". "
	}
	if !in.Body.Due.IsZero() {
		c.Due = in.Body.Due
		what += "due: " + in.Body.Due.UTC().Format(time.RFC3339) + ". "
	}
	if err := k.audit(ctx, caseSubject(c), map[string]any{"case": in.Case, "state": c.State.String()}); err != nil {
		return nil, err
	}
	now := k.Now()
	c.Changed = now
	c.Lines = []store.CaseLine{{ID: now.UnixMicro(), Kind: store.LineChange, Author: k.who.Name, At: now, Text: what}}
	if in.Body.Note != "" {
		c.Lines = append(c.Lines, store.CaseLine{ID: now.UnixMicro() + 1, Kind: store.LineNote, Author: k.who.Name, At: now, Text: in.Body.Note})
	}
	if err := k.Store.ChangeCase(ctx, k.org, c); err != nil {
		return nil, err
	}
	return &caseOut{FullCase{Case: caseOf(c), Lines: []CaseLine{}}}, nil
}

type caseNoteIn struct {
	CaseIn
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"16000"`
	}
}

func noteCase(ctx context.Context, k *call, in *caseNoteIn) (*caseOut, error) {
	c, err := k.findCase(ctx, in.Case)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, caseSubject(c), map[string]any{"case": in.Case}); err != nil {
		return nil, err
	}
	now := k.Now()
	c.Changed = now
	c.Lines = []store.CaseLine{{ID: now.UnixMicro(), Kind: store.LineNote, Author: k.who.Name, At: now, Text: in.Body.Text}}
	if err := k.Store.ChangeCase(ctx, k.org, c); err != nil {
		return nil, err
	}
	return &caseOut{FullCase{Case: caseOf(c), Lines: []CaseLine{}}}, nil
}

// CaseSaid is what was written to the person of a case.
type CaseSaid struct {
	Case string `json:"case"`
	Text string `json:"text"`
}

type caseSaidOut struct{ Body CaseSaid }

func answerCase(ctx context.Context, k *call, in *caseNoteIn) (*caseSaidOut, error) {
	c, err := k.findCase(ctx, in.Case)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, caseSubject(c), map[string]any{"case": in.Case}); err != nil {
		return nil, err
	}
	var done map[string]any
	args := map[string]any{"domain": k.domain, "id": c.ID, "author": k.who.Name, "text": in.Body.Text}
	if err := k.control(ctx, "case.answer", args, &done); err != nil {
		return nil, err
	}
	return &caseSaidOut{CaseSaid{in.Case, in.Body.Text}}, nil
}

// Answer is what a person answered to a question.
type Answer struct {
	Person    string    `json:"person" doc:"number"`
	Question  string    `json:"question"`
	Kind      string    `json:"kind"`
	Measure   string    `json:"measure,omitempty"`
	Values    []string  `json:"values,omitempty"`
	Score     *int      `json:"score,omitempty"`
	Text      string    `json:"text,omitempty"`
	Sentiment *float64  `json:"sentiment,omitempty" doc:"-1 to 1"`
	Language  string    `json:"language,omitempty"`
	Skipped   bool      `json:"skipped,omitempty"`
	Edits     int       `json:"edits"`
	At        time.Time `json:"at"`
}

func answerOf(a *store.Answer) Answer {
	return Answer{id(a.Person), a.Question, a.Kind, a.Measure, a.Values, a.Score, a.Text, a.Sentiment, a.Language, a.Skipped, a.Edits, a.At}
}

func caseAnswers(ctx context.Context, k *call, in *CaseIn) (*PageOut[Answer], error) {
	c, err := k.findCase(ctx, in.Case)
	if err != nil {
		return nil, err
	}
	if c.Person == 0 || c.Campaign == 0 {
		return nil, refusal(fmt.Errorf("this case is of nobody who is known: its facts are all there is"))
	}
	if err := k.audit(ctx, caseSubject(c), map[string]any{"case": in.Case}); err != nil {
		return nil, err
	}
	rows, err := k.Store.AnswersOf(ctx, k.org, c.Campaign, c.Wave, c.Who)
	if err != nil {
		return nil, err
	}
	return page(k, len(rows), rows, answerOf, func(*store.Answer) any { return nil })
}
