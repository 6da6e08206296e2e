package db

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/bearhug/bearhug/feature"
)

// engine is the kind of database behind a DB.
type engine uint8

const (
	sqlite engine = iota
	mysql         // MariaDB and MySQL
)

// chunks are the numbers of rows (or list values) that one prepared statement
// takes. Few and fixed, so that each text is prepared once per connection.
var chunks = [...]int{256, 64, 16, 4, 1}

// Statement is one named statement of a .sql text.
type Statement struct {
	Name    string
	Feature string // who pays
	Replica bool   // may run on a replica
	Dialect bool   // has a text of its own for MariaDB

	text  string // of the engine in use; "(?, ?)..." or "(?...)" not yet spread
	cols  int    // placeholders of one row, when spread by rows
	list  bool   // spread as a list of values
	many  [len(chunks)]string
	fixed int // placeholders outside the spread part

	wrote   *atomic.Int64 // when this process wrote by a statement of this feature, see DB.clock
	feature atomic.Uint32 // feature.ID + 1 once looked up; 0 before
}

// block is a statement as it stands in the text, before rewriting.
type block struct {
	header map[string]string
	sql    string
	own    string // text under "-- dialect: mysql"
	line   int
}

// headerKeys are the words a header may use.
var headerKeys = map[string]bool{
	"name": true, "feature": true, "on": true,
	"insert": true, "upsert": true, "table": true,
}

// split cuts a .sql text into its blocks.
func split(text string) ([]*block, error) {
	var out []*block
	var b *block
	var into *string
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "-- name:"):
			h, err := header(trimmed)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			b = &block{header: h, line: i + 1}
			into = &b.sql
			out = append(out, b)
		case strings.HasPrefix(trimmed, "-- dialect:"):
			if b == nil || strings.TrimSpace(trimmed[len("-- dialect:"):]) != "mysql" {
				return nil, fmt.Errorf("line %d: want \"-- dialect: mysql\" below a statement", i+1)
			}
			into = &b.own
		case strings.HasPrefix(trimmed, "--") || trimmed == "":
		case into == nil:
			return nil, fmt.Errorf("line %d: SQL before the first \"-- name:\"", i+1)
		default:
			if *into != "" {
				*into += " "
			}
			*into += trimmed
		}
	}
	for _, b := range out {
		b.sql = strings.TrimSuffix(b.sql, ";")
		b.own = strings.TrimSuffix(b.own, ";")
		if b.sql == "" {
			return nil, fmt.Errorf("line %d: %s has no SQL", b.line, b.header["name"])
		}
	}
	return out, nil
}

// header reads "-- name: x   feature: y   on: primary".
func header(line string) (map[string]string, error) {
	h := map[string]string{}
	words := strings.Fields(strings.TrimPrefix(line, "--"))
	for i := 0; i < len(words); i += 2 {
		key, ok := strings.CutSuffix(words[i], ":")
		if !ok || !headerKeys[key] || i+1 == len(words) {
			return nil, fmt.Errorf("header %q: want known words, each with a value", line)
		}
		h[key] = words[i+1]
	}
	if h["feature"] == "" {
		return nil, fmt.Errorf("header %q: who pays? (feature:)", line)
	}
	if h["on"] != "primary" && h["on"] != "replica" {
		return nil, fmt.Errorf("header %q: on: primary or replica", line)
	}
	return h, nil
}

var (
	bytesType = regexp.MustCompile(`\b(VARBINARY|BINARY)\(\d+\)`)
	conflict  = regexp.MustCompile(`ON CONFLICT \([^)]*\) DO UPDATE SET`)
	excluded  = regexp.MustCompile("\\bexcluded\\.(`?\\w+`?)")
	rowSpread = regexp.MustCompile(`\(([^()]*\?[^()]*)\)\.\.\.`)
)

// statement rewrites b for engine e. These are the four rewritings, and there
// are no others: insert-ignore, upsert, table options, the binary type.
func (b *block) statement(e engine) (*Statement, error) {
	s := &Statement{
		Name: b.header["name"], Feature: b.header["feature"],
		Replica: b.header["on"] == "replica", Dialect: b.own != "", text: b.sql,
	}
	if e == mysql && b.own != "" {
		s.text = b.own
	}
	switch {
	case b.header["insert"] == "ignore" && e == sqlite:
		s.text = strings.Replace(s.text, "INSERT INTO", "INSERT OR IGNORE INTO", 1)
	case b.header["insert"] == "ignore":
		s.text = strings.Replace(s.text, "INSERT INTO", "INSERT IGNORE INTO", 1)
	}
	if b.header["upsert"] != "" && e == mysql && b.own == "" {
		if !conflict.MatchString(s.text) {
			return nil, fmt.Errorf("%s: an upsert without ON CONFLICT (…) DO UPDATE SET", s.Name)
		}
		s.text = conflict.ReplaceAllString(s.text, "ON DUPLICATE KEY UPDATE")
		s.text = excluded.ReplaceAllString(s.text, "VALUES($1)")
	}
	switch kind := b.header["table"]; {
	case kind == "":
	case kind == "rowless" && e == sqlite:
		s.text += " WITHOUT ROWID"
	case e == mysql:
		s.text += " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
	}
	if b.header["table"] != "" && e == sqlite {
		s.text = bytesType.ReplaceAllString(s.text, "BLOB")
	}
	return s, s.spread()
}

// spread makes the texts for the fixed numbers of rows.
func (s *Statement) spread() error {
	if m := rowSpread.FindStringSubmatchIndex(s.text); m != nil {
		one := s.text[m[0] : m[1]-len("...")]
		s.cols = strings.Count(one, "?")
		for i, n := range chunks {
			s.many[i] = s.text[:m[0]] + strings.TrimSuffix(strings.Repeat(one+", ", n), ", ") + s.text[m[1]:]
		}
		return nil
	}
	if i := strings.Index(s.text, "(?...)"); i >= 0 {
		s.list = true
		s.cols = 1
		before, after := s.text[:i], s.text[i+len("(?...)"):]
		if strings.Contains(after, "?") {
			return fmt.Errorf("%s: the list must hold the last placeholders", s.Name)
		}
		s.fixed = strings.Count(before, "?")
		for i, n := range chunks {
			s.many[i] = before + "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" + after
		}
	}
	return nil
}

// account is who pays for s in org. A feature that is not declared (yet) is
// charged to the server.
func (s *Statement) account(b *feature.Board, org feature.Org) *feature.Account {
	id := s.feature.Load()
	if id == 0 {
		f, ok := b.Lookup(s.Feature)
		if !ok {
			return b.Account(feature.Server, org)
		}
		id = uint32(f) + 1
		s.feature.Store(id)
	}
	return b.Account(feature.ID(id-1), org)
}
