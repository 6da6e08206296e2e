package console

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bearhug/bearhug/store"
)

// Delivery to webhooks: rows are claimed, sent, and deleted or put off. A
// claim that nobody settles is free again after claimTime, so an event may
// arrive twice (its id is the same), and is never lost while its webhook is on.

const (
	deliverEach  = time.Second      // between two looks
	deliverBatch = 64               // deliveries claimed at once
	deliverSide  = 8                // webhooks at a time
	sendTime     = 10 * time.Second // of one delivery
	claimTime    = 15 * time.Minute // more than a batch takes at worst: all to one webhook stop at the first failure
	firstWait    = 10 * time.Second // before the second try, then three times as long each
	longestWait  = 6 * time.Hour
	// Patience is how long a webhook may fail before it is disabled.
	Patience = 3 * 24 * time.Hour
	keepEach = time.Hour // between two cleanings and looks at the seals
)

// Run delivers to webhooks, seals the audit log each day and forgets what is
// over, until the context ends.
func (c *Console) Run(ctx context.Context) error {
	secure, plain := c.client(false), c.client(true)
	tick := time.NewTicker(deliverEach)
	defer tick.Stop()
	var kept time.Time
	for {
		if now := c.Now(); now.Sub(kept) >= keepEach {
			kept = now
			c.housekeep(ctx, now)
		}
		if err := c.deliver(ctx, secure, plain); err != nil && ctx.Err() == nil {
			c.Log.Log(ctx, store.Severity(err), "webhooks are not served", "cause", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// housekeep seals the audit log and deletes what is over.
func (c *Console) housekeep(ctx context.Context, now time.Time) {
	if _, err := c.Store.SealAudit(ctx, c.Writer, now); err != nil && ctx.Err() == nil {
		c.Log.Error("audit log is not sealed", "cause", err)
	}
	for {
		n, err := c.Store.ThinConsole(ctx, now, now.Add(-idemTime), 200)
		if err != nil && ctx.Err() == nil {
			c.Log.Log(ctx, store.Severity(err), "sessions that are over stay", "cause", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// deliver sends what is due: each webhook gets its events one after the other.
func (c *Console) deliver(ctx context.Context, secure, plain *http.Client) error {
	for {
		now := c.Now()
		list, err := c.Store.ClaimDeliveries(ctx, now, now.Add(claimTime), deliverBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		by := map[int64][]*store.Delivery{}
		for i := range list {
			by[list[i].Webhook] = append(by[list[i].Webhook], &list[i])
		}
		var group sync.WaitGroup
		side := make(chan struct{}, deliverSide)
		for _, some := range by {
			side <- struct{}{}
			group.Go(func() { // ends with the deliveries
				defer func() { <-side }()
				if err := c.serve(ctx, some, secure, plain); err != nil && ctx.Err() == nil {
					c.Log.Log(ctx, store.Severity(err), "webhook is not served", "webhook", some[0].Webhook, "cause", err)
				}
			})
		}
		group.Wait()
		if len(list) < deliverBatch || ctx.Err() != nil {
			return nil
		}
	}
}

// serve delivers to one webhook; after a failure the rest waits as well.
func (c *Console) serve(ctx context.Context, list []*store.Delivery, secure, plain *http.Client) error {
	w, err := c.Store.Webhook(ctx, list[0].Org, list[0].Webhook)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var failed error
	for _, d := range list {
		now := c.Now()
		switch {
		case err != nil || w.State != store.WebhookOn || now.Sub(d.At) > 2*Patience: // longer than its webhook may fail
			if err := c.Store.Delivered(ctx, d, false); err != nil {
				return err
			}
			continue
		case failed == nil:
			client := secure
			if u, err := url.Parse(w.URL); err == nil && u.Scheme == "http" {
				client = plain
			}
			failed = c.send(ctx, client, w, d)
		}
		if ctx.Err() != nil {
			return nil // the claim runs out
		}
		if failed == nil {
			if err := c.Store.Delivered(ctx, d, true); err != nil {
				return err
			}
			continue
		}
		disabled, err := c.Store.NotDelivered(ctx, d, now, now.Add(wait(d.Tries)), now.Add(-Patience), failed.Error())
		if err != nil {
			return err
		}
		if disabled {
			c.Log.Warn("webhook disabled: nothing arrived for days", "webhook", w.ID, "since", w.Failing, "cause", failed)
		}
	}
	return nil
}

// wait is how long after so many tries.
func wait(tries int) time.Duration {
	d := firstWait
	for range min(max(tries-1, 0), 12) {
		d *= 3
	}
	d = min(d, longestWait)
	return d*3/4 + rand.N(d/2)
}

// Sign is the value of the header Bearhug-Signature: the time it was made in
// seconds, and the HMAC-SHA-256 of time, dot and body. Who receives checks both.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

func (c *Console) send(ctx context.Context, client *http.Client, w *store.Webhook, d *store.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Bearhug")
	r.Header.Set("Bearhug-Event", d.Event)
	r.Header.Set("Bearhug-Delivery", strconv.FormatInt(d.ID, 10))
	r.Header.Set("Bearhug-Signature", Sign(w.Secret, d.Body, c.Now()))
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil {
		c.Log.Debug("answer of a webhook not read", "cause", err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}

// client makes connections that never lead inside: addresses are checked when
// they are dialled, after names were resolved. A plain one, without TLS, goes to
// networks that the operator lists only.
func (c *Console) client(plain bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return c.mayReach(at.Addr(), plain)
	}}
	return &http.Client{
		Timeout:       sendTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no proxy: it would resolve names itself
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second,
			ResponseHeaderTimeout: sendTime, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// mayReach says why a webhook may not reach an address; nil: it may.
func (c *Console) mayReach(a netip.Addr, plain bool) error {
	a = a.WithZone("").Unmap()
	for _, p := range c.WebhookAllow {
		if p.Contains(a) {
			return nil
		}
	}
	switch {
	case inside(a):
		return errors.New("its address is none of the public internet; the operator can list it in webhook.allow")
	case plain:
		return errors.New("its address begins with http: want https")
	}
	return nil
}

// inside reports whether an address is not one of the public internet: loopback,
// private, link-local (metadata of clouds), multicast, shared (RFC 6598), of
// documentation and tests, or one that leads to such (RFC 6052, RFC 3056, RFC 4380).
func inside(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	b := a.As16()
	if a.Is4() {
		v := a.As4()
		switch {
		case v[0] == 0, v[0] >= 240, v[0] == 100 && v[1]&0xc0 == 64, v[0] == 198 && v[1]&0xfe == 18,
			v[0] == 192 && v[1] == 0 && (v[2] == 0 || v[2] == 2), v[0] == 198 && v[1] == 51 && v[2] == 100, v[0] == 203 && v[1] == 0 && v[2] == 113,
			v[0] == 192 && v[1] == 88 && v[2] == 99:
			return true
		}
		return false
	}
	switch {
	case b[0] == 0x00 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b: // NAT64
		return b[4] != 0 || b[5] != 0 || inside(netip.AddrFrom4([4]byte(b[12:])))
	case b[0] == 0x20 && b[1] == 0x02: // 6to4
		return inside(netip.AddrFrom4([4]byte(b[2:6])))
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0: // Teredo
		return true
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8: // documentation
		return true
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0: // site-local
		return true
	}
	return b[0]&0xe0 != 0x20 // all that is given out is in 2000::/3
}
