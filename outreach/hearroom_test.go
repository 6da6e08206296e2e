package outreach_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/insight"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

const (
	hearDomain = "hug.example"
	// hearPatience is how long a test waits for what must come; only a failing one does.
	hearPatience = 30 * time.Second
)

// hands is a clock that a test turns. Whoever waits is woken by each turn.
type hands struct {
	mu   sync.Mutex
	now  time.Time
	wake chan time.Time
}

func (h *hands) clock() outreach.Clock {
	return outreach.Clock{Now: func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.now
	}, After: func(time.Duration) <-chan time.Time { return h.wake }}
}

func (h *hands) turn(to time.Time) {
	h.mu.Lock()
	h.now = to
	h.mu.Unlock()
	h.wake <- to // somebody looks what is due
	h.wake <- to // and has looked
}

// room is a router with a bot over a store.
type hearRoom struct {
	tb    testing.TB
	store *store.Store
	org   feature.Org
	hands *hands
	host  *router.Host
	bot   *outreach.Bot
	close func()
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newHearRoom(tb testing.TB, people ...string) *hearRoom {
	tb.Helper()
	s := storetest.Open(tb)
	org, err := s.AddOrg(context.Background(), hearDomain)
	ok(tb, err)
	for _, p := range people {
		_, err := s.CreateAccount(context.Background(), org, p, nil)
		ok(tb, err)
	}
	r := &hearRoom{tb: tb, store: s, org: org, hands: &hands{now: time.Date(2026, 3, 27, 20, 0, 0, 0, time.UTC), wake: make(chan time.Time)}}
	r.open()
	tb.Cleanup(func() { r.close() })
	return r
}

// open starts the router and the bot, as a process does.
func (r *hearRoom) open() {
	ctx := context.Background()
	scorer, err := insight.NewLexicons()
	ok(r.tb, err)
	r.host = &router.Host{Rosters: roster.New(r.store), Store: r.store, Board: feature.NewBoard(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Started: time.Now()}
	hall, err := router.New(ctx, r.host, map[string]feature.Org{hearDomain: r.org})
	ok(r.tb, err)
	r.bot = outreach.NewBot(outreach.BotConfig{Clock: r.hands.clock(), Scorer: scorer, Rules: func(context.Context, feature.Org, *store.Person) (own, persons calendar.Rules, err error) {
		q, err := calendar.ParseQuiet("21:00-10:30")
		own.Quiet = []calendar.Quiet{q}
		return own, persons, err
	}})
	ok(r.tb, hall.Use([]func(*router.Host) router.Module{r.bot.Module}))
	run, cancel := context.WithCancel(ctx)
	hall.Start(run)
	r.close = func() {
		cancel()
		hall.Wait()
		ok(r.tb, r.host.Archive.Close(ctx))
		r.close = func() {}
	}
}

func (r *hearRoom) account(name string) *presence.Account {
	r.tb.Helper()
	a, err := r.host.Directory.Account(context.Background(), jid.MustParse(name+"@"+hearDomain))
	ok(r.tb, err)
	return a
}

// write has somebody write to the bot, and waits until it is archived.
func (r *hearRoom) write(name, text string) {
	r.tb.Helper()
	a := r.account(name)
	defer a.Release()
	x := new(stanza.XML)
	done := make(chan struct{})
	ok(r.tb, r.host.Router.Speak(context.Background(), router.Words{From: a, To: jid.MustParse("bot@" + hearDomain), ID: "m",
		Body: x.Element("body", text).Bytes(), Settled: func() { close(done) }}))
	<-done
}

// told is what the bot has said to somebody.
func (r *hearRoom) told(name string) (texts, origins []string) {
	r.tb.Helper()
	a := r.account(name)
	defer a.Release()
	page, err := r.host.Archive.Page(context.Background(), r.org, archive.Query{Owner: a.ID, With: jid.MustParse("bot@" + hearDomain), Limit: archive.MaxPage})
	ok(r.tb, err)
	for _, row := range page.Rows {
		if row.Stanza.From.Local() != "bot" {
			continue
		}
		st, err := stanza.Parse(row.Stanza.Stored())
		ok(r.tb, err)
		body, _ := st.Child(stanza.NSClient, "body")
		texts = append(texts, body.Text())
		if e, there := st.Child("urn:xmpp:sid:0", "origin-id"); there {
			o, _ := e.Attr("id")
			origins = append(origins, o)
		}
	}
	return texts, origins
}

// await waits until the bot has said so many texts to somebody, and gives the
// last.
func (r *hearRoom) await(name string, n int) string {
	r.tb.Helper()
	for end := time.Now().Add(hearPatience); ; time.Sleep(2 * time.Millisecond) {
		texts, _ := r.told(name)
		if len(texts) == n {
			return texts[n-1]
		}
		if len(texts) > n || time.Now().After(end) {
			r.tb.Fatalf("%s was told %d texts, want %d: %q", name, len(texts), n, texts)
		}
	}
}

const smallFlow = `flow: small
version: 1
title: {en: "Small"}
languages: [en]
steps:
  - {id: who_reads, privacy: {en: "A test reads this."}}
  - {id: one, mood: {en: "Mood?"}}
  - {id: two, scale: {en: "Scale?"}, measure: enps}
  - {id: pause, wait: 3h}
  - {id: three, scale: {en: "Later?"}}
  - {id: bye, end: {en: "Bye."}}
`

func (r *hearRoom) begin(name, zone string) int64 {
	r.tb.Helper()
	id, err := r.bot.Begin(context.Background(), r.org, outreach.Trial{Account: name, Document: []byte(smallFlow), Language: "en", Zone: zone})
	ok(r.tb, err)
	return id
}

// TestConversation: a whole one, with a reminder for tomorrow and a wait, both
// outside of quiet hours on the person's own clock, which is put forward that
// night.
func TestConversation(t *testing.T) {
	r := newHearRoom(t, "ada")
	id := r.begin("ada", "Europe/Berlin")
	if got := r.await("ada", 2); !strings.HasPrefix(got, "Mood?") {
		t.Errorf("first question %q", got)
	}
	r.hands.turn(time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)) // Saturday, 21:00 in Berlin
	r.write("ada", "remind me tomorrow")
	r.await("ada", 3)
	// Sunday has only 23 hours; quiet hours end at 10:30 in Berlin, which is 8:30.
	r.hands.turn(time.Date(2026, 3, 29, 8, 29, 59, 0, time.UTC))
	r.await("ada", 3)
	r.hands.turn(time.Date(2026, 3, 29, 8, 30, 0, 0, time.UTC))
	if got := r.await("ada", 5); !strings.HasPrefix(got, "Mood?") {
		t.Errorf("reminded of %q", got)
	}
	r.hands.turn(time.Date(2026, 3, 30, 8, 30, 0, 0, time.UTC)) // once
	r.write("ada", "1")
	if got := r.await("ada", 6); !strings.HasPrefix(got, "Scale?") {
		t.Errorf("second question %q", got)
	}
	r.hands.turn(time.Date(2026, 3, 30, 17, 0, 0, 0, time.UTC))
	r.write("ada", "7")
	k := r.phase(id, store.TalkWaiting)
	if want := time.Date(2026, 3, 31, 8, 30, 0, 0, time.UTC); !k.Due.Equal(want) { // 20:00 UTC is 22:00 there
		t.Errorf("goes on at %v, want %v", k.Due, want)
	}
	r.hands.turn(k.Due)
	if got := r.await("ada", 7); !strings.HasPrefix(got, "Later?") {
		t.Errorf("after the wait %q", got)
	}
	r.write("ada", "3")
	r.await("ada", 8)
	k = r.phase(id, store.TalkEnded)
	answers, err := r.store.AnswersOf(context.Background(), r.org, 0, id, k.Who())
	ok(t, err)
	if len(answers) != 3 || k.Answered != 3 || !k.Due.IsZero() {
		t.Errorf("%d answers, %+v", len(answers), k)
	}
	cases, err := r.store.OpenCases(context.Background(), r.org, k.Who())
	ok(t, err)
	if len(cases) != 1 || cases[0].Reason != "low mood" || cases[0].Class != 0 || cases[0].Due.IsZero() {
		t.Errorf("a low mood opens %+v", cases)
	}
	if !r.bot.InCase(r.org, "ada") || r.bot.InCase(r.org, "bob") {
		t.Error("who has a case is not known")
	}
}

// phase waits until a talk is there.
func (r *hearRoom) phase(id int64, want store.TalkPhase) *store.Talk {
	r.tb.Helper()
	for end := time.Now().Add(hearPatience); ; time.Sleep(2 * time.Millisecond) {
		k, err := r.store.Talk(context.Background(), r.org, id)
		ok(r.tb, err)
		if k.Phase == want {
			return k
		}
		if time.Now().After(end) {
			r.tb.Fatalf("the talk is %s, want %s", k.Phase, want)
		}
	}
}

// TestNobodyIsLostOrDoubled: the process ends and begins again while people
// write, texts are left on the list, some of which have arrived.
func TestNobodyIsLostOrDoubled(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	r := newHearRoom(t, names...)
	for _, n := range names {
		r.begin(n, "")
	}
	for _, n := range names {
		r.await(n, 2)
		r.write(n, "4")
	}
	r.close() // some are processed, some are not
	ctx := context.Background()
	r.open()
	for _, n := range names {
		r.await(n, 3)
	}
	r.close()
	// One text that has arrived is on the list again, and one that has not.
	old := &store.Heard{Org: r.org, Account: "p0", At: time.Now(), Says: []store.Said{
		{Org: r.org, ID: r.store.NewID(), N: 0, Account: "p0", At: time.Now(), Words: store.Utterance{Text: "new"}}}}
	ok(t, r.store.SaveHeard(ctx, old))
	r.open()
	if got := r.await("p0", 4); got != "new" {
		t.Errorf("told %q", got)
	}
	r.close()
	old.Message = store.ID{} // the very same again: it died before it could take it off the list
	ok(t, r.store.SaveHeard(ctx, old))
	r.open()
	r.write("p0", "5")
	for _, n := range names {
		r.write(n, "6")
	}
	deadline := time.Now().Add(hearPatience)
	for {
		left, err := r.store.Unsaid(ctx, r.org, 0, 0, 100)
		ok(t, err)
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d texts are never said", len(left))
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, n := range names {
		texts, origins := r.told(n)
		slices.Sort(origins)
		if len(slices.Compact(origins)) != len(texts) {
			t.Errorf("%s has a text twice: %q", n, texts)
		}
		if strings.Count(strings.Join(texts, "|"), "new") > 1 {
			t.Errorf("%s: %q", n, texts)
		}
	}
}

// TestBotAccount: nobody signs in to the bot, and somebody's account does not
// become one.
func TestBotAccount(t *testing.T) {
	r := newHearRoom(t, "ada")
	r.begin("ada", "")
	a, err := r.store.Account(context.Background(), r.org, "bot")
	ok(t, err)
	if !a.Disabled || len(a.Keys) > 0 || !strings.Contains(string(a.Prefs), "never") {
		t.Errorf("%+v", a)
	}
	taken := newHearRoom(t, "ada")
	_, err = taken.store.CreateAccount(context.Background(), taken.org, "bot", []store.Key{{Mechanism: "SCRAM-SHA-256", Iterations: 1, Salt: []byte("s"), StoredKey: []byte("k"), ServerKey: []byte("k")}})
	ok(t, err)
	if _, err := taken.bot.Begin(context.Background(), taken.org, outreach.Trial{Account: "ada", Document: []byte(smallFlow)}); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("somebody's account became the bot: %v", err)
	}
}
