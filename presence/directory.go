// Package presence keeps who is where and who sees whom, and tells presence to
// those who may see it (RFC 6121 §3 and §4). DESIGN.md says how.
//
// The Directory finds accounts by bare address, in shards. An Account is one
// object as long as anybody holds it, so that a flag set on it is seen by all.
// Presence itself runs no statement: what it needs stands in memory. Only an
// account met for the first time, and a change of a roster, go to the store.
//
// Locks: one per organisation, board.mu, guards all that is shown and to whom;
// viewer.turn comes before it, shard.mu and those of rosters and sessions after
// it. See docs/locks.md.
package presence

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/cluster"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const shards = 64

// idle is how many accounts a shard remembers that nobody holds.
const idle = 4096

// ErrUnknown means that there is no such account here.
var ErrUnknown = errors.New("no such account")

// A Config is what a Directory works with.
type Config struct {
	Board   *feature.Board
	Cluster *cluster.Cluster // nil: there are no other nodes
	Store   *store.Store
	Rosters *roster.Rosters
	// Org finds the organisation a domain stands for.
	Org func(domain string) (feature.Org, bool)
	// Presence and Roster pay for what is sent.
	Presence, Roster feature.ID
	// Handed is an id that no message handed over so far is above; nil where
	// there is no archive.
	Handed func() stanza.ArchiveID
	// Saving reports whether the delivery cursor of an account is not saved yet;
	// nil where there is no archive.
	Saving func(store.AccountID) bool

	Level      *feature.Dial // how much of presence is told, a Level; per group
	Window     *feature.Dial // ms: at most so long a change waits for others
	Hysteresis *feature.Dial // ms: so long a broken stream is not told of
	Hold       *feature.Dial // s: so long after the start nothing is told
	Bucket     *feature.Dial // s: how often level coarse tells what has changed
}

// A Directory is the presence of one node.
type Directory struct {
	Config
	rosters *roster.Rosters
	seed    maphash.Seed
	shard   [shards]shard
	started time.Time
	flusher flusher
	agenda  agenda

	sweeping atomic.Bool // a sweep is due

	mu     sync.Mutex // guards what follows
	boards map[feature.Org]*board
}

type shard struct {
	mu       sync.RWMutex
	accounts map[jid.JID]*Account
	most     int // in accounts since it was made
}

// New makes an empty directory.
func New(c Config) *Directory {
	d := &Directory{
		Config: c, rosters: c.Rosters, seed: maphash.MakeSeed(),
		started: time.Now(), boards: make(map[feature.Org]*board),
	}
	for i := range d.shard {
		d.shard[i].accounts = make(map[jid.JID]*Account)
	}
	d.Board.OnChange(d.turned)
	d.Cluster.Handle(d.Presence, d.handler())
	c.Rosters.Groups.OnChange(d.regrouped)
	return d
}

// Close ends what goes on in the background. Nothing is told any more.
func (d *Directory) Close() {
	d.agenda.close()
	d.flusher.close()
}

// board returns the board of an organisation.
func (d *Directory) board(org feature.Org) *board {
	d.mu.Lock()
	b, made := d.boards[org], false
	if b == nil {
		b, made = newBoard(d, org), true
		d.boards[org] = b
	}
	d.mu.Unlock()
	if made { // the lever may have been moved before
		b.mu.Lock()
		b.relevel()
		b.mu.Unlock()
	}
	return b
}

func (d *Directory) shardOf(bare jid.JID) *shard {
	return &d.shard[maphash.String(d.seed, bare.String())%shards]
}

func (d *Directory) rosterNumber(org feature.Org) uint32 { return d.Board.Number(d.Roster, org) }

// Find returns an account if it is in memory, acquired; nil otherwise.
func (d *Directory) Find(bare jid.JID) *Account {
	sh := d.shardOf(bare)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	a := sh.accounts[bare]
	if a != nil {
		a.refs.Add(1)
	}
	return a
}

// find is Find without acquiring, for those who hold the board's lock: who is
// shown, or sees, stays in memory.
func (d *Directory) find(bare jid.JID) *Account {
	sh := d.shardOf(bare)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.accounts[bare]
}

// acquire returns the account's object, made when there is none; it may not
// be loaded yet.
func (d *Directory) acquire(bare jid.JID, org feature.Org) *Account {
	if a := d.Find(bare); a != nil {
		return a
	}
	b := d.board(org)
	sh := d.shardOf(bare)
	sh.evict(d.spare)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.accounts[bare]
	if a == nil {
		a = &Account{JID: bare, Org: org, directory: d, board: b}
		sh.accounts[bare] = a
		sh.most = max(sh.most, len(sh.accounts))
	}
	a.refs.Add(1)
	return a
}

// Account acquires an account, reading its row when it is not in memory.
// ErrUnknown means that it does not exist.
func (d *Directory) Account(ctx context.Context, bare jid.JID) (*Account, error) {
	org, ok := d.Org(bare.Domain())
	if !ok || bare.Local() == "" {
		return nil, ErrUnknown
	}
	a := d.acquire(bare, org)
	if a.loaded.Load() {
		return a, nil
	}
	a.load.Lock()
	defer a.load.Unlock()
	if a.loaded.Load() {
		return a, nil
	}
	if _, err := d.read(ctx, a, false); err != nil {
		d.abandon(a)
		return nil, err
	}
	return a, nil
}

