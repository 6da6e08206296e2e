package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type groupCmd struct {
	Add     groupAddCmd     `cmd:"" help:"Add a shared group; its members see each other."`
	Del     groupDelCmd     `cmd:"" help:"Delete a group with all that was said of it."`
	Ls      groupLsCmd      `cmd:"" help:"List the groups of an organisation."`
	Info    groupInfoCmd    `cmd:"" help:"Print who sees a group, whom it sees, what it is nested in."`
	Join    groupJoinCmd    `cmd:"" help:"Make people members, all or none."`
	Leave   groupLeaveCmd   `cmd:"" help:"End memberships."`
	Show    groupShowCmd    `cmd:"" help:"Have the members of one group see those of another."`
	Hide    groupHideCmd    `cmd:"" help:"End what show began."`
	Nest    groupNestCmd    `cmd:"" help:"Display a group inside another: who sees that one sees both."`
	Unnest  groupUnnestCmd  `cmd:"" help:"End what nest began."`
	Members groupMembersCmd `cmd:"" help:"List the members in the order of joining."`
	Import  groupImportCmd  `cmd:"" help:"Add memberships from a CSV file, all or none."`
}

type groupAddCmd struct {
	Group       string `arg:"" placeholder:"GROUP@DOMAIN" help:"Its name, such as nurses@example.org."`
	Label       string `help:"What people see as its name; the name itself if there is none."`
	Description string `help:"A text for those who look after groups."`
	Kind        string `default:"explicit" help:"Who is in it: explicit (who joins), everyone, online (everyone who is online)."`
}

func (c *groupAddCmd) Run(ctx context.Context, e *env) error {
	args := node.Group{Group: c.Group, Label: c.Label, Description: c.Description, Kind: c.Kind}
	return e.groupCall(ctx, "group.add", args, c.Group+" added")
}

// groupCall does an operation and says so.
func (e *env) groupCall(ctx context.Context, op string, args any, done string) error {
	var answer any
	if err := e.call(ctx, false, ops.Request{Op: op, Args: args}, &answer); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.out, done)
	return err
}

type groupDelCmd struct {
	Group string `arg:"" help:"Its name with the domain."`
}

func (c *groupDelCmd) Run(ctx context.Context, e *env) error {
	return e.groupCall(ctx, "group.del", node.Group{Group: c.Group}, c.Group+" deleted")
}

type groupLsCmd struct {
	Domain string `arg:"" help:"The organisation."`
}

func (c *groupLsCmd) Run(ctx context.Context, e *env) error {
	var list []node.GroupLine
	if err := e.call(ctx, false, ops.Request{Op: "group.ls", Args: node.Organisation{Domain: c.Domain}}, &list); err != nil {
		return err
	}
	for _, g := range list {
		if _, err := fmt.Fprintf(e.out, "%s\t%s\t%d\t%s\n", g.Group.Group, g.Kind, g.Members, g.Label); err != nil {
			return err
		}
	}
	return nil
}

type groupInfoCmd struct {
	Group string `arg:"" help:"Its name with the domain."`
}

