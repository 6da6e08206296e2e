package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
)

// TopArgs says what of the ledger is asked for.
type TopArgs struct {
	Org  string `json:"org,omitempty"`  // a domain: only what it costs; "": all
	Orgs bool   `json:"orgs,omitempty"` // a row for each (feature, organisation)
	Rows int    `json:"rows,omitempty"` // at most; 0: 200
}

// Top is what things cost now: per second, on average over Seconds.
type Top struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Online  int       `json:"online"`
	// CPU is of the whole process, Measured what the spans of the features add
	// up to, an estimate, and Named what the rows do: the same, but never more
	// than was spent (feature.Fit). All in percent of one processor.
	CPU      float64  `json:"cpu_percent"`
	Measured float64  `json:"measured_percent"`
	Named    float64  `json:"named_percent"`
	Rows     []TopRow `json:"rows"` // the dearest first; "runtime" among them
}

// TopRow is one feature, or one feature for one organisation.
type TopRow struct {
	Feature string `json:"feature"`
	Org     string `json:"org,omitempty"`

	CPU         float64 `json:"cpu_percent"`                // of one processor
	PerThousand float64 `json:"cpu_ms_per_thousand_people"` // ms of CPU a second for 1,000 people online
	Calls       float64 `json:"calls_per_second"`
	SQL         float64 `json:"sql_per_second"`
	SQLTime     float64 `json:"sql_ms_per_second"`
	RowsRate    float64 `json:"rows_per_second"`
	BytesIn     float64 `json:"bytes_in_per_second"`
	BytesOut    float64 `json:"bytes_out_per_second"`
	Cluster     float64 `json:"cluster_bytes_per_second"`
	Wait        float64 `json:"wait_ms_per_second"`

	// How the CPU compares with what it was; nil: not known.
	HourAgo *float64 `json:"times_hour_ago,omitempty"`
	WeekAgo *float64 `json:"times_week_ago,omitempty"`
	// Growth is how it grows with the people online; nil: not known.
	Growth *feature.Growth `json:"growth,omitempty"`

	Lever string  `json:"lever,omitempty"` // what would help, as `lever set` takes it
	Saves float64 `json:"saves_percent,omitempty"`
	// Assumed says that Saves rests on a share that the lever declares.
	Assumed bool `json:"saves_assumed,omitempty"`
}

// window is what was spent lately: since the oldest of the recent readings.
func (b *books) window() (from, to reading) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from = b.recent[0]
	if to = b.recent[len(b.recent)-1]; len(b.recent) == 1 {
		to = b.read()
	}
	return from, to
}

// ratesOf are what each feature cost between two readings, for one organisation
// or, when it is 0, for all.
func ratesOf(from, to *reading, org feature.Org) (rates map[string]feature.Row, seconds float64) {
	rates = map[string]feature.Row{}
	rows, _ := to.since(from)
	for _, r := range rows {
		if org == 0 || r.Org == org {
			sum := rates[r.Feature]
			sum.Add(&r)
			rates[r.Feature] = sum
		}
	}
	return rates, max(to.at.Sub(from.at).Seconds(), 1e-3)
}

