package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestResume: what was finished is not done again, what is incomplete ends the
// climb, what another build gave is measured again, a torn line is left out.
func TestResume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "results.jsonl")
	kinds := []*kind{{name: bearhugName, build: "b1"}, {name: ejabberdName, build: "e1"}}
	r, err := openResults(path, kinds)
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range []result{
		{key: key{"storm", bearhugName, 100, 1}, Build: "b1", Figures: figures{"complete, s": 0.5}},
		{key: key{"storm", ejabberdName, 100, 1}, Build: "e1", Figures: figures{"complete, s": 3.5}},
		{key: key{"storm", ejabberdName, 500, 1}, Build: "e1", Figures: figures{"seen, %": 45}, Note: "not complete"},
	} {
		if err := r.add(res); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"work":"storm","server":"bearh`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	kinds[0].build = "b2"
	if r, err = openResults(path, kinds); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if r.has(key{"storm", bearhugName, 100, 1}) {
		t.Error("a figure of another build is kept")
	}
	if !r.has(key{"storm", ejabberdName, 100, 1}) || r.has(key{"storm", ejabberdName, 100, 2}) {
		t.Error("finished figures are not known again")
	}
	for size, want := range map[int]bool{100: false, 200: false, 500: true, 1000: true} {
		if got := r.incomplete("storm", ejabberdName, size); got != want {
			t.Errorf("%d people: cannot be done: %v", size, got)
		}
	}
	if r.incomplete("return", ejabberdName, 1000) || r.incomplete("storm", bearhugName, 1000) {
		t.Error("one server's limit is another's, or another work's")
	}
	// A line that is torn must not take the next one with it.
	if err := r.add(result{key: key{"storm", bearhugName, 100, 1}, Build: "b2"}); err != nil {
		t.Fatal(err)
	}
	again, err := openResults(path, kinds)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if !again.has(key{"storm", bearhugName, 100, 1}) {
		t.Error("the figure after a torn line is lost")
	}
}

