package xep_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/caps"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store/storetest"
	"github.com/bearhug/bearhug/stream"
	"github.com/bearhug/bearhug/xep"
)

const (
	domain = "hug.example"
	// patience is how long a test waits for what must come; only a failing one does.
	patience = 20 * time.Second
)

// all is every module, as node/modules.go lists them.
func all() []func(*router.Host) router.Module {
	return []func(*router.Host) router.Module{
		xep.Blocking, xep.Roster, xep.Disco, caps.New, xep.Contact, xep.Ping, xep.Version, xep.Time, xep.LastActivity,
		xep.Carbons, xep.MAM, xep.Prefs, xep.Offline, xep.VCard, xep.Private, xep.StreamLimits, xep.Register, xep.Search,
	}
}

// A house is a router with all modules over a store of its own.
type house struct {
	tb     testing.TB
	host   *router.Host
	router *router.Router
	org    feature.Org
	poller *stream.Poller
	stop   func() // ends the background work, once
}

func newHouse(tb testing.TB, prepare ...func(*router.Host)) *house {
	tb.Helper()
	ctx := context.Background()
	st := storetest.Open(tb)
	org, err := st.AddOrg(ctx, domain)
	check(tb, err)
	poller, err := stream.NewPoller(stream.Options{})
	check(tb, err)
	h := &house{tb: tb, org: org, poller: poller}
	h.host = &router.Host{
		Rosters: roster.New(st), Store: st, Board: feature.NewBoard(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Version: "1.2.3", Started: time.Now().Add(-90 * time.Second),
		Contacts:     map[string][]string{"abuse-addresses": {"mailto:abuse@hug.example"}},
		Limits:       router.Limits{MaxBytes: 262144, FirstBytes: 10000, Idle: 30 * time.Minute},
		Registration: router.Registration{Allow: true, PerAddress: 2, Window: time.Hour},
	}
	for _, f := range prepare {
		f(h.host)
	}
	h.router, err = router.New(ctx, h.host, map[string]feature.Org{domain: org})
	check(tb, err)
	check(tb, h.router.Use(all()))
	run, cancel := context.WithCancel(ctx)
	h.router.Start(run)
	stopped := false
	h.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			h.router.Wait()
		}
	}
	tb.Cleanup(func() {
		h.router.CloseAll(stream.NewError(stream.SystemShutdown, ""))
		h.stop()
		check(tb, h.host.Archive.Close(ctx))
		check(tb, poller.Close())
	})
	return h
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// people makes accounts.
func (h *house) people(names ...string) {
	h.tb.Helper()
	for _, name := range names {
		_, err := h.host.Store.CreateAccount(context.Background(), h.org, name, nil)
		check(h.tb, err)
	}
}

// account acquires an account for the time of the test.
func (h *house) account(name string) *presence.Account {
	h.tb.Helper()
	a, err := h.host.Directory.Account(context.Background(), bare(name))
	check(h.tb, err)
	return a
}

func bare(name string) jid.JID { return jid.MustParse(name + "@" + domain) }

// A person is a client: one bound session and the stream to it.
type person struct {
	tb   testing.TB
	jid  jid.JID
	ctx  *router.Ctx
	conn *stream.Conn
	got  chan string
	end  chan error
	n    atomic.Int64
}

// connect binds a resource "name/resource"; scope is the one peer, or "".
func (h *house) connect(address string, scope ...string) *person {
	h.tb.Helper()
	name, resource, _ := strings.Cut(address, "/")
	a := h.account(name)
	var peer jid.JID
	if len(scope) > 0 {
		peer = bare(scope[0])
	}
	ours, theirs := net.Pipe()
	p := &person{
		tb: h.tb, conn: stream.NewConn(theirs, h.poller), got: make(chan string, 4096), end: make(chan error, 1),
	}
	server := stream.NewConn(ours, h.poller)
	c, err := h.router.Bind(a, server, resource, peer, nil)
	check(h.tb, err)
	p.ctx, p.jid = c, c.Session.JID
	server.SetLimits(stream.Limits{Bytes: 1 << 20})
	server.Serve(stream.Handler{
		Item: func(it *stream.Item) error {
			if it.Kind == stream.Element {
				return h.manage(c, it.Element)
			}
			if it.Kind != stream.Stanza {
				return nil
			}
			if !c.Session.Received(server) {
				return nil
			}
			defer c.Session.Routed()
			return h.router.Route(c, it.Stanza)
		},
		Closed: func(error) {
			c.Done()
			c.Session.Detach(server)
		},
	})
	p.conn.SetLimits(stream.Limits{Bytes: 1 << 20})
	p.conn.Serve(stream.Handler{
		Item: func(it *stream.Item) error {
			switch it.Kind {
			case stream.Stanza:
				p.got <- string(it.Stanza.Bytes())
			case stream.Element:
				p.got <- string(it.Element.Bytes())
			}
			return nil
		},
		Closed: func(err error) { p.end <- err },
	})
	check(h.tb, p.conn.Write(stream.AppendHeader(nil, stream.Header{To: domain, Version: "1.0"}, false)))
	check(h.tb, server.Write(stream.AppendHeader(nil, stream.Header{From: domain, Version: "1.0"}, false)))
	return p
}

