package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// Limits of shared groups.
const (
	MaxGroups      = 20_000    // of an organisation
	MaxMembers     = 100_000   // who joined one group
	MaxMemberships = 2_000_000 // of an organisation
	MaxShown       = 10_000    // groups that one group sees, or that see it
	MaxDepth       = 8         // groups nested in one another, the outermost included
	MaxLabel       = 255       // bytes
	MaxAbout       = 4096      // bytes of a description
	MaxLabels      = 100       // groups that a roster names of one contact: the first ones made
)

// Delimiter stands between the labels of nested groups in a roster
// (XEP-0083).
const Delimiter = "::"

// A Kind says who the members of a group are.
type Kind = store.GroupKind

// The kinds of members.
const (
	Explicit = store.GroupExplicit // those who joined
	Everyone = store.GroupEveryone // every account of the organisation
	Online   = store.GroupOnline   // every account that is online
)

// A person is the number of an account in its organisation's index.
type person uint32

// Groups is the index of the shared groups of all organisations: who is in
// which group, and which group's members see which other's. It is read from
// the store once and changed by edits, on disk first.
//
// Who sees whom is never kept per pair: a group has its members in the order
// of joining, a person the groups, and a question walks from one to the other.
// Edits of late stay known with the group they concern, so that Delta can tell
// what a client missed.
//
// Locks: index.edit is held over the statements of an edit; Groups.notify over
// the callbacks; Groups.present, Groups.mu and parts.mu for look-ups. Slices of members
// are never changed under a reader: they are added to, or replaced.
type Groups struct {
	store *store.Store
	epoch uint64 // what flips of who is online count from: chance, so that no version of another start fits
	kept  int    // entries that an organisation keeps for Delta; past it the older half is forgotten

	notify   sync.Mutex // callbacks come in order
	watchers []func(GroupChange)
	flips    []func(feature.Org)

	present sync.Mutex // before mu
	online  map[string]map[jid.JID]struct{}

	parts parts // rosters written for many

	mu      sync.RWMutex
	orgs    map[feature.Org]*index
	domains map[string]*index
}

// An index are the groups of one organisation.
type index struct {
	groups *Groups
	org    feature.Org
	domain string

	edit sync.Mutex // edits come one after the other, statements included

	// What follows is guarded by Groups.mu.
	turn           uint64 // grows whenever anything else here changes, but for the crowd
	version, floor uint64
	byID           map[uint64]*Group
	byName         map[string]*Group
	numbers        map[jid.JID]person
	people         []member
	memberships    int
	open           []*Group // of everyone, or of everyone online
	whole          []person // all accounts in the order of making, while open is not empty
	graves         []*Group // of those kinds, gone of late
	crowd          crowd
	moves          map[person][]entry  // who joined and left of late
	leaving        map[*Group][]person // who left and is still on the list of members, during an edit
	loaded         uint64              // the version that was read: who has no number was in no group since
	departed       map[jid.JID]uint64  // accounts gone of late
	history        []batch             // how many entries each version has made
	entries        int
}

// A member is a person in some group.
type member struct {
	jid     jid.JID
	account store.AccountID
	groups  []*Group // explicit ones, by id
}

// A relation is one end of "these see those".
type relation struct {
	group *Group
	made  uint64
	care  bool
}

// An entry is an edit of late that concerns a group, or a person.
type entry struct {
	version uint64
	other   *Group
	who     person
	kind    store.GroupLogKind
	out     bool // of two groups: this one is the viewers', or the nested one
}

type batch struct {
	version uint64
	entries int
}

// A Group is a shared group of one organisation. It is one object as long as
// the group exists.
type Group struct {
	in   *index
	id   uint64
	name string
	kind Kind

	// What follows is guarded by Groups.mu.
	label, about string
	parent       *Group
	children     []*Group // by id
	members      []person // who joined, in that order; not to be changed in place
	whole        []person // of a group of kind Online that is gone: everybody then
	sees, shown  []relation
	log          []entry
	gone         uint64 // the version that removed it; 0 while it is there
}

// A ChangeKind says what an edit did.
type ChangeKind uint8

// What edits do.
const (
	MemberAdded   ChangeKind = iota // Member is in Group
	MemberRemoved                   // Member is in Group no more
	Shown                           // the members of Group see those of Other; also when Care changes
	Hidden                          // they do not any more
	Nested                          // Group is nested in Other
	Unnested                        // Group is nested in Other no more
	Labelled                        // Group has another label or description
	GroupAdded                      // Group is there; it sees itself; told before its members of kind Everyone
	GroupRemoved                    // Group is gone, told after its members, relations and nestings went without a word
)

