package calendar_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// thirty is the case that the product is about: 30 % begin within ten minutes
// and talk for five.
func thirty() calendar.History {
	return calendar.History{
		Opened: map[calendar.Channel][]calendar.Opened{calendar.Email: {{After: 10 * time.Minute, Part: 0.3}}},
		Talks:  []calendar.Talk{{Lasts: 5 * time.Minute, Part: 1}},
	}
}

func preview(t testing.TB, l calendar.Launch) *calendar.Preview {
	t.Helper()
	p, err := l.Preview()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPreviewOfTheStory: 30,000 at 9:00 are 4,500 conversations at once, over
// eight hours 94.
func TestPreviewOfTheStory(t *testing.T) {
	nine := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	people := make([]calendar.Invitee, 30000)
	for i := range people {
		people[i].Due = nine
	}
	l := calendar.Launch{People: people, Rate: 30000.0 / (8 * 3600), History: thirty(), Capacity: 2000}
	p := preview(t, l)
	if got := math.Round(p.AtOnce.Expected); got != 4500 || p.AtOnce.At.Before(nine.Add(5*time.Minute)) || p.AtOnce.At.After(nine.Add(10*time.Minute)) {
		t.Errorf("all at once: %g at %s, want 4500 from 09:05 to 09:10", got, p.AtOnce.At)
	}
	if got := math.Round(p.Peak.Expected); got != 94 {
		t.Errorf("over eight hours: %g, want 94", got)
	}
	if want := nine.Add(8 * time.Hour); p.Finished.Sub(want).Abs() > time.Minute {
		t.Errorf("finished by %s, want %s", p.Finished, want)
	}
	want := "30,000 invitations, finished by Mon 2026-11-23 17:00 UTC; all at once would be 4,500 conversations at once, at this pace it is 94 (at most 123), and 2,000 were measured to fit; how people answer is assumed, there is no history yet"
	if got := p.Text(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// listmonk's 100 a second is as good as all at once.
	l.Rate = 100
	if p = preview(t, l); math.Round(p.Peak.Expected) != 4500 || !strings.Contains(p.Text(), "MORE THAN the 2,000") {
		t.Errorf("100 a second: %s", p.Text())
	}
}

// TestPreviewGolden: three zones, quiet hours that catch the queue, a cap,
// exclusions and a rival.
func TestPreviewGolden(t *testing.T) {
	names := []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata"}
	var rules []*calendar.Rules
	for _, n := range names {
		rules = append(rules, &calendar.Rules{Zone: zone(t, n)})
	}
	early := &calendar.Rules{Zone: zone(t, "Europe/Berlin"), Quiet: quiet(t, "12:00-09:30")}
	s := calendar.Schedule{Kind: calendar.Once, Start: at9(t, "2026-11-23")}
	l := calendar.Launch{
		Now: time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC), // 10:30 in India already
		Org: calendar.Rules{Quiet: quiet(t, "18:00-08:00"), Weekend: 0x41},
		Cap: calendar.Cap{N: 1, Period: 24 * time.Hour}, Rate: 0.04, Burst: 10, All: 0.1,
		Rivals: []calendar.Rival{{Weight: 2, Rate: 0.08, Waiting: 1000}}, Capacity: 50, Valid: 8,
		History: calendar.DefaultHistory(),
	}
	for i := range 3000 {
		r := rules[i%3]
		if i%30 == 0 {
			r = early
		}
		who := calendar.Invitee{Due: s.Due(s.Start, r.Zone, nil), Rules: r, Channel: calendar.Email}
		if i%2 == 0 {
			who.Channel = calendar.Chat
		}
		switch {
		case i%100 == 1:
			who.Contacts = []time.Time{time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)}
		case i%100 == 2:
			who.Excluded = "opted out"
		case i%500 == 3:
			who.Excluded = "no address"
		}
		l.People = append(l.People, who)
	}
	p := preview(t, l)
	got, err := json.MarshalIndent(struct {
		Text string
		*calendar.Preview
	}{p.Text(), p}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/preview.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the preview is another one (run with -update if that is right):\n%s", d)
	}
}

