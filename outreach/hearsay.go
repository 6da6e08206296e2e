package outreach

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/router"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

const (
	nsQuick   = "urn:xmpp:tmp:quick-response"
	nsCorrect = "urn:xmpp:message-correct:0"
	nsOMEMO   = "eu.siacs.conversations.axolotl"
	nsOMEMO2  = "urn:xmpp:omemo:2"
	nsOrigin  = "urn:xmpp:sid:0"
	nsNick    = "http://jabber.org/protocol/nick"
)

// saidKey names a text that is to be said.
type saidKey struct {
	id int64
	n  int
}

// children are the elements of a message: the text, which is complete by
// itself, and buttons for clients that know them (XEP-0439). The language stands
// on body and buttons alike, as it asks for.
func children(u *store.Utterance, originID, label string) []byte {
	x := new(stanza.XML)
	lang := func(attrs ...string) []string {
		if u.Language != "" {
			attrs = append(attrs, "xml:lang", u.Language)
		}
		return attrs
	}
	x.Element("body", u.Text, lang()...)
	var values, labels []string
	for _, r := range u.Replies {
		if slices.Contains(values, r.Value) || slices.Contains(labels, r.Label) {
			continue // distinct ones only
		}
		values, labels = append(values, r.Value), append(labels, r.Label)
		x.Empty("response", lang("xmlns", nsQuick, "value", r.Value, "label", r.Label)...)
	}
	for _, a := range u.Actions {
		x.Empty("action", lang("xmlns", nsQuick, "id", a.Value, "label", a.Label)...)
	}
	if label != "" {
		x.Element("nick", label, "xmlns", nsNick)
	}
	if originID != "" {
		x.Empty("origin-id", "xmlns", nsOrigin, "id", originID)
	}
	return x.Bytes()
}

// fly notes texts as being on their way, so that nobody else says them; land
// takes that back.
func (d *desk) fly(list []store.Said) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range list {
		d.flight[saidKey{list[i].ID, list[i].N}] = struct{}{}
	}
}

func (d *desk) land(list []store.Said) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range list {
		delete(d.flight, saidKey{list[i].ID, list[i].N})
	}
}

