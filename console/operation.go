package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bearhug/bearhug/store"
)

// operation is a line of the table.
type operation struct {
	ID     string // verb and thing, as people-list; the name in the audit log
	Method string
	Path   string // with {org} for what belongs to an organisation
	Doc    string
	Roles  []Role // who may; nil: anybody, also without sign-in
	Scope  string // that a token needs
	Limit  int64  // bytes of the body; 0 is 1 MiB
	Status int    // when done; 0 is 200, or 204 without an answer
	// Views says that reading is written down: it shows what a person answered.
	Views bool
	Reads bool // nothing is changed, although it is no GET

	add func(*Console, *operation)
}

// changes reports whether what the operation does is written down.
func (o *operation) changes() bool { return o.Method != http.MethodGet && o.Scope != "" && !o.Reads }

// OrgIn names the organisation that a request is about.
type OrgIn struct {
	Org string `path:"org" maxLength:"1023" example:"example.org" doc:"domain of the organisation"`
}

// op makes a line of the table from a function.
func op[I, O any](o operation, fn func(context.Context, *call, *I) (*O, error)) operation {
	o.add = func(c *Console, o *operation) {
		huma.Register(c.api, c.described(o), func(ctx context.Context, in *I) (*O, error) {
			k, _ := ctx.Value(callKey{}).(*call)
			if k == nil || k.op != o { // authorise was not asked: a mistake of ours
				return nil, huma.Error500InternalServerError("not authorised")
			}
			out, err := fn(ctx, k, in)
			if err == nil && !k.audited && (o.Views || o.changes()) {
				err = fmt.Errorf("%s was not written into the audit log", o.ID)
			}
			if err != nil {
				told := c.problem(ctx, o.ID, err)
				k.failed(ctx, told)
				return nil, told
			}
			return out, nil
		})
	}
	return o
}

// described is the operation for the OpenAPI document and the router.
func (c *Console) described(o *operation) huma.Operation {
	h := huma.Operation{
		OperationID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Doc, DefaultStatus: o.Status,
		MaxBodyBytes: max(o.Limit, maxBody), BodyReadTimeout: 2 * time.Minute,
		Tags:        []string{strings.SplitN(o.ID, "-", 2)[0]},
		Errors:      []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable},
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) { c.authorise(o, ctx, next) }},
		Security:    []map[string][]string{},
	}
	h.Errors = append(h.Errors, http.StatusUnauthorized)
	if o.Roles != nil {
		h.Errors = append(h.Errors, http.StatusForbidden, http.StatusNotFound, http.StatusConflict)
		h.Security = []map[string][]string{{"token": {}}, {"session": {}}}
		h.Description = "Roles: " + words(o.Roles) + "."
		if o.Scope != "" {
			h.Description += " Scope of tokens: " + o.Scope + "."
		}
		if o.Views || o.changes() {
			h.Description += " Written into the audit log."
		}
	}
	return h
}

