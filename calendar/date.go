// Package calendar answers when: when a person may be contacted, when the
// dates of a campaign fall, how fast invitations may go out, and what a launch
// will bring. It is arithmetic only: no I/O, no clock (the time is an
// argument), no lock, and nothing kept between calls.
//
// Layout: date.go days and times of day, rules.go quiet hours and what else
// defers, ics.go holidays, recur.go and dates.go recurrence rules, schedule.go
// waves, milestones, reminders, what is too late, contact.go how often one
// person is contacted, bucket.go rates and fair shares, pace.go the pace that
// the chat leaves, history.go how people answered so far, preview.go and
// launch.go what a launch will bring, trial.go which variant did better.
//
// All zones are [time.Location] values; loading one reads files and is the
// caller's business. Nothing here panics, and all work is bounded.
package calendar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	daySeconds = 86400
	// epoch is 1970-01-01 as a Date.
	epoch = 719163
	// LastDate is 9999-12-31, the greatest date there is here.
	LastDate Date = 3652059
)

// Date is a day of the Gregorian calendar without a zone, counted from
// 0001-01-01, which is 1. The zero value is no date.
type Date int32

// NewDate gives the date of a year, month and day; days and months past their
// end are carried over as in [time.Date]. It is 0 outside of the years 1 to 9999.
func NewDate(year int, month time.Month, day int) Date {
	if year < -10000 || year > 20000 || month < -100000 || month > 100000 || day < -4000000 || day > 4000000 {
		return 0
	}
	return valid(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()/daySeconds + epoch)
}

func valid(d int64) Date {
	if d < 1 || d > int64(LastDate) {
		return 0
	}
	return Date(d)
}

// DateOf is the date at an instant in a zone; nil is UTC.
func DateOf(t time.Time, zone *time.Location) Date {
	d, _ := wall(t, zone)
	return valid(int64(d))
}

// ParseDate reads "2026-11-22".
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return 0, fmt.Errorf("%q is not a date: write it as 2026-11-22", clip(text))
	}
	return valid(t.Unix()/daySeconds + epoch), nil
}

func (d Date) utc() time.Time { return time.Unix((int64(d)-epoch)*daySeconds, 0).UTC() }

// Civil is the year, month and day; zeros for no date.
func (d Date) Civil() (year int, month time.Month, day int) {
	if d == 0 {
		return 0, 0, 0
	}
	return d.utc().Date()
}

// Weekday of the date.
func (d Date) Weekday() time.Weekday { return time.Weekday((d%7 + 7) % 7) }

// String is "2026-11-22", and "" for no date.
func (d Date) String() string {
	if d == 0 {
		return ""
	}
	return d.utc().Format(time.DateOnly)
}

// MarshalText makes a date a string in JSON.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Date) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*d = 0
		return nil
	}
	*d, err = ParseDate(string(b))
	return err
}

// AddMonths goes n months on and keeps to the month: a day that the month does
// not have is its last one, so 2024-02-29 and twelve months is 2025-02-28.
func (d Date) AddMonths(n int) Date {
	if d == 0 || n < -120000 || n > 120000 {
		return 0
	}
	y, m, day := d.Civil()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	return NewDate(first.Year(), first.Month(), min(day, monthDays(first.Year(), first.Month())))
}

