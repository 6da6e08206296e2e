package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// estimates say how many seconds a piece of work takes with all that belongs to
// it (database, accounts, waiting until all is quiet), by work, server and
// people. They come from earlier runs, on two cores; what a run has measured
// takes their place.
var estimates = map[string]map[string]map[int]float64{
	"signin":  {bearhugName: {10_000: 45}, ejabberdName: {10_000: 65}, prosodyName: {10_000: 53}},
	"chat":    {bearhugName: {200: 38}, ejabberdName: {200: 38}, prosodyName: {200: 38}},
	"archive": {bearhugName: {200: 38}, bearhugSQLite: {200: 35}, ejabberdName: {200: 40}, prosodyName: {200: 36}, prosodySQL: {200: 32}},
	"return":  {bearhugName: {10_000: 25}, ejabberdName: {10_000: 85}, prosodyName: {10_000: 75}},
	"resume":  {bearhugName: {10_000: 23}, ejabberdName: {10_000: 55}, prosodyName: {10_000: 45}},
	"return-groups": {
		bearhugName: {10_000: 27}, ejabberdName: {10_000: 175}, prosodyName: {10_000: 145},
	},
	"storm": {
		bearhugName:  {100: 12, 200: 12, 500: 13, 1_000: 15, 2_000: 20, 5_000: 50},
		ejabberdName: {100: 17, 200: 35, 500: 195, 1_000: 215},
		prosodyName:  {100: 12, 200: 20, 500: 58, 1_000: 150, 2_000: 240},
	},
	"storm-groups": {bearhugName: {10_000: 35}, ejabberdName: {10_000: 175}, prosodyName: {10_000: 150}},
}

// beyondThem are the numbers of people that a server is not expected to
// complete.
var beyondThem = map[string]map[string]int{
	"storm": {ejabberdName: 1_000, prosodyName: 2_000},
}

// What a peer's run may take to be repeated as often as Bearhug's, and at all.
const (
	brief  = 30 * time.Second
	medium = 60 * time.Second
)

// runsOf is how often a server does a piece of work: Bearhug always as often as
// was asked for, a peer as its first run was long.
func (b *bench) runsOf(w *work, k *kind, size int) int {
	if !k.peer() {
		return b.runs
	}
	switch length := b.takes(w, k, size); {
	case length < brief:
		return b.runs
	case length < medium:
		return min(b.runs, 2)
	}
	return 1
}

// takes is how long the first run took, or is expected to take.
func (b *bench) takes(w *work, k *kind, size int) time.Duration {
	if runs := b.results.of(w.name, k.name, size); len(runs) > 0 {
		return time.Duration(runs[0].Seconds * float64(time.Second))
	}
	known := estimates[w.name][k.name]
	if s, ok := known[size]; ok {
		return time.Duration(s * float64(time.Second))
	}
	// Nobody has tried: from the nearest number of people, as the square in
	// one group, beside what every run needs.
	const always = 10
	near := 0
	for n := range known {
		if near == 0 || max(n, size)-min(n, size) < max(near, size)-min(near, size) {
			near = n
		}
	}
	if near == 0 {
		return medium
	}
	ratio := float64(size) / float64(near)
	if w.group() {
		ratio *= ratio
	}
	seconds := always + max(0, known[near]-always)*ratio
	return min(time.Duration(seconds*float64(time.Second)), 3*b.patience)
}

// hopeless reports whether a server is not expected to complete a size.
func hopeless(w *work, k *kind, size int) (limit int, yes bool) {
	limit, yes = beyondThem[w.name][k.name]
	return limit, yes && size >= limit
}

// plan prints what is to be done, and how long it is expected to take.
func (b *bench) plan(out io.Writer, names []string) {
	var sum, done time.Duration
	fmt.Fprintf(out, "\n%-14s %7s  %-15s %5s %6s %7s\n", "work", "people", "server", "runs", "s each", "left, s")
	for _, w := range works {
		if len(names) > 0 && !slices.Contains(names, w.name) {
			continue
		}
		for _, size := range b.sizesOf(w) {
			for _, k := range b.kinds {
				if b.unasked(w, k) {
					continue
				}
				spent, left := b.planOne(out, w, size, k)
				sum, done = sum+left, done+spent
			}
		}
	}
	fmt.Fprintf(out, "%.0f minutes are left by this estimate", sum.Minutes())
	if done > 0 {
		fmt.Fprintf(out, ", %.0f are done", done.Minutes())
	}
	fmt.Fprint(out, ". A peer's first run decides: under 30 s it is repeated like Bearhug's, under 60 s once.\n\n")
}

// planOne prints the line of a server and a number of people.
func (b *bench) planOne(out io.Writer, w *work, size int, k *kind) (spent, left time.Duration) {
	length, runs, remark := b.takes(w, k, size), b.runsOf(w, k, size), ""
	finished := b.results.of(w.name, k.name, size)
	for _, r := range finished {
		spent += time.Duration(r.Seconds * float64(time.Second))
	}
	limit, never := hopeless(w, k, size)
	switch {
	case len(finished) >= runs:
		remark = "done"
	case b.results.incomplete(w.name, k.name, size):
		runs, remark = len(finished), "no more: it did not complete this many, or fewer"
	case w.needsGroups && k.without != "":
		runs, remark = 0, k.without
	case never && size > limit:
		runs, remark = 0, fmt.Sprintf("only if it completes %d", limit)
	case never:
		runs, remark = 1, "not expected to complete"
	case len(finished) > 0:
		remark = fmt.Sprintf("%d done", len(finished))
	}
	left = time.Duration(max(0, runs-len(finished))) * length
	fmt.Fprintf(out, "%-14s %7d  %-15s %5d %6.0f %7.0f  %s\n", w.name, size, k.name, runs, length.Seconds(), left.Seconds(), remark)
	return spent, left
}
