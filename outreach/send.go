package outreach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/store"
)

// 1. A worker takes a parcel: an invitation that was claimed and looked at.
// 2. It renders it and, at the last moment, has it marked as handed. All that
//    ask at the same time share a transaction, and what became of a worker's
//    parcel before goes along: one commit for each parcel at most, and at a
//    kill at most one for each connection of which nobody knows.
// 3. It sends it, and keeps what became of it until the next, or until it has
//    nothing to do.

// A parcel is an invitation on its way.
type parcel struct {
	c      *campaign
	person *store.Person
	v      store.Invitation
	handed time.Time
}

// A record is what a worker wants written down.
type record struct {
	org      feature.Org
	hand     *store.Hand
	outcomes []known
	reply    chan written // capacity 1
}

type known struct {
	org feature.Org
	store.Outcome
}

type written struct {
	handed bool
	err    error
}

// errTaken: the claim is over, or the person was taken out.
var errTaken = errors.New("it is not to be sent any more")

// Times of the workers.
const (
	lineIdle  = 10 * time.Second // a connection to the relay without use
	lineAgain = 30 * time.Second // until it is tried again with a relay that is not there
	lastWords = 10 * time.Second // for what is on its way at the end
	recordTry = time.Second
)

// Start starts the workers, for who calls Step; stop ends them after ctx has,
// and waits.
func (e *Engine) Start(ctx context.Context) (stop func()) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	var senders, recorder sync.WaitGroup
	recorder.Go(func() { e.recorder(life) })
	if e.cfg.Relay != nil {
		for range e.cfg.Board.Dial(DialConnections).Int(0) {
			senders.Go(func() { e.mailer(ctx, life) })
		}
	} else {
		senders.Go(func() { e.poster(ctx, life) })
	}
	for range e.cfg.Board.Dial(DialTalkers).Int(0) {
		senders.Go(func() { e.talker(ctx, life) })
	}
	return func() {
		ended := make(chan struct{})
		go func() {
			senders.Wait()
			e.returnRest(life)
			close(ended)
		}()
		select {
		case <-ended:
		case <-e.cfg.Clock.After(lastWords):
			cut()
			<-ended
		}
		close(e.records)
		recorder.Wait()
		cut()
	}
}

// returnRest gives back what no worker has taken.
func (e *Engine) returnRest(life context.Context) {
	w := &worker{e: e, life: life}
	for {
		select {
		case p := <-e.letters:
			w.settle(p, store.Outcome{State: store.Planned, Due: p.v.Due, Why: p.v.Why})
		case p := <-e.words:
			w.settle(p, store.Outcome{State: store.Planned, Due: p.v.Due, Why: p.v.Why})
		default:
			w.flush()
			return
		}
	}
}

// recorder writes what workers ask for, all that wait at a time.
func (e *Engine) recorder(life context.Context) {
	for first := range e.records {
		batch := []*record{first}
		for more := true; more && len(batch) < 64; {
			select {
			case r, ok := <-e.records:
				if more = ok; ok {
					batch = append(batch, r)
				}
			default:
				more = false
			}
		}
		e.write(life, batch)
	}
}

// write is one transaction for each organisation.
func (e *Engine) write(life context.Context, batch []*record) {
	var sp feature.Span
	sp.Whole(e.account)
	defer sp.End()
	type part struct {
		hands    []store.Hand
		whose    []*record
		outcomes []store.Outcome
	}
	parts := map[feature.Org]*part{}
	of := func(org feature.Org) *part {
		if parts[org] == nil {
			parts[org] = &part{}
		}
		return parts[org]
	}
	for _, r := range batch {
		for _, o := range r.outcomes {
			p := of(o.org)
			p.outcomes = append(p.outcomes, o.Outcome)
		}
		if r.hand != nil {
			p := of(r.org)
			p.hands, p.whose = append(p.hands, *r.hand), append(p.whose, r)
		}
	}
	answers := make(map[*record]written, len(batch))
	var failed error
	now := e.now()
	for org, p := range parts {
		handed, err := e.record(life, org, now, p.hands, p.outcomes)
		if err != nil {
			failed = err
		}
		for i, r := range p.whose {
			answers[r] = written{handed: err == nil && handed[i], err: err}
		}
	}
	for _, r := range batch {
		a := answers[r]
		if failed != nil {
			a = written{err: failed} // outcomes may be written twice, which does nothing
		}
		r.reply <- a
	}
}

// A worker has a connection, or is a talker. It is one goroutine.
type worker struct {
	e       *Engine
	life    context.Context
	line    *mail.Conn
	used    bool // the line has carried something
	pending []known
	reply   chan written
}

