package db

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pool is a bounded set of connections. Who finds none free waits, and the
// time is counted. mu guards free, closed, waiting and since; it is a leaf.
type pool struct {
	open  func(context.Context) (*conn, error)
	slots chan struct{} // one token per connection that may exist

	mu      sync.Mutex
	free    []*conn
	closed  bool
	waiting int
	since   time.Time // of the first of those who wait, or when one of them was served last

	told func(Line, time.Duration) // Config.Waited

	waits  atomic.Int64 // how often somebody waited
	waited atomic.Int64 // ns
}

func newPool(size int, open func(context.Context) (*conn, error), told func(Line, time.Duration)) *pool {
	return &pool{open: open, slots: make(chan struct{}, size), told: told}
}

// get takes a connection. fresh asks for a new one, for what lies in the pool
// may have died with the server.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, time.Duration, error) {
	var wait time.Duration
	select {
	case p.slots <- struct{}{}:
	default:
		start := time.Now()
		p.queue(start)
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			p.leave(time.Time{})
			return nil, time.Since(start), fmt.Errorf("wait for a connection: %w", ctx.Err())
		}
		now := time.Now()
		p.leave(now)
		wait = now.Sub(start)
		p.waits.Add(1)
		p.waited.Add(int64(wait))
	}
	p.told(PoolLine, wait)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.slots
		return nil, wait, ErrClosed
	}
	if fresh {
		stale := p.free
		p.free = nil
		defer func() { // it writes to each
			for _, c := range stale {
				c.close()
			}
		}()
	}
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return c, wait, nil
	}
	p.mu.Unlock()
	c, err := p.open(ctx)
	if err != nil {
		<-p.slots
		return nil, wait, err
	}
	return c, wait, nil
}

// queue notes that somebody waits from now on.
func (p *pool) queue(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting++; p.waiting == 1 {
		p.since = now
	}
}

// leave notes that somebody does no more: served at a time, or not.
func (p *pool) leave(served time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting--; !served.IsZero() {
		p.since = served
	}
}

// oldest is since when nobody of those who wait was served.
func (p *pool) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == 0 {
		return time.Time{}
	}
	return p.since
}

// put gives a connection back.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	if p.closed || c.bad {
		p.mu.Unlock()
		c.close()
	} else {
		p.free = append(p.free, c)
		p.mu.Unlock()
	}
	<-p.slots
}

// close closes what is free; what is in use closes when it comes back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.free {
		c.close()
	}
	p.free = nil
}
