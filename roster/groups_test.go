package roster_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// A model is what groups mean, said as simply as it can be: sets, and no
// index.
type model struct {
	groups []*mgroup
	online map[jid.JID]bool
	alive  []jid.JID
}

type mgroup struct {
	name, label string
	kind        roster.Kind
	members     []jid.JID
	sees        map[string]bool // name → care
	order       []string        // of sees, as made
	parent      string
}

func (m *model) find(name string) *mgroup {
	for _, g := range m.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (m *model) has(g *mgroup, who jid.JID, present bool) bool {
	switch g.kind {
	case roster.Everyone:
		return slices.Contains(m.alive, who)
	case roster.Online:
		return slices.Contains(m.alive, who) && (present || m.online[who])
	}
	return slices.Contains(g.members, who)
}

// paths are the names by which v sees p; care only counts relations with the flag.
func (m *model) paths(v, p jid.JID, present, care bool) (out []string) {
	if v == p {
		return nil
	}
	for _, g := range m.groups {
		if !m.has(g, p, present) {
			continue
		}
		path, label := "", ""
		for a := g; a != nil; a = m.find(a.parent) {
			if path == "" {
				path = a.label
			} else {
				path = a.label + "::" + path
			}
			for _, w := range m.groups {
				if c, shown := w.sees[a.name]; shown && (c || !care) && m.has(w, v, true) {
					label = path
				}
			}
		}
		if label != "" && !slices.Contains(out, label) {
			out = append(out, label)
		}
	}
	slices.Sort(out)
	return out
}

// depth and circles, as Nest judges them.
func (m *model) mayNest(child, parent *mgroup) bool {
	if child.parent != "" && child.parent != parent.name {
		return false
	}
	depth := 0
	for a := parent; a != nil; a = m.find(a.parent) {
		if a == child {
			return false
		}
		depth++
	}
	var height func(g *mgroup) int
	height = func(g *mgroup) int {
		h := 0
		for _, c := range m.groups {
			if c.parent == g.name {
				h = max(h, height(c))
			}
		}
		return h + 1
	}
	return depth+height(child) <= roster.MaxDepth
}

// A client has a roster as it was told: by the whole, then by deltas.
type client struct {
	who     jid.JID
	version roster.Version
	items   map[jid.JID]string
}

type pen struct {
	rt    *rapid.T
	t     *testing.T
	org   feature.Org
	store *store.Store
	gs    *roster.Groups
	m     *model
	names []jid.JID
}

func (p *pen) check(err error) {
	if err != nil {
		p.rt.Fatal(err)
	}
}

func text(c roster.Change) string {
	return fmt.Sprint(c.Item.Sub, slices.Sorted(slices.Values(c.Item.Groups)))
}

func (p *pen) whole(who jid.JID) client {
	c := client{who: who, version: p.gs.At(who), items: map[jid.JID]string{}}
	for ch := range p.gs.View(who, roster.DefaultMax, nil).Items() {
		c.items[ch.Item.JID] = text(ch)
	}
	return c
}

// follow brings a client up to date as the server does.
func (p *pen) follow(c *client) {
	at := p.gs.At(c.who)
	changed, full := p.gs.Delta(c.who, c.version, nil)
	if full {
		*c = p.whole(c.who)
		return
	}
	view := p.gs.View(c.who, roster.DefaultMax, nil)
	for _, t := range changed {
		ch := view.Item(t.JID)
		if !ch.Removed {
			c.items[t.JID] = text(ch)
			continue
		}
		if _, had := c.items[t.JID]; !t.Was && had {
			p.rt.Fatalf("%s is not told that %s goes", c.who, t.JID)
		}
		delete(c.items, t.JID)
	}
	c.version = at
}

// TestGroupsModel: whatever edits come in whatever order, the index answers as
// the naive model does, before and after it is read again; and a client that
// returns with any version is told exactly what it needs.
func TestGroupsModel(t *testing.T) {
	st := storetest.Open(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		org, err := st.AddOrg(t.Context(), fmt.Sprintf("o%d.example", run))
		if err != nil {
			rt.Fatal(err)
		}
		gs, err := roster.LoadGroups(t.Context(), st)
		if err != nil {
			rt.Fatal(err)
		}
		gs.ShareFrom(0)
		p := &pen{rt: rt, t: t, org: org, store: st, gs: gs, m: &model{online: map[jid.JID]bool{}}}
		for i := range 5 {
			p.create(fmt.Sprintf("p%d", i), run)
		}
		var clients []client
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if len(clients) < 6 && rapid.IntRange(0, 3).Draw(rt, "client") == 0 && len(p.m.alive) > 0 {
				clients = append(clients, p.whole(rapid.SampledFrom(p.m.alive).Draw(rt, "who")))
			}
			p.step(run)
			p.compare()
			for i := range clients {
				if slices.Contains(p.m.alive, clients[i].who) && rapid.Bool().Draw(rt, "returns") {
					p.follow(&clients[i])
					p.same(&clients[i])
				}
			}
		}
		for i := range clients {
			if slices.Contains(p.m.alive, clients[i].who) {
				p.follow(&clients[i])
				p.same(&clients[i])
			}
		}
		// Another process reads what this one wrote.
		p.gs, err = roster.LoadGroups(t.Context(), st)
		p.check(err)
		p.gs.ShareFrom(1)
		for who := range p.m.online {
			p.gs.SetOnline(who, true)
		}
		p.compare()
		if v := p.gs.Version(org); v != gs.Version(org) {
			rt.Fatalf("version %d became %d", gs.Version(org), v)
		}
		p.gs = gs
	})
}

