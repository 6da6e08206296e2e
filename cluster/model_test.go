package cluster_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
)

// A step is something that happens to a cell.
type step struct {
	what  string
	node  int // index
	other int
	n     int
	wait  time.Duration
	fault cluster.Faults
}

func drawStep(t *rapid.T) step {
	share := func(name string) float64 { return rapid.SampledFrom([]float64{0, .05, .2, .5}).Draw(t, name) }
	s := step{
		what: rapid.SampledFrom([]string{
			"set", "set", "remove", "burst", "burst", "burst", "sleep", "sleep", "faults", "faults", "cut", "mend", "kill", "leave", "begin",
		}).Draw(t, "what"),
		node:  rapid.IntRange(0, 3).Draw(t, "node"),
		other: rapid.IntRange(0, 3).Draw(t, "other"),
		n:     rapid.IntRange(0, 60).Draw(t, "n"),
		wait:  time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond,
	}
	if s.what == "faults" {
		s.fault = cluster.Faults{
			Drop: share("drop"), Double: share("double"), Reorder: share("reorder"), Delay: s.wait / 10,
		}
	}
	return s
}

// cell is up to four nodes and the hub between them.
type cell struct {
	t     *testing.T
	hub   *cluster.Hub
	nodes [4]*member
	epoch uint64
	count int
}

func (c *cell) begin(i int) {
	if c.nodes[i] != nil {
		return
	}
	c.epoch++
	c.nodes[i] = join(c.t, c.hub, cluster.Node(i+1), c.epoch, func(cfg *cluster.Config) {
		cfg.Piece, cfg.Waiting, cfg.Window = 48, 6000, 5 // so that each of them is met
	})
}

// end ends a node: with a good-bye, or without.
func (c *cell) end(i int, bye bool) {
	m := c.nodes[i]
	if m == nil {
		return
	}
	c.nodes[i] = nil
	for j := range c.nodes {
		if !bye {
			c.hub.Cut(m.id, cluster.Node(j+1), true)
		}
	}
	closeAll(c.t, m)
	for j := range c.nodes {
		if !bye {
			c.hub.Cut(m.id, cluster.Node(j+1), false)
		}
	}
}

func (c *cell) do(s step) {
	m := c.nodes[s.node]
	switch s.what {
	case "set", "burst", "remove":
		times := 1
		if s.what == "burst" {
			times = s.n
		}
		for range times {
			if m == nil {
				break
			}
			c.count++
			value := fmt.Sprint(c.count)
			if s.what == "remove" || c.count%7 == 0 {
				value = ""
			}
			m.set(c.count%2, feature.Org(c.count%3), fmt.Sprint("k", (s.n+c.count)%11), value)
		}
	case "sleep":
		time.Sleep(s.wait)
	case "faults":
		c.hub.Set(s.fault)
	case "cut", "mend":
		c.hub.Cut(cluster.Node(s.node+1), cluster.Node(s.other+1), s.what == "cut")
	case "kill", "leave":
		c.end(s.node, s.what == "leave")
	case "begin":
		c.begin(s.node)
	}
}

// heal mends everything, waits, and says what is not as it should be.
func (c *cell) heal() string {
	c.hub.Set(cluster.Faults{})
	for i := range c.nodes {
		for j := range c.nodes {
			c.hub.Cut(cluster.Node(i+1), cluster.Node(j+1), false)
		}
	}
	time.Sleep(quiet)
	synctest.Wait()
	var alive []*member
	var asked int64
	for _, m := range c.nodes {
		if m != nil {
			alive = append(alive, m)
			asked += m.c.Stats().Asked
		}
	}
	time.Sleep(quiet) // and quiet it stays
	synctest.Wait()
	for _, m := range alive {
		asked -= m.c.Stats().Asked
	}
	if asked != 0 {
		return fmt.Sprintf("%d snapshots asked for while nothing was lost", -asked)
	}
	if d := differ(alive...); d != "" {
		return d
	}
	for _, m := range alive { // nothing is left of who is gone
		for i, other := range c.nodes {
			if ghosts := m.knows(cluster.Node(i + 1)); other == nil && len(ghosts) > 0 {
				return fmt.Sprintf("node %d knows %v of node %d, which is gone", m.id, ghosts, i+1)
			}
		}
	}
	return ""
}

// Whatever is lost, doubled, late, cut, killed and begun anew: when it is
// quiet, every node knows of every other one what is so.
func TestModel(t *testing.T) {
	var total cluster.Stats
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			c := &cell{t: t, hub: cluster.NewHub(seed), count: 1}
			for i := range 3 {
				c.begin(i)
			}
			for i, s := range steps {
				c.do(s)
				if i%20 == 19 && wrong == "" {
					wrong = c.heal()
				}
			}
			if wrong == "" {
				wrong = c.heal()
			}
			for i, m := range c.nodes {
				if m != nil {
					s := m.c.Stats()
					total.Gaps += s.Gaps
					total.Overflows += s.Overflows
					total.Early += s.Early
					total.Lost += s.Lost
					total.Stale += s.Stale
					c.end(i, true)
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
	t.Logf("met: %+v", total)
	if !t.Failed() && (total.Gaps == 0 || total.Early == 0 || total.Lost == 0) {
		t.Error("the faults did not show")
	}
}
