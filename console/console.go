// Package console is the API of people who run things: one table of typed
// operations (operations.go), from which the HTTP handlers, the checks of who
// may do what and the OpenAPI document come.
//
// The console stands low on purpose: it may run in another process than the
// chat, so it holds no live object. It reads and writes rows, and asks for
// what only a running server can do over the control operations.
//
// A request goes through: door.go (bounds, cross-origin protection, who it is,
// rates), operation.go (may they, in this organisation; idempotency keys; the
// audit log), and the function of the operation.
//
// Locks: limiter.mu guards its buckets and is a leaf.
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

// Config says what a Console works with.
type Config struct {
	Store   *store.Store
	Log     *slog.Logger
	Version string // of the server
	// Writer names this process in the audit log: 1 to 64 bytes, and no other
	// process has the same.
	Writer string
	// Control reaches the control operations in the name of somebody; nil when
	// no server runs in this process: then the operations on levers and the
	// ledger say so.
	Control func(user string) *ops.Caller
	// Campaigns is what outreach does with campaigns; nil without that role.
	Campaigns *Campaigns
	// Client is the address of who asks, and whether it was over TLS.
	Client func(*http.Request) (address string, secure bool)
	// Minimum is the least number of people that a result of an organisation
	// may be about; nil or 0 is insight's default.
	Minimum func(feature.Org) int
	// WebhookAllow are networks that webhooks may reach although they are
	// loopback, private or link-local.
	WebhookAllow []netip.Prefix
	Now          func() time.Time // nil is time.Now
}

// Campaigns is what the role outreach does with campaigns, beyond their rows.
type Campaigns struct {
	Create      func(context.Context, *store.Campaign) (int64, error)
	Launch      func(ctx context.Context, org feature.Org, id int64) error
	Pause       func(ctx context.Context, org feature.Org, id int64) error
	Resume      func(ctx context.Context, org feature.Org, id int64) error
	Stop        func(ctx context.Context, org feature.Org, id int64) error
	RetryFailed func(ctx context.Context, org feature.Org, id int64) (int, error)
	Resolve     func(ctx context.Context, org feature.Org, id int64, again bool, only []int64) (int, error)
	Release     func(ctx context.Context, org feature.Org, id int64, send bool, only []int64) (int, error)
}

// Console serves the API.
type Console struct {
	Config
	cursors []byte // signs cursors
	limits  *limiter
	failed  *limiter      // sign-ins by address
	tried   *limiter      // sign-ins by account
	derive  chan struct{} // who computes the keys of a password
	large   chan struct{} // who reads a large body
	decoys  []byte
	origin  *http.CrossOriginProtection
	table   []operation
	api     huma.API
	handler http.Handler
}

// New makes a console. Handler serves it, Run does what goes on behind.
func New(ctx context.Context, cfg Config) (*Console, error) {
	if cfg.Store == nil || cfg.Log == nil || cfg.Writer == "" || len(cfg.Writer) > 64 || cfg.Client == nil {
		return nil, errors.New("a console wants a store, a log, a writer's name and to know who asks")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Console{Config: cfg, derive: make(chan struct{}, 2), large: make(chan struct{}, 2), origin: http.NewCrossOriginProtection()}
	var err error
	if c.cursors, err = cfg.Store.Secret(ctx, "cursor", 32); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.decoys, err = cfg.Store.Secret(ctx, "decoy", 32); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.limits = newLimiter(requestRate, requestBurst)
	c.failed, c.tried = newLimiter(signInRate, signInBurst), newLimiter(signInRate, signInBurst)
	c.table = operations()
	mux := http.NewServeMux()
	c.api = humago.New(mux, document(cfg.Version))
	for i := range c.table {
		c.table[i].add(c, &c.table[i])
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no such path; /api/openapi.json has those that are")
	})
	c.handler = c.door(mux)
	return c, nil
}

// Handler serves all below /api/.
func (c *Console) Handler() http.Handler { return c.handler }

// guard decides what of an organisation's answers may be shown.
func (c *Console) guard(org feature.Org) insight.Guard {
	if c.Minimum == nil {
		return insight.Guard{}
	}
	return insight.Guard{Minimum: c.Minimum(org)}
}

// document is what the OpenAPI document says beside its operations.
func document(version string) huma.Config {
	cfg := huma.DefaultConfig("Bearhug", version)
	cfg.Info.Description = "Everything that runs a Bearhug server: people, audiences, flows, campaigns, answers, cases, levers, audit. " +
		"Lists are pages: `next` of one is the `cursor` of the next. A POST, PUT or DELETE with an `Idempotency-Key` is done once in 24 hours. " +
		"Errors are problem details (RFC 9457). Another organisation's things are not found."
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "/api/openapi", "", ""
	cfg.CreateHooks = nil // no $schema in answers
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A token, as `bearhug token add` makes one."},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "A person who signed in with POST /api/session."},
	}
	return cfg
}

// OpenAPI is the document as JSON.
func (c *Console) OpenAPI() ([]byte, error) { return c.api.OpenAPI().MarshalJSON() }
