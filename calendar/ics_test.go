package calendar_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/calendar"
)

// ics makes a calendar of lines within one event each.
func ics(events ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
	for _, e := range events {
		b.WriteString("BEGIN:VEVENT\r\n" + strings.ReplaceAll(strings.TrimSpace(e), "\n", "\r\n") + "\r\nEND:VEVENT\r\n")
	}
	return b.String() + "END:VCALENDAR\r\n"
}

func TestHolidays(t *testing.T) {
	for _, c := range []struct {
		name, text, want string // days from 2026-01-01 to 2027-12-31
		notes            string
	}{
		{"one day", ics("DTSTART;VALUE=DATE:20261003\nSUMMARY:Tag der Deutschen Einheit"), "2026-10-03 Tag der Deutschen Einheit", ""},
		{"no summary", ics("DTSTART;VALUE=DATE:20261003"), "2026-10-03 without a name", ""},
		{"several days, the end excluded", ics("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nSUMMARY:X"), "2026-12-24 X, 2026-12-25 X, 2026-12-26 X", ""},
		{"the end on the same day", ics("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261224\nSUMMARY:X"), "2026-12-24 X", ""},
		{"duration", ics("DTSTART;VALUE=DATE:20261224\nDURATION:P2D\nSUMMARY:X"), "2026-12-24 X, 2026-12-25 X", ""},
		{"yearly", ics("DTSTART;VALUE=DATE:19900101\nRRULE:FREQ=YEARLY\nSUMMARY:Neujahr"), "2026-01-01 Neujahr, 2027-01-01 Neujahr", ""},
		{"Thanksgiving", ics("DTSTART;VALUE=DATE:19981126\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nSUMMARY:Thanksgiving"), "2026-11-26 Thanksgiving, 2027-11-25 Thanksgiving", ""},
		{"exception and extra date", ics("DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20260501\nRDATE;VALUE=DATE:20260504,20260505\nSUMMARY:X"),
			"2026-05-04 X, 2026-05-05 X, 2027-05-01 X", ""},
		{"one date moved", ics("UID:a\nDTSTART;VALUE=DATE:20200427\nRRULE:FREQ=YEARLY\nSUMMARY:Koningsdag", "UID:a\nRECURRENCE-ID;VALUE=DATE:20270427\nDTSTART;VALUE=DATE:20270426\nSUMMARY:Koningsdag"),
			"2026-04-27 Koningsdag, 2027-04-26 Koningsdag", ""},
		{"one date cancelled", ics("UID:a\nDTSTART;VALUE=DATE:20200427\nRRULE:FREQ=YEARLY\nSUMMARY:X", "UID:a\nRECURRENCE-ID;VALUE=DATE:20270427\nDTSTART;VALUE=DATE:20270427\nSTATUS:CANCELLED\nSUMMARY:X"),
			"2026-04-27 X", "line 9: X is cancelled"},
		{"escapes and folds", ics("DTSTART;VALUE=DATE:20261003\nSUMMARY:A\\, B\\; \\\\C\n D"), `2026-10-03 A, B; \CD`, ""},
		{"folded letter", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261003\nSUMMARY:M\xc3\n \xbcnchen\nEND:VEVENT\nEND:VCALENDAR", "", "not UTF-8"},
		{"some hours", ics("DTSTART:20261003T180000Z\nDTEND:20261003T220000Z\nSUMMARY:Party"), "", "line 3: Party is no whole day"},
		{"a day in hours", ics("DTSTART;TZID=Europe/Berlin:20261003T000000\nDTEND;TZID=Europe/Berlin:20261004T000000\nSUMMARY:X"), "2026-10-03 X", ""},
		{"zone and alarm are not ours", "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nBEGIN:STANDARD\nDTSTART:19701025T030000\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261003\nSUMMARY:X\nBEGIN:VALARM\nTRIGGER:-PT15M\nSUMMARY:no\nEND:VALARM\nEND:VEVENT\nBEGIN:VTODO\nDTSTART;VALUE=DATE:20260101\nEND:VTODO\nEND:VCALENDAR\n", "2026-10-03 X", ""},
		{"byte order mark, parameters with a colon", "\ufeffBEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261003\nSUMMARY;ALTREP=\"http://x:1/\":X\nEND:VEVENT\nEND:VCALENDAR", "2026-10-03 X", ""},
		{"two calendars in one file", ics("DTSTART;VALUE=DATE:20261003\nSUMMARY:A") + ics("DTSTART;VALUE=DATE:20261003\nSUMMARY:B"), "2026-10-03 A", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := calendar.ParseHolidays([]byte(c.text))
			if err != nil {
				if c.notes == "" || !strings.Contains(err.Error(), c.notes) {
					t.Fatal(err)
				}
				return
			}
			var got []string
			for d := date(t, "2026-01-01"); d <= date(t, "2027-12-31"); d++ {
				if name, ok := h.On(d); ok {
					got = append(got, d.String()+" "+name)
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %s\nwant %s", s, c.want)
			}
			if s := strings.Join(h.Notes(), ", "); s != c.notes {
				t.Errorf("notes %q, want %q", s, c.notes)
			}
		})
	}
}

func TestHolidaysRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "is empty"},
		{"hello", "line 1: this is not NAME:VALUE"},
		{"BEGIN:VCARD\nEND:VCARD", "line 1: want BEGIN:VCALENDAR"},
		{" BEGIN:VCALENDAR", "line 1: a folded line has nothing before it"},
		{"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "line 3: END:VCALENDAR, but VEVENT is open"},
		{"BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "ends within VEVENT"},
		{ics("SUMMARY:X"), "line 3: the event has no DTSTART"},
		{ics("DTSTART;VALUE=DATE:20261301"), "line 4: DTSTART: want a date"},
		{ics("DTSTART;VALUE=DATE:20261001T000000"), "VALUE=DATE, but the value has a time"},
		{ics("DTSTART;VALUE=DATE:20261003\nDTEND;VALUE=DATE:20261001"), "ends before it begins"},
		{ics("DTSTART;VALUE=DATE:20261003\nDURATION:P9999999999999999999D"), "want a duration"},
		{ics("DTSTART;VALUE=DATE:20261003\nDURATION:P400D"), "lasts 400 days"},
		{ics("DTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY"), "more than 20000 dates"},
		{ics("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY;COUNT=10000"), "after 1900"},
		{ics("DTSTART;VALUE=DATE:20000101\nRRULE:FREQ=YEARLY;BYEASTER=0"), "line 5: RRULE: recurrence rule: BYEASTER=0"},
		{strings.Repeat("BEGIN:VCALENDAR\n", 100), "too deep"},
		{"BEGIN:VCALENDAR\nX:" + strings.Repeat("a", 70000), "more than 65536 bytes"},
		{strings.Repeat("x", calendar.MaxHolidayBytes+1), "at most 1048576"},
		{ics(strings.Split(strings.Repeat("DTSTART:20260101|", 5001), "|")[:5001]...), "more than 5000 events"},
		{ics(strings.Split(strings.Repeat("DTSTART:20260101\nRRULE:FREQ=YEARLY;COUNT=2|", 501), "|")[:501]...), "more than 500 events that recur"},
	} {
		if h, err := calendar.ParseHolidays([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseHolidays(%.60q)  (%v days) = %v; want %q", c.text, h.Days(), err, c.want)
		}
	}
}

// FuzzHolidays: any file is refused or gives days in order, and no panic.
func FuzzHolidays(f *testing.F) {
	f.Add([]byte(christmas))
	f.Add([]byte(ics("UID:a\nDTSTART;VALUE=DATE:20200427\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE:20210427\nDURATION:P1W", "UID:a\nRECURRENCE-ID:20220427\nDTSTART:20220426T000000Z\nDTEND:20220427T000000Z")))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := calendar.ParseHolidays(text)
		if err != nil {
			return
		}
		n := 0
		for d, name := range h.Between(1, calendar.LastDate) {
			if got, ok := h.On(d); !ok || got != name || d < 1 {
				t.Fatalf("%s: %q, %v; want %q", d, got, ok, name)
			}
			n++
		}
		if n != h.Days() || n > 20000 {
			t.Fatalf("%d days, Days says %d", n, h.Days())
		}
	})
}

func BenchmarkParseHolidays(b *testing.B) {
	var events []string
	for i := range 300 {
		events = append(events, fmt.Sprintf("DTSTART;VALUE=DATE:2020%02d%02d\nRRULE:FREQ=YEARLY\nSUMMARY:Day %d", i%12+1, i%28+1, i))
	}
	text := []byte(ics(events[:150]...))
	for b.Loop() {
		if _, err := calendar.ParseHolidays(text); err != nil {
			b.Fatal(err)
		}
	}
}
