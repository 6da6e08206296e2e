package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// calm is how long nothing must have been refused before an outage is over: of
// a server that is full some connections are refused and others not.
const calm = time.Second

// outage tells that the database does not answer, and that it does again: one
// line of log each, however many are refused in between.
type outage struct {
	away atomic.Bool

	mu          sync.Mutex
	since, last time.Time // of what was refused
	refused     int
}

// met is told how work on the database ended; gone says that the connection was
// lost, or that there was none to be had. It returns err, as ErrAway when that
// is what it is.
func (d *DB) met(ctx context.Context, err error, gone bool) error {
	switch {
	case err == nil:
		if d.outage.away.Load() {
			if refused, took, over := d.outage.end(time.Now()); over {
				d.log.Info("the database answers again", slog.Int("refused", refused), slog.Float64("seconds", took.Seconds()))
			}
		}
		return nil
	case !gone, ctx.Err() != nil, errors.Is(err, ErrClosed):
		return err
	}
	if d.outage.refuse(time.Now()) {
		d.log.Error("the database does not answer; what needs it is refused until it does", slog.Any("cause", err))
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// refuse counts; it reports whether this is the first of an outage.
func (o *outage) refuse(now time.Time) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = now
	if first = !o.away.Swap(true); first {
		o.since, o.refused = now, 0
	}
	o.refused++
	return first
}

// end ends an outage, for one of those who were answered.
func (o *outage) end(now time.Time) (refused int, took time.Duration, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away.Load() || now.Sub(o.last) < calm {
		return 0, 0, false
	}
	o.away.Store(false)
	return o.refused, now.Sub(o.since), true
}
