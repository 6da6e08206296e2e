package outreach

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
)

// Bounds of what is claimed and not settled.
const (
	mostInFlight  = 1024
	leastInFlight = 32
)

// speed says how much may be on its way: about what workers do in two seconds,
// so that a slow relay holds few claims.
type speed struct {
	at      time.Time
	settled int64
	limit   int
}

// look counts what was settled since the last look.
func (s *speed) look(now time.Time, settled int64) int {
	if s.limit == 0 || now.Before(s.at) {
		*s = speed{now, settled, leastInFlight}
	}
	if past := now.Sub(s.at).Seconds(); past >= 0.1 {
		s.limit = int(min(max(2*float64(settled-s.settled)/past, leastInFlight), mostInFlight))
		s.at, s.settled = now, settled
	}
	return s.limit
}

// million is a token in a row.
const million = 1e6

// take takes up to n tokens of a bucket in a row.
func take(have store.Tokens, rate, burst float64, now time.Time, n int, factor float64) (left store.Tokens, got int, wait time.Duration) {
	b := calendar.Bucket{Rate: rate, Burst: burst, Tokens: float64(have.Millionths) / million, At: have.At}
	if have.At.IsZero() {
		b.Tokens, b.At = 1, now // a start is no burst
	}
	b, got, wait = b.Take(now, n, factor)
	return store.Tokens{Millionths: int64(b.Tokens * million), At: b.At}, got, wait
}

// burstOf is what may go at once: a second's worth unless it is said.
func burstOf(rate, burst float64) float64 {
	return max(cmp.Or(burst, rate), 1)
}

// spend takes up to n tokens of the organisation's row, 0: everybody's.
func (e *Engine) spend(ctx context.Context, org feature.Org, rate float64, now time.Time, n int) (got int, wait time.Duration, err error) {
	factor := 1.0
	if org == 0 {
		if factor = min(max(e.cfg.Pace(), 0), 1); factor == 0 {
			return 0, idleLook, nil // not even what is in the bucket
		}
	}
	err = e.cfg.Store.SpendTokens(ctx, org, func(have store.Tokens) (left store.Tokens) {
		left, got, wait = take(have, rate, burstOf(rate, 0), now, n, factor)
		return left
	})
	return got, wait, err
}

// giveBack puts tokens back that were not used.
func (e *Engine) giveBack(ctx context.Context, org feature.Org, rate float64, n int) error {
	if n <= 0 {
		return nil
	}
	return e.cfg.Store.SpendTokens(ctx, org, func(have store.Tokens) store.Tokens {
		have.Millionths = min(have.Millionths+int64(n)*million, int64(burstOf(rate, 0)*million))
		return have
	})
}

// wish is what a campaign would send now.
type wish struct {
	c       *campaign
	waiting int
	part    int
}

// wishes counts what is due, campaign by campaign, and tells when to look again.
func (e *Engine) wishes(ctx context.Context, running []*campaign, now time.Time, room int) (list []*wish, wait time.Duration, err error) {
	wait = idleLook
	for _, c := range running {
		next := e.looks[key{c.row.Org, c.row.ID}]
		if now.Before(next) && next.Sub(now) <= quietFor {
			wait = min(wait, next.Sub(now))
			continue
		}
		if !e.on(c.row.Org) || c.mailOnly() && e.cfg.Relay != nil && now.UnixMicro() < e.relayDown.Load() {
			continue
		}
		n, err := e.cfg.Store.WaitingInvitations(ctx, c.row.Org, c.row.ID, now, room)
		if err != nil {
			return nil, wait, err
		}
		if n > 0 && c.set.Rate > 0 {
			_, got, w := take(c.row.Tokens, c.set.Rate, burstOf(c.set.Rate, c.set.Burst), now, n, 1)
			if n = got; n == 0 {
				wait = min(wait, w)
			}
		}
		if n > 0 {
			list = append(list, &wish{c: c, waiting: n})
		}
	}
	return list, wait, nil
}

// divide shares n out: between organisations by their weight, and between the
// campaigns of each by theirs.
func (e *Engine) divide(n int, list []*wish) {
	byOrg := map[feature.Org][]*wish{}
	var orgs []feature.Org
	for _, w := range list {
		if byOrg[w.c.row.Org] == nil {
			orgs = append(orgs, w.c.row.Org)
		}
		byOrg[w.c.row.Org] = append(byOrg[w.c.row.Org], w)
	}
	slices.Sort(orgs)
	claims := make([]calendar.Claim, len(orgs))
	for i, org := range orgs {
		claims[i] = calendar.Claim{ID: int64(org), Weight: cmp.Or(byOrg[org][0].c.org.Weight, 1)}
		for _, w := range byOrg[org] {
			claims[i].Waiting += w.waiting
		}
	}
	var parts []int
	e.fairOrgs, parts = e.fairOrgs.Divide(n, claims)
	for i, org := range orgs {
		own := make([]calendar.Claim, len(byOrg[org]))
		for j, w := range byOrg[org] {
			own[j] = calendar.Claim{ID: w.c.row.ID, Weight: cmp.Or(float64(w.c.row.Weight)/1000, 1), Waiting: w.waiting}
		}
		var each []int
		e.fair[org], each = e.fair[org].Divide(parts[i], own)
		for j, w := range byOrg[org] {
			w.part = each[j]
		}
	}
}
