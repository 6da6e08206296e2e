package outreach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// The bot of an organisation is an account that nobody signs in to: its
// messages are answered in the process. docs/decisions/0060 says how an answer
// survives. In reading order:
//
//	bot.go       who the bots are, and what the router tells them
//	hear.go      from the delivery log to a saved turn, step by step
//	heartalk.go  what a message does in a conversation
//	hearcase.go  danger, risks, cases and their threads
//	hearsay.go   what is to be said, until it is said
//	hearwords.go the bot's own sentences
//	hearhelp.go  helplines
//	link.go, linkweb.go  links to a conversation, devices, the web's questions
//
// Locks: Bot.open is held while a bot is opened, over statements. Bot.mu and
// desk.mu, which guards what of one bot is under way, are leaves.

const (
	botFeature   = "bot"
	botName      = "bot" // of the account, unless the organisation says otherwise
	botWorkers   = 16    // talks of one organisation that are served at once
	botQueue     = 16    // messages that wait for each of them
	botEvery     = time.Second
	botRetry     = 500 * time.Millisecond
	casesEvery   = 30             // times botEvery
	dueAtOnce    = 100            // talks that are taken up together
	maxHeardText = 24<<10 + 8<<10 // bytes of a message that are looked at: its beginning and its end
)

// BotConfig says what bots work with. Functions may be called by many
// goroutines.
type BotConfig struct {
	Clock Clock
	// Scorer gives free texts their sentiment; nil is insight's lexicons.
	Scorer insight.Scorer
	// Document is the flow of a campaign; nil: campaigns cannot be talked about.
	Document func(context.Context, *store.Campaign) ([]byte, error)
	// Rules are those by which a reminder is deferred, of the organisation and of
	// a person, who may be nobody; nil: quiet from 21:00 to 08:00.
	Rules func(ctx context.Context, org feature.Org, person *store.Person) (own, persons calendar.Rules, err error)
	// Web is where the organisation's links lead, as "https://host".
	Web func(feature.Org) string
	// Mail sends a code to an address; nil: codes cannot be had.
	Mail func(ctx context.Context, org feature.Org, to, subject, text string) error
}

// Bot serves the bots of all organisations in one process.
type Bot struct {
	cfg    BotConfig
	host   *router.Host
	floods floods // of people who write
	knocks floods // of addresses that ask over HTTP
	alarms alarms // cases of refused messages that are not noted yet
	zones  zones

	desks atomic.Pointer[map[feature.Org]*desk] // replaced as a whole: each message asks

	open sync.Mutex // held while a desk is opened: over statements
	mu   sync.Mutex
	life context.Context // of Run; nil before
	wait sync.WaitGroup
}

// NewBot makes what Module puts into a router.
func NewBot(cfg BotConfig) *Bot {
	b := &Bot{cfg: cfg}
	b.desks.Store(&map[feature.Org]*desk{})
	return b
}

// BotSettings are what an organisation says about its bot, as JSON in its row.
type BotSettings struct {
	Label    string `json:"label,omitempty"`    // what people see
	Language string `json:"language,omitempty"` // where none is known; "" is en
	Country  string `json:"country,omitempty"`  // whose helplines are shown where none is known
	// Helplines by country (ISO 3166, "DE"); a country with an empty list has
	// none, one that is not named has those that come with the server.
	Helplines map[string][]Helpline `json:"helplines,omitempty"`
	// NoSentiment switches person-level sentiment off.
	NoSentiment bool `json:"no_sentiment,omitempty"`
}

// A desk is the bot of one organisation.
type desk struct {
	bot      *Bot
	org      feature.Org
	jid      jid.JID
	account  *presence.Account // held as long as the process lives
	settings BotSettings
	log      *slog.Logger
	pays     uint32

	wake chan struct{} // capacity 1: there is something to hear
	poke chan struct{} // capacity 1: there is something to say, or somebody is due
	jobs []chan job

	mu      sync.Mutex
	pending []pending             // messages that were read and are not done, ascending
	flight  map[saidKey]struct{}  // texts on their way, or about to be saved
	said    []store.Said          // settled, not yet taken off the list
	flows   map[string]*flowEntry // by hash
	cares   map[string]bool       // accounts with an open case
}

