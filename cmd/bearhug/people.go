package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/people"
)

type peopleCmd struct {
	Import peopleImportCmd `cmd:"" help:"Add and change people from a CSV file, all at once; undo takes it back."`
	Undo   peopleUndoCmd   `cmd:"" help:"Bring back who was there before the last import."`
	Ls     peopleLsCmd     `cmd:"" help:"List people."`
	Show   peopleShowCmd   `cmd:"" help:"Print what is known of a person."`
	Set    peopleSetCmd    `cmd:"" help:"Change a person, or add one."`
	Leave  peopleLeaveCmd  `cmd:"" help:"Note that a person leaves: who has left is not contacted."`
}

type peopleImportCmd struct {
	Domain       string `arg:"" help:"The organisation."`
	File         string `arg:"" help:"CSV (UTF-8; comma, semicolon or tab): id, jid, email, name, zone, language, manager, team, start; any other column is a free attribute."`
	DryRun       bool   `help:"Only report what would be done."`
	LeaveMissing bool   `help:"Who is not in the file has left. Without it they stay."`
	SkipBad      bool   `help:"Import the good lines of a file with bad ones. Without it such a file changes nothing."`
	Errors       string `placeholder:"FILE.csv" help:"Write what is wrong to this file, a line for each problem."`
}

func (c *peopleImportCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("import people: %w", err)
	}
	defer file.Close()
	p := progress{out: e.err, began: time.Now()}
	var report node.PeopleReport
	err = node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		arg := node.PeopleImport{Domain: c.Domain, Options: people.Options{DryRun: c.DryRun, LeaveMissing: c.LeaveMissing, SkipBad: c.SkipBad}}
		report, err = node.ImportPeople(ctx, caller, file, arg, p.show)
		return err
	})
	p.end()
	if err != nil {
		return err
	}
	if err := c.problems(e, report); err != nil {
		return err
	}
	counts := fmt.Sprintf("%d added, %d changed (%d of them back), %d left, %d as before, %d accounts made", report.Added, report.Changed, report.Returned, report.Left, report.Same, report.Accounts)
	if n := report.Missing - report.Left; n > 0 {
		counts += fmt.Sprintf("; %d are not in the file and stay", n)
	}
	switch {
	case c.DryRun:
		if _, err := fmt.Fprintf(e.out, "dry run: %s; %d lines refused\n", counts, report.Refused); err != nil {
			return err
		}
	case report.Done:
		_, err := fmt.Fprintf(e.out, "%s in %.1f s; `bearhug people undo %s` takes it back\n", counts, time.Since(p.began).Seconds(), c.Domain)
		if err != nil {
			return err
		}
	}
	switch {
	case report.Refused > 0 && report.Done:
		return fmt.Errorf("imported, but for %d lines of %s: mend those and import them", report.Refused, c.File)
	case report.Refused > 0:
		return mend(report.Refused, report.Unread, c.File)
	}
	return nil
}

// problems tells what is wrong, on the terminal and in the file for it.
func (c *peopleImportCmd) problems(e *env, report node.PeopleReport) error {
	for i, p := range report.Problems {
		if i == maxTold {
			fmt.Fprintf(e.err, "%s: and %d problems more\n", c.File, len(report.Problems)-i)
			break
		}
		fmt.Fprintf(e.err, "%s: %s\n", c.File, p)
	}
	if c.Errors == "" {
		return nil
	}
	file, err := os.Create(c.Errors)
	if err != nil {
		return fmt.Errorf("write what is wrong: %w", err)
	}
	return errors.Join(people.WriteProblems(file, report.Problems), file.Close())
}

type peopleUndoCmd struct {
	Domain string `arg:"" help:"The organisation."`
	DryRun bool   `help:"Only say which import it would be."`
}

func (c *peopleUndoCmd) Run(ctx context.Context, e *env) error {
	var u node.PeopleUndone
	if err := e.call(ctx, false, ops.Request{Op: "people.undo", Args: node.PeopleUndo{Domain: c.Domain, DryRun: c.DryRun}}, &u); err != nil {
		return err
	}
	when := fmt.Sprintf("the import of %s (%d added, %d changed, %d left)", u.At.Local().Format(time.DateTime), u.Counts.Added, u.Counts.Changed, u.Counts.Left)
	if u.DryRun {
		_, err := fmt.Fprintf(e.out, "dry run: %s would be undone\n", when)
		return err
	}
	_, err := fmt.Fprintf(e.out, "%s is undone: %d people gone, %d as before, %d changed since and kept, %d unused accounts gone\n", when, u.Gone, u.Restored, u.Kept, u.Accounts)
	return err
}

type peopleLsCmd struct {
	Domain   string `arg:"" help:"The organisation."`
	Text     string `help:"Only people with this in name, id, e-mail address or account."`
	Team     string `help:"Only this team."`
	Manager  string `placeholder:"ID" help:"Only those whose manager this is."`
	Language string `help:"Only those who are spoken to in this language."`
	Zone     string `help:"Only this time zone."`
	Rule     string `help:"Only whom this rule means, as that of an audience."`
	Gone     bool   `help:"Those who have left."`
	All      bool   `help:"Those who are here and those who have left."`
	CSV      bool   `name:"csv" help:"As a file that import reads; what a spreadsheet might run as a formula has an apostrophe before it."`
}

