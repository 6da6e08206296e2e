package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/console"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/store"
)

// Node is one server: everything it has hangs here.
type Node struct {
	Config  *Config
	Log     *slog.Logger
	Board   *feature.Board
	Store   *store.Store // from Start on
	Ops     *ops.Server
	Control *ops.Control
	Certs   *Certs
	Signal  *overload.Signal // how long work waits
	Version string

	// Unmetered has the ledger count, but measure no processor time and write no
	// history: for the measurement of what that costs. Set before Start.
	Unmetered bool

	chat   chat   // the role chat, chat.go
	levers levers // lever.go
	books  books  // ledger.go

	console *console.Console // the role console, console.go

	rehearsals rehearsals // capacity.go

	lock    *ops.Lock
	gc      *gcTuner
	started atomic.Bool

	mu        sync.Mutex // guards listeners
	listeners map[string]*listener
	order     []string
}

// New makes a node that has not started.
func New(cfg *Config, log *slog.Logger) (*Node, error) {
	if cfg == nil || log == nil {
		return nil, errors.New("a node wants a configuration and a log")
	}
	n := &Node{
		Config: cfg, Log: log, Board: feature.NewBoard(), Version: Version(),
		listeners: map[string]*listener{},
	}
	n.Ops = ops.NewServer(n.Board, log, n.Version)
	n.Control = ops.NewControl(log)
	n.levers.node, n.books.node, n.rehearsals.node = n, n, n
	var err error
	if n.Signal, err = overload.NewSignal(n.Board); err != nil {
		return nil, err
	}
	n.Certs = NewCerts(cfg.TLS.Certs, cfg.CertsDir(), log)
	return n, nil
}

// Version is the version this program was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, revision, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	switch {
	case version != "" && version != "(devel)":
		return version
	case revision != "":
		return "devel-" + revision + dirty
	}
	return "devel"
}

// Start brings the node up: lock, store, operators' face, then the roles. When
// it returns nil the listeners accept. After an error nothing is left running.
func (n *Node) Start(ctx context.Context) (err error) {
	if n.lock, err = ops.LockDir(n.Config.Data); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.abandon()
		}
	}()
	if n.Unmetered {
		n.Board.Unmeter()
	}
	n.gc = startGC()
	began := time.Now()
	if n.Store, err = openStore(ctx, n.Config, n.Board, n.Log, n.waits()); err != nil {
		return err
	}
	n.Log.Debug("store open", "seconds", time.Since(began).Seconds())
	if err := n.startOps(); err != nil {
		return err
	}
	if err := n.loadDomains(ctx); err != nil {
		return err
	}
	if err := n.startChat(ctx); err != nil {
		n.drainChat(ctx) // doors that are open already
		return errors.Join(fmt.Errorf("start chat: %w", err), n.stopChat(context.WithoutCancel(ctx)))
	}
	n.Ops.Collect(n.chatMetrics)
	n.Ops.Collect(n.clientMetrics)
	n.Ops.Collect(n.overloadMetrics)
	n.admin().register(n.Control)
	(&leverDesk{admin: n.admin(), board: n.Board, node: n}).register(n.Control)
	(&botDesk{admin: n.admin(), bots: n.chat.bots}).register(n.Control)
	n.rehearsals.register(n.Control)
	n.books.start()
	n.Ops.Collect(n.books.metrics)
	n.Control.Handle("ledger.top", n.books.top)
	n.Control.Handle("stats", func(*ops.Call) (any, error) { return n.stats(), nil })
	if err := n.Control.Listen(n.Config.Socket()); err != nil {
		return err
	}
	n.started.Store(true)
	return nil
}

// startOps opens the operators' listener first, so that a slow start can be
// watched; /readyz says no until Start is done.
func (n *Node) startOps() error {
	n.Ops.Check("start", func(context.Context) error {
		if !n.started.Load() {
			return errors.New("not finished")
		}
		return nil
	})
	n.Ops.Check("listeners", func(context.Context) error { return n.listening() })
	n.Ops.Check("database", func(ctx context.Context) error {
		_, err := n.Store.Orgs(ctx)
		return err
	})
	n.Ops.Collect(n.Certs.metrics)
	ln, err := n.Listen("ops", n.Config.Ops.Listen)
	if err != nil {
		return err
	}
	if ln != nil {
		n.Ops.Serve(ln)
	}
	return nil
}

