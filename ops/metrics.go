package ops

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime/metrics"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearhug/bearhug/feature"
)

// Metrics is one page of metrics being written, in Prometheus' text format
// 0.0.4. Label values come from lists known in advance; an address or an
// organisation is never one.
type Metrics struct {
	families []family
	index    map[string]int
}

type family struct {
	name, kind, help string
	lines            []string
}

// Gauge adds a value that goes up and down. Labels are name, value, …
func (m *Metrics) Gauge(name, help string, v float64, labels ...string) {
	m.add(name, "gauge", help, name+labelText(labels), v)
}

// Counter adds a value that only grows; its name ends in _total.
func (m *Metrics) Counter(name, help string, v float64, labels ...string) {
	m.add(name, "counter", help, name+labelText(labels), v)
}

// Histogram adds a distribution: counts[i] observations were ≤ bounds[i] and
// above the bound before, the last count was above all bounds.
func (m *Metrics) Histogram(name, help string, bounds []float64, counts []uint64, sum float64) {
	var total uint64
	for i, n := range counts {
		total += n
		le := math.Inf(1)
		if i < len(bounds) {
			le = bounds[i]
		}
		m.add(name, "histogram", help, fmt.Sprintf("%s_bucket{le=%q}", name, number(le)), float64(total))
	}
	m.add(name, "histogram", help, name+"_sum", sum)
	m.add(name, "histogram", help, name+"_count", float64(total))
}

func (m *Metrics) add(name, kind, help, series string, v float64) {
	i, ok := m.index[name]
	if !ok {
		if m.index == nil {
			m.index = map[string]int{}
		}
		i = len(m.families)
		m.index[name] = i
		m.families = append(m.families, family{name: name, kind: kind, help: help})
	}
	m.families[i].lines = append(m.families[i].lines, series+" "+number(v))
}

// WriteTo writes the page, families in order of name.
func (m *Metrics) WriteTo(w io.Writer) (int64, error) {
	sort.Slice(m.families, func(i, j int) bool { return m.families[i].name < m.families[j].name })
	m.index = nil
	var b strings.Builder
	for _, f := range m.families {
		help := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(f.help)
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, help, f.name, f.kind)
		for _, l := range f.lines {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func labelText(pairs []string) string {
	if len(pairs) < 2 {
		return ""
	}
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b.WriteByte(sep)
		v := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(pairs[i+1])
		b.WriteString(pairs[i] + `="` + v + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// ledger adds what each feature has cost, over all organisations: who they are
// and how much each of them uses is nobody's business who can read metrics.
func (m *Metrics) ledger(b *feature.Board) {
	total := map[string]*feature.Row{}
	for _, f := range b.Features() {
		total[f.Name] = &feature.Row{}
	}
	for _, r := range b.Snapshot() {
		total[r.Feature].Add(&r)
	}
	for _, f := range b.Features() {
		t := total[f.Name]
		prefix := "bearhug_" + strings.ReplaceAll(f.Name, "-", "_")
		each := func(what, help string, v float64) {
			m.Counter(prefix+"_"+what+"_total", f.Name+": "+help, v)
		}
		each("calls", "hooks and handlers run", float64(t.Calls))
		each("cpu_seconds", "processor time, estimated from samples", seconds(b.Peak(f.ID, t.CPU)))
		each("in_bytes", "bytes from clients", float64(t.BytesIn))
		each("out_bytes", "bytes to clients", float64(t.BytesOut))
		each("cluster_bytes", "bytes to other nodes", float64(t.ClusterBytes))
		each("statements", "SQL statements", float64(t.Statements))
		each("replica_statements", "SQL statements that a replica answered", float64(t.Replica))
		each("rows", "rows read or changed", float64(t.Rows))
		each("sql_seconds", "time inside the database", seconds(t.SQLTime))
		each("wait_seconds", "time waited for the database", seconds(t.Wait))
		if !f.Always {
			on := 0.0
			if b.On(f.ID, 0) {
				on = 1
			}
			m.Gauge(prefix+"_on", f.Name+": 1 while the server's switch is on", on)
		}
	}
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// process adds what the operating system and the runtime say.
func (m *Metrics) process(started time.Time) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		m.Counter("process_cpu_seconds_total", "user and system time", seconds(u.Utime.Nano()+u.Stime.Nano()))
	}
	m.Gauge("process_start_time_seconds", "start, seconds since 1970", float64(started.UnixMilli())/1e3)
	if rss := ResidentBytes(); rss > 0 {
		m.Gauge("process_resident_memory_bytes", "resident memory", float64(rss))
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		m.Gauge("process_open_fds", "descriptors open", float64(len(open)-1)) // the listing's own
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		m.Gauge("process_max_fds", "descriptors allowed", float64(r.Cur))
	}
	runtimeMetrics(m)
}

// ResidentBytes is this process's resident memory; 0 where /proc does not say.
func ResidentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func runtimeMetrics(m *Metrics) {
	list := []struct{ from, name, help string }{
		{"/sched/goroutines:goroutines", "go_goroutines", "goroutines"},
		{"/memory/classes/heap/objects:bytes", "go_heap_objects_bytes", "heap in use, dead objects not yet swept included"},
		{"/memory/classes/heap/stacks:bytes", "go_stacks_bytes", "goroutine stacks"},
		{"/memory/classes/total:bytes", "go_memory_bytes", "memory the runtime has mapped"},
		{"/gc/heap/live:bytes", "go_heap_live_bytes", "heap that the last collection found alive"},
		{"/gc/heap/goal:bytes", "go_heap_goal_bytes", "heap size that starts the next collection"},
		{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "collections"},
		{"/gc/heap/allocs:bytes", "go_allocated_bytes_total", "bytes allocated"},
		{"/gc/heap/allocs:objects", "go_allocated_objects_total", "objects allocated"},
		{"/cpu/classes/gc/total:cpu-seconds", "go_gc_cpu_seconds_total", "processor time of collections, estimated"},
		{"/sync/mutex/wait/total:seconds", "go_mutex_wait_seconds_total", "time goroutines waited for locks"},
	}
	samples := make([]metrics.Sample, len(list))
	for i := range list {
		samples[i].Name = list[i].from
	}
	metrics.Read(samples)
	for i, s := range samples {
		var v float64
		switch s.Value.Kind() {
		case metrics.KindUint64:
			v = float64(s.Value.Uint64())
		case metrics.KindFloat64:
			v = s.Value.Float64()
		default:
			continue // not in this runtime
		}
		if strings.HasSuffix(list[i].name, "_total") {
			m.Counter(list[i].name, list[i].help, v)
		} else {
			m.Gauge(list[i].name, list[i].help, v)
		}
	}
}
