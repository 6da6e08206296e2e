package xep

import (
	"fmt"
	"sync"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const nsPrefs = "urn:xmpp:mam:2" // XEP-0441 shares the namespace of XEP-0313

// maxPrefs bounds the addresses of one list of preferences.
const maxPrefs = 1000

// preferences writes them: first the row, then what is in memory.
type preferences struct {
	edit sync.Mutex // held while a row and its copy in memory change together
}

// Prefs lets people say which messages they want to see in their archive
// (XEP-0441). It has no switch: who wants no archive is not given one.
func Prefs(*router.Host) router.Module {
	p := &preferences{}
	return router.Module{
		Name:   "prefs",
		Doc:    "XEP-0441 0.2: people say what is kept in their archive",
		Always: true,
		IQ: []router.IQ{
			{
				Type: stanza.Get, NS: nsPrefs, Local: "prefs", To: router.Account, Absent: true,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error {
					if c.Target != c.Account {
						return stanza.Forbidden("")
					}
					return c.Result(iq, prefsXML(c.Account.Prefs.Load()))
				},
			},
			{Type: stanza.Set, NS: nsPrefs, Local: "prefs", To: router.Account, Absent: true, Func: p.set},
		},
	}
}

func (p *preferences) set(c *router.Ctx, iq *stanza.Stanza) error {
	if c.Target != c.Account {
		return stanza.Forbidden("")
	}
	payload, _ := iq.First()
	prefs, err := prefsOf(payload)
	if err != nil {
		return err
	}
	if err := p.put(c, c.Account, prefs); err != nil {
		return err
	}
	return c.Result(iq, prefsXML(prefs))
}

func (p *preferences) put(c *router.Ctx, a *presence.Account, prefs *archive.Prefs) error {
	row, err := prefs.Row()
	if err != nil {
		return err
	}
	p.edit.Lock()
	defer p.edit.Unlock()
	if err := c.Store.SetPrefs(c.Context, a.Org, a.ID, row); err != nil {
		return err
	}
	a.Prefs.Store(prefs)
	return nil
}

// prefsOf reads preferences. A list that is missing is empty.
func prefsOf(el stanza.Element) (*archive.Prefs, error) {
	prefs := new(archive.Prefs)
	prefs.Default, _ = el.Attr("default")
	switch prefs.Default {
	case "always", "never", "roster":
	default:
		return nil, stanza.BadRequest("the default is always, never or roster")
	}
	for list, name := range map[*[]jid.JID]string{&prefs.Always: "always", &prefs.Never: "never"} {
		child, ok := el.Child(nsPrefs, name)
		if !ok {
			continue
		}
		for item := range child.Children() {
			if !item.Is(nsPrefs, "jid") {
				continue
			}
			j, err := jid.Parse(item.Text())
			if err != nil {
				return nil, stanza.JIDMalformed("a list holds what is no address")
			}
			if len(*list) == maxPrefs {
				return nil, stanza.PolicyViolation(fmt.Sprintf("a list holds at most %d addresses", maxPrefs))
			}
			*list = append(*list, j)
		}
	}
	return prefs, nil
}

// prefsXML writes preferences; nil ones keep everything.
func prefsXML(p *archive.Prefs) []byte {
	if p == nil {
		p = &archive.Prefs{Default: "always"}
	}
	x := new(stanza.XML)
	x.Start("prefs", "xmlns", nsPrefs, "default", p.Default)
	for _, l := range []struct {
		name string
		jids []jid.JID
	}{{"always", p.Always}, {"never", p.Never}} {
		x.Start(l.name)
		for _, j := range l.jids {
			x.Element("jid", j.String())
		}
		x.End()
	}
	return x.End().Bytes()
}
