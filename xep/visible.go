package xep

import (
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsVisible = "urn:bearhug:visible:0"

// Visible lets a client say which contacts are on its screen, so that at level
// visible of the lever presence it is told of these. See docs/visible.md.
func Visible(*router.Host) router.Module {
	return router.Module{
		Name:  "visible",
		Doc:   "urn:bearhug:visible:0 (docs/visible.md): clients say which contacts are on the screen",
		Disco: []string{nsVisible},
		IQ: []router.IQ{
			{Type: stanza.Set, NS: nsVisible, Local: "visible", To: router.Self, Func: visibleSet},
		},
	}
}

// visibleSet replaces the rows of the session.
func visibleSet(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	var rows []jid.JID
	for el := range payload.Children() {
		if !el.Is(nsVisible, "item") {
			continue
		}
		address, ok := el.Attr("jid")
		if !ok {
			return stanza.BadRequest("an item has no address")
		}
		row, err := jid.Parse(address)
		if err != nil {
			return stanza.JIDMalformed("an item's address is none")
		}
		rows = append(rows, row)
	}
	if err := c.Directory.SetVisible(c.Account, c.Session, rows); err != nil {
		return err
	}
	return c.Result(iq, nil)
}
