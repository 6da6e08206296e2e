package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// A town is a directory with people in it.
type town struct {
	tb     failer
	d      *presence.Directory
	store  *store.Store
	hosts  *session.Host
	people []*person
}

type failer interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// A person is an account and its resources that are bound now.
type person struct {
	jid       jid.JID
	resources []*client
}

// A client is a session without a stream: what it was sent waits in it.
type client struct {
	s      *session.Session
	a      *presence.Account
	status int     // of its last presence; 0 while it is unavailable
	reader *reader // of one that has a stream
	mail   int     // how many messages it was sent
}

func openTown(tb testing.TB) (*store.Store, *session.Host, *presence.Directory, feature.Org) {
	tb.Helper()
	st := storetest.Open(tb)
	org, err := st.AddOrg(context.Background(), "hug.example")
	if err != nil {
		tb.Fatal(err)
	}
	b := feature.NewBoard()
	declare := func(name string, levers ...feature.Lever) feature.ID {
		id, err := b.DeclareAlways(name, "for the test", levers...)
		if err != nil {
			tb.Fatal(err)
		}
		return id
	}
	declare("session", feature.Lever{Name: "session.mailbox", Default: 1 << 40, Min: 1, Max: 1 << 40})
	h := &session.Host{
		Board: b, Mailbox: b.Dial("session.mailbox"),
		Delivered: func(*session.Session, []*stanza.Wire) {}, Unwritten: func(*session.Session, []*stanza.Wire) {},
		Lost: func(*session.Session, bool) {}, Room: func(*session.Session, bool) {},
	}
	fanOut, err := b.DeclareLevels(
		feature.Lever{Name: "presence", Doc: "for the test", Values: []string{"full", "visible", "coarse", "off"}, Reach: feature.PerGroup},
		feature.Lever{Name: "presence.window", Default: 1, Max: 10000},
		feature.Lever{Name: "presence.hysteresis", Max: 60000},
		feature.Lever{Name: "presence.hold", Max: 3600, Reach: feature.ServerOnly},
		feature.Lever{Name: "presence.bucket", Default: 300, Min: 1, Max: 86400})
	if err != nil {
		tb.Fatal(err)
	}
	d := presence.New(presence.Config{
		Board: b, Store: st, Rosters: roster.New(st), Presence: fanOut, Roster: declare("rosters"),
		Org:   func(domain string) (feature.Org, bool) { return org, domain == "hug.example" },
		Level: b.Dial("presence"), Window: b.Dial("presence.window"), Hysteresis: b.Dial("presence.hysteresis"),
		Hold: b.Dial("presence.hold"), Bucket: b.Dial("presence.bucket"),
	})
	h.Room = func(s *session.Session, lost bool) { d.Room(s.Owner.(*presence.Account), s, lost) }
	tb.Cleanup(d.Close)
	return st, h, d, org
}

// populate makes n people nobody has met yet.
func populate(tb failer, st *store.Store, h *session.Host, d *presence.Directory, org feature.Org, prefix string, n int) *town {
	w := &town{tb: tb, d: d, store: st, hosts: h}
	for i := range n {
		name := fmt.Sprintf("%s-p%d", prefix, i)
		if _, err := st.CreateAccount(context.Background(), org, name, nil); err != nil {
			tb.Fatal(err)
		}
		w.people = append(w.people, &person{jid: jid.MustParse(name + "@hug.example")})
	}
	return w
}

// parse makes presence of a client.
func (w *town) parse(from, to jid.JID, typ string, status int) *stanza.Stanza {
	text := "<presence xmlns='jabber:client'"
	if typ != "" {
		text += " type='" + typ + "'"
	}
	st, err := stanza.Parse(fmt.Appendf(nil, "%s><status>%d</status></presence>", text, status))
	if err != nil {
		w.tb.Fatal(err)
	}
	st.From, st.To = from, to
	return st
}

// bind adds a resource.
func (w *town) bind(p *person, resource string) {
	a, err := w.d.Account(context.Background(), p.jid)
	if err != nil {
		w.tb.Fatal(err)
	}
	full, err := p.jid.WithResource(resource)
	if err != nil {
		w.tb.Fatal(err)
	}
	s := session.New(w.hosts, nil, full)
	s.Org, s.Owner = a.Org, a
	w.d.Bind(a, s)
	p.resources = append(p.resources, &client{s: s, a: a})
}

// unbind ends the i-th resource, as router does.
func (w *town) unbind(p *person, i int) {
	c := p.resources[i]
	p.resources = append(p.resources[:i:i], p.resources[i+1:]...)
	c.s.End()
	if !w.d.Unbind(c.a, c.s, false) {
		w.tb.Fatal("it was not bound")
	}
	c.a.Release()
}

// say sends broadcast presence; status 0 is unavailable.
func (w *town) say(c *client, status int) {
	typ := ""
	if status == 0 {
		typ = "unavailable"
	}
	if _, _, err := w.d.Update(context.Background(), c.a, c.s, w.parse(c.s.JID, jid.JID{}, typ, status)); err != nil {
		w.tb.Fatal(err)
	}
	c.status = status
}

// ask sends a subscription stanza.
func (w *town) ask(c *client, to *person, typ string) {
	if err := w.d.Subscription(context.Background(), c.a, w.parse(c.s.JID, to.jid, typ, 0)); err != nil {
		w.tb.Fatal(err)
	}
}

