package calendar_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func bucket(t testing.TB, rate, burst float64) calendar.Bucket {
	t.Helper()
	b, err := calendar.NewBucket(rate, burst, noon)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	b := bucket(t, 10, 20)
	step := func(name string, at time.Duration, n, want int, wait time.Duration) {
		t.Helper()
		var got int
		var w time.Duration
		b, got, w = b.Take(noon.Add(at), n, 1)
		if got != want || (w-wait).Abs() > 10*time.Microsecond {
			t.Errorf("%s: got %d, wait %s; want %d, %s", name, got, w, want, wait)
		}
	}
	step("full", 0, 100, 20, 0)
	step("empty", 0, 1, 0, 100*time.Millisecond)
	step("half a second", 500*time.Millisecond, 100, 5, 0)
	step("an hour ahead: a burst, no more", time.Hour, 100000, 20, 0)
	step("and an hour back: no standstill", time.Second, 1, 0, 100*time.Millisecond)
	step("goes on from there", 2*time.Second, 100, 10, 0)
	step("a month down", 31*24*time.Hour, 100000, 20, 0)
	step("none asked", 31*24*time.Hour, 0, 0, 0)
	b.Tokens = 0
	if _, got, wait := b.Take(noon.Add(32*24*time.Hour), 5, 0); got != 0 || wait != calendar.MaxWait {
		t.Errorf("at a standstill: got %d, wait %s", got, wait)
	}
	b = bucket(t, 10, 20)
	if _, got, _ := b.Take(noon.Add(-time.Hour), 15, 1); got != 15 {
		t.Errorf("an hour back: got %d of 15 that were there", got)
	}
	b.Tokens = 0
	if b = b.Put(7); b.Tokens != 7 {
		t.Errorf("put back: %v", b.Tokens)
	}
	c, err := b.Set(b.At, 1, 3)
	if err != nil || c.Tokens != 3 {
		t.Errorf("Set = %+v, %v", c, err)
	}
	for _, bad := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := b.Set(noon, bad, 3); err == nil {
			t.Errorf("rate %g is taken", bad)
		}
		if _, err := b.Set(noon, 1, bad); err == nil {
			t.Errorf("burst %g is taken", bad)
		}
	}
}

// TestBucketProperty: whatever the clock does, no more is got than the time
// that passed on the clock, forwards only, allows, and a burst per jump.
func TestBucketProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, burst := rapid.Float64Range(0.1, 5000).Draw(t, "rate"), rapid.Float64Range(1, 500).Draw(t, "burst")
		b, err := calendar.NewBucket(rate, burst, noon)
		if err != nil {
			t.Fatal(err)
		}
		now, allowed, total := noon, burst, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "d"))
			switch rapid.IntRange(0, 9).Draw(t, "jump") {
			case 0:
				d = time.Hour
			case 1:
				d = -time.Hour
			}
			now = now.Add(d)
			allowed += min(burst, max(0, d.Seconds())*rate)
			var got int
			var wait time.Duration
			n := rapid.IntRange(0, 1000).Draw(t, "n")
			b, got, wait = b.Take(now, n, 1)
			total += got
			if float64(total) > allowed+1e-6 {
				t.Fatalf("got %d, allowed %g", total, allowed)
			}
			if got > n || wait < 0 || wait > calendar.MaxWait || got == 0 && n > 0 && wait == 0 {
				t.Fatalf("got %d of %d, wait %s", got, n, wait)
			}
			if got == 0 && n > 0 && wait < calendar.MaxWait {
				if _, then, _ := b.Take(now.Add(wait), 1, 1); then != 1 {
					t.Fatalf("after waiting %s: %+v gives none", wait, b)
				}
			}
		}
	})
}

// TestBucketRate: over an hour with many takers the rate is kept to the token.
func TestBucketRate(t *testing.T) {
	b, total := bucket(t, 33.5, 10), 0
	for at := time.Duration(0); at <= time.Hour; at += 70 * time.Millisecond {
		var got int
		b, got, _ = b.Take(noon.Add(at), 100, 1)
		total += got
	}
	if want := 33.5*3600 + 10; math.Abs(float64(total)-want) > 5 {
		t.Errorf("%d in an hour, want %g", total, want)
	}
}

