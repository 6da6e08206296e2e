package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

// allowedInScope are all requests that a session with a scope (decision 16) may
// make; each answers about its peer and its own account only. What is not here
// is refused.
var allowedInScope = map[string]string{
	"get http://jabber.org/protocol/disco#info query":  "what the server and the bot can do",
	"get http://jabber.org/protocol/disco#items query": "the server's items",
	"get jabber:iq:roster query":                       "the peer alone",
	"get jabber:iq:version query":                      "the server's",
	"get urn:xmpp:mam:2 metadata":                      "of the conversation with the peer",
	"get urn:xmpp:mam:2 query":                         "the form",
	"get urn:xmpp:ping ping":                           "",
	"get urn:xmpp:time time":                           "the server's",
	"get vcard-temp vCard":                             "the peer's and one's own",
	"set urn:xmpp:carbons:2 disable":                   "",
	"set urn:xmpp:carbons:2 enable":                    "copies of the conversation with the peer",
	"set urn:xmpp:mam:2 query":                         "the conversation with the peer",
}

// refusedInScope are all others. A request that a module adds belongs into one
// of the two tables: nobody forgets to think of it.
var refusedInScope = []string{
	"get jabber:iq:last query",
	"get jabber:iq:private query",
	"get jabber:iq:register query",
	"get jabber:iq:search query",
	"get urn:xmpp:blocking blocklist",
	"get urn:xmpp:mam:2 prefs",
	"set jabber:iq:private query",
	"set jabber:iq:register query",
	"set jabber:iq:roster query",
	"set jabber:iq:search query",
	"set urn:bearhug:visible:0 visible",
	"set urn:xmpp:blocking block",
	"set urn:xmpp:blocking unblock",
	"set urn:xmpp:mam:2 prefs",
	"set vcard-temp vCard",
}

func TestEveryRequestInScope(t *testing.T) {
	n := &Node{Config: new(Config)}
	bots, err := n.newBots()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, make := range modules(bots) {
		m := make(new(router.Host))
		for _, q := range m.IQ {
			name := fmt.Sprintf("%s %s %s", map[bool]string{false: "get", true: "set"}[q.Type == stanza.Set], q.NS, q.Local)
			seen[name] = true
			_, allowed := allowedInScope[name]
			refused := slices.Contains(refusedInScope, name)
			if allowed == refused {
				t.Errorf("module %s: %q stands in both tables or in none: decide whether a session for one conversation may ask it", m.Name, name)
			}
			if q.Scoped != allowed {
				t.Errorf("module %s: %q: Scoped is %v, the tables say %v", m.Name, name, q.Scoped, allowed)
			}
		}
	}
	for name := range allowedInScope {
		if !seen[name] {
			t.Errorf("%q is allowed, and no module answers it", name)
		}
	}
	for _, name := range refusedInScope {
		if !seen[name] {
			t.Errorf("%q is refused, and no module answers it", name)
		}
	}
}
