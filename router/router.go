// Package router decides where a stanza goes next (RFC 6120 §10, RFC 6121 §8).
//
// Modules bring the features; compile makes of those that are switched on an
// immutable table per organisation that differs. A stanza loads its table
// once. A feature that is off costs nothing.
//
// Locks: Router.mu guards what compile and the sessions' book change; nothing
// is called under it. See docs/locks.md.
package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// A Router is the hall of one node.
type Router struct {
	*Host
	features features
	resume   *feature.Dial // seconds a cut session waits
	streams  *feature.Dial // sessions an account may have
	sessions session.Host

	modules []module
	tables  atomic.Pointer[tables]
	domains atomic.Pointer[map[string]feature.Org]

	delivered atomic.Int64 // messages handed over, for metrics

	mu     sync.Mutex
	parked [rota]map[string]*session.Session // by turn and resumption id
	forgot handledBook
	turns  int
	wait   sync.WaitGroup // background work
}

// features are the numbers of what the house itself does.
type features struct {
	message, presence, roster, archive, iq feature.ID
	stream, signin, session                feature.ID
}

type module struct {
	Module
	id feature.ID
}

// New makes a router over a host and declares the features of the house. The
// host's Directory and Archive are made here.
func New(ctx context.Context, h *Host, domains map[string]feature.Org) (*Router, error) {
	r := &Router{Host: h}
	for i := range r.parked {
		r.parked[i] = make(map[string]*session.Session)
	}
	h.Router = r
	r.domains.Store(&domains)
	var err error
	if r.features, err = declare(h.Board); err != nil {
		return nil, err
	}
	b := h.Board
	h.Directory = presence.New(presence.Config{
		Board: b, Store: h.Store, Rosters: h.Rosters, Org: r.Organisation,
		Presence: r.features.presence, Roster: r.features.roster,
		Handed: func() stanza.ArchiveID { return h.Archive.Handed() },
		Saving: func(owner store.AccountID) bool { return h.Archive.Saving(owner) },
		Level:  b.Dial("presence"), Window: b.Dial("presence.window"), Hysteresis: b.Dial("presence.hysteresis"),
		Hold: b.Dial("presence.hold"), Bucket: b.Dial("presence.bucket"),
	})
	a, err := archive.Open(ctx, archive.Config{
		Store: h.Store, Log: h.Log.With("feature", "archive"),
		Board: b, Feature: r.features.archive, Wait: b.Dial("archive.wait"), Backlog: b.Dial("archive.backlog"),
		Waits: h.Overload.At(overload.Archive),
	})
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	h.Archive = a
	h.Overload.Watch(overload.Archive, a.Oldest)
	r.resume, r.streams = b.Dial("session.resume"), b.Dial("session.streams")
	r.sessions = session.Host{
		Board: b, Feature: r.features.session, Mailbox: b.Dial("session.mailbox"), Request: b.Dial("session.request"),
		Delivered: r.reached, Unwritten: r.unwritten, Lost: r.lost, Room: r.room,
	}
	return r, nil
}

// declare puts what the house itself does on the board. None of it has a
// switch: a server that does not route is no server.
func declare(b *feature.Board) (f features, err error) {
	add := func(name, doc string, levers ...feature.Lever) (id feature.ID) {
		if err == nil {
			id, err = b.DeclareAlways(name, doc, levers...)
		}
		return id
	}
	f.message = add("message", "RFC 6121 §5, §8.5: routes messages to resources")
	f.iq = add("iq", "RFC 6120 §8.2.3: routes requests between resources")
	if err == nil {
		f.presence, err = b.DeclareLevels(presenceLevels(), presenceDials()...)
	}
	f.roster = add("rosters", "RFC 6121 §2: pushes of roster changes")
	f.archive = add("archive", "the message log: durable before it is acknowledged",
		feature.Lever{Name: "archive.wait", Unit: "ms", Default: 250, Min: 1, Max: 60000, Reach: feature.ServerOnly,
			Doc: "how long delivery waits for the commit; past it a message is delivered unacknowledged"},
		feature.Lever{Name: "archive.backlog", Unit: "bytes", Default: 256 << 20, Min: 1 << 20, Max: 8 << 30,
			Doc: "how much may wait for a store that does not commit; past it messages are refused"})
	add("account", "RFC 6120 §6: rows of accounts and their keys, read at sign-in")
	add("db", "the database as a whole: its replicas",
		feature.Lever{Name: "db.lag", Unit: "ms", Default: 5000, Min: 1500, Max: 600_000, Reach: feature.ServerOnly,
			Doc: "how far a replica of the database may be behind; past it reads of outreach and reports go to the primary"})
	add("people", "people of organisations, their imports, and audiences")
	f.stream = add("stream", "RFC 6120 §4: waiting for streams, reading and cutting them into stanzas")
	f.signin = add("signin", "RFC 6120 §5 to §7: TLS, SASL, binding of resources; the end of streams that never got there")
	f.session = add("session", "XEP-0198: mailboxes and the resumption of cut streams",
		feature.Lever{Name: "session.mailbox", Unit: "bytes", Default: 1 << 20, Min: 64 << 10, Max: 64 << 20,
			Doc: "how much may wait for one client; past it presence is dropped, then the stream closed"},
		feature.Lever{Name: "session.request", Unit: "bytes", Default: 16 << 10, Min: 256, Max: 1 << 20,
			Doc: "after how much unacknowledged a client is asked for an acknowledgement"},
		feature.Lever{Name: "session.resume", Unit: "s", Default: 300, Min: 0, Max: 86400,
			Doc: "how long a session whose stream was cut may be resumed"},
		feature.Lever{Name: "session.streams", Default: 50, Min: 1, Max: 10000,
			Doc: "how many sessions one account may have"})
	if err == nil {
		err = overload.Declare(b)
	}
	return f, err
}

