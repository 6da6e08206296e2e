package main

import (
	"errors"
	"runtime"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

// comeBack measures the return of everybody by a whole sign-in.
func comeBack(s *server, n int, res *result) error { return back(s, n, res, false) }

// resume measures it by resumption.
func resume(s *server, n int, res *result) error { return back(s, n, res, true) }

// back lets people sign in, cuts all lines by a reset, and lets everybody come
// back at once, while a pair whom nobody cuts chats.
func back(s *server, n int, res *result, resume bool) error {
	c, err := s.crowd(rehearse.Wishes{Roster: true, Presence: true, Caps: true, Manage: resume})
	if err != nil {
		return err
	}
	defer c.Loop.Close()
	if _, err := c.SignIn(s.people(), inFlight); err != nil {
		return s.short(err)
	}
	contacts := s.w.contacts
	if s.w.group > 0 {
		contacts = s.w.group - 1
	}
	if err := full(c, contacts); err != nil {
		return s.short(err)
	}
	if err := calm(s, c); err != nil {
		return err
	}
	pair, err := s.startPair()
	if err != nil {
		return s.short(err)
	}
	defer pair.close()
	rest, err := pair.atRest()
	if err != nil {
		return s.short(err)
	}
	pair.talk()
	back := func() (*rehearse.Arrival, error) { return c.Return(n) }
	if resume {
		back = func() (*rehearse.Arrival, error) { return c.Resume(n) }
	}
	before, err := s.mark()
	if err != nil {
		return err
	}
	c.CutOff()
	a, err := back()
	u, took, markErr := s.since(before)
	o, talkErr := pair.end()
	if markErr != nil {
		return errors.Join(err, markErr, talkErr)
	}
	if err != nil {
		return s.unfinished(err, came(a, n)+" back", u)
	}
	if talkErr != nil {
		return s.short(talkErr)
	}
	// The pair's processor time, some 2 % of a core, stays in the figure.
	u.sql -= rest.sql * float64(o.Delivery.Count()) * took.Seconds() / o.Length.Seconds()
	res.arrived(a)
	res.busy("", &a.Span, "")
	res.Figures["all back, s"] = a.Length.Seconds()
	res.Figures["CPU each, ms"] = milli(u.cpu) / float64(n)
	if s.hasSQL() {
		res.Figures["SQL each"] = u.sql / float64(n)
	}
	if s.ops > 0 {
		res.Figures["SQL each by its own count"] = 0 // told when it is nothing, too
	}
	for feature, count := range u.own {
		if feature != "archive" { // the pair's
			res.Figures["SQL each by its own count"] += count / float64(n)
			res.Figures["SQL of "+feature+" each"] = count / float64(n)
		}
	}
	res.spoke(" of a pair meanwhile", o)
	res.Figures["p99, ms of the pair before"] = rest.p99
	return s.short(o.Check())
}

// calm waits until the server has done what the sign-ins left to do, while the
// loader takes what it sends.
func calm(s *server, c *rehearse.Crowd) error {
	for range 60 {
		before, err := s.used()
		if err != nil {
			return err
		}
		if err := c.Stay(time.Second); err != nil {
			return s.short(err)
		}
		now, err := s.used()
		if err != nil || now-before < 50*time.Millisecond {
			return err
		}
	}
	return nil
}

// pair is two people who chat on a loop and a goroutine of their own, 50
// messages a second, archived.
type pair struct {
	s     *server
	crowd *rehearse.Crowd
	stop  chan struct{}
	said  chan spoken
	cores int
}

type spoken struct {
	o   *rehearse.Outcome
	err error
}

// ease is how a pair's chat goes when nothing else happens.
type ease struct {
	sql float64 // statements a message
	p99 float64 // ms
}

const pairRate = 50

func (s *server) startPair() (*pair, error) {
	c, err := s.crowd(rehearse.Wishes{Presence: true})
	if err != nil {
		return nil, err
	}
	if _, err := c.SignIn(s.others(), 1); err != nil {
		return nil, errors.Join(err, c.Loop.Close())
	}
	// The pair's thread must not wait for the crowd's: both are on one core,
	// where the kernel shares it out.
	return &pair{s: s, crowd: c, cores: runtime.GOMAXPROCS(2)}, nil
}

func (p *pair) close() {
	runtime.GOMAXPROCS(p.cores)
	_ = p.crowd.Loop.Close() // the lines are loopback's
}

// atRest lets the pair chat for three seconds.
func (p *pair) atRest() (e ease, err error) {
	before, err := p.s.mark()
	if err != nil {
		return e, err
	}
	o, err := p.crowd.Talk(rehearse.Chat{Body: 100, Durable: true, Delivered: true, Origin: true, Rate: pairRate, Length: 3 * time.Second})
	if err != nil {
		return e, err
	}
	u, _, err := p.s.since(before)
	e.sql = u.sql / float64(max(1, o.Sent))
	e.p99 = milli(o.Delivery.Quantile(0.99))
	return e, err
}

// talk lets it chat until end.
func (p *pair) talk() {
	p.stop, p.said = make(chan struct{}), make(chan spoken, 1)
	go func() {
		o, err := p.crowd.Talk(rehearse.Chat{
			Body: 100, Durable: true, Delivered: true, Origin: true, Rate: pairRate, Length: time.Hour, Stop: p.stop, Patience: p.s.b.patience,
		})
		p.said <- spoken{o, err}
	}()
	time.Sleep(500 * time.Millisecond)
}

func (p *pair) end() (*rehearse.Outcome, error) {
	close(p.stop)
	end := <-p.said
	return end.o, end.err
}
