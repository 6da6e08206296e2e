package main

import (
	"context"
	"fmt"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type audienceCmd struct {
	Add     audienceAddCmd     `cmd:"" help:"Give a rule over people a name."`
	Ls      audienceLsCmd      `cmd:"" help:"List audiences."`
	Preview audiencePreviewCmd `cmd:"" help:"Print whom a rule means now: how many, and some of them."`
	Rm      audienceRmCmd      `cmd:"" help:"Delete an audience."`
}

type audienceAddCmd struct {
	Domain string `arg:"" help:"The organisation."`
	Name   string `arg:"" help:"The audience's name."`
	Rule   string `arg:"" help:"Such as: team == \"Ops\" and tenure_days > 90 and country in [\"DE\", \"NL\"]."`
	Yes    *int   `placeholder:"NUMBER" help:"A rule that means nobody, or everybody, is meant: the number of people that it means."`
}

func (c *audienceAddCmd) Run(ctx context.Context, e *env) error {
	var p node.AudiencePreview
	args := node.AudienceArgs{Domain: c.Domain, Name: c.Name, Rule: c.Rule, Yes: c.Yes}
	if err := e.call(ctx, false, ops.Request{Op: "audience.add", Args: args}, &p); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "%s added: it means %d of %d people now\n", c.Name, p.Matched, p.People)
	return err
}

type audienceLsCmd struct {
	Domain string `arg:"" help:"The organisation."`
}

func (c *audienceLsCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return node.With(ctx, cfg, false, func(caller *ops.Caller) error {
		for after := ""; ; {
			var list []node.AudienceLine
			if err := caller.Call(ctx, ops.Request{Op: "audience.ls", Args: node.AudienceArgs{Domain: c.Domain, After: after}}, &list); err != nil {
				return err
			}
			for _, a := range list {
				if _, err := fmt.Fprintf(e.out, "%s\t%s\n", oneLine(a.Name), oneLine(a.Rule)); err != nil {
					return err
				}
				after = a.Name
			}
			if len(list) == 0 {
				return nil
			}
		}
	})
}

type audiencePreviewCmd struct {
	Domain  string `arg:"" help:"The organisation."`
	Name    string `arg:"" optional:"" help:"The audience's name."`
	Rule    string `help:"A rule, instead of the name."`
	Samples int    `default:"5" help:"How many to print, 1 to 100."`
}

func (c *audiencePreviewCmd) Run(ctx context.Context, e *env) error {
	if (c.Name == "") == (c.Rule == "") {
		return fmt.Errorf("preview: name an audience, or give a rule by --rule")
	}
	var p node.AudiencePreview
	args := node.AudienceArgs{Domain: c.Domain, Name: c.Name, Rule: c.Rule, Samples: c.Samples}
	if err := e.call(ctx, false, ops.Request{Op: "audience.preview", Args: args}, &p); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.out, "%d of %d people: %s\n", p.Matched, p.People, oneLine(p.Rule)); err != nil {
		return err
	}
	for i := range p.Some {
		if err := printPerson(e.out, &p.Some[i]); err != nil {
			return err
		}
	}
	for _, part := range p.Parts {
		if _, err := fmt.Fprintf(e.out, "%d alone: %s\n", part.Matched, oneLine(part.Text)); err != nil {
			return err
		}
	}
	if p.Doubt != "" {
		fmt.Fprintln(e.err, "note: "+p.Doubt)
	}
	return nil
}

type audienceRmCmd struct {
	Domain string `arg:"" help:"The organisation."`
	Name   string `arg:"" help:"The audience's name."`
}

func (c *audienceRmCmd) Run(ctx context.Context, e *env) error {
	return e.groupCall(ctx, "audience.rm", node.AudienceArgs{Domain: c.Domain, Name: c.Name}, c.Name+" deleted")
}
