package presence

import (
	"context"
	"fmt"
	"slices"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

// What clients are told of their rosters: personal items and shared groups put
// together. Whatever is told to one account's clients is told under
// Account.edits, so that it comes in the order of its versions, and the answer
// to a roster get too.

// EditRoster changes the item of one contact, on disk first, and pushes the
// change to the interested resources (RFC 6121 §2.1.6).
func (a *Account) EditRoster(ctx context.Context, contact jid.JID, edit func(*roster.Item) bool) (changed bool, err error) {
	a.edits.Lock()
	defer a.edits.Unlock()
	change, err := a.edit(ctx, contact, edit)
	if change != nil {
		a.push(change)
	}
	return change != nil, err
}

// edited is a change of a personal item, and the roster with it.
type edited struct {
	roster.Change
	view *roster.View
}

// edit is EditRoster without the push; nil means that nothing changed. The
// change has what groups add to the item. The caller holds a.edits.
func (a *Account) edit(ctx context.Context, contact jid.JID, edit func(*roster.Item) bool) (*edited, error) {
	ro, err := a.Roster(ctx)
	if err != nil {
		return nil, fmt.Errorf("open roster of %s: %w", a.JID, err)
	}
	defer a.directory.rosters.Close(ro)
	defer a.keep(ro)
	var before roster.Item
	change, changed, err := ro.Update(ctx, contact, func(it *roster.Item) bool {
		before = *it
		return edit(it)
	})
	if err != nil || !changed {
		return nil, err
	}
	a.version.Store(change.Version)
	hidden := change.Removed && !before.Listed || before.LooksLike(&change.Item)
	shown := &edited{view: ro.View(a.JID)}
	shown.Change = shown.view.Item(contact)
	shown.Version, shown.Hidden = change.Version, hidden
	return shown, nil
}

// Knows reports whether the contact stands on the account's roster.
func (a *Account) Knows(ctx context.Context, contact jid.JID) (bool, error) {
	if a.directory.rosters.Groups.Sees(a.JID, contact.Bare()) {
		return true, nil
	}
	if a.version.Load() == 0 {
		return false, nil
	}
	ro, err := a.Roster(ctx)
	if err != nil {
		return false, err
	}
	defer a.directory.rosters.Close(ro)
	it, ok := ro.Get(contact)
	return ok && it.Listed, nil
}

// push tells interested resources of a change, RFC 6121 §2.1.6, and of whom
// groups show no more for it, or show now, where a roster has its bound.
func (a *Account) push(c *edited) {
	if c.Hidden {
		return
	}
	moved := false
	for _, r := range a.Resources() {
		if !r.Session.Interested.Load() {
			continue
		}
		before := r.follower.Told()
		before.Personal = c.Version - 1
		items := r.follower.Rebound(c.view)
		moved = moved || len(items) > 0
		items = slices.DeleteFunc(items, func(other roster.Change) bool { return other.Item.JID == c.Item.JID })
		after := r.follower.Told()
		after.Personal = c.Version
		a.pushAll(r, append(items, c.Change), before, after)
	}
	if moved {
		a.directory.rebound(a)
	}
}

// pushTo sends one push.
func (a *Account) pushTo(s *session.Session, c *roster.Change, version roster.Version) {
	ver := version.String()
	x := new(stanza.XML)
	x.Start("query", "xmlns", "jabber:iq:roster", "ver", ver)
	c.AppendXML(x)
	x.End()
	a.pushes++
	w := stanza.Make(stanza.IQ, stanza.Set, a.JID, s.JID, fmt.Sprintf("push-%s-%d", ver, a.pushes), x.Bytes())
	w.Number = a.directory.rosterNumber(a.Org)
	s.Send(w)
}

// ShowRoster answers a client that asks for its roster (RFC 6121 §2.1.3 and
// §2.6): with all items, or with nothing, and pushes of what it has missed
// since the version that it has, if it has one. From then on it is told of
// changes.
func (a *Account) ShowRoster(ctx context.Context, s *session.Session, since *roster.Version, answer func(payload []byte)) error {
	a.edits.Lock()
	defer a.edits.Unlock()
	ro, err := a.Roster(ctx)
	if err != nil {
		return err
	}
	defer a.directory.rosters.Close(ro)
	r := a.find(s)
	if r == nil {
		return nil // it has ended
	}
	defer a.keep(ro)
	if since != nil {
		told, err := a.showMissed(ctx, ro, r, *since, answer)
		if told || err != nil {
			return err
		}
	}
	s.Interested.Store(true)
	view, version := r.follower.Whole(a.JID, ro)
	x := new(stanza.XML)
	x.Start("query", "xmlns", "jabber:iq:roster", "ver", version.String())
	view.AppendXML(x)
	answer(x.End().Bytes())
	a.directory.rebound(a)
	return nil
}

// showMissed answers a client that has a version; false when it needs the
// whole roster.
func (a *Account) showMissed(ctx context.Context, ro *roster.Roster, r *Resource, since roster.Version, answer func([]byte)) (bool, error) {
	changes, full, err := ro.Since(ctx, since.Personal)
	if err != nil || full {
		return false, err
	}
	personal := make([]jid.JID, len(changes))
	for i := range changes {
		personal[i] = changes[i].Item.JID
	}
	items, version, full := r.follower.Return(a.JID, ro, since, personal)
	if full {
		return false, nil
	}
	r.Session.Interested.Store(true)
	answer(nil)
	a.pushAll(r, items, since, version)
	a.directory.rebound(a)
	return true, nil
}

// pushAll sends several pushes. Only the last one brings the client to the new
// version: one that is cut off in between comes back with the old.
func (a *Account) pushAll(r *Resource, items []roster.Change, before, after roster.Version) {
	for i := range items {
		version := before
		if i == len(items)-1 {
			version = after
		}
		a.pushTo(r.Session, &items[i], version)
	}
}

// FollowGroups tells a session what groups have changed in its roster since it
// was last told, at most so many contacts, and whether there is more to tell.
func (a *Account) FollowGroups(ctx context.Context, s *session.Session, most int) (told int, more bool, err error) {
	a.edits.Lock()
	defer a.edits.Unlock()
	r := a.find(s)
	if r == nil || !s.Interested.Load() || !r.follower.Behind(a.JID, a.directory.rosters, a.Org) {
		return 0, false, nil
	}
	ro, err := a.Roster(ctx)
	if err != nil {
		return 0, false, err
	}
	defer a.directory.rosters.Close(ro)
	before := r.follower.Told()
	before.Personal = ro.Version()
	items, more := r.follower.Next(a.JID, ro, most)
	after := before
	if !more {
		after = r.follower.Told()
		after.Personal = before.Personal
	}
	a.pushAll(r, items, before, after)
	if !more {
		a.directory.rebound(a)
	}
	return len(items), more, nil
}

// Strip takes out of the roster groups that a client sends those that shared
// groups give the contact: clients send back all that they were shown.
func (a *Account) Strip(contact jid.JID, groups []string) []string {
	shared := a.directory.rosters.Groups.Labels(a.JID, contact)
	return slices.DeleteFunc(groups, func(g string) bool { return slices.Contains(shared, g) })
}
