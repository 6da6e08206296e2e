package node_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
)

// config is a node's on loopback, on ports that are free.
func config(t *testing.T) *node.Config {
	t.Helper()
	cfg, err := node.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = t.TempDir()
	for _, a := range []*string{&cfg.C2S.Listen, &cfg.C2S.TLSListen, &cfg.HTTP.Listen, &cfg.HTTP.TLSListen, &cfg.Ops.Listen} {
		*a = "127.0.0.1:0"
	}
	return cfg
}

func start(t *testing.T, cfg *node.Config) *node.Node {
	t.Helper()
	n, err := node.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func fetch(t *testing.T, n *node.Node, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + n.Addr("ops").String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestNode(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	cfg := config(t)
	n := start(t, cfg)
	if code, body := fetch(t, n, "/readyz"); code != 200 || !strings.Contains(body, "database: ok") {
		t.Errorf("%d %s", code, body)
	}
	do(t, cfg, "org.add", node.Organisation{Domain: "a.example"}, nil)
	do(t, cfg, "user.add", node.User{JID: "anna@a.example", Password: "x"}, nil)
	if _, body := fetch(t, n, "/metrics"); !strings.Contains(body, "bearhug_c2s_streams 0") || !strings.Contains(body, "bearhug_tls_expiry_seconds") || strings.Contains(body, "a.example") {
		t.Errorf("metrics:\n%s", body)
	}
	var stats node.Stats
	do(t, cfg, "stats", nil, &stats)
	if stats.PID != os.Getpid() || stats.Addresses["c2s"] != n.Addr("c2s").String() {
		t.Errorf("%+v", stats)
	}
	for _, name := range []string{"c2s", "c2s-tls", "http", "http-tls"} {
		c, err := net.Dial("tcp", n.Addr(name).String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}

	// A second node on the same directory is told so, and harms nobody.
	second, err := node.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); !errors.Is(err, ops.ErrLocked) {
		t.Errorf("second node: %v", err)
	}
	if code, _ := fetch(t, n, "/readyz"); code != 200 {
		t.Error("not ready any more")
	}
	stop(t, n)

	// What was stored is there after a restart.
	n = start(t, cfg)
	defer stop(t, n)
	if got := accounts(t, cfg, "a.example"); len(got) != 1 || got[0] != "anna@a.example" {
		t.Errorf("%q", got)
	}
}

// TestStartFails: whatever stops a start, nothing is left running.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		set  func(*node.Config)
		want string
	}{
		{"ops port", func(c *node.Config) { c.Ops.Listen = taken.Addr().String() }, "open listener ops"},
		{"last port", func(c *node.Config) { c.HTTP.TLSListen = taken.Addr().String() }, "open listener http-tls"},
		{"database", func(c *node.Config) { c.DB.URL = "sqlite:/nowhere/at/all.db" }, "open store"},
		{"data", func(c *node.Config) { c.Data = filepath.Join(c.Data, "file", "x") }, "make data directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			cfg := config(t)
			if err := os.WriteFile(filepath.Join(cfg.Data, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			good := cfg.Data
			c.set(cfg)
			n, err := node.New(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = n.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			l, err := ops.LockDir(good)
			if err != nil {
				t.Fatalf("the directory is still locked: %v", err)
			}
			l.Unlock()
		})
	}
}

func TestTokensAndPasswords(t *testing.T) {
	cfg := shelf(t, "a.example", "b.example")
	do(t, cfg, "user.add", node.User{JID: "anna@a.example", Password: "x"}, nil)
	call := func(op string, args any) error {
		return node.Do(t.Context(), cfg, false, ops.Request{Op: op, Args: args}, nil)
	}
	for _, c := range []struct {
		op   string
		args any
		want string // of the error, "" for none
	}{
		{"org.add", node.Organisation{Domain: "a.example"}, "add organisation a.example: it is there already"},
		{"org.add", node.Organisation{Domain: "x@a.example"}, `add organisation "x@a.example": not a domain; want one such as example.org`},
		{"org.add", node.Organisation{}, `add organisation "": not a domain; want one such as example.org`},
		{"user.add", node.User{JID: "anna@a.example", Password: "x"}, "add account anna@a.example: it is there already; `bearhug user passwd anna@a.example` changes its password"},
		{"user.add", node.User{JID: "anna", Password: "x"}, `add account: "anna" is no account's address; want one such as anna@example.org`},
		{"user.add", node.User{JID: "anna@c.example", Password: "x"}, "add account: no organisation c.example here: did you mean a.example?"},
		{"user.add", node.User{JID: "bert@a.example"}, "add account bert@a.example: the password is empty"},
		{"user.passwd", node.User{JID: "bert@a.example", Password: "x"}, "change password of bert@a.example: there is no such account"},
		{"user.passwd", node.User{JID: "anna@a.example", Password: "y"}, ""},
		{"user.token", node.Token{JID: "anna@a.example", TTL: time.Minute}, ""},
		{"user.token", node.Token{JID: "anna@a.example", Scope: "bot@a.example", TTL: time.Minute}, ""},
		{"user.token", node.Token{JID: "anna@a.example", Scope: "bot@a.example/x", TTL: time.Minute}, `make token: scope "bot@a.example/x" is no bare address; want one such as bot@example.org`},
		{"user.token", node.Token{JID: "anna@a.example", TTL: 48 * time.Hour}, "make token: it lives 48h0m0s; want more than 0 and at most 24h0m0s"},
		{"user.token", node.Token{JID: "bert@a.example", TTL: time.Minute}, "make token for bert@a.example: there is no such account"},
		{"user.ls", node.UserPage{Domain: "q.example.org"}, "list accounts: no organisation q.example.org here: make it with `bearhug org add q.example.org`"},
		{"user.del", node.User{JID: "anna@b.example"}, "delete account anna@b.example: there is no such account"},
		{"user.del", node.User{JID: "anna@a.example"}, ""},
		{"user.del", node.User{JID: "anna@a.example"}, "delete account anna@a.example: there is no such account"},
		{"backup", node.BackupArgs{File: "rel"}, `back up to "rel": want an absolute path`},
	} {
		err := call(c.op, c.args)
		if got := errText(err); got != c.want {
			t.Errorf("%s %+v:\n got %q\nwant %q", c.op, c.args, got, c.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDocs(t *testing.T) {
	text, err := node.XEPDoc(t.Context())
	if err != nil || !strings.Contains(string(text), "| ping | on | XEP-0199") {
		t.Errorf("%v\n%s", err, text)
	}
	text, err = node.ConfigDoc()
	if err != nil || !strings.Contains(string(text), "| `c2s.listen` | `\":5222\"` |") {
		t.Errorf("%v\n%s", err, text)
	}
}
