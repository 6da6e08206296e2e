package calendar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says what makes the waves of a campaign.
type Kind string

const (
	Once      Kind = "once"      // one wave
	Recurring Kind = "recurring" // one wave for each date of a rule
	Tenure    Kind = "milestone" // one wave for each day on which people reach a milestone
)

// Schedule is when a campaign contacts people, before rules, caps and pace.
type Schedule struct {
	Kind  Kind   `json:"kind"`
	Start Moment `json:"start"` // the time of a single wave; where a rule begins; from when milestones count
	// Instant: everybody at the same instant, in the zone that is given to Due,
	// instead of each at that time of his own zone.
	Instant    bool        `json:"instant,omitempty"`
	Rule       string      `json:"rule,omitempty"`  // recurring: RRULE of RFC 5545
	Until      Date        `json:"until,omitempty"` // last date of waves; 0 is without end
	Milestones []Milestone `json:"milestones,omitempty"`
	// Grace is how many days after a milestone those still count who only
	// became known then (a late hire, a late import). 0 to 366.
	Grace int `json:"grace,omitempty"`
	// Valid is for how many hours after it was due an invitation may still go
	// out; 0 is DefaultValid.
	Valid     int        `json:"valid,omitempty"`
	Misfire   Misfire    `json:"misfire,omitempty"` // what happens after that; "" is skip
	Reminders []Distance `json:"reminders,omitempty"`
}

// Limits of a schedule.
const (
	DefaultValid  = 24 // hours
	maxValid      = 24 * 90
	maxReminders  = 10
	maxMilestones = 100
	maxGrace      = 366
	maxTenure     = 100 * 12 // months
)

// Validate says what is wrong with a schedule in one sentence.
func (s *Schedule) Validate() error {
	switch {
	case s.Start.Date < 1 || s.Start.Date > LastDate || s.Start.Clock < 0 || s.Start.Clock >= 1440:
		return errors.New("the schedule has no date and time to start: give both, as 2026-11-23 and 09:00")
	case s.Until != 0 && s.Until < s.Start.Date:
		return fmt.Errorf("the schedule ends on %s, before it starts on %s", s.Until, s.Start.Date)
	case s.Valid < 0 || s.Valid > maxValid:
		return fmt.Errorf("an invitation may be valid for 1 to %d hours", maxValid)
	case s.Grace < 0 || s.Grace > maxGrace:
		return fmt.Errorf("the grace for late hires is 0 to %d days", maxGrace)
	case s.Misfire != "" && s.Misfire != Skip && s.Misfire != Send && s.Misfire != Ask:
		return fmt.Errorf("misfire %q is not known: write skip, send or ask", clip(string(s.Misfire)))
	case s.Kind != Recurring && s.Rule != "":
		return errors.New("only a recurring schedule has a rule")
	case s.Kind != Tenure && len(s.Milestones) > 0:
		return errors.New("only a milestone schedule has milestones")
	}
	if err := validReminders(s.Reminders); err != nil {
		return err
	}
	switch s.Kind {
	case Once:
		return nil
	case Recurring:
		return s.validRule()
	case Tenure:
		return validMilestones(s.Milestones)
	}
	return fmt.Errorf("schedule %q is not known: write once, recurring or milestone", clip(string(s.Kind)))
}

func (s *Schedule) validRule() error {
	r, err := ParseRecurrence(s.Rule)
	if err != nil {
		return err
	}
	// Ten years see 29 February and each week number.
	end := min(s.Start.Date.AddMonths(120), s.end())
	if list, _ := r.Between(s.Start, s.Start.Date, end, 1); len(list) == 0 {
		return fmt.Errorf("the rule %s has no date from %s on: nobody would ever be contacted", clip(s.Rule), s.Start.Date)
	}
	return nil
}

func (s *Schedule) end() Date {
	if s.Until > 0 {
		return s.Until
	}
	return LastDate
}

