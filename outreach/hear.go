package outreach

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// From a message to what is said about it:
//
//	1 read     the bot's delivery log after its cursor, in the order of the log
//	2 job      each to the queue of its person: one after the other, people side by side
//	3 answer   what follows, from the rows as they are (heartalk.go): no effect yet
//	4 save     talks, answers, cases, texts to be said, and the message as processed: one transaction
//	5 say      the texts are routed with origin-ids made of the message's number, and taken off the list (hearsay.go)
//	6 done     the cursor moves over what is done without a gap; the archive deletes the bot's copy
//
// A process that dies before 4 reads the message again; after 4 the message is
// known as processed, and what was not said yet is on the list; one that dies
// within 5 says a text again, which is the same message. Nothing is held that is
// not bounded: when the queues are full nobody reads the log.

// heard is a message as far as it matters.
type heard struct {
	id       stanza.ArchiveID
	account  string // local part
	text     string
	action   string // XEP-0439: what was pressed
	corrects string // XEP-0308: the id of the message that it replaces
	name     string // id attribute
	sealed   bool   // encrypted: nothing of it can be read here
}

// job is one thing to do with a person.
type job struct {
	account string
	message *heard
	talk    int64 // a timer of this talk, or its opening
	event   event
	reply   chan<- error // told what became of it; nil: nobody asks
}

type event uint8

const (
	eventMessage event = iota
	eventTimer         // the talk is due
	eventOpen          // the talk is begun, if it is not
	eventResume        // the open question is repeated: another device has come
)

// pending is a message that was read.
type pending struct {
	id   stanza.ArchiveID
	done bool
}

// start begins to serve: what was left unsaid is said before anything is heard,
// so that texts stay in order. All of it ends with life.
func (d *desk) start(life context.Context) {
	d.bot.wait.Go(func() {
		for d.reloadCases(life) != nil && life.Err() == nil {
			d.pause(life, errors.New("the store does not answer"), "open cases not read; trying again")
		}
		d.sayRest(life, true)
		d.bot.wait.Go(func() { d.keep(life) })
		for _, queue := range d.jobs {
			d.bot.wait.Go(func() { d.work(life, queue) })
		}
		d.listen(life)
	})
}

// listen reads the log whenever something came.
func (d *desk) listen(life context.Context) {
	a := d.bot.host.Archive
	var at stanza.ArchiveID
	begun := false
	for life.Err() == nil {
		upto := a.Handed()
		err := d.committed(life, upto)
		if err == nil && !begun {
			at, err = a.Cursor(life, d.org, d.account.ID)
			begun = err == nil
		}
		if err == nil {
			at, err = d.read(life, at)
		}
		if err != nil {
			d.pause(life, err, "delivery log of the bot not read; trying again")
			continue
		}
		select {
		case <-life.Done():
		case <-d.wake:
		}
	}
}

// committed waits until the log can be read up to id.
func (d *desk) committed(life context.Context, id stanza.ArchiveID) error {
	for {
		more := d.bot.host.Archive.Uncommitted(id)
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-life.Done():
			return life.Err()
		}
	}
}

// read hands all that is in the log behind a message to the queues, and waits
// where they are full. It returns how far it came.
func (d *desk) read(life context.Context, after stanza.ArchiveID) (stanza.ArchiveID, error) {
	for {
		page, err := d.bot.host.Archive.Undelivered(life, d.org, d.account.ID, after)
		if err != nil {
			return after, err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			m := hearing(row)
			d.mu.Lock()
			d.pending = append(d.pending, pending{id: row.ID})
			d.mu.Unlock()
			after = row.ID
			if m == nil { // chat states, receipts, markers, errors
				d.done(row.ID)
				continue
			}
			if err := d.hand(life, job{account: m.account, message: m}); err != nil {
				return after, err
			}
		}
		if page.Complete {
			return after, nil
		}
	}
}

// hearing reads a message; nil when it says nothing.
func hearing(row *archive.Row) *heard {
	st, err := stanza.Parse(row.Stanza.Stored())
	if err != nil || row.Stanza.Type == stanza.ErrorType {
		return nil
	}
	m := &heard{id: row.ID, account: row.Stanza.From.Local(), name: stanza.Unescape(st.ID())}
	body := false
	for e := range st.Children() {
		switch {
		case e.Is(stanza.NSClient, "body"):
			if !body {
				m.text, body = clipText(e.Text()), true
			}
		case e.Is(nsQuick, "action-selected"):
			m.action, _ = e.Attr("id")
		case e.Is(nsCorrect, "replace"):
			m.corrects, _ = e.Attr("id")
		case string(e.Local()) == "encrypted" && (string(e.NS()) == nsOMEMO || string(e.NS()) == nsOMEMO2):
			m.sealed = true
		}
	}
	if !body && m.action == "" && !m.sealed {
		return nil
	}
	return m
}

// hand puts a job into the queue of its person.
func (d *desk) hand(life context.Context, j job) error {
	h := fnv.New32a()
	h.Write([]byte(j.account))
	select {
	case d.jobs[h.Sum32()%uint32(len(d.jobs))] <- j:
		return nil
	case <-life.Done():
		return life.Err()
	}
}

