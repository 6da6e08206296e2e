package xep

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const nsPrivate = "jabber:iq:private"

// private keeps within the bounds of its dials.
type private struct{ host *router.Host }

// Private keeps XML that clients want back, one element per name and namespace
// (XEP-0049).
func Private(h *router.Host) router.Module {
	p := &private{host: h}
	return router.Module{
		Name: "private",
		Doc:  "XEP-0049 1.2: keeps XML for the clients of an account",
		Levers: []feature.Lever{{
			Name: "private.size", Unit: "bytes", Default: 128 << 10, Min: 1 << 10, Max: 8 << 20,
			Doc: "how large one element of private XML may be",
		}, {
			Name: "private.items", Default: 200, Min: 1, Max: 10000,
			Doc: "how many elements of private XML an account may have",
		}, {
			Name: "private.total", Unit: "bytes", Default: 1 << 20, Min: 1 << 10, Max: 64 << 20,
			Doc: "how large all private XML of an account may be",
		}},
		Disco: []string{nsPrivate},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsPrivate, Local: "query", To: router.Account, Absent: true, Func: privateGet},
			{Type: stanza.Set, NS: nsPrivate, Local: "query", To: router.Account, Absent: true, Func: p.set},
		},
	}
}

func privateGet(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	elements, err := privateElements(iq)
	if err != nil {
		return err
	}
	if len(elements) != 1 {
		return stanza.BadRequest("ask for one element at a time")
	}
	ns, name := privateName(elements[0])
	b, err := c.Store.Private(c.Context, c.Org, c.Account.ID, ns, name)
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsPrivate)
	switch {
	case errors.Is(err, store.ErrNotFound): // §3: the empty element
		x.Empty(name, "xmlns", ns)
	case err != nil:
		return err
	default:
		x.Raw(b)
	}
	return c.Result(iq, x.End().Bytes())
}

// set keeps elements, all of a request or none. An empty element is what one
// gets that was never set, so it is not kept.
func (p *private) set(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	elements, err := privateElements(iq)
	if err != nil {
		return err
	}
	dial := func(name string) int64 { return p.host.Board.Dial(name).Int(c.Org) }
	limit := dial("private.size")
	list := make([]store.PrivateElement, len(elements))
	for i, el := range elements {
		list[i].NS, list[i].Name = privateName(el)
		if privateEmpty(el) {
			continue
		}
		if list[i].XML = el.AppendStandalone(nil); int64(len(list[i].XML)) > limit {
			return stanza.PolicyViolation(fmt.Sprintf("an element has at most %d bytes", limit))
		}
	}
	room := store.PrivateRoom{Elements: dial("private.items"), Bytes: dial("private.total")}
	err = c.Store.SetPrivate(c.Context, c.Org, c.Account.ID, list, room)
	if errors.Is(err, store.ErrNoRoom) {
		return stanza.PolicyViolation(fmt.Sprintf(
			"an account keeps at most %d elements and %d bytes; empty some that you do not need", room.Elements, room.Bytes))
	}
	if err != nil {
		return err
	}
	return c.Result(iq, nil)
}

// privateEmpty says whether an element holds nothing but its name.
func privateEmpty(el stanza.Element) bool {
	for name := range el.Attrs() {
		if string(name) != "xmlns" && !bytes.HasPrefix(name, []byte("xmlns:")) {
			return false
		}
	}
	return len(bytes.TrimSpace(el.Inner())) == 0
}

// privateElements are the elements of a request: at least one, each in a
// namespace of its own.
func privateElements(iq *stanza.Stanza) ([]stanza.Element, error) {
	payload, _ := iq.First()
	var all []stanza.Element
	for el := range payload.Children() {
		ns, name := privateName(el)
		if ns == "" || ns == nsPrivate {
			return nil, stanza.NotAcceptable("an element needs a namespace of its own")
		}
		if len(ns) > 500 || len(name) > 200 {
			return nil, stanza.NotAcceptable("the name of an element is too long")
		}
		all = append(all, el)
	}
	if len(all) == 0 {
		return nil, stanza.BadRequest("which element?")
	}
	return all, nil
}

func privateName(el stanza.Element) (ns, name string) {
	return stanza.Unescape(el.NS()), string(el.Local())
}
