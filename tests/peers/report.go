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

// column is one of a table: its title, the figure that is in it, and what is
// better.
type column struct {
	title, figure string
	better        int
}

// What is better in a column: nothing, as it only describes; less; more.
const (
	neither = 0
	less    = -1
	more    = 1
)

// table is how a work is told. The first column's figure is compared.
type table struct {
	work, title, text string
	before, after     string // what the names of busy cores have around them
	columns           []column
}

// tables of the report, in order. A work may have several.
var tables = []table{
	{work: "signin", title: "Sign-in, and people who are idle",
		text: "64 at a time, SCRAM-SHA-1, roster (empty), presence. Memory after half a minute of silence, without what the fresh process had.",
		columns: []column{
			{"sign-ins/s", "sign-ins/s", more}, {"p99 s", "p99, s", less}, {"CPU each ms", "CPU each, ms", less}, {"SQL each", "SQL each", less},
			{"KB a person", "RSS a person, KB", less}, {"MB fresh", "RSS before, MB", less},
		}},
	{work: "chat", title: "Chat without an archive",
		text: "100 pairs, 4 messages of 100 bytes under way each; then constant rates. Complete is delivered.", columns: chatColumns(plainRates)},
	{work: "archive", title: "Chat with an archive", text: "The same; every message is archived for both sides.", columns: chatColumns(savedRates)},
	{work: "return", title: "Everybody is cut off and comes back at once, rosters of 10",
		text:    "All lines end by a reset. Whole sign-ins; the roster's version is known. A pair whom nobody cut chats meanwhile, 50 messages a second, archived; its SQL is not counted, its processor time (some 2 % of the core) is.",
		columns: backColumns},
	{work: "resume", title: "The same by resumption", text: "XEP-0198; rosters of 10.", columns: backColumns},
	{work: "return-groups", title: "The same by whole sign-ins, in shared groups of 50", columns: backColumns},
	{work: "storm", title: "One shared group: everybody connects at once",
		text:    "Complete is: everyone has seen every other, from the first connect. CPU a presence is without the sign-ins: those of the same people with the same rosters, who do not become available, are measured and subtracted. The server has just started; rosters are fetched. " + memoryText,
		columns: stormColumns},
	{work: "storm", title: "The flap after it: everybody changes the show once", before: "flap, ", columns: flapColumns},
	{work: "storm", title: "The storm once more, by people who know the version of their roster", after: " with ver", text: verText, columns: verColumns},
	{work: "storm-groups", title: "Shared groups of 50: everybody connects at once", text: "Told as the storm.", columns: stormColumns},
	{work: "storm-groups", title: "The flap after it, in groups of 50", before: "flap, ", columns: flapColumns},
	{work: "storm-groups", title: "Once more with versions, in groups of 50", after: " with ver", text: verText, columns: verColumns},
}

var (
	memoryText = fmt.Sprintf("Memory: of the fresh process, with everybody online after the flap, after everybody signed out, and %.0f s after all signed out the second time (first run only, 500 people and more). "+
		"The heap is Bearhug's after a collection; nobody's RSS was helped by one.", remembered.Seconds())
	verText = fmt.Sprintf("Peers only where the first storm took no more than %.0f s.", toldTwice.Seconds())
)

var backColumns = []column{
	{"all back s", "all back, s", less}, {"p50 s", "p50, s", less}, {"p99 s", "p99, s", less}, {"CPU each ms", "CPU each, ms", less}, {"SQL each", "SQL each", less},
	{"by Bearhug's ledger", "SQL each by its own count", neither}, {"failed attempts", "failed attempts", less}, {"most attempts of one", "most attempts", less},
	{"pair p99 ms", "p99, ms of a pair meanwhile", less}, {"before", "p99, ms of the pair before", less},
}

var stormColumns = []column{
	{"complete s", "complete, s", less}, {"signed in s", "signed in, s", less}, {"CPU a presence µs", "CPU a presence, µs", less}, {"SQL", "SQL", less},
	{"SQL without sign-ins", "SQL for presence", neither}, {"of presence by Bearhug's ledger", "SQL of the feature presence", neither}, {"MB sent", "MB received", less},
	{"sent for one", "presences sent for one", less}, {"most attempts", "most attempts", less},
	{"RSS MB fresh", "RSS before, MB", less}, {"online", "RSS online, MB", less}, {"all out", "RSS after, MB", less}, {"at the end", "RSS at the end, MB", less},
	{"heap MB fresh", "heap before, MB", neither}, {"all out", "heap after, MB", neither}, {"at the end", "heap at the end, MB", neither},
}

var flapColumns = []column{
	{"complete s", "flap, s", less}, {"CPU a presence µs", "flap, CPU a presence, µs", less}, {"SQL", "flap, SQL", less},
	{"bytes a presence", "flap, bytes a presence", less}, {"sent for one", "flap, presences sent for one", less},
}

var verColumns = []column{
	{"complete s", "complete, s with ver", less}, {"CPU a presence µs", "CPU a presence, µs with ver", less}, {"SQL", "SQL with ver", less},
	{"MB sent", "MB received with ver", less}, {"sent for one", "presences sent for one with ver", less},
}

