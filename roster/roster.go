// Package roster keeps rosters in memory while their owners are about:
// versioned, each change written before it is shown (RFC 6121 §2 and §3).
//
// A Roster is shared by all who hold it open; Rosters finds it by the number
// of the account. Locks: Rosters.mu guards the map; Roster.edit makes changes
// one at a time, its statements included; Roster.mu guards the items for
// readers and is never held while a statement runs.
//
// Groups is the index of shared groups, and a View what the two make together:
// the roster that a client is shown.
package roster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// An Item is one contact, RFC 6121 §2.1.2, and what is pending with it.
type Item struct {
	JID      jid.JID
	Name     string
	Groups   []string
	Sub      Subscription
	Ask      bool   // the owner's request is unanswered
	In       bool   // the contact's request is unanswered
	Approved bool   // the contact's request will be granted unasked, §3.4
	Listed   bool   // shown to the owner; false while it is only a request
	Request  []byte // the contact's request as it came, while In
}

// LooksLike reports whether the owner is shown the same of both.
func (it *Item) LooksLike(other *Item) bool {
	return it.Listed == other.Listed && it.Name == other.Name && it.Sub == other.Sub && it.Ask == other.Ask &&
		it.Approved == other.Approved && slices.Equal(it.Groups, other.Groups)
}

// Bytes is how much of what its owner wrote an item holds: address, name and
// groups; nothing while it is only a request of the contact's.
func (it *Item) Bytes() int {
	if !it.Listed {
		return 0
	}
	n := len(it.JID.Local()) + len(it.JID.Domain()) + len(it.Name)
	for _, g := range it.Groups {
		n += len(g) + itemOverhead
	}
	return n + itemOverhead
}

// itemOverhead is what a string costs besides its bytes.
const itemOverhead = 16

// A Change is an item as it is now, or its removal.
type Change struct {
	Item    Item
	Removed bool
	Hidden  bool   // the owner never saw the item: nothing to push
	Version uint64 // of the roster, with this change
}

// Rosters finds rosters by account.
type Rosters struct {
	// Groups are the shared groups, none until they are loaded.
	Groups *Groups

	store *store.Store
	max   atomic.Pointer[func(feature.Org) int] // SetMax

	mu   sync.Mutex
	open map[store.AccountID]*Roster
}

// New makes the rosters over a store.
func New(st *store.Store) *Rosters {
	return &Rosters{Groups: NewGroups(st), store: st, open: make(map[store.AccountID]*Roster)}
}

// A Roster is the roster of one account.
type Roster struct {
	rosters *Rosters
	Org     feature.Org
	Account store.AccountID
	refs    int // guarded by Rosters.mu

	edit   sync.Mutex
	loaded bool // guarded by edit

	mu      sync.RWMutex
	version uint64
	items   map[jid.JID]*Item // nil while empty; items are replaced, never changed
	bytes   int               // of all items, see Item.Bytes
}

// Open returns the roster of an account, reading it when nobody has it open.
// version is the one that the account's row told; 0 means that there has never
// been an item, and nothing is read. Close must follow.
func (r *Rosters) Open(ctx context.Context, org feature.Org, account store.AccountID, version uint64) (*Roster, error) {
	r.mu.Lock()
	ro := r.open[account]
	if ro == nil {
		ro = &Roster{rosters: r, Org: org, Account: account, loaded: version == 0}
		r.open[account] = ro
	}
	ro.refs++
	r.mu.Unlock()
	if err := ro.load(ctx, nil); err != nil {
		r.Close(ro)
		return nil, err
	}
	return ro, nil
}

// OpenRead is Open for a roster whose rows were read already: they are of that
// version.
func (r *Rosters) OpenRead(org feature.Org, account store.AccountID, rows []store.RosterItem, version uint64) (*Roster, error) {
	r.mu.Lock()
	ro := r.open[account]
	if ro == nil {
		ro = &Roster{rosters: r, Org: org, Account: account, loaded: version == 0}
		r.open[account] = ro
	}
	ro.refs++
	r.mu.Unlock()
	if err := ro.load(context.Background(), &read{rows, version}); err != nil {
		r.Close(ro)
		return nil, err
	}
	return ro, nil
}

// read is a roster as it was read.
type read struct {
	rows    []store.RosterItem
	version uint64
}

// Hold opens an open roster once more; Close must follow.
func (ro *Roster) Hold() *Roster {
	ro.rosters.mu.Lock()
	defer ro.rosters.mu.Unlock()
	ro.refs++
	return ro
}

// Close gives back what Open or Hold gave.
func (r *Rosters) Close(ro *Roster) {
	if ro == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ro.refs--
	if ro.refs == 0 && r.open[ro.Account] == ro {
		if delete(r.open, ro.Account); len(r.open) == 0 {
			r.open = make(map[store.AccountID]*Roster) // it does not shrink by itself
		}
	}
}

// load reads the items, unless they were given.
func (ro *Roster) load(ctx context.Context, given *read) (err error) {
	ro.edit.Lock()
	defer ro.edit.Unlock()
	if ro.loaded {
		return nil
	}
	if given == nil {
		given = new(read)
		if given.rows, given.version, err = ro.rosters.store.Roster(ctx, ro.Org, ro.Account); err != nil {
			return err
		}
	}
	rows, version := given.rows, given.version
	bytes := 0
	items := make(map[jid.JID]*Item, len(rows))
	for _, row := range rows {
		it, err := fromRow(row)
		if err != nil {
			return err
		}
		items[it.JID] = it
		bytes += it.Bytes()
	}
	ro.mu.Lock()
	ro.version, ro.items, ro.bytes = version, items, bytes
	ro.mu.Unlock()
	ro.loaded = true
	return nil
}

