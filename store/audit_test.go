package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func audit(t *testing.T, s *store.Store, writer string, e store.AuditEntry) {
	t.Helper()
	if err := s.Audit(context.Background(), writer, e); err != nil {
		t.Fatal(err)
	}
}

func whole(t *testing.T, s *store.Store, org feature.Org) *store.AuditProof {
	t.Helper()
	p, err := s.VerifyAudit(context.Background(), org, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Two writers write at once; the chains verify, and what is exported verifies
// by what the documents say alone.
func TestAuditChain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		var group sync.WaitGroup
		for _, w := range []string{"a", "b"} {
			group.Go(func() {
				for i := range 20 {
					if err := s.Audit(ctx, w, store.AuditEntry{Org: 1, Actor: "anna", Role: "hr", Action: "people-list", Subject: fmt.Sprint("person ", i%3), Detail: []byte(`{"n":1}`)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		audit(t, s, "a", store.AuditEntry{Org: 2, Actor: "anna", Action: "x"})
		if p := whole(t, s, 1); len(p.Problems) > 0 || p.Rows != 40 || p.Writers != 2 || p.Heads["a"] != 20 || p.Heads["b"] != 20 {
			t.Fatalf("%+v", p)
		}
		heads, rows := map[string][]byte{}, 0
		for writer, seq := "", int64(0); ; {
			list, err := s.ExportAudit(ctx, 1, writer, seq)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			for _, r := range list {
				head := heads[r.Writer]
				if head == nil {
					head = make([]byte, 32)
				}
				sum := sha256.Sum256(append(bytes.Clone(head), canonical(t, &r)...))
				if hex.EncodeToString(sum[:]) != r.Hash {
					t.Fatalf("%s %d: hash %s, computed %x", r.Writer, r.Seq, r.Hash, sum)
				}
				heads[r.Writer] = sum[:]
				writer, seq = r.Writer, r.Seq
				rows++
			}
		}
		if rows != 40 {
			t.Fatalf("%d rows exported", rows)
		}
	})
}

// canonical is the form that the decision describes, written again.
func canonical(t *testing.T, r *store.AuditExport) []byte {
	t.Helper()
	b := []byte("bearhug audit 1\x00")
	text := func(p []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...) }
	un := func(h string) []byte {
		p, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Org))
	text([]byte(r.Writer))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At))
	text(un(r.Actor))
	text([]byte(r.Role))
	text([]byte(r.Action))
	text(un(r.Subject))
	text(r.Detail)
	return b
}

func TestAuditSeal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		for _, w := range []string{"a", "b"} {
			audit(t, s, w, store.AuditEntry{Org: 1, Actor: "anna", Action: "x"})
		}
		now := time.Now()
		for _, step := range []struct {
			writer string
			at     time.Time
			want   int
		}{{"a", now, 1}, {"a", now, 0}, {"b", now, 1}, {"a", now.AddDate(0, 0, 1), 1}} {
			if n, err := s.SealAudit(ctx, step.writer, step.at); err != nil || n != step.want {
				t.Fatalf("seal by %s: %d, %v, want %d", step.writer, n, err, step.want)
			}
		}
		if p := whole(t, s, 1); len(p.Problems) > 0 || p.Seals != 3 || p.Rows != 5 {
			t.Fatalf("%+v", p)
		}
	})
}

