package rehearse

import (
	"bytes"
	"time"
)

// A Lookout counts what each guest of a crowd is told of one contact, by roster
// pushes and by presence, and how much of all others.
type Lookout struct {
	Sights []Sight // by guest

	crowd   *Crowd
	contact string // bare JID
	last    time.Duration
}

// A Sight is what one guest was told.
type Sight struct {
	Pushes, Presences int    // of the contact
	Subscription      string // of the last push: "to", "remove"
	Available         bool   // by the last presence
	// OtherPushes and OtherPresences are of other contacts.
	OtherPushes, OtherPresences int
}

// Watch begins to count what comes of a contact, in place of whatever looked at
// elements before.
func (c *Crowd) Watch(contact string) *Lookout {
	l := &Lookout{crowd: c, contact: contact, Sights: make([]Sight, len(c.Guests)), last: c.Loop.Now()}
	c.handle = l.took
	return l
}

// Last is when, by the loop's clock, something was counted last.
func (l *Lookout) Last() time.Duration { return l.last }

// Until turns the loop until all guests' sights are right, or patience is over,
// and gives how many are not. It looks every hundredth of a second; Last tells
// when it was so.
func (l *Lookout) Until(patience time.Duration, right func(guest int, s *Sight) bool) (wrong int, err error) {
	for until := l.crowd.Loop.Now() + patience; ; {
		if wrong = l.Wrong(right); wrong == 0 || l.crowd.Loop.Now() > until {
			return wrong, nil
		}
		if err := l.crowd.Stay(10 * time.Millisecond); err != nil {
			return wrong, err
		}
	}
}

// Wrong is how many guests' sights are not right.
func (l *Lookout) Wrong(right func(guest int, s *Sight) bool) (wrong int) {
	for i := range l.Sights {
		if !right(i, &l.Sights[i]) {
			wrong++
		}
	}
	return wrong
}

func (l *Lookout) took(g *Guest, el []byte) error {
	s := &l.Sights[g.index]
	switch {
	case el[1] == 'p':
		bare, _, _ := bytes.Cut(attr(el, "from"), []byte("/"))
		if string(bare) == g.Person.JID() {
			return nil
		}
		if string(bare) != l.contact {
			s.OtherPresences++
			return nil
		}
		s.Presences++
		s.Available = attr(el, "type") == nil
	case named(el, "iq") && string(attr(el, "type")) == "set":
		item := bytes.Index(el, []byte("<item "))
		if item < 0 {
			return nil
		}
		if string(attr(el[item:], "jid")) != l.contact {
			s.OtherPushes++
			return nil
		}
		s.Pushes++
		s.Subscription = string(attr(el[item:], "subscription"))
	default:
		return nil
	}
	l.last = l.crowd.Loop.Now()
	return nil
}
