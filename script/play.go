package script

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
)

// A Target is the server that scripts are played against. Functions may be called from several plays at once.
type Target struct {
	Addr   string // host:port of client streams
	TLS    string // host:port of direct TLS; "" when there is none
	WS     string // ws://host:port/path; "" when there is none
	WSS    string // wss://host:port/path; "" when there is none
	Trust  *tls.Config
	Hosts  func(ctx context.Context) (first, second string, err error) // two fresh organisations
	Create func(ctx context.Context, account jid.JID, password string) error

	Rename func(local string) string // nil: accounts are called what the script calls them

	// Token gives a bearer token (RFC 7628) of an account, good for one peer only where peer is not zero. nil: scripts
	// with tokens are not played.
	Token func(ctx context.Context, account, peer jid.JID) (string, error)

	Restart func(ctx context.Context) error // nil: scripts that restart the server are not played
	// Operate does what an operator can do. nil: scripts with an operator are not played.
	Operate  func(ctx context.Context, op string, args map[string]string) error
	Patience time.Duration // how long something expected may take; 0 is 30 s
}

// ErrCannotPlay is returned when the target lacks what a script needs.
var ErrCannotPlay = errors.New("this target cannot play the script")

// A Failure says where a play and the server part.
type Failure struct {
	File     string
	Line     int
	Step     string // the statement
	Why      string
	Expected string // "" when it is not about something received
	Got      string
	Log      []string // what went over the wires last, oldest first
}

// Error shows everything, over several lines.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s\n%s", f.File, f.Line, f.Step, f.Why)
	if f.Expected != "" {
		fmt.Fprintf(&b, "\nexpected:\n%s", f.Expected)
	}
	if f.Got != "" {
		fmt.Fprintf(&b, "\ngot:\n%s", f.Got)
	}
	if len(f.Log) > 0 {
		fmt.Fprintf(&b, "\nwhat was said last:\n  %s", strings.Join(f.Log, "\n  "))
	}
	return b.String()
}

// password is that of all accounts of all plays.
const password = "but soft what light"

// maxLog bounds the lines of a Failure's log.
const maxLog = 40

// Play performs a script. The error is *Failure when the server did something else than the script says.
func Play(ctx context.Context, s *Script, t *Target) error {
	p := &player{s: s, t: t, v: vars{}, cast: map[*Person]*actor{}, keys: &client.Keys{}}
	defer p.leave()
	if err := p.possible(); err != nil {
		return err
	}
	if err := p.stage(ctx); err != nil {
		return fmt.Errorf("%s: set the stage: %w", s.File, err)
	}
	for i := range s.Steps {
		p.step = &s.Steps[i]
		if err := p.do(ctx, p.step); err != nil {
			return p.failure(err)
		}
	}
	p.step = &Step{Line: p.lastLine(), Text: "(the end)"}
	if err := p.end(ctx); err != nil {
		return p.failure(err)
	}
	return nil
}

// player is one play: one goroutine, apart from what Clients do.
type player struct {
	s    *Script
	t    *Target
	v    vars
	cast map[*Person]*actor
	keys *client.Keys
	step *Step
	sync int // numbers the headlines of round trips

	mu  sync.Mutex
	log []string // guarded by mu: Clients write to it
}

// actor is a person on the stage.
type actor struct {
	p     *Person
	jid   jid.JID // bare, zero without an account
	host  string
	c     *client.Client // nil while not connected
	bound bool
	sm    *client.Session
	feats client.Features
}

func (p *player) lastLine() int {
	if n := len(p.s.Steps); n > 0 {
		return p.s.Steps[n-1].Line
	}
	return 1
}

func (p *player) leave() {
	for _, a := range p.cast {
		if a.c != nil {
			a.c.Cut()
		}
	}
}

func (p *player) possible() error {
	if p.s.restart && p.t.Restart == nil {
		return fmt.Errorf("%w: the server restarts", ErrCannotPlay)
	}
	if p.s.operate && p.t.Operate == nil {
		return fmt.Errorf("%w: it has no operator", ErrCannotPlay)
	}
	for _, q := range p.s.People {
		if _, err := p.server(q); err != nil {
			return err
		}
		if q.Token != "" && p.t.Token == nil {
			return fmt.Errorf("%w: bearer tokens", ErrCannotPlay)
		}
	}
	return nil
}

