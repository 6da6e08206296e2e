package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	screen, _, _ := terminal(e.out)
	t, err := ask()
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(e.out, t)
	case c.Once || !screen:
		return printTop(e.out, &t, 0)
	}
	if err = c.watch(ctx, e.out, t, ask); err != nil && ctx.Err() == nil && gone(ctx, cfg.Socket()) {
		return fmt.Errorf("the server in %s has stopped", cfg.Data)
	}
	return err
}

// goneWithin is how long a server that hung up may take to end.
const goneWithin = 5 * time.Second

// gone reports whether no server is behind a socket any more.
func gone(ctx context.Context, socket string) bool {
	for until := time.Now().Add(goneWithin); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if _, err := ops.Dial(ctx, socket); errors.Is(err, ops.ErrNoServer) || errors.Is(err, os.ErrNotExist) {
			return true
		}
	}
	return false
}

// The screen of the view is one of its own: what was there before comes back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[0m\x1b[?25h\x1b[?1049l"
)

// watch draws the view again and again until q or Ctrl-C.
func (c *topCmd) watch(ctx context.Context, w io.Writer, t node.Top, ask func() (node.Top, error)) error {
	keys, restore := keyboard()
	defer restore()
	fmt.Fprint(w, enterScreen)
	defer fmt.Fprint(w, leaveScreen)
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		_, width, height := terminal(w)
		var b strings.Builder
		if err := printTop(&b, &t, width); err != nil {
			return err
		}
		fmt.Fprint(w, "\x1b[H"+fit(b.String(), width, height)+"\x1b[J")
		select {
		case <-ctx.Done():
			return nil
		case <-keys:
			return nil
		case <-tick.C:
		}
		var err error
		if t, err = ask(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// keyboard reads keys as they are typed. The channel is closed by q or Ctrl-C;
// restore makes the terminal what it was. Without a terminal there are no keys.
func keyboard() (over <-chan struct{}, restore func()) {
	in := int(os.Stdin.Fd())
	old, err := term.MakeRaw(in)
	if err != nil {
		return nil, func() {}
	}
	keys := make(chan struct{})
	go func() { // ends with q, or with the command
		for b := make([]byte, 1); ; {
			n, err := os.Stdin.Read(b)
			if err != nil {
				return
			}
			if n == 1 && (b[0] == 'q' || b[0] == 'Q' || b[0] == 3) {
				close(keys)
				return
			}
		}
	}()
	return keys, func() { _ = term.Restore(in, old) }
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
	lines = lines[:min(len(lines), max(height, 1))]
	for i, l := range lines {
		r := []rune(l)
		lines[i] = string(r[:min(len(r), width)])
		if len(r) < width { // a full line clears what is there by itself
			lines[i] += "\x1b[K"
		}
	}
	return strings.Join(lines, "\r\n")
}

// A column of the view. When it is too wide, those with the greatest rank go first.
type column struct {
	head string
	rank int
	left bool // text, not a figure
	cell func(r *node.TopRow) string
}

// columns are those that the rows fill.
func columns(orgs bool) []column {
	list := []column{{"FEATURE", 0, true, func(r *node.TopRow) string { return r.Feature }}}
	if orgs {
		list = append(list, column{"ORGANISATION", 0, true, func(r *node.TopRow) string { return r.Org }})
	}
	return append(list,
		column{"CPU %", 0, false, func(r *node.TopRow) string { return fmt.Sprintf("%.2f", r.CPU) }},
		column{"ms/1000", 6, false, func(r *node.TopRow) string { return short(r.PerThousand) }},
		column{"CALLS/s", 4, false, func(r *node.TopRow) string { return short(r.Calls) }},
		column{"SQL/s", 5, false, func(r *node.TopRow) string { return short(r.SQL) }},
		column{"ROWS/s", 10, false, func(r *node.TopRow) string { return short(r.RowsRate) }},
		column{"IN B/s", 12, false, func(r *node.TopRow) string { return short(r.BytesIn) }},
		column{"OUT B/s", 9, false, func(r *node.TopRow) string { return short(r.BytesOut) }},
		column{"WAIT ms/s", 11, false, func(r *node.TopRow) string { return short(r.Wait) }},
		column{"1 h AGO", 7, false, func(r *node.TopRow) string { return times(r.HourAgo) }},
		column{"7 d AGO", 8, false, func(r *node.TopRow) string { return times(r.WeekAgo) }},
		column{"GROWS AS", 1, false, growth},
		column{"SENDS AS", 3, false, sends},
		column{"LEVER", 2, true, help})
}

// printTop prints the view, as many columns as a width takes; 0: all.
func printTop(w io.Writer, t *node.Top, width int) error {
	part := func(v float64) float64 {
		if t.CPU <= 0 {
			return 0
		}
		return 100 * v / t.CPU
	}
	fmt.Fprintf(w, "%s  %d online  CPU %.1f %% of a processor  average of %.0f s\n",
		t.At.Local().Format("2006-01-02 15:04:05"), t.Online, t.CPU, t.Seconds)
	fmt.Fprintf(w, "%.0f %% of it named", part(t.Named))
	if t.Measured > t.Named*1.001 {
		fmt.Fprintf(w, "; measured as %.0f %% and brought down to that", part(t.Measured))
	}
	fmt.Fprint(w, "\n"+waits(&t.Overload, width)+clients(t, width)+"\n")
	list := columns(slices.ContainsFunc(t.Rows, func(r node.TopRow) bool { return r.Org != "" }))
	widths := make([]int, len(list))
	total := -2
	for i := range list {
		widths[i] = len(list[i].head)
		for k := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(list[i].cell(&t.Rows[k])))
		}
		total += widths[i] + 2
	}
	for width > 0 && total > width {
		last := 0
		for i := range list {
			if list[i].rank > list[last].rank {
				last = i
			}
		}
		if list[last].rank == 0 {
			break
		}
		total -= widths[last] + 2
		list, widths = slices.Delete(list, last, last+1), slices.Delete(widths, last, last+1)
	}
	line := func(cell func(c *column) string) string {
		var b strings.Builder
		for i := range list {
			if list[i].left {
				fmt.Fprintf(&b, "%-*s  ", widths[i], cell(&list[i]))
			} else {
				fmt.Fprintf(&b, "%*s  ", widths[i], cell(&list[i]))
			}
		}
		return strings.TrimRight(b.String(), " ") + "\n"
	}
	text := line(func(c *column) string { return c.head })
	for i := range t.Rows {
		text += line(func(c *column) string { return c.cell(&t.Rows[i]) })
	}
	_, err := io.WriteString(w, text)
	return err
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
	if g := r.Growth; g != nil {
		return power(g.Exponent, g.Low, g.High)
	}
	return "unknown"
}

