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
		Loop: loop, Address: s.address(), Wishes: w, PIDs: s.pids(), Attempts: attempts,
		Patience: s.b.patience, Limit: s.b.patience, Stop: s.b.ctx.Done(),
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
	u, _, markErr := s.since(before)
	if markErr != nil {
		return errors.Join(err, markErr)
	}
	if err != nil {
		return s.unfinished(err, came(a, n)+" signed in", u)
	}
	res.arrived(a)
	res.Figures["sign-ins/s"] = a.Rate()
	res.Figures["CPU each, ms"] = milli(u.cpu) / float64(n)
	if s.hasSQL() {
		res.Figures["SQL each"] = u.sql / float64(n)
	}
	res.busy("", &a.Span, "")
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
	return 30 * time.Second
}

func (s *server) hasSQL() bool { return s.sql != nil || s.ops > 0 }

// came is how many people had come in.
func came(a *rehearse.Arrival, n int) string {
	if a == nil { // the loader itself could not go on
		return "nobody knows how many of " + thousands(n)
	}
	return thousands(a.People) + " of " + thousands(n)
}

// arrived notes how people came in.
func (r *result) arrived(a *rehearse.Arrival) {
	r.Figures["p50, s"] = a.Times.Quantile(0.5).Seconds()
	r.Figures["p99, s"] = a.Times.Quantile(0.99).Seconds()
	r.Figures["failed attempts"] = float64(a.Failed)
	r.Figures["most attempts"] = float64(a.Most)
}

// busy notes what the span was limited by; the report tells it.
func (r *result) busy(before string, s *rehearse.Span, after string) {
	r.Figures[before+serverBusy+after] = 100 * s.ServerBusy()
	r.Figures[before+loaderBusy+after] = 100 * s.LoaderBusy()
}

// Names of figures, with something before or after them.
const (
	serverBusy = "server busy, %"
	loaderBusy = "loader busy, %"
)

// unfinished is the figure of a span that did not come to its end: how far it
// was, what it had cost by then.
func (s *server) unfinished(cause error, progress string, u consumed) error {
	text := fmt.Sprintf("not complete in %.0f s: %s", s.b.patience.Seconds(), progress)
	if cause != nil && !errors.Is(cause, rehearse.ErrPatience) {
		text = fmt.Sprintf("%v: %s", cause, progress)
	}
	if s.hasSQL() {
		text += fmt.Sprintf(", %s queries", thousands(int(u.sql)))
	}
	return s.short(errors.New(text))
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
