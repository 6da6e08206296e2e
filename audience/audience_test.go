package audience_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/audience"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 11, 22, 23, 30, 0, 0, time.FixedZone("", 5*3600))

func fields(t testing.TB) []audience.Field {
	t.Helper()
	list, err := audience.Fields([]audience.Field{
		{Name: "country", Kind: audience.Text}, {Name: "grade", Kind: audience.Number}, {Name: "remote", Kind: audience.Bool},
		{Name: "skills", Kind: audience.List}, {Name: "contract_end", Kind: audience.Date}, {Name: "größe", Kind: audience.Number},
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type person map[string]any

func (p person) get(field string) any { return p[field] }

var (
	ada = person{"id": "1", "name": "Ada", "email": "ada@example.org", "team": "Ops", "start": "2026-08-01", "country": "DE", "grade": 7.0, "remote": true,
		"skills": []any{"go", "sql"}, "contract_end": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "größe": "1.7"}
	bob = person{"id": "2", "name": "Bob", "team": "Sales", "start": "2024-02-29T00:00:00Z", "country": "NL", "grade": "3", "remote": "no", "skills": "excel; go"}
	eve = person{"id": "3", "grade": "unknown"} // hardly anything is known
)

func TestMatch(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{`true`, "Ada Bob Eve"},
		{`false`, ""},
		{`team == "Ops" and tenure_days > 90 and country in ["DE","NL"]`, "Ada"},
		{`team == "Ops" && tenure_days > 113`, ""},
		{`tenure_days == 113`, "Ada"},
		{`days_since(start) == 113 and days_until(contract_end) == 9 and days_between(start, contract_end) == 122`, "Ada"},
		{`team != "Ops"`, "Bob Eve"},
		{`not (team == "Ops")`, "Bob Eve"},
		{`country not in ["DE"]`, "Bob Eve"},
		{`grade > 3`, "Ada"},
		{`grade <= 3`, "Bob"},
		{`grade in [3, 4]`, "Bob"},
		{`grade in [-3, 7.0]`, "Ada"},
		{`grade == grade`, "Ada Bob"}, // what is missing equals nothing
		{`3 <= grade and 2 * grade - 1 < 6`, "Bob"},
		{`1 < grade < 5`, "Bob"},
		{`-grade < -5`, "Ada"},
		{`grade / 0 > 5`, "Ada Bob"},
		{`remote`, "Ada"},
		{`remote == false`, "Bob Eve"},
		{`!remote or grade == 7`, "Ada Bob Eve"},
		{`"go" in skills`, "Ada Bob"},
		{`"sql" not in skills`, "Bob Eve"},
		{`size(skills) == 2`, "Ada Bob"},
		{`start < "2026-01-01"`, "Bob"},
		{`start >= date("2026-01-01")`, "Ada"},
		{`"2026-01-01" > start`, "Bob"},
		{`start == "2024-02-29"`, "Bob"},
		{`start in ["2024-02-29", "2026-08-01"]`, "Ada Bob"},
		{`start not in ["2024-02-29"]`, "Ada Eve"},
		{`today == "2026-11-22"`, "Ada Bob Eve"},
		{`year(start) == 2024 and month(start) == 2 and day(start) == 29`, "Bob"},
		{`month(start) == month(today) - 3`, "Ada"},
		{`month("2026-04-05") == 4 and year(date("2025-01-01")) == 2025`, "Ada Bob Eve"},
		{`contract_end < "2026-12-31"`, "Ada"},
		{`known(contract_end) or known(grade) and known(skills)`, "Ada Bob"},
		{`not known(team)`, "Eve"},
		{`starts_with(name, "A") or ends_with(name, "b")`, "Ada Bob"},
		{`email contains "example"`, "Ada"},
		{`name startsWith "B" or name endsWith "a"`, "Ada Bob"},
		{`lower(team) == "ops" or upper(team) == "SALES"`, "Ada Bob"},
		{`größe > 1.6`, "Ada"},
		{"team == 'Ops'\n  // who\n  and grade > 1", "Ada"},
	} {
		r, err := audience.Compile(c.rule, fields(t))
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		var got []string
		m := r.Matcher(day)
		for name, p := range map[string]person{"Ada": ada, "Bob": bob, "Eve": eve} {
			yes, err := m.Match(p.get)
			if err != nil {
				t.Errorf("%s: %v", c.rule, err)
			}
			if yes {
				got = append(got, name)
			}
		}
		for _, name := range strings.Fields(c.want) {
			found := false
			for _, g := range got {
				found = found || g == name
			}
			if !found {
				t.Errorf("%s does not mean %s", c.rule, name)
			}
		}
		if len(got) != len(strings.Fields(c.want)) {
			t.Errorf("%s means %v, want %s", c.rule, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{``, "line 1, column 1: the rule is empty: write true for everybody"},
		{`team = "Ops"`, "line 1, column 6: write == to compare"},
		{`teem == "Ops"`, "line 1, column 1: there is no field teem: is team meant?"},
		{"team == \"Ops\"\nand contry == \"DE\"", "line 2, column 5: there is no field contry: is country meant?"},
		{`tenure > 5`, "there is no field tenure: is tenure_days meant?"},
		{`zzzzzzzzz == 1`, "there is no field zzzzzzzzz, nor one like it; a text"},
		{`team == OPS`, `line 1, column 9: there is no field OPS, nor one like it; a text stands in quotation marks: "OPS"`},
		{`team == "Ops" AND true`, "column 15: write and in small letters"},
		{`team == "Ops`, "the quotation mark is not closed"},
		{`team == "Ops" and`, "column 17: the rule ends too early"},
		{`(team == "Ops"`, "the rule ends too early"},
		{`team == "Ops")`, "column 14: ) does not belong here"},
		{`team`, "a rule says yes or no, this is a text"},
		{`team == 5`, "line 1, column 6: == does not compare a text with a number"},
		{`team > "A"`, "> does not compare a text with a text"},
		{`start > 90`, "> does not compare a date with a number"},
		{`start > "yesterday"`, `column 9: "yesterday" is not a date: write it as "2026-11-22"`},
		{`start > "2026-02-30"`, `"2026-02-30" is not a date`},
		{`start - 5 > "2026-01-01"`, "for dates there is days_since(date)"},
		{`not team == "Ops"`, "put what follows it in parentheses"},
		{`skills == "go"`, "== does not compare a list with a text"},
		{`skills contains "go"`, `write "x" in the_list`},
		{`team in "Ops"`, "in does not compare a text with a text"},
		{`team in []`, "the list is empty"},
		{`team in ["a", 1]`, "a list has either texts or numbers"},
		{`team in [name]`, "a list has texts or numbers only"},
		{`grade in ["a"]`, "in does not compare a number with a list of texts"},
		{`team == nil`, "known(field) tells"},
		{`team.name == "x"`, "fields have no parts"},
		{`team[0] == "x"`, "fields have no parts"},
		{`len(team) > 1`, "there is no len()"},
		{`days_sinse(start) > 1`, "there is no days_sinse(): is days_since meant?"},
		{`days_since(start, start) > 1`, "days_since takes 1 values, not 2"},
		{`days_since(team) > 1`, "days_since takes a date here, not a text"},
		{`date(start) == today`, "a field needs no date()"},
		{`known("x")`, "known takes a field"},
		{`filter(skills, # == "x")`, "not for audiences"},
		{`all(skills, # == "x")`, "not for audiences"},
		{`team matches "(a*)*b"`, "matches is not for audiences"},
		{`1..1000000000 == 1`, "not for audiences"},
		{`grade ** 99 > 1`, "not for audiences"},
		{`now() == today`, "there is no now()"},
		{`let x = 5; x > 1`, "not for audiences"},
		{`true; true`, "not for audiences"},
		{`remote ? true : false`, "not for audiences"},
		{`{"a": 1} == 1`, "not for audiences"},
		{`$env == 1`, "there is no field $env"},
		{`team | lower() == "x"`, ""},
		{`teem == 1 or contry == 2`, "is team meant?\nline 1, column 14"},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "more than 100 parentheses"},
		{strings.Repeat("true or ", 1900) + "true", "more than 2000 parts"},
		{strings.Repeat("x", audience.MaxText+1), "at most 16384"},
		{"team == \"\xff\"", "not UTF-8"},
		{`team == "ä" and größe > "x"`, "column 23: > does not compare a number with a text"},
	} {
		_, err := audience.Compile(c.rule, fields(t))
		if c.want == "" {
			if err != nil {
				t.Errorf("%.60s: %v", c.rule, err)
			}
			continue
		}
		var list audience.Problems
		if !errors.As(err, &list) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v\nwant %s", c.rule, err, c.want)
		}
	}
}

func TestFields(t *testing.T) {
	for heading, want := range map[string]string{
		"Cost Centre": "cost_centre", " E-Mail (work) ": "e_mail_work", "Größe": "größe", "2nd team": "field_2nd_team", "": "field", "--": "field",
		"in": "in_field", "Today": "today_field", "known": "known_field", strings.Repeat("a", 500): strings.Repeat("a", 60), "a__b": "a_b",
	} {
		if got := audience.Name(heading); got != want {
			t.Errorf("Name(%q) = %q, want %q", heading, got, want)
		}
	}
	for _, bad := range []audience.Field{{Name: "team", Kind: audience.Text}, {Name: "Team 2", Kind: audience.Text}, {Name: "x", Kind: "money"}, {Name: "today", Kind: audience.Date}} {
		if _, err := audience.Fields([]audience.Field{bad}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := audience.Fields(make([]audience.Field, 501)); err == nil {
		t.Error("501 fields are taken")
	}
	for want, values := range map[audience.Kind][]string{
		audience.Number: {"1", "", " 2.5 ", "-3", "0", "0.5"}, audience.Date: {"2026-01-01", ""}, audience.Bool: {"yes", "No", ""}, audience.Text: {"01234", "5"},
	} {
		if got := audience.Infer(values); got != want {
			t.Errorf("Infer(%q) = %s, want %s", values, got, want)
		}
	}
	if got := audience.Infer([]string{"", " "}); got != audience.Text {
		t.Errorf("Infer of nothing = %s", got)
	}
}

func TestSurvey(t *testing.T) {
	const n = 1000
	get := func(i int, field string) any {
		switch field {
		case "team":
			return []string{"Ops", "Sales"}[i%2]
		case "grade":
			return i
		}
		return nil
	}
	survey := func(rule string) audience.Survey {
		t.Helper()
		r, err := audience.Compile(rule, fields(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Survey(day, n, get, 5)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := r.Survey(day, n, get, 5)
		if fmt.Sprint(s) != fmt.Sprint(again) {
			t.Errorf("%s: %v, again %v", rule, s, again)
		}
		return s
	}
	s := survey(`team == "Ops" and grade >= 500`)
	if s.People != n || s.Matched != 250 || len(s.Samples) != 5 || s.Doubt() != "" || s.Parts != nil {
		t.Errorf("%+v", s)
	}
	for _, i := range s.Samples {
		if i%2 != 0 || i < 500 {
			t.Errorf("sample %d is not meant", i)
		}
	}
	if s = survey(`grade >= 0`); s.Matched != n || s.Doubt() != "the rule means everybody: confirm with the number 1000" {
		t.Errorf("%+v %s", s, s.Doubt())
	}
	s = survey(`team == "Opps" and grade > 5 and start < "2027-01-01"`)
	if want := `the rule means nobody of 1,000 people: nobody has team == "Opps"`; s.Doubt() != want || len(s.Parts) != 3 || s.Parts[1].Matched != 994 {
		t.Errorf("%+v\n%s\nwant %s", s, s.Doubt(), want)
	}
	if s = survey(`team == "Ops" and team == "Sales"`); s.Doubt() != "the rule means nobody of 1,000 people" {
		t.Error(s.Doubt())
	}
	if b, err := json.Marshal(survey("false")); err != nil || string(b) != `{"people":1000,"matched":0,"samples":[]}` {
		t.Errorf("%s, %v", b, err)
	}
}

// TestSurveyFair: each who is meant is a sample equally often.
func TestSurveyFair(t *testing.T) {
	r, err := audience.Compile("true", nil)
	if err != nil {
		t.Fatal(err)
	}
	low := 0
	for n := 100; n < 2100; n++ {
		s, err := r.Survey(day, n, func(int, string) any { return nil }, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range s.Samples {
			if i < n/2 {
				low++
			}
		}
	}
	if math.Abs(float64(low)-10000) > 300 { // three standard deviations are 212
		t.Errorf("%d of 20000 samples in the first half", low)
	}
}

// TestAnyPerson: attributes of any kind never make an error, and not(rule)
// means exactly the others.
func TestAnyPerson(t *testing.T) {
	list := fields(t)
	rules := []string{`tenure_days > 90`, `grade > 3 or remote`, `"go" in skills`, `start < "2026-01-01" and known(contract_end)`, `month(start) == 4 or lower(team) contains "o"`, `size(skills) / grade > 0.5`}
	value := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Map(rapid.SliceOf(rapid.String()), func(s []string) any { return s }),
		rapid.Just[any](time.Time{}), rapid.Just[any](day), rapid.Just[any](math.NaN()), rapid.Just[any](map[string]any{}), rapid.Just[any]([]any{1, nil, "x"}),
		rapid.SampledFrom([]any{"2026-01-01", "9999-12-31", "0001-01-01", "1e999", "go;sql", json.Number("5"), []byte("x"), int64(5)}),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(rules).Draw(t, "rule")
		p := person{}
		for _, f := range list {
			p[f.Name] = value.Draw(t, f.Name)
		}
		var got [2]bool
		for i, s := range []string{text, "not (" + text + ")"} {
			r, err := audience.Compile(s, list)
			if err != nil {
				t.Fatal(err)
			}
			if got[i], err = r.Matcher(day).Match(p.get); err != nil {
				t.Fatal(err)
			}
		}
		if got[0] == got[1] {
			t.Fatalf("%s and its contrary are both %v for %v", text, got[0], p)
		}
	})
}

// FuzzRule: no text panics; what compiles runs for everybody, twice the same.
func FuzzRule(f *testing.F) {
	for _, s := range []string{`team == "Ops" and tenure_days > 90 and country in ["DE","NL"]`, `start in ["2026-01-01"]`, `1 < grade < 5`, `not (days_since(start) - 5 * -grade > 1)`,
		`team | lower() == "x"`, `a?.b ?? c`, `#`, `"\u0000"`, "`raw`", `date("2026-01-01") == today`, `::len(x)`, `if true {1} else {2}`, `reduce(1..9, #acc + #, 0)`, `b"x" == b"y"`} {
		f.Add(s)
	}
	list := fields(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := audience.Compile(text, list)
		if err != nil {
			var p audience.Problems
			if !errors.As(err, &p) || len(p) == 0 || p[0].Line < 1 || p[0].Column < 1 {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, p := range []person{ada, bob, eve} {
			one, err := r.Matcher(day).Match(p.get)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if two, _ := r.Matcher(day).Match(p.get); one != two {
				t.Fatalf("%q is %v and %v", text, one, two)
			}
		}
	})
}

func BenchmarkMatch100000(b *testing.B) {
	r, err := audience.Compile(`team == "Ops" and tenure_days > 90 and country in ["DE","NL"] and "go" in skills and lower(name) contains "a"`, fields(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m := r.Matcher(day)
		for range 100000 {
			if yes, err := m.Match(ada.get); err != nil || !yes {
				b.Fatal(yes, err)
			}
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	list := fields(b)
	for b.Loop() {
		if _, err := audience.Compile(`team == "Ops" and tenure_days > 90 and country in ["DE","NL"]`, list); err != nil {
			b.Fatal(err)
		}
	}
}
