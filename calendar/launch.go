package calendar

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Limits of a preview.
const (
	PreviewDays = 31      // how far a preview looks
	MaxInvitees = 1000000 // people of one launch
	maxRivals   = 1000
	minutes     = PreviewDays * 24 * 60
)

// Invitee is somebody of the audience of a launch.
type Invitee struct {
	Due time.Time // of the wave, see [Schedule.Due]
	// Rules of the person, with the zone; nil is none of his own. People with
	// the same rules should share them: each is worked out once.
	Rules    *Rules
	Contacts []time.Time // other contacts, see [Cap.Earliest]
	Channel  Channel     // "" is Email
	Excluded string      // why he is not invited, in words; "" if he is
}

// Rival is another campaign that sends at the same time.
type Rival struct {
	Weight  float64
	Rate    float64 // a second; 0 is no limit of its own
	Waiting int
}

// Launch is what a preview is worked out from.
type Launch struct {
	Now    time.Time // nothing goes out before
	People []Invitee
	Org    Rules
	Cap    Cap
	Rate   float64 // invitations a second of this campaign; 0 is no limit
	Burst  float64 // of its bucket
	All    float64 // invitations a second of all campaigns; 0 is no limit
	Weight float64 // against rivals; 0 is 1
	Rivals []Rival
	// Pace is the part of the rates that the chat is expected to leave, see
	// [Pace]; 0 is all of it.
	Pace     float64
	Valid    int // hours, as in Schedule
	Capacity int // conversations at once that were measured; 0: not measured
	History  History
}

func (l *Launch) validate() error {
	switch {
	case len(l.People) > MaxInvitees:
		return fmt.Errorf("%d people are too many for one launch: at most %d", len(l.People), MaxInvitees)
	case len(l.Rivals) > maxRivals:
		return fmt.Errorf("%d campaigns at once are too many: at most %d", len(l.Rivals), maxRivals)
	case !(l.Rate >= 0 && l.Rate <= MaxRate) || !(l.All >= 0 && l.All <= MaxRate) || !(l.Burst >= 0 && l.Burst <= MaxBurst):
		return fmt.Errorf("rates are 0 to %g a second", float64(MaxRate))
	case !(l.Weight >= 0) || !(l.Pace >= 0 && l.Pace <= 1):
		return errors.New("the weight is 0 or more and the pace from 0 to 1")
	}
	if err := l.Cap.Validate(); err != nil {
		return err
	}
	return l.History.Validate()
}

// waiting is somebody who has a place in the queue.
type waiting struct {
	due  time.Time
	from int32 // of People
}

// class are people with the same rules: they may be contacted at the same times.
type class struct {
	rules  Rules
	zone   string
	queue  []waiting // by due
	wake   time.Time // not before
	opened time.Time // permitted since; who was due before is due then
	closes time.Time // and until
}

// due is when the first of the queue is due.
func (c *class) due() time.Time {
	if due := c.queue[0].due; due.After(c.opened) {
		return due
	}
	return c.opened
}

// sent is how a launch goes out.
type sent struct {
	begin    time.Time // minute 0
	at       []int32   // minute by person; -1 not within the days looked at, -2 excluded
	last     time.Time // when the last one is out
	inAll    int       // how many go out
	beyond   int       // how many do not within PreviewDays
	late     int       // how many go out later than they are valid
	classOf  []int32
	classes  []*class
	excluded map[string]int
	deferred map[string]int
}