func TestFair(t *testing.T) {
	var f calendar.Fair
	total := map[int64]int{}
	run := func(rounds, n int, claims ...calendar.Claim) {
		t.Helper()
		clear(total)
		for range rounds {
			var parts []int
			f, parts = f.Divide(n, claims)
			sum, waiting := 0, 0
			for i, p := range parts {
				total[claims[i].ID] += p
				sum += p
				waiting += claims[i].Waiting
				if p > claims[i].Waiting {
					t.Fatalf("campaign %d gets %d of %d", claims[i].ID, p, claims[i].Waiting)
				}
			}
			if sum != min(n, waiting) {
				t.Fatalf("%d of %d given to %d who wait", sum, n, waiting)
			}
		}
	}
	near := func(id int64, want int) {
		t.Helper()
		if d := total[id] - want; d < -2 || d > 2 {
			t.Errorf("campaign %d got %d, want %d", id, total[id], want)
		}
	}
	a, b, c := calendar.Claim{ID: 1, Weight: 1, Waiting: 1000}, calendar.Claim{ID: 2, Weight: 3, Waiting: 1000}, calendar.Claim{ID: 3, Weight: 1, Waiting: 1000}
	run(4000, 1, a, b) // one at a time, so only the kept value makes it fair
	near(1, 1000)
	near(2, 3000)
	run(10, 100, a, b, c) // a new one starts level
	near(1, 200)
	near(2, 600)
	near(3, 200)
	run(50, 100, a) // the others are idle
	near(1, 5000)
	run(10, 100, a, b) // and gain no credit by it
	near(1, 250)
	near(2, 750)
	few := calendar.Claim{ID: 2, Weight: 3, Waiting: 10}
	run(10, 100, a, few) // what one cannot use the other gets
	near(1, 900)
	near(2, 100)
	run(10, 100, calendar.Claim{ID: 4, Weight: math.NaN(), Waiting: 50}, calendar.Claim{ID: 5, Weight: -1, Waiting: 50})
	near(4, 500)
	run(1, math.MaxInt32, calendar.Claim{ID: 6, Weight: 1, Waiting: 7})
	near(6, 7)
}

func TestPermitted(t *testing.T) {
	for _, c := range []struct{ ms, want float64 }{{0, 1}, {5, 1}, {8.75, 0.75}, {12.5, 0.5}, {20, 0}, {500, 0}, {-1, 1}} {
		if got := calendar.Permitted(time.Duration(c.ms*1e6), calendar.Target); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Permitted(%g ms) = %g, want %g", c.ms, got, c.want)
		}
	}
}

// chat is a server whose queueing time is that of one queue: outreach at full
// pace takes half of it.
type chat struct {
	own    float64 // load without outreach
	random *rand.Rand
}

func (c chat) queueing(pace float64) time.Duration {
	load := min(c.own+0.5*pace, 0.995)
	ms := load / (1 - load)
	return time.Duration(ms * (0.6 + 0.4*c.random.ExpFloat64()) * 1e6)
}

// TestPaceSettles: against a chat with noise and a second of delay the pace
// finds its place, stays near it, and lets the queueing time stay far below
// the target. When chat's own load rises or falls it follows.
func TestPaceSettles(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, time.Second} {
		var p calendar.Pace
		c := chat{random: rand.New(rand.NewPCG(1, 2))}
		now, last := noon, time.Duration(0)
		// run gives mean and spread of the pace and the mean queueing time, of
		// the second half of so long a time.
		run := func(own float64, d time.Duration) (mean, spread, ms float64) {
			c.own = own
			var n, sum, square float64
			for at := time.Duration(0); at < d; at += every {
				now = now.Add(every)
				seen := last
				last = 0 // the mean since the look before, of a value each 200 ms
				values := every / (200 * time.Millisecond)
				for range values {
					last += c.queueing(p.Factor) / values
				}
				if p = p.Next(seen, calendar.Target, now); p.Factor < 0 || p.Factor > 1 {
					t.Fatalf("pace %g", p.Factor)
				}
				if at > d/2 {
					n, sum, square = n+1, sum+p.Factor, square+p.Factor*p.Factor
					ms += float64(last) / 1e6
				}
			}
			mean = sum / n
			return mean, math.Sqrt(max(0, square/n-mean*mean)), ms / n
		}
		for _, phase := range []struct {
			own               float64
			low, high, spread float64
		}{
			{0.2, 0.99, 1, 0.02},  // plenty of room: full
			{0.5, 0.5, 0.9, 0.08}, // full would be 100 % load: between
			{0.85, 0, 0.25, 0.08}, // little room
			{0.96, 0, 0.02, 0.02}, // none: chat alone is over the target
			{0.2, 0.99, 1, 0.02},  // and back
		} {
			mean, spread, ms := run(phase.own, 8*time.Minute)
			t.Logf("every %s, chat's own load %.2f: pace %.3f ± %.3f, queueing %.1f ms", every, phase.own, mean, spread, ms)
			if mean < phase.low || mean > phase.high || spread > phase.spread {
				t.Errorf("pace %.3f ± %.3f, want %.2f to %.2f, spread at most %.2f", mean, spread, phase.low, phase.high, phase.spread)
			}
			if phase.own < 0.9 && ms > 15 {
				t.Errorf("queueing %.1f ms", ms)
			}
		}
	}
}

