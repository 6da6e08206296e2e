package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"
)

func recurrence(t testing.TB, text string) *calendar.Recurrence {
	t.Helper()
	r, err := calendar.ParseRecurrence(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// TestRecurrence has the examples of RFC 5545 §3.8.5.3 that are daily at most.
func TestRecurrence(t *testing.T) {
	for _, c := range []struct{ rule, start, want string }{
		{"FREQ=DAILY;COUNT=3", "1997-09-02", "1997-09-02 1997-09-03 1997-09-04"},
		{"FREQ=DAILY;UNTIL=19970904T000000Z", "1997-09-02", "1997-09-02 1997-09-03"},
		{"FREQ=DAILY;UNTIL=19970904", "1997-09-02", "1997-09-02 1997-09-03 1997-09-04"},
		{"FREQ=DAILY;INTERVAL=10;COUNT=3", "1997-09-02", "1997-09-02 1997-09-12 1997-09-22"},
		{"FREQ=WEEKLY;INTERVAL=2;WKST=SU;COUNT=4;BYDAY=TU,TH", "1997-09-02", "1997-09-02 1997-09-04 1997-09-16 1997-09-18"},
		{"FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"},
		{"FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", "1997-08-05 1997-08-17 1997-08-19 1997-08-31"},
		{"FREQ=MONTHLY;COUNT=3;BYDAY=1FR", "1997-09-05", "1997-09-05 1997-10-03 1997-11-07"},
		{"FREQ=MONTHLY;INTERVAL=2;COUNT=4;BYDAY=1SU,-1SU", "1997-09-07", "1997-09-07 1997-09-28 1997-11-02 1997-11-30"},
		{"FREQ=MONTHLY;COUNT=3;BYDAY=-2MO", "1997-09-22", "1997-09-22 1997-10-20 1997-11-17"},
		{"FREQ=MONTHLY;COUNT=3;BYMONTHDAY=-3", "1997-09-28", "1997-09-28 1997-10-29 1997-11-28"},
		{"FREQ=MONTHLY;COUNT=4;BYMONTHDAY=1,-1", "1997-09-30", "1997-09-30 1997-10-01 1997-10-31 1997-11-01"},
		{"FREQ=MONTHLY;COUNT=3", "2026-01-31", "2026-01-31 2026-03-31 2026-05-31"},
		{"FREQ=YEARLY;COUNT=4;BYMONTH=6,7", "1997-06-10", "1997-06-10 1997-07-10 1998-06-10 1998-07-10"},
		{"FREQ=YEARLY;COUNT=2", "2024-02-29", "2024-02-29 2028-02-29"},
		{"FREQ=YEARLY;INTERVAL=3;COUNT=4;BYYEARDAY=1,100,200", "1997-01-01", "1997-01-01 1997-04-10 1997-07-19 2000-01-01"},
		{"FREQ=YEARLY;COUNT=3;BYDAY=20MO", "1997-05-19", "1997-05-19 1998-05-18 1999-05-17"},
		{"FREQ=YEARLY;COUNT=3;BYWEEKNO=20;BYDAY=MO", "1997-05-12", "1997-05-12 1998-05-11 1999-05-17"},
		{"FREQ=YEARLY;COUNT=3;BYWEEKNO=-1;BYDAY=MO", "1997-01-01", "1997-12-22 1998-12-28 1999-12-27"},
		{"FREQ=YEARLY;COUNT=3;BYWEEKNO=1;BYDAY=MO", "2025-01-01", "2025-12-29 2027-01-04 2028-01-03"},
		{"FREQ=YEARLY;COUNT=2;BYWEEKNO=53", "2025-01-01", "2026-12-30 2032-12-29"},
		{"FREQ=YEARLY;COUNT=4;BYMONTH=3;BYDAY=TH", "1997-03-13", "1997-03-13 1997-03-20 1997-03-27 1998-03-05"},
		{"FREQ=MONTHLY;COUNT=3;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", "1998-02-13 1998-03-13 1998-11-13"},
		{"FREQ=YEARLY;INTERVAL=4;COUNT=3;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-05", "1996-11-05 2000-11-07 2004-11-02"},
		{"FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "1997-09-04 1997-10-07 1997-11-06"},
		{"FREQ=MONTHLY;COUNT=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29", "1997-09-29 1997-10-30 1997-11-27"},
		{"RRULE:freq=monthly;bymonthday=15,30;count=5", "2007-01-15", "2007-01-15 2007-01-30 2007-02-15 2007-03-15 2007-03-30"},
		{"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01", ""},
	} {
		r := recurrence(t, c.rule)
		list, more := r.Between(calendar.Moment{Date: date(t, c.start), Clock: 540}, date(t, c.start), date(t, "2050-01-01"), 100)
		var got []string
		for _, m := range list {
			if m.Clock != 540 {
				t.Errorf("%s: %s", c.rule, m)
			}
			got = append(got, m.Date.String())
		}
		if s := strings.Join(got, " "); s != c.want || more {
			t.Errorf("%s from %s:\n got %s (more: %v)\nwant %s", c.rule, c.start, s, more, c.want)
		}
	}
}

func TestRecurrenceRefused(t *testing.T) {
	for rule, want := range map[string]string{
		"":                                               "not NAME=VALUE",
		"INTERVAL=2":                                     "no FREQ",
		"FREQ=HOURLY":                                    "nobody is contacted more than daily",
		"FREQ=DAILY;FREQ=DAILY":                          "twice",
		"FREQ=DAILY;INTERVAL=0":                          "from 1 to 1000",
		"FREQ=DAILY;INTERVAL=999999999999":               "from 1 to 1000",
		"FREQ=DAILY;COUNT=2;UNTIL=20300101":              "both COUNT and UNTIL",
		"FREQ=DAILY;UNTIL=2030-01-01":                    "want a date as 20261231",
		"FREQ=MONTHLY;BYDAY=-54MO":                       "from 1 to 53 or -53 to -1",
		"FREQ=WEEKLY;BYDAY=1MO":                          "MONTHLY and YEARLY only",
		"FREQ=MONTHLY;BYDAY=MONDAY":                      "is not a day",
		"FREQ=YEARLY;BYEASTER=1":                         "not known here",
		"FREQ=WEEKLY;BYMONTHDAY=1":                       "not for FREQ=WEEKLY",
		"FREQ=MONTHLY;BYWEEKNO=1":                        "for FREQ=YEARLY only",
		"FREQ=MONTHLY;BYYEARDAY=1":                       "for FREQ=YEARLY only",
		"FREQ=YEARLY;BYWEEKNO=1;BYDAY=2MO":               "does not go with BYWEEKNO",
		"FREQ=DAILY;BYSETPOS=1":                          "needs another BY part",
		"FREQ=DAILY;WKST=XX":                             "want one of",
		"FREQ=DAILY;BYMONTH=0":                           "from 1 to 12",
		"FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=1,2,3,4,5": "more than 24 times",
		"FREQ=DAILY;X" + strings.Repeat("X", 2000):       "at most 1024",
	} {
		if r, err := calendar.ParseRecurrence(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRecurrence(%q) = %v, %v; want %q", rule, r, err, want)
		}
	}
}

// TestRecurrenceClocks: a time that is skipped comes late that day, one that
// comes twice comes once.
func TestRecurrenceClocks(t *testing.T) {
	r := recurrence(t, "FREQ=DAILY;BYHOUR=2;BYMINUTE=30")
	for _, c := range []struct{ zone, day, want string }{
		{"Europe/Berlin", "2026-03-28", "01:30 03:30+02:00 00:30"},
		{"Europe/Berlin", "2026-10-24", "00:30 02:30+02:00 01:30"},
		{"America/Sao_Paulo", "2018-11-03", "05:30 02:30-02:00 04:30"},
	} {
		list, _ := r.Between(calendar.Moment{Date: date(t, c.day), Clock: 0}, date(t, c.day), date(t, c.day)+2, 10)
		if len(list) != 3 {
			t.Fatal(list)
		}
		z := zone(t, c.zone)
		got := fmt.Sprintf("%s %s %s", list[0].In(z).UTC().Format("15:04"), list[1].In(z).Format("15:04Z07:00"), list[2].In(z).UTC().Format("15:04"))
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.zone, c.day, got, c.want)
		}
	}
}

// drawRule draws a rule that both we and the oracle take.
func drawRule(t *rapid.T) string {
	pick := func(name string, low, high, most int, signed bool) string {
		var list []string
		for range rapid.IntRange(1, most).Draw(t, name+"s") {
			n := rapid.IntRange(low, high).Draw(t, name)
			if signed && rapid.Bool().Draw(t, "from the end") {
				n = -n
			}
			if s := fmt.Sprint(n); !slices.Contains(list, s) { // of two the oracle makes two
				list = append(list, s)
			}
		}
		return ";" + name + "=" + strings.Join(list, ",")
	}
	freq := rapid.SampledFrom([]string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}).Draw(t, "freq")
	rule := "FREQ=" + freq + fmt.Sprintf(";INTERVAL=%d", rapid.IntRange(1, 5).Draw(t, "interval"))
	by := false
	maybe := func(name string) bool {
		yes := rapid.IntRange(0, 2).Draw(t, name) == 0
		by = by || yes
		return yes
	}
	// A daily rule without dates takes the oracle seconds.
	if freq != "DAILY" && maybe("month?") {
		rule += pick("BYMONTH", 1, 12, 3, false)
	}
	if freq != "WEEKLY" && maybe("month day?") {
		rule += pick("BYMONTHDAY", 1, 31, 3, true)
	}
	if freq == "YEARLY" && maybe("year day?") {
		rule += pick("BYYEARDAY", 1, 366, 3, true)
	}
	if maybe("days?") {
		var list []string
		for range rapid.IntRange(1, 3).Draw(t, "days") {
			d := rapid.SampledFrom([]string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}).Draw(t, "day")
			// The oracle mixes numbered and other days in its own way.
			if freq == "MONTHLY" {
				d = fmt.Sprint(rapid.SampledFrom([]int{-5, -2, -1, 1, 2, 4, 5}).Draw(t, "n")) + d
			}
			list = append(list, d)
		}
		rule += ";BYDAY=" + strings.Join(list, ",")
	}
	if maybe("hours?") {
		rule += pick("BYHOUR", 0, 23, 2, false)
	}
	// In the week of the start the oracle counts positions from the start on.
	if by && freq != "WEEKLY" && rapid.IntRange(0, 3).Draw(t, "positions?") == 0 {
		rule += pick("BYSETPOS", 1, 9, 2, true)
	}
	if rapid.Bool().Draw(t, "week start?") {
		rule += ";WKST=" + rapid.SampledFrom([]string{"SU", "MO", "TH"}).Draw(t, "week start")
	}
	switch rapid.IntRange(0, 2).Draw(t, "end?") {
	case 0:
		rule += fmt.Sprintf(";COUNT=%d", rapid.IntRange(1, 30).Draw(t, "count"))
	case 1:
		rule += fmt.Sprintf(";UNTIL=%d1115T100000", rapid.IntRange(2020, 2034).Draw(t, "until"))
	}
	return rule
}

