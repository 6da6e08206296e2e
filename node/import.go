package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/sasl"
	"github.com/bearhug/bearhug/store"
)

// Importing accounts, in this order:
//
//  1. the command reads the whole file: broken lines, broken addresses,
//     duplicates (parseImport)
//  2. the server says what it thinks of the addresses: unknown domains,
//     accounts that exist (a dry run)
//  3. when nobody has objected, the command derives keys from plain passwords
//     on all cores (70 s for 100,000, so not before 2, and not in the process
//     that serves people)
//  4. the server takes all accounts, or none

// ImportOptions changes how accounts are imported.
type ImportOptions struct {
	DryRun   bool
	Progress func(stage string, done, total int) // may be nil
}

// A Problem is what is wrong in one line of a file.
type Problem = store.Problem

// ImportReport is what became of an import: all accounts, or problems.
type ImportReport struct {
	Accounts int
	Problems []Problem // by line
	Notes    []string  // what the operator should know of the organisations now
	Unread   bool      // reading ended at too many problems: there may be more
}

// importDone is the result of user.import.
type importDone struct {
	store.ImportResult
	Notes []string `json:"notes,omitempty"`
}

// importRow is a line of the file that is sound in itself.
type importRow struct {
	line          int
	local, domain string
	password      string      // of the form jid,password; "" in the SCRAM form
	keys          []store.Key // one, or stand-ins until the password's are derived
}

// importChunk is what goes over the control socket after the request, any
// number of times; the last one has End.
type importChunk struct {
	Rows []store.ImportRow `json:"rows,omitempty"`
	End  bool              `json:"end,omitempty"`
}

// ImportArgs is the argument of user.import.
type ImportArgs struct {
	DryRun bool `json:"dry_run,omitempty"`
}

const (
	chunkRows   = 500
	maxProblems = 1000 // of one file, then reading ends
)

// ImportUsers reads accounts from a CSV file and gives them to the server (or
// to the store, if no server runs). When any line is wrong nothing is imported
// and the report says what to mend.
func ImportUsers(ctx context.Context, c *ops.Caller, file io.Reader, o ImportOptions) (ImportReport, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	rows, problems, err := parseImport(file)
	if err != nil {
		return ImportReport{}, fmt.Errorf("import accounts: %w", err)
	}
	plain := len(rows) > 0 && rows[0].password != ""
	if o.DryRun || plain || len(problems) > 0 {
		report, err := sendImport(ctx, c, expand(rows), true, nil)
		if err != nil {
			return ImportReport{}, err
		}
		report.Problems = merge(problems, report.Problems)
		report.Unread = len(problems) > maxProblems
		if o.DryRun || len(report.Problems) > 0 {
			return report, nil
		}
	}
	if plain {
		bad, err := deriveRows(ctx, rows, func(done int) { o.Progress("keys derived", done, len(rows)) })
		if err != nil || len(bad) > 0 {
			return ImportReport{Problems: bad}, err
		}
	}
	return sendImport(ctx, c, expand(rows), false, func(done, total int) { o.Progress("accounts stored", done, total) })
}

// expand makes the store's rows, one per key.
func expand(rows []importRow) []store.ImportRow {
	out := make([]store.ImportRow, 0, len(rows)*len(mechanisms))
	for i := range rows {
		for _, k := range rows[i].keys {
			out = append(out, store.ImportRow{Line: rows[i].line, Local: rows[i].local, Domain: rows[i].domain, Key: k})
		}
	}
	return out
}

// standIns look like the keys of a password, for a dry run.
func standIns() []store.Key {
	var out []store.Key
	for _, mech := range mechanisms {
		n := keyBytes(mech)
		out = append(out, store.Key{Mechanism: mech, Iterations: sasl.DefaultIterations,
			Salt: make([]byte, 16), StoredKey: make([]byte, n), ServerKey: make([]byte, n)})
	}
	return out
}

// keyBytes is the size of a mechanism's keys, 0 for one that is unknown.
func keyBytes(mech string) int {
	switch mech {
	case sasl.SCRAMSHA1:
		return 20
	case sasl.SCRAMSHA256:
		return 32
	}
	return 0
}

// sendImport gives rows to the server, which takes all of them or none.
func sendImport(ctx context.Context, c *ops.Caller, rows []store.ImportRow, dry bool, progress func(done, total int)) (ImportReport, error) {
	var result importDone
	err := c.Call(ctx, ops.Request{
		Op: "user.import", Args: ImportArgs{DryRun: dry}, Progress: progress,
		Send: func(next func(any) error) error {
			for len(rows) > 0 {
				n := min(chunkRows, len(rows))
				if err := next(importChunk{Rows: rows[:n]}); err != nil {
					return err
				}
				rows = rows[n:]
			}
			return next(importChunk{End: true})
		},
	}, &result)
	if err != nil {
		return ImportReport{}, err
	}
	return ImportReport{Accounts: result.Accounts, Problems: merge(nil, result.Problems), Notes: result.Notes}, nil
}

