package router

import (
	"slices"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
)

// tables are what the switches leave of the modules: one for all, and one for
// each organisation that has a switch of its own somewhere. They are replaced
// as a whole.
type tables struct {
	orgs map[feature.Org]*table
}

// A table is what stanzas of one organisation meet.
type table struct {
	org     feature.Org
	sent    [stanza.IQ + 1][]sentHook // by kind
	arrived []arrivedHook
	missed  []missedHook
	refused []refusedHook
	bound   []boundHook
	unbound []boundHook
	iqs     map[iqKey]*iqEntry
	preAuth []*module
	offers  []*module
	nodes   []*module

	info, accountInfo *Info
}

type iqKey struct {
	set       bool
	ns, local string
}

type iqEntry struct {
	*IQ
	account *feature.Account
}

// pays has an account pay for what the context does from here on: it counts a
// call, and its are the time and what is sent. It returns who paid before.
func (c *Ctx) pays(a *feature.Account) (before *feature.Account) {
	a.Calls.Add(1)
	c.number = a.Number()
	return c.Span.To(a)
}

type sentHook struct {
	account *feature.Account
	f       func(*Ctx, *stanza.Stanza) Verdict
}

func (h *sentHook) run(c *Ctx, st *stanza.Stanza) Verdict {
	before := c.pays(h.account)
	v := h.f(c, st)
	c.Span.To(before)
	return v
}

type arrivedHook struct {
	account *feature.Account
	f       func(*Ctx, *Arrival) Verdict
}

func (h *arrivedHook) run(c *Ctx, a *Arrival) Verdict {
	before := c.pays(h.account)
	v := h.f(c, a)
	c.Span.To(before)
	return v
}

type missedHook struct {
	account *feature.Account
	f       func(*Ctx, *Arrival)
}

func (h *missedHook) run(c *Ctx, a *Arrival) {
	before := c.pays(h.account)
	h.f(c, a)
	c.Span.To(before)
}

type refusedHook struct {
	account *feature.Account
	f       func(*Ctx, *stanza.Stanza, *stanza.Error)
}

func (h *refusedHook) run(c *Ctx, st *stanza.Stanza, why *stanza.Error) {
	before := c.pays(h.account)
	h.f(c, st, why)
	c.Span.To(before)
}

type boundHook struct {
	account *feature.Account
	f       func(*Ctx)
}

func (h *boundHook) run(c *Ctx) {
	before := c.pays(h.account)
	h.f(c)
	c.Span.To(before)
}

// compile makes the tables anew from the switches as they stand.
func (r *Router) compile() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compileLocked()
}

func (r *Router) compileLocked() {
	next := &tables{orgs: map[feature.Org]*table{0: r.tableFor(0)}}
	for _, org := range *r.domains.Load() {
		next.orgs[org] = r.tableFor(org)
	}
	r.tables.Store(next)
}

// table is what stanzas of an organisation meet now.
func (r *Router) table(org feature.Org) *table {
	ts := r.tables.Load()
	if t := ts.orgs[org]; t != nil {
		return t
	}
	return ts.orgs[0]
}

func (r *Router) tableFor(org feature.Org) *table {
	t := &table{org: org, iqs: make(map[iqKey]*iqEntry), info: new(Info), accountInfo: new(Info)}
	for i := range r.modules {
		m := &r.modules[i]
		if r.Board.On(m.id, org) {
			t.add(m, r.Board.Account(m.id, org))
		}
	}
	t.info.sort()
	t.accountInfo.sort()
	return t
}

func (t *table) add(m *module, account *feature.Account) {
	for kind := range t.sent {
		if m.Sent != nil && (m.SentOf == nil || slices.Contains(m.SentOf, stanza.Kind(kind))) {
			t.sent[kind] = append(t.sent[kind], sentHook{account, m.Sent})
		}
	}
	if m.Arrived != nil {
		t.arrived = append(t.arrived, arrivedHook{account, m.Arrived})
	}
	if m.Missed != nil {
		t.missed = append(t.missed, missedHook{account, m.Missed})
	}
	if m.Refused != nil {
		t.refused = append(t.refused, refusedHook{account, m.Refused})
	}
	if m.Bound != nil {
		t.bound = append(t.bound, boundHook{account, m.Bound})
	}
	if m.Unbound != nil {
		t.unbound = append(t.unbound, boundHook{account, m.Unbound})
	}
	if m.PreAuth != nil {
		t.preAuth = append(t.preAuth, m)
	}
	if m.Features != nil {
		t.offers = append(t.offers, m)
	}
	for i := range m.IQ {
		q := &m.IQ[i]
		t.iqs[iqKey{q.Type == stanza.Set, q.NS, q.Local}] = &iqEntry{q, account}
	}
	if m.Node != nil {
		t.nodes = append(t.nodes, m)
	}
	t.info.add(&m.Module)
	t.accountInfo.Identities = append(t.accountInfo.Identities, m.AccountIdentities...)
	t.accountInfo.Features = append(t.accountInfo.Features, m.AccountDisco...)
}

// StreamFeatures lets the modules add their stream features.
func (r *Router) StreamFeatures(x *stanza.XML, org feature.Org, signedIn bool) {
	for _, m := range r.table(org).offers {
		m.Features(x, org, signedIn)
	}
}