// presenceLevels is the lever of presence: how much of it is told to others.
func presenceLevels() feature.Lever {
	return feature.Lever{
		Name: "presence", Values: []string{"full", "visible", "coarse", "off"}, Reach: feature.PerGroup,
		Doc: "RFC 6121 §3, §4: presence and subscriptions; told to all who may see it, to those who have it on their screen, " +
			"now and then as last seen, or to nobody",
		Saves: []feature.Saving{{Feature: "presence", Sent: true, Shares: []float64{0, 0.9, 0.98, 1}}},
	}
}

// presenceDials are the other levers of presence.
func presenceDials() []feature.Lever {
	return []feature.Lever{
		{Name: "presence.window", Unit: "ms", Default: 200, Min: 0, Max: 10000,
			Doc: "how long, at most, changes in a large group wait for others when many come; who sees them gets all in one write"},
		{Name: "presence.hysteresis", Unit: "ms", Default: 2000, Min: 0, Max: 60000,
			Doc: "how long nobody is told that a stream broke; who is back by then was never away"},
		{Name: "presence.hold", Unit: "s", Default: 0, Min: 0, Max: 3600, Reach: feature.ServerOnly,
			Doc: "how long after a start presence is gathered, to be told once; 0: not at all"},
		{Name: "presence.bucket", Unit: "s", Default: 300, Min: 1, Max: 86400,
			Doc: "at level coarse, how often changes are told, and how exactly"},
	}
}

// Use adds the modules, in the order in which a stanza meets them, and makes
// the first table. It is called once, before the first stream.
func (r *Router) Use(makers []func(*Host) Module) error {
	for _, make := range makers {
		m := make(r.Host)
		id, err := m.declare(r.Board)
		if err != nil {
			return err
		}
		r.modules = append(r.modules, module{m, id})
	}
	r.compile()
	r.Board.OnChange(r.compile)
	return nil
}

// declare puts the module on the board.
func (m *Module) declare(b *feature.Board) (id feature.ID, err error) {
	if m.Always {
		id, err = b.DeclareAlways(m.Name, m.Doc, m.Levers...)
	} else {
		id, err = b.Declare(m.Name, m.Doc, m.Off, m.Levers...)
	}
	if err != nil {
		return 0, fmt.Errorf("module %s: %w", m.Name, err)
	}
	return id, nil
}

// Declare puts on a board what a router with these modules would, for whoever
// wants to know of its levers without one.
func Declare(b *feature.Board, makers []func(*Host) Module) error {
	if _, err := declare(b); err != nil {
		return err
	}
	for _, make := range makers {
		m := make(&Host{Board: b})
		if _, err := m.declare(b); err != nil {
			return err
		}
	}
	return nil
}

// Modules lists the modules in their order.
func (r *Router) Modules() []Module {
	list := make([]Module, len(r.modules))
	for i := range r.modules {
		list[i] = r.modules[i].Module
	}
	return list
}

// Organisation finds the organisation of a domain.
func (r *Router) Organisation(domain string) (feature.Org, bool) {
	org, ok := (*r.domains.Load())[domain]
	return org, ok
}

// AddOrganisation makes the router serve one domain more.
func (r *Router) AddOrganisation(domain string, org feature.Org) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[string]feature.Org)
	for d, o := range *r.domains.Load() {
		next[d] = o
	}
	next[domain] = org
	r.domains.Store(&next)
	r.compileLocked()
}

// Start runs the background work of the modules and the keeper of sessions
// until ctx ends.
func (r *Router) Start(ctx context.Context) {
	for i := range r.modules {
		m := &r.modules[i]
		if m.Run == nil {
			continue
		}
		r.wait.Go(func() {
			if err := m.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				r.Log.Error("background work ended", "feature", m.Name, "cause", err)
			}
		})
	}
	r.wait.Go(func() { r.keep(ctx) })
	r.wait.Go(func() {
		<-ctx.Done()
		r.Directory.Close()
	})
}

