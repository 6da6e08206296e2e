package crash

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// stall is how long nothing may be acknowledged before somebody looks why.
	// It fails no test.
	stall = 20 * time.Second
	// logsVar names a directory for what is too long for the output.
	logsVar = "BEARHUG_TEST_LOGS"
)

// witness notes what everybody is doing while nothing happens: the people, the
// server's goroutines, the database's transactions.
func (c *crowd) witness(what string, since time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: waiting for %s; %d are acknowledged, none for %v\n", time.Now().UTC().Format(time.RFC3339Nano), what, c.acked.Load(), since)
	for _, p := range c.people {
		session := p.sm.ID()
		p.mu.Lock()
		fmt.Fprintf(&b, "%s: %d pending, %d in line, session %q, connection ended: %v, last attempt: %v, cuts %d, resumed %d\n",
			p.local, len(p.pending), len(p.line), session, p.ended, p.failed, p.cuts, p.resumed)
		p.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if c.db != nil {
		fmt.Fprintf(&b, "\n--- database\n%s\n", c.db.Status(ctx))
	}
	if c.server != nil {
		for _, page := range []string{"/debug/pprof/goroutine?debug=2", "/metrics"} {
			fmt.Fprintf(&b, "\n--- server: %s\n%s\n", page, c.page(ctx, page))
		}
	}
	stacks := make([]byte, 1<<20)
	fmt.Fprintf(&b, "\n--- people\n%s\n", stacks[:runtime.Stack(stacks, true)])
	dir := os.Getenv(logsVar)
	if dir == "" {
		c.tb.Log(b.String())
		return
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-stall-%d.log", strings.ReplaceAll(c.tb.Name(), "/", "-"), time.Now().UnixNano()))
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		c.tb.Log(err)
		return
	}
	c.tb.Logf("nothing was acknowledged for %v; %s says more", since, file)
}

// page is a page of the server's operations listener.
func (c *crowd) page(ctx context.Context, path string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.server.Addr("ops")+path, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprintf("%s\n%v", body, err)
	}
	return string(body)
}
