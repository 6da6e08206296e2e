package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

type topCmd struct {
	Org   string        `placeholder:"DOMAIN" help:"Only what this organisation costs."`
	Orgs  bool          `help:"A line for each feature and organisation."`
	Every time.Duration `default:"2s" help:"How often the view is drawn anew."`
	Once  bool          `help:"Print it once."`
	JSON  bool          `name:"json" help:"Print it once, as JSON."`
}

func (c *topCmd) Run(ctx context.Context, e *env) error {
	if c.Every < 100*time.Millisecond {
		return errors.New("--every: want at least 100ms")
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	caller, err := ops.Dial(ctx, cfg.Socket())
	if errors.Is(err, ops.ErrNoServer) || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no server runs in %s: what things cost is told by a running one", cfg.Data)
	}
	if err != nil {
		return err
	}
	ask := func() (t node.Top, err error) {
		err = caller.Call(ctx, ops.Request{Op: "ledger.top", Args: node.TopArgs{Org: c.Org, Orgs: c.Orgs}}, &t)
		return t, err
	}
	screen, width, height := terminal(e.out)
	if c.Once || c.JSON || !screen {
		t, err := ask()
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.out, t)
		}
		return printTop(e.out, &t)
	}
	return c.watch(ctx, e.out, ask, width, height)
}

// watch draws the view again and again until it is interrupted.
func (c *topCmd) watch(ctx context.Context, w io.Writer, ask func() (node.Top, error), width, height int) error {
	fmt.Fprint(w, "\x1b[?25l")              // no cursor
	defer fmt.Fprint(w, "\x1b[?25h\x1b[0m") // and again
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		t, err := ask()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		var b strings.Builder
		if err := printTop(&b, &t); err != nil {
			return err
		}
		fmt.Fprint(w, "\x1b[H"+fit(b.String(), width, height)+"\x1b[J")
		if _, newWidth, newHeight := terminal(w); newWidth > 0 {
			width, height = newWidth, newHeight
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// terminal tells whether w is one, and how large.
func terminal(w io.Writer) (is bool, width, height int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return true, 80, 24
	}
	return true, width, height
}

// fit cuts text to a screen; each line clears what was behind it.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), max(height-1, 1))]
	for i, l := range lines {
		if r := []rune(l); len(r) > width {
			l = string(r[:width])
		}
		lines[i] = l + "\x1b[K"
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// printTop prints the view.
func printTop(w io.Writer, t *node.Top) error {
	named := 0.0
	if t.CPU > 0 {
		named = min(100, 100*t.Named/t.CPU)
	}
	fmt.Fprintf(w, "%s  %d online  CPU %.1f%% of a processor, %.0f%% of it named  average of %.0f s\n\n",
		t.At.Local().Format("2006-01-02 15:04:05"), t.Online, t.CPU, named, t.Seconds)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	orgs := false
	for i := range t.Rows {
		orgs = orgs || t.Rows[i].Org != ""
	}
	head := "FEATURE\t"
	if orgs {
		head += "ORGANISATION\t"
	}
	fmt.Fprintln(tw, head+"CPU %\tms/1000\tCALLS/s\tSQL/s\tROWS/s\tIN B/s\tOUT B/s\tWAIT ms/s\t1 h AGO\t7 d AGO\tGROWS AS\tLEVER\t")
	for i := range t.Rows {
		r := &t.Rows[i]
		line := r.Feature + "\t"
		if orgs {
			line += r.Org + "\t"
		}
		fmt.Fprintf(tw, "%s%.2f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", line, r.CPU, short(r.PerThousand), short(r.Calls),
			short(r.SQL), short(r.RowsRate), short(r.BytesIn), short(r.BytesOut), short(r.Wait),
			times(r.HourAgo), times(r.WeekAgo), growth(r), help(r))
	}
	return tw.Flush()
}

// short is a figure in five characters or so.
func short(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 1e4:
		return fmt.Sprintf("%.0f", v)
	case v < 1e7:
		return fmt.Sprintf("%.0fk", v/1e3)
	case v < 1e10:
		return fmt.Sprintf("%.0fM", v/1e6)
	}
	return fmt.Sprintf("%.0fG", v/1e9)
}

// times compares with the past.
func times(v *float64) string {
	if v == nil {
		return "?"
	}
	return fmt.Sprintf("x%.2f", *v)
}

func growth(r *node.TopRow) string {
	if r.Growth == nil {
		return "unknown"
	}
	return fmt.Sprintf("n^%.2f±%.2f", r.Growth.Exponent, (r.Growth.High-r.Growth.Low)/2)
}

func help(r *node.TopRow) string {
	if r.Lever == "" {
		return "-"
	}
	return fmt.Sprintf("%s saves %.0f%%", r.Lever, r.Saves)
}
