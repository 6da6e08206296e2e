package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/bearhug/bearhug/rehearse"
)

// Bearhug on MariaDB, as ejabberd; and on the database it ships with.
const (
	bearhugName   = "bearhug"
	bearhugSQLite = "bearhug-sqlite"
)

func (b *bench) bearhugKind(name string) (*kind, error) {
	program, err := os.ReadFile(b.bearhug)
	if err != nil {
		return nil, fmt.Errorf("the program of Bearhug: %w (make build)", err)
	}
	out, err := exec.Command(b.bearhug, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("bearhug version: %w", err)
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	k := &kind{
		name: name, build: fmt.Sprintf("%x", sha256.Sum256(program))[:16],
		version:  "Bearhug " + strings.TrimPrefix(version, "bearhug ") + ", SQLite",
		settings: "shipped settings but `c2s.plaintext`",
		prepare:  bearhugPrepare, orderly: true,
		command: func(s *server) *exec.Cmd { return exec.Command(b.bearhug, s.arguments("serve")...) },
	}
	if name == bearhugName {
		k.database = "bearhug"
		db, err := packaged("mariadb-server")
		if err != nil {
			return nil, err
		}
		k.version = strings.TrimSuffix(k.version, "SQLite") + "MariaDB " + db
		k.settings += " and the address of the database"
	}
	if exec.Command(b.bearhug, "group", "--help").Run() != nil {
		k.without = "this build has no shared groups"
	}
	return k, nil
}

func (s *server) arguments(args ...string) []string {
	return append(args, "--config", filepath.Join(s.dir, "bearhug.toml"))
}

// bearhug runs one of its commands.
func (s *server) bearhug(args ...string) error {
	out, err := exec.CommandContext(s.b.ctx, s.b.bearhug, s.arguments(args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("bearhug %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// bearhugPrepare goes by the commands an operator has, but for the personal
// rosters, which have none.
func bearhugPrepare(s *server) (err error) {
	if s.ops, err = freePort(); err != nil {
		return err
	}
	config := fmt.Sprintf("data = %q\n[c2s]\nlisten = \"127.0.0.1:%d\"\ntls_listen = \"\"\nplaintext = true\n[http]\nlisten = \"\"\ntls_listen = \"\"\n[ops]\nlisten = \"127.0.0.1:%d\"\n",
		filepath.Join(s.dir, "data"), s.port, s.ops)
	if s.database != nil {
		config += fmt.Sprintf("[db]\nurl = %q\n", s.database.URL(s.k.database))
	}
	if err := os.WriteFile(filepath.Join(s.dir, "bearhug.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	if err := s.bearhug("org", "add", domain); err != nil {
		return err
	}
	k, b64 := s.b.keys.Keys(), base64.StdEncoding.EncodeToString
	csv := []byte("jid,mechanism,iterations,salt,stored_key,server_key\n")
	for _, p := range s.accounts() {
		csv = fmt.Appendf(csv, "%s,%s,%d,%s,%s,%s\n", p.JID(), k.Mechanism, k.Iterations, b64(k.Salt), b64(k.StoredKey), b64(k.ServerKey))
	}
	if err := s.importCSV("user", csv); err != nil {
		return err
	}
	if s.w.contacts > 0 {
		if err := s.bearhugRosters(); err != nil {
			return err
		}
	}
	if s.w.group == 0 {
		return nil
	}
	csv = []byte("group,jid\n")
	for i := range s.w.people {
		if i%s.w.group == 0 {
			if err := s.bearhug("group", "add", s.w.groupName(i)+"@"+domain); err != nil {
				return err
			}
		}
		csv = fmt.Appendf(csv, "%s@%s,%s@%s\n", s.w.groupName(i), domain, rehearse.Name(i), domain)
	}
	return s.importCSV("group", csv)
}

func (s *server) importCSV(what string, csv []byte) error {
	file := filepath.Join(s.dir, what+".csv")
	if err := os.WriteFile(file, csv, 0o600); err != nil {
		return err
	}
	return s.bearhug(what, "import", file)
}

// bearhugRosters writes personal contacts into the tables. The sign-ins check
// that the server takes them for rosters.
func (s *server) bearhugRosters() (err error) {
	if s.sql == nil { // SQLite, which nobody has open now
		if s.sql, err = sql.Open("sqlite", filepath.Join(s.dir, "data", "bearhug.db")); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, s.sql.Close())
			s.sql = nil
		}()
	}
	ids := map[string]int64{}
	rows, err := s.sql.QueryContext(s.b.ctx, "SELECT name, id FROM account")
	if err != nil {
		return err
	}
	for rows.Next() {
		var name string
		var id int64
		if err := rows.Scan(&name, &id); err != nil {
			return errors.Join(err, rows.Close())
		}
		ids[name] = id
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	n := s.w.contacts
	err = s.insert("roster (owner, peer, name, sub, ask, approved, listed, pending, teams, ver, removed)",
		"(?,?,'',3,0,0,1,NULL,'',1,0)", s.w.people*n, func(i int) []any {
			return []any{ids[rehearse.Name(i/n)], rehearse.Name(s.w.numbers(i / n)[i%n]) + "@" + domain}
		})
	if err == nil {
		_, err = s.sql.ExecContext(s.b.ctx, "UPDATE account SET roster = 1")
	}
	return err
}

// page asks the ops listener.
func (s *server) page(path string) (body []byte, err error) {
	res, err := http.Get("http://127.0.0.1:" + strconv.Itoa(s.ops) + path)
	if err != nil {
		return nil, err
	}
	body, err = io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return body, err
}

// statements is how many SQL statements Bearhug's own ledger has counted, by
// feature.
func (s *server) statements() (map[string]float64, error) {
	page, err := s.page("/metrics")
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(page)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		feature, counted := strings.CutSuffix(name, "_statements_total")
		if !ok || !counted || line[0] == '#' {
			continue
		}
		if all[strings.TrimPrefix(feature, "bearhug_")], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metrics: %q", line)
		}
	}
	return all, nil
}

// heap is what Bearhug has in use after collections: several, as one only
// ages what pools keep.
func (s *server) heap() (float64, error) {
	var page []byte
	var err error
	for range 3 {
		if page, err = s.page("/debug/pprof/heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	_, rest, ok := bytes.Cut(page, []byte("# HeapAlloc = "))
	if !ok {
		return 0, errors.New("the heap profile does not tell HeapAlloc")
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseFloat(string(line), 64)
}
