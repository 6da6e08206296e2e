package archive

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestGather: the next batch waits for as long as the last one was large, and
// not when enough is there or nothing more may come.
func TestGather(t *testing.T) {
	full := make([]*Message, gatherEnough)
	for _, c := range []struct {
		name  string
		rows  int           // of the last batch
		past  time.Duration // since it began
		later func(*Archive)
		want  time.Duration
	}{
		{name: "nothing was written", rows: 0, want: 0},
		{name: "a lone message", rows: 1, want: gatherEach},
		{name: "a lone message, long ago", rows: 1, past: time.Second, want: 0},
		{name: "some", rows: 4, past: gatherEach, want: 3 * gatherEach},
		{name: "many", rows: 512, want: gatherMost},
		{name: "one more", rows: 512, later: func(a *Archive) { a.queue = full[:1] }, want: gatherMost},
		{name: "enough", rows: 512, later: func(a *Archive) { a.queue = full }, want: time.Millisecond},
		{name: "the end", rows: 512, later: func(a *Archive) { a.closed = true }, want: time.Millisecond},
		{name: "overdue", rows: 512, later: func(a *Archive) { a.batches = []*batch{{}} }, want: time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &Archive{work: make(chan struct{}, 1)}
			begun := time.Now()
			time.Sleep(c.past)
			if c.later != nil {
				time.AfterFunc(time.Millisecond, func() {
					a.mu.Lock()
					c.later(a)
					a.mu.Unlock()
					a.wake()
				})
			}
			from := time.Now()
			a.gather(begun, c.rows)
			if took := time.Since(from); took != c.want {
				t.Errorf("%s: waited %v, want %v", c.name, took, c.want)
			}
			time.Sleep(time.Second)
		})
	}
}
