package outreach_test

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// each runs a test on both engines, with the workers at work.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		h := newHouse(t, open(t), nil, nil)
		h.start()
		test(t, h)
	})
}

// TestCampaign: everybody gets one, or a reason.
func TestCampaign(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(600)
		h.person("left", func(p *store.Person) { p.Left = monday.Add(-time.Hour) })
		h.person("mute", func(p *store.Person) { p.Email = "" })
		deaf := h.person("deaf", nil)
		h.ok(h.s.SetPersonPrefs(ctx, h.org, deaf, store.PersonPrefs{Channels: []string{"chat"}}))
		out := h.person("out", nil)
		h.ok(h.s.SetPersonPrefs(ctx, h.org, out, store.PersonPrefs{OptedOut: monday.Add(-48 * time.Hour)}))
		h.person("gone", nil)
		h.ok(h.s.Suppress(ctx, h.org, store.Suppression{Who: "gone@example.net", Kind: store.SuppressedBounce, Why: "550 5.1.1 no such user", At: monday}))
		german := h.person("jörg", func(p *store.Person) { p.Language, p.Email = "de-AT", "joerg@example.net" })
		id := h.launch("pulse", once())
		h.pass(time.Second, 100*time.Millisecond)
		h.want(id, "601 accepted, 5 suppressed")
		h.onceEach(601)
		if h.state(id) != store.CampaignDone {
			t.Errorf("the campaign is %s", h.state(id))
		}
		why := h.reasons(id, store.Suppressed)
		for _, want := range []string{"left the organisation", "has no e-mail address", "wishes no email", "opted out on 2026-11-21", "bounce: 550 5.1.1 no such user"} {
			if why[want] != 1 {
				t.Errorf("%q: %d of %v", want, why[want], why)
			}
		}
		for _, d := range h.sink.Deliveries() {
			name, _, _ := strings.Cut(d.ID, "@")
			if org, _, err := h.s.ReadMessageName(name); err != nil || org != h.org {
				t.Fatalf("%s: %v", d.ID, err)
			}
			if d.To != "joerg@example.net" {
				continue
			}
			for _, want := range []string{"Wie_geht_es_dir", "Content-Language: de", "List-Unsubscribe: <https://a.example/u/", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"} {
				if !strings.Contains(string(d.Raw), want) {
					t.Errorf("%q is missing in %s", want, d.Raw)
				}
			}
		}
		// One click takes somebody out of what comes next.
		h.ok(h.e.Unsubscribe(ctx, h.s.UnsubscribeToken(h.org, german)))
		if err := h.e.Unsubscribe(ctx, "u1.2.3"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token that somebody made up: %v", err)
		}
		id = h.launch("pulse 2", once())
		h.pass(time.Second, 100*time.Millisecond)
		h.want(id, "600 accepted, 6 suppressed")
		if why := h.reasons(id, store.Suppressed)["unsubscribed: on 2026-11-23"]; why != 1 {
			t.Errorf("%v", h.reasons(id, store.Suppressed))
		}
	})
}

// TestQuietHours: they defer, in the zone of each person, and say so.
func TestQuietHours(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		quiet, err := calendar.ParseQuiet("18:00-08:00")
		h.ok(err)
		h.about.Rules.Quiet = []calendar.Quiet{quiet}
		h.person("berlin", func(p *store.Person) { p.Zone = "Europe/Berlin" })
		h.person("tokyo", func(p *store.Person) { p.Zone = "Asia/Tokyo" })
		h.person("york", func(p *store.Person) { p.Zone = "America/New_York" })
		own := h.person("own", nil)
		h.ok(h.s.SetPersonPrefs(ctx, h.org, own, store.PersonPrefs{Quiet: []string{"08:00-12:00"}, Pause: monday.Add(time.Hour)}))
		set := once()
		set.Schedule.Instant = true
		id := h.launch("pulse", set)
		h.pass(time.Second, time.Second)
		h.want(id, "3 planned, 1 accepted") // Berlin, where it is 10:00
		why := h.reasons(id, store.Planned)
		for _, want := range []string{"quiet hours until Tue 2026-11-24 08:00 Asia/Tokyo", "quiet hours until 08:00 America/New_York"} {
			if why[want] != 1 {
				t.Errorf("%q is missing in %v", want, why)
			}
		}
		for text := range why {
			if strings.Contains(text, "paused until 2026-11-23 10:00 UTC") != strings.Contains(text, "12:00") {
				t.Errorf("%q", text)
			}
		}
		h.pass(2*time.Hour+59*time.Minute, time.Minute) // to 11:59
		h.want(id, "3 planned, 1 accepted")
		h.pass(2*time.Minute, time.Minute) // past 12:00
		h.want(id, "2 planned, 2 accepted")
		h.pass(time.Hour, time.Minute) // 13:01, 8:01 in New York
		h.want(id, "1 planned, 3 accepted")
		h.pass(10*time.Hour, time.Minute) // 8:01 in Tokyo
		h.want(id, "4 accepted")
	})
}