// Module is the bot as the router knows it. It is called once.
func (b *Bot) Module(h *router.Host) router.Module {
	b.host = h
	h.Concerns = b.concerns
	return router.Module{
		Name: "bot",
		Doc:  "XEP-0439 0.1.0: the organisation's bot, which leads conversations",
		Levers: []feature.Lever{{Name: "bot.rate", Unit: "messages", Default: 60, Min: 1, Max: 100000,
			Doc: "messages a minute that one person may write to the bot; past it they are refused, with the helplines"}},
		Always:  true,
		SentOf:  []stanza.Kind{stanza.Message},
		Sent:    b.sent,
		Refused: b.refused,
		Missed:  b.missed,
		Run:     b.run,
		HTTP:    func(mux *http.ServeMux) { b.web(mux) },
	}
}

// run serves all bots until ctx ends.
func (b *Bot) run(ctx context.Context) error {
	b.open.Lock()
	b.mu.Lock()
	b.life = ctx
	b.mu.Unlock()
	early := *b.desks.Load() // opened before anybody could serve
	b.open.Unlock()
	for _, d := range early {
		d.start(ctx)
	}
	for {
		list, err := b.host.Store.Bots(ctx)
		for i := 0; i < len(list) && err == nil; i++ {
			_, err = b.desk(ctx, list[i].Org)
		}
		if err == nil {
			break
		}
		b.host.Log.Log(ctx, store.Severity(err), "bots not opened; trying again", "feature", botFeature, "cause", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(botRetry):
		}
	}
	b.timers(ctx)
	b.wait.Wait()
	for _, d := range *b.desks.Swap(&map[feature.Org]*desk{}) {
		d.account.Release()
	}
	return nil
}

// find is the desk of an organisation, nil when it has none in this process.
func (b *Bot) find(org feature.Org) *desk { return (*b.desks.Load())[org] }

// desk is the bot of an organisation; it is made when it is first needed.
func (b *Bot) desk(ctx context.Context, org feature.Org) (*desk, error) {
	if d := b.find(org); d != nil {
		return d, nil
	}
	b.open.Lock()
	defer b.open.Unlock()
	if d := b.find(org); d != nil {
		return d, nil
	}
	d, err := b.openDesk(ctx, org)
	if err != nil {
		return nil, fmt.Errorf("open the bot of organisation %d: %w", org, err)
	}
	next := maps.Clone(*b.desks.Load())
	next[org] = d
	b.desks.Store(&next)
	b.mu.Lock()
	life := b.life
	b.mu.Unlock()
	if life != nil {
		d.start(life)
	}
	return d, nil
}

func (b *Bot) openDesk(ctx context.Context, org feature.Org) (*desk, error) {
	domain, err := b.domain(ctx, org)
	if err != nil {
		return nil, err
	}
	row, err := b.row(ctx, org)
	if err != nil {
		return nil, err
	}
	d := &desk{bot: b, org: org, wake: make(chan struct{}, 1), poke: make(chan struct{}, 1), flight: map[saidKey]struct{}{},
		flows: map[string]*flowEntry{}, cares: map[string]bool{}, log: b.host.Log.With("feature", botFeature), jobs: make([]chan job, botWorkers)}
	for i := range d.jobs {
		d.jobs[i] = make(chan job, botQueue)
	}
	if id, ok := b.host.Board.Lookup(botFeature); ok {
		d.pays = b.host.Board.Number(id, org)
	}
	if err := json.Unmarshal(row.Settings, &d.settings); err != nil {
		return nil, fmt.Errorf("its settings cannot be read: %w", err)
	}
	if d.jid, err = jid.New(row.Local, domain, ""); err != nil {
		return nil, err
	}
	if d.account, err = b.host.Directory.Account(ctx, d.jid); err != nil {
		return nil, err
	}
	return d, nil
}

