package crash

import (
	"context"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
)

// TestRefusedIsAcknowledged: while the database is away, messages are answered
// with an error that says to try again, and acknowledged unasked, as after a
// commit. A client that sends no more than some messages ahead of what is
// acknowledged would wait for ever: once all of them were refused, nothing
// would come to be committed.
func TestRefusedIsAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a database")
	}
	db, url := startMariaDB(t)
	s := house.New(t, house.Options{People: []string{"ada", "bob"}, Database: url, Flags: map[string]string{"c2s.plaintext": "true"}})
	ctx := house.Context(t)
	var sm client.Session
	acks := make(chan uint32, 100)
	sm.OnAck(func(h uint32) { acks <- h })
	c := s.Connect("ada", &sm)
	write := func(to string, n int) {
		t.Helper()
		var x stanza.XML
		x.Start("message", "xmlns", stanza.NSClient, "type", "chat", "id", "m", "to", s.JID(to).String())
		x.Element("body", "hello").Empty("origin-id", "xmlns", house.NSSID, "id", to+string(rune('a'+n)))
		if err := c.Send(x.End().Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged := func(n uint32) {
		t.Helper()
		for {
			select {
			case h := <-acks:
				if h == n {
					return
				}
			case <-ctx.Done():
				t.Fatalf("%d of %d are acknowledged", sm.Acked(), n)
			}
		}
	}
	if err := db.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range window { // the first: what she sent before cannot be compared; the others: who is bob?
		to := "ada"
		if i > 0 {
			to = "bob"
		}
		write(to, i)
	}
	for range window {
		it, err := c.Take(ctx, func(it client.Item) bool { return it.Kind == client.Stanza })
		if err != nil {
			t.Fatal(err)
		}
		st, err := it.Stanza()
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := st.Child(stanza.NSClient, "error"); st.Kind != stanza.Message || st.Type != stanza.ErrorType || errorType(e) != "wait" {
			t.Fatalf("not an error that says to try again: %s", st.Bytes())
		}
	}
	acknowledged(window)
	if n := strings.Count(s.Log(1<<20), "level=ERROR"); n != 1 {
		t.Errorf("the log has %d errors, not one for the whole outage", n)
	}
	if err := db.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	write("bob", window)
	acknowledged(window + 1)
	reader := s.Connect("bob", nil)
	rows, err := house.Archive(ctx, reader, 100)
	if err != nil || len(rows) != 1 {
		t.Errorf("bob's archive has %d messages of 1: %v", len(rows), err)
	}
}

// errorType is the type of an <error/>.
func errorType(e stanza.Element) string {
	v, _ := e.Attr("type")
	return v
}