// TestReminders: they come at their distance, and stop on an answer, on
// leaving and on opting out.
func TestReminders(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		ids := h.people(5)
		set := once()
		set.Schedule.Reminders = []calendar.Distance{{Hours: 2}, {Hours: 5}}
		set.Remind = map[string]mail.Text{"en": {Subject: "A reminder, {{.first_name}}", Text: "Number {{.step}}"}}
		id := h.launch("pulse", set)
		h.pass(time.Second, time.Second)
		h.want(id, "5 accepted")
		waves, err := h.s.Waves(ctx, h.org, id, 0, 10)
		if err != nil || len(waves) != 1 || waves[0].People != 5 {
			t.Fatal(waves, err)
		}
		h.ok(h.s.AnswerInvitations(ctx, h.org, id, waves[0].Wave, ids[0], h.clock.Now()))
		h.pass(time.Hour+59*time.Minute, time.Minute)
		h.want(id, "5 accepted")
		h.ok(h.s.LeavePerson(ctx, h.org, ids[1], h.clock.Now()))
		h.pass(2*time.Minute, time.Minute)
		h.want(id, "8 accepted, 1 suppressed")
		h.ok(h.s.AnswerInvitations(ctx, h.org, id, waves[0].Wave, ids[2], h.clock.Now()))
		h.ok(h.s.SetPersonPrefs(ctx, h.org, ids[3], store.PersonPrefs{OptedOut: h.clock.Now()}))
		if h.state(id) != store.CampaignRunning {
			t.Errorf("with reminders to come it is %s", h.state(id))
		}
		h.pass(3*time.Hour, time.Minute)
		h.want(id, "9 accepted, 2 suppressed")
		h.onceEach(9)
		h.pass(time.Minute, time.Second)
		if h.state(id) != store.CampaignDone {
			t.Errorf("after the last reminder it is %s", h.state(id))
		}
		subjects := map[string]int{}
		for _, d := range h.sink.Deliveries() {
			head, _, _ := strings.Cut(string(d.Raw), "\r\n\r\n")
			for _, line := range strings.Split(head, "\r\n") {
				if name, value, ok := strings.Cut(line, ":"); ok && textproto.CanonicalMIMEHeaderKey(name) == "Subject" {
					word, _, _ := strings.Cut(strings.TrimSpace(value), ",")
					subjects[word]++
				}
			}
		}
		if subjects["How are you"] != 5 || subjects["A reminder"] != 4 {
			t.Errorf("%v", subjects)
		}
	})
}

// TestCap: at most so many contacts, over all campaigns; the rest is deferred.
func TestCap(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.about.Cap = calendar.Cap{N: 2, Period: 24 * time.Hour}
		h.people(20)
		var ids []int64
		for i := range 3 {
			set := once(calendar.Email, calendar.Chat)
			set.Schedule.Valid = 100
			ids = append(ids, h.launch(fmt.Sprint("pulse ", i), set))
		}
		h.pass(2*time.Second, 100*time.Millisecond)
		accepted, planned := 0, 0
		for _, id := range ids {
			counts, err := h.s.InvitationCounts(context.Background(), h.org, id)
			h.ok(err)
			accepted += counts[store.Accepted]
			planned += counts[store.Planned]
			for why := range h.reasons(id, store.Planned) {
				if !strings.Contains(why, "2 contacts a day") {
					t.Errorf("%q", why)
				}
			}
		}
		if accepted != 2*2*20 || planned != 2*20 {
			t.Errorf("%d were sent, %d wait; want two contacts each, by two channels", accepted, planned)
		}
		h.pass(25*time.Hour, 5*time.Minute)
		for _, id := range ids {
			h.want(id, "40 accepted")
		}
	})
}

