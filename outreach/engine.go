// Package outreach invites people: it plans who is invited when, claims what is
// due, and sends it by e-mail or in chat, never twice and never silently not.
//
// # Layout
//
// The ledger is the truth: a row of table invitation for each campaign, wave,
// person, step and channel (package store). Nothing else lives longer than a
// lease, so any number of processes share the work through the store, and each
// may die at any point. docs/decisions/0050-invitation-ledger.md has the states.
//
// campaign.go what a campaign is; plan.go waves, people, reminders; pace.go how
// many may go now, and whose; claim.go takes them and looks at them once more;
// send.go the workers; letter.go the words, and what comes back; engine.go the
// loop. One loop plans and claims; workers
// render, hand and send. All time is the injected Clock's.
//
// # Locks
//
// Engine.mu guards what the loop and those who ask from outside share: compiled
// campaigns. It is a leaf.
package outreach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/store"
)

// Clock is where all time of outreach comes from.
type Clock struct {
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Organisation is what outreach asks about one.
type Organisation struct {
	Domain   string         // right side of message ids
	From     mail.Address   // of e-mail
	Bounces  string         // envelope sender; "": From
	Language string         // of people without one
	Rules    calendar.Rules // with the zone of people without one
	Cap      calendar.Cap   // contacts of a person, over all campaigns
	Rate     float64        // invitations a second, over all campaigns; 0: no limit of its own
	Weight   float64        // share against other organisations; 0 is 1
	Web      string         // https://host, where links lead
}

// Words are an invitation in chat.
type Words struct {
	Org      feature.Org
	Account  string // local part of the recipient
	Body     string
	Replies  []Reply // quick responses (XEP-0439)
	OriginID string  // the same for the same invitation: said twice it is there once
	Language string
	// Invitation is what it is about; a test has none of a campaign.
	Invitation store.Invitation
}

// Reply is a quick response.
type Reply struct{ Value, Label string }

// ErrNobody is wrapped by Say when there is no such account: it will not help
// to try again.
var ErrNobody = errors.New("there is no such account")

// Config says what an Engine works with. Functions may be called by many
// goroutines.
type Config struct {
	Store *store.Store
	Board *feature.Board
	Log   *slog.Logger // nil discards
	Clock Clock
	Relay *mail.Relay // nil: e-mail goes into the built-in outbox

	Organisation func(context.Context, feature.Org) (*Organisation, error)
	// Audience gives who is meant by an audience, asked once for each chunk of
	// people; nil: campaigns with an audience fail.
	Audience func(ctx context.Context, org feature.Org, audience int64, now time.Time) (func(*store.Person) (bool, error), error)
	// Link makes the address at which an invitation is answered (decision 16);
	// nil: there is none.
	Link func(context.Context, feature.Org, *store.Invitation) (string, error)
	// Say sends words as the bot and returns when they are archived; nil: chat
	// invitations fail.
	Say func(context.Context, Words) error
	// Pace is the part of the full rate that the chat leaves, 0 to 1; nil is 1.
	Pace func() float64

	Lease time.Duration   // of a claim; more than the relay's Timeout; 0 is 3 minutes
	Retry []time.Duration // distances of further tries; nil: 5 and 30 minutes, 2 and 6 hours
}

// Engine is the outreach of one process.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	account *feature.Account
	zones   zones

	mu   sync.Mutex
	open map[key]*campaign // compiled

	fair      map[feature.Org]calendar.Fair // the loop's
	fairOrgs  calendar.Fair
	looks     map[key]time.Time // before that there is nothing due
	plans     map[key]time.Time // before that there is nothing to plan
	swept     time.Time
	fast      speed
	letters   chan *parcel
	words     chan *parcel
	records   chan *record
	inFlight  atomic.Int64
	settled   atomic.Int64
	low       atomic.Int64 // so few on their way make room
	relayDown atomic.Int64 // µs: no e-mail is claimed before
	wake      chan struct{}
	drained   chan struct{}
}

