package cluster_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
)

// quiet is how long the seam may take to heal once nothing is lost any more.
const quiet = 15 * time.Second

// A member is a node with a state of two features: keys and values, and what
// it knows of the others'.
type member struct {
	id    cluster.Node
	c     *cluster.Cluster
	board *feature.Board
	says  [2]feature.ID

	mu     sync.Mutex
	own    map[string]string // "feature org key"
	others map[cluster.Node]map[string]string
	doubt  map[cluster.Node]map[string]bool // since Begin
	lost   int
	begun  int
}

// join makes a member; change adapts its configuration.
func join(tb testing.TB, h *cluster.Hub, id cluster.Node, epoch uint64, change func(*cluster.Config)) *member {
	tb.Helper()
	m := &member{
		id: id, board: feature.NewBoard(), own: map[string]string{},
		others: map[cluster.Node]map[string]string{}, doubt: map[cluster.Node]map[string]bool{},
	}
	cfg := cluster.Config{Self: id, Epoch: epoch, Board: m.board, Transport: h.Join(id)}
	if change != nil {
		change(&cfg)
	}
	c, err := cluster.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	m.c = c
	names := []string{"presence", "groups"}
	if id%2 == 0 { // features have the same names everywhere, not the same numbers
		names = []string{"groups", "presence"}
	}
	for _, name := range names {
		f, err := m.board.DeclareAlways(name, "for the test")
		if err != nil {
			tb.Fatal(err)
		}
		i := 0
		if name == "groups" {
			i = 1
		}
		m.says[i] = f
		c.Handle(f, m.handler(i))
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	return m
}

// handler keeps the state of feature i. Its keys begin with i.
func (m *member) handler(i int) cluster.Handler {
	mine := fmt.Sprint(i, " ")
	return cluster.Handler{
		Apply: func(from cluster.Node, org feature.Org, payload []byte) {
			m.mu.Lock()
			defer m.mu.Unlock()
			key, value, _ := strings.Cut(string(payload), "=")
			key = fmt.Sprint(mine, org, " ", key)
			if m.others[from] == nil {
				m.others[from] = map[string]string{}
			}
			delete(m.doubt[from], key)
			if value == "" {
				delete(m.others[from], key)
			} else {
				m.others[from][key] = value
			}
		},
		Snapshot: func(send func(feature.Org, ...[]byte) bool) {
			m.mu.Lock()
			own := maps.Clone(m.own)
			m.mu.Unlock()
			for key, value := range own {
				var org feature.Org
				var name string
				if _, err := fmt.Sscanf(key, mine+"%d %s", &org, &name); err != nil {
					continue // the other feature's
				}
				if !send(org, []byte(name), []byte("="), []byte(value)) {
					return
				}
			}
		},
		Begin: func(from cluster.Node) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.begun++
			if m.doubt[from] == nil {
				m.doubt[from] = map[string]bool{}
			}
			for key := range m.others[from] {
				if strings.HasPrefix(key, mine) {
					m.doubt[from][key] = true
				}
			}
		},
		End: func(from cluster.Node) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for key := range m.doubt[from] {
				if strings.HasPrefix(key, mine) {
					delete(m.others[from], key)
					delete(m.doubt[from], key)
				}
			}
		},
		Lost: func(from cluster.Node) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lost++
			maps.DeleteFunc(m.others[from], func(key, _ string) bool { return strings.HasPrefix(key, mine) })
		},
	}
}

// set changes the member's state, and tells it; "" removes.
func (m *member) set(i int, org feature.Org, name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprint(i, " ", org, " ", name)
	if value == "" {
		delete(m.own, key)
	} else {
		m.own[key] = value
	}
	if err := m.c.Publish(m.says[i], org, []byte(name), []byte("="), []byte(value)); err != nil {
		panic(err)
	}
}

func (m *member) state() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.own)
}

func (m *member) knows(of cluster.Node) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := maps.Clone(m.others[of])
	if known == nil {
		known = map[string]string{}
	}
	return known
}

func (m *member) counts() (lost, begun int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost, m.begun
}

