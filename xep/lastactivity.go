package xep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const nsLast = "jabber:iq:last"

const (
	lastEvery   = 2 * time.Second // how long a time of leaving may wait to be written
	maxFarewell = 1024            // bytes of a status that are kept
)

// lastActivity keeps when people left until it is written. What a crash takes
// of it is two seconds of a nicety.
type lastActivity struct {
	host *router.Host

	mu      sync.Mutex
	left    map[store.AccountID]store.Last
	writing map[store.AccountID]store.Last
	gone    map[*session.Session]struct{} // said that they are unavailable, and are still there
}

// LastActivity tells since when the server runs and when people left (XEP-0012).
func LastActivity(h *router.Host) router.Module {
	l := &lastActivity{
		host: h, left: make(map[store.AccountID]store.Last), gone: make(map[*session.Session]struct{}),
	}
	return router.Module{
		Name:         "lastactivity",
		Doc:          "XEP-0012 2.0: since when the server runs, and when somebody left, for those who may see their presence",
		Disco:        []string{nsLast},
		AccountDisco: []string{nsLast},
		IQ: []router.IQ{
			{Type: stanza.Get, NS: nsLast, Local: "query", To: router.Server | router.Account, Absent: true, Func: l.ask},
		},
		Sent:    l.heard,
		SentOf:  []stanza.Kind{stanza.Presence},
		Unbound: l.unbound,
		Run:     l.run,
	}
}

func (l *lastActivity) ask(c *router.Ctx, iq *stanza.Stanza) error {
	if !iq.To.IsZero() && iq.To.Local() == "" {
		return lastAnswer(c, iq, time.Since(l.host.Started), "")
	}
	if c.Target == nil {
		return stanza.Forbidden("")
	}
	allowed, err := c.Directory.MaySee(c.Context, c.Account, c.Target)
	if err != nil {
		return err
	}
	if !allowed {
		return stanza.Forbidden("")
	}
	if c.Target == c.Account || lastOnline(c.Target, c.Account.JID) {
		return lastAnswer(c, iq, 0, "")
	}
	last, err := l.last(c.Context, c.Target)
	if errors.Is(err, store.ErrNotFound) { // never signed in
		return stanza.ItemNotFound("")
	}
	if err != nil {
		return err
	}
	return lastAnswer(c, iq, time.Since(last.At), last.Status)
}

// lastOnline reports whether by sees the account as available, which is more
// than that it has a stream.
func lastOnline(a *presence.Account, by jid.JID) bool {
	for _, r := range a.Resources() {
		if _, available := r.Session.Priority(); available && r.Session.Allows(by) {
			return true
		}
	}
	return false
}

func lastAnswer(c *router.Ctx, iq *stanza.Stanza, ago time.Duration, status string) error {
	x := new(stanza.XML)
	x.Start("query", "xmlns", nsLast, "seconds", strconv.FormatInt(int64(max(ago, 0)/time.Second), 10)).Text(status)
	return c.Result(iq, x.End().Bytes())
}

func (l *lastActivity) last(ctx context.Context, a *presence.Account) (store.Last, error) {
	l.mu.Lock()
	last, ok := l.left[a.ID]
	if !ok {
		last, ok = l.writing[a.ID]
	}
	l.mu.Unlock()
	if ok {
		return last, nil
	}
	return l.host.Store.Last(ctx, a.Org, a.ID)
}

// heard notes when somebody says goodbye, and the status of it. What sessions
// that are for one peer do is nobody else's business.
func (l *lastActivity) heard(c *router.Ctx, st *stanza.Stanza) router.Verdict {
	if !st.To.IsZero() || !c.Session.Scope.IsZero() {
		return router.Pass
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch st.Type {
	case stanza.Available:
		delete(l.gone, c.Session)
	case stanza.Unavailable:
		status := ""
		if el, ok := st.Child(stanza.NSClient, "status"); ok {
			if status = el.Text(); len(status) > maxFarewell {
				status = ""
			}
		}
		l.gone[c.Session] = struct{}{}
		l.left[c.Account.ID] = store.Last{Org: c.Org, Owner: c.Account.ID, At: time.Now(), Status: status}
	}
	return router.Pass
}

// unbound notes when somebody left without a word.
func (l *lastActivity) unbound(c *router.Ctx) {
	if !c.Session.Scope.IsZero() {
		return
	}
	online := false
	for _, r := range c.Account.Resources() {
		_, available := r.Session.Priority()
		online = online || available && r.Session != c.Session && r.Session.Scope.IsZero()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, said := l.gone[c.Session]
	delete(l.gone, c.Session)
	if !said && !online {
		l.left[c.Account.ID] = store.Last{Org: c.Org, Owner: c.Account.ID, At: time.Now()}
	}
}

// run writes what has gathered.
func (l *lastActivity) run(ctx context.Context) error {
	tick := time.NewTicker(lastEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := l.write(ctx); err != nil {
				l.host.Log.Warn("times of leaving not written; trying again", "feature", "lastactivity", "cause", err)
			}
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return l.write(end)
		}
	}
}

func (l *lastActivity) write(ctx context.Context) error {
	l.mu.Lock()
	l.writing, l.left = l.left, make(map[store.AccountID]store.Last)
	list := make([]store.Last, 0, len(l.writing))
	for _, last := range l.writing {
		list = append(list, last)
	}
	l.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	err := l.host.Store.SaveLast(ctx, list)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		for _, last := range list {
			if _, newer := l.left[last.Owner]; !newer {
				l.left[last.Owner] = last
			}
		}
		err = fmt.Errorf("save when %d people left: %w", len(list), err)
	}
	l.writing = nil
	return err
}
