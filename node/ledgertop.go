package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/router"
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
	CPU      float64 `json:"cpu_percent"`
	Measured float64 `json:"measured_percent"`
	Named    float64 `json:"named_percent"`
	// Overload is how long work waits, on the whole server.
	Overload Pressure `json:"overload"`
	Rows     []TopRow `json:"rows"` // the dearest first; "runtime" among them
	// Clients are the sessions by client (XEP-0115), the most frequent first,
	// of all organisations; none when one is asked for.
	Clients []router.ClientCount `json:"clients,omitempty"`
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
	// Growth is how the CPU grows with the people online, Sends how the bytes
	// do that are sent to clients; nil: not known. In a large group what is sent
	// grows faster than its cost: changes leave together.
	Growth *feature.Growth `json:"growth,omitempty"`
	Sends  *feature.Growth `json:"sends,omitempty"`

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
	t := Top{At: to.at, Seconds: max(to.at.Sub(from.at).Seconds(), 1e-3), Online: to.online[only], Overload: b.node.pressure()}
	costs, measured := to.since(&from)
	percent := func(ns int64) float64 { return float64(ns) / t.Seconds / 1e7 }
	t.CPU, t.Measured = percent(to.cpu-from.cpu), percent(measured)
	for _, r := range costs {
		if r.Feature != runtimeName {
			t.Named += percent(r.CPU)
		}
	}
	if only == 0 {
		t.Clients = b.node.clients(mostClients)
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