// differ says where what members know of each other is not as it is.
func differ(members ...*member) string {
	for _, m := range members {
		for _, other := range members {
			if m == other {
				continue
			}
			if want, got := other.state(), m.knows(other.id); !maps.Equal(want, got) {
				var keys []string
				for key := range got {
					if want[key] != got[key] {
						keys = append(keys, key+" too much")
					}
				}
				for key := range want {
					if want[key] != got[key] {
						keys = append(keys, key)
					}
				}
				return fmt.Sprintf("node %d is wrong about node %d: %d of %d, such as %v\nstats %+v\nof the other %+v",
					m.id, other.id, len(keys), len(want), keys[:min(5, len(keys))], m.c.Stats(), other.c.Stats())
			}
		}
		if got := len(m.c.Nodes()); got != len(members)-1 {
			return fmt.Sprintf("node %d hears %v, want %d others", m.id, m.c.Nodes(), len(members)-1)
		}
	}
	return ""
}

func closeAll(tb testing.TB, members ...*member) {
	tb.Helper()
	for _, m := range members {
		if err := m.c.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// pair runs a test with two nodes that know each other.
func pair(t *testing.T, change func(*cluster.Config), test func(h *cluster.Hub, a, b *member)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := cluster.NewHub(1)
		a, b := join(t, h, 1, 1, change), join(t, h, 2, 1, change)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		test(h, a, b)
		closeAll(t, a, b)
	})
}

func TestOneOfOne(t *testing.T) {
	var c *cluster.Cluster
	c.Handle(1, cluster.Handler{})
	if err := errors.Join(c.Start(), c.Publish(1, 1, []byte("x")), c.Close()); err != nil {
		t.Error(err)
	}
	payload := []byte("x")
	if n := testing.AllocsPerRun(100, func() { _ = c.Publish(1, 1, payload) }); n != 0 {
		t.Errorf("%v allocations for nobody", n)
	}
	if c.Self() != 0 || c.Nodes() != nil || c.Stats() != (cluster.Stats{}) {
		t.Error("a cluster of one has others")
	}
}

func TestConfig(t *testing.T) {
	good := func() cluster.Config {
		return cluster.Config{Self: 1, Board: feature.NewBoard(), Transport: cluster.NewHub(1).Join(1)}
	}
	for what, spoil := range map[string]func(*cluster.Config){
		"no number":      func(c *cluster.Config) { c.Self = 0 },
		"no board":       func(c *cluster.Config) { c.Board = nil },
		"no transport":   func(c *cluster.Config) { c.Transport.Send = nil },
		"short silence":  func(c *cluster.Config) { c.Silence = time.Second },
		"negative bound": func(c *cluster.Config) { c.Window = -1 },
		"great pieces":   func(c *cluster.Config) { c.Piece = 2 << 20 },
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := cluster.New(cfg); !errors.Is(err, cluster.ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := cluster.New(good()); err != nil {
		t.Error(err)
	}
}

// Nothing is asked for while nothing is lost, and a word is sent once and
// paid for by its feature and organisation.
func TestPublish(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		_, before := b.counts()
		for i := range 1000 {
			a.set(i%2, feature.Org(i%3), fmt.Sprint("k", i%50), fmt.Sprint(i))
		}
		synctest.Wait()
		if d := differ(a, b); d != "" {
			t.Error(d)
		}
		s := b.c.Stats()
		if _, after := b.counts(); after != before || s.Applied != 1000 || s.Doubled+s.Early+s.Gaps != 0 {
			t.Errorf("%d snapshots, stats %+v", after-before, s)
		}
		head := int64(19 + 1 + len("presence") + 1)
		paid := a.board.Account(a.says[0], 2).ClusterBytes.Load()
		if paid < 166*(head+4) || paid > 167*(head+8) {
			t.Errorf("presence of organisation 2 paid for %d bytes", paid)
		}
		if b.board.Account(b.says[0], 2).ClusterBytes.Load() != 0 {
			t.Error("who receives pays")
		}
	})
}

func TestTooLarge(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		if err := a.c.Publish(a.says[0], 1, make([]byte, cluster.MaxPayload), []byte("x")); !errors.Is(err, cluster.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
		a.set(0, 1, "k", "v")
		synctest.Wait()
		if d := differ(a, b); d != "" || b.c.Stats().Gaps != 0 {
			t.Error("a refused word left a gap", d)
		}
	})
}

// Frames that overtake each other a little are put in order without asking.
func TestReorder(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		asked := b.c.Stats().Asked
		h.Set(cluster.Faults{Reorder: .3, Double: .3, Delay: time.Millisecond}) // up to 51 ms late, patience 100 ms
		for i := range 3000 {
			a.set(0, 1, fmt.Sprint("k", i%20), fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s := b.c.Stats()
		if d := differ(a, b); d != "" || s.Asked != asked || s.Early == 0 || s.Doubled == 0 {
			t.Errorf("%s %+v", d, s)
		}
	})
}