// top answers ledger.top.
func (b *books) top(c *ops.Call) (any, error) {
	var arg TopArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	if arg.Rows <= 0 || arg.Rows > 10000 {
		arg.Rows = 200
	}
	orgs, err := b.node.Store.Orgs(c.Context())
	if err != nil {
		return nil, fmt.Errorf("top: %w", err)
	}
	domains := map[feature.Org]string{}
	for _, o := range orgs {
		domains[o.ID] = o.Domain
	}
	var only feature.Org
	if arg.Org != "" {
		if only, err = b.node.admin().org(c.Context(), arg.Org); err != nil {
			return nil, fmt.Errorf("top: %w", err)
		}
	}
	past, err := b.past(c.Context(), only)
	if err != nil {
		return nil, err
	}
	from, to := b.window()
	t := Top{At: to.at, Seconds: max(to.at.Sub(from.at).Seconds(), 1e-3), Online: to.online[only]}
	costs, measured := to.since(&from)
	percent := func(ns int64) float64 { return float64(ns) / t.Seconds / 1e7 }
	t.CPU, t.Measured = percent(to.cpu-from.cpu), percent(measured)
	for _, r := range costs {
		if r.Feature != runtimeName {
			t.Named += percent(r.CPU)
		}
	}
	rates, seconds := ratesOf(&from, &to, only)
	list := summed(costs, only, arg.Orgs)
	for _, r := range list[:min(len(list), arg.Rows)] {
		row := topRow(&r, t.Seconds, to.online[max(only, r.Org)])
		row.Org = domains[r.Org]
		if r.Org == 0 || only != 0 {
			past[r.Feature].compare(&row)
		}
		row.Lever, row.Saves, row.Assumed = b.helps(r.Feature, only, rates, seconds)
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// summed adds up the rows of each feature, of each organisation by itself if
// they are asked for; of only one unless it is 0. The dearest come first.
func summed(costs []feature.Row, only feature.Org, orgs bool) []feature.Row {
	merged := map[accountKey]*feature.Row{}
	for _, r := range costs {
		if only != 0 && r.Org != only {
			continue
		}
		key := accountKey{feature: r.Feature}
		if orgs {
			key.org = r.Org
		}
		if sum := merged[key]; sum != nil {
			sum.Add(&r)
		} else {
			r.Org = key.org
			merged[key] = &r
		}
	}
	list := make([]feature.Row, 0, len(merged))
	for _, r := range merged {
		list = append(list, *r)
	}
	slices.SortFunc(list, dearest)
	return list
}

func topRow(r *feature.Row, seconds float64, online int) TopRow {
	each := func(n int64) float64 { return float64(n) / seconds }
	row := TopRow{
		Feature: r.Feature, CPU: each(r.CPU) / 1e7, Calls: each(r.Calls),
		SQL: each(r.Statements), SQLTime: each(r.SQLTime) / 1e6, RowsRate: each(r.Rows),
		BytesIn: each(r.BytesIn), BytesOut: each(r.BytesOut), Cluster: each(r.ClusterBytes), Wait: each(r.Wait) / 1e6,
	}
	if online > 0 {
		row.PerThousand = each(r.CPU) / 1e6 * 1000 / float64(online)
	}
	return row
}

// saved is the CPU, ns a second, that a lever would save at value to, being at
// value now, from what its features cost now.
func saved(l *feature.Lever, now, to int64, rates map[string]feature.Row, seconds float64) (ns float64) {
	for _, s := range l.Saves {
		rate := rates[s.Feature]
		base := float64(rate.CPU)
		if s.Sent {
			base = float64(rate.Sent)
		}
		if left := 1 - s.Shares[now]; left > 1e-6 {
			ns += base / seconds * (s.Shares[to] - s.Shares[now]) / left
		}
	}
	return ns
}

// helps is the lever that would save most of what a feature costs, at the
// mildest value that saves at least half of what its strongest does, and what
// part of the feature's CPU that is.
func (b *books) helps(name string, org feature.Org, rates map[string]feature.Row, seconds float64) (set string, percent float64, assumed bool) {
	cost := float64(rates[name].CPU) / seconds
	if cost <= 0 {
		return "", 0, false
	}
	best := 0.0
	for _, l := range b.node.Board.Levers() {
		if !slices.ContainsFunc(l.Saves, func(s feature.Saving) bool { return s.Feature == name }) {
			continue
		}
		now := b.node.Board.Dial(l.Name).Int(org)
		most, at := 0.0, now
		for v := range l.Values {
			most = max(most, saved(&l, now, int64(v), rates, seconds))
		}
		for v := range l.Values {
			if saves := saved(&l, now, int64(v), rates, seconds); saves >= most/2 && (at == now || saves < saved(&l, now, at, rates, seconds)) && saves > 0 {
				at = int64(v)
			}
		}
		if at != now && most > best {
			best = most
			set, percent = l.Name+" "+l.Word(at), 100*saved(&l, now, at, rates, seconds)/cost
			assumed = l.Assumed(now) || l.Assumed(at)
		}
	}
	return set, min(percent, 100), assumed
}

// What the history is asked for.
const (
	growthOver  = 24 * time.Hour // rows that tell the growth
	trendWidth  = 5 * time.Minute
	hourAgo     = time.Hour
	weekAgo     = 7 * 24 * time.Hour
	historyFor  = 10 * time.Second // how long it is not read again
	historyRows = 60000            // read at most: dense rows tell of fewer hours
)

// history is what was last made of the rows of an organisation.
type history struct {
	org  feature.Org
	at   time.Time
	past map[string]*past
}

// past is what a feature cost before.
type past struct {
	hour, week float64 // ns of CPU a second
	points     []feature.Point
	around     []float64 // by point: calls of all features, a person and minute
	calls      bool      // it has calls of its own
	growth     *feature.Growth
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
	row.Growth = p.growth
}

// past reads the history of an organisation, or of all when it is 0; for ten
// seconds it is what it was.
func (b *books) past(ctx context.Context, org feature.Org) (map[string]*past, error) {
	b.mu.Lock()
	h := b.history
	b.mu.Unlock()
	now := time.Now()
	if h.org == org && h.past != nil && now.Sub(h.at) < historyFor {
		return h.past, nil
	}
	h = history{org: org, at: now, past: map[string]*past{}}
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
	if err := b.grow(ctx, &h, now); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.history = h
	b.mu.Unlock()
	return h.past, nil
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
func (b *books) grow(ctx context.Context, h *history, now time.Time) error {
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
			if r.Org == h.org {
				people = max(people, r.Online)
			}
			if h.org == 0 || r.Org == h.org {
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
	p.points, p.around = nil, nil
}
