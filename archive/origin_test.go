package archive

import (
	"strconv"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// message is one from owner with an origin hash.
func message(org feature.Org, owner store.AccountID, hash uint64) *Message {
	return &Message{Org: org, Origin: hash, Copies: [2]store.Copy{{Owner: owner, Origin: hash}}}
}

// TestOriginsReadAgain: what was forgotten, or sent before a restart, is found
// in the store.
func TestOriginsReadAgain(t *testing.T) {
	ctx, s := t.Context(), storetest.Open(t)
	org, err := s.AddOrg(ctx, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := s.CreateAccount(ctx, org, "anna", nil)
	if err != nil {
		t.Fatal(err)
	}
	var g ids
	id := g.next(time.Now())
	if err := s.AppendBatch(ctx, &store.Batch{Messages: []store.Message{{
		Org: org, ID: store.ID(id), Stanza: []byte("<message/>"), Copies: []store.Copy{{Owner: owner, Origin: 7}},
	}}}); err != nil {
		t.Fatal(err)
	}
	o := origins{store: s}
	for _, c := range []struct {
		hash uint64
		seen bool
	}{{7, true}, {8, false}, {8, true}, {7, true}} {
		got, err := o.seen(ctx, message(org, owner, c.hash), g.next(time.Now()))
		if err != nil || got != c.seen {
			t.Errorf("origin %d seen: %v, %v; want %v", c.hash, got, err, c.seen)
		}
	}
}

// TestOriginsKeepUncommitted: a sender is not forgotten while a message of
// theirs is on its way to the disk, for the store could not tell of it.
func TestOriginsKeepUncommitted(t *testing.T) {
	o := origins{senders: map[store.AccountID]*sent{}}
	var g ids
	committed := g.next(time.Now())
	under := g.next(time.Now())
	for i := range store.AccountID(maxSenders) {
		last := committed
		if i%2 == 0 {
			last = under
		}
		o.senders[i+1] = &sent{last: last}
	}
	o.settle(committed)
	o.mu.Lock()
	for range 40 {
		o.forget()
		for i := range store.AccountID(2000) { // others come
			o.senders[maxSenders+i+1] = &sent{}
		}
	}
	o.mu.Unlock()
	for i := range store.AccountID(maxSenders) {
		if i%2 == 0 && o.senders[i+1] == nil {
			t.Fatalf("sender %d was forgotten with a message under way", i+1)
		}
	}
	if len(o.senders) > maxSenders+2000 {
		t.Errorf("%d senders are kept", len(o.senders))
	}
}

// TestOriginsBounded: the oldest of too many give way, the last never.
func TestOriginsBounded(t *testing.T) {
	s := &sent{}
	hash := func(i int) uint64 { return OriginHash("anna@example.org", strconv.Itoa(i)) }
	for i := range 5000 {
		if s.note(hash(i), stanza.ArchiveID{}) {
			t.Fatalf("%d was not there before", i)
		}
		for back := range min(i, recent/2) {
			if back%37 == 0 && !s.note(hash(i-back), stanza.ArchiveID{}) {
				t.Fatalf("%d is forgotten after %d more", i-back, back)
			}
		}
	}
	if n := s.young.n + s.old.n; n > recent {
		t.Errorf("%d hashes are kept", n)
	}
	if s.note(hash(0), stanza.ArchiveID{}) {
		t.Error("the first is still there")
	}
}
