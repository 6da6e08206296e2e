package xep

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsRoster         = "jabber:iq:roster"
	nsRosterVersions = "urn:xmpp:features:rosterver"
	nsPreApproval    = "urn:xmpp:features:pre-approval"

	maxRosterName   = 1023 // bytes of a name
	maxRosterGroup  = 1023 // bytes of a group
	maxRosterGroups = 100  // groups of one item

	maxRosterBytes = 4 << 20 // addresses, names and groups of one person's roster
)

// Roster lets people read and edit their contact list (RFC 6121 §2), by
// versions: personal items and shared groups put together. Subscriptions change
// by presence only, in package presence; groups by commands, and what they
// change in rosters is pushed here, behind the edits and paced.
func Roster(h *router.Host) router.Module {
	p := &rosterPusher{host: h, wake: make(chan struct{}, 1), following: make(map[feature.Org]map[*session.Session]*presence.Account)}
	if h.Rosters != nil {
		h.Rosters.SetMax(func(org feature.Org) int { return int(h.Board.Dial("roster.max").Int(org)) })
		h.Rosters.Groups.OnChange(func(c roster.GroupChange) { p.changed(c.Org) })
		h.Rosters.Groups.OnOnline(p.changed)
		h.Board.OnChange(p.rebound)
	}
	return router.Module{
		Name:   "roster",
		Doc:    "RFC 6121 §2: contact lists and shared groups, with versions (§2.6), pre-approval (§3.4), nested groups (XEP-0083)",
		Always: true,
		Levers: []feature.Lever{
			{Name: "roster.items", Default: 10000, Min: 1, Max: 1000000, Doc: "how many personal contacts one person may have"},
			{Name: "roster.max", Default: roster.DefaultMax, Min: 1, Max: 1000000,
				Doc: "how many contacts a roster shows; personal ones first, then groups; who is beyond sends and gets no presence"},
			{Name: "roster.pushes", Unit: "1/s", Default: 5000, Min: 10, Max: 1000000, Doc: "how many pushes a second edits of groups may make"},
			{Name: "roster.window", Unit: "ms", Default: 100, Min: 0, Max: 60000,
				Doc: "how long edits of groups are gathered before rosters are told"},
		},
		Disco: []string{nsRoster},
		Features: func(x *stanza.XML, _ feature.Org, signedIn bool) {
			if signedIn {
				x.Empty("ver", "xmlns", nsRosterVersions).Empty("sub", "xmlns", nsPreApproval)
			}
		},
		Unbound: p.forget,
		Run:     p.run,
		IQ: []router.IQ{
			{
				Type: stanza.Get, NS: nsRoster, Local: "query", To: router.Account,
				Scoped: true, Absent: true, Func: func(c *router.Ctx, iq *stanza.Stanza) error { return rosterGet(c, iq, p) },
			},
			{
				Type: stanza.Set, NS: nsRoster, Local: "query", To: router.Account, Absent: true,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error {
					return rosterSet(c, iq, h.Board.Dial("roster.items"))
				},
			},
		},
	}
}

// rosterGet answers with the whole roster, or with nothing and the changes since the
// version that the client has (RFC 6121 §2.6.3).
func rosterGet(c *router.Ctx, iq *stanza.Stanza, p *rosterPusher) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	if !c.Session.Scope.IsZero() {
		ro, err := c.Account.Roster(c.Context)
		if err != nil {
			return err
		}
		defer c.Rosters.Close(ro)
		return rosterOfScope(c, iq, ro)
	}
	var since *roster.Version
	payload, _ := iq.First()
	given, _ := payload.Attr("ver")
	if version, ok := roster.ParseVersion(given); ok && version != (roster.Version{}) {
		since = &version
	}
	p.follow(c)
	return c.Account.ShowRoster(c.Context, c.Session, since, func(payload []byte) {
		_ = c.Result(iq, payload) // it is always nil
	})
}

// A rosterPusher tells rosters what edits of groups have changed in them: one
// goroutine, session after session, so many pushes a second. What a session
// has not been told is known from its version, so that nothing waits in
// queues, and several edits make one push per contact.
type rosterPusher struct {
	host *router.Host
	wake chan struct{} // something is dirty

	mu        sync.Mutex
	following map[feature.Org]map[*session.Session]*presence.Account // who has asked for a roster
	dirty     map[feature.Org]bool                                   // whose groups have changed
	bounds    map[feature.Org]int64                                  // roster.max, as followed

	paid time.Time // until when the pushes made so far take; run's alone
}

