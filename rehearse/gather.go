package rehearse

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Name is the name of person number i of a crowd whose people count each
// other: from it, its presence is known again without a look-up.
func Name(i int) string { return fmt.Sprintf("p%05d", i) }

// A Gathering is a crowd in groups of one size, in which everyone is to see
// everybody else of the group: guests 0 to Size-1 are the first group, and so
// on. People are named by Name.
type Gathering struct {
	Crowd *Crowd
	Size  int
	// Patience ends a run that is not complete after so long.
	Patience time.Duration

	mark  []byte   // what a presence that counts has behind its own tag
	seen  []uint64 // for each guest, a bit for each of the group
	words int      // of seen, for a guest
	left  int      // pairs that have not met
	came  uint64   // presences of any kind, repeated ones as well
	fault error
}

// A Meeting is how long it took until everyone had seen everyone.
type Meeting struct {
	Span                      // from the first connect, or change, until complete or given up
	Pairs, Seen int           // of (viewer, seen); Seen is Pairs when it is complete
	Came        uint64        // presences that came, repeated and other ones too
	Bytes       uint64        // that came, sign-ins and rosters too
	Arrival     *Arrival      // nil for a change
	SignedIn    time.Duration // when the last one was signed in; 0: not all were
}

// Complete reports whether everyone has seen everyone.
func (m *Meeting) Complete() bool { return m.Seen == m.Pairs }

// begin forgets who has seen whom. An available presence counts whose children
// contain mark.
func (g *Gathering) begin(guests int, mark string) (*Meeting, error) {
	if g.Size < 2 || guests%g.Size != 0 {
		return nil, fmt.Errorf("%d people are no groups of %d", guests, g.Size)
	}
	g.words = (g.Size + 63) / 64
	g.seen = make([]uint64, g.words*guests)
	g.mark, g.came, g.fault = []byte(mark), 0, nil
	g.left = guests * (g.Size - 1)
	g.Crowd.handle = g.took
	return &Meeting{Pairs: g.left}, nil
}

// Connect lets everybody connect at once, and waits until everyone has seen
// everyone. That it is not complete in time is no error, but told.
func (g *Gathering) Connect(people []*Person) (*Meeting, error) {
	return g.connect(g.Crowd.invite(people))
}

// Return is Connect for those who were there before.
func (g *Gathering) Return() (*Meeting, error) { return g.connect(g.Crowd.Guests) }

func (g *Gathering) connect(guests []*Guest) (m *Meeting, err error) {
	if m, err = g.begin(len(guests), ""); err != nil {
		return nil, err
	}
	c := g.Crowd
	start, bytes := c.Loop.Now(), c.Loop.bytes
	until := start + g.Patience
	if m.Span, err = begin(c.PIDs); err != nil {
		return nil, err
	}
	m.Arrival, err = c.enter(entry{guests: guests, inFlight: len(guests), how: c.fresh, patience: g.Patience})
	if err == nil {
		m.SignedIn = c.Loop.Now() - start
		err = g.wait(until)
	}
	m.Bytes = c.Loop.bytes - bytes
	return m, errors.Join(g.end(m), err)
}

// Change lets everybody change the show at once, and waits until everyone has
// seen everyone's. Each call needs another show.
func (g *Gathering) Change(show string) (m *Meeting, err error) {
	c := g.Crowd
	if m, err = g.begin(len(c.Guests), "<show>"+show+"</show>"); err != nil {
		return nil, err
	}
	start, bytes := c.Loop.Now(), c.Loop.bytes
	if m.Span, err = begin(c.PIDs); err != nil {
		return nil, err
	}
	p := presence(show, c.Wishes.Caps)
	for _, guest := range c.Guests {
		guest.line.SendString(p)
		guest.sent++
	}
	err = g.wait(start + g.Patience)
	m.Bytes = c.Loop.bytes - bytes
	return m, errors.Join(g.end(m), err)
}

func (g *Gathering) wait(until time.Duration) error {
	for g.left > 0 && g.fault == nil {
		left := until - g.Crowd.Loop.Now()
		if left <= 0 {
			return nil
		}
		if err := g.Crowd.turn(min(left, time.Second)); err != nil {
			return err
		}
	}
	return g.fault
}

// end closes the books of a meeting.
func (g *Gathering) end(m *Meeting) error {
	m.Seen, m.Came = m.Pairs-g.left, g.came
	g.Crowd.handle = nil
	return m.end()
}

// took is called for each element; millions are presences.
func (g *Gathering) took(guest *Guest, el []byte) error {
	if el[1] != 'p' {
		return nil
	}
	g.came++
	head := bytes.IndexByte(el, '>')
	n, ok := author(el[:head])
	if !ok {
		return nil
	}
	if len(g.mark) > 0 && !bytes.Contains(el[head:], g.mark) {
		return nil
	}
	first := guest.index / g.Size * g.Size
	if n -= first; n < 0 || n >= g.Size {
		g.fault = fmt.Errorf("%s got the presence of a stranger: %.300s", guest.Person.Local, el)
		return g.fault
	}
	if n+first == guest.index {
		return nil // our own
	}
	word, bit := &g.seen[guest.index*g.words+n/64], uint64(1)<<(n%64)
	if *word&bit == 0 {
		*word |= bit
		g.left--
	}
	return nil
}

// author is the number of the person whose available presence this is, by the
// tag that begins it; not ok: unavailable, a request, or nobody's.
func author(tag []byte) (n int, ok bool) {
	at := bytes.Index(tag, []byte(" from="))
	if at < 0 || bytes.Contains(tag, []byte(" type=")) || at+8 > len(tag) || tag[at+7] != 'p' {
		return 0, false
	}
	b := tag[at+8:]
	for ; len(b) > 0 && b[0] >= '0' && b[0] <= '9' && n < 1<<30; b = b[1:] {
		n = n*10 + int(b[0]-'0')
	}
	return n, len(b) > 0 && b[0] == '@'
}

// Missing names somebody who has not been seen by somebody, for a log; "" when
// it is complete.
func (g *Gathering) Missing() string {
	for i, guest := range g.Crowd.Guests {
		first := i / g.Size * g.Size
		for n := range g.Size {
			if first+n != i && g.seen[i*g.words+n/64]&(1<<(n%64)) == 0 {
				return guest.Person.Local + " has not seen " + Name(first+n) + ", and " + strconv.Itoa(g.left-1) + " more pairs"
			}
		}
	}
	return ""
}
