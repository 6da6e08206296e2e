package feature

import (
	"fmt"
	"maps"
	"sync/atomic"
)

// Reach says how far down a lever can be set.
type Reach uint8

// The scopes that a lever knows. Where it is read once for all, a setting for
// an organisation would be accepted and mean nothing: it is refused instead.
const (
	PerOrg     Reach = iota // the server, and organisations that differ
	PerGroup                // shared groups that differ, too
	ServerOnly              // one value for all
)

// Scope is whom a setting is for: the server (zero), an organisation, or one
// shared group of it by its number in the store.
type Scope struct {
	Org   Org
	Group uint64 // 0: the organisation as a whole
}

// Lever describes a switch, a choice among levels or a dial of a feature.
type Lever struct {
	Name string // "feature.dial", such as "archive.wait"; a switch or levels: the feature's
	Doc  string
	Unit string // for people: "ms", "s", "bytes"; "" for a bare number
	// Min ≤ Default ≤ Max. With Values they are places in it, and Min and Max
	// are set from it.
	Default, Min, Max int64
	Values            []string // names of the values 0, 1, …, from the dearest on
	Reach             Reach
	Saves             []Saving // nil of a switch: all that its feature costs
}

// Saving says what part of the cost of a feature a lever takes away.
type Saving struct {
	Feature string
	// Sent limits it to the CPU for what the feature sends (Account.Sent).
	Sent bool
	// Shares are the part saved at each value, compared with none of it: from
	// 0 to 1. A switch has two, of off and of on.
	Shares []float64
}

// Bool reports whether the lever is a switch: off (0) and on (1).
func (l *Lever) Bool() bool { return len(l.Values) == 2 && l.Values[0] == "off" && l.Values[1] == "on" }

// Assumed reports whether what is saved at a value is a declared share of what
// is counted: neither nothing of it nor all.
func (l *Lever) Assumed(v int64) bool {
	for _, s := range l.Saves {
		if v >= 0 && v < int64(len(s.Shares)) && s.Shares[v] > 0 && s.Shares[v] < 1 {
			return true
		}
	}
	return false
}

// Word is a value as people write it: its name, or the bare number.
func (l *Lever) Word(v int64) string {
	if v >= 0 && v < int64(len(l.Values)) {
		return l.Values[v]
	}
	return fmt.Sprint(v)
}

// Info says what a feature is, for documents and for the operator.
type Info struct {
	ID     ID
	Name   string
	Doc    string
	Always bool   // it has no switch
	Off    bool   // its switch is off by default
	Main   *Lever // its switch or its levels, nil when it has neither
	Levers []Lever
}

// switchOf is the switch of a feature.
func switchOf(in Info) *Lever {
	l := &Lever{Name: in.Name, Doc: in.Doc, Default: 1, Values: []string{"off", "on"},
		Saves: []Saving{{Feature: in.Name, Shares: []float64{1, 0}}}}
	if in.Off {
		l.Default = 0
	}
	return l
}

// checkLevers fills in what follows from Values, and finds mistakes.
func checkLevers(in *Info) error {
	seen := map[string]bool{}
	all := make([]*Lever, 0, len(in.Levers)+1)
	for i := range in.Levers {
		all = append(all, &in.Levers[i])
	}
	if in.Main != nil {
		main := *in.Main
		in.Main = &main
		all = append(all, in.Main)
	}
	for _, l := range all {
		if l != in.Main && !dialOf(l.Name, in.Name) {
			return fmt.Errorf("dial %q: %w: want %q and a word of a-z, 0-9 and inner hyphens", l.Name, ErrBadName, in.Name+".")
		}
		if seen[l.Name] {
			return fmt.Errorf("dial %q: %w", l.Name, ErrDuplicate)
		}
		seen[l.Name] = true
		if err := l.check(); err != nil {
			return fmt.Errorf("dial %q: %w", l.Name, err)
		}
	}
	return nil
}

func dialOf(name, feature string) bool {
	n := len(feature) + 1
	return len(name) > n && name[:n] == feature+"." && word(name[n:])
}

func (l *Lever) check() error {
	if l.Values != nil {
		l.Min, l.Max = 0, int64(len(l.Values))-1
		for _, v := range l.Values {
			if !word(v) {
				return fmt.Errorf("%w: value %q: want a-z, 0-9 and inner hyphens", ErrBadName, v)
			}
		}
	}
	if l.Default < l.Min || l.Default > l.Max {
		return fmt.Errorf("%w: %d is not in %d..%d", ErrBadDefault, l.Default, l.Min, l.Max)
	}
	for _, s := range l.Saves {
		if len(s.Shares) != len(l.Values) || len(s.Shares) == 0 {
			return fmt.Errorf("%w: it says for %d values what they save and has %d", ErrBadDefault, len(s.Shares), len(l.Values))
		}
	}
	return nil
}

// setting is the value of a lever, never changed once published.
type setting struct {
	server int64
	scopes map[Scope]int64 // nil when no scope differs
}

// Dial is a number that an operator turns while the server runs: a switch, a
// level by its place, or a dial proper.
type Dial struct {
	Lever
	now      atomic.Pointer[setting]
	versions map[Scope]uint64 // greatest version seen; guarded by Board.mu
}

func (d *Dial) init(l Lever) {
	d.Lever = l
	d.versions = map[Scope]uint64{}
	d.now.Store(&setting{server: l.Default})
}

