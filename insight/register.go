package insight

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// Bounds of a register: people of a question, and results shown of it.
const (
	maxMembers = 1 << 20
	maxCells   = 4096
	maxKey     = 1024 // bytes
)

// Register is what has been shown of one question: who was counted with which
// value, and in which cells. It is a value to store with the campaign
// (MarshalBinary, about 20 bytes a person) and to delete with its answers,
// which it is as private as. The zero value is an empty one.
type Register struct {
	members []member // by pseudonym
	sizes   []int    // people by block; block 0 is nobody's
	cells   []shownCell
}

type member struct {
	person Pseudonym
	value  int16
	block  int
}

type shownCell struct {
	key    string
	blocks []int
}

// find is the place of a person, or where it would be.
func (r *Register) find(p Pseudonym) (int, bool) {
	return slices.BinarySearchFunc(r.members, p, func(m member, p Pseudonym) int { return bytes.Compare(m.person[:], p[:]) })
}

func (r *Register) newBlock() int {
	if len(r.sizes) == 0 {
		r.sizes = append(r.sizes, 0)
	}
	r.sizes = append(r.sizes, 0)
	return len(r.sizes) - 1
}

// insert adds people to a block.
func (r *Register) insert(answers []Answer, block int) {
	for _, a := range answers {
		r.members = append(r.members, member{a.Person, int16(max(-1<<15, min(1<<15-1, a.Value))), block})
	}
	slices.SortFunc(r.members, func(a, b member) int { return bytes.Compare(a.person[:], b.person[:]) })
	r.sizes[block] += len(answers)
}

// cell is the number of a key's cell, -1 if it was never shown.
func (r *Register) cell(key string) int {
	return slices.IndexFunc(r.cells, func(c shownCell) bool { return c.key == key })
}

// result adds up a cell from the values that its people had when they were
// first counted.
func (r *Register) result(c int) Cell {
	out := Cell{Key: r.cells[c].key, Shown: true, Counts: map[int]int{}}
	in := make([]bool, len(r.sizes))
	for _, b := range r.cells[c].blocks {
		in[b] = true
	}
	for _, m := range r.members {
		if in[m.block] {
			out.N++
			out.Sum += int(m.value)
			out.Counts[int(m.value)]++
		}
	}
	return out
}

// Members are the people counted in a shown cell, nil if it is not shown:
// whose comments go with it, for example.
func (r *Register) Members(key string) []Pseudonym {
	c := r.cell(key)
	if c < 0 {
		return nil
	}
	var out []Pseudonym
	for _, m := range r.members {
		if slices.Contains(r.cells[c].blocks, m.block) {
			out = append(out, m.person)
		}
	}
	return out
}

// Rename puts another pseudonym, a random one that nobody knows, in the place of
// a person who is erased: the sums that were shown stay as they are, and nobody
// can be found in them any more. It reports whether the person was counted.
func (r *Register) Rename(person, random Pseudonym) bool {
	at, ok := r.find(person)
	if !ok {
		return false
	}
	m := r.members[at]
	r.members = slices.Delete(r.members, at, at+1)
	to, taken := r.find(random)
	for taken { // not with random ones; the next that is free then
		for i := len(random) - 1; i >= 0; i-- {
			if random[i]++; random[i] != 0 {
				break
			}
		}
		to, taken = r.find(random)
	}
	m.person = random
	r.members = slices.Insert(r.members, to, m)
	return true
}

const registerVersion = 1

// MarshalBinary writes the register.
func (r *Register) MarshalBinary() ([]byte, error) {
	b := []byte{registerVersion}
	b = binary.AppendUvarint(b, uint64(len(r.sizes)))
	b = binary.AppendUvarint(b, uint64(len(r.members)))
	for _, m := range r.members {
		b = append(b, m.person[:]...)
		b = binary.AppendVarint(b, int64(m.value))
		b = binary.AppendUvarint(b, uint64(m.block))
	}
	b = binary.AppendUvarint(b, uint64(len(r.cells)))
	for _, c := range r.cells {
		b = binary.AppendUvarint(b, uint64(len(c.key)))
		b = append(b, c.key...)
		b = binary.AppendUvarint(b, uint64(len(c.blocks)))
		for _, x := range c.blocks {
			b = binary.AppendUvarint(b, uint64(x))
		}
	}
	return b, nil
}

// ErrRegister: what was stored is not a whole register. Nothing of the
// question may be shown until it is found: an empty one in its place would
// forget what was shown.
var ErrRegister = errors.New("the register of shown results is damaged: show nothing of this question and restore it from a backup")

// UnmarshalBinary reads a register, or gives ErrRegister and leaves r empty.
func (r *Register) UnmarshalBinary(b []byte) error {
	*r = Register{}
	d := decoder{b: b}
	if d.byte() != registerVersion {
		return ErrRegister
	}
	got := Register{}
	if blocks := d.count(maxMembers + 1); blocks > 0 {
		got.sizes = make([]int, blocks)
	}
	for n := d.count(maxMembers); n > 0 && !d.bad; n-- {
		m := member{person: d.person(), value: int16(d.varint()), block: d.count(max(0, len(got.sizes)-1))}
		if m.block == 0 || len(got.members) > 0 && bytes.Compare(got.members[len(got.members)-1].person[:], m.person[:]) >= 0 {
			return ErrRegister
		}
		got.sizes[m.block]++
		got.members = append(got.members, m)
	}
	for n := d.count(maxCells); n > 0 && !d.bad; n-- {
		c := shownCell{key: string(d.bytes(d.count(maxKey)))}
		for k := d.count(len(got.sizes)); k > 0 && !d.bad; k-- {
			c.blocks = append(c.blocks, d.count(max(0, len(got.sizes)-1)))
		}
		got.cells = append(got.cells, c)
	}
	if d.bad || len(d.b) > 0 {
		return ErrRegister
	}
	*r = got
	return nil
}

// decoder reads what MarshalBinary wrote; bad stays once it is.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	x := d.b[0]
	d.b = d.b[1:]
	return x
}

// count reads a number of at most limit.
func (d *decoder) count(limit int) int {
	x, n := binary.Uvarint(d.b)
	if n <= 0 || x > uint64(limit) {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int(x)
}

func (d *decoder) varint() int64 {
	x, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	x := d.b[:n]
	d.b = d.b[n:]
	return x
}

func (d *decoder) person() (p Pseudonym) {
	copy(p[:], d.bytes(len(p)))
	return p
}
