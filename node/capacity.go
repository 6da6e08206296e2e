package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

// The measurement of what a server carries has two ends. This one is the
// server's: it makes virtual people, lets them in by a door of their own on the
// loopback network, tells how long work waits, and takes the people away. It
// does the last also when the other end is silent for a while, when the server
// stops, and at the next start when it was killed.

const (
	// capacityPeople are made, half of them to answer the others.
	capacityPeople = 200
	// capacityLease is how long the other end may be silent.
	capacityLease = 15 * time.Second
)

// CapacityArgs asks for the measurement to begin.
type CapacityArgs struct {
	Org string `json:"org,omitempty"` // a domain; "": the only one
	Yes bool   `json:"yes,omitempty"` // although rehearse.allow is false
}

// CapacityDoor says where virtual people come in: People accounts whose local
// parts are Prefix and a number from 0, all with one SCRAM-SHA-1 password.
type CapacityDoor struct {
	Node       string `json:"node"`
	Address    string `json:"address"`
	Domain     string `json:"domain"`
	Prefix     string `json:"prefix"`
	People     int    `json:"people"`
	Password   string `json:"password"`
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	PID        int    `json:"pid"`

	Version string `json:"version"`
	Engine  string `json:"engine"` // of the database: sqlite, mariadb
	CPUs    int    `json:"cpus"`
	Online  int    `json:"online"` // people beside the virtual ones
}

// rehearsals is the measurement under way.
type rehearsals struct {
	node *Node

	mu    sync.Mutex
	now   *hosted // nil: none
	busy  bool    // one begins or ends
	lease *time.Timer
}

// hosted is what the server has for a measurement.
type hosted struct {
	store.Rehearsal
	domain string
	door   net.Listener
}

// errNoRehearsal tells the other end that it was silent for too long.
var errNoRehearsal = errors.New("no measurement is under way: it was given up because nothing was heard of it; begin again")

func (r *rehearsals) register(c *ops.Control) {
	c.Handle("capacity.open", r.open)
	c.Handle("capacity.look", r.look)
	c.Handle("capacity.close", r.close)
	c.Handle("capacity.last", r.node.admin().lastCapacity)
}

// open begins a measurement.
func (r *rehearsals) open(c *ops.Call) (any, error) {
	var arg CapacityArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	n := r.node
	if !n.Config.Rehearse.Allow && !arg.Yes {
		return nil, errors.New("measure the capacity: people who are online would feel it, and rehearse.allow is false; " +
			"stop the server and the command starts one for itself, set [rehearse] allow = true, or say --yes")
	}
	domain, org, err := n.only(c.Context(), arg.Org)
	if err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	door, h, err := r.begin(c.Context(), domain, org)
	r.leave(h)
	return door, err
}

// enter is called before something begins or ends.
func (r *rehearsals) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || r.now != nil {
		return errors.New("measure the capacity: another measurement is under way; wait a minute")
	}
	r.busy = true
	return nil
}

// leave is called after enter; h is what is under way now.
func (r *rehearsals) leave(h *hosted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.now = false, h
	if h != nil {
		r.lease = time.AfterFunc(capacityLease, r.expire)
	}
}

// begin makes the people and the door. Without a door there are no people left.
func (r *rehearsals) begin(ctx context.Context, domain string, org feature.Org) (CapacityDoor, *hosted, error) {
	n := r.node
	password := rand.Text()
	keys, err := deriveAll(password)
	if err != nil {
		return CapacityDoor{}, nil, fmt.Errorf("measure the capacity: %w", err)
	}
	online := n.chat.router.Directory.Count().Resources
	made, err := n.Store.BeginRehearsal(ctx, org, n.name(), capacityPeople, keys)
	h := &hosted{Rehearsal: made, domain: domain}
	if err == nil {
		h.door, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		r.takeAway(context.WithoutCancel(ctx), h)
		return CapacityDoor{}, nil, fmt.Errorf("measure the capacity: %w", err)
	}
	n.chat.running.Go(func() {
		if err := n.chat.server.ServeLocal(h.door); err != nil {
			n.Log.Error("listener ended", "listener", "capacity", "cause", err)
		}
	})
	n.Log.Warn("the capacity of this server is being measured; people may feel it", "domain", domain, "people", capacityPeople)
	engine := "mariadb"
	if n.Store.DB().SQLite() {
		engine = "sqlite"
	}
	d := CapacityDoor{
		Node: n.name(), Address: h.door.Addr().String(), Domain: domain, Prefix: strings.TrimSuffix(made.Local(0), "0"), People: capacityPeople,
		Password: password, PID: os.Getpid(), Version: n.Version, Engine: engine, CPUs: runtime.GOMAXPROCS(0), Online: int(online),
	}
	for _, k := range keys {
		if k.Mechanism == "SCRAM-SHA-1" {
			d.Salt, d.Iterations = k.Salt, k.Iterations
		}
	}
	return d, h, nil
}

