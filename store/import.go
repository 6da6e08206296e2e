package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// ImportRow is one line of an import: one key of one account.
type ImportRow struct {
	Line          int
	Local, Domain string
	Key           Key
}

// ImportOptions say how an import runs.
type ImportOptions struct {
	DryRun   bool
	Progress func(done, total int) // accounts; may be nil
}

// ImportResult says what an import did. Nothing was imported when there are
// problems.
type ImportResult struct {
	Accounts int
	Problems []Problem // by line
}

// Problem is why a line keeps an import from being done.
type Problem struct {
	Line   int
	JID    string
	Reason string
}

// incoming is an account to be imported.
type incoming struct {
	org    feature.Org
	line   int // of its first key
	local  string
	domain string
	keys   []Key
}

func (a *incoming) problem(reason string) Problem {
	return Problem{Line: a.line, JID: a.local + "@" + a.domain, Reason: reason}
}

const importStep = 64 // accounts between looks at the clock

// Import adds many accounts at once: all or none, also when the process dies
// in the middle. Rows of one address with different mechanisms make one
// account. The accounts are staged in short transactions, invisible, while the
// server runs, and appear all together. What is wrong with the rows is no
// error: it is in the result, and nothing was done.
func (s *Store) Import(ctx context.Context, rows []ImportRow, o ImportOptions) (ImportResult, error) {
	accounts, problems, err := s.gather(ctx, rows)
	if err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	found, err := s.existing(ctx, accounts)
	if err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	problems = append(problems, found...)
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if len(problems) > 0 || o.DryRun || len(accounts) == 0 {
		return ImportResult{Accounts: len(accounts), Problems: problems}.unless(len(problems) > 0), nil
	}
	run, err := s.stage(ctx, accounts, o.Progress)
	if err == nil {
		for _, a := range accounts {
			s.keyBook.note(a.org, a.keys)
		}
		err = s.reveal(ctx, run, accounts)
	}
	if err != nil {
		// With a context of its own: the one handed in may be what ended it.
		err = errors.Join(err, s.unstage(context.WithoutCancel(ctx), run))
	}
	if errors.Is(err, ErrExists) || errors.Is(err, db.ErrDuplicate) {
		var e error
		if problems, e = s.existing(ctx, accounts); e != nil || len(problems) > 0 {
			err = e
		}
	}
	if err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	return ImportResult{Accounts: len(accounts), Problems: problems}.unless(len(problems) > 0), nil
}

// unless clears the number of accounts when nothing was imported.
func (r ImportResult) unless(nothing bool) ImportResult {
	if nothing {
		r.Accounts = 0
	}
	return r
}

// gather puts the rows of an account together, in the order of the key.
func (s *Store) gather(ctx context.Context, rows []ImportRow) ([]*incoming, []Problem, error) {
	orgs, err := s.Orgs(ctx)
	if err != nil {
		return nil, nil, err
	}
	numbers := map[string]feature.Org{}
	for _, o := range orgs {
		numbers[o.Domain] = o.ID
	}
	type name struct {
		org   feature.Org
		local string
	}
	byName := make(map[name]*incoming, len(rows))
	var accounts []*incoming
	var problems []Problem
	for _, r := range rows {
		fail := func(reason string) {
			problems = append(problems, Problem{Line: r.Line, JID: r.Local + "@" + r.Domain, Reason: reason})
		}
		org, ok := numbers[r.Domain]
		switch {
		case !ok:
			fail("no organisation has this domain")
			continue
		case checkLocal(r.Local) != nil:
			fail("a local part has 1 to 1023 bytes")
			continue
		}
		a := byName[name{org, r.Local}]
		if a == nil {
			a = &incoming{org: org, line: r.Line, local: r.Local, domain: r.Domain}
			byName[name{org, r.Local}] = a
			accounts = append(accounts, a)
		}
		if i := slices.IndexFunc(a.keys, func(k Key) bool { return k.Mechanism == r.Key.Mechanism }); i >= 0 {
			fail(fmt.Sprintf("the same address and mechanism again; the account began in line %d", a.line))
			continue
		}
		a.keys = append(a.keys, r.Key)
	}
	slices.SortFunc(accounts, func(a, b *incoming) int {
		return cmp.Or(cmp.Compare(a.org, b.org), cmp.Compare(a.local, b.local))
	})
	return accounts, problems, nil
}

