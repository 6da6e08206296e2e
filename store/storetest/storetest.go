// Package storetest opens stores for the tests of other packages.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// Open is a store on a temporary SQLite file, closed with the test.
func Open(tb testing.TB) *store.Store {
	tb.Helper()
	return OpenURL(tb, "sqlite:"+filepath.Join(tb.TempDir(), "bearhug.db"))
}

// OpenURL is a store on a database of the caller's, closed with the test. What
// was delivered is deleted when the test asks for it.
func OpenURL(tb testing.TB, url string) *store.Store {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := store.Open(ctx, store.Config{URL: url, Clean: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// MariaDB is a private server for this test, stopped with it. The test is
// skipped where MariaDB is not installed, unless BEARHUG_TEST_MARIADB=must.
// Its owner may kill it.
func MariaDB(tb testing.TB) *mariadb.Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	srv, err := mariadb.Start(ctx, dir)
	if err != nil {
		_ = os.RemoveAll(dir) // err says more
	}
	switch {
	case errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("BEARHUG_TEST_MARIADB") != "must":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(srv.Stop(), os.RemoveAll(dir)); err != nil {
			tb.Error(err)
		}
	})
	return srv
}

// env names a running MariaDB, "mysql://root@127.0.0.1:3307/", on which tests
// make databases of their own. Without it each test that wants MariaDB starts
// a server.
const env = "BEARHUG_TEST_MARIADB"

// Main is for a package's TestMain: all its tests share one MariaDB, where it
// is installed.
func Main(m *testing.M) int {
	flag.Parse()
	if run := flag.Lookup("test.run").Value.String(); os.Getenv(env) != "" && os.Getenv(env) != "must" || run == "^$" {
		return m.Run() // there is one already, or only benchmarks are run
	}
	dir, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	srv, err := mariadb.Start(ctx, dir)
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv(env) != "must" {
		return m.Run() // the tests say that they skip
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start MariaDB:", err)
		return 1
	}
	if err := os.Setenv(env, srv.URL("")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := srv.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop MariaDB:", err)
		return 1
	}
	return code
}

// Each runs a test on SQLite and on MariaDB; every call of open makes a
// database of its own.
func Each(t *testing.T, test func(t *testing.T, open func(testing.TB) *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, Open) })
	t.Run("mariadb", func(t *testing.T) {
		base := os.Getenv(env)
		if base == "" || base == "must" {
			base = MariaDB(t).URL("")
		}
		test(t, func(tb testing.TB) *store.Store {
			tb.Helper()
			return OpenURL(tb, fresh(tb, base))
		})
	})
}

// fresh makes a database on a running server, dropped with the test, and
// returns its URL.
func fresh(tb testing.TB, base string) string {
	tb.Helper()
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", u.Host, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	name := fmt.Sprintf("bearhug_%d_%x", os.Getpid(), rand.Uint64())
	run := func(statement string) {
		tb.Helper()
		c, err := mysql.NewConnector(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		pool := sql.OpenDB(c)
		defer pool.Close()
		if _, err := pool.Exec(statement); err != nil {
			tb.Fatal(err)
		}
	}
	run("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
	tb.Cleanup(func() { run("DROP DATABASE " + name) })
	u.Path = "/" + name
	return u.String()
}

// Count is the number of rows in a table, as a backup would hold it on SQLite.
func Count(tb testing.TB, s *store.Store, table string) int64 {
	tb.Helper()
	n, err := s.DB().Count(context.Background(), table)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