// Version is the version of the roster; it grows with every change.
func (ro *Roster) Version() uint64 {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	return ro.version
}

// Get returns the item of a contact's bare address.
func (ro *Roster) Get(contact jid.JID) (Item, bool) {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	it := ro.items[contact]
	if it == nil {
		return Item{JID: contact}, false
	}
	return *it, true
}

// get is Get for a roster that may be nil.
func (ro *Roster) get(contact jid.JID) (Item, bool) {
	if ro == nil {
		return Item{JID: contact}, false
	}
	return ro.Get(contact)
}

// lists reports whether the owner is shown a personal item of the contact.
func (ro *Roster) lists(contact jid.JID) bool {
	it, ok := ro.get(contact)
	return ok && it.Listed
}

// listed is how many personal items the owner is shown.
func (ro *Roster) listed() (n int) {
	if ro == nil {
		return 0
	}
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	for _, it := range ro.items {
		if it.Listed {
			n++
		}
	}
	return n
}

// Len is the number of items, those included that the owner does not see.
func (ro *Roster) Len() int {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	return len(ro.items)
}

// Bytes is how much the owner has written into the roster, see Item.Bytes.
func (ro *Roster) Bytes() int {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	return ro.bytes
}

// Items returns all items and the version they belong to, in no order.
func (ro *Roster) Items() ([]*Item, uint64) {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	all := make([]*Item, 0, len(ro.items))
	for _, it := range ro.items {
		all = append(all, it)
	}
	return all, ro.version
}

// Since returns what changed after the given version, the latest change of
// each contact, the oldest first. full is true when that is not known any more; the whole
// roster must be sent then.
func (ro *Roster) Since(ctx context.Context, version uint64) (changes []Change, full bool, err error) {
	ro.edit.Lock()
	defer ro.edit.Unlock()
	now := ro.Version()
	if version == now {
		return nil, false, nil
	}
	if version > now {
		return nil, true, nil
	}
	delta, err := ro.rosters.store.RosterSince(ctx, ro.Org, ro.Account, version)
	if err != nil || delta.Full {
		return nil, true, err
	}
	for _, row := range delta.Changes {
		it, err := fromRow(row.RosterItem)
		if err != nil {
			return nil, true, err
		}
		changes = append(changes, Change{Item: *it, Removed: row.Removed || !it.Listed, Version: row.Version})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Version, b.Version) })
	return changes, false, nil
}

// Update changes the item of one contact: edit is given a copy (a new item
// when there is none) and returns false to leave all as it is. The change is
// written before it is seen. removed items are those that edit left idle.
func (ro *Roster) Update(ctx context.Context, contact jid.JID, edit func(*Item) bool) (Change, bool, error) {
	ro.edit.Lock()
	defer ro.edit.Unlock()
	old, existed := ro.Get(contact)
	it := old
	it.Groups = slices.Clone(old.Groups)
	if !edit(&it) {
		return Change{Item: old, Version: ro.Version()}, false, nil
	}
	remove := it.idle()
	if remove && !existed {
		return Change{Item: it, Version: ro.Version()}, false, nil
	}
	version, err := ro.persist(ctx, &it, remove)
	if err != nil {
		return Change{}, false, err
	}
	ro.mu.Lock()
	if remove {
		delete(ro.items, contact)
	} else {
		if ro.items == nil {
			ro.items = make(map[jid.JID]*Item)
		}
		ro.items[contact] = &it
	}
	ro.bytes += it.Bytes() - old.Bytes()
	ro.version = version
	ro.mu.Unlock()
	return Change{Item: it, Removed: remove || !it.Listed, Version: version}, true, nil
}

func (ro *Roster) persist(ctx context.Context, it *Item, remove bool) (uint64, error) {
	if remove {
		return ro.rosters.store.RemoveRosterItem(ctx, ro.Org, ro.Account, it.JID.String())
	}
	return ro.rosters.store.SetRosterItem(ctx, ro.Org, ro.Account, toRow(it))
}

func toRow(it *Item) store.RosterItem {
	row := store.RosterItem{
		Peer: it.JID.String(), Name: it.Name, Sub: store.Subscription(it.Sub), Ask: it.Ask,
		Approved: it.Approved, Groups: it.Groups, Listed: it.Listed,
	}
	if it.In {
		row.Pending = it.Request
	}
	return row
}

func fromRow(row store.RosterItem) (*Item, error) {
	contact, err := jid.Parse(row.Peer)
	if err != nil {
		return nil, fmt.Errorf("roster item %q: %w", row.Peer, err)
	}
	return &Item{
		JID: contact, Name: row.Name, Groups: row.Groups, Sub: Subscription(row.Sub), Ask: row.Ask,
		In: row.Pending != nil, Approved: row.Approved, Listed: row.Listed, Request: row.Pending,
	}, nil
}

// AppendXML writes the item as a child of the roster query, RFC 6121 §2.1.2.
func (c *Change) AppendXML(x *stanza.XML) {
	it := &c.Item
	attrs := make([]string, 0, 10)
	attrs = append(attrs, "jid", it.JID.String())
	if c.Removed {
		x.Empty("item", append(attrs, "subscription", "remove")...)
		return
	}
	if it.Name != "" {
		attrs = append(attrs, "name", it.Name)
	}
	attrs = append(attrs, "subscription", it.Sub.String())
	if it.Ask {
		attrs = append(attrs, "ask", "subscribe")
	}
	if it.Approved {
		attrs = append(attrs, "approved", "true")
	}
	x.Start("item", attrs...)
	for _, g := range it.Groups {
		x.Start("group").Text(g).End()
	}
	x.End()
}
