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
	if !to.Online() {
		return
	}
	for _, r := range to.Resources() {
		if _, ok := r.Session.Priority(); ok {
			a.show(to, r)
		}
	}
}

// unshare ends it: to, if it watched, is told that the resources of a are
// unavailable.
func (d *Directory) unshare(a, to *Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, watched := a.watchers[to]; !watched {
		return
	}
	delete(a.watchers, to)
	if parts(a, to) {
		return
	}
	for _, r := range a.Resources() {
		if r.seenBy(to.JID) {
			to.receive(stanza.Make(stanza.Presence, stanza.Unavailable, r.Session.JID, to.JID, "", nil))
		}
	}
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
	if c := d.Find(contact); c != nil {
		d.unshare(c, a)
		c.Release()
	}
}

// Part is told when one of two accounts begins to block the other (XEP-0191
// §3.4: those who see it are told that it is unavailable) or ends it.
func (d *Directory) Part(a *Account, other jid.JID, blocked bool) {
	c := d.Find(other.Bare())
	if c == nil {
		return
	}
	defer c.Release()
	if blocked {
		a.conceal(c)
		return
	}
	a.mu.Lock()
	_, watched := a.watchers[c]
	a.mu.Unlock()
	if watched {
		d.share(a, c)
	}
	c.mu.Lock()
	_, watches := c.watchers[a]
	c.mu.Unlock()
	if watches {
		d.share(c, a)
	}
}

// conceal tells a watcher that all resources are unavailable, without ending
// the subscription.
func (a *Account) conceal(from *Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, watched := a.watchers[from]; !watched {
		return
	}
	for _, r := range a.Resources() {
		if r.seenBy(from.JID) {
			from.receive(stanza.Make(stanza.Presence, stanza.Unavailable, r.Session.JID, from.JID, "", nil))
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
	if c.Blocks(a.JID) { // XEP-0191 §3.5: no answer at all
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
	found := false
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.Resources() {
		if r.seenBy(a.JID) && (st.To.IsBare() || st.To == r.Session.JID) {
			found = true
			answer(r.presence)
		}
	}
	if !found {
		answer(stanza.Make(stanza.Presence, stanza.Unavailable, st.To, a.JID, "", nil))
	}
	return nil
}

// MaySee reports whether a is allowed to see the presence of c: it is the
// same account, or c's roster says so and neither blocks the other.
func (d *Directory) MaySee(ctx context.Context, a, c *Account) (bool, error) {
	if a == c {
		return true, nil
	}
	if parts(a, c) || c.version.Load() == 0 {
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
