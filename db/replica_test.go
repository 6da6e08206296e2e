package db_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/tests/mariadb"
)

const replicaStatements = statements + `
-- name: mine   feature: cat   on: replica
SELECT k, v FROM t ORDER BY k LIMIT 1000;
-- name: mine-some   feature: cat   on: replica
SELECT k, v FROM t WHERE k IN (?...);
`

func pair(t *testing.T) (primary, replica *mariadb.Server) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	primary, replica, err := mariadb.StartPair(ctx, dir)
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("BEARHUG_TEST_MARIADB") != "must" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(replica.Stop(), primary.Stop()); err != nil {
			t.Error(err)
		}
	})
	return primary, replica
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// household is a database with a replica behind a wire.
type household struct {
	t       *testing.T
	d       *db.DB
	board   *feature.Board
	replica *mariadb.Server
	wire    *wire
	rows    int64 // that were put
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	primary, replica := pair(t)
	url, err := primary.Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	h := &household{t: t, replica: replica, board: feature.NewBoard()}
	var there string
	h.wire, there = newWire(t, replica.URL("x"))
	for _, name := range []string{"cat", "dog"} {
		if _, err := h.board.DeclareAlways(name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	lag := feature.Lever{Name: "db.lag", Unit: "ms", Default: 2500, Min: 1500, Max: 600_000, Reach: feature.ServerOnly, Doc: "x"}
	if _, err := h.board.DeclareAlways("db", "x", lag); err != nil {
		t.Fatal(err)
	}
	h.d = open(t, db.Config{URL: url, Replicas: []string{there}, Statements: []string{replicaStatements}, Board: h.board})
	return h
}

func (h *household) put() {
	h.t.Helper()
	h.rows++
	if err := h.d.Write(context.Background(), 1, func(tx *db.Tx) error {
		_, err := tx.ExecRows("put", []any{h.rows, 1})
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
}

// read counts rows by a statement.
func (h *household) read(name string) (n int64) {
	h.t.Helper()
	if err := h.d.Query(context.Background(), 1, name, func(r *db.Row) error {
		n++
		if r.Int(0) != n {
			h.t.Errorf("row %d holds %d", n, r.Int(0))
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// fresh reads what this process has written.
func (h *household) fresh() {
	h.t.Helper()
	if n := h.read("mine"); n != h.rows {
		h.t.Fatalf("%d rows are seen, %d were written", n, h.rows)
	}
}

func (h *household) stats() db.ReplicaStats { return h.d.Replicas()[0] }

func (h *household) used(want bool) {
	h.t.Helper()
	until(h.t, "the replica is used or not", func() bool { return h.stats().Used == want })
}

func TestReplica(t *testing.T) {
	h := newHousehold(t)
	h.put()
	h.used(true)

	// What this process has written it sees at once, and later on the replica.
	for range 300 {
		h.put()
		h.fresh()
	}
	before := h.stats().Reads
	until(t, "what was written is read on the replica", func() bool { h.fresh(); return h.stats().Reads > before })
	list := 0
	if err := h.d.QueryList(t.Context(), 1, "mine-some", nil, []any{1, 2, 3}, func(*db.Row) error { list++; return nil }); err != nil || list < 3 {
		t.Fatal(list, err)
	}
	paid := map[string]int64{}
	for _, row := range h.board.Snapshot() {
		paid[row.Feature] += row.Replica
	}
	if s := h.stats(); paid["cat"] < s.Reads || paid["cat"] > s.Reads+s.Failed || paid["dog"] != 0 {
		t.Errorf("the ledger has %v, the replica answered %d", paid, h.stats().Reads)
	}

	// It falls behind: at first it is read still, for others' features.
	h.execute("STOP SLAVE SQL_THREAD")
	h.put()
	h.fresh()
	h.used(false)
	if lag := h.stats().Lag; lag < 2500*time.Millisecond {
		t.Errorf("the replica is left out with a lag of %v", lag)
	}
	if n := h.read("all"); n != h.rows {
		t.Errorf("%d rows are seen, %d were written", n, h.rows)
	}
	h.execute("START SLAVE SQL_THREAD")
	h.returned()

	// It is killed, and comes back.
	if err := h.replica.Kill(); err != nil {
		t.Fatal(err)
	}
	h.put()
	for range 100 {
		h.fresh()
	}
	h.used(false)
	if err := h.replica.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.returned()
}

func (h *household) execute(text string) {
	h.t.Helper()
	if _, err := h.replica.Execute(context.Background(), text); err != nil {
		h.t.Fatal(err)
	}
}

// returned waits until the replica is read again, and is right.
func (h *household) returned() {
	h.t.Helper()
	h.used(true)
	before := h.stats().Reads
	until(h.t, "the replica is read again", func() bool { h.fresh(); return h.stats().Reads > before })
}

// TestReplicaSilent: a replica that says nothing any more, as when its machine is
// gone, delays a few and fails nobody.
func TestReplicaSilent(t *testing.T) {
	h := newHousehold(t)
	h.put()
	h.used(true)
	h.returned()
	failed := h.stats().Failed
	h.wire.hush(true)
	var wg sync.WaitGroup
	for range 30 { // more than it has connections
		wg.Go(func() {
			for range 20 {
				n := int64(0)
				if err := h.d.Query(context.Background(), 1, "mine", func(*db.Row) error { n++; return nil }); err != nil || n != h.rows {
					t.Error(n, err)
				}
			}
		})
	}
	wg.Wait()
	h.used(false)
	// Each waits once at most: whoever comes when it is known to be silent does
	// not ask.
	if n := h.stats().Failed - failed; n == 0 || n > 60 {
		t.Errorf("%d of 600 reads waited for a replica that is silent", n)
	}
	h.wire.mu.Lock()
	h.wire.deaf = false
	h.wire.mu.Unlock()
	h.returned()
}

func TestReplicaOfSQLite(t *testing.T) {
	_, err := db.Open(t.Context(), db.Config{URL: "sqlite:" + t.TempDir() + "/x.db", Replicas: []string{"mysql://a@b/c"},
		Statements: []string{statements}, Migrations: migrations})
	if err == nil || !strings.Contains(err.Error(), "only MariaDB and MySQL have replicas") {
		t.Error(err)
	}
}