// key names a campaign.
type key struct {
	org feature.Org
	id  int64
}

// Names of outreach's levers.
const (
	Feature         = "outreach"
	DialRate        = "outreach.rate"
	DialConnections = "outreach.connections"
	DialTalkers     = "outreach.talkers"
)

// Levers are the dials of feature outreach, for whoever declares it.
func Levers() []feature.Lever {
	return []feature.Lever{
		{Name: DialRate, Doc: "invitations a second of all campaigns together, before the pace that the chat leaves; 0 sends none",
			Unit: "1/s", Default: 50, Min: 0, Max: 100_000, Reach: feature.ServerOnly},
		{Name: DialConnections, Doc: "connections to the mail relay; read at the start", Default: 8, Min: 1, Max: 64, Reach: feature.ServerOnly},
		{Name: DialTalkers, Doc: "invitations in chat that are on their way at a time; read at the start", Default: 8, Min: 1, Max: 64, Reach: feature.ServerOnly},
	}
}

// Declare puts feature outreach on a board that has it not: for a process
// without modules.
func Declare(b *feature.Board) error {
	if _, ok := b.Lookup(Feature); ok {
		return nil
	}
	_, err := b.Declare(Feature, "invites people to talk: campaigns, their pace, what became of each invitation", false, Levers()...)
	return err
}

// New checks the configuration. The board has the feature (Declare).
func New(cfg Config) (*Engine, error) {
	switch {
	case cfg.Store == nil || cfg.Board == nil || cfg.Organisation == nil:
		return nil, errors.New("outreach: Store, Board and Organisation are needed")
	case cfg.Clock.Now == nil || cfg.Clock.After == nil:
		return nil, errors.New("outreach: a Clock is needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 3 * time.Minute
	}
	if cfg.Retry == nil {
		cfg.Retry = []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour}
	}
	if cfg.Pace == nil {
		cfg.Pace = func() float64 { return 1 }
	}
	id, ok := cfg.Board.Lookup(Feature)
	if !ok {
		return nil, errors.New("outreach: the board does not know the feature outreach")
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log.With("feature", Feature), account: cfg.Board.Account(id, 0),
		open: map[key]*campaign{}, fair: map[feature.Org]calendar.Fair{}, looks: map[key]time.Time{}, plans: map[key]time.Time{},
		letters: make(chan *parcel, mostInFlight), words: make(chan *parcel, mostInFlight), records: make(chan *record),
		wake: make(chan struct{}, 1), drained: make(chan struct{}, 1),
	}
	return e, nil
}

func (e *Engine) now() time.Time { return e.cfg.Clock.Now() }

// on reports whether the switch is on.
func (e *Engine) on(org feature.Org) bool {
	id, ok := e.cfg.Board.Lookup(Feature)
	return ok && e.cfg.Board.On(id, org)
}

// Wake has the loop look at once: a campaign was launched, somebody answered.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Longest and shortest waits between two looks.
const (
	idleLook = time.Second
	busyLook = 5 * time.Millisecond
	quietFor = 5 * time.Second // another process may have planned something meanwhile
)

// Run plans, claims and sends until the context ends. Then what is on its way
// is seen through, for at most a lease, and what is not is given back.
func (e *Engine) Run(ctx context.Context) error {
	if e.cfg.Store.DB().SQLite() {
		// The directory is ours alone: who had leases is dead.
		if err := e.sweep(ctx, e.now().Add(10*365*24*time.Hour)); err != nil {
			return err
		}
	}
	stop := e.Start(ctx)
	defer stop()
	for {
		wait, err := e.Step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			e.log.Log(ctx, store.Severity(err), "outreach is held up", slog.Any("err", err))
			wait = idleLook
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-e.cfg.Clock.After(wait):
		}
	}
}

