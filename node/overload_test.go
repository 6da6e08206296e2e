package node_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// pressures are the rows of all nodes.
func pressures(t *testing.T, s *store.Store) []store.PressureRow {
	t.Helper()
	rows, err := s.Pressures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestPressureIsTold: to whoever asks, and in a shared database by a row that
// is new each second and goes with the node.
func TestPressureIsTold(t *testing.T) {
	url, err := storetest.MariaDB(t).Create(t.Context(), "pressure")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.DB.URL = url
	n := start(t, cfg)
	other := storetest.OpenURL(t, url)
	var first, last store.PressureRow
	eventually(t, "the pressure", func() bool {
		if rows := pressures(t, other); len(rows) == 1 {
			first = rows[0]
		}
		return !first.At.IsZero()
	})
	eventually(t, "newer pressure", func() bool { last = pressures(t, other)[0]; return last.At.After(first.At) })
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if last.Node != host+":"+cfg.Data || first.Node != last.Node || last.Pressure > 0.9 {
		t.Errorf("%+v", last)
	}
	var places []node.PlaceWait
	if err := json.Unmarshal(last.Waits, &places); err != nil || len(places) != 6 || places[0].Place != "read" {
		t.Errorf("%s %v", last.Waits, err)
	}
	var top node.Top
	do(t, cfg, "ledger.top", node.TopArgs{}, &top)
	var stats node.Stats
	do(t, cfg, "stats", nil, &stats)
	for _, p := range []node.Pressure{top.Overload, stats.Overload} {
		if p.Target != 20 || len(p.Waits) != 6 || p.Pressure < 0 || p.Pressure > 1 {
			t.Errorf("%+v", p)
		}
	}
	_, metrics := fetch(t, n, "/metrics")
	for _, want := range []string{
		"bearhug_overload_pressure ", "bearhug_overload_target_seconds 0.02\n", `bearhug_overload_wait_seconds{place="archive",of="p99"} `,
		`bearhug_overload_wait_seconds{place="pool",of="mean"} `, `bearhug_overload_wait_seconds{place="writer",of="oldest"} 0` + "\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	stop(t, n)
	if rows := pressures(t, other); len(rows) != 0 {
		t.Errorf("the node has ended, and its row is %+v", rows)
	}
}

// TestCapacity: the load is raised step by step, the result is kept, and the
// virtual people go, however it ends.
func TestCapacity(t *testing.T) {
	cfg := config(t)
	n := start(t, cfg)
	do(t, cfg, "org.add", node.Organisation{Domain: "a.example"}, nil)
	do(t, cfg, "user.add", node.User{JID: "capacity-1-1@a.example", Password: "x"}, nil)
	org, _ := orgOf(t, n, "a.example")
	people := func() int {
		list, err := n.Store.ListAccounts(t.Context(), org, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	caller, err := ops.Dial(t.Context(), cfg.Socket())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(run node.CapacityRun, why string) {
		t.Helper()
		if _, err := node.MeasureCapacity(t.Context(), caller, run); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, not %s", err, why)
		}
	}
	refused(node.CapacityRun{Time: time.Second}, "rehearse.allow is false")
	yes := node.CapacityRun{CapacityArgs: node.CapacityArgs{Yes: true}, Time: 5 * time.Second}
	last := func() error {
		return node.Do(t.Context(), cfg, false, ops.Request{Op: "capacity.last"}, new(node.Capacity))
	}
	if err := last(); err == nil || !strings.Contains(err.Error(), "never measured") {
		t.Error(err)
	}
	if err := n.Board.Set("overload.target", feature.Scope{}, 10000, 100); err != nil {
		t.Fatal(err) // whatever else this machine does
	}
	steps, during := 0, 0
	yes.Told = func(s node.CapacityStep) {
		steps++
		during = people()
		refused(node.CapacityRun{CapacityArgs: yes.CapacityArgs}, "another measurement")
		if !s.Held || s.Rate <= 0 || s.P99 <= 0 {
			t.Errorf("%+v", s)
		}
	}
	c, err := node.MeasureCapacity(t.Context(), caller, yes)
	if err != nil {
		t.Fatal(err)
	}
	if steps < 1 || steps != len(c.Steps) || during != 201 || !c.AtLeast || c.Conversations < node.Conversations(25) || c.Engine != "sqlite" || c.Target != 10000 {
		t.Errorf("%d steps, %d people: %+v", steps, during, c)
	}
	if people() != 1 {
		t.Errorf("%d people are there", people())
	}
	kept := new(node.Capacity)
	do(t, cfg, "capacity.last", nil, kept)
	if fmt.Sprint(kept.At.UnixMicro(), kept.Conversations, len(kept.Steps)) != fmt.Sprint(c.At.UnixMicro(), c.Conversations, len(c.Steps)) {
		t.Errorf("%+v was kept, not %+v", kept, c)
	}
	refused(node.CapacityRun{CapacityArgs: node.CapacityArgs{Yes: true, Org: "b.example"}}, "b.example")
	do(t, cfg, "org.add", node.Organisation{Domain: "b.example"}, nil)
	refused(node.CapacityRun{CapacityArgs: node.CapacityArgs{Yes: true}}, "--org a.example")

	// Whoever measures goes away without a word: a stop takes the people along.
	var door node.CapacityDoor
	do(t, cfg, "capacity.open", node.CapacityArgs{Yes: true, Org: "b.example"}, &door)
	if door.Domain != "b.example" || door.PID != os.Getpid() || len(door.Salt) == 0 {
		t.Errorf("%+v", door)
	}
	var look node.Pressure
	if do(t, cfg, "capacity.look", nil, &look); look.Target != 10000 {
		t.Errorf("%+v", look)
	}
	stop(t, n)
	n = start(t, cfg)
	defer func() { stop(t, n) }()
	if org, _ = orgOf(t, n, "b.example"); people() != 0 {
		t.Errorf("%d people are left", people())
	}
	if err := node.Do(t.Context(), cfg, false, ops.Request{Op: "capacity.look"}, nil); err == nil || !strings.Contains(err.Error(), "no measurement") {
		t.Error(err)
	}
	// A kill leaves them; the next start takes them away.
	if rows, err := n.Store.Rehearsals(t.Context(), door.Node); err != nil || len(rows) != 0 {
		t.Errorf("%+v %v", rows, err)
	}
	if _, err := n.Store.BeginRehearsal(t.Context(), org, door.Node, 5, nil); err != nil {
		t.Fatal(err)
	}
	stop(t, n)
	n = start(t, cfg)
	eventually(t, "the end of a measurement", func() bool { return people() == 0 })
}
