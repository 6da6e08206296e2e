package rehearse

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A Guest is a person with a line.
type Guest struct {
	Person *Person
	JID    string // full, once signed in
	// Items is how many contacts the roster had that came last; 0 as well when
	// the server said that the known one is still right.
	Items int

	crowd    *Crowd
	index    int
	line     *Line
	login    *login
	dialed   time.Duration // at first
	attempts int
	version  string // of the roster
	smID     string
	received uint32 // stanzas since stream management was enabled
	sent     uint32 // of ours, likewise
}

// A Crowd is many people who sign in to one server.
type Crowd struct {
	Loop    *Loop
	Address netip.AddrPort
	Wishes  Wishes
	PIDs    []int // processes of the server, for its processor time
	Guests  []*Guest
	// Attempts is how many connections a person may need to sign in: who is
	// cut off or refused tries again after a second or two, as clients do.
	// 0 and 1: the first failure is an error.
	Attempts int
	// Patience is how long to wait for the next one to arrive; 0 is 30 s.
	Patience time.Duration
	// Limit is how long everybody together may need to come in; 0: as long as
	// somebody arrives every now and then.
	Limit time.Duration
	// Stop, when it is closed, ends whatever the crowd does with ErrStopped.
	Stop <-chan struct{}

	// handle gets the elements that come to guests who have a resource.
	handle  func(g *Guest, el []byte) error
	failed  error
	arrived int
	failing int // attempts that failed
	again   []retry
	random  *rand.Rand
	talks   int
	times   *Histogram
}

// retry is somebody who will try again.
type retry struct {
	guest *Guest
	at    time.Duration
	how   func(*Guest) *login
}

// Arrival says how a crowd came in.
type Arrival struct {
	Span
	People int
	Times  Histogram // from connecting first to the last answer
	// Failed is how many attempts failed, Most how many connections the
	// unluckiest needed.
	Failed, Most int
}

// Rate is people per second.
func (a *Arrival) Rate() float64 { return float64(a.People) / a.Length.Seconds() }

// ErrStopped: the crowd was told to stop.
var ErrStopped = errors.New("stopped")

// ErrPatience: not everybody came in, and there was no more time.
var ErrPatience = errors.New("not everybody could sign in")

// SignIn signs people in, inFlight at a time, each as soon as another is done.
func (c *Crowd) SignIn(people []*Person, inFlight int) (*Arrival, error) {
	return c.enter(entry{guests: c.invite(people), inFlight: inFlight, how: c.fresh})
}

// invite makes guests of people.
func (c *Crowd) invite(people []*Person) []*Guest {
	guests := make([]*Guest, len(people))
	for i, p := range people {
		guests[i] = &Guest{Person: p, crowd: c, index: len(c.Guests) + i}
	}
	c.Guests = append(c.Guests, guests...)
	return guests
}

func (c *Crowd) fresh(g *Guest) *login {
	g.smID = ""
	return &login{person: g.Person, wishes: c.Wishes, version: g.version}
}

// CutOff breaks all lines at once, as a network does: without a word.
func (c *Crowd) CutOff() {
	for _, g := range c.Guests {
		if g.line != nil {
			g.line.Cut()
		}
	}
}

// Return brings everybody back by a sign-in with all its parts.
func (c *Crowd) Return(inFlight int) (*Arrival, error) {
	return c.enter(entry{guests: c.Guests, inFlight: inFlight, how: c.fresh})
}

// Resume brings everybody back who was cut off, by resumption (XEP-0198 §5).
func (c *Crowd) Resume(inFlight int) (*Arrival, error) {
	return c.enter(entry{guests: c.Guests, inFlight: inFlight, how: func(g *Guest) *login {
		return &login{person: g.Person, wishes: c.Wishes, resumeID: g.smID, handled: g.received}
	}})
}

// entry is guests who come in.
type entry struct {
	guests   []*Guest
	inFlight int
	how      func(*Guest) *login
	patience time.Duration // for all of it; 0: the crowd's limit
}

func (c *Crowd) enter(e entry) (a *Arrival, err error) {
	guests, how := e.guests, e.how
	a = &Arrival{}
	c.failed, c.arrived, c.failing, c.again, c.times = nil, 0, 0, nil, &a.Times
	if c.random == nil {
		c.random = rand.New(rand.NewPCG(3, 4))
	}
	limit := cmp.Or(e.patience, c.Limit)
	patience := cmp.Or(e.patience, c.Patience, 30*time.Second)
	if a.Span, err = begin(c.PIDs); err != nil {
		return nil, err
	}
	start := c.Loop.Now()
	last := start
	for next, before := 0, 0; c.arrived < len(guests); {
		for ; next < len(guests) && next-c.arrived < e.inFlight; next++ {
			g := guests[next]
			g.attempts, g.dialed = 0, c.Loop.Now()
			if err := c.dial(g, how); err != nil {
				return nil, err
			}
		}
		if err := c.turn(time.Second); err != nil {
			return nil, err
		}
		now := c.Loop.Now()
		if c.arrived != before {
			before, last = c.arrived, now
		}
		if now-last > patience || limit > 0 && now-start > limit {
			err = fmt.Errorf("%w: %d of %d in %.0f s", ErrPatience, c.arrived, len(guests), (now - start).Seconds())
			break
		}
	}
	a.People, a.Failed = c.arrived, c.failing
	for _, g := range guests {
		a.Most = max(a.Most, g.attempts)
	}
	return a, errors.Join(err, a.end())
}

