package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPeople goes through the commands on people and audiences, without a server.
func TestPeople(t *testing.T) {
	p := newPlace(t)
	p.ok("example.org added\n", "", "org", "add", "example.org")
	p.ok("example.net added\n", "", "org", "add", "example.net")
	file := func(text string) string {
		t.Helper()
		name := filepath.Join(p.dir, "people.csv")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	fails := func(want string, args ...string) {
		t.Helper()
		out, errs, code := p.run("", args...)
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("bearhug %s: exit %d, %q, %q; want %q", strings.Join(args, " "), code, out, errs, want)
		}
	}
	does := func(want string, args ...string) {
		t.Helper()
		out, errs, code := p.run("", args...)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("bearhug %s: exit %d, %q, %q; want %q", strings.Join(args, " "), code, out, errs, want)
		}
	}
	good := "id;jid;email;name;team;start;Country\r\n1;ada;ada@mail.example;\"=Ada\";Ops;2020-01-01;DE\r\n2;;bob@mail.example;<b>Bob</b>;Ops;;NL\r\n3;;;Eve;Sales;;\r\n"
	p.ok("dry run: 3 added, 0 changed (0 of them back), 0 left, 0 as before, 1 accounts made; 0 lines refused\n", "", "people", "import", "example.org", file(good), "--dry-run")
	p.ok("", "", "people", "ls", "example.org")
	does("3 added, 0 changed (0 of them back), 0 left, 0 as before, 1 accounts made in ", "people", "import", "example.org", file(good))
	p.ok("1\t=Ada\tada@mail.example\tOps\n2\t<b>Bob</b>\tbob@mail.example\tOps\n3\tEve\t\tSales\n", "", "people", "ls", "example.org")
	p.ok("ada@example.org\n", "", "user", "ls", "example.org")
	p.ok("id,jid,email,name,zone,language,manager,team,start,country\n1,ada@example.org,ada@mail.example,'=Ada,,,,Ops,2020-01-01,DE\n",
		"", "people", "ls", "example.org", "--csv", "--rule", `country == "DE"`)
	fails("there is no field contry: is country meant?", "people", "ls", "example.org", "--rule", `contry == "DE"`)

	// Mistakes: told, in the file too, and nothing is done.
	bad := file("id,team,zone\n1,HR,Berlin\n2,HR,Europe/Berlin\n")
	mendFile := filepath.Join(p.dir, "mend.csv")
	fails("line 2, column zone, \"Berlin\": no time zone; write one of the IANA", "people", "import", "example.org", bad, "--errors", mendFile)
	if text, err := os.ReadFile(mendFile); err != nil || !strings.HasPrefix(string(text), "line,column,value,problem,write\n2,zone,Berlin,no time zone,") {
		t.Errorf("%s, %v", text, err)
	}
	does("team             Ops\n", "people", "show", "example.org", "bob@mail.example")
	fails("an address of another organisation, example.org", "people", "import", "example.net", file("jid\nada@example.org\n"))
	fails("did you mean example.org?", "people", "import", "example.orgg", file(good))
	fails("the first line has \"a@b.example\"", "people", "import", "example.org", file("a@b.example,Anna\n"))
	fails("imported, but for 1 lines", "people", "import", "example.org", file("id,team,zone\n1,HR,Berlin\n2,HR,Europe/Berlin\n"), "--skip-bad")
	does("team             HR\n", "people", "show", "example.org", "2")
	does("is undone: 0 people gone, 1 as before, 0 changed since and kept, 0 unused accounts gone", "people", "undo", "example.org")
	does("team             Ops\n", "people", "show", "example.org", "2")
	fails("there is no import of people to undo", "people", "undo", "example.org")

	// By hand.
	does("cost_centre      7\n", "people", "set", "example.org", "4", "--add", "name=Dan", "Cost Centre=7", "jid=dan")
	fails("4 is there already", "people", "set", "example.org", "4", "--add", "name=Dan")
	fails("no number, as the others", "people", "set", "example.org", "dan@example.org", "cost_centre=x")
	fails("write each column once", "people", "set", "example.org", "4", "name")
	fails("there is no person \"77\" in example.org", "people", "show", "example.org", "77")
	does("4 leaves on ", "people", "leave", "example.org", "4")
	does("\tDan\t\t\tleft ", "people", "ls", "example.org", "--gone")
	p.ok("4 is here\n", "", "people", "leave", "example.org", "4", "--back")

	// Audiences.
	does("2 of 4 people: team == \"Ops\"\n1\t=Ada", "audience", "preview", "example.org", "--rule", `team == "Ops"`)
	p.ok("ops added: it means 2 of 4 people now\n", "", "audience", "add", "example.org", "ops", `team == "Ops"`)
	fails("there is one of this name already", "audience", "add", "example.org", "ops", `team == "Ops"`)
	fails("the rule means everybody; --yes 4 if that is meant", "audience", "add", "example.org", "all", "true")
	fails("--yes says 3 people, but the rule means 4 of 4", "audience", "add", "example.org", "all", "true", "--yes", "3")
	does("all added", "audience", "add", "example.org", "all", "true", "--yes", "4")
	fails("nobody has team == \"Opps\"; --yes 0 if that is meant", "audience", "add", "example.org", "none", `team == "Opps" and country == "DE"`)
	fails("column 6: write == to compare", "audience", "add", "example.org", "wrong", `team = "Ops"`)
	p.ok("all\ttrue\nops\tteam == \"Ops\"\n", "", "audience", "ls", "example.org")
	fails("did you mean ops?", "audience", "rm", "example.org", "opps")
	p.ok("ops deleted\n", "", "audience", "rm", "example.org", "ops")
	p.ok("", "", "audience", "ls", "example.net")
}
