package roster_test

import (
	"strings"
	"testing"

	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
)

// The tables of RFC 6121 Appendix A.2 (what the owner sends) and A.3 (what the
// contact sends), as they stand there: existing state, whether the stanza is
// routed or delivered, new state ("-": no change). PO is "Pending Out", PI
// "Pending In".
const (
	outSubscribe = `
		None            MUST      None+PO
		None+PO         MUST      -
		None+PI         MUST      None+PO+PI
		None+PO+PI      MUST      -
		To              MUST      -
		To+PI           MUST      -
		From            MUST      From+PO
		From+PO         MUST      -
		Both            MUST      -`
	outUnsubscribe = `
		None            MUST      -
		None+PO         MUST      None
		None+PI         MUST      -
		None+PO+PI      MUST      None+PI
		To              MUST      None
		To+PI           MUST      None+PI
		From            MUST      -
		From+PO         MUST      From
		Both            MUST      From`
	outSubscribed = `
		None            MUST_NOT  -
		None+PO         MUST_NOT  -
		None+PI         MUST      From
		None+PO+PI      MUST      From+PO
		To              MUST_NOT  -
		To+PI           MUST      Both
		From            MUST_NOT  -
		From+PO         MUST_NOT  -
		Both            MUST_NOT  -`
	outUnsubscribed = `
		None            MUST_NOT  -
		None+PO         MUST_NOT  -
		None+PI         MUST      None
		None+PO+PI      MUST      None+PO
		To              MUST_NOT  -
		To+PI           MUST      To
		From            MUST      None
		From+PO         MUST      None+PO
		Both            MUST      To`
	inSubscribe = `
		None            MUST      None+PI
		None+PO         MUST      None+PO+PI
		None+PI         MUST_NOT  -
		None+PO+PI      MUST_NOT  -
		To              MUST      To+PI
		To+PI           MUST_NOT  -
		From            MUST_NOT  -
		From+PO         MUST_NOT  -
		Both            MUST_NOT  -`
	inUnsubscribe = `
		None            MUST_NOT  -
		None+PO         MUST_NOT  -
		None+PI         MUST      None
		None+PO+PI      MUST      None+PO
		To              MUST_NOT  -
		To+PI           MUST      To
		From            MUST      None
		From+PO         MUST      None+PO
		Both            MUST      To`
	inSubscribed = `
		None            MUST_NOT  -
		None+PO         MUST      To
		None+PI         MUST_NOT  -
		None+PO+PI      MUST      To+PI
		To              MUST_NOT  -
		To+PI           MUST_NOT  -
		From            MUST_NOT  -
		From+PO         MUST      Both
		Both            MUST_NOT  -`
	inUnsubscribed = `
		None            MUST_NOT  -
		None+PO         MUST      None
		None+PI         MUST_NOT  -
		None+PO+PI      MUST      None+PI
		To              MUST      None
		To+PI           MUST      None+PI
		From            MUST_NOT  -
		From+PO         MUST      From
		Both            MUST      From`
)

// item makes an item of a state.
func item(state string) *roster.Item {
	it := &roster.Item{}
	for i, part := range strings.Split(state, "+") {
		switch {
		case i == 0:
			it.Sub = map[string]roster.Subscription{"None": roster.None, "To": roster.To, "From": roster.From, "Both": roster.Both}[part]
		case part == "PO":
			it.Ask = true
		case part == "PI":
			it.In, it.Request = true, []byte("<presence/>")
		}
	}
	it.Listed = it.Sub != roster.None || it.Ask
	return it
}

// state is the name of an item's state.
func state(it *roster.Item) string {
	s := [...]string{"None", "To", "From", "Both"}[it.Sub]
	if it.Ask {
		s += "+PO"
	}
	if it.In {
		s += "+PI"
	}
	return s
}

func TestSubscriptionTables(t *testing.T) {
	for _, c := range []struct {
		name  string
		table string
		kind  stanza.Type
		out   bool
	}{
		{"A.2.1 out subscribe", outSubscribe, stanza.Subscribe, true},
		{"A.2.2 out unsubscribe", outUnsubscribe, stanza.Unsubscribe, true},
		{"A.2.3 out subscribed", outSubscribed, stanza.Subscribed, true},
		{"A.2.4 out unsubscribed", outUnsubscribed, stanza.Unsubscribed, true},
		{"A.3.1 in subscribe", inSubscribe, stanza.Subscribe, false},
		{"A.3.2 in unsubscribe", inUnsubscribe, stanza.Unsubscribe, false},
		{"A.3.3 in subscribed", inSubscribed, stanza.Subscribed, false},
		{"A.3.4 in unsubscribed", inUnsubscribed, stanza.Unsubscribed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := 0
			for line := range strings.Lines(c.table) {
				f := strings.Fields(line)
				if len(f) == 0 {
					continue
				}
				rows++
				it := item(f[0])
				var passes, approve bool
				if c.out {
					passes = it.Out(c.kind)
				} else {
					passes, approve = it.Inbound(c.kind)
				}
				want := f[2]
				if want == "-" {
					want = f[0]
				}
				if passes != (f[1] == "MUST") || state(it) != want {
					t.Errorf("%s: passes %v, %s; want %s, %s", f[0], passes, state(it), f[1], want)
				}
				// RFC 6121 §3.1.3: who sees the owner already is answered in the owner's place.
				if seen := item(f[0]).Sub.Seen(); approve != (seen && c.kind == stanza.Subscribe && !c.out) {
					t.Errorf("%s: approved %v", f[0], approve)
				}
				if !it.In && it.Request != nil {
					t.Errorf("%s: the request outlives its answer", f[0])
				}
			}
			if rows != 9 {
				t.Errorf("%d states", rows)
			}
		})
	}
}

// TestPreApproval: RFC 6121 §3.4.
func TestPreApproval(t *testing.T) {
	for _, start := range []string{"None", "None+PO", "To"} {
		it := item(start)
		if it.Out(stanza.Subscribed) || !it.Approved || !it.Listed || state(it) != start {
			t.Errorf("%s: pre-approved: %+v", start, it)
		}
		deliver, approve := it.Inbound(stanza.Subscribe)
		if deliver || !approve || !it.Sub.Seen() || it.In {
			t.Errorf("%s: a request that was pre-approved: delivered %v, approved %v, %s", start, deliver, approve, state(it))
		}
		it = item(start)
		it.Out(stanza.Subscribed)
		if it.Out(stanza.Unsubscribed) || it.Approved || state(it) != start {
			t.Errorf("%s: taken back: %+v", start, it)
		}
	}
	for _, start := range []string{"From", "From+PO", "Both", "None+PI"} {
		it := item(start)
		if it.Out(stanza.Subscribed); it.Approved {
			t.Errorf("%s: nothing to pre-approve", start)
		}
	}
}
