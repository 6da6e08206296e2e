package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/bearhug/bearhug/store/storetest"
)

// explained are the statements that run often, and the index that each must
// use: none of them may read a table of 30,000 rows, many campaigns over.
var explained = []struct{ name, index string }{
	{"invitation-due", "invitation_due"},
	{"invitation-waiting", "invitation_due"},
	{"invitation-claim", "PRIMARY"},
	{"invitation-leased", "invitation_due"},
	{"invitation-hand", "PRIMARY"},
	{"invitation-handed", "PRIMARY"},
	{"invitation-settle", "PRIMARY"},
	{"invitation-expired", "invitation_due"},
	{"invitation-lapse", "PRIMARY"},
	{"invitation-recall", "PRIMARY"},
	{"invitation-of-state", "invitation_due"},
	{"invitation-of-person", "invitation_person"},
	{"invitation-contacts", "invitation_person"},
	{"invitation-remind", "invitation_due"},
	{"invitation-next", "invitation_due"},
	{"invitation-page", "invitation_due"},
	{"invitation-answered", "PRIMARY"},
}

// statementText reads one statement of a .sql file, with one row of
// placeholders and lists of two.
func statementText(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "-- name: "+name+" ")
	if !ok {
		t.Fatalf("%s has no %s", file, name)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	body, _, _ := strings.Cut(rest, ";")
	return strings.ReplaceAll(strings.ReplaceAll(body, "(?...)", "(?, ?)"), ")...", ")")
}

// plan is what the engine says it does.
func plan(t *testing.T, pool *sql.DB, explain, text string) string {
	t.Helper()
	args := make([]any, strings.Count(text, "?"))
	for i := range args {
		args[i] = int64(1)
	}
	rows, err := pool.Query(explain+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		vals := make([]sql.NullString, len(cols))
		into := make([]any, len(cols))
		for i := range vals {
			into[i] = &vals[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for i, v := range vals {
			line = append(line, cols[i]+"="+v.String)
		}
		out = append(out, strings.Join(line, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

func TestInvitationPlansSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plans.db")
	storetest.OpenURL(t, "sqlite:"+file)
	pool, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, x := range explained {
		got := plan(t, pool, "EXPLAIN QUERY PLAN ", statementText(t, "invitation.sql", x.name))
		want := "INDEX " + x.index
		if x.index == "PRIMARY" {
			want = "PRIMARY KEY (org=? AND id=?)"
		}
		if strings.Contains(got, "SCAN invitation") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}

func TestInvitationPlansMariaDB(t *testing.T) {
	srv := storetest.MariaDB(t)
	ctx := context.Background()
	base, err := srv.Create(ctx, "plans")
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.OpenURL(t, base)
	org := mustOrg(t, s, "a.example")
	for i := range 8 { // campaigns enough that the organisation alone finds too much
		running(t, s, org, fmt.Sprintf("pulse %d", i), 2000)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "tcp", u.Host, u.User.Username(), strings.Trim(u.Path, "/")
	cfg.InterpolateParams = true // as it would be planned with values
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(c)
	defer pool.Close()
	if _, err := pool.Exec("ANALYZE TABLE invitation"); err != nil {
		t.Fatal(err)
	}
	for _, x := range explained {
		got := plan(t, pool, "EXPLAIN ", statementText(t, "invitation.sql", x.name))
		if x.index == "PRIMARY" && strings.Contains(got, "Impossible WHERE noticed after reading const tables") {
			continue // the key finds nothing, which it knew from the key
		}
		if !strings.Contains(got, "key="+x.index+" ") || strings.Contains(got, "type=ALL") && !strings.Contains(got, "<derived") {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}
