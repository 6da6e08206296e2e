package db

import (
	"strings"
	"testing"
)

// TestRewrite is the table of the four rewritings.
func TestRewrite(t *testing.T) {
	const head = "-- name: x   feature: f   on: primary"
	for _, c := range []struct{ name, text, sqlite, mysql string }{
		{"none", head + "\nSELECT a\n  FROM t -- no comment inside\nWHERE b = ?;",
			"SELECT a FROM t -- no comment inside WHERE b = ?", "SELECT a FROM t -- no comment inside WHERE b = ?"},
		{"insert-ignore", head + "   insert: ignore\nINSERT INTO t (a) VALUES (?);",
			"INSERT OR IGNORE INTO t (a) VALUES (?)", "INSERT IGNORE INTO t (a) VALUES (?)"},
		{"upsert", head + "   upsert: yes\nINSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET b = b + excluded.b;",
			"INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET b = b + excluded.b",
			"INSERT INTO t (a, b) VALUES (?, ?) ON DUPLICATE KEY UPDATE b = b + VALUES(b)"},
		{"table", head + "   table: rowless\nCREATE TABLE t (a VARBINARY(9) NOT NULL PRIMARY KEY, b LONGBLOB);",
			"CREATE TABLE t (a BLOB NOT NULL PRIMARY KEY, b LONGBLOB) WITHOUT ROWID",
			"CREATE TABLE t (a VARBINARY(9) NOT NULL PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
		{"dialect", head + "\nSELECT 1;\n-- dialect: mysql\nSELECT 2;", "SELECT 1", "SELECT 2"},
	} {
		blocks, err := split(c.text)
		if err != nil || len(blocks) != 1 {
			t.Fatalf("%s: %v", c.name, err)
		}
		for e, want := range map[engine]string{sqlite: c.sqlite, mysql: c.mysql} {
			s, err := blocks[0].statement(e)
			if err != nil || s.text != want {
				t.Errorf("%s, engine %d: %q, %v\nwant %q", c.name, e, s.text, err, want)
			}
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ text, four string }{
		{"INSERT INTO t (a, b) VALUES (?, 0, ?)... ON CONFLICT", "INSERT INTO t (a, b) VALUES (?, 0, ?), (?, 0, ?), (?, 0, ?), (?, 0, ?) ON CONFLICT"},
		{"SELECT a FROM t WHERE b = ? AND a IN (?...)", "SELECT a FROM t WHERE b = ? AND a IN (?, ?, ?, ?)"},
	} {
		s := &Statement{text: c.text}
		if err := s.spread(); err != nil || s.many[3] != c.four {
			t.Errorf("%q, %v", s.many[3], err)
		}
	}
	if err := (&Statement{text: "WHERE a IN (?...) AND b = ?"}).spread(); err == nil {
		t.Error("a placeholder behind the list")
	}
}

func TestBadTexts(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                                                          "before the first",
		"-- name: x   on: primary\nSELECT 1":                                "who pays",
		"-- name: x   feature: f\nSELECT 1":                                 "primary or replica",
		"-- name: x   feature: f   on: all\n":                               "primary or replica",
		"-- name: x   fature: f   on: primary\nSELECT 1":                    "known words",
		"-- name: x   feature: f   on: primary\n":                           "has no SQL",
		"-- dialect: mysql\nSELECT 1":                                       "below a statement",
		"-- name: x   feature: f   on: primary\n-- dialect: oracle\nSELECT": "dialect",
	} {
		if _, err := split(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestURL(t *testing.T) {
	for _, bad := range []string{
		"", "sqlite:", "sqlite:a?mode=ro", "postgres://x", "mysql://host/name", "mysql://u@/name", "mysql://u@h", "mysql://u@h/a/b",
		"mysql://u@h/n?x=1", "mysql://u:secret@h:x/n",
	} {
		_, _, _, err := parseURL(bad)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	e, name, c, err := parseURL("mysql://u:p%40ss@db.example/chat")
	if err != nil || e != mysql || name != "chat" || c.Addr != "db.example:3306" || c.Passwd != "p@ss" ||
		c.ReadTimeout != answerTime || c.WriteTimeout != answerTime || c.Params["lock_wait_timeout"] == "" || c.Params["innodb_lock_wait_timeout"] == "" {
		t.Errorf("%v %q %+v %v", e, name, c, err)
	}
	if e, file, _, err := parseURL("sqlite:/var/lib/x y.db"); err != nil || e != sqlite || file != "/var/lib/x y.db" {
		t.Errorf("%v %q %v", e, file, err)
	}
}
