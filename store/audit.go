package store

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// The audit log. Each organisation has a chain of rows for each writer, a
// process that writes: the hash of a row is SHA-256 over the hash before it and
// the row in its canonical form (canonical). A row names people by pseudonyms
// of 16 random bytes; erasing a person deletes who that was, and no row changes.

// AuditEntry is one thing that was done or seen.
type AuditEntry struct {
	Org     feature.Org // 0: the server itself
	Actor   string      // who did it: an address, "token NAME", "operator NAME"
	Role    string
	Action  string // the id of an operation, as people-import
	Subject string // what it was done to: an address, "person 17", "campaign 4"; may be ""
	Detail  []byte // JSON without names, addresses or contents
}

// Audited is an entry as it stands in the log.
type Audited struct {
	AuditEntry // Actor and Subject are pseudonyms once who they name is erased
	Writer     string
	Seq        int64
	At         time.Time

	actor, subject []byte
	hash           []byte
}

// SealAction is the action of rows that hold the heads of all chains.
const SealAction = "audit-seal"

// maxAuditDetail bounds Detail, in bytes; a longer one is refused.
const maxAuditDetail = 64 << 10

// auditNobody is the pseudonym of nobody.
func auditNobody() []byte { return make([]byte, 16) }

// Audit appends an entry to the chain of a writer: 1 to 64 bytes that no other
// process uses at the same time. What is done is done only once Audit is.
func (s *Store) Audit(ctx context.Context, writer string, e AuditEntry) error {
	if writer == "" || len(writer) > 64 || e.Action == "" || len(e.Action) > 64 || len(e.Role) > 32 || len(e.Detail) > maxAuditDetail {
		return fmt.Errorf("audit %q by %q: writer and action have 1 to 64 bytes, role 32, detail %d", e.Action, writer, maxAuditDetail)
	}
	err := s.db.Write(ctx, e.Org, func(tx *db.Tx) error {
		actor, err := pseudonymOf(tx, e.Org, e.Actor)
		if err != nil {
			return err
		}
		subject, err := pseudonymOf(tx, e.Org, e.Subject)
		if err != nil {
			return err
		}
		return appendAudit(tx, &Audited{AuditEntry: e, Writer: writer, At: time.Now().Truncate(time.Microsecond), actor: actor, subject: subject})
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return nil
}

// appendAudit numbers and chains a row.
func appendAudit(tx *db.Tx, a *Audited) error {
	if err := lock(tx, auditLock(a.Org)); err != nil {
		return err
	}
	var head []byte
	a.Seq = 1
	if err := tx.Query("audit-head", func(r *db.Row) error {
		a.Seq, head = r.Int(0)+1, r.Bytes(1)
		return nil
	}, a.Org, a.Writer); err != nil {
		return err
	}
	a.hash = a.chain(head)
	if a.Detail == nil {
		a.Detail = []byte{}
	}
	_, err := tx.Exec("audit-insert", a.Org, a.Writer, a.Seq, a.At, a.actor, a.Role, a.Action, a.subject, a.Detail, a.hash)
	return err
}

// auditLock names what makes appending to the chains of an organisation come
// one after the other.
func auditLock(org feature.Org) string { return fmt.Sprintf("audit-%d", org) }

// pseudonymOf finds or makes the pseudonym of a name; nobody has a fixed one.
func pseudonymOf(tx *db.Tx, org feature.Org, name string) (id []byte, err error) {
	if name == "" {
		return auditNobody(), nil
	}
	name = clip(name, 320)
	get := func() error {
		return tx.Query("audit-name-get", func(r *db.Row) error {
			id = r.Bytes(0)
			return nil
		}, org, name)
	}
	if err := get(); err != nil || id != nil {
		return id, err
	}
	fresh := make([]byte, 16)
	if _, err := rand.Read(fresh); err != nil {
		return nil, err
	}
	if _, err := tx.Exec("audit-name-insert", org, fresh, name); err != nil {
		return nil, err
	}
	err = get()
	return id, err
}

// canonical is a row in one form: each part behind its length, in four bytes,
// big-endian; numbers in eight bytes.
func (a *Audited) canonical() []byte {
	b := []byte("bearhug audit 1\x00")
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(t []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(t))), t...) }
	number(int64(a.Org))
	text([]byte(a.Writer))
	number(a.Seq)
	number(a.At.UnixMicro())
	text(a.actor)
	text([]byte(a.Role))
	text([]byte(a.Action))
	text(a.subject)
	text(a.Detail)
	return b
}

