package node

import (
	"cmp"
	"context"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// The books: what the ledger counts is read now and then. From the last
// readings comes what things cost now (ledger.top, lever.ls); from one to the
// next that is ledger.every later come the rows of the history.

const (
	readEvery  = 5 * time.Second // how far apart readings are at most
	keptRecent = 3               // readings kept: "now" is what has passed since the oldest
	mostRows   = 500             // of one time; the cheapest beyond are put together under the server
	denseFor   = 48 * time.Hour  // how long all rows are kept; older ones hour by hour
	thinStep   = 200             // times looked at by one step of thinning
	thinEvery  = 10 * time.Minute
	leversKept = 366 * 24 * time.Hour // how long the audit tells of settings that have run out
)

// runtimeName is what the process spent beside all features: scheduling,
// collecting garbage, what no span covered.
const runtimeName = "runtime"

// An accountKey is one account of the ledger by name.
type accountKey struct {
	feature string
	org     feature.Org
}

// A reading is the ledger at one moment.
type reading struct {
	at     time.Time
	cpu    int64 // of the process, ns
	gc     int64 // of it, ns: collecting garbage beside the features
	rows   map[accountKey]feature.Row
	online map[feature.Org]int // people; of org 0: all
}

// books reads the ledger of a node and writes its history.
type books struct {
	node   *Node
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex               // guards what follows
	recent  []reading                // the oldest first
	history map[feature.Org]*history // ledgerpast.go; of org 0: all
	scraped time.Time                // when /metrics was read last
}

// start begins to read; stop ends it and writes what is left.
func (b *books) start() {
	first := b.read()
	b.recent = []reading{first}
	if b.node.Unmetered {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.ended = cancel, make(chan struct{})
	go b.run(ctx, first)
}

func (b *books) stop() {
	if b.cancel != nil {
		b.cancel()
		<-b.ended
	}
}

// run is the goroutine of the books.
func (b *books) run(ctx context.Context, written reading) {
	defer close(b.ended)
	every := b.node.Board.Dial("ledger.every")
	thin := thinner{at: time.Now()}
	account := b.node.Board.Account(b.ledger(), 0)
	var span feature.Span
	for {
		period := time.Duration(every.Int(0)) * time.Second
		wait := time.NewTimer(min(readEvery, period, max(time.Until(written.at.Add(period)), 0)))
		select {
		case <-ctx.Done():
			wait.Stop()
			b.write(context.WithoutCancel(ctx), written, b.read())
			return
		case <-wait.C:
		}
		span.Whole(account)
		now := b.read()
		b.mu.Lock()
		b.recent = append(b.recent[max(0, len(b.recent)-keptRecent+1):], now)
		b.mu.Unlock()
		span.End() // the writer of the database measures what is written
		if now.at.Sub(written.at) >= period {
			b.write(ctx, written, now)
			written = now
			thin.step(ctx, b.node)
		}
		b.refresh(ctx)
	}
}

// ledger is the feature that pays for the books.
func (b *books) ledger() feature.ID {
	id, _ := b.node.Board.Lookup("ledger")
	return id
}

// read takes a reading.
func (b *books) read() reading {
	r := reading{at: time.Now(), cpu: processTime(), gc: collecting(), rows: map[accountKey]feature.Row{}, online: b.node.online()}
	for _, row := range b.node.Board.Snapshot() {
		if !row.Zero() {
			r.rows[accountKey{row.Feature, row.Org}] = row
		}
	}
	return r
}

// collecting is the processor time, ns, of the collector's own goroutines.
func collecting() int64 {
	samples := []metrics.Sample{{Name: "/cpu/classes/gc/mark/dedicated:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(samples)
	var seconds float64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindFloat64 {
			seconds += s.Value.Float64()
		}
	}
	return int64(seconds * 1e9)
}

// processTime is the processor time of this process, ns.
func processTime() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// online counts the people who are available, by organisation; under 0 all.
func (n *Node) online() map[feature.Org]int {
	out := map[feature.Org]int{}
	if n.chat.router == nil {
		return out
	}
	for org, people := range n.chat.router.Directory.People() {
		out[org] = people
		out[0] += people
	}
	return out
}

// since is what was spent from one reading to the next, the dearest first, and
// what the spans measured of it. That is an estimate; the rows are within what
// the process spent, the collector's part apart (feature.Fit). The collector
// tells its time by the clock on the wall: no more than half of all is believed.
func (r *reading) since(before *reading) (out []feature.Row, measured int64) {
	out = make([]feature.Row, 0, len(r.rows)+1)
	for key, row := range r.rows {
		if old, ok := before.rows[key]; ok {
			row.Sub(&old)
		}
		row.CPU, row.Sent = max(row.CPU, 0), max(row.Sent, 0)
		if !row.Zero() {
			out = append(out, row)
		}
	}
	spent := max(r.cpu-before.cpu, 0)
	measured = feature.Fit(out, spent-min(max(r.gc-before.gc, 0), spent/2))
	rest := spent
	for i := range out {
		rest -= out[i].CPU
	}
	if rest > 0 {
		out = append(out, feature.Row{Feature: runtimeName, CPU: rest})
	}
	slices.SortFunc(out, dearest)
	return out, measured
}

// dearest orders rows by what they cost.
func dearest(a, b feature.Row) int {
	return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(b.SQLTime, a.SQLTime), cmp.Compare(b.Calls, a.Calls),
		cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Org, b.Org))
}

// write keeps the rows from one reading to the next; none when nobody did
// anything.
func (b *books) write(ctx context.Context, from, to reading) {
	rows := ledgerRows(&from, &to)
	if len(rows) == 0 {
		return
	}
	if err := b.node.Store.AddLedger(ctx, rows); err != nil && ctx.Err() == nil {
		b.node.Log.Warn("what things cost is not in the ledger's history", "cause", err)
	}
}

// ledgerRows are the rows of the history from one reading to the next. They
// are bounded: what is cheapest beyond mostRows is put together under the
// server, feature by feature. The server's own row is always there, for it
// tells how many were online.
func ledgerRows(from, to *reading) []store.LedgerRow {
	costs, _ := to.since(from)
	if !slices.ContainsFunc(costs, func(r feature.Row) bool {
		return r.Feature != "ledger" && r.Feature != "server" && (r.Calls|r.BytesIn|r.BytesOut|r.Statements) != 0
	}) {
		return nil
	}
	at, span := to.at.Truncate(time.Microsecond), to.at.Sub(from.at)
	out := make([]store.LedgerRow, 0, min(len(costs), mostRows)+1)
	place := map[accountKey]int{}
	add := func(r feature.Row) {
		key := accountKey{r.Feature, r.Org}
		if i, ok := place[key]; ok {
			out[i].Add(&r)
			return
		}
		place[key] = len(out)
		out = append(out, store.LedgerRow{At: at, Span: span, Online: to.online[r.Org], Row: r})
	}
	add(feature.Row{Feature: "server"})
	for i, r := range costs {
		if i >= mostRows {
			r.Org = 0
		}
		add(r)
	}
	return out
}

// A thinner deletes old rows, a small step at a time.
type thinner struct {
	at   time.Time // of the next step
	next time.Time // where it goes on; zero: from the beginning
}

func (t *thinner) step(ctx context.Context, n *Node) {
	now := time.Now()
	if now.Before(t.at) {
		return
	}
	keep := now.AddDate(0, 0, -int(n.Board.Dial("ledger.keep").Int(0)))
	dense := now.Add(-denseFor)
	if keep.After(dense) {
		dense = keep
	}
	next, deleted, err := n.Store.ThinLedger(ctx, keep, dense, t.next, thinStep)
	if err != nil && ctx.Err() == nil {
		n.Log.Warn("old rows of the ledger stay for now", "cause", err)
	}
	if t.next = next; next.IsZero() || err != nil {
		t.at = now.Add(thinEvery)
	}
	if deleted > 0 {
		n.Log.Debug("ledger thinned", "times", deleted)
	}
	if _, err := n.Store.ThinLevers(ctx, now.Add(-leversKept), thinStep); err != nil && ctx.Err() == nil {
		n.Log.Warn("old settings of levers stay for now", "cause", err)
	}
}
