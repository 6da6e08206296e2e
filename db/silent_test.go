package db_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
)

// wire stands between us and a database. It can fall silent: what passes
// through it is lost, and nothing is ever closed, as when a machine is gone.
type wire struct {
	t        *testing.T
	listener net.Listener
	to       string

	mu     sync.Mutex
	silent chan struct{} // closed when the connections of now fall silent
	deaf   bool          // new connections are silent from the start
	conns  []net.Conn
}

// newWire returns it with the URL of the database behind it.
func newWire(t *testing.T, database string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: l, to: u.Host, silent: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			wg.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.mu.Unlock()
		wg.Wait()
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) serve(c net.Conn) {
	w.mu.Lock()
	w.conns = append(w.conns, c)
	silent, deaf := w.silent, w.deaf
	w.mu.Unlock()
	if deaf {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = c.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, server)
	w.mu.Unlock()
	go pass(server, c, silent)
	pass(c, server, silent)
}

// pass copies until an end is closed, and closes the other. Once silent is
// closed it does neither: nobody is told that the other side is gone.
func pass(to, from net.Conn, silent chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		select {
		case <-silent:
			if err != nil {
				return
			}
			continue
		default:
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// hush has all connections of now fall silent, and those to come if deaf.
func (w *wire) hush(deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.silent)
	w.silent, w.deaf = make(chan struct{}), deaf
}

// TestServerSilent: connections whose other end is gone without a word are
// given up and replaced, and a server that takes connections and says nothing
// is not waited for. The time for an answer is short here; without a bound on
// each wait the test does not end.
func TestServerSilent(t *testing.T) {
	srv, ctx := server(t), context.Background()
	direct, err := srv.Create(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	w, through := newWire(t, direct)
	d := open(t, db.Config{URL: through})
	d.Impatient(2*time.Second, time.Second)
	row := func(k int) func(*db.Tx) error {
		return func(tx *db.Tx) error { _, err := tx.ExecRows("put-ignore", []any{k, k}); return err }
	}
	nothing := func(*db.Row) error { return nil }
	warm := func() {
		t.Helper()
		if err := errors.Join(d.WriteArchive(ctx, 1, row(1)), d.Write(ctx, 1, row(2)), d.Query(ctx, 1, "all", nothing)); err != nil {
			t.Fatal(err)
		}
	}
	// What the pool has was made before; all of it goes.
	w.hush(false)
	d.Drain()
	for range 2 {
		warm()
		w.hush(false) // new connections are good: nobody is bothered
	}
	warm()
	err = d.WriteArchive(ctx, 1, func(tx *db.Tx) error {
		if err := row(3)(tx); err != nil {
			return err
		}
		w.hush(false) // before COMMIT
		return nil
	})
	if !errors.Is(err, db.ErrInDoubt) {
		t.Errorf("no answer to COMMIT: %v", err)
	}
	// Its transaction still holds the row: the server does not know that nobody
	// is there, and ends it after a while.
	for err != nil {
		err = d.WriteArchive(ctx, 1, row(3))
	}
	w.hush(true)
	d.Impatient(time.Hour, 200*time.Millisecond) // the handshake has a bound of its own
	if err := d.WriteArchive(ctx, 1, row(4)); err == nil {
		t.Error("a commit at a silent server")
	}
}
