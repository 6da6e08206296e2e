package calendar_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/bearhug/bearhug/calendar"
	"pgregory.net/rapid"
)

//go:embed testdata/zones.txt
var zoneNames string

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// zones are all zones of the time zone database.
func zones(t testing.TB) []*time.Location {
	var list []*time.Location
	for name := range strings.FieldsSeq(zoneNames) {
		list = append(list, zone(t, name))
	}
	if len(list) < 500 {
		t.Fatalf("%d zones, want all", len(list))
	}
	return list
}

func quiet(t testing.TB, texts ...string) []calendar.Quiet {
	t.Helper()
	var list []calendar.Quiet
	for _, text := range texts {
		q, err := calendar.ParseQuiet(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, q)
	}
	return list
}

func date(t testing.TB, text string) calendar.Date {
	t.Helper()
	d, err := calendar.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const christmas = "BEGIN:VCALENDAR\nX-WR-CALNAME:Feiertage\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20001225\nDTEND;VALUE=DATE:20001227\nRRULE:FREQ=YEARLY\nSUMMARY:Weihnachten\nEND:VEVENT\nEND:VCALENDAR\n"

func holidays(t testing.TB, text string) *calendar.Holidays {
	t.Helper()
	h, err := calendar.ParseHolidays([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEarliest(t *testing.T) {
	sat := calendar.WeekdaysOf(time.Saturday, time.Sunday)
	fri := calendar.WeekdaysOf(time.Friday, time.Saturday)
	for _, c := range []struct {
		name, zone, at string
		org, person    calendar.Rules
		want, reason   string
	}{
		{name: "nothing forbids", zone: "Europe/Berlin", at: "2026-11-23T12:00:00+01:00", want: "2026-11-23T12:00:00+01:00"},
		{name: "over midnight, before", zone: "Europe/Berlin", at: "2026-11-23T03:30:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-11-23T08:00:00+01:00", reason: "quiet hours until 08:00 Europe/Berlin"},
		{name: "over midnight, after", zone: "Europe/Berlin", at: "2026-11-23T22:00:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-11-24T08:00:00+01:00", reason: "quiet hours until Tue 2026-11-24 08:00 Europe/Berlin"},
		{name: "the end is permitted", zone: "Europe/Berlin", at: "2026-11-23T08:00:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-11-23T08:00:00+01:00"},
		{name: "seconds of the beginning", zone: "Europe/Berlin", at: "2026-11-23T21:59:59.5+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-11-23T21:59:59.5+01:00"},
		{name: "weekend, then quiet", zone: "Europe/Berlin", at: "2026-11-20T23:00:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00"), Weekend: sat},
			want: "2026-11-23T08:00:00+01:00", reason: "quiet hours, weekend until Mon 2026-11-23 08:00 Europe/Berlin"},
		{name: "own weekend instead", zone: "Asia/Dubai", at: "2026-11-22T12:00:00+04:00", org: calendar.Rules{Weekend: sat}, person: calendar.Rules{Weekend: fri},
			want: "2026-11-22T12:00:00+04:00"},
		{name: "quiet on Friday evening only", zone: "Europe/Berlin", at: "2026-11-21T09:00:00+01:00", person: calendar.Rules{Quiet: quiet(t, "fri 18:00-10:00")},
			want: "2026-11-21T10:00:00+01:00", reason: "own quiet hours until 10:00 Europe/Berlin"},
		{name: "and not on Saturday evening", zone: "Europe/Berlin", at: "2026-11-21T19:00:00+01:00", person: calendar.Rules{Quiet: quiet(t, "fri 18:00-10:00")},
			want: "2026-11-21T19:00:00+01:00"},
		{name: "holiday", zone: "Europe/Berlin", at: "2026-12-25T09:00:00+01:00", org: calendar.Rules{Holidays: []*calendar.Holidays{holidays(t, christmas)}, Quiet: quiet(t, "18:00-08:00")},
			want: "2026-12-27T08:00:00+01:00", reason: "holiday Weihnachten, quiet hours until Sun 2026-12-27 08:00 Europe/Berlin"},
		{name: "pause", zone: "Europe/Berlin", at: "2026-12-01T09:00:00+01:00", person: calendar.Rules{Pauses: []calendar.Pause{{From: date(t, "2026-11-20"), To: date(t, "2028-11-30"), Why: "parental leave"}}},
			want: "2028-12-01T00:00:00+01:00", reason: "own pause (parental leave) until Fri 2028-12-01 00:00 Europe/Berlin"},
		{name: "end of quiet hours within the gap", zone: "Europe/Berlin", at: "2026-03-29T00:30:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-02:30")},
			want: "2026-03-29T03:00:00+02:00", reason: "quiet hours until 03:00 Europe/Berlin"},
		{name: "quiet hours as long as the gap", zone: "Europe/Berlin", at: "2026-03-29T01:59:59+01:00", org: calendar.Rules{Quiet: quiet(t, "02:00-03:00")},
			want: "2026-03-29T01:59:59+01:00"},
		{name: "short night keeps 08:00", zone: "Europe/Berlin", at: "2026-03-28T23:00:00+01:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-03-29T08:00:00+02:00", reason: "quiet hours until Sun 2026-03-29 08:00 Europe/Berlin"},
		{name: "long night keeps 08:00", zone: "Europe/Berlin", at: "2026-10-24T23:00:00+02:00", org: calendar.Rules{Quiet: quiet(t, "22:00-08:00")},
			want: "2026-10-25T08:00:00+01:00", reason: "quiet hours until Sun 2026-10-25 08:00 Europe/Berlin"},
		{name: "hours that come twice are quiet twice", zone: "Europe/Berlin", at: "2026-10-25T02:10:00+01:00", org: calendar.Rules{Quiet: quiet(t, "02:00-02:30")},
			want: "2026-10-25T02:30:00+01:00", reason: "quiet hours until 02:30 Europe/Berlin"},
		{name: "between the two", zone: "Europe/Berlin", at: "2026-10-25T02:40:00+02:00", org: calendar.Rules{Quiet: quiet(t, "02:00-02:30")},
			want: "2026-10-25T02:40:00+02:00"},
		{name: "a day without midnight", zone: "America/Sao_Paulo", at: "2018-11-03T12:00:00-03:00", org: calendar.Rules{Weekend: calendar.WeekdaysOf(time.Saturday)},
			want: "2018-11-04T01:00:00-02:00", reason: "weekend until Sun 2018-11-04 01:00 America/Sao_Paulo"},
		{name: "a day that never was", zone: "Pacific/Apia", at: "2011-12-29T12:00:00-10:00", org: calendar.Rules{Quiet: quiet(t, "thu,fri 00:00-24:00")},
			want: "2011-12-31T00:00:00+14:00", reason: "quiet hours until Sat 2011-12-31 00:00 Pacific/Apia"},
		{name: "half an hour of summer", zone: "Australia/Lord_Howe", at: "2026-10-03T23:00:00+10:30", org: calendar.Rules{Quiet: quiet(t, "22:00-02:10")},
			want: "2026-10-04T02:30:00+11:00", reason: "quiet hours until Sun 2026-10-04 02:30 Australia/Lord_Howe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			c.person.Zone = zone(t, c.zone)
			got, reason, err := calendar.Earliest(at, c.org, c.person)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := time.Parse(time.RFC3339, c.want); !got.Equal(want) || reason != c.reason {
				t.Errorf("Earliest = %s, %q; want %s, %q", got.Format(time.RFC3339Nano), reason, c.want, c.reason)
			}
		})
	}
}