// TestPreviewSums: nobody is lost between people, rows, zones and exclusions,
// nobody is in an hour that his rules forbid, and the order does not matter.
func TestPreviewSums(t *testing.T) {
	all := zones(t)
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 6 {
		l := calendar.Launch{Now: noon, Rate: []float64{0, 0.012, 2}[round%3], History: calendar.DefaultHistory(),
			Org: calendar.Rules{Quiet: quiet(t, "19:00-07:00"), Weekend: 0x41}}
		var shared []*calendar.Rules
		for range 40 {
			shared = append(shared, &calendar.Rules{Zone: all[random.IntN(len(all))]})
		}
		never := &calendar.Rules{Quiet: quiet(t, "07:00-19:00")}
		for i := range 3000 {
			who := calendar.Invitee{Rules: shared[random.IntN(len(shared))], Due: noon.Add(time.Duration(random.IntN(48*60)) * time.Minute)}
			switch i % 50 {
			case 0:
				who.Rules = nil
			case 1:
				who.Rules = never
			case 2:
				who.Excluded = "left"
			}
			l.People = append(l.People, who)
		}
		p := preview(t, l)
		sum, zoned, excluded := 0, 0, 0
		for _, r := range p.Rows {
			sum += r.Invitations
			for _, z := range r.Zones {
				zoned += z.Invitations
				var hour, minute int
				if _, err := fmt.Sscanf(z.Local[4:], "%d:%d", &hour, &minute); err != nil {
					t.Fatal(err)
				}
				if hour >= 19 || hour < 6 || z.Local[:3] == "Sat" || z.Local[:3] == "Sun" && hour < 23 {
					t.Errorf("%d invitations in %s from %s on", z.Invitations, z.Zone, z.Local)
				}
			}
		}
		for _, r := range p.Excluded {
			excluded += r.People
		}
		if sum != p.Invited || zoned != sum || sum+p.Beyond+excluded != 3000 || excluded != 120 {
			t.Errorf("%d people: rows %d, zones %d, invited %d, beyond %d, excluded %d", p.People, sum, zoned, p.Invited, p.Beyond, excluded)
		}
		random.Shuffle(len(l.People), func(i, j int) { l.People[i], l.People[j] = l.People[j], l.People[i] })
		q := preview(t, l)
		if d := math.Abs(q.Peak.Expected - p.Peak.Expected); d > 1e-6 || !q.Finished.Equal(p.Finished) {
			t.Errorf("in another order: %+v, %s; before %+v, %s", q.Peak, q.Finished, p.Peak, p.Finished)
		}
	}
}

// TestPreviewAgainstPeople: people who really answer by the curve make the peak
// that was expected, within chance.
func TestPreviewAgainstPeople(t *testing.T) {
	h := calendar.History{
		Opened: map[calendar.Channel][]calendar.Opened{calendar.Chat: {{After: 5 * time.Minute, Part: 0.2}, {After: 2 * time.Hour, Part: 0.6}}},
		Talks:  []calendar.Talk{{Lasts: 3 * time.Minute, Part: 0.5}, {Lasts: 9*time.Minute + 30*time.Second, Part: 0.5}},
	}
	const n, rate = 60000, 10.0
	l := calendar.Launch{Now: noon, Rate: rate, History: h, People: make([]calendar.Invitee, n)}
	for i := range l.People {
		l.People[i] = calendar.Invitee{Due: noon, Channel: calendar.Chat}
	}
	p := preview(t, l)
	random := rand.New(rand.NewPCG(5, 6))
	sum, most := 0, 0
	const rounds = 12
	for range rounds {
		change := map[int]int{} // by second
		for i := range n {
			at := float64(i) / rate
			switch u := random.Float64(); {
			case u < 0.2:
				at += u / 0.2 * 300
			case u < 0.6:
				at += 300 + (u-0.2)/0.4*6900
			default:
				continue
			}
			lasts := 180.0
			if random.IntN(2) == 0 {
				lasts = 570
			}
			change[int(at)]++
			change[int(at+lasts)]--
		}
		peak, now := 0, 0
		for s := range 20000 {
			now += change[s]
			peak = max(peak, now)
		}
		sum, most = sum+peak, max(most, peak)
	}
	mean := float64(sum) / rounds
	t.Logf("expected %.0f (at most %d), people made %.0f on average, %d at most", p.Peak.Expected, p.Peak.High, mean, most)
	// The highest of many noisy seconds is a little above what is expected.
	if mean < p.Peak.Expected*0.995 || mean > p.Peak.Expected*1.04 || most > p.Peak.High {
		t.Errorf("people made %.0f on average, %d at most; expected %.0f, at most %d", mean, most, p.Peak.Expected, p.Peak.High)
	}
}

