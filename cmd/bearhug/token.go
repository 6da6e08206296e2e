package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type tokenCmd struct {
	Add tokenAddCmd `cmd:"" help:"Make a token and print it, this once."`
	Ls  tokenLsCmd  `cmd:"" help:"List the tokens: what they may, when they were used, when they end."`
	Rm  tokenRmCmd  `cmd:"" help:"Take a token back, at once."`
}

type tokenAddCmd struct {
	Name  string   `arg:"" help:"What it is for."`
	Org   string   `placeholder:"DOMAIN" help:"For one organisation; without it, an operator's, for the whole server."`
	Role  string   `placeholder:"ROLE" help:"administrator, hr, coach or viewer in the organisation."`
	Scope []string `placeholder:"SCOPE" help:"What it is good for, such as people:read; several by commas. Without it, all that the role may."`
	Days  int      `default:"90" help:"How long it is good, in days."`
}

func (c *tokenAddCmd) Run(ctx context.Context, e *env) error {
	var out node.APIToken
	if err := e.call(ctx, false, ops.Request{Op: "token.add", Args: node.APIToken{Name: c.Name, Domain: c.Org, Role: c.Role, Scopes: c.Scope, Days: c.Days}}, &out); err != nil {
		return err
	}
	fmt.Fprintln(e.out, out.Text)
	fmt.Fprintf(e.err, "token %d, role %s, until %s; it is kept nowhere\n", out.ID, out.Role, out.Expires.Format(time.DateOnly))
	return nil
}

type tokenLsCmd struct {
	Org string `placeholder:"DOMAIN" help:"Of one organisation; without it, the operators'."`
}

func (c *tokenLsCmd) Run(ctx context.Context, e *env) error {
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tBEGINS\tNAME\tROLE\tSCOPES\tUNTIL\tUSED\tMADE BY")
	for after := int64(0); ; {
		var list []node.APIToken
		if err := e.call(ctx, false, ops.Request{Op: "token.ls", Args: node.TokenPage{Domain: c.Org, After: after}}, &list); err != nil {
			return err
		}
		if len(list) == 0 {
			return t.Flush()
		}
		for _, k := range list {
			used, scopes := "never", "all"
			if !k.Used.IsZero() {
				used = k.Used.Format("2006-01-02 15:04")
			}
			if len(k.Scopes) > 0 {
				scopes = strings.Join(k.Scopes, ",")
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Prefix, k.Name, k.Role, scopes, k.Expires.Format(time.DateOnly), used, k.Maker)
			after = k.ID
		}
	}
}

type tokenRmCmd struct {
	ID  int64  `arg:"" help:"Its number, as token ls shows it."`
	Org string `placeholder:"DOMAIN" help:"Of one organisation; without it, an operator's."`
}

func (c *tokenRmCmd) Run(ctx context.Context, e *env) error {
	var out node.APIToken
	if err := e.call(ctx, false, ops.Request{Op: "token.rm", Args: node.APIToken{ID: c.ID, Domain: c.Org}}, &out); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "token %d is good for nothing any more\n", c.ID)
	return nil
}

type auditCmd struct {
	Ls     auditLsCmd     `cmd:"" help:"Show the audit log, newest first."`
	Verify auditVerifyCmd `cmd:"" help:"Verify that nothing in the audit log was changed or taken away."`
	Export auditExportCmd `cmd:"" help:"Print the audit log as JSON, a line for each row, with what is needed to verify it elsewhere."`
}

type auditLsCmd struct {
	Org     string `placeholder:"DOMAIN" help:"Of one organisation; without it, the server's own."`
	Actor   string `help:"Who did it, as the log names them."`
	Subject string `help:"To whom or what it was done."`
	Action  string `help:"What was done, such as people-import."`
	Limit   int    `default:"100" help:"Rows at most, up to 1,000."`
}

func (c *auditLsCmd) Run(ctx context.Context, e *env) error {
	var list []node.AuditLine
	args := node.AuditArgs{Domain: c.Org, Actor: c.Actor, Subject: c.Subject, Action: c.Action, Limit: c.Limit}
	if err := e.call(ctx, false, ops.Request{Op: "audit.ls", Args: args}, &list); err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tACTOR\tROLE\tACTION\tSUBJECT\tDETAIL")
	for _, a := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.At.Format("2006-01-02 15:04:05"), a.Actor, a.Role, a.Action, a.Subject, a.Detail)
	}
	return t.Flush()
}

type auditVerifyCmd struct {
	Org string `placeholder:"DOMAIN" help:"Of one organisation; without it, the server's own."`
}

func (c *auditVerifyCmd) Run(ctx context.Context, e *env) error {
	var p node.AuditProof
	if err := e.call(ctx, false, ops.Request{Op: "audit.verify", Args: node.AuditArgs{Domain: c.Org}}, &p); err != nil {
		return err
	}
	for _, problem := range p.Problems {
		fmt.Fprintln(e.err, problem)
	}
	if len(p.Problems) > 0 {
		return errors.New("the audit log is not whole")
	}
	fmt.Fprintf(e.out, "whole: %d rows of %d writers, %d seals, signed by %x\n", p.Rows, p.Writers, p.Seals, p.Key)
	return nil
}

type auditExportCmd struct {
	Org string `placeholder:"DOMAIN" help:"Of one organisation; without it, the server's own."`
}

func (c *auditExportCmd) Run(ctx context.Context, e *env) error {
	args := node.AuditArgs{Domain: c.Org}
	out := json.NewEncoder(e.out)
	for {
		var rows []node.AuditExport
		if err := e.call(ctx, false, ops.Request{Op: "audit.export", Args: args}, &rows); err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			if err := out.Encode(&rows[i]); err != nil {
				return fmt.Errorf("write the audit log: %w", err)
			}
		}
		args.Writer, args.Seq = rows[len(rows)-1].Writer, rows[len(rows)-1].Seq
	}
}
