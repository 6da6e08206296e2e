package xep

import (
	"time"

	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsTime = "urn:xmpp:time"

// Time tells the time of the server (XEP-0202), always in UTC: where it
// stands does not matter to clients.
func Time(*router.Host) router.Module {
	return router.Module{
		Name:  "time",
		Doc:   "XEP-0202 2.0: tells the time of the server",
		Disco: []string{nsTime},
		IQ: []router.IQ{{
			Type: stanza.Get, NS: nsTime, Local: "time", To: router.Server, Scoped: true,
			Func: func(c *router.Ctx, iq *stanza.Stanza) error {
				x := new(stanza.XML)
				x.Start("time", "xmlns", nsTime).Element("tzo", "+00:00")
				x.Element("utc", time.Now().UTC().Format("2006-01-02T15:04:05.000Z")) // XEP-0082
				return c.Result(iq, x.Bytes())
			},
		}},
	}
}