func (p *pen) create(local string, run int) {
	j := jid.MustParse(fmt.Sprintf("%s@o%d.example", local, run))
	if _, err := p.store.CreateAccount(p.t.Context(), p.org, local, nil); err != nil {
		p.rt.Fatal(err)
	}
	p.m.alive = append(p.m.alive, j)
	if !slices.Contains(p.names, j) {
		p.names = append(p.names, j)
	}
}

func (p *pen) pick(label string) (*mgroup, *roster.Group) {
	if len(p.m.groups) == 0 {
		return nil, nil
	}
	m := rapid.SampledFrom(p.m.groups).Draw(p.rt, label)
	return m, p.gs.Find(p.org, m.name)
}

// step is one edit, on both.
func (p *pen) step(run int) {
	ctx, rt := p.t.Context(), p.rt
	g, rg := p.pick("group")
	o, ro := p.pick("other")
	what := rapid.IntRange(0, 13).Draw(rt, "what")
	if g == nil {
		what = 0
	}
	switch what {
	case 0:
		n := roster.NewGroup{Name: "g" + rapid.StringMatching(`[a-f]`).Draw(rt, "name"), Kind: roster.Kind(max(0, rapid.IntRange(-4, 2).Draw(rt, "kind")))}
		_, err := p.gs.AddGroup(ctx, p.org, n)
		if (err == nil) != (p.m.find(n.Name) == nil) {
			rt.Fatalf("add %s: %v", n.Name, err)
		}
		if err == nil {
			p.m.groups = append(p.m.groups, &mgroup{name: n.Name, label: n.Name, kind: n.Kind, sees: map[string]bool{n.Name: false}, order: []string{n.Name}})
		}
	case 1:
		if rapid.Bool().Draw(rt, "sure") {
			return
		}
		p.check(p.gs.RemoveGroup(ctx, rg))
		p.m.groups = slices.DeleteFunc(p.m.groups, func(m *mgroup) bool { return m == g })
		for _, m := range p.m.groups {
			delete(m.sees, g.name)
			m.order = slices.DeleteFunc(m.order, func(s string) bool { return s == g.name })
			if m.parent == g.name {
				m.parent = ""
			}
		}
	case 2, 3, 4, 5:
		if len(p.m.alive) == 0 {
			return
		}
		who := rapid.SampledFrom(p.m.alive).Draw(rt, "who")
		_, err := p.gs.Join(ctx, rg, who)
		if (err == nil) != (g.kind == roster.Explicit) {
			rt.Fatalf("join %s: %v", g.name, err)
		}
		if err == nil && !slices.Contains(g.members, who) {
			g.members = append(g.members, who)
		}
	case 6:
		who := rapid.SampledFrom(p.names).Draw(rt, "who")
		if g.kind == roster.Explicit {
			n, err := p.gs.Leave(ctx, rg, who)
			if err != nil || n == 1 != slices.Contains(g.members, who) {
				rt.Fatal(n, err)
			}
			g.members = slices.DeleteFunc(g.members, func(j jid.JID) bool { return j == who })
		}
	case 7, 8:
		care := rapid.Bool().Draw(rt, "care")
		p.check(p.gs.Show(ctx, ro, rg, care))
		if _, there := g.sees[o.name]; !there {
			g.order = append(g.order, o.name)
		}
		g.sees[o.name] = care
	case 9:
		_, shown := g.sees[o.name]
		if err := p.gs.Hide(ctx, ro, rg); (err == nil) != shown {
			rt.Fatalf("hide %s from %s: %v", o.name, g.name, err)
		}
		delete(g.sees, o.name)
		g.order = slices.DeleteFunc(g.order, func(s string) bool { return s == o.name })
	case 10:
		may := p.m.mayNest(g, o)
		if err := p.gs.Nest(ctx, rg, ro); (err == nil) != may {
			rt.Fatalf("nest %s in %s: %v, may %v", g.name, o.name, err, may)
		}
		if may {
			g.parent = o.name
		}
	case 11:
		if err := p.gs.Unnest(ctx, rg); (err == nil) != (g.parent != "") {
			rt.Fatal(err)
		}
		g.parent = ""
	case 12:
		p.people(run)
	case 13:
		g.label = "L" + rapid.StringMatching(`[a-c]`).Draw(rt, "label")
		p.check(p.gs.Describe(ctx, rg, g.label, ""))
	}
}

