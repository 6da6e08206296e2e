package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Contact is an invitation that counts for how often a person is contacted.
type Contact struct {
	ID, Campaign, Wave int64
	Step               int
	Person             PersonID
	Handed             time.Time // zero: it is claimed, and about to be
}

// Contacts are those of some people since an instant, over all campaigns.
func (s *Store) Contacts(ctx context.Context, org feature.Org, people []PersonID, since time.Time) (map[PersonID][]Contact, error) {
	out := make(map[PersonID][]Contact)
	if err := s.db.QueryList(ctx, org, "invitation-contacts", []any{org, since}, anys(people), func(r *db.Row) error {
		c := Contact{ID: r.Int(0), Campaign: r.Int(1), Wave: r.Int(2), Step: int(r.Int(3)), Person: PersonID(r.Int(4))}
		if handed := r.Time(6); handed.After(since) {
			c.Handed = handed
		}
		for _, have := range out[c.Person] { // a list may name a person twice
			if have.ID == c.ID {
				return nil
			}
		}
		out[c.Person] = append(out[c.Person], c)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("contacts: %w", err)
	}
	return out, nil
}

func anys[T ~int64](ids []T) []any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	return list
}

// Invitations reads some by their numbers, in no order.
func (s *Store) Invitations(ctx context.Context, org feature.Org, ids ...int64) (out []Invitation, err error) {
	seen := make(map[int64]bool, len(ids))
	if err = s.db.QueryList(ctx, org, "invitation-get", []any{org}, anys(ids), func(r *db.Row) error {
		if v := invitationRow(r); !seen[v.ID] {
			seen[v.ID] = true
			out = append(out, v)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("invitations: %w", err)
	}
	return out, nil
}

// InvitationPage says where a page of invitations begins: after this one. The
// zero value is the beginning.
type InvitationPage struct {
	Due time.Time
	ID  int64
}

// InvitationsOf are those of a campaign in a state: who did not get it, and why.
func (s *Store) InvitationsOf(ctx context.Context, org feature.Org, campaign int64, state InvitationState, after InvitationPage, limit int) (out []Invitation, err error) {
	due := micros(after.Due)
	if err = s.db.Query(ctx, org, "invitation-page", func(r *db.Row) error {
		out = append(out, invitationRow(r))
		return nil
	}, org, campaign, uint8(state), due, due, after.ID, limit); err != nil {
		return nil, fmt.Errorf("invitations of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// InvitationCounts counts the invitations of a campaign by state.
func (s *Store) InvitationCounts(ctx context.Context, org feature.Org, campaign int64) (map[InvitationState]int, error) {
	out := make(map[InvitationState]int)
	if err := s.db.Query(ctx, org, "invitation-states", func(r *db.Row) error {
		out[InvitationState(r.Int(0))] = int(r.Int(1))
		return nil
	}, org, campaign); err != nil {
		return nil, fmt.Errorf("count invitations of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// InvitationReason says how many invitations are in a state for a reason.
type InvitationReason struct {
	Wave    int64
	Step    int
	Channel Channel
	State   InvitationState
	Why     string
	Count   int
}

// InvitationReasons are the most frequent reasons, by wave, step and channel.
func (s *Store) InvitationReasons(ctx context.Context, org feature.Org, campaign int64, limit int) (out []InvitationReason, err error) {
	if err = s.db.Query(ctx, org, "invitation-reasons", func(r *db.Row) error {
		out = append(out, InvitationReason{r.Int(0), int(r.Int(1)), Channel(r.Int(2)), InvitationState(r.Int(3)), r.Text(4), int(r.Int(5))})
		return nil
	}, org, campaign, limit); err != nil {
		return nil, fmt.Errorf("count invitations of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// VariantCount is what a variant of an A/B trial brought: of those who
// answered, or were invited before a time, how many answered.
type VariantCount struct{ Variant, Asked, Answered int }

// VariantCounts count invitations that were accepted.
func (s *Store) VariantCounts(ctx context.Context, org feature.Org, campaign int64, before time.Time) (out []VariantCount, err error) {
	if err = s.db.Query(ctx, org, "invitation-variants", func(r *db.Row) error {
		out = append(out, VariantCount{int(r.Int(0)), int(r.Int(1)), int(r.Int(2))})
		return nil
	}, org, campaign, before); err != nil {
		return nil, fmt.Errorf("count variants of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// AnswerInvitations notes that a person has begun to talk in a wave: no
// reminder follows, and what is planned of the wave is not sent.
func (s *Store) AnswerInvitations(ctx context.Context, org feature.Org, campaign, wave int64, person PersonID, at time.Time) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		var ids []any
		if err := tx.Query("invitation-of-person", func(r *db.Row) error {
			if r.Int(1) == campaign && r.Int(2) == wave {
				ids = append(ids, r.Int(0))
			}
			return nil
		}, org, int64(person)); err != nil {
			return err
		}
		if _, err := tx.ExecList("invitation-answered", []any{at, org}, ids); err != nil {
			return err
		}
		return endInvitations(tx, org, person, at, "answered already", func(c, w int64) bool { return c == campaign && w == wave })
	}); err != nil {
		return fmt.Errorf("note an answer: %w", err)
	}
	return nil
}

// EndInvitations takes a person out of all campaigns, or of one: what is not
// handed yet is suppressed for a reason, and no reminder follows.
func (s *Store) EndInvitations(ctx context.Context, org feature.Org, person PersonID, campaign int64, at time.Time, why string) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		return endInvitations(tx, org, person, at, why, func(c, _ int64) bool { return campaign == 0 || c == campaign })
	}); err != nil {
		return fmt.Errorf("end invitations of a person: %w", err)
	}
	return nil
}

func endInvitations(tx *db.Tx, org feature.Org, person PersonID, at time.Time, why string, which func(campaign, wave int64) bool) error {
	var ids []any
	if err := tx.Query("invitation-of-person", func(r *db.Row) error {
		state := InvitationState(r.Int(3))
		open := state == Planned || state == Claimed || state == Held || state == Accepted && r.Time(4).Before(Never)
		if open && which(r.Int(1), r.Int(2)) {
			ids = append(ids, r.Int(0))
		}
		return nil
	}, org, int64(person)); err != nil {
		return err
	}
	_, err := tx.ExecList("invitation-end", []any{Never, at, clipWhy(why), org}, ids)
	return err
}

// Turn is what TurnInvitations does.
type Turn struct {
	Campaign int64
	From, To InvitationState
	Due      time.Time // of planned ones; zero is Never
	At       time.Time // of a final state
	Why      string
	Only     []int64 // some; nil: all
}

// TurnInvitations brings invitations from one state to another because a
// person or the end of a campaign says so: failed ones are tried again,
// ambiguous ones are sent again or counted as sent, planned ones are given up.
// It goes in short transactions and tells how many it were.
func (s *Store) TurnInvitations(ctx context.Context, org feature.Org, t Turn) (turned int, err error) {
	if t.From == t.To || t.From == Handed || t.To == Claimed || t.To == Handed {
		return 0, fmt.Errorf("turn invitations from %s to %s: that is for who sends them", t.From, t.To)
	}
	due := t.Due
	if due.IsZero() {
		due = Never
	}
	done := micros(t.At)
	if t.To == Planned {
		done = 0
	}
	fixed := []any{uint8(t.To), due, done, clipWhy(t.Why), org, uint8(t.From)}
	for rest, more := t.Only, true; more; {
		var ids []any
		if t.Only != nil {
			n := min(len(rest), PlanStep)
			ids, rest = anys(rest[:n]), rest[n:]
			more = len(rest) > 0
		} else {
			if err = s.db.Query(ctx, org, "invitation-of-state", func(r *db.Row) error {
				ids = append(ids, r.Int(0))
				return nil
			}, org, t.Campaign, uint8(t.From), PlanStep); err != nil {
				break
			}
			more = len(ids) == PlanStep
		}
		step := 0
		if err = s.db.Write(ctx, org, func(tx *db.Tx) error {
			n, err := tx.ExecList("invitation-turn", fixed, ids)
			step = int(n)
			return err
		}); err != nil {
			break
		}
		turned += step
		if more && step == 0 && t.Only == nil {
			more = false // somebody else turns them
		}
	}
	if err != nil {
		return turned, fmt.Errorf("turn %s invitations of campaign %d: %w", t.From, t.Campaign, err)
	}
	return turned, nil
}

// InvitationBounced notes that an e-mail came back. ErrNotFound when there is
// no such invitation, or it was not sent.
func (s *Store) InvitationBounced(ctx context.Context, org feature.Org, id int64, at time.Time, why string) error {
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("invitation-bounce", clipWhy(why), at, Never, org, id)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("bounced invitation %d: %w", id, err)
	}
	return nil
}

// MessageName is the left side of the Message-ID of an invitation, and its
// origin-id in chat: always the same, with a check that only this database
// can make, so that nobody invents a bounce.
func (s *Store) MessageName(org feature.Org, id int64) string { return s.sealed("i", org, id) }

// ReadMessageName finds the invitation of a MessageName. ErrNotFound when it
// is not one of ours.
func (s *Store) ReadMessageName(name string) (feature.Org, int64, error) {
	return s.unsealed("i", name)
}

// UnsubscribeToken lets a person unsubscribe, and nobody else.
func (s *Store) UnsubscribeToken(org feature.Org, person PersonID) string {
	return s.sealed("u", org, int64(person))
}

// ReadUnsubscribeToken finds whose it is. ErrNotFound when it is not ours.
func (s *Store) ReadUnsubscribeToken(token string) (feature.Org, PersonID, error) {
	org, id, err := s.unsealed("u", token)
	return org, PersonID(id), err
}

// sealed is a number of an organisation with 64 bits that only we can make.
func (s *Store) sealed(kind string, org feature.Org, id int64) string {
	return fmt.Sprintf("%s%x.%x.%016x", kind, uint32(org), uint64(id), s.hash(fmt.Sprintf("sealed %s %d %d", kind, org, id)))
}

func (s *Store) unsealed(kind, text string) (feature.Org, int64, error) {
	var org uint32
	var id, check uint64
	if _, err := fmt.Sscanf(text, kind+"%x.%x.%x", &org, &id, &check); err != nil || s.sealed(kind, feature.Org(org), int64(id)) != text {
		return 0, 0, fmt.Errorf("%.80q: %w", text, ErrNotFound)
	}
	return feature.Org(org), int64(id), nil
}

// SuppressionKind says why somebody is not written to. The numbers stand in
// rows.
type SuppressionKind uint8

// Kinds of suppression.
const (
	SuppressedByHand SuppressionKind = iota + 1
	SuppressedBounce
	SuppressedComplaint
	SuppressedUnsubscribed
)

// String is the word that people use.
func (k SuppressionKind) String() string {
	return [...]string{"", "by hand", "bounce", "complaint", "unsubscribed"}[min(k, SuppressedUnsubscribed)]
}

// Suppression is somebody who is not invited any more. Who is an e-mail
// address in lower case, or [PersonKey] for all channels.
type Suppression struct {
	Who  string
	Kind SuppressionKind
	Why  string
	At   time.Time
}

// PersonKey names a person in the list of suppressions.
func PersonKey(person PersonID) string { return fmt.Sprintf("#%d", person) }

// Suppress puts somebody on the list of an organisation. What is planned for
// the people given is taken back in the same transaction.
func (s *Store) Suppress(ctx context.Context, org feature.Org, sup Suppression, people ...PersonID) error {
	if sup.Who == "" || len(sup.Who) > 254 {
		return errors.New("suppress: an address has 1 to 254 bytes")
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if _, err := tx.Exec("suppression-set", org, sup.Who, uint8(sup.Kind), clipWhy(sup.Why), sup.At); err != nil {
			return err
		}
		for _, p := range people {
			if err := endInvitations(tx, org, p, sup.At, sup.Why, func(int64, int64) bool { return true }); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("suppress: %w", err)
	}
	return nil
}

// Unsuppress takes somebody off the list. ErrNotFound.
func (s *Store) Unsuppress(ctx context.Context, org feature.Org, who string) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("suppression-delete", org, who)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	}); err != nil {
		return fmt.Errorf("take off the list of suppressions: %w", err)
	}
	return nil
}

// Suppressed finds those of some who are on the list.
func (s *Store) Suppressed(ctx context.Context, org feature.Org, who []string) (map[string]Suppression, error) {
	list := make([]any, len(who))
	for i, w := range who {
		list[i] = w
	}
	out := make(map[string]Suppression)
	if err := s.db.QueryList(ctx, org, "suppression-some", []any{org}, list, func(r *db.Row) error {
		out[r.Text(0)] = suppressionRow(r)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list of suppressions: %w", err)
	}
	return out, nil
}

func suppressionRow(r *db.Row) Suppression {
	return Suppression{r.Text(0), SuppressionKind(r.Int(1)), r.Text(2), r.Time(3)}
}

// Suppressions are those of an organisation after one, by address.
func (s *Store) Suppressions(ctx context.Context, org feature.Org, after string, limit int) (out []Suppression, err error) {
	if err = s.db.Query(ctx, org, "suppression-page", func(r *db.Row) error {
		out = append(out, suppressionRow(r))
		return nil
	}, org, after, limit); err != nil {
		return nil, fmt.Errorf("list of suppressions: %w", err)
	}
	return out, nil
}