// permitted says it again in the simplest way: look at the wall.
func permitted(at time.Time, org, person calendar.Rules) bool {
	local := at.In(calendar.ZoneOf(org, person))
	day := calendar.NewDate(local.Date())
	clock := calendar.Clock(local.Hour()*60 + local.Minute())
	weekend := org.Weekend
	if person.Weekend != 0 {
		weekend = person.Weekend
	}
	if weekend.Has(local.Weekday()) {
		return false
	}
	for _, r := range []calendar.Rules{org, person} {
		for _, p := range r.Pauses {
			if day >= p.From && day <= p.To {
				return false
			}
		}
		for _, h := range r.Holidays {
			if _, ok := h.On(day); ok {
				return false
			}
		}
		for _, q := range r.Quiet {
			today, yesterday := q.Days.Has(local.Weekday()), q.Days.Has((day - 1).Weekday())
			if q.From < q.To && today && clock >= q.From && clock < q.To {
				return false
			}
			if q.From >= q.To && (today && clock >= q.From || yesterday && clock < q.To) {
				return false
			}
		}
	}
	return true
}

func drawRules(t *rapid.T, name string, h *calendar.Holidays) calendar.Rules {
	r := calendar.Rules{Weekend: calendar.Weekdays(rapid.SampledFrom([]int{0, 0x41, 0x60, 1, 0x7e}).Draw(t, name+" weekend"))}
	for range rapid.IntRange(0, 3).Draw(t, name+" quiet") {
		q := calendar.Quiet{
			Days: calendar.Weekdays(rapid.IntRange(1, 127).Draw(t, "days")),
			From: calendar.Clock(rapid.IntRange(0, 1439).Draw(t, "from")),
			To:   calendar.Clock(rapid.IntRange(0, 1440).Draw(t, "to")),
		}
		if q.From != q.To {
			r.Quiet = append(r.Quiet, q)
		}
	}
	if rapid.Bool().Draw(t, name+" pause") {
		from := calendar.NewDate(2026, 1, rapid.IntRange(1, 700).Draw(t, "pause from"))
		r.Pauses = append(r.Pauses, calendar.Pause{From: from, To: from + calendar.Date(rapid.IntRange(0, 3).Draw(t, "pause days"))})
	}
	if rapid.Bool().Draw(t, name+" holidays") {
		r.Holidays = append(r.Holidays, h)
	}
	return r
}

