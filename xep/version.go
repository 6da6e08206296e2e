package xep

import (
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsVersion = "jabber:iq:version"

// Version tells the name and version of the server (XEP-0092). The operating
// system is nobody's business.
func Version(h *router.Host) router.Module {
	return router.Module{
		Name:  "version",
		Doc:   "XEP-0092 1.1: tells name and version of the server",
		Disco: []string{nsVersion},
		IQ: []router.IQ{{
			Type: stanza.Get, NS: nsVersion, Local: "query", To: router.Server, Scoped: true,
			Func: func(c *router.Ctx, iq *stanza.Stanza) error {
				x := new(stanza.XML)
				x.Start("query", "xmlns", nsVersion).Element("name", "Bearhug").Element("version", h.Version)
				return c.Result(iq, x.Bytes())
			},
		}},
	}
}
