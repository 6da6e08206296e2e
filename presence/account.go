package presence

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/store"
)

// An Account is what the server knows of one account while anybody deals with
// it: its number, who it blocks, its resources and who watches it. Whoever
// holds one has acquired it from the Directory and releases it.
type Account struct {
	JID jid.JID // bare
	Org feature.Org

	ID store.AccountID // valid once loaded
	// Inbox is what of the delivery log has reached a client.
	Inbox   archive.Inbox
	Blocked atomic.Pointer[Blocklist]
	Prefs   atomic.Pointer[archive.Prefs]

	directory *Directory
	board     *board
	refs      atomic.Int32
	stale     atomic.Bool                 // nobody holds it, since the last sweep
	resources atomic.Pointer[[]*Resource] // replaced, never changed
	version   atomic.Uint64               // of the roster, as far as it is known

	load   sync.Mutex
	loaded atomic.Bool
	signIn atomic.Pointer[credentials] // what the last sign-in read
	// brought is the roster that the sign-in has read with the account, until
	// it is open.
	brought atomic.Pointer[broughtRoster]

	edits  sync.Mutex // held from a change of the roster to its push: pushes come in order
	pushes uint64     // sent so far, for their ids; guarded by edits

	// Guarded by board.mu.
	roster  *roster.Roster // open while a resource is bound and it was needed
	entries []*entry       // its resources as they are shown
	shown   int            // how many of them are
	fewer   uint64         // the version when last some were shown no more, to all or to some
	own     *audience      // its resources for its personal contacts
	places  []*audience    // where its entries stand
	cut     *roster.View   // its roster, when that is too small for all
}

// A Resource is a bound session. Its fields are guarded by board.mu.
type Resource struct {
	Session *session.Session

	follower roster.Follower // what its client has been told of groups; guarded by Account.edits

	entry    *entry               // while it is available
	viewer   *viewer              // the same
	directed map[jid.JID]struct{} // who was sent presence besides
	rows     map[jid.JID]struct{} // what is on its screen (SetVisible)
}

// credentials are an account's row and the store's SignInVersion before it was
// read.
type credentials struct {
	row     *store.Account
	version uint64
}

// A broughtRoster are the rows of a roster, and their version.
type broughtRoster struct {
	rows    []store.RosterItem
	version uint64
}

// Resources are the bound resources, in the order in which they were bound.
// The slice is not to be changed.
func (a *Account) Resources() []*Resource {
	if p := a.resources.Load(); p != nil {
		return *p
	}
	return nil
}

// Resource finds the session bound to a resource.
func (a *Account) Resource(name string) *session.Session {
	for _, r := range a.Resources() {
		if r.Session.JID.Resource() == name {
			return r.Session
		}
	}
	return nil
}

// Online reports whether any resource is available.
func (a *Account) Online() bool {
	for _, r := range a.Resources() {
		if _, ok := r.Session.Priority(); ok {
			return true
		}
	}
	return false
}

// Release gives the account back to the Directory. Whoever nobody holds is
// forgotten after a while (idle.go).
func (a *Account) Release() {
	if a.stale.Load() {
		a.stale.Store(false)
	}
	if a.refs.Add(-1) == 0 {
		a.directory.unheld()
	}
}

// Hold acquires the account once more, for someone who may outlive the holder.
func (a *Account) Hold() *Account {
	a.refs.Add(1)
	return a
}

// Roster opens the account's roster. Close it when done.
func (a *Account) Roster(ctx context.Context) (*roster.Roster, error) {
	if p := a.brought.Load(); p != nil && p.version == a.version.Load() {
		return a.directory.rosters.OpenRead(a.Org, a.ID, p.rows, p.version)
	}
	return a.directory.rosters.Open(ctx, a.Org, a.ID, a.version.Load())
}

// open opens the roster for as long as resources are bound: who comes must know
// whom to tell, without a statement under a lock.
func (a *Account) open(ctx context.Context) error {
	a.board.mu.RLock()
	open := a.isOpen()
	a.board.mu.RUnlock()
	if open {
		return nil
	}
	ro, err := a.Roster(ctx)
	if err != nil {
		return err
	}
	defer a.directory.rosters.Close(ro)
	a.keep(ro)
	return nil
}

// isOpen reports whether the roster is open, or there is none.
func (a *Account) isOpen() bool { return a.roster != nil || a.version.Load() == 0 }

// keep has an open roster stay open while resources are bound.
func (a *Account) keep(ro *roster.Roster) {
	a.board.mu.Lock()
	defer a.board.mu.Unlock()
	if a.roster == nil && len(a.Resources()) > 0 {
		a.roster = ro.Hold()
		a.brought.Store(nil)
	}
}

// A Blocklist is the set of addresses an account wants nothing from,
// XEP-0191. It is replaced, never changed.
type Blocklist map[jid.JID]struct{}

// Blocks reports whether the account blocks an address: itself, its bare
// form, its domain with the resource, or its domain (XEP-0191 §3.1).
func (a *Account) Blocks(other jid.JID) bool {
	list := a.Blocked.Load()
	if list == nil {
		return false
	}
	return list.Has(other)
}

// Has applies the matching rules of XEP-0191 §3.1.
func (b *Blocklist) Has(other jid.JID) bool {
	if _, ok := (*b)[other]; ok {
		return true
	}
	if _, ok := (*b)[other.Bare()]; ok {
		return true
	}
	domain, err := jid.New("", other.Domain(), "")
	if err != nil {
		return false
	}
	if _, ok := (*b)[domain]; ok {
		return true
	}
	if other.Resource() == "" {
		return false
	}
	domain, err = domain.WithResource(other.Resource())
	_, ok := (*b)[domain]
	return ok && err == nil
}

// add binds a resource; board.mu is held.
func (a *Account) add(r *Resource) {
	list := append(slices.Clone(a.Resources()), r)
	a.resources.Store(&list)
}

// drop unbinds a session; board.mu is held.
func (a *Account) drop(s *session.Session) *Resource {
	list := slices.Clone(a.Resources())
	i := slices.IndexFunc(list, func(r *Resource) bool { return r.Session == s })
	if i < 0 {
		return nil
	}
	r := list[i]
	list = slices.Delete(list, i, i+1)
	if len(list) == 0 {
		a.resources.Store(nil)
		return r
	}
	a.resources.Store(&list)
	return r
}

// stands reports whether the entries of the account stand in an audience.
func (a *Account) stands(aud *audience) bool { return slices.Contains(a.places, aud) }

func (a *Account) find(s *session.Session) *Resource {
	for _, r := range a.Resources() {
		if r.Session == s {
			return r
		}
	}
	return nil
}