// A GroupChange is an edit that the index shows now.
type GroupChange struct {
	Org          feature.Org
	Version      uint64
	Kind         ChangeKind
	Group, Other *Group
	Member       jid.JID
	Care         bool
}

// NewGroups makes an index of no groups; Load reads them.
func NewGroups(st *store.Store) *Groups {
	return &Groups{
		store: st, epoch: rand.Uint64N(1<<62) + 1, kept: keptEntries, online: make(map[string]map[jid.JID]struct{}),
		orgs: make(map[feature.Org]*index), domains: make(map[string]*index),
		parts: parts{from: partFrom},
	}
}

// LoadGroups makes an index and reads all groups.
func LoadGroups(ctx context.Context, st *store.Store) (*Groups, error) {
	gs := NewGroups(st)
	return gs, gs.Load(ctx)
}

// Load reads the groups of all organisations, once, before the first edit.
func (gs *Groups) Load(ctx context.Context) error {
	versions, err := gs.store.GroupVersions(ctx)
	if err != nil {
		return err
	}
	orgs, err := gs.store.Orgs(ctx)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		if versions[o.ID] == 0 {
			continue
		}
		x := gs.newIndex(o)
		if err := x.load(ctx); err != nil {
			return fmt.Errorf("groups of %s: %w", o.Domain, err)
		}
		gs.mu.Lock()
		gs.orgs[x.org], gs.domains[x.domain] = x, x
		gs.mu.Unlock()
	}
	gs.store.WatchGroups(func(org feature.Org) {
		// What failed here is read by the next edit, or the next Refresh.
		_ = gs.Refresh(context.Background(), org)
	})
	return nil
}

func (gs *Groups) newIndex(o store.Organisation) *index {
	return &index{
		groups: gs, org: o.ID, domain: o.Domain,
		byID: make(map[uint64]*Group), byName: make(map[string]*Group),
		numbers: make(map[jid.JID]person), moves: make(map[person][]entry), departed: make(map[jid.JID]uint64),
		leaving: make(map[*Group][]person),
	}
}

// index finds the groups of an organisation; they are there from then on,
// and may be none. The organisation must exist.
func (gs *Groups) index(ctx context.Context, org feature.Org) (*index, error) {
	gs.mu.RLock()
	x := gs.orgs[org]
	gs.mu.RUnlock()
	if x != nil {
		return x, nil
	}
	orgs, err := gs.store.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(orgs, func(o store.Organisation) bool { return o.ID == org })
	if i < 0 {
		return nil, fmt.Errorf("organisation %d: %w", org, store.ErrNotFound)
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if x = gs.orgs[org]; x == nil {
		x = gs.newIndex(orgs[i])
		gs.orgs[org], gs.domains[x.domain] = x, x
	}
	return x, nil
}

// OnChange has fn called after each edit, when the index shows it: one call at
// a time, in order. fn may ask the index; it must not edit, nor wait for one
// who does. It is called before Groups is shared.
func (gs *Groups) OnChange(fn func(GroupChange)) { gs.watchers = append(gs.watchers, fn) }

// OnOnline has fn called after somebody came online or went, where a group has
// the people who are online. fn must not wait, nor ask Groups.
func (gs *Groups) OnOnline(fn func(feature.Org)) { gs.flips = append(gs.flips, fn) }

// Version is the version of an organisation's groups: it grows with each edit
// and is 0 before the first.
func (gs *Groups) Version(org feature.Org) uint64 {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	if x := gs.orgs[org]; x != nil {
		return x.version
	}
	return 0
}

// Find returns the group of that name (a localpart), nil when there is none.
func (gs *Groups) Find(org feature.Org, name string) *Group {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	if x := gs.orgs[org]; x != nil {
		return x.byName[name]
	}
	return nil
}

// Lookup is Find with an error that names what was probably meant.
func (gs *Groups) Lookup(org feature.Org, name string) (*Group, error) {
	if g := gs.Find(org, name); g != nil {
		return g, nil
	}
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	if x := gs.orgs[org]; x != nil {
		if near := x.meant(name); near != "" {
			return nil, fmt.Errorf("there is no group %s%s%w", name, near, errNoGroup)
		}
	}
	return nil, fmt.Errorf("there is no group %s: `bearhug group ls` lists those there are%w", name, errNoGroup)
}

// errNoGroup is store.ErrNotFound without a word of its own.
var errNoGroup = silent{store.ErrNotFound}

type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// List returns all groups of an organisation in the order of making.
func (gs *Groups) List(org feature.Org) []*Group {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.orgs[org]
	if x == nil {
		return nil
	}
	list := make([]*Group, 0, len(x.byID))
	for _, g := range x.byID {
		list = append(list, g)
	}
	slices.SortFunc(list, byID)
	return list
}

func byID(a, b *Group) int { return cmp.Compare(a.id, b.id) }

// ID is the group's number in its organisation, never given twice.
func (g *Group) ID() uint64 { return g.id }

// Org is the group's organisation.
func (g *Group) Org() feature.Org { return g.in.org }

// Name is the localpart that commands call it by.
func (g *Group) Name() string { return g.name }

// Kind says who the members are.
func (g *Group) Kind() Kind { return g.kind }

// Label is what people see as the name; it is the name when none was given.
func (g *Group) Label() string {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return g.shownAs()
}

func (g *Group) shownAs() string {
	if g.label == "" {
		return g.name
	}
	return g.label
}

// Description is a text for the people who look after groups.
func (g *Group) Description() string {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return g.about
}

// Parent is the group that this one is nested in, nil for none.
func (g *Group) Parent() *Group {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return g.parent
}

// Children are the groups nested in this one, not those nested deeper.
func (g *Group) Children() []*Group {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return slices.Clone(g.children)
}

// A Display is a relation to another group.
type Display struct {
	Group *Group
	Care  bool
}

// Sees are the groups whose members this group's members see by a relation of
// their own, in the order of making.
func (g *Group) Sees() []Display {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return displays(g.sees)
}

// ShownTo are the groups whose members see this group's by a relation of
// their own, in the order of making.
func (g *Group) ShownTo() []Display {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return displays(g.shown)
}

func displays(list []relation) []Display {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b relation) int { return cmp.Compare(a.made, b.made) })
	out := make([]Display, len(list))
	for i, r := range list {
		out[i] = Display{r.group, r.care}
	}
	return out
}