// Waves are the moments of a single or recurring schedule from one date to
// another, both included, at most most of them; more tells of further ones.
// A milestone schedule has none of its own: see Reached.
func (s *Schedule) Waves(from, to Date, most int) (list []Moment, more bool, err error) {
	if err := s.Validate(); err != nil {
		return nil, false, err
	}
	to = min(to, s.end())
	switch s.Kind {
	case Once:
		if from <= s.Start.Date && s.Start.Date <= to && most > 0 {
			list = []Moment{s.Start}
		}
	case Recurring:
		r, err := ParseRecurrence(s.Rule)
		if err != nil {
			return nil, false, err
		}
		list, more = r.Between(s.Start, from, to, most)
	}
	return list, more, nil
}

// Due is the instant of a wave for a person: at its time in the zone of the
// person, or, with Instant, in the zone of the organisation for all. Nil is UTC.
func (s *Schedule) Due(wave Moment, person, org *time.Location) time.Time {
	if s.Instant || person == nil {
		return wave.In(org)
	}
	return wave.In(person)
}

// First is when the first zone on Earth reaches the moment, and Last when the
// last one has: in between a wave of local times comes due.
func (m Moment) First() time.Time { return m.In(time.UTC).Add(-15 * time.Hour) }

// Last is when no zone on Earth is before the moment any more; see First.
func (m Moment) Last() time.Time { return m.In(time.UTC).Add(15 * time.Hour) }

// Milestone is a time after somebody's first day: "first day", "30d", "3m",
// "1y"; with "every" again and again: "every 1y".
type Milestone struct {
	Days, Months int // one of them, or none for the first day
	Every        bool
}

// ParseMilestone reads what String writes.
func ParseMilestone(text string) (Milestone, error) {
	bad := fmt.Errorf("%q is not a milestone: write first day, 30d, 3m, 1y or every 1y", clip(text))
	word := strings.ToLower(strings.TrimSpace(text))
	if word == "first day" {
		return Milestone{}, nil
	}
	word, every := strings.CutPrefix(word, "every ")
	if len(word) < 2 {
		return Milestone{}, bad
	}
	n, err := strconv.Atoi(word[:len(word)-1])
	if err != nil || n < 1 || n > 36525 {
		return Milestone{}, bad
	}
	m := Milestone{Every: every}
	switch word[len(word)-1] {
	case 'd':
		m.Days = n
	case 'm':
		m.Months = n
	case 'y':
		m.Months = 12 * n
	default:
		return Milestone{}, bad
	}
	return m, m.validate()
}

func (m Milestone) validate() error {
	switch {
	case m.Days < 0 || m.Months < 0 || m.Days > 0 && m.Months > 0:
		return errors.New("a milestone is so many days or so many months after the first day")
	case m.Days > maxTenure*31 || m.Months > maxTenure:
		return errors.New("a milestone is at most 100 years after the first day")
	case m.Every && m.Months == 0 && m.Days < 7:
		return errors.New("a milestone that comes every few days is a recurring schedule: every 7d is the least")
	}
	return nil
}

func validMilestones(list []Milestone) error {
	if len(list) == 0 || len(list) > maxMilestones {
		return fmt.Errorf("a milestone schedule has 1 to %d milestones", maxMilestones)
	}
	for i, m := range list {
		if err := m.validate(); err != nil {
			return err
		}
		if slices.Contains(list[:i], m) {
			return fmt.Errorf("the milestone %s is there twice", m)
		}
	}
	return nil
}

// String is "first day", "30d", "3m", "1y", "every 1y".
func (m Milestone) String() string {
	text := ""
	switch {
	case m.Days > 0:
		text = strconv.Itoa(m.Days) + "d"
	case m.Months == 0:
		return "first day"
	case m.Months%12 == 0:
		text = strconv.Itoa(m.Months/12) + "y"
	default:
		text = strconv.Itoa(m.Months) + "m"
	}
	if m.Every {
		return "every " + text
	}
	return text
}

// MarshalText makes a milestone a string in JSON.
func (m Milestone) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *Milestone) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMilestone(string(b))
	return err
}

// on is the date of the n-th time of a milestone, 0 past the last date. Each is
// counted from the first day, so one who began on 29 February has 28 February
// in common years and 29 February in leap years.
func (m Milestone) on(start Date, n int) Date {
	if m.Months > 0 {
		return start.AddMonths(n * m.Months)
	}
	return valid(int64(start) + int64(n)*int64(m.Days))
}

