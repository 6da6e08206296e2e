package archive

import (
	"context"
	"hash/fnv"
	"sync"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// recent is how many sent messages of an account are remembered by their
// origin-id, so that one that is sent again after a cut is found.
const recent = 1024

// maxSenders bounds the accounts that origins remembers.
const maxSenders = 20000

// origins knows the last messages each account has sent. What is forgotten is
// read from the store again: by whoever brings a message (load), so that
// nobody else waits for it.
type origins struct {
	store *store.Store

	mu      sync.Mutex
	senders map[store.AccountID]*sent
	dropped uint64           // how often senders were forgotten
	settled stanza.ArchiveID // what has a lower id is in the store
}

// sent is the origin hashes of one account: the last half of recent, or more,
// and as many before them.
type sent struct {
	young, old set
	last       stanza.ArchiveID // of a message that is noted; it may not be in the store yet
}

// A set holds hashes; none is 0. It is a table of a power of two places, half
// of them free; a hash stands at its place or behind it.
type set struct {
	n     int
	table []uint64
}

// at is where h stands, or could.
func (s *set) at(h uint64) int {
	mask := len(s.table) - 1
	i := int(h) & mask
	for s.table[i] != 0 && s.table[i] != h {
		i = (i + 1) & mask
	}
	return i
}

func (s *set) has(h uint64) bool { return s.n > 0 && s.table[s.at(h)] == h }

// add adds a hash that is not there.
func (s *set) add(h uint64) {
	if 2*(s.n+1) > len(s.table) {
		before := s.table
		s.table = make([]uint64, max(8, 2*len(before)))
		for _, old := range before {
			if old != 0 {
				s.table[s.at(old)] = old
			}
		}
	}
	s.table[s.at(h)] = h
	s.n++
}

// load makes the account known, reading the store when it is not.
func (o *origins) load(ctx context.Context, org feature.Org, owner store.AccountID) error {
	for {
		o.mu.Lock()
		known, dropped := o.senders[owner] != nil, o.dropped
		o.mu.Unlock()
		if known {
			return nil
		}
		list, err := o.store.RecentOrigins(ctx, org, owner, recent)
		if err != nil {
			return err
		}
		s := &sent{}
		for i := len(list) - 1; i >= 0; i-- {
			s.note(list[i], stanza.ArchiveID{})
		}
		if o.keep(owner, s, dropped) {
			return nil
		}
	}
}

// keep enters what was read, unless somebody else has. It returns false when
// senders were forgotten meanwhile: this one may have been among them, with
// messages that are newer than what was read.
func (o *origins) keep(owner store.AccountID, s *sent, dropped uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.senders[owner] != nil {
		return true
	}
	if o.dropped != dropped {
		return false
	}
	if o.senders == nil {
		o.senders = make(map[store.AccountID]*sent)
	}
	if len(o.senders) >= maxSenders {
		o.forget()
	}
	o.senders[owner] = s
	return true
}

// forget drops some senders: any of which all is in the store.
func (o *origins) forget() {
	o.dropped++
	for old, s := range o.senders {
		if !o.settled.Less(s.last) {
			delete(o.senders, old)
		}
		if len(o.senders) < maxSenders-maxSenders/16 {
			return
		}
	}
}

// settle tells that all up to id is in the store.
func (o *origins) settle(id stanza.ArchiveID) {
	o.mu.Lock()
	o.settled = id
	o.mu.Unlock()
}

// seen reports whether the account has sent a message of this origin hash
// lately. If not it has now: by the message that gets id.
func (o *origins) seen(ctx context.Context, m *Message, id stanza.ArchiveID) (bool, error) {
	owner := m.Copies[0].Owner
	for {
		o.mu.Lock()
		if s := o.senders[owner]; s != nil {
			defer o.mu.Unlock()
			return s.note(m.Origin, id), nil
		}
		o.mu.Unlock()
		if err := o.load(ctx, m.Org, owner); err != nil { // forgotten since Append
			return false, err
		}
	}
}

// note adds a hash and reports whether it was there.
func (s *sent) note(hash uint64, id stanza.ArchiveID) bool {
	if s.young.has(hash) || s.old.has(hash) {
		return true
	}
	s.last = id
	if s.young.n == recent/2 {
		s.young, s.old = set{}, s.young
	}
	s.young.add(hash)
	return false
}

// OriginHash identifies a message by whom it goes to and its origin-id.
func OriginHash(to, origin string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(to))
	h.Write([]byte{0})
	h.Write([]byte(origin))
	if sum := h.Sum64(); sum != 0 {
		return sum
	}
	return 1
}