// sayAll routes texts in their order. What the archive has no room for waits.
func (d *desk) sayAll(life context.Context, list []store.Said) error {
	for i := range list {
		if err := d.utter(life, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// utter routes one text, which is on its way from then on. Who does not exist or
// blocks the bot is not told: the text is as good as said.
func (d *desk) utter(life context.Context, x *store.Said) error {
	u := x.Words
	if u.Author {
		if u.Language == "" {
			u.Language = d.languageFor(life, x.Account)
		}
		u.Text += "\n\n" + own("thread", u.Language)
	}
	for {
		err := d.speak(life, x.Account, &u, origin(x), func() { d.settled(x) })
		var refused *stanza.Error
		switch {
		case err == nil:
			return nil
		case errors.Is(err, presence.ErrUnknown), errors.As(err, &refused):
			d.log.Debug("a text of the bot is not wanted", "cause", err)
			d.settled(x)
			return nil
		case life.Err() != nil:
			return life.Err()
		}
		d.pause(life, err, "a text of the bot is not said yet; trying again")
	}
}

// speak routes one message of the bot.
func (d *desk) speak(ctx context.Context, account string, u *store.Utterance, originID string, settled func()) error {
	to, err := jid.New(account, d.jid.Domain(), "")
	if err != nil {
		return presence.ErrUnknown
	}
	return d.bot.host.Router.Speak(ctx, router.Words{From: d.account, To: to, ID: originID,
		Body: children(u, originID, d.sets().Label), Number: d.pays, Settled: settled})
}

// settled is told that a text is on disk; it is taken off the list soon.
func (d *desk) settled(x *store.Said) {
	d.mu.Lock()
	d.said = append(d.said, *x)
	d.mu.Unlock()
	nudge(d.poke)
}

// markSaid takes texts off the list that are on disk.
func (d *desk) markSaid(life context.Context) {
	for {
		d.mu.Lock()
		n := min(len(d.said), 128)
		list := slices.Clone(d.said[:n])
		d.mu.Unlock()
		if n == 0 {
			return
		}
		if err := d.bot.host.Store.MarkSaid(life, list); err != nil {
			if life.Err() == nil {
				d.pause(life, err, "texts that were said are still on the list; trying again")
			}
			return // the next tick tries again
		}
		d.land(list)
		d.mu.Lock()
		d.said = slices.Delete(d.said, 0, n)
		d.mu.Unlock()
	}
}

// sayRest says what is on the list and not on its way: after a start, what a
// process that died has left, of which some may have arrived; later, what others
// have put there.
func (d *desk) sayRest(life context.Context, start bool) {
	var after saidKey
	for life.Err() == nil {
		list, err := d.bot.host.Store.Unsaid(life, d.org, after.id, after.n, 100)
		if err != nil {
			if start {
				d.pause(life, err, "texts to be said not read; trying again")
				continue
			}
			return
		}
		for i := range list {
			x := &list[i]
			after = saidKey{x.ID, x.N}
			if d.taken(after) {
				continue
			}
			there := false
			if start {
				if there, err = d.arrived(life, x.Account, origin(x), x.ID); err != nil {
					d.pause(life, err, "the archive not read; trying again")
					d.land(list[i : i+1])
					after = saidKey{x.ID, x.N - 1}
					break
				}
			}
			if there {
				d.settled(x)
			} else if d.utter(life, x) != nil {
				return
			}
		}
		if err == nil && len(list) < 100 {
			return
		}
	}
}

// taken takes a text to say it; true when somebody has it.
func (d *desk) taken(key saidKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.flight[key]; ok {
		return true
	}
	d.flight[key] = struct{}{}
	return false
}

// skew is how much older than the number of a text what is looked through is:
// numbers of ours and those of the log are of two counters.
const skew = 60_000 << 16 // a minute

// arrived reports whether the person's archive has a message of the bot with
// this origin-id, not older than a number of ours.
func (d *desk) arrived(ctx context.Context, account, originID string, number int64) (bool, error) {
	s := d.bot.host.Store
	ids, err := s.AccountIDs(ctx, d.org, []string{account})
	if err != nil || ids[account] == 0 {
		return false, err
	}
	mark := []byte("'" + originID + "'")
	q := store.PageQuery{Owner: ids[account], Peer: s.Peer(d.jid), After: store.FromNumber(max(0, number-skew)), Limit: 100, Bytes: 1 << 20}
	for {
		rows, complete, err := s.Page(ctx, d.org, q)
		if err != nil {
			return false, err
		}
		for i := range rows {
			if bytes.Contains(rows[i].Stanza, mark) {
				return true, nil
			}
			q.After = rows[i].ID
		}
		if complete || len(rows) == 0 {
			return false, nil
		}
	}
}

// flowEntry is a flow that was read.
type flowEntry struct{ flow *flow.Flow }

// maxFlows bounds the flows that are kept in memory.
const maxFlows = 64

// flow is the document that a talk goes by.
func (d *desk) flow(ctx context.Context, hash string) (*flow.Flow, error) {
	d.mu.Lock()
	e := d.flows[hash]
	d.mu.Unlock()
	if e != nil {
		return e.flow, nil
	}
	doc, err := d.bot.host.Store.Script(ctx, d.org, hash)
	if err != nil {
		return nil, err
	}
	f, err := flow.Parse(doc)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.flows) >= maxFlows {
		clear(d.flows)
	}
	d.flows[hash] = &flowEntry{f}
	return f, nil
}

func hashName(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

// floods bounds how often somebody may do something. mu is a leaf.
type floods struct {
	mu   sync.Mutex
	have map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// maxBuckets bounds who is counted; past it those are forgotten whose bucket
// has filled up again.
const maxBuckets = 20000

// take takes one of burst, of which perMinute come back; false when there is
// none.
func (f *floods) take(who string, burst, perMinute float64, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.have[who]
	if b == nil {
		f.tidy(burst, perMinute, now)
		b = &bucket{left: burst, at: now}
		f.have[who] = b
	}
	b.fill(burst, perMinute, now)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (b *bucket) fill(burst, perMinute float64, now time.Time) {
	if passed := now.Sub(b.at).Minutes(); passed > 0 {
		b.left = min(burst, b.left+passed*perMinute)
	}
	b.at = now
}

func (f *floods) tidy(burst, perMinute float64, now time.Time) {
	if f.have == nil {
		f.have = map[string]*bucket{}
	}
	if len(f.have) < maxBuckets {
		return
	}
	for who, b := range f.have {
		if b.fill(burst, perMinute, now); b.left >= burst {
			delete(f.have, who)
		}
	}
	if len(f.have) >= maxBuckets { // all of them at work: nobody is let in for it
		clear(f.have)
	}
}

// alarms counts cases that are being noted in the background.
type alarms struct{ n atomic.Int32 }

const maxAlarms = 1000

func (a *alarms) enter() bool {
	if a.n.Add(1) > maxAlarms {
		a.n.Add(-1)
		return false
	}
	return true
}

func (a *alarms) leave() { a.n.Add(-1) }

// topOf is the greatest id that the archive has handed over.
func topOf(a *archive.Archive) int64 { return store.ID(a.Handed()).Number() }
