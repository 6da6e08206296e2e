// Package crash kills servers and databases at random points, cuts the power
// under their files, and counts what became of the messages.
package crash

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/house"
	"github.com/bearhug/bearhug/tests/mariadb"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m.Run)) }

// kills is how many there are: 60, or what BEARHUG_TEST_KILLS says.
func kills(tb testing.TB) int {
	text := os.Getenv("BEARHUG_TEST_KILLS")
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("BEARHUG_TEST_KILLS: %v", err)
	}
	return n
}

// seed makes a run's random choices known, and repeatable as far as they go.
func seed(tb testing.TB) uint64 {
	n := rand.Uint64()
	if text := os.Getenv("BEARHUG_TEST_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("BEARHUG_TEST_SEED: %v", err)
		}
	}
	tb.Logf("BEARHUG_TEST_SEED=%d", n)
	return n
}

// locals are the people.
func locals() []string { return []string{"ada", "bob", "cem", "dot", "eve", "fay", "gus", "hal"} }

// patient sets archive.wait so that nothing is delivered before its commit,
// however slow the machine: then no id that anybody saw may ever vanish.
func patient(tb testing.TB, url string) {
	tb.Helper()
	ctx := house.Context(tb)
	st, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	_, err = st.SetLever(ctx, store.LeverRow{Name: "archive.wait", Value: 60000, Who: "test", Why: "strict order", At: time.Now()})
	if err := errors.Join(err, st.Close()); err != nil {
		tb.Fatal(err)
	}
}

// TestKillSQLite kills the server.
func TestKillSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	s := house.Prepare(t, house.Options{People: locals(), Flags: map[string]string{"c2s.plaintext": "true"}})
	patient(t, "sqlite:"+s.Data+"/bearhug.db")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	total, number := kills(t), seed(t)
	rng := rand.New(rand.NewPCG(number, 0))
	c := gather(t, s, number, false)
	for i := range total {
		c.moment(rng)
		c.kill()
		c.start()
		c.breathe(i, rng)
	}
	tl := c.end()
	tl.report(t, c, "SQLite", total, 0)
	if tl.withdrawn > 0 {
		t.Errorf("%d ids that a client has seen are gone", tl.withdrawn)
	}
}

// startMariaDB starts a server of the test's own, with one empty database.
func startMariaDB(t *testing.T) (db *mariadb.Server, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), house.Patience)
	defer cancel()
	db, err := mariadb.Start(ctx, t.TempDir())
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("CI") == "" && os.Getenv("BEARHUG_TEST_MARIADB") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
		if dir := os.Getenv(logsVar); dir != "" && t.Failed() {
			if err := os.WriteFile(filepath.Join(dir, t.Name()+"-mariadbd.log"), []byte(db.Log()), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	url, err = db.Create(ctx, "crash")
	if err != nil {
		t.Fatal(err)
	}
	return db, url
}

// TestKillMariaDB kills the server, now and then mariadbd with it, and now and
// then mariadbd alone.
func TestKillMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	db, url := startMariaDB(t)
	s := house.New(t, house.Options{People: locals(), Database: url, Flags: map[string]string{"c2s.plaintext": "true"}})
	total, number := kills(t), seed(t)
	rng := rand.New(rand.NewPCG(number, 0))
	c := gather(t, s, number, true)
	c.db = db
	databases := 0
	kill := func() {
		databases++
		if err := db.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		if err := db.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range total {
		if i%6 == 2 { // the database alone
			c.moment(rng)
			kill()
			restart()
		}
		c.moment(rng)
		both := i%3 == 1
		if both {
			kill()
		}
		c.kill()
		if both {
			restart()
		}
		c.start()
		c.breathe(i, rng)
	}
	tl := c.end()
	tl.report(t, c, "MariaDB", total, databases)
}

// moment waits for a random point: some time after the server's start, or
// some messages after it.
func (c *crowd) moment(rng *rand.Rand) {
	switch rng.IntN(4) {
	case 0: // soon: people are still signing in
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
	default:
		c.reach(c.acked.Load() + 1 + rng.Int64N(600))
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
	}
}

// breathe now and then stops the server in order, with everybody writing: it
// saves what kills never leave it the time to save (cursors of delivery).
func (c *crowd) breathe(i int, rng *rand.Rand) {
	if i%10 != 9 {
		return
	}
	c.moment(rng)
	c.terminate()
	c.start()
}

func (c *crowd) terminate() {
	c.tb.Helper()
	code, err := c.server.Terminate()
	if err != nil || code != 0 {
		c.leave()
		c.tb.Fatalf("SIGTERM: exit code %d, %v", code, err)
	}
	c.epoch.Add(1)
}

func (c *crowd) kill() {
	if err := c.server.Kill(); err != nil {
		c.tb.Fatal(err)
	}
	c.epoch.Add(1)
}

// start starts the server again, at once.
func (c *crowd) start() {
	c.tb.Helper()
	if err := c.server.Start(); err != nil {
		c.leave()
		c.tb.Fatal(err)
	}
}

// end lets the people finish, restarts the server once more in order, and
// counts.
func (c *crowd) end() tally {
	c.finish()
	c.terminate()
	c.start()
	return c.count(house.Context(c.tb))
}