// TestPauseAndStop: after either nothing more goes out, and the list says why.
func TestPauseAndStop(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(100)
		set := once()
		set.Rate, set.Burst = 10, 1
		id := h.launch("pulse", set)
		h.pass(3*time.Second, 50*time.Millisecond)
		h.ok(h.e.Pause(ctx, h.org, id))
		sent := h.sink.Taken()
		if sent < 25 || sent > 32 {
			t.Errorf("%d in three seconds at 10 a second", sent)
		}
		h.pass(10*time.Second, 100*time.Millisecond)
		if h.sink.Taken() != sent {
			t.Errorf("%d were sent in the pause", h.sink.Taken()-sent)
		}
		h.ok(h.e.Resume(ctx, h.org, id))
		h.pass(time.Second, 50*time.Millisecond)
		if n := h.sink.Taken() - sent; n < 8 || n > 12 {
			t.Errorf("%d in the second after the pause", n)
		}
		h.ok(h.e.Stop(ctx, h.org, id))
		sent = h.sink.Taken()
		h.pass(10*time.Second, time.Second)
		h.onceEach(sent)
		h.want(id, fmt.Sprintf("%d accepted, %d suppressed", sent, 100-sent))
		if n := h.reasons(id, store.Suppressed)["the campaign was stopped"]; n != 100-sent {
			t.Errorf("%v", h.reasons(id, store.Suppressed))
		}
		if err := h.e.Resume(ctx, h.org, id); !errors.Is(err, store.ErrMoved) {
			t.Errorf("a stopped campaign goes on: %v", err)
		}
	})
}

// TestMisfire: what is too late is not sent, sent, or held for a person.
func TestMisfire(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(10)
		for _, test := range []struct {
			policy calendar.Misfire
			want   string
		}{{calendar.Skip, "10 suppressed"}, {calendar.Send, "10 accepted"}, {calendar.Ask, "10 held"}} {
			set := once()
			set.Schedule.Misfire, set.Schedule.Valid = test.policy, 2
			set.Schedule.Start.Clock = 5 * 60
			id := h.launch(string(test.policy), set)
			h.pass(time.Second, 100*time.Millisecond)
			h.want(id, test.want)
			if test.policy != calendar.Ask {
				continue
			}
			if h.state(id) != store.CampaignRunning {
				t.Errorf("with some held it is %s", h.state(id))
			}
			if n, err := h.e.Release(ctx, h.org, id, true, nil); err != nil || n != 10 {
				t.Error(n, err)
			}
			h.pass(time.Second, 100*time.Millisecond)
			h.want(id, "10 accepted")
		}
	})
}

// TestRecurring: each date is a wave; those that were missed are skipped.
func TestRecurring(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(10)
		set := once()
		set.Schedule.Kind, set.Schedule.Rule = calendar.Recurring, "FREQ=DAILY"
		set.Schedule.Start.Clock, set.Schedule.Valid = 10*60, 4
		set.Schedule.Until = calendar.NewDate(2026, 11, 30)
		id := h.launch("daily", set)
		h.pass(26*time.Hour, 10*time.Minute) // Tuesday, 11:00
		h.want(id, "20 accepted")
		h.clock.Advance(4 * 24 * time.Hour) // nothing runs
		h.pass(time.Hour, 10*time.Minute)
		waves, err := h.s.Waves(ctx, h.org, id, 0, 100)
		h.ok(err)
		states := map[store.WaveState]int{}
		for _, w := range waves {
			states[w.State]++
		}
		if states[store.WaveSkipped] != 3 {
			t.Errorf("%v", states)
		}
		h.pass(4*24*time.Hour, 10*time.Minute)
		if h.state(id) != store.CampaignDone {
			t.Errorf("after its last date it is %s", h.state(id))
		}
		h.onceEach(h.sink.Taken())
	})
}

// TestMilestones: each person on the day that counts for them.
func TestMilestones(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		// People are known since they were added, by the clock of the machine.
		today := time.Now().UTC().Truncate(24 * time.Hour)
		h.clock.now = today
		start := func(at time.Time) func(*store.Person) { return func(p *store.Person) { p.Start = at } }
		h.person("thirty", start(today.AddDate(0, 0, 2-30)))
		h.person("thousand", start(today.AddDate(0, 0, 3-1000)))
		h.person("old", start(today.AddDate(-8, 0, 0)))
		h.person("unknown", nil)
		set := once()
		set.Schedule.Kind = calendar.Tenure
		set.Schedule.Start.Date = calendar.DateOf(today, time.UTC)
		set.Schedule.Milestones = []calendar.Milestone{{Days: 30}, {Days: 1000}}
		set.Schedule.Until = set.Schedule.Start.Date + 5
		set.Texts = map[string]mail.Text{"en": {Subject: "{{.milestone}}", Text: "x"}}
		id := h.launch("tenure", set)
		h.pass(7*24*time.Hour, 20*time.Minute)
		h.want(id, "2 accepted")
		if h.state(id) != store.CampaignDone {
			t.Errorf("it is %s", h.state(id))
		}
		for _, d := range h.sink.Deliveries() {
			want := map[string]string{"thirty@example.net": "30d", "thousand@example.net": "1000d"}[d.To]
			if want == "" || !strings.Contains(string(d.Raw), "Subject: "+want+"\r\n") {
				t.Errorf("%s: %s", d.To, d.Raw)
			}
		}
	})
}

