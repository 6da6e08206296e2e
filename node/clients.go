package node

import (
	"strings"

	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/router"
)

// mostClients are told by ledger.top; the rest are put together.
const mostClients = 100

// knownClients are the label values of clients in /metrics: families of
// software, in lower case, that a client's name begins with. What a client
// calls itself is its own affair, so nothing else of it gets there.
var knownClients = [...]string{
	"adium", "agsxmpp", "atalk", "bearhug", "beagleim", "blabber", "bombus", "cheogram", "chatsecure", "coccinella", "conversations",
	"converse", "dino", "empathy", "gajim", "go-sendxmpp", "jitsi", "jsxc", "kaidan", "kopete", "mcabber", "miranda", "monal",
	"monocles", "movim", "pidgin", "poezio", "prav", "profanity", "psi", "pàdé", "quicksy", "rehearse", "renga", "salut-à-toi",
	"siskin", "slixmpp", "snikket", "spark", "stork", "swift", "telepathy", "thunderbird", "tigase", "tkabber", "trillian",
	"vacuum", "xabber", "yaxim",
}

// clients are the sessions by client, the most frequent first, at most so many
// and one for the rest. What is not known is called "unknown".
func (n *Node) clients(most int) []router.ClientCount {
	r := n.chat.router
	if r == nil || r.Clients.Count == nil {
		return nil
	}
	list := r.Clients.Count()
	unknown := r.Directory.Count().Available
	for i := range list {
		unknown -= list[i].Sessions
	}
	if len(list) > most {
		rest := 0
		for _, c := range list[most:] {
			rest += c.Sessions
		}
		list = append(list[:most], router.ClientCount{Name: "others", Type: "other", Sessions: rest})
	}
	if unknown > 0 {
		list = append(list, router.ClientCount{Name: "unknown", Type: "other", Sessions: unknown})
	}
	return list
}

// clientMetrics adds the sessions by client to /metrics, under names that are
// known in advance.
func (n *Node) clientMetrics(m *ops.Metrics) {
	sums := map[[2]string]int{}
	var order [][2]string
	for _, c := range n.clients(1 << 30) {
		key := [2]string{family(c.Name), c.Type}
		if _, ok := sums[key]; !ok {
			order = append(order, key)
		}
		sums[key] += c.Sessions
	}
	for _, key := range order {
		m.Gauge("bearhug_caps_sessions", "available resources by their client, as it says itself (XEP-0115)",
			float64(sums[key]), "client", key[0], "type", key[1])
	}
}

// family is the known client that a name begins with, the longest of them;
// "unknown" stays, all else is "other".
func family(name string) string {
	name = strings.ToLower(name)
	if name == "unknown" {
		return name
	}
	best := "other"
	for _, known := range knownClients {
		if strings.HasPrefix(name, known) && (best == "other" || len(known) > len(best)) {
			best = known
		}
	}
	return best
}
