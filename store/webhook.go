package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// WebhookState says whether a webhook gets anything. The numbers stand in rows.
type WebhookState uint8

// States of a webhook.
const (
	WebhookOn       WebhookState = iota + 1
	WebhookDisabled              // it failed too long
	WebhookOff                   // somebody switched it off
)

// String is the word that people use.
func (s WebhookState) String() string {
	return [...]string{"", "on", "disabled", "off"}[min(s, WebhookOff)]
}

// Webhook is an address that is told of events of an organisation.
type Webhook struct {
	ID      int64
	URL     string
	Secret  []byte   // signs what is sent
	Events  []string // none: all
	Content bool     // answers with what they say
	State   WebhookState
	Failing time.Time // since when nothing arrived; zero: all is well
	Why     string    // the last failure
	Maker   string
	Made    time.Time
}

// Limits of webhooks.
const (
	MaxWebhooks     = 20       // of an organisation
	maxWebhookBody  = 64 << 10 // bytes of an event
	webhookSecret   = 32       // bytes
	maxWebhookURL   = 2000     // bytes
	maxDeliveryWhys = 500      // bytes
)

// AddWebhook keeps a webhook and makes its secret. ErrNoRoom.
func (s *Store) AddWebhook(ctx context.Context, org feature.Org, w *Webhook) error {
	if len(w.URL) > maxWebhookURL {
		return fmt.Errorf("add a webhook: its address has at most %d bytes", maxWebhookURL)
	}
	w.ID, w.State, w.Made, w.Secret = int64(s.ids.next()), WebhookOn, time.Now().Truncate(time.Microsecond), make([]byte, webhookSecret)
	if _, err := rand.Read(w.Secret); err != nil {
		return fmt.Errorf("add a webhook: %w", err)
	}
	events, err := json.Marshal(w.Events)
	if err != nil {
		return err
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n := 0
		if err := tx.Query("webhook-page", func(*db.Row) error {
			n++
			return nil
		}, org, 0, MaxWebhooks); err != nil {
			return err
		}
		if n >= MaxWebhooks {
			return ErrNoRoom
		}
		_, err := tx.Exec("webhook-insert", org, w.ID, w.URL, w.Secret, events, w.Content, clip(w.Maker, 320), w.Made)
		return err
	}); err != nil {
		return fmt.Errorf("add a webhook: %w", err)
	}
	return nil
}

func webhookRow(r *db.Row) (w Webhook, err error) {
	w = Webhook{ID: r.Int(0), URL: r.Text(1), Secret: r.Bytes(2), Content: r.Bool(4), State: WebhookState(r.Int(5)), Failing: r.Time(6),
		Why: r.Text(7), Maker: r.Text(8), Made: r.Time(9)}
	return w, json.Unmarshal(r.View(3), &w.Events)
}

// Webhook reads one. ErrNotFound.
func (s *Store) Webhook(ctx context.Context, org feature.Org, id int64) (*Webhook, error) {
	list, err := s.webhooks(ctx, org, "webhook-get", org, id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("webhook %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// Webhooks are those of an organisation behind one.
func (s *Store) Webhooks(ctx context.Context, org feature.Org, after int64, limit int) ([]Webhook, error) {
	return s.webhooks(ctx, org, "webhook-page", org, after, limit)
}

func (s *Store) webhooks(ctx context.Context, org feature.Org, name string, args ...any) (out []Webhook, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		w, err := webhookRow(r)
		out = append(out, w)
		return err
	}, args...); err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	return out, nil
}

// ChangeWebhook keeps address, events, content and state of a webhook; what
// failed is forgotten. ErrNotFound.
func (s *Store) ChangeWebhook(ctx context.Context, org feature.Org, w *Webhook) error {
	events, err := json.Marshal(w.Events)
	if err != nil {
		return err
	}
	if _, err := s.Webhook(ctx, org, w.ID); err != nil {
		return err
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("webhook-change", w.URL, events, w.Content, uint8(w.State), org, w.ID)
		return err
	}); err != nil {
		return fmt.Errorf("change webhook %d: %w", w.ID, err)
	}
	return nil
}

// DeleteWebhook deletes a webhook and what was to be delivered to it.
// ErrNotFound.
func (s *Store) DeleteWebhook(ctx context.Context, org feature.Org, id int64) error {
	if err := s.deleteOne(ctx, org, "webhook-delete", org, id); err != nil {
		return err
	}
	for {
		var ids []any
		if err := s.db.Query(ctx, org, "delivery-of", func(r *db.Row) error {
			ids = append(ids, r.Int(0))
			return nil
		}, org, id, deliveryStep); err != nil || len(ids) == 0 {
			return err
		}
		if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
			_, err := tx.ExecList("delivery-drop", []any{org}, ids)
			return err
		}); err != nil {
			return fmt.Errorf("delete webhook %d: %w", id, err)
		}
	}
}

const deliveryStep = 200 // rows at once

