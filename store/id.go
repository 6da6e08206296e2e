package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bearhug/bearhug/jid"
)

// AccountID is an account's number: 8 bytes of ours, growing with time, never
// given twice, not even after the account is gone. 0 is no account.
type AccountID int64

// Peer stands for the bare address at the other end of a conversation: a keyed
// hash, 0 for nobody. The key is a secret of the database, so that nobody can
// look for two addresses of the same hash.
type Peer uint64

// ID is an archive id: 48 bits of milliseconds, a 16-bit counter, 64 random
// bits. The first half alone is unique and grows from message to message.
type ID [16]byte

// IsZero reports whether there is no id.
func (a ID) IsZero() bool { return a == ID{} }

// Compare orders ids by time: -1, 0 or 1.
func (a ID) Compare(b ID) int { return bytes.Compare(a[:], b[:]) }

// String is the id in hexadecimal.
func (a ID) String() string { return hex.EncodeToString(a[:]) }

// Time is when the id was made, to the millisecond.
func (a ID) Time() time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(a[:8]) >> 16)) }

// seq is the first half: the key of the message in the database.
func (a ID) seq() int64 { return int64(binary.BigEndian.Uint64(a[:8])) }

// rnd is the second half.
func (a ID) rnd() int64 { return int64(binary.BigEndian.Uint64(a[8:])) }

func makeID(seq, rnd int64) (a ID) {
	binary.BigEndian.PutUint64(a[:8], uint64(seq))
	binary.BigEndian.PutUint64(a[8:], uint64(rnd))
	return a
}

// Peer is the hash of bare's bare address.
func (s *Store) Peer(bare jid.JID) Peer {
	if bare.IsZero() {
		return 0
	}
	return Peer(s.hash(bare.Bare().String()))
}

// hash is keyed by the database's own secret, and is never 0.
func (s *Store) hash(text string) uint64 {
	var room [128]byte
	sum := sha256.Sum256(append(append(room[:0], s.key...), text...))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// counter gives out account ids: milliseconds and 16 bits that begin at random
// in each millisecond, so that two processes hardly meet. mu is a leaf.
type counter struct {
	mu   sync.Mutex
	last int64
}

// next is greater than all before it.
func (c *counter) next() AccountID {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := time.Now().UnixMilli()<<16 | rand.Int64N(1<<15)
	c.last = max(n, c.last+1)
	return AccountID(c.last)
}

// raise makes sure that next stays above n.
func (c *counter) raise(n int64) {
	c.mu.Lock()
	c.last = max(c.last, n)
	c.mu.Unlock()
}
