package node_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

// shelf is a data directory with organisations and no server.
func shelf(t *testing.T, domains ...string) *node.Config {
	t.Helper()
	cfg, err := node.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = t.TempDir()
	for _, d := range domains {
		do(t, cfg, "org.add", node.Organisation{Domain: d}, nil)
	}
	return cfg
}

func do(t *testing.T, cfg *node.Config, op string, args, result any) {
	t.Helper()
	if err := node.Do(t.Context(), cfg, true, ops.Request{Op: op, Args: args}, result); err != nil {
		t.Fatal(err)
	}
}

func importText(t *testing.T, cfg *node.Config, text string, dry bool) (report node.ImportReport, err error) {
	t.Helper()
	werr := node.With(t.Context(), cfg, true, func(c *ops.Caller) error {
		report, err = node.ImportUsers(t.Context(), c, strings.NewReader(text), node.ImportOptions{DryRun: dry})
		return err
	})
	return report, werr
}

func accounts(t *testing.T, cfg *node.Config, domain string) []string {
	t.Helper()
	var list []node.UserLine
	do(t, cfg, "user.ls", node.UserPage{Domain: domain}, &list)
	var out []string
	for _, u := range list {
		out = append(out, u.JID)
	}
	return out
}

func b64(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// TestImportNotes: who imports keys is told what they do to the organisation.
func TestImportNotes(t *testing.T) {
	line := func(jid, mech string, n int) string {
		return fmt.Sprintf("%s,%s,4096,%s,%s,%s\n", jid, mech, b64(16), b64(n), b64(n))
	}
	cfg := shelf(t, "a.example", "b.example")
	for i, c := range []struct {
		text string
		want []string // what the notes have in them
	}{
		{"anna@a.example,x\n", nil},
		{line("old@a.example", "SCRAM-SHA-1", 20) + line("old@b.example", "SCRAM-SHA-1", 20) + line("old@b.example", "SCRAM-SHA-256", 32),
			[]string{"a.example have keys for SCRAM-SHA-1 only"}},
		{line("new@a.example", "SCRAM-SHA-256", 32), []string{"a.example have keys for SCRAM-SHA-1 only and others for SCRAM-SHA-256 only"}},
	} {
		report, err := importText(t, cfg, c.text, false)
		if err != nil || len(report.Problems) > 0 || len(report.Notes) != len(c.want) {
			t.Fatalf("%d: %+v, %v; want %d notes", i, report, err, len(c.want))
		}
		for j, want := range c.want {
			if !strings.Contains(report.Notes[j], want) {
				t.Errorf("%q has no %q", report.Notes[j], want)
			}
		}
	}
}

func TestImport(t *testing.T) {
	scram := func(jid, mech string) string {
		n := 20
		if mech == "SCRAM-SHA-256" {
			n = 32
		}
		return fmt.Sprintf("%s,%s,4096,%s,%s,%s\n", jid, mech, b64(16), b64(n), b64(n))
	}
	for _, c := range []struct {
		name, text string
		want       []string // accounts afterwards
		problems   []string // line: reason
	}{
		{"plain with header", "jid,password\nanna@a.example,x\nBOB@a.example,y\n", []string{"anna@a.example", "bob@a.example"}, nil},
		{"plain without header", "anna@a.example,x\n", []string{"anna@a.example"}, nil},
		{"mark, CRLF and blank lines", "\ufeffJID,Password\r\n\r\nanna@a.example,x\r\n\r\n", []string{"anna@a.example"}, nil},
		{"quoted password with a comma and a quote", "anna@a.example,\"x,\"\"y\"\nbert@a.example,z\n", []string{"anna@a.example", "bert@a.example"}, nil},
		{"SCRAM, two mechanisms of one account", scram("anna@a.example", "SCRAM-SHA-1") + scram("anna@a.example", "SCRAM-SHA-256"), []string{"anna@a.example"}, nil},
		{"SCRAM with header", "jid,mechanism,iterations,salt,stored_key,server_key\n" + scram("anna@a.example", "SCRAM-SHA-1"), []string{"anna@a.example"}, nil},
		{"other people", "jose@a.example,x\njosé@a.example,x\nss@a.example,x\nß@a.example,x\n", []string{"jose@a.example", "josé@a.example", "ss@a.example", "ß@a.example"}, nil},
		{"duplicate", "anna@a.example,x\nbert@a.example,x\nAnna@a.example,y\n", nil, []string{"3: twice: line 1 has it already"}},
		{"duplicate pair", scram("anna@a.example", "SCRAM-SHA-1") + scram("anna@a.example", "SCRAM-SHA-1"), nil, []string{"2: twice: line 1 has it already"}},
		{"unknown domain", "anna@a.example,x\nbert@b.example,y\n", nil, []string{"2: no organisation has this domain"}},
		{"exists", "there@a.example,x\nanna@a.example,y\n", nil, []string{"1: the account exists already"}},
		{"all told at once, by line", "bert@b.example,x\n@@,x\nthere@a.example,x\n", nil,
			[]string{"1: no organisation has this domain", "2: no account's address; want one such as anna@example.org", "3: the account exists already"}},
		{"columns", "anna@a.example,x\nbert@a.example,x,y\n", nil, []string{"2: 3 columns; want 2 as in the lines before"}},
		{"columns of the first line", "anna@a.example\n", nil, []string{"1: 1 columns; want 2 (jid,password) or 6 (jid,mechanism,iterations,salt,stored_key,server_key)"}},
		{"empty password", "anna@a.example,\n", nil, []string{"1: the password is empty"}},
		{"a resource", "anna@a.example/phone,x\n", nil, []string{"1: no account's address; want one such as anna@example.org"}},
		{"wrong UTF-8", "an\xffna@a.example,x\n", nil, []string{"1: no account's address; want one such as anna@example.org"}},
		{"quote", "anna@a.example,x\n\"bert@a.example,x\n", nil, []string{"2: not CSV: extraneous or missing \" in quoted-field"}},
		{"mechanism", "anna@a.example,SCRAM-SHA-512,4096,AA==,AA==,AA==\n", nil, []string{`1: mechanism "SCRAM-SHA-512"; want SCRAM-SHA-1 or SCRAM-SHA-256`}},
		{"iterations", "anna@a.example,SCRAM-SHA-1,99,AA==,AA==,AA==\n", nil, []string{`1: iterations "99"; want a number from 1000 to 1000000`}},
		{"base64", "anna@a.example,SCRAM-SHA-1,4096,AA==,%%,AA==\n", nil, []string{"1: stored_key is not base64"}},
		{"length", "anna@a.example,SCRAM-SHA-1,4096,AA==," + b64(32) + ",AA==\n", nil, []string{"1: stored_key has 32 bytes; SCRAM-SHA-1 wants 20"}},
		{"salt", "anna@a.example,SCRAM-SHA-1,4096,," + b64(20) + "," + b64(20) + "\n", nil, []string{"1: salt has 0 bytes; SCRAM-SHA-1 wants 1 to 255"}},
		{"a password that cannot be", "anna@a.example,x\nbert@a.example,\"\x00\"\n", nil, []string{"2: derive keys: the password is empty or has characters that are not allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := shelf(t, "a.example")
			do(t, cfg, "user.add", node.User{JID: "there@a.example", Password: "x"}, nil)
			report, err := importText(t, cfg, c.text, false)
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, p := range report.Problems {
				problems = append(problems, fmt.Sprintf("%d: %s", p.Line, p.Reason))
			}
			if !slices.Equal(problems, c.problems) {
				t.Errorf("problems %q, want %q", problems, c.problems)
			}
			want := append(slices.Clone(c.want), "there@a.example")
			slices.Sort(want)
			if got := accounts(t, cfg, "a.example"); !slices.Equal(got, want) {
				t.Errorf("accounts %q, want %q", got, want)
			}
			if c.problems == nil && report.Accounts != len(c.want) {
				t.Errorf("%d accounts reported", report.Accounts)
			}
		})
	}
}

func TestImportDryRun(t *testing.T) {
	cfg := shelf(t, "a.example")
	report, err := importText(t, cfg, "anna@a.example,x\n", true)
	if err != nil || report.Accounts != 1 || len(report.Problems) != 0 {
		t.Errorf("%+v %v", report, err)
	}
	if got := accounts(t, cfg, "a.example"); len(got) != 0 {
		t.Errorf("a dry run made %q", got)
	}
}

func TestImportNothing(t *testing.T) {
	if _, err := importText(t, shelf(t, "a.example"), "", false); err == nil || !strings.Contains(err.Error(), "the file has no accounts") {
		t.Error(err)
	}
}

// TestImportTooWrong: a file that is no CSV at all costs bounded memory.
func TestImportTooWrong(t *testing.T) {
	report, err := importText(t, shelf(t, "a.example"), strings.Repeat("rubbish\n", 100_000), false)
	if err != nil || len(report.Problems) > 1100 {
		t.Errorf("%d problems, %v", len(report.Problems), err)
	}
}

func TestImportCancelled(t *testing.T) {
	cfg := shelf(t, "a.example")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := node.With(t.Context(), cfg, true, func(c *ops.Caller) error {
		_, err := node.ImportUsers(ctx, c, strings.NewReader("anna@a.example,x\n"), node.ImportOptions{})
		return err
	})
	if err == nil {
		t.Error("no error")
	}
	if got := accounts(t, cfg, "a.example"); len(got) != 0 {
		t.Errorf("half an import: %q", got)
	}
}

func FuzzImport(f *testing.F) {
	for _, s := range []string{"jid,password\na@b,c\n", "a@b,SCRAM-SHA-1,4096,AA==,AA==,AA==\n", "\"a\n,b\"\"", "\xef\xbb\xbf", "\"", "a@b,c\r\n\n,,,\n"} {
		f.Add(s)
	}
	cfg, err := node.Defaults()
	if err != nil {
		f.Fatal(err)
	}
	cfg.Data = f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		// No organisation exists: whatever the file says, nothing is made.
		err := node.With(t.Context(), cfg, true, func(c *ops.Caller) error {
			report, err := node.ImportUsers(t.Context(), c, strings.NewReader(text), node.ImportOptions{})
			if err == nil && report.Accounts > 0 && len(report.Problems) == 0 {
				t.Errorf("imported %d accounts", report.Accounts)
			}
			for _, p := range report.Problems {
				if p.Line < 1 || p.Reason == "" {
					t.Errorf("%+v", p)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
