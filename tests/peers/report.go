package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The marks of the section of the document that a run replaces.
const (
	sectionBegin = "<!-- peers: begin -->"
	sectionEnd   = "<!-- peers: end -->"
)

// column is one of a table: its title, and the figure that is in it.
type column struct{ title, figure string }

// table is how a work is told. The first column's figure is compared.
type table struct {
	work, title, text string
	columns           []column
}

// tables of the report, in order.
var tables = []table{
	{"signin", "Sign-in, and people who are idle",
		"64 at a time, SCRAM-SHA-1, roster (empty), presence. Memory after a minute of silence, without what the fresh process had.",
		[]column{
			{"sign-ins/s", "sign-ins/s"}, {"p99 s", "p99, s"}, {"CPU each ms", "CPU each, ms"}, {"SQL each", "SQL each"},
			{"KB a person", "RSS a person, KB"}, {"MB fresh", "RSS before, MB"},
		}},
	{"chat", "Chat without an archive",
		"100 pairs, 4 messages of 100 bytes under way each; then constant rates. Complete is delivered.", chatColumns(plainRates)},
	{"archive", "Chat with an archive", "The same; every message is archived for both sides.", chatColumns(savedRates)},
	{"return", "Everybody is cut off and comes back at once, rosters of 10",
		"All lines end by a reset. Whole sign-ins; the roster's version is known. A pair whom nobody cut chats meanwhile, 50 messages a second, archived; its SQL is not counted, its processor time (some 2 % of the core) is.", backColumns},
	{"resume", "The same by resumption", "XEP-0198; rosters of 10.", backColumns},
	{"return-groups", "The same by whole sign-ins, in shared groups of 50", "", backColumns},
	{"storm", "One shared group: everybody connects at once",
		"Complete is: everyone has seen every other, from the first connect. CPU a presence is without the sign-ins: those of the same people with the same rosters, who do not become available, are measured and subtracted. The server has just started; rosters are fetched.",
		stormColumns},
	{"storm-groups", "The same in shared groups of 50", "", stormColumns},
}

var backColumns = []column{
	{"all back s", "all back, s"}, {"p50 s", "p50, s"}, {"p99 s", "p99, s"}, {"CPU each ms", "CPU each, ms"}, {"SQL each", "SQL each"},
	{"by Bearhug's ledger", "SQL each by its own count"}, {"failed attempts", "failed attempts"}, {"most attempts of one", "most attempts"},
	{"pair p99 ms", "p99, ms of a pair meanwhile"}, {"before", "p99, ms of the pair before"},
}

var stormColumns = []column{
	{"complete s", "complete, s"}, {"signed in s", "signed in, s"}, {"CPU a presence µs", "CPU a presence, µs"}, {"SQL", "SQL"},
	{"SQL without sign-ins", "SQL for presence"}, {"of presence by Bearhug's ledger", "SQL of the feature presence"}, {"MB", "MB received"}, {"sent for one", "presences sent for one"}, {"most attempts", "most attempts"},
	{"flap s", "flap, s"}, {"flap: CPU a presence µs", "flap, CPU a presence, µs"}, {"flap: SQL", "flap, SQL"}, {"flap: bytes a presence", "flap, bytes a presence"},
	{"RSS after MB", "RSS after, MB"},
	{"with `ver`: complete s", "complete, s with ver"}, {"CPU a presence µs", "CPU a presence, µs with ver"}, {"SQL", "SQL with ver"}, {"MB", "MB received with ver"},
	{"heap MB before", "heap before, MB"}, {"after, all out", "heap after, MB"}, {"at the end", "heap at the end, MB"},
}

func chatColumns(rates []float64) []column {
	list := []column{
		{"messages/s", "messages/s"}, {"p50 ms", "p50, ms"}, {"p99 ms", "p99, ms"}, {"p99.9 ms", "p99.9, ms"},
		{"CPU a message µs", "CPU a message, µs"}, {"SQL a message", "SQL a message"},
	}
	for _, r := range rates {
		list = append(list, column{fmt.Sprintf("p50 ms at %.0f/s", r), fmt.Sprintf("p50, ms at %.0f/s", r)},
			column{"p99 ms", fmt.Sprintf("p99, ms at %.0f/s", r)})
	}
	return list
}

// report prints all figures, and puts them into the document.
func (b *bench) report(w io.Writer) error {
	var out bytes.Buffer
	b.conditions(&out)
	for i := range tables {
		b.table(&out, &tables[i])
	}
	if _, err := fmt.Fprintf(w, "\n%s", out.Bytes()); err != nil || b.docs == "" {
		return err
	}
	old, err := os.ReadFile(b.docs)
	if err != nil {
		return err
	}
	document, err := replaceSection(old, out.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", b.docs, err)
	}
	return os.WriteFile(b.docs, document, 0o644)
}

