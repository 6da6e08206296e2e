package cluster

import (
	"encoding/binary"
	"errors"

	"github.com/bearhug/bearhug/feature"
)

// A frame is what one node tells others in one piece:
//
//	version<<4 | kind    1 byte
//	node                 2 bytes, big endian: who sends
//	epoch                8 bytes: which life of that node
//	sequence             8 bytes: see kind
//	... by kind ...
//
// Numbers after these 19 bytes are varints of the shortest form, so that a
// frame has one encoding only.
const (
	version  = 1
	fixed    = 19
	nameSize = 64 // longest name of a feature, bytes
)

type kind byte

const (
	// kindData is one change: sequence is its own, one above the last.
	// name length, name, organisation, payload.
	kindData kind = iota + 1
	// kindBeat says that the node lives: sequence is that of the last change.
	kindBeat
	// kindBye says that the node leaves.
	kindBye
	// kindAsk asks for a snapshot, or for the rest of one: sequence is the
	// number of the asking. epoch that is asked, next piece, again (0 or 1).
	kindAsk
	// kindPiece is a piece of a snapshot: sequence is what the snapshot
	// stands for. epoch and number of the asking, piece, last (0 or 1), items.
	kindPiece
)

var errFrame = errors.New("not a frame of this version")

// frame is a frame as it is read: a view over its bytes.
type frame struct {
	kind  kind
	node  Node
	epoch uint64
	seq   uint64

	item // kindData

	other  uint64 // kindAsk: the epoch that is asked; kindPiece: the epoch of who asked
	asking uint64 // kindPiece: number of the asking
	piece  uint64 // kindAsk: the next one wanted; kindPiece: this one's number
	flag   bool   // kindAsk: what is on its way is sent again; kindPiece: the last one
	items  []byte // kindPiece
}

// item is a feature's word: alone in a kindData, with others in a kindPiece.
type item struct {
	name    []byte
	org     feature.Org
	payload []byte
}

// appendHead begins a frame.
func appendHead(b []byte, k kind, n Node, epoch, seq uint64) []byte {
	b = append(b, version<<4|byte(k))
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = binary.BigEndian.AppendUint64(b, epoch)
	return binary.BigEndian.AppendUint64(b, seq)
}

// setSequence gives a frame its sequence after the fact.
func setSequence(b []byte, seq uint64) { binary.BigEndian.PutUint64(b[11:], seq) }

func appendName(b []byte, name string, org feature.Org) []byte {
	b = append(b, byte(len(name)))
	b = append(b, name...)
	return binary.AppendUvarint(b, uint64(org))
}

func appendFlag(b []byte, on bool) []byte {
	if on {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendAsk(b []byte, other, piece uint64, again bool) []byte {
	b = binary.AppendUvarint(b, other)
	b = binary.AppendUvarint(b, piece)
	return appendFlag(b, again)
}

func appendPiece(b []byte, other, asking, piece uint64, last bool) []byte {
	b = binary.AppendUvarint(b, other)
	b = binary.AppendUvarint(b, asking)
	b = binary.AppendUvarint(b, piece)
	return appendFlag(b, last)
}

// appendItem adds one word of a snapshot: length, name, organisation, payload.
func appendItem(b []byte, name string, org feature.Org, payload [][]byte) []byte {
	b = appendName(b, name, org)
	b = binary.AppendUvarint(b, uint64(length(payload)))
	for _, p := range payload {
		b = append(b, p...)
	}
	return b
}

func length(payload [][]byte) int {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	return n
}

// decode reads a frame. It keeps b.
func decode(b []byte) (frame, error) {
	var f frame
	if len(b) < fixed || b[0]>>4 != version {
		return f, errFrame
	}
	f.kind = kind(b[0] & 15)
	f.node = Node(binary.BigEndian.Uint16(b[1:]))
	f.epoch = binary.BigEndian.Uint64(b[3:])
	f.seq = binary.BigEndian.Uint64(b[11:])
	if f.node == 0 || f.epoch == 0 {
		return f, errFrame
	}
	r := reader{rest: b[fixed:]}
	switch f.kind {
	case kindData:
		f.item = r.head()
		f.payload, r.rest = r.rest, nil
	case kindBeat, kindBye:
	case kindAsk:
		f.other, f.piece, f.flag = r.number(), r.number(), r.flag()
	case kindPiece:
		f.other, f.asking, f.piece, f.flag = r.number(), r.number(), r.number(), r.flag()
		f.items, r.rest = r.rest, nil
	default:
		return f, errFrame
	}
	if r.bad || len(r.rest) > 0 || f.kind == kindData && f.seq == 0 {
		return f, errFrame
	}
	return f, nil
}

// reader takes numbers and names off the front of a frame. Past the first
// mistake it gives zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.rest = true, nil
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 { // cut short, too great, or not the shortest form
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) flag() bool {
	if len(r.rest) == 0 || r.rest[0] > 1 {
		r.fail()
		return false
	}
	on := r.rest[0] == 1
	r.rest = r.rest[1:]
	return on
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// head reads the name and the organisation of an item.
func (r *reader) head() item {
	var i item
	if len(r.rest) == 0 || r.rest[0] == 0 || r.rest[0] > nameSize {
		r.fail()
		return i
	}
	size := r.rest[0]
	r.rest = r.rest[1:]
	i.name = r.bytes(uint64(size))
	org := r.number()
	if org > 1<<32-1 {
		r.fail()
	}
	i.org = feature.Org(org)
	return i
}

// item reads one word of a snapshot.
func (r *reader) item() item {
	i := r.head()
	i.payload = r.bytes(r.number())
	return i
}