// Event is something that webhooks are told.
type Event struct {
	Name string // as "case.opened"
	At   time.Time
	Data any // without names, texts or anything that a person answered
	// Content is what goes with Data to webhooks that ask for content.
	Content any
}

// eventBody is the document that a webhook is sent.
type eventBody struct {
	ID      int64     `json:"id"`
	Event   string    `json:"event"`
	At      time.Time `json:"at"`
	Data    any       `json:"data,omitempty"`
	Content any       `json:"content,omitempty"`
}

// Emit has the webhooks of an organisation told of an event.
func (s *Store) Emit(ctx context.Context, org feature.Org, e Event) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error { return s.emit(tx, org, e) }); err != nil {
		return fmt.Errorf("event %s: %w", e.Name, err)
	}
	return nil
}

// emit does so in the transaction of what happened.
func (s *Store) emit(tx *db.Tx, org feature.Org, e Event) error {
	type hook struct {
		id      int64
		content bool
	}
	var hooks []hook
	if err := tx.Query("webhook-on", func(r *db.Row) error {
		var events []string
		if err := json.Unmarshal(r.View(1), &events); err != nil {
			return err
		}
		if len(events) == 0 || slices.Contains(events, e.Name) {
			hooks = append(hooks, hook{r.Int(0), r.Bool(2)})
		}
		return nil
	}, org); err != nil {
		return err
	}
	for _, h := range hooks {
		body := eventBody{ID: int64(s.ids.next()), Event: e.Name, At: e.At.UTC(), Data: e.Data}
		if h.content {
			body.Content = e.Content
		}
		text, err := json.Marshal(body)
		if err == nil && len(text) > maxWebhookBody {
			body.Content = nil
			text, err = json.Marshal(body)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec("delivery-insert", org, body.ID, h.id, e.Name, e.At, e.At, text); err != nil {
			return err
		}
	}
	return nil
}

// Delivery is an event on its way to a webhook.
type Delivery struct {
	Org     feature.Org
	ID      int64
	Webhook int64
	Event   string
	At      time.Time
	Tries   int // with the one under way
	Due     time.Time
	Why     string // the last failure
	Lease   int64
	Body    []byte
}

// ClaimDeliveries takes deliveries that are due, of all organisations, for a
// time: whoever does not settle them by then leaves them to others.
func (s *Store) ClaimDeliveries(ctx context.Context, now, until time.Time, most int) (out []Delivery, err error) {
	lease, n := int64(s.ids.next()), int64(0)
	if err := s.db.Write(ctx, 0, func(tx *db.Tx) error {
		n, err = tx.Exec("delivery-claim", lease, until, now, most)
		return err
	}); err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	if n == 0 {
		return nil, nil
	}
	if err := s.db.Query(ctx, 0, "delivery-claimed", func(r *db.Row) error {
		out = append(out, Delivery{Org: feature.Org(r.Int(0)), ID: r.Int(1), Webhook: r.Int(2), Event: r.Text(3), At: r.Time(4), Tries: int(r.Int(5)),
			Lease: r.Int(6), Body: r.Bytes(7)})
		return nil
	}, lease); err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	return out, nil
}

// Delivered settles a delivery that arrived, or is given up.
func (s *Store) Delivered(ctx context.Context, d *Delivery, arrived bool) error {
	if err := s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		if _, err := tx.Exec("delivery-done", d.Org, d.ID, d.Lease); err != nil || !arrived {
			return err
		}
		_, err := tx.Exec("webhook-well", d.Org, d.Webhook)
		return err
	}); err != nil {
		return fmt.Errorf("delivery %d: %w", d.ID, err)
	}
	return nil
}

// NotDelivered has a delivery tried again, and disables its webhook when that
// has failed since before patience; disabled says so.
func (s *Store) NotDelivered(ctx context.Context, d *Delivery, now, again, patience time.Time, why string) (disabled bool, err error) {
	why = clip(why, maxDeliveryWhys)
	if err := s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		if _, err := tx.Exec("delivery-later", again, why, d.Org, d.ID, d.Lease); err != nil {
			return err
		}
		if _, err := tx.Exec("webhook-failing", now, why, d.Org, d.Webhook); err != nil {
			return err
		}
		n, err := tx.Exec("webhook-disable", d.Org, d.Webhook, patience)
		disabled = n > 0
		return err
	}); err != nil {
		return false, fmt.Errorf("delivery %d: %w", d.ID, err)
	}
	return disabled, nil
}

// Deliveries are those that wait for a webhook, behind one.
func (s *Store) Deliveries(ctx context.Context, org feature.Org, webhook, after int64, limit int) (out []Delivery, err error) {
	if err = s.db.Query(ctx, org, "delivery-page", func(r *db.Row) error {
		out = append(out, Delivery{Org: feature.Org(r.Int(0)), ID: r.Int(1), Webhook: r.Int(2), Event: r.Text(3), At: r.Time(4), Tries: int(r.Int(5)),
			Due: r.Time(6), Why: r.Text(7)})
		return nil
	}, org, webhook, after, limit); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return out, nil
}
