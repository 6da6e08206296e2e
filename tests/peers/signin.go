package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/rehearse"
)

const (
	// inFlight is how many people sign in at a time where they need not come
	// all at once.
	inFlight = 64
	// attempts is how many connections a person may need.
	attempts = 20
)

// crowd is a loader for the server.
func (s *server) crowd(w rehearse.Wishes) (*rehearse.Crowd, error) {
	loop, err := rehearse.NewLoop()
	if err != nil {
		return nil, err
	}
	return &rehearse.Crowd{
		Loop: loop, Address: s.address(), Wishes: w, PIDs: s.pids(), Attempts: attempts, Patience: s.b.patience, Stop: s.b.ctx.Done(),
	}, nil
}

// consumed is what a server has used up to a moment, or between two.
type consumed struct {
	sql  float64            // statements, as the database counts them
	own  map[string]float64 // as Bearhug counts them, by feature
	cpu  time.Duration
	when time.Time
}

// mark reads it.
func (s *server) mark() (u consumed, err error) {
	if u.cpu, err = s.used(); err != nil {
		return u, err
	}
	u.when = time.Now()
	if s.ops > 0 {
		if u.own, err = s.statements(); err != nil {
			return u, err
		}
	}
	if s.sql != nil {
		u.sql, err = s.questions()
		return u, err
	}
	for _, n := range u.own {
		u.sql += n
	}
	return u, nil
}

// since is what was used after an earlier mark. SHOW STATUS itself is not
// counted.
func (s *server) since(before consumed) (u consumed, took time.Duration, err error) {
	now, err := s.mark()
	if err != nil {
		return u, 0, err
	}
	u = consumed{sql: now.sql - before.sql, cpu: now.cpu - before.cpu, own: map[string]float64{}}
	if s.sql != nil {
		u.sql--
	}
	for feature, n := range now.own {
		if d := n - before.own[feature]; d > 0 {
			u.own[feature] = d
		}
	}
	return u, now.when.Sub(before.when), nil
}

// signIn measures sign-ins one after the other, and the memory of those who
// stay.
func signIn(s *server, n int, res *result) error {
	c, err := s.crowd(rehearse.Wishes{Roster: true, Presence: true, Caps: true})
	if err != nil {
		return err
	}
	defer c.Loop.Close()
	base, err := rehearse.RSS(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	before, err := s.mark()
	if err != nil {
		return err
	}
	a, err := c.SignIn(s.people(), inFlight)
	if err != nil {
		return s.short(err)
	}
	u, _, err := s.since(before)
	if err != nil {
		return err
	}
	res.arrived(a)
	res.Figures["sign-ins/s"] = a.Rate()
	res.Figures["CPU each, ms"] = milli(u.cpu) / float64(n)
	if s.hasSQL() {
		res.Figures["SQL each"] = u.sql / float64(n)
	}
	res.limit(&a.Span)
	if err := c.Stay(idleFor(s.b.quick)); err != nil {
		return s.short(err)
	}
	after, err := rehearse.RSS(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	res.Figures["RSS a person, KB"] = float64(after-base) / 1024 / float64(n)
	res.Figures["RSS before, MB"] = float64(base) / (1 << 20)
	return nil
}

// idleFor is how long people stay before the memory is read.
func idleFor(quick bool) time.Duration {
	if quick {
		return 5 * time.Second
	}
	return 60 * time.Second
}

func (s *server) hasSQL() bool { return s.sql != nil || s.ops > 0 }

// arrived notes how people came in.
func (r *result) arrived(a *rehearse.Arrival) {
	r.Figures["p50, s"] = a.Times.Quantile(0.5).Seconds()
	r.Figures["p99, s"] = a.Times.Quantile(0.99).Seconds()
	r.Figures["failed attempts"] = float64(a.Failed)
	r.Figures["most attempts"] = float64(a.Most)
}

// limit says what the span was limited by.
func (r *result) limit(s *rehearse.Span) {
	server, load := s.ServerBusy(), s.LoaderBusy()
	r.Figures["server busy, %"] = 100 * server
	r.Figures["loader busy, %"] = 100 * load
	switch {
	case load > 0.95:
		r.Limit = "the loader"
	case server > 0.85:
		r.Limit = "the server's core"
	default:
		r.Limit = fmt.Sprintf("waiting: server %.0f %%, loader %.0f %% busy", 100*server, 100*load)
	}
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// full checks that everybody was sent a roster of so many contacts.
func full(c *rehearse.Crowd, want int) error {
	for _, g := range c.Guests {
		if g.Items != want {
			return errors.New(g.Person.Local + fmt.Sprintf(" was sent a roster of %d people, not of %d", g.Items, want))
		}
	}
	return nil
}
