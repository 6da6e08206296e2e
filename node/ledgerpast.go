package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
)

// What the history is asked for.
const (
	growthOver  = 24 * time.Hour // rows that tell the growth
	trendWidth  = 5 * time.Minute
	hourAgo     = time.Hour
	weekAgo     = 7 * 24 * time.Hour
	historyFor  = 10 * time.Second // how long it is not read again
	historyRows = 60000            // read at most: dense rows tell of fewer hours
	histories   = 32               // organisations whose history is kept
	growthEvery = 5 * time.Minute  // how often it is read for /metrics, while somebody reads these
)

// history is what was last made of the rows of an organisation.
type history struct {
	at   time.Time
	past map[string]*past
}

// past is what a feature cost before.
type past struct {
	hour, week float64 // ns of CPU a second
	points     []feature.Point
	sent       []float64 // by point: bytes to clients, a minute
	around     []float64 // by point: calls of all features, a person and minute
	calls      bool      // it has calls of its own
	growth     *feature.Growth
	sends      *feature.Growth
}

// compare fills in what the past says of a row.
func (p *past) compare(row *TopRow) {
	if p == nil {
		return
	}
	now := row.CPU * 1e7
	if p.hour > 0 {
		times := now / p.hour
		row.HourAgo = &times
	}
	if p.week > 0 {
		times := now / p.week
		row.WeekAgo = &times
	}
	row.Growth, row.Sends = p.growth, p.sends
}

// past reads the history of an organisation, or of all when it is 0; for ten
// seconds it is what it was.
func (b *books) past(ctx context.Context, org feature.Org) (map[string]*past, error) {
	b.mu.Lock()
	h := b.history[org]
	b.mu.Unlock()
	now := time.Now()
	if h != nil && now.Sub(h.at) < historyFor {
		return h.past, nil
	}
	h = &history{at: now, past: map[string]*past{}}
	trend := func(ago time.Duration, set func(*past, float64)) error {
		sums, err := b.sums(ctx, org, now.Add(-ago-trendWidth), now.Add(-ago+trendWidth))
		for name, s := range sums {
			set(h.of(name), s.cpu/s.seconds)
		}
		return err
	}
	if err := trend(hourAgo, func(p *past, v float64) { p.hour = v }); err != nil {
		return nil, err
	}
	if err := trend(weekAgo, func(p *past, v float64) { p.week = v }); err != nil {
		return nil, err
	}
	if err := b.grow(ctx, org, h, now); err != nil {
		return nil, err
	}
	b.keepHistory(org, h)
	return h.past, nil
}

// keepHistory keeps what was made of an organisation's rows; the oldest goes
// when there are too many.
func (b *books) keepHistory(org feature.Org, h *history) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.history == nil {
		b.history = map[feature.Org]*history{}
	}
	b.history[org] = h
	for len(b.history) > histories {
		oldest := org
		for o, h := range b.history {
			if h.at.Before(b.history[oldest].at) {
				oldest = o
			}
		}
		delete(b.history, oldest)
	}
}

// metrics adds how features grow to /metrics: what is not known is not there.
// The history is not read for it here: that somebody asked is noted, and the
// books read it within seconds and then now and then.
func (b *books) metrics(m *ops.Metrics) {
	b.mu.Lock()
	b.scraped = time.Now()
	h := b.history[0]
	b.mu.Unlock()
	if h == nil || time.Since(h.at) > 2*growthEvery {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(h.past)) {
		for _, of := range []struct {
			what   string
			growth *feature.Growth
		}{{"cpu", h.past[name].growth}, {"sent", h.past[name].sends}} {
			g, labels := of.growth, []string{"feature", name, "of", of.what}
			if g == nil {
				continue
			}
			m.Gauge("bearhug_growth_exponent", "cost, or bytes sent, grow as the people online to this power", g.Exponent, labels...)
			m.Gauge("bearhug_growth_low", "the power is above this with 97.5 % confidence", g.Low, labels...)
			m.Gauge("bearhug_growth_high", "the power is below this with 97.5 % confidence", g.High, labels...)
			m.Gauge("bearhug_growth_points", "rows of the history that it is told from", float64(g.Points), labels...)
		}
	}
}