// Reached is a milestone that somebody reaches.
type Reached struct {
	Milestone Milestone
	Nth       int // 1, or the number of the time for "every"
	Date      Date
}

// Key is the same for the same milestone of a person for ever: "30d", "every 1y#3".
func (r Reached) Key() string {
	if r.Milestone.Every {
		return r.Milestone.String() + "#" + strconv.Itoa(r.Nth)
	}
	return r.Milestone.String()
}

// Reached lists the milestones that one with this first day reaches from one
// date to another, both included, by date. Known is the day on which the
// organisation first had the person here (0: not said): milestones more than
// Grace days before it are past and not asked about; those within Grace are
// taken to be on that day. Nothing is before the schedule's start, nor after
// its end.
func (s *Schedule) Reached(first, known, from, to Date) []Reached {
	if first < 1 || first > LastDate || s.Kind != Tenure {
		return nil
	}
	to = min(to, s.end())
	known = max(known, s.Start.Date)
	var list []Reached
	for _, m := range s.Milestones[:min(len(s.Milestones), maxMilestones)] {
		if m.validate() != nil {
			continue
		}
		last := 1
		if m.Every {
			last = maxTenure * 31 / max(1, m.Days+m.Months*28)
		}
		for n := 1; n <= last; n++ {
			day := m.on(first, n)
			if day == 0 || day > to {
				break
			}
			if day < known && day+Date(s.Grace) >= known {
				day = known
			}
			if day >= max(from, known) && day <= to {
				list = append(list, Reached{m, n, day})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Reached) int { return int(a.Date) - int(b.Date) })
	return list
}

// Distance is how long after an invitation a reminder comes: so many days, at
// the same time of day, or so many hours.
type Distance struct {
	Days  int `json:"days,omitempty"`
	Hours int `json:"hours,omitempty"`
}

func (d Distance) hours() int { return d.Days*24 + d.Hours }

func validReminders(list []Distance) error {
	if len(list) > maxReminders {
		return fmt.Errorf("%d reminders are too many: at most %d", len(list), maxReminders)
	}
	last := 0
	for i, d := range list {
		switch {
		case d.Days < 0 || d.Hours < 0 || d.Days > 366 || d.Hours > 366*24 || d.hours() < 1:
			return fmt.Errorf("reminder %d: the distance is an hour to a year after the invitation", i+1)
		case d.hours() <= last:
			return fmt.Errorf("reminder %d is not after the one before it: distances count from the invitation", i+1)
		}
		last = d.hours()
	}
	return nil
}

// After is the instant of the reminder for an invitation that went out at t, in
// the person's zone: days keep the time of day across changes of the clocks.
func (d Distance) After(t time.Time, zone *time.Location) time.Time {
	if d.Days == 0 {
		return t.Add(time.Duration(d.Hours) * time.Hour)
	}
	day, second := wall(t, zone)
	at := valid(int64(day)+int64(d.Days)).At(Clock(second/60), zone)
	return at.Add(time.Duration(second%60)*time.Second + time.Duration(d.Hours)*time.Hour)
}

// Misfire says what happens to an invitation that is later than it may be,
// mostly after a time in which nothing ran.
type Misfire string

const (
	Skip Misfire = "skip" // it is not sent, and the list says why
	Send Misfire = "send" // it is sent nevertheless
	Ask  Misfire = "ask"  // a person decides
)

// Late decides on an invitation that was due at an instant (after rules and
// caps, so a weekend is no lateness) and would go out now. Send is right as
// long as it is at most Valid hours late; after that it is as Misfire says,
// with the reason in words.
func (s *Schedule) Late(due, now time.Time) (Misfire, string) {
	hours := s.Valid
	if hours <= 0 {
		hours = DefaultValid
	}
	late := now.Sub(due)
	if late <= time.Duration(hours)*time.Hour {
		return Send, ""
	}
	policy := s.Misfire
	if policy == "" {
		policy = Skip
	}
	return policy, fmt.Sprintf("%d hours late, valid for %d", int(late/time.Hour), hours)
}
