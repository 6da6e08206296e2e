package people_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/people"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// house is an organisation with the people of a file.
func house(t testing.TB, s *store.Store, text string) store.Organisation {
	t.Helper()
	id, err := s.AddOrg(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	org := store.Organisation{ID: id, Domain: "example.org"}
	if r := importText(t, s, org, text, people.Options{}); !r.Done {
		t.Fatalf("%+v", r)
	}
	return org
}

func importText(t testing.TB, s *store.Store, org store.Organisation, text string, o people.Options) people.Report {
	t.Helper()
	own, err := people.Own(t.Context(), s, org.ID)
	if err != nil {
		t.Fatal(err)
	}
	f, err := people.Read(strings.NewReader(text), org.Domain, own)
	if err != nil {
		t.Fatal(err)
	}
	r, err := people.Import(t.Context(), s, org.ID, f, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const staff = "id,jid,email,name,team,start,country,grade,remote\n" +
	"1,ada,ada@mail.example,Ada,Ops,2026-08-01,DE,7,yes\n" +
	"2,,bob@mail.example,Bob,Ops,2024-02-29,NL,,no\n" +
	"3,eve,,Eve,Sales,,,3,\n" +
	"4,,dan@mail.example,Dan,Ops,2020-01-01,DE,4,yes\n"

func TestResolve(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		org := house(t, s, staff)
		dan, err := s.PersonByExt(t.Context(), org.ID, "4")
		if err == nil {
			err = s.LeavePerson(t.Context(), org.ID, dan.ID, today.Add(-time.Hour))
		}
		if err != nil {
			t.Fatal(err)
		}
		for rule, want := range map[string]string{
			`true`:                                  "Ada Bob Eve",
			`team == "Ops"`:                         "Ada Bob",
			`tenure_days == 113`:                    "Ada",
			`known(start) and year(start) < 2025`:   "Bob",
			`grade > 3 and remote`:                  "Ada",
			`account == "eve@example.org"`:          "Eve",
			`country in ["NL"] or not known(email)`: "Bob Eve",
			`team == "HR" and country == "DE"`:      "",
		} {
			compiled, err := people.Compile(t.Context(), s, org.ID, rule)
			if err != nil {
				t.Fatal(rule, err)
			}
			var got []string
			if err := people.Resolve(t.Context(), s, org, people.Question{Rule: compiled, Now: today}, func(p *store.Person) error {
				got = append(got, p.Name)
				return nil
			}); err != nil || strings.Join(got, " ") != want {
				t.Errorf("%s means %v, %v, want %s", rule, got, err, want)
			}
			look, err := people.Look(t.Context(), s, org, compiled, today, 2)
			if err != nil || look.People != 3 || look.Matched != len(got) || len(look.Some) != min(2, len(got)) {
				t.Errorf("%s: %+v, %v", rule, look, err)
			}
			for _, p := range look.Some {
				if !slices.Contains(got, p.Name) {
					t.Errorf("%s: %s is a sample", rule, p.Name)
				}
			}
			if doubt := look.Doubt != ""; doubt != (want == "" || len(got) == 3) {
				t.Errorf("%s: doubt %q", rule, look.Doubt)
			}
		}
		if _, err := people.Compile(t.Context(), s, org.ID, `contry == "DE"`); err == nil || !strings.Contains(err.Error(), "is country meant?") {
			t.Error(err)
		}
		id, err := s.AddAudience(t.Context(), org.ID, store.Audience{Name: "ops", Rule: `team == "Ops"`})
		if err != nil {
			t.Fatal(err)
		}
		match, err := people.Match(t.Context(), s, org.ID, org.Domain, id, today)
		if err != nil {
			t.Fatal(err)
		}
		if yes, err := match(&store.Person{Team: "Ops"}); !yes || err != nil {
			t.Error(yes, err)
		}
	})
}

func TestImport(t *testing.T) {
	s := storetest.Open(t)
	org := house(t, s, staff)
	const bad = "id,team,zone,grade\n1,HR,Berlin,5\n2,HR,Europe/Berlin,\n3,HR,,x\n9,HR,,\n"
	r := importText(t, s, org, bad, people.Options{})
	if r.Done || r.Refused != 2 || r.Added != 1 || r.Changed != 1 || r.Missing != 3 || len(r.Problems) != 2 || r.Problems[1].Line != 4 {
		t.Errorf("%+v", r)
	}
	if _, err := s.PersonByExt(t.Context(), org.ID, "9"); err == nil {
		t.Error("a file with mistakes was imported")
	}
	r = importText(t, s, org, bad, people.Options{SkipBad: true})
	if !r.Done || r.Refused != 2 || r.Added != 1 || r.Changed != 1 {
		t.Errorf("%+v", r)
	}
	bob, err := s.PersonByExt(t.Context(), org.ID, "2")
	if err != nil || bob.Team != "HR" || bob.Zone != "Europe/Berlin" || bob.Attrs["country"] != "NL" {
		t.Errorf("%+v, %v", bob, err)
	}
	f, err := people.Read(strings.NewReader(bad), org.Domain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.Import(t.Context(), s, org.ID, f, people.Options{SkipBad: true, LeaveMissing: true}, nil); err == nil {
		t.Error("who stands in a bad line is taken for missing")
	}
	r = importText(t, s, org, "id\n1\n", people.Options{LeaveMissing: true, DryRun: true})
	if r.Done || r.Left != 4 || r.Same != 1 {
		t.Errorf("%+v", r)
	}
}

func TestChange(t *testing.T) {
	s := storetest.Open(t)
	org := house(t, s, staff)
	own, err := people.Own(t.Context(), s, org.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value, want string
	}{
		{"Zone", "Berlin", "no time zone; write one of the IANA"},
		{"grade", "high", "no number"},
		{"tenure_days", "5", "it is worked out"},
		{"email", "a b", "no e-mail address"},
		{"jid", "a@other.example", "another organisation"},
		{"start", "5.6.2024", ""},
		{"Cost Centre", "DE-7", ""},
	} {
		row, fresh, err := people.Change(people.Row{Key: "1"}, map[string]string{c.name: c.value}, "example.org", own)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
		if c.name == "Cost Centre" && (row.Attrs["cost_centre"] != "DE-7" || len(fresh) != 1 || fresh[0].Label != c.name) {
			t.Errorf("%+v, %+v", row, fresh)
		}
	}
}

// BenchmarkResolve finds whom a rule means among 100,000.
func BenchmarkResolve(b *testing.B) {
	s := storetest.Open(b)
	var text strings.Builder
	text.WriteString("id,email,name,zone,language,manager,team,start,country,grade\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "%d,p%d@mail.example,Person %d,Europe/Berlin,de,%d,T%d,2020-01-0%d,%s,%d\n", i, i, i, i/10, i%50, 1+i%9, []string{"DE", "NL"}[i%2], i%12)
	}
	org := house(b, s, text.String())
	rule, err := people.Compile(b.Context(), s, org.ID, `team == "T7" and tenure_days > 90 and country in ["NL"] and grade < 20`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := people.Resolve(b.Context(), s, org, people.Question{Rule: rule, Now: today}, func(*store.Person) error { n++; return nil }); err != nil || n != 2000 {
			b.Fatal(n, err)
		}
	}
}
