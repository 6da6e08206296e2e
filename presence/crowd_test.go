package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/stream"
)

// A city is a town with shared groups, blocks, levers and clients of all kinds.
type city struct {
	*town
	org    feature.Org
	board  *feature.Board
	slow   *session.Host // of clients that read when they please
	poller *stream.Poller
	prefix string

	mu     sync.Mutex
	groups []*roster.Group
	made   int
}

// A reader is the other end of a slow client's stream.
type reader struct {
	conn net.Conn
	mu   sync.Mutex
	got  strings.Builder
	once sync.Once
}

// read reads from now on.
func (r *reader) read() {
	r.once.Do(func() {
		go func() {
			b := make([]byte, 1<<10)
			for {
				n, err := r.conn.Read(b)
				r.mu.Lock()
				r.got.Write(b[:n])
				r.mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	})
}

// view is what the client thinks of who is there.
func (r *reader) view(own jid.JID) map[string]string {
	r.mu.Lock()
	text := r.got.String()
	r.mu.Unlock()
	seen := map[string]string{}
	parts := strings.SplitAfter(text, "</presence>")
	for _, part := range parts[:len(parts)-1] {
		w, err := stanza.Load([]byte(part[strings.LastIndex(part, "<presence"):])) // past pushes of the roster
		if err != nil {
			panic(err)
		}
		look(seen, own, w)
	}
	return seen
}

func (c *city) pick(pick func(int) int) *person { return c.people[pick(len(c.people))] }

// enter binds a client that reads when it pleases.
func (c *city) enter(tb testing.TB, p *person, resource string) {
	a, err := c.d.Account(context.Background(), p.jid)
	if err != nil {
		tb.Fatal(err)
	}
	full, err := p.jid.WithResource(resource)
	if err != nil {
		tb.Fatal(err)
	}
	ours, theirs := net.Pipe()
	s := session.New(c.slow, stream.NewConn(ours, c.poller), full)
	s.Org, s.Owner = a.Org, a
	c.d.Bind(a, s)
	p.resources = append(p.resources, &client{s: s, a: a, reader: &reader{conn: theirs}})
}

// group picks a group, nil when there is none.
func (c *city) group(pick func(int) int) *roster.Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.groups) == 0 {
		return nil
	}
	return c.groups[pick(len(c.groups))]
}

// editGroups does one random thing to the groups. What is refused (a circle, a
// group that is gone) changes nothing.
func (c *city) editGroups(pick func(int) int) {
	ctx, gs := context.Background(), c.d.Rosters.Groups
	g, other := c.group(pick), c.group(pick)
	what := pick(9)
	if g == nil {
		what = 0
	}
	switch what {
	case 0:
		c.mu.Lock()
		c.made++
		name := fmt.Sprintf("%s-g%d", c.prefix, c.made)
		full := len(c.groups) >= 5
		c.mu.Unlock()
		if full {
			return
		}
		if g, err := gs.AddGroup(ctx, c.org, roster.NewGroup{Name: name}); err == nil {
			c.mu.Lock()
			c.groups = append(c.groups, g)
			c.mu.Unlock()
		}
	case 1, 2, 3:
		_, _ = gs.Join(ctx, g, c.pick(pick).jid)
	case 4:
		_, _ = gs.Leave(ctx, g, c.pick(pick).jid)
	case 5:
		_ = gs.Show(ctx, other, g, pick(2) == 0)
	case 6:
		_ = gs.Hide(ctx, other, g)
	case 7:
		if pick(2) == 0 {
			_ = gs.Nest(ctx, g, other)
		} else {
			_ = gs.Unnest(ctx, g)
		}
	case 8:
		if pick(3) != 0 || gs.RemoveGroup(ctx, g) != nil {
			return
		}
		c.mu.Lock()
		for i := range c.groups {
			if c.groups[i] == g {
				c.groups = append(c.groups[:i:i], c.groups[i+1:]...)
				break
			}
		}
		c.mu.Unlock()
	}
}

// blockSomebody changes the block list of p: a person, or one resource.
func (c *city) blockSomebody(p *person, pick func(int) int) {
	a, err := c.d.Account(context.Background(), p.jid)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer a.Release()
	now := presence.Blocklist{}
	if old := a.Blocked.Load(); old != nil {
		for j := range *old {
			now[j] = struct{}{}
		}
	}
	q := c.pick(pick)
	if q == p {
		now = nil
	} else if pick(2) == 0 {
		now[q.jid] = struct{}{}
	} else {
		full, err := q.jid.WithResource(fmt.Sprintf("r%d", pick(3)))
		if err != nil {
			c.tb.Fatal(err)
		}
		now[full] = struct{}{}
	}
	if len(now) == 0 {
		c.d.Block(a, nil, func() {})
	} else {
		c.d.Block(a, &now, func() {})
	}
}