// TestAnswers: what the relay says decides what becomes of an invitation.
func TestAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		ctx := context.Background()
		h := newHouse(t, open(t), func(to string, _ int) mailtest.Fault {
			return map[string]mailtest.Fault{"later": mailtest.Later, "never": mailtest.Never, "laterdata": mailtest.LaterData, "neverdata": mailtest.NeverData,
				"hangup": mailtest.HangUp, "takehangup": mailtest.TakeHangUp, "silent": mailtest.Silent, "busy": mailtest.Busy}[strings.TrimSuffix(to, "@example.net")]
		}, func(c *outreach.Config) { c.Retry = []time.Duration{time.Minute, time.Hour} })
		h.start()
		for _, name := range []string{"later", "never", "laterdata", "neverdata", "hangup", "takehangup", "silent", "busy", "good", "fine"} {
			h.person(name, nil)
		}
		id := h.launch("pulse", once())
		h.pass(time.Second, 100*time.Millisecond)
		h.want(id, "3 planned, 2 accepted, 2 failed, 3 ambiguous")
		h.pass(2*time.Minute, 10*time.Second)
		h.want(id, "3 planned, 2 accepted, 2 failed, 3 ambiguous")
		h.pass(2*time.Hour, time.Minute)
		h.want(id, "2 accepted, 5 failed, 3 ambiguous")
		for why := range h.reasons(id, store.Failed) {
			if !strings.HasPrefix(why, "gave up after 3 tries: 4") && !strings.HasPrefix(why, "55") {
				t.Errorf("%q", why)
			}
		}
		if list, err := h.s.Suppressed(ctx, h.org, []string{"never@example.net", "neverdata@example.net"}); err != nil || len(list) != 1 {
			t.Errorf("%v %v", list, err)
		}
		h.onceEach(4) // two good ones, two ambiguous ones that were taken
		// A person decides about the ambiguous ones, and retries the failed.
		if n, err := h.e.Resolve(ctx, h.org, id, false, nil); err != nil || n != 3 {
			t.Error(n, err)
		}
		if n, err := h.e.RetryFailed(ctx, h.org, id); err != nil || n != 5 {
			t.Error(n, err)
		}
		h.pass(time.Second, 100*time.Millisecond)
		h.want(id, "3 planned, 5 accepted, 1 failed, 1 suppressed")
		h.onceEach(4)
	})
}

// TestChat: by one channel or by both, in the archive once.
func TestChat(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(50)
		h.person("nobody", nil)
		h.person("offline", func(p *store.Person) { p.Account = "" })
		both := h.launch("both", once(calendar.Chat, calendar.Email))
		set := once(calendar.Chat, calendar.Email)
		set.Either = true
		either := h.launch("either", set)
		h.pass(time.Second, 100*time.Millisecond)
		h.want(both, "102 accepted, 1 failed, 1 suppressed")
		h.want(either, "51 accepted, 1 failed")
		h.onceEach(52 + 1)
		seen := map[string]bool{}
		for _, w := range h.said {
			if seen[w.OriginID] || w.Body != "Hello "+w.Account+", how are you?" {
				t.Errorf("%+v", w)
			}
			seen[w.OriginID] = true
		}
		h.ok(h.e.Test(ctx, h.org, both, &store.Person{Name: "Ada", Account: "ada", Email: "ada@example.net"}, 0, store.InChat))
		h.ok(h.e.Test(ctx, h.org, both, &store.Person{Name: "Ada", Account: "ada", Email: "ada@example.net"}, 0, store.ByEmail))
		if last := h.said[len(h.said)-1]; last.Account != "ada" || !strings.HasPrefix(last.OriginID, "test-") {
			t.Errorf("%+v", last)
		}
		last := h.sink.Deliveries()[h.sink.Taken()-1]
		if last.To != "ada@example.net" || !strings.Contains(string(last.Raw), "Subject: [test] How are you, Ada?") {
			t.Errorf("%s", last.Raw)
		}
		h.want(both, "102 accepted, 1 failed, 1 suppressed") // a test leaves no trace
	})
}