// chain is the hash of the row behind a head.
func (a *Audited) chain(head []byte) []byte {
	before := [sha256.Size]byte{}
	copy(before[:], head)
	sum := sha256.Sum256(append(before[:], a.canonical()...))
	return sum[:]
}

func auditRow(org feature.Org, r *db.Row) Audited {
	return Audited{
		AuditEntry: AuditEntry{Org: org, Role: r.Text(4), Action: r.Text(5), Detail: r.Bytes(7)},
		Writer:     r.Text(0), Seq: r.Int(1), At: r.Time(2), actor: r.Bytes(3), subject: r.Bytes(6), hash: r.Bytes(8),
	}
}

// ForgetAudited has names stand in the log as pseudonyms from now on, in the
// transaction that erases their person.
func ForgetAudited(tx *db.Tx, org feature.Org, names ...string) error {
	for _, name := range names {
		if _, err := tx.Exec("audit-name-delete", org, clip(name, 320)); err != nil {
			return err
		}
	}
	return nil
}

// AuditSearch says what of the log is looked for; newest first.
type AuditSearch struct {
	Actor, Subject, Action string    // "" is any; of Actor and Subject one at a time
	Before                 time.Time // zero is now
	Writer                 string    // with Before and Seq: behind this row
	Seq                    int64
}

// AuditLog is a page of the log, with names where they are known.
func (s *Store) AuditLog(ctx context.Context, org feature.Org, q AuditSearch, limit int) (out []Audited, err error) {
	if q.Actor != "" && q.Subject != "" {
		return nil, errors.New("search the audit log by actor or by subject, not by both")
	}
	statement, args := "audit-page", []any{org}
	if name := q.Actor + q.Subject; name != "" {
		var id []byte
		if err := s.db.Query(ctx, org, "audit-name-get", func(r *db.Row) error {
			id = r.Bytes(0)
			return nil
		}, org, name); err != nil || id == nil {
			return nil, err
		}
		statement, args = "audit-by-actor", append(args, id)
		if q.Subject != "" {
			statement = "audit-by-subject"
		}
	}
	at := micros(q.Before)
	if at == 0 {
		at = time.Now().Add(time.Hour).UnixMicro()
	}
	args = append(args, at, at, q.Writer, q.Writer, q.Seq, q.Action != "", q.Action, limit)
	if err = s.db.Query(ctx, org, statement, func(r *db.Row) error {
		out = append(out, auditRow(org, r))
		return nil
	}, args...); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return out, s.nameAudited(ctx, org, out)
}

// nameAudited says who the pseudonyms are.
func (s *Store) nameAudited(ctx context.Context, org feature.Org, rows []Audited) error {
	names := map[string]string{string(auditNobody()): ""}
	var ids []any
	for i := range rows {
		for _, id := range [][]byte{rows[i].actor, rows[i].subject} {
			if _, ok := names[string(id)]; !ok {
				names[string(id)] = fmt.Sprintf("pseudonym %x", id)
				ids = append(ids, id)
			}
		}
	}
	if len(ids) > 0 {
		if err := s.db.QueryList(ctx, org, "audit-name-some", []any{org}, ids, func(r *db.Row) error {
			names[r.Text(0)] = r.Text(1)
			return nil
		}); err != nil {
			return fmt.Errorf("names of the audit log: %w", err)
		}
	}
	for i := range rows {
		rows[i].Actor, rows[i].Subject = names[string(rows[i].actor)], names[string(rows[i].subject)]
	}
	return nil
}

// auditKey signs seals.
func (s *Store) auditKey(ctx context.Context) (ed25519.PrivateKey, error) {
	seed, err := s.Secret(ctx, "audit", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// AuditKey is the key that seals are verified with.
func (s *Store) AuditKey(ctx context.Context) (ed25519.PublicKey, error) {
	key, err := s.auditKey(ctx)
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

// ErasePersonAudited is ErasePerson, and in the same transaction what the audit
// log calls the person becomes a pseudonym.
func (s *Store) ErasePersonAudited(ctx context.Context, org feature.Org, id PersonID, names ...string) error {
	return s.ErasePerson(ctx, org, id, func(tx *db.Tx) error { return ForgetAudited(tx, org, names...) })
}
