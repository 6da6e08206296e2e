package node

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/people"
	"github.com/bearhug/bearhug/store"
)

// PeopleImport is the argument of people.import.
type PeopleImport struct {
	Domain string `json:"domain"`
	people.Options
}

// PeopleReport is what an import of people does, or did.
type PeopleReport = people.Report

// peopleChunk is what goes over the control socket after the request, any
// number of times: the first has what is known of the whole file, the last one
// has End.
type peopleChunk struct {
	Columns []people.Column  `json:"columns,omitempty"`
	Fields  []audience.Field `json:"fields,omitempty"`
	Refused int              `json:"refused,omitempty"` // lines that are wrong in themselves
	Unread  bool             `json:"unread,omitempty"`
	Rows    []people.Row     `json:"rows,omitempty"`
	End     bool             `json:"end,omitempty"`
}

// ImportPeople reads people from a CSV file and gives them to the server (or to
// the store, if no server runs).
func ImportPeople(ctx context.Context, c *ops.Caller, file io.Reader, arg PeopleImport, progress func(stage string, done, total int)) (PeopleReport, error) {
	fail := func(err error) (PeopleReport, error) {
		return PeopleReport{}, fmt.Errorf("import people: %w", err)
	}
	var known PeopleFields
	if err := c.Call(ctx, ops.Request{Op: "people.fields", Args: Organisation{Domain: arg.Domain}}, &known); err != nil {
		return fail(err)
	}
	arg.Domain = known.Domain
	f, err := people.Read(file, known.Domain, known.Fields)
	if err != nil {
		return fail(err)
	}
	request := ops.Request{
		Op: "people.import", Args: arg,
		Send: func(next func(any) error) error {
			head := peopleChunk{Columns: f.Columns, Fields: f.Fields, Refused: f.Refused, Unread: f.Unread}
			if err := next(head); err != nil {
				return err
			}
			for part := range slices.Chunk(f.Rows, chunkRows) {
				if err := next(peopleChunk{Rows: part}); err != nil {
					return err
				}
			}
			return next(peopleChunk{End: true})
		},
	}
	if progress != nil {
		request.Progress = func(done, total int) { progress("people stored", done, total) }
	}
	var report PeopleReport
	if err := c.Call(ctx, request, &report); err != nil {
		return PeopleReport{}, err
	}
	report.Problems = append(report.Problems, f.Problems...)
	slices.SortStableFunc(report.Problems, func(a, b people.Problem) int { return a.Line - b.Line })
	report.Problems = report.Problems[:min(len(report.Problems), people.MaxProblems)]
	return report, nil
}

// importPeople is the server's end.
func (a *admin) importPeople(c *ops.Call) (any, error) {
	var arg PeopleImport
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.organisation(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("import people: %w", err)
	}
	f := &people.File{}
	for {
		var chunk peopleChunk
		if err := c.Read(&chunk); err != nil {
			return nil, fmt.Errorf("import people: nothing imported: %w", err)
		}
		if chunk.Columns != nil {
			f.Columns, f.Fields, f.Refused, f.Unread = chunk.Columns, chunk.Fields, chunk.Refused, chunk.Unread
		}
		f.Rows = append(f.Rows, chunk.Rows...)
		if len(f.Rows) > people.MaxRows {
			return nil, fmt.Errorf("import people: nothing imported: more than %d people", people.MaxRows)
		}
		if chunk.End {
			break
		}
	}
	arg.Who = c.User()
	began := time.Now()
	report, err := people.Import(c.Context(), a.store, org.ID, f, arg.Options, c.Progress)
	if err != nil {
		return nil, err
	}
	if report.Done {
		a.log.Info("people imported", "domain", org.Domain, "added", report.Added, "changed", report.Changed, "left", report.Left,
			"accounts", report.Accounts, "seconds", time.Since(began).Seconds())
	}
	return report, nil
}

// PeopleUndone is the answer of people.undo.
type PeopleUndone struct {
	At       time.Time `json:"at"` // of the import
	Who      string    `json:"who,omitempty"`
	Gone     int       `json:"gone"`
	Restored int       `json:"restored"`
	Kept     int       `json:"kept"`
	Accounts int       `json:"accounts"`
	DryRun   bool      `json:"dry_run,omitempty"`
	Counts   store.PeopleCounts
}

// PeopleUndo is the argument of people.undo.
type PeopleUndo struct {
	Domain string `json:"domain"`
	DryRun bool   `json:"dry_run,omitempty"` // only says which import it would be
}

func (a *admin) undoPeople(c *ops.Call) (any, error) {
	var arg PeopleUndo
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.organisation(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	if arg.DryRun {
		run, err := a.store.LastPeopleRun(c.Context(), org.ID)
		return PeopleUndone{At: run.At, Who: run.Who, DryRun: true, Counts: run.Counts}, err
	}
	u, err := a.store.UndoPeople(c.Context(), org.ID)
	if err != nil {
		return nil, err
	}
	a.log.Info("import of people undone", "domain", org.Domain, "gone", u.Gone, "restored", u.Restored, "kept", u.Kept, "accounts", u.Accounts)
	return PeopleUndone{At: u.Run.At, Who: u.Run.Who, Gone: u.Gone, Restored: u.Restored, Kept: u.Kept, Accounts: u.Accounts, Counts: u.Run.Counts}, nil
}
