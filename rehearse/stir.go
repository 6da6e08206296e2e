package rehearse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// A Stir is a crowd in groups of one size, guests 0 to Size-1 and so on, whose
// people change their presence again and again, each change with a number and
// the show that belongs to it. It is its own model: what every viewer was told
// last of everybody in the group is held against what they said last.
// People's names end in their number, as Name gives them.
type Stir struct {
	Crowd *Crowd
	Size  int
	Rate  float64 // changes a second, by random people, whatever becomes of them

	// Came counts presences of others, and Backlog has how many pairs of a
	// viewer and another did not see as it was, by the hundredth of a second of
	// the loop's time.
	// Made counts the changes that were sent, likewise: fewer than Rate says
	// when the loader cannot keep up.
	Came    []uint32
	Made    []uint32
	Backlog []int
	// Times are from a change until it is seen, of those that are seen before
	// the next one of the same person.
	Times Histogram
	// Disordered counts presences older than what had come before.
	Disordered int
	Changes    int

	said   []uint32 // by guest: the number of the last change
	at     []time.Duration
	right  []int // by guest: how many others have seen the last change
	view   []uint32
	wrong  int // pairs of a viewer and one who was not seen as they are
	random *rand.Rand
}

// What a view holds beside the number of a change.
const (
	viewNothing = 1<<32 - 1 - iota
	viewGone
	viewCoarse // available, and nothing else is told
)

var shows = [...]string{"away", "dnd", "xa", "chat"}

// tick is the width of one count of Came.
const tick = 10 * time.Millisecond

// Enter lets more people sign in, inFlight at a time, and waits until everyone
// sees everyone as they are.
func (s *Stir) Enter(people []*Person, inFlight int, patience time.Duration) error {
	c := s.Crowd
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(5, 6))
	}
	s.expect(len(people))
	c.handle = s.took
	if _, err := c.SignIn(people, inFlight); err != nil {
		return err
	}
	return s.Settle(patience)
}

// expect makes room for so many more, whom nobody has seen.
func (s *Stir) expect(people int) {
	before := len(s.said)
	for i := before; i < before+people; i++ {
		s.wrong += 2 * (i % s.Size)
		s.said, s.at, s.right = append(s.said, 0), append(s.at, 0), append(s.right, 0)
		for range s.Size {
			s.view = append(s.view, viewNothing)
		}
	}
}

// Run has people change for a while, or until stop is closed.
func (s *Stir) Run(d time.Duration, stop <-chan struct{}) error {
	c := s.Crowd
	c.handle = s.took
	step := time.Duration(float64(time.Second) / max(s.Rate, 1e-3))
	next := c.Loop.Now() + step
	for until := c.Loop.Now() + d; ; {
		now := c.Loop.Now()
		s.note(now)
		select {
		case <-stop:
			return nil
		default: // a nil channel is never ready
		}
		if now >= until {
			return nil
		}
		for ; s.Rate > 0 && next <= now; next += step {
			s.change(c.Guests[s.random.IntN(len(c.Guests))], next)
			s.Made[now/tick]++
		}
		wait := min(until-now, 20*time.Millisecond)
		if s.Rate > 0 {
			wait = min(wait, next-now)
		}
		if err := c.turn(wait); err != nil {
			return err
		}
	}
}

