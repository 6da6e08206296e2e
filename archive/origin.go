package archive

import (
	"context"
	"hash/fnv"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// recent is how many sent messages of an account are remembered by their
// origin-id, so that one that is sent again after a cut is found.
const recent = 1024

// maxSenders bounds the accounts that origins remembers.
const maxSenders = 20000

// origins knows the last messages each account has sent. What is forgotten is
// read from the store again. It is used under Archive.hand.
type origins struct {
	store   *store.Store
	senders map[store.AccountID]*sent
}

// sent holds the origin hashes of one account: a ring and its set.
type sent struct {
	ring []uint64
	at   int
	set  map[uint64]struct{}
}

// seen reports whether the account has sent a message of this origin hash
// lately, and notes that it has now.
func (o *origins) seen(ctx context.Context, org feature.Org, owner store.AccountID, hash uint64) (bool, error) {
	s := o.senders[owner]
	if s == nil {
		list, err := o.store.RecentOrigins(ctx, org, owner, recent)
		if err != nil {
			return false, err
		}
		s = &sent{set: make(map[uint64]struct{}, len(list)+1)}
		for i := len(list) - 1; i >= 0; i-- {
			s.note(list[i].Hash)
		}
		o.keep(owner, s)
	}
	if _, ok := s.set[hash]; ok {
		return true, nil
	}
	s.note(hash)
	return false, nil
}

func (o *origins) keep(owner store.AccountID, s *sent) {
	if o.senders == nil {
		o.senders = make(map[store.AccountID]*sent)
	}
	if len(o.senders) >= maxSenders {
		for old := range o.senders { // any: it is read again when it is needed
			delete(o.senders, old)
			if len(o.senders) < maxSenders-maxSenders/16 {
				break
			}
		}
	}
	o.senders[owner] = s
}

func (s *sent) note(hash uint64) {
	s.set[hash] = struct{}{}
	if len(s.ring) < recent {
		s.ring = append(s.ring, hash)
		return
	}
	delete(s.set, s.ring[s.at])
	s.ring[s.at] = hash
	s.at = (s.at + 1) % recent
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
