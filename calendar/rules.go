package calendar

import (
	"fmt"
	"strings"
	"time"
)

// Limits of rules. Past them they are refused.
const (
	MaxQuiet  = 64 // entries of quiet hours
	MaxPauses = 64 // pauses between dates
	// Horizon is how many days ahead of its argument Earliest looks.
	Horizon = 1500
)

// Quiet are hours in which nobody is contacted, on the days given by their
// beginning. To at or before From is on the next day. No days are all days.
type Quiet struct {
	Days     Weekdays
	From, To Clock
}

// ParseQuiet reads "22:00-08:00" and "fri,sat 20:00-10:00".
func ParseQuiet(text string) (Quiet, error) {
	q := Quiet{Days: allDays}
	hours := strings.TrimSpace(text)
	if days, rest, ok := strings.Cut(hours, " "); ok {
		var err error
		if q.Days, err = ParseWeekdays(days); err != nil {
			return Quiet{}, err
		}
		if q.Days == 0 {
			return Quiet{}, fmt.Errorf("%q are quiet hours of no day: name the days, or none of them for all", clip(text))
		}
		hours = strings.TrimSpace(rest)
	}
	from, to, ok := strings.Cut(hours, "-")
	if !ok {
		return Quiet{}, fmt.Errorf("%q are not quiet hours: write them as 22:00-08:00 or fri,sat 20:00-10:00", clip(text))
	}
	var err error
	if q.From, err = ParseClock(from); err == nil {
		q.To, err = ParseClock(to)
	}
	if err != nil {
		return Quiet{}, err
	}
	return q, q.validate()
}

// String is what ParseQuiet reads.
func (q Quiet) String() string {
	hours := q.From.String() + "-" + q.To.String()
	if q.days() == allDays {
		return hours
	}
	return q.Days.String() + " " + hours
}

// MarshalText makes quiet hours a string in JSON.
func (q Quiet) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (q *Quiet) UnmarshalText(b []byte) (err error) {
	*q, err = ParseQuiet(string(b))
	return err
}

func (q Quiet) days() Weekdays {
	if q.Days&allDays == 0 {
		return allDays
	}
	return q.Days & allDays
}

func (q Quiet) validate() error {
	switch {
	case q.From < 0 || q.From >= 1440 || q.To < 0 || q.To > 1440:
		return fmt.Errorf("quiet hours %s are outside of the day: from 00:00 to 23:59, until 24:00 at most", q)
	case q.From == q.To:
		return fmt.Errorf("quiet hours %s are a whole day: name the day as weekend, or give other hours", q)
	}
	return nil
}

// Pause is a time without contact, both dates included.
type Pause struct {
	From Date   `json:"from"`
	To   Date   `json:"to"`
	Why  string `json:"why,omitempty"` // in words, may be empty
}

// Rules say when somebody is not contacted, in that person's local time. Those
// of the organisation and those of the person both hold, except the weekend:
// one who has a weekend of his own has that one. The zero value permits all.
type Rules struct {
	Quiet    []Quiet     `json:"quiet,omitempty"`
	Weekend  Weekdays    `json:"weekend,omitzero"`
	Pauses   []Pause     `json:"pauses,omitempty"`
	Holidays []*Holidays `json:"-"`
	// Zone of the person; that of the organisation is for people without. Nil is UTC.
	Zone *time.Location `json:"-"`
}

// Validate refuses rules that are not written well or permit no minute of the
// week.
func (r Rules) Validate() error {
	if len(r.Quiet) > MaxQuiet {
		return fmt.Errorf("%d quiet hours are too many: at most %d", len(r.Quiet), MaxQuiet)
	}
	if len(r.Pauses) > MaxPauses {
		return fmt.Errorf("%d pauses are too many: at most %d", len(r.Pauses), MaxPauses)
	}
	for _, q := range r.Quiet {
		if err := q.validate(); err != nil {
			return err
		}
	}
	for _, p := range r.Pauses {
		if p.From < 1 || p.To < p.From || p.To > LastDate {
			return fmt.Errorf("the pause from %s to %s is not between two dates in order", p.From, p.To)
		}
	}
	return Together(r, Rules{})
}

// Together refuses rules of an organisation and a person that permit no minute
// of the week when both hold, and says which part closes the last day.
func Together(org, person Rules) error {
	weekend := weekendOf(org, person)
	if weekend == allDays {
		return fmt.Errorf("%w: every day is a weekend day; leave at least one out", ErrNever)
	}
	var quiet [7 * 1440]bool
	for _, list := range [][]Quiet{org.Quiet, person.Quiet} {
		for _, q := range list {
			if err := q.validate(); err != nil {
				return err
			}
			length := int(q.To - q.From)
			if length <= 0 {
				length += 1440
			}
			for d := range 7 {
				if q.days().Has(time.Weekday(d)) {
					for m := range length {
						quiet[(d*1440+int(q.From)+m)%len(quiet)] = true
					}
				}
			}
		}
	}
	for i, q := range quiet {
		if !q && !weekend.Has(time.Weekday(i/1440)) {
			return nil
		}
	}
	if weekend == 0 {
		return fmt.Errorf("%w: the quiet hours cover the whole week; leave at least an hour of one day", ErrNever)
	}
	return fmt.Errorf("%w: quiet hours and the weekend (%s) cover the whole week; leave at least an hour of one other day", ErrNever, weekend)
}

