package rehearse

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Guest is a person with a line.
type Guest struct {
	Person *Person
	JID    string // full, once signed in

	crowd    *Crowd
	index    int
	line     *Line
	login    *login
	dialed   time.Duration
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

	// handle gets the elements that come to guests who are signed in.
	handle  func(g *Guest, el []byte) error
	failed  error
	arrived int
	talks   int
	times   *Histogram
}

// Arrival says how a crowd came in.
type Arrival struct {
	Span
	People int
	Times  Histogram // from connecting to the last answer
}

// Rate is people per second.
func (a *Arrival) Rate() float64 { return float64(a.People) / a.Length.Seconds() }

// SignIn signs people in, inFlight at a time, each as soon as another is done.
func (c *Crowd) SignIn(people []*Person, inFlight int) (*Arrival, error) {
	fresh := make([]*Guest, len(people))
	for i, p := range people {
		fresh[i] = &Guest{Person: p, crowd: c, index: len(c.Guests) + i}
	}
	c.Guests = append(c.Guests, fresh...)
	return c.enter(fresh, inFlight, func(g *Guest) *login { return &login{person: g.Person, wishes: c.Wishes} })
}

// CutOff breaks all lines at once, as a network does: without a word.
func (c *Crowd) CutOff() {
	for _, g := range c.Guests {
		g.line.Cut()
	}
}

// Resume brings everybody back who was cut off, by resumption (XEP-0198 §5).
func (c *Crowd) Resume(inFlight int) (*Arrival, error) {
	return c.enter(c.Guests, inFlight, func(g *Guest) *login {
		return &login{person: g.Person, wishes: c.Wishes, resumeID: g.smID, handled: g.received}
	})
}

func (c *Crowd) enter(guests []*Guest, inFlight int, how func(*Guest) *login) (a *Arrival, err error) {
	a = &Arrival{People: len(guests)}
	c.failed, c.arrived, c.times = nil, 0, &a.Times
	if a.Span, err = begin(c.PIDs); err != nil {
		return nil, err
	}
	last := c.Loop.Now()
	for next, before := 0, 0; c.arrived < len(guests); {
		for ; next < len(guests) && next-c.arrived < inFlight; next++ {
			if err := c.dial(guests[next], how(guests[next])); err != nil {
				return nil, err
			}
		}
		if err := c.Loop.Turn(time.Second); err != nil {
			return nil, err
		}
		if c.failed != nil {
			return nil, c.failed
		}
		now := c.Loop.Now()
		if c.arrived != before {
			before, last = c.arrived, now
		}
		if now-last > 30*time.Second {
			return nil, fmt.Errorf("nobody could sign in for 30 s, after %d of %d", c.arrived, len(guests))
		}
	}
	return a, a.end()
}

func (c *Crowd) dial(g *Guest, l *login) error {
	line, err := c.Loop.Dial(c.Address)
	if err != nil {
		return err
	}
	g.line, g.login, g.dialed = line, l, c.Loop.Now()
	line.Connected = func() { line.Send(l.begin()) }
	line.Lost = func(err error) {
		c.failed = errors.Join(c.failed, fmt.Errorf("%s lost the server: %w", g.Person.Local, err))
	}
	line.Element = g.element
	return nil
}

// element takes what comes to a guest.
func (g *Guest) element(el []byte) error {
	if g.login == nil {
		return g.crowd.took(g, el)
	}
	if g.login.smID != "" && stanzaLike(el) {
		g.received++
	}
	out, done, err := g.login.next(el)
	if err != nil {
		return err
	}
	for _, b := range out {
		g.line.Send(b)
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
	if l.resumeID != "" {
		return
	}
	g.JID, g.smID = l.jid, l.smID
	if l.wishes.Presence {
		g.sent = 1
	}
}

// stanzaLike reports whether el counts for stream management.
func stanzaLike(el []byte) bool {
	return named(el, "message") || named(el, "presence") || named(el, "iq")
}

// took handles what comes after the sign-in.
func (c *Crowd) took(g *Guest, el []byte) error {
	switch {
	case stanzaLike(el):
		g.received++
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
		if err := c.Loop.Turn(min(left, time.Second)); err != nil {
			return err
		}
		if c.failed != nil {
			return c.failed
		}
	}
}