// Len is the number of members.
func (g *Group) Len() int {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return len(g.current())
}

// current are the members now, in order. Some of an Online group's may be
// holes (nobody).
func (g *Group) current() []person {
	switch {
	case g.kind == Everyone && g.gone == 0:
		return g.in.whole
	case g.kind == Online && g.gone == 0:
		return g.in.crowd.members()
	}
	return g.members
}

// Each calls fn for every member until it returns false: in the order of
// joining, of making for Everyone, of coming online for Online. No lock is
// held meanwhile: it tells the members as they were when it began.
func (g *Group) Each(fn func(member jid.JID) bool) {
	gs := g.in.groups
	gs.mu.RLock()
	list, people := g.current(), g.in.people
	gs.mu.RUnlock()
	for _, p := range list {
		if !fn(people[p].jid) {
			return
		}
	}
}

// Has reports whether somebody is a member now.
func (g *Group) Has(who jid.JID) bool {
	gs := g.in.groups
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	p, ok := g.in.numbers[who]
	return ok && g.has(p)
}

func (g *Group) has(p person) bool {
	switch g.kind {
	case Everyone:
		return true
	case Online:
		return g.in.crowd.has(p)
	}
	_, found := slices.BinarySearchFunc(g.in.people[p].groups, g, byID)
	return found
}

// Viewers are the groups whose members see this group's, through the groups
// that it is nested in too, without doubles, in the order of making.
func (g *Group) Viewers() []*Group {
	g.in.groups.mu.RLock()
	defer g.in.groups.mu.RUnlock()
	return g.viewers()
}

func (g *Group) viewers() (list []*Group) {
	for a := g; a != nil; a = a.parent {
		for _, r := range a.shown {
			if i, found := slices.BinarySearchFunc(list, r.group, byID); !found {
				list = slices.Insert(list, i, r.group)
			}
		}
	}
	return list
}

// Of are the groups that somebody is a member of now, in the order of making;
// those of everyone, and of everyone online, included.
func (gs *Groups) Of(who jid.JID) []*Group {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	x := gs.domains[who.Domain()]
	if x == nil {
		return nil
	}
	p, ok := x.numbers[who]
	if !ok {
		return nil
	}
	return x.groupsOf(p, x.crowd.has(p))
}

// groupsOf are the groups of a person by id; present counts who is not online
// as if.
func (x *index) groupsOf(p person, present bool) []*Group {
	list := x.people[p].groups
	if len(x.open) == 0 {
		return list[:len(list):len(list)]
	}
	list = slices.Clone(list)
	for _, g := range x.open {
		if g.kind == Everyone || present {
			i, _ := slices.BinarySearchFunc(list, g, byID)
			list = slices.Insert(list, i, g)
		}
	}
	return list
}

// IsNoGroup reports whether an error of an edit means that the group is not
// there (any more).
func IsNoGroup(err error) bool { return errors.Is(err, store.ErrNotFound) }
