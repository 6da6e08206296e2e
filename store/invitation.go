package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// InvitationState says what is known of an invitation. The numbers stand in
// rows.
type InvitationState uint8

// States of an invitation.
const (
	Planned    InvitationState = iota + 1 // to be sent when it is due
	Claimed                               // somebody is about to send it, until the lease runs out
	Handed                                // it is on its way: from here on it may have arrived
	Accepted                              // the mail relay or the archive has it
	Failed                                // it was refused for good
	Bounced                               // it was accepted and came back
	Suppressed                            // it was not sent, and will not be
	Ambiguous                             // nobody knows whether it arrived: a person decides
	Held                                  // it is too late to be sent without asking: a person decides
)

// String is the word that people use.
func (s InvitationState) String() string {
	return [...]string{"", "planned", "claimed", "handed", "accepted", "failed", "bounced", "suppressed", "ambiguous", "held"}[min(s, Held)]
}

// Channel is the way of an invitation. The numbers stand in rows.
type Channel uint8

// Channels.
const (
	ByEmail Channel = iota + 1
	InChat
)

// String is as in package calendar.
func (c Channel) String() string { return [...]string{"", "email", "chat"}[min(c, InChat)] }

// Never is when nothing is due: of an accepted invitation, no reminder follows.
var Never = time.UnixMicro(1 << 53)

// Invitation is a row of the ledger.
type Invitation struct {
	ID             int64
	Campaign, Wave int64
	Person         PersonID
	Step           int // 0; reminders from 1 on
	Channel        Channel
	State          InvitationState
	Due            time.Time // accepted: of its reminder, or Never
	Lease          int64     // whose claim it is; 0: nobody's
	LeaseUntil     time.Time
	Variant        int       // of the A/B trial, from 0
	Attempts       int       // that ended, or were cut off after it was handed
	Began          time.Time // when step 0 was handed; zero: not yet
	Handed         time.Time // last; zero: never
	Done           time.Time // when the state became final
	Answered       time.Time
	Milestone      string // key of calendar.Reached, or ""
	Why            string // in words
}

func invitationRow(r *db.Row) Invitation {
	return Invitation{
		ID: r.Int(0), Campaign: r.Int(1), Wave: r.Int(2), Person: PersonID(r.Int(3)), Step: int(r.Int(4)), Channel: Channel(r.Int(5)),
		State: InvitationState(r.Int(6)), Due: r.Time(7), Lease: r.Int(8), LeaseUntil: r.Time(9), Variant: int(r.Int(10)),
		Attempts: int(r.Int(11)), Began: r.Time(12), Handed: r.Time(13), Done: r.Time(14), Answered: r.Time(15),
		Milestone: r.Text(16), Why: r.Text(17),
	}
}

// micros is a time as rows have it; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// insertInvitations writes rows with numbers of their own. A number that is
// taken (another process made the same one) shows as db.ErrDuplicate.
func (s *Store) insertInvitations(tx *db.Tx, org feature.Org, rows []Invitation) error {
	args := make([]any, 0, 13*len(rows))
	for i := range rows {
		v := &rows[i]
		args = append(args, org, int64(s.ids.next()), v.Campaign, v.Wave, int64(v.Person), v.Step, uint8(v.Channel), uint8(v.State), micros(v.Due),
			v.Variant, micros(v.Began), v.Milestone, clipWhy(v.Why))
	}
	_, err := tx.ExecRows("invitation-insert", args)
	return err
}

// anew runs a transaction that makes numbers once more when one was taken.
func (s *Store) anew(ctx context.Context, org feature.Org, fn func(*db.Tx) error) (err error) {
	for range 4 {
		if err = s.db.Write(ctx, org, fn); !errors.Is(err, db.ErrDuplicate) {
			return err
		}
	}
	return err
}

// PlanWave writes the rows of the next people of a wave and moves its cursor
// from where w has it to upto, in one transaction: each is planned once,
// whoever plans. next is WavePlanning while there are more people. ErrMoved
// when somebody else has planned them. At most PlanStep rows at a time.
func (s *Store) PlanWave(ctx context.Context, org feature.Org, w *Wave, upto int64, next WaveState, rows []Invitation) error {
	if len(rows) > PlanStep {
		return fmt.Errorf("plan campaign %d: %d rows at once are too many, at most %d", w.Campaign, len(rows), PlanStep)
	}
	if err := s.anew(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("wave-advance", upto, len(rows), uint8(next), org, w.Campaign, w.Wave, w.Upto)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		return s.insertInvitations(tx, org, rows)
	}); err != nil {
		return fmt.Errorf("plan campaign %d: %w", w.Campaign, err)
	}
	return nil
}

// PlanStep is how many rows are written in one transaction.
const PlanStep = 256

