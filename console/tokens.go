package console

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/store"
)

func tokenOperations() []operation {
	return []operation{
		op(operation{ID: "token-list", Method: "GET", Path: "/api/orgs/{org}/tokens", Doc: "List the tokens of an organisation.", Roles: owners(), Scope: "tokens:read"}, listTokens),
		op(operation{ID: "token-add", Method: "POST", Path: "/api/orgs/{org}/tokens", Doc: "Make a token; its text is shown this once.", Roles: owners(), Scope: "tokens:write", Status: 201}, addToken),
		op(operation{ID: "token-remove", Method: "DELETE", Path: "/api/orgs/{org}/tokens/{token}", Doc: "Take a token back, at once.", Roles: owners(), Scope: "tokens:write"}, removeToken),
	}
}

// Token is a token without its text.
type Token struct {
	ID      string    `json:"id"`
	Prefix  string    `json:"prefix" doc:"what its text begins with"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Scopes  []string  `json:"scopes,omitempty" doc:"none: all of the role's"`
	Maker   string    `json:"maker,omitempty"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires,omitzero"`
	Used    time.Time `json:"used,omitzero" doc:"to the minute"`
}

func tokenOf(t *store.APIToken) Token {
	return Token{id(t.ID), t.Prefix, t.Name, Role(t.Role), t.Scopes, t.Maker, t.Made, t.Expires, t.Used}
}

func listTokens(ctx context.Context, k *call, in *orgPageIn) (*PageOut[Token], error) {
	var after int64
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Tokens(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, tokenOf, func(t *store.APIToken) any { return t.ID })
}

type tokenAddIn struct {
	OrgIn
	Body struct {
		Name   string   `json:"name" minLength:"1" maxLength:"190"`
		Role   string   `json:"role" enum:"administrator,hr,coach,viewer"`
		Scopes []string `json:"scopes,omitempty" maxItems:"100"`
		Days   int      `json:"days,omitempty" minimum:"1" maximum:"3660" doc:"how long it is good; none: 90"`
	}
}

// FreshToken is a token with its text.
type FreshToken struct {
	Token
	Text string `json:"text" doc:"the token; it is kept nowhere"`
}

type freshTokenOut struct{ Body FreshToken }

func addToken(ctx context.Context, k *call, in *tokenAddIn) (*freshTokenOut, error) {
	if err := ParseScopes(in.Body.Scopes); err != nil {
		return nil, refusal(err)
	}
	for _, s := range in.Body.Scopes { // a token cannot make one that may more
		if len(k.who.Scopes) > 0 && !slices.Contains(k.who.Scopes, s) {
			return nil, refusal(fmt.Errorf("your own token lacks the scope %s", s))
		}
	}
	if len(k.who.Scopes) > 0 && len(in.Body.Scopes) == 0 {
		return nil, refusal(fmt.Errorf("your own token is not good for all: name the scopes of the new one"))
	}
	days := in.Body.Days
	if days == 0 {
		days = 90
	}
	t := store.APIToken{Org: k.org, Name: in.Body.Name, Role: in.Body.Role, Scopes: in.Body.Scopes, Maker: k.actor(), Expires: k.Now().AddDate(0, 0, days)}
	if err := k.audit(ctx, "", map[string]any{"role": t.Role, "scopes": t.Scopes, "days": days}); err != nil {
		return nil, err
	}
	text, err := k.Store.AddToken(ctx, &t)
	if err != nil {
		return nil, err
	}
	return &freshTokenOut{FreshToken{tokenOf(&t), text}}, nil
}

type tokenIn struct {
	OrgIn
	Token string `path:"token" maxLength:"20"`
}

func removeToken(ctx context.Context, k *call, in *tokenIn) (*struct{}, error) {
	n, err := number(in.Token)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "token "+in.Token, nil); err != nil {
		return nil, err
	}
	return nil, k.Store.DeleteToken(ctx, k.org, n)
}