func chatColumns(rates []float64) []column {
	list := []column{
		{"messages/s", "messages/s", more}, {"p50 ms", "p50, ms", less}, {"p99 ms", "p99, ms", less}, {"p99.9 ms", "p99.9, ms", less},
		{"CPU a message µs", "CPU a message, µs", less}, {"SQL a message", "SQL a message", less},
	}
	for _, r := range rates {
		at := fmt.Sprintf(" at %.0f/s", r)
		list = append(list, column{"p50 ms" + at, "p50, ms" + at, less}, column{"p99 ms" + at, "p99, ms" + at, less},
			column{"CPU a message µs" + at, "CPU a message, µs" + at, less})
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
	b.outdone(&out)
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
		fmt.Fprintf(w, "- `%s`: %s; %s\n", k.name, k.version, k.settings)
	}
	var spent, others float64
	for _, r := range b.results.all {
		spent, others = spent+r.Seconds, max(others, r.Figures[othersBusy])
	}
	fmt.Fprintf(w, "\nBefore each run other processes used at most %.0f %% of a core.", others)
	fmt.Fprintf(w, " Figures are medians; × says of how many runs, which took %.0f minutes in all. *Against Bearhug* is the first figure of a row divided by Bearhug's\n"+
		"on MariaDB. CPU is that of the server with its database, SQL what the database was asked. *Not complete* ends the climb of a server.\n"+
		"[peers.md](peers.md) has the rest of the configuration, the last section what others did better.\n", spent/60)
}

// told are the columns of a table for which there are figures.
func (b *bench) told(t *table) (columns []column) {
	for _, c := range t.columns {
		if slices.ContainsFunc(b.results.all, func(r result) bool {
			_, ok := r.Figures[c.figure]
			return ok && r.Work == t.work
		}) {
			columns = append(columns, c)
		}
	}
	return columns
}

// table prints one work.
func (b *bench) table(w io.Writer, t *table) {
	var rows bytes.Buffer
	columns := b.told(t)
	for _, size := range b.results.sizes(t.work) {
		for _, name := range everyone {
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

// first reports whether the table is the first of its work: the one that tells
// what is not complete.
func (t *table) first() bool { return t.before == "" && t.after == "" }

// row prints what one server did.
func (b *bench) row(w io.Writer, t *table, columns []column, server string, size int) {
	runs := b.results.of(t.work, server, size)
	if len(runs) == 0 {
		if t.first() && b.results.incomplete(t.work, server, size) {
			fmt.Fprintf(w, "| %s | %s |%s  | not asked, as fewer were not complete |\n", server, thousands(size), strings.Repeat(" – |", len(columns)))
		}
		return
	}
	var cells strings.Builder
	some := t.first()
	for _, c := range columns {
		text := "–"
		if v, ok := median(runs, c.figure); ok {
			text, some = decimal(v), true
		}
		fmt.Fprintf(&cells, " %s |", text)
	}
	if !some {
		return
	}
	lead := t.columns[0].figure
	ratio := ""
	own, ok := median(runs, lead)
	base, known := median(b.results.of(t.work, bearhugName, size), lead)
	if ok && known && base > 0 && server != bearhugName {
		ratio = decimal(own/base) + " ×"
	}
	limit := limitedBy(runs, t)
	if at := slices.IndexFunc(runs, func(r result) bool { return r.Note != "" }); at >= 0 && (t.first() || !ok) {
		limit = "**not complete**" + strings.ReplaceAll(strings.TrimPrefix(": "+runs[at].Note, ": not complete"), "|", "/")
	}
	fmt.Fprintf(w, "| %s ×%d | %s |%s %s | %s |\n", server, len(runs), thousands(size), cells.String(), ratio, limit)
}

// limitedBy says which core was busy.
func limitedBy(runs []result, t *table) string {
	server, ok := median(runs, t.before+serverBusy+t.after)
	load, known := median(runs, t.before+loaderBusy+t.after)
	switch {
	case !ok || !known:
		return ""
	case load > 95:
		return fmt.Sprintf("the loader (server %.0f %% busy)", server)
	case server > 85:
		return fmt.Sprintf("the server's core (loader %.0f %% busy)", load)
	}
	return fmt.Sprintf("waiting: server %.0f %%, loader %.0f %% busy", server, load)
}

// outdone tells plainly what another server did better than Bearhug with the
// same database.
func (b *bench) outdone(w io.Writer) {
	var list bytes.Buffer
	for i := range tables {
		for _, size := range b.results.sizes(tables[i].work) {
			for _, k := range b.kinds {
				if k.peer() {
					b.outdoneIn(&list, &tables[i], size, k.name)
				}
			}
		}
	}
	if list.Len() > 0 {
		fmt.Fprintf(w, "\n#### What others did better\n\nEvery figure above in which another server is ahead of Bearhug on MariaDB, however little.\n\n"+
			"| what | people | figure | server | it | Bearhug |\n|---|---|---|---|---|---|\n%s", list.Bytes())
	}
}

// outdoneIn tells it of a server and a row of a table.
func (b *bench) outdoneIn(w io.Writer, t *table, size int, server string) {
	ours, theirs := b.results.of(t.work, bearhugName, size), b.results.of(t.work, server, size)
	for i, c := range t.columns {
		it, ok := median(theirs, c.figure)
		own, known := median(ours, c.figure)
		text := decimal(own)
		if i == 0 && !known && len(ours) > 0 {
			known, text = true, "not complete"
		}
		if ok && known && (text == "not complete" || (it-own)*float64(c.better) > 0 && decimal(it) != text) {
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", t.title, thousands(size), c.figure, server, decimal(it), text)
		}
	}
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
