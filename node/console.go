package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/bearhug/bearhug/console"
)

// The role console: the API for people who run things. It works on rows, and
// through the control operations of this process.

// WebhookConfig says where webhooks may lead.
type WebhookConfig struct {
	Allow []string `key:"allow" check:"prefix" doc:"addresses or networks that webhooks may reach although they are loopback, private or link-local, also without TLS, such as 10.1.2.0/24"`
}

// Networks are webhook.allow as networks.
func (c *WebhookConfig) Networks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.Allow {
		if p, err := parsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// startConsole makes the console; startChat calls it before the doors open. It
// ends with ctx.
func (n *Node) startConsole(ctx context.Context) error {
	c, err := console.New(ctx, console.Config{
		Store: n.Store, Log: n.Log.With("feature", "console"), Version: n.Version, Writer: auditWriter(n.Config),
		Control: n.Control.CallerAs, Client: n.chat.server.Visitor, WebhookAllow: n.Config.Webhook.Networks(),
	})
	if err != nil {
		return fmt.Errorf("start console: %w", err)
	}
	n.console = c
	n.chat.running.Go(func() { // ends with ctx
		if err := c.Run(ctx); err != nil {
			n.Log.Error("console ended", "cause", err)
		}
	})
	return nil
}

// handleConsole registers the API on a listener of the web.
func (n *Node) handleConsole(mux *http.ServeMux) { mux.Handle("/api/", n.console.Handler()) }

// auditWriter names this process in the audit log: by the machine and the data
// directory, which one process has at a time.
func auditWriter(cfg *Config) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		dir = cfg.Data
	}
	sum := sha256.Sum256([]byte(dir))
	return host[:min(len(host), 40)] + "-" + hex.EncodeToString(sum[:4])
}

// APIDoc is docs/api.md.
func APIDoc() []byte { return console.Doc() }
