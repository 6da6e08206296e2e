package outreach

import (
	"context"
	"errors"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// claim takes what may go now, looks at it once more, and gives it to the
// workers. It tells when to look again.
func (e *Engine) claim(ctx context.Context, running []*campaign, now time.Time) (time.Duration, error) {
	rate := float64(e.cfg.Board.Dial(DialRate).Int(0))
	limit := e.fast.look(now, e.settled.Load())
	e.low.Store(int64(limit / 2))
	room := limit - int(e.inFlight.Load())
	if rate == 0 || room <= 0 || len(running) == 0 {
		return idleLook, nil // a worker that has made room wakes us
	}
	list, wait, err := e.wishes(ctx, running, now, room)
	if err != nil || len(list) == 0 {
		return wait, err
	}
	want := 0
	for _, w := range list {
		want += w.waiting
	}
	got, pause, err := e.spend(ctx, 0, rate, now, min(want, room))
	if err != nil || got == 0 {
		return max(min(pause, wait), busyLook), err
	}
	e.divide(got, list)
	claimed := 0
	var errs []error
	for _, w := range list {
		n, err := e.claimOf(ctx, w, now)
		claimed += n
		errs = append(errs, err)
	}
	errs = append(errs, e.giveBack(ctx, 0, rate, got-claimed))
	if claimed == 0 {
		return max(wait, busyLook), errors.Join(errs...)
	}
	return busyLook, errors.Join(errs...)
}

// claimOf claims a campaign's part.
func (e *Engine) claimOf(ctx context.Context, w *wish, now time.Time) (n int, err error) {
	if w.part == 0 {
		return 0, nil
	}
	c, org := w.c, w.c.row.Org
	part := w.part
	if c.org.Rate > 0 {
		if part, _, err = e.spend(ctx, org, c.org.Rate, now, part); err != nil || part == 0 {
			return 0, err
		}
	}
	claim := store.Claim{Campaign: c.row.ID, Now: now, Until: now.Add(e.cfg.Lease), Most: part}
	if c.set.Rate > 0 {
		claim.Spend = func(have store.Tokens, want int) (store.Tokens, int) {
			left, got, _ := take(have, c.set.Rate, burstOf(c.set.Rate, c.set.Burst), now, want, 1)
			return left, got
		}
	}
	list, err := e.cfg.Store.ClaimInvitations(ctx, org, claim)
	if err != nil {
		return 0, err
	}
	if c.org.Rate > 0 {
		if err := e.giveBack(ctx, org, c.org.Rate, part-len(list)); err != nil {
			return len(list), err
		}
	}
	if len(list) < part {
		delete(e.looks, key{org, c.row.ID}) // the next is due later: find out when
	}
	return len(list), e.check(ctx, c, list, now)
}

// check looks at what was claimed once more, for much may have changed since it
// was planned, and sends the rest on its way.
func (e *Engine) check(ctx context.Context, c *campaign, list []store.Invitation, now time.Time) error {
	people, err := e.peopleOf(ctx, c, list)
	if err != nil {
		return err
	}
	here := make([]*store.Person, 0, len(people))
	ids := make([]store.PersonID, 0, len(people))
	for id, p := range people {
		if ids = append(ids, id); p != nil {
			here = append(here, p)
		}
	}
	sup, err := e.suppressed(ctx, c.row.Org, here)
	if err != nil {
		return err
	}
	var contacts map[store.PersonID][]store.Contact
	if c.org.Cap.N > 0 {
		if contacts, err = e.cfg.Store.Contacts(ctx, c.row.Org, ids, now.Add(-c.org.Cap.Period)); err != nil {
			return err
		}
	}
	var outcomes []store.Outcome
	var going []*parcel
	for i := range list {
		v := &list[i]
		p := people[v.Person]
		o := store.Outcome{ID: v.ID, Lease: v.Lease, State: store.Suppressed, Done: now}
		if o.Why = e.refused(c, p, v, sup, now); o.Why != "" {
			outcomes = append(outcomes, o)
			continue
		}
		switch policy, why := c.set.Schedule.Late(v.Due, now); policy {
		case calendar.Skip:
			o.Why = why
			outcomes = append(outcomes, o)
			continue
		case calendar.Ask:
			o.State, o.Why = store.Held, why
			outcomes = append(outcomes, o)
			continue
		}
		at, why, never := e.due(c, p, now, times(others(contacts[v.Person], v), now))
		switch {
		case never != "":
			o.Why = never
			outcomes = append(outcomes, o)
		case at.After(now):
			outcomes = append(outcomes, store.Outcome{ID: v.ID, Lease: v.Lease, State: store.Planned, Due: at, Why: why})
		default:
			going = append(going, &parcel{c: c, person: p, v: *v})
		}
	}
	if len(outcomes) > 0 {
		if _, err := e.record(ctx, c.row.Org, now, nil, outcomes); err != nil {
			return err // the leases run out
		}
	}
	for _, p := range going {
		e.inFlight.Add(1)
		if p.v.Channel == store.InChat {
			e.words <- p // has room: mostInFlight
		} else {
			e.letters <- p
		}
	}
	return nil
}

// refused says why an invitation is not sent any more, or "".
func (e *Engine) refused(c *campaign, p *store.Person, v *store.Invitation, sup map[string]store.Suppression, now time.Time) string {
	if p == nil {
		return "left the organisation"
	}
	ch := channelName(v.Channel)
	if why := unwanted(p, ch, now); why != "" {
		return why
	}
	return listed(sup, p, ch)
}

// others are contacts besides this invitation: not its own other channels, and
// of those that are claimed at the same time only those that go first.
func others(list []store.Contact, v *store.Invitation) []store.Contact {
	out := make([]store.Contact, 0, len(list))
	for _, c := range list {
		same := c.Campaign == v.Campaign && c.Wave == v.Wave && c.Step == v.Step
		if !same && (!c.Handed.IsZero() || c.ID < v.ID) {
			out = append(out, c)
		}
	}
	return out
}

// record writes outcomes of an organisation, in steps.
func (e *Engine) record(ctx context.Context, org feature.Org, now time.Time, hands []store.Hand, outcomes []store.Outcome) (handed []bool, err error) {
	const step = 64
	for len(outcomes) > step {
		if _, err := e.cfg.Store.RecordInvitations(ctx, org, now, nil, outcomes[:step]); err != nil {
			return nil, err
		}
		outcomes = outcomes[step:]
	}
	return e.cfg.Store.RecordInvitations(ctx, org, now, hands, outcomes)
}
