package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

// groupHouse is an organisation of a few people and groups, without a server.
func groupHouse(t *testing.T, people int) *Config {
	t.Helper()
	cfg, err := Load(Sources{Flags: map[string]string{"data": t.TempDir(), "ops.listen": ""}})
	if err != nil {
		t.Fatal(err)
	}
	groupDo(t, cfg, "org.add", Organisation{Domain: "hug.example"}, "")
	var rows []store.ImportRow
	for i := range people {
		rows = append(rows, store.ImportRow{Line: i, Local: fmt.Sprintf("p%d", i), Domain: "hug.example", Key: standIns()[0]})
	}
	err = With(t.Context(), cfg, false, func(c *ops.Caller) error {
		_, err := sendImport(t.Context(), c, rows, false, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nurses", "clients"} {
		groupDo(t, cfg, "group.add", Group{Group: name + "@hug.example"}, "")
	}
	return cfg
}

// groupDo does an operation; want is a part of the error it gives, "" for none.
func groupDo(t *testing.T, cfg *Config, op string, args any, want string) {
	t.Helper()
	var out any
	err := Do(context.Background(), cfg, op == "org.add", ops.Request{Op: op, Args: args}, &out)
	switch {
	case err == nil && want != "":
		t.Errorf("%s %+v was done, want: %s", op, args, want)
	case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
		t.Errorf("%s %+v: %v, want: %q", op, args, err, want)
	}
}

func importText(t *testing.T, cfg *Config, text string, dry bool) GroupImportReport {
	t.Helper()
	var report GroupImportReport
	if err := With(t.Context(), cfg, false, func(c *ops.Caller) (err error) {
		report, err = ImportGroups(t.Context(), c, strings.NewReader(text), ImportOptions{DryRun: dry})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return report
}

// TestGroupOperations: what is asked for wrongly is refused with a sentence,
// and nothing is done.
func TestGroupOperations(t *testing.T) {
	cfg := groupHouse(t, 3)
	groupDo(t, cfg, "org.add", Organisation{Domain: "other.example"}, "")
	groupDo(t, cfg, "user.add", User{JID: "eve@other.example", Password: "x"}, "")
	groupDo(t, cfg, "group.add", Group{Group: "own@other.example"}, "")
	for _, c := range []struct {
		op   string
		args any
		want string
	}{
		{"group.add", Group{Group: "nurses@hug.example"}, "is there already"},
		{"group.add", Group{Group: "hug.example"}, "want one such as"},
		{"group.add", Group{Group: "x@hugg.example"}, "did you mean hug.example?"},
		{"group.add", Group{Group: "x@hug.example", Kind: "onlin"}, "did you mean online?"},
		{"group.add", Group{Group: "x@hug.example", Label: "a::b"}, "between the labels"},
		{"group.add", Group{Group: "x@hug.example", Label: strings.Repeat("x", 256)}, "256 bytes"},
		{"group.add", Group{Group: "x@hug.example", Label: "a\x00"}, "control characters"},
		{"group.join", GroupPeople{Group: "nurse@hug.example", JIDs: []string{"p0@hug.example"}}, "did you mean nurses?"},
		{"group.join", GroupPeople{Group: "nurses@hug.example", JIDs: []string{"p0@hug.example", "eve@other.example"}}, "another organisation"},
		{"group.join", GroupPeople{Group: "nurses@hug.example", JIDs: []string{"p0@hug.example", "ghost@hug.example"}}, "there is no account ghost@hug.example"},
		{"group.join", GroupPeople{Group: "nurses@hug.example", JIDs: slices.Repeat([]string{"p0@hug.example"}, 1001)}, "import"},
		{"group.show", GroupPair{Other: "nurses@hug.example", Group: "own@other.example"}, "two organisations"},
		{"group.hide", GroupPair{Other: "nurses@hug.example", Group: "clients@hug.example"}, "is not shown"},
		{"group.nest", GroupPair{Other: "nurses@hug.example", Group: "nurses@hug.example"}, "circle: a group is not nested in itself"},
		{"group.unnest", Group{Group: "nurses@hug.example"}, "nested in none"},
		{"group.del", Group{Group: "zebras@hug.example"}, "there is no group zebras"},
		{"user.search", UserSearch{Domain: "hug.exampel"}, "did you mean hug.example?"},
	} {
		groupDo(t, cfg, c.op, c.args, c.want)
	}
	var list []GroupLine
	if err := Do(t.Context(), cfg, false, ops.Request{Op: "group.ls", Args: Organisation{Domain: "hug.example"}}, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Members != 0 || list[1].Members != 0 {
		t.Errorf("refused operations have left %+v", list)
	}
	groupDo(t, cfg, "group.nest", GroupPair{Other: "nurses@hug.example", Group: "clients@hug.example"}, "")
	groupDo(t, cfg, "group.nest", GroupPair{Other: "clients@hug.example", Group: "nurses@hug.example"}, "circle")
}

// TestImportGroups: 100,000 memberships are taken as one; a bad line 99,999
// keeps all of them out and is named.
func TestImportGroups(t *testing.T) {
	const people = 50_000
	cfg := groupHouse(t, people)
	var b strings.Builder
	b.WriteString("group,jid\n")
	for i := range people {
		fmt.Fprintf(&b, "nurses@hug.example,p%d@hug.example\nclients,p%d@hug.example\n", i, i)
	}
	good := b.String()
	lines := strings.Split(good, "\n")
	for bad, why := range map[string]string{
		"nursse@hug.example,p7@hug.example":   "did you mean nurses?",
		"nurses@hug.example,gone@hug.example": "no such account",
		"nurses@hug.example":                  "1 columns",
		"nurses@hug.example,@":                "no account's address",
		lines[1]:                              "twice: line 2",
	} {
		lines[99_998] = bad
		r := importText(t, cfg, strings.Join(lines, "\n"), false)
		if len(r.Problems) != 1 || r.Problems[0].Line != 99_999 || !strings.Contains(r.Problems[0].Reason, why) {
			t.Errorf("%s: %+v, want line 99999: %s", bad, r, why)
		}
	}
	if r := importText(t, cfg, good, true); r.Added != 2*people || r.There != 0 || r.Refused != 0 {
		t.Errorf("dry run: %+v", r)
	}
	groupDo(t, cfg, "group.join", GroupPeople{Group: "nurses@hug.example", JIDs: []string{"p3@hug.example"}}, "")
	if r := importText(t, cfg, good, false); r.Added != 2*people-1 || r.There != 1 || r.Refused != 0 {
		t.Errorf("import: %+v", r)
	}
	if r := importText(t, cfg, good, true); r.Added != 0 || r.There != 2*people {
		t.Errorf("dry run after it: %+v", r)
	}
	var list []GroupLine
	if err := Do(t.Context(), cfg, false, ops.Request{Op: "group.ls", Args: Organisation{Domain: "hug.example"}}, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Members != people || list[1].Members != people {
		t.Errorf("%+v", list)
	}
}

// TestImportGroupsBadFiles: a file of which nothing is right is refused with the
// first problems of each kind and the number of all, whatever it is full of.
func TestImportGroupsBadFiles(t *testing.T) {
	cfg := groupHouse(t, 3)
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i, i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, text string
		dry        bool
		refused    int
		reason     string
	}{
		{"groups that are not there", many("g%d@hug.example,p%d@hug.example", 20_000), false, 20_000, "there is no group g"},
		{"organisations that are not there", many("nurses@h%d.example,p%d@hug.example", 20_000), true, 20_000, "no organisation"},
		{"lines of nothing", many("%d;%d", 20_000), false, maxProblems, "1 columns"},
		{"a quote that is not closed", "nurses,p0@hug.example\n\"" + strings.Repeat("nurses,p1@hug.example\n", 50_000), false, 1, "not CSV"},
		{"a quote around the rest", "nurses,\"" + strings.Repeat("nurses,p1@hug.example\n", 50_000) + "\"", false, 1, "no account's address"},
		{"of another organisation", "nurses@hug.example,p0@other.example\r\n", false, 1, "another organisation"},
		{"twice, by other letters", "nurses,p0@hug.example\r\nNURSES@HUG.example,P0@hug.EXAMPLE\r\n", false, 1, "twice: line 1"},
	} {
		r := importText(t, cfg, c.text, c.dry)
		if r.Refused != c.refused || len(r.Problems) == 0 || len(r.Problems) > maxProblems+1 {
			t.Errorf("%s: %d refused, want %d, %d problems", c.name, r.Refused, c.refused, len(r.Problems))
			continue
		}
		if unread := c.refused == maxProblems; r.Unread != unread {
			t.Errorf("%s: reading ended early: %v", c.name, r.Unread)
		}
		size := 0
		for _, p := range r.Problems {
			size += len(p.JID) + len(p.Reason)
		}
		if !strings.Contains(r.Problems[0].Reason, c.reason) || size > 1000*maxProblems {
			t.Errorf("%s: %d bytes of %+.300v", c.name, size, r.Problems[0])
		}
	}
	if r := importText(t, cfg, "\xef\xbb\xbfGroup,JID\r\n\"nurses\",\"p0@hug.example\"\r\nnurses@hug.example,p1@hug.example", false); r.Added != 2 || r.Refused != 0 {
		t.Errorf("a good file: %+v", r)
	}
}

// FuzzParseGroups: whatever stands in a file, each of its lines is a
// membership of addresses that can be read again, or a problem.
func FuzzParseGroups(f *testing.F) {
	for _, s := range []string{"group,jid\na@h,b@h\n", "a,b@h", "\xef\xbb\xbfa,b@h\n", "a,b\nc", `"a`, "a,b@h\na,b@h", ",", "\x00,\xff@h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, problems, err := parseGroups(strings.NewReader(text))
		if err == nil && len(rows)+len(problems) == 0 {
			t.Error("neither memberships nor problems")
		}
		seen := map[groupRow]bool{}
		for _, r := range rows {
			again, p := parseMembership(r.Line, []string{r.Group, r.JID}, map[[2]string]int{})
			if p != nil || again != r {
				t.Errorf("%+v reads again as %+v %v", r, again, p)
			}
			if key := (groupRow{Group: r.Group, JID: r.JID}); seen[key] {
				t.Errorf("%+v twice", key)
			} else {
				seen[key] = true
			}
		}
	})
}
