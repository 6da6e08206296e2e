package calendar_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"pgregory.net/rapid"
)

func milestones(t testing.TB, texts ...string) []calendar.Milestone {
	t.Helper()
	var list []calendar.Milestone
	for _, text := range texts {
		m, err := calendar.ParseMilestone(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

func at9(t testing.TB, day string) calendar.Moment {
	return calendar.Moment{Date: date(t, day), Clock: 540}
}

func TestScheduleValidate(t *testing.T) {
	start := at9(t, "2026-11-23")
	for _, c := range []struct {
		s    calendar.Schedule
		want string
	}{
		{calendar.Schedule{Kind: calendar.Once, Start: start}, ""},
		{calendar.Schedule{Kind: calendar.Recurring, Start: start, Rule: "FREQ=WEEKLY;BYDAY=MO"}, ""},
		{calendar.Schedule{Kind: calendar.Tenure, Start: start, Milestones: milestones(t, "first day", "30d", "every 1y")}, ""},
		{calendar.Schedule{Kind: "twice", Start: start}, `schedule "twice" is not known`},
		{calendar.Schedule{Kind: calendar.Once}, "no date and time to start"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Until: 5}, "before it starts"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Rule: "FREQ=DAILY"}, "only a recurring schedule"},
		{calendar.Schedule{Kind: calendar.Recurring, Start: start, Rule: "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "nobody would ever be contacted"},
		{calendar.Schedule{Kind: calendar.Recurring, Start: start, Rule: "FREQ=WEEKLY", Until: start.Date - 1}, "before it starts"},
		{calendar.Schedule{Kind: calendar.Recurring, Start: start}, "not NAME=VALUE"},
		{calendar.Schedule{Kind: calendar.Tenure, Start: start}, "1 to 100 milestones"},
		{calendar.Schedule{Kind: calendar.Tenure, Start: start, Milestones: milestones(t, "30d", "30d")}, "30d is there twice"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Misfire: "maybe"}, "write skip, send or ask"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Valid: -1}, "valid for 1 to"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Grace: 400}, "0 to 366 days"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Reminders: []calendar.Distance{{Days: 3}, {Hours: 72}}}, "reminder 2 is not after"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Reminders: []calendar.Distance{{}}}, "an hour to a year"},
		{calendar.Schedule{Kind: calendar.Once, Start: start, Reminders: make([]calendar.Distance, 11)}, "at most 10"},
	} {
		err := c.s.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Validate(%+v) = %v, want %q", c.s, err, c.want)
		}
	}
}

func TestWaves(t *testing.T) {
	s := calendar.Schedule{Kind: calendar.Recurring, Start: at9(t, "2026-11-23"), Rule: "FREQ=MONTHLY;BYDAY=1MO", Until: date(t, "2027-03-01")}
	list, more, err := s.Waves(1, calendar.LastDate, 10)
	if got := fmt.Sprint(list, more, err); got != "[2026-12-07 09:00 2027-01-04 09:00 2027-02-01 09:00 2027-03-01 09:00] false <nil>" {
		t.Error(got)
	}
	if list, more, _ = s.Waves(date(t, "2027-01-01"), calendar.LastDate, 1); len(list) != 1 || !more {
		t.Error(list, more)
	}
	s = calendar.Schedule{Kind: calendar.Once, Start: at9(t, "2026-11-23")}
	if list, _, _ = s.Waves(s.Start.Date, s.Start.Date, 1); len(list) != 1 {
		t.Error(list)
	}
	if list, _, _ = s.Waves(s.Start.Date+1, calendar.LastDate, 1); len(list) != 0 {
		t.Error(list)
	}
	berlin, tokyo := zone(t, "Europe/Berlin"), zone(t, "Asia/Tokyo")
	if got := s.Due(s.Start, tokyo, berlin).UTC().Format("15:04"); got != "00:00" {
		t.Error(got)
	}
	if got := s.Due(s.Start, nil, berlin).UTC().Format("15:04"); got != "08:00" {
		t.Error(got)
	}
	s.Instant = true
	if got := s.Due(s.Start, tokyo, berlin).UTC().Format("15:04"); got != "08:00" {
		t.Error(got)
	}
	for _, z := range zones(t) {
		if due := s.Start.In(z); due.Before(s.Start.First()) || due.After(s.Start.Last()) {
			t.Errorf("%s: %s is not from %s to %s", z, due, s.Start.First(), s.Start.Last())
		}
	}
}

