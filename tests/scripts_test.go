package tests

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"github.com/bearhug/bearhug/feature"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/script"
	"github.com/bearhug/bearhug/tests/mariadb"
)

var (
	only     = flag.String("scs", "*", "which scripts to play: a file name pattern without .scs")
	peer     = flag.String("peer", "", "play against the server at this host:port instead of our own")
	peerWS   = flag.String("peer-ws", "", "its WebSocket, ws://host:port/path")
	peerTLS  = flag.String("peer-tls", "", "its direct TLS, host:port")
	peerHost = flag.String("peer-hosts", "a.example,b.example", "two of its domains")
	peerUser = flag.String("peer-register", "", "the command that makes an account there, called with LOCAL HOST PASSWORD")
	logs     = flag.Bool("server-log", false, "show the servers' logs")
)

// TestScripts plays every script on a node in this process, on SQLite.
func TestScripts(t *testing.T) {
	if *peer != "" {
		playAll(t, func(*testing.T, *script.Script) *script.Target { return peerTarget() })
		return
	}
	h := newHouse(t, func(string) (string, error) { return "sqlite:bearhug.db", nil })
	playAll(t, h.target)
}

// TestScriptsMariaDB plays every script once more, on MariaDB.
func TestScriptsMariaDB(t *testing.T) {
	if *peer != "" || testing.Short() {
		t.Skip("our own server, long tests")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	db, err := mariadb.Start(ctx, t.TempDir())
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("BEARHUG_TEST_MARIADB") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := newHouse(t, func(name string) (string, error) { return db.Create(ctx, name) })
	playAll(t, h.target)
}

// playAll plays all scripts, side by side.
func playAll(t *testing.T, target func(*testing.T, *script.Script) *script.Target) {
	files, err := filepath.Glob(*only + ".scs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no script is called %s: %v", *only, err)
	}
	t.Run("play", func(t *testing.T) {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := script.Parse(file, b)
			if err != nil {
				t.Error(err)
				continue
			}
			t.Run(strings.TrimSuffix(file, ".scs"), func(t *testing.T) {
				t.Parallel()
				err := script.Play(t.Context(), s, target(t, s))
				if errors.Is(err, script.ErrCannotPlay) {
					t.Skip(err)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// house is a set of nodes in this process: one for each set of options that scripts ask for.
type house struct {
	t        *testing.T
	database func(name string) (string, error) // the URL of an empty database

	mu    sync.Mutex
	rooms map[string]*room // by script.ServerKey, guarded by mu
}

// room is one node.
type room struct {
	once   sync.Once
	err    error
	cfg    *node.Config
	node   *node.Node
	target script.Target
	orgs   atomic.Int64
}

func newHouse(t *testing.T, database func(string) (string, error)) *house {
	h := &house{t: t, database: database, rooms: map[string]*room{}}
	t.Cleanup(func() {
		for _, r := range h.rooms {
			if r.node == nil {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := r.node.Stop(ctx); err != nil {
				t.Errorf("stop node: %v", err)
			}
		}
	})
	return h
}

// target is the node with the options of a script, started when it is first asked for.
func (h *house) target(t *testing.T, s *script.Script) *script.Target {
	h.mu.Lock()
	r := h.rooms[s.ServerKey()]
	if r == nil {
		r = &room{}
		h.rooms[s.ServerKey()] = r
	}
	n := len(h.rooms)
	h.mu.Unlock()
	r.once.Do(func() { r.err = h.open(r, n, s) })
	if r.err != nil {
		t.Fatal(r.err)
	}
	return &r.target
}

// open starts a node on free ports of loopback.
func (h *house) open(r *room, n int, s *script.Script) error {
	url, err := h.database(fmt.Sprintf("scripts%d", n))
	if err != nil {
		return err
	}
	flags := map[string]string{
		"data": h.t.TempDir(), "db.url": url, "c2s.plaintext": "true", "c2s.failures": "100000",
		"c2s.listen": "127.0.0.1:0", "c2s.tls_listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0",
		"http.tls_listen": "127.0.0.1:0", "ops.listen": "",
	}
	for _, o := range s.Server {
		flags[o.Key] = o.Value
	}
	if r.cfg, err = node.Load(node.Sources{Flags: flags}); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	r.cfg.C2S.Listen, r.cfg.C2S.TLSListen = r.addr("c2s"), r.addr("c2s-tls") // where they stand after a restart
	r.cfg.HTTP.Listen, r.cfg.HTTP.TLSListen = r.addr("http"), r.addr("http-tls")
	r.target = script.Target{
		Addr: r.addr("c2s"), TLS: r.addr("c2s-tls"),
		WS:  "ws://" + r.addr("http") + "/xmpp-websocket",
		WSS: "wss://" + r.addr("http-tls") + "/xmpp-websocket",
		// Certificates are self-signed here; that they fit the domain is tested in package node.
		Trust: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback, self-signed
		Hosts: r.hosts, Create: r.create, Token: r.token, Operate: r.operate,
	}
	if s.Restarts() {
		r.target.Restart = r.restart
	}
	return nil
}

func (r *room) start() error {
	var w io.Writer = io.Discard
	if *logs {
		w = os.Stderr
	}
	n, err := node.New(r.cfg, slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		return err
	}
	if err := n.Start(context.Background()); err != nil {
		return err
	}
	r.node = n
	// A slow disk must not change what a script sees: delivery waits for its commit, however long.
	return n.Board.Set("archive.wait", feature.Scope{}, 60000, 0)
}

func (r *room) restart(ctx context.Context) error {
	if err := r.node.Stop(ctx); err != nil {
		return err
	}
	return r.start()
}

func (r *room) addr(name string) string {
	if a := r.node.Addr(name); a != nil {
		return a.String()
	}
	return ""
}

// hosts makes two organisations that no other script has.
func (r *room) hosts(ctx context.Context) (first, second string, err error) {
	n := r.orgs.Add(1)
	first, second = fmt.Sprintf("verona%d.example", n), fmt.Sprintf("mantua%d.example", n)
	for _, d := range []string{first, second} {
		if err := r.call(ctx, ops.Request{Op: "org.add", Args: node.Organisation{Domain: d}}); err != nil {
			return "", "", err
		}
	}
	return first, second, nil
}

func (r *room) create(ctx context.Context, account jid.JID, password string) error {
	return r.call(ctx, ops.Request{Op: "user.add", Args: node.User{JID: account.String(), Password: password}})
}

func (r *room) token(ctx context.Context, account, peer jid.JID) (string, error) {
	var out node.Token
	err := node.Do(ctx, r.cfg, false, ops.Request{
		Op: "user.token", Args: node.Token{JID: account.String(), Scope: peer.String(), TTL: 10 * time.Minute},
	}, &out)
	return out.Token, err
}

// call is what the commands do: over the control socket.
func (r *room) call(ctx context.Context, req ops.Request) error {
	var out any
	return node.Do(ctx, r.cfg, false, req, &out)
}

// operate does an operation of the control socket.
func (r *room) operate(ctx context.Context, op string, args map[string]string) error {
	values := make(map[string]any, len(args))
	for k, v := range args {
		values[k] = v
		switch {
		case k == "jids":
			values[k] = strings.Split(v, ",")
		case v == "true":
			values[k] = true
		}
	}
	return r.call(ctx, ops.Request{Op: op, Args: values})
}

// peerTarget is a server that is not ours: one script at a time finds out who misread a standard.
func peerTarget() *script.Target {
	first, second, _ := strings.Cut(*peerHost, ",")
	return &script.Target{
		Addr: *peer, TLS: *peerTLS, WS: *peerWS,
		Trust: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a test machine's server
		Hosts: func(context.Context) (string, string, error) { return first, second, nil },
		Create: func(ctx context.Context, account jid.JID, password string) error {
			out, err := exec.CommandContext(ctx, *peerUser, account.Local(), account.Domain(), password).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", *peerUser, err, out)
			}
			return nil
		},
		Rename: unique.next(),
	}
}

// unique names keep scripts apart on a server whose organisations are given.
var unique counter

type counter struct{ n atomic.Int64 }

func (c *counter) next() func(string) string {
	n := c.n.Add(1)
	return func(local string) string { return fmt.Sprintf("%s-%d-%d", local, os.Getpid(), n) }
}
