package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/overload"
	"github.com/bearhug/bearhug/store"
)

// waited is told how long transactions and statements wait for their turn.
type waited func(db.Line, time.Duration)

// A dbLine is where waiting in a line of the database is counted.
type dbLine struct {
	line  db.Line
	place overload.Place
	class overload.Class
}

// dbLines are the lines of the database. The lanes of the writer do not know
// classes: the archive's has messages of all, the other what is done besides.
// A connection is what a sign-in waits for, and who writes to somebody new.
func dbLines() []dbLine {
	return []dbLine{
		{db.ArchiveLine, overload.Writer, overload.Care},
		{db.WriteLine, overload.Writer, overload.History},
		{db.PoolLine, overload.Pool, overload.Return},
	}
}

// waits has the signal told of what waits for the database.
func (n *Node) waits() waited {
	lines := dbLines()
	return func(line db.Line, wait time.Duration) {
		l := lines[line]
		n.Signal.At(l.place).Add(l.class, wait)
	}
}

// startSignal has the signal read until ctx ends, and told to the processes
// that share the database.
func (n *Node) startSignal(ctx context.Context) {
	for _, l := range dbLines() {
		n.Signal.Watch(l.place, func() (since [overload.Classes]time.Time) {
			since[l.class] = n.Store.DB().Oldest(l.line)
			return since
		})
	}
	n.chat.running.Go(func() { n.Signal.Run(ctx) })
	n.chat.running.Go(func() { n.tellPressure(ctx) })
}

const (
	// tellEvery is how far the rows of pressure are apart.
	tellEvery = time.Second
	// forgetAfter is when the row of a node is deleted that tells nothing more.
	forgetAfter = time.Hour
)

// tellPressure writes how long work waits here for the processes that share the
// database, until ctx ends; then the row goes. With SQLite nobody reads it.
func (n *Node) tellPressure(ctx context.Context) {
	if !n.Store.Shared() {
		return
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	name, failing, thinned := n.name(), false, time.Time{}
	for {
		err := n.tellOnce(ctx, name)
		if now := time.Now(); err == nil && now.Sub(thinned) > forgetAfter {
			thinned, err = now, n.Store.ThinPressure(ctx, now.Add(-forgetAfter))
		}
		if err != nil && !failing && ctx.Err() == nil {
			n.Log.Log(ctx, store.Severity(err), "outreach stands still in other processes until this works again", "cause", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := n.Store.DropPressure(end, name); err != nil {
				n.Log.Log(end, store.Severity(err), "the row of pressure stays; outreach waits a minute for this process", "cause", err)
			}
			return
		case <-tick.C:
		}
	}
}

func (n *Node) tellOnce(ctx context.Context, name string) error {
	p := n.pressure()
	waits, err := json.Marshal(p.Waits)
	if err != nil {
		return err
	}
	return n.Store.SetPressure(ctx, store.PressureRow{Node: name, At: time.Now(), Pressure: p.Pressure, Waits: waits})
}

// name is this process among those that share a database: its data directory
// belongs to nobody else on its machine.
func (n *Node) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	dir, err := filepath.Abs(n.Config.Data)
	if err != nil {
		dir = n.Config.Data
	}
	if name := host + ":" + dir; len(name) <= longestName {
		return name
	}
	return fmt.Sprintf("%.100s:%x", host, sha256.Sum256([]byte(dir)))
}

// longestName is how long the name of a node may be in its row, bytes.
const longestName = 255

// overloadMetrics adds what waits, and the pressure, to /metrics.
func (n *Node) overloadMetrics(m *ops.Metrics) {
	const help = "how long what people feel (classes 0 to 2) waited in the last second, by place; of: mean, p99, max, oldest (waits still)"
	for _, p := range n.pressure().Waits {
		m.Gauge("bearhug_overload_wait_seconds", help, p.Mean/1e3, "place", p.Place, "of", "mean")
		m.Gauge("bearhug_overload_wait_seconds", help, p.P99/1e3, "place", p.Place, "of", "p99")
		m.Gauge("bearhug_overload_wait_seconds", help, p.Max/1e3, "place", p.Place, "of", "max")
		m.Gauge("bearhug_overload_wait_seconds", help, p.Oldest/1e3, "place", p.Place, "of", "oldest")
	}
	m.Gauge("bearhug_overload_pressure", "the queueing time of what people feel as a part of the target, overload.target: 1 is all of it", n.Signal.Pressure())
	m.Gauge("bearhug_overload_target_seconds", "the lever overload.target", n.Signal.Target().Seconds())
}

// Pressure is how long work waits on a server.
type Pressure struct {
	Pressure float64     `json:"pressure"`  // 0 to 1
	Wait     float64     `json:"wait_ms"`   // the queueing time that it is made of
	Target   float64     `json:"target_ms"` // the lever overload.target
	Waits    []PlaceWait `json:"waits,omitempty"`
}

// PlaceWait is how long classes 0 to 2 waited at one place in the last second;
// Oldest is of what waits still. All times in ms.
type PlaceWait struct {
	Place  string  `json:"place"`
	Count  uint64  `json:"count"` // measured; of streams one in four is
	Mean   float64 `json:"mean_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
	Oldest float64 `json:"oldest_ms"`
}

// pressure reads the signal.
func (n *Node) pressure() Pressure {
	p := Pressure{Pressure: n.Signal.Pressure(), Wait: ms(n.Signal.Wait()), Target: ms(n.Signal.Target())}
	for place := range overload.Place(overload.Places) {
		f := n.Signal.Window(place, overload.Care, overload.Chat)
		p.Waits = append(p.Waits, PlaceWait{
			Place: place.String(), Count: f.Count, Mean: ms(f.Mean), P99: ms(f.P99), Max: ms(f.Max), Oldest: ms(f.Oldest),
		})
	}
	return p
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