// SignIn acquires an account with its row as it is now, keys included: the
// one statement of a sign-in. Who has a session, and comes back to resume it,
// costs none: the row is remembered until anybody's keys change.
func (d *Directory) SignIn(ctx context.Context, bare jid.JID) (*Account, *store.Account, error) {
	org, ok := d.Org(bare.Domain())
	if !ok || bare.Local() == "" {
		return nil, nil, ErrUnknown
	}
	a := d.acquire(bare, org)
	version := d.Store.SignInVersion()
	if c := a.signIn.Load(); c != nil && c.version == version && len(a.Resources()) > 0 {
		return a, c.row, nil
	}
	a.load.Lock()
	defer a.load.Unlock()
	row, err := d.read(ctx, a, true)
	if err != nil {
		d.abandon(a)
		return nil, nil, err
	}
	row.Blocks = nil
	a.signIn.Store(&credentials{row, version})
	return a, row, nil
}

// row reads the row of an account, and for who signs in, and is not there yet,
// the roster by the same statement.
func (d *Directory) row(ctx context.Context, a *Account, signIn bool) (*store.Account, error) {
	if !signIn || len(a.Resources()) > 0 {
		return d.Store.Account(ctx, a.Org, a.JID.Local())
	}
	row, items, err := d.Store.SignIn(ctx, a.Org, a.JID.Local())
	if err == nil && len(items) > 0 {
		a.brought.Store(&broughtRoster{items, row.RosterVersion})
	}
	return row, err
}

// read takes over the row of an account; the caller holds a.load.
func (d *Directory) read(ctx context.Context, a *Account, signIn bool) (*store.Account, error) {
	row, err := d.row(ctx, a, signIn)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", a.JID, err)
	}
	if a.loaded.Load() {
		return row, nil // what is in memory is kept up to date by those who change it
	}
	if d.Handed != nil {
		a.Inbox.Load(d.Handed(), row.Undelivered)
	}
	a.ID = row.ID
	a.version.Store(row.RosterVersion)
	if row.HasBlocks {
		if err := d.readBlocks(ctx, a, row.Blocks); err != nil {
			return nil, err
		}
	}
	if row.Prefs != nil {
		prefs, err := archive.ParsePrefs(row.Prefs)
		if err != nil {
			return nil, fmt.Errorf("archiving preferences of %s: %w", a.JID, err)
		}
		a.Prefs.Store(prefs)
	}
	a.loaded.Store(true)
	return row, nil
}

// readBlocks takes over a block list, reading it when it did not come with the
// account.
func (d *Directory) readBlocks(ctx context.Context, a *Account, rows []string) error {
	if rows == nil {
		var err error
		if rows, err = d.Store.Blocks(ctx, a.Org, a.ID); err != nil {
			return fmt.Errorf("block list of %s: %w", a.JID, err)
		}
	}
	list := make(Blocklist, len(rows))
	for _, row := range rows {
		j, err := jid.Parse(row)
		if err != nil {
			return fmt.Errorf("block list of %s: %q: %w", a.JID, row, err)
		}
		list[j] = struct{}{}
	}
	a.Blocked.Store(&list)
	return nil
}

// abandon gives back an account that could not be read. It is dropped unless
// somebody else holds it: there must not be two objects for one account.
func (d *Directory) abandon(a *Account) {
	sh := d.shardOf(a.JID)
	sh.mu.Lock()
	last := a.refs.Add(-1) == 0
	if last && !a.loaded.Load() && sh.accounts[a.JID] == a {
		delete(sh.accounts, a.JID)
	}
	sh.mu.Unlock()
	if last {
		d.unheld()
	}
}

// Forget drops an account that was deleted; its sessions must be closed.
func (d *Directory) Forget(bare jid.JID) {
	sh := d.shardOf(bare)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.accounts, bare)
}

// Bind adds a session to its account. A session bound to the same resource is
// returned for the caller to end (RFC 6120 §7.7.2.2).
func (d *Directory) Bind(a *Account, s *session.Session) (replaced *session.Session) {
	a.board.mu.Lock()
	defer a.board.mu.Unlock()
	replaced = a.Resource(s.JID.Resource())
	a.add(&Resource{Session: s})
	return replaced
}

// Unbind removes a session: contacts are told that the resource is gone
// (RFC 6121 §4.5.2), after the dial presence.hysteresis when its stream broke:
// it may be back by then. It returns false when it was not bound.
func (d *Directory) Unbind(a *Account, s *session.Session, broken bool) bool {
	b := a.board
	b.mu.Lock()
	r := a.find(s)
	if r == nil {
		b.mu.Unlock()
		return false
	}
	due := b.end(a, r, nil, broken)
	a.drop(s)
	var ro *roster.Roster
	if len(a.Resources()) == 0 {
		ro, a.roster = a.roster, nil
		a.signIn.Store(nil)
		a.brought.Store(nil)
	}
	b.mu.Unlock()
	b.flushAll(due)
	d.rosters.Close(ro)
	return true
}

// Counts are gauges of the directory.
type Counts struct{ Accounts, Resources, Available int }

// Count goes through the directory; it is for metrics.
func (d *Directory) Count() (c Counts) {
	d.Each(func(a *Account) {
		c.Accounts++
		for _, r := range a.Resources() {
			c.Resources++
			if _, ok := r.Session.Priority(); ok {
				c.Available++
			}
		}
	})
	return c
}

// Each calls f for every account in memory, shard by shard.
func (d *Directory) Each(f func(*Account)) {
	for i := range d.shard {
		sh := &d.shard[i]
		sh.mu.RLock()
		list := make([]*Account, 0, len(sh.accounts))
		for _, a := range sh.accounts {
			list = append(list, a)
		}
		sh.mu.RUnlock()
		for _, a := range list {
			f(a)
		}
	}
}