// look tells how long work waits, and that somebody is still interested.
func (r *rehearsals) look(*ops.Call) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		return nil, errNoRehearsal
	}
	r.lease.Reset(capacityLease)
	return r.node.pressure(), nil
}

// take is what is under way, which is the caller's to end: enter is done.
func (r *rehearsals) take() *hosted {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.now
	if h != nil {
		r.lease.Stop()
		r.now, r.busy = nil, true
	}
	return h
}

// close ends a measurement and keeps its result, unless there is none.
func (r *rehearsals) close(c *ops.Call) (any, error) {
	var arg *Capacity
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	h := r.take()
	if h == nil {
		return nil, errNoRehearsal
	}
	ctx := context.WithoutCancel(c.Context())
	var err error
	if arg != nil && arg.Conversations > 0 {
		err = r.node.keepCapacity(ctx, arg)
	}
	r.takeAway(ctx, h)
	r.leave(nil)
	return arg, err
}

// expire ends a measurement of which nothing was heard.
func (r *rehearsals) expire() {
	if h := r.take(); h != nil {
		r.node.Log.Warn("the measurement of the capacity was given up: nothing was heard of it", "seconds", capacityLease.Seconds())
		r.takeAway(context.Background(), h)
		r.leave(nil)
	}
}

// stop ends what is under way; the node stops.
func (r *rehearsals) stop() {
	if h := r.take(); h != nil {
		r.takeAway(context.Background(), h)
		r.leave(nil)
	}
}

// takeAway closes the door and takes the people away. What cannot be now, the
// next start will.
func (r *rehearsals) takeAway(ctx context.Context, h *hosted) {
	n := r.node
	if h.door != nil {
		if err := h.door.Close(); err != nil {
			n.Log.Warn("listener not closed", "listener", "capacity", "cause", err)
		}
	}
	err := n.Store.EndRehearsal(ctx, h.Rehearsal)
	for i := range h.People {
		who, e := jid.New(h.Local(i), h.domain, "")
		if e == nil {
			n.accountChanged(ctx, who, true)
		}
	}
	if err != nil {
		n.Log.Log(ctx, store.Severity(err), "virtual people are left; they go at the next start", "cause", err)
	}
}

// sweep takes the people away of a measurement that a kill cut short.
func (r *rehearsals) sweep(ctx context.Context) {
	left, err := r.node.Store.Rehearsals(ctx, r.node.name())
	for _, l := range left {
		if err == nil {
			err = r.node.Store.EndRehearsal(ctx, l)
		}
	}
	if err != nil && ctx.Err() == nil {
		r.node.Log.Log(ctx, store.Severity(err), "virtual people of a measurement are left", "cause", err)
	}
}

// only finds an organisation by its domain, or the only one.
func (n *Node) only(ctx context.Context, domain string) (string, feature.Org, error) {
	if domain != "" {
		org, err := n.admin().org(ctx, domain)
		return domain, org, err
	}
	orgs, err := n.Store.Orgs(ctx)
	switch {
	case err != nil:
		return "", 0, err
	case len(orgs) == 0:
		return "", 0, errors.New("there is no organisation; `bearhug org add DOMAIN` makes one")
	case len(orgs) > 1:
		return "", 0, fmt.Errorf("there are %d organisations; name the one whose people are to be played: --org %s", len(orgs), orgs[0].Domain)
	}
	return orgs[0].Domain, orgs[0].ID, nil
}

// keepCapacity stores a result.
func (n *Node) keepCapacity(ctx context.Context, c *Capacity) error {
	text, err := json.Marshal(c)
	if err == nil {
		err = n.Store.AddCapacity(ctx, store.Capacity{At: c.At, Conversations: c.Conversations, Conditions: text})
	}
	return err
}

// LastCapacity is the latest measurement; nil when there is none.
func LastCapacity(ctx context.Context, s *store.Store) (*Capacity, error) {
	rows, err := s.Capacities(ctx, 1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	c := new(Capacity)
	if err := json.Unmarshal(rows[0].Conditions, c); err != nil {
		return nil, fmt.Errorf("read the capacity: %w", err)
	}
	return c, nil
}

// lastCapacity answers capacity.last, also when no server runs.
func (a *admin) lastCapacity(c *ops.Call) (any, error) {
	last, err := LastCapacity(c.Context(), a.store)
	if err == nil && last == nil {
		err = errors.New("the capacity was never measured: `bearhug campaign capacity` takes a minute")
	}
	return last, err
}
