package crash

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/tests/house"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// crowd is some people on one server, and what they found out about it.
type crowd struct {
	tb     testing.TB
	server *house.Server   // nil where the server is in this process
	db     *mariadb.Server // nil on SQLite
	config client.Config   // Account is set for each person
	domain string
	seed   uint64
	people []*person
	stop   context.CancelFunc
	wait   sync.WaitGroup
	noted  func(*message) // told of each acknowledged message; may be nil
	pad    int            // messages are longer by up to so many bytes
	flaky  bool           // the database dies too: messages may be refused

	epoch atomic.Int64 // lives of the server
	acked atomic.Int64 // messages that were taken
	quiet atomic.Bool  // nobody writes anything new

	mu     sync.Mutex
	faults []string
}

// gather signs people into a server of their own; they write until finish.
func gather(tb testing.TB, s *house.Server, seed uint64, flaky bool) *crowd {
	c := &crowd{tb: tb, server: s, domain: s.Domain, seed: seed, config: s.Config(""), flaky: flaky}
	c.begin()
	return c
}

// begin lets everybody sign in and write.
func (c *crowd) begin() {
	for i, l := range locals() {
		c.people = append(c.people, newPerson(c, l, i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	for _, p := range c.people {
		c.wait.Go(func() { p.live(ctx) })
	}
}

// as is what one of the people signs in with.
func (c *crowd) as(local string) client.Config {
	cfg := c.config
	cfg.Account = jid.MustParse(local + "@" + c.domain)
	return cfg
}

func (c *crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 10 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// reach waits until so many messages are acknowledged.
func (c *crowd) reach(n int64) {
	c.await(fmt.Sprintf("%d acknowledged messages", n), func() bool { return c.acked.Load() >= n })
}

// await waits until something is so.
func (c *crowd) await(what string, is func() bool) {
	c.tb.Helper()
	acked, since := c.acked.Load(), time.Now()
	for end := time.Now().Add(house.Patience); !is(); time.Sleep(2 * time.Millisecond) {
		if n := c.acked.Load(); n != acked {
			acked, since = n, time.Now()
		}
		if time.Since(since) > stall {
			c.witness(what, time.Since(since))
			since = time.Now()
		}
		if time.Now().After(end) {
			c.witness(what, house.Patience)
			c.leave()
			c.tb.Fatalf("no %s after %v; %d are acknowledged; %q", what, house.Patience, c.acked.Load(), c.faults)
		}
	}
}

// finish lets everybody send what is owed and receive what is theirs.
func (c *crowd) finish() {
	c.hush(true)
	c.await("end of what is owed", func() bool {
		for _, p := range c.people {
			if !p.settled() {
				return false
			}
		}
		return true
	})
	least := len(c.undelivered()) // patience ends when nothing arrives any more
	for end := time.Now().Add(house.Patience); least > 0; time.Sleep(10 * time.Millisecond) {
		if n := len(c.undelivered()); n < least {
			least, end = n, time.Now().Add(house.Patience)
		}
		if time.Now().After(end) { // the tally says more
			c.tb.Errorf("%d messages are not delivered, and no more arrive", least)
			break
		}
	}
	c.leave()
}

// hush has everybody write nothing new, or go on.
func (c *crowd) hush(quiet bool) {
	c.quiet.Store(quiet)
	for _, p := range c.people {
		p.mu.Lock()
		p.free.Broadcast()
		p.mu.Unlock()
	}
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
				if m.to == to && !arrived[m.origin] && !m.told {
					list = append(list, m)
				}
			}
			from.mu.Unlock()
		}
	}
	return list
}
