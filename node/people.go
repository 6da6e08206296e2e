package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/people"
	"github.com/bearhug/bearhug/store"
)

// registerPeople makes the operations on people and audiences known.
func (a *admin) registerPeople(c *ops.Control) {
	c.Handle("people.import", a.importPeople)
	c.Handle("people.fields", a.peopleFields)
	c.Handle("people.undo", a.undoPeople)
	c.Handle("people.ls", a.listPeople)
	c.Handle("people.show", a.showPerson)
	c.Handle("people.set", a.setPerson)
	c.Handle("people.leave", a.leavePerson)
	c.Handle("audience.add", a.addAudience)
	c.Handle("audience.ls", a.listAudiences)
	c.Handle("audience.preview", a.previewAudience)
	c.Handle("audience.rm", a.removeAudience)
}

// PersonLine is a person as commands show one.
type PersonLine struct {
	people.Row
	Left  time.Time         `json:"left,omitzero"`
	Prefs store.PersonPrefs `json:"prefs,omitzero"`
}

func personLine(p *store.Person) PersonLine {
	return PersonLine{Row: people.RowOf(p), Left: p.Left, Prefs: p.Prefs}
}

// PeoplePage asks for people of an organisation who fit all that is not empty;
// After is Next of the page before, Limit at most 1,000.
type PeoplePage struct {
	Domain   string         `json:"domain"`
	Text     string         `json:"text,omitempty"` // in name, id, e-mail or account
	Team     string         `json:"team,omitempty"`
	Manager  string         `json:"manager,omitempty"`
	Language string         `json:"language,omitempty"`
	Zone     string         `json:"zone,omitempty"`
	Rule     string         `json:"rule,omitempty"` // as of an audience
	Gone     bool           `json:"gone,omitempty"` // who has left, not who is here
	Everyone bool           `json:"everyone,omitempty"`
	After    store.PersonID `json:"after,omitempty"`
	Limit    int            `json:"limit,omitempty"`
}

// PeopleFound is a page. Next is 0 when it is the last; a page may be empty and
// not be the last.
type PeopleFound struct {
	People []PersonLine   `json:"people"`
	Next   store.PersonID `json:"next,omitempty"`
}

