package presence

import (
	"maps"
	"slices"
	"time"

	"github.com/bearhug/bearhug/jid"
)

// An account that nobody holds is remembered for a while: who has just written
// to somebody who is away mostly writes again. Then it is forgotten, and met
// anew by a statement. What only memory knows keeps an account: deliveries that
// have arrived out of order, a cursor that is not saved.

// forgetAfter is how long an account is remembered that nobody holds: so long
// at least, twice as long at most.
const forgetAfter = 10 * time.Second

// unheld is told that nobody holds some account any more: there is something
// to forget, in time.
func (d *Directory) unheld() {
	if d.sweeping.Load() || !d.sweeping.CompareAndSwap(false, true) {
		return
	}
	d.agenda.atLeisure(time.Now().Add(forgetAfter), d.sweep)
}

// sweep forgets whoever nobody has held since the last sweep. It comes again
// while anybody is left who may be forgotten, or is let go meanwhile.
func (d *Directory) sweep() {
	d.sweeping.Store(false)
	left := false
	for i := range d.shard {
		left = d.shard[i].sweep(d.spare) || left
	}
	if left {
		d.unheld()
	}
}

// spare reports whether memory knows more of an account than the store.
func (d *Directory) spare(a *Account) bool {
	return a.Inbox.Ahead() || d.Saving != nil && d.Saving(a.ID)
}

// sweep is Directory.sweep for one shard; true means that some are left whom
// nobody holds.
func (sh *shard) sweep(spare func(*Account) bool) (left bool) {
	var stale []*Account
	sh.mu.Lock()
	for _, a := range sh.accounts {
		if a.refs.Load() != 0 {
			continue
		}
		left = true
		if a.stale.Swap(true) {
			stale = append(stale, a)
		}
	}
	sh.mu.Unlock()
	sh.forget(stale, spare)
	return left
}

// forget drops accounts that nobody has held since they were marked as stale.
func (sh *shard) forget(stale []*Account, spare func(*Account) bool) {
	stale = slices.DeleteFunc(stale, spare) // it asks archive and store, which is not done under the lock
	if len(stale) == 0 {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, a := range stale {
		if a.refs.Load() == 0 && a.stale.Load() && sh.accounts[a.JID] == a {
			delete(sh.accounts, a.JID)
		}
	}
	if len(sh.accounts) < sh.most/4 { // a map does not shrink by itself
		few := make(map[jid.JID]*Account, len(sh.accounts)) // nor does its clone
		maps.Copy(few, sh.accounts)
		sh.accounts = few
		sh.most = len(sh.accounts)
	}
}

// evict makes room when too many accounts are remembered: some that nobody
// holds are forgotten at once.
func (sh *shard) evict(spare func(*Account) bool) {
	var stale []*Account
	sh.mu.RLock()
	if len(sh.accounts) >= idle {
		seen := 0
		for _, a := range sh.accounts {
			if a.refs.Load() == 0 {
				a.stale.Store(true)
				stale = append(stale, a)
			}
			if seen++; seen == 64 {
				break
			}
		}
	}
	sh.mu.RUnlock()
	sh.forget(stale, spare)
}
