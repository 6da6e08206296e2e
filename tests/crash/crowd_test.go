package crash

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

// crowd is some people on one server, and what they found out about it.
type crowd struct {
	tb     testing.TB
	server *house.Server
	door   string // host:port; it stays over restarts
	seed   uint64
	people []*person
	stop   context.CancelFunc
	wait   sync.WaitGroup

	epoch atomic.Int64 // lives of the server
	acked atomic.Int64
	quiet atomic.Bool // nobody writes anything new

	mu     sync.Mutex
	faults []string
}

// gather signs the people in; they write until disperse.
func gather(tb testing.TB, s *house.Server, locals []string, seed uint64) *crowd {
	c := &crowd{tb: tb, server: s, door: s.Addr("c2s"), seed: seed}
	s.Trust() // the certificate is made now, not between two kills
	for i, l := range locals {
		c.people = append(c.people, newPerson(c, l, i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	for _, p := range c.people {
		c.wait.Go(func() { p.live(ctx) })
	}
	return c
}

func (c *crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// refused notes an error that answers a message: there is no reason for any.
func (c *crowd) refused(p *person, s *stanza.Stanza) {
	c.fault("%s: a message was refused: %s", p.local, s.Bytes())
}

// reach waits until so many messages are acknowledged.
func (c *crowd) reach(n int64) {
	c.await(fmt.Sprintf("%d acknowledged messages", n), func() bool { return c.acked.Load() >= n })
}

// await waits until something is so.
func (c *crowd) await(what string, is func() bool) {
	c.tb.Helper()
	for end := time.Now().Add(house.Patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.leave()
			c.tb.Fatalf("no %s after %v; %d are acknowledged; %q\nthe server's log ends:\n%s",
				what, house.Patience, c.acked.Load(), c.faults, c.server.Log(3000))
		}
	}
}

// finish lets everybody send what is owed and receive what is theirs.
func (c *crowd) finish() {
	c.quiet.Store(true)
	c.await("end of what is owed", func() bool {
		for _, p := range c.people {
			if !p.settled() {
				return false
			}
		}
		return true
	})
	c.await("delivery of everything", func() bool { return len(c.undelivered()) == 0 })
	c.leave()
}

// leave ends all connections.
func (c *crowd) leave() {
	c.stop()
	for _, p := range c.people {
		p.mu.Lock()
		p.ended = true
		p.free.Broadcast()
		p.mu.Unlock()
	}
	c.wait.Wait()
}

// undelivered are the messages that never arrived, whatever their id.
func (c *crowd) undelivered() (list []*message) {
	for _, to := range c.people {
		to.mu.Lock()
		arrived := make(map[string]bool, len(to.seen))
		for i := range to.seen {
			arrived[to.seen[i].Origin] = true
		}
		to.mu.Unlock()
		for _, from := range c.people {
			from.mu.Lock()
			for _, m := range from.all {
				if m.to == to && !arrived[m.origin] {
					list = append(list, m)
				}
			}
			from.mu.Unlock()
		}
	}
	return list
}
