package hostile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

// TestDrain: on SIGTERM everybody is told <system-shutdown/> and closed, what
// was acknowledged is in the archive, and the exit code is 0; with people
// writing on every transport, one that says nothing, and one that never reads.
func TestDrain(t *testing.T) {
	s := start(t, nil)
	doors := []string{s.Addr("c2s"), "tls://" + s.Addr("c2s-tls"), "ws://" + s.Addr("http") + "/xmpp-websocket", "wss://" + s.Addr("http-tls") + "/xmpp-websocket"}
	var writers []*writer
	for i, door := range doors {
		cfg := s.Config("ada")
		cfg.Server, cfg.Resource = door, fmt.Sprintf("w%d", i)
		if strings.Contains(door, "wss") {
			cfg.TLS.InsecureSkipVerify = true // the address has no name in the certificate
		}
		w := &writer{name: cfg.Resource}
		var err error
		if w.c, err = client.Connect(house.Context(t), cfg, &w.sm); err != nil {
			t.Fatalf("%s: %v", door, err)
		}
		t.Cleanup(w.c.Cut)
		writers = append(writers, w)
	}
	silent, deaf := dial(t, s.Addr("c2s"), ""), dial(t, s.Addr("c2s"), "").bind("eve", "deaf")
	deaf.say("<presence/>")
	var wait sync.WaitGroup
	for _, w := range writers {
		wait.Go(func() { w.write(s) })
	}
	await(t, "everybody has written something", func() bool {
		for _, w := range writers {
			if w.sm.Acked() < 200 {
				return false
			}
		}
		return true
	})
	code, err := s.Terminate()
	if err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
	wait.Wait()
	for _, w := range writers {
		if got := w.ended(); got != "system-shutdown" {
			t.Errorf("%s: the stream ended with %q", w.name, got)
		}
	}
	for name, w := range map[string]*wire{"who said nothing": silent, "who never read": deaf} {
		if got := condition(w.rest()); got != "system-shutdown" {
			t.Errorf("%s: the stream ended with %q", name, got)
		}
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	eve := s.Connect("eve", nil)
	rows, err := house.Archive(house.Context(t), eve, 100)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for i := range rows {
		kept[rows[i].Body] = true
	}
	for _, w := range writers {
		acked := w.sm.Acked()
		for i := range acked {
			if !kept[w.text(i)] {
				t.Errorf("%s, acknowledged, is not in the archive", w.text(i))
				break
			}
		}
		t.Logf("%s: %d sent, %d acknowledged", w.name, w.sm.Sent(), acked)
	}
}

// writer writes numbered messages until its stream ends.
type writer struct {
	name string
	c    *client.Client
	sm   client.Session
}

func (w *writer) text(i uint32) string { return fmt.Sprintf("%s %d", w.name, i) }

func (w *writer) write(s *house.Server) {
	for i := uint32(0); ; i++ {
		if i-w.sm.Acked() > 100 { // no more under way than that
			ctx, cancel := context.WithTimeout(context.Background(), house.Patience)
			err := w.c.AwaitAcks(ctx)
			cancel()
			if err != nil {
				return
			}
		}
		if w.c.Message(stanza.Chat, s.JID("eve"), "", new(stanza.XML).Element("body", w.text(i)).Bytes()) != nil {
			return
		}
	}
}

// ended is the condition that the stream ended with.
func (w *writer) ended() string {
	ctx, cancel := context.WithTimeout(context.Background(), house.Patience)
	defer cancel()
	it, err := w.c.Take(ctx, func(it client.Item) bool { return it.Is("http://etherx.jabber.org/streams", "error") })
	if err != nil {
		return err.Error()
	}
	e, err := it.Element()
	if err != nil {
		return err.Error()
	}
	first, _ := e.First()
	return string(first.Local())
}