// TestOutbox: without a relay e-mail can be read here.
func TestOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		ctx := context.Background()
		h := newHouse(t, open(t), nil, func(c *outreach.Config) { c.Relay = nil })
		h.start()
		h.people(300)
		id := h.launch("pulse", once())
		h.pass(2*time.Second, 100*time.Millisecond)
		h.want(id, "300 accepted")
		letters, err := h.s.Outbox(ctx, h.org, 0, 1000)
		if err != nil || len(letters) != 300 || letters[0].Subject == "" || !strings.Contains(letters[0].UnsubscribeLink, "https://a.example/u/u") {
			t.Errorf("%d letters, %+v, %v", len(letters), letters[0], err)
		}
		h.ok(h.e.Test(ctx, h.org, id, &store.Person{Name: "Ada", Email: "ada@example.net"}, 0, store.ByEmail))
		if letters, err = h.s.Outbox(ctx, h.org, 0, 1); err != nil || !strings.HasPrefix(letters[0].Subject, "[test] ") {
			t.Errorf("%+v %v", letters, err)
		}
	})
}

// TestBounces: what comes back is noted, with whom not to write to.
func TestBounces(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.people(4)
		set := once()
		set.Schedule.Reminders = []calendar.Distance{{Hours: 1}}
		id := h.launch("pulse", set)
		h.pass(time.Second, 100*time.Millisecond)
		for _, d := range h.sink.Deliveries() {
			b := mail.Bounce{MessageID: d.ID, Recipient: d.To, Reason: "550 5.1.1 no such user"}
			switch d.To {
			case "p0000@example.net":
				b.Kind = mail.Hard
			case "p0001@example.net":
				b.Kind = mail.Soft
			case "p0002@example.net":
				b.Kind = mail.Complaint
			}
			h.ok(h.e.Bounced(ctx, &b))
		}
		h.want(id, "2 accepted, 2 bounced")
		if err := h.e.Bounced(ctx, &mail.Bounce{Kind: mail.Hard, MessageID: "i1.2.3@a.example"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an invented bounce: %v", err)
		}
		h.pass(2*time.Hour, time.Minute)
		h.want(id, "3 accepted, 2 bounced, 1 suppressed")
		h.onceEach(5)
	})
}

// TestPace: the chat's headroom slows everything down, to nothing.
func TestPace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		pace := 0.5
		h := newHouse(t, open(t), nil, func(c *outreach.Config) { c.Pace = func() float64 { return pace } })
		h.start()
		h.dial(outreach.DialRate, 20)
		h.people(100)
		h.launch("pulse", once())
		h.pass(4*time.Second, 50*time.Millisecond)
		if n := h.sink.Taken(); n < 35 || n > 45 {
			t.Errorf("%d in four seconds at half of 20 a second", n)
		}
		before := h.sink.Taken()
		pace = 0
		h.pass(10*time.Second, 50*time.Millisecond)
		if n := h.sink.Taken(); n != before {
			t.Errorf("%d at a standstill", n-before)
		}
	})
}

// TestShare: what may go is divided between campaigns by their weight.
func TestShare(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.dial(outreach.DialRate, 40)
		h.people(200)
		light := h.launch("light", once())
		heavy := h.launch("heavy", once())
		c, err := h.s.Campaign(ctx, h.org, heavy)
		h.ok(err)
		c.Weight = 3000
		h.ok(h.e.Change(ctx, c))
		h.pass(4*time.Second, 50*time.Millisecond)
		counts := map[int64]int{}
		for _, id := range []int64{light, heavy} {
			n, err := h.s.InvitationCounts(ctx, h.org, id)
			h.ok(err)
			counts[id] = n[store.Accepted]
		}
		if l, hv := counts[light], counts[heavy]; l+hv < 150 || l+hv > 170 || hv < 2*l || hv > 4*l {
			t.Errorf("light %d, heavy %d", l, hv)
		}
	})
}

