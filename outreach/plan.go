package outreach

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/store"
)

// 1. A wave that has come gets a row (waves).
// 2. Its people are looked at in the order of their numbers, a chunk at a time:
//    who is meant gets a row per channel, planned with its time, or suppressed
//    with the reason; the wave's cursor moves in the same transaction (people).
// 3. An accepted invitation is due again when its reminder is to be planned
//    (reminders).
// 4. A campaign without anything to come is done (finish).

const (
	planChunks = 8                      // of people of one campaign in one look
	planEvery  = 500 * time.Millisecond // looks for what is to be planned
)

// plan does for a campaign what is to be done now; more tells that there is
// more of it.
func (e *Engine) plan(ctx context.Context, c *campaign, now time.Time) (more bool, err error) {
	k := key{c.row.Org, c.row.ID}
	if next := e.plans[k]; now.Before(next) && next.Sub(now) <= planEvery {
		return false, nil
	}
	opened, more, err := e.waves(ctx, c, now)
	if err != nil {
		return more, err
	}
	if c.row.State == store.CampaignScheduled {
		if !opened && c.row.LastWave == 0 {
			e.plans[k] = now.Add(planEvery)
			return more, nil
		}
		if err := e.cfg.Store.MoveCampaign(ctx, c.row.Org, c.row.ID, store.CampaignRunning, now, store.CampaignScheduled); err != nil {
			return true, err
		}
		c.row.State = store.CampaignRunning
	}
	for range planChunks {
		w, err := e.cfg.Store.PlanningWave(ctx, c.row.Org, c.row.ID)
		if err != nil || w == nil {
			if err != nil {
				return true, err
			}
			break
		}
		if err := e.people(ctx, c, w, now); err != nil {
			return true, err
		}
		more = true
	}
	reminded, err := e.reminders(ctx, c, now)
	if err != nil || reminded || more {
		return true, err
	}
	next, err := e.cfg.Store.NextInvitation(ctx, c.row.Org, c.row.ID)
	if err != nil {
		return true, err
	}
	if next.Equal(store.Never) {
		if err := e.finish(ctx, c, now); err != nil {
			return false, err
		}
	}
	if soon := now.Add(quietFor); next.After(soon) {
		next = soon
	}
	e.looks[k], e.plans[k] = next, now.Add(planEvery)
	return false, nil
}

// number is the wave of a moment: the moment read as UTC, in microseconds.
func number(m calendar.Moment) int64 { return m.In(time.UTC).UnixMicro() }

// moment is what number was made of.
func moment(wave int64) calendar.Moment {
	t := time.UnixMicro(wave).UTC()
	return calendar.Moment{Date: calendar.DateOf(t, nil), Clock: calendar.Clock(t.Hour()*60 + t.Minute())}
}

// most waves that one look opens.
const mostWaves = 64

// coming are the moments after the last wave that the first zone on Earth has
// reached.
func (c *campaign) coming(now time.Time) (list []calendar.Moment, more bool, err error) {
	s := &c.set.Schedule
	from := s.Start.Date
	if c.row.LastWave != 0 {
		from = moment(c.row.LastWave).Date
	} else if s.Kind != calendar.Once {
		from = max(from, calendar.DateOf(c.row.Launched, time.UTC)-1)
	}
	to := calendar.DateOf(now.Add(15*time.Hour), time.UTC)
	if s.Kind == calendar.Tenure {
		for d := from; d <= to && (s.Until == 0 || d <= s.Until); d++ {
			list = append(list, calendar.Moment{Date: d, Clock: s.Start.Clock})
		}
		if more = len(list) > mostWaves; more {
			list = list[:mostWaves]
		}
	} else if list, more, err = s.Waves(from, to, mostWaves); err != nil {
		return nil, false, err
	}
	zone := c.org.Rules.Zone
	out := list[:0]
	for _, m := range list {
		switch {
		case number(m) <= c.row.LastWave || m.First().After(now):
		case s.Kind != calendar.Once && m.In(zone).Before(c.row.Launched):
		default:
			out = append(out, m)
		}
	}
	return out, more && len(out) > 0, nil
}

// waves opens waves that have come. Of those that were missed altogether while
// nothing ran, misfire decides: skip them, or send the last one late.
func (e *Engine) waves(ctx context.Context, c *campaign, now time.Time) (opened, more bool, err error) {
	list, more, err := c.coming(now)
	if err != nil {
		return false, false, err
	}
	for i, m := range list {
		w := &store.Wave{Campaign: c.row.ID, Wave: number(m), State: store.WavePlanning, At: now}
		policy, why := c.set.Schedule.Late(m.Last(), now)
		if c.set.Schedule.Kind == calendar.Recurring && policy != calendar.Send {
			w.State, w.Why = store.WaveSkipped, "nothing ran when it was due: "+why
		} else if c.set.Schedule.Kind == calendar.Recurring && m.Last().Before(now) && i+1 < len(list) && list[i+1].Last().Before(now) {
			w.State, w.Why = store.WaveSkipped, "nothing ran when it was due; a later one takes its place"
		}
		if err := e.cfg.Store.OpenWave(ctx, c.row.Org, w); err != nil {
			return opened, more, err
		}
		c.row.LastWave = w.Wave
		opened = true
	}
	return opened, more, nil
}