func weekendOf(org, person Rules) Weekdays {
	if w := person.Weekend & allDays; w != 0 {
		return w
	}
	return org.Weekend & allDays
}

// ZoneOf is the zone that counts for a person: his own, the organisation's, UTC.
func ZoneOf(org, person Rules) *time.Location {
	switch {
	case person.Zone != nil:
		return person.Zone
	case org.Zone != nil:
		return org.Zone
	}
	return time.UTC
}

// Earliest is the first instant at or after t at which a person may be
// contacted, and why it is later than t, in words ("quiet hours until 08:00
// Europe/Berlin"); "" when it is t. Clocks on the wall decide: across a change
// of the clocks quiet hours until 08:00 still end when clocks show 08:00, and
// hours that come twice are quiet twice. It defers and never drops: it is an
// error (ErrNever) only when nothing is permitted within Horizon days.
func Earliest(t time.Time, org, person Rules) (time.Time, string, error) {
	zone := ZoneOf(org, person)
	at := t.In(zone)
	limit := t.AddDate(0, 0, Horizon)
	var causes []string
	for {
		day, second := wall(at, zone)
		cause, until := blocked(int64(day), int64(second), org, person)
		if cause == "" {
			break
		}
		causes = because(causes, cause)
		next := time.Unix(at.Unix()+until-int64(second), 0).In(zone)
		// What the wall shows runs evenly up to a change of the clocks only.
		if _, end := at.ZoneBounds(); !end.IsZero() && end.Before(next) {
			next = end.In(zone)
		}
		if at = next; at.After(limit) {
			return time.Time{}, "", fmt.Errorf("%w within %d days after %s: %s",
				ErrNever, Horizon, t.In(zone).Format(time.DateOnly), strings.Join(causes, ", "))
		}
	}
	if len(causes) == 0 {
		return t, "", nil
	}
	return at, strings.Join(causes, ", ") + " until " + until(t, at, zone), nil
}

// until names an instant briefly: the day only if it is another one.
func until(from, to time.Time, zone *time.Location) string {
	layout := "15:04"
	if DateOf(from, zone) != DateOf(to, zone) {
		layout = "Mon 2006-01-02 15:04"
	}
	if _, offset := to.In(zone).Zone(); offset%60 != 0 || to.Second() != 0 {
		layout += ":05"
	}
	return to.In(zone).Format(layout) + " " + zone.String()
}

// because adds a cause once, and only the first few.
func because(causes []string, cause string) []string {
	const most = 4
	for _, c := range causes {
		if c == cause {
			return causes
		}
	}
	switch {
	case len(causes) < most:
		return append(causes, cause)
	case len(causes) == most:
		return append(causes, "more")
	}
	return causes
}

// blocked says what forbids a second of a day, and until which second from the
// beginning of that day; "" if nothing does.
func blocked(day, second int64, org, person Rules) (cause string, until int64) {
	d := Date(day)
	for _, own := range []bool{false, true} {
		r := &org
		if own {
			r = &person
		}
		for _, p := range r.Pauses {
			if p.From <= d && d <= p.To {
				return pauseCause(p, own), (int64(p.To) - day + 1) * daySeconds
			}
		}
		for _, h := range r.Holidays {
			if name, ok := h.On(d); ok {
				return "holiday " + name, daySeconds
			}
		}
	}
	if weekendOf(org, person).Has(d.Weekday()) {
		return "weekend", daySeconds
	}
	if end := quietUntil(d, second, org.Quiet); end > 0 {
		return "quiet hours", end
	}
	if end := quietUntil(d, second, person.Quiet); end > 0 {
		return "own quiet hours", end
	}
	return "", 0
}

func pauseCause(p Pause, own bool) string {
	cause := "pause of the organisation"
	if own {
		cause = "own pause"
	}
	if p.Why != "" {
		cause += " (" + clip(p.Why) + ")"
	}
	return cause
}

// quietUntil is when the quiet hours that hold now end, 0 if none hold.
func quietUntil(d Date, second int64, list []Quiet) int64 {
	var end int64
	for _, q := range list {
		from, to := int64(q.From)*60, int64(q.To)*60
		if to > from {
			if second >= from && second < to && q.days().Has(d.Weekday()) {
				end = max(end, to)
			}
			continue
		}
		if second >= from && q.days().Has(d.Weekday()) {
			end = max(end, daySeconds+to)
		}
		if second < to && q.days().Has((d - 1).Weekday()) {
			end = max(end, to)
		}
	}
	return end
}
