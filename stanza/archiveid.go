package stanza

import "bytes"

// An ArchiveID names a message in the archive (XEP-0359): 48 bits of
// milliseconds, a counter of 16 bits, 64 random bits. It grows with time.
type ArchiveID [16]byte

// IsZero reports whether there is no id: the stanza has no row.
func (id ArchiveID) IsZero() bool { return id == ArchiveID{} }

// Less reports whether id is older than other.
func (id ArchiveID) Less(other ArchiveID) bool { return bytes.Compare(id[:], other[:]) < 0 }

// Before is the greatest id below this one.
func (id ArchiveID) Before() ArchiveID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

// Flags say of a Wire what those who carry it must know without looking in.
type Flags uint8

// StateOnly marks a message that carries nothing but a chat state (XEP-0085):
// an inactive client is spared it.
const StateOnly Flags = 1

// Has reports whether all of f are set.
func (f Flags) Has(other Flags) bool { return f&other == other }

// NonzaOf makes a Wire of an element that is no stanza, to be queued in order
// with stanzas and counted by nobody. It keeps b.
func NonzaOf(b []byte) *Wire { return &Wire{Kind: Nonza, inner: Nonza, main: b} }
