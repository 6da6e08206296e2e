// Package caps is XEP-0115 in both directions: the server tells by a hash what
// it can do, and of the hashes that clients name in their presence it asks one
// client, once, what they stand for.
//
// The book of clients is kept by hash, proven, bounded and for a day; nothing
// of it is stored. Its lock is a leaf: who holds it sends nothing.
package caps

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
)

const (
	nsDiscoInfo = "http://jabber.org/protocol/disco#info"
	nsDiscoForm = "jabber:x:data"
	nsCaps      = "http://jabber.org/protocol/caps"
	serverNode  = "https://github.com/bearhug/bearhug"
)

// How often it is looked whether answers are late, and whether hashes are old.
const (
	lateEvery  = 5 * time.Second
	sweepEvery = time.Minute
)

// module keeps the verification string of each organisation as long as its
// disco answer stays the same, and what clients can do.
type module struct {
	host    *router.Host
	clients *book

	mu    sync.Mutex
	known map[feature.Org]entry
}

type entry struct {
	info *router.Info
	ver  string
}

// New makes the module. It puts the hash of what the server can do on its stream features (XEP-0115
// §6.3), so that clients ask again only when it has changed. Of the hashes that
// clients name in their presence it asks one client, once, what it stands for.
func New(h *router.Host) router.Module {
	clients := newBook()
	b := &module{host: h, clients: clients, known: make(map[feature.Org]entry)}
	h.Clients = router.Clients{Of: clients.of, Count: clients.count}
	return router.Module{
		Name: "caps",
		Doc: "XEP-0115 1.6: tells clients by a hash on the stream features whether the server's abilities have changed; " +
			"spares them capabilities they have (§8.4); asks one client for each hash what it can do, and proves it (§5.4)",
		Disco: []string{nsCaps, nsCaps + "#optimize"},
		Features: func(x *stanza.XML, org feature.Org, signedIn bool) {
			if signedIn {
				x.Empty("c", "xmlns", nsCaps, "hash", "sha-1", "node", serverNode, "ver", b.ver(org))
			}
		},
		Node: func(org feature.Org, node string) *router.Info {
			if ver, ok := strings.CutPrefix(node, serverNode+"#"); !ok || ver != b.ver(org) {
				return nil
			}
			return h.Router.Info(org)
		},
		Sent:    b.heard,
		SentOf:  []stanza.Kind{stanza.Presence, stanza.IQ},
		Unbound: func(c *router.Ctx) { b.send(clients.forget(c.Session, time.Now())) },
		Run:     b.run,
	}
}

func (b *module) ver(org feature.Org) string {
	info := b.host.Router.Info(org)
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[org]; e.info == info {
		return e.ver
	}
	e := entry{info, Verification(info)}
	b.known[org] = e
	return e.ver
}

// Verification is the verification string of XEP-0115 §5.1.
func Verification(info *router.Info) string {
	sum := digestOf(info)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// heard sees presence to all and answers to the server. What a session that is
// for one peer does is not looked at.
func (b *module) heard(c *router.Ctx, st *stanza.Stanza) router.Verdict {
	if !c.Session.Scope.IsZero() {
		return router.Pass
	}
	switch {
	case st.Kind == stanza.Presence && st.To.IsZero() && st.Type == stanza.Available:
		el, _ := st.Child(nsCaps, "c")
		b.send(b.clients.heard(c.Session, el, time.Now()))
		if el.Exists() && c.Session.Ended() { // Unbound may have been before
			b.send(b.clients.forget(c.Session, time.Now()))
		}
	case st.Kind == stanza.Presence && st.To.IsZero() && st.Type == stanza.Unavailable:
		b.send(b.clients.forget(c.Session, time.Now()))
	case st.Kind == stanza.IQ && (st.Type == stanza.Result || st.Type == stanza.ErrorType) && st.To.Local() == "" && st.ID() != nil:
		ask, mine := b.clients.answered(c.Session, st, time.Now())
		b.send(ask)
		if mine {
			b.host.Board.ByNumber(c.Number()).BytesIn.Add(int64(st.Len()))
			return router.Stop
		}
	}
	return router.Pass
}

// send asks clients. Who does not take the question has no stream any more, and
// Unbound follows.
func (b *module) send(questions []*question) {
	for _, q := range questions {
		id, _ := b.host.Board.Lookup("caps")
		server, err := jid.New("", q.session.JID.Domain(), "")
		if err != nil {
			continue // impossible: an account lives there
		}
		x := new(stanza.XML)
		x.Empty("query", "xmlns", nsDiscoInfo, "node", q.node)
		w := stanza.Make(stanza.IQ, stanza.Get, server, q.session.JID, q.id, x.Bytes())
		w.Number = b.host.Board.Number(id, q.session.Org)
		q.session.Send(w)
	}
}

// run gives up answers that do not come and forgets what is old.
func (b *module) run(ctx context.Context) error {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	id, _ := b.host.Board.Lookup("caps")
	gone := func(s *session.Session) bool { return s.Ended() || !b.host.Board.On(id, s.Org) }
	swept := time.Now()
	var span feature.Span
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			b.send(b.clients.late(now))
			if now.Sub(swept) < sweepEvery {
				continue
			}
			swept = now
			span.Whole(b.host.Board.Account(id, 0))
			b.send(b.clients.sweep(gone, now))
			span.End()
		}
	}
}
