package router

import (
	"slices"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/session"
)

// An Info is what the server, or an account of it, tells about itself
// (XEP-0030 §3). It is made with the tables and never changed: who has the
// same pointer has the same answer.
type Info struct {
	Identities []Identity
	Features   []string // sorted
	Forms      []Form   // XEP-0128
}

// Has reports whether a feature is among the features.
func (i *Info) Has(feature string) bool {
	_, ok := slices.BinarySearch(i.Features, feature)
	return ok
}

// An Identity is what an entity is, XEP-0030 §3.1; Lang is the language of its
// name and may be empty.
type Identity struct{ Category, Type, Name, Lang string }

// Clients tells of the clients of sessions (XEP-0115).
type Clients struct {
	// Of is what the client of a session says it can do, nil while that is not
	// known.
	Of func(*session.Session) *Info
	// Count counts sessions by client, the most frequent first; those whose
	// client is not known are left out.
	Count func() []ClientCount
}

// A ClientCount says how many sessions have a client of this name, which is
// what it calls itself without its version, and of this type of the registry
// of identities ("phone", "pc", "web", …, or "other").
type ClientCount struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Sessions int    `json:"sessions"`
}

// A Form is a data form that extends the answer, XEP-0128.
type Form struct {
	Type   string // FORM_TYPE
	Fields []Field
}

// A Field is one field of a Form.
type Field struct {
	Name   string
	Type   string // XEP-0004 §3.3, may be empty
	Values []string
}

// add takes over what a module tells of the server.
func (i *Info) add(m *Module) {
	i.Identities = append(i.Identities, m.Identities...)
	i.Features = append(i.Features, m.Disco...)
	i.Forms = append(i.Forms, m.Forms...)
}

func (i *Info) sort() {
	slices.Sort(i.Features)
	i.Features = slices.Compact(i.Features)
}

// Info is what the server tells an organisation about itself.
func (r *Router) Info(org feature.Org) *Info { return r.table(org).info }

// AccountInfo is what the accounts of an organisation tell about themselves.
func (r *Router) AccountInfo(org feature.Org) *Info { return r.table(org).accountInfo }

// NodeInfo is what the server tells of a node of its own (XEP-0030 §3.2): the
// answer of the first module that knows the node, or nil.
func (r *Router) NodeInfo(org feature.Org, node string) *Info {
	for _, m := range r.table(org).nodes {
		if i := m.Node(org, node); i != nil {
			return i
		}
	}
	return nil
}
