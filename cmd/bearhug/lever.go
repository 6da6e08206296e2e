package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type leverCmd struct {
	Ls      leverLsCmd      `cmd:"" help:"List the levers: values in force, who set them, what they would save now."`
	Set     leverSetCmd     `cmd:"" help:"Give a lever a value, at once and without a restart."`
	Reset   leverResetCmd   `cmd:"" help:"Give a lever its default again, or an organisation or a group what all others have."`
	Undo    leverUndoCmd    `cmd:"" help:"Take back the last setting of a lever, or of any; again, the one before."`
	History leverHistoryCmd `cmd:"" help:"Show who set a lever when, and why."`
}

// leverScope are the flags that say for whom.
type leverScope struct {
	Org   string `placeholder:"DOMAIN" help:"For one organisation only."`
	Group string `placeholder:"GROUP@DOMAIN" help:"For one shared group only."`
}

// args are the arguments of an operation for the scope.
func (s *leverScope) args(name string) (a node.LeverArgs, err error) {
	a = node.LeverArgs{Name: name, Org: s.Org}
	if s.Group == "" {
		return a, nil
	}
	group, domain, ok := strings.Cut(s.Group, "@")
	if !ok || group == "" || domain == "" {
		return a, fmt.Errorf("--group %s: want GROUP@DOMAIN", s.Group)
	}
	if a.Org != "" && a.Org != domain {
		return a, fmt.Errorf("--group %s is no group of --org %s", s.Group, a.Org)
	}
	a.Org, a.Group = domain, group
	return a, nil
}

type leverLsCmd struct {
	Name string `arg:"" optional:"" help:"Only this lever, in full."`
	leverScope
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *leverLsCmd) Run(ctx context.Context, e *env) error {
	args, err := c.args(c.Name)
	if err != nil {
		return err
	}
	var list node.LeverList
	if err := e.call(ctx, false, ops.Request{Op: "lever.ls", Args: args}, &list); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return printJSON(e.out, list)
	case c.Name != "" && len(list.Levers) == 1:
		return printLever(e.out, &list.Levers[0], list.Running)
	}
	return printLevers(e.out, &list)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLevers prints a line for each lever, and one for each setting of it.
func printLevers(w io.Writer, list *node.LeverList) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LEVER\tVALUE\tDEFAULT\tTAKES\tSAVES NOW\tSET")
	for i := range list.Levers {
		l := &list.Levers[i]
		set := ""
		if len(l.Settings) > 0 {
			set = settingText(&l.Settings[0])
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Value, l.Default, l.Range, savings(l.Saves), set)
		for k := 1; k < len(l.Settings); k++ {
			fmt.Fprintf(t, "\t\t\t\t\t%s\n", settingText(&l.Settings[k]))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	declared := func(s node.LeverSaving) bool { return s.Kind == "declared" }
	if slices.ContainsFunc(list.Levers, func(l node.LeverState) bool { return slices.ContainsFunc(l.Saves, declared) }) {
		fmt.Fprintln(w, "~: a share of what was counted, assumed by the lever; the others are counted.")
	}
	if !list.Running {
		fmt.Fprintln(w, "No server runs: what levers would save is not known.")
	}
	return nil
}

// savings is what the values of a lever save, in short.
func savings(list []node.LeverSaving) string {
	if len(list) == 0 {
		return "-"
	}
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = fmt.Sprintf("%s %s%.0f%%", s.Value, about(&s), s.Percent)
	}
	return strings.Join(parts, ", ")
}

// about marks a saving that rests on a declared share.
func about(s *node.LeverSaving) string {
	if s.Kind == "declared" {
		return "~"
	}
	return ""
}

// basis says what kind of estimate a saving is.
func basis(s *node.LeverSaving) string {
	if s.Kind == "declared" {
		return "a share of what was counted, assumed by the lever"
	}
	return "as counted"
}

// settingText is one setting in one line.
func settingText(s *node.LeverSetting) string {
	var b strings.Builder
	switch {
	case s.Undoes != 0:
		fmt.Fprintf(&b, "undo of version %d", s.Undoes)
	case s.Reset:
		b.WriteString("reset")
	default:
		b.WriteString(s.Value)
	}
	b.WriteString(" for " + scopeText(s))
	fmt.Fprintf(&b, " since %s", s.At.Local().Format("2006-01-02 15:04:05"))
	if !s.Until.IsZero() {
		fmt.Fprintf(&b, " until %s", s.Until.Local().Format("2006-01-02 15:04:05"))
	}
	if s.Who != "" {
		b.WriteString(" by " + s.Who)
	}
	if s.Why != "" {
		fmt.Fprintf(&b, ": %s", printable(s.Why))
	}
	return b.String()
}