// live does one random thing for a person.
func (c *city) live(tb testing.TB, p *person, pick func(int) int, status int) {
	if len(p.resources) < 3 && (len(p.resources) == 0 || pick(8) == 0) {
		name := fmt.Sprintf("r%d", pick(3))
		for _, r := range p.resources {
			if r.s.JID.Resource() == name {
				return
			}
		}
		if pick(3) == 0 {
			c.enter(tb, p, name)
		} else {
			c.bind(p, name)
		}
		return
	}
	r := p.resources[pick(len(p.resources))]
	switch what := pick(12); {
	case what == 0:
		c.unbind(p, pick(len(p.resources)), pick(2) == 0)
	case what == 1 && r.reader == nil: // a slow one may not hear its own echo
		c.say(r, 0)
	case what < 7:
		c.say(r, status)
	case what == 7:
		r.s.Inactive()
	case what == 8:
		r.s.Active()
	case what == 9:
		c.blockSomebody(p, pick)
	case what == 10 && r.reader != nil:
		if pick(2) == 0 {
			r.reader.read()
		} else {
			c.write(r)
		}
	case what == 11 && pick(2) == 0:
		rows := []jid.JID{c.pick(pick).jid, c.pick(pick).jid}
		if err := c.d.SetVisible(r.a, r.s, rows); err != nil {
			tb.Fatal(err)
		}
	default:
		if q := c.pick(pick); q != p {
			c.ask(r, q, kinds[pick(len(kinds))])
		}
	}
}

// write sends a slow client a message so large that presence gives way, but not
// so many that its stream is closed.
func (c *city) write(r *client) {
	if r.mail == 2 {
		return
	}
	r.mail++
	x := new(stanza.XML)
	x.Start("body")
	x.Text(strings.Repeat("x", 1000))
	x.End()
	r.s.Send(stanza.Make(stanza.Message, stanza.Chat, r.s.JID.Bare(), r.s.JID, "", x.Bytes()))
}

// unbind ends the i-th resource; broken, that its stream did.
func (c *city) unbind(p *person, i int, broken bool) {
	r := p.resources[i]
	p.resources = append(p.resources[:i:i], p.resources[i+1:]...)
	r.s.End()
	if r.reader != nil {
		r.reader.conn.Close()
	}
	if !c.d.Unbind(r.a, r.s, broken) {
		c.tb.Fatal("it was not bound")
	}
	r.a.Release()
}

// moveLever sets the level of the organisation, or of one group.
func (c *city) moveLever(pick func(int) int) {
	scope := feature.Scope{Org: c.org}
	if g := c.group(pick); g != nil && pick(2) == 0 {
		scope.Group = g.ID()
	}
	if err := c.board.Set("presence", scope, int64(pick(4)), 0); err != nil {
		c.tb.Fatal(err)
	}
}

// wake ends everything that holds presence back.
func (c *city) wake() {
	_ = c.board.Reset("presence", feature.Scope{Org: c.org}, 0)
	for _, g := range c.d.Rosters.Groups.List(c.org) {
		if err := c.board.Set("presence", feature.Scope{Org: c.org, Group: g.ID()}, 0, 0); err != nil {
			c.tb.Fatal(err)
		}
	}
	for _, p := range c.people {
		for _, r := range p.resources {
			r.s.Active()
			if r.reader != nil {
				r.reader.read()
			}
		}
	}
	presence.Quiet(c.d)
}

// shows reports whether the client is to see a resource; ok is false where two
// rosters contradict each other, which only happens when both act at once.
func (c *city) shows(p *person, r *client, q *person, other *client) (sees, ok bool) {
	if p == q {
		return true, true
	}
	mine, theirs := c.sub(p, q), c.sub(q, p)
	personal, ok := mine.Sub.Sees(), mine.Sub.Sees() == theirs.Sub.Seen()
	group := c.d.Rosters.Groups.Sees(p.jid, q.jid)
	if r.a.Blocks(other.s.JID) || other.a.Blocks(r.s.JID) {
		return false, true
	}
	return personal || group, ok || group
}

