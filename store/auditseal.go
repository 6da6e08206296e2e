package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// Once a day each writer writes the heads of all chains of an organisation into
// its own chain, signed: whoever cuts or rewrites one chain has to do so in all
// of them, and to have the key.

// sealed is the detail of a row of SealAction.
type sealed struct {
	Heads     []auditHead `json:"heads"`
	Signature []byte      `json:"signature"`
}

type auditHead struct {
	Writer string `json:"writer"`
	Seq    int64  `json:"seq"`
	Hash   []byte `json:"hash"`
}

// signed is what a signature is over.
func (d *sealed) signed(org feature.Org, at time.Time) ([]byte, error) {
	return json.Marshal(struct {
		Use   string      `json:"use"`
		Org   feature.Org `json:"org"`
		At    int64       `json:"at"`
		Heads []auditHead `json:"heads"`
	}{"bearhug audit seal", org, at.UnixMicro(), d.Heads})
}

// SealAudit writes a seal into the writer's chain of each organisation that has
// none of the same UTC day, and tells how many it wrote. It is for each day and
// for each process that writes; twice does no harm.
func (s *Store) SealAudit(ctx context.Context, writer string, now time.Time) (written int, err error) {
	key, err := s.auditKey(ctx)
	if err != nil {
		return 0, err
	}
	var orgs []feature.Org
	if err := s.db.Query(ctx, 0, "audit-orgs", func(r *db.Row) error {
		orgs = append(orgs, feature.Org(r.Int(0)))
		return nil
	}); err != nil {
		return 0, fmt.Errorf("seal the audit log: %w", err)
	}
	now = now.UTC().Truncate(time.Microsecond)
	day := now.Truncate(24 * time.Hour)
	for _, org := range orgs {
		wrote := false
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			wrote, err = sealOrg(tx, key, org, writer, now, day)
			return err
		}); err != nil {
			return written, fmt.Errorf("seal the audit log of organisation %d: %w", org, err)
		}
		if wrote {
			written++
		}
	}
	return written, nil
}

func sealOrg(tx *db.Tx, key ed25519.PrivateKey, org feature.Org, writer string, now, day time.Time) (bool, error) {
	if err := lock(tx, auditLock(org)); err != nil {
		return false, err
	}
	var last time.Time
	if err := tx.Query("audit-last-seal", func(r *db.Row) error {
		last = r.Time(0)
		return nil
	}, org, writer, SealAction); err != nil || !last.Before(day) {
		return false, err
	}
	var d sealed
	if err := tx.Query("audit-heads", func(r *db.Row) error {
		d.Heads = append(d.Heads, auditHead{r.Text(0), r.Int(1), r.Bytes(2)})
		return nil
	}, org); err != nil {
		return false, err
	}
	text, err := d.signed(org, now)
	if err != nil {
		return false, err
	}
	d.Signature = ed25519.Sign(key, text)
	detail, err := json.Marshal(d)
	if err != nil {
		return false, err
	}
	return true, appendAudit(tx, &Audited{AuditEntry: AuditEntry{Org: org, Role: "server", Action: SealAction, Detail: detail},
		Writer: writer, At: now, actor: auditNobody(), subject: auditNobody()})
}

// AuditProof is what verifying a log showed. It is whole when Problems is empty.
type AuditProof struct {
	Rows, Writers, Seals int
	Heads                map[string]int64 // last row by writer
	Problems             []string         // at most maxAuditProblems
}

const (
	maxAuditProblems = 100
	auditStep        = 1000 // rows at once
)

func (p *AuditProof) problem(format string, args ...any) {
	if len(p.Problems) < maxAuditProblems {
		p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
	}
}

// VerifyAudit walks all chains of an organisation: hashes, numbers, seals and
// their signatures. each is called for every row in its order, and may be nil.
func (s *Store) VerifyAudit(ctx context.Context, org feature.Org, each func(*Audited) error) (*AuditProof, error) {
	key, err := s.AuditKey(ctx)
	if err != nil {
		return nil, err
	}
	p := &AuditProof{Heads: map[string]int64{}}
	var writers []string
	if err := s.db.Query(ctx, org, "audit-heads", func(r *db.Row) error {
		writers = append(writers, r.Text(0))
		return nil
	}, org); err != nil {
		return nil, fmt.Errorf("verify the audit log: %w", err)
	}
	for _, w := range writers {
		if err := s.verifyChain(ctx, org, w, key, p, each); err != nil {
			return nil, fmt.Errorf("verify the audit log: %w", err)
		}
	}
	p.Writers = len(writers)
	return p, nil
}