// people plans the next chunk of a wave.
func (e *Engine) people(ctx context.Context, c *campaign, w *store.Wave, now time.Time) error {
	match := func(*store.Person) (bool, error) { return true, nil }
	if c.row.Audience != 0 {
		if e.cfg.Audience == nil {
			return fmt.Errorf("campaign %s: there is nothing that knows its audience", c.row.Name)
		}
		var err error
		if match, err = e.cfg.Audience(ctx, c.row.Org, c.row.Audience, now); err != nil {
			return fmt.Errorf("campaign %s: %w", c.row.Name, err)
		}
	}
	m := moment(w.Wave)
	reached := map[store.PersonID]string{}
	also := func(p *store.Person) (bool, error) {
		if c.set.Schedule.Kind == calendar.Tenure {
			name, ok := c.milestone(p, m)
			if !ok {
				return false, nil
			}
			reached[p.ID] = name
		}
		return match(p)
	}
	people, upto, err := e.cfg.Store.People(ctx, c.row.Org, store.PeopleFilter{Everyone: true, Also: also},
		store.PersonID(w.Upto), store.PlanStep/len(c.set.Channels))
	if err != nil {
		return err
	}
	next := store.WavePlanning
	if upto == 0 {
		next = store.WaveOpen
		if upto = store.PersonID(w.Upto); len(people) > 0 {
			upto = people[len(people)-1].ID
		}
	}
	rows, err := e.rows(ctx, c, m, people, now)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].Wave = w.Wave
		rows[i].Milestone = reached[rows[i].Person]
	}
	return e.cfg.Store.PlanWave(ctx, c.row.Org, w, int64(upto), next, rows)
}

// milestone is what a person reaches on the day of a wave.
func (c *campaign) milestone(p *store.Person, m calendar.Moment) (string, bool) {
	if p.Start.IsZero() {
		return "", false
	}
	known := calendar.DateOf(time.UnixMilli(int64(p.ID)>>16), c.org.Rules.Zone)
	list := c.set.Schedule.Reached(calendar.DateOf(p.Start, time.UTC), known, m.Date, m.Date)
	if len(list) == 0 {
		return "", false
	}
	return list[0].Key(), true
}

// rows are the invitations of some people.
func (e *Engine) rows(ctx context.Context, c *campaign, m calendar.Moment, people []store.Person, now time.Time) ([]store.Invitation, error) {
	if len(people) == 0 {
		return nil, nil
	}
	list := make([]*store.Person, len(people))
	ids := make([]store.PersonID, len(people))
	for i := range people {
		list[i], ids[i] = &people[i], people[i].ID
	}
	sup, err := e.suppressed(ctx, c.row.Org, list)
	if err != nil {
		return nil, err
	}
	var contacts map[store.PersonID][]store.Contact
	if c.org.Cap.N > 0 {
		if contacts, err = e.cfg.Store.Contacts(ctx, c.row.Org, ids, now.Add(-c.org.Cap.Period)); err != nil {
			return nil, err
		}
	}
	var out []store.Invitation
	for _, p := range list {
		reached := false
		for _, ch := range c.set.Channels {
			v := store.Invitation{Campaign: c.row.ID, Person: p.ID, Channel: channelOf(ch), State: store.Planned, Variant: c.variant(p.ID)}
			why := unwanted(p, ch, now)
			if why == "" {
				why = listed(sup, p, ch)
			}
			if why == "" && reached && c.set.Either {
				continue
			}
			if why == "" {
				due := c.set.Schedule.Due(m, e.zones.of(p.Zone), c.org.Rules.Zone)
				v.Due, v.Why, why = e.due(c, p, due, times(contacts[p.ID], now))
			}
			if why != "" {
				v.State, v.Due, v.Why = store.Suppressed, store.Never, why
			} else {
				reached = true
			}
			out = append(out, v)
		}
		if reached && c.set.Either { // by another channel, which is no loss
			out = dropSuppressed(out, p.ID)
		}
	}
	return out, nil
}

// dropSuppressed takes a person's suppressed rows off the end.
func dropSuppressed(rows []store.Invitation, p store.PersonID) []store.Invitation {
	i := len(rows)
	for i > 0 && rows[i-1].Person == p {
		i--
	}
	out := rows[:i]
	for _, v := range rows[i:] {
		if v.State != store.Suppressed {
			out = append(out, v)
		}
	}
	return out
}