func (a *admin) listPeople(c *ops.Call) (any, error) {
	var arg PeoplePage
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.organisation(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	f := store.PeopleFilter{Text: arg.Text, Team: arg.Team, Manager: arg.Manager, Language: arg.Language, Zone: arg.Zone, Gone: arg.Gone, Everyone: arg.Everyone}
	if arg.Rule != "" {
		rule, err := people.Compile(c.Context(), a.store, org.ID, arg.Rule)
		if err != nil {
			return nil, fmt.Errorf("list people: %w", err)
		}
		f.Also = people.Matcher(rule, org.Domain, time.Now())
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 1000
	}
	list, next, err := a.store.People(c.Context(), org.ID, f, arg.After, arg.Limit)
	if err != nil {
		return nil, err
	}
	out := PeopleFound{People: make([]PersonLine, len(list)), Next: next}
	for i := range list {
		out.People[i] = personLine(&list[i])
	}
	return out, nil
}

// organisation finds the organisation of a domain.
func (a *admin) organisation(ctx context.Context, text string) (store.Organisation, error) {
	domain, err := jid.Parse(text)
	if err != nil || domain.Local() != "" || domain.Resource() != "" {
		return store.Organisation{}, fmt.Errorf("%q is no organisation's domain; want one such as example.org", text)
	}
	id, err := a.org(ctx, domain.Domain())
	return store.Organisation{ID: id, Domain: domain.Domain()}, err
}

// PersonName names a person: by id, e-mail address or address in chat.
type PersonName struct {
	Domain string `json:"domain"`
	Person string `json:"person"`
}

// person finds somebody.
func (a *admin) person(ctx context.Context, n PersonName) (org store.Organisation, p store.Person, err error) {
	if org, err = a.organisation(ctx, n.Domain); err != nil {
		return org, p, err
	}
	p, err = a.store.PersonByExt(ctx, org.ID, n.Person)
	if local, ok := strings.CutSuffix(n.Person, "@"+org.Domain); errors.Is(err, store.ErrNotFound) && ok {
		p, err = a.store.PersonByAccount(ctx, org.ID, strings.ToLower(local))
	}
	if errors.Is(err, store.ErrNotFound) {
		var list []store.Person
		if list, err = a.store.PeopleByEmail(ctx, org.ID, n.Person); len(list) == 1 {
			return org, list[0], err
		}
		if len(list) > 1 {
			return org, p, fmt.Errorf("%d people have the e-mail address %s: name one by the id", len(list), n.Person)
		}
		if err == nil {
			err = fmt.Errorf("there is no person %q in %s: name one by id, e-mail address or address in chat", n.Person, org.Domain)
		}
	}
	return org, p, err
}

func (a *admin) showPerson(c *ops.Call) (any, error) {
	var arg PersonName
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	_, p, err := a.person(c.Context(), arg)
	if err != nil {
		return nil, err
	}
	return personLine(&p), nil
}

// PersonSet is the argument of people.set: columns and attributes by their
// headings; an empty value empties. Add: the person is new, Person is the id.
type PersonSet struct {
	PersonName
	Add    bool              `json:"add,omitempty"`
	Values map[string]string `json:"values"`
}

func (a *admin) setPerson(c *ops.Call) (any, error) {
	var arg PersonSet
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	ctx := c.Context()
	org, p, err := a.person(ctx, arg.PersonName)
	if org.ID == 0 {
		return nil, err
	}
	switch {
	case arg.Add && err == nil:
		return nil, fmt.Errorf("add person: %s is there already", arg.Person)
	case arg.Add:
		p = store.Person{Ext: arg.Person}
	case err != nil:
		return nil, err
	}
	own, err := people.Own(ctx, a.store, org.ID)
	if err != nil {
		return nil, err
	}
	row, fresh, err := people.Change(people.RowOf(&p), arg.Values, org.Domain, own)
	if err != nil {
		return nil, fmt.Errorf("person %s: %w", arg.Person, err)
	}
	now := row.Person()
	now.ID, now.Version, now.Left = p.ID, p.Version, p.Left
	if len(fresh) > 0 {
		if err := a.store.AddPersonFields(ctx, org.ID, fresh); err != nil {
			return nil, err
		}
	}
	if arg.Add {
		_, err = a.store.AddPerson(ctx, org.ID, now)
	} else {
		err = a.store.SetPerson(ctx, org.ID, now)
	}
	if err == nil && now.Account != "" && now.Account != p.Account {
		if _, err = a.store.CreateAccount(ctx, org.ID, now.Account, nil); errors.Is(err, store.ErrExists) {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	if p, err = a.store.PersonByExt(ctx, org.ID, now.Ext); err != nil {
		return nil, err
	}
	return personLine(&p), nil
}

// PersonLeave is the argument of people.leave.
type PersonLeave struct {
	PersonName
	At   time.Time `json:"at,omitzero"` // zero: now
	Back bool      `json:"back,omitempty"`
}

func (a *admin) leavePerson(c *ops.Call) (any, error) {
	var arg PersonLeave
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, p, err := a.person(c.Context(), arg.PersonName)
	if err != nil {
		return nil, err
	}
	at := arg.At
	switch {
	case arg.Back:
		at = time.Time{}
	case at.IsZero():
		at = time.Now()
	}
	if err := a.store.LeavePerson(c.Context(), org.ID, p.ID, at); err != nil {
		return nil, err
	}
	p.Left = at
	return personLine(&p), nil
}

// PeopleFields are the free attributes of an organisation's people.
type PeopleFields struct {
	Domain string           `json:"domain"` // as it is to be written
	Fields []audience.Field `json:"fields"`
}

func (a *admin) peopleFields(c *ops.Call) (any, error) {
	var arg Organisation
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.organisation(c.Context(), arg.Domain)
	if err != nil {
		return nil, err
	}
	own, err := people.Own(c.Context(), a.store, org.ID)
	return PeopleFields{org.Domain, own}, err
}

// AudienceArgs is the argument of the operations on audiences. Rule goes before
// Name for audience.preview. Yes confirms a rule that means nobody or everybody,
// with the number of people that it means.
type AudienceArgs struct {
	Domain  string `json:"domain"`
	Name    string `json:"name,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Yes     *int   `json:"yes,omitempty"`
	Samples int    `json:"samples,omitempty"` // 5 when 0, at most 100
	After   string `json:"after,omitempty"`   // audience.ls: the name before the page
}

// AudienceLine is an audience as commands show one.
type AudienceLine struct {
	Name string    `json:"name"`
	Rule string    `json:"rule"`
	At   time.Time `json:"at"`
	Who  string    `json:"who,omitempty"`
}

// AudiencePreview says whom a rule means now.
type AudiencePreview struct {
	AudienceLine
	people.Preview
	Some []PersonLine `json:"some"`
}

// audienceOf reads the argument.
func (a *admin) audienceOf(c *ops.Call, arg *AudienceArgs) (store.Organisation, error) {
	if err := c.Args(arg); err != nil {
		return store.Organisation{}, err
	}
	return a.organisation(c.Context(), arg.Domain)
}

func (a *admin) addAudience(c *ops.Call) (any, error) {
	var arg AudienceArgs
	org, err := a.audienceOf(c, &arg)
	if err != nil {
		return nil, fmt.Errorf("add audience: %w", err)
	}
	preview, err := a.look(c.Context(), org, AudienceLine{Name: arg.Name, Rule: arg.Rule}, arg.Samples)
	if err != nil {
		return nil, fmt.Errorf("add audience %s: %w", arg.Name, err)
	}
	if arg.Yes != nil && *arg.Yes != preview.Matched {
		return nil, fmt.Errorf("add audience %s: --yes says %d people, but the rule means %d of %d", arg.Name, *arg.Yes, preview.Matched, preview.People)
	}
	if preview.Doubt != "" && arg.Yes == nil {
		return nil, fmt.Errorf("add audience %s: %s; --yes %d if that is meant", arg.Name, strings.SplitN(preview.Doubt, ": confirm", 2)[0], preview.Matched)
	}
	row := store.Audience{Name: arg.Name, Rule: arg.Rule, Who: c.User()}
	if _, err = a.store.AddAudience(c.Context(), org.ID, row); errors.Is(err, store.ErrExists) {
		err = errors.New("there is one of this name already: `bearhug audience rm` deletes it")
	}
	if err != nil {
		return nil, err
	}
	preview.At, preview.Who = time.Now(), c.User()
	return preview, nil
}

func (a *admin) look(ctx context.Context, org store.Organisation, line AudienceLine, samples int) (AudiencePreview, error) {
	if samples <= 0 {
		samples = 5
	}
	rule, err := people.Compile(ctx, a.store, org.ID, line.Rule)
	if err != nil {
		return AudiencePreview{}, err
	}
	preview, err := people.Look(ctx, a.store, org, rule, time.Now(), samples)
	out := AudiencePreview{AudienceLine: line, Preview: preview}
	for i := range preview.Some {
		out.Some = append(out.Some, personLine(&preview.Some[i]))
	}
	return out, err
}

func (a *admin) previewAudience(c *ops.Call) (any, error) {
	var arg AudienceArgs
	org, err := a.audienceOf(c, &arg)
	if err != nil {
		return nil, fmt.Errorf("preview audience: %w", err)
	}
	line := AudienceLine{Name: arg.Name, Rule: arg.Rule}
	if arg.Rule == "" {
		row, err := a.audience(c.Context(), org, arg.Name)
		if err != nil {
			return nil, err
		}
		line = AudienceLine{row.Name, row.Rule, row.At, row.Who}
	}
	preview, err := a.look(c.Context(), org, line, arg.Samples)
	if err != nil {
		return nil, fmt.Errorf("preview audience: %w", err)
	}
	return preview, nil
}

// audience finds one by its name.
func (a *admin) audience(ctx context.Context, org store.Organisation, name string) (store.Audience, error) {
	row, err := a.store.AudienceByName(ctx, org.ID, name)
	if !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	list, err := a.store.Audiences(ctx, org.ID, "", 1000)
	if err != nil {
		return row, err
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	if near := feature.Nearest(name, names); near != "" {
		return row, fmt.Errorf("there is no audience %q in %s: did you mean %s?", name, org.Domain, near)
	}
	return row, fmt.Errorf("there is no audience %q in %s: `bearhug audience ls %s` lists them", name, org.Domain, org.Domain)
}

func (a *admin) listAudiences(c *ops.Call) (any, error) {
	var arg AudienceArgs
	org, err := a.audienceOf(c, &arg)
	if err != nil {
		return nil, fmt.Errorf("list audiences: %w", err)
	}
	list, err := a.store.Audiences(c.Context(), org.ID, arg.After, 1000)
	out := make([]AudienceLine, 0, len(list))
	for _, row := range list {
		out = append(out, AudienceLine{row.Name, row.Rule, row.At, row.Who})
	}
	return slices.Clip(out), err
}

func (a *admin) removeAudience(c *ops.Call) (any, error) {
	var arg AudienceArgs
	org, err := a.audienceOf(c, &arg)
	if err != nil {
		return nil, fmt.Errorf("delete audience: %w", err)
	}
	row, err := a.audience(c.Context(), org, arg.Name)
	if err == nil {
		err = a.store.DeleteAudience(c.Context(), org.ID, row.ID)
	}
	return AudienceLine{row.Name, row.Rule, row.At, row.Who}, err
}
