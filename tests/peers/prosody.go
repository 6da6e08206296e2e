package main

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bearhug/bearhug/rehearse"
)

// Prosody with everything in files, and with its archive in MariaDB.
const (
	prosodyName = "prosody"
	prosodySQL  = "prosody-sql"
)

//go:embed prosody.cfg.lua
var prosodyConfig string

func (b *bench) prosodyKind(name string) (*kind, error) {
	version, err := packaged("prosody")
	if err != nil {
		return nil, err
	}
	lua, err := packaged("lua5.4")
	if err != nil {
		return nil, err
	}
	k := &kind{
		name: name, version: fmt.Sprintf("Prosody %s, Lua %s, files", version, lua),
		settings: "[prosody.cfg.lua](../tests/peers/prosody.cfg.lua)", prepare: prosodyPrepare,
		command: func(s *server) *exec.Cmd {
			c := exec.Command("prosody", "--config", filepath.Join(s.dir, "prosody.cfg.lua"), "-F")
			c.Dir = s.dir
			return c
		},
	}
	if name == prosodySQL {
		driver, err := packaged("lua-dbi-mysql")
		if err != nil {
			return nil, err
		}
		db, err := packaged("mariadb-server")
		if err != nil {
			return nil, err
		}
		k.database = "prosody"
		k.version = strings.TrimSuffix(k.version, "files") + fmt.Sprintf("lua-dbi-mysql %s, MariaDB %s", driver, db)
		k.settings += ", the archive in MariaDB"
	}
	k.build = buildOf(k.version, prosodyConfig)
	return k, nil
}

// prosodyPrepare writes Prosody's own files: accounts as mod_auth_internal_hashed
// keeps them, rosters, groups.
func prosodyPrepare(s *server) error {
	if err := s.fill("prosody.cfg.lua", prosodyConfig); err != nil {
		return err
	}
	if s.sql != nil {
		const user = "CREATE USER prosody@'127.0.0.1' IDENTIFIED BY 'prosody'; GRANT ALL ON prosody.* TO prosody@'127.0.0.1'"
		if _, err := s.sql.ExecContext(s.b.ctx, user); err != nil {
			return fmt.Errorf("make the user: %w", err)
		}
	}
	host := filepath.Join(s.dir, "data", strings.ReplaceAll(domain, ".", "%2e"))
	for _, store := range []string{"accounts", "roster"} {
		if err := os.MkdirAll(filepath.Join(host, store), 0o755); err != nil {
			return err
		}
	}
	keys := s.b.keys.Keys()
	account := fmt.Appendf(nil, "return {\n\t[\"iteration_count\"] = %d;\n\t[\"salt\"] = %q;\n\t[\"stored_key\"] = %q;\n\t[\"server_key\"] = %q;\n};\n",
		keys.Iterations, keys.Salt, hex.EncodeToString(keys.StoredKey), hex.EncodeToString(keys.ServerKey))
	for _, p := range s.accounts() {
		if err := os.WriteFile(filepath.Join(host, "accounts", p.Local+".dat"), account, 0o644); err != nil {
			return err
		}
	}
	var groups strings.Builder
	for i := range s.w.people {
		if s.w.group > 0 {
			if i%s.w.group == 0 {
				fmt.Fprintf(&groups, "[%s]\n", s.w.groupName(i))
			}
			fmt.Fprintf(&groups, "%s@%s\n", rehearse.Name(i), domain)
		}
		if s.w.contacts == 0 {
			continue
		}
		roster := []byte("return {\n\t[false] = { [\"version\"] = 1; [\"pending\"] = {}; };\n")
		for _, n := range s.w.numbers(i) {
			roster = fmt.Appendf(roster, "\t[\"%s@%s\"] = { [\"subscription\"] = \"both\"; [\"groups\"] = {}; };\n", rehearse.Name(n), domain)
		}
		if err := os.WriteFile(filepath.Join(host, "roster", rehearse.Name(i)+".dat"), append(roster, "};\n"...), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.dir, "groups.txt"), []byte(groups.String()), 0o644)
}
