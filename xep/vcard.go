package xep

import (
	"errors"
	"fmt"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const nsVCard = "vcard-temp"

// VCard keeps a vCard for each account (XEP-0054). Of avatars (XEP-0153) the
// hash travels in presence as the client put it there, untouched; nothing is
// added in the name of clients that send none.
func VCard(h *router.Host) router.Module {
	return router.Module{
		Name: "vcard",
		Doc:  "XEP-0054 1.3, XEP-0153 1.1.1: vCards; the avatar's hash in presence passes as it is",
		Levers: []feature.Lever{{
			Name: "vcard.size", Unit: "bytes", Default: 128 << 10, Min: 1 << 10, Max: 8 << 20,
			Doc: "how large a vCard may be, its photo included",
		}},
		Disco:        []string{nsVCard},
		AccountDisco: []string{nsVCard},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsVCard, Local: "vCard", To: router.Account, Scoped: true, Func: vcardGet},
			{
				Type: stanza.Set, NS: nsVCard, Local: "vCard", To: router.Account, Absent: true,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error {
					return vcardSet(c, iq, h.Board.Dial("vcard.size"))
				},
			},
		},
	}
}

// vcardGet tells a vCard. Somebody else's that is not there looks like an
// account that is not there (§3.4); one's own is simply empty.
func vcardGet(c *router.Ctx, iq *stanza.Stanza) error {
	b, err := c.Store.VCard(c.Context, c.Org, c.Target.ID)
	switch {
	case errors.Is(err, store.ErrNotFound) && c.Target == c.Account:
		return c.Result(iq, []byte("<vCard xmlns='"+nsVCard+"'/>"))
	case errors.Is(err, store.ErrNotFound):
		return stanza.ServiceUnavailable("")
	case err != nil:
		return err
	}
	return c.Result(iq, b)
}

func vcardSet(c *router.Ctx, iq *stanza.Stanza, size *feature.Dial) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	payload, _ := iq.First()
	b := payload.AppendStandalone(nil)
	if limit := size.Int(c.Org); int64(len(b)) > limit {
		return stanza.PolicyViolation(fmt.Sprintf("a vCard has at most %d bytes", limit))
	}
	if err := c.Store.SetVCard(c.Context, c.Org, c.Account.ID, b); err != nil {
		return err
	}
	return c.Result(iq, nil)
}