// dues works out for everybody when he is due after all rules and caps.
func (l *Launch) dues() (*sent, error) {
	s := &sent{at: make([]int32, len(l.People)), classOf: make([]int32, len(l.People)), excluded: map[string]int{}, deferred: map[string]int{}}
	type key struct {
		rules *Rules
		due   time.Time
	}
	type answer struct {
		due time.Time
		why string
		err error
	}
	known, numbers := map[key]answer{}, map[*Rules]int32{}
	for i := range l.People {
		p := &l.People[i]
		n, ok := numbers[p.Rules]
		if !ok {
			c := &class{}
			if p.Rules != nil {
				c.rules = *p.Rules
			}
			c.zone = ZoneOf(l.Org, c.rules).String()
			n = int32(len(s.classes))
			s.classes = append(s.classes, c)
			numbers[p.Rules] = n
		}
		s.classOf[i] = n
		if p.Excluded != "" {
			s.at[i] = -2
			s.excluded[p.Excluded]++
			continue
		}
		c := s.classes[n]
		t := p.Due
		if t.Before(l.Now) {
			t = l.Now
		}
		k := key{p.Rules, t.UTC()}
		a, ok := known[k]
		if !ok || len(p.Contacts) > 0 && l.Cap.N > 0 {
			a.due, a.why, a.err = Due(t, l.Org, c.rules, l.Cap, p.Contacts)
			if len(p.Contacts) == 0 {
				known[k] = a
			}
		}
		if a.err != nil {
			if !errors.Is(a.err, ErrNever) {
				return nil, a.err
			}
			s.at[i] = -2
			s.excluded[a.err.Error()]++
			continue
		}
		if a.why != "" {
			s.deferred[a.why]++
		}
		c.queue = append(c.queue, waiting{a.due, int32(i)})
		if s.begin.IsZero() || a.due.Before(s.begin) {
			s.begin = a.due
		}
	}
	s.begin = s.begin.UTC().Truncate(time.Minute)
	for _, c := range s.classes {
		slices.SortStableFunc(c.queue, func(a, b waiting) int { return a.due.Compare(b.due) })
	}
	return s, nil
}

// classes in a heap: by when they wake, or by who is due first.
type classHeap struct {
	list  []*class
	awake bool
}

func (h *classHeap) Len() int      { return len(h.list) }
func (h *classHeap) Swap(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *classHeap) Less(i, j int) bool {
	a, b := h.list[i], h.list[j]
	if !h.awake {
		return a.wake.Before(b.wake)
	}
	// Of equals who waits longer, and then by zone: not by chance.
	if c := cmp.Or(a.due().Compare(b.due()), a.queue[0].due.Compare(b.queue[0].due)); c != 0 {
		return c < 0
	}
	return a.zone < b.zone
}
func (h *classHeap) Push(x any) { h.list = append(h.list, x.(*class)) }
func (h *classHeap) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}

// send goes through the minutes: who is due and permitted goes out in the order
// of dues as far as rates allow; whom the quiet hours catch in the queue waits
// for their end.
func (l *Launch) send(s *sent) {
	asleep, awake := &classHeap{}, &classHeap{awake: true}
	left := 0
	for _, c := range s.classes {
		if len(c.queue) > 0 {
			c.wake = c.queue[0].due
			left += len(c.queue)
			asleep.list = append(asleep.list, c)
		}
	}
	heap.Init(asleep)
	flow := newFlow(l)
	valid := l.Valid
	if valid <= 0 {
		valid = DefaultValid
	}
	for m := 0; m < minutes && left > 0; m++ {
		t := s.begin.Add(time.Duration(m) * time.Minute)
		end := t.Add(time.Minute)
		for asleep.Len() > 0 && asleep.list[0].wake.Before(end) {
			heap.Push(awake, heap.Pop(asleep))
		}
		quota, out := flow.minute(awake.Len() > 0), 0
		for out < quota && awake.Len() > 0 {
			c := awake.list[0]
			if l.rest(c, t, end) {
				heap.Push(asleep, heap.Pop(awake))
				continue
			}
			due, who := c.due(), c.queue[0].from
			c.queue = c.queue[1:]
			s.at[who] = int32(m)
			if t.Sub(due) > time.Duration(valid)*time.Hour {
				s.late++
			}
			out++
			if left--; len(c.queue) == 0 {
				heap.Pop(awake)
			} else {
				heap.Fix(awake, 0)
			}
		}
		flow.used(out)
		if out > 0 {
			s.inAll += out
			part := math.Min(1, float64(out)/math.Max(1, flow.rate))
			s.last = t.Add(time.Duration(part * float64(time.Minute)))
		}
	}
	s.beyond = left
	for _, c := range s.classes {
		for _, w := range c.queue {
			s.at[w.from] = -1
		}
	}
}