// manage does what little of stream management the tests need.
func (h *house) manage(c *router.Ctx, el stanza.Element) error {
	switch string(el.Local()) {
	case "enable":
		h.router.Enable(c.Session, false)
	case "a":
		value, _ := el.Attr("h")
		n, err := strconv.ParseUint(value, 10, 32)
		check(h.tb, err)
		return c.Session.Acked(uint32(n))
	}
	return nil
}

// available sends presence and takes its echo.
func (p *person) available(priority int) {
	p.tb.Helper()
	p.send("<presence><priority>%d</priority></presence>", priority)
	p.skipTo("<presence … from='" + p.jid.String() + "'…")
}

func (p *person) send(format string, args ...any) {
	p.tb.Helper()
	check(p.tb, p.conn.Write(fmt.Appendf(nil, format, args...)))
}

// next is what came next.
func (p *person) next() string {
	p.tb.Helper()
	select {
	case s := <-p.got:
		return s
	case err := <-p.end:
		p.tb.Fatalf("%s: the stream ended: %v", p.jid, err)
	case <-time.After(patience):
		p.tb.Fatalf("%s: nothing came", p.jid)
	}
	return ""
}

// like makes a pattern, with … for anything, an expression.
func like(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, "(.*?)") + "$")
}

// expect takes what comes next, which has to match, and returns what stood
// where the pattern has ….
func (p *person) expect(pattern string) []string {
	p.tb.Helper()
	s := p.next()
	m := like(pattern).FindStringSubmatch(s)
	if m == nil {
		p.tb.Fatalf("%s\nwant %s\ngot  %s", p.jid, pattern, s)
	}
	return m[1:]
}

// skipTo takes what comes until something matches.
func (p *person) skipTo(pattern string) []string {
	p.tb.Helper()
	for re := like(pattern); ; {
		if m := re.FindStringSubmatch(p.next()); m != nil {
			return m[1:]
		}
	}
}

// nothing proves that nothing is on its way: a headline to oneself goes
// through the archive behind all that was sent before.
func (p *person) nothing() {
	p.tb.Helper()
	id := fmt.Sprintf("barrier-%d", p.n.Add(1))
	p.send("<message type='headline' to='%s' id='%s'/>", stanza.AppendEscaped(nil, p.jid.String()), id)
	if s := p.next(); !strings.Contains(s, id) {
		p.tb.Fatalf("%s: nothing should have come, got %s", p.jid, s)
	}
}

// settle waits until the house has done with what the person sent.
func (p *person) settle() {
	p.tb.Helper()
	id := fmt.Sprintf("barrier-%d", p.n.Add(1))
	p.send("<message type='headline' to='%s' id='%s'/>", stanza.AppendEscaped(nil, p.jid.String()), id)
	p.skipTo("…" + id + "…")
}

// ask sends a request and returns the answer, whatever comes before.
func (p *person) ask(typ, to, payload string) string {
	p.tb.Helper()
	id := fmt.Sprintf("q%d", p.n.Add(1))
	if to != "" {
		to = " to='" + to + "'"
	}
	p.send("<iq type='%s' id='%s'%s>%s</iq>", typ, id, to, payload)
	for {
		if s := p.next(); strings.HasPrefix(s, "<iq ") && strings.Contains(s, " id='"+id+"'") {
			return s
		}
	}
}

// wantError asks and expects an error of that condition.
func (p *person) wantError(typ, to, payload, condition string) {
	p.tb.Helper()
	if s := p.ask(typ, to, payload); !strings.Contains(s, "type='error'") || !strings.Contains(s, "<"+condition+" ") {
		p.tb.Errorf("%s asks %s %s %.500s\nwant %s\ngot  %s", p.jid, typ, to, payload, condition, s)
	}
}

// wantResult asks and expects a result with this in it.
func (p *person) wantResult(typ, to, payload, inside string) string {
	p.tb.Helper()
	s := p.ask(typ, to, payload)
	if !strings.Contains(s, "type='result'") || !strings.Contains(s, inside) {
		p.tb.Errorf("%s asks %s %s %.500s\nwant %s\ngot  %s", p.jid, typ, to, payload, inside, s)
	}
	return s
}

// befriend makes two people see each other.
func (h *house) befriend(a, b string) {
	h.tb.Helper()
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		acc := h.account(pair[0])
		_, err := acc.EditRoster(context.Background(), bare(pair[1]), func(it *roster.Item) bool {
			it.Sub, it.Listed = roster.Both, true
			return true
		})
		check(h.tb, err)
		acc.Release()
	}
}

// features are the stream features of the modules.
func (h *house) features(signedIn bool) string {
	x := new(stanza.XML)
	h.router.StreamFeatures(x, h.org, signedIn)
	return string(x.Bytes())
}
