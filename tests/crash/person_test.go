package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

// window is how many messages of one person may be unacknowledged.
const window = 24

// message is one numbered message: n counts what its sender has written, from 1.
type message struct {
	from, to *person
	n        int
	origin   string
	acked    bool
	epoch    int  // in which life of the server it was acknowledged
	sent     int  // how often, not counting what a resumption sent again
	told     bool // it was answered with an error when last sent: not taken
}

// person writes numbered messages to the others, for as long as the crowd is
// at it. What was not acknowledged is sent again after a reconnect, with the
// same origin-id: by XEP-0198 where the session is resumed, by hand where not.
//
// One goroutine (live) connects and writes, one per connection (listen) reads.
type person struct {
	crowd *crowd
	local string
	jid   jid.JID
	sm    client.Session
	rng   *rand.Rand

	mu      sync.Mutex
	free    *sync.Cond // something was acknowledged, or the connection ended
	ended   bool       // of the connection
	told    bool       // something was refused since the last message
	failed  error      // of the last attempt to connect
	next    int
	pending []*message // not acknowledged, in order
	line    []*message // what was sent in this session and is not acknowledged; nil for presence
	base    uint32     // h before line[0]
	all     []*message
	seen    []house.Message // what arrived, in order, each stanza-id once
	known   map[string]bool // the stanza-ids of seen
	again   int             // what arrived with a stanza-id that was known
	cuts    int
	resumed int
}

func newPerson(c *crowd, local string, i int) *person {
	p := &person{crowd: c, local: local, jid: c.as(local).Account, rng: rand.New(rand.NewPCG(c.seed, uint64(i))), known: map[string]bool{}}
	p.free = sync.NewCond(&p.mu)
	p.sm.OnAck(p.acknowledged)
	return p
}

// acknowledged is told of every new h, on the client's reading goroutine.
func (p *person) acknowledged(h uint32) {
	epoch := int(p.crowd.epoch.Load())
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int(h - p.base)
	if n > len(p.line) {
		p.crowd.fault("%s: h=%d covers more than was sent", p.local, h)
		return
	}
	for _, m := range p.line[:n] {
		if m == nil || m.acked {
			continue
		}
		m.acked, m.epoch = true, epoch
		if m.told {
			continue
		}
		p.crowd.acked.Add(1)
		if p.crowd.noted != nil {
			p.crowd.noted(m)
		}
	}
	p.line, p.base = p.line[n:], h
	for len(p.pending) > 0 && p.pending[0].acked {
		p.pending = p.pending[1:]
	}
	p.free.Broadcast()
}

// live is the person's life, until ctx ends.
func (p *person) live(ctx context.Context) {
	for ctx.Err() == nil {
		before := p.sm.ID()
		c, err := p.connect(ctx)
		p.mu.Lock()
		p.failed = err
		p.mu.Unlock()
		if err != nil {
			var auth *client.AuthError
			if errors.As(err, &auth) && auth.Condition != "temporary-auth-failure" {
				p.crowd.fault("%s: %v", p.local, err)
				return
			}
			pause(ctx, 5*time.Millisecond)
			continue
		}
		heard := make(chan struct{})
		p.mu.Lock()
		p.ended = false
		p.mu.Unlock()
		fresh := before == "" || p.sm.ID() != before
		if fresh {
			p.mu.Lock()
			p.line, p.base = nil, 0
			p.mu.Unlock()
		} else {
			p.resumed++
		}
		go p.listen(c, heard)
		p.talk(ctx, c, fresh)
		c.Cut()
		<-heard
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *person) connect(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, house.Patience)
	defer cancel()
	return client.Connect(ctx, p.crowd.as(p.local), &p.sm)
}

