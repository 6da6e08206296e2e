package console

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/store"
)

func webhookOperations() []operation {
	const base = "/api/orgs/{org}/webhooks"
	return []operation{
		op(operation{ID: "webhook-list", Method: "GET", Path: base, Doc: "List webhooks.", Roles: admins(), Scope: "webhooks:read"}, listWebhooks),
		op(operation{ID: "webhook-add", Method: "POST", Path: base, Doc: "Add a webhook; the secret that signs is shown this once.", Roles: admins(), Scope: "webhooks:write", Status: 201}, addWebhook),
		op(operation{ID: "webhook-set", Method: "PUT", Path: base + "/{webhook}", Doc: "Change a webhook, or switch it on again.", Roles: admins(), Scope: "webhooks:write"}, setWebhook),
		op(operation{ID: "webhook-remove", Method: "DELETE", Path: base + "/{webhook}", Doc: "Delete a webhook and what waits for it.", Roles: admins(), Scope: "webhooks:write"}, removeWebhook),
		op(operation{ID: "webhook-test", Method: "POST", Path: base + "/{webhook}/test", Doc: "Have the event test sent to all webhooks that want it.", Roles: admins(), Scope: "webhooks:write"}, testWebhook),
		op(operation{ID: "webhook-deliveries", Method: "GET", Path: base + "/{webhook}/deliveries", Doc: "List what waits for a webhook, and why.", Roles: admins(), Scope: "webhooks:read"}, listDeliveries),
	}
}

// Events are what webhooks can be told.
func Events() []string {
	return []string{"campaign.started", "campaign.paused", "campaign.resumed", "campaign.stopped", "test"}
}

// Webhook is a webhook without its secret.
type Webhook struct {
	ID      string    `json:"id"`
	URL     string    `json:"url"`
	Events  []string  `json:"events,omitempty" doc:"none: all"`
	Content bool      `json:"content" doc:"events come with names and texts"`
	State   string    `json:"state" doc:"on, disabled (it failed too long) or off"`
	Failing time.Time `json:"failing,omitzero" doc:"since when nothing arrived"`
	Why     string    `json:"why,omitempty" doc:"the last failure"`
	Made    time.Time `json:"made"`
}

func webhookOf(w *store.Webhook) Webhook {
	return Webhook{id(w.ID), w.URL, w.Events, w.Content, w.State.String(), w.Failing, w.Why, w.Made}
}

func listWebhooks(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Webhook], error) {
	var after int64
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Webhooks(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, webhookOf, func(w *store.Webhook) any { return w.ID })
}

// WebhookBody is what a webhook is to be.
type WebhookBody struct {
	URL     string   `json:"url" minLength:"8" maxLength:"2000" format:"uri"`
	Events  []string `json:"events,omitempty" maxItems:"20" doc:"none: all"`
	Content bool     `json:"content,omitempty" doc:"events come with names and texts"`
	Off     bool     `json:"off,omitempty"`
}

func (b *WebhookBody) check() error {
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return refusal(errors.New("the address of a webhook is one such as https://example.org/hook"))
	case u.User != nil:
		return refusal(errors.New("the address of a webhook has no user and no password"))
	case u.Fragment != "":
		return refusal(errors.New("the address of a webhook has no #"))
	}
	for _, e := range b.Events {
		if !slices.Contains(Events(), e) {
			return refusal(fmt.Errorf("there is no event %q: want some of %s", e, strings.Join(Events(), ", ")))
		}
	}
	return nil
}

type webhookAddIn struct {
	OrgIn
	Body WebhookBody
}

// FreshWebhook is a webhook with its secret.
type FreshWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"base64; signs what is sent"`
}

type freshWebhookOut struct{ Body FreshWebhook }

func addWebhook(ctx context.Context, k *call, in *webhookAddIn) (*freshWebhookOut, error) {
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "", map[string]any{"events": in.Body.Events, "content": in.Body.Content}); err != nil {
		return nil, err
	}
	w := store.Webhook{URL: in.Body.URL, Events: in.Body.Events, Content: in.Body.Content, Maker: k.actor()}
	if err := k.Store.AddWebhook(ctx, k.org, &w); err != nil {
		return nil, err
	}
	return &freshWebhookOut{FreshWebhook{webhookOf(&w), base64.StdEncoding.EncodeToString(w.Secret)}}, nil
}

// WebhookIn names a webhook.
type WebhookIn struct {
	OrgIn
	Webhook string `path:"webhook" maxLength:"20"`
}

func (k *call) webhook(ctx context.Context, text string) (*store.Webhook, error) {
	n, err := number(text)
	if err != nil {
		return nil, err
	}
	return k.Store.Webhook(ctx, k.org, n)
}

type webhookSetIn struct {
	WebhookIn
	Body WebhookBody
}

type webhookOut struct{ Body Webhook }

func setWebhook(ctx context.Context, k *call, in *webhookSetIn) (*webhookOut, error) {
	w, err := k.webhook(ctx, in.Webhook)
	if err == nil {
		err = in.Body.check()
	}
	if err != nil {
		return nil, err
	}
	w.URL, w.Events, w.Content, w.State = in.Body.URL, in.Body.Events, in.Body.Content, store.WebhookOn
	if in.Body.Off {
		w.State = store.WebhookOff
	}
	if err := k.audit(ctx, "webhook "+in.Webhook, map[string]any{"events": w.Events, "content": w.Content, "off": in.Body.Off}); err != nil {
		return nil, err
	}
	if err := k.Store.ChangeWebhook(ctx, k.org, w); err != nil {
		return nil, err
	}
	w.Failing, w.Why = time.Time{}, ""
	return &webhookOut{webhookOf(w)}, nil
}

func removeWebhook(ctx context.Context, k *call, in *WebhookIn) (*struct{}, error) {
	w, err := k.webhook(ctx, in.Webhook)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "webhook "+in.Webhook, nil); err != nil {
		return nil, err
	}
	return nil, k.Store.DeleteWebhook(ctx, k.org, w.ID)
}

func testWebhook(ctx context.Context, k *call, in *WebhookIn) (*webhookOut, error) {
	w, err := k.webhook(ctx, in.Webhook)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "webhook "+in.Webhook, nil); err != nil {
		return nil, err
	}
	if err := k.Store.Emit(ctx, k.org, store.Event{Name: "test", At: k.Now(), Data: map[string]any{"webhook": in.Webhook}}); err != nil {
		return nil, err
	}
	return &webhookOut{webhookOf(w)}, nil
}

// Delivery is an event that waits for a webhook.
type Delivery struct {
	ID    string    `json:"id"`
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	Tries int       `json:"tries"`
	Due   time.Time `json:"due"`
	Why   string    `json:"why,omitempty"`
}

type deliveriesIn struct {
	WebhookIn
	PageIn
}

func listDeliveries(ctx context.Context, k *call, in *deliveriesIn) (*PageOut[Delivery], error) {
	w, err := k.webhook(ctx, in.Webhook)
	if err != nil {
		return nil, err
	}
	var after int64
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Deliveries(ctx, k.org, w.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, func(d *store.Delivery) Delivery { return Delivery{id(d.ID), d.Event, d.At, d.Tries, d.Due, d.Why} },
		func(d *store.Delivery) any { return d.ID })
}