func TestPreviewRefused(t *testing.T) {
	good := calendar.Launch{History: calendar.DefaultHistory()}
	for name, change := range map[string]func(*calendar.Launch){
		"rate":    func(l *calendar.Launch) { l.Rate = math.NaN() },
		"all":     func(l *calendar.Launch) { l.All = -1 },
		"pace":    func(l *calendar.Launch) { l.Pace = 2 },
		"weight":  func(l *calendar.Launch) { l.Weight = -1 },
		"cap":     func(l *calendar.Launch) { l.Cap.N = 1 },
		"history": func(l *calendar.Launch) { l.History = calendar.History{} },
		"falls": func(l *calendar.Launch) {
			l.History.Opened = map[calendar.Channel][]calendar.Opened{"x": {{After: time.Hour, Part: 0.5}, {After: 2 * time.Hour, Part: 0.4}}}
		},
		"talks":  func(l *calendar.Launch) { l.History.Talks = []calendar.Talk{{Lasts: time.Hour, Part: 0.5}} },
		"rivals": func(l *calendar.Launch) { l.Rivals = make([]calendar.Rival, 1001) },
	} {
		l := good
		change(&l)
		if _, err := l.Preview(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if p := preview(t, good); p.Text() != "nobody of 0 people is invited" || len(p.Rows) != 0 {
		t.Errorf("%s %v", p.Text(), p.Rows)
	}
	l := good
	l.People = []calendar.Invitee{{Excluded: "left"}}
	if p := preview(t, l); p.Text() != "nobody of 1 people is invited" || p.Excluded[0] != (calendar.Reason{Text: "left", People: 1}) {
		t.Errorf("%+v", p)
	}
}

func TestLearn(t *testing.T) {
	opened := make([]int, len(calendar.AnswerEdges()))
	h, err := calendar.Learn(map[calendar.Channel]calendar.Counts{calendar.Chat: {Opened: opened}}, nil)
	if err != nil || h.Known != 0 {
		t.Fatal(h, err)
	}
	if p := h.Opened[calendar.Chat]; math.Abs(p[3].Part-0.30) > 1e-9 || math.Abs(p[len(p)-1].Part-0.60) > 1e-9 {
		t.Errorf("without history: %v", p)
	}
	for i := range opened {
		opened[i] = 500
	}
	talks := make([]int, len(calendar.TalkEdges()))
	talks[5] = 9900
	h, err = calendar.Learn(map[calendar.Channel]calendar.Counts{calendar.Chat: {Invited: 10000, Opened: opened}}, talks)
	if err != nil || h.Known != 10000 {
		t.Fatal(h, err)
	}
	if p := h.Opened[calendar.Chat]; math.Abs(p[3].Part-0.201) > 0.001 || h.Talks[6].Lasts != 10*time.Minute || math.Abs(h.Talks[6].Part-0.99) > 1e-9 {
		t.Errorf("with history: %v, %v", p, h.Talks)
	}
	for _, bad := range []calendar.Counts{{Invited: 1, Opened: opened}, {Invited: 10, Opened: nil}, {Invited: 10, Opened: append([]int{-1}, opened[1:]...)}} {
		if _, err := calendar.Learn(map[calendar.Channel]calendar.Counts{calendar.Chat: bad}, nil); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := calendar.Learn(nil, []int{1}); err == nil {
		t.Error("one count of conversations is taken")
	}
}

func BenchmarkPreview100000(b *testing.B) {
	all := zones(b)
	random := rand.New(rand.NewPCG(7, 8))
	l := calendar.Launch{Now: noon, Rate: 5, All: 8, History: calendar.DefaultHistory(), Cap: calendar.Cap{N: 2, Period: 7 * 24 * time.Hour},
		Org: calendar.Rules{Quiet: quiet(b, "19:00-08:00"), Weekend: 0x41}, Rivals: []calendar.Rival{{Weight: 1, Waiting: 50000}}}
	var shared []*calendar.Rules
	for range 40 {
		shared = append(shared, &calendar.Rules{Zone: all[random.IntN(len(all))]})
	}
	own := quiet(b, "12:00-13:30")
	s := calendar.Schedule{Kind: calendar.Once, Start: at9(b, "2026-11-24")}
	for i := range 100000 {
		who := calendar.Invitee{Rules: shared[random.IntN(len(shared))]}
		if i%10 == 0 { // every tenth has rules of his own
			who.Rules = &calendar.Rules{Zone: who.Rules.Zone, Quiet: own}
		}
		if i%5 == 0 {
			who.Contacts = []time.Time{noon.AddDate(0, 0, -3), noon.AddDate(0, 0, -1)}
		}
		who.Due = s.Due(s.Start, who.Rules.Zone, nil)
		l.People = append(l.People, who)
	}
	b.ResetTimer()
	for b.Loop() {
		preview(b, l)
	}
}
