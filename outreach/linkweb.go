package outreach

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/bearhug/bearhug/archive"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
)

// Links on the web (decision 16). A GET changes nothing, for scanners of mail
// open every link. The token stands in the fragment, which no server and no log
// sees; the page posts it for a cookie, the cookie buys a bearer token at each
// connect, good for ten minutes and for the bot alone. A further device goes on
// at the open question, and is shown what is older only after a code that was
// mailed: until then its tokens bear the number of the log before which archive,
// delivery log and carbons show nothing (session.Session.After).

const (
	tokenBytes  = 16 // of a link: 128 bits
	cookieBytes = 32
	cookieName  = "bearhug_c"
	cookiePath  = "/api/c"
	deviceValid = 90 * 24 * time.Hour
	bearerValid = 10 * time.Minute
	codeValid   = 10 * time.Minute
	codeEvery   = time.Minute
	codeTries   = 5
	knocksEach  = 60 // requests a minute of one address
	maxQuestion = 4 << 10
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string, n int) ([]byte, bool) {
	if len(s) != base64.RawURLEncoding.EncodedLen(n) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) == n
}

// web registers the pages and questions of links.
func (b *Bot) web(mux *http.ServeMux) {
	guard := http.NewCrossOriginProtection()
	post := func(path string, f func(w http.ResponseWriter, r *http.Request) error) {
		mux.Handle("POST "+path, guard.Handler(b.answering(f)))
	}
	mux.HandleFunc("GET /c/", page(pageOfLink))
	post("/api/c", b.exchange)
	post("/api/c/token", b.bearer)
	post("/api/c/code", b.code)
	mux.Handle("GET /api/c", b.answering(b.shown))
	mux.HandleFunc("GET /u/{token}", page(pageOfUnsubscribe))
	mux.Handle("POST /u/{token}", b.answering(b.unsubscribe)) // mail programs post it, from anywhere (RFC 8058)
}

// refusal is an answer that is told.
type refusal struct {
	status int
	text   string
	after  time.Duration
}

func (r *refusal) Error() string { return r.text }

// answering makes a handler of a function: addresses that ask too often wait,
// errors are told as JSON, nothing is kept by anybody on the way.
func (b *Bot) answering(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		private(w.Header())
		address, _ := b.visitor(r)
		err := error(&refusal{http.StatusTooManyRequests, "too many requests from your address; try again in a minute", time.Minute})
		if b.knocks.take(address, knocksEach, knocksEach, b.cfg.Clock.Now()) {
			err = f(w, r)
		}
		if err == nil {
			return
		}
		var told *refusal
		if !errors.As(err, &told) {
			b.host.Log.Log(r.Context(), store.Severity(err), "a link is not answered", "feature", botFeature, "cause", err)
			told = &refusal{http.StatusServiceUnavailable, "this does not work just now; try again in a minute", time.Minute}
		}
		if told.after > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(told.after.Seconds())))
		}
		answer(w, told.status, map[string]string{"error": told.text})
	})
}

func (b *Bot) visitor(r *http.Request) (address string, secure bool) {
	if b.host.Visitor == nil {
		return r.RemoteAddr, r.TLS != nil
	}
	return b.host.Visitor(r)
}

func private(h http.Header) {
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // who does not read it is gone
}

