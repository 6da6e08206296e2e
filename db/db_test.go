package db_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/tests/mariadb"
)

const statements = `
-- name: put   feature: cat   on: primary
INSERT INTO t (k, v) VALUES (?, ?)...;
-- name: put-ignore   feature: cat   on: primary   insert: ignore
INSERT INTO t (k, v) VALUES (?, ?)...;
-- name: add   feature: cat   on: primary
UPDATE t SET v = v + 1 WHERE k = ?;
-- name: all   feature: dog   on: replica
SELECT k, v FROM t ORDER BY k;
-- name: some   feature: dog   on: replica
SELECT k, v FROM t WHERE v >= ? AND k IN (?...);
-- name: drop   feature: cat   on: primary
DELETE FROM t WHERE k IN (?...);
`

const migrations = `
-- name: one   feature: server   on: primary   table: rowless
CREATE TABLE IF NOT EXISTS t (k BIGINT NOT NULL PRIMARY KEY, v BIGINT NOT NULL);
`

func open(t testing.TB, cfg db.Config) *db.DB {
	t.Helper()
	if cfg.Statements == nil {
		cfg.Statements = []string{statements}
	}
	if cfg.Migrations == "" {
		cfg.Migrations = migrations
	}
	if cfg.URL == "" {
		cfg.URL = "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	}
	d, err := db.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// each runs a test on both engines.
func each(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db")) })
	t.Run("mariadb", func(t *testing.T) {
		srv := server(t)
		url, err := srv.Create(context.Background(), "x")
		if err != nil {
			t.Fatal(err)
		}
		test(t, url)
	})
}

func server(t *testing.T) *mariadb.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := mariadb.Start(context.Background(), dir)
	if err != nil {
		_ = os.RemoveAll(dir) // err says more
	}
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("BEARHUG_TEST_MARIADB") != "must" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(srv.Stop(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func put(t testing.TB, d *db.DB, k, v int64) {
	t.Helper()
	if err := d.Write(context.Background(), 1, func(tx *db.Tx) error {
		_, err := tx.ExecRows("put", []any{k, v})
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, d *db.DB) map[int64]int64 {
	t.Helper()
	out := map[int64]int64{}
	if err := d.Query(context.Background(), 1, "all", func(r *db.Row) error {
		out[r.Int(0)] = r.Int(1)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRowsAndLists(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		d, ctx := open(t, db.Config{URL: url}), context.Background()
		var rows, keys []any
		for i := range int64(777) {
			rows = append(rows, i, i*2)
			keys = append(keys, i)
		}
		if err := d.Write(ctx, 1, func(tx *db.Tx) error {
			if n, err := tx.ExecRows("put", rows); err != nil || n != 777 {
				return fmt.Errorf("%d rows, %w", n, err)
			}
			if n, err := tx.ExecRows("put-ignore", append(rows[:10:10], int64(1000), int64(0))); err != nil || n != 1 {
				return fmt.Errorf("%d rows past those there, %w", n, err)
			}
			if n, err := tx.Exec("add", 3); err != nil || n != 1 {
				return fmt.Errorf("%d rows, %w", n, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := d.QueryList(ctx, 1, "some", []any{100}, append(keys, int64(-1)), func(r *db.Row) error {
			n++
			return nil
		}); err != nil || n != 727 {
			t.Errorf("%d rows, %v", n, err)
		}
		if err := d.Write(ctx, 1, func(tx *db.Tx) error {
			if n, err := tx.ExecList("drop", nil, keys[:333]); err != nil || n != 333 {
				return fmt.Errorf("%d rows dropped, %w", n, err)
			}
			_, err := tx.ExecRows("put", []any{int64(500), int64(0)})
			if !errors.Is(err, db.ErrDuplicate) {
				return fmt.Errorf("the same key: %w", err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUndone: an error of the job undoes all of it, and only it.
func TestUndone(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		d, ctx := open(t, db.Config{URL: url}), context.Background()
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for i := range int64(60) {
			wg.Go(func() {
				err := d.Write(ctx, 1, func(tx *db.Tx) error {
					if _, err := tx.ExecRows("put", []any{i, 1, i + 1000, 1}); err != nil {
						return err
					}
					if i%3 == 0 {
						return boom
					}
					return nil
				})
				if i%3 == 0 != errors.Is(err, boom) || i%3 != 0 && err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		got := all(t, d)
		if len(got) != 80 || got[3] != 0 || got[1004] != 1 {
			t.Errorf("%d rows: %v", len(got), got)
		}
	})
}

// TestLanes: the archive's job goes before those that were there before it.
func TestLanes(t *testing.T) {
	d, ctx := open(t, db.Config{}), context.Background()
	hold, held := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var order []string
	note := func(s string) func(*db.Tx) error {
		return func(*db.Tx) error {
			mu.Lock()
			order = append(order, s)
			mu.Unlock()
			return nil
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = d.Write(ctx, 1, func(*db.Tx) error { close(held); <-hold; return nil })
	})
	<-held
	// The queue is seen through a context that ends: its job is taken back.
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := d.Write(short, 1, note("late")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a job that waited too long: %v", err)
	}
	handIn := func(s string, write func(context.Context, feature.Org, func(*db.Tx) error) error) {
		wg.Go(func() {
			if err := write(ctx, 1, note(s)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(20 * time.Millisecond) // for the order among the waiting
	}
	handIn("a", d.Write)
	handIn("b", d.Write)
	handIn("archive", d.WriteArchive)
	close(hold)
	wg.Wait()
	if want := []string{"archive", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if st := d.Stats(); st.WriterOver == 0 || st.WriterLongest < int64(20*time.Millisecond) {
		t.Errorf("the long hold is not counted: %+v", st)
	}
}

// TestLanesShare: however much waits in the archive's lane, the other one has
// its turn.
func TestLanesShare(t *testing.T) {
	d, ctx := open(t, db.Config{}), context.Background()
	hold, held := make(chan struct{}), make(chan struct{})
	const many = 100
	turns, turn := 0, 0
	var wg sync.WaitGroup
	hand := func(write func(context.Context, feature.Org, func(*db.Tx) error) error, fn func()) {
		wg.Go(func() {
			if err := write(ctx, 1, func(*db.Tx) error { fn(); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	hand(d.Write, func() { close(held); <-hold })
	<-held
	hand(d.Write, func() { turn = turns })
	for range many {
		hand(d.WriteArchive, func() { turns++ })
	}
	for d.Waiting() < many+1 {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	if turn == 0 || turn > many/2 {
		t.Errorf("the other lane has its turn after %d of %d", turn, many)
	}
}

// TestLedger: statements are charged to the feature of their header and the
// organisation, a batch of several organisations by its parts.
func TestLedger(t *testing.T) {
	b := feature.NewBoard()
	for _, n := range []string{"cat", "dog"} {
		if _, err := b.Declare(n, n, false); err != nil {
			t.Fatal(err)
		}
	}
	d, ctx := open(t, db.Config{Board: b}), context.Background()
	put(t, d, 1, 1)
	all(t, d)
	if err := d.Write(ctx, 0, func(tx *db.Tx) error {
		tx.Split([]db.Share{{Org: 2, N: 3}, {Org: 3, N: 1}})
		_, err := tx.ExecRows("put", []any{11, 0, 12, 0, 13, 0, 14, 0})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]int64{}
	for _, r := range b.Snapshot() {
		if r.Feature != "server" {
			got[fmt.Sprint(r.Feature, r.Org)] = [2]int64{r.Statements, r.Rows}
			if r.SQLTime <= 0 {
				t.Errorf("no time for %+v", r)
			}
		}
	}
	want := map[string][2]int64{"cat1": {1, 1}, "dog1": {1, 1}, "cat2": {1, 3}, "cat3": {0, 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestVersions(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := context.Background()
		two := migrations + "-- name: two   feature: server   on: primary\nCREATE INDEX t_v ON t (v);"
		for _, m := range []string{migrations, two, two} {
			d, err := db.Open(ctx, db.Config{URL: url, Statements: []string{statements}, Migrations: m})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		_, err := db.Open(ctx, db.Config{URL: url, Statements: []string{statements}, Migrations: migrations})
		if err == nil || !strings.Contains(err.Error(), "newer program") {
			t.Errorf("an older program: %v", err)
		}
	})
}

func TestOneProcess(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	open(t, db.Config{URL: url})
	if _, err := db.Open(context.Background(), db.Config{URL: url}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
}

// TestBackup: of a database that is being written to; the copy is whole and
// holds what was committed before; a damaged one is told.
func TestBackup(t *testing.T) {
	d, ctx := open(t, db.Config{}), context.Background()
	for i := range int64(5000) {
		if i%1000 == 0 {
			put(t, d, i, i)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := int64(10_000); ; i++ {
			select {
			case <-stop:
				return
			default:
				put(t, d, i, i)
			}
		}
	})
	file := filepath.Join(t.TempDir(), "it's 100%41 a #backup?.db")
	if err := d.Backup(ctx, file); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	rep, err := db.Verify(ctx, file)
	if err != nil || rep.Version != 1 || rep.Rows["t"] < 5 {
		t.Fatalf("%+v %v", rep, err)
	}
	if err := d.Backup(ctx, file); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	plain := filepath.Join(t.TempDir(), "plain.db")
	if err := os.Link(file, plain); err != nil {
		t.Fatal(err)
	}
	if got := all(t, open(t, db.Config{URL: "sqlite:" + plain})); int64(len(got)) != rep.Rows["t"] {
		t.Errorf("%d rows restored, %d verified", len(got), rep.Rows["t"])
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 2; i < len(data)/2+5000; i++ {
		data[i] ^= 0x55
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Verify(ctx, bad); err == nil {
		t.Error("a damaged copy was verified")
	}
	if _, err := db.Verify(ctx, filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(b))
	return len(b), nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

// TestServerGone: a server that was killed and came back is used again; what
// was in doubt is said to be.
func TestServerGone(t *testing.T) {
	srv, ctx := server(t), context.Background()
	url, err := srv.Create(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	var said lines
	d := open(t, db.Config{URL: url, Log: slog.New(slog.NewTextHandler(&said, nil))})
	put(t, d, 1, 1)
	if err := d.WriteArchive(ctx, 1, func(tx *db.Tx) error { _, err := tx.ExecRows("put", []any{2, 2}); return err }); err != nil {
		t.Fatal(err)
	}
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := d.Query(ctx, 1, "all", func(*db.Row) error { return nil }); !errors.Is(err, db.ErrAway) {
			t.Errorf("a question to a dead server: %v", err)
		}
		if err := d.Write(ctx, 1, func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrAway) {
			t.Errorf("a commit at a dead server: %v", err)
		}
		if err := d.WriteArchive(ctx, 1, func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrAway) {
			t.Errorf("a batch at a dead server: %v", err)
		}
	}
	if got := said.all(); len(got) != 1 || !strings.Contains(got[0], "level=ERROR msg=\"the database does not answer") {
		t.Errorf("of nine refusals the log says: %q", got)
	}
	if err := srv.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, d, 3, 3)
	for len(said.all()) < 2 { // it is over when it has been for a while
		all(t, d)
		time.Sleep(time.Millisecond)
	}
	if got := said.all()[1]; !strings.Contains(got, "answers again") || !strings.Contains(got, "refused=9") {
		t.Errorf("the log says: %s", got)
	}
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	// Connections of the pool are stale now: nobody is bothered with that.
	if got := all(t, d); len(got) != 3 {
		t.Errorf("%v", got)
	}
	if err := d.WriteArchive(ctx, 1, func(tx *db.Tx) error { _, err := tx.ExecRows("put", []any{4, 4}); return err }); err != nil {
		t.Errorf("the archive's connection: %v", err)
	}
	err = d.WriteArchive(ctx, 1, func(tx *db.Tx) error {
		if _, err := tx.ExecRows("put-ignore", []any{5, 5}); err != nil {
			return err
		}
		return srv.Kill() // before COMMIT
	})
	if !errors.Is(err, db.ErrInDoubt) {
		t.Errorf("no answer to COMMIT: %v", err)
	}
	if err := srv.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestDeadlock: transactions that MariaDB rolls back are run again as a whole.
func TestDeadlock(t *testing.T) {
	srv, ctx := server(t), context.Background()
	url, err := srv.Create(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, db.Config{URL: url})
	put(t, d, 1, 0)
	put(t, d, 2, 0)
	var wg sync.WaitGroup
	runs := 0
	var mu sync.Mutex
	for i := range 10 {
		wg.Go(func() {
			keys := []int{1, 2}
			if i%2 == 0 {
				keys = []int{2, 1}
			}
			if err := d.Write(ctx, 1, func(tx *db.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				for _, k := range keys {
					if _, err := tx.Exec("add", k); err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := all(t, d); got[1] != 10 || got[2] != 10 {
		t.Errorf("%v after %d runs", got, runs)
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("BEARHUG_DB_CHILD") != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}