// replaceSection puts text between the marks of a document.
func replaceSection(document, text []byte) ([]byte, error) {
	head, rest, ok := bytes.Cut(document, []byte(sectionBegin))
	_, tail, closed := bytes.Cut(rest, []byte(sectionEnd))
	if !ok || !closed {
		return nil, errors.New("the marks " + sectionBegin + " and " + sectionEnd + " are missing")
	}
	return slices.Concat(head, []byte(sectionBegin+"\n"), text, []byte(sectionEnd), tail), nil
}

// conditions tells where the figures come from.
func (b *bench) conditions(w io.Writer) {
	if len(b.results.all) == 0 {
		fmt.Fprint(w, "Nothing was measured.\n")
		return
	}
	first, last := time.Time{}, time.Time{}
	for _, r := range b.results.all {
		if first.IsZero() || r.At.Before(first) {
			first = r.At
		}
		if r.At.After(last) {
			last = r.At
		}
	}
	fmt.Fprintf(w, "Taken between %s and %s, on %d cores of %s, Linux %s, %s", first.Format("2 January 2006 15:04"), last.Format("15:04 MST"),
		onlineCores(), processor(), kernel(), runtime.Version())
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		fmt.Fprintf(w, ", commit %s", bytes.TrimSpace(out))
	}
	fmt.Fprint(w, ".\n\n")
	for _, k := range b.kinds {
		fmt.Fprintf(w, "- `%s`: %s\n", k.name, k.version)
	}
	fmt.Fprint(w, "\nFigures are medians; × says of how many runs. *Against Bearhug* is the first figure of a row divided by Bearhug's on MariaDB.\n"+
		"CPU is that of the server with its database. *Not complete* ends the climb of a server.\n")
}

// table prints one work.
func (b *bench) table(w io.Writer, t *table) {
	i := slices.IndexFunc(works, func(w *work) bool { return w.name == t.work })
	var rows bytes.Buffer
	used := map[string]bool{}
	for _, size := range b.results.sizes(t.work) {
		for _, name := range works[i].servers {
			for _, r := range b.results.of(t.work, name, size) {
				for f := range r.Figures {
					used[f] = true
				}
			}
		}
	}
	var columns []column
	for _, c := range t.columns {
		if used[c.figure] {
			columns = append(columns, c)
		}
	}
	for _, size := range b.results.sizes(t.work) {
		for _, name := range works[i].servers {
			b.row(&rows, t, columns, name, size)
		}
	}
	if rows.Len() == 0 {
		return
	}
	fmt.Fprintf(w, "\n#### %s\n\n", t.title)
	if t.text != "" {
		fmt.Fprintf(w, "%s\n\n", t.text)
	}
	fmt.Fprint(w, "| server | people |")
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c.title)
	}
	fmt.Fprintf(w, " against Bearhug | limited by |\n%s\n%s", "|---|---|"+strings.Repeat("---|", len(columns)+2), rows.Bytes())
}

// row prints what one server did.
func (b *bench) row(w io.Writer, t *table, columns []column, server string, size int) {
	runs := b.results.of(t.work, server, size)
	if len(runs) == 0 {
		return
	}
	fmt.Fprintf(w, "| %s ×%d | %s |", server, len(runs), thousands(size))
	for _, c := range columns {
		text := "–"
		if v, ok := median(runs, c.figure); ok {
			text = decimal(v)
		}
		fmt.Fprintf(w, " %s |", text)
	}
	lead := t.columns[0].figure
	ratio := ""
	own, ok := median(runs, lead)
	base, known := median(b.results.of(t.work, bearhugName, size), lead)
	if ok && known && base > 0 && server != bearhugName {
		ratio = decimal(own/base) + " ×"
	}
	limit := runs[len(runs)-1].Limit
	for _, r := range runs {
		if r.Note != "" {
			limit = "**not complete**: " + strings.ReplaceAll(r.Note, "|", "/")
		}
	}
	fmt.Fprintf(w, " %s | %s |\n", ratio, limit)
}

// sizes are the numbers of people for which a work has figures.
func (r *results) sizes(work string) (list []int) {
	for _, res := range r.all {
		if res.Work == work && !slices.Contains(list, res.Size) {
			list = append(list, res.Size)
		}
	}
	slices.Sort(list)
	return list
}

// median of a figure over the runs that have it.
func median(runs []result, figure string) (float64, bool) {
	var all []float64
	for _, r := range runs {
		if v, ok := r.Figures[figure]; ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2, true
	}
	return all[len(all)/2], true
}

// decimal writes a figure with three digits that count.
func decimal(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(v + 0.5))
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	if v > -0.01 && v < 0.01 {
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor"
}

func onlineCores() int {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return strings.Count(string(b), "processor\t:")
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	major, rest, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}
