package calendar

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a calendar file. Past them it is refused.
const (
	MaxHolidayBytes = 1 << 20
	maxEvents       = 5000
	maxRules        = 500   // events that recur
	maxDates        = 20000 // days in all
	maxEventDays    = 366   // days of one event
	maxLine         = 64 << 10
	maxNotes        = 100
)

// Recurring holidays are known from 2000 to 2075. A rule with a COUNT has to be
// counted from its beginning, so that is not before 1900.
var (
	firstHoliday = NewDate(2000, time.January, 1)
	lastHoliday  = NewDate(2075, time.December, 31)
	firstCounted = NewDate(1900, time.January, 1)
)

// Holidays are the whole days of a calendar file, with their names.
type Holidays struct {
	name  string
	days  []holiday // by date, one each
	notes []string
}

type holiday struct {
	date Date
	name string
}

// On tells whether a date is a holiday, and its name. A nil Holidays has none.
func (h *Holidays) On(d Date) (name string, ok bool) {
	if h == nil {
		return "", false
	}
	i, ok := slices.BinarySearchFunc(h.days, d, func(h holiday, d Date) int { return int(h.date) - int(d) })
	if !ok {
		return "", false
	}
	return h.days[i].name, true
}

// Name is the calendar's own name (X-WR-CALNAME), may be "".
func (h *Holidays) Name() string { return h.name }

// Days is how many days there are.
func (h *Holidays) Days() int {
	if h == nil {
		return 0
	}
	return len(h.days)
}

// Notes say in words what was left out and why: events of some hours, events
// that are cancelled. At most 100.
func (h *Holidays) Notes() []string { return h.notes }

// Between lists the holidays from one date to another, both included, by date.
func (h *Holidays) Between(from, to Date) map[Date]string {
	list := map[Date]string{}
	if h == nil {
		return list
	}
	for _, d := range h.days {
		if d.date >= from && d.date <= to {
			list[d.date] = d.name
		}
	}
	return list
}

// event is a VEVENT as far as holidays need it.
type event struct {
	line      int
	uid       string
	summary   string
	start     Moment
	timed     bool // DTSTART has a time of day
	end       Moment
	length    int // minutes, from DURATION
	rule      *Recurrence
	except    []Date
	extra     []Date
	instead   Date // RECURRENCE-ID
	cancelled bool
}

// ParseHolidays reads an iCalendar file (RFC 5545): its events of whole days,
// also recurring ones with their exceptions. What is not well written is
// refused with its line; what is no whole day is left out with a note.
func ParseHolidays(text []byte) (*Holidays, error) {
	switch {
	case len(text) > MaxHolidayBytes:
		return nil, fmt.Errorf("the calendar has %d bytes: at most %d", len(text), MaxHolidayBytes)
	case !utf8.Valid(text):
		return nil, errors.New("the calendar is not UTF-8: save it as UTF-8")
	}
	lines, err := unfold(text)
	if err != nil {
		return nil, err
	}
	h := &Holidays{}
	events, err := h.events(lines)
	if err != nil {
		return nil, err
	}
	return h, h.expand(events)
}

// line is an unfolded line with the number of its first one in the file.
type line struct {
	number int
	text   string
}

// unfold joins what RFC 5545 §3.1 folds.
func unfold(text []byte) ([]line, error) {
	var lines []line
	var parts [][]byte
	size := 0
	flush := func() {
		if parts != nil {
			lines[len(lines)-1].text = string(bytes.Join(parts, nil))
			parts, size = nil, 0
		}
	}
	number := 0
	for raw := range bytes.SplitSeq(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n")) {
		number++
		raw = bytes.TrimSuffix(raw, []byte("\r"))
		if len(raw) == 0 {
			continue
		}
		if raw[0] == ' ' || raw[0] == '\t' {
			if parts == nil {
				return nil, fmt.Errorf("line %d: a folded line has nothing before it", number)
			}
			raw = raw[1:]
		} else {
			flush()
			lines = append(lines, line{number: number})
		}
		parts = append(parts, raw)
		if size += len(raw); size > maxLine {
			return nil, fmt.Errorf("line %d: a line has more than %d bytes", number, maxLine)
		}
	}
	flush()
	return lines, nil
}

// property is one line: NAME;PARAMETER=VALUE:VALUE.
type property struct {
	name, value string
	isDate      bool // VALUE=DATE
}

func parseProperty(text string) (property, error) {
	// The colon that ends the parameters is not in quotes.
	quoted, colon := false, -1
	for i := range len(text) {
		if text[i] == '"' {
			quoted = !quoted
		} else if text[i] == ':' && !quoted {
			colon = i
			break
		}
	}
	if colon < 1 {
		return property{}, errors.New("this is not NAME:VALUE")
	}
	name, params, _ := strings.Cut(text[:colon], ";")
	p := property{name: strings.ToUpper(name), value: text[colon+1:]}
	for param := range strings.SplitSeq(params, ";") {
		p.isDate = p.isDate || strings.EqualFold(param, "VALUE=DATE")
	}
	return p, nil
}

