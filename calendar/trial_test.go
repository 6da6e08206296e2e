package calendar_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/calendar"
)

func arm(name string, answered, asked int) calendar.Arm {
	return calendar.Arm{Name: name, Answered: answered, Asked: asked}
}

// TestPValue has known tables: the lady tasting tea, Fisher's twins, and the
// test of two proportions by hand.
func TestPValue(t *testing.T) {
	for _, c := range []struct {
		a, b calendar.Arm
		want float64
	}{
		{arm("", 3, 4), arm("", 1, 4), 0.4857142857},
		{arm("", 4, 4), arm("", 0, 4), 0.0285714286},
		{arm("", 10, 13), arm("", 2, 17), 0.0005367},
		{arm("", 1, 12), arm("", 9, 12), 0.0027594562},
		{arm("", 0, 5), arm("", 0, 9), 1},
		{arm("", 5, 5), arm("", 9, 9), 1},
		{arm("", 0, 0), arm("", 3, 9), 1},
		{arm("", 120, 400), arm("", 160, 400), 0.0030269}, // z = 2.9650
		{arm("", 150, 500), arm("", 150, 500), 1},
	} {
		if got := calendar.PValue(c.a, c.b); math.Abs(got-c.want) > 2e-6 {
			t.Errorf("PValue(%+v, %+v) = %.8f, want %.8f", c.a, c.b, got, c.want)
		}
		if got, back := calendar.PValue(c.a, c.b), calendar.PValue(c.b, c.a); math.Abs(got-back) > 1e-12 {
			t.Errorf("PValue is not the same both ways: %g, %g", got, back)
		}
	}
}

func TestTrial(t *testing.T) {
	trial := calendar.Trial{Planned: 400}
	look := func(arms ...calendar.Arm) {
		t.Helper()
		var err error
		if trial, err = trial.Look(arms); err != nil {
			t.Fatal(err)
		}
	}
	look(arm("A", 1, 120), arm("B", 119, 300))
	if trial.Decided || trial.Winner != "" || !strings.HasPrefix(trial.Verdict, "not enough answers yet: 120 of 400") {
		t.Errorf("%+v", trial)
	}
	look(arm("A", 120, 400), arm("B", 160, 410))
	if !trial.Decided || trial.Winner != "B" || trial.Verdict != "B is better: B 39.0 % (160 of 410), A 30.0 % (120 of 400), p = 0.00693" {
		t.Errorf("%+v", trial)
	}
	before := trial
	if look(arm("A", 4000, 4000), arm("B", 160, 4000)); trial != before {
		t.Errorf("decided twice: %+v", trial)
	}
	trial = calendar.Trial{Planned: 400}
	look(arm("A", 120, 400), arm("B", 130, 400))
	if !trial.Decided || trial.Winner != "" || !strings.HasPrefix(trial.Verdict, "no difference was found") {
		t.Errorf("%+v", trial)
	}
	for _, bad := range [][]calendar.Arm{nil, {arm("A", 1, 2)}, make([]calendar.Arm, 6), {arm("A", 3, 2), arm("B", 1, 2)}, {arm("A", -1, 2), arm("B", 1, 2)}} {
		if _, err := (calendar.Trial{Planned: 400}).Look(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, bad := range []calendar.Trial{{}, {Planned: 5}, {Planned: 400, Level: 0.5}, {Planned: 400, Level: math.NaN()}} {
		if _, err := bad.Look([]calendar.Arm{arm("A", 1, 2), arm("B", 1, 2)}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestTrialAmongEquals: with a look after each answer, two to four variants
// that are alike get a winner no more often than the level says, and a real
// difference of the planned size is found about four times in five.
func TestTrialAmongEquals(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	size, err := calendar.PlannedSize(0.3, 0.4, 0)
	if err != nil || size < 350 || size > 360 {
		t.Fatalf("planned %d, %v, want about 356", size, err)
	}
	run := func(shares ...float64) (best string) {
		trial := calendar.Trial{Planned: size}
		arms := make([]calendar.Arm, len(shares))
		for i := range arms {
			arms[i].Name = string(rune('A' + i))
		}
		for !trial.Decided {
			i := random.IntN(len(arms))
			arms[i].Asked++
			if random.Float64() < shares[i] {
				arms[i].Answered++
			}
			trial, err = trial.Look(arms)
			if err != nil {
				t.Fatal(err)
			}
		}
		return trial.Winner
	}
	const rounds = 600
	for _, shares := range [][]float64{{0.3, 0.3}, {0.3, 0.3, 0.3, 0.3}, {0.02, 0.02}} {
		wrong := 0
		for range rounds {
			if run(shares...) != "" {
				wrong++
			}
		}
		// 5 % are 30, three standard deviations more are 46.
		if t.Logf("%v: a winner among equals %d of %d times", shares, wrong, rounds); wrong > 46 {
			t.Errorf("%v: a winner among equals %d of %d times", shares, wrong, rounds)
		}
	}
	found := 0
	for range rounds {
		if run(0.3, 0.4) == "B" {
			found++
		}
	}
	if t.Logf("a real difference found %d of %d times", found, rounds); found < rounds*75/100 || found > rounds*90/100 {
		t.Errorf("a real difference found %d of %d times, want about 80 %%", found, rounds)
	}
	for _, bad := range [][3]float64{{0.3, 0.3, 0}, {0, 0.3, 0}, {0.3, 0.4, 0.9}, {0.5, 0.5001, 0}, {math.NaN(), 0.2, 0}} {
		if n, err := calendar.PlannedSize(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("PlannedSize(%v) = %d", bad, n)
		}
	}
}
