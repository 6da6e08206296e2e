package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/router"
)

func TestPrintTop(t *testing.T) {
	half, four := 0.5, 4.0
	top := node.Top{At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.Local), Seconds: 10, Online: 2000, CPU: 80, Named: 72, Measured: 84, Rows: []node.TopRow{
		{Feature: "presence", CPU: 61.5, PerThousand: 307.5, Calls: 33, BytesOut: 12345678, HourAgo: &four, WeekAgo: &half,
			Growth: &feature.Growth{Exponent: 1.98, Low: 1.9, High: 2.06, Points: 20},
			Sends:  &feature.Growth{Exponent: 2.02, Low: 2, High: 2.04, Points: 20}, Lever: "presence visible", Saves: 88, Assumed: true},
		{Feature: "archive", CPU: 10.5, PerThousand: 52.5, SQL: 200, RowsRate: 9999, Wait: 0.25},
		{Feature: "runtime", CPU: 8},
	}, Clients: []router.ClientCount{{Name: "Gajim", Type: "pc", Sessions: 1500}, {Name: "unknown", Type: "other", Sessions: 500}},
		Overload: node.Pressure{Pressure: 0.34, Wait: 6.8, Target: 20, Waits: []node.PlaceWait{
			{Place: "read", Count: 70, Mean: 0.04, P99: 1.26}, {Place: "enter"}, {Place: "archive", Count: 3, Mean: 12, P99: 40, Oldest: 3},
			{Place: "writer", Count: 3, Oldest: 120}}}}
	draw := func(width int) string {
		t.Helper()
		var b strings.Builder
		if err := printTop(&b, &top, width); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := `2026-03-02 10:00:00  2000 online  CPU 80.0 % of a processor  average of 10 s
90 % of it named; measured as 105 % and brought down to that
pressure 34 % (6.8 of 20 ms)  read 0.0/1.3  archive 12.0/40.0  writer stuck for 120
clients: Gajim (pc) 1500, unknown (other) 500

FEATURE   CPU %  ms/1000  CALLS/s  SQL/s  ROWS/s  IN B/s  OUT B/s  WAIT ms/s  1 h AGO  7 d AGO     GROWS AS     SENDS AS  LEVER
presence  61.50      308       33      -       -       -      12M          -    x4.00    x0.50  n^1.98±0.08  n^2.02±0.02  presence visible saves ~88%
archive   10.50       52        -    200    9999       -        -       0.25        ?        ?      unknown      unknown  -
runtime    8.00        -        -      -       -       -        -          -        ?        ?      unknown      unknown  -
`
	if got := draw(0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, width := range []int{80, 100, 150} {
		for _, line := range strings.Split(draw(width), "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns on %d: %s", n, width, line)
			}
		}
		if got := draw(width); !strings.Contains(got, "n^1.98") || !strings.Contains(got, "presence visible saves ~88%") {
			t.Errorf("what matters most is missing on %d columns:\n%s", width, got)
		}
	}
	if got := fit("one line\ntwo lines\nthree", 5, 2); got != "one l\r\ntwo l" {
		t.Errorf("%q", got)
	}
	if got := fit("one\n", 5, 2); got != "one\x1b[K" {
		t.Errorf("%q", got)
	}
}