func (p *player) server(q *Person) (string, error) {
	addr, prefix := p.t.Addr, ""
	switch q.Transport {
	case TLS:
		addr, prefix = p.t.TLS, "tls://"
	case WS:
		addr = p.t.WS
	case WSS:
		addr = p.t.WSS
	}
	if addr == "" {
		return "", fmt.Errorf("%w: no transport %s", ErrCannotPlay, q.Transport)
	}
	return prefix + addr, nil
}

// stage makes the organisations, accounts and subscriptions that the header asks for.
func (p *player) stage(ctx context.Context) error {
	ctx, cancel := p.patience(ctx)
	defer cancel()
	h1, h2, err := p.t.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("organisations: %w", err)
	}
	p.v["host"], p.v["host2"] = h1, h2
	made := map[jid.JID]bool{}
	for _, q := range p.s.People {
		a := &actor{p: q, host: []string{h1, h2}[q.Host-1]}
		p.cast[q] = a
		name := strings.ToLower(q.Name)
		if q.Account == "" {
			continue
		}
		local := q.Account
		if p.t.Rename != nil {
			local = p.t.Rename(local)
		}
		if a.jid, err = jid.New(local, a.host, ""); err != nil {
			return fmt.Errorf("account %q: %w", q.Account, err)
		}
		p.v[name] = a.jid.String()
		if q.Exists && !made[a.jid] {
			made[a.jid] = true
			if err := p.t.Create(ctx, a.jid, password); err != nil {
				return fmt.Errorf("account %s: %w", a.jid, err)
			}
		}
	}
	for _, b := range p.s.Bonds {
		if err := p.bond(ctx, b); err != nil {
			return fmt.Errorf("line %d: %w", b.Line, err)
		}
	}
	return nil
}

func (p *player) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	d := p.t.Patience
	if d == 0 {
		d = 30 * time.Second
	}
	return context.WithTimeout(ctx, d)
}

func (p *player) config(a *actor) client.Config {
	server, _ := p.server(a.p) // possible has asked already
	cfg := client.Config{
		Server: server, Account: a.jid, Resource: a.p.Resource, Password: password, Mechanism: a.p.Mechanism,
		Lang: a.p.Lang, Declare: a.p.Declares, TLS: p.t.Trust, Keys: p.keys,
		Trace: func(sent bool, b []byte) { p.note(a.p.Name, sent, b) },
	}
	if a.jid.IsZero() {
		cfg.Account, _ = jid.New("", a.host, "")
	}
	if a.p.Password != "" {
		cfg.Password, cfg.Keys = a.p.Password, nil
	}
	if a.p.Transport == STARTTLS {
		cfg.Security = client.TLSAlways
	}
	return cfg
}

// note keeps the last lines of what went over the wires.
func (p *player) note(name string, sent bool, b []byte) {
	dir := "<-"
	if sent {
		dir = "->"
	}
	if len(b) > 600 {
		b = append(append([]byte(nil), b[:600]...), "…"...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.log) == maxLog {
		p.log = slices.Delete(p.log, 0, 1)
	}
	p.log = append(p.log, fmt.Sprintf("%s %s %s", name, dir, b))
}

// mismatch is an error about something received.
type mismatch struct{ why, expected, got string }

// Error says why.
func (m *mismatch) Error() string { return m.why }

func (p *player) failure(err error) error {
	f := &Failure{File: p.s.File, Line: p.step.Line, Step: p.step.Text, Why: err.Error()}
	var m *mismatch
	if errors.As(err, &m) {
		f.Expected, f.Got = m.expected, m.got
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.Log = slices.Clone(p.log)
	return f
}

// local are the variables as a statement about a sees them.
func (p *player) local(a *actor) vars {
	v := maps.Clone(p.v)
	v["self"] = a.jid.String()
	v["self.full"] = a.jid.String()
	if a.bound {
		v["self.full"] = a.c.JID().String()
	}
	return v
}

// learn takes over what a match has captured.
func (p *player) learn(v vars) {
	for k, val := range v {
		if k != "self" && k != "self.full" {
			p.v[k] = val
		}
	}
}
