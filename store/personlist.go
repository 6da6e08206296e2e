package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// PeopleFilter says which people a list has. Empty fields say nothing.
type PeopleFilter struct {
	Text     string // somewhere in name, id, e-mail or account; small and capital letters alike
	Team     string
	Manager  string
	Language string
	Zone     string
	Gone     bool // those who have left; else those who are here
	Everyone bool // both
	// Also is asked of who fits the rest; may be nil.
	Also func(*Person) (bool, error)
}

func (f *PeopleFilter) fits(p *Person, now time.Time) (bool, error) {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), f.Text) }
	switch {
	case !f.Everyone && p.Here(now) == f.Gone,
		f.Team != "" && p.Team != f.Team,
		f.Manager != "" && p.Manager != f.Manager,
		f.Language != "" && p.Speaks() != f.Language,
		f.Zone != "" && p.Zone != f.Zone,
		f.Text != "" && !has(p.Name) && !has(p.Ext) && !has(p.Email) && !has(p.Account):
		return false, nil
	case f.Also != nil:
		return f.Also(p)
	}
	return true, nil
}

const (
	peoplePage = 500    // rows of one statement
	peopleLook = 20_000 // rows that one call of People looks at
)

// People lists people by their numbers, those after one, limit at most, who fit
// the filter now. next is where the following page begins, 0 at the end: a page
// may be short, or empty, and not be the last, for a call looks at 20,000 people
// at most. It is never stale.
func (s *Store) People(ctx context.Context, org feature.Org, f PeopleFilter, after PersonID, limit int) (out []Person, next PersonID, err error) {
	now := time.Now()
	f.Text = strings.ToLower(f.Text)
	for looked := 0; looked < peopleLook; {
		rows, last := 0, after
		full := false
		err := s.db.Query(ctx, org, "person-page", func(r *db.Row) error {
			if rows++; full {
				return nil
			}
			last = PersonID(r.Int(0))
			p, ok, err := seen(r)
			if ok && err == nil {
				ok, err = f.fits(&p, now)
			}
			if ok && err == nil {
				out = append(out, p)
				full = len(out) >= limit
			}
			return err
		}, org, int64(after), peoplePage)
		if err != nil {
			return nil, 0, fmt.Errorf("list people: %w", err)
		}
		after = last
		looked += rows
		if full {
			return out, after, nil
		}
		if rows < peoplePage {
			return out, 0, nil
		}
	}
	return out, after, nil
}

// EachPerson calls fn for every person after one, in the order of their numbers,
// also for those who have left. The pages are read one by one: fn may take its
// time, and what is changed meanwhile may be seen as it was or as it is; of an
// import that is shown meanwhile later pages are new and earlier ones old.
//
// It reads from a replica where there is one: what this process has written is
// seen, what others wrote may be missing for db.lag.
func (s *Store) EachPerson(ctx context.Context, org feature.Org, after PersonID, fn func(*Person) error) error {
	return s.eachPerson(ctx, org, "person-scan", after, fn)
}

func (s *Store) eachPerson(ctx context.Context, org feature.Org, statement string, after PersonID, fn func(*Person) error) error {
	page := make([]Person, 0, peoplePage)
	for rows := peoplePage; rows == peoplePage; {
		rows, page = 0, page[:0]
		if err := s.db.Query(ctx, org, statement, func(r *db.Row) error {
			rows++
			after = PersonID(r.Int(0))
			p, ok, err := seen(r)
			if ok {
				page = append(page, p)
			}
			return err
		}, org, int64(after), peoplePage); err != nil {
			return fmt.Errorf("read people: %w", err)
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