// importUsers is the server's end.
func (a *admin) importUsers(c *ops.Call) (any, error) {
	var arg ImportArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	var rows []store.ImportRow
	for {
		var chunk importChunk
		if err := c.Read(&chunk); err != nil {
			return nil, fmt.Errorf("import accounts: nothing imported: %w", err)
		}
		rows = append(rows, chunk.Rows...)
		if chunk.End {
			break
		}
	}
	began := time.Now()
	result, err := a.store.Import(c.Context(), rows, store.ImportOptions{DryRun: arg.DryRun, Progress: c.Progress})
	if err != nil {
		return nil, fmt.Errorf("import accounts: %w", err)
	}
	done := importDone{ImportResult: result}
	if arg.DryRun || len(result.Problems) > 0 {
		return done, nil
	}
	a.log.Info("accounts imported", "accounts", result.Accounts, "seconds", time.Since(began).Seconds())
	if done.Notes, err = a.keyNotes(c.Context(), rows); err != nil { // the accounts are there all the same
		a.log.Error("mechanisms of organisations not known", "cause", err)
	}
	for _, note := range done.Notes {
		a.log.Warn("accounts lack keys after the import", "note", note)
	}
	return done, nil
}

// keyNotes says of which organisations the accounts now lack keys, so that not
// all can sign in by the better SCRAM (decision 0014).
func (a *admin) keyNotes(ctx context.Context, rows []store.ImportRow) (notes []string, err error) {
	told := make(map[string]bool)
	for _, r := range rows {
		if told[r.Domain] {
			continue
		}
		told[r.Domain] = true
		org, err := a.org(ctx, r.Domain)
		if err != nil {
			return notes, err
		}
		offered, err := a.store.Mechanisms(ctx, org)
		switch {
		case err != nil:
			return notes, err
		case len(offered) == 0:
			notes = append(notes, fmt.Sprintf("some accounts of %s have keys for SCRAM-SHA-1 only and others for SCRAM-SHA-256 only: "+
				"passwords are asked for by PLAIN until each has signed in so once, which completes its keys", r.Domain))
		case len(offered) < len(mechanisms):
			notes = append(notes, fmt.Sprintf("some accounts of %s have keys for %s only: nobody there is offered another SCRAM "+
				"until those have signed in by PLAIN once or have new passwords", r.Domain, offered[0]))
		}
	}
	return notes, nil
}

// merge puts problems in the order of lines and leaves out repetitions, which
// two mechanisms of one line make.
func merge(a, b []store.Problem) []store.Problem {
	all := append(append([]store.Problem(nil), a...), b...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Line < all[j].Line })
	out := all[:0]
	for i, p := range all {
		if i == 0 || p != all[i-1] {
			out = append(out, p)
		}
	}
	return out
}

// parseImport reads the file. Its first line may name the columns.
func parseImport(file io.Reader) ([]importRow, []store.Problem, error) {
	r := csv.NewReader(skipBOM(file))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	p := importParser{seen: map[string]int{}, standIns: standIns()}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			p.problem(broken.StartLine, "", "not CSV: "+broken.Err.Error())
		} else if err != nil {
			return nil, nil, err
		} else {
			line, _ := r.FieldPos(0)
			p.line(line, record)
		}
		if len(p.problems) >= maxProblems {
			p.problem(0, "", fmt.Sprintf("more than %d problems: reading ended here", maxProblems))
			break
		}
	}
	if p.form == 0 && len(p.problems) == 0 {
		return nil, nil, errors.New("the file has no accounts; want lines of jid,password or of jid,mechanism,iterations,salt,stored_key,server_key")
	}
	return p.rows, p.problems, nil
}

// skipBOM passes over the mark that some programs write before UTF-8.
func skipBOM(r io.Reader) io.Reader {
	head := make([]byte, 3)
	n, _ := io.ReadFull(r, head) // a short file is read again from head
	head = head[:n]
	return io.MultiReader(bytes.NewReader(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))), r)
}

// The two forms of a line, by their number of columns.
const (
	plainColumns = 2
	scramColumns = 6
)

type importParser struct {
	form     int // columns; 0 until the first line
	seen     map[string]int
	standIns []store.Key
	rows     []importRow
	problems []store.Problem
}

