package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A figure is one number that was measured, in several runs.
type figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Runs   []float64 `json:"runs"`
	Median float64   `json:"median"`
	// Target is what it should be: at least, or with Most at most. 0: none.
	Target float64 `json:"target,omitempty"`
	Most   bool    `json:"most,omitempty"`
	// Until, if it is not 0, bounds it above as Target does below.
	Until float64 `json:"until,omitempty"`
}

func (f *figure) met() bool {
	if f.Until != 0 && f.Median > f.Until {
		return false
	}
	return f.Target == 0 || f.Most && f.Median <= f.Target || !f.Most && f.Median >= f.Target
}

// report is what a bench found.
type report struct {
	Conditions map[string]string `json:"conditions"`
	Figures    []*figure         `json:"figures"`
}

// add notes one run's value.
func (r *report) add(name, unit string, v float64) *figure {
	i := slices.IndexFunc(r.Figures, func(f *figure) bool { return f.Name == name })
	if i < 0 {
		i = len(r.Figures)
		r.Figures = append(r.Figures, &figure{Name: name, Unit: unit})
	}
	f := r.Figures[i]
	f.Runs = append(f.Runs, v)
	sorted := slices.Sorted(slices.Values(f.Runs))
	f.Median = sorted[len(sorted)/2]
	if n := len(sorted); n%2 == 0 {
		f.Median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return f
}

func (f *figure) atLeast(v float64) { f.Target = v }
func (f *figure) atMost(v float64)  { f.Target, f.Most = v, true }

func (f *figure) between(low, high float64) { f.Target, f.Until = low, high }

// median gives what was noted so far; 0 when nothing was.
func (r *report) median(name string) float64 {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Median
		}
	}
	return 0
}

// print writes the table, as Markdown.
func (r *report) print(w io.Writer) {
	fmt.Fprintln(w)
	for _, k := range slices.Sorted(maps.Keys(r.Conditions)) {
		fmt.Fprintf(w, "- %s: %s\n", k, r.Conditions[k])
	}
	fmt.Fprintf(w, "\n| what | median | unit | target | | runs |\n|---|---|---|---|---|---|\n")
	for _, f := range r.Figures {
		target, verdict := "", ""
		if f.Target != 0 {
			target, verdict = "≥ "+decimal(f.Target), "met"
			if f.Most {
				target = "≤ " + decimal(f.Target)
			}
			if f.Until != 0 {
				target = decimal(f.Target) + " to " + decimal(f.Until)
			}
			if !f.met() {
				verdict = "**missed**"
			}
		}
		var runs []string
		for _, v := range f.Runs {
			runs = append(runs, decimal(v))
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", f.Name, decimal(f.Median), f.Unit, target, verdict, strings.Join(runs, ", "))
	}
}

// decimal writes a figure with three digits that count.
func decimal(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.01:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}