// Settle waits until everyone sees everyone as they are; an error names a pair
// that does not.
func (s *Stir) Settle(patience time.Duration) error {
	c := s.Crowd
	c.handle = s.took
	for until := c.Loop.Now() + patience; s.wrong > 0; {
		if c.Loop.Now() > until {
			return fmt.Errorf("after %v %d pairs do not see each other as they are: %s", patience, s.wrong, s.missing())
		}
		if err := c.turn(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// CameBetween is how many presences came between two times of the loop's clock.
func (s *Stir) CameBetween(from, to time.Duration) int { return between(s.Came, from, to) }

// MadeBetween is how many changes were sent between two times.
func (s *Stir) MadeBetween(from, to time.Duration) int { return between(s.Made, from, to) }

func between(counts []uint32, from, to time.Duration) (sum int) {
	for i := int(from / tick); i < int(to/tick) && i < len(counts); i++ {
		sum += int(counts[i])
	}
	return sum
}

// note begins the counts of a time.
func (s *Stir) note(now time.Duration) {
	for len(s.Came) <= int(now/tick) {
		s.Came, s.Made, s.Backlog = append(s.Came, 0), append(s.Made, 0), append(s.Backlog, s.wrong)
	}
	s.Backlog[now/tick] = s.wrong
}

// Waited is the most pairs that did not see as it was, between two times.
func (s *Stir) Waited(from, to time.Duration) (most int) {
	for i := int(from / tick); i < int(to/tick) && i < len(s.Backlog); i++ {
		most = max(most, s.Backlog[i])
	}
	return most
}

// Caught is when, after a time, no more pairs did not see as it was than most;
// false: never.
func (s *Stir) Caught(after time.Duration, most int) (time.Duration, bool) {
	for i := int(after/tick) + 1; i < len(s.Backlog); i++ {
		if s.Backlog[i] <= most {
			return time.Duration(i+1) * tick, true
		}
	}
	return 0, false
}

// change is the next change of one person.
func (s *Stir) change(g *Guest, planned time.Duration) {
	i := g.index
	s.said[i]++
	s.at[i] = planned
	s.wrong += s.right[i]
	s.right[i] = 0
	s.Changes++
	b := append(g.line.Buffer(), "<presence xmlns='jabber:client'><show>"...)
	b = append(append(b, shows[s.said[i]%4]...), "</show><status>"...)
	b = strconv.AppendUint(b, uint64(s.said[i]), 10)
	g.line.Sent(append(b, "</status></presence>"...))
	g.sent++
}

// took is called for each element; millions are presences.
func (s *Stir) took(g *Guest, el []byte) error {
	if el[1] != 'p' {
		return nil
	}
	head := bytes.IndexByte(el, '>')
	n, gone, ok := about(el[:head])
	if !ok {
		return fmt.Errorf("%s got %.300s", g.Person.Local, el)
	}
	if n == g.index {
		return nil // our own
	}
	if n/s.Size != g.index/s.Size || n >= len(s.said) {
		return fmt.Errorf("%s got the presence of a stranger: %.300s", g.Person.Local, el)
	}
	now := s.Crowd.Loop.Now()
	s.note(now)
	s.Came[now/tick]++
	told, err := s.read(el[head+1:], gone)
	if err != nil {
		return fmt.Errorf("%s got %.300s: %w", g.Person.Local, el, err)
	}
	view := &s.view[g.index*s.Size+n%s.Size]
	before := *view
	*view = told
	if before < viewCoarse && told < before {
		s.Disordered++
	}
	switch said := s.said[n]; {
	case told == said && before != said:
		s.right[n]++
		s.wrong--
		if said > 0 {
			s.Times.Add(now - s.at[n])
		}
	case told != said && before == said:
		s.right[n]--
		s.wrong++
	}
	return nil
}

// read tells which change a presence is of, by what it contains.
func (s *Stir) read(body []byte, gone bool) (uint32, error) {
	if gone {
		return viewGone, nil
	}
	_, rest, ok := bytes.Cut(body, []byte("<status>"))
	if !ok {
		if bytes.Contains(body, []byte("urn:xmpp:idle:1")) {
			return viewCoarse, nil
		}
		return 0, nil // as it came at the sign-in
	}
	number, _ := number(rest)
	if _, show, _ := bytes.Cut(body, []byte("<show>")); !bytes.HasPrefix(show, []byte(shows[number%4]+"<")) {
		return 0, fmt.Errorf("change %d had show %s", number, shows[number%4])
	}
	return uint32(number), nil
}

// about is the number of the person whose presence this is, by the tag that
// begins it.
func about(tag []byte) (n int, gone, ok bool) {
	if at := bytes.Index(tag, []byte(" type=")); at >= 0 {
		if !bytes.HasPrefix(tag[at+7:], []byte("unavailable")) {
			return 0, false, false
		}
		from := attr(tag, "from")
		if len(from) < 2 {
			return 0, false, false
		}
		number, _ := number(from[1:])
		return int(number), true, true
	}
	n, ok = author(tag)
	return n, false, ok
}

// missing names a pair that is not right.
func (s *Stir) missing() string {
	for i := range s.said {
		first := i / s.Size * s.Size
		for n := first; n < min(first+s.Size, len(s.said)); n++ {
			if view := s.view[i*s.Size+n-first]; n != i && view != s.said[n] {
				return fmt.Sprintf("%s has seen %s of %s, not change %d",
					s.Crowd.Guests[i].Person.Local, viewText(view), s.Crowd.Guests[n].Person.Local, s.said[n])
			}
		}
	}
	return "none"
}

func viewText(view uint32) string {
	switch view {
	case viewNothing:
		return "nothing"
	case viewGone:
		return "the end"
	case viewCoarse:
		return "a coarse presence"
	}
	return "change " + strconv.FormatUint(uint64(view), 10)
}