func TestReached(t *testing.T) {
	list := milestones(t, "first day", "30d", "3m", "every 1y")
	for _, c := range []struct {
		name, first, known, from, to, want string
		grace                              int
	}{
		{"the first quarter", "2026-01-05", "2026-01-01", "2026-01-01", "2026-12-31", "first day 2026-01-05, 30d 2026-02-04, 3m 2026-04-05", 0},
		{"29 February", "2024-02-29", "2024-01-01", "2025-01-01", "2029-01-01", "every 1y#1 2025-02-28, every 1y#2 2026-02-28, every 1y#3 2027-02-28, every 1y#4 2028-02-29", 0},
		{"the end of a month", "2025-11-30", "2025-11-01", "2026-02-01", "2026-02-28", "3m 2026-02-28", 0},
		{"late: known on the third day", "2026-01-05", "2026-01-07", "2026-01-01", "2026-02-28", "30d 2026-02-04", 0},
		{"late, with grace", "2026-01-05", "2026-01-07", "2026-01-01", "2026-02-28", "first day 2026-01-07, 30d 2026-02-04", 3},
		{"late, with just enough grace", "2026-01-05", "2026-01-07", "2026-01-01", "2026-01-28", "first day 2026-01-07", 2},
		{"late, with a day too little", "2026-01-05", "2026-01-07", "2026-01-01", "2026-01-28", "", 1},
		{"a veteran is not asked about the first day", "2010-05-01", "2026-01-07", "2026-01-01", "2026-12-31", "every 1y#16 2026-05-01", 30},
		{"known long before", "2026-12-01", "", "2026-12-01", "2026-12-31", "first day 2026-12-01, 30d 2026-12-31", 0},
		{"nothing after the end", "2026-12-01", "", "2027-11-01", "2040-12-31", "every 1y#1 2027-12-01, every 1y#2 2028-12-01, every 1y#3 2029-12-01", 0},
	} {
		s := calendar.Schedule{Kind: calendar.Tenure, Start: at9(t, "2020-01-01"), Until: date(t, "2030-01-01"), Milestones: list, Grace: c.grace}
		known := calendar.Date(0)
		if c.known != "" {
			known = date(t, c.known)
		}
		var got []string
		for _, r := range s.Reached(date(t, c.first), known, date(t, c.from), date(t, c.to)) {
			got = append(got, r.Key()+" "+r.Date.String())
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, s, c.want)
		}
	}
	for _, text := range []string{"", "first", "0d", "30", "d", "30x", "every 1d", "every first day", "-1d", "99999d"} {
		if m, err := calendar.ParseMilestone(text); err == nil {
			t.Errorf("ParseMilestone(%q) = %v", text, m)
		}
	}
}

// TestReachedOnce: looking day by day finds each milestone of a person once,
// and the same as looking at once.
func TestReachedOnce(t *testing.T) {
	list := milestones(t, "first day", "7d", "every 6m", "every 90d", "18m")
	rapid.Check(t, func(t *rapid.T) {
		begin := calendar.NewDate(2026, 1, 1)
		s := calendar.Schedule{Kind: calendar.Tenure, Start: calendar.Moment{Date: begin, Clock: 540}, Milestones: list, Grace: rapid.IntRange(0, 20).Draw(t, "grace")}
		first := begin + calendar.Date(rapid.IntRange(-1000, 100).Draw(t, "first"))
		known := begin + calendar.Date(rapid.IntRange(-1000, 100).Draw(t, "known"))
		days := map[string]calendar.Date{}
		for d := begin - 50; d < begin+500; d++ {
			for _, r := range s.Reached(first, known, d, d) {
				if old, ok := days[r.Key()]; ok || r.Date != d {
					t.Fatalf("%s on %s, %s and %s", r.Key(), d, r.Date, old)
				}
				days[r.Key()] = d
			}
		}
		all := s.Reached(first, known, begin-50, begin+499)
		for _, r := range all {
			if days[r.Key()] != r.Date {
				t.Fatalf("%s on %s, day by day on %s", r.Key(), r.Date, days[r.Key()])
			}
		}
		if len(all) != len(days) {
			t.Fatalf("%d at once, %d day by day", len(all), len(days))
		}
	})
}

func TestReminders(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	sent := time.Date(2026, 3, 27, 9, 30, 15, 0, berlin)
	if got := (calendar.Distance{Days: 3}).After(sent, berlin).Format(time.RFC3339); got != "2026-03-30T09:30:15+02:00" {
		t.Error(got)
	}
	if got := (calendar.Distance{Days: 3, Hours: 2}).After(sent, berlin).Format(time.RFC3339); got != "2026-03-30T11:30:15+02:00" {
		t.Error(got)
	}
	if got := (calendar.Distance{Hours: 72}).After(sent, berlin).Format(time.RFC3339); got != "2026-03-30T10:30:15+02:00" {
		t.Error(got)
	}
}

func TestLate(t *testing.T) {
	for _, c := range []struct {
		policy calendar.Misfire
		late   time.Duration
		want   calendar.Misfire
	}{
		{"", -time.Hour, calendar.Send}, {"", 5 * time.Hour, calendar.Send}, {"", 5*time.Hour + 1, calendar.Skip},
		{calendar.Ask, 6 * time.Hour, calendar.Ask}, {calendar.Send, 600 * time.Hour, calendar.Send}, {calendar.Skip, time.Hour, calendar.Send},
	} {
		s := calendar.Schedule{Valid: 5, Misfire: c.policy}
		if got, why := s.Late(noon, noon.Add(c.late)); got != c.want || (why == "") != (c.late <= 5*time.Hour) {
			t.Errorf("%s late, %q: %s (%s), want %s", c.late, c.policy, got, why, c.want)
		}
	}
	if _, why := (&calendar.Schedule{}).Late(noon, noon.Add(30*time.Hour)); why != "30 hours late, valid for 24" {
		t.Error(why)
	}
}

func TestScheduleJSON(t *testing.T) {
	want := `{"kind":"milestone","start":{"date":"2026-11-23","clock":"09:00"},"milestones":["first day","90d","every 1y"],"grace":3,"misfire":"ask","reminders":[{"days":3}]}`
	var s calendar.Schedule
	if err := json.Unmarshal([]byte(want), &s); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(s); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
