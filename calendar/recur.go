package calendar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a recurrence rule.
const (
	maxRecurrenceText = 1024
	maxInterval       = 1000
	maxCount          = 10000
	maxTimes          = 24 // times of one day
)

type frequency uint8

const (
	daily frequency = iota + 1
	weekly
	monthly
	yearly
)

var frequencies = map[string]frequency{"DAILY": daily, "WEEKLY": weekly, "MONTHLY": monthly, "YEARLY": yearly}

// nth is a day of the week, or the n-th one (from the end if negative) of a
// month or year.
type nth struct {
	n   int
	day time.Weekday
}

// Recurrence is a recurrence rule of RFC 5545 §3.3.10, daily at most, in time
// without a zone: it says which dates and times of day, and [Moment.In] at
// which instants. So a time that is skipped by a change of the clocks is late
// that day instead of missing. Dates that do not exist (31 April) are left
// out, as the RFC says. Sub-daily rules, BYSECOND and BYEASTER are refused.
type Recurrence struct {
	text      string
	freq      frequency
	interval  int
	count     int
	until     Moment // zero: without end
	weekStart time.Weekday
	months    [13]bool
	anyMonth  bool
	monthDays []int
	yearDays  []int
	weeks     []int
	days      []nth
	positions []int
	hours     []int
	minutes   []int
}

// String is the rule as it was written.
func (r *Recurrence) String() string { return r.text }

// ParseRecurrence reads "FREQ=MONTHLY;BYDAY=1MO", with or without "RRULE:".
// An error says which part is wrong and what would be right.
func ParseRecurrence(text string) (*Recurrence, error) {
	if len(text) > maxRecurrenceText {
		return nil, fmt.Errorf("the recurrence rule has %d characters: at most %d", len(text), maxRecurrenceText)
	}
	r := &Recurrence{text: strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "RRULE:"), interval: 1, weekStart: time.Monday, anyMonth: true}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(r.text, ";") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("%q in the recurrence rule is not NAME=VALUE", clip(part))
		}
		if seen[key] {
			return nil, fmt.Errorf("%s stands twice in the recurrence rule", clip(key))
		}
		seen[key] = true
		if err := r.set(key, value); err != nil {
			return nil, fmt.Errorf("recurrence rule: %s=%s: %w", clip(key), clip(value), err)
		}
	}
	return r, r.check()
}

func (r *Recurrence) set(key, value string) (err error) {
	switch key {
	case "FREQ":
		if r.freq = frequencies[value]; r.freq == 0 {
			return errors.New("want DAILY, WEEKLY, MONTHLY or YEARLY; nobody is contacted more than daily by a rule")
		}
	case "INTERVAL":
		r.interval, err = number(value, 1, maxInterval)
	case "COUNT":
		r.count, err = number(value, 1, maxCount)
	case "UNTIL":
		r.until, err = parseStamp(value)
	case "WKST":
		d := slices.Index(icalDays[:], value)
		if d < 0 {
			return errors.New("want one of MO, TU, WE, TH, FR, SA, SU")
		}
		r.weekStart = time.Weekday(d)
	case "BYMONTH":
		var list []int
		list, err = numbers(value, 1, 12, false)
		r.anyMonth = false
		for _, m := range list {
			r.months[m] = true
		}
	case "BYMONTHDAY":
		r.monthDays, err = numbers(value, 1, 31, true)
	case "BYYEARDAY":
		r.yearDays, err = numbers(value, 1, 366, true)
	case "BYWEEKNO":
		r.weeks, err = numbers(value, 1, 53, true)
	case "BYSETPOS":
		r.positions, err = numbers(value, 1, 366, true)
	case "BYHOUR":
		r.hours, err = numbers(value, 0, 23, false)
	case "BYMINUTE":
		r.minutes, err = numbers(value, 0, 59, false)
	case "BYDAY":
		r.days, err = parseDays(value)
	default:
		return errors.New("this part is not known here; known are FREQ, INTERVAL, COUNT, UNTIL, WKST, BYMONTH, BYMONTHDAY, BYYEARDAY, BYWEEKNO, BYDAY, BYHOUR, BYMINUTE, BYSETPOS")
	}
	return err
}

