// Package storetest opens stores for the tests of other packages.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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
func MariaDB(tb testing.TB) *mariadb.Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	srv, err := mariadb.Start(ctx, dir)
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

// Each runs a test on SQLite and on MariaDB: one server, and for every call of
// open a database of its own.
func Each(t *testing.T, test func(t *testing.T, open func(testing.TB) *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, Open) })
	t.Run("mariadb", func(t *testing.T) {
		srv := MariaDB(t)
		n := 0
		test(t, func(tb testing.TB) *store.Store {
			tb.Helper()
			n++
			url, err := srv.Create(context.Background(), fmt.Sprintf("bearhug%d", n))
			if err != nil {
				tb.Fatal(err)
			}
			return OpenURL(tb, url)
		})
	})
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
