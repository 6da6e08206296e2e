// Package feature keeps what the house calls a feature: one word that is at
// once a switch, some dials, and an account in the ledger.
//
// # Layout
//
// A [Board] belongs to one node object; three nodes in one test have three
// boards. Features are declared while the node is put together and are never
// taken away. A setting (a switch, a level or a dial) has a value for the whole
// server and, where an organisation or a shared group differs, a value for
// that [Scope]; the narrower scope wins. An [Account] exists per (feature,
// organisation) and is made when it is first asked for.
//
// # Locks
//
// Readers take none: a setting and the list of features sit behind an
// atomic pointer each, to values that are never changed once published.
// Writers hold Board.mu. The functions handed to [Board.OnChange] run one at a
// time under Board.notify, never under Board.mu. The ledger's growth has a
// lock of its own. Order: notify → mu; ledger.mu is a leaf.
package feature

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Org is the number of an organisation, as the store gives it out: small,
// from 1. 0 is the server itself.
type Org uint32

// ID is the number of a feature on its board, in the order of declaration.
type ID uint16

// Server is the feature that pays for what no other feature asked for. Every
// board has it from the start; it has no switch.
const Server ID = 0

// maxFeatures bounds the features of a board.
const maxFeatures = 1 << 12

// Errors of declaring and setting, for errors.Is.
var (
	ErrUnknown    = errors.New("unknown lever")
	ErrRange      = errors.New("value out of range")
	ErrNoSwitch   = errors.New("feature has no switch")
	ErrReach      = errors.New("out of the lever's reach")
	ErrDuplicate  = errors.New("declared twice")
	ErrBadName    = errors.New("bad name")
	ErrTooMany    = errors.New("too many features")
	ErrBadDefault = errors.New("default out of range")
)

// declared is one feature of a board.
type declared struct {
	info Info
	main Dial // the switch or the levels; unused when info.Main is nil
}

// Board keeps the features of one node: their switches, dials and accounts.
type Board struct {
	Ledger

	features atomic.Pointer[[]*declared] // append-only; replaced under mu

	mu      sync.Mutex
	byName  map[string]*declared
	dials   map[string]*Dial // "feature.dial", and "feature" for a switch
	changed []func()

	notify sync.Mutex // one run of changed at a time
}

// NewBoard makes a board that knows the features "server" and "ledger" only.
func NewBoard() *Board {
	b := &Board{byName: map[string]*declared{}, dials: map[string]*Dial{}}
	b.features.Store(&[]*declared{})
	b.Ledger.board = b
	b.Ledger.start()
	if _, err := b.DeclareAlways("server", "what no other feature asked for"); err != nil {
		panic(err) // impossible: the board is empty
	}
	b.Account(Server, 0) // number 0
	b.Ledger.declare()
	return b
}

// Declare adds a feature with a switch: on from the start unless off. Every
// lever's name begins with the feature's name and a dot. Features are declared
// before the node serves; a name that is taken is an error.
func (b *Board) Declare(name, doc string, off bool, levers ...Lever) (ID, error) {
	return b.declare(Info{Name: name, Doc: doc, Off: off, Levers: levers})
}

// DeclareAlways adds a feature which has no switch (blocking, prefs, scope,
// sign-in checks: what a user's safety rests on cannot be turned off).
func (b *Board) DeclareAlways(name, doc string, levers ...Lever) (ID, error) {
	return b.declare(Info{Name: name, Doc: doc, Always: true, Levers: levers})
}

// DeclareLevels adds a feature that is not on or off but at one of some levels:
// main, named as the feature, has Values. It is on at every level; what they
// mean is its own matter, it reads them by [Board.Dial].
func (b *Board) DeclareLevels(main Lever, levers ...Lever) (ID, error) {
	if len(main.Values) < 2 {
		return 0, fmt.Errorf("declare feature %q: %w: levels have names, at least two", main.Name, ErrBadName)
	}
	return b.declare(Info{Name: main.Name, Doc: main.Doc, Always: true, Main: &main, Levers: levers})
}

