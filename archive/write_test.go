package archive

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/stanza"
)

// bare is an archive without its writer, for what the writer does in steps.
func bare(t *testing.T) *Archive {
	t.Helper()
	board := feature.NewBoard()
	if _, err := board.DeclareAlways("archive", "the log", feature.Lever{Name: "archive.wait", Default: 1, Min: 1, Max: 60000}); err != nil {
		t.Fatal(err)
	}
	a := &Archive{Config: Config{Board: board, Wait: board.Dial("archive.wait"), Log: slog.New(slog.DiscardHandler)}, work: make(chan struct{}, 1)}
	a.watch = time.AfterFunc(time.Hour, a.overdue)
	t.Cleanup(func() { a.watch.Stop() })
	return a
}

// waiting is a message that joined the queue so long ago.
func waiting(name string, ago time.Duration, deliver func()) *Message {
	return &Message{
		Wire:    stanza.Make(stanza.Message, stanza.Chat, jid.MustParse("ada@hug.example/x"), jid.MustParse("bob@hug.example"), name, nil),
		Deliver: func(*Message) { deliver() }, queued: time.Now().Add(-ago),
	}
}

// TestNextIsTheOldest: while the writer waits for its turn to give ids, the
// watchdog may have made a batch. That one is the next, not a younger one: what
// is settled is taken off the head of the line.
func TestNextIsTheOldest(t *testing.T) {
	a := bare(t)
	a.queue = []*Message{waiting("1", 0, func() {})}
	a.hand.Lock()
	got := make(chan *batch)
	go func() { got <- a.next(context.Background()) }()
	for stack := make([]byte, 1<<20); ; runtime.Gosched() { // until it waits for hand
		if s := string(stack[:runtime.Stack(stack, true)]); strings.Contains(s, "sync.(*Mutex).Lock") && strings.Contains(s, "(*Archive).next") {
			break
		}
	}
	oldest := a.build(context.Background())
	a.queue = append(a.queue, waiting("2", 0, func() {}))
	a.hand.Unlock()
	if b := <-got; b != oldest {
		t.Errorf("next is %v, not the oldest", b)
	}
}

// TestOverdueQueue: what waits is delivered also when no batch is under way,
// for the writer may be stuck in something else.
func TestOverdueQueue(t *testing.T) {
	a := bare(t)
	delivered := make(chan struct{}, 1)
	a.mu.Lock()
	a.queue = []*Message{waiting("1", time.Minute, func() { delivered <- struct{}{} })}
	a.mu.Unlock()
	a.watch.Reset(0)
	<-delivered
}