func (c *peopleLsCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		print := func(p *node.PersonLine) error { return printPerson(e.out, p) }
		if c.CSV {
			var known node.PeopleFields
			if err := caller.Call(ctx, ops.Request{Op: "people.fields", Args: node.Organisation{Domain: c.Domain}}, &known); err != nil {
				return err
			}
			names := make([]string, len(known.Fields))
			for i, f := range known.Fields {
				names[i] = f.Name
			}
			w, err := people.NewWriter(e.out, known.Domain, names)
			if err != nil {
				return err
			}
			print = func(p *node.PersonLine) error { return w.Write(&p.Row) }
			return errors.Join(c.each(ctx, caller, print), w.Flush())
		}
		return c.each(ctx, caller, print)
	})
}

// each goes through the pages.
func (c *peopleLsCmd) each(ctx context.Context, caller *ops.Caller, fn func(*node.PersonLine) error) error {
	arg := node.PeoplePage{Domain: c.Domain, Text: c.Text, Team: c.Team, Manager: c.Manager, Language: c.Language, Zone: c.Zone,
		Rule: c.Rule, Gone: c.Gone, Everyone: c.All}
	for {
		var page node.PeopleFound
		if err := caller.Call(ctx, ops.Request{Op: "people.ls", Args: arg}, &page); err != nil {
			return err
		}
		for i := range page.People {
			if err := fn(&page.People[i]); err != nil {
				return err
			}
		}
		if arg.After = page.Next; arg.After == 0 {
			return nil
		}
	}
}

// oneLine keeps what people wrote from reaching the terminal as anything else.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

func printPerson(out io.Writer, p *node.PersonLine) error {
	left := ""
	if !p.Left.IsZero() {
		left = "\tleft " + p.Left.Local().Format(time.DateOnly)
	}
	_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s%s\n", oneLine(p.Key), oneLine(p.Name), p.Email, oneLine(p.Team), left)
	return err
}

type peopleShowCmd struct {
	Domain string `arg:"" help:"The organisation."`
	Person string `arg:"" help:"The id, e-mail address or address in chat."`
}

func (c *peopleShowCmd) Run(ctx context.Context, e *env) error {
	var p node.PersonLine
	if err := e.call(ctx, false, ops.Request{Op: "people.show", Args: node.PersonName{Domain: c.Domain, Person: c.Person}}, &p); err != nil {
		return err
	}
	return e.person(c.Domain, &p)
}

// person prints all that is known of somebody.
func (e *env) person(domain string, p *node.PersonLine) error {
	lines := [][2]string{{"id", p.Key}, {"jid", p.Account}, {"email", p.Email}, {"name", p.Name}, {"zone", p.Zone}, {"language", p.Language},
		{"manager", p.Manager}, {"team", p.Team}, {"start", day(p.Start)}, {"left", day(p.Left)}}
	if p.Account != "" {
		lines[1][1] += "@" + domain
	}
	for _, name := range slices.Sorted(maps.Keys(p.Attrs)) {
		lines = append(lines, [2]string{name, p.Attrs[name]})
	}
	lines = append(lines, [2]string{"wishes quiet", strings.Join(p.Prefs.Quiet, ", ")}, [2]string{"pauses until", day(p.Prefs.Pause)},
		[2]string{"wishes language", p.Prefs.Language}, [2]string{"wishes channels", strings.Join(p.Prefs.Channels, ", ")}, [2]string{"opted out", day(p.Prefs.OptedOut)})
	for _, line := range lines {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(e.out, "%-16s %s\n", line[0], oneLine(line[1])); err != nil {
			return err
		}
	}
	return nil
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

type peopleSetCmd struct {
	Domain string   `arg:"" help:"The organisation."`
	Person string   `arg:"" help:"The id, e-mail address or address in chat; of a new person the id."`
	Values []string `arg:"" name:"column=value" help:"Columns as those of import, such as team=Ops; nothing behind = empties."`
	Add    bool     `help:"The person is new."`
}

func (c *peopleSetCmd) Run(ctx context.Context, e *env) error {
	arg := node.PersonSet{PersonName: node.PersonName{Domain: c.Domain, Person: c.Person}, Add: c.Add, Values: map[string]string{}}
	for _, text := range c.Values {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := arg.Values[name]; !ok || name == "" || twice {
			return fmt.Errorf("%q: write each column once, as COLUMN=VALUE", text)
		}
		arg.Values[name] = value
	}
	var p node.PersonLine
	if err := e.call(ctx, false, ops.Request{Op: "people.set", Args: arg}, &p); err != nil {
		return err
	}
	return e.person(c.Domain, &p)
}

type peopleLeaveCmd struct {
	Domain string `arg:"" help:"The organisation."`
	Person string `arg:"" help:"The id, e-mail address or address in chat."`
	At     string `placeholder:"DATE" help:"The first day on which the person is gone, as 2026-11-22; now if there is none."`
	Back   bool   `help:"The person is back."`
}

func (c *peopleLeaveCmd) Run(ctx context.Context, e *env) error {
	arg := node.PersonLeave{PersonName: node.PersonName{Domain: c.Domain, Person: c.Person}, Back: c.Back}
	if c.At != "" {
		at, err := time.ParseInLocation(time.DateOnly, c.At, time.Local)
		if err != nil || c.Back {
			return fmt.Errorf("--at %q: write a day as 2026-11-22, without --back", c.At)
		}
		arg.At = at
	}
	var p node.PersonLine
	if err := e.call(ctx, false, ops.Request{Op: "people.leave", Args: arg}, &p); err != nil {
		return err
	}
	what := "is here"
	if !p.Left.IsZero() {
		what = "leaves on " + p.Left.Local().Format(time.DateOnly)
	}
	_, err := fmt.Fprintf(e.out, "%s %s\n", oneLine(p.Key), what)
	return err
}
