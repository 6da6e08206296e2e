package presence

import (
	"context"
	"errors"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// Subscription is a stanza of type subscribe, subscribed, unsubscribe or
// unsubscribed that a resource of a sends, RFC 6121 §3. Both sides are served
// here: first the sender's roster, then the contact's.
func (d *Directory) Subscription(ctx context.Context, a *Account, st *stanza.Stanza) error {
	contact := st.To.Bare()
	if contact == a.JID {
		return nil
	}
	if org, ok := d.Org(contact.Domain()); !ok || org != a.Org {
		return stanza.RemoteServerNotFound("")
	}
	groups := d.rosters.Groups
	if st.Type == stanza.Subscribe && groups.Bits(a.JID, contact).Sees() {
		// A group gives it: nothing is asked for (RFC 6121 §3.1.3).
		yes := stanza.Make(stanza.Presence, stanza.Subscribed, contact, a.JID, "", nil)
		yes.Number = d.Board.Number(d.Presence, a.Org)
		a.deliver(yes)
		return nil
	}
	route := false
	_, err := a.EditRoster(ctx, contact, func(it *roster.Item) bool {
		before := *it
		route = it.Out(st.Type)
		return differs(&before, it)
	})
	if err != nil {
		return err
	}
	if !route {
		return nil
	}
	st.From = a.JID // RFC 6121 §3.1.2: the bare address
	w := st.WireTo(contact)
	w.Number = d.Board.Number(d.Presence, a.Org)
	return d.inbound(ctx, a, contact, w)
}

func differs(a, b *roster.Item) bool {
	return a.Sub != b.Sub || a.Ask != b.Ask || a.In != b.In || a.Approved != b.Approved || a.Listed != b.Listed
}

// inbound is the contact's side of a subscription stanza from a. An account
// that does not exist, or that blocks a, is silent (RFC 6121 §8.5.1).
func (d *Directory) inbound(ctx context.Context, a *Account, contact jid.JID, w *stanza.Wire) error {
	b, err := d.Account(ctx, contact)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	defer b.Release()
	if b.Org != a.Org || b.Blocks(a.JID) && w.Type == stanza.Subscribe {
		return nil
	}
	deliver, approve, err := b.take(ctx, a.JID, w)
	if err != nil {
		return err
	}
	return d.follow(ctx, a, b, w.Type, deliver, approve)
}

// take changes the roster of b by a subscription stanza that came from a
// contact, and shows its resources the stanza and the change.
func (b *Account) take(ctx context.Context, from jid.JID, w *stanza.Wire) (deliver, approve bool, err error) {
	b.edits.Lock()
	defer b.edits.Unlock()
	change, err := b.edit(ctx, from, func(it *roster.Item) bool {
		before := *it
		deliver, approve = it.Inbound(w.Type)
		if it.In && !before.In {
			it.Request = w.Stored()
		}
		return differs(&before, it)
	})
	if err != nil {
		return false, false, err
	}
	if deliver {
		b.deliver(w) // RFC 6121 §3.1.6: the stanza, then the push that follows from it
	}
	if change != nil {
		b.push(change)
	}
	return deliver, approve, nil
}

// deliver hands a subscription stanza to the resources that are available,
// RFC 6121 §3.1.3.
func (a *Account) deliver(w *stanza.Wire) {
	if !a.Blocks(w.From) {
		a.receive(w)
	}
}

// follow does what a subscription stanza of a to b entails: an answer in the
// contact's place, and presence that is now seen or seen no more.
func (d *Directory) follow(ctx context.Context, a, b *Account, t stanza.Type, delivered, approve bool) error {
	switch t {
	case stanza.Subscribe:
		if !approve {
			return nil
		}
		yes := stanza.Make(stanza.Presence, stanza.Subscribed, b.JID, a.JID, "", nil)
		yes.Number = d.Board.Number(d.Presence, a.Org)
		return d.inbound(ctx, b, a.JID, yes)
	case stanza.Subscribed:
		if delivered {
			d.share(a, b)
		}
	case stanza.Unsubscribed:
		d.unshare(a, b)
	case stanza.Unsubscribe:
		if delivered {
			d.unshare(b, a)
		}
	}
	return nil
}

// share makes to see the presence of a from now on.
func (d *Directory) share(a, to *Account) {
	b := a.board
	b.mu.Lock()
	var due []*viewer
	if watches(to, a) {
		for _, r := range to.Resources() {
			if r.viewer != nil {
				b.watch(r.viewer, a.JID)
			}
			if v := r.viewer; v != nil && a.shown > 0 && v.person(a) == nil {
				v.persons = append(v.persons, b.attach(v, b.own(a)))
				due = append(due, v)
			}
		}
	}
	b.mu.Unlock()
	b.flushAll(due)
}

// watches reports whether the rosters, as they are now, let to see a: what was
// decided a moment ago may have been taken back.
func watches(to, a *Account) bool {
	switch {
	case a.roster != nil:
		it, _ := a.roster.Get(to.JID)
		return it.Sub.Seen()
	case to.roster != nil:
		it, _ := to.roster.Get(a.JID)
		return it.Sub.Sees()
	}
	return false
}

// unshare ends it: to is told that the resources of a are unavailable, unless it
// sees them by a group.
func (d *Directory) unshare(a, to *Account) {
	b := a.board
	b.mu.Lock()
	var due []*viewer
	for _, r := range to.Resources() {
		if r.viewer == nil {
			continue
		}
		b.unwatch(r.viewer, a.JID)
		r.viewer.remember(a.JID)
		if at := r.viewer.person(a); at != nil {
			at.leaving = true
			r.viewer.leaving++
			due = append(due, r.viewer)
		}
	}
	b.mu.Unlock()
	b.flushAll(due)
}

// Remove takes a contact off the roster of a and cancels what there was
// between them, RFC 6121 §2.5.2. It reports whether there was such an item.
func (d *Directory) Remove(ctx context.Context, a *Account, contact jid.JID) (bool, error) {
	var was roster.Item
	changed, err := a.EditRoster(ctx, contact, func(it *roster.Item) bool {
		was = *it
		if !it.Listed {
			return false
		}
		*it = roster.Item{JID: contact}
		return true
	})
	if err != nil || !changed {
		return false, err
	}
	for t, needed := range map[stanza.Type]bool{
		stanza.Unsubscribe:  was.Sub.Sees() || was.Ask,
		stanza.Unsubscribed: was.Sub.Seen() || was.In,
	} {
		if !needed {
			continue
		}
		w := stanza.Make(stanza.Presence, t, a.JID, contact, "", nil)
		w.Number = d.Board.Number(d.Presence, a.Org)
		if err := d.inbound(ctx, a, contact, w); err != nil {
			return true, err
		}
	}
	if was.Sub.Sees() { // the contact's presence goes from the owner's screen
		d.hide(a, contact)
	}
	return true, nil
}

// hide shows the resources of a contact as unavailable to a.
func (d *Directory) hide(a *Account, contact jid.JID) {
	c := d.Find(contact)
	if c != nil {
		d.unshare(c, a)
		c.Release()
		return
	}
	a.board.mu.Lock()
	defer a.board.mu.Unlock()
	for _, r := range a.Resources() {
		if r.viewer != nil {
			r.viewer.remember(contact)
		}
	}
}

// Probe answers a presence probe of a session of a, RFC 6121 §4.3.2, from
// memory.
func (d *Directory) Probe(ctx context.Context, a *Account, st *stanza.Stanza, answer func(*stanza.Wire)) error {
	c, err := d.Account(ctx, st.To.Bare())
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Release()
	if c.Blocks(st.From) { // XEP-0191 §3.5: no answer at all
		return nil
	}
	allowed, err := d.MaySee(ctx, a, c)
	if err != nil {
		return err
	}
	if !allowed {
		answer(stanza.Make(stanza.Presence, stanza.Unsubscribed, c.JID, a.JID, "", nil))
		return nil
	}
	c.board.mu.RLock()
	defer c.board.mu.RUnlock()
	found := false
	for _, e := range c.entries {
		if e.wire != nil && (e.scope.IsZero() || e.scope == a.JID) && !a.Blocks(e.jid) && (st.To.IsBare() || st.To == e.jid) {
			found = true
			answer(e.wire)
		}
	}
	if !found {
		answer(stanza.Make(stanza.Presence, stanza.Unavailable, st.To, a.JID, "", nil))
	}
	return nil
}

// MaySee reports whether a is allowed to see the presence of c: it is the same
// account, or c's roster or a group says so, and neither blocks the other.
func (d *Directory) MaySee(ctx context.Context, a, c *Account) (bool, error) {
	if a == c {
		return true, nil
	}
	if a.Blocks(c.JID) || c.Blocks(a.JID) {
		return false, nil
	}
	if d.rosters.Groups.Sees(a.JID, c.JID) {
		a.board.mu.RLock()
		defer a.board.mu.RUnlock()
		return within(a, c), nil
	}
	if c.version.Load() == 0 {
		return false, nil
	}
	ro, err := c.Roster(ctx)
	if err != nil {
		return false, err
	}
	defer d.rosters.Close(ro)
	it, _ := ro.Get(a.JID)
	return it.Sub.Seen(), nil
}