// Step is one look: waves that have come, people to be planned, reminders,
// leases that ran out, and what may be sent now, which goes to the workers. It
// tells when to look again. Step is not for several goroutines, nor beside Run;
// a simulation calls Start once, then Step and Drain in turns.
func (e *Engine) Step(ctx context.Context) (time.Duration, error) {
	var sp feature.Span
	sp.Whole(e.account)
	defer sp.End()
	now := e.now()
	active, err := e.cfg.Store.ActiveCampaigns(ctx)
	if err != nil {
		return idleLook, err
	}
	if now.Sub(e.swept) >= e.cfg.Lease/4 || now.Before(e.swept) {
		if err := e.sweepOf(ctx, active, now); err != nil {
			return idleLook, err
		}
		e.swept = now
	}
	var running []*campaign
	var errs []error
	busy := false
	for _, row := range active {
		if row.State != store.CampaignScheduled && row.State != store.CampaignRunning {
			delete(e.looks, key{row.Org, row.ID})
			continue
		}
		c, err := e.compiled(ctx, row)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		more, err := e.plan(ctx, c, now)
		if err != nil && !errors.Is(err, store.ErrMoved) {
			errs = append(errs, err)
			continue
		}
		busy = busy || more
		if c.row.State == store.CampaignRunning {
			running = append(running, c)
		}
	}
	e.forget(active)
	wait, err := e.claim(ctx, running, now)
	errs = append(errs, err)
	if busy {
		wait = busyLook
	}
	return min(wait, idleLook), errors.Join(errs...)
}

// forget drops what was kept of campaigns that are not active any more.
func (e *Engine) forget(active []*store.Campaign) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.open) <= len(active) {
		return
	}
	here := make(map[key]bool, len(active))
	for _, c := range active {
		here[key{c.Org, c.ID}] = true
	}
	for k := range e.open {
		if !here[k] {
			delete(e.open, k)
			delete(e.looks, k)
			delete(e.plans, k)
		}
	}
}

// sweep ends leases of all campaigns that ran out before a time.
func (e *Engine) sweep(ctx context.Context, before time.Time) error {
	active, err := e.cfg.Store.ActiveCampaigns(ctx)
	if err != nil {
		return err
	}
	return e.sweepOf(ctx, active, before)
}