func (b *Bot) domain(ctx context.Context, org feature.Org) (string, error) {
	orgs, err := b.host.Store.Orgs(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range orgs {
		if o.ID == org {
			return o.Domain, nil
		}
	}
	return "", store.ErrNotFound
}

// row reads the bot's row, or makes it, and its account: one without password,
// disabled, and with an archive that shows nothing, so that its copies of
// messages go once they are processed. Each step may be made again.
func (b *Bot) row(ctx context.Context, org feature.Org) (store.Bot, error) {
	s := b.host.Store
	row, err := s.Bot(ctx, org)
	if errors.Is(err, store.ErrNotFound) {
		if err := b.free(ctx, org, botName); err != nil {
			return row, err
		}
		if err := s.KeepBot(ctx, store.Bot{Org: org, Local: botName, Settings: []byte("{}")}); err != nil {
			return row, err
		}
		row, err = s.Bot(ctx, org)
	}
	if err != nil {
		return row, err
	}
	return row, b.makeAccount(ctx, org, row.Local)
}

// free makes sure that nobody signs in by the name.
func (b *Bot) free(ctx context.Context, org feature.Org, local string) error {
	a, err := b.host.Store.Account(ctx, org, local)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case len(a.Keys) > 0:
		return fmt.Errorf("%s is the account of somebody who signs in: give the bot another name", local)
	}
	return nil
}

func (b *Bot) makeAccount(ctx context.Context, org feature.Org, local string) error {
	s := b.host.Store
	if _, err := s.CreateAccount(ctx, org, local, nil); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	a, err := s.Account(ctx, org, local)
	if err != nil {
		return err
	}
	if len(a.Keys) > 0 {
		return fmt.Errorf("%s has a password: nobody signs in to a bot; take it away or give the bot another name", local)
	}
	if !a.Disabled {
		if err := s.SetDisabled(ctx, org, local, true); err != nil {
			return err
		}
	}
	const never = `{"default":"never"}`
	if string(a.Prefs) == never {
		return nil
	}
	return s.SetPrefs(ctx, org, a.ID, []byte(never))
}

// Configure keeps what an organisation says about its bot. Name is the local
// part of its account, "" for the one it has; another name holds from the next
// start on, and talks go on under it.
func (b *Bot) Configure(ctx context.Context, org feature.Org, name string, set BotSettings) error {
	for country, lines := range set.Helplines {
		if err := checkHelplines(country, lines); err != nil {
			return err
		}
	}
	row, err := b.row(ctx, org)
	if err != nil {
		return fmt.Errorf("configure the bot: %w", err)
	}
	if name != "" && name != row.Local {
		if err := b.free(ctx, org, name); err != nil {
			return fmt.Errorf("configure the bot: %w", err)
		}
		row.Local = name
	}
	if row.Settings, err = json.Marshal(&set); err != nil {
		return err
	}
	if err := b.host.Store.KeepBot(ctx, row); err != nil {
		return err
	}
	if d := b.find(org); d != nil {
		d.mu.Lock()
		d.settings = set
		d.mu.Unlock()
	}
	return nil
}

// Address is the bare address of an organisation's bot, which is made if there
// is none.
func (b *Bot) Address(ctx context.Context, org feature.Org) (jid.JID, error) {
	d, err := b.desk(ctx, org)
	if err != nil {
		return jid.JID{}, err
	}
	return d.jid, nil
}

// InCase reports whether a person has a case that is not closed: what concerns
// it is class 0 (decision 10). It is one look-up in memory, at most half a
// minute behind what other processes do.
func (b *Bot) InCase(org feature.Org, local string) bool {
	d := b.find(org)
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cares[local]
}

