package xep

import (
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsPing = "urn:xmpp:ping"

// Ping answers pings to the server and to accounts (XEP-0199 §4.2).
func Ping(*router.Host) router.Module {
	return router.Module{
		Name:         "ping",
		Doc:          "XEP-0199 2.0.1: answers pings to the server and to accounts",
		Disco:        []string{nsPing},
		AccountDisco: []string{nsPing},
		IQ: []router.IQ{{
			Type: stanza.Get, NS: nsPing, Local: "ping", To: router.Server | router.Self, Scoped: true,
			Func: func(c *router.Ctx, iq *stanza.Stanza) error { return c.Result(iq, nil) },
		}},
	}
}