func (e *Engine) sweepOf(ctx context.Context, active []*store.Campaign, before time.Time) error {
	for _, row := range active {
		c, err := e.compiled(ctx, row)
		twice := err == nil && c.set.Twice
		planned, ambiguous, err := e.cfg.Store.ExpireInvitations(ctx, row.Org, row.ID, before, twice)
		if err != nil {
			return err
		}
		if planned > 0 {
			delete(e.looks, key{row.Org, row.ID})
		}
		if planned+ambiguous > 0 {
			e.log.Info("claims whose sender was cut off", slog.Int64("campaign", row.ID), slog.Int("planned", planned), slog.Int("ambiguous", ambiguous))
		}
		if row.State == store.CampaignStopped && planned > 0 {
			if err := e.giveUp(ctx, row.Org, row.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drain waits until nothing is on its way: for a simulation, between two steps.
func (e *Engine) Drain(ctx context.Context) error {
	for e.inFlight.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.drained:
		}
	}
	return nil
}

// Create keeps a new campaign as a draft, when its settings are right.
func (e *Engine) Create(ctx context.Context, c *store.Campaign) (int64, error) {
	if _, err := e.compile(ctx, c); err != nil {
		return 0, err
	}
	return e.cfg.Store.AddCampaign(ctx, c, e.now())
}

// Change keeps other settings of a campaign, when they are right.
func (e *Engine) Change(ctx context.Context, c *store.Campaign) error {
	if _, err := e.compile(ctx, c); err != nil {
		return err
	}
	return e.cfg.Store.ChangeCampaign(ctx, c)
}

// Launch starts a draft. store.ErrMoved when it is none.
func (e *Engine) Launch(ctx context.Context, org feature.Org, id int64) error {
	c, err := e.cfg.Store.Campaign(ctx, org, id)
	if err != nil {
		return err
	}
	if _, err := e.compile(ctx, c); err != nil {
		return err
	}
	defer e.Wake()
	return e.cfg.Store.MoveCampaign(ctx, org, id, store.CampaignScheduled, e.now(), store.CampaignDraft)
}

// Pause stops a campaign for a while: once it returns nothing more is handed.
func (e *Engine) Pause(ctx context.Context, org feature.Org, id int64) error {
	return e.cfg.Store.MoveCampaign(ctx, org, id, store.CampaignPaused, e.now(), store.CampaignScheduled, store.CampaignRunning)
}

// Resume goes on with a campaign that was paused.
func (e *Engine) Resume(ctx context.Context, org feature.Org, id int64) error {
	c, err := e.cfg.Store.Campaign(ctx, org, id)
	if err != nil {
		return err
	}
	to := store.CampaignRunning
	if c.LastWave == 0 {
		to = store.CampaignScheduled
	}
	defer e.Wake()
	return e.cfg.Store.MoveCampaign(ctx, org, id, to, e.now(), store.CampaignPaused)
}

// Stop ends a campaign for good: who was not invited yet will not be, and the
// list says so.
func (e *Engine) Stop(ctx context.Context, org feature.Org, id int64) error {
	if err := e.cfg.Store.MoveCampaign(ctx, org, id, store.CampaignStopped, e.now(),
		store.CampaignScheduled, store.CampaignRunning, store.CampaignPaused); err != nil {
		return err
	}
	return e.giveUp(ctx, org, id)
}

func (e *Engine) giveUp(ctx context.Context, org feature.Org, id int64) error {
	for _, from := range [...]store.InvitationState{store.Planned, store.Held} {
		if _, err := e.cfg.Store.TurnInvitations(ctx, org, store.Turn{Campaign: id, From: from, To: store.Suppressed,
			At: e.now(), Why: "the campaign was stopped"}); err != nil {
			return err
		}
	}
	return nil
}

// RetryFailed plans again what failed; it tells how many.
func (e *Engine) RetryFailed(ctx context.Context, org feature.Org, id int64) (int, error) {
	return e.turn(ctx, org, store.Turn{Campaign: id, From: store.Failed, To: store.Planned, Due: e.now(), Why: "tried again by hand"})
}

// Resolve decides on some ambiguous invitations (nil: all): they are sent
// again, and may arrive twice, or count as sent.
func (e *Engine) Resolve(ctx context.Context, org feature.Org, id int64, again bool, only []int64) (int, error) {
	t := store.Turn{Campaign: id, From: store.Ambiguous, To: store.Accepted, At: e.now(), Why: "counted as sent by hand", Only: only}
	if again {
		t.To, t.Due, t.Why = store.Planned, e.now(), "sent again by hand"
	}
	return e.turn(ctx, org, t)
}

// Release decides on some that are held for being late (nil: all): they are
// sent now, or not at all.
func (e *Engine) Release(ctx context.Context, org feature.Org, id int64, send bool, only []int64) (int, error) {
	t := store.Turn{Campaign: id, From: store.Held, To: store.Suppressed, At: e.now(), Why: "too late, not sent by hand", Only: only}
	if send {
		t.To, t.Due, t.Why = store.Planned, e.now(), "late, sent by hand"
	}
	return e.turn(ctx, org, t)
}

func (e *Engine) turn(ctx context.Context, org feature.Org, t store.Turn) (int, error) {
	n, err := e.cfg.Store.TurnInvitations(ctx, org, t)
	if err != nil {
		return n, fmt.Errorf("outreach: %w", err)
	}
	if n > 0 && t.To == store.Planned {
		// A campaign that is done has something to do again.
		err = e.cfg.Store.MoveCampaign(ctx, org, t.Campaign, store.CampaignRunning, e.now(), store.CampaignDone)
		if errors.Is(err, store.ErrMoved) {
			err = nil
		}
		e.Wake()
	}
	return n, err
}