// HandleHTTP registers the HTTP handlers that modules bring.
func (r *Router) HandleHTTP(mux *http.ServeMux) {
	for i := range r.modules {
		if r.modules[i].HTTP != nil {
			r.modules[i].HTTP(mux)
		}
	}
}

// Wait returns when the background work has ended.
func (r *Router) Wait() { r.wait.Wait() }

// Delivered counts the messages handed to their recipients since the start.
func (r *Router) Delivered() int64 { return r.delivered.Load() }

// Route sends a stanza of a session on its way. Errors are told to the sender
// here; what is returned ends the stream.
func (r *Router) Route(c *Ctx, st *stanza.Stanza) error {
	if err := c.address(st); err != nil {
		c.Fail(st, err)
		return nil
	}
	t := r.table(c.Org)
	if !c.Session.Scope.IsZero() && !r.inScope(c, t, st) {
		if st.Kind != stanza.Presence {
			c.Fail(st, stanza.Forbidden("this sign-in is for one conversation only"))
		}
		return nil
	}
	sent := t.sent[st.Kind]
	for i := range sent {
		if sent[i].run(c, st) == Stop {
			return nil
		}
	}
	var err error
	switch st.Kind {
	case stanza.Message:
		r.charge(c, r.features.message, st)
		err = r.message(c, t, st)
	case stanza.Presence:
		r.charge(c, r.features.presence, st)
		err = r.presence(c, t, st)
	case stanza.IQ:
		r.charge(c, r.features.iq, st)
		err = r.iq(c, t, st)
	}
	if err != nil {
		if st.Kind == stanza.Message {
			r.refuse(c, t, st, err)
		}
		c.Fail(st, err)
	}
	return nil
}

// charge has a feature of the house pay for the routing of a stanza.
func (r *Router) charge(c *Ctx, f feature.ID, st *stanza.Stanza) {
	a := r.Board.Account(f, c.Org)
	c.pays(a)
	if st.Kind != stanza.IQ || !forModule(st) { // that, its module pays for
		a.BytesIn.Add(int64(st.Len()))
	}
}

// forModule reports whether a stanza is a request that a module may answer.
func forModule(st *stanza.Stanza) bool {
	return (st.Type == stanza.Get || st.Type == stanza.Set) && (st.To.IsBare() || st.To.IsZero() || st.To.Local() == "")
}

// Streaming pays for the reading of streams of an organisation.
func (r *Router) Streaming(org feature.Org) *feature.Account {
	return r.Board.Account(r.features.stream, org)
}

// SigningIn pays for streams until they have a session.
func (r *Router) SigningIn(org feature.Org) *feature.Account {
	return r.Board.Account(r.features.signin, org)
}

// Managing pays for what a stream's client and its session have to say to each
// other (XEP-0198, XEP-0352).
func (r *Router) Managing(org feature.Org) *feature.Account {
	return r.Board.Account(r.features.session, org)
}

// address stamps the sender and reads the recipient. The last recipient is
// remembered: people write several stanzas to the same one.
func (c *Ctx) address(st *stanza.Stanza) error {
	st.From = c.Session.JID
	raw := st.RawTo()
	if raw == nil {
		st.To = jid.JID{}
		return nil
	}
	if string(raw) == string(c.last) && !c.lastJID.IsZero() {
		st.To = c.lastJID
		return nil
	}
	to, err := jid.Parse(stanza.Unescape(raw))
	if err != nil {
		return stanza.JIDMalformed("the address in 'to' is none")
	}
	st.To = to
	c.last, c.lastJID = append(c.last[:0], raw...), to
	if c.lastPeer != nil && c.lastPeer.JID != to.Bare() {
		c.lastPeer.Release()
		c.lastPeer = nil
	}
	return nil
}

// peer acquires the account of st.To; the context holds it, nobody else need
// release it before the next stanza.
func (c *Ctx) peer(to jid.JID) (*presence.Account, error) {
	bare := to.Bare()
	if bare == c.Account.JID {
		return c.Account, nil
	}
	if c.lastPeer != nil && c.lastPeer.JID == bare {
		return c.lastPeer, nil
	}
	a, err := c.Directory.Account(c.Context, bare)
	if err != nil {
		return nil, err
	}
	if c.lastPeer != nil {
		c.lastPeer.Release()
	}
	c.lastPeer = a
	return a, nil
}

// Done gives back what the context holds; its stream is over.
func (c *Ctx) Done() {
	if c.lastPeer != nil {
		c.lastPeer.Release()
		c.lastPeer = nil
	}
}

// keep looks after sessions now and then: acks are asked for so that cursors
// move on, sessions that waited too long for their client end.
func (r *Router) keep(ctx context.Context) {
	tick := time.NewTicker(askEvery / rota)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.sweep()
		}
	}
}