// turn is one turn of the loop, and connects those whose time has come again.
func (c *Crowd) turn(wait time.Duration) error {
	select {
	case <-c.Stop:
		return ErrStopped
	default: // a nil channel is never ready
	}
	now, waiting := c.Loop.Now(), c.again[:0]
	for _, r := range c.again {
		if r.at > now {
			waiting = append(waiting, r)
			wait = min(wait, r.at-now)
		} else if err := c.dial(r.guest, r.how); err != nil {
			return err
		}
	}
	c.again = waiting
	if err := c.Loop.Turn(wait); err != nil {
		return err
	}
	return c.failed
}

func (c *Crowd) dial(g *Guest, how func(*Guest) *login) error {
	line, err := c.Loop.Dial(c.Address)
	if err != nil {
		return err
	}
	g.line, g.login = line, how(g)
	g.attempts++
	line.Connected = func() { line.Send(g.login.begin()) }
	line.Lost = func(err error) {
		c.failing++
		if g.login == nil || g.attempts >= c.Attempts {
			c.failed = errors.Join(c.failed, fmt.Errorf("%s lost the server at connection %d: %w", g.Person.Local, g.attempts, err))
			return
		}
		wait := time.Second + time.Duration(c.random.Int64N(int64(time.Second)))
		c.again = append(c.again, retry{g, c.Loop.Now() + wait, how})
	}
	line.Element = g.element
	return nil
}

// element takes what comes to a guest.
func (g *Guest) element(el []byte) error {
	if g.login == nil {
		return g.crowd.took(g, el)
	}
	out, done, ours, err := g.login.next(el)
	switch {
	case err != nil:
		return err
	case !ours:
		return g.crowd.took(g, el)
	case g.smID != "" && stanzaLike(el):
		g.received++
	case named(el, "enabled"):
		g.smID, g.received, g.sent = g.login.smID, 0, 0
		if g.login.wishes.Presence {
			g.sent = 1
		}
	}
	for _, b := range out {
		g.line.Send(b)
	}
	if named(el, "iq") && string(attr(el, "id")) == "roster" {
		g.Items = g.line.cut.tags
	}
	if done {
		g.arrive()
	}
	return nil
}

func (g *Guest) arrive() {
	c, l := g.crowd, g.login
	g.login = nil
	c.arrived++
	c.times.Add(c.Loop.Now() - g.dialed)
	if l.resumeID == "" {
		g.JID, g.version = l.jid, l.version
	}
}

// stanzaLike reports whether el counts for stream management.
func stanzaLike(el []byte) bool {
	return named(el, "message") || named(el, "presence") || named(el, "iq")
}

// took handles what is no part of a sign-in.
func (c *Crowd) took(g *Guest, el []byte) error {
	switch {
	case named(el, "presence"), named(el, "message"):
		g.received++
	case named(el, "iq"):
		g.received++
		g.pushed(el)
		g.answer(el)
	case named(el, "r"):
		g.line.Send(fmt.Appendf(nil, "<a xmlns='%s' h='%d'/>", smNS, g.received))
		return nil
	case named(el, "a"):
	default:
		return fmt.Errorf("the server sent %.300s", el)
	}
	if c.handle != nil {
		return c.handle(g, el)
	}
	return nil
}

// Stay keeps everybody for a while, and answers what must be answered.
func (c *Crowd) Stay(d time.Duration) error {
	for until := c.Loop.Now() + d; ; {
		left := until - c.Loop.Now()
		if left <= 0 {
			return nil
		}
		if err := c.turn(min(left, time.Second)); err != nil {
			return err
		}
	}
}

// SignOut ends all streams in order (RFC 6120 §4.4) and waits until the server
// has closed them; lines that are open after patience are cut.
func (c *Crowd) SignOut(patience time.Duration) error {
	open := 0
	for _, g := range c.Guests {
		if g.line == nil || g.line.fd < 0 {
			continue
		}
		open++
		g.line.Element = func([]byte) error { return nil }
		g.line.Lost = func(error) { open-- }
		g.line.SendString("<presence xmlns='jabber:client' type='unavailable'/></stream:stream>")
	}
	c.again, c.failed = nil, nil
	for until := c.Loop.Now() + patience; open > 0 && c.Loop.Now() < until; {
		if err := c.turn(100 * time.Millisecond); err != nil {
			return err
		}
	}
	c.CutOff()
	return nil
}