// listen notes what arrives, until the connection ends.
func (p *person) listen(c *client.Client, heard chan struct{}) {
	defer close(heard)
	for {
		it, err := c.Receive(context.Background())
		if err != nil {
			if errors.Is(err, client.ErrHandledTooHigh) || strings.Contains(err.Error(), "no XMPP") {
				p.crowd.fault("%s: %v", p.local, err)
			}
			p.mu.Lock()
			p.ended = true
			p.free.Broadcast()
			p.mu.Unlock()
			return
		}
		if it.Is("http://etherx.jabber.org/streams", "error") && !strings.Contains(string(it.Raw), "<system-shutdown") {
			p.crowd.fault("%s: %s", p.local, it.Raw)
		}
		s, err := it.Stanza()
		if err != nil || s.Kind != stanza.Message {
			continue
		}
		if s.Type == stanza.ErrorType {
			p.refused(s)
			continue
		}
		m := house.ReadMessage(s, p.jid)
		p.mu.Lock()
		if m.ID != "" && p.known[m.ID] {
			p.again++
		} else {
			p.known[m.ID] = true
			p.seen = append(p.seen, m)
		}
		tell := (p.again+len(p.seen))%16 == 0
		p.mu.Unlock()
		if tell && c.Send(fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", p.sm.Handled())) != nil {
			continue // the connection has ended: Receive says so when all was read
		}
	}
}

// refused notes that the server answered a message with an error: while the
// database is down it may, with a condition that says to try again.
func (p *person) refused(s *stanza.Stanza) {
	e, _ := s.Child(stanza.NSClient, "error")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.all {
		if m.origin == string(s.ID()) && errorType(e) == "wait" && p.crowd.flaky {
			m.told, p.told = true, true
			return
		}
	}
	p.crowd.fault("%s: a message was refused: %s", p.local, s.Bytes())
}

// talk sends what is owed and then new messages, until the connection ends.
func (p *person) talk(ctx context.Context, c *client.Client, fresh bool) {
	if fresh {
		if !p.send(c, nil, []byte("<presence xmlns='jabber:client'/>")) {
			return
		}
		p.mu.Lock()
		again := append([]*message(nil), p.pending...)
		p.mu.Unlock()
		for _, m := range again {
			if !p.send(c, m, m.bytes()) {
				return
			}
		}
	}
	left := -1 // until the client cuts the connection itself
	if p.rng.IntN(4) == 0 {
		left = p.rng.IntN(200)
	}
	for ; left != 0; left-- {
		m := p.write(ctx)
		if m == nil || !p.send(c, m, m.bytes()) {
			return
		}
	}
	p.mu.Lock()
	p.cuts++
	p.mu.Unlock()
}

// write makes a new message when there is room in the window; nil when the
// connection or the test has ended.
func (p *person) write(ctx context.Context) *message {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told { // "try again later"
		p.told = false
		p.mu.Unlock()
		pause(ctx, 100*time.Millisecond)
		p.mu.Lock()
	}
	for !p.ended && ctx.Err() == nil && (len(p.pending) >= window || p.crowd.quiet.Load()) {
		p.free.Wait()
	}
	if p.ended || ctx.Err() != nil {
		return nil
	}
	p.next++
	to := p.crowd.people[p.rng.IntN(len(p.crowd.people))]
	m := &message{from: p, to: to, n: p.next, origin: fmt.Sprintf("%s-%d", p.local, p.next)}
	p.pending = append(p.pending, m)
	p.all = append(p.all, m)
	return m
}

// send sends a stanza and notes it in the line that h counts.
func (p *person) send(c *client.Client, m *message, b []byte) bool {
	p.mu.Lock()
	p.line = append(p.line, m)
	if m != nil {
		m.told = false
		m.sent++
	}
	p.mu.Unlock()
	return c.Send(b) == nil
}

func (m *message) bytes() []byte {
	var x stanza.XML
	x.Start("message", "xmlns", stanza.NSClient, "type", "chat", "id", m.origin, "to", m.to.jid.String())
	if pad := m.from.crowd.pad; pad > 0 {
		x.Element("subject", strings.Repeat("~", m.n*97%pad))
	}
	x.Element("body", strconv.Itoa(m.n)).Empty("origin-id", "xmlns", house.NSSID, "id", m.origin)
	return x.End().Bytes()
}

// settled says whether everything the person wrote is acknowledged.
func (p *person) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending) == 0
}