// refresh reads the history for metrics when it is due.
func (b *books) refresh(ctx context.Context) {
	b.mu.Lock()
	h := b.history[0]
	asked := !b.scraped.IsZero() && time.Since(b.scraped) < growthEvery
	b.mu.Unlock()
	if !asked || h != nil && time.Since(h.at) < growthEvery {
		return
	}
	if _, err := b.past(ctx, 0); err != nil && ctx.Err() == nil {
		b.node.Log.Warn("how costs grow is not known for now", "cause", err)
	}
}

func (h *history) of(name string) *past {
	if h.past[name] == nil {
		h.past[name] = &past{}
	}
	return h.past[name]
}

// sum is what a feature cost in a stretch of the history.
type sum struct{ cpu, seconds float64 }

// sums adds up the rows of a stretch of time, feature by feature.
func (b *books) sums(ctx context.Context, org feature.Org, from, until time.Time) (map[string]sum, error) {
	rows, err := b.node.Store.Ledger(ctx, from, until, historyRows)
	if err != nil {
		return nil, err
	}
	out := map[string]sum{}
	var seconds float64
	var last time.Time
	for i := range rows {
		r := &rows[i]
		if !r.At.Equal(last) {
			last = r.At
			seconds += r.Span.Seconds()
		}
		if org == 0 || r.Org == org {
			s := out[r.Feature]
			s.cpu += float64(r.CPU)
			out[r.Feature] = s
		}
	}
	for name, s := range out {
		s.seconds = max(seconds, 1e-3)
		out[name] = s
	}
	return out, nil
}

// grow reads how costs grew with the people online.
func (b *books) grow(ctx context.Context, org feature.Org, h *history, now time.Time) error {
	over := growthOver
	rows, err := b.node.Store.Ledger(ctx, now.Add(-over), now, historyRows)
	for err == nil && len(rows) == historyRows {
		over /= 4
		rows, err = b.node.Store.Ledger(ctx, now.Add(-over), now, historyRows)
	}
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		n, people := 0, 0
		costs := map[string]feature.Row{}
		for ; n < len(rows) && rows[n].At.Equal(rows[0].At); n++ {
			r := &rows[n]
			if r.Org == org {
				people = max(people, r.Online)
			}
			if org == 0 || r.Org == org {
				s := costs[r.Feature]
				s.Add(&r.Row)
				costs[r.Feature] = s
			}
		}
		h.add(costs, people, rows[0].Span.Minutes())
		rows = rows[n:]
	}
	for _, p := range h.past {
		p.grow()
	}
	return nil
}

// add notes what the features cost in one span of time.
func (h *history) add(costs map[string]feature.Row, people int, minutes float64) {
	if people <= 0 || minutes <= 0 {
		return
	}
	var all int64
	for _, c := range costs {
		all += c.Calls
	}
	each := minutes * float64(people)
	for name, c := range costs {
		p := h.of(name)
		p.calls = p.calls || c.Calls > 0
		p.points = append(p.points, feature.Point{People: float64(people), Cost: float64(c.CPU) / minutes, Churn: float64(c.Calls) / each})
		p.sent = append(p.sent, float64(c.BytesOut)/minutes)
		p.around = append(p.around, float64(all)/each)
	}
}

// grow tells the growth from the points. What has no calls of its own (stream,
// archive, signin) serves those who have: its churn is that of all together.
func (p *past) grow() {
	for i := range p.points {
		if !p.calls {
			p.points[i].Churn = p.around[i]
		}
	}
	if g, ok := feature.GrowthOf(p.points); ok {
		p.growth = &g
	}
	for i := range p.points {
		p.points[i].Cost = p.sent[i]
	}
	if g, ok := feature.GrowthOf(p.points); ok {
		p.sends = &g
	}
	p.points, p.sent, p.around = nil, nil, nil
}