// events reads the components; only what is right within VEVENT counts, so a
// rule of a VTIMEZONE or the trigger of a VALARM is none of ours.
func (h *Holidays) events(lines []line) ([]*event, error) {
	var stack []string
	var events []*event
	var e *event
	closed := false
	for _, l := range lines {
		p, err := parseProperty(l.text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		value := strings.ToUpper(strings.TrimSpace(p.value))
		switch {
		case closed && p.name == "BEGIN" && value == "VCALENDAR":
			closed = false
			stack = append(stack, value)
		case closed || len(stack) == 0 && (p.name != "BEGIN" || value != "VCALENDAR"):
			return nil, fmt.Errorf("line %d: want BEGIN:VCALENDAR: is this an iCalendar file?", l.number)
		case p.name == "BEGIN":
			if len(stack) == 16 {
				return nil, fmt.Errorf("line %d: components within components, too deep", l.number)
			}
			if stack = append(stack, value); len(stack) == 2 && value == "VEVENT" {
				e = &event{line: l.number}
			}
		case p.name == "END":
			if value != stack[len(stack)-1] {
				return nil, fmt.Errorf("line %d: END:%s, but %s is open", l.number, clip(value), clip(stack[len(stack)-1]))
			}
			stack = stack[:len(stack)-1]
			closed = len(stack) == 0
			if len(stack) == 1 && value == "VEVENT" {
				if len(events) == maxEvents {
					return nil, fmt.Errorf("line %d: more than %d events", l.number, maxEvents)
				}
				if e.start.Date == 0 {
					return nil, fmt.Errorf("line %d: the event has no DTSTART", e.line)
				}
				events = append(events, e)
			}
		case len(stack) == 1 && p.name == "X-WR-CALNAME":
			h.name = clip(unescape(p.value))
		case len(stack) == 2 && stack[1] == "VEVENT":
			if err := e.set(p); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", l.number, clip(p.name), err)
			}
		}
	}
	if len(stack) > 0 {
		return nil, fmt.Errorf("the calendar ends within %s: is the file whole?", clip(stack[len(stack)-1]))
	}
	if !closed {
		return nil, errors.New("the calendar is empty: want BEGIN:VCALENDAR")
	}
	return events, nil
}

func (e *event) set(p property) (err error) {
	switch p.name {
	case "SUMMARY":
		e.summary = clip(unescape(p.value))
	case "UID":
		e.uid = p.value
	case "STATUS":
		e.cancelled = strings.EqualFold(p.value, "CANCELLED")
	case "DTSTART":
		e.start, e.timed, err = p.stamp()
	case "DTEND":
		e.end, _, err = p.stamp()
	case "DURATION":
		e.length, err = parseDuration(p.value)
	case "RECURRENCE-ID":
		var m Moment
		m, _, err = p.stamp()
		e.instead = m.Date
	case "RRULE":
		if e.rule != nil {
			return errors.New("a second rule; an event may have one")
		}
		e.rule, err = ParseRecurrence(p.value)
	case "EXDATE":
		e.except, err = p.dates(e.except)
	case "RDATE":
		e.extra, err = p.dates(e.extra)
	}
	return err
}

// stamp reads a date or a date-time; the zone of a time does not matter, for a
// holiday is the date that stands there.
func (p property) stamp() (m Moment, timed bool, err error) {
	value := strings.ToUpper(strings.TrimSpace(p.value))
	m, err = parseStamp(value)
	if timed = len(value) > 8; !timed {
		m.Clock = 0
	} else if err == nil && p.isDate {
		err = errors.New("VALUE=DATE, but the value has a time")
	}
	return m, timed, err
}

func (p property) dates(list []Date) ([]Date, error) {
	for part := range strings.SplitSeq(p.value, ",") {
		part, _, _ = strings.Cut(part, "/") // a period: its beginning
		m, err := parseStamp(strings.ToUpper(strings.TrimSpace(part)))
		if err != nil {
			return nil, err
		}
		if list = append(list, m.Date); len(list) > maxDates {
			return nil, fmt.Errorf("more than %d dates", maxDates)
		}
	}
	return list, nil
}