func monthDays(year int, month time.Month) int {
	switch month {
	case time.February:
		if leap(year) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// At is the instant at which a clock in the zone shows this date and time. A
// time that is skipped there is read with the offset before the gap, and of
// one that comes twice it is the first (RFC 5545 §3.3.5). Nil is UTC.
func (d Date) At(c Clock, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	local := (int64(d)-epoch)*daySeconds + int64(c)*60
	at := time.Unix(local-26*3600, 0).In(zone)
	limit := local + 26*3600
	gap := time.Time{}
	// Offsets are less than 26 hours, so the instant is within these periods.
	for range 8 {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		t := time.Unix(local-int64(offset), 0).In(zone)
		switch {
		case !start.IsZero() && t.Before(start):
			// Skipped: the period before this one ended too early for it.
			if !gap.IsZero() {
				return gap
			}
			return t
		case end.IsZero() || t.Before(end):
			return t
		}
		gap = t
		if end.Unix() > limit {
			break
		}
		at = end.In(zone)
	}
	return gap
}

// wall is the date and the second of the day that clocks in the zone show.
func wall(t time.Time, zone *time.Location) (day, second int) {
	if zone == nil {
		zone = time.UTC
	}
	_, offset := t.In(zone).Zone()
	local := t.Unix() + int64(offset)
	day = int(local / daySeconds)
	second = int(local % daySeconds)
	if second < 0 {
		second, day = second+daySeconds, day-1
	}
	return day + epoch, second
}

// Clock is a time of day in minutes from midnight, 0 to 1440. 24:00 is only
// good as an end.
type Clock int16

// ParseClock reads "08:00", and "24:00" as the end of the day.
func ParseClock(text string) (Clock, error) {
	h, m, ok := strings.Cut(text, ":")
	hour, errHour := strconv.ParseUint(h, 10, 8)
	minute, errMinute := strconv.ParseUint(m, 10, 8)
	if !ok || errHour != nil || errMinute != nil || len(h) > 2 || len(m) != 2 || minute > 59 ||
		hour > 24 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%q is not a time of day: write it as 08:00", clip(text))
	}
	return Clock(hour*60 + minute), nil
}

// String is "08:00".
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// MarshalText makes a time of day a string in JSON.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Clock) UnmarshalText(b []byte) (err error) {
	*c, err = ParseClock(string(b))
	return err
}

// Moment is a date and time of day without a zone: it comes at another instant
// in each zone.
type Moment struct {
	Date  Date  `json:"date"`
	Clock Clock `json:"clock"`
}

// In is the instant of the moment in a zone, see [Date.At].
func (m Moment) In(zone *time.Location) time.Time { return m.Date.At(m.Clock, zone) }

// String is "2026-11-22 08:00".
func (m Moment) String() string { return m.Date.String() + " " + m.Clock.String() }

// Weekdays is a set of days of the week: bit n is [time.Weekday] n.
type Weekdays uint8

const allDays Weekdays = 1<<7 - 1

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// WeekdaysOf is the set of these days.
func WeekdaysOf(days ...time.Weekday) Weekdays {
	var w Weekdays
	for _, d := range days {
		if d >= 0 && d < 7 {
			w |= 1 << d
		}
	}
	return w
}

// Has tells whether the day is in the set.
func (w Weekdays) Has(d time.Weekday) bool { return d >= 0 && d < 7 && w&(1<<d) != 0 }

// ParseWeekdays reads names and ranges: "sat,sun", "mon-fri". "" is none, and
// "none" too.
func ParseWeekdays(text string) (Weekdays, error) {
	if text == "" || text == "none" {
		return 0, nil
	}
	var w Weekdays
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, last := dayNumber(from), dayNumber(to)
		if !isRange {
			last = first
		}
		if first < 0 || last < 0 {
			return 0, fmt.Errorf("%q is not a day of the week: write mon, tue, wed, thu, fri, sat or sun", clip(part))
		}
		for d := first; ; d = (d + 1) % 7 {
			w |= 1 << d
			if d == last {
				break
			}
		}
	}
	return w, nil
}

func dayNumber(name string) int {
	name = strings.ToLower(strings.TrimSpace(name))
	for i, n := range dayNames {
		if n == name {
			return i
		}
	}
	return -1
}

// String is "sat,sun", from Monday on; "none" for none.
func (w Weekdays) String() string {
	if w&allDays == 0 {
		return "none"
	}
	var names []string
	for i := 1; i <= 7; i++ {
		if w.Has(time.Weekday(i % 7)) {
			names = append(names, dayNames[i%7])
		}
	}
	return strings.Join(names, ",")
}

// MarshalText makes a set of days a string in JSON.
func (w Weekdays) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (w *Weekdays) UnmarshalText(b []byte) (err error) {
	*w, err = ParseWeekdays(string(b))
	return err
}

// clip keeps what people wrote short in a sentence about it.
func clip(text string) string {
	const most = 40
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}

// ErrNever is wrapped by errors about rules that permit nothing within sight.
var ErrNever = errors.New("the rules permit no time")
