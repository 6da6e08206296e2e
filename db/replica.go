package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
	mysqldriver "github.com/go-sql-driver/mysql"
)

// 1. Each second a goroutine writes a row on the primary: the number of the
//    beat. It remembers when it began to write which.
// 2. Each quarter of a second another goroutine, one for each replica, reads that
//    row there. All that was committed before the beat it finds was begun is on
//    the replica: its age is the lag. No clock but this process's is asked.
// 3. A statement "on: replica" goes to a replica whose lag is under the dial
//    db.lag, and which has all that this process has written for the statement's
//    feature; else to the primary.
// 4. What a replica answers is kept until it is whole, so that whatever goes
//    wrong there ends in the same statement on the primary. The replica is left
//    out then until its row was read again.

const (
	beatEvery    = time.Second
	lookEvery    = beatEvery / 4
	replicaTime  = time.Second            // for an answer of a replica
	replicaWait  = 500 * time.Millisecond // for a connection to one
	replicaConns = 8
	beatsKept    = 1024
	startTime    = 10 * time.Second // after which a replica that knows no heartbeat is told of
	// defaultLag is db.lag where nobody has declared it.
	defaultLag = 5 * time.Second
)

// lagDial says how old a replica may be, ms. The feature "db" is declared by
// whoever makes the board.
const lagDial = "db.lag"

// replicas are the read replicas of a MariaDB, and the heart that beats on its
// primary.
type replicas struct {
	db   *DB
	id   int64 // of our row
	list []*replica
	next atomic.Uint32 // whose turn it is
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex // guards beats and sent; a leaf
	beat int64
	sent [beatsKept]int64 // when each of the last beats was begun, see DB.clock
}

// replica is one of them.
type replica struct {
	number int
	server *mysqldriver.Config
	pool   *pool
	down   atomic.Bool  // something went wrong since its row was read last
	upto   atomic.Int64 // all that was written before is there, see DB.clock; 0: not known
	behind atomic.Bool  // was told to be too far behind, or away
	reads  atomic.Int64
	failed atomic.Int64 // reads that went to the primary after all
}

// clock is the time since this DB was made, ns; it never jumps.
func (d *DB) clock() int64 { return int64(time.Since(d.began)) + 1 }

// openReplicas makes the heartbeat's table and begins.
func (d *DB) openReplicas(ctx context.Context, urls []string) error {
	if len(urls) == 0 {
		return nil
	}
	if d.engine != mysql {
		return errors.New("db.replicas is set, but the database is an SQLite file: only MariaDB and MySQL have replicas")
	}
	r := &replicas{db: d, id: rand.Int64()}
	for i, text := range urls {
		e, _, server, err := parseURL(text)
		if err != nil {
			return fmt.Errorf("replica %d: %w", i+1, err)
		}
		if e != mysql {
			return fmt.Errorf("replica %d: an SQLite file is no replica", i+1)
		}
		server.Timeout, server.ReadTimeout, server.WriteTimeout = replicaWait, replicaTime, replicaTime
		dial := func(ctx context.Context) (*conn, error) { return dialMySQL(ctx, server) }
		nobody := func(Line, time.Duration) {} // who waits here can go elsewhere
		r.list = append(r.list, &replica{number: i + 1, server: server, pool: newPool(replicaConns, dial, nobody)})
	}
	for _, text := range []string{
		"CREATE TABLE IF NOT EXISTS heartbeat (id BIGINT NOT NULL PRIMARY KEY, beat BIGINT NOT NULL, at BIGINT NOT NULL)",
		fmt.Sprintf("DELETE FROM heartbeat WHERE at < %d", time.Now().Add(-time.Hour).UnixMicro()), // of processes that are gone
	} {
		if err := d.alter(ctx, func(tx *Tx) error {
			_, err := tx.c.exec(ctx, text, nil)
			return err
		}); err != nil {
			return fmt.Errorf("make the heartbeat of replicas: %w", err)
		}
	}
	loop, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.done.Go(func() { r.beats(loop) })
	for _, one := range r.list {
		r.done.Go(func() { r.looks(loop, one) })
	}
	d.replicas = r
	return nil
}

func (r *replicas) close() {
	r.stop()
	r.done.Wait()
	for _, one := range r.list {
		one.pool.close()
	}
}

// beats is the goroutine of the heart; it ends with ctx.
func (r *replicas) beats(ctx context.Context) {
	server := r.db.server.Clone()
	server.Timeout, server.ReadTimeout, server.WriteTimeout = replicaTime, replicaTime, replicaTime
	repeat(ctx, beatEvery, server, func(c *conn) error {
		r.mu.Lock()
		r.beat++
		n := r.beat
		r.sent[n%beatsKept] = r.db.clock()
		r.mu.Unlock()
		_, err := c.exec(ctx, "INSERT INTO heartbeat (id, beat, at) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE beat = VALUES(beat), at = VALUES(at)",
			[]any{r.id, n, time.Now()})
		return err
	}, func(error) {}) // the beats that are missing tell
}

// looks is the goroutine that watches one replica; it ends with ctx.
func (r *replicas) looks(ctx context.Context, one *replica) {
	repeat(ctx, lookEvery, one.server, func(c *conn) error {
		beat := int64(0)
		if _, err := c.query(ctx, "SELECT beat FROM heartbeat WHERE id = ?", []any{r.id}, func(row *Row) error {
			beat = row.Int(0)
			return nil
		}); err != nil {
			return err
		}
		r.mu.Lock()
		if old := r.beat - beatsKept + 1; beat > 0 && beat >= old {
			one.upto.Store(r.sent[beat%beatsKept])
		}
		r.mu.Unlock()
		one.down.Store(false)
		r.tell(one, nil)
		return nil
	}, func(err error) {
		one.down.Store(true)
		r.tell(one, err)
	})
}

