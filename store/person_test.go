package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
	"pgregory.net/rapid"
)

func newOrg(t testing.TB, s *store.Store, domain string) feature.Org {
	t.Helper()
	org, err := s.AddOrg(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	return org
}

func everybody(t testing.TB, s *store.Store, org feature.Org) map[string]store.Person {
	t.Helper()
	out := map[string]store.Person{}
	if err := s.EachPerson(context.Background(), org, 0, func(p *store.Person) error {
		if _, twice := out[p.Ext]; twice {
			return fmt.Errorf("%s is there twice", p.Ext)
		}
		out[p.Ext] = *p
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPerson(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org, other := newOrg(t, s, "example.org"), newOrg(t, s, "example.net")
		ada := store.Person{Ext: "17", Account: "ada", Email: "Ada@Example.org", Name: "<b>Ada</b>", Zone: "Europe/Berlin", Language: "de",
			Manager: "1", Team: "Ops", Start: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), Attrs: map[string]string{"country": "DE"},
			Prefs: store.PersonPrefs{Quiet: []string{"22:00-08:00"}, Language: "en"}}
		id, err := s.AddPerson(ctx, org, ada)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Person(ctx, org, id)
		if err != nil || got.Email != "ada@example.org" || got.Name != ada.Name || !got.Start.Equal(ada.Start) || got.Start.IsZero() ||
			!maps.Equal(got.Attrs, ada.Attrs) || !slices.Equal(got.Prefs.Quiet, ada.Prefs.Quiet) || got.Speaks() != "en" || !got.Left.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
		for name, p := range map[string]store.Person{"same id": {Ext: "17"}, "same account": {Ext: "18", Account: "ada"}} {
			if _, err := s.AddPerson(ctx, org, p); !errors.Is(err, store.ErrExists) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.AddPerson(ctx, org, store.Person{Ext: strings.Repeat("x", 191)}); !errors.Is(err, store.ErrTooLong) {
			t.Error(err)
		}
		if _, err := s.AddPerson(ctx, other, ada); err != nil { // another organisation has its own
			t.Error(err)
		}
		if _, err := s.Person(ctx, other, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another organisation's person: %v", err)
		}
		foreign := got
		foreign.Account = ""
		if err := s.SetPerson(ctx, other, foreign); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another organisation's person: %v", err)
		}

		got.Team = "Sales"
		if err := s.SetPerson(ctx, org, got); err != nil {
			t.Fatal(err)
		}
		if err := s.SetPerson(ctx, org, got); !errors.Is(err, store.ErrPersonStale) {
			t.Error(err)
		}
		if err := s.SetPersonPrefs(ctx, org, id, store.PersonPrefs{Channels: []string{"chat"}}); err != nil {
			t.Fatal(err)
		}
		for name, find := range map[string]func() (store.Person, error){
			"ext":     func() (store.Person, error) { return s.PersonByExt(ctx, org, "17") },
			"account": func() (store.Person, error) { return s.PersonByAccount(ctx, org, "ada") },
			"email": func() (store.Person, error) {
				list, err := s.PeopleByEmail(ctx, org, "ADA@example.org")
				if len(list) != 1 {
					return store.Person{}, fmt.Errorf("%d people, %w", len(list), err)
				}
				return list[0], err
			},
		} {
			if p, err := find(); err != nil || p.ID != id || p.Team != "Sales" || !slices.Equal(p.Prefs.Channels, []string{"chat"}) {
				t.Errorf("by %s: %+v, %v", name, p, err)
			}
		}
		if err := s.LeavePerson(ctx, org, id, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Person(ctx, org, id); err != nil || p.Here(time.Now()) {
			t.Errorf("%+v, %v", p, err)
		}
		// Who has left gives the account free.
		if _, err := s.AddPerson(ctx, org, store.Person{Ext: "18", Account: "ada"}); err != nil {
			t.Error(err)
		}
		if p, err := s.PersonByAccount(ctx, org, "ada"); err != nil || p.Ext != "18" {
			t.Errorf("%+v, %v", p, err)
		}
		if err := s.ErasePerson(ctx, org, id, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.ErasePerson(ctx, org, id, nil); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestPeople(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org := newOrg(t, s, "example.org")
		file := &store.PeopleFile{Columns: []store.PersonColumn{store.ColumnID, store.ColumnName, store.ColumnTeam}}
		for i := range 1200 {
			file.Rows = append(file.Rows, store.PersonRow{Line: i + 2, Person: store.Person{
				Ext: fmt.Sprint(i), Name: fmt.Sprintf("Person %d", i), Team: []string{"Ops", "Sales", "HR"}[i%3]}})
		}
		if r, err := s.ImportPeople(ctx, org, file, nil); err != nil || r.Added != 1200 || len(r.Problems) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		p, err := s.PersonByExt(ctx, org, "3")
		if err == nil {
			err = s.LeavePerson(ctx, org, p.ID, time.Now().Add(-time.Minute))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			f    store.PeopleFilter
			want int
		}{
			{store.PeopleFilter{}, 1199},
			{store.PeopleFilter{Everyone: true}, 1200},
			{store.PeopleFilter{Gone: true}, 1},
			{store.PeopleFilter{Team: "Ops"}, 399},
			{store.PeopleFilter{Text: "pErson 119"}, 11},
			{store.PeopleFilter{Text: "nobody"}, 0},
			{store.PeopleFilter{Also: func(p *store.Person) (bool, error) { return p.Ext == "7", nil }}, 1},
		} {
			seen := map[store.PersonID]bool{}
			for after := store.PersonID(0); ; {
				page, next, err := s.People(ctx, org, c.f, after, 70)
				if err != nil || len(page) > 70 {
					t.Fatal(len(page), err)
				}
				for _, p := range page {
					if seen[p.ID] || p.ID <= after {
						t.Fatalf("%+v: %s again", c.f, p.Ext)
					}
					seen[p.ID] = true
				}
				if after = next; next == 0 {
					break
				}
			}
			if len(seen) != c.want {
				t.Errorf("%+v: %d people, want %d", c.f, len(seen), c.want)
			}
		}
	})
}

func personRow(line int, p store.Person) store.PersonRow {
	return store.PersonRow{Line: line, Person: p}
}

func TestImportPeople(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org := newOrg(t, s, "example.org")
		columns := []store.PersonColumn{store.ColumnID, store.ColumnAccount, store.ColumnEmail, store.ColumnTeam}
		if _, err := s.CreateAccount(ctx, org, "ada", []store.Key{{Mechanism: "SCRAM-SHA-256", Iterations: 4096, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}}}); err != nil {
			t.Fatal(err)
		}
		first := &store.PeopleFile{Columns: columns, Attrs: []string{"country"}, Who: "anna",
			Fields: []store.PersonField{{Name: "country", Kind: "text", Label: "Country"}},
			Rows: []store.PersonRow{
				personRow(2, store.Person{Ext: "1", Account: "ada", Email: "ada@example.org", Team: "Ops", Attrs: map[string]string{"country": "DE"}}),
				personRow(3, store.Person{Ext: "2", Account: "bob", Email: "bob@example.org", Team: "Ops"}),
				personRow(4, store.Person{Email: "eve@example.org", Team: "Ops"}),
			}}
		plan, err := s.PlanPeople(ctx, org, first)
		if err != nil || plan.PeopleCounts != (store.PeopleCounts{Added: 3, Accounts: 1}) || len(everybody(t, s, org)) > 0 {
			t.Fatalf("%+v, %v", plan, err)
		}
		done, err := s.ImportPeople(ctx, org, first, nil)
		if err != nil || done.PeopleCounts != plan.PeopleCounts {
			t.Fatalf("%+v, %v", done, err)
		}
		bob, err := s.Account(ctx, org, "bob")
		if err != nil || len(bob.Keys) > 0 {
			t.Fatalf("bob's account: %+v, %v", bob, err)
		}
		if fields, err := s.PersonFields(ctx, org); err != nil || len(fields) != 1 || fields[0].Label != "Country" {
			t.Fatalf("%+v, %v", fields, err)
		}
		before := everybody(t, s, org)
		// The same again is nothing.
		if r, err := s.ImportPeople(ctx, org, first, nil); err != nil || r.PeopleCounts != (store.PeopleCounts{Same: 3}) {
			t.Fatalf("%+v, %v", r, err)
		}

		second := &store.PeopleFile{Columns: columns[:3], LeaveMissing: true, Rows: []store.PersonRow{
			personRow(2, store.Person{Ext: "1", Account: "ada", Email: "ada@example.org"}), // the team stays, the file has none
			personRow(3, store.Person{Ext: "9", Account: "eve", Email: "eve@example.org"}), // who was known by the e-mail address gets an id
			personRow(4, store.Person{Ext: "3", Account: "bob", Email: "new@example.org"}), // another Bob gets the account of the one who leaves
		}}
		look := 0
		r, err := s.ImportPeople(ctx, org, second, func(int, int) {
			look++ // in the middle everybody sees the old picture
			if now := everybody(t, s, org); len(now) != 3 || now["eve@example.org"].Account != "" {
				t.Errorf("half an import is seen: %+v", now)
			}
			if p, err := s.PersonByAccount(ctx, org, "bob"); err != nil || p.Ext != "2" || !p.Here(time.Now()) {
				t.Errorf("half an import is seen: %+v, %v", p, err)
			}
			if _, err := s.AddPerson(ctx, org, store.Person{Ext: "77"}); !errors.Is(err, store.ErrPeopleImporting) {
				t.Errorf("an edit in the middle: %v", err)
			}
			if err := s.SetPersonPrefs(ctx, org, before["eve@example.org"].ID, store.PersonPrefs{Language: "nl"}); err != nil {
				t.Error(err)
			}
			if _, err := s.ImportPeople(ctx, org, first, nil); !errors.Is(err, store.ErrPeopleImporting) {
				t.Errorf("two imports at once: %v", err)
			}
		})
		if err != nil || r.PeopleCounts != (store.PeopleCounts{Added: 1, Changed: 1, Left: 1, Same: 1, Missing: 1, Accounts: 1}) || look == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		now := everybody(t, s, org)
		if eve := now["9"]; len(now) != 4 || eve.ID != before["eve@example.org"].ID || eve.Account != "eve" || eve.Team != "Ops" || eve.Prefs.Language != "nl" {
			t.Errorf("%+v", now)
		}
		if now["1"].Attrs["country"] != "DE" || now["2"].Left.IsZero() {
			t.Errorf("%+v", now)
		}
		if p, err := s.PersonByAccount(ctx, org, "bob"); err != nil || p.Ext != "3" {
			t.Errorf("%+v, %v", p, err)
		}

		// Undo: as before, but for what was wished, and who was changed since.
		ada := now["1"]
		ada.Team = "HR"
		if err := s.SetPerson(ctx, org, ada); err != nil {
			t.Fatal(err)
		}
		u, err := s.UndoPeople(ctx, org)
		if err != nil || u.Gone != 1 || u.Restored != 2 || u.Kept != 0 || u.Accounts != 1 {
			t.Fatalf("%+v, %v", u, err)
		}
		now = everybody(t, s, org)
		if eve := now["eve@example.org"]; len(now) != 3 || eve.Account != "" || eve.Prefs.Language != "nl" || !now["2"].Left.IsZero() || now["1"].Team != "HR" {
			t.Errorf("%+v", now)
		}
		if _, err := s.Account(ctx, org, "eve"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("eve's account: %v", err)
		}
		if _, err := s.UndoPeople(ctx, org); !errors.Is(err, store.ErrNoImport) {
			t.Errorf("undone twice: %v", err)
		}
		for _, table := range []string{"person_was", "person_run"} {
			if n := storetest.Count(t, s, table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

func TestImportPeopleProblems(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		ctx := t.Context()
		org := newOrg(t, s, "example.org")
		if _, err := s.AddPerson(ctx, org, store.Person{Ext: "1", Account: "ada", Email: "ada@example.org"}); err != nil {
			t.Fatal(err)
		}
		columns := []store.PersonColumn{store.ColumnID, store.ColumnAccount}
		for name, c := range map[string]struct {
			rows []store.PersonRow
			want string
		}{
			"twice":   {[]store.PersonRow{personRow(2, store.Person{Ext: "7"}), personRow(3, store.Person{Ext: "7"})}, "3: line 2 is about 7 already"},
			"account": {[]store.PersonRow{personRow(2, store.Person{Ext: "7", Account: "x"}), personRow(3, store.Person{Ext: "8", Account: "x"})}, "3: line 2 has the account x already"},
			"other's": {[]store.PersonRow{personRow(2, store.Person{Ext: "7", Account: "ada"})}, "2: the account ada belongs to the person 1"},
			"long":    {[]store.PersonRow{personRow(2, store.Person{Ext: strings.Repeat("x", 200)})}, "2: the id has 200 bytes"},
			"nobody":  {[]store.PersonRow{personRow(2, store.Person{Name: "x"})}, "2: a person has an id or an e-mail address"},
		} {
			r, err := s.ImportPeople(ctx, org, &store.PeopleFile{Columns: columns, Rows: c.rows}, nil)
			if err != nil || len(r.Problems) != 1 || !strings.HasPrefix(fmt.Sprintf("%d: %s", r.Problems[0].Line, r.Problems[0].Reason), c.want) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if n := len(everybody(t, s, org)); n != 1 {
				t.Errorf("%s: %d people", name, n)
			}
		}
		// Nothing is left behind, and edits are free again.
		if _, err := s.AddPerson(ctx, org, store.Person{Ext: "2"}); err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(ctx)
		file := &store.PeopleFile{Columns: columns}
		for i := range 500 {
			file.Rows = append(file.Rows, personRow(i+2, store.Person{Ext: fmt.Sprintf("p%d", i), Account: fmt.Sprintf("p%d", i)}))
		}
		if _, err := s.ImportPeople(ended, org, file, func(int, int) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("an import that was given up: %v", err)
		}
		if n := storetest.Count(t, s, "person") + storetest.Count(t, s, "account") + storetest.Count(t, s, "person_run"); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	})
}

// TestImportPeopleCrash: what a crash leaves of an import is taken back, with
// the accounts, and what a crash leaves of an undo is gone on with.
func TestImportPeopleCrash(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	org := newOrg(t, s, "example.org")
	file := func(from, to int, team string) *store.PeopleFile {
		f := &store.PeopleFile{Columns: []store.PersonColumn{store.ColumnID, store.ColumnAccount, store.ColumnTeam}}
		for i := from; i < to; i++ {
			f.Rows = append(f.Rows, personRow(i+2, store.Person{Ext: fmt.Sprint(i), Account: fmt.Sprintf("p%d", i), Team: team}))
		}
		return f
	}
	if _, err := s.ImportPeople(ctx, org, file(0, 1000, "old"), nil); err != nil {
		t.Fatal(err)
	}
	crash := filepath.Join(t.TempDir(), "crash.db")
	if _, err := s.ImportPeople(ctx, org, file(500, 2000, "new"), func(done, total int) {
		if _, err := filepath.Glob(crash); done > total/2 && crash != "" && err == nil {
			if err := s.DB().Backup(ctx, crash); err != nil {
				t.Error(err)
			}
			checkCrash(t, crash, org)
			crash = ""
		}
	}); err != nil || crash != "" {
		t.Fatal(err)
	}
	if n := len(everybody(t, s, org)); n != 2000 {
		t.Fatalf("%d people", n)
	}
}

// checkCrash opens a copy made in the middle of an import.
func checkCrash(t *testing.T, file string, org feature.Org) {
	s := storetest.OpenURL(t, "sqlite:"+file)
	for try := 0; ; try++ { // before it is mended, and after
		now := everybody(t, s, org)
		for _, p := range now {
			if p.Team != "old" {
				t.Fatalf("%s is of the import that was cut short", p.Ext)
			}
		}
		if len(now) != 1000 {
			t.Fatalf("%d people, want 1000", len(now))
		}
		_, err := s.AddPerson(t.Context(), org, store.Person{Ext: "5000"})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrPeopleImporting) || try > 2000 {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if a, p := storetest.Count(t, s, "account"), storetest.Count(t, s, "person"); a != 1000 || p != 1001 {
		t.Errorf("%d accounts and %d people are left", a, p)
	}
	if u, err := s.UndoPeople(t.Context(), org); err != nil || u.Gone != 1000 || u.Accounts != 1000 {
		t.Errorf("the import before can be undone: %+v, %v", u, err)
	}
}

// TestPeopleModel: imports, undos and edits in any order do what a map does.
func TestPeopleModel(t *testing.T) {
	s := storetest.Open(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		org, err := s.AddOrg(context.Background(), fmt.Sprintf("m%d.example.org", runs))
		if err != nil {
			t.Fatal(err)
		}
		peopleModel(t, s, org)
	})
}

func peopleModel(t *rapid.T, s *store.Store, org feature.Org) {
	ctx := context.Background()
	now, before := map[string]string{}, map[string]string(nil) // team by id, "-" for who has left; before the last import
	touched := map[string]bool{}                               // edited since the last import
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0, 1:
			file := &store.PeopleFile{Columns: []store.PersonColumn{store.ColumnID, store.ColumnTeam}, LeaveMissing: rapid.Bool().Draw(t, "leave")}
			before, touched = maps.Clone(now), map[string]bool{}
			in := map[string]bool{}
			for _, id := range rapid.SliceOfDistinct(rapid.IntRange(1, 12), rapid.ID).Draw(t, "ids") {
				ext, team := fmt.Sprint(id), fmt.Sprint("t", rapid.IntRange(0, 2).Draw(t, "team"))
				file.Rows = append(file.Rows, personRow(id, store.Person{Ext: ext, Team: team}))
				now[ext] = team
				in[ext] = true
			}
			for ext := range now {
				if !in[ext] && file.LeaveMissing {
					now[ext] = "-"
				}
			}
			if r, err := s.ImportPeople(ctx, org, file, nil); err != nil || len(r.Problems) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
		case 2:
			if _, err := s.UndoPeople(ctx, org); (err == nil) != (before != nil) || err != nil && !errors.Is(err, store.ErrNoImport) {
				t.Fatal(err)
			}
			if before != nil {
				for ext := range touched {
					if was, ok := now[ext]; ok {
						before[ext] = was
					} else {
						delete(before, ext)
					}
				}
				now, before = before, nil
			}
		case 3:
			ext := fmt.Sprint(rapid.IntRange(1, 12).Draw(t, "who"))
			p, err := s.PersonByExt(ctx, org, ext)
			if _, there := now[ext]; there != (err == nil) {
				t.Fatalf("%s: %v", ext, err)
			}
			if err != nil {
				_, err = s.AddPerson(ctx, org, store.Person{Ext: ext, Team: "added"})
				now[ext] = "added"
			} else {
				p.Team, p.Left = "edited", time.Time{}
				err = s.SetPerson(ctx, org, p)
				now[ext] = "edited"
			}
			if err != nil {
				t.Fatal(err)
			}
			touched[ext] = true
		}
		got := map[string]string{}
		if err := s.EachPerson(ctx, org, 0, func(p *store.Person) error {
			got[p.Ext] = p.Team
			if !p.Left.IsZero() {
				got[p.Ext] = "-"
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, now) {
			t.Fatalf("there are %v, want %v", got, now)
		}
	}
}
