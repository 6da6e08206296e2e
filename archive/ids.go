package archive

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/bearhug/bearhug/stanza"
)

// ids makes archive ids: 48 bits of milliseconds, 16 of a counter, 64 random
// ones (XEP-0313 §4.1 asks that they cannot be guessed). They never go back,
// whatever the clock does. The caller sees to it that one is made at a time.
type ids struct {
	last   uint64 // milliseconds << 16 | counter
	random [512]byte
	left   int
}

func (g *ids) seed(greatest stanza.ArchiveID) { g.last = sequence(greatest) }

// sequence is the part of an id that grows from one to the next.
func sequence(id stanza.ArchiveID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// top is the greatest id of a sequence number.
func top(sequence uint64) (id stanza.ArchiveID) {
	binary.BigEndian.PutUint64(id[:8], sequence)
	binary.BigEndian.PutUint64(id[8:], 1<<64-1)
	return id
}

func (g *ids) next(now time.Time) (id stanza.ArchiveID) {
	g.last = max(g.last+1, uint64(now.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[:8], g.last)
	if g.left == 0 {
		rand.Read(g.random[:]) // never fails
		g.left = len(g.random)
	}
	copy(id[8:], g.random[g.left-8:g.left])
	g.left -= 8
	return id
}

// FormatID is the id as clients see it.
func FormatID(id stanza.ArchiveID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseID reads what FormatID wrote.
func ParseID(s string) (id stanza.ArchiveID, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(id) || len(s) != base64.RawURLEncoding.EncodedLen(len(id)) { // it skips line ends
		return id, false
	}
	return stanza.ArchiveID(b), true
}

// TimeOf is when the message was taken, to the millisecond.
func TimeOf(id stanza.ArchiveID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// FirstID is the least id of a moment: the bound for 'start' and 'end'.
func FirstID(t time.Time) (id stanza.ArchiveID) {
	ms := t.UnixMilli()
	switch {
	case ms < 0:
		return id
	case ms >= 1<<47: // past it the number is negative for a database
		ms = 1<<47 - 1
	}
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16)
	return id
}
