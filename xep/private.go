package xep

import (
	"errors"
	"fmt"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const nsPrivate = "jabber:iq:private"

// Private keeps XML that clients want back, one element per name and namespace
// (XEP-0049).
func Private(h *router.Host) router.Module {
	return router.Module{
		Name: "private",
		Doc:  "XEP-0049 1.2: keeps XML for the clients of an account",
		Levers: []feature.Lever{{
			Name: "private.size", Unit: "bytes", Default: 128 << 10, Min: 1 << 10, Max: 8 << 20,
			Doc: "how large one element of private XML may be",
		}},
		Disco: []string{nsPrivate},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsPrivate, Local: "query", To: router.Account, Absent: true, Func: privateGet},
			{
				Type: stanza.Set, NS: nsPrivate, Local: "query", To: router.Account, Absent: true,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error {
					return privateSet(c, iq, h.Board.Dial("private.size"))
				},
			},
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

func privateSet(c *router.Ctx, iq *stanza.Stanza, size *feature.Dial) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	elements, err := privateElements(iq)
	if err != nil {
		return err
	}
	limit := size.Int(c.Org)
	for _, el := range elements {
		if int64(len(el.Bytes())) > limit {
			return stanza.PolicyViolation(fmt.Sprintf("an element has at most %d bytes", limit))
		}
	}
	for _, el := range elements {
		ns, name := privateName(el)
		if err := c.Store.SetPrivate(c.Context, c.Org, c.Account.ID, ns, name, el.AppendStandalone(nil)); err != nil {
			return err
		}
	}
	return c.Result(iq, nil)
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