// TestRecurrenceOracle: over ten years the same moments as rrule-go gives in
// UTC, and the same from any date on.
func TestRecurrenceOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t)
		start := time.Date(2020, 1, 1, 9, 30, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 1500).Draw(t, "start"))
		option, err := rrule.StrToROption(rule)
		if err != nil {
			t.Fatal(rule, err)
		}
		option.Dtstart = start
		oracle, err := rrule.NewRRule(*option)
		if err != nil {
			t.Fatal(rule, err)
		}
		end := start.AddDate(10, 0, 0)
		first := start.AddDate(0, 0, rapid.IntRange(0, 2000).Draw(t, "from"))
		first = first.Truncate(24 * time.Hour)
		var want []string
		for _, at := range oracle.Between(first, end.Truncate(24*time.Hour).Add(24*time.Hour-1), true) {
			want = append(want, at.Format("2006-01-02 15:04"))
		}
		ours, err := calendar.ParseRecurrence(rule)
		if err != nil {
			t.Fatal(rule, err)
		}
		list, more := ours.Between(calendar.Moment{Date: calendar.DateOf(start, nil), Clock: 570}, calendar.DateOf(first, nil), calendar.DateOf(end, nil), 1e6)
		var got []string
		for _, m := range list {
			got = append(got, m.String())
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || more {
			t.Fatalf("%s from %s, since %s:\n got %v\nwant %v", rule, start, first, got, want)
		}
	})
}

// FuzzRecurrence: no rule panics or works long, and what is listed is in order.
func FuzzRecurrence(f *testing.F) {
	for _, s := range []string{"FREQ=MONTHLY;BYDAY=-53MO", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=SU", "FREQ=YEARLY;COUNT=10000;BYYEARDAY=366"} {
		f.Add(s, int32(739000))
	}
	f.Fuzz(func(t *testing.T, rule string, start int32) {
		r, err := calendar.ParseRecurrence(rule)
		if err != nil {
			return
		}
		day := calendar.Date(start)
		list, _ := r.Between(calendar.Moment{Date: day, Clock: 540}, day, day+4000, 200)
		for i, m := range list {
			if m.Date < day || i > 0 && (m.Date < list[i-1].Date || m.Date == list[i-1].Date && m.Clock <= list[i-1].Clock) {
				t.Fatalf("%s: %v", rule, list)
			}
		}
	})
}
