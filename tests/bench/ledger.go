package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/rehearse"
)

// What the ledger costs is a percent or two, less than one run differs from the
// next. So it is measured in turns, with, without, without, with: what drifts
// meanwhile is in both. Each run is a process of its own, of this program, so
// that both are the same code; one measures no processor time and writes no
// history. The counters, additions to integers, are in both.

// serveWord has this program serve instead of measure.
const serveWord = "serve-for-ledger"

// serve is `bench serve-for-ledger [-unmetered] -config FILE`.
func serve(args []string) error {
	flags := flag.NewFlagSet(serveWord, flag.ContinueOnError)
	unmetered := flags.Bool("unmetered", false, "measure nothing")
	file := flags.String("config", "", "bearhug.toml")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := node.Load(node.Sources{File: *file})
	if err != nil {
		return err
	}
	log := node.NewLog(cfg.Log, os.Stderr)
	if *unmetered {
		return node.ServeUnmetered(context.Background(), cfg, log)
	}
	return node.Serve(context.Background(), cfg, log)
}

// The load of a run. The rates are well under what a core does, so that as much
// goes on in each.
const (
	crowdOf    = 500 // in one group
	chatters   = 200
	flaps      = 12 // of everybody at once
	routedRate = 4000.0
	storedRate = 2000.0
)

// ledgerWorks are what is measured, each by processor time of the server for
// one of something.
var ledgerWorks = [...]string{"a presence of a flap", "a routed message", "a stored message"}

// costs are µs, by work.
type costs [len(ledgerWorks)]float64

// ledger measures how much dearer the same work is with the ledger's measuring.
func (b *bench) ledger() error {
	var over [len(ledgerWorks)][]float64 // percent, by block
	for block := range b.runs {
		var sum [2]costs
		for _, unmetered := range [...]int{0, 1, 1, 0} {
			c, err := b.ledgerOnce(unmetered == 1)
			if err != nil {
				return err
			}
			for i := range c {
				sum[unmetered][i] += c[i] / 2
			}
		}
		fmt.Printf("    block %d:", block+1)
		for i, work := range ledgerWorks {
			with, without := sum[0][i], sum[1][i]
			over[i] = append(over[i], 100*(with/without-1))
			b.report.add("ledger, "+work+": server CPU with it", "µs", with)
			b.report.add("ledger, "+work+": server CPU without", "µs", without)
			b.report.add("ledger, "+work+": more with it", "%", 100*(with/without-1)).atMost(2)
			fmt.Printf(" %s %.3f µs with, %.3f without, %+.2f %%;", work, with, without, 100*(with/without-1))
		}
		fmt.Println()
	}
	for i, work := range ledgerWorks {
		list := slices.Sorted(slices.Values(over[i]))
		fmt.Printf("    %s: %+.2f %% in the middle, from %+.2f to %+.2f in %d blocks of four runs\n",
			work, b.report.median("ledger, "+work+": more with it"), list[0], list[len(list)-1], len(list))
	}
	return nil
}

// ledgerOnce is one run of one process.
func (b *bench) ledgerOnce(unmetered bool) (c costs, err error) {
	n := b.share(crowdOf)
	people, err := b.people(n + chatters)
	if err != nil {
		return c, err
	}
	s, err := b.grouped(people, n, n)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	s.program = []string{self, serveWord}
	if unmetered {
		s.program = append(s.program, "-unmetered")
	}
	if err := s.start(); err != nil {
		return c, err
	}
	if c[0], err = b.ledgerStorm(s, people[:n]); err != nil {
		return c, err
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Manage: true, Presence: true})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	if _, err := crowd.SignIn(people[n:], inFlight); err != nil {
		return c, err
	}
	for i, chat := range [...]rehearse.Chat{
		{Body: 100, Rate: routedRate * b.part},
		{Body: 100, Rate: storedRate * b.part, Durable: true, Origin: true},
	} {
		chat.Warm, chat.Length = warm, b.length
		o, err := crowd.Talk(chat)
		if err = errors.Join(err, b.ctx.Err()); err != nil {
			return c, err
		}
		if err := o.Check(); err != nil {
			return c, err
		}
		if o.LoaderBusy() > 0.9 {
			fmt.Printf("    the loader is %.0f %% busy: %s is not measured at its rate\n", 100*o.LoaderBusy(), ledgerWorks[i+1])
		}
		c[i+1] = micro(o.CPU())
	}
	return c, nil
}

// ledgerStorm has everybody of one group change at once, again and again, and
// leave; it returns µs a presence that came.
func (b *bench) ledgerStorm(s *server, people []*rehearse.Person) (each float64, err error) {
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Roster: true, Presence: true, Caps: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	g := &rehearse.Gathering{Crowd: crowd, Size: len(people), Patience: 60 * time.Second}
	m, err := g.Connect(people)
	if err != nil {
		return 0, err
	}
	if !m.Complete() {
		return 0, fmt.Errorf("the storm is not complete: %s", g.Missing())
	}
	var spent time.Duration
	var came uint64
	for i := range flaps {
		if m, err = g.Change([...]string{"away", "dnd", "xa"}[i%3]); err != nil {
			return 0, err
		}
		if !m.Complete() {
			return 0, fmt.Errorf("change %d is not complete: %s", i+1, g.Missing())
		}
		spent, came = spent+m.Server, came+m.Came
		if err := crowd.Stay(200 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	return micro(spent) / float64(max(came, 1)), crowd.SignOut(30 * time.Second)
}
