package store_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// world makes messages between people as the archive would.
type world struct {
	people []store.AccountID
	peers  []store.Peer
	seq    uint64
	stanza []byte
	rnd    *rand.Rand
}

func newWorld(people int, seed uint64) *world {
	w := &world{seq: uint64(time.Now().UnixMilli()) << 16, stanza: make([]byte, 350), rnd: rand.New(rand.NewPCG(seed, 1))}
	for i := range w.stanza {
		w.stanza[i] = byte('a' + i%26)
	}
	base := store.AccountID(time.Now().Add(-1000*time.Hour).UnixMilli() << 16)
	for i := range people {
		w.people = append(w.people, base+store.AccountID(i)<<10)
		w.peers = append(w.peers, store.Peer(w.rnd.Uint64()))
	}
	return w
}

func (w *world) id() (id store.ID) {
	w.seq += 1 + w.rnd.Uint64N(100)
	binary.BigEndian.PutUint64(id[:8], w.seq)
	binary.BigEndian.PutUint64(id[8:], w.rnd.Uint64())
	return id
}

// batch is n messages over random pairs, and the cursors that delivery moves.
func (w *world) batch(n int) *store.Batch {
	b := &store.Batch{}
	for range n {
		from, to := w.rnd.IntN(len(w.people)), w.rnd.IntN(len(w.people))
		m := store.Message{Org: 1, ID: w.id(), Stanza: w.stanza, Copies: []store.Copy{
			{Owner: w.people[from], Peer: w.peers[to], Flags: store.FlagBody, Origin: w.rnd.Uint64()},
			{Owner: w.people[to], Peer: w.peers[from], Flags: store.FlagBody | store.FlagIn},
		}}
		b.Messages = append(b.Messages, m)
		b.Cursors = append(b.Cursors, store.Cursor{Org: 1, Owner: w.people[to], ID: m.ID})
	}
	return b
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func number(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

func benchURL(b *testing.B) string {
	b.Helper()
	switch url := os.Getenv("BEARHUG_BENCH_URL"); url {
	case "":
		return "sqlite:" + filepath.Join(b.TempDir(), "bench.db")
	case "mariadb":
		url, err := storetest.MariaDB(b).Create(context.Background(), "bench")
		if err != nil {
			b.Fatal(err)
		}
		return url
	default:
		return url
	}
}

// BenchmarkArchive is the write path of the archive: batches of 200 messages
// of 350 bytes, two owners each, indexed behind. On one core:
//
//	go test -c -o store.test ./store
//	BEARHUG_PEOPLE=200 taskset -c 0 ./store.test -test.run '^$' -test.bench Archive -test.benchtime 500000x
//	BEARHUG_PEOPLE=10000 BEARHUG_STORED=2000000 taskset -c 0 ./store.test -test.run '^$' -test.bench Archive -test.benchtime 500000x
//
// BEARHUG_BENCH_URL names another database; "mariadb" starts one.
func BenchmarkArchive(b *testing.B) {
	s := storetest.OpenURL(b, benchURL(b))
	w := newWorld(number("BEARHUG_PEOPLE", 200), 7)
	ctx := context.Background()
	top, err := s.Greatest(ctx)
	if err != nil {
		b.Fatal(err)
	}
	w.seq = max(w.seq, binary.BigEndian.Uint64(top[:8]))
	for range number("BEARHUG_STORED", 0) / 1000 {
		if err := s.AppendBatch(ctx, w.batch(1000)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	const size = 200
	n := max(b.N/size, 1)
	batches := make([]*store.Batch, n)
	for i := range batches {
		batches[i] = w.batch(size)
	}
	took := make([]time.Duration, n)
	b.ResetTimer()
	cpu := cpuTime()
	for i, batch := range batches {
		start := time.Now()
		if err := s.AppendBatch(ctx, batch); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	if err := s.Flush(ctx); err != nil { // what is behind belongs to the price
		b.Fatal(err)
	}
	cpu = cpuTime() - cpu
	b.StopTimer()
	slices.Sort(took)
	msgs := float64(n * size)
	b.ReportMetric(msgs/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/msgs, "cpu-ns/msg")
	b.ReportMetric(float64(took[n/2].Microseconds()), "p50-us/batch")
	b.ReportMetric(float64(took[n*99/100].Microseconds()), "p99-us/batch")
	b.ReportMetric(float64(took[n-1].Microseconds()), "max-us/batch")
	st := s.DB().Stats()
	b.ReportMetric(float64(st.WriterLongest)/1e3, "longest-hold-us")
}

// BenchmarkReads: one owner with BEARHUG_ROWS rows (1,000,000) of 1,000 peers,
// the first of whom wrote 1 in 1,000.
func BenchmarkReads(b *testing.B) {
	s, ctx := storetest.Open(b), context.Background()
	org, err := s.AddOrg(ctx, "example.org")
	if err != nil {
		b.Fatal(err)
	}
	owner, err := s.CreateAccount(ctx, org, "owner", nil)
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld(1000, 7)
	w.people[0] = owner
	rows := number("BEARHUG_ROWS", 1_000_000)
	var ids []store.ID
	for n := 0; n < rows; n += 1000 {
		batch := w.batch(1000)
		for i := range batch.Messages {
			m := &batch.Messages[i]
			in := store.Flags(w.rnd.IntN(2)) * store.FlagIn
			m.Copies = []store.Copy{{Owner: owner, Peer: w.peers[w.rnd.IntN(1000)], Flags: store.FlagBody | in, Origin: 1}}
		}
		batch.Cursors = nil
		ids = append(ids, batch.Messages[0].ID)
		if err := s.AppendBatch(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	page := func(q store.PageQuery) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				q.Owner, q.Limit = owner, 50
				if !q.Backward {
					q.After = ids[w.rnd.IntN(len(ids))]
				}
				rows, _, err := s.Page(ctx, org, q)
				check(err)
				if len(rows) == 0 && q.Peer == 0 {
					b.Fatal("nothing")
				}
			}
		}
	}
	b.Run("page", page(store.PageQuery{MAMOnly: true}))
	b.Run("last", page(store.PageQuery{MAMOnly: true, Backward: true}))
	b.Run("peer", page(store.PageQuery{MAMOnly: true, Peer: w.peers[0]}))
	b.Run("peer-last", page(store.PageQuery{MAMOnly: true, Peer: w.peers[0], Backward: true}))
	b.Run("undelivered", page(store.PageQuery{Undelivered: true}))
	b.Run("account", func(b *testing.B) {
		for b.Loop() {
			a, err := s.Account(ctx, org, "owner")
			check(err)
			if !a.Undelivered {
				b.Fatal("nothing waits")
			}
		}
	})
	b.Run("bounds", func(b *testing.B) {
		for b.Loop() {
			_, _, err := s.Bounds(ctx, org, owner)
			check(err)
		}
	})
	b.Run("origins", func(b *testing.B) {
		for b.Loop() {
			_, err := s.RecentOrigins(ctx, org, owner, 100)
			check(err)
		}
	})
	b.Run("conversations", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Conversations(ctx, org, owner, store.ID{}, 50)
			check(err)
		}
	})
}

// BenchmarkImport: 100,000 accounts with keys while archive batches of 20 are
// acknowledged every 10 ms; how long both take.
func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		s, ctx, w := storetest.OpenURL(b, benchURL(b)), context.Background(), newWorld(1000, 7)
		if _, err := s.AddOrg(ctx, "example.org"); err != nil {
			b.Fatal(err)
		}
		rows := importRows(100_000, "example.org")
		stop, ended := make(chan struct{}), make(chan []time.Duration)
		go func() {
			var took []time.Duration
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					ended <- took
					return
				case <-tick.C:
				}
				start := time.Now()
				if err := s.AppendBatch(ctx, w.batch(20)); err != nil {
					b.Error(err)
				}
				took = append(took, time.Since(start))
			}
		}()
		start := time.Now()
		res, err := s.Import(ctx, rows, store.ImportOptions{})
		if err != nil || res.Accounts != 100_000 {
			b.Fatal(res, err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/import")
		close(stop)
		took := <-ended
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us/batch")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us/batch")
		b.ReportMetric(float64(s.DB().Stats().WriterOver), "holds-over-20ms")
		b.ReportMetric(float64(s.DB().Stats().WriterLongest)/1e3, "longest-hold-us")
	}
}

// BenchmarkRebuild opens a store as a crash left it: 199,000 messages between
// 10,000 people that are not indexed.
func BenchmarkRebuild(b *testing.B) {
	file := filepath.Join(b.TempDir(), "a.db")
	s, w := storetest.OpenURL(b, "sqlite:"+file), newWorld(10_000, 7)
	for range 199 {
		if err := s.AppendBatch(context.Background(), w.batch(1000)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		copied := filepath.Join(b.TempDir(), "b.db")
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(file + suffix)
			if err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(copied+suffix, data, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		again, err := store.Open(context.Background(), store.Config{URL: "sqlite:" + copied})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		b.StopTimer()
		if err := again.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
