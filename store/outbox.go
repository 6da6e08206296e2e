package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Letter is an e-mail in the built-in outbox.
type Letter struct {
	ID              int64 // of the invitation, or a number of its own
	At              time.Time
	MessageID       string
	From, To        string
	Subject         string
	Text, HTML      string
	UnsubscribeLink string
}

// Posted is an invitation that goes into the outbox.
type Posted struct {
	Letter Letter
	Lease  int64
	Remind time.Time // when a reminder is to be planned; zero is Never
}

// PostInvitations puts claimed invitations into the outbox: with that they are
// handed and accepted, in one transaction. Those whose claim is over are left
// out; it tells how many went.
func (s *Store) PostInvitations(ctx context.Context, org feature.Org, posts []Posted) (posted int, err error) {
	for len(posts) > 0 {
		took, went := 0, 0
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			took, went = 0, 0
			for i := range posts {
				if took > 0 && tx.Held() > stepTime {
					break
				}
				p := &posts[i]
				remind := p.Remind
				if remind.IsZero() {
					remind = Never
				}
				took++
				n, err := tx.Exec("invitation-sent", p.Letter.At, p.Letter.At, remind, p.Letter.At, org, p.Letter.ID, p.Lease)
				if err != nil {
					return err
				}
				if n == 0 {
					continue
				}
				went++
				if err := insertLetter(tx, org, &p.Letter); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return posted, fmt.Errorf("put into the outbox: %w", err)
		}
		posts, posted = posts[took:], posted+went
	}
	return posted, nil
}

func insertLetter(tx *db.Tx, org feature.Org, l *Letter) error {
	_, err := tx.Exec("outbox-insert", org, l.ID, l.At, l.MessageID, l.From, l.To, l.Subject, l.Text, l.HTML, l.UnsubscribeLink)
	return err
}

// Post puts an e-mail that is no invitation into the outbox; it gets a number.
func (s *Store) Post(ctx context.Context, org feature.Org, l Letter) error {
	l.ID = int64(s.ids.next())
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error { return insertLetter(tx, org, &l) }); err != nil {
		return fmt.Errorf("put into the outbox: %w", err)
	}
	return nil
}

// Outbox is what lies in it, newest first, before one (0: from the newest on).
func (s *Store) Outbox(ctx context.Context, org feature.Org, before int64, limit int) (out []Letter, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	if err = s.db.Query(ctx, org, "outbox-page", func(r *db.Row) error {
		out = append(out, Letter{r.Int(0), r.Time(1), r.Text(2), r.Text(3), r.Text(4), r.Text(5), r.Text(6), r.Text(7), r.Text(8)})
		return nil
	}, org, before, limit); err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return out, nil
}

// ThinOutbox deletes what is older than the newest so many, a step at a time;
// it tells how many it deleted.
func (s *Store) ThinOutbox(ctx context.Context, org feature.Org, keep int) (deleted int, err error) {
	var ids []any
	if err = s.db.Query(ctx, org, "outbox-old", func(r *db.Row) error {
		ids = append(ids, r.Int(0))
		return nil
	}, org, keep, PlanStep); err == nil && len(ids) > 0 {
		err = s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
			_, err := tx.ExecList("outbox-delete", []any{org}, ids)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("thin the outbox: %w", err)
	}
	return len(ids), nil
}