// rest tells whether nobody of a class may be contacted in this minute, and
// sets when it is to be looked at again.
func (l *Launch) rest(c *class, t, end time.Time) bool {
	due := c.queue[0].due
	if !due.Before(end) {
		c.wake = due
		return true
	}
	if t.Before(due) {
		t = due
	}
	if t.Before(c.closes) {
		return false
	}
	open, _, err := Earliest(t, l.Org, c.rules)
	if err != nil {
		c.wake = t.AddDate(0, 0, PreviewDays+1)
		return true
	}
	c.opened, c.closes = open, openUntil(open, l.Org, c.rules)
	c.wake = open
	return !open.Before(end)
}

// openUntil is when the time that is permitted at an instant ends, or some
// days later if it does not.
func openUntil(at time.Time, org, person Rules) time.Time {
	zone := ZoneOf(org, person)
	at = at.In(zone)
	limit := at.AddDate(0, 0, 2)
	for at.Before(limit) {
		_, second := wall(at, zone)
		next := daySeconds
		for _, list := range [][]Quiet{org.Quiet, person.Quiet} {
			for _, q := range list {
				if from := int(q.From) * 60; from > second && from < next {
					next = from
				}
			}
		}
		then := time.Unix(at.Unix()+int64(next-second), 0).In(zone)
		if _, end := at.ZoneBounds(); !end.IsZero() && end.Before(then) {
			then = end.In(zone)
		}
		at = then
		day, second := wall(at, zone)
		if cause, _ := blocked(int64(day), int64(second), org, person); cause != "" {
			break
		}
	}
	return at
}

// flow is what rates allow minute by minute.
type flow struct {
	own, all, burst, weight float64 // a minute
	rivals                  []Rival
	rate                    float64 // of the minute
	tokens                  float64
}

func newFlow(l *Launch) *flow {
	pace := l.Pace
	if pace == 0 {
		pace = 1
	}
	rate := func(r float64) float64 {
		if r == 0 {
			r = MaxRate
		}
		return r * 60 * pace
	}
	f := &flow{own: rate(l.Rate), all: rate(l.All), burst: l.Burst, weight: within(l.Weight, 0.001, 1000)}
	if l.Weight == 0 {
		f.weight = 1
	}
	for _, r := range l.Rivals {
		if r.Waiting > 0 {
			f.rivals = append(f.rivals, Rival{within(r.Weight, 0.001, 1000), rate(within(r.Rate, 0, MaxRate)), r.Waiting})
		}
	}
	f.tokens = f.burst
	return f
}

// minute is how many may go out in the next minute. Rivals send too: the rate
// of all is shared by weight, and what one cannot use the others get.
func (f *flow) minute(active bool) int {
	f.rate = f.share(active)
	f.tokens = math.Min(f.tokens+f.rate, f.rate+math.Max(1, f.burst))
	return int(f.tokens + 1e-9)
}

func (f *flow) used(n int) { f.tokens = math.Max(0, f.tokens-float64(n)) }

// share divides a minute's rate of all (water filling).
func (f *flow) share(active bool) float64 {
	type part struct{ want, weight, got float64 }
	parts := []part{{math.Min(f.own, f.all), f.weight, 0}}
	if !active {
		parts[0].want = 0
	}
	for _, r := range f.rivals {
		parts = append(parts, part{math.Min(r.Rate, float64(r.Waiting)), r.Weight, 0})
	}
	left := f.all
	for range parts {
		weight := 0.0
		for _, p := range parts {
			if p.got < p.want {
				weight += p.weight
			}
		}
		if weight == 0 || left < 1e-9 {
			break
		}
		given := 0.0
		for i := range parts {
			if p := &parts[i]; p.got < p.want {
				more := math.Min(p.want-p.got, left*p.weight/weight)
				p.got += more
				given += more
			}
		}
		left -= given
	}
	kept := f.rivals[:0]
	for i, r := range f.rivals {
		if r.Waiting -= int(math.Ceil(parts[i+1].got)); r.Waiting > 0 {
			kept = append(kept, r)
		}
	}
	f.rivals = kept
	return parts[0].got
}