func sends(r *node.TopRow) string {
	if g := r.Sends; g != nil {
		return power(g.Exponent, g.Low, g.High)
	}
	return "unknown"
}

func power(exponent, low, high float64) string {
	return fmt.Sprintf("n^%.2f±%.2f", exponent, (high-low)/2)
}

// clientsShown is how many clients the view names; JSON has more.
const clientsShown = 6

// clients is a line with the software in use, "" when nothing is
// known of it; it is cut to a width, 0: not.
func clients(t *node.Top, width int) string {
	var parts []string
	others := 0
	for i, c := range t.Clients {
		if i >= clientsShown {
			others += c.Sessions
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%s) %d", c.Name, c.Type, c.Sessions))
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("others %d", others))
	}
	if len(parts) == 0 {
		return ""
	}
	line := []rune("clients: " + strings.Join(parts, ", "))
	if width > 0 && len(line) > width {
		line = line[:width]
	}
	return string(line) + "\n"
}

// waits is a line with the pressure, and how long is waited where: mean and
// p99 in ms of the last second. What waits still and has done so for longer
// than the target is told besides.
func waits(o *node.Pressure, width int) string {
	text := fmt.Sprintf("pressure %.0f %% (%.1f of %.0f ms)", 100*o.Pressure, o.Wait, o.Target)
	for _, p := range o.Waits {
		switch {
		case p.Oldest > o.Target:
			text += fmt.Sprintf("  %s stuck for %.0f", p.Place, p.Oldest)
		case p.Count > 0:
			text += fmt.Sprintf("  %s %.1f/%.1f", p.Place, p.Mean, p.P99)
		}
	}
	line := []rune(text)
	if width > 0 && len(line) > width {
		line = line[:width]
	}
	return string(line) + "\n"
}

func help(r *node.TopRow) string {
	if r.Lever == "" {
		return "-"
	}
	if r.Assumed {
		return fmt.Sprintf("%s saves ~%.0f%%", r.Lever, r.Saves)
	}
	return fmt.Sprintf("%s saves %.0f%%", r.Lever, r.Saves)
}
