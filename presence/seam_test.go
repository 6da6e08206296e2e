package presence_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// seamQuiet is how long two nodes may take to agree once nothing is lost.
const seamQuiet = 15 * time.Second

// A house is several nodes with a Directory each, on one store.
type house struct {
	tb    testing.TB
	store *store.Store
	org   feature.Org
	hub   *cluster.Hub
	epoch uint64
	nodes []*houseNode
}

// A houseNode is one of them, with what is bound there; nil towns are down.
type houseNode struct {
	id cluster.Node
	*town
	cluster *cluster.Cluster
}

func openHouse(tb testing.TB, seed uint64, people []string) *house {
	h := &house{tb: tb, store: storetest.Open(tb), hub: cluster.NewHub(seed)}
	var err error
	if h.org, err = h.store.AddOrg(context.Background(), "hug.example"); err != nil {
		tb.Fatal(err)
	}
	for _, name := range people {
		if _, err := h.store.CreateAccount(context.Background(), h.org, name, nil); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range 2 {
		h.nodes = append(h.nodes, &houseNode{id: cluster.Node(i + 1)})
	}
	return h
}

// start starts a node's next life.
func (h *house) start(i int, people []string) {
	n := h.nodes[i]
	if n.town != nil {
		return
	}
	b := feature.NewBoard()
	declare := func(name string, levers ...feature.Lever) feature.ID {
		id, err := b.DeclareAlways(name, "for the test", levers...)
		if err != nil {
			h.tb.Fatal(err)
		}
		return id
	}
	declare("session", feature.Lever{Name: "session.mailbox", Default: 1 << 40, Min: 1, Max: 1 << 40})
	fanOut, err := b.DeclareLevels(
		feature.Lever{Name: "presence", Doc: "for the test", Values: []string{"full", "visible", "coarse", "off"}, Reach: feature.PerGroup},
		feature.Lever{Name: "presence.window", Default: 1, Max: 10000},
		feature.Lever{Name: "presence.hysteresis", Default: 500, Max: 60000},
		feature.Lever{Name: "presence.hold", Max: 3600, Reach: feature.ServerOnly},
		feature.Lever{Name: "presence.bucket", Default: 300, Min: 1, Max: 86400})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.epoch++
	n.cluster, err = cluster.New(cluster.Config{
		Self: n.id, Epoch: h.epoch, Board: b, Transport: h.hub.Join(n.id), Piece: 300, Waiting: 20_000, Window: 8,
	})
	if err != nil {
		h.tb.Fatal(err)
	}
	hosts := &session.Host{
		Board: b, Mailbox: b.Dial("session.mailbox"),
		Delivered: func(*session.Session, []*stanza.Wire) {}, Unwritten: func(*session.Session, []*stanza.Wire) {},
		Lost: func(*session.Session, bool) {}, Room: func(*session.Session, bool) {},
	}
	d := presence.New(presence.Config{
		Board: b, Cluster: n.cluster, Store: h.store, Rosters: roster.New(h.store), Presence: fanOut, Roster: declare("rosters"),
		Org:   func(domain string) (feature.Org, bool) { return h.org, domain == "hug.example" },
		Level: b.Dial("presence"), Window: b.Dial("presence.window"), Hysteresis: b.Dial("presence.hysteresis"),
		Hold: b.Dial("presence.hold"), Bucket: b.Dial("presence.bucket"),
	})
	hosts.Room = func(s *session.Session, lost bool) { d.Room(s.Owner.(*presence.Account), s, lost) }
	if err := n.cluster.Start(); err != nil {
		h.tb.Fatal(err)
	}
	n.town = &town{tb: h.tb, d: d, store: h.store, hosts: hosts}
	for _, name := range people {
		n.people = append(n.people, &person{jid: jid.MustParse(name + "@hug.example")})
	}
}

// stop ends a node: with a good-bye, or as if its machine had lost its power.
func (h *house) stop(i int, bye bool) {
	n := h.nodes[i]
	if n.town == nil {
		return
	}
	for j := range h.nodes {
		h.hub.Cut(n.id, h.nodes[j].id, !bye)
	}
	if err := n.cluster.Close(); err != nil {
		h.tb.Error(err)
	}
	for _, p := range n.people {
		for len(p.resources) > 0 {
			n.unbind(p, 0)
		}
	}
	n.d.Close()
	n.town = nil
	for j := range h.nodes {
		h.hub.Cut(n.id, h.nodes[j].id, false)
	}
}

// drop ends the i-th resource of a person as a broken stream does.
func (n *houseNode) drop(p *person, i int) {
	c := p.resources[i]
	p.resources = append(p.resources[:i:i], p.resources[i+1:]...)
	c.s.End()
	n.d.Unbind(c.a, c.s, true)
	c.a.Release()
}

// A seamStep is something that happens at one of the nodes, or between them.
type seamStep struct {
	what            string
	node, who, pick int
	fault           cluster.Faults
	wait            time.Duration
}

func (s seamStep) GoString() string {
	if s.what == "faults" {
		return fmt.Sprintf("%s %+v", s.what, s.fault)
	}
	return fmt.Sprintf("%s node %d person %d pick %d %v", s.what, s.node, s.who, s.pick, s.wait)
}

func drawSeamStep(t *rapid.T) seamStep {
	share := func(name string) float64 { return rapid.SampledFrom([]float64{0, .05, .2, .5}).Draw(t, name) }
	s := seamStep{
		what: rapid.SampledFrom([]string{
			"bind", "bind", "say", "say", "say", "say", "away", "unbind", "break", "sleep", "faults", "cut", "mend", "kill", "leave", "start",
		}).Draw(t, "what"),
		node: rapid.IntRange(0, 1).Draw(t, "node"),
		who:  rapid.IntRange(0, 3).Draw(t, "who"),
		pick: rapid.IntRange(0, 100).Draw(t, "pick"),
		wait: time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond,
	}
	if s.what == "faults" {
		s.fault = cluster.Faults{Drop: share("drop"), Double: share("double"), Reorder: share("reorder"), Delay: s.wait / 10}
	}
	return s
}

func (h *house) do(s seamStep, count int, people []string) {
	n := h.nodes[s.node]
	switch s.what {
	case "sleep":
		time.Sleep(s.wait)
		return
	case "faults":
		h.hub.Set(s.fault)
		return
	case "cut", "mend":
		h.hub.Cut(n.id, h.nodes[1-s.node].id, s.what == "cut")
		return
	case "kill", "leave":
		h.stop(s.node, s.what == "leave")
		return
	case "start":
		h.start(s.node, people)
		return
	}
	if n.town == nil {
		return
	}
	p := n.people[s.who]
	if s.what == "bind" || len(p.resources) == 0 {
		if len(p.resources) < 3 {
			n.bind(p, fmt.Sprintf("n%d-%d", n.id, count))
		}
		return
	}
	i := s.pick % len(p.resources)
	switch s.what {
	case "say":
		n.say(p.resources[i], count)
	case "away":
		n.say(p.resources[i], 0)
	case "unbind":
		n.unbind(p, i)
	case "break":
		n.drop(p, i)
	}
}

// check waits until it is quiet and compares what every client was told with
// what is so on all nodes: sees says whom one may see. It ends all clients.
func (h *house) check(sees func(one, other int) bool) string {
	h.hub.Set(cluster.Faults{})
	h.hub.Cut(1, 2, false)
	h.hub.Cut(2, 1, false)
	time.Sleep(seamQuiet)
	synctest.Wait()
	for _, n := range h.nodes {
		if n.town == nil {
			continue
		}
		for i, p := range n.people {
			for _, c := range p.resources {
				if c.status == 0 {
					continue
				}
				want := h.so(func(other int) bool { return other == i || sees(i, other) })
				if d := unlike(want, view(c)); d != "" {
					return fmt.Sprintf("%s on node %d %s; %+v", c.s.JID, n.id, d, n.cluster.Stats())
				}
			}
		}
	}
	return ""
}

// so is what is so, of those whom one may see.
func (h *house) so(sees func(other int) bool) map[string]string {
	out := map[string]string{}
	for _, n := range h.nodes {
		if n.town == nil {
			continue
		}
		for i, p := range n.people {
			for _, c := range p.resources {
				if c.status != 0 && sees(i) {
					out[c.s.JID.String()] = fmt.Sprint(c.status)
				}
			}
		}
	}
	return out
}

// unlike says how two views differ.
func unlike(want, got map[string]string) string {
	for who, status := range want {
		if got[who] != status {
			return fmt.Sprintf("sees %s as %q, it is %q", who, got[who], status)
		}
	}
	for who, status := range got {
		if want[who] == "" {
			return fmt.Sprintf("sees the ghost %s as %q", who, status)
		}
	}
	return ""
}

// TestSeam: two nodes over a seam that loses, doubles, delays and cuts, and
// that die and come back. When it is quiet, every client on either sees
// exactly whom it may see, as they are: no unavailable is lost, nobody is a
// ghost, nobody is missing.
func TestSeam(t *testing.T) {
	people := []string{"anna", "bert", "cleo", "dora"}
	// Anna and Bert see each other, Bert and Cleo, Anna sees Cleo.
	sees := func(one, other int) bool {
		return [4][4]bool{{false, true, true, false}, {true, false, true, false}, {false, true, false, false}}[one][other]
	}
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawSeamStep), 5, 60).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			h := openHouse(t, seed, people)
			h.start(0, people)
			h.know(sees)
			h.start(1, people)
			for i, s := range steps {
				h.do(s, i+1, people)
			}
			wrong = h.check(sees)
			for i := range h.nodes {
				h.stop(i, true)
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// know writes the rosters that go with sees.
func (h *house) know(sees func(one, other int) bool) {
	n := h.nodes[0]
	for i, p := range n.people {
		a, err := n.d.Account(context.Background(), p.jid)
		if err != nil {
			h.tb.Fatal(err)
		}
		for j, q := range n.people {
			sub := roster.None
			switch {
			case sees(i, j) && sees(j, i):
				sub = roster.Both
			case sees(i, j):
				sub = roster.To
			case sees(j, i):
				sub = roster.From
			}
			if sub == roster.None {
				continue
			}
			if _, err := a.EditRoster(context.Background(), q.jid, func(it *roster.Item) bool {
				it.Sub, it.Listed = sub, true
				return true
			}); err != nil {
				h.tb.Fatal(err)
			}
		}
		a.Release()
	}
}
