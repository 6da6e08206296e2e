package db

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
)

const (
	// dialTime bounds a connection to MariaDB being made; the greeting and the
	// sign-in may take as long again.
	dialTime = 5 * time.Second
	// answerTime bounds the wait for each answer of MariaDB: a machine that is
	// gone without a word says nothing for ever. It is longer than lockTime,
	// so that a lock is told from a machine that is gone.
	answerTime = 20 * time.Second
	// lockTime bounds the wait for a row that another transaction holds, and
	// for a table that is being altered.
	lockTime = "10" // s
	// tableLockTime is MariaDB's name for the second.
	tableLockTime = "lock_wait_timeout"
)

// parseURL reads "sqlite:FILE" or "mysql://user:password@host:port/name".
func parseURL(s string) (engine, string, *mysqldriver.Config, error) {
	if file, ok := strings.CutPrefix(s, "sqlite:"); ok {
		if file == "" || strings.ContainsAny(file, "?#\x00") {
			return 0, "", nil, fmt.Errorf("database URL %q: want sqlite:FILE, without ? or #", s)
		}
		return sqlite, file, nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "mysql" {
		// The text may hold a password: it is not repeated.
		return 0, "", nil, fmt.Errorf("database URL: want sqlite:FILE or mysql://user:password@host:port/name")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Hostname() == "" || name == "" || strings.Contains(name, "/") || u.User.Username() == "" || u.RawQuery != "" {
		return 0, "", nil, fmt.Errorf("database URL mysql://…@%s/%s: want mysql://user:password@host:port/name", u.Host, name)
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	c := mysqldriver.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr, c.DBName = "tcp", net.JoinHostPort(u.Hostname(), port), name
	c.ClientFoundRows = true // UPDATE counts rows that match, as SQLite does
	c.Timeout = dialTime
	c.ReadTimeout = answerTime
	c.WriteTimeout = answerTime
	c.Collation = "utf8mb4_bin"
	c.Logger = &mysqldriver.NopLogger{}
	c.Params = map[string]string{
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": lockTime,
		tableLockTime:              lockTime,
	}
	return mysql, name, c, nil
}
