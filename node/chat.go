package node

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/bearhug/bearhug/c2s"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stream"
)

// scramSecret names the key that makes up salts in the store.
const scramSecret = "scram"

// chat is the role chat: streams, router, archive.
type chat struct {
	poller  *stream.Poller
	router  *router.Router
	server  *c2s.Server
	bots    *outreach.Bot
	web     []*http.Server
	doors   []net.Listener
	running sync.WaitGroup
	cancel  context.CancelFunc
}

// startChat wires the role and opens its listeners.
//  1. What the router works with. 2. The modules. 3. Levers. 4. Doors.
func (n *Node) startChat(ctx context.Context) (err error) {
	c := &n.chat
	if err := n.startRouter(ctx); err != nil {
		return err
	}
	if c.poller, err = stream.NewPoller(stream.Options{Account: c.router.Streaming(0), Overload: n.Signal}); err != nil {
		return fmt.Errorf("open poller: %w", err)
	}
	if c.bots, err = n.newBots(); err != nil {
		return err
	}
	if err := c.router.Use(modules(c.bots)); err != nil {
		return err
	}
	if n.Config.Register.Allow {
		if err := n.levers.setBase("register", 1); err != nil {
			return fmt.Errorf("allow registration: %w", err)
		}
	}
	if err := n.applyLevers(ctx); err != nil {
		return err
	}
	secret, err := n.Store.Secret(ctx, scramSecret, 32)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	c.server = c2s.New(c2s.Config{
		Router: c.router, Log: n.Log.With("feature", "c2s"), Poller: c.poller,
		TLS: n.Certs.Config, Leaf: n.Certs.Leaf,
		Plaintext: n.Config.C2S.Plaintext, FirstBytes: n.Config.C2S.UnauthenticatedBytes,
		Negotiation: n.Config.C2S.NegotiationTimeout, Failures: n.Config.C2S.Failures,
		MaxStreams: n.Config.C2S.MaxStreams, Proxies: n.Config.HTTP.Proxies(), ScramSecret: secret, Hosts: n.Certs.Domain,
	})
	c.router.Visitor = c.server.Visitor
	if n.Config.C2S.Plaintext {
		n.Log.Warn("sign-in without TLS is allowed (c2s.plaintext): passwords and messages can be read on the way")
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	c.router.Start(run)
	c.running.Go(func() { c.server.Run(run) })
	c.running.Go(func() { (&versions{node: n}).follow(run) })
	n.startSignal(run)
	c.running.Go(func() { n.rehearsals.sweep(run) })
	if err := n.startConsole(run); err != nil {
		return err
	}
	return n.openDoors()
}

func (n *Node) startRouter(ctx context.Context) error {
	orgs, err := n.Store.Orgs(ctx)
	if err != nil {
		return fmt.Errorf("read organisations: %w", err)
	}
	domains := make(map[string]feature.Org, len(orgs))
	for _, o := range orgs {
		domains[o.Domain] = o.ID
	}
	token, err := n.Store.Secret(ctx, tokenSecret, 32)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	rosters := roster.New(n.Store)
	if err := rosters.Groups.Load(ctx); err != nil {
		return fmt.Errorf("read groups: %w", err)
	}
	host := &router.Host{
		Rosters: rosters, Store: n.Store, Board: n.Board, Overload: n.Signal, Log: n.Log,
		Version: n.Version, Started: time.Now(), Contacts: n.Config.Contact.Addresses(),
		Limits:   router.Limits{MaxBytes: n.Config.C2S.StanzaBytes, FirstBytes: n.Config.C2S.UnauthenticatedBytes},
		TokenKey: token,
		Registration: router.Registration{
			Allow: n.Config.Register.Allow, PerAddress: n.Config.Register.PerAddress, Window: n.Config.Register.Window,
		},
	}
	n.chat.router, err = router.New(ctx, host, domains)
	return err
}

// openDoors opens the listeners of clients.
func (n *Node) openDoors() error {
	c := &n.chat
	doors := []struct {
		name, address string
		serve         func(net.Listener) error
	}{
		{"c2s", n.Config.C2S.Listen, func(l net.Listener) error { return c.server.Serve(l, false) }},
		{"c2s-tls", n.Config.C2S.TLSListen, func(l net.Listener) error { return c.server.Serve(l, true) }},
		{"http", n.Config.HTTP.Listen, n.serveWeb(false)},
		{"http-tls", n.Config.HTTP.TLSListen, n.serveWeb(true)},
	}
	for _, d := range doors {
		l, err := n.Listen(d.name, d.address)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		c.doors = append(c.doors, l)
		c.running.Go(func() {
			if err := d.serve(l); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				n.Log.Error("listener ended", "listener", d.name, "cause", err)
			}
		})
	}
	return nil
}

// serveWeb makes what serves HTTP, or HTTPS, on a listener.
func (n *Node) serveWeb(secure bool) func(net.Listener) error {
	mux := http.NewServeMux()
	n.chat.server.Handle(mux)
	n.chat.router.HandleHTTP(mux)
	n.handleConsole(mux)
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: quiet(n.Log),
	}
	n.chat.web = append(n.chat.web, srv)
	return func(l net.Listener) error {
		l = stream.Listen(l)
		if !secure {
			return srv.Serve(l)
		}
		srv.TLSConfig = n.Certs.Config("http/1.1")
		return srv.ServeTLS(l, "", "")
	}
}

