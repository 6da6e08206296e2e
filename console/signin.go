package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/store"
)

// People sign in with the password of their account in chat. The cookie they
// get is good while the account has that password, and a role.

const (
	sessionPath = "/api/session"
	sessionTime = 12 * time.Hour
)

func signInOperations() []operation {
	return []operation{
		op(operation{ID: "session-begin", Method: "POST", Path: sessionPath, Doc: "Sign in with an account's password and get a cookie."}, signIn),
		op(operation{ID: "session-end", Method: "DELETE", Path: sessionPath, Doc: "Sign out."}, signOut),
		op(operation{ID: "session-show", Method: "GET", Path: sessionPath, Doc: "Say who is signed in, and what they may do.", Roles: anybody()}, showSession),
	}
}

// Session says who is signed in.
type Session struct {
	Name    string    `json:"name" doc:"of the account or token"`
	Org     string    `json:"org,omitempty" doc:"domain; none for operators"`
	Role    Role      `json:"role"`
	Scopes  []string  `json:"scopes,omitempty" doc:"of a token; none: all of the role's"`
	Until   time.Time `json:"until,omitzero" doc:"when a fresh session ends"`
	Allowed []string  `json:"allowed" doc:"operations that this role may use"`
}

type signInIn struct {
	Body struct {
		JID      string `json:"jid" minLength:"3" maxLength:"2047" example:"anna@example.org"`
		Password string `json:"password" minLength:"1" maxLength:"1024"`
	}
}

type sessionOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      Session
}

func signIn(ctx context.Context, k *call, in *signInIn) (*sessionOut, error) {
	now := k.Now()
	addr, account := "address "+k.address, "account "+strings.ToLower(in.Body.JID)
	if wait := max(k.Console.failed.check(addr, 1, now), k.tried.check(account, 1, now)); wait > 0 {
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests("too many sign-ins that failed; try again in "+wait.Round(time.Second).String()),
			http.Header{"Retry-After": {fmt.Sprint(int(wait.Seconds()) + 1)}})
	}
	select {
	case k.derive <- struct{}{}:
		defer func() { <-k.derive }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	org, a, err := k.account(ctx, in.Body.JID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	keys := k.decoy(in.Body.JID)
	if err == nil && len(a.Keys) > 0 {
		keys = sasl.Keys(a.Keys[0])
	}
	right := keys.Verify(in.Body.Password) // costs the same whoever it is
	role := ""
	if right && err == nil && !a.Disabled {
		if role, err = k.Store.Role(ctx, org.ID, a.Local); err != nil {
			return nil, err
		}
	}
	if role == "" {
		k.Console.failed.take(addr, 1, now)
		k.tried.take(account, 1, now)
		return nil, huma.Error401Unauthorized("no account with this address, this password and a role here")
	}
	until := now.Add(sessionTime)
	text, err := k.Store.AddWebSession(ctx, org.ID, a.Local, now, until)
	if err != nil {
		return nil, err
	}
	k.org, k.who = org.ID, who{Org: org.ID, Role: Role(role), Name: a.Local, Local: a.Local}
	if err := k.audit(ctx, "", nil); err != nil {
		return nil, err
	}
	return &sessionOut{SetCookie: k.newCookie(text, until), Body: session(k.who, org.Domain, until)}, nil
}

// account finds the account of an address.
func (c *Console) account(ctx context.Context, text string) (org store.Organisation, a *store.Account, err error) {
	who, err := jid.Parse(text)
	if err != nil || who.Local() == "" || who.Resource() != "" {
		return org, nil, store.ErrNotFound
	}
	org.Domain = who.Domain()
	if org.ID, err = c.Store.OrgOf(ctx, org.Domain); err == nil {
		a, err = c.Store.Account(ctx, org.ID, who.Local())
	}
	return org, a, err
}

// decoy are keys for who has none, that cost as much and fit no password.
func (c *Console) decoy(name string) sasl.Keys {
	h := hmac.New(sha256.New, c.decoys)
	h.Write([]byte(name))
	sum := h.Sum(nil)
	return sasl.Keys{Mechanism: sasl.SCRAMSHA256, Iterations: sasl.DefaultIterations, Salt: sum[:16], StoredKey: sum, ServerKey: sum}
}

func (k *call) newCookie(text string, until time.Time) http.Cookie {
	return http.Cookie{Name: sessionCookie, Value: text, Path: "/", Expires: until, HttpOnly: true, Secure: k.secure, SameSite: http.SameSiteStrictMode}
}

func session(w who, domain string, until time.Time) Session {
	s := Session{Name: w.Name, Org: domain, Role: w.Role, Scopes: w.Scopes, Until: until}
	for _, o := range operations() {
		for _, r := range o.Roles {
			if r == w.Role {
				s.Allowed = append(s.Allowed, o.ID)
			}
		}
	}
	return s
}

type signOutOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func signOut(ctx context.Context, k *call, _ *struct{}) (*signOutOut, error) {
	if k.cookie != "" {
		if err := k.Store.EndWebSession(ctx, k.cookie); err != nil {
			return nil, err
		}
	}
	gone := k.newCookie("", k.Now())
	gone.MaxAge = -1
	return &signOutOut{SetCookie: gone}, nil
}

type sessionShown struct{ Body Session }

func showSession(ctx context.Context, k *call, _ *struct{}) (*sessionShown, error) {
	domain := ""
	if k.who.Org != 0 {
		orgs, err := k.Store.Orgs(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range orgs {
			if o.ID == k.who.Org {
				domain = o.Domain
			}
		}
	}
	return &sessionShown{session(k.who, domain, time.Time{})}, nil
}