// concerns reports whether one of two is a bot, and the other has an open case.
func (b *Bot) concerns(from, to jid.JID) bool {
	org, known := b.host.Router.Organisation(to.Domain())
	d := b.find(org)
	if !known || d == nil {
		return false
	}
	switch d.jid {
	case to:
		return b.InCase(org, from.Local())
	case from:
		return b.InCase(org, to.Local())
	}
	return false
}

// sets are the settings as they are now.
func (d *desk) sets() BotSettings {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settings
}

// sent sees what people write before it is routed: who writes faster than a
// person can is asked to wait.
func (b *Bot) sent(c *router.Ctx, st *stanza.Stanza) router.Verdict {
	d := b.find(c.Org)
	if d == nil || st.To.Bare() != d.jid || st.Type == stanza.ErrorType || !speaks(st) {
		return router.Pass
	}
	limit := float64(b.host.Board.Dial("bot.rate").Int(c.Org))
	if b.floods.take(c.Account.JID.String(), limit, limit, b.cfg.Clock.Now()) {
		return router.Pass
	}
	why := stanza.ResourceConstraint("you write faster than I can read; wait a minute")
	b.refused(c, st, why)
	c.Fail(st, why)
	return router.Stop
}

// refused is told of a message that is not taken: one to a bot is answered with
// the helplines, and one that sounds like danger becomes a case all the same.
func (b *Bot) refused(c *router.Ctx, st *stanza.Stanza, _ *stanza.Error) {
	d := b.find(c.Org)
	if d == nil || st.To.Bare() != d.jid || st.Type == stanza.ErrorType || !speaks(st) {
		return
	}
	d.turnAway(c.Session, c.Account.JID.Local(), bodyOf(st))
}

// missed is told of what reached the bot: it has no resource. What is in the
// delivery log is heard there; what is not is as good as refused.
func (b *Bot) missed(c *router.Ctx, a *router.Arrival) {
	d := b.find(c.Org)
	if d == nil || a.Account.JID != d.jid {
		return
	}
	if !a.Wire.ID.IsZero() {
		nudge(d.wake)
		return
	}
	if !a.Traits.Body || a.Sender == nil || a.Wire.Type == stanza.ErrorType {
		return
	}
	if st, err := stanza.Parse(a.Wire.Stored()); err == nil {
		d.turnAway(a.Sender, a.From.JID.Local(), bodyOf(st))
	}
}

// turnAway answers what was not taken, past the archive.
func (d *desk) turnAway(s *session.Session, account, text string) {
	hits := insight.Crisis(text)
	language := d.languageOf(text)
	if len(hits) > 0 {
		d.urgent(account, text, hits)
	}
	u := store.Utterance{Language: language, Text: own("refused", language)}
	if lines := d.helplines("", "", language); lines != "" {
		u.Text += "\n" + own("help", language) + " " + lines
	}
	w := stanza.Make(stanza.Message, stanza.Chat, d.jid, s.JID, "", children(&u, "", d.sets().Label))
	w.Number = d.pays
	s.Send(w)
}

// speaks reports whether a message says something: chat states, receipts and
// markers do not.
func speaks(st *stanza.Stanza) bool {
	if _, ok := st.Child(stanza.NSClient, "body"); ok {
		return true
	}
	_, ok := st.Child(nsQuick, "action-selected")
	return ok
}

func bodyOf(st *stanza.Stanza) string {
	e, _ := st.Child(stanza.NSClient, "body")
	if !e.Exists() {
		return ""
	}
	return clipText(e.Text())
}

// clipText is the beginning and the end of a text: as much as the rules look at.
func clipText(text string) string {
	if len(text) <= maxHeardText {
		return text
	}
	return toValid(text[:24<<10]) + " " + toValid(text[len(text)-8<<10:])
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