// authorise lets those through who may: first the organisation, which looks as
// if it were not there to everybody else, then the role, then the scope.
func (c *Console) authorise(o *operation, ctx huma.Context, next func(huma.Context)) {
	k, _ := ctx.Context().Value(callKey{}).(*call)
	if k == nil {
		c.tell(ctx, http.StatusInternalServerError, "not authorised")
		return
	}
	k.op, k.org = o, k.who.Org
	if o.Roles == nil {
		next(ctx)
		return
	}
	if k.who.Role == "" {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="bearhug"`)
		c.tell(ctx, http.StatusUnauthorized, "sign in first: with a token (Authorization: Bearer …) or POST "+sessionPath)
		return
	}
	if strings.Contains(o.Path, "{org}") {
		k.domain = strings.ToLower(ctx.Param("org"))
		org, err := c.Store.OrgOf(ctx.Context(), k.domain)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && k.who.Org != 0 && k.who.Org != org:
			c.tell(ctx, http.StatusNotFound, notHere)
			return
		case err != nil:
			ctx.SetHeader("Retry-After", "5")
			c.tell(ctx, http.StatusServiceUnavailable, "the database does not answer; try again in a few seconds")
			return
		}
		k.org = org
	}
	switch {
	case !slices.Contains(o.Roles, k.who.Role):
		c.tell(ctx, http.StatusForbidden, fmt.Sprintf("the role %s may not do this, only: %s", k.who.Role, words(o.Roles)))
	case o.Scope != "" && len(k.who.Scopes) > 0 && !slices.Contains(k.who.Scopes, o.Scope):
		c.tell(ctx, http.StatusForbidden, "this token is not for this: it lacks the scope "+o.Scope)
	default:
		k.once(ctx, ctx.Header("Idempotency-Key"), next)
	}
}

func (c *Console) tell(ctx huma.Context, status int, why string) {
	if err := huma.WriteErr(c.api, ctx, status, why); err != nil {
		c.Log.Debug("answer not written", "cause", err)
	}
}

// once does a request with an idempotency key once: the same again is answered
// as before, another one with the same key is refused.
func (k *call) once(ctx huma.Context, name string, next func(huma.Context)) {
	if name == "" || k.sum == nil {
		next(ctx)
		return
	}
	key := store.IdemKey{Org: k.who.Org, Who: k.who.Key, Name: name}
	before, fresh, err := k.Store.BeginIdem(ctx.Context(), key, k.sum, k.Now())
	if err == nil && !fresh && k.Now().Sub(before.At) > idemTime {
		if err = k.Store.EndIdem(ctx.Context(), key, &store.IdemAnswer{}); err == nil {
			before, fresh, err = k.Store.BeginIdem(ctx.Context(), key, k.sum, k.Now())
		}
	}
	switch {
	case err != nil:
		k.tell(ctx, http.StatusServiceUnavailable, "the database does not answer; try again in a few seconds")
	case fresh:
		k.keep(ctx, key, next)
	case string(before.Hash) != string(k.sum):
		k.tell(ctx, http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request: take a new one")
	case before.Status == 0:
		ctx.SetHeader("Retry-After", "5")
		k.tell(ctx, http.StatusConflict, "the request with this Idempotency-Key is under way")
	default:
		ctx.SetHeader("Content-Type", before.Kind)
		ctx.SetHeader("Idempotency-Replayed", "true")
		ctx.SetStatus(before.Status)
		if _, err := ctx.BodyWriter().Write(before.Body); err != nil {
			k.Log.Debug("answer not written", "cause", err)
		}
	}
}

// idemTime is how long a key is remembered.
const idemTime = 24 * time.Hour

// keep does a request and keeps its answer. What failed on our side may be
// tried again with the same key.
func (k *call) keep(ctx huma.Context, key store.IdemKey, next func(huma.Context)) {
	k.out.keeps = true
	done := false
	defer func() {
		a := store.IdemAnswer{Status: k.out.status, Kind: k.out.Header().Get("Content-Type"), Body: k.out.body.Bytes()}
		if !done || k.out.status == 0 || k.out.status >= 500 || k.out.cut {
			a.Status = 0
		}
		if err := k.Store.EndIdem(context.WithoutCancel(ctx.Context()), key, &a); err != nil {
			k.Log.Error("answer is not kept for its idempotency key", "cause", err)
		}
	}()
	next(ctx)
	done = true
}

// audit writes down what is about to be done, or shown, to whom: before it is,
// so that nothing is done that is not in the log. detail has no names,
// addresses or contents.
func (k *call) audit(ctx context.Context, subject string, detail map[string]any) error {
	var text []byte
	if len(detail) > 0 {
		var err error
		if text, err = json.Marshal(detail); err != nil {
			return err
		}
	}
	k.audited, k.subject = true, subject
	return k.Store.Audit(ctx, k.Writer, store.AuditEntry{Org: k.org, Actor: k.actor(), Role: string(k.who.Role), Action: k.op.ID, Subject: subject, Detail: text})
}

// actor is who asks, as the audit log names them.
func (k *call) actor() string {
	if k.who.Org == 0 && k.who.Role == Operator {
		return "operator's " + k.who.Name
	}
	return k.who.Name
}

// failed writes down that what was about to be done was not.
func (k *call) failed(ctx context.Context, told error) {
	if !k.audited {
		return
	}
	status := http.StatusInternalServerError
	var s huma.StatusError
	if errors.As(told, &s) {
		status = s.GetStatus()
	}
	if err := k.audit(context.WithoutCancel(ctx), k.subject, map[string]any{"failed": status}); err != nil {
		k.Log.Error("the audit log does not say that an operation failed", "operation", k.op.ID, "cause", err)
	}
}

// cursor and place are those of the call's list.
func (k *call) cursor(at any) (string, error)   { return k.Console.cursor(k.op.ID, k.org, at) }
func (k *call) place(text string, at any) error { return k.Console.place(k.op.ID, k.org, text, at) }
func (k *call) here() store.Organisation        { return store.Organisation{ID: k.org, Domain: k.domain} }
