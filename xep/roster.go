package xep

import (
	"context"
	"fmt"
	"strconv"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsRoster         = "jabber:iq:roster"
	nsRosterVersions = "urn:xmpp:features:rosterver"
	nsPreApproval    = "urn:xmpp:features:pre-approval"

	maxRosterName   = 1023 // bytes of a name
	maxRosterGroup  = 1023 // bytes of a group
	maxRosterGroups = 100  // groups of one item
)

// Roster lets people read and edit their contact list (RFC 6121 §2), by
// versions. Subscriptions change by presence only, in package presence.
func Roster(h *router.Host) router.Module {
	return router.Module{
		Name:   "roster",
		Doc:    "RFC 6121 §2: contact lists, with versions (§2.6) and pre-approval (§3.4)",
		Always: true,
		Levers: []feature.Lever{{
			Name: "roster.items", Default: 10000, Min: 1, Max: 1000000,
			Doc: "how many contacts one person may have",
		}},
		Disco: []string{nsRoster},
		Features: func(x *stanza.XML, _ feature.Org, signedIn bool) {
			if signedIn {
				x.Empty("ver", "xmlns", nsRosterVersions).Empty("sub", "xmlns", nsPreApproval)
			}
		},
		IQ: []router.IQ{
			{
				Type: stanza.Get, NS: nsRoster, Local: "query", To: router.Account,
				Scoped: true, Absent: true, Func: rosterGet,
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
// version that the client has (RFC 6121 §2.6.3). What changes meanwhile is
// pushed once more behind the answer, so that the client ends with the latest.
func rosterGet(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	ro, err := c.Account.Roster(c.Context)
	if err != nil {
		return err
	}
	defer c.Rosters.Close(ro)
	if !c.Session.Scope.IsZero() {
		return rosterOfScope(c, iq, ro)
	}
	c.Session.Interested.Store(true)
	payload, _ := iq.First()
	given, asked := payload.Attr("ver")
	version, err := strconv.ParseUint(given, 10, 64)
	if !asked || err != nil || version == 0 {
		version = rosterWhole(c, iq, ro)
		return rosterCatchUp(c, ro, version)
	}
	changes, full, err := ro.Since(c.Context, version)
	if err != nil {
		return err
	}
	if full {
		version = rosterWhole(c, iq, ro)
		return rosterCatchUp(c, ro, version)
	}
	if err := c.Result(iq, nil); err != nil {
		return err
	}
	return rosterCatchUp(c, ro, rosterPush(c, changes, version))
}

// rosterWhole answers with all items and returns their version.
func rosterWhole(c *router.Ctx, iq *stanza.Stanza, ro *roster.Roster) uint64 {
	items, version := ro.Items()
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsRoster, "ver", strconv.FormatUint(version, 10))
	for _, it := range items {
		if it.Listed {
			(&roster.Change{Item: *it}).AppendXML(x)
		}
	}
	x.End()
	_ = c.Result(iq, x.Bytes()) // it is always nil
	return version
}

// rosterOfScope shows a session that is for one peer only that peer.
func rosterOfScope(c *router.Ctx, iq *stanza.Stanza, ro *roster.Roster) error {
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsRoster)
	if it, ok := ro.Get(c.Session.Scope); ok && it.Listed {
		(&roster.Change{Item: it}).AppendXML(x)
	}
	x.End()
	return c.Result(iq, x.Bytes())
}

// rosterCatchUp pushes what has changed since version while the client was
// being answered: a push of another session may have come before the answer.
func rosterCatchUp(c *router.Ctx, ro *roster.Roster, version uint64) error {
	for ro.Version() > version {
		changes, full, err := ro.Since(c.Context, version)
		if err != nil || full || len(changes) == 0 {
			return err
		}
		version = rosterPush(c, changes, version)
	}
	return nil
}

// rosterPush sends one push per change (RFC 6121 §2.6.3) and returns the last
// version among them.
func rosterPush(c *router.Ctx, changes []roster.Change, version uint64) uint64 {
	for i := range changes {
		ch := &changes[i]
		version = max(version, ch.Version)
		x := new(stanza.XML)
		x.Start("query", "xmlns", nsRoster, "ver", strconv.FormatUint(ch.Version, 10))
		ch.AppendXML(x)
		x.End()
		c.Send(stanza.Make(stanza.IQ, stanza.Set, c.Account.JID, c.Session.JID,
			"push-"+strconv.FormatUint(ch.Version, 10), x.Bytes()))
	}
	return version
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
		found, err := c.Directory.Remove(c.Context, c.Account, it.JID)
		if err != nil {
			return err
		}
		if !found {
			return stanza.ItemNotFound("")
		}
		return c.Result(iq, nil)
	}
	if err := rosterRoom(c.Context, c, it.JID, limit.Int(c.Org)); err != nil {
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

// rosterRoom refuses a new contact when there are too many.
func rosterRoom(ctx context.Context, c *router.Ctx, contact jid.JID, limit int64) error {
	ro, err := c.Account.Roster(ctx)
	if err != nil {
		return err
	}
	defer c.Rosters.Close(ro)
	if _, there := ro.Get(contact); !there && int64(ro.Len()) >= limit {
		return stanza.PolicyViolation(fmt.Sprintf("a roster holds at most %d contacts", limit))
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
