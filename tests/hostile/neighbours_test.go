package hostile

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

// neighbours are two good clients who talk with each other while others
// misbehave: each message is answered by the next. They notice everything.
type neighbours struct {
	t    *testing.T
	said atomic.Int64 // messages that arrived
	stop atomic.Bool
	wait sync.WaitGroup

	mu  sync.Mutex
	err error
}

// settle lets ada and bob begin.
func settle(t *testing.T, s *house.Server) *neighbours {
	t.Helper()
	n := &neighbours{t: t}
	ada, bob := s.Connect("ada", &client.Session{}), s.Connect("bob", &client.Session{})
	for _, c := range []*client.Client{ada, bob} {
		if err := c.Presence(stanza.Available, nil); err != nil {
			t.Fatal(err)
		}
	}
	n.wait.Go(func() { n.talk(ada, bob, true) })
	n.wait.Go(func() { n.talk(bob, ada, false) })
	return n
}

// talk sends number i and waits for the other's number i, or the reverse.
func (n *neighbours) talk(me, other *client.Client, first bool) {
	for i := 1; !n.stop.Load() || !first; i++ {
		text := fmt.Sprintf("number %d", i)
		if first {
			if err := me.Chat(other.JID(), "", text); err != nil {
				n.fail(fmt.Errorf("%s: %w", me.JID(), err))
				return
			}
		}
		got, err := n.next(me)
		if err != nil {
			n.fail(fmt.Errorf("%s, waiting for %s: %w", me.JID(), text, err))
			return
		}
		if got == "" { // the other has said goodbye
			return
		}
		if got != text {
			n.fail(fmt.Errorf("%s got %q, want %q", me.JID(), got, text))
			return
		}
		n.said.Add(1)
		if !first {
			if err := me.Chat(other.JID(), "", text); err != nil {
				n.fail(fmt.Errorf("%s: %w", me.JID(), err))
				return
			}
		}
		time.Sleep(5 * time.Millisecond) // they are people, not a load
	}
	// The last word of the first: an empty one.
	if err := me.Chat(other.JID(), "", ""); err != nil {
		n.fail(err)
	}
}

// next takes the next chat message.
func (n *neighbours) next(c *client.Client) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), house.Patience)
	defer cancel()
	for {
		it, err := c.Receive(ctx)
		if err != nil {
			return "", err
		}
		s, err := it.Stanza()
		if err != nil {
			return "", fmt.Errorf("%s", it.Raw)
		}
		if s.Kind != stanza.Message {
			continue
		}
		if err := client.ErrorOf(s); err != nil {
			return "", err
		}
		body, _ := s.Child(stanza.NSClient, "body")
		return body.Text(), nil
	}
}

func (n *neighbours) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = err
	}
	n.stop.Store(true)
}

// progress waits until they have exchanged a few more messages: whatever was
// done to the server before, it serves.
func (n *neighbours) progress() {
	n.t.Helper()
	from := n.said.Load()
	for end := time.Now().Add(house.Patience); n.said.Load() < from+4; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		err := n.err
		n.mu.Unlock()
		if err != nil || time.Now().After(end) {
			n.t.Fatalf("the neighbours are disturbed: %v", err)
		}
	}
}

// leave ends the talk; nobody may have missed anything.
func (n *neighbours) leave() {
	n.t.Helper()
	n.progress()
	n.stop.Store(true)
	n.wait.Wait()
	if n.err != nil {
		n.t.Errorf("the neighbours were disturbed: %v", n.err)
	}
	n.t.Logf("meanwhile the neighbours exchanged %d messages and missed none", n.said.Load())
}