func (p *rosterPusher) follow(c *router.Ctx) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.following[c.Org]
	if list == nil {
		list = make(map[*session.Session]*presence.Account)
		p.following[c.Org] = list
	}
	list[c.Session] = c.Account
	if p.bounds == nil {
		p.bounds = make(map[feature.Org]int64)
	}
	if _, known := p.bounds[c.Org]; !known {
		p.bounds[c.Org] = p.host.Board.Dial("roster.max").Int(c.Org)
	}
}

// rebound notes of which organisations the bound of rosters has moved.
func (p *rosterPusher) rebound() {
	most := p.host.Board.Dial("roster.max")
	var moved []feature.Org
	p.mu.Lock()
	for org := range p.following {
		if now := most.Int(org); p.bounds[org] != now {
			p.bounds[org] = now
			moved = append(moved, org)
		}
	}
	p.mu.Unlock()
	for _, org := range moved {
		p.changed(org)
	}
}

func (p *rosterPusher) forget(c *router.Ctx) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.following[c.Org], c.Session); len(p.following[c.Org]) == 0 {
		delete(p.following, c.Org)
		delete(p.bounds, c.Org)
	}
}

// changed notes that groups have changed. It does not wait.
func (p *rosterPusher) changed(org feature.Org) {
	p.mu.Lock()
	if p.dirty == nil {
		p.dirty = make(map[feature.Org]bool)
	}
	p.dirty[org] = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take is who has to be looked at, and forgets it.
func (p *rosterPusher) take() map[*session.Session]*presence.Account {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make(map[*session.Session]*presence.Account)
	for org := range p.dirty {
		maps.Copy(list, p.following[org])
	}
	p.dirty = nil
	return list
}

// run ends with ctx.
func (p *rosterPusher) run(ctx context.Context) error {
	window, rate := p.host.Board.Dial("roster.window"), p.host.Board.Dial("roster.pushes")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		if !rosterPause(ctx, time.Duration(window.Int(0))*time.Millisecond) {
			return nil
		}
		late := make(map[feature.Org]bool) // somebody could not be told now
		for s, a := range p.take() {
			if s.Room() != nil {
				late[a.Org] = true
				continue
			}
			err := p.tell(ctx, s, a, rate)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !late[a.Org] { // once for all whom the store does not answer for
				p.host.Log.Warn("rosters are told of groups later", "jid", s.JID.String(), "cause", err)
			}
			late[a.Org] = late[a.Org] || err != nil
		}
		for org := range late {
			time.AfterFunc(time.Second, func() { p.changed(org) })
		}
	}
}

// rosterStep is how many contacts a session is told at once.
const rosterStep = 100

// tell brings one session up to date, or ends with ctx. Whose mailbox fills
// meanwhile is looked at again.
func (p *rosterPusher) tell(ctx context.Context, s *session.Session, a *presence.Account, rate *feature.Dial) error {
	for {
		n, more, err := a.FollowGroups(ctx, s, rosterStep)
		if n > 0 && !p.pay(ctx, n, rate.Int(0)) || !more || err != nil {
			return err
		}
		if s.Room() != nil {
			p.changed(a.Org)
			return nil
		}
	}
}

// rosterAhead is how far pushes may be ahead of their rate: a wait shorter than
// a timer's lateness would make them far slower than that.
const rosterAhead = 10 * time.Millisecond

// pay waits for as long as so many pushes take at a rate, now or later; false
// when ctx has ended.
func (p *rosterPusher) pay(ctx context.Context, n int, rate int64) bool {
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(time.Duration(n) * time.Second / time.Duration(rate))
	if ahead := p.paid.Sub(now); ahead > rosterAhead {
		return rosterPause(ctx, ahead)
	}
	return ctx.Err() == nil
}

// rosterPause waits; false when ctx has ended.
func rosterPause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// rosterOfScope shows a session that is for one peer only that peer.
func rosterOfScope(c *router.Ctx, iq *stanza.Stanza, ro *roster.Roster) error {
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsRoster)
	if it := ro.View(c.Account.JID).Item(c.Session.Scope); !it.Removed {
		it.AppendXML(x)
	}
	x.End()
	return c.Result(iq, x.Bytes())
}

