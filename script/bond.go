package script

import (
	"context"
	"fmt"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/stanza"
)

// bond makes a subscription, in sessions that are gone when the play begins.
func (p *player) bond(ctx context.Context, b Bond) error {
	x, err := p.extra(ctx, p.cast[p.s.Person(b.A)])
	if err != nil {
		return err
	}
	defer x.c.Cut()
	y, err := p.extra(ctx, p.cast[p.s.Person(b.B)])
	if err != nil {
		return err
	}
	defer y.c.Cut()
	if err := p.subscribe(ctx, x, y); err != nil {
		return err
	}
	if b.Mutual {
		if err := p.subscribe(ctx, y, x); err != nil {
			return err
		}
	}
	for _, a := range []*actor{x, y} {
		if err := a.c.Presence(stanza.Unavailable, nil); err != nil {
			return err
		}
		if err := p.trip(ctx, a); err != nil {
			return err
		}
		if err := a.c.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// extra is another session of somebody's account, available.
func (p *player) extra(ctx context.Context, a *actor) (*actor, error) {
	q := *a.p
	q.Resource, q.Password, q.Transport, q.Mechanism, q.Token = "", "", TCP, "", ""
	b := &actor{p: &q, jid: a.jid, host: a.host, bound: true}
	var err error
	if b.c, err = client.Connect(ctx, p.config(b), nil); err != nil {
		return nil, err
	}
	return b, p.available(ctx, b, "")
}

// subscribe has x see y.
func (p *player) subscribe(ctx context.Context, x, y *actor) error {
	if err := x.c.Subscription(stanza.Subscribe, y.jid); err != nil {
		return err
	}
	if err := takeType(ctx, y, stanza.Subscribe, x); err != nil {
		return err
	}
	if err := y.c.Subscription(stanza.Subscribed, x.jid); err != nil {
		return err
	}
	return takeType(ctx, x, stanza.Subscribed, y)
}

func takeType(ctx context.Context, a *actor, typ stanza.Type, from *actor) error {
	_, err := a.c.Take(ctx, func(it client.Item) bool {
		s, err := it.Stanza()
		return err == nil && s.Kind == stanza.Presence && s.Type == typ && stanza.Unescape(s.RawFrom()) == from.jid.String()
	})
	if err != nil {
		return fmt.Errorf("%s waits for %s from %s: %w", a.jid, typ, from.jid, err)
	}
	return nil
}