// compare tells the first difference between a client's view and the model's.
func (c *city) compare(p *person, r *client, seen map[string]string) string {
	for _, q := range c.people {
		for _, other := range q.resources {
			full := other.s.JID.String()
			sees, ok := c.shows(p, r, q, other)
			want := ""
			if sees && other.status != 0 {
				want = fmt.Sprint(other.status)
			}
			if got := seen[full]; ok && got != want {
				return fmt.Sprintf("%s sees %s as %q, it is %q", r.s.JID, full, got, want)
			}
			delete(seen, full)
		}
	}
	for full := range seen { // of somebody who is there no more
		return fmt.Sprintf("%s still sees %s", r.s.JID, full)
	}
	return ""
}

// settle checks every client's view, and ends all sessions.
func (c *city) settle() {
	c.wake()
	for _, p := range c.people {
		for _, r := range p.resources {
			if r.status == 0 {
				continue
			}
			if r.reader == nil {
				if wrong := c.compare(p, r, view(r)); wrong != "" {
					c.tb.Fatal(wrong)
				}
				continue
			}
			late := time.Now().Add(30 * time.Second)
			for wrong := ""; ; time.Sleep(time.Millisecond) {
				if wrong = c.compare(p, r, r.reader.view(r.s.JID)); wrong == "" {
					break
				}
				if time.Now().After(late) {
					c.tb.Fatal(fmt.Sprintf("slow (takes more: %v): %s", r.s.Wants(), wrong))
				}
			}
		}
	}
	c.end()
}

// end ends all sessions.
func (c *city) end() {
	for _, p := range c.people {
		for _, r := range p.resources {
			r.s.End()
			if r.reader != nil {
				r.reader.conn.Close()
			}
			c.d.Unbind(r.a, r.s, false)
			r.a.Release()
		}
		p.resources = nil
	}
}

// openCity makes a city whose slow clients have mailboxes of so many bytes.
func openCity(tb testing.TB, mailbox int64) *city {
	st, h, d, org := openTown(tb)
	b := feature.NewBoard()
	if _, err := b.DeclareAlways("session", "for the test",
		feature.Lever{Name: "session.mailbox", Default: mailbox, Min: 1, Max: 1 << 40},
		feature.Lever{Name: "session.request", Default: 1 << 20, Min: 1, Max: 1 << 40}); err != nil {
		tb.Fatal(err)
	}
	slow := *h
	slow.Board, slow.Mailbox, slow.Request = b, b.Dial("session.mailbox"), b.Dial("session.request")
	poller, err := stream.NewPoller(stream.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = poller.Close() })
	if err := h.Board.Set("presence.hysteresis", feature.Scope{}, 3, 0); err != nil { // ms
		tb.Fatal(err)
	}
	return &city{town: &town{d: d, store: st, hosts: h}, org: org, board: h.Board, slow: &slow, poller: poller}
}

// settlers starts a run with n new people.
func (c *city) settlers(tb failer, prefix string, n int) {
	for _, g := range c.d.Rosters.Groups.List(c.org) {
		if err := c.d.Rosters.Groups.RemoveGroup(context.Background(), g); err != nil {
			tb.Fatal(err)
		}
	}
	c.town = populate(tb, c.store, c.hosts, c.d, c.org, prefix, n)
	c.prefix, c.groups = prefix, nil
}

// TestCrowd: after random joins, leaves, edits of groups, presence, blocks,
// disconnects, CSI, moves of levers and slow readers every client sees exactly
// who it may see as they are.
func TestCrowd(t *testing.T) {
	c := openCity(t, 3000)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c.settlers(rt, fmt.Sprintf("w%d", run), 5)
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		for n := range rapid.IntRange(1, 120).Draw(rt, "steps") {
			switch what := pick(12); {
			case what < 3:
				c.editGroups(pick)
			case what == 3:
				c.moveLever(pick)
			default:
				c.live(t, c.pick(pick), pick, n+1)
			}
		}
		c.settle()
	})
}

// TestCrowdAtOnce: the same with everybody acting at once.
func TestCrowdAtOnce(t *testing.T) {
	c := openCity(t, 3000)
	for run := range 30 {
		c.settlers(t, fmt.Sprintf("y%d", run), 6)
		var wg sync.WaitGroup
		for i, p := range c.people {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(run), uint64(i)))
				for n := range 60 {
					c.live(t, p, rnd.IntN, i*1000+n+1)
				}
			})
		}
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(run), 99))
			for n := range 60 {
				if c.editGroups(rnd.IntN); n%4 == 0 {
					c.moveLever(rnd.IntN)
				}
			}
		})
		wg.Wait()
		c.settle()
	}
}