// ask does a job of somebody who waits for it.
func (d *desk) ask(ctx context.Context, j job) error {
	reply := make(chan error, 1)
	j.reply = reply
	if err := d.hand(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work is a worker; it ends with life.
func (d *desk) work(life context.Context, queue chan job) {
	var span feature.Span
	for {
		select {
		case <-life.Done():
			return
		case j := <-queue:
			span.Begin(d.bot.host.Board.ByNumber(d.pays))
			err := d.do(life, &j)
			span.End()
			if j.reply != nil {
				j.reply <- err
			}
			if j.message != nil && err == nil {
				d.done(j.message.id)
			}
		}
	}
}

// do does a job to its end: what the store does not take is tried again, for
// nobody else will.
func (d *desk) do(life context.Context, j *job) error {
	for {
		says, err := d.turn(life, j)
		switch {
		case err == nil:
			return d.sayAll(life, says)
		case errors.Is(err, store.ErrMoved):
			continue // somebody answered a case, or a campaign was closed
		case life.Err() != nil:
			return life.Err()
		case j.reply != nil:
			return err
		}
		d.pause(life, err, "a message to the bot is not processed yet; trying again")
	}
}

// turn is steps 3 and 4. It returns what is to be said.
func (d *desk) turn(life context.Context, j *job) ([]store.Said, error) {
	s := d.bot.host.Store
	talks, last, err := s.Talks(life, d.org, j.account)
	if err != nil {
		return nil, err
	}
	if j.message != nil && store.ID(j.message.id).Number() <= last {
		return nil, nil
	}
	t := &turn{desk: d, job: j, talks: talks, now: d.bot.cfg.Clock.Now()}
	t.out = store.Heard{Org: d.org, Account: j.account, At: t.now}
	if j.message != nil {
		t.out.Message = store.ID(j.message.id)
		t.id = t.out.Message.Number()
	} else {
		t.id = s.NewID()
	}
	if err := t.answer(life); err != nil {
		return nil, err
	}
	if j.message == nil && len(t.out.Talks) == 0 {
		return nil, nil // not due any more
	}
	d.fly(t.out.Says)
	if err := s.SaveHeard(life, &t.out); err != nil {
		d.land(t.out.Says)
		if errors.Is(err, store.ErrRepeated) {
			return nil, nil
		}
		return nil, err
	}
	if len(t.out.Cases) > 0 {
		d.mu.Lock()
		d.cares[j.account] = true
		d.mu.Unlock()
	}
	return t.out.Says, nil
}

// done notes that a message is processed and moves the cursor.
func (d *desk) done(id stanza.ArchiveID) {
	d.mu.Lock()
	i, ok := slices.BinarySearchFunc(d.pending, id, func(p pending, id stanza.ArchiveID) int {
		return store.ID(p.id).Compare(store.ID(id))
	})
	if ok {
		d.pending[i].done = true
	}
	n := 0
	for n < len(d.pending) && d.pending[n].done {
		n++
	}
	var reached stanza.ArchiveID
	if n > 0 {
		reached = d.pending[n-1].id
		d.pending = slices.Delete(d.pending, 0, n)
	}
	d.mu.Unlock()
	if n > 0 {
		d.bot.host.Archive.Delivered(d.org, d.account.ID, reached)
	}
}

// pause waits a little after something went wrong.
func (d *desk) pause(life context.Context, err error, what string) {
	d.log.Log(life, max(slog.LevelDebug, store.Severity(err)-slog.Level(4)), what, "cause", err)
	select {
	case <-life.Done():
	case <-time.After(botRetry):
	}
}

// timers looks after what is due, until ctx ends: talks whose time has come,
// texts that another process wants said, cases.
func (b *Bot) timers(ctx context.Context) {
	for ctx.Err() == nil {
		due, err := b.host.Store.DueTalks(ctx, b.cfg.Clock.Now(), dueAtOnce)
		if err != nil && ctx.Err() == nil {
			b.host.Log.Log(ctx, store.Severity(err), "due talks not read; trying again", "feature", botFeature, "cause", err)
		}
		if b.takeUp(ctx, due) && len(due) == dueAtOnce {
			continue
		}
		select {
		case <-ctx.Done():
		case <-b.cfg.Clock.After(botEvery):
		}
	}
}

// takeUp takes up talks that are due, side by side, and waits for all. It
// returns false when some could not be.
func (b *Bot) takeUp(ctx context.Context, due []store.DueTalk) (all bool) {
	replies, n := make(chan error, len(due)), 0
	all = true
	for _, t := range due {
		d, err := b.desk(ctx, t.Org)
		if err == nil {
			err = d.hand(ctx, job{account: t.Account, talk: t.ID, event: eventTimer, reply: replies})
		}
		if err == nil {
			n++
		} else {
			all = false
		}
	}
	for range n {
		select {
		case err := <-replies:
			if err != nil {
				all = false
				b.host.Log.Log(ctx, store.Severity(err), "a talk that is due is not taken up; trying again", "feature", botFeature, "cause", err)
			}
		case <-ctx.Done():
			return false
		}
	}
	return all
}

// keep looks after what else is to be done, until life ends.
func (d *desk) keep(life context.Context) {
	tick := time.NewTicker(botEvery)
	defer tick.Stop()
	for ticks := 1; ; {
		select {
		case <-life.Done():
			return
		case <-d.poke:
		case <-tick.C:
			ticks++
			d.sayRest(life, false)
		}
		d.markSaid(life)
		if ticks%casesEvery == 0 {
			ticks = 1
			if err := d.reloadCases(life); err != nil && life.Err() == nil {
				d.pause(life, err, "open cases not read; trying again")
			}
		}
	}
}

// toValid drops half characters at the ends of a cut.
func toValid(s string) string { return strings.ToValidUTF8(s, "") }