// Whoever has the database and changes it is found out. Each case changes one
// thing behind the store's back.
func TestAuditTampered(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"a row changed":        {`UPDATE audit SET action = X'79' WHERE writer = X'61' AND seq = 2`, "row 2 is not what was written"},
		"an actor changed":     {`UPDATE audit SET actor = X'00000000000000000000000000000000' WHERE writer = X'61' AND seq = 2`, "row 2 is not what was written"},
		"a row taken out":      {`DELETE FROM audit WHERE writer = X'61' AND seq = 2`, "row 2 is missing"},
		"the end cut off":      {`DELETE FROM audit WHERE writer = X'61' AND seq >= 3`, "row 3 was sealed by b and is gone"},
		"a chain taken away":   {`DELETE FROM audit WHERE writer = X'61'`, "was sealed by b and is gone"},
		"a seal signed anew":   {`UPDATE audit SET detail = CAST(replace(CAST(detail AS TEXT), '"seq":3', '"seq":2') AS BLOB) WHERE writer = X'62' AND action = CAST('audit-seal' AS BLOB)`, "not signed by this server"},
		"times changed":        {`UPDATE audit SET at = at + 1 WHERE writer = X'61' AND seq = 1`, "row 1 is not what was written"},
		"moved to another org": {`UPDATE audit SET org = 9 WHERE writer = X'61' AND seq = 3`, "row 3 was sealed by b and is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bearhug.db")
			s, ctx := storetest.OpenURL(t, "sqlite:"+file), context.Background()
			for _, w := range []string{"a", "b"} {
				for range 3 {
					audit(t, s, w, store.AuditEntry{Org: 1, Actor: "anna", Action: "x"})
				}
			}
			if _, err := s.SealAudit(ctx, "b", time.Now()); err != nil {
				t.Fatal(err)
			}
			if p := whole(t, s, 1); len(p.Problems) > 0 {
				t.Fatalf("before: %v", p.Problems)
			}
			tamper(t, file, c.sql)
			p := whole(t, s, 1)
			if !strings.Contains(strings.Join(p.Problems, "\n"), c.want) {
				t.Errorf("found %q, want %q", p.Problems, c.want)
			}
		})
	}
}

// Erasing somebody changes no row: the name goes, a pseudonym stays.
func TestAuditErased(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		for _, name := range []string{"anna", "ben"} {
			audit(t, s, "a", store.AuditEntry{Org: 1, Actor: "carl", Action: "person-show", Subject: name})
			audit(t, s, "a", store.AuditEntry{Org: 2, Actor: "carl", Action: "person-show", Subject: name})
		}
		if rows, err := s.AuditLog(ctx, 1, store.AuditSearch{Subject: "anna"}, 10); err != nil || len(rows) != 1 || rows[0].Subject != "anna" || rows[0].Actor != "carl" {
			t.Fatalf("%+v, %v", rows, err)
		}
		if err := s.DB().Write(ctx, 1, func(tx *db.Tx) error { return store.ForgetAudited(tx, 1, "anna") }); err != nil {
			t.Fatal(err)
		}
		rows, err := s.AuditLog(ctx, 1, store.AuditSearch{}, 10)
		if err != nil || len(rows) != 2 {
			t.Fatalf("%+v, %v", rows, err)
		}
		if rows[0].Subject != "ben" || !strings.HasPrefix(rows[1].Subject, "pseudonym ") {
			t.Errorf("subjects %q and %q", rows[0].Subject, rows[1].Subject)
		}
		if rows, err := s.AuditLog(ctx, 1, store.AuditSearch{Subject: "anna"}, 10); err != nil || len(rows) != 0 {
			t.Errorf("who was erased is found: %+v, %v", rows, err)
		}
		if rows, err := s.AuditLog(ctx, 2, store.AuditSearch{Subject: "anna"}, 10); err != nil || len(rows) != 1 {
			t.Errorf("another organisation's: %+v, %v", rows, err)
		}
		if p := whole(t, s, 1); len(p.Problems) > 0 {
			t.Errorf("after erasing: %v", p.Problems)
		}
	})
}

// Pages of the log go on where the one before ended, in whatever order times are.
func TestAuditPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		for i := range 25 {
			audit(t, s, []string{"a", "b"}[i%2], store.AuditEntry{Org: 1, Actor: "anna", Action: []string{"x", "y", "z"}[i%3]})
		}
		for action, want := range map[string]int{"": 25, "x": 9, "y": 8, "none": 0} {
			seen := map[string]bool{}
			q := store.AuditSearch{Action: action}
			for {
				rows, err := s.AuditLog(ctx, 1, q, 4)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) == 0 {
					break
				}
				for _, r := range rows {
					seen[fmt.Sprint(r.Writer, r.Seq)] = true
				}
				last := rows[len(rows)-1]
				q.Before, q.Writer, q.Seq = last.At, last.Writer, last.Seq
			}
			if len(seen) != want {
				t.Errorf("action %q: %d rows, want %d", action, len(seen), want)
			}
		}
	})
}

// tamper changes the file of a database of SQLite by another connection.
func tamper(t *testing.T, file, statement string) {
	t.Helper()
	raw, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	r, err := raw.Exec(statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("nothing was changed (%v)", err)
	}
}