func question(w http.ResponseWriter, r *http.Request, v any) error {
	if r.ContentLength == 0 {
		return nil
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(v); err != nil {
		return &refusal{status: http.StatusBadRequest, text: "the body is no JSON of a few lines"}
	}
	return nil
}

// Standing is what a page is told about a conversation.
type Standing struct {
	Account   string    `json:"account"` // address to sign in with
	Bot       string    `json:"bot"`
	Title     string    `json:"title"`
	Language  string    `json:"language"`
	Anonymous bool      `json:"anonymous"`
	Phase     string    `json:"phase"` // invited, open, waiting, held, ended, stopped
	Question  *Asked    `json:"question,omitempty"`
	Further   bool      `json:"further"`               // a further device: what is older is not shown
	After     string    `json:"shown_after,omitempty"` // archive id up to which it is not
	Expires   time.Time `json:"expires"`               // of the link
}

// Asked is the open question.
type Asked struct {
	ID      string         `json:"id"`
	Kind    string         `json:"kind"`
	Text    string         `json:"text"`
	Options []store.Button `json:"options,omitempty"`
}

// exchange gives a cookie for the token of a link, and opens the conversation.
func (b *Bot) exchange(w http.ResponseWriter, r *http.Request) error {
	var arg struct {
		Token string `json:"token"`
	}
	if err := question(w, r, &arg); err != nil {
		return err
	}
	token, ok := decode(arg.Token, tokenBytes)
	if !ok {
		return &refusal{status: http.StatusNotFound, text: "this link is not whole; copy all of it from the invitation"}
	}
	ctx := r.Context()
	link, err := b.host.Store.LinkOf(ctx, token)
	if errors.Is(err, store.ErrNotFound) {
		return &refusal{status: http.StatusNotFound, text: "there is no such link; look for a newer invitation"}
	}
	if err == nil {
		err = b.good(link)
	}
	if err != nil {
		return err
	}
	k, err := b.talkOf(ctx, link)
	if err != nil {
		return err
	}
	d, err := b.desk(ctx, link.Org)
	if err != nil {
		return err
	}
	device, had := b.known(r)
	event := eventOpen
	if had && device.Talk == k.ID { // the same browser again
		device.Link = link.ID
		err = b.host.Store.UseDevice(ctx, device, b.cfg.Clock.Now()) // by the link that was opened last
	} else {
		device, err = b.newDevice(w, r, link)
		if err == nil && device.Since > 0 {
			event = eventResume
		}
	}
	if err != nil {
		return err
	}
	if err := d.ask(ctx, job{account: k.Account, talk: k.ID, event: event}); err != nil {
		return err
	}
	return b.tell(ctx, w, d, device, link)
}

func (b *Bot) newDevice(w http.ResponseWriter, r *http.Request, link *store.Link) (*store.Device, error) {
	cookie := make([]byte, cookieBytes)
	if _, err := rand.Read(cookie); err != nil {
		return nil, err
	}
	now := b.cfg.Clock.Now()
	device := &store.Device{Org: link.Org, Link: link.ID, Talk: link.Talk, Since: topOf(b.host.Archive), Made: now, Expires: now.Add(deviceValid)}
	if err := b.host.Store.AddDevice(r.Context(), device, cookie); err != nil {
		return nil, err
	}
	_, secure := b.visitor(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: encode(cookie), Path: cookiePath, MaxAge: int(deviceValid.Seconds()),
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode})
	return device, nil
}

// good refuses a link that is not good any more.
func (b *Bot) good(link *store.Link) error {
	switch {
	case link.Kind != store.LinkTalk:
		return &refusal{status: http.StatusNotFound, text: "there is no such link; look for a newer invitation"}
	case !link.Revoked.IsZero():
		return &refusal{status: http.StatusGone, text: "this link was withdrawn; ask whoever invited you"}
	case !b.cfg.Clock.Now().Before(link.Expires):
		return &refusal{status: http.StatusGone, text: "this link has expired; ask whoever invited you for a new one"}
	}
	return nil
}

func (b *Bot) talkOf(ctx context.Context, link *store.Link) (*store.Talk, error) {
	k, err := b.host.Store.Talk(ctx, link.Org, link.Talk)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &refusal{status: http.StatusGone, text: "this conversation has ended"}
	}
	return k, err
}

// known is the device of a request's cookie.
func (b *Bot) known(r *http.Request) (*store.Device, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil, false
	}
	secret, ok := decode(c.Value, cookieBytes)
	if !ok {
		return nil, false
	}
	device, err := b.host.Store.DeviceOf(r.Context(), secret)
	if err != nil || !b.cfg.Clock.Now().Before(device.Expires) {
		return nil, false
	}
	return device, true
}