// check refuses what RFC 5545 §3.3.10 does not allow together.
func (r *Recurrence) check() error {
	ordinals := slices.ContainsFunc(r.days, func(d nth) bool { return d.n != 0 })
	by := r.monthDays != nil || r.yearDays != nil || r.weeks != nil || r.days != nil || r.hours != nil || r.minutes != nil || !r.anyMonth
	switch {
	case r.freq == 0:
		return errors.New("the recurrence rule has no FREQ: begin it with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
	case r.count > 0 && r.until.Date > 0:
		return errors.New("the recurrence rule has both COUNT and UNTIL: keep one")
	case r.weeks != nil && r.freq != yearly:
		return errors.New("BYWEEKNO is for FREQ=YEARLY only")
	case r.yearDays != nil && r.freq != yearly:
		return errors.New("BYYEARDAY is for FREQ=YEARLY only")
	case r.monthDays != nil && r.freq == weekly:
		return errors.New("BYMONTHDAY is not for FREQ=WEEKLY")
	case ordinals && r.freq != monthly && r.freq != yearly:
		return errors.New("a numbered day as in BYDAY=1MO is for FREQ=MONTHLY and YEARLY only")
	case ordinals && r.weeks != nil:
		return errors.New("a numbered day as in BYDAY=1MO does not go with BYWEEKNO")
	case r.positions != nil && !by:
		return errors.New("BYSETPOS needs another BY part to choose from")
	case max(1, len(r.hours))*max(1, len(r.minutes)) > maxTimes:
		return fmt.Errorf("BYHOUR and BYMINUTE make more than %d times a day", maxTimes)
	}
	return nil
}

var icalDays = [7]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

func parseDays(value string) ([]nth, error) {
	var list []nth
	for text := range strings.SplitSeq(value, ",") {
		if len(list) == 64 {
			return nil, errors.New("at most 64 days")
		}
		day := -1
		if len(text) >= 2 {
			day = slices.Index(icalDays[:], text[len(text)-2:])
		}
		if day < 0 {
			return nil, fmt.Errorf("%q is not a day: write MO, TU, WE, TH, FR, SA, SU, or 1MO for the first, -1FR for the last", clip(text))
		}
		d := nth{day: time.Weekday(day)}
		if n := text[:len(text)-2]; n != "" {
			one, err := numbers(n, 1, 53, true)
			if err != nil {
				return nil, err
			}
			d.n = one[0]
		}
		list = append(list, d)
	}
	return list, nil
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("want a number from %d to %d", low, high)
	}
	return n, nil
}

// numbers reads a list; signed allows counting from the end.
func numbers(text string, low, high int, signed bool) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		from := n
		if signed && n < 0 {
			from = -n
		}
		if err != nil || from < low || from > high {
			also := ""
			if signed {
				also = fmt.Sprintf(" or %d to %d", -high, -low)
			}
			return nil, fmt.Errorf("%q: want numbers from %d to %d%s", clip(part), low, high, also)
		}
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list, nil
}

// parseStamp reads a date or date-time of RFC 5545. The letter Z is accepted
// and the time still read as one without zone; a date alone lasts the day.
func parseStamp(text string) (Moment, error) {
	layout, end := "20060102", Clock(1439)
	switch len(strings.TrimSuffix(text, "Z")) {
	case 8:
	case 15:
		layout = "20060102T150405"
	default:
		return Moment{}, errors.New("want a date as 20261231 or a time as 20261231T090000")
	}
	t, err := time.Parse(layout, strings.TrimSuffix(text, "Z"))
	if err != nil || t.Year() < 1 {
		return Moment{}, errors.New("want a date as 20261231 or a time as 20261231T090000")
	}
	if layout != "20060102" {
		end = Clock(t.Hour()*60 + t.Minute())
	}
	return Moment{DateOf(t, nil), end}, nil
}