// near is an instant that is likely within hours of a change of the clocks.
func near(t *rapid.T, z *time.Location) time.Time {
	at := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 25*366*24*60).Draw(t, "minute")) * time.Minute)
	if _, end := at.In(z).ZoneBounds(); !end.IsZero() && end.Year() < 2100 && rapid.Bool().Draw(t, "near a change") {
		at = end.Add(time.Duration(rapid.Int64Range(-40*60, 30*60).Draw(t, "minutes from it")) * time.Minute)
	}
	return at.Add(time.Duration(rapid.Int64Range(0, 59).Draw(t, "second")) * time.Second)
}

// TestEarliestProperties: not before t, permitted, the first such minute,
// idempotent, monotone; in all zones, mostly around changes of the clocks.
func TestEarliestProperties(t *testing.T) {
	all, h := zones(t), holidays(t, christmas)
	rapid.Check(t, func(t *rapid.T) {
		org, person := drawRules(t, "org", h), drawRules(t, "person", h)
		person.Zone = rapid.SampledFrom(all).Draw(t, "zone")
		at := near(t, person.Zone)
		got, reason, err := calendar.Earliest(at, org, person)
		if err != nil {
			if !errors.Is(err, calendar.ErrNever) {
				t.Fatal(err)
			}
			if calendar.Together(org, person) == nil {
				t.Fatalf("some minute of the week is permitted, but: %v", err)
			}
			return
		}
		if got.Before(at) || (reason == "") != got.Equal(at) {
			t.Fatalf("Earliest(%s) = %s, %q", at, got, reason)
		}
		if !permitted(got, org, person) {
			t.Fatalf("Earliest(%s) = %s, which is not permitted", at, got)
		}
		// Nothing before it is: each minute of the first days, then each day.
		for m, n := at, 0; m.Before(got) && n < 4000; m, n = m.Add(time.Minute), n+1 {
			if permitted(m, org, person) {
				t.Fatalf("Earliest(%s) = %s, but %s is permitted", at, got, m)
			}
		}
		for m, n := got.Add(-time.Second), 0; !m.Before(at) && n < 3000; m, n = m.Add(-time.Minute), n+1 {
			if permitted(m, org, person) {
				t.Fatalf("Earliest(%s) = %s, but %s is permitted", at, got, m)
			}
		}
		if again, why, err := calendar.Earliest(got, org, person); err != nil || !again.Equal(got) || why != "" {
			t.Fatalf("again: %s, %q, %v, want %s", again, why, err, got)
		}
		later := at.Add(time.Duration(rapid.Int64Range(0, 3*86400).Draw(t, "later")) * time.Second)
		if next, _, err := calendar.Earliest(later, org, person); err == nil && next.Before(got) {
			t.Fatalf("Earliest(%s) = %s, but Earliest(%s) = %s", at, got, later, next)
		}
	})
}