// quiet makes of an HTTP server's complaints (broken handshakes, resets) what
// they are: the life of connections.
func quiet(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// drainChat closes the doors and ends the streams.
func (n *Node) drainChat(ctx context.Context) {
	c := &n.chat
	for _, l := range c.doors {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			n.Log.Warn("listener not closed", "cause", err)
		}
	}
	if c.server != nil {
		c.server.Drain(ctx)
	}
}

// stopChat flushes the archive and ends what is left.
func (n *Node) stopChat(ctx context.Context) error {
	c := &n.chat
	var errs []error
	for _, srv := range c.web {
		errs = append(errs, srv.Close())
	}
	if c.cancel != nil {
		c.cancel()
		c.router.Wait()
	}
	if c.router != nil {
		errs = append(errs, c.router.Archive.Close(ctx))
	}
	c.running.Wait()
	if c.poller != nil {
		errs = append(errs, c.poller.Close())
	}
	return errors.Join(errs...)
}

// accountChanged ends the sessions of an account whose password is another
// now, or which is gone.
func (n *Node) accountChanged(ctx context.Context, who jid.JID, gone bool) {
	const why = "the account was changed by its administrator"
	if gone {
		n.chat.router.Dismiss(ctx, who.Bare(), stream.NewError(stream.NotAuthorized, why))
		return
	}
	n.chat.router.CloseAccount(who.Bare(), nil, stream.NewError(stream.Reset, why))
}

// organisationAdded makes the running router serve a new domain.
func (n *Node) organisationAdded(ctx context.Context, domain string) {
	orgs, err := n.Store.Orgs(ctx)
	if err != nil {
		n.Log.Error("new organisation is served after a restart only", "domain", domain, "cause", err)
		return
	}
	for _, o := range orgs {
		if o.Domain == domain {
			n.chat.router.AddOrganisation(domain, o.ID)
		}
	}
}

// chatMetrics adds the gauges of the role to /metrics.
func (n *Node) chatMetrics(m *ops.Metrics) {
	c := &n.chat
	if c.server == nil {
		return
	}
	streams, people := c.server.Count(), c.router.Directory.Count()
	m.Gauge("bearhug_c2s_streams", "streams of clients that are open", float64(streams.Streams))
	m.Counter("bearhug_c2s_streams_total", "streams of clients since the start", float64(streams.Opened))
	m.Counter("bearhug_c2s_signin_failures_total", "sign-ins refused", float64(streams.Failures))
	m.Gauge("bearhug_presence_resources", "bound resources", float64(people.Resources))
	m.Gauge("bearhug_presence_available_resources", "resources that sent available presence", float64(people.Available))
	m.Gauge("bearhug_presence_accounts", "accounts in memory", float64(people.Accounts))
	m.Counter("bearhug_message_delivered_total", "messages handed to their recipients or to the delivery log", float64(c.router.Delivered()))
	m.Gauge("bearhug_archive_backlog_bytes", "messages that wait for their commit", float64(c.router.Archive.Backlogged()))
	n.databaseMetrics(m)
}

// databaseMetrics adds what is waited for: SQLite's one writer, connections.
func (n *Node) databaseMetrics(m *ops.Metrics) {
	s := n.Store.DB().Stats()
	m.Counter("bearhug_db_pool_waits_total", "how often somebody waited for a connection", float64(s.PoolWaits))
	m.Counter("bearhug_db_pool_wait_seconds_total", "time spent waiting for connections", time.Duration(s.PoolWaited).Seconds())
	for i, r := range n.Store.DB().Replicas() {
		used, number := 0.0, strconv.Itoa(i+1)
		if r.Used {
			used = 1
		}
		m.Gauge("bearhug_db_replica_used", "1 while outreach and reports read there; by place in db.replicas", used, "replica", number)
		m.Gauge("bearhug_db_replica_lag_seconds", "how far the replica may be behind; 0 while that is not known", r.Lag.Seconds(), "replica", number)
		m.Counter("bearhug_db_replica_reads_total", "statements that the replica answered", float64(r.Reads), "replica", number)
		m.Counter("bearhug_db_replica_failed_total", "statements that it did not answer, and the primary did", float64(r.Failed), "replica", number)
	}
	if !n.Store.DB().SQLite() {
		return
	}
	m.Counter("bearhug_db_writer_jobs_total", "transactions begun by the writer", float64(s.WriterJobs))
	m.Counter("bearhug_db_writer_wait_seconds_total", "time that transactions waited for the writer", time.Duration(s.WriterWaited).Seconds())
	m.Gauge("bearhug_db_writer_longest_seconds", "the longest that a transaction has held the writer", time.Duration(s.WriterLongest).Seconds())
	m.Counter("bearhug_db_writer_over_total", "transactions that held the writer for more than 20 ms", float64(s.WriterOver))
}

// chatStats are the figures of the role for `bearhug stats` and the demo.
func (n *Node) chatStats() map[string]int64 {
	c := &n.chat
	if c.server == nil {
		return nil
	}
	streams, people := c.server.Count(), c.router.Directory.Count()
	return map[string]int64{
		"streams": streams.Streams, "streams_total": streams.Opened, "signin_failures": streams.Failures,
		"resources": int64(people.Resources), "available": int64(people.Available),
		"messages": c.router.Delivered(), "backlog_bytes": int64(c.router.Archive.Backlogged()),
	}
}