// existing finds accounts that are there already.
func (s *Store) existing(ctx context.Context, accounts []*incoming) (problems []Problem, err error) {
	for part := range slices.Chunk(accounts, 256) {
		for len(part) > 0 {
			n := 1
			for n < len(part) && part[n].org == part[0].org {
				n++
			}
			names := make([]string, n)
			for i, a := range part[:n] {
				names[i] = a.local
			}
			have, err := s.AccountIDs(ctx, part[0].org, names)
			if err != nil {
				return nil, err
			}
			for _, a := range part[:n] {
				if _, ok := have[a.local]; ok {
					problems = append(problems, a.problem("the account exists already"))
				}
			}
			part = part[n:]
		}
	}
	return problems, nil
}

// stage writes the accounts, invisible, in steps. It returns the run's number
// also with an error, so that it can be undone. No step waits for the disk: the
// last one, reveal, does for all.
func (s *Store) stage(ctx context.Context, accounts []*incoming, progress func(done, total int)) (int64, error) {
	run := int64(s.ids.next())
	return run, s.stageRun(ctx, run, accounts, progress)
}

func (s *Store) stageRun(ctx context.Context, run int64, accounts []*incoming, progress func(done, total int)) error {
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("import-insert", run, len(accounts), time.Now())
		return err
	}); err != nil {
		return err
	}
	for rest := accounts; len(rest) > 0; {
		done := 0
		if err := s.db.WriteBehind(ctx, rest[0].org, func(tx *db.Tx) error {
			done = 0
			for done < len(rest) && tx.Held() < stepTime {
				n := min(importStep, len(rest)-done)
				if err := s.stageSome(tx, run, rest[done:done+n]); err != nil {
					return err
				}
				done += n
			}
			return nil
		}); err != nil {
			return err
		}
		rest = rest[done:]
		if progress != nil {
			progress(len(accounts)-len(rest), len(accounts))
		}
	}
	return nil
}

func (s *Store) stageSome(tx *db.Tx, run int64, accounts []*incoming) error {
	now := time.Now()
	var top AccountID
	var args []any
	for _, a := range accounts {
		top = s.ids.next()
		args = append(args, a.org, a.local, int64(top), appendKeys(nil, a.keys), run, now)
	}
	if _, err := tx.ExecRows("account-insert", args); err != nil {
		return err
	}
	_, err := tx.Exec("tick-raise", "account", int64(top))
	return err
}

// reveal makes a staged import visible. ErrExists: somebody took one of the
// names meanwhile (CreateAccount spoils the run then).
func (s *Store) reveal(ctx context.Context, run int64, accounts []*incoming) error {
	var orgs, changed []feature.Org
	for _, a := range accounts { // in the order of organisations
		if len(orgs) == 0 || orgs[len(orgs)-1] != a.org {
			orgs = append(orgs, a.org)
		}
	}
	if err := s.db.Write(ctx, 0, func(tx *db.Tx) error {
		n, err := tx.Exec("import-done", run)
		if err == nil && n == 0 {
			err = ErrExists
		}
		if err != nil {
			return err
		}
		changed = changed[:0]
		for _, org := range orgs {
			noted, err := noteReload(tx, org)
			if err != nil {
				return err
			}
			if noted {
				changed = append(changed, org)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	s.groupsChanged(changed...)
	return nil
}

// unstage takes back what a run has staged, in steps.
func (s *Store) unstage(ctx context.Context, run int64) error {
	orgs, err := s.Orgs(ctx)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		for after, more := "", true; more; {
			last := after
			if err := s.db.Write(ctx, o.ID, func(tx *db.Tx) error {
				more = false
				var names []any
				if err := tx.Query("account-staged", func(r *db.Row) error {
					names = append(names, r.Bytes(0))
					last, more = r.Text(0), true
					return nil
				}, o.ID, after, run, 4*importStep); err != nil {
					return err
				}
				_, err := tx.ExecList("account-unstage", []any{o.ID}, names)
				return err
			}); err != nil {
				return fmt.Errorf("take back an import: %w", err)
			}
			after = last
		}
	}
	return s.db.Write(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("import-delete", run)
		return err
	})
}