// due is the first time from t on that is permitted, why it is later than t,
// and why there is none.
func (e *Engine) due(c *campaign, p *store.Person, t time.Time, contacts []time.Time) (at time.Time, why, never string) {
	if t.Before(p.Prefs.Pause) {
		t, why = p.Prefs.Pause, "paused until "+p.Prefs.Pause.UTC().Format("2006-01-02 15:04")+" UTC"
	}
	at, reason, err := calendar.Due(t, c.org.Rules, e.rules(p), c.org.Cap, contacts)
	switch {
	case err != nil:
		return store.Never, "", err.Error()
	case why != "" && reason != "":
		why += "; " + reason
	case why == "":
		why = reason
	}
	return at, why, ""
}

// times are when contacts were; what is claimed is about to be.
func times(contacts []store.Contact, now time.Time) []time.Time {
	out := make([]time.Time, 0, len(contacts))
	for i, c := range contacts {
		if slices.ContainsFunc(contacts[:i], func(o store.Contact) bool {
			return o.Campaign == c.Campaign && o.Wave == c.Wave && o.Step == c.Step
		}) {
			continue // by another channel
		}
		if c.Handed.IsZero() {
			out = append(out, now)
		} else {
			out = append(out, c.Handed)
		}
	}
	return out
}

// remindAt is when the reminder after an invitation is to be planned; zero for
// none.
func (e *Engine) remindAt(c *campaign, p *store.Person, v *store.Invitation, handed time.Time) time.Time {
	if v.Step >= len(c.set.Schedule.Reminders) {
		return time.Time{}
	}
	if !v.Began.IsZero() {
		handed = v.Began
	}
	zone := e.zones.of(p.Zone)
	if zone == nil {
		zone = c.org.Rules.Zone
	}
	return c.set.Schedule.Reminders[v.Step].After(handed, zone)
}

// reminders plans those whose time has come.
func (e *Engine) reminders(ctx context.Context, c *campaign, now time.Time) (more bool, err error) {
	list, err := e.cfg.Store.DueReminders(ctx, c.row.Org, c.row.ID, now, store.PlanStep)
	if err != nil || len(list) == 0 {
		return false, err
	}
	people, err := e.peopleOf(ctx, c, list)
	if err != nil {
		return false, err
	}
	out := make([]store.Reminder, len(list))
	for i := range list {
		v := &list[i]
		out[i] = store.Reminder{Of: v.ID}
		p := people[v.Person]
		if p == nil || v.Step >= len(c.set.Schedule.Reminders) {
			continue // erased, or the reminder is
		}
		next := &store.Invitation{Campaign: v.Campaign, Wave: v.Wave, Person: v.Person, Step: v.Step + 1, Channel: v.Channel,
			State: store.Planned, Variant: v.Variant, Began: v.Began, Milestone: v.Milestone}
		why := unwanted(p, channelName(v.Channel), now)
		if !v.Answered.IsZero() {
			why = "answered already"
		}
		if why == "" {
			next.Due, next.Why, why = e.due(c, p, v.Due, nil)
		}
		if why != "" {
			next.State, next.Due, next.Why = store.Suppressed, store.Never, why
		}
		out[i].Next = next
	}
	return true, e.cfg.Store.PlanReminders(ctx, c.row.Org, out)
}

// peopleOf reads the people of some invitations.
func (e *Engine) peopleOf(ctx context.Context, c *campaign, list []store.Invitation) (map[store.PersonID]*store.Person, error) {
	ids := make([]store.PersonID, 0, len(list))
	out := make(map[store.PersonID]*store.Person, len(list))
	for i := range list {
		if _, ok := out[list[i].Person]; !ok {
			out[list[i].Person] = nil
			ids = append(ids, list[i].Person)
		}
	}
	people, err := e.cfg.Store.PeopleByID(ctx, c.row.Org, ids)
	if err != nil {
		return nil, err
	}
	for i := range people {
		out[people[i].ID] = &people[i]
	}
	return out, nil
}

// finish ends a campaign that has nothing to come.
func (e *Engine) finish(ctx context.Context, c *campaign, now time.Time) error {
	s := &c.set.Schedule
	switch {
	case c.row.LastWave == 0:
		return nil
	case s.Kind == calendar.Tenure && (s.Until == 0 || moment(c.row.LastWave).Date < s.Until):
		return nil
	case s.Kind == calendar.Recurring:
		last := moment(c.row.LastWave)
		list, _, err := s.Waves(last.Date, calendar.LastDate, mostWaves)
		if err != nil || len(list) > 0 && number(list[len(list)-1]) > c.row.LastWave {
			return err
		}
	}
	counts, err := e.cfg.Store.InvitationCounts(ctx, c.row.Org, c.row.ID)
	if err != nil {
		return err
	}
	if counts[store.Planned]+counts[store.Claimed]+counts[store.Handed]+counts[store.Held] > 0 {
		return nil
	}
	if err := e.cfg.Store.FinishWaves(ctx, c.row.Org, c.row.ID); err != nil {
		return err
	}
	return e.cfg.Store.MoveCampaign(ctx, c.row.Org, c.row.ID, store.CampaignDone, now, store.CampaignRunning)
}
