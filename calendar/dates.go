package calendar

import (
	"slices"
	"time"
)

// Between lists the dates of the rule from one date to another, both included,
// at most most of them, and tells whether there are more. Start is where the
// rule begins (DTSTART): it gives what the rule leaves open, and nothing is
// before it. Work is bounded by the days from start (with COUNT) or from `from`
// to `to`, which is cut at LastDate.
func (r *Recurrence) Between(start Moment, from, to Date, most int) (list []Moment, more bool) {
	if start.Date < 1 || start.Date > LastDate || from > to || most < 1 {
		return nil, false
	}
	to = min(to, LastDate)
	if r.until.Date > 0 {
		to = min(to, r.until.Date)
	}
	w := walk{r: r, start: start, count: r.count, times: r.times(start.Clock)}
	w.defaults()
	first := 0
	if r.count == 0 && from > start.Date {
		first = w.periodOf(from)
	}
	for k := first; ; k++ {
		begin, end := w.period(k)
		if begin == 0 || begin > to {
			return list, false
		}
		for _, m := range w.occurrences(begin, end) {
			if before(m, start) {
				continue
			}
			if m.Date > to || r.until.Date > 0 && before(r.until, m) {
				return list, false
			}
			if m.Date >= from {
				if len(list) == most {
					return list, true
				}
				list = append(list, m)
			}
			if w.count--; w.count == 0 && r.count > 0 {
				return list, false
			}
		}
	}
}

func before(a, b Moment) bool {
	return a.Date < b.Date || a.Date == b.Date && a.Clock < b.Clock
}

// times are the times of one day, in order.
func (r *Recurrence) times(start Clock) []Clock {
	hours, minutes := r.hours, r.minutes
	if hours == nil {
		hours = []int{int(start / 60)}
	}
	if minutes == nil {
		minutes = []int{int(start % 60)}
	}
	var list []Clock
	for _, h := range hours {
		for _, m := range minutes {
			list = append(list, Clock(h*60+m))
		}
	}
	slices.Sort(list)
	return list
}

// walk goes through the periods of a rule: days, weeks, months or years.
type walk struct {
	r        *Recurrence
	start    Moment
	count    int
	times    []Clock
	months   [13]bool
	anyMonth bool
	monthDay []int
	days     []nth
}

// defaults takes from the start what the rule leaves open (RFC 5545 §3.3.10).
func (w *walk) defaults() {
	r := w.r
	w.months, w.anyMonth, w.monthDay, w.days = r.months, r.anyMonth, r.monthDays, r.days
	_, month, day := w.start.Date.Civil()
	open := r.monthDays == nil && r.yearDays == nil && r.days == nil
	switch {
	case r.weeks != nil && open, r.freq == weekly && open:
		w.days = []nth{{day: w.start.Date.Weekday()}}
	case r.freq == yearly && open:
		if r.anyMonth {
			w.anyMonth = false
			w.months[month] = true
		}
		w.monthDay = []int{day}
	case r.freq == monthly && open:
		w.monthDay = []int{day}
	}
}

// weekBegin is the first day of the week of a date, as the rule counts weeks.
func (w *walk) weekBegin(d Date) Date {
	return d - Date((int(d.Weekday())-int(w.r.weekStart)+7)%7)
}

// periodOf is the greatest k whose period begins at or before the date.
func (w *walk) periodOf(d Date) int {
	sy, sm, _ := w.start.Date.Civil()
	y, m, _ := d.Civil()
	n := 0
	switch w.r.freq {
	case daily:
		n = int(d - w.start.Date)
	case weekly:
		n = int(d-w.weekBegin(w.start.Date)) / 7
	case monthly:
		n = (y-sy)*12 + int(m-sm)
	case yearly:
		n = y - sy
	}
	return max(0, n/w.r.interval)
}

