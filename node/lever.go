package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// Levers: the store has every setting, the board what is in force. Whatever
// changes that (a command, another process, the end of a setting's time) leads
// to apply, which reads the store and brings the board there: so the last
// version wins, in whatever order the news come.

// levers keeps the board of a node as the store has it.
type levers struct {
	node *Node

	mu    sync.Mutex // held while the store is read and the board set
	base  map[string]int64
	own   map[leverKey]struct{} // what the board was brought to last: these have a value of their own
	timer *time.Timer           // fires when the next setting has run out
	ended bool
}

// A leverKey is a lever in a scope.
type leverKey struct {
	name string
	at   feature.Scope
}

// applyLevers puts the board as the store has it. startChat calls it when all
// features are declared and before a listener opens.
func (n *Node) applyLevers(ctx context.Context) error { return n.levers.apply(ctx) }

// setBase has a lever begin at another value than its default, because the
// configuration says so: a reset goes back there.
func (l *levers) setBase(name string, value int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.base == nil {
		l.base = map[string]int64{}
	}
	l.base[name] = value
	return l.node.Board.Set(name, feature.Scope{}, value, 0)
}

// apply brings the board to what the store says is in force now. A lever that
// this version does not know is left alone: an older binary must start on a
// newer store.
func (l *levers) apply(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, err := l.node.Store.Levers(ctx)
	if err != nil {
		return fmt.Errorf("read levers: %w", err)
	}
	now := time.Now()
	var next time.Time
	before := l.own
	l.own = map[leverKey]struct{}{}
	for len(rows) > 0 {
		n := sameLever(rows)
		key := leverKey{rows[0].Name, rows[0].Scope}
		in, ok := store.Force(rows[:n], now)
		l.set(key, in, ok)
		delete(before, key)
		if ok {
			l.own[key] = struct{}{}
		}
		if in.Version != 0 && !in.Until.IsZero() && (next.IsZero() || in.Until.Before(next)) {
			next = in.Until
		}
		rows = rows[n:]
	}
	for key := range before { // all that was set has run out
		l.set(key, store.LeverRow{}, false)
	}
	l.wait(next)
	return nil
}

// sameLever is how many rows at the beginning are of one lever and scope.
func sameLever(rows []store.LeverRow) (n int) {
	for n < len(rows) && rows[n].Name == rows[0].Name && rows[n].Scope == rows[0].Scope {
		n++
	}
	return n
}

// set brings one lever there; ok is false when its scope has no value of its
// own. l.mu is held, so that nothing is older than what the board has.
func (l *levers) set(key leverKey, in store.LeverRow, ok bool) {
	b := l.node.Board
	base, based := l.base[key.name]
	var err error
	switch {
	case ok:
		err = b.Set(key.name, key.at, in.Value, 0)
	case based && key.at == (feature.Scope{}):
		err = b.Set(key.name, key.at, base, 0)
	default:
		err = b.Reset(key.name, key.at, 0)
	}
	if err != nil {
		l.node.Log.Warn("lever in the store is not applied", "lever", key.name, "cause", err)
	}
}

// again is how soon a store that could not be read is asked again.
const leversAgain = time.Second

// wait has apply called when the next setting has run out; l.mu is held.
func (l *levers) wait(until time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if until.IsZero() || l.ended {
		return
	}
	l.timer = time.AfterFunc(time.Until(until), func() {
		if err := l.apply(context.Background()); err != nil {
			l.node.Log.Error("a lever whose time is over stays as it is; trying again", "cause", err)
			l.mu.Lock()
			l.wait(time.Now().Add(leversAgain))
			l.mu.Unlock()
		}
	})
}

// stop ends the waiting.
func (l *levers) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wait(time.Time{})
}
