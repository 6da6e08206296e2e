package presence_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

	members [seamGroups][4]bool          // who is in which group
	shown   [seamGroups][seamGroups]bool // [to][other]
}

// seamGroups is how many shared groups there are in TestSeamGroups.
const seamGroups = 3

// A houseNode is one of them, with what is bound there; nil towns are down.
type houseNode struct {
	id cluster.Node
	*town
	cluster *cluster.Cluster
}

// seamStore makes the file that each run begins with a copy of: its people,
// and rosters that say who sees whom.
func seamStore(t *testing.T, people []string, sees func(one, other int) bool, groups int) []byte {
	file := filepath.Join(t.TempDir(), "seam.db")
	ctx := t.Context()
	st, err := store.Open(ctx, store.Config{URL: "sqlite:" + file})
	if err != nil {
		t.Fatal(err)
	}
	org, err := st.AddOrg(ctx, "hug.example")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range people {
		id, err := st.CreateAccount(ctx, org, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range people {
			sub := store.SubNone
			switch {
			case sees(i, j) && sees(j, i):
				sub = store.SubBoth
			case sees(i, j):
				sub = store.SubTo
			case sees(j, i):
				sub = store.SubFrom
			}
			if sub == store.SubNone {
				continue
			}
			if _, err := st.SetRosterItem(ctx, org, id, store.RosterItem{Peer: other + "@hug.example", Sub: sub, Listed: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	gs := roster.New(st).Groups
	for i := range groups {
		if _, err := gs.AddGroup(ctx, org, roster.NewGroup{Name: seamGroup(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seamGroup(i int) string { return fmt.Sprint("group", i) }

func openHouse(tb testing.TB, seed uint64, from []byte) *house {
	file := filepath.Join(tb.TempDir(), "seam.db")
	if err := os.WriteFile(file, from, 0o600); err != nil {
		tb.Fatal(err)
	}
	h := &house{tb: tb, store: storetest.OpenURL(tb, "sqlite:"+file), hub: cluster.NewHub(seed)}
	orgs, err := h.store.Orgs(context.Background())
	if err != nil || len(orgs) != 1 {
		tb.Fatal(orgs, err)
	}
	h.org = orgs[0].ID
	for i := range 2 {
		h.nodes = append(h.nodes, &houseNode{id: cluster.Node(i + 1)})
	}
	for i := range h.shown {
		h.shown[i][i] = true
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
	rosters := roster.New(h.store)
	if err := rosters.Groups.Load(context.Background()); err != nil {
		h.tb.Fatal(err)
	}
	d := presence.New(presence.Config{
		Board: b, Cluster: n.cluster, Store: h.store, Rosters: rosters, Presence: fanOut, Roster: declare("rosters"),
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

func drawSeamStep(t *rapid.T, more ...string) seamStep {
	share := func(name string) float64 { return rapid.SampledFrom([]float64{0, .05, .2, .5}).Draw(t, name) }
	s := seamStep{
		what: rapid.SampledFrom(append(more,
			"bind", "bind", "say", "say", "say", "say", "away", "away", "unbind", "unbind", "break", "break", "sleep", "sleep",
			"faults", "cut", "mend", "kill", "leave", "start", "start",
		)).Draw(t, "what"),
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
	if h.edit(s) {
		return
	}
	p := n.people[s.who]
	if s.what == "bind" || len(p.resources) == 0 {
		if len(p.resources) < 3 {
			n.bind(p, fmt.Sprintf("n%d-%d", n.id, count))
			n.say(p.resources[len(p.resources)-1], count)
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

// edit changes the shared groups at one of the nodes, or has it see what the
// other has changed, as it does each second by itself.
func (h *house) edit(s seamStep) bool {
	n, ctx := h.nodes[s.node], context.Background()
	gs := n.d.Rosters.Groups
	group := func(i int) *roster.Group {
		g, err := gs.Lookup(h.org, seamGroup(i))
		if err != nil {
			h.tb.Fatal(err)
		}
		return g
	}
	one, two, who := s.pick%seamGroups, s.pick/seamGroups%seamGroups, n.people[s.who].jid
	var err error
	switch s.what {
	case "poll", "join", "quit", "show", "hide":
		// An edit that a node takes for done already does nothing, so each
		// looks first. The other node learns of it later.
		if err = gs.RefreshAll(ctx); err != nil {
			h.tb.Fatal(err)
		}
	}
	switch s.what {
	case "poll":
	case "join":
		_, err = gs.Join(ctx, group(one), who)
		h.members[one][s.who] = true
	case "quit":
		_, err = gs.Leave(ctx, group(one), who)
		h.members[one][s.who] = false
	case "show":
		err = gs.Show(ctx, group(two), group(one), false)
		h.shown[one][two] = true
	case "hide":
		if !h.shown[one][two] {
			return true
		}
		err = gs.Hide(ctx, group(two), group(one))
		h.shown[one][two] = false
	default:
		return false
	}
	if err != nil {
		h.tb.Fatal(s.what, err)
	}
	return true
}

// byGroups reports whether one sees another by a group.
func (h *house) byGroups(one, other int) bool {
	for to := range seamGroups {
		for of := range seamGroups {
			if h.shown[to][of] && h.members[to][one] && h.members[of][other] {
				return true
			}
		}
	}
	return false
}

// check waits until it is quiet and compares what every client was told with
// what is so on all nodes: sees says whom one may see. It ends all clients.
func (h *house) check(sees func(one, other int) bool) string {
	h.hub.Set(cluster.Faults{})
	h.hub.Cut(1, 2, false)
	h.hub.Cut(2, 1, false)
	for i, n := range h.nodes {
		if n.town != nil {
			h.edit(seamStep{what: "poll", node: i})
		}
	}
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
	// All see all, but Anna is not seen by Cleo, nor Dora by Anna.
	sees := func(one, other int) bool {
		return one != other && !(one == 2 && other == 0) && !(one == 0 && other == 3)
	}
	playSeam(t, people, func(_ *house, one, other int) bool { return sees(one, other) })
}

// TestSeamGroups: the same where people see each other by shared groups, which
// are edited on both nodes, and each learns late what the other has edited.
func TestSeamGroups(t *testing.T) {
	playSeam(t, []string{"anna", "bert", "cleo", "dora"}, (*house).byGroups,
		"join", "join", "join", "quit", "show", "show", "hide", "poll", "poll")
}

// playSeam plays random steps on two nodes, with more than the usual ones, and
// compares; sees says whom one may see at the end.
func playSeam(t *testing.T, people []string, sees func(h *house, one, other int) bool, more ...string) {
	groups := 0
	if len(more) > 0 {
		groups = seamGroups
	}
	file := seamStore(t, people, func(one, other int) bool { return groups == 0 && sees(nil, one, other) }, groups)
	rapid.Check(t, func(rt *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) seamStep { return drawSeamStep(t, more...) })
		steps := rapid.SliceOfN(draw, 10, 80).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			h := openHouse(t, seed, file)
			h.start(0, people)
			h.start(1, people)
			for i := range 2 * len(people) {
				h.do(seamStep{what: "bind", node: i % 2, who: i / 2}, i+1, people)
			}
			for i, s := range steps {
				h.do(s, i+100, people)
			}
			wrong = h.check(func(one, other int) bool { return sees(h, one, other) })
			for i := range h.nodes {
				h.stop(i, true)
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// TestBackElsewhere: a resource whose stream broke at one node and that is back
// at the other, before the first has told that it is gone, stays there.
func TestBackElsewhere(t *testing.T) {
	people := []string{"anna", "bert"}
	file := seamStore(t, people, func(one, other int) bool { return one != other }, 0)
	synctest.Test(t, func(t *testing.T) {
		h := openHouse(t, 1, file)
		h.start(0, people)
		h.start(1, people)
		here, there := h.nodes[0], h.nodes[1]
		here.bind(here.people[0], "desk")
		here.say(here.people[0].resources[0], 1)
		here.bind(here.people[1], "phone")
		here.say(here.people[1].resources[0], 2)
		time.Sleep(time.Second)
		here.drop(here.people[1], 0) // it lingers for half a second
		there.bind(there.people[1], "phone")
		there.say(there.people[1].resources[0], 3)
		time.Sleep(seamQuiet)
		phone := there.people[1].resources[0].s.JID
		if got := heard(here.people[0].resources[0], phone); got != "2 3" {
			t.Errorf("anna heard %q of bert, want 2 3", got)
		}
		for i := range h.nodes {
			h.stop(i, true)
		}
	})
}
