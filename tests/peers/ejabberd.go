package main

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bearhug/bearhug/rehearse"
)

const ejabberdName = "ejabberd"

//go:embed ejabberd.yml
var ejabberdConfig string

// ejabberdSchema is the package's.
const ejabberdSchema = "/usr/share/ejabberd/sql/mysql.sql"

func (b *bench) ejabberdKind() (*kind, error) {
	version, err := packaged("ejabberd")
	if err != nil {
		return nil, err
	}
	erlang, err := packaged("erlang-base")
	if err != nil {
		return nil, err
	}
	if _, err := packaged("erlang-p1-mysql"); err != nil {
		return nil, err
	}
	db, err := packaged("mariadb-server")
	if err != nil {
		return nil, err
	}
	version = fmt.Sprintf("ejabberd %s, Erlang %s, MariaDB %s", version, erlang, db)
	return &kind{
		name: ejabberdName, build: buildOf(version, ejabberdConfig+strings.Join(erlangFlags, " ")), database: "ejabberd", version: version,
		settings: "[ejabberd.yml](../tests/peers/ejabberd.yml); Erlang: `" + strings.Join(erlangFlags, " ") + "`",
		prepare:  ejabberdPrepare, command: ejabberdCommand,
	}, nil
}

// erlangFlags are those of ejabberdctl, and what one core for the server and the
// database together asks for: schedulers that spin would take time from both.
var erlangFlags = []string{"+K", "true", "+P", "250000", "+S", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"}

// ejabberdCommand is what ejabberdctl runs, without its distribution: no other
// process (epmd) is started, and none is left.
func ejabberdCommand(s *server) *exec.Cmd {
	c := exec.Command("erl", append(slices.Clone(erlangFlags),
		"-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(s.dir, "spool")), "-noinput", "-s", "ejabberd")...)
	c.Dir = s.dir
	c.Env = append(os.Environ(),
		"EJABBERD_CONFIG_PATH="+filepath.Join(s.dir, "ejabberd.yml"),
		"EJABBERD_LOG_PATH="+filepath.Join(s.dir, "ejabberd.log"),
		"ERL_CRASH_DUMP="+filepath.Join(s.dir, "crash.dump"),
		"ERL_MAX_PORTS=32000", "ERL_MAX_ETS_TABLES=1400",
		"ERL_LIBS=/usr/lib/x86_64-linux-gnu", "HOME="+s.dir)
	return c
}

func ejabberdPrepare(s *server) error {
	if err := os.Mkdir(filepath.Join(s.dir, "spool"), 0o755); err != nil {
		return err
	}
	if err := s.fill("ejabberd.yml", ejabberdConfig); err != nil {
		return err
	}
	schema, err := os.ReadFile(ejabberdSchema)
	if err != nil {
		return err
	}
	if _, err := s.sql.ExecContext(s.b.ctx, string(schema)); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	// Its driver cannot do without a password.
	const user = "CREATE USER ejabberd@'127.0.0.1' IDENTIFIED BY 'ejabberd'; GRANT ALL ON ejabberd.* TO ejabberd@'127.0.0.1'"
	if _, err := s.sql.ExecContext(s.b.ctx, user); err != nil {
		return fmt.Errorf("make the user: %w", err)
	}
	people, keys := s.accounts(), s.b.keys.Keys()
	b64 := base64.StdEncoding.EncodeToString
	err = s.insert("users (username, password, serverkey, salt, iterationcount)", "(?,?,?,?,?)", len(people), func(i int) []any {
		return []any{people[i].Local, b64(keys.StoredKey), b64(keys.ServerKey), b64(keys.Salt), keys.Iterations}
	})
	if err != nil {
		return err
	}
	if n := s.w.contacts; n > 0 {
		err = s.insert("rosterusers (username, jid, nick, subscription, ask, askmessage, server, subscribe, type)",
			"(?,?,'','B','N','','N','','item')", s.w.people*n, func(i int) []any {
				return []any{rehearse.Name(i / n), people[s.w.numbers(i / n)[i%n]].JID()}
			})
	}
	if err != nil || s.w.group == 0 {
		return err
	}
	err = s.insert("sr_group (name, opts)", "(?,?)", s.w.people/s.w.group, func(i int) []any {
		g := s.w.groupName(i * s.w.group)
		return []any{g, fmt.Sprintf("[{label,<<\"%s\">>},{description,<<\"\">>},{displayed_groups,[<<\"%s\">>]}]", g, g)}
	})
	if err != nil {
		return err
	}
	return s.insert("sr_user (jid, grp)", "(?,?)", s.w.people, func(i int) []any {
		return []any{people[i].JID(), s.w.groupName(i)}
	})
}
