package outreach_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// monday is when the tests begin: 9:00 UTC.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// clock is a Clock that a test moves. mu guards all of it.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits map[chan time.Time]time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waits[ch] = c.now.Add(d)
	return ch
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, at := range c.waits {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.waits, ch)
		}
	}
}

// house is an engine with all that it needs.
type house struct {
	t     *testing.T
	s     *store.Store
	org   feature.Org
	clock *clock
	sink  *mailtest.Sink
	cfg   outreach.Config
	e     *outreach.Engine

	mu    sync.Mutex
	about outreach.Organisation
	said  []outreach.Words
}

// newHouse has an organisation without people. Faults of its mail server may
// be nil. change may change the configuration, and be nil.
func newHouse(t *testing.T, s *store.Store, faults func(to string, turn int) mailtest.Fault, change func(*outreach.Config)) *house {
	t.Helper()
	org, err := s.AddOrg(context.Background(), fmt.Sprintf("o%d.example", time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, s: s, org: org, clock: &clock{now: monday, waits: map[chan time.Time]time.Time{}},
		about: outreach.Organisation{Domain: "a.example", From: mail.Address{Name: "Acme", Mail: "hr@a.example"}, Language: "en", Web: "https://a.example",
			Rules: calendar.Rules{Zone: time.UTC}}}
	h.sink = &mailtest.Sink{Fault: faults}
	if err := h.sink.Start(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.sink.Close(); err != nil {
			t.Error(err)
		}
	})
	relay, err := mail.NewRelay(mail.RelayConfig{URL: h.sink.URL(), Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	board := feature.NewBoard()
	if err := outreach.Declare(board); err != nil {
		t.Fatal(err)
	}
	h.cfg = outreach.Config{
		Store: s, Board: board, Relay: relay, Clock: outreach.Clock{Now: h.clock.Now, After: h.clock.After}, Lease: time.Minute,
		Organisation: func(context.Context, feature.Org) (*outreach.Organisation, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			about := h.about
			return &about, nil
		},
		Say: func(_ context.Context, w outreach.Words) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if strings.HasPrefix(w.Account, "nobody") {
				return fmt.Errorf("%s: %w", w.Account, outreach.ErrNobody)
			}
			h.said = append(h.said, w)
			return nil
		},
	}
	h.dial(outreach.DialRate, 100_000)
	if change != nil {
		change(&h.cfg)
	}
	if h.e, err = outreach.New(h.cfg); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) dial(name string, value int64) {
	h.t.Helper()
	if err := h.cfg.Board.Set(name, feature.Scope{}, value, 0); err != nil {
		h.t.Fatal(err)
	}
}

// start runs the workers until the test ends.
func (h *house) start() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := h.e.Start(ctx)
	h.t.Cleanup(func() {
		cancel()
		stop()
	})
}

// pass lets time go by, in steps, and shorter ones while there is much to do.
func (h *house) pass(d, step time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for end := h.clock.Now().Add(d); ; {
		wait, err := h.e.Step(ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.e.Drain(ctx); err != nil {
			h.t.Fatal(err)
		}
		if !h.clock.Now().Before(end) {
			return
		}
		if wait > 50*time.Millisecond {
			wait = step // nothing is to be done at once
		}
		h.clock.Advance(min(wait, step))
	}
}

// person adds one, with an address and an account made of the name.
func (h *house) person(name string, change func(*store.Person)) store.PersonID {
	h.t.Helper()
	p := store.Person{Ext: name, Name: name, Email: name + "@example.net", Account: name, Zone: "UTC", Language: "en"}
	if change != nil {
		change(&p)
	}
	id, err := h.s.AddPerson(context.Background(), h.org, p)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) people(n int) (ids []store.PersonID) {
	h.t.Helper()
	for i := range n {
		ids = append(ids, h.person(fmt.Sprintf("p%04d", i), nil))
	}
	return ids
}

// once is a campaign by e-mail that starts at once.
func once(channels ...calendar.Channel) outreach.Settings {
	if channels == nil {
		channels = []calendar.Channel{calendar.Email}
	}
	return outreach.Settings{
		Schedule: calendar.Schedule{Kind: calendar.Once, Start: calendar.Moment{Date: calendar.NewDate(2026, 11, 23), Clock: 9 * 60}},
		Channels: channels, Language: "en",
		Texts: map[string]mail.Text{
			"en": {Subject: "How are you, {{default .first_name \"friend\"}}?", Text: "Tell us: {{.link}}\n"},
			"de": {Subject: "Wie geht es dir, {{.first_name}}?", Text: "Sag es uns: {{.link}}\n"},
		},
		Chat: map[string]string{"en": "Hello {{.name}}, how are you?"},
	}
}

// create makes a campaign; launch launches it as well.
func (h *house) create(name string, set outreach.Settings) int64 {
	h.t.Helper()
	text, err := json.Marshal(set)
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.e.Create(context.Background(), &store.Campaign{Org: h.org, Name: name, Kind: string(set.Schedule.Kind), Weight: 1000, Settings: text})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) launch(name string, set outreach.Settings) int64 {
	h.t.Helper()
	id := h.create(name, set)
	h.ok(h.e.Launch(context.Background(), h.org, id))
	return id
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// want checks the counts by state.
func (h *house) want(campaign int64, want string) {
	h.t.Helper()
	counts, err := h.s.InvitationCounts(context.Background(), h.org, campaign)
	h.ok(err)
	var got []string
	for st := store.Planned; st <= store.Held; st++ {
		if counts[st] > 0 {
			got = append(got, fmt.Sprintf("%d %s", counts[st], st))
		}
	}
	if text := strings.Join(got, ", "); text != want {
		h.t.Errorf("%s; want %s", text, want)
	}
}

// state is where a campaign stands.
func (h *house) state(campaign int64) store.CampaignState {
	h.t.Helper()
	c, err := h.s.Campaign(context.Background(), h.org, campaign)
	h.ok(err)
	return c.State
}

// reasons are why invitations are in a state, with how many.
func (h *house) reasons(campaign int64, state store.InvitationState) map[string]int {
	h.t.Helper()
	list, err := h.s.InvitationReasons(context.Background(), h.org, campaign, 100)
	h.ok(err)
	out := map[string]int{}
	for _, r := range list {
		if r.State == state {
			out[r.Why] += r.Count
		}
	}
	return out
}

// onceEach checks that the sink took n messages, none twice.
func (h *house) onceEach(n int) {
	h.t.Helper()
	counts := h.sink.Counts()
	for id, times := range counts {
		if times != 1 {
			h.t.Errorf("%s was taken %d times", id, times)
		}
	}
	if len(counts) != n {
		h.t.Errorf("%d messages were taken, want %d", len(counts), n)
	}
}

func marshal(t *testing.T, set outreach.Settings) []byte {
	t.Helper()
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