// What comes twice is applied once, and leaves nothing behind.
func TestDouble(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		before := b.c.Stats()
		h.Set(cluster.Faults{Double: 1})
		for i := range 1000 {
			a.set(0, 1, fmt.Sprint("k", i%20), fmt.Sprint(i))
		}
		synctest.Wait()
		s := b.c.Stats()
		if d := differ(a, b); d != "" || s.Applied-before.Applied != 1000 || s.Doubled-before.Doubled != 1000 ||
			s.Early != before.Early || s.Asked != before.Asked {
			t.Errorf("%s %+v", d, s)
		}
	})
}

// The loss of the last change is noticed by the next heartbeat.
func TestLastOneLost(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		a.set(0, 1, "k", "v")
		synctest.Wait()
		h.Set(cluster.Faults{Drop: 1})
		a.set(0, 1, "k", "")
		synctest.Wait()
		h.Set(cluster.Faults{})
		if len(b.knows(1)) != 1 {
			t.Error("a lost word was heard")
		}
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if d := differ(a, b); d != "" || b.c.Stats().Gaps != 1 {
			t.Errorf("%s %+v", d, b.c.Stats())
		}
	})
}

// A node that is not heard is lost, in one direction too, and comes back.
func TestSilence(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		a.set(0, 1, "k", "v")
		b.set(0, 1, "k", "v")
		synctest.Wait()
		h.Cut(1, 2, true)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if lost, _ := b.counts(); lost != 0 {
			t.Error("lost too early")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if lost, _ := b.counts(); lost != 2 || len(b.knows(1)) != 0 || len(b.c.Nodes()) != 0 {
			t.Errorf("told %d features, knows %v, hears %v", lost, b.knows(1), b.c.Nodes())
		}
		if lost, _ := a.counts(); lost != 0 || len(a.knows(2)) != 1 {
			t.Error("the way back was not cut")
		}
		h.Cut(1, 2, false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if d := differ(a, b); d != "" {
			t.Error(d)
		}
	})
}

// Who says good-bye is gone at once, and its last words are not heard after.
func TestBye(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		a.set(0, 1, "k", "v")
		h.Set(cluster.Faults{Delay: time.Second}) // in any order
		for i := range 50 {
			a.set(0, 1, "k", fmt.Sprint(i))
		}
		closeAll(t, a)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if lost, _ := b.counts(); lost != 2 || len(b.knows(1)) != 0 || len(b.c.Nodes()) != 0 {
			t.Errorf("told %d features, knows %v, hears %v", lost, b.knows(1), b.c.Nodes())
		}
		if err := a.c.Close(); err != nil {
			t.Error("closed twice:", err)
		}
	})
}

// A node that begins a new life is asked; what it said before is gone, and
// frames of its last life are not heard.
func TestNewLife(t *testing.T) {
	pair(t, nil, func(h *cluster.Hub, a, b *member) {
		a.set(0, 1, "old", "v")
		a.set(0, 1, "both", "v")
		synctest.Wait()
		h.Set(cluster.Faults{Drop: 1})
		closeAll(t, a)
		synctest.Wait()
		h.Set(cluster.Faults{})
		again := join(t, h, 1, 2, nil)
		again.set(0, 1, "both", "w")
		time.Sleep(time.Second)
		synctest.Wait()
		if d := differ(again, b); d != "" {
			t.Error(d)
		}
		if lost, _ := b.counts(); lost != 0 {
			t.Error("a new life was taken for a loss")
		}
		closeAll(t, again)
	})
}

// Two nodes of one number: told, and the third hears the later life.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := cluster.NewHub(1)
		a, b := join(t, h, 1, 1, nil), join(t, h, 1, 2, nil)
		third := join(t, h, 2, 1, nil)
		a.set(0, 1, "k", "a")
		b.set(0, 1, "k", "b")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if a.c.Stats().Conflicts == 0 || b.c.Stats().Conflicts == 0 {
			t.Error("a conflict went unnoticed")
		}
		if got := third.knows(1); got["0 1 k"] != "b" {
			t.Errorf("the third knows %v", got)
		}
		closeAll(t, a, b, third)
	})
}

