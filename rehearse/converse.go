package rehearse

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Conversations are people who talk to accounts that answer: the first half of
// a crowd says something, the second half answers, each to the person with the
// same place in the other half. Besides, people come to talk and go again: they
// sign in by a new stream and close it. All of it at a rate that does not ask
// whether the server keeps up (open model); times count from the planned one.
type Conversations struct {
	Crowd *Crowd // signed in with Wishes.Manage; an even number
	Body  int    // bytes of a message
	// Visits is how many people sign in and leave for each exchange.
	Visits float64

	asked   map[uint64]time.Duration // planned; by number, what is not answered
	next    uint64
	visits  float64 // due, less than one
	visitor int
	inside  int // visitors who are not done
	pace    *Pace
	body    string
}

// A Pace is how the server kept up with one rate.
type Pace struct {
	Span
	Planned  int // exchanges
	Answered int // of those that were planned in the span, and of those before
	Open     int // not answered at its end
	Refused  int // messages that came back as errors, visitors who were not let in
	Late     time.Duration
	Times    Histogram // from the planned time to the answer
}

// mostInside bounds the visitors at a time: more are refused by us.
const mostInside = 500

// Step keeps to a rate of exchanges per second for a while. judge, when it is
// not nil, is asked now and then whether to end before. Late is how far the
// loader itself was behind at worst.
func (c *Conversations) Step(rate float64, length time.Duration, judge func() (over bool)) (*Pace, error) {
	if c.asked == nil {
		c.asked, c.body = map[uint64]time.Duration{}, strings.Repeat("x", c.Body)
	}
	crowd := c.Crowd
	crowd.handle = c.handle
	defer func() { crowd.handle = nil }()
	c.pace = &Pace{}
	var err error
	if c.pace.Span, err = begin(crowd.PIDs); err != nil {
		return nil, err
	}
	step := time.Duration(float64(time.Second) / rate)
	next := crowd.Loop.Now()
	until := next + length
	for now := next; now < until; now = crowd.Loop.Now() {
		c.pace.Late = max(c.pace.Late, now-next)
		for ; next <= now; next += step {
			if err := c.ask(next); err != nil {
				return nil, err
			}
		}
		if judge != nil && judge() {
			break
		}
		if err := crowd.turn(min(next-now, 5*time.Millisecond)); err != nil {
			return nil, err
		}
	}
	c.pace.Open = len(c.asked)
	return c.pace, c.pace.end()
}

// Drain waits until all is answered, or patience ends; what is not is
// forgotten, and counted.
func (c *Conversations) Drain(patience time.Duration) (lost int, err error) {
	c.Crowd.handle = c.handle
	defer func() { c.Crowd.handle = nil }()
	for until := c.Crowd.Loop.Now() + patience; (len(c.asked) > 0 || c.inside > 0) && c.Crowd.Loop.Now() < until; {
		if err := c.Crowd.turn(5 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	lost = len(c.asked)
	clear(c.asked)
	return lost, nil
}

// ask has the next person say something, and lets in who is due.
func (c *Conversations) ask(planned time.Duration) error {
	half := len(c.Crowd.Guests) / 2
	at := int(c.next % uint64(half))
	c.asked[c.next] = planned
	c.pace.Planned++
	c.say(c.Crowd.Guests[at], c.Crowd.Guests[half+at].JID, strconv.AppendUint([]byte{'q'}, c.next, 10))
	c.next++
	for c.visits += c.Visits; c.visits >= 1; c.visits-- {
		if err := c.visit(); err != nil {
			return err
		}
	}
	return nil
}

// say sends a message as clients do. to is as it stands in an attribute.
func (c *Conversations) say(g *Guest, to string, id []byte) {
	b := append(g.line.Buffer(), "<message xmlns='jabber:client' type='chat' to='"...)
	b = append(append(b, to...), "' id='"...)
	b = append(append(b, id...), "'><body>"...)
	b = append(append(b, c.body...), "</body></message>"...)
	g.line.Sent(b)
	g.sent++
}

func (c *Conversations) handle(g *Guest, el []byte) error {
	if !named(el, "message") {
		return nil
	}
	id := attr(el, "id")
	if len(id) < 2 {
		return fmt.Errorf("%s got %.300s", g.Person.Local, el)
	}
	n, _ := number(id[1:])
	switch {
	case string(attr(el, "type")) == "error":
		c.pace.Refused++
		delete(c.asked, n)
	case id[0] == 'q':
		c.say(g, string(attr(el, "from")), append([]byte{'r'}, id[1:]...))
	case id[0] == 'r':
		if planned, open := c.asked[n]; open {
			delete(c.asked, n)
			c.pace.Answered++
			c.pace.Times.Add(c.Crowd.Loop.Now() - planned)
		}
	}
	return nil
}

// visit has somebody sign in by a new stream and close it.
func (c *Conversations) visit() error {
	if c.inside >= mostInside {
		c.pace.Refused++
		return nil
	}
	line, err := c.Crowd.Loop.Dial(c.Crowd.Address)
	if err != nil {
		return err
	}
	c.visitor = (c.visitor + 1) % (len(c.Crowd.Guests) / 2)
	l := &login{person: c.Crowd.Guests[c.visitor].Person}
	done := false
	c.inside++
	line.Connected = func() { line.Send(l.begin()) }
	line.Element = func(el []byte) error {
		if done || bytes.HasPrefix(el, []byte("</")) {
			return nil
		}
		out, bound, _, err := l.next(el)
		for _, b := range out {
			line.Send(b)
		}
		if bound && err == nil {
			done = true
			line.SendString("</stream:stream>")
		}
		return err
	}
	line.Lost = func(error) {
		if c.inside--; !done {
			c.pace.Refused++
		}
	}
	return nil
}

// errPairs: nobody would answer.
var errPairs = errors.New("conversations want an even number of people, at least two")

// Pair signs people in for conversations.
func (c *Conversations) Pair(people []*Person, inFlight int) error {
	if len(people) < 2 || len(people)%2 != 0 {
		return errPairs
	}
	c.Crowd.Wishes = Wishes{Manage: true}
	_, err := c.Crowd.SignIn(people, inFlight)
	return err
}