// Claim asks for invitations that are due.
type Claim struct {
	Campaign   int64
	Now, Until time.Time // of the lease
	Most       int
	// Spend takes tokens for some invitations: what is left, and for how many
	// there were. It may be called more than once; nil spends nothing.
	Spend func(have Tokens, want int) (left Tokens, got int)
}

// WaitingInvitations counts those of a campaign that are due, up to most.
func (s *Store) WaitingInvitations(ctx context.Context, org feature.Org, campaign int64, now time.Time, most int) (n int, err error) {
	if err = s.db.Query(ctx, org, "invitation-waiting", func(r *db.Row) error {
		n = int(r.Int(0))
		return nil
	}, org, campaign, now, most); err != nil {
		return 0, fmt.Errorf("count due invitations of campaign %d: %w", campaign, err)
	}
	return n, nil
}

// ClaimInvitations takes invitations that are due, the earliest first: they
// are nobody else's until the lease runs out. Of a campaign that does not run
// there are none.
func (s *Store) ClaimInvitations(ctx context.Context, org feature.Org, c Claim) (out []Invitation, err error) {
	lease := rand.Int64N(1<<62) + 1
	got := 0
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		got = 0
		n, err := tx.Exec("campaign-lock", org, c.Campaign)
		if err != nil || n == 0 {
			return err
		}
		ids := make([]any, 0, c.Most)
		if err := tx.Query("invitation-due", func(r *db.Row) error {
			ids = append(ids, r.Int(0))
			return nil
		}, org, c.Campaign, c.Now, min(c.Most, PlanStep)); err != nil {
			return err
		}
		if c.Spend != nil {
			if ids, err = spendOn(tx, org, &c, ids); err != nil {
				return err
			}
		}
		got = len(ids)
		_, err = tx.ExecList("invitation-claim", []any{lease, c.Until, org}, ids)
		return err
	}); err != nil {
		return nil, fmt.Errorf("claim invitations of campaign %d: %w", c.Campaign, err)
	}
	if got == 0 {
		return nil, nil
	}
	out = make([]Invitation, 0, got)
	if err := s.db.Query(ctx, org, "invitation-leased", func(r *db.Row) error {
		out = append(out, invitationRow(r))
		return nil
	}, org, c.Campaign, lease); err != nil {
		return nil, fmt.Errorf("claim invitations of campaign %d: %w", c.Campaign, err)
	}
	return out, nil
}

// spendOn takes tokens of the campaign's bucket for as many as there are.
func spendOn(tx *db.Tx, org feature.Org, c *Claim, ids []any) ([]any, error) {
	var have Tokens
	if err := tx.Query("campaign-tokens", func(r *db.Row) error {
		have = Tokens{r.Int(0), r.Time(1)}
		return nil
	}, org, c.Campaign); err != nil {
		return nil, err
	}
	left, got := c.Spend(have, len(ids))
	_, err := tx.Exec("campaign-spend", left.Millionths, micros(left.At), org, c.Campaign)
	return ids[:min(got, len(ids))], err
}

// Hand says that an invitation that was claimed is about to go out.
type Hand struct {
	ID, Lease int64
	Until     time.Time // from here on nobody who sends it is thought to live
}

// Outcome is what became of an invitation that was claimed or handed.
type Outcome struct {
	ID, Lease int64
	State     InvitationState // Planned: it was not sent, and is due again at Due
	Due       time.Time       // Planned, or Accepted: of the reminder; zero is Never
	Why       string
	Done      time.Time
	Tried     bool // it counts as an attempt
}

// RecordInvitations writes outcomes, and that others are about to go out, in
// one transaction. handed says of each whether it may: not when its lease ran
// out or its person was taken out meanwhile. Once it returns without an error,
// it is durable.
func (s *Store) RecordInvitations(ctx context.Context, org feature.Org, now time.Time, hands []Hand, outcomes []Outcome) (handed []bool, err error) {
	err = s.db.Write(ctx, org, func(tx *db.Tx) error {
		handed = make([]bool, len(hands))
		for i := range outcomes {
			o := &outcomes[i]
			due := o.Due
			if due.IsZero() {
				due = Never
			}
			if _, err := tx.Exec("invitation-settle", uint8(o.State), due, clipWhy(o.Why), micros(o.Done), o.Tried, uint8(o.State),
				org, o.ID, o.Lease); err != nil {
				return err
			}
		}
		return hand(tx, org, now, hands, handed)
	})
	if err != nil {
		return nil, fmt.Errorf("record invitations: %w", err)
	}
	return handed, nil
}