// ask has something written down.
func (w *worker) ask(r *record) (bool, error) {
	if w.reply == nil {
		w.reply = make(chan written, 1)
	}
	r.outcomes, r.reply = w.pending, w.reply
	w.e.records <- r
	a := <-w.reply
	if a.err == nil {
		w.e.gone(len(w.pending))
		w.pending = w.pending[:0]
	}
	return a.handed, a.err
}

// hand marks a parcel: from here on it may have arrived.
func (w *worker) hand(p *parcel) error {
	now := w.e.now()
	ok, err := w.ask(&record{org: p.c.row.Org, hand: &store.Hand{ID: p.v.ID, Lease: p.v.Lease, Until: now.Add(w.e.cfg.Lease)}})
	if err != nil {
		return err
	}
	if !ok {
		return errTaken
	}
	p.handed = now
	return nil
}

// settle keeps what became of a parcel.
func (w *worker) settle(p *parcel, o store.Outcome) {
	o.ID, o.Lease = p.v.ID, p.v.Lease
	if o.State != store.Planned {
		o.Done = w.e.now()
	}
	if o.State == store.Accepted {
		o.Due = w.e.remindAt(p.c, p.person, &p.v, p.handed)
	}
	w.pending = append(w.pending, known{p.c.row.Org, o})
}

// flush writes what is kept, and tries until it is written or life is over.
func (w *worker) flush() {
	for len(w.pending) > 0 {
		_, err := w.ask(&record{})
		if err == nil {
			return
		}
		w.e.log.Log(w.life, store.Severity(err), "what became of invitations is not written yet", slog.Any("err", err))
		select {
		case <-w.life.Done():
			w.e.gone(len(w.pending)) // their leases run out
			return
		case <-w.e.cfg.Clock.After(recordTry):
		}
	}
}

// gone counts parcels that are not on their way any more, and has the loop look
// when there is room.
func (e *Engine) gone(n int) {
	if n == 0 {
		return
	}
	e.settled.Add(int64(n))
	if left := e.inFlight.Add(int64(-n)); left <= e.low.Load() {
		e.Wake()
		if left == 0 {
			select {
			case e.drained <- struct{}{}:
			default:
			}
		}
	}
}

// next is the next parcel; false at the end. Before it waits, it writes down
// what is kept; and a line that nothing goes over for a while is closed.
func (w *worker) next(ctx context.Context, from chan *parcel) (*parcel, bool) {
	select {
	case <-ctx.Done():
		return nil, false
	case p := <-from:
		return p, true
	default:
	}
	w.flush()
	var idle <-chan time.Time
	if w.line != nil {
		idle = w.e.cfg.Clock.After(lineIdle)
	}
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case p := <-from:
			return p, true
		case <-idle:
			w.hangUp()
			idle = nil
		}
	}
}

func (w *worker) hangUp() {
	if w.line != nil {
		_ = w.line.Close() // nothing follows on it
		w.line = nil
	}
}

// mailer is a connection to the relay; it ends with ctx.
func (e *Engine) mailer(ctx, life context.Context) {
	w := &worker{e: e, life: life}
	defer w.hangUp()
	w.work(ctx, e.letters, w.send)
}

// send sends one e-mail and keeps what became of it.
func (w *worker) send(p *parcel) {
	m, err := w.e.letter(w.life, p)
	if err != nil {
		w.settle(p, unsendable(err, w.e.now()))
		return
	}
	for range 2 {
		if w.line == nil || !w.line.Alive() {
			if w.line, err = w.e.cfg.Relay.Dial(w.life); err != nil {
				w.line = nil
				again := w.e.now().Add(lineAgain)
				w.e.relayDown.Store(again.UnixMicro())
				w.settle(p, store.Outcome{State: store.Planned, Due: again, Why: err.Error()})
				return
			}
			w.used = false
		}
		var refused error
		asked := false
		o := w.line.Send(m, func() error {
			asked = true
			refused = w.hand(p)
			return refused
		})
		// 421: it takes so many over one line, or has waited long enough.
		stale := o.State == mail.Later && (o.Code == 0 || o.Code == 421) && !asked && w.used
		w.used = true
		switch {
		case stale: // the line had died while it was idle: once more on another
			w.hangUp()
			continue
		case errors.Is(refused, errTaken):
			w.e.gone(1)
		default:
			w.outcome(p, o)
		}
		return
	}
}

