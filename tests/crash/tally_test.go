package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/tests/house"
)

// tally is what became of all messages.
type tally struct {
	acked, lost, doubled, reordered, undelivered int
	again                                        int // redelivered with the same stanza-id: allowed
	refused                                      int // with an error that says so
	withdrawn                                    int // delivered before the commit, which then never came
	notes                                        []string
}

func (t *tally) note(format string, args ...any) {
	if len(t.notes) < 20 {
		t.notes = append(t.notes, fmt.Sprintf(format, args...))
	}
}

// count reads everybody's archive by MAM and compares it with what was
// acknowledged and with what arrived.
func (c *crowd) count(ctx context.Context) tally {
	var t tally
	archives := map[*person][]house.Message{}
	for _, p := range c.people {
		cl, err := client.Connect(ctx, c.as(p.local), nil)
		if err != nil {
			c.tb.Fatal(err)
		}
		rows, err := house.Archive(ctx, cl, 200)
		if err != nil {
			c.tb.Fatal(err)
		}
		cl.Cut()
		archives[p] = rows
		t.ordered(p, rows)
	}
	for _, p := range c.people {
		t.owned(p, archives)
		t.arrived(p, archives[p])
	}
	return t
}

// ordered checks one archive: ids ascend, and each sender's numbers do.
func (t *tally) ordered(p *person, rows []house.Message) {
	last, id := map[string]int{}, ""
	for i := range rows {
		n := number(&rows[i])
		from := rows[i].From.Local()
		if n <= last[from] {
			t.reordered++
			t.note("archive of %s: %d of %s stands behind %d", p.local, n, from, last[from])
		}
		last[from] = n
		if rows[i].ID == id {
			t.note("archive of %s: id %s twice", p.local, id)
			t.doubled++
		}
		id = rows[i].ID
	}
}

func number(m *house.Message) (n int) {
	fmt.Sscanf(m.Body, "%d", &n)
	return n
}

// owned checks that everything p wrote is in both archives once.
func (t *tally) owned(p *person, archives map[*person][]house.Message) {
	times := map[*person]map[string]int{}
	for owner, rows := range archives {
		times[owner] = make(map[string]int, len(rows))
		for i := range rows {
			times[owner][rows[i].Origin]++
		}
	}
	for _, m := range p.all {
		if !m.acked {
			t.note("%s was never acknowledged", m.origin)
			continue
		}
		if m.told {
			t.refused++
			// It may be sent again as another. What was sent before in another
			// life of the server may have been kept then, once.
			if n := max(times[m.from][m.origin], times[m.to][m.origin]); n > 1 || n > 0 && m.sent == 1 {
				t.doubled++
				t.note("%s, sent %d times, was refused and kept %d times", m.origin, m.sent, n)
			}
			continue
		}
		t.acked++
		for _, owner := range []*person{m.from, m.to} {
			switch n := times[owner][m.origin]; {
			case n == 0:
				t.lost++
				t.note("%s, acknowledged in life %d, is not in the archive of %s", m.origin, m.epoch, owner.local)
			case n > 1:
				t.doubled++
				t.note("%s, acknowledged in life %d, is %d times in the archive of %s", m.origin, m.epoch, n, owner.local)
			}
		}
	}
}

// arrived checks what p received: all that is in the archive for p, first
// sightings in the archive's order.
func (t *tally) arrived(p *person, rows []house.Message) {
	place := make(map[string]int, len(rows))
	for i := range rows {
		place[rows[i].ID] = i + 1
	}
	seen, last := map[string]bool{}, 0
	t.again += p.again
	for i := range p.seen {
		m := &p.seen[i]
		at := place[m.ID]
		switch {
		case at == 0:
			if t.withdrawn++; t.withdrawn > 5 {
				break // leave room for what must not be
			}
			t.note("%s saw %s as %q, which is not in the archive", p.local, m.Origin, m.ID)
		case at < last:
			t.reordered++
			t.note("%s got %s, number %d of the archive, behind number %d", p.local, m.Origin, at, last)
		}
		seen[m.ID] = true
		last = max(last, at)
	}
	for i := range rows {
		if rows[i].To.Bare() == p.jid && !seen[rows[i].ID] {
			t.undelivered++
			t.note("%s never got %s (%s) live", p.local, rows[i].Origin, rows[i].ID)
		}
	}
}

// report prints the row of the table and fails on what must not be.
func (t *tally) report(tb testing.TB, c *crowd, engine string, kills, database int) {
	cuts, resumed := 0, 0
	for _, p := range c.people {
		cuts += p.cuts
		resumed += p.resumed
	}
	tb.Logf("%-8s %12s %14s %10s %8s %12s %6s %8s %10s %12s %8s %8s %10s", "engine", "server kills", "database kills", "line cuts", "resumed",
		"acknowledged", "lost", "doubled", "reordered", "undelivered", "refused", "again", "withdrawn")
	tb.Logf("%-8s %12d %14d %10d %8d %12d %6d %8d %10d %12d %8d %8d %10d", engine, kills, database, cuts, resumed,
		t.acked, t.lost, t.doubled, t.reordered, t.undelivered, t.refused, t.again, t.withdrawn)
	if t.lost+t.doubled+t.reordered+t.undelivered > 0 {
		tb.Errorf("acknowledged messages must be there once, in order, delivered:\n%s", strings.Join(t.notes, "\n"))
	}
	if len(c.faults) > 0 {
		tb.Errorf("%d faults, the first: %s", len(c.faults), c.faults[0])
	}
}