// signedIn is the device of a request, its link and its talk, as far as they are
// good.
func (b *Bot) signedIn(r *http.Request) (*store.Device, *store.Link, *store.Talk, error) {
	device, ok := b.known(r)
	if !ok {
		return nil, nil, nil, &refusal{status: http.StatusUnauthorized, text: "open the link of your invitation again"}
	}
	link, err := b.host.Store.Link(r.Context(), device.Org, device.Link)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil, &refusal{status: http.StatusGone, text: "this conversation has ended"}
	}
	if err == nil {
		err = b.good(link)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	k, err := b.talkOf(r.Context(), link)
	return device, link, k, err
}

// shown tells how things stand and changes nothing.
func (b *Bot) shown(w http.ResponseWriter, r *http.Request) error {
	device, link, _, err := b.signedIn(r)
	if err != nil {
		return err
	}
	d, err := b.desk(r.Context(), device.Org)
	if err != nil {
		return err
	}
	return b.tell(r.Context(), w, d, device, link)
}

func (b *Bot) tell(ctx context.Context, w http.ResponseWriter, d *desk, device *store.Device, link *store.Link) error {
	k, err := b.talkOf(ctx, link)
	if err != nil {
		return err
	}
	f, err := d.flow(ctx, k.Script)
	if err != nil {
		return err
	}
	var what about
	var m memory
	if err := json.Unmarshal(k.About, &what); err != nil {
		return err
	}
	s := Standing{Account: k.Account + "@" + d.jid.Domain(), Bot: d.jid.String(), Anonymous: k.Anonymous, Phase: k.Phase.String(),
		Language: f.Language(what.Language), Further: device.Since > 0, Expires: link.Expires}
	if len(k.State) > 0 {
		if err := json.Unmarshal(k.State, &m); err != nil {
			return err
		}
		s.Language = m.Flow.Language
		s.Question = asked(f, m.Flow)
	}
	s.Title = f.Title(s.Language)
	if s.Further {
		s.After = archive.FormatID(afterOf(device))
	}
	answer(w, http.StatusOK, s)
	return nil
}

// asked is the question that is open.
func asked(f *flow.Flow, state flow.State) *Asked {
	if state.Phase != flow.Asking {
		return nil
	}
	_, then := flow.Talker{Flow: f}.Next(state, flow.Input{Event: flow.Resume})
	for _, l := range then.Say {
		if q := l.Question; q != nil {
			a := &Asked{ID: q.ID, Kind: q.Kind, Text: l.Text}
			for _, o := range q.Options {
				a.Options = append(a.Options, store.Button{Value: o.Value, Label: o.Label})
			}
			return a
		}
	}
	return nil
}

// afterOf is the archive id up to which a device is shown nothing.
func afterOf(d *store.Device) stanza.ArchiveID {
	if d.Since == 0 {
		return stanza.ArchiveID{}
	}
	id := stanza.ArchiveID(store.FromNumber(d.Since))
	for i := 8; i < len(id); i++ {
		id[i] = 0xff // the last one of that number
	}
	return id
}

// bearer gives a token to sign in with, for the bot alone.
func (b *Bot) bearer(w http.ResponseWriter, r *http.Request) error {
	device, _, k, err := b.signedIn(r)
	if err != nil {
		return err
	}
	d, err := b.desk(r.Context(), device.Org)
	if err != nil {
		return err
	}
	now := b.cfg.Clock.Now()
	claims := sasl.Claims{Org: uint32(device.Org), Local: k.Account, Scope: d.jid.String(), Expires: now.Add(bearerValid), After: afterOf(device)}
	binary.BigEndian.PutUint64(claims.ID[:], uint64(device.ID))
	if err := b.host.Store.UseDevice(r.Context(), device, now); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"token": sasl.Mint(b.host.TokenKey, claims), "expires": claims.Expires,
		"account": k.Account + "@" + d.jid.Domain(), "bot": claims.Scope})
	return nil
}