func (b *Board) declare(in Info) (ID, error) {
	if !word(in.Name) {
		return 0, fmt.Errorf("declare feature %q: %w: want a-z, 0-9 and inner hyphens", in.Name, ErrBadName)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.features.Load()
	if len(old) == maxFeatures {
		return 0, fmt.Errorf("declare feature %q: %w (%d)", in.Name, ErrTooMany, maxFeatures)
	}
	if b.byName[in.Name] != nil {
		return 0, fmt.Errorf("declare feature %q: %w", in.Name, ErrDuplicate)
	}
	in.ID = ID(len(old))
	in.Levers = append([]Lever(nil), in.Levers...)
	if in.Main == nil && !in.Always {
		in.Main = switchOf(in)
	}
	if err := checkLevers(&in); err != nil {
		return 0, fmt.Errorf("declare feature %q: %w", in.Name, err)
	}
	f := &declared{info: in}
	if in.Main != nil {
		f.main.init(*in.Main)
		b.dials[in.Name] = &f.main
	}
	for _, l := range in.Levers {
		d := &Dial{}
		d.init(l)
		b.dials[l.Name] = d
	}
	b.byName[in.Name] = f
	list := append(old, f)
	b.features.Store(&list)
	return in.ID, nil
}

// word reports whether s is lower-case letters, digits and inner hyphens.
func word(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
		case '0' <= c && c <= '9' && i > 0:
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// On reports whether feature f is on for org: two atomic loads. A feature
// without a switch is on; a number this board never gave out is off.
func (b *Board) On(f ID, org Org) bool {
	list := *b.features.Load()
	if int(f) >= len(list) {
		return false
	}
	d := list[f]
	return d.info.Always || d.main.Int(org) != 0
}

// Lookup finds a feature by its name.
func (b *Board) Lookup(name string) (ID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.byName[name]
	if f == nil {
		return 0, false
	}
	return f.info.ID, true
}

// Name is the name of feature f, or "" for a number never given out.
func (b *Board) Name(f ID) string {
	list := *b.features.Load()
	if int(f) >= len(list) {
		return ""
	}
	return list[f].info.Name
}

// Dial finds a dial by its full name ("archive.wait"). It is meant for code
// that has just declared it, and keeps the result; a name that is not on the
// board is a mistake in that code, so it panics.
func (b *Board) Dial(name string) *Dial {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.find(name)
	if err != nil {
		panic("feature: " + err.Error())
	}
	return d
}

// find is called under mu. Its errors say which name was meant.
func (b *Board) find(name string) (*Dial, error) {
	if d := b.dials[name]; d != nil {
		return d, nil
	}
	if b.byName[name] != nil {
		return nil, fmt.Errorf("%w: %s is always on", ErrNoSwitch, name)
	}
	if len(name) > 128 {
		return nil, fmt.Errorf("%w: a name has no %d bytes", ErrUnknown, len(name))
	}
	names := make([]string, 0, len(b.dials))
	for n := range b.dials {
		names = append(names, n)
	}
	if near := Nearest(name, names); near != "" {
		return nil, fmt.Errorf("%w %q: did you mean %q?", ErrUnknown, name, near)
	}
	return nil, fmt.Errorf("%w %q", ErrUnknown, name)
}

// OnChange has fn called after each change of a switch or a dial, one call at
// a time. It reads the board as it finds it, and must not call Set or Reset.
func (b *Board) OnChange(fn func()) {
	b.mu.Lock()
	b.changed = append(b.changed, fn)
	b.mu.Unlock()
}

// tell runs the callbacks. Set returns only when they have seen its change.
func (b *Board) tell() {
	b.notify.Lock()
	defer b.notify.Unlock()
	b.mu.Lock()
	fns := b.changed[:len(b.changed):len(b.changed)]
	b.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// Features describes all features in the order of declaration.
func (b *Board) Features() []Info {
	list := *b.features.Load()
	out := make([]Info, len(list))
	for i, f := range list {
		out[i] = f.info
		out[i].Levers = append([]Lever(nil), f.info.Levers...)
	}
	return out
}
