package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/store"
)

// The demo: one process, embedded parts, an organisation of people who live.
const (
	demoDomain   = "localhost"
	demoYou      = "you"
	demoPassword = "bearhug"
	demoTeams    = 5
)

// DemoOptions say what the demo is like. The zero value is the usual one.
type DemoOptions struct {
	Data     string    // data directory; "" is a temporary one that is removed
	People   int       // 0 means 60
	Out      io.Writer // where to tell; nil means nowhere
	Config   *Config   // listeners and the rest; nil means loopback and the usual ports
	Terminal bool      // Out can rewrite a line
}

// RunDemo runs the demo until ctx ends.
//  1. Start a node. 2. Make the organisation. 3. Let its people sign in and
//     live. 4. Tell what happens. 5. Stop cleanly.
func RunDemo(ctx context.Context, o DemoOptions) (err error) {
	if o.People == 0 {
		o.People = 60
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	began := time.Now()
	say := func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }
	say("starting a server on embedded parts …")
	if o.Data == "" {
		if o.Data, err = os.MkdirTemp("", "bearhug-demo-"); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
		defer os.RemoveAll(o.Data)
	}
	n, err := startDemo(ctx, o)
	if err != nil {
		return err
	}
	d := &demo{node: n, out: o.Out, terminal: o.Terminal, sent: make(map[string]time.Time)}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err = errors.Join(err, n.Stop(stop))
		say("\nstopped; nothing is left behind.")
	}()
	say("making an organisation of %d people in %d teams …", o.People, demoTeams)
	if err := d.populate(ctx, o.People); err != nil {
		return fmt.Errorf("make the demo's people: %w", err)
	}
	say("letting them sign in …")
	d.start(ctx)
	defer d.wait.Wait()
	d.awaitPeople(ctx)
	d.invite(time.Since(began))
	d.watch(ctx)
	return nil
}

// startDemo starts the node. Where a usual port is taken, any free one will do.
func startDemo(ctx context.Context, o DemoOptions) (*Node, error) {
	cfg := o.Config
	if cfg == nil {
		var err error
		if cfg, err = Defaults(); err != nil {
			return nil, err
		}
		for address, port := range map[*string]string{
			&cfg.C2S.Listen: "5222", &cfg.C2S.TLSListen: "5223",
			&cfg.HTTP.Listen: "8080", &cfg.HTTP.TLSListen: "8443", &cfg.Ops.Listen: "9480",
		} {
			*address = freeAddress(port)
		}
		cfg.C2S.Plaintext = true // on loopback only
	}
	cfg.Data = o.Data
	log := slog.New(slog.NewTextHandler(demoLog(o.Data), &slog.HandlerOptions{Level: slog.LevelInfo}))
	n, err := New(cfg, log)
	if err != nil {
		return nil, err
	}
	return n, n.Start(ctx)
}

// demoLog keeps the log out of the way of the living line.
func demoLog(dir string) io.Writer {
	f, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return io.Discard
	}
	return f // closed by the end of the process
}

func freeAddress(port string) string {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return net.JoinHostPort("127.0.0.1", port)
}

// A demo is the running demo.
type demo struct {
	node     *Node
	out      io.Writer
	terminal bool
	org      feature.Org
	people   []*person
	wait     sync.WaitGroup

	mu       sync.Mutex
	online   int
	sent     map[string]time.Time // messages under way, by id
	latency  []time.Duration      // of the last seconds
	messages int
}

// populate makes the organisation, its accounts and the shared groups.
func (d *demo) populate(ctx context.Context, people int) error {
	st := d.node.Store
	org, err := st.AddOrg(ctx, demoDomain)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("the data directory was used before: the demo wants an empty one")
	}
	if err != nil {
		return err
	}
	d.org = org
	d.node.admin().orgAdded(ctx, demoDomain)
	keys, err := deriveAll(demoPassword) // one password for all: this is a demo
	if err != nil {
		return err
	}
	for i := range people {
		p := newPerson(d, i)
		if _, err := st.CreateAccount(ctx, org, p.jid.Local(), keys); err != nil {
			return err
		}
		d.people = append(d.people, p)
	}
	if _, err := st.CreateAccount(ctx, org, demoYou, keys); err != nil {
		return err
	}
	return d.acquaint(ctx)
}

// acquaint makes a shared group of each team, which sees itself, and one of
// guests, which you are in: guests see all teams, and all teams see guests.
func (d *demo) acquaint(ctx context.Context) error {
	groups := d.node.chat.router.Rosters.Groups
	guests, err := groups.AddGroup(ctx, d.org, roster.NewGroup{Name: "guests", Label: "Guests"})
	if err != nil {
		return err
	}
	if _, err := groups.Join(ctx, guests, jid.MustParse(demoYou+"@"+demoDomain)); err != nil {
		return err
	}
	teams := map[string][]jid.JID{}
	for _, p := range d.people {
		teams[p.team] = append(teams[p.team], p.jid)
	}
	for _, name := range slices.Sorted(maps.Keys(teams)) {
		team, err := groups.AddGroup(ctx, d.org, roster.NewGroup{Name: strings.ToLower(name), Label: name})
		if err != nil {
			return err
		}
		_, joined := groups.Join(ctx, team, teams[name]...)
		if err := errors.Join(joined, groups.Show(ctx, team, guests, false), groups.Show(ctx, guests, team, false)); err != nil {
			return err
		}
	}
	for _, p := range d.people {
		p.mates = slices.DeleteFunc(slices.Clone(teams[p.team]), func(mate jid.JID) bool { return mate == p.jid })
	}
	return nil
}

// start lets the people come, a few at a time.
func (d *demo) start(ctx context.Context) {
	pool := x509.NewCertPool()
	if leaf, err := d.node.Certs.Leaf(demoDomain); err == nil {
		pool.AddCert(leaf)
	}
	keys := new(client.Keys)
	for i, p := range d.people {
		p.config = client.Config{
			Server: d.node.Addr("c2s").String(), Account: p.jid, Password: demoPassword, Keys: keys,
			Security: client.TLSAlways, TLS: &tls.Config{RootCAs: pool},
		}
		d.wait.Go(func() {
			if pause(ctx, time.Duration(i)*20*time.Millisecond) {
				p.live(ctx)
			}
		})
	}
}

// pause waits; false means that ctx has ended.
func pause(ctx context.Context, t time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(t):
		return true
	}
}

// awaitPeople waits until most have come.
func (d *demo) awaitPeople(ctx context.Context) {
	for {
		d.mu.Lock()
		online := d.online
		d.mu.Unlock()
		if online >= len(d.people)*9/10 || !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// invite prints how to join.
func (d *demo) invite(took time.Duration) {
	addr := func(name string) string {
		if a := d.node.Addr(name); a != nil {
			return a.String()
		}
		return "switched off"
	}
	fmt.Fprintf(d.out, `
Up after %.1f s. %d people of %s are chatting. Join them with any XMPP client:

    account   %s@%s
    password  %s
    server    %s   (STARTTLS; direct TLS on %s)
    web       ws://%s/xmpp-websocket
    figures   http://%s/metrics

The certificate is self-signed: let your client accept it. Write to anybody, say
%s, and they answer. Ctrl-C stops everything.

`, took.Seconds(), len(d.people), demoDomain, demoYou, demoDomain, demoPassword, addr("c2s"), addr("c2s-tls"),
		addr("http"), addr("ops"), d.people[0].jid)
}