// code mails a code, or takes one.
func (b *Bot) code(w http.ResponseWriter, r *http.Request) error {
	var arg struct {
		Code string `json:"code"`
	}
	if err := question(w, r, &arg); err != nil {
		return err
	}
	device, link, k, err := b.signedIn(r)
	if err != nil {
		return err
	}
	if arg.Code == "" {
		return b.mailCode(w, r, device, link, k)
	}
	right, err := b.host.Store.TryCode(r.Context(), device, arg.Code, b.cfg.Clock.Now(), codeTries)
	switch {
	case errors.Is(err, store.ErrTries):
		return &refusal{status: http.StatusTooManyRequests, text: "too many wrong codes; ask for a new one", after: codeEvery}
	case err != nil:
		return err
	case !right:
		return &refusal{status: http.StatusForbidden, text: "this is not the code, or it is too old"}
	}
	answer(w, http.StatusOK, map[string]bool{"further": false})
	return nil
}

func (b *Bot) mailCode(w http.ResponseWriter, r *http.Request, device *store.Device, link *store.Link, k *store.Talk) error {
	now := b.cfg.Clock.Now()
	switch {
	case b.cfg.Mail == nil || link.Email == "":
		return &refusal{status: http.StatusConflict, text: "there is no address to which a code could be sent"}
	case now.Before(device.CodeAt.Add(codeEvery)):
		return &refusal{status: http.StatusTooManyRequests, text: "a code was sent a moment ago; wait a minute", after: codeEvery}
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return err
	}
	code := fmt.Sprintf("%06d", n)
	if err := b.host.Store.SetCode(r.Context(), device, code, now, now.Add(codeValid)); err != nil {
		return err
	}
	var what about
	if err := json.Unmarshal(k.About, &what); err != nil {
		return err
	}
	if err := b.cfg.Mail(r.Context(), device.Org, link.Email, own("subject", what.Language), fmt.Sprintf(own("code", what.Language), code)); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]int{"valid_seconds": int(codeValid.Seconds())})
	return nil
}

// unsubscribe ends invitations to a person (RFC 8058).
func (b *Bot) unsubscribe(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	org, person, err := b.host.Store.ReadUnsubscribeToken(r.PathValue("token"))
	if errors.Is(err, store.ErrNotFound) {
		return &refusal{status: http.StatusNotFound, text: "there is no such link; write to whoever invited you"}
	}
	if err != nil {
		return err
	}
	sup := store.Suppression{Who: store.PersonKey(person), Kind: store.SuppressedUnsubscribed, Why: "unsubscribed", At: b.cfg.Clock.Now()}
	if err := b.host.Store.Suppress(ctx, org, sup, person); err != nil {
		return err
	}
	return write(w, pageOfUnsubscribed)
}

// The pages are placeholders, and say so, until the web's own are there. They
// load nothing from anywhere.
const (
	pageHead = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><meta name=robots content=noindex>" +
		"<style>body{font:18px/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em}</style>"
	pageOfLink = pageHead + "<title>Your conversation</title><h1>Your conversation</h1>" +
		"<p>This is the door to a conversation with the bot of your organisation. The page that leads it is not part of this version yet: " +
		"please answer in your chat program. Opening this page has changed nothing.</p></html>"
	pageOfUnsubscribe = pageHead + "<title>Unsubscribe</title><h1>Unsubscribe</h1>" +
		"<p>Opening this page has changed nothing.</p><form method=post><button>Send me no more invitations</button></form></html>"
	pageOfUnsubscribed = pageHead + "<title>Unsubscribed</title><h1>Done</h1><p>You get no more invitations.</p></html>"
)

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		write(w, text) // who does not read it is gone
	}
}

func write(w http.ResponseWriter, text string) error {
	private(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	_, err := w.Write([]byte(text))
	return err
}
