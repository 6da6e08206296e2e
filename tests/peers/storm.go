package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

// storm measures a day of a shared group, or of many:
//
//  1. Everybody connects at once and asks for the roster, but does not become
//     available: what a sign-in costs. The server starts anew.
//  2. Everybody connects at once, asks for the roster, becomes available:
//     complete when everyone has seen everyone.
//  3. Everybody changes the show at once: complete when all have seen all.
//  4. Everybody signs out. 1 and 2 again, by people who know the version of
//     their roster, on the server as it is now.
//
// Processor time a presence is that of 2 without that of 1.
func storm(s *server, n int, res *result) error {
	base, err := s.baseline("", res)
	if err != nil {
		return err
	}
	if err := s.restart(); err != nil {
		return err
	}
	if err := s.heapInto(res, "heap before, MB"); err != nil {
		return err
	}
	c, err := s.crowd(rehearse.Wishes{Roster: true, Presence: true, Caps: true})
	if err != nil {
		return err
	}
	defer c.Loop.Close()
	g := &rehearse.Gathering{Crowd: c, Size: s.w.group, Patience: s.b.patience}
	if err := s.connect(g, "", base, res, func() (*rehearse.Meeting, error) { return g.Connect(s.people()) }); err != nil {
		return err
	}
	if err := s.short(full(c, s.w.group-1)); err != nil {
		return err
	}
	if err := s.flap(g, res); err != nil {
		return err
	}
	rss, err := rehearse.RSS(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	res.Figures["RSS after, MB"] = float64(rss) / (1 << 20)
	if err := s.everybodyOut(c); err != nil {
		return err
	}
	if err := s.heapInto(res, "heap after, MB"); err != nil {
		return err
	}
	// The same people, who know their rosters.
	c.Wishes.Presence = false
	base, err = s.baselineOf(c, " with ver", res, func() (*rehearse.Arrival, error) { return c.Return(n) })
	if err != nil {
		return err
	}
	c.Wishes.Presence = true
	if err := s.connect(g, " with ver", base, res, g.Return); err != nil {
		return err
	}
	if err := s.everybodyOut(c); err != nil {
		return err
	}
	if s.ops != 0 { // who has gone is remembered for a while
		select {
		case <-time.After(remembered):
		case <-s.b.ctx.Done():
			return s.b.ctx.Err()
		}
	}
	return s.heapInto(res, "heap at the end, MB")
}

// baseline measures sign-ins without presence, by people who do not know
// their rosters.
func (s *server) baseline(how string, res *result) (consumed, error) {
	c, err := s.crowd(rehearse.Wishes{Roster: true})
	if err != nil {
		return consumed{}, err
	}
	defer c.Loop.Close()
	return s.baselineOf(c, how, res, func() (*rehearse.Arrival, error) { return c.SignIn(s.people(), s.w.people) })
}

func (s *server) baselineOf(c *rehearse.Crowd, how string, res *result, enter func() (*rehearse.Arrival, error)) (u consumed, err error) {
	before, err := s.mark()
	if err != nil {
		return u, err
	}
	received := c.Loop.Received()
	a, err := enter()
	if err != nil {
		return u, s.short(fmt.Errorf("signing in without presence: %w", err))
	}
	if u, _, err = s.since(before); err != nil {
		return u, err
	}
	n := float64(s.w.people)
	res.Figures["sign-in alone, s"+how] = a.Length.Seconds()
	res.Figures["sign-in alone, CPU each, ms"+how] = milli(u.cpu) / n
	res.Figures["sign-in alone, server busy, %"+how] = 100 * a.ServerBusy()
	res.Figures["sign-in alone, loader busy, %"+how] = 100 * a.LoaderBusy()
	res.Figures["sign-in alone, KB each"+how] = float64(c.Loop.Received()-received) / 1024 / n
	if s.hasSQL() {
		res.Figures["sign-in alone, SQL each"+how] = u.sql / n
	}
	return u, s.everybodyOut(c)
}

// connect lets everybody connect at once and notes how it went.
func (s *server) connect(g *rehearse.Gathering, how string, base consumed, res *result, enter func() (*rehearse.Meeting, error)) error {
	before, err := s.mark()
	if err != nil {
		return err
	}
	m, err := enter()
	u, _, markErr := s.since(before)
	if m == nil || markErr != nil {
		return errors.Join(err, markErr)
	}
	res.Figures["seen, %"+how] = 100 * float64(m.Seen) / float64(m.Pairs)
	if m.Arrival != nil {
		res.Figures["failed attempts"+how] = float64(m.Arrival.Failed)
		res.Figures["most attempts"+how] = float64(m.Arrival.Most)
	}
	if s.hasSQL() {
		res.Figures["SQL"+how] = u.sql
		res.Figures["SQL for presence"+how] = u.sql - base.sql
	}
	if s.ops > 0 {
		res.Figures["SQL of the feature presence"+how] = u.own["presence"]
	}
	for feature, count := range u.own {
		res.Figures["SQL of the feature "+feature+how] = count
	}
	res.Figures["MB received"+how] = float64(m.Bytes) / (1 << 20)
	if err == nil && !m.Complete() {
		err = fmt.Errorf("not complete in %v: %.1f %% seen; %s", s.b.patience, res.Figures["seen, %"+how], g.Missing())
	}
	if err != nil {
		if rss, err := rehearse.RSS(s.cmd.Process.Pid); err == nil {
			res.Figures["RSS after, MB"] = float64(rss) / (1 << 20)
		}
		return s.short(err)
	}
	pairs := float64(m.Pairs)
	res.Figures["complete, s"+how] = m.Length.Seconds()
	res.Figures["signed in, s"+how] = m.SignedIn.Seconds()
	res.Figures["CPU a presence, µs"+how] = micro(m.Server-base.cpu) / pairs
	res.Figures["CPU in all, s"+how] = m.Server.Seconds()
	res.Figures["presences sent for one"+how] = float64(m.Came) / pairs
	if how == "" {
		res.limit(&m.Span)
	}
	return nil
}

// flap lets everybody change the show at once.
func (s *server) flap(g *rehearse.Gathering, res *result) error {
	if err := calm(s, g.Crowd); err != nil {
		return err
	}
	before, err := s.mark()
	if err != nil {
		return err
	}
	m, err := g.Change("away")
	u, _, markErr := s.since(before)
	if markErr != nil {
		return errors.Join(err, markErr)
	}
	if err == nil && !m.Complete() {
		err = fmt.Errorf("the flap is not complete in %v: %.1f %% seen; %s", s.b.patience, 100*float64(m.Seen)/float64(m.Pairs), g.Missing())
	}
	if err != nil {
		return s.short(err)
	}
	pairs := float64(m.Pairs)
	res.Figures["flap, s"] = m.Length.Seconds()
	res.Figures["flap, CPU a presence, µs"] = micro(m.Server) / pairs
	res.Figures["flap, bytes a presence"] = float64(m.Bytes) / pairs
	res.Figures["flap, server busy, %"] = 100 * m.ServerBusy()
	res.Figures["flap, loader busy, %"] = 100 * m.LoaderBusy()
	res.Figures["flap, presences sent for one"] = float64(m.Came) / pairs
	if s.hasSQL() {
		res.Figures["flap, SQL"] = u.sql
	}
	return nil
}

// everybodyOut ends all streams and waits until the server has done with it.
func (s *server) everybodyOut(c *rehearse.Crowd) error {
	if err := c.SignOut(30 * time.Second); err != nil {
		return err
	}
	return s.quiet(s.b.patience)
}

// remembered is how long Bearhug remembers, at most, who has signed out.
const remembered = 22 * time.Second

// heapInto notes Bearhug's heap.
func (s *server) heapInto(res *result, name string) error {
	if s.ops == 0 {
		return nil
	}
	heap, err := s.heap()
	res.Figures[name] = heap / (1 << 20)
	return err
}
