package xep

import (
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
	nsDiscoForm  = "jabber:x:data"
)

// Disco tells what the server and its accounts are and can do (XEP-0030). Of
// somebody else's account it tells those only who may see its presence, and
// nobody else can find out whether there is such an account (§8).
func Disco(*router.Host) router.Module {
	return router.Module{
		Name:              "disco",
		Doc:               "XEP-0030 2.5: tells what the server and its accounts are and can do",
		Disco:             []string{nsDiscoInfo, nsDiscoItems},
		AccountDisco:      []string{nsDiscoInfo, nsDiscoItems},
		Identities:        []router.Identity{{Category: "server", Type: "im", Name: "Bearhug"}},
		AccountIdentities: []router.Identity{{Category: "account", Type: "registered"}},
		IQ: []router.IQ{
			{
				Type: stanza.Get, NS: nsDiscoInfo, Local: "query", To: router.Server | router.Account,
				Scoped: true, Func: discoInfo,
			},
			{
				Type: stanza.Get, NS: nsDiscoItems, Local: "query", To: router.Server | router.Account,
				Scoped: true, Absent: true, Func: discoItems,
			},
		},
	}
}

func discoInfo(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	node, _ := payload.Attr("node")
	if c.Target == nil {
		info := c.Router.Info(c.Org)
		if node != "" {
			info = c.Router.NodeInfo(c.Org, node)
		}
		return discoAnswer(c, iq, node, info)
	}
	allowed, err := c.Directory.MaySee(c.Context, c.Account, c.Target)
	if err != nil {
		return err
	}
	if !allowed {
		return stanza.ServiceUnavailable("")
	}
	if node != "" {
		return stanza.ItemNotFound("")
	}
	return discoAnswer(c, iq, "", c.Router.AccountInfo(c.Org))
}

func discoAnswer(c *router.Ctx, iq *stanza.Stanza, node string, info *router.Info) error {
	if info == nil {
		return stanza.ItemNotFound("")
	}
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsDiscoInfo)
	if node != "" {
		x.Attr("node", node)
	}
	for _, id := range info.Identities {
		x.Start("identity", "category", id.Category, "type", id.Type)
		if id.Name != "" {
			x.Attr("name", id.Name)
		}
		if id.Lang != "" {
			x.Attr("xml:lang", id.Lang)
		}
		x.End()
	}
	for _, f := range info.Features {
		x.Empty("feature", "var", f)
	}
	for i := range info.Forms {
		discoForm(x, &info.Forms[i])
	}
	return c.Result(iq, x.Bytes())
}

// discoForm writes a form of XEP-0128.
func discoForm(x *stanza.XML, f *router.Form) {
	x.Start("x", "xmlns", nsDiscoForm, "type", "result")
	x.Start("field", "var", "FORM_TYPE", "type", "hidden").Element("value", f.Type).End()
	for _, field := range f.Fields {
		x.Start("field", "var", field.Name)
		if field.Type != "" {
			x.Attr("type", field.Type)
		}
		for _, v := range field.Values {
			x.Element("value", v)
		}
		x.End()
	}
	x.End()
}

// discoItems lists, of an account, its available resources, but not those that
// are for a conversation with somebody else. The server has no
// items. Who may not see them gets an empty list, as for an account that does
// not exist (§8).
func discoItems(c *router.Ctx, iq *stanza.Stanza) error {
	payload, _ := iq.First()
	node, _ := payload.Attr("node")
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsDiscoItems)
	if node != "" {
		x.Attr("node", node)
	}
	allowed := false
	if c.Target != nil {
		var err error
		if allowed, err = c.Directory.MaySee(c.Context, c.Account, c.Target); err != nil {
			return err
		}
	}
	server := !iq.To.IsZero() && iq.To.Local() == ""
	if node != "" && (allowed || server && c.Router.NodeInfo(c.Org, node) == nil) {
		return stanza.ItemNotFound("")
	}
	if allowed && c.Session.Scope.IsZero() {
		for _, r := range c.Target.Resources() {
			if _, available := r.Session.Priority(); available && r.Session.Allows(c.Account.JID) {
				x.Empty("item", "jid", r.Session.JID.String())
			}
		}
	}
	return c.Result(iq, x.Bytes())
}
