package main

import (
	"fmt"
	"strconv"
	"strings"
)

// world is what a server has to keep.
type world struct {
	people   int // p00000 and so on
	others   int // a00000 and so on, whom nobody knows
	contacts int // each has so many, all mutual, in a personal roster
	group    int // size of the shared groups everyone is in; 0: none
	archive  bool
	offline  bool // messages wait for who is away
}

// work is something that servers do.
type work struct {
	name, doc   string
	servers     []string
	sizes       []int // numbers of people
	quick       []int
	needsGroups bool
	world       func(size int) world
	do          func(s *server, size int, res *result) error
}

// groupSize is the size of the small groups.
const groupSize = 50

var (
	everyone = []string{bearhugName, bearhugSQLite, ejabberdName, prosodyName, prosodySQL}
	three    = []string{bearhugName, ejabberdName, prosodyName}
)

// works in the order of a round.
var works = []*work{
	{
		name: "signin", doc: "people sign in, 64 at a time, and stay: rate, memory", servers: three,
		sizes: []int{10_000}, quick: []int{1_000},
		world: func(n int) world { return world{people: n, offline: true} }, do: signIn,
	},
	{
		name: "chat", doc: "100 pairs write to each other, no archive", servers: three,
		sizes: []int{200}, quick: []int{200},
		world: func(n int) world { return world{people: n, offline: true} }, do: chat,
	},
	{
		name: "archive", doc: "the same, everything archived", servers: everyone,
		sizes: []int{200}, quick: []int{200},
		world: func(n int) world { return world{people: n, archive: true, offline: true} }, do: chat,
	},
	{
		name: "return", doc: "everybody is cut off and comes back at once; rosters of 10", servers: three,
		sizes: []int{10_000}, quick: []int{500},
		world: func(n int) world { return world{people: n, others: 2, contacts: 10, archive: true, offline: true} }, do: comeBack,
	},
	{
		name: "resume", doc: "the same by resumption (XEP-0198)", servers: three,
		sizes: []int{10_000}, quick: []int{500},
		world: func(n int) world { return world{people: n, others: 2, contacts: 10, archive: true, offline: true} }, do: resume,
	},
	{
		name: "return-groups", doc: "the same with a new sign-in, in shared groups of 50", servers: three,
		sizes: []int{10_000}, quick: []int{500}, needsGroups: true,
		world: func(n int) world { return world{people: n, others: 2, group: groupSize, archive: true, offline: true} }, do: comeBack,
	},
	{
		name: "storm", doc: "everybody of one shared group connects at once, then changes the show", servers: three,
		sizes: []int{100, 200, 500, 1_000, 2_000, 5_000}, quick: []int{100, 200}, needsGroups: true,
		world: func(n int) world { return world{people: n, group: n} }, do: storm,
	},
	{
		name: "storm-groups", doc: "the same in shared groups of 50", servers: three,
		sizes: []int{10_000}, quick: []int{200}, needsGroups: true,
		world: func(n int) world { return world{people: n, group: groupSize} }, do: storm,
	},
}

// sizesOf are the numbers of people a work is done with in this run.
func (b *bench) sizesOf(w *work) []int {
	sizes := w.sizes
	if b.quick {
		sizes = w.quick
	}
	if b.options.sizes == "" {
		return sizes
	}
	var only []int
	for _, f := range strings.Split(b.options.sizes, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(f)); err == nil && (w.group() || n%groupSize == 0) {
			only = append(only, n)
		} else {
			fmt.Printf("%s: %q is no number of people for it\n", w.name, f)
		}
	}
	return only
}

// group reports whether all people are in one group.
func (w *work) group() bool { return w.world(1).group == 1 }