// parseDuration reads P1D, P2W, PT24H, P1DT12H (RFC 5545 §3.3.6) in minutes.
func parseDuration(text string) (int, error) {
	bad := errors.New("want a duration as P1D, P1W or PT24H")
	rest, ok := strings.CutPrefix(strings.ToUpper(strings.TrimSpace(text)), "P")
	if !ok || rest == "" {
		return 0, bad
	}
	total, inTime := 0, false
	for rest != "" {
		if rest[0] == 'T' && !inTime && len(rest) > 1 {
			inTime, rest = true, rest[1:]
			continue
		}
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i < 1 {
			return 0, bad
		}
		n, err := strconv.Atoi(rest[:i])
		if err != nil || n > maxEventDays*daySeconds {
			return 0, bad
		}
		switch unit := rest[i]; {
		case unit == 'W' && !inTime:
			total += n * 7 * 1440
		case unit == 'D' && !inTime:
			total += n * 1440
		case unit == 'H' && inTime:
			total += n * 60
		case unit == 'M' && inTime:
			total += n
		case unit == 'S' && inTime:
			total += n / 60
		default:
			return 0, bad
		}
		rest = rest[i+1:]
	}
	return total, nil
}

// unescape undoes RFC 5545 §3.3.11 and keeps control characters out.
func unescape(text string) string {
	text = strings.NewReplacer(`\\`, `\`, `\;`, ";", `\,`, ",", `\n`, " ", `\N`, " ").Replace(text)
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text))
}

// days is how many whole days an event has from its start; 0: not even one.
func (e *event) days() (int, error) {
	minutes := e.length
	switch {
	case e.end.Date > 0:
		minutes = int(e.end.Date-e.start.Date)*1440 + int(e.end.Clock-e.start.Clock)
	case minutes == 0 && !e.timed:
		minutes = 1440
	}
	if minutes < 0 {
		return 0, fmt.Errorf("line %d: the event ends before it begins", e.line)
	}
	if minutes == 0 && !e.timed {
		minutes = 1440 // DTEND on the same date: meant as that day
	}
	if e.timed && e.start.Clock > 0 {
		return 0, nil
	}
	if minutes/1440 > maxEventDays {
		return 0, fmt.Errorf("line %d: the event lasts %d days: at most %d", e.line, minutes/1440, maxEventDays)
	}
	return minutes / 1440, nil
}

func (h *Holidays) note(format string, args ...any) {
	if len(h.notes) < maxNotes {
		h.notes = append(h.notes, fmt.Sprintf(format, args...))
	}
}

// expand turns events into days.
func (h *Holidays) expand(events []*event) error {
	moved := map[string][]Date{}
	for _, e := range events {
		if e.instead > 0 {
			moved[e.uid] = append(moved[e.uid], e.instead)
		}
	}
	rules := 0
	for _, e := range events {
		if e.rule != nil {
			if rules++; rules > maxRules {
				return fmt.Errorf("line %d: more than %d events that recur", e.line, maxRules)
			}
		}
		if err := h.add(e, moved[e.uid]); err != nil {
			return err
		}
	}
	// The first event that names a day names it.
	slices.SortStableFunc(h.days, func(a, b holiday) int { return int(a.date) - int(b.date) })
	h.days = slices.CompactFunc(h.days, func(a, b holiday) bool { return a.date == b.date })
	return nil
}

// add puts in the days of one event; moved are its dates that another event
// stands for.
func (h *Holidays) add(e *event, moved []Date) error {
	name := e.summary
	if name == "" {
		name = "without a name"
	}
	length, err := e.days()
	switch {
	case err != nil:
		return err
	case e.cancelled:
		h.note("line %d: %s is cancelled", e.line, name)
		return nil
	case length == 0:
		h.note("line %d: %s is no whole day", e.line, name)
		return nil
	}
	starts := append([]Date{e.start.Date}, e.extra...)
	if e.rule != nil {
		if e.rule.count > 0 && e.start.Date < firstCounted {
			return fmt.Errorf("line %d: %s counts from %s: give a DTSTART after 1900", e.line, name, e.start.Date)
		}
		start := Moment{Date: e.start.Date}
		list, more := e.rule.Between(start, max(start.Date, firstHoliday), lastHoliday, maxDates)
		if more {
			return fmt.Errorf("line %d: %s recurs on more than %d dates", e.line, name, maxDates)
		}
		for _, m := range list {
			starts = append(starts, m.Date)
		}
	}
	skip := map[Date]bool{}
	for _, d := range e.except {
		skip[d] = true
	}
	if e.instead == 0 {
		for _, d := range moved {
			skip[d] = true
		}
	}
	slices.Sort(starts)
	for _, d := range slices.Compact(starts) {
		if skip[d] {
			continue
		}
		if len(h.days)+length > maxDates {
			return fmt.Errorf("line %d: more than %d days in all", e.line, maxDates)
		}
		for i := range length {
			if day := d + Date(i); day <= LastDate {
				h.days = append(h.days, holiday{day, name})
			}
		}
	}
	return nil
}
