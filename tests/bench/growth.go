package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/rehearse"
)

// How the growth is measured: rows of the ledger every five seconds, nine of
// them per step, one change a person and minute in them. Nothing is sped up:
// within the 45 seconds of a step one of two people changes, some twice.
const (
	rowEvery    = 5 * time.Second
	rowsPerStep = 9
	settling    = rowEvery + time.Second // a row without a change parts the sign-ins from a step
)

// steps are how many people are online.
var steps = [...]int{200, 600, 2000}

// mesh is people whose growth is measured.
type mesh struct {
	name      string
	size      int
	window    string  // of the dial presence.window; "": as shipped
	low, high float64 // of the exponent
}

// growth measures what the ledger says of presence: how its cost grows with the
// people online, in one group of all, and in groups of 50. In one group, changes
// leave together the more there are, so that the cost grows by less than the
// square: it is measured without that as well.
func (b *bench) growth() error {
	all := b.share(steps[len(steps)-1])
	for _, m := range []mesh{
		{name: "one group", size: all, low: 1, high: 2.3},
		{name: "one group, each change at once", size: all, window: "0ms", low: 1.7, high: 2.3},
		{name: "groups of 50", size: groupSize, low: 0.7, high: 1.3},
	} {
		began := time.Now()
		if err := b.growOnce(&m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Printf("    %s took %.0f s\n", m.name, time.Since(began).Seconds())
	}
	return nil
}

func (b *bench) growOnce(m *mesh) (err error) {
	name := m.name
	people, err := b.people(b.share(steps[len(steps)-1]))
	if err != nil {
		return err
	}
	s, err := b.grouped(people, len(people), m.size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(); err != nil {
		return err
	}
	if err := s.ctl("lever.set", node.LeverArgs{Name: "ledger.every", Value: rowEvery.String()}, nil); err != nil {
		return err
	}
	if m.window != "" {
		if err := s.ctl("lever.set", node.LeverArgs{Name: "presence.window", Value: m.window}, nil); err != nil {
			return err
		}
	}
	crowd, leave, err := b.crowd(s, rehearse.Wishes{Roster: true, Presence: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	stir := &rehearse.Stir{Crowd: crowd, Size: m.size}
	for _, step := range steps {
		n := b.share(step)
		if err := b.growStep(s, stir, name, people[len(crowd.Guests):n]); err != nil {
			return err
		}
	}
	top, err := s.topNow()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(top.Rows, func(r node.TopRow) bool { return r.Feature == "presence" })
	if i < 0 || top.Rows[i].Growth == nil {
		return errors.New("bearhug top does not know how presence grows")
	}
	g := top.Rows[i].Growth
	b.report.add("growth, "+name+": exponent of presence", "", g.Exponent).between(m.low, m.high)
	b.report.add("growth, "+name+": half of the interval", "", (g.High-g.Low)/2)
	b.report.add("growth, "+name+": rows it is told from", "", float64(g.Points))
	if sends := top.Rows[i].Sends; sends != nil {
		b.report.add("growth, "+name+": exponent of the bytes that presence sends", "", sends.Exponent)
		fmt.Printf("    %s: what presence sends grows as n^%.2f, between %.2f and %.2f\n", name, sends.Exponent, sends.Low, sends.High)
	}
	fmt.Printf("    %s: presence grows as n^%.2f, with 95 %% confidence between %.2f and %.2f, by %d rows\n", name, g.Exponent, g.Low, g.High, g.Points)
	if want := len(steps) * (rowsPerStep - 2); g.Points < want {
		return fmt.Errorf("the growth is told from %d rows, not from %d or more", g.Points, want)
	}
	return nil
}

// growStep brings more people in and lets everybody change once a minute.
func (b *bench) growStep(s *server, stir *rehearse.Stir, name string, more []*rehearse.Person) error {
	if err := stir.Enter(more, inFlight, 60*time.Second); err != nil {
		return err
	}
	if err := stir.Crowd.Stay(settling); err != nil {
		return err
	}
	stir.Rate = float64(len(stir.Crowd.Guests)) / 60
	changes, from := stir.Changes, stir.Crowd.Loop.Now()
	before, err := rehearse.CPU(s.pid())
	if err != nil {
		return err
	}
	if err := stir.Run(rowsPerStep*rowEvery, b.ctx.Done()); err != nil {
		return err
	}
	after, err := rehearse.CPU(s.pid())
	if err != nil {
		return err
	}
	if err := stir.Settle(10 * time.Second); err != nil {
		return err
	}
	if stir.Disordered > 0 {
		return fmt.Errorf("%d presences came after a newer one", stir.Disordered)
	}
	came := stir.CameBetween(from, stir.Crowd.Loop.Now())
	fmt.Printf("    %s, %d people: %d changes, %d presences, server %.1f %% busy\n", name, len(stir.Crowd.Guests),
		stir.Changes-changes, came, 100*(after-before).Seconds()/(rowsPerStep*rowEvery).Seconds())
	return b.ctx.Err()
}

// topNow is `bearhug top --json`.
func (s *server) topNow() (t node.Top, err error) {
	out, err := s.output("top", "--json")
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	return t, err
}

// output runs a bearhug command and gives what it prints.
func (s *server) output(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(s.b.ctx, s.b.bearhug, s.arguments(args...)...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("bearhug %v: %w: %s", args, err, bytes.TrimSpace(told.Bytes()))
	}
	return out, nil
}
