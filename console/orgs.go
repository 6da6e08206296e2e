package console

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

func orgOperations() []operation {
	return []operation{
		op(operation{ID: "org-list", Method: "GET", Path: "/api/orgs", Doc: "List the organisations that one may see: an operator all, others their own.", Roles: anybody(), Scope: "orgs:read"}, listOrgs),
		op(operation{ID: "org-add", Method: "POST", Path: "/api/orgs", Doc: "Add an organisation.", Roles: running(), Scope: "orgs:write", Status: 201}, addOrg),
		op(operation{ID: "role-list", Method: "GET", Path: "/api/orgs/{org}/roles", Doc: "List who has a role.", Roles: owners(), Scope: "roles:read"}, listRoles),
		op(operation{ID: "role-set", Method: "PUT", Path: "/api/orgs/{org}/roles/{account}", Doc: "Give an account a role.", Roles: owners(), Scope: "roles:write"}, setRole),
		op(operation{ID: "role-remove", Method: "DELETE", Path: "/api/orgs/{org}/roles/{account}", Doc: "Take an account's role away; its sessions end at once.", Roles: owners(), Scope: "roles:write"}, removeRole),
	}
}

// Organisation is one, by its domain.
type Organisation struct {
	Domain string `json:"domain" minLength:"1" maxLength:"1023" example:"example.org"`
}

func listOrgs(ctx context.Context, k *call, in *PageIn) (*PageOut[Organisation], error) {
	var after string
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	all, err := k.Store.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	var rows []store.Organisation
	seen := after == ""
	for _, o := range all {
		if seen && (k.who.Org == 0 || k.who.Org == o.ID) && len(rows) <= in.Limit {
			rows = append(rows, o)
		}
		seen = seen || o.Domain == after
	}
	return page(k, in.Limit, rows, func(o *store.Organisation) Organisation { return Organisation{o.Domain} },
		func(o *store.Organisation) any { return o.Domain })
}

type orgAddIn struct{ Body Organisation }
type orgOut struct{ Body Organisation }

func addOrg(ctx context.Context, k *call, in *orgAddIn) (*orgOut, error) {
	if err := k.audit(ctx, strings.ToLower(in.Body.Domain), nil); err != nil {
		return nil, err
	}
	var out Organisation
	if err := k.control(ctx, "org.add", in.Body, &out); err != nil {
		return nil, err
	}
	return &orgOut{out}, nil
}

// control asks for an operation of the control socket in the caller's name.
// What it answers to mistakes is told in its own words.
func (k *call) control(ctx context.Context, name string, args, result any) error {
	if k.Control == nil {
		return &refused{503, errors.New("no server runs in this process that could do this")}
	}
	return refusal(k.Control(k.actor()).Call(ctx, ops.Request{Op: name, Args: args}, result))
}

// RoleLine is an account and its role.
type RoleLine struct {
	Account string    `json:"account" doc:"local part of the address"`
	Role    Role      `json:"role"`
	Since   time.Time `json:"since"`
}

type orgPageIn struct {
	OrgIn
	PageIn
}

func listRoles(ctx context.Context, k *call, in *orgPageIn) (*PageOut[RoleLine], error) {
	var after string
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := k.Store.Roles(ctx, k.org, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, func(r *store.RoleRow) RoleLine { return RoleLine{r.Account, Role(r.Role), r.Since} },
		func(r *store.RoleRow) any { return r.Account })
}

// AccountIn names an account.
type AccountIn struct {
	OrgIn
	Account string `path:"account" maxLength:"1023" doc:"local part of the address"`
}

type roleSetIn struct {
	AccountIn
	Body struct {
		Role string `json:"role" enum:"administrator,hr,coach,viewer"`
	}
}

type roleOut struct{ Body RoleLine }

// local is the canonical local part of an account of the organisation.
func (k *call) local(text string) (string, error) {
	who, err := jid.Parse(text + "@" + k.domain)
	if err != nil || who.Local() == "" || who.Resource() != "" {
		return "", refusal(fmt.Errorf("%q is no local part of an address", text))
	}
	return who.Local(), nil
}

func setRole(ctx context.Context, k *call, in *roleSetIn) (*roleOut, error) {
	local, err := k.local(in.Account)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, local, map[string]any{"role": in.Body.Role}); err != nil {
		return nil, err
	}
	if err := k.Store.SetRole(ctx, k.org, local, in.Body.Role); err != nil {
		return nil, err
	}
	return &roleOut{RoleLine{local, Role(in.Body.Role), k.Now()}}, nil
}

func removeRole(ctx context.Context, k *call, in *AccountIn) (*struct{}, error) {
	local, err := k.local(in.Account)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, local, nil); err != nil {
		return nil, err
	}
	return nil, k.Store.SetRole(ctx, k.org, local, "")
}

// number reads an id, which is text in JSON: it has more digits than
// JavaScript's numbers.
func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, store.ErrNotFound
	}
	return n, nil
}

func id(n int64) string { return strconv.FormatInt(n, 10) }
