package people

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// Compile reads a rule over the fields that people of an organisation have now.
// The error is of type audience.Problems when it is the rule's.
func Compile(ctx context.Context, s *store.Store, org feature.Org, rule string) (*audience.Rule, error) {
	own, err := Own(ctx, s, org)
	if err != nil {
		return nil, err
	}
	fields, err := audience.Fields(own)
	if err != nil {
		return nil, fmt.Errorf("attributes of people: %w", err)
	}
	return audience.Compile(rule, fields)
}

// Match gives who is meant by an audience on a day: a function for one
// goroutine. domain is the organisation's. Whether a person is still here is
// another question. store.ErrNotFound; audience.Problems when the rule does not
// fit the fields any more.
func Match(ctx context.Context, s *store.Store, org feature.Org, domain string, id store.AudienceID, now time.Time) (func(*store.Person) (bool, error), error) {
	a, err := s.Audience(ctx, org, id)
	if err != nil {
		return nil, err
	}
	rule, err := Compile(ctx, s, org, a.Rule)
	if err != nil {
		return nil, fmt.Errorf("audience %s: %w", a.Name, err)
	}
	return Matcher(rule, domain, now), nil
}

// Matcher tells who is meant by a rule on a day. It is for one goroutine.
func Matcher(rule *audience.Rule, domain string, now time.Time) func(*store.Person) (bool, error) {
	m := rule.Matcher(now)
	var p *store.Person
	get := func(field string) any { return p.Field(field, domain) }
	return func(who *store.Person) (bool, error) {
		p = who
		return m.Match(get)
	}
}

// Question asks for the people whom a rule means on a day.
type Question struct {
	Rule  *audience.Rule
	Now   time.Time
	After store.PersonID // those whose numbers come after it
}

// Resolve calls fn for everybody who is here and meant by a rule, in the order of
// their numbers. It reads a replica where there is one, see store.EachPerson.
func Resolve(ctx context.Context, s *store.Store, org store.Organisation, q Question, fn func(*store.Person) error) error {
	match := Matcher(q.Rule, org.Domain, q.Now)
	return s.EachPerson(ctx, org.ID, q.After, func(p *store.Person) error {
		if !p.Here(q.Now) {
			return nil
		}
		yes, err := match(p)
		if err != nil || !yes {
			return err
		}
		return fn(p)
	})
}

// Preview is whom a rule would mean now.
type Preview struct {
	audience.Survey
	Some  []store.Person `json:"-"`     // the samples
	Doubt string         `json:"doubt"` // what is to be confirmed; "" for nothing
}

// Look surveys a rule over everybody who is here: how many it means, some of
// them, and which part of it finds nobody.
func Look(ctx context.Context, s *store.Store, org store.Organisation, rule *audience.Rule, now time.Time, samples int) (Preview, error) {
	names := append(rule.Uses(), "start") // tenure is worked out of it
	slices.Sort(names)
	names = slices.Compact(names)
	var values []any // a row for each person
	var ids []store.PersonID
	if err := s.EachPerson(ctx, org.ID, 0, func(p *store.Person) error {
		if !p.Here(now) {
			return nil
		}
		ids = append(ids, p.ID)
		for _, name := range names {
			values = append(values, p.Field(name, org.Domain))
		}
		return nil
	}); err != nil {
		return Preview{}, err
	}
	survey, err := rule.Survey(now, len(ids), func(i int, field string) any {
		k, ok := slices.BinarySearch(names, field)
		if !ok {
			return nil
		}
		return values[i*len(names)+k]
	}, samples)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{Survey: survey, Doubt: survey.Doubt()}
	some := make([]store.PersonID, len(survey.Samples))
	for i, k := range survey.Samples {
		some[i] = ids[k]
	}
	out.Some, err = s.PeopleByID(ctx, org.ID, some)
	return out, err
}