// sub is what one person's roster says of another.
func (w *town) sub(p, of *person) roster.Item {
	a, err := w.d.Account(context.Background(), p.jid)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer a.Release()
	ro, err := a.Roster(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	defer w.d.Rosters.Close(ro)
	it, _ := ro.Get(of.jid)
	return it
}

// view is what a client thinks of who is there, from all it was sent.
func view(c *client) map[string]string {
	seen := map[string]string{}
	wires, _ := c.s.End()
	for _, w := range wires {
		look(seen, c.s.JID, w)
	}
	return seen
}

// look takes one presence into a view.
func look(seen map[string]string, own jid.JID, w *stanza.Wire) {
	if w.Kind != stanza.Presence {
		return
	}
	switch {
	case w.Type == stanza.Unavailable && w.From == own:
		clear(seen) // who goes knows nothing of others any more
	case w.Type == stanza.Unavailable && w.From.IsBare():
		for full := range seen {
			if jid.MustParse(full).Bare() == w.From {
				delete(seen, full)
			}
		}
	case w.Type == stanza.Unavailable:
		delete(seen, w.From.String())
	case w.Type == stanza.Available:
		st, err := stanza.Parse(w.Stored())
		if err != nil {
			panic(err)
		}
		if el, ok := st.Child("jabber:client", "status"); ok {
			seen[w.From.String()] = el.Text()
		} else {
			seen[w.From.String()] = "coarse"
		}
	}
}

// check compares every client's view with what is so. Where two rosters
// contradict each other, which only happens when both people act at once,
// nothing is asked.
func (w *town) check(strict bool) {
	for _, p := range w.people {
		for _, c := range p.resources {
			if c.status == 0 {
				continue
			}
			seen := view(c)
			for _, q := range w.people {
				sees, seenBy := q == p, q == p
				if q != p {
					mine, theirs := w.sub(p, q), w.sub(q, p)
					sees, seenBy = mine.Sub.Sees(), theirs.Sub.Seen()
					if strict && (sees != seenBy || mine.Ask != theirs.In && !(mine.Ask && theirs.Sub.Seen())) {
						w.tb.Fatalf("%s has %s ask %v of %s, who has %s in %v", p.jid, mine.Sub, mine.Ask, q.jid, theirs.Sub, theirs.In)
					}
				}
				if sees != seenBy {
					continue
				}
				for _, r := range q.resources {
					want := ""
					if sees && r.status != 0 {
						want = fmt.Sprint(r.status)
					}
					if got := seen[r.s.JID.String()]; got != want {
						w.tb.Fatalf("%s sees %s as %q, it is %q", c.s.JID, r.s.JID, got, want)
					}
					delete(seen, r.s.JID.String())
				}
				if !sees {
					continue
				}
				for from := range seen {
					if jid.MustParse(from).Bare() == q.jid {
						w.tb.Fatalf("%s still sees %s", c.s.JID, from)
					}
				}
			}
		}
	}
	for _, p := range w.people { // all holds are given back
		for _, c := range p.resources {
			c.s.End()
			w.d.Unbind(c.a, c.s, false)
			c.a.Release()
		}
	}
}

var kinds = []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"}

// step does one random thing for a person.
func (w *town) step(p *person, pick func(n int) int, status int) {
	switch what := pick(10); {
	case what == 0 && len(p.resources) < 3:
		w.bind(p, fmt.Sprintf("r%d", status))
	case len(p.resources) == 0:
		w.bind(p, fmt.Sprintf("r%d", status))
	case what == 1:
		w.unbind(p, pick(len(p.resources)))
	case what == 2:
		w.say(p.resources[pick(len(p.resources))], 0)
	case what < 6:
		w.say(p.resources[pick(len(p.resources))], status)
	default:
		to := w.people[pick(len(w.people))]
		c := p.resources[pick(len(p.resources))]
		if what == 9 && pick(3) == 0 {
			if _, err := w.d.Remove(context.Background(), c.a, to.jid); err != nil {
				w.tb.Fatal(err)
			}
			return
		}
		w.ask(c, to, kinds[pick(len(kinds))])
	}
}

// TestModel: after random sign-ins, presence, subscriptions and ends every
// client sees exactly who it may see as they are.
func TestModel(t *testing.T) {
	st, h, d, org := openTown(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		w := populate(t, st, h, d, org, fmt.Sprintf("m%d", run), 3)
		for i, p := range w.people {
			if rapid.Bool().Draw(t, "friends") {
				w.befriend(p, w.people[(i+1)%3])
			}
		}
		for n := range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := w.people[rapid.IntRange(0, 2).Draw(t, "who")]
			w.step(p, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }, n+1)
		}
		w.check(true)
	})
}

// TestModelAtOnce: the same with everybody acting at once: nobody is left a
// ghost on a screen, and nobody is missing.
func TestModelAtOnce(t *testing.T) {
	st, h, d, org := openTown(t)
	for run := range 60 {
		w := populate(t, st, h, d, org, fmt.Sprintf("c%d", run), 4)
		w.befriend(w.people[0], w.people[1])
		w.befriend(w.people[1], w.people[2])
		var wg sync.WaitGroup
		for i, p := range w.people {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(run), uint64(i)))
				for n := range 40 {
					w.step(p, rnd.IntN, i*1000+n+1)
				}
			})
		}
		wg.Wait()
		w.check(false)
	}
}

// befriend makes both see each other.
func (w *town) befriend(p, q *person) {
	for _, pair := range [][2]*person{{p, q}, {q, p}} {
		a, err := w.d.Account(context.Background(), pair[0].jid)
		if err != nil {
			w.tb.Fatal(err)
		}
		if _, err := a.EditRoster(context.Background(), pair[1].jid, func(it *roster.Item) bool {
			it.Sub, it.Listed = roster.Both, true
			return true
		}); err != nil {
			w.tb.Fatal(err)
		}
		a.Release()
	}
}