// hand marks rows lease by lease: workers mostly have parts of the same claim.
func hand(tx *db.Tx, org feature.Org, now time.Time, hands []Hand, handed []bool) error {
	order := make([]int, len(hands))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(hands[a].Lease-hands[b].Lease, -1), 1)) })
	for len(order) > 0 {
		first := &hands[order[0]]
		n := 1
		for n < len(order) && hands[order[n]].Lease == first.Lease {
			n++
		}
		ids := make([]any, n)
		for i, at := range order[:n] {
			ids[i] = hands[at].ID
		}
		// One after the other within a transaction, so the count is enough:
		// only when one is missing it is asked which.
		count, err := tx.ExecList("invitation-hand", []any{now, now, first.Until, org, first.Lease}, ids)
		if err != nil {
			return err
		}
		have := map[int64]bool{}
		if int(count) < n {
			if err := tx.QueryList("invitation-handed", []any{org, first.Lease}, ids, func(r *db.Row) error {
				have[r.Int(0)] = true
				return nil
			}); err != nil {
				return err
			}
		}
		for _, at := range order[:n] {
			handed[at] = int(count) == n || have[hands[at].ID]
		}
		order = order[n:]
	}
	return nil
}

// ExpireInvitations ends claims of a campaign whose lease ran out before now:
// what was claimed is planned again; what was handed in chat too, for a message
// of the same origin-id is there once; what was handed by e-mail is ambiguous,
// or planned again when the campaign prefers twice to never. It tells how many
// there were of each.
func (s *Store) ExpireInvitations(ctx context.Context, org feature.Org, campaign int64, now time.Time, twice bool) (planned, ambiguous int, err error) {
	for _, from := range [...]InvitationState{Claimed, Handed} {
		var again, unsure []any
		if err = s.db.Query(ctx, org, "invitation-expired", func(r *db.Row) error {
			if from == Claimed || twice || Channel(r.Int(1)) == InChat {
				again = append(again, r.Int(0))
			} else {
				unsure = append(unsure, r.Int(0))
			}
			return nil
		}, org, campaign, uint8(from), now, 4*PlanStep); err != nil {
			break
		}
		if len(again)+len(unsure) == 0 {
			continue
		}
		var p, a int64
		if err = s.db.Write(ctx, org, func(tx *db.Tx) (err error) {
			why := ""
			if from == Handed {
				why = "sent again: the sender was cut off"
			}
			if p, err = tx.ExecList("invitation-lapse", []any{uint8(Planned), why, 0, from == Handed, uint8(Planned), org, uint8(from), now}, again); err != nil {
				return err
			}
			a, err = tx.ExecList("invitation-lapse", []any{uint8(Ambiguous), "the sender was cut off before the mail relay answered",
				now, true, uint8(Ambiguous), org, uint8(from), now}, unsure)
			return err
		}); err != nil {
			break
		}
		planned, ambiguous = planned+int(p), ambiguous+int(a)
	}
	if err != nil {
		return planned, ambiguous, fmt.Errorf("expire claims of campaign %d: %w", campaign, err)
	}
	return planned, ambiguous, nil
}

// Reminder is the row that follows an accepted invitation.
type Reminder struct {
	Of   int64       // the number of the accepted one
	Next *Invitation // nil: none follows
}

// DueReminders are accepted invitations whose reminder is to be planned.
func (s *Store) DueReminders(ctx context.Context, org feature.Org, campaign int64, now time.Time, most int) (out []Invitation, err error) {
	if err = s.db.Query(ctx, org, "invitation-remind", func(r *db.Row) error {
		out = append(out, invitationRow(r))
		return nil
	}, org, campaign, now, most); err != nil {
		return nil, fmt.Errorf("reminders of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// PlanReminders writes reminders, once each: ErrMoved when somebody else has
// planned some of them. At most PlanStep.
func (s *Store) PlanReminders(ctx context.Context, org feature.Org, list []Reminder) error {
	of := make([]any, len(list))
	var rows []Invitation
	for i, r := range list {
		of[i] = r.Of
		if r.Next != nil {
			rows = append(rows, *r.Next)
		}
	}
	if err := s.anew(ctx, org, func(tx *db.Tx) error {
		n, err := tx.ExecList("invitation-reminded", []any{Never, org, Never}, of)
		if err == nil && int(n) != len(of) {
			err = ErrMoved
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		return s.insertInvitations(tx, org, rows)
	}); err != nil {
		return fmt.Errorf("plan reminders: %w", err)
	}
	return nil
}

// NextInvitation is when the next planned invitation of a campaign is due, or
// the next reminder to be planned; Never when there is none.
func (s *Store) NextInvitation(ctx context.Context, org feature.Org, campaign int64) (next time.Time, err error) {
	next = Never
	for _, state := range [...]InvitationState{Planned, Accepted} {
		if err = s.db.Query(ctx, org, "invitation-next", func(r *db.Row) error {
			if t := r.Time(0); t.Before(next) {
				next = t
			}
			return nil
		}, org, campaign, uint8(state)); err != nil {
			return next, fmt.Errorf("next invitation of campaign %d: %w", campaign, err)
		}
	}
	return next, nil
}