func (s *Store) verifyChain(ctx context.Context, org feature.Org, writer string, key ed25519.PublicKey, p *AuditProof, each func(*Audited) error) error {
	var head []byte
	at := int64(0)
	for {
		rows, err := s.auditChain(ctx, org, writer, at)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			p.Heads[writer] = at
			return nil
		}
		if err := s.nameAudited(ctx, org, rows); err != nil {
			return err
		}
		for i := range rows {
			a := &rows[i]
			if a.Seq != at+1 {
				p.problem("writer %s: row %d is missing before row %d", writer, at+1, a.Seq)
			}
			if !bytes.Equal(a.hash, a.chain(head)) {
				p.problem("writer %s: row %d is not what was written, or what is before it is not", writer, a.Seq)
			}
			at, head = a.Seq, a.hash
			p.Rows++
			if a.Action == SealAction {
				if err := s.verifySeal(ctx, org, a, key, p); err != nil {
					return err
				}
			}
			if each == nil {
				continue
			}
			if err := each(a); err != nil {
				return err
			}
		}
	}
}

func (s *Store) auditChain(ctx context.Context, org feature.Org, writer string, after int64) (out []Audited, err error) {
	err = s.db.Query(ctx, org, "audit-chain", func(r *db.Row) error {
		out = append(out, auditRow(org, r))
		return nil
	}, org, writer, after, auditStep)
	return out, err
}

// verifySeal compares the heads of a seal with the rows that they name.
func (s *Store) verifySeal(ctx context.Context, org feature.Org, a *Audited, key ed25519.PublicKey, p *AuditProof) error {
	var d sealed
	if err := json.Unmarshal(a.Detail, &d); err != nil {
		p.problem("writer %s: row %d is no seal", a.Writer, a.Seq)
		return nil
	}
	text, err := d.signed(org, a.At)
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, text, d.Signature) {
		p.problem("writer %s: the seal in row %d is not signed by this server", a.Writer, a.Seq)
	}
	p.Seals++
	for _, h := range d.Heads {
		var there []byte
		if err := s.db.Query(ctx, org, "audit-at", func(r *db.Row) error {
			there = r.Bytes(8)
			return nil
		}, org, h.Writer, h.Seq); err != nil {
			return err
		}
		switch {
		case there == nil:
			p.problem("writer %s: row %d was sealed by %s and is gone", h.Writer, h.Seq, a.Writer)
		case !slices.Equal(there, h.Hash):
			p.problem("writer %s: row %d is not the one that %s sealed", h.Writer, h.Seq, a.Writer)
		}
	}
	return nil
}

// AuditExport is a row of the log as whoever verifies it elsewhere needs it:
// people by pseudonyms, in hexadecimal.
type AuditExport struct {
	Org     feature.Org `json:"org"`
	Writer  string      `json:"writer"`
	Seq     int64       `json:"seq"`
	At      int64       `json:"at_us"`
	Actor   string      `json:"actor"`
	Role    string      `json:"role"`
	Action  string      `json:"action"`
	Subject string      `json:"subject"`
	Detail  []byte      `json:"detail"` // base64 in JSON
	Hash    string      `json:"hash"`
}

// ExportAudit gives rows of an organisation's chains behind one, by writer and
// number; none: that was all.
func (s *Store) ExportAudit(ctx context.Context, org feature.Org, writer string, seq int64) (out []AuditExport, err error) {
	var writers []string
	if err := s.db.Query(ctx, org, "audit-heads", func(r *db.Row) error {
		writers = append(writers, r.Text(0))
		return nil
	}, org); err != nil {
		return nil, fmt.Errorf("export the audit log: %w", err)
	}
	for _, w := range writers {
		if w < writer {
			continue
		}
		if w > writer {
			seq = 0
		}
		rows, err := s.auditChain(ctx, org, w, seq)
		if err != nil {
			return nil, fmt.Errorf("export the audit log: %w", err)
		}
		if len(rows) == 0 {
			continue
		}
		for i := range rows {
			a := &rows[i]
			out = append(out, AuditExport{org, a.Writer, a.Seq, a.At.UnixMicro(), hex.EncodeToString(a.actor), a.Role, a.Action,
				hex.EncodeToString(a.subject), a.Detail, hex.EncodeToString(a.hash)})
		}
		return out, nil
	}
	return nil, nil
}
