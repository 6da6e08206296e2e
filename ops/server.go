package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/feature"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Server is the operators' listener: /metrics, /healthz, /readyz and
// /debug/pprof.
type Server struct {
	board   *feature.Board
	log     *slog.Logger
	version string
	started time.Time

	draining atomic.Bool

	mu      sync.Mutex
	checks  []check
	collect []func(*Metrics)

	http *http.Server
	done chan struct{}
}

type check struct {
	name string
	fn   func(context.Context) error
}

// NewServer makes an operators' face for a node with this board.
func NewServer(board *feature.Board, log *slog.Logger, version string) *Server {
	return &Server{board: board, log: log, version: version, started: time.Now()}
}

// Check adds a condition of /readyz: what must be true before this node may be
// sent clients.
func (s *Server) Check(name string, fn func(context.Context) error) {
	s.mu.Lock()
	s.checks = append(s.checks, check{name, fn})
	s.mu.Unlock()
}

// Collect adds figures to /metrics beyond the ledger's; fn is called for each
// reading, from several goroutines at once.
func (s *Server) Collect(fn func(*Metrics)) {
	s.mu.Lock()
	s.collect = append(s.collect, fn)
	s.mu.Unlock()
}

// Drain makes /readyz answer no from now on.
func (s *Server) Drain() { s.draining.Store(true) }

// Uptime is the time since the server was made.
func (s *Server) Uptime() time.Duration { return time.Since(s.started) }

// Handler serves the operators' paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "bearhug %s\n/metrics\n/healthz\n/readyz\n/debug/pprof/\n", s.version)
	})
	return mux
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	var m Metrics
	m.Gauge("bearhug_info", "1; the label is the version", 1, "version", s.version)
	m.ledger(s.board)
	m.process(s.started)
	s.mu.Lock()
	fns := append([]func(*Metrics){}, s.collect...)
	s.mu.Unlock()
	for _, fn := range fns {
		fn(&m)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := m.WriteTo(w); err != nil {
		s.log.Debug("write metrics", "err", err)
	}
}

// Ready runs all checks: nil, or the first one that fails.
func (s *Server) Ready(ctx context.Context) error {
	for _, r := range s.results(ctx) {
		if r.err != nil {
			return fmt.Errorf("%s: %w", r.name, r.err)
		}
	}
	return nil
}

type result struct {
	name string
	err  error
}

var errDraining = errors.New("shutting down")

func (s *Server) results(ctx context.Context) []result {
	if s.draining.Load() {
		return []result{{"drain", errDraining}}
	}
	s.mu.Lock()
	checks := append([]check(nil), s.checks...)
	s.mu.Unlock()
	out := make([]result, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			out[i] = result{c.name, c.fn(ctx)}
		})
	}
	wg.Wait()
	return out
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	results := s.results(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, r := range results {
		if r.err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	for _, r := range results {
		if r.err != nil {
			fmt.Fprintf(w, "%s: no: %v\n", r.name, r.err)
		} else {
			fmt.Fprintf(w, "%s: ok\n", r.name)
		}
	}
	if len(results) == 0 {
		fmt.Fprintln(w, "ok")
	}
}

// Serve answers on ln until Close.
func (s *Server) Serve(ln net.Listener) {
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.done = make(chan struct{})
	go func() { // ends with Close
		defer close(s.done)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("ops listener stopped", "err", err)
		}
	}()
}

// Close stops answering at once; a profile being taken is cut.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	err := s.http.Close()
	<-s.done
	return err
}
