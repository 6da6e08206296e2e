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
	if err := s.memoryInto(res, "before"); err != nil {
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
	if err := s.memoryInto(res, "online"); err != nil {
		return err
	}
	if err := s.everybodyOut(c); err != nil {
		return err
	}
	if err := s.memoryInto(res, "after"); err != nil {
		return err
	}
	if s.k.peer() && res.Figures["complete, s"] > toldTwice.Seconds() {
		return nil
	}
	if err := s.stormAgain(g, res); err != nil {
		return err
	}
	return s.afterwards(res)
}

// toldTwice is the longest storm that a peer is asked for once more, with the
// versions of rosters.
const toldTwice = 30 * time.Second

// stormAgain is the storm of people who know their rosters.
func (s *server) stormAgain(g *rehearse.Gathering, res *result) error {
	c := g.Crowd
	c.Wishes.Presence = false
	base, err := s.baselineOf(c, " with ver", res, func() (*rehearse.Arrival, error) { return c.Return(s.w.people) })
	if err != nil {
		return err
	}
	c.Wishes.Presence = true
	if err := s.connect(g, " with ver", base, res, g.Return); err != nil {
		return err
	}
	return s.everybodyOut(c)
}

// afterwards reads the memory when Bearhug has forgotten who was there. All
// servers wait alike; once, and where enough people were there to be found in
// the memory.
func (s *server) afterwards(res *result) error {
	if res.Run != 1 || s.w.people < 500 {
		return nil
	}
	select {
	case <-time.After(remembered):
	case <-s.b.ctx.Done():
		return s.b.ctx.Err()
	}
	return s.memoryInto(res, "at the end")
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
	u, _, markErr := s.since(before)
	if markErr != nil {
		return u, errors.Join(err, markErr)
	}
	if err != nil {
		return u, s.unfinished(err, came(a, s.w.people)+" signed in, before any presence", u)
	}
	n := float64(s.w.people)
	res.Figures["sign-in alone, s"+how] = a.Length.Seconds()
	res.Figures["sign-in alone, CPU each, ms"+how] = milli(u.cpu) / n
	res.busy("sign-in alone, ", &a.Span, how)
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
	if err != nil || !m.Complete() {
		if rss, err := rehearse.RSS(s.cmd.Process.Pid); err == nil {
			res.Figures["RSS online, MB"] = float64(rss) / (1 << 20)
		}
		return s.unfinished(err, fmt.Sprintf("%s, %s signed in", presences(m), came(m.Arrival, s.w.people)), u)
	}
	pairs := float64(m.Pairs)
	res.Figures["complete, s"+how] = m.Length.Seconds()
	res.Figures["signed in, s"+how] = m.SignedIn.Seconds()
	res.Figures["CPU a presence, µs"+how] = micro(m.Server-base.cpu) / pairs
	res.Figures["CPU in all, s"+how] = m.Server.Seconds()
	res.Figures["presences sent for one"+how] = float64(m.Came) / pairs
	res.busy("", &m.Span, how)
	return nil
}

// presences is how many of a meeting's have been seen.
func presences(m *rehearse.Meeting) string {
	return fmt.Sprintf("%.1f %% of %s presences", 100*float64(m.Seen)/float64(m.Pairs), thousands(m.Pairs))
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
	if m == nil || markErr != nil {
		return errors.Join(err, markErr)
	}
	if err != nil || !m.Complete() {
		return s.unfinished(err, presences(m)+" of the flap", u)
	}
	pairs := float64(m.Pairs)
	res.Figures["flap, s"] = m.Length.Seconds()
	res.Figures["flap, CPU a presence, µs"] = micro(m.Server) / pairs
	res.Figures["flap, bytes a presence"] = float64(m.Bytes) / pairs
	res.busy("flap, ", &m.Span, "")
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

// memoryInto notes what is resident, and of Bearhug the heap in use after a
// collection. The heap comes second: a collection is nobody else's.
func (s *server) memoryInto(res *result, when string) error {
	rss, err := rehearse.RSS(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	res.Figures["RSS "+when+", MB"] = float64(rss) / (1 << 20)
	if s.ops == 0 || when == "online" {
		return nil
	}
	heap, err := s.heap()
	res.Figures["heap "+when+", MB"] = heap / (1 << 20)
	return err
}
