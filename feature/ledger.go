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
// nanoseconds, sizes bytes. CPU is an estimate (see Meter).
type Account struct {
	Calls        atomic.Int64 // hooks, handlers and requests run
	CPU          atomic.Int64 // thread time, ns
	BytesIn      atomic.Int64 // read from clients
	BytesOut     atomic.Int64 // written to clients
	ClusterBytes atomic.Int64 // sent to other nodes
	Statements   atomic.Int64 // SQL statements run
	Rows         atomic.Int64 // rows read or changed
	SQLTime      atomic.Int64 // ns inside the database driver
	Wait         atomic.Int64 // ns waited for a connection or a writer's turn

	feature ID
	org     Org
	number  uint32
	_       [40]byte // two cache lines: neighbours do not slow each other
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

	Calls, CPU, BytesIn, BytesOut, ClusterBytes int64
	Statements, Rows, SQLTime, Wait             int64
}

// page is 64 organisations' accounts of one feature.
type page [64]atomic.Pointer[Account]

// Ledger finds accounts without a lock: features × organisations by two
// steps of slices that are replaced when they grow, numbers by one.
type Ledger struct {
	board *Board

	features atomic.Pointer[[]*atomic.Pointer[[]*page]] // by ID, then by Org/64
	numbers  atomic.Pointer[[]*Account]                 // by Number, append-only

	mu sync.Mutex // growth of the above
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
	a := &Account{feature: f, org: org, number: uint32(len(numbers))}
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

// Snapshot reads all accounts, in the order in which they were opened. Each
// counter is read by itself, so a row is not an instant.
func (l *Ledger) Snapshot() []Row {
	numbers := *l.numbers.Load()
	rows := make([]Row, len(numbers))
	for i, a := range numbers {
		rows[i] = Row{
			Feature: l.board.Name(a.feature), Org: a.org,
			Calls: a.Calls.Load(), CPU: a.CPU.Load(),
			BytesIn: a.BytesIn.Load(), BytesOut: a.BytesOut.Load(),
			ClusterBytes: a.ClusterBytes.Load(),
			Statements:   a.Statements.Load(), Rows: a.Rows.Load(),
			SQLTime: a.SQLTime.Load(), Wait: a.Wait.Load(),
		}
	}
	return rows
}