// TestVariants: arms by weight, the same for a person in each wave.
func TestVariants(t *testing.T) {
	h := newHouse(t, storetest.Open(t), nil, func(c *outreach.Config) { c.Relay = nil })
	h.start()
	h.people(600)
	set := once()
	set.Variants = []outreach.Variant{{Name: "plain"}, {Name: "short", Weight: 2, Texts: map[string]mail.Text{"en": {Subject: "B", Text: "b"}}}}
	set.Schedule.Kind, set.Schedule.Rule, set.Schedule.Until = calendar.Recurring, "FREQ=DAILY", calendar.NewDate(2026, 11, 24)
	id := h.launch("trial", set)
	h.pass(25*time.Hour, 10*time.Minute)
	h.want(id, "1200 accepted")
	rows, err := h.s.InvitationsOf(context.Background(), h.org, id, store.Accepted, store.InvitationPage{}, 2000)
	h.ok(err)
	arm := map[store.PersonID]int{}
	sum := map[int]int{}
	for _, v := range rows {
		if other, ok := arm[v.Person]; ok && other != v.Variant {
			t.Errorf("person %d has two arms", v.Person)
		}
		arm[v.Person] = v.Variant
		sum[v.Variant]++
	}
	if sum[0] < 2*150 || sum[0] > 2*250 {
		t.Errorf("%v of 1200, want a third and two thirds", sum)
	}
}

// TestTwoEngines share the work through the store.
func TestTwoEngines(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		other, err := outreach.New(h.cfg)
		h.ok(err)
		ctx, cancel := context.WithCancel(context.Background())
		stop := other.Start(ctx)
		defer func() { cancel(); stop() }()
		h.people(500)
		id := h.launch("pulse", once())
		for range 200 {
			if _, err := other.Step(ctx); err != nil {
				t.Fatal(err)
			}
			h.pass(0, 0)
			h.clock.Advance(20 * time.Millisecond)
		}
		h.ok(other.Drain(ctx))
		h.want(id, "500 accepted")
		h.onceEach(500)
	})
}

// TestEnd: what was claimed and not begun is given back, nothing is in doubt.
func TestEnd(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		second, err := outreach.New(h.cfg)
		h.ok(err)
		h.people(200)
		id := h.launch("pulse", once())
		ctx, cancel := context.WithCancel(context.Background())
		stop := second.Start(ctx)
		if _, err := second.Step(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Step(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		stop()
		counts, err := h.s.InvitationCounts(context.Background(), h.org, id)
		h.ok(err)
		if counts[store.Claimed]+counts[store.Handed]+counts[store.Ambiguous] > 0 {
			t.Errorf("%v", counts)
		}
		h.pass(time.Second, 100*time.Millisecond)
		h.want(id, "200 accepted")
		h.onceEach(200)
	})
}

func TestSettings(t *testing.T) {
	good := `{"schedule":{"kind":"once","start":{"date":"2026-11-23","clock":"09:00"}},"channels":["email"],"language":"en","texts":{"en":{"subject":"s","text":"t"}}}`
	if _, err := outreach.ParseSettings([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		strings.Replace(good, `"channels"`, `"chanels"`, 1):                            "chanels",
		strings.Replace(good, `["email"]`, `[]`, 1):                                    "no channel",
		strings.Replace(good, `["email"]`, `["post"]`, 1):                              "post",
		strings.Replace(good, `["email"]`, `["email","email"]`, 1):                     "twice",
		strings.Replace(good, `["email"]`, `["chat"]`, 1):                              "no words for chat",
		strings.Replace(good, `"once"`, `"never"`, 1):                                  "never",
		strings.Replace(good, `"language"`, `"rate":-1,"language"`, 1):                 "rate",
		strings.Replace(good, `"language"`, `"variants":[{"name":"a"}],"language"`, 1): "two to five",
		good + "{}": "behind",
	} {
		if _, err := outreach.ParseSettings([]byte(bad)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
	h := newHouse(t, storetest.Open(t), nil, nil)
	for _, spoil := range []func(*outreach.Settings){
		func(s *outreach.Settings) {
			s.Texts = map[string]mail.Text{"en": {Subject: "{{.fist_name}}", Text: "x"}}
		},
		func(s *outreach.Settings) { s.Language = "fr" },
		func(s *outreach.Settings) { s.Nudge = map[string]string{"en": "{{"} },
	} {
		set := once()
		spoil(&set)
		text := fmt.Sprintf("%v", set)
		if _, err := h.e.Create(context.Background(), &store.Campaign{Org: h.org, Name: text[:10], Kind: "once", Settings: marshal(t, set)}); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