// repeat does something on one connection again and again; failed is told of what
// went wrong, after which there will be a new connection.
func repeat(ctx context.Context, every time.Duration, server *mysqldriver.Config, do func(*conn) error, failed func(error)) {
	var c *conn
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		var err error
		if c == nil {
			c, err = dialMySQL(ctx, server)
		}
		if err == nil {
			err = do(c)
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
			if c != nil {
				c.close()
				c = nil
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if c != nil {
		c.close()
	}
}

// tell logs when a replica is left out, and when it is used again.
func (r *replicas) tell(one *replica, err error) {
	lag, known := one.lag(r.db.clock())
	out := err != nil || !known || lag > r.most()
	switch {
	case !known && r.db.clock() < int64(startTime): // it hears of the heartbeat's table now
	case out && one.behind.CompareAndSwap(false, true):
		r.db.log.Warn("a replica of the database is left out; what would be read there is read on the primary",
			slog.Int("replica", one.number), slog.Float64("lag", lag.Seconds()), slog.Any("cause", err))
	case !out && one.behind.CompareAndSwap(true, false):
		r.db.log.Info("a replica of the database is read again", slog.Int("replica", one.number), slog.Float64("lag", lag.Seconds()))
	}
}

// most is the dial db.lag.
func (r *replicas) most() time.Duration {
	if _, ok := r.db.board.Lookup("db"); !ok {
		return defaultLag
	}
	return time.Duration(r.db.board.Dial(lagDial).Int(0)) * time.Millisecond
}

// lag is how old the replica may be at most.
func (o *replica) lag(now int64) (lag time.Duration, known bool) {
	upto := o.upto.Load()
	return time.Duration(now - upto), upto > 0
}

// pick finds a replica for a statement, nil for none.
func (r *replicas) pick(s *Statement) *replica {
	now, most, wrote := r.db.clock(), r.most(), s.wrote.Load()
	from := int(r.next.Add(1))
	for i := range r.list {
		one := r.list[(from+i)%len(r.list)]
		lag, known := one.lag(now)
		if known && lag <= most && !one.down.Load() && one.upto.Load() > wrote {
			return one
		}
	}
	return nil
}

// fromReplica runs a statement that only reads on a replica and gives the rows;
// ok is false when it is the primary's turn.
func (d *DB) fromReplica(ctx context.Context, org feature.Org, s *Statement, run func(tx *Tx, keep func(*Row) error) error) (rows []*Row, ok bool) {
	if d.replicas == nil || !s.Replica {
		return nil, false
	}
	one := d.replicas.pick(s)
	if one == nil {
		return nil, false
	}
	get, cancel := context.WithTimeout(ctx, replicaWait)
	c, wait, err := one.pool.get(get, false)
	cancel()
	if err != nil {
		one.failed.Add(1)
		return nil, false // no connection is free, or none to be had: looks will tell
	}
	defer one.pool.put(c)
	answer, cancel := context.WithTimeout(ctx, replicaTime)
	defer cancel()
	tx := &Tx{db: d, c: c, ctx: answer, org: org, wait: wait, replica: true}
	if err := run(tx, func(r *Row) error {
		rows = append(rows, r.clone())
		return nil
	}); err != nil {
		c.bad = true // an answer may still be on its way
		one.failed.Add(1)
		if ctx.Err() == nil {
			one.down.Store(true)
			d.replicas.tell(one, err)
		}
		return nil, false
	}
	one.reads.Add(1)
	return rows, true
}

// raise makes at no less than to.
func raise(at *atomic.Int64, to int64) {
	for {
		old := at.Load()
		if old >= to || at.CompareAndSwap(old, to) {
			return
		}
	}
}

// deliver calls each for rows that were kept.
func deliver(rows []*Row, each func(*Row) error) error {
	for _, r := range rows {
		if err := each(r); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// clone is a row that stays.
func (r *Row) clone() *Row {
	out := &Row{vals: slices.Clone(r.vals), ours: true}
	if !r.ours {
		for i, v := range out.vals {
			if b, ok := v.([]byte); ok {
				out.vals[i] = append(make([]byte, 0, len(b)), b...)
			}
		}
	}
	return out
}

// ReplicaStats are figures of one replica since Open.
type ReplicaStats struct {
	Address string        // host:port
	Used    bool          // reads go there now, but for those that need what was just written
	Lag     time.Duration // how old it may be; 0 while it is not known
	Reads   int64         // statements that it answered
	Failed  int64         // statements that it did not answer, and the primary did
}

// Replicas reads the figures of all replicas, in the order of the configuration.
func (d *DB) Replicas() []ReplicaStats {
	if d.replicas == nil {
		return nil
	}
	now, most := d.clock(), d.replicas.most()
	var out []ReplicaStats
	for _, one := range d.replicas.list {
		s := ReplicaStats{Address: one.server.Addr, Reads: one.reads.Load(), Failed: one.failed.Load()}
		lag, known := one.lag(now)
		if known {
			s.Lag = lag
		}
		s.Used = known && lag <= most && !one.down.Load()
		out = append(out, s)
	}
	return out
}