func scopeText(s *node.LeverSetting) string {
	switch {
	case s.Group != "":
		return s.Group + "@" + s.Org
	case s.Org != "":
		return s.Org
	}
	return "the server"
}

// printable makes text of somebody else's harmless on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// printLever prints one lever in full.
func printLever(w io.Writer, l *node.LeverState, running bool) error {
	fmt.Fprintf(w, "%s: %s\n  value    %s\n  default  %s\n  takes    %s\n  scope    down to one %s\n", l.Name, l.Doc, l.Value, l.Default, l.Range, l.Reach)
	for i := range l.Settings {
		fmt.Fprintf(w, "  set      %s (version %d)\n", settingText(&l.Settings[i]), l.Settings[i].Version)
	}
	for _, s := range l.Saves {
		fmt.Fprintf(w, "  saves    %s: %.1f%% of the server's CPU now, %.1f%% of a processor (%s; %s)\n", s.Value, s.Percent, s.CPU, s.Of, basis(&s))
	}
	if !running {
		fmt.Fprintln(w, "  saves    not known: no server runs")
	}
	return nil
}

type leverSetCmd struct {
	Name  string `arg:"" help:"The lever, such as carbons, presence, archive.wait."`
	Value string `arg:"" help:"on, off, the name of a level, or a number, also with a unit: 250ms, 2s, 64KiB."`
	leverScope
	Why string         `placeholder:"TEXT" help:"The reason, for those who ask later."`
	For *time.Duration `placeholder:"TIME" help:"Fall back by itself after this time, such as 30m."`
}

func (c *leverSetCmd) Run(ctx context.Context, e *env) error {
	args, err := c.args(c.Name)
	if err != nil {
		return err
	}
	if c.For != nil {
		if args.For = *c.For; args.For <= 0 {
			return fmt.Errorf("--for %v: want a time such as 30m", args.For)
		}
	}
	args.Value, args.Why = c.Value, c.Why
	return e.moveLever(ctx, "lever.set", args)
}

// moveLever does an operation that changes a lever, and says what came of it.
func (e *env) moveLever(ctx context.Context, op string, args node.LeverArgs) error {
	var done node.LeverDone
	if err := e.call(ctx, false, ops.Request{Op: op, Args: args}, &done); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is %s for %s", done.Name, done.Value, scopeText(&done.Setting))
	if done.Value != done.Before {
		fmt.Fprintf(e.out, ", was %s", done.Before)
	}
	if u := done.Setting.Until; !u.IsZero() && done.Setting.Undoes == 0 {
		fmt.Fprintf(e.out, "; falls back at %s", u.Local().Format("2006-01-02 15:04:05"))
	}
	if s := done.Saves; s != nil && s.Percent >= 0.05 {
		fmt.Fprintf(e.out, "; should save %s%.1f%% of the server's CPU (%s)", about(s), s.Percent, s.Of)
	}
	fmt.Fprintln(e.out)
	return nil
}

type leverResetCmd struct {
	Name string `arg:"" help:"The lever."`
	leverScope
	Why string `placeholder:"TEXT" help:"The reason, for those who ask later."`
}

func (c *leverResetCmd) Run(ctx context.Context, e *env) error {
	args, err := c.args(c.Name)
	if err != nil {
		return err
	}
	args.Why = c.Why
	return e.moveLever(ctx, "lever.reset", args)
}

type leverUndoCmd struct {
	Name string `arg:"" optional:"" help:"The lever; without it, whichever was set last."`
	Why  string `placeholder:"TEXT" help:"The reason, for those who ask later."`
}

func (c *leverUndoCmd) Run(ctx context.Context, e *env) error {
	return e.moveLever(ctx, "lever.undo", node.LeverArgs{Name: c.Name, Why: c.Why})
}

type leverHistoryCmd struct {
	Name  string `arg:"" help:"The lever."`
	Limit int    `default:"100" help:"How many settings, the last first."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (c *leverHistoryCmd) Run(ctx context.Context, e *env) error {
	var list []node.LeverSetting
	if err := e.call(ctx, false, ops.Request{Op: "lever.history", Args: node.LeverArgs{Name: c.Name, Limit: c.Limit}}, &list); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintf(e.out, "%s was never set\n", c.Name)
	}
	for i := range list {
		fmt.Fprintf(e.out, "%d  %s\n", list[i].Version, settingText(&list[i]))
	}
	return nil
}