// period is the first and last date of period k; zeros past the last date.
func (w *walk) period(k int) (begin, end Date) {
	n := k * w.r.interval
	if n > int(LastDate) {
		return 0, 0
	}
	switch w.r.freq {
	case daily:
		begin = w.start.Date + Date(n)
		end = begin
	case weekly:
		if n > int(LastDate)/7 {
			return 0, 0
		}
		begin = w.weekBegin(w.start.Date) + Date(7*n)
		end = begin + 6
	case monthly:
		first := w.start.Date.firstOfMonth().AddMonths(n)
		if first == 0 {
			return 0, 0
		}
		year, month, _ := first.Civil()
		begin, end = first, first+Date(monthDays(year, month)-1)
	default:
		y, _, _ := w.start.Date.Civil()
		if y+n > 9999 {
			return 0, 0
		}
		begin, end = NewDate(y+n, time.January, 1), NewDate(y+n, time.December, 31)
	}
	if begin > LastDate {
		return 0, 0
	}
	return begin, end
}

func (d Date) firstOfMonth() Date {
	_, _, day := d.Civil()
	return d - Date(day-1)
}

// occurrences are the moments of one period, in order.
func (w *walk) occurrences(begin, end Date) []Moment {
	var list []Moment
	year, month, day := begin.Civil()
	for d := begin; d <= end; d++ {
		switch {
		case !w.anyMonth && !w.months[month]:
			// Past the month, at once.
			d += Date(monthDays(year, month) - day)
			day = monthDays(year, month)
		case w.good(d, year, month, day):
			for _, c := range w.times {
				list = append(list, Moment{d, c})
			}
		}
		if day++; day > monthDays(year, month) {
			day = 1
			if month++; month > time.December {
				month, year = time.January, year+1
			}
		}
	}
	if w.r.positions == nil || len(list) == 0 {
		return list
	}
	var chosen []Moment
	for i, m := range list {
		if slices.Contains(w.r.positions, i+1) || slices.Contains(w.r.positions, i-len(list)) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// good tells whether a date passes all parts of the rule but the month.
func (w *walk) good(d Date, year int, month time.Month, day int) bool {
	r := w.r
	if w.monthDay != nil && !slices.Contains(w.monthDay, day) && !slices.Contains(w.monthDay, day-monthDays(year, month)-1) {
		return false
	}
	if r.yearDays != nil {
		inYear, days := int(d-NewDate(year, time.January, 1))+1, 365
		if leap(year) {
			days = 366
		}
		if !slices.Contains(r.yearDays, inYear) && !slices.Contains(r.yearDays, inYear-days-1) {
			return false
		}
	}
	if r.weeks != nil {
		week, weeks := w.week(d)
		if !slices.Contains(r.weeks, week) && !slices.Contains(r.weeks, week-weeks-1) {
			return false
		}
	}
	return w.days == nil || w.goodDay(d, year, month, day)
}

func (w *walk) goodDay(d Date, year int, month time.Month, day int) bool {
	for _, want := range w.days {
		if want.day != d.Weekday() {
			continue
		}
		if want.n == 0 {
			return true
		}
		// The n-th of the month, or of the year where the rule names no month.
		place, length := day, monthDays(year, month)
		if w.r.freq == yearly && w.r.anyMonth {
			place = int(d-NewDate(year, time.January, 1)) + 1
			if length = 365; leap(year) {
				length = 366
			}
		}
		if want.n == (place-1)/7+1 || want.n == -((length-place)/7+1) {
			return true
		}
	}
	return false
}

// week is the number of the week of a date and how many its year has. Week one
// is the first with at least four days in the year (ISO 8601, RFC 5545).
func (w *walk) week(d Date) (week, weeks int) {
	begin := w.weekBegin(d)
	year, _, _ := (begin + 3).Civil() // the year that has most of the week
	first := w.weekBegin(NewDate(year, time.January, 4))
	next := w.weekBegin(NewDate(year, time.December, 28)) + 7
	return int(begin-first)/7 + 1, int(next-first) / 7
}