// A large state comes in many pieces, more than are on their way at once, and
// some of them are lost.
func TestSnapshotInPieces(t *testing.T) {
	small := func(c *cluster.Config) { c.Piece = 256 }
	pair(t, small, func(h *cluster.Hub, a, b *member) {
		for i := range 3000 {
			a.set(i%2, feature.Org(i%7), fmt.Sprint("k", i), strings.Repeat("v", 1+i%40))
		}
		synctest.Wait()
		before := a.c.Stats()
		h.Set(cluster.Faults{Drop: .2, Double: .1, Reorder: .2, Delay: 5 * time.Millisecond})
		third := join(t, h, 3, 1, small)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := differ(a, b, third); d != "" {
			t.Error(d)
		}
		if _, begun := third.counts(); begun < 4 {
			t.Errorf("%d beginnings of two snapshots of two features", begun)
		}
		t.Logf("served %d; third %+v", a.c.Stats().Served-before.Served, third.c.Stats())
		closeAll(t, third)
	})
}

// What comes while a snapshot is on its way waits up to a bound; past it the
// snapshot is asked for anew, and when it is quiet everything is there.
func TestTooMuchWaits(t *testing.T) {
	tight := func(c *cluster.Config) { c.Piece, c.Waiting = 256, 4096 }
	pair(t, tight, func(h *cluster.Hub, a, b *member) {
		for i := range 200 {
			a.set(0, 1, fmt.Sprint("k", i), "v")
		}
		synctest.Wait()
		h.Set(cluster.Faults{Drop: 1})
		a.set(0, 1, "k0", "")
		h.Set(cluster.Faults{Delay: 20 * time.Millisecond})
		for i := range 2000 {
			a.set(0, 1, fmt.Sprint("k", i%200), fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		h.Set(cluster.Faults{})
		time.Sleep(quiet)
		synctest.Wait()
		s := b.c.Stats()
		if d := differ(a, b); d != "" || s.Overflows == 0 {
			t.Errorf("%s %+v", d, s)
		}
	})
}

// A node whose snapshot waits for its receiver ends all the same.
func TestCloseWhileServing(t *testing.T) {
	small := func(c *cluster.Config) { c.Piece = 64 }
	synctest.Test(t, func(t *testing.T) {
		h := cluster.NewHub(1)
		a := join(t, h, 1, 1, small)
		for i := range 500 {
			a.set(0, 1, fmt.Sprint("k", i), "v")
		}
		h.Set(cluster.Faults{Delay: 100 * time.Millisecond})
		b := join(t, h, 2, 1, small)
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if n := len(b.knows(1)); n == 0 || n == 500 {
			t.Fatalf("%d of 500 at this moment: the test does not see what it is for", n)
		}
		closeAll(t, a, b)
	})
}

// BenchmarkPublish: what one change costs a node that has others.
func BenchmarkPublish(b *testing.B) {
	board := feature.NewBoard()
	f, err := board.DeclareAlways("presence", "for the test")
	if err != nil {
		b.Fatal(err)
	}
	bus := cluster.Transport{
		Send:   func(string, []byte) error { return nil },
		Listen: func(string, func([]byte)) (func(), error) { return func() {}, nil },
	}
	c, err := cluster.New(cluster.Config{Self: 1, Board: board, Transport: bus})
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(f, 1, payload[:1], payload[1:]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestClockBack: a node whose clock was set back before it started again is
// heard, after a good-bye and after a death, and gets what the others have.
func TestClockBack(t *testing.T) {
	for _, bye := range []bool{true, false} {
		t.Run(fmt.Sprint("good-bye ", bye), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := cluster.NewHub(1)
				a, b := join(t, h, 1, 1000, nil), join(t, h, 2, 1, nil)
				a.set(0, 1, "romeo", "here")
				b.set(0, 1, "juliet", "here")
				time.Sleep(quiet)
				if d := differ(a, b); d != "" {
					t.Error(d)
				}
				if !bye {
					h.Cut(1, 2, true)
				}
				closeAll(t, a)
				time.Sleep(quiet)
				h.Cut(1, 2, false)
				again := join(t, h, 1, 500, nil)
				again.set(0, 1, "romeo", "again")
				time.Sleep(quiet)
				if d := differ(again, b); d != "" {
					t.Error(d)
				}
				closeAll(t, again, b)
			})
		})
	}
}

// TestManyNodesCome: nodes that come and go under ever new numbers do not use
// up the places of those who want a snapshot.
func TestManyNodesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := cluster.NewHub(1)
		a := join(t, h, 1, 1, nil)
		a.set(0, 1, "romeo", "here")
		for n := range 300 {
			b := join(t, h, cluster.Node(n+2), 1, nil)
			time.Sleep(quiet)
			if n > 250 && b.knows(1)["0 1 romeo"] != "here" {
				t.Errorf("node %d was not told", n+2)
			}
			closeAll(t, b)
		}
		closeAll(t, a)
	})
}
