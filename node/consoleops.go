package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/console"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/store"
)

// registerConsole makes the operations on tokens and the audit log known.
func (a *admin) registerConsole(c *ops.Control) {
	c.Handle("token.add", a.addAPIToken)
	c.Handle("token.ls", a.listAPITokens)
	c.Handle("token.rm", a.removeAPIToken)
	c.Handle("audit.ls", a.listAudit)
	c.Handle("audit.verify", a.verifyAudit)
	c.Handle("audit.export", a.exportAudit)
}

// APIToken is the argument of token.add, and with the text its answer. Without
// a domain it is an operator's, good for the whole server.
type APIToken struct {
	ID      int64     `json:"id,omitempty"`
	Name    string    `json:"name"`
	Domain  string    `json:"domain,omitempty"`
	Role    string    `json:"role,omitempty"`
	Scopes  []string  `json:"scopes,omitempty"` // none: all that the role may
	Days    int       `json:"days,omitempty"`   // 0: 90
	Prefix  string    `json:"prefix,omitempty"`
	Maker   string    `json:"maker,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Used    time.Time `json:"used,omitzero"`
	Text    string    `json:"text,omitempty"` // the token
}

// tokenDays is how long a token is good when nobody says so, maxTokenDays at most.
const (
	tokenDays    = 90
	maxTokenDays = 3660
)

// place finds the organisation of a domain; "" is the whole server.
func (a *admin) place(ctx context.Context, domain string) (feature.Org, error) {
	if domain == "" {
		return 0, nil
	}
	org, err := a.organisation(ctx, domain)
	return org.ID, err
}

func (a *admin) addAPIToken(c *ops.Call) (any, error) {
	var arg APIToken
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	ctx := c.Context()
	org, err := a.place(ctx, arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	if arg.Role == "" && org == 0 {
		arg.Role = string(console.Operator)
	}
	role, err := console.ParseRole(arg.Role)
	switch {
	case err != nil:
		return nil, fmt.Errorf("make a token: --role: %w", err)
	case org == 0 && role != console.Operator:
		return nil, fmt.Errorf("make a token: the role %s is one in an organisation: name it with --org", role)
	case org != 0 && role == console.Operator:
		return nil, errors.New("make a token: an operator's is for the whole server: leave --org away")
	case arg.Days < 0 || arg.Days > maxTokenDays:
		return nil, fmt.Errorf("make a token: --days %d: want 1 to %d", arg.Days, maxTokenDays)
	}
	if err := console.ParseScopes(arg.Scopes); err != nil {
		return nil, fmt.Errorf("make a token: --scope: %w", err)
	}
	if arg.Days == 0 {
		arg.Days = tokenDays
	}
	if err := a.audit(c, org, "token-add", ""); err != nil {
		return nil, err
	}
	t := store.APIToken{Org: org, Name: arg.Name, Role: string(role), Scopes: arg.Scopes, Maker: c.User(), Expires: time.Now().AddDate(0, 0, arg.Days)}
	text, err := a.store.AddToken(ctx, &t)
	if err != nil {
		return nil, err
	}
	out := tokenLine(&t, arg.Domain)
	out.Text = text
	return out, nil
}

func tokenLine(t *store.APIToken, domain string) APIToken {
	return APIToken{ID: t.ID, Name: t.Name, Domain: domain, Role: t.Role, Scopes: t.Scopes, Prefix: t.Prefix, Maker: t.Maker, Made: t.Made, Expires: t.Expires, Used: t.Used}
}

// audit writes a command down, in the name of who called.
func (a *admin) audit(c *ops.Call, org feature.Org, action, subject string) error {
	return a.store.Audit(c.Context(), auditWriter(a.config), store.AuditEntry{Org: org, Actor: "command of " + c.User(), Role: string(console.Operator), Action: action, Subject: subject})
}

// TokenPage asks for tokens behind one; without a domain for operators'.
type TokenPage struct {
	Domain string `json:"domain,omitempty"`
	After  int64  `json:"after,omitempty"`
}

// tokenPage is how many tokens a page has.
const tokenPage = 1000

func (a *admin) listAPITokens(c *ops.Call) (any, error) {
	var arg TokenPage
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.place(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	list, err := a.store.Tokens(c.Context(), org, arg.After, tokenPage)
	out := make([]APIToken, len(list))
	for i := range list {
		out[i] = tokenLine(&list[i], arg.Domain)
	}
	return out, err
}

func (a *admin) removeAPIToken(c *ops.Call) (any, error) {
	var arg APIToken
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.place(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("take a token back: %w", err)
	}
	if err := a.audit(c, org, "token-remove", fmt.Sprintf("token %d", arg.ID)); err != nil {
		return nil, err
	}
	err = a.store.DeleteToken(c.Context(), org, arg.ID)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("there is no token %d there: `bearhug token ls` lists them", arg.ID)
	}
	return arg, err
}

// AuditArgs says what of the audit log is asked for; without a domain the
// server's own.
type AuditArgs struct {
	Domain  string    `json:"domain,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Action  string    `json:"action,omitempty"`
	Limit   int       `json:"limit,omitempty"`
	Before  time.Time `json:"before,omitzero"`
	Writer  string    `json:"writer,omitempty"`
	Seq     int64     `json:"seq,omitempty"`
}

// AuditLine is a row of audit.ls.
type AuditLine struct {
	Writer  string    `json:"writer"`
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Role    string    `json:"role"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

func (a *admin) auditArgs(c *ops.Call) (arg AuditArgs, org feature.Org, err error) {
	if err = c.Args(&arg); err == nil {
		org, err = a.place(c.Context(), arg.Domain)
	}
	if err != nil {
		return arg, 0, fmt.Errorf("audit log: %w", err)
	}
	return arg, org, nil
}

func (a *admin) listAudit(c *ops.Call) (any, error) {
	arg, org, err := a.auditArgs(c)
	if err != nil {
		return nil, err
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 100
	}
	rows, err := a.store.AuditLog(c.Context(), org, store.AuditSearch{Actor: arg.Actor, Subject: arg.Subject, Action: arg.Action,
		Before: arg.Before, Writer: arg.Writer, Seq: arg.Seq}, arg.Limit)
	out := make([]AuditLine, len(rows))
	for i, r := range rows {
		out[i] = AuditLine{r.Writer, r.Seq, r.At, r.Actor, r.Role, r.Action, r.Subject, string(r.Detail)}
	}
	return out, err
}

// AuditProof is the answer of audit.verify.
type AuditProof struct {
	Rows     int      `json:"rows"`
	Writers  int      `json:"writers"`
	Seals    int      `json:"seals"`
	Problems []string `json:"problems,omitempty"`
	Key      []byte   `json:"key"` // Ed25519, that seals are signed with
}

func (a *admin) verifyAudit(c *ops.Call) (any, error) {
	_, org, err := a.auditArgs(c)
	if err != nil {
		return nil, err
	}
	key, err := a.store.AuditKey(c.Context())
	if err != nil {
		return nil, err
	}
	p, err := a.store.VerifyAudit(c.Context(), org, nil)
	if err != nil {
		return nil, err
	}
	return AuditProof{p.Rows, p.Writers, p.Seals, p.Problems, key}, nil
}

// AuditExport is a row of audit.export.
type AuditExport = store.AuditExport

func (a *admin) exportAudit(c *ops.Call) (any, error) {
	arg, org, err := a.auditArgs(c)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ExportAudit(c.Context(), org, arg.Writer, arg.Seq)
	if rows == nil {
		rows = []AuditExport{}
	}
	return rows, err
}