// rosterSet adds, changes or removes one item, RFC 6121 §2.3 to §2.5.
func rosterSet(c *router.Ctx, iq *stanza.Stanza, limit *feature.Dial) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	payload, _ := iq.First()
	it, remove, err := rosterItem(payload)
	if err != nil {
		return err
	}
	if it.JID == c.Account.JID {
		return stanza.NotAllowed("nobody is their own contact")
	}
	if remove {
		return rosterRemove(c, iq, it.JID)
	}
	it.Groups, it.Listed = c.Account.Strip(it.JID, it.Groups), true
	if err := rosterRoom(c, &it, limit.Int(c.Org)); err != nil {
		return err
	}
	if _, err := c.Account.EditRoster(c.Context, it.JID, func(now *roster.Item) bool {
		now.Name, now.Groups, now.Listed = it.Name, it.Groups, true
		return true
	}); err != nil {
		return err
	}
	return c.Result(iq, nil)
}

// rosterRemove takes a contact off the list, RFC 6121 §2.5. What a shared
// group shows stays: the personal item goes, and where there is none the
// request is refused.
func rosterRemove(c *router.Ctx, iq *stanza.Stanza, contact jid.JID) error {
	found, err := c.Directory.Remove(c.Context, c.Account, contact)
	switch {
	case err != nil:
		return err
	case found:
		return c.Result(iq, nil)
	case c.Rosters.Groups.Sees(c.Account.JID, contact):
		return stanza.NotAllowed("a group of your organisation shows this contact: only its administrators can take it away")
	}
	return stanza.ItemNotFound("")
}

// rosterRoom refuses a new contact when there are too many, and an item that
// grows when the roster has too much in it.
func rosterRoom(c *router.Ctx, it *roster.Item, limit int64) error {
	ro, err := c.Account.Roster(c.Context)
	if err != nil {
		return err
	}
	defer c.Rosters.Close(ro)
	old, there := ro.Get(it.JID)
	if !there && int64(ro.Len()) >= limit {
		return stanza.PolicyViolation(fmt.Sprintf("a roster holds at most %d contacts", limit))
	}
	if more := it.Bytes() - old.Bytes(); more > 0 && ro.Bytes()+more > maxRosterBytes {
		return stanza.PolicyViolation(fmt.Sprintf("a roster holds at most %d MiB of names and groups: put contacts into fewer groups", maxRosterBytes>>20))
	}
	return nil
}

// rosterItem reads the one item of a roster set, with the checks of RFC 6121
// §2.3.3.
func rosterItem(payload stanza.Element) (it roster.Item, remove bool, err error) {
	var el stanza.Element
	n := 0
	for child := range payload.Children() {
		if !child.Is(nsRoster, "item") {
			return it, false, stanza.BadRequest("a roster set has one item and nothing else")
		}
		el, n = child, n+1
	}
	if n != 1 {
		return it, false, stanza.BadRequest("a roster set has exactly one item")
	}
	address, ok := el.Attr("jid")
	if !ok {
		return it, false, stanza.BadRequest("the item has no address")
	}
	contact, err := jid.Parse(address)
	if err != nil {
		return it, false, stanza.JIDMalformed("the item's address is none")
	}
	it.JID = contact.Bare()
	if sub, _ := el.Attr("subscription"); sub == "remove" {
		return it, true, nil
	}
	it.Name, _ = el.Attr("name")
	if len(it.Name) > maxRosterName {
		return it, false, stanza.NotAcceptable("the name is too long")
	}
	it.Groups, err = rosterGroups(el)
	return it, false, err
}

func rosterGroups(item stanza.Element) ([]string, error) {
	var groups []string
	seen := make(map[string]bool)
	for g := range item.Children() {
		if !g.Is(nsRoster, "group") {
			continue
		}
		name := g.Text()
		switch {
		case name == "":
			return nil, stanza.NotAcceptable("a group needs a name")
		case len(name) > maxRosterGroup:
			return nil, stanza.NotAcceptable("the name of a group is too long")
		case len(groups) == maxRosterGroups:
			return nil, stanza.NotAcceptable("too many groups")
		case seen[name]:
			return nil, stanza.BadRequest("a group is named twice")
		}
		seen[name] = true
		groups = append(groups, name)
	}
	return groups, nil
}