// Int is the dial's value for org: one atomic load, and one look-up in a map
// when some scope differs from the server.
func (d *Dial) Int(org Org) int64 {
	s := d.now.Load()
	if s.scopes != nil {
		if v, ok := s.scopes[Scope{Org: org}]; ok {
			return v
		}
	}
	return s.server
}

// Group is the dial's value for a shared group of org: one atomic load, and
// two look-ups in a map when some scope differs from the server.
func (d *Dial) Group(org Org, group uint64) int64 {
	s := d.now.Load()
	if s.scopes != nil {
		if v, ok := s.scopes[Scope{org, group}]; ok {
			return v
		}
		if v, ok := s.scopes[Scope{Org: org}]; ok {
			return v
		}
	}
	return s.server
}

// Uniform is the dial's value for the server; ok is false when some scope has
// another: then it must be asked for each.
func (d *Dial) Uniform() (v int64, ok bool) {
	s := d.now.Load()
	return s.server, s.scopes == nil
}

// In is the value in force for a scope, and whether the scope has it itself.
func (d *Dial) In(at Scope) (v int64, own bool) {
	s := d.now.Load()
	if at == (Scope{}) {
		return s.server, s.server != d.Default
	}
	_, own = s.scopes[at]
	return d.Group(at.Org, at.Group), own
}

// reaches tells why a scope cannot have a value of its own.
func (d *Dial) reaches(at Scope) error {
	switch {
	case at == (Scope{}):
		return nil
	case at.Org == 0:
		return fmt.Errorf("%w: a group belongs to an organisation", ErrReach)
	case d.Reach == ServerOnly:
		return fmt.Errorf("%w: %s has one value for the whole server", ErrReach, d.Name)
	case at.Group != 0 && d.Reach != PerGroup:
		return fmt.Errorf("%w: %s has one value for an organisation, not for a group", ErrReach, d.Name)
	}
	return nil
}

// Check tells whether Set would take this setting: the lever exists, has a
// value like this, and can be set for the scope.
func (b *Board) Check(name string, at Scope, value int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.check(name, at, value)
	return err
}

func (b *Board) check(name string, at Scope, value int64) (*Dial, error) {
	d, err := b.find(name)
	if err != nil {
		return nil, err
	}
	if value < d.Min || value > d.Max {
		return nil, fmt.Errorf("%w: %d is not in %d..%d", ErrRange, value, d.Min, d.Max)
	}
	return d, d.reaches(at)
}

// Lever describes a lever. Errors: a name that does not exist (with the one
// that was meant), a feature without a switch.
func (b *Board) Lever(name string) (Lever, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.find(name)
	if err != nil {
		return Lever{}, err
	}
	return d.Lever, nil
}

// Set gives a lever (a switch is named as its feature; 0 is off, 1 is on) a
// value for a scope. A version not above the one already applied to (name,
// scope) is ignored without error, for it is old news; version 0 is always
// applied. Errors: a name that does not exist (with the one that was meant), a
// value out of range, a feature without a switch, a scope that the lever does
// not reach.
func (b *Board) Set(name string, at Scope, value int64, version uint64) error {
	b.mu.Lock()
	changed, err := b.set(name, at, value, version)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	if changed {
		b.tell()
	}
	return nil
}

func (b *Board) set(name string, at Scope, value int64, version uint64) (changed bool, err error) {
	d, err := b.check(name, at, value)
	if err != nil {
		return false, err
	}
	if !d.news(at, version) {
		return false, nil
	}
	old := d.now.Load()
	if at == (Scope{}) {
		d.now.Store(&setting{server: value, scopes: old.scopes})
		return old.server != value, nil
	}
	was, had := old.scopes[at]
	scopes := make(map[Scope]int64, len(old.scopes)+1)
	maps.Copy(scopes, old.scopes)
	scopes[at] = value
	d.now.Store(&setting{server: old.server, scopes: scopes})
	return !had || was != value, nil
}

// Reset takes back what Set did: the server gets the default again, an
// organisation the server's value, a group its organisation's. Versions count
// as in Set.
func (b *Board) Reset(name string, at Scope, version uint64) error {
	b.mu.Lock()
	changed, err := b.reset(name, at, version)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("reset %s: %w", name, err)
	}
	if changed {
		b.tell()
	}
	return nil
}

func (b *Board) reset(name string, at Scope, version uint64) (changed bool, err error) {
	d, err := b.find(name)
	if err != nil {
		return false, err
	}
	if !d.news(at, version) {
		return false, nil
	}
	old := d.now.Load()
	if at == (Scope{}) {
		d.now.Store(&setting{server: d.Default, scopes: old.scopes})
		return old.server != d.Default, nil
	}
	if _, had := old.scopes[at]; !had {
		return false, nil
	}
	var scopes map[Scope]int64 // stays nil when nobody differs any more
	if len(old.scopes) > 1 {
		scopes = maps.Clone(old.scopes)
		delete(scopes, at)
	}
	d.now.Store(&setting{server: old.server, scopes: scopes})
	return true, nil
}

// news notes version and reports whether it is newer than what was applied.
func (d *Dial) news(at Scope, version uint64) bool {
	if version == 0 {
		return true
	}
	if version <= d.versions[at] {
		return false
	}
	d.versions[at] = version
	return true
}

// Levers describes all levers: of each feature, in the order of declaration,
// its switch or levels first, then its dials.
func (b *Board) Levers() (out []Lever) {
	for _, f := range *b.features.Load() {
		if f.info.Main != nil {
			out = append(out, *f.info.Main)
		}
		out = append(out, f.info.Levers...)
	}
	return out
}
