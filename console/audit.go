package console

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bearhug/bearhug/store"
)

func auditOperations() []operation {
	return []operation{
		op(operation{ID: "audit-list", Method: "GET", Path: "/api/orgs/{org}/audit", Doc: "Search the audit log, newest first, by actor or subject, and action.", Roles: admins(), Scope: "audit:read"}, listAudit),
		op(operation{ID: "audit-verify", Method: "GET", Path: "/api/orgs/{org}/audit/proof", Doc: "Verify the chains of the audit log.", Roles: owners(), Scope: "audit:read"}, verifyAudit),
		op(operation{ID: "server-audit-list", Method: "GET", Path: "/api/audit", Doc: "Search the server's own audit log: levers, organisations.", Roles: running(), Scope: "audit:read"}, listServerAudit),
	}
}

// AuditLine is a row of the audit log.
type AuditLine struct {
	Writer  string          `json:"writer" doc:"the process that wrote it"`
	Number  int64           `json:"number" doc:"in the writer's chain"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor" doc:"a pseudonym once the person is erased"`
	Role    string          `json:"role"`
	Action  string          `json:"action" doc:"id of an operation"`
	Subject string          `json:"subject,omitempty"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

func auditLine(a *store.Audited) AuditLine {
	return AuditLine{a.Writer, a.Seq, a.At, a.Actor, a.Role, a.Action, a.Subject, json.RawMessage(a.Detail)}
}

// AuditIn says what is looked for.
type AuditIn struct {
	PageIn
	Actor   string `query:"actor" maxLength:"320"`
	Subject string `query:"subject" maxLength:"320"`
	Action  string `query:"action" maxLength:"64"`
}

type auditListIn struct {
	OrgIn
	AuditIn
}

type auditPlace struct {
	At     int64  `json:"a"`
	Writer string `json:"w"`
	Seq    int64  `json:"s"`
}

func listAudit(ctx context.Context, k *call, in *auditListIn) (*PageOut[AuditLine], error) {
	return searchAudit(ctx, k, &in.AuditIn)
}

func listServerAudit(ctx context.Context, k *call, in *AuditIn) (*PageOut[AuditLine], error) {
	return searchAudit(ctx, k, in)
}

func searchAudit(ctx context.Context, k *call, in *AuditIn) (*PageOut[AuditLine], error) {
	var at auditPlace
	if err := k.place(in.Cursor, &at); err != nil {
		return nil, err
	}
	q := store.AuditSearch{Actor: in.Actor, Subject: in.Subject, Action: in.Action, Writer: at.Writer, Seq: at.Seq}
	if q.Actor != "" && q.Subject != "" {
		return nil, refusal(errors.New("search by actor or by subject, not by both"))
	}
	if at.At != 0 {
		q.Before = time.UnixMicro(at.At)
	}
	rows, err := k.Store.AuditLog(ctx, k.org, q, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(k, in.Limit, rows, auditLine, func(a *store.Audited) any { return auditPlace{a.At.UnixMicro(), a.Writer, a.Seq} })
}

// AuditProof says whether the audit log is whole.
type AuditProof struct {
	Whole    bool     `json:"whole"`
	Rows     int      `json:"rows"`
	Writers  int      `json:"writers"`
	Seals    int      `json:"seals"`
	Problems []string `json:"problems,omitempty"`
}

type auditProofOut struct{ Body AuditProof }

func verifyAudit(ctx context.Context, k *call, _ *OrgIn) (*auditProofOut, error) {
	p, err := k.Store.VerifyAudit(ctx, k.org, nil)
	if err != nil {
		return nil, err
	}
	return &auditProofOut{AuditProof{len(p.Problems) == 0, p.Rows, p.Writers, p.Seals, p.Problems}}, nil
}
