package feature_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bearhug/bearhug/feature"
)

func TestGrowth(t *testing.T) {
	square := func(n float64) float64 { return 3 * n * n }
	steps := []float64{200, 600, 2000}
	series := func(people []float64, each int, noise float64, f func(float64) float64) (list []feature.Point) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, n := range people {
			for range each {
				list = append(list, feature.Point{People: n, Cost: f(n) * math.Exp(noise*rng.NormFloat64()), Churn: 0.9 + 0.2*rng.Float64()})
			}
		}
		return list
	}
	// Half of the points at four times the churn, and so of the cost: beside
	// the others, not among them.
	mixed := series(steps, 5, 0.05, square)
	for i, p := range series(steps, 4, 0.05, func(n float64) float64 { return 400 * n }) {
		mixed = append(mixed, p)
		mixed[len(mixed)-1].Churn = 4 + float64(i%3)/10
	}
	for _, c := range []struct {
		name      string
		points    []feature.Point
		want, off float64 // 0: unknown
	}{
		{"square, exact", series(steps, 4, 0, square), 2, 1e-9},
		{"square with noise", series(steps, 6, 0.2, square), 2, 0.2},
		{"linear with noise", series(steps, 6, 0.2, func(n float64) float64 { return 7 * n }), 1, 0.2},
		{"n log n", series(steps, 6, 0.05, func(n float64) float64 { return n * math.Log(n) }), 1.15, 0.1},
		{"constant", series(steps, 6, 0.1, func(float64) float64 { return 5 }), 0, 0.15},
		{"two kinds of minutes", mixed, 2, 0.1},
		{"too few points", series(steps, 2, 0, square), 0, 0},
		{"too near to one another", series([]float64{1000, 1500, 2900}, 9, 0, square), 0, 0},
		{"just far enough", series([]float64{1000, 3000}, 4, 0, square), 2, 1e-9},
		{"nobody, nothing", []feature.Point{{}, {People: 5}, {People: 5, Cost: 1}, {Cost: 1, Churn: 1}}, 0, 0},
		{"none", nil, 0, 0},
	} {
		g, ok := feature.GrowthOf(c.points)
		if known := c.off > 0; ok != known {
			t.Errorf("%s: known %v, want %v: %+v", c.name, ok, known, g)
			continue
		}
		if math.Abs(g.Exponent-c.want) > c.off {
			t.Errorf("%s: %.3f, want %.3f ± %.3f", c.name, g.Exponent, c.want, c.off)
		}
		if ok && (g.Low > g.Exponent || g.High < g.Exponent) {
			t.Errorf("%s: %.3f is not in %.3f..%.3f", c.name, g.Exponent, g.Low, g.High)
		}
	}
}

// TestGrowthConfidence: the interval holds the true exponent 95 times in 100.
func TestGrowthConfidence(t *testing.T) {
	const rounds = 2000
	rng := rand.New(rand.NewPCG(3, 4))
	hit := 0
	for range rounds {
		var list []feature.Point
		for i := range 9 {
			n := []float64{100, 300, 900}[i%3]
			list = append(list, feature.Point{People: n, Cost: math.Pow(n, 1.7) * math.Exp(0.4*rng.NormFloat64()), Churn: 1})
		}
		if g, ok := feature.GrowthOf(list); ok && g.Low <= 1.7 && 1.7 <= g.High {
			hit++
		}
	}
	// 1,900 expected, standard deviation 9.7.
	if hit < 1860 || hit > 1940 {
		t.Errorf("%d of %d intervals hold the exponent", hit, rounds)
	}
}