func (c *groupInfoCmd) Run(ctx context.Context, e *env) error {
	var g node.GroupInfo
	if err := e.call(ctx, false, ops.Request{Op: "group.info", Args: node.Group{Group: c.Group}}, &g); err != nil {
		return err
	}
	relations := func(list []node.GroupRelation) string {
		names := make([]string, len(list))
		for i, r := range list {
			names[i] = r.Group
			if r.Care {
				names[i] += " (care)"
			}
		}
		return strings.Join(names, ", ")
	}
	for _, line := range [][2]string{
		{"group", g.Group.Group}, {"label", g.Label}, {"description", g.Description}, {"kind", g.Kind},
		{"members", fmt.Sprint(g.Members)}, {"sees", relations(g.Sees)}, {"shown to", relations(g.ShownTo)},
		{"nested in", g.In}, {"holds", strings.Join(g.Children, ", ")},
	} {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(e.out, "%-12s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

type groupJoinCmd struct {
	Group string   `arg:"" help:"The group, with its domain."`
	JIDs  []string `arg:"" name:"jid" help:"Accounts of the same organisation, 1,000 at most; import takes more."`
}

func (c *groupJoinCmd) Run(ctx context.Context, e *env) error {
	return e.groupPeople(ctx, "group.join", c.Group, c.JIDs, "joined")
}

type groupLeaveCmd struct {
	Group string   `arg:"" help:"The group, with its domain."`
	JIDs  []string `arg:"" name:"jid" help:"Who leaves it."`
}

func (c *groupLeaveCmd) Run(ctx context.Context, e *env) error {
	return e.groupPeople(ctx, "group.leave", c.Group, c.JIDs, "left")
}

func (e *env) groupPeople(ctx context.Context, op, group string, who []string, done string) error {
	var answer node.GroupPeople
	if err := e.call(ctx, false, ops.Request{Op: op, Args: node.GroupPeople{Group: group, JIDs: who}}, &answer); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "%d %s %s\n", answer.Changed, done, group)
	return err
}

type groupShowCmd struct {
	Other string `arg:"" help:"The group whose members are to be seen, with its domain."`
	To    string `required:"" placeholder:"GROUP" help:"The group whose members are to see them."`
	Care  bool   `help:"They look after each other: their messages are never refused for load."`
}

func (c *groupShowCmd) Run(ctx context.Context, e *env) error {
	other, to := beside(c.Other, c.To)
	return e.groupCall(ctx, "group.show", node.GroupPair{Other: other, Group: to, Care: c.Care}, other+" is shown to "+to)
}

// beside gives the one of two groups that has no domain the other's.
func beside(a, b string) (string, string) {
	if _, domain, ok := strings.Cut(a, "@"); ok && !strings.Contains(b, "@") {
		b += "@" + domain
	} else if _, domain, ok := strings.Cut(b, "@"); ok && !strings.Contains(a, "@") {
		a += "@" + domain
	}
	return a, b
}

type groupHideCmd struct {
	Other string `arg:"" help:"The group whose members are to be seen no more, with its domain."`
	From  string `required:"" placeholder:"GROUP" help:"The group whose members see them now."`
}

func (c *groupHideCmd) Run(ctx context.Context, e *env) error {
	other, from := beside(c.Other, c.From)
	return e.groupCall(ctx, "group.hide", node.GroupPair{Other: other, Group: from}, other+" is hidden from "+from)
}

type groupNestCmd struct {
	Child string `arg:"" help:"The inner group, with its domain."`
	In    string `required:"" placeholder:"PARENT" help:"The outer group."`
}

func (c *groupNestCmd) Run(ctx context.Context, e *env) error {
	child, in := beside(c.Child, c.In)
	return e.groupCall(ctx, "group.nest", node.GroupPair{Other: child, Group: in}, child+" is nested in "+in)
}

type groupUnnestCmd struct {
	Child string `arg:"" help:"The inner group, with its domain."`
}

func (c *groupUnnestCmd) Run(ctx context.Context, e *env) error {
	return e.groupCall(ctx, "group.unnest", node.Group{Group: c.Child}, c.Child+" is nested in no group")
}

type groupMembersCmd struct {
	Group string `arg:"" help:"The group, with its domain."`
}

func (c *groupMembersCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		for from := 0; ; {
			var page []string
			if err := caller.Call(ctx, ops.Request{Op: "group.members", Args: node.GroupPage{Group: c.Group, From: from}}, &page); err != nil {
				return err
			}
			for _, who := range page {
				if _, err := fmt.Fprintln(e.out, who); err != nil {
					return err
				}
			}
			if from += len(page); len(page) == 0 {
				return nil
			}
		}
	})
}

type groupImportCmd struct {
	File   string `arg:"" help:"CSV: group,jid."`
	DryRun bool   `help:"Only report what would be done."`
}

func (c *groupImportCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("import memberships: %w", err)
	}
	defer file.Close()
	p := progress{out: e.err, began: time.Now()}
	var report node.GroupImportReport
	err = node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		report, err = node.ImportGroups(ctx, caller, file, node.ImportOptions{DryRun: c.DryRun, Progress: p.show})
		return err
	})
	p.end()
	if err != nil {
		return err
	}
	e.tell(c.File, report.Problems, report.Refused)
	counts := fmt.Sprintf("%d memberships added, %d there already", report.Added, report.There)
	switch {
	case report.Refused > 0:
		return mend(report.Refused, report.Unread, c.File)
	case c.DryRun:
		_, err = fmt.Fprintf(e.out, "dry run: %s, 0 refused\n", counts)
	default:
		_, err = fmt.Fprintf(e.out, "%s in %.1f s\n", counts, time.Since(p.began).Seconds())
	}
	return err
}