func (p *importParser) problem(line int, jid, reason string) {
	if line == 0 && len(p.problems) > 0 {
		line = p.problems[len(p.problems)-1].Line
	}
	p.problems = append(p.problems, store.Problem{Line: line, JID: jid, Reason: reason})
}

func (p *importParser) line(line int, record []string) {
	if p.form == 0 {
		switch strings.ToLower(strings.Join(record, ",")) {
		case "jid,password", "jid,mechanism,iterations,salt,stored_key,server_key":
			p.form = len(record)
			return
		}
		if len(record) != plainColumns && len(record) != scramColumns {
			p.problem(line, "", fmt.Sprintf("%d columns; want 2 (jid,password) or 6 (jid,mechanism,iterations,salt,stored_key,server_key)", len(record)))
			return
		}
		p.form = len(record)
	}
	if len(record) != p.form {
		p.problem(line, "", fmt.Sprintf("%d columns; want %d as in the lines before", len(record), p.form))
		return
	}
	who, err := jid.Parse(record[0])
	if err != nil || who.Local() == "" || who.Resource() != "" {
		p.problem(line, strings.ToValidUTF8(record[0], "\uFFFD"), "no account's address; want one such as anna@example.org")
		return
	}
	row := importRow{line: line, local: who.Local(), domain: who.Domain(), keys: p.standIns}
	pair := who.String()
	if p.form == plainColumns {
		if row.password = record[1]; row.password == "" {
			p.problem(line, pair, "the password is empty")
			return
		}
	} else {
		key, err := parseKey(record)
		if err != nil {
			p.problem(line, pair, err.Error())
			return
		}
		row.keys = []store.Key{key}
		pair += " " + key.Mechanism
	}
	if first, dup := p.seen[pair]; dup {
		p.problem(line, who.String(), fmt.Sprintf("twice: line %d has it already", first))
		return
	}
	p.seen[pair] = line
	p.rows = append(p.rows, row)
}

// parseKey reads the columns after the address.
func parseKey(record []string) (store.Key, error) {
	var k store.Key
	switch record[1] {
	case sasl.SCRAMSHA1:
		k.Mechanism = sasl.SCRAMSHA1
	case sasl.SCRAMSHA256:
		k.Mechanism = sasl.SCRAMSHA256
	default:
		return k, fmt.Errorf("mechanism %q; want %s or %s", record[1], sasl.SCRAMSHA1, sasl.SCRAMSHA256)
	}
	var err error
	if k.Iterations, err = strconv.Atoi(record[2]); err != nil || k.Iterations < minIterations || k.Iterations > maxIterations {
		return k, fmt.Errorf("iterations %q; want a number from %d to %d", record[2], minIterations, maxIterations)
	}
	size := keyBytes(k.Mechanism)
	for _, f := range []struct {
		name   string
		text   string
		lo, hi int
		to     *[]byte
	}{
		{"salt", record[3], 1, 255, &k.Salt},
		{"stored_key", record[4], size, size, &k.StoredKey},
		{"server_key", record[5], size, size, &k.ServerKey},
	} {
		b, err := base64.StdEncoding.DecodeString(f.text)
		if err != nil {
			return k, fmt.Errorf("%s is not base64", f.name)
		}
		if len(b) < f.lo || len(b) > f.hi {
			return k, fmt.Errorf("%s has %d bytes; %s wants %s", f.name, len(b), k.Mechanism, span(f.lo, f.hi))
		}
		*f.to = b
	}
	return k, nil
}

// Bounds of PBKDF2's iterations in imported keys: RFC 7677 §4 asks for 4,096
// at least, older servers made fewer; more than a million would keep a phone
// busy for minutes.
const (
	minIterations = 1000
	maxIterations = 1_000_000
)

func span(lo, hi int) string {
	if lo == hi {
		return strconv.Itoa(lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// deriveRows makes the keys of all passwords on all cores. A password that
// cannot be used is a problem of its line.
func deriveRows(ctx context.Context, rows []importRow, progress func(done int)) ([]store.Problem, error) {
	var (
		next, done atomic.Int64
		mu         sync.Mutex
		problems   []store.Problem
		wg         sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { // ends with the rows, or ctx
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(rows) {
					return
				}
				r := &rows[i]
				keys, err := deriveAll(r.password)
				if err != nil {
					mu.Lock()
					problems = append(problems, store.Problem{Line: r.line, JID: r.local + "@" + r.domain, Reason: err.Error()})
					mu.Unlock()
				}
				r.keys = keys
				done.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			progress(int(done.Load()))
			return merge(problems, nil), ctx.Err()
		case <-tick.C:
			progress(int(done.Load()))
		}
	}
}