// people come, go, and are online.
func (p *pen) people(run int) {
	rt := p.rt
	if len(p.m.alive) == 0 || rapid.IntRange(0, 3).Draw(rt, "person") == 0 {
		local := "p" + rapid.StringMatching(`[0-9]`).Draw(rt, "local")
		if !slices.Contains(p.m.alive, jid.MustParse(fmt.Sprintf("%s@o%d.example", local, run))) {
			p.create(local, run)
		}
		return
	}
	who := rapid.SampledFrom(p.m.alive).Draw(rt, "who")
	if rapid.IntRange(0, 3).Draw(rt, "fate") == 0 {
		p.gs.SetOnline(who, false)
		delete(p.m.online, who)
		p.check(p.store.DeleteAccount(p.t.Context(), p.org, who.Local()))
		p.m.alive = slices.DeleteFunc(p.m.alive, func(j jid.JID) bool { return j == who })
		for _, g := range p.m.groups {
			g.members = slices.DeleteFunc(g.members, func(j jid.JID) bool { return j == who })
		}
		return
	}
	p.m.online[who] = !p.m.online[who]
	p.gs.SetOnline(who, p.m.online[who])
	if !p.m.online[who] {
		delete(p.m.online, who)
	}
}

// compare asks the index and the model all there is to ask.
func (p *pen) compare() {
	for _, v := range p.names {
		shown := map[jid.JID][]string{}
		p.gs.View(v, roster.DefaultMax, nil).Each(func(c jid.JID, labels []string) {
			shown[c] = slices.Sorted(slices.Values(labels))
		})
		n := 0
		for _, c := range p.names {
			want := p.m.paths(v, c, false, false)
			if len(want) > 0 {
				n++
			}
			got := slices.Sorted(slices.Values(p.gs.Labels(v, c)))
			if !slices.Equal(got, want) || p.gs.Sees(v, c) != (len(want) > 0) || !slices.Equal(shown[c], want) {
				p.rt.Fatalf("%s sees %s as %v (%v in the view, %v), want %v", v, c, got, shown[c], p.gs.Sees(v, c), want)
			}
			care := len(p.m.paths(v, c, true, true))+len(p.m.paths(c, v, true, true)) > 0
			if p.gs.Care(v, c) != care {
				p.rt.Fatalf("care between %s and %s: %v", v, c, !care)
			}
		}
		if len(shown) != n {
			p.rt.Fatalf("the view of %s has %d, want %d", v, len(shown), n)
		}
		p.written(v)
		p.order(v)
	}
}

// written compares what is written for many with what is written for one.
func (p *pen) written(v jid.JID) {
	view := p.gs.View(v, roster.DefaultMax, nil)
	if got, want := itemsOf(view), itemsAlone(view); !slices.Equal(got, want) {
		p.rt.Fatalf("%s is written %q, want %q", v, got, want)
	}
}

// order compares Of and Seen.
func (p *pen) order(v jid.JID) {
	var of []string
	for _, g := range p.m.groups {
		if p.m.has(g, v, false) {
			of = append(of, g.name)
		}
	}
	if got := names(p.gs.Of(v)); !slices.Equal(got, of) {
		p.rt.Fatalf("%s is in %v, want %v", v, got, of)
	}
	want := map[string]bool{}
	for _, g := range p.m.groups {
		for a := g; a != nil; a = p.m.find(a.parent) {
			for _, w := range p.m.groups {
				if _, shown := w.sees[a.name]; shown && p.m.has(w, v, true) {
					want[g.name] = true
				}
			}
		}
	}
	got := names(p.gs.Seen(v))
	if len(got) != len(want) || slices.ContainsFunc(got, func(n string) bool { return !want[n] }) {
		p.rt.Fatalf("%s sees groups %v, want %v", v, got, want)
	}
}

func names(list []*roster.Group) (out []string) {
	for _, g := range list {
		out = append(out, g.Name())
	}
	return out
}

// same compares what a client has with what it should see.
func (p *pen) same(c *client) {
	n := 0
	for _, j := range p.names {
		labels := p.m.paths(c.who, j, false, false)
		if len(labels) == 0 {
			continue
		}
		n++
		sub := roster.To
		if len(p.m.paths(j, c.who, true, false)) > 0 {
			sub = roster.Both
		}
		if want := fmt.Sprint(sub, labels); c.items[j] != want {
			p.rt.Fatalf("the client of %s has %q of %s, want %q", c.who, c.items[j], j, want)
		}
	}
	if len(c.items) != n {
		p.rt.Fatalf("the client of %s has %d contacts, want %d: %v", c.who, len(c.items), n, c.items)
	}
}
