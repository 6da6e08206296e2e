package feature

import (
	"sync"
	"sync/atomic"
)

// maxOrgs bounds the organisations that have accounts of their own; a greater
// number is charged to the server, so that a wrong number costs no memory.
const maxOrgs = 1 << 20

// Account holds what one feature has cost for one organisation since the
// start: counters that the four walls of the house add to. Times are
// nanoseconds, sizes bytes.
type Account struct {
	Calls        atomic.Int64 // hooks, handlers and requests run
	CPU          atomic.Int64 // thread time, ns, an estimate (see Span)
	Sent         atomic.Int64 // the part of CPU for what is sent to many: fan-out and writing
	BytesIn      atomic.Int64 // read from clients
	BytesOut     atomic.Int64 // written to clients
	ClusterBytes atomic.Int64 // sent to other nodes
	Statements   atomic.Int64 // SQL statements run
	Replica      atomic.Int64 // those of them that a replica answered
	Rows         atomic.Int64 // rows read or changed
	SQLTime      atomic.Int64 // ns inside the database driver
	Wait         atomic.Int64 // ns waited for a connection or a writer's turn

	ledger  *Ledger
	feature ID
	org     Org
	number  uint32
	_       [20]byte // two cache lines: neighbours do not slow each other
}

// Feature is the feature that pays.
func (a *Account) Feature() ID { return a.feature }

// Org is the organisation it pays for.
func (a *Account) Org() Org { return a.org }

// Number is the account's number on its board, as a stanza.Wire carries it.
func (a *Account) Number() uint32 { return a.number }

// Row is a reading of one account.
type Row struct {
	Feature string
	Org     Org

	Calls, CPU, Sent, BytesIn, BytesOut, ClusterBytes int64
	Statements, Replica, Rows, SQLTime, Wait          int64
}

// Add adds the counters of other.
func (r *Row) Add(other *Row) { r.add(other, 1) }

// Sub takes the counters of other away.
func (r *Row) Sub(other *Row) { r.add(other, -1) }

func (r *Row) add(o *Row, sign int64) {
	r.Calls += sign * o.Calls
	r.CPU += sign * o.CPU
	r.Sent += sign * o.Sent
	r.BytesIn += sign * o.BytesIn
	r.BytesOut += sign * o.BytesOut
	r.ClusterBytes += sign * o.ClusterBytes
	r.Statements += sign * o.Statements
	r.Replica += sign * o.Replica
	r.Rows += sign * o.Rows
	r.SQLTime += sign * o.SQLTime
	r.Wait += sign * o.Wait
}

// Zero reports whether nothing was counted.
func (r *Row) Zero() bool { return *r == Row{Feature: r.Feature, Org: r.Org} }

// Write adds CPU time for what is sent to others.
func (a *Account) Write(ns int64) {
	a.CPU.Add(ns)
	a.Sent.Add(ns)
}

// declare adds the feature "ledger" and its dials.
func (l *Ledger) declare() {
	_, err := l.board.DeclareAlways("ledger", "what each feature costs: measuring and the rows of its history",
		Lever{Name: "ledger.sample", Default: 1024, Min: 0, Max: 1 << 16, Reach: ServerOnly,
			Doc: "how many spans of work share one measurement of their time at most, when there are very many; 0: none is measured"},
		Lever{Name: "ledger.every", Unit: "s", Default: 60, Min: 1, Max: 3600, Reach: ServerOnly,
			Doc: "how far apart the rows of the history are; dense ones tell sooner how costs grow"},
		Lever{Name: "ledger.keep", Unit: "days", Default: 35, Min: 1, Max: 3650, Reach: ServerOnly,
			Doc: "how long rows of the history are kept"})
	if err != nil {
		panic(err) // impossible: the board is empty
	}
	sample := l.board.Dial("ledger.sample")
	apply := func() { l.limit(sample.Int(0)) }
	apply()
	l.board.OnChange(apply)
}

// page is 64 organisations' accounts of one feature.
type page [64]atomic.Pointer[Account]