// outcome keeps what the relay said.
func (w *worker) outcome(p *parcel, o mail.Outcome) {
	now := w.e.now()
	switch o.State {
	case mail.Accepted:
		w.settle(p, store.Outcome{State: store.Accepted, Tried: true})
	case mail.Refused:
		w.settle(p, store.Outcome{State: store.Failed, Why: o.Reason, Tried: true})
		if o.Dead() {
			sup := store.Suppression{Who: strings.ToLower(p.person.Email), Kind: store.SuppressedBounce, Why: o.Reason, At: now}
			if err := w.e.cfg.Store.Suppress(w.life, p.c.row.Org, sup); err != nil {
				w.e.log.Log(w.life, store.Severity(err), "an address that does not exist is not on the list", slog.Any("err", err))
			}
		}
	case mail.Ambiguous:
		w.settle(p, store.Outcome{State: store.Ambiguous, Why: o.Reason, Tried: true})
	default:
		tried := o.Code > 0 || !p.handed.IsZero()
		w.settle(p, w.e.later(p, now, o.Reason, tried))
	}
}

// later is another try, or the end of trying.
func (e *Engine) later(p *parcel, now time.Time, why string, tried bool) store.Outcome {
	switch n := p.v.Attempts; {
	case !tried:
		return store.Outcome{State: store.Planned, Due: now.Add(lineAgain), Why: why}
	case n >= len(e.cfg.Retry):
		return store.Outcome{State: store.Failed, Why: fmt.Sprintf("gave up after %d tries: %s", n+1, why), Tried: true}
	default:
		return store.Outcome{State: store.Planned, Due: now.Add(e.cfg.Retry[n]), Why: why, Tried: true}
	}
}

// poster puts e-mail into the built-in outbox; it ends with ctx.
func (e *Engine) poster(ctx, life context.Context) {
	w := &worker{e: e, life: life}
	defer w.flush()
	for {
		p, ok := w.next(ctx, e.letters)
		if !ok {
			return
		}
		batch := []*parcel{p}
		for more := true; more && len(batch) < 64; {
			select {
			case p := <-e.letters:
				batch = append(batch, p)
			default:
				more = false
			}
		}
		var sp feature.Span
		sp.Whole(e.account)
		w.post(batch)
		sp.End()
	}
}

// post puts some parcels into the outbox.
func (w *worker) post(batch []*parcel) {
	byOrg := map[feature.Org][]store.Posted{}
	whose := map[feature.Org][]*parcel{}
	now := w.e.now()
	for _, p := range batch {
		m, err := w.e.letter(w.life, p)
		if err != nil {
			w.settle(p, unsendable(err, now))
			continue
		}
		org := p.c.row.Org
		byOrg[org] = append(byOrg[org], store.Posted{Letter: letterOf(p.v.ID, m), Lease: p.v.Lease, Remind: w.e.remindAt(p.c, p.person, &p.v, now)})
		whose[org] = append(whose[org], p)
	}
	for org, posts := range byOrg {
		if _, err := w.e.cfg.Store.PostInvitations(w.life, org, posts); err != nil {
			for _, p := range whose[org] { // what went is accepted and stays so
				w.settle(p, store.Outcome{State: store.Planned, Due: now.Add(lineAgain), Why: err.Error()})
			}
			continue
		}
		w.e.gone(len(posts))
	}
}

func letterOf(id int64, m *mail.Message) store.Letter {
	return store.Letter{ID: id, At: m.Date, MessageID: m.ID, From: m.From.String(), To: m.To.String(), Subject: m.Subject,
		Text: m.Text, HTML: m.HTML, UnsubscribeLink: m.Unsubscribe}
}

// talker says invitations in chat; it ends with ctx.
func (e *Engine) talker(ctx, life context.Context) {
	w := &worker{e: e, life: life}
	w.work(ctx, e.words, w.say)
}

// work does one invitation after the other until ctx ends, and keeps what
// became of the last ones.
func (w *worker) work(ctx context.Context, queue chan *parcel, do func(*parcel)) {
	defer w.flush()
	for {
		p, ok := w.next(ctx, queue)
		if !ok {
			return
		}
		var sp feature.Span
		sp.Begin(w.e.account)
		do(p)
		sp.End()
	}
}

// say says one invitation. When it is not known whether it arrived it is said
// again: with the same origin-id it is in the archive once.
func (w *worker) say(p *parcel) {
	words, err := w.e.spoken(w.life, p)
	if err != nil {
		w.settle(p, unsendable(err, w.e.now()))
		return
	}
	switch err := w.hand(p); {
	case errors.Is(err, errTaken):
		w.e.gone(1)
		return
	case err != nil:
		w.settle(p, w.e.later(p, w.e.now(), err.Error(), false))
		return
	}
	switch err := w.e.cfg.Say(w.life, words); {
	case err == nil:
		w.settle(p, store.Outcome{State: store.Accepted, Tried: true})
	case errors.Is(err, ErrNobody):
		w.settle(p, store.Outcome{State: store.Failed, Why: err.Error(), Tried: true})
	default:
		w.settle(p, w.e.later(p, w.e.now(), err.Error(), true))
	}
}