// TestPaceSteps: it falls within seconds, one hiccup is no standstill, and a
// clock that jumps changes nothing.
func TestPaceSteps(t *testing.T) {
	full := calendar.Pace{Factor: 1, At: noon}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	p := full
	for n := 1; n <= 4; n++ {
		if p = p.Next(time.Second, calendar.Target, at(n)); n == 2 && p.Factor > 0.07 {
			t.Errorf("two seconds of overload: pace %g", p.Factor)
		}
	}
	if p.Factor != 0 {
		t.Errorf("four seconds of overload: pace %g", p.Factor)
	}
	p = full.Next(25*time.Millisecond, calendar.Target, at(1))
	for n := 2; n < 60; n++ {
		p = p.Next(time.Millisecond, calendar.Target, at(n))
	}
	if p.Factor < 0.99 {
		t.Errorf("a minute after one hiccup: pace %g", p.Factor)
	}
	var zero calendar.Pace
	rose := 0
	for p = zero.Next(0, calendar.Target, noon); p.Factor < 1 && rose < 1000; rose++ {
		p = p.Next(0, calendar.Target, at(rose+1))
	}
	if rose < 45 || rose > 55 {
		t.Errorf("full after %d s", rose)
	}
	half := calendar.Pace{Factor: 0.5, At: noon}
	if p = half.Next(0, calendar.Target, noon.Add(time.Hour)); p.Factor > 0.55 {
		t.Errorf("an hour ahead: pace %g", p.Factor)
	}
	if p = half.Next(time.Second, calendar.Target, noon.Add(-time.Hour)); p.Factor != 0.5 || !p.At.Equal(noon.Add(-time.Hour)) {
		t.Errorf("an hour back: %+v", p)
	}
	if p = (calendar.Pace{Factor: math.NaN(), Queue: math.Inf(1), At: noon}).Next(0, 0, at(1)); p.Factor != 0 {
		t.Errorf("nonsense: %+v", p)
	}
}

func TestCap(t *testing.T) {
	c := calendar.Cap{N: 2, Period: 7 * 24 * time.Hour}
	day := func(n float64) time.Time { return noon.Add(time.Duration(n * 24 * float64(time.Hour))) }
	for _, x := range []struct {
		at       float64
		contacts []float64
		want     float64
	}{
		{0, nil, 0},
		{0, []float64{-1}, 0},
		{0, []float64{-1, -8}, 0},
		{0, []float64{-7, -1}, 0},     // a week ago ceases to count now
		{0, []float64{-6, -1}, 1},     // when the older one is a week old
		{0, []float64{-1, -6, -3}, 4}, // over the cap already
		{0, []float64{3, 5}, 10},      // planned ones count
		{0, []float64{-3, 5}, 0},      // never three within a week
		{0, []float64{-3, 3}, 4},      // -3, 0 and 3 would be
		{0, []float64{0, 0}, 7},
	} {
		var list []time.Time
		for _, d := range x.contacts {
			list = append(list, day(d))
		}
		if got := c.Earliest(day(x.at), list); !got.Equal(day(x.want)) {
			t.Errorf("contacts on %v: %s, want %s", x.contacts, got, day(x.want))
		}
	}
	if got := (calendar.Cap{}).Earliest(noon, []time.Time{noon}); !got.Equal(noon) {
		t.Error("no cap defers")
	}
}

// TestCapProperty: no period has more than N where it had not before, and no
// earlier minute would do.
func TestCapProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendar.Cap{N: rapid.IntRange(1, 4).Draw(t, "n"), Period: time.Duration(rapid.IntRange(1, 48).Draw(t, "period")) * time.Hour}
		var list []time.Time
		for range rapid.IntRange(0, 12).Draw(t, "contacts") {
			list = append(list, noon.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "hour"))*time.Hour))
		}
		fits := func(at time.Time) bool {
			// Every period that holds it, begun at each hour.
			for b := at.Add(-c.Period + time.Hour); !b.After(at); b = b.Add(time.Hour) {
				n := 1
				for _, x := range list {
					if !x.Before(b) && x.Before(b.Add(c.Period)) {
						n++
					}
				}
				if n > c.N {
					return false
				}
			}
			return true
		}
		want := noon
		for !fits(want) {
			want = want.Add(time.Hour)
		}
		if got := c.Earliest(noon, list); !got.Equal(want) {
			t.Fatalf("%+v, %v: %s, want %s", c, list, got, want)
		}
	})
}

func TestDue(t *testing.T) {
	org := calendar.Rules{Quiet: quiet(t, "20:00-08:00"), Weekend: 0x41}
	person := calendar.Rules{Zone: zone(t, "Europe/Berlin")}
	limit := calendar.Cap{N: 1, Period: 36 * time.Hour}
	at := time.Date(2026, 11, 18, 21, 0, 0, 0, time.UTC)
	got, reason, err := calendar.Due(at, org, person, limit, []time.Time{time.Date(2026, 11, 19, 12, 0, 0, 0, time.UTC)})
	want := "2026-11-23T08:00:00+01:00"
	why := "contact cap (1 contact in 36h0m0s) until Sat 2026-11-21 01:00 Europe/Berlin; weekend, quiet hours until Mon 2026-11-23 08:00 Europe/Berlin"
	if err != nil || got.Format(time.RFC3339) != want || reason != why {
		t.Errorf("Due = %s, %q, %v", got, reason, err)
	}
	for _, c := range []calendar.Cap{{N: 0, Period: time.Hour}, {N: 1}, {N: 1, Period: time.Minute}, {N: 5000, Period: time.Hour}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := limit.Validate(); err != nil {
		t.Error(err)
	}
}
