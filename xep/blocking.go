package xep

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsBlocking = "urn:xmpp:blocking"

const (
	blockLocks    = 64      // how many block lists may be changed at once
	maxBlockBytes = 1 << 20 // of the addresses of one list together, which are in memory
)

// blocker edits block lists: first the rows, then what is in memory.
type blocker struct {
	host *router.Host
	edit [blockLocks]sync.Mutex // by account; held while rows and memory change together
	sent atomic.Uint64          // pushes, for their ids
}

// Blocking lets people block others (XEP-0191). What a block means is enforced
// by router and presence; a person's safety has no switch.
func Blocking(h *router.Host) router.Module {
	b := &blocker{host: h}
	return router.Module{
		Name:   "blocking",
		Doc:    "XEP-0191 1.3: people block whom they want nothing from",
		Always: true,
		Levers: []feature.Lever{{
			Name: "blocking.items", Default: 10000, Min: 1, Max: 1000000,
			Doc: "how many addresses one person may block",
		}},
		Disco: []string{nsBlocking},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsBlocking, Local: "blocklist", To: router.Self, Func: b.list},
			{Type: stanza.Set, NS: nsBlocking, Local: "block", To: router.Self, Func: b.block},
			{Type: stanza.Set, NS: nsBlocking, Local: "unblock", To: router.Self, Func: b.unblock},
		},
	}
}

// list tells the list; from now on the session hears of changes (§3.3).
func (b *blocker) list(c *router.Ctx, iq *stanza.Stanza) error {
	c.Session.BlockAware.Store(true)
	x := new(stanza.XML)
	x.Start("blocklist", "xmlns", nsBlocking)
	if list := c.Account.Blocked.Load(); list != nil {
		all := slices.SortedFunc(maps.Keys(*list), func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
		for _, j := range all {
			x.Empty("item", "jid", j.String())
		}
	}
	x.End()
	return c.Result(iq, x.Bytes())
}

func (b *blocker) block(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	jids, err := blockItems(payload)
	if err != nil {
		return err
	}
	if len(jids) == 0 {
		return stanza.BadRequest("whom to block?")
	}
	limit := b.host.Board.Dial("blocking.items").Int(c.Org)
	return b.change(c, func(list presence.Blocklist) error {
		for _, j := range jids {
			list[j] = struct{}{}
		}
		size := 0
		for j := range list {
			size += len(j.String())
		}
		if int64(len(list)) > limit || size > maxBlockBytes {
			return stanza.PolicyViolation(fmt.Sprintf("a block list holds at most %d addresses of %d bytes together", limit, maxBlockBytes))
		}
		return b.host.Store.Block(c.Context, c.Org, c.Account.ID, texts(jids))
	}, func() {
		_ = c.Result(iq, nil) // it is always nil
		b.push(c, "block", jids)
	})
}

func (b *blocker) unblock(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	jids, err := blockItems(payload)
	if err != nil {
		return err
	}
	return b.change(c, func(list presence.Blocklist) error {
		if len(jids) == 0 { // §3.6: everybody
			clear(list)
			return b.host.Store.Unblock(c.Context, c.Org, c.Account.ID, nil)
		}
		for _, j := range jids {
			delete(list, j)
		}
		return b.host.Store.Unblock(c.Context, c.Org, c.Account.ID, texts(jids))
	}, func() {
		_ = c.Result(iq, nil) // it is always nil
		b.push(c, "unblock", jids)
	})
}

// change edits a copy of the list, persists it by edit and puts it in place.
// answer is called when it is in force, before presence follows.
func (b *blocker) change(c *router.Ctx, edit func(presence.Blocklist) error, answer func()) error {
	mu := &b.edit[uint64(c.Account.ID)%blockLocks]
	mu.Lock()
	defer mu.Unlock()
	now := make(presence.Blocklist)
	if list := c.Account.Blocked.Load(); list != nil {
		maps.Copy(now, *list)
	}
	if err := edit(now); err != nil {
		return err
	}
	if len(now) == 0 {
		c.Directory.Block(c.Account, nil, answer)
	} else {
		c.Directory.Block(c.Account, &now, answer)
	}
	return nil
}

// push tells the resources that asked for the list (§3.4).
func (b *blocker) push(c *router.Ctx, name string, jids []jid.JID) {
	x := new(stanza.XML)
	x.Start(name, "xmlns", nsBlocking)
	for _, j := range jids {
		x.Empty("item", "jid", j.String())
	}
	body := x.End().Bytes()
	id := "block-" + strconv.FormatUint(b.sent.Add(1), 10)
	for _, r := range c.Account.Resources() {
		if !r.Session.BlockAware.Load() {
			continue
		}
		w := stanza.Make(stanza.IQ, stanza.Set, c.Account.JID, r.Session.JID, id, body)
		w.Number = c.Number()
		r.Session.Send(w)
	}
}

// blockItems reads the addresses of a request, each once.
func blockItems(payload stanza.Element) ([]jid.JID, error) {
	var jids []jid.JID
	seen := make(map[jid.JID]bool)
	for el := range payload.Children() {
		if !el.Is(nsBlocking, "item") {
			continue
		}
		address, ok := el.Attr("jid")
		if !ok {
			return nil, stanza.BadRequest("an item has no address")
		}
		j, err := jid.Parse(address)
		if err != nil {
			return nil, stanza.JIDMalformed("an item's address is none")
		}
		if !seen[j] {
			seen[j] = true
			jids = append(jids, j)
		}
	}
	return jids, nil
}

func texts(jids []jid.JID) []string {
	list := make([]string, len(jids))
	for i, j := range jids {
		list[i] = j.String()
	}
	return list
}
