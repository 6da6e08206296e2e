package feature

import (
	"math"
	"slices"
)

// A Point is what a feature cost in a span of time: one row of the ledger.
type Point struct {
	People float64 // online
	Cost   float64 // per minute, in any unit
	Churn  float64 // calls a person and minute: how much was going on
}

// Growth says how the cost of a feature grows with the people online: as their
// number to the power of Exponent, which lies between Low and High with 95 %
// confidence.
type Growth struct {
	Exponent float64 `json:"exponent"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Points   int     `json:"points"`
}

// What a growth can be told from.
const (
	leastPoints = 8
	leastSpread = 3.0 // most people over fewest
	churnBin    = 2.0 // points whose churn is within this factor are comparable
)

// GrowthOf is the slope of log(cost) over log(people) by least squares, with the
// interval of Student's t. Points count only where as much was going on for
// each person: of all ranges of churn whose ends are a factor of 2 apart the one
// with the most points is taken that spreads far enough, the widest of equals.
// ok is false when no range has 8 points and 3 times as many people at one end
// as at the other: the growth is unknown.
func GrowthOf(points []Point) (g Growth, ok bool) {
	list := make([]Point, 0, len(points))
	for _, p := range points {
		if p.People >= 1 && p.Cost > 0 && p.Churn > 0 {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Point) int {
		switch {
		case a.Churn < b.Churn:
			return -1
		case a.Churn > b.Churn:
			return 1
		}
		return 0
	})
	best, bestSpread := []Point(nil), 0.0
	for from, to := 0, 0; from < len(list); from++ {
		for to < len(list) && list[to].Churn <= churnBin*list[from].Churn {
			to++
		}
		bin := list[from:to]
		spread := spreadOf(bin)
		if len(bin) < leastPoints || spread < leastSpread || len(bin) < len(best) ||
			len(bin) == len(best) && spread <= bestSpread {
			continue
		}
		best, bestSpread = bin, spread
	}
	if best == nil {
		return Growth{}, false
	}
	return slope(best), true
}

func spreadOf(points []Point) float64 {
	low, high := math.Inf(1), 0.0
	for _, p := range points {
		low, high = min(low, p.People), max(high, p.People)
	}
	return high / low
}

// slope is the regression; the points have at least two numbers of people.
func slope(points []Point) Growth {
	n := float64(len(points))
	var mx, my float64
	for _, p := range points {
		mx += math.Log(p.People) / n
		my += math.Log(p.Cost) / n
	}
	var sxx, sxy, syy float64
	for _, p := range points {
		dx, dy := math.Log(p.People)-mx, math.Log(p.Cost)-my
		sxx += dx * dx
		sxy += dx * dy
		syy += dy * dy
	}
	b := sxy / sxx
	rest := max(syy-b*sxy, 0)
	half := studentT(len(points)-2) * math.Sqrt(rest/(n-2)/sxx)
	return Growth{Exponent: b, Low: b - half, High: b + half, Points: len(points)}
}

// studentT is the 97.5 % quantile of Student's t with df ≥ 1 degrees of
// freedom: of the normal one, by the expansion of Cornish and Fisher, which is
// right to 0.001 from 6 on (leastPoints - 2).
func studentT(df int) float64 {
	const z = 1.959963984540054
	n := float64(df)
	z3, z5, z7, z9 := math.Pow(z, 3), math.Pow(z, 5), math.Pow(z, 7), math.Pow(z, 9)
	return z + (z3+z)/(4*n) + (5*z5+16*z3+3*z)/(96*n*n) + (3*z7+19*z5+17*z3-15*z)/(384*n*n*n) +
		(79*z9+776*z7+1482*z5-1920*z3-945*z)/(92160*n*n*n*n)
}