func TestReplaceSection(t *testing.T) {
	old := "# Title\n\ntext\n" + sectionBegin + "\nold figures\n" + sectionEnd + "\nmore\n"
	got, err := replaceSection([]byte(old), []byte("new figures\n"))
	if want := strings.Replace(old, "old figures", "new figures", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceSection([]byte("no marks"), nil); err == nil {
		t.Error("a document without marks is accepted")
	}
}

// TestReport: medians, what was left out, the comparison, what is incomplete.
func TestReport(t *testing.T) {
	b := &bench{kinds: []*kind{{name: bearhugName, version: "Bearhug 1"}, {name: ejabberdName, version: "23.01", settings: "all on"}}, results: &results{}}
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for run, s := range []float64{2, 1, 30} {
		b.results.all = append(b.results.all, result{key: key{"storm", bearhugName, 100, run + 1}, At: at, Figures: figures{"complete, s": s, "most attempts": 2, serverBusy: 99, loaderBusy: 50}})
	}
	b.results.all = append(b.results.all,
		result{key: key{"storm", ejabberdName, 100, 1}, At: at, Figures: figures{"complete, s": 7, "most attempts": 1}},
		result{key: key{"storm", ejabberdName, 200, 1}, At: at, Figures: figures{}, Note: "45 % seen | and so on"},
		result{key: key{"return", ejabberdName, 200, 1}, At: at, Figures: figures{}, Note: "not complete in 180 s: 5 of 200 back"},
		result{key: key{"storm", bearhugName, 500, 1}, At: at, Figures: figures{"flap, s": 2, "flap, server busy, %": 40, "flap, loader busy, %": 96}},
		result{key: key{"signin", bearhugName, 500, 1}, At: at, Figures: figures{"sign-ins/s": 100}},
		result{key: key{"signin", ejabberdName, 500, 1}, At: at, Figures: figures{"sign-ins/s": 101}})
	var out strings.Builder
	if err := b.report(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| server | people | complete s | most attempts | against Bearhug | limited by |",
		"| bearhug ×3 | 100 | 2.00 | 2.00 |  | the server's core (loader 50 % busy) |",
		"| ejabberd ×1 | 100 | 7.00 | 1.00 | 3.50 × |",
		"| ejabberd ×1 | 200 | – | – |  | **not complete**: 45 % seen / and so on |",
		"| **not complete** in 180 s: 5 of 200 back |",
		"| ejabberd | 500 | – | – |  | not asked, as fewer were not complete |",
		"| bearhug ×1 | 500 | 2.00 |  | the loader (server 40 % busy) |",
		"| One shared group: everybody connects at once | 100 | most attempts | ejabberd | 1.00 | 2.00 |",
		"| Sign-in, and people who are idle | 500 | sign-ins/s | ejabberd | 101 | 100 |",
		"23.01; all on",
		"Bearhug 1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// TestPlan: Bearhug is measured as often as was asked for, a peer as its first
// run was long, and the estimates cover what is measured.
func TestPlan(t *testing.T) {
	own, other := &kind{name: bearhugName}, &kind{name: ejabberdName}
	b := &bench{options: options{runs: 3, patience: 180 * time.Second}, kinds: []*kind{own, other}, results: &results{}}
	storm := works[slices.IndexFunc(works, func(w *work) bool { return w.name == "storm" })]
	if got := b.runsOf(storm, own, 5000); got != 3 {
		t.Errorf("Bearhug does it %d times", got)
	}
	for _, c := range []struct {
		seconds float64
		want    int
	}{{29, 3}, {31, 2}, {61, 1}} {
		b.results.all = []result{{key: key{"storm", ejabberdName, 500, 1}, Seconds: c.seconds}}
		if got := b.runsOf(storm, other, 500); got != c.want {
			t.Errorf("a run of %.0f s is done %d times, not %d", c.seconds, got, c.want)
		}
	}
	b.results.all = append(b.results.all, result{key: key{"storm", bearhugName, 100, 1}, Seconds: 10})
	var out strings.Builder
	b.plan(&out, []string{"storm"})
	for _, want := range []string{
		"storm              100  bearhug             3     10      20  1 done\n",
		"storm              500  ejabberd            1     61       0  done\n",
		"storm             1000  ejabberd            1    215     215  not expected to complete\n",
		"only if it completes 1000",
		" minutes are left by this estimate, 1 are done",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	for _, w := range works {
		for _, server := range w.servers {
			for _, n := range w.sizes {
				limit, hopeless := beyondThem[w.name][server]
				if _, ok := estimates[w.name][server][n]; !ok && (!hopeless || n <= limit) {
					t.Errorf("no estimate for %s of %d people, %s", w.name, n, server)
				}
			}
		}
	}
}

// TestSweep: only directories of processes that are gone are removed.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	gone, err := os.MkdirTemp("", dirPrefix+"2147483646-")
	if err != nil {
		t.Fatal(err)
	}
	mine, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", gone, err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

// TestContacts: personal contacts are mutual, and as many as said.
func TestContacts(t *testing.T) {
	w := world{people: 23, contacts: 10, group: 7}
	for i := range w.people {
		mine := w.numbers(i)
		slices.Sort(mine)
		if len(slices.Compact(mine)) != 10 || slices.Contains(mine, i) {
			t.Errorf("%d has %v", i, mine)
		}
		for _, n := range mine {
			if !slices.Contains(w.numbers(n), i) {
				t.Errorf("%d has %d, not the other way", i, n)
			}
		}
	}
	if w.groupName(6) != "g0000" || w.groupName(7) != "g0001" {
		t.Error(w.groupName(6), w.groupName(7))
	}
}

// TestWorks: every work is done by servers that exist, is told, and has
// numbers of people that fit its groups.
func TestWorks(t *testing.T) {
	for _, w := range works {
		if !slices.ContainsFunc(tables, func(t table) bool { return t.work == w.name }) {
			t.Errorf("%s is not in the report", w.name)
		}
		if len(w.sizes) == 0 || len(w.quick) == 0 || !slices.IsSorted(w.sizes) {
			t.Errorf("%s has sizes %v, quick %v", w.name, w.sizes, w.quick)
		}
		for _, n := range slices.Concat(w.sizes, w.quick) {
			if g := w.world(n).group; g > 0 && n%g != 0 || g > 0 != w.needsGroups {
				t.Errorf("%s: %d people in groups of %d", w.name, n, g)
			}
		}
	}
}

func TestDecimal(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.234: "0.23", 3.456: "3.46", 34.56: "34.6", 345.6: "346", 3456: "3,456", 1234567: "1,234,567"} {
		if got := decimal(v); got != want {
			t.Errorf("%v is %q", v, got)
		}
	}
}

// TestBusyTicks: the machine's own count of work only grows.
func TestBusyTicks(t *testing.T) {
	before, err := busyTicks()
	if err != nil || before <= 0 {
		t.Fatal(before, err)
	}
	if after, err := busyTicks(); err != nil || after < before {
		t.Errorf("%d, then %d, %v", before, after, err)
	}
}
