package people

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// Options say what an import does beside what the lines say.
type Options struct {
	DryRun bool `json:"dry_run,omitempty"` // only counts
	// LeaveMissing: who is not in the file has left. It goes with a file without
	// problems only.
	LeaveMissing bool `json:"leave_missing,omitempty"`
	// SkipBad imports the good lines of a file that has bad ones; else such a
	// file changes nothing.
	SkipBad bool   `json:"skip_bad,omitempty"`
	Who     string `json:"who,omitempty"` // imports
}

// Report is what an import does, or did.
type Report struct {
	store.PeopleCounts
	Refused  int       `json:"refused"`            // lines
	Problems []Problem `json:"problems,omitempty"` // by line, 1,000 at most
	Unread   bool      `json:"unread,omitempty"`   // there may be more
	Done     bool      `json:"done"`               // people are as the file says
}

// Import does what a file says for the people of an organisation, all or
// nothing, and reports; progress may be nil. A file with problems changes
// nothing, unless they are to be skipped: its good lines are counted all the
// same. store.ErrPeopleImporting.
func Import(ctx context.Context, s *store.Store, org feature.Org, f *File, o Options, progress func(done, total int)) (Report, error) {
	r := Report{Problems: slices.Clone(f.Problems), Unread: f.Unread, Refused: f.Refused}
	sheet := sheet(f, o)
	if !o.DryRun && r.Refused == 0 && !o.SkipBad { // the usual: what the store finds ends it
		return r.end(s.ImportPeople(ctx, org, sheet, progress))
	}
	plan, err := s.PlanPeople(ctx, org, sheet)
	if err != nil {
		return r, err
	}
	r.PeopleCounts = plan.PeopleCounts
	bad := r.add(plan.Problems)
	switch {
	case r.Refused > 0 && o.LeaveMissing && o.SkipBad:
		return r, fmt.Errorf("%d lines are wrong, and who stands in them would be taken for missing: mend them, or import without --leave-missing", r.Refused)
	case o.DryRun, r.Refused > 0 && !o.SkipBad, f.Unread:
		return r, nil
	}
	sheet.Rows = slices.DeleteFunc(sheet.Rows, func(row store.PersonRow) bool { return bad[row.Line] })
	return r.end(s.ImportPeople(ctx, org, sheet, progress))
}

// end is the report of what the store did.
func (r Report) end(done store.PeopleResult, err error) (Report, error) {
	if err == nil {
		r.PeopleCounts, r.Done = done.PeopleCounts, len(done.Problems) == 0
		r.add(done.Problems)
	}
	return r, err
}

// add adds what the store finds wrong, and gives the lines.
func (r *Report) add(list []store.Problem) map[int]bool {
	bad := map[int]bool{}
	for _, p := range list {
		if !bad[p.Line] {
			bad[p.Line] = true
			r.Refused++
		}
		r.Problems = append(r.Problems, Problem{Line: p.Line, Value: short(p.JID), Text: p.Reason})
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return a.Line - b.Line })
	if len(r.Problems) > MaxProblems {
		r.Problems, r.Unread = r.Problems[:MaxProblems], true
	}
	return bad
}

// sheet is a file as the store wants it.
func sheet(f *File, o Options) *store.PeopleFile {
	out := &store.PeopleFile{LeaveMissing: o.LeaveMissing, Who: o.Who, Columns: f.Columns, Rows: make([]store.PersonRow, len(f.Rows))}
	for _, x := range f.Fields {
		out.Attrs = append(out.Attrs, x.Name)
		out.Fields = append(out.Fields, store.PersonField{Name: x.Name, Kind: string(x.Kind), Label: x.Doc})
	}
	for i := range f.Rows {
		out.Rows[i] = store.PersonRow{Line: f.Rows[i].Line, Person: f.Rows[i].Person()}
	}
	return out
}

// Person is the row as a person of the store.
func (r *Row) Person() store.Person {
	return store.Person{Ext: r.Key, Account: r.Account, Email: r.Email, Name: r.Name, Zone: r.Zone, Language: r.Language,
		Manager: r.Manager, Team: r.Team, Start: r.Start, Attrs: r.Attrs}
}

// RowOf is a person of the store as a row.
func RowOf(p *store.Person) Row {
	return Row{Key: p.Ext, Account: p.Account, Email: p.Email, Name: p.Name, Zone: p.Zone, Language: p.Language,
		Manager: p.Manager, Team: p.Team, Start: p.Start, Attrs: p.Attrs}
}

// Own are the free attributes that people of an organisation have.
func Own(ctx context.Context, s *store.Store, org feature.Org) ([]audience.Field, error) {
	have, err := s.PersonFields(ctx, org)
	if err != nil {
		return nil, err
	}
	out := make([]audience.Field, 0, len(have))
	for _, f := range have {
		out = append(out, audience.Field{Name: f.Name, Kind: audience.Kind(f.Kind), Doc: f.Label})
	}
	return out, nil
}

// Change puts values into the columns and attributes of a person, by their
// headings. An attribute that nobody has yet is among fresh. The error says what
// is wrong and what to write.
func Change(row Row, values map[string]string, domain string, own []audience.Field) (now Row, fresh []store.PersonField, err error) {
	c := &Checker{Domain: domain}
	row.Attrs = maps.Clone(row.Attrs)
	for _, heading := range slices.Sorted(maps.Keys(values)) {
		value := values[heading]
		if column, ok := headings[strings.ToLower(strings.TrimSpace(heading))]; ok {
			if err := c.Set(&row, column, value); err != nil {
				return row, nil, fmt.Errorf("%s %q: %w", heading, short(value), err)
			}
			continue
		}
		name := audience.Name(heading)
		if slices.ContainsFunc(audience.Standard(), func(f audience.Field) bool { return f.Name == name }) {
			return row, nil, fmt.Errorf("%s cannot be set: it is worked out", heading)
		}
		kind := audience.Kind("")
		if i := slices.IndexFunc(own, func(f audience.Field) bool { return f.Name == name }); i >= 0 {
			kind = own[i].Kind
		} else if value != "" {
			fresh = append(fresh, store.PersonField{Name: name, Kind: string(audience.Infer([]string{value})), Label: short(heading)})
		}
		if w := attribute(value, kind); w != nil {
			return row, nil, fmt.Errorf("%s %q: %w", heading, short(value), w)
		}
		if value == "" {
			delete(row.Attrs, name)
			continue
		}
		if row.Attrs == nil {
			row.Attrs = map[string]string{}
		}
		row.Attrs[name] = value
	}
	if len(own)+len(fresh) > MaxColumns {
		return row, nil, fmt.Errorf("people have %d attributes already: at most %d", len(own), MaxColumns)
	}
	return row, fresh, nil
}
