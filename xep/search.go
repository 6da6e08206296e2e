package xep

import (
	"strings"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsSearch     = "jabber:iq:search"
	nsSearchForm = "jabber:x:data"

	maxSearchText = 255 // bytes of what is searched for
	minSearchName = 2   // bytes of a part of a name
)

// Search finds people of one's own organisation by address (XEP-0055): those
// whom a bounded roster does not show can be found here. A session that is for
// one peer only finds nobody.
func Search(h *router.Host) router.Module {
	return router.Module{
		Name:  "search",
		Doc:   "XEP-0055 1.3: finds people of one's own organisation by their address",
		Disco: []string{nsSearch},
		Levers: []feature.Lever{{
			Name: "search.results", Default: 50, Min: 1, Max: 1000, Doc: "how many people one search tells at most",
		}},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsSearch, Local: "query", To: router.Server, Func: searchFields},
			{
				Type: stanza.Set, NS: nsSearch, Local: "query", To: router.Server,
				Func: func(c *router.Ctx, iq *stanza.Stanza) error {
					return searchPeople(c, iq, int(h.Board.Dial("search.results").Int(c.Org)))
				},
			},
		},
	}
}

const searchHelp = "Fill in the beginning of an address, or a part of a name."

// searchFields tells what can be searched for, XEP-0055 §3.
func searchFields(c *router.Ctx, iq *stanza.Stanza) error {
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsSearch)
	x.Start("instructions").Text(searchHelp).End()
	x.Start("x", "xmlns", nsSearchForm, "type", "form")
	x.Start("title").Text("People").End()
	x.Start("instructions").Text(searchHelp).End()
	x.Start("field", "type", "hidden", "var", "FORM_TYPE").Start("value").Text(nsSearch).End().End()
	x.Empty("field", "type", "text-single", "var", "jid", "label", "Address")
	x.Empty("field", "type", "text-single", "var", "name", "label", "Name")
	x.End().End()
	return c.Result(iq, x.Bytes())
}

// searchPeople answers a search, with a note when there are more than it tells.
func searchPeople(c *router.Ctx, iq *stanza.Stanza, most int) error {
	payload, _ := iq.First()
	text, inside, err := searchText(payload, c.Domain)
	if err != nil {
		return err
	}
	names, err := c.Store.SearchAccounts(c.Context, c.Org, text, inside, most+1)
	if err != nil {
		return err
	}
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsSearch)
	x.Start("x", "xmlns", nsSearchForm, "type", "result")
	if len(names) > most {
		x.Start("instructions").Text("There are more: search for a longer text.").End()
		names = names[:most]
	}
	x.Start("field", "type", "hidden", "var", "FORM_TYPE").Start("value").Text(nsSearch).End().End()
	x.Start("reported")
	x.Empty("field", "type", "jid-single", "var", "jid", "label", "Address")
	x.Empty("field", "type", "text-single", "var", "name", "label", "Name")
	x.End()
	for _, name := range names {
		who, err := jid.New(name, c.Domain, "")
		if err != nil {
			return err
		}
		x.Start("item")
		x.Start("field", "var", "jid").Start("value").Text(who.String()).End().End()
		x.Start("field", "var", "name").Start("value").Text(name).End().End()
		x.End()
	}
	x.End().End()
	return c.Result(iq, x.Bytes())
}

// searchText reads a submitted form: the field jid, or the field name, alone.
func searchText(query stanza.Element, domain string) (text string, inside bool, err error) {
	address, name := "", ""
	for form := range query.Children() {
		if !form.Is(nsSearchForm, "x") {
			continue
		}
		if typ, _ := form.Attr("type"); typ != "submit" {
			return "", false, stanza.BadRequest("the form is not submitted")
		}
		for field := range form.Children() {
			key, _ := field.Attr("var")
			for value := range field.Children() {
				switch {
				case !value.Is(nsSearchForm, "value"):
				case key == "jid":
					address = strings.TrimSpace(value.Text())
				case key == "name":
					name = strings.TrimSpace(value.Text())
				}
			}
		}
	}
	switch {
	case (address == "") == (name == ""):
		return "", false, stanza.BadRequest("fill in one of the two fields, jid or name")
	case len(address) > maxSearchText || len(name) > maxSearchText:
		return "", false, stanza.NotAcceptable("the text is too long")
	case address != "":
		local, host, whole := strings.Cut(address, "@")
		if whole && !strings.HasPrefix(domain, strings.ToLower(host)) {
			return "", false, stanza.NotAcceptable("only people of your own organisation are found here")
		}
		return strings.ToLower(local), false, nil
	case len(name) < minSearchName:
		return "", false, stanza.NotAcceptable("a part of a name has two letters at least")
	}
	return strings.ToLower(name), true, nil
}