// TestEveryZone: quiet hours until 08:00 end when clocks show 08:00, on each
// day of two years in each zone.
func TestEveryZone(t *testing.T) {
	org := calendar.Rules{Quiet: quiet(t, "20:00-08:00")}
	for _, z := range zones(t) {
		person := calendar.Rules{Zone: z}
		for day := calendar.NewDate(2026, 1, 1); day < calendar.NewDate(2027, 1, 10); day += 3 {
			at := day.At(21*60, z)
			got, _, err := calendar.Earliest(at, org, person)
			if err != nil || got.In(z).Format("2006-01-02 15:04:05") != (day+1).String()+" 08:00:00" {
				t.Fatalf("%s: Earliest(%s) = %s, %v", z, at, got.In(z), err)
			}
		}
	}
}

// TestDateAt: the instant of a date and time shows it on the wall, and is the
// first that does; a skipped time is as late as the gap is long.
func TestDateAt(t *testing.T) {
	all := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		z := rapid.SampledFrom(all).Draw(t, "zone")
		local := near(t, z).In(z)
		day, clock := calendar.NewDate(local.Date()), calendar.Clock(local.Hour()*60+local.Minute())
		if rapid.Bool().Draw(t, "any time") {
			clock = calendar.Clock(rapid.IntRange(0, 1439).Draw(t, "clock"))
		}
		want := day.String() + " " + clock.String()
		at := day.At(clock, z)
		first := time.Time{}
		for m := at.Add(-30 * time.Hour).Truncate(time.Minute); m.Before(at.Add(30 * time.Hour)); m = m.Add(time.Minute) {
			if m.In(z).Format("2006-01-02 15:04") == want {
				first = m
				break
			}
		}
		if _, offset := at.In(z).Zone(); offset%60 != 0 {
			return // offsets of seconds: not at whole minutes
		}
		if first.IsZero() {
			// Skipped: the offset before the gap shows it.
			start, _ := at.In(z).ZoneBounds()
			_, offset := start.Add(-time.Second).In(z).Zone()
			if got := at.In(time.FixedZone("", offset)).Format("2006-01-02 15:04"); got != want {
				t.Fatalf("%s %s is skipped, At = %s shows %s before the gap", z, want, at, got)
			}
			return
		}
		if !at.Equal(first) {
			t.Fatalf("%s %s is first at %s, At = %s", z, want, first, at)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rules calendar.Rules
		want  string
	}{
		{calendar.Rules{}, ""},
		{calendar.Rules{Weekend: 0x7f}, "every day is a weekend day"},
		{calendar.Rules{Quiet: quiet(t, "18:00-09:00", "09:00-18:00")}, "cover the whole week"},
		{calendar.Rules{Quiet: quiet(t, "mon-fri 00:00-24:00"), Weekend: 0x41}, "quiet hours and the weekend (sat,sun)"},
		{calendar.Rules{Quiet: quiet(t, "mon-fri 00:00-23:59"), Weekend: 0x41}, ""},
		{calendar.Rules{Quiet: []calendar.Quiet{{From: 60, To: 60}}}, "a whole day"},
		{calendar.Rules{Quiet: []calendar.Quiet{{From: -5, To: 60}}}, "outside of the day"},
		{calendar.Rules{Pauses: []calendar.Pause{{From: 800000, To: 700000}}}, "not between two dates"},
		{calendar.Rules{Quiet: make([]calendar.Quiet, 65)}, "too many"},
		{calendar.Rules{Pauses: make([]calendar.Pause, 65)}, "too many"},
	} {
		err := c.rules.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Validate(%+v) = %v, want %q", c.rules, err, c.want)
		}
	}
	org, person := calendar.Rules{Quiet: quiet(t, "18:00-09:00")}, calendar.Rules{Quiet: quiet(t, "09:00-18:00")}
	if err := calendar.Together(org, person); !errors.Is(err, calendar.ErrNever) {
		t.Errorf("Together = %v", err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, _, err := calendar.Earliest(at, org, person); !errors.Is(err, calendar.ErrNever) || !strings.Contains(err.Error(), "1500 days") {
		t.Errorf("Earliest = %v", err)
	}
	forever := calendar.Rules{Pauses: []calendar.Pause{{From: 1, To: calendar.LastDate}}}
	if _, _, err := calendar.Earliest(at, forever, person); !errors.Is(err, calendar.ErrNever) {
		t.Errorf("Earliest = %v", err)
	}
}

func TestText(t *testing.T) {
	for _, text := range []string{"", "8", "25:00", "24:01", "08:60", "8:5", "-1:00", "08:00:00", "+8:00"} {
		if c, err := calendar.ParseClock(text); err == nil {
			t.Errorf("ParseClock(%q) = %v", text, c)
		}
	}
	for _, text := range []string{"", "22:00", "22-08", "moo 22:00-08:00", "mon 08:00-08:00", "24:00-08:00", "mon tue 22:00-08:00", "none 22:00-08:00"} {
		if q, err := calendar.ParseQuiet(text); err == nil {
			t.Errorf("ParseQuiet(%q) = %v", text, q)
		}
	}
	for _, text := range []string{"2026-02-30", "26-01-01", "0000-01-01", "2026-1-1", "10000-01-01"} {
		if d, err := calendar.ParseDate(text); err == nil {
			t.Errorf("ParseDate(%q) = %v", text, d)
		}
	}
	want := `{"quiet":["22:00-08:00","fri,sat 20:00-10:00"],"weekend":"sat,sun","pauses":[{"from":"2026-12-24","to":"2027-01-01","why":"winter"}]}`
	var r calendar.Rules
	if err := json.Unmarshal([]byte(want), &r); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(r); err != nil || string(got) != want {
		t.Errorf("JSON %s, %v; want %s", got, err, want)
	}
	if d := date(t, "2024-02-29"); d.AddMonths(12).String() != "2025-02-28" || d.AddMonths(48).String() != "2028-02-29" || d.AddMonths(-3).String() != "2023-11-29" {
		t.Error("AddMonths of 29 February")
	}
	for d := calendar.Date(1); d <= calendar.LastDate; d += 97 {
		if y, m, day := d.Civil(); calendar.NewDate(y, m, day) != d || d.Weekday() != time.Date(y, m, day, 0, 0, 0, 0, time.UTC).Weekday() {
			t.Fatalf("date %d is %s", d, d)
		}
	}
}

// FuzzRules: rules from anywhere never panic, and an answer is permitted.
func FuzzRules(f *testing.F) {
	f.Add(`{"quiet":["22:00-08:00"],"weekend":"sat,sun","pauses":[{"from":"2026-12-24","to":"2027-01-01"}]}`, `{}`, int64(1700000000))
	f.Add(`{"weekend":"mon-sun"}`, `{"quiet":["00:00-24:00"]}`, int64(-1<<60))
	f.Fuzz(func(t *testing.T, one, two string, at int64) {
		var org, person calendar.Rules
		if json.Unmarshal([]byte(one), &org) != nil || json.Unmarshal([]byte(two), &person) != nil || org.Validate() != nil || person.Validate() != nil {
			return
		}
		got, reason, err := calendar.Earliest(time.Unix(at, 0), org, person)
		if err == nil && at > -50_000_000_000 && at < 200_000_000_000 && !permitted(got, org, person) {
			t.Fatalf("%s (%s) is not permitted", got, reason)
		}
	})
}

func BenchmarkEarliest(b *testing.B) {
	org := calendar.Rules{Quiet: quiet(b, "20:00-08:00"), Weekend: 0x41, Holidays: []*calendar.Holidays{holidays(b, christmas)}}
	person := calendar.Rules{Zone: zone(b, "Europe/Berlin"), Quiet: quiet(b, "fri 12:00-14:00")}
	at := time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := calendar.Earliest(at, org, person); err != nil {
			b.Fatal(err)
		}
	}
}