// Ledger finds accounts without a lock: features × organisations by two
// steps of slices that are replaced when they grow, numbers by one.
type Ledger struct {
	board *Board
	sampler

	features atomic.Pointer[[]*atomic.Pointer[[]*page]] // by ID, then by Org/64
	numbers  atomic.Pointer[[]*Account]                 // by Number, append-only

	mu    sync.Mutex // growth of the above; guards peaks
	peaks []int64    // by ID, see Peak
}

func (l *Ledger) start() {
	l.features.Store(&[]*atomic.Pointer[[]*page]{})
	l.numbers.Store(&[]*Account{})
}

// Account finds the account of feature f for org, or opens it. Three atomic
// loads and no allocation when it exists. A feature that was never declared,
// or an organisation above 1,048,575, is charged to the server.
func (l *Ledger) Account(f ID, org Org) *Account {
	if a := l.have(f, org); a != nil {
		return a
	}
	return l.open(f, org)
}

func (l *Ledger) have(f ID, org Org) *Account {
	features := *l.features.Load()
	if int(f) >= len(features) {
		return nil
	}
	pages := *features[f].Load()
	if p := int(org / 64); p < len(pages) {
		return pages[p][org%64].Load()
	}
	return nil
}

func (l *Ledger) open(f ID, org Org) *Account {
	if org >= maxOrgs {
		org = 0
	}
	if int(f) >= len(*l.board.features.Load()) {
		f = Server
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.have(f, org); a != nil {
		return a
	}
	features := *l.features.Load()
	for int(f) >= len(features) {
		p := &atomic.Pointer[[]*page]{}
		p.Store(&[]*page{})
		features = append(features, p)
	}
	l.features.Store(&features)
	pages := *features[f].Load()
	for int(org/64) >= len(pages) {
		pages = append(pages, &page{})
	}
	features[f].Store(&pages)
	numbers := *l.numbers.Load()
	a := &Account{ledger: l, feature: f, org: org, number: uint32(len(numbers))}
	numbers = append(numbers, a)
	l.numbers.Store(&numbers)
	pages[org/64][org%64].Store(a)
	return a
}

// Number is the number of the account of feature f for org: what a
// stanza.Wire carries, so that the session that writes it knows who pays.
func (l *Ledger) Number(f ID, org Org) uint32 { return l.Account(f, org).number }

// ByNumber finds an account by its number: one atomic load. A number never
// given out means the server's account, which has number 0.
func (l *Ledger) ByNumber(n uint32) *Account {
	numbers := *l.numbers.Load()
	if int64(n) >= int64(len(numbers)) {
		n = 0
	}
	return numbers[n]
}

// Peak is the greatest CPU time, ns, of feature f that it was called with: the
// estimate goes down now and then, and a counter that goes down means a restart
// to who collects it. A feature that was never declared is given back as it is.
func (l *Ledger) Peak(f ID, ns int64) int64 {
	if int(f) >= len(*l.board.features.Load()) {
		return ns
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for int(f) >= len(l.peaks) {
		l.peaks = append(l.peaks, 0)
	}
	l.peaks[f] = max(l.peaks[f], ns)
	return l.peaks[f]
}

// Snapshot reads all accounts, in the order in which they were opened. Each
// counter is read by itself, so a row is not an instant.
func (l *Ledger) Snapshot() []Row {
	numbers := *l.numbers.Load()
	rows := make([]Row, len(numbers))
	for i, a := range numbers {
		rows[i] = Row{
			Feature: l.board.Name(a.feature), Org: a.org,
			Calls: a.Calls.Load(), CPU: a.CPU.Load(), Sent: a.Sent.Load(),
			BytesIn: a.BytesIn.Load(), BytesOut: a.BytesOut.Load(),
			ClusterBytes: a.ClusterBytes.Load(),
			Statements:   a.Statements.Load(), Replica: a.Replica.Load(), Rows: a.Rows.Load(),
			SQLTime: a.SQLTime.Load(), Wait: a.Wait.Load(),
		}
	}
	return rows
}