// loadDomains tells the certificates which organisations there are.
func (n *Node) loadDomains(ctx context.Context) error {
	orgs, err := n.Store.Orgs(ctx)
	if err != nil {
		return fmt.Errorf("read organisations: %w", err)
	}
	hosts := map[string][]string{}
	for _, o := range orgs {
		hosts[o.Domain] = n.Config.Orgs[o.Domain].Hosts
	}
	for domain := range n.Config.Orgs {
		if _, ok := hosts[domain]; !ok {
			n.Log.Warn("the configuration names an organisation that does not exist: `bearhug org add` makes it", "domain", domain)
		}
	}
	n.Certs.SetDomains(hosts)
	return nil
}

// admin are the operations on this running node.
func (n *Node) admin() *admin {
	return &admin{
		config: n.Config, store: n.Store, log: n.Log, groups: n.chat.router.Rosters.Groups,
		orgAdded: func(ctx context.Context, domain string) {
			if err := n.loadDomains(ctx); err != nil {
				n.Log.Error("new organisation has no certificate yet", "domain", domain, "err", err)
			}
			n.organisationAdded(ctx, domain)
		},
		accountChanged: n.accountChanged,
	}
}

// Stop takes the node down in order: no new clients, streams told and closed,
// archive flushed, store closed, directory unlocked. ctx bounds the time that
// clients get; what must reach the disk is awaited all the same.
func (n *Node) Stop(ctx context.Context) error {
	n.Ops.Drain()
	n.started.Store(false)
	n.rehearsals.stop()
	n.books.stop()
	n.levers.stop()
	n.drainChat(ctx)
	err := n.stopChat(context.WithoutCancel(ctx))
	err = errors.Join(err, n.Control.Close(), n.Store.Close(), n.Ops.Close())
	n.gc.stop()
	return errors.Join(err, n.lock.Unlock())
}

// abandon undoes a Start that failed half-way.
func (n *Node) abandon() {
	n.mu.Lock()
	for _, l := range n.listeners {
		l.Close()
	}
	n.mu.Unlock()
	n.books.stop()
	n.levers.stop()
	errs := []error{n.Control.Close(), n.Ops.Close()}
	if n.Store != nil {
		errs = append(errs, n.Store.Close())
	}
	n.gc.stop()
	errs = append(errs, n.lock.Unlock())
	if err := errors.Join(errs...); err != nil {
		n.Log.Error("clean up after a failed start", "err", err)
	}
}

// listener knows whether it is open. It may be closed twice: by whoever drains
// and by the server on top of it.
type listener struct {
	net.Listener
	open atomic.Bool
}

func (l *listener) Close() error {
	if !l.open.Swap(false) {
		return nil
	}
	return l.Listener.Close()
}

// Listen opens a listener under a name ("c2s"), which /readyz then asks for.
// An empty address means that it is switched off: nil, nil.
func (n *Node) Listen(name, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open listener %s: %w", name, err)
	}
	l := &listener{Listener: ln}
	l.open.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[name] = l
	n.order = append(n.order, name)
	n.Log.Info("listening", "listener", name, "address", ln.Addr().String())
	return l, nil
}

// Addr is where a listener stands, nil if it is switched off.
func (n *Node) Addr(name string) net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.listeners[name]; l != nil {
		return l.Addr()
	}
	return nil
}

func (n *Node) listening() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.order {
		if !n.listeners[name].open.Load() {
			return fmt.Errorf("%s is closed", name)
		}
	}
	return nil
}

// Stats is what a running server says about itself.
type Stats struct {
	Version       string            `json:"version"`
	PID           int               `json:"pid"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	ResidentBytes int64             `json:"resident_bytes"`
	Addresses     map[string]string `json:"addresses"`
	Figures       map[string]int64  `json:"figures"`
	Overload      Pressure          `json:"overload"`
}

func (n *Node) stats() Stats {
	s := Stats{
		Version: n.Version, PID: os.Getpid(), UptimeSeconds: n.Ops.Uptime().Seconds(),
		ResidentBytes: ops.ResidentBytes(), Addresses: map[string]string{}, Figures: n.chatStats(),
		Overload: n.pressure(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, l := range n.listeners {
		s.Addresses[name] = l.Addr().String()
	}
	return s
}
