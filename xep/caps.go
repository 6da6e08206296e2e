package xep

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"
	"sync"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsCaps   = "http://jabber.org/protocol/caps"
	capsNode = "https://github.com/bearhug/bearhug"
)

// capsBook keeps the verification string of each organisation as long as its
// disco answer stays the same.
type capsBook struct {
	host *router.Host

	mu    sync.Mutex
	known map[feature.Org]capsEntry
}

type capsEntry struct {
	info *router.Info
	ver  string
}

// Caps puts the hash of what the server can do on its stream features (XEP-0115
// §6.3), so that clients ask again only when it has changed.
func Caps(h *router.Host) router.Module {
	b := &capsBook{host: h, known: make(map[feature.Org]capsEntry)}
	return router.Module{
		Name:  "caps",
		Doc:   "XEP-0115 1.6: tells clients by a hash on the stream features whether the server's abilities have changed; spares them capabilities they have (§8.4)",
		Disco: []string{nsCaps, nsCaps + "#optimize"},
		Features: func(x *stanza.XML, org feature.Org, signedIn bool) {
			if signedIn {
				x.Empty("c", "xmlns", nsCaps, "hash", "sha-1", "node", capsNode, "ver", b.ver(org))
			}
		},
		Node: func(org feature.Org, node string) *router.Info {
			if ver, ok := strings.CutPrefix(node, capsNode+"#"); !ok || ver != b.ver(org) {
				return nil
			}
			return h.Router.Info(org)
		},
	}
}

func (b *capsBook) ver(org feature.Org) string {
	info := b.host.Router.Info(org)
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[org]; e.info == info {
		return e.ver
	}
	e := capsEntry{info, capsVer(info)}
	b.known[org] = e
	return e.ver
}

// capsVer is the verification string of XEP-0115 §5.1.
func capsVer(info *router.Info) string {
	var s strings.Builder
	add := func(parts ...string) { s.WriteString(strings.Join(parts, "/") + "<") }
	ids := make([]string, 0, len(info.Identities))
	for _, id := range info.Identities {
		ids = append(ids, strings.Join([]string{id.Category, id.Type, "", id.Name}, "/"))
	}
	slices.Sort(ids)
	for _, id := range ids {
		add(id)
	}
	for _, f := range info.Features {
		add(f)
	}
	forms := slices.Clone(info.Forms)
	slices.SortFunc(forms, func(a, b router.Form) int { return strings.Compare(a.Type, b.Type) })
	for _, form := range forms {
		add(form.Type)
		fields := slices.Clone(form.Fields)
		slices.SortFunc(fields, func(a, b router.Field) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range fields {
			add(f.Name)
			for _, v := range slices.Sorted(slices.Values(f.Values)) {
				add(v)
			}
		}
	}
	sum := sha1.Sum([]byte(s.String()))
	return base64.StdEncoding.EncodeToString(sum[:])
}
