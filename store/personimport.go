package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// 1. PlanPeople compares the lines of a file with who is there: read page by
//    page, only the lines are held.
// 2. stagePeople changes rows in short transactions. Each has its picture from
//    before in person_was, and the number of the run, which is not shown yet.
// 3. showPeople shows the run: one row. Accounts appear in the same transaction.
// 4. UndoPeople hides the run, which is one row again: everybody sees the
//    pictures. mendPeople puts them back into the rows, in steps, as it does
//    when a run was cut short; a crash in the middle is gone on with.

// States of a run.
const (
	runStaged = 0
	runShown  = 1
	runHidden = 2 // taken back, to be mended
)

const (
	// peopleStale is how long a run that is staged may keep silent; past it its
	// process is dead.
	peopleStale = 2 * time.Minute
	peopleStep  = 16 // rows between looks at the clock
)

// PersonColumn is a column of a file of people.
type PersonColumn string

// The columns that are not free attributes.
const (
	ColumnID       PersonColumn = "id"
	ColumnAccount  PersonColumn = "jid"
	ColumnEmail    PersonColumn = "email"
	ColumnName     PersonColumn = "name"
	ColumnZone     PersonColumn = "zone"
	ColumnLanguage PersonColumn = "language"
	ColumnManager  PersonColumn = "manager"
	ColumnTeam     PersonColumn = "team"
	ColumnStart    PersonColumn = "start"
)

// PersonRow is a line of a file of people: what the columns of the file say.
// A value that is empty empties.
type PersonRow struct {
	Line   int
	Person Person // ID, Left, Prefs, Version are not used
	id     PersonID
	status rowStatus
}

type rowStatus uint8

const (
	rowNew rowStatus = iota
	rowSame
	rowChanged
	rowReturned // changed, and had left
)

// PeopleFile is a file of people that was read without mistakes.
type PeopleFile struct {
	Columns []PersonColumn // that the file has; the others stay as they are
	Attrs   []string       // free attributes that the file has
	Fields  []PersonField  // kinds of those, as they are from now on
	Rows    []PersonRow
	// LeaveMissing: who is not in the file has left. Else they stay.
	LeaveMissing bool
	Who          string // who imports, for the audit
}

// PeopleCounts say what an import does, or did.
type PeopleCounts struct {
	Added    int `json:"added"`
	Changed  int `json:"changed"`
	Returned int `json:"returned"` // of the changed: had left, and are here again
	Left     int `json:"left"`
	Same     int `json:"same"`
	Missing  int `json:"missing"`  // here, but not in the file
	Accounts int `json:"accounts"` // made, without a password
}

// PeopleResult is what became of an import: all, or problems, and the counts
// without those lines.
type PeopleResult struct {
	PeopleCounts
	Problems []Problem // by line; JID is the person's id or e-mail
}

// peoplePlan is a file compared with who is there.
type peoplePlan struct {
	file     *PeopleFile
	at       time.Time
	has      map[PersonColumn]bool
	counts   PeopleCounts
	problems []Problem
	leavers  []PersonID
	accounts []*incoming
	by       map[string]int // rows by their id
	byEmail  map[string]int // rows by e-mail, where the file has no ids; -1 for several
}

// PlanPeople says what importing a file would do. Nothing is changed.
func (s *Store) PlanPeople(ctx context.Context, org feature.Org, file *PeopleFile) (PeopleResult, error) {
	plan, err := s.planPeople(ctx, org, file)
	if err != nil {
		return PeopleResult{}, fmt.Errorf("import people: %w", err)
	}
	return PeopleResult{plan.counts, plan.problems}, nil
}

func (s *Store) planPeople(ctx context.Context, org feature.Org, file *PeopleFile) (*peoplePlan, error) {
	p := &peoplePlan{file: file, at: time.Now(), has: map[PersonColumn]bool{}, by: make(map[string]int, len(file.Rows)), byEmail: map[string]int{}}
	for _, c := range file.Columns {
		p.has[c] = true
	}
	for i := range file.Rows {
		p.note(i)
	}
	wanted := make(map[string]int) // accounts in the file, by row
	for i := range file.Rows {
		if a := file.Rows[i].Person.Account; a != "" {
			if first, twice := wanted[a]; twice {
				p.problem(i, fmt.Sprintf("line %d has the account %s already: an account belongs to one person", file.Rows[first].Line, a))
				continue
			}
			wanted[a] = i
		}
	}
	missing := func(was *Person) {
		if !was.Here(p.at) {
			return
		}
		p.counts.Missing++
		if file.LeaveMissing {
			p.counts.Left++
			p.leavers = append(p.leavers, was.ID)
		} else if w, ok := wanted[was.Account]; ok && was.Account != "" {
			p.problem(w, fmt.Sprintf("the account %s belongs to the person %s, who is not in the file", was.Account, was.Ext))
		}
	}
	maybe := make(map[int][]Person) // known by the e-mail address of a row, unless somebody is by its id
	err := s.eachPerson(ctx, org, "person-page", 0, func(was *Person) error {
		if i, ok := p.by[was.Ext]; ok {
			p.compare(i, was)
		} else if i, ok := p.mayBe(was); ok {
			maybe[i] = append(maybe[i], *was)
		} else {
			missing(was)
		}
		return nil
	})
	for i, list := range maybe {
		if len(list) == 1 && file.Rows[i].id == 0 {
			p.compare(i, &list[0])
			continue
		}
		for k := range list {
			missing(&list[k])
		}
	}
	if err == nil {
		err = s.planAccounts(ctx, org, p)
	}
	p.tally()
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
	return p, err
}

// tally counts what the lines do that are right.
func (p *peoplePlan) tally() {
	for i := range p.file.Rows {
		if row := &p.file.Rows[i]; row.status == rowNew {
			if err := row.Person.check(); err != nil {
				p.problem(i, err.Error())
			}
		}
	}
	bad := make(map[int]bool, len(p.problems))
	for _, x := range p.problems {
		bad[x.Line] = true
	}
	for i := range p.file.Rows {
		row := &p.file.Rows[i]
		switch {
		case bad[row.Line]:
		case row.status == rowNew:
			p.counts.Added++
		case row.status == rowSame:
			p.counts.Same++
		case row.status == rowReturned:
			p.counts.Returned++
			p.counts.Changed++
		default:
			p.counts.Changed++
		}
	}
}

// note finds out by what a row is known, and whether another one has that.
func (p *peoplePlan) note(i int) {
	row := &p.file.Rows[i]
	row.id, row.status = 0, rowNew
	if row.Person.Ext == "" {
		row.Person.Ext = row.Person.Email
	}
	key := row.Person.Ext
	if first, twice := p.by[key]; twice {
		p.problem(i, fmt.Sprintf("line %d is about %s already: one line for each person", p.file.Rows[first].Line, key))
		return
	}
	p.by[key] = i
	if e := row.Person.Email; e != "" {
		if _, twice := p.byEmail[e]; twice {
			p.byEmail[e] = -1
		} else {
			p.byEmail[e] = i
		}
	}
}

// mayBe finds the row that is about somebody by the e-mail address: that is how
// people without an id are known, and all people to a file without ids.
func (p *peoplePlan) mayBe(was *Person) (int, bool) {
	if was.Email == "" || p.has[ColumnID] && was.Ext != was.Email {
		return 0, false
	}
	i, ok := p.byEmail[was.Email]
	return i, ok && i >= 0
}

func (p *peoplePlan) problem(i int, reason string) {
	row := &p.file.Rows[i]
	p.problems = append(p.problems, Problem{Line: row.Line, JID: row.Person.Ext, Reason: reason})
}

// compare says what a row does to somebody.
func (p *peoplePlan) compare(i int, was *Person) {
	row := &p.file.Rows[i]
	row.id = was.ID
	now := p.merge(row, was)
	if err := now.check(); err != nil {
		p.problem(i, err.Error())
	}
	switch {
	case !was.Here(p.at):
		row.status = rowReturned
	case same(&now, was):
		row.status = rowSame
	default:
		row.status = rowChanged
	}
}

// merge is somebody after the row: columns that the file lacks stay. Who is in
// the file is here.
func (p *peoplePlan) merge(row *PersonRow, was *Person) Person {
	now, says := *was, &row.Person
	if !was.Here(p.at) {
		now.Left = time.Time{}
	}
	if p.has[ColumnID] {
		now.Ext = says.Ext
	}
	for _, c := range []struct {
		column   PersonColumn
		to, from *string
	}{
		{ColumnAccount, &now.Account, &says.Account}, {ColumnEmail, &now.Email, &says.Email}, {ColumnName, &now.Name, &says.Name},
		{ColumnZone, &now.Zone, &says.Zone}, {ColumnLanguage, &now.Language, &says.Language},
		{ColumnManager, &now.Manager, &says.Manager}, {ColumnTeam, &now.Team, &says.Team},
	} {
		if p.has[c.column] {
			*c.to = *c.from
		}
	}
	if p.has[ColumnStart] {
		now.Start = says.Start
	}
	if len(p.file.Attrs) > 0 {
		now.Attrs = maps.Clone(was.Attrs)
		for _, name := range p.file.Attrs {
			if v := says.Attrs[name]; v != "" {
				if now.Attrs == nil {
					now.Attrs = map[string]string{}
				}
				now.Attrs[name] = v
			} else {
				delete(now.Attrs, name)
			}
		}
	}
	return now
}

func same(a, b *Person) bool {
	return a.Account == b.Account && a.Ext == b.Ext && a.Email == b.Email && a.Name == b.Name && a.Zone == b.Zone &&
		a.Language == b.Language && a.Manager == b.Manager && a.Team == b.Team && a.Start.Equal(b.Start) &&
		a.Left.Equal(b.Left) && maps.Equal(a.Attrs, b.Attrs)
}

// planAccounts finds the accounts that are to be made.
func (s *Store) planAccounts(ctx context.Context, org feature.Org, p *peoplePlan) error {
	var names []string
	for i := range p.file.Rows {
		if a := p.file.Rows[i].Person.Account; a != "" {
			names = append(names, a)
		}
	}
	slices.Sort(names)
	for part := range slices.Chunk(slices.Compact(names), 256) {
		have, err := s.AccountIDs(ctx, org, part)
		if err != nil {
			return err
		}
		for _, name := range part {
			if _, ok := have[name]; !ok {
				p.accounts = append(p.accounts, &incoming{org: org, local: name})
			}
		}
	}
	p.counts.Accounts = len(p.accounts)
	return nil
}

// ImportPeople does what a file says, all or nothing, also when the process dies
// in the middle: rows are staged in short transactions, and are seen all at
// once. What is wrong with lines is no error: it is in the result, and nothing
// was done. Accounts without keys are made for people whose account does not
// exist. ErrPeopleImporting. progress may be nil.
func (s *Store) ImportPeople(ctx context.Context, org feature.Org, file *PeopleFile, progress func(done, total int)) (PeopleResult, error) {
	fail := func(err error) (PeopleResult, error) { return PeopleResult{}, fmt.Errorf("import people: %w", err) }
	if _, err := s.mendPeople(ctx, time.Now().Add(-peopleStale)); err != nil {
		return fail(err)
	}
	run, err := s.beginPeople(ctx, org, file)
	if err != nil {
		return fail(err)
	}
	// From here on nobody else changes who is there.
	plan, err := s.planPeople(ctx, org, file)
	result := PeopleResult{}
	if err == nil {
		result = PeopleResult{plan.counts, plan.problems}
	}
	if err == nil && len(plan.problems) == 0 {
		if err = s.stagePeople(ctx, org, run, plan, progress); err == nil {
			err = s.showPeople(ctx, org, run, plan)
		}
		if err == nil {
			s.forgetPeople(ctx, org, run)
			return result, nil
		}
	}
	// With a context of its own: the one handed in may be what ended it.
	back := context.WithoutCancel(ctx)
	err = errors.Join(err, s.dropAccounts(back, org, run), s.mendRun(back, org, run))
	if err != nil {
		return fail(err)
	}
	return result, nil
}

// beginPeople begins a run: from here on people are changed by it alone.
func (s *Store) beginPeople(ctx context.Context, org feature.Org, file *PeopleFile) (run int64, err error) {
	run = int64(s.ids.next())
	return run, s.db.Write(ctx, org, func(tx *db.Tx) error {
		if err := lock(tx, peopleLock(org)); err != nil {
			return err
		}
		if err := noPeopleRun(tx, org); err != nil {
			return err
		}
		var fields []PersonField
		if err := tx.Query("person-fields", func(r *db.Row) error {
			fields = append(fields, PersonField{r.Text(0), r.Text(1), r.Text(2)})
			return nil
		}, org); err != nil {
			return err
		}
		if _, err := tx.Exec("tick-raise", "account", run); err != nil {
			return err
		}
		_, err := tx.Exec("person-run-insert", org, run, time.Now(), file.Who, []byte{}, jsonOf(fields))
		return err
	})
}

// stagePeople writes accounts and people, not to be seen, in steps.
func (s *Store) stagePeople(ctx context.Context, org feature.Org, run int64, plan *peoplePlan, progress func(done, total int)) error {
	if len(plan.accounts) > 0 { // without keys, as Import stages them
		if err := s.stageRun(ctx, run, plan.accounts, nil); err != nil {
			return err
		}
	}
	rows := plan.file.Rows
	total := len(rows) + len(plan.leavers)
	step := func(left int, some func(tx *db.Tx, from, n int) error) error {
		for from := 0; from < left; {
			done := 0
			if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) error {
				done = 0
				for from+done < left && tx.Held() < stepTime {
					n := min(peopleStep, left-from-done)
					if err := some(tx, from+done, n); err != nil {
						return err
					}
					done += n
				}
				n, err := tx.Exec("person-run-alive", time.Now(), org, run)
				if err == nil && n == 0 {
					err = errors.New("the import was taken for dead and taken back: try again")
				}
				return err
			}); err != nil {
				return err
			}
			from += done
			if progress != nil {
				progress(total-len(plan.leavers)-len(rows)+from, total)
			}
		}
		return nil
	}
	for i := range rows { // numbers first: a step may be run twice
		if rows[i].status == rowNew {
			rows[i].id = PersonID(s.ids.next())
		}
	}
	if err := step(len(rows), func(tx *db.Tx, from, n int) error {
		return s.stageRows(tx, org, run, plan, rows[from:from+n])
	}); err != nil {
		return err
	}
	now := time.Now()
	return step(len(plan.leavers), func(tx *db.Tx, from, n int) error {
		part := plan.leavers[from : from+n]
		return s.stageChanges(tx, org, run, part, func(p *Person) { p.Left = now })
	})
}

func (s *Store) stageRows(tx *db.Tx, org feature.Org, run int64, plan *peoplePlan, rows []PersonRow) error {
	var fresh []any
	var changed []PersonID
	var top PersonID
	by := make(map[PersonID]*PersonRow)
	for i := range rows {
		row := &rows[i]
		switch row.status {
		case rowSame:
		case rowNew:
			p := row.Person
			p.ID, p.Version, p.Left, p.Prefs = row.id, 1, time.Time{}, PersonPrefs{}
			fresh = append(fresh, p.values(org, run)...)
			top = max(top, p.ID)
		default:
			changed = append(changed, row.id)
			by[row.id] = row
		}
	}
	if len(fresh) > 0 {
		if _, err := tx.ExecRows("person-put", fresh); err != nil {
			return err
		}
		if _, err := tx.Exec("tick-raise", "account", int64(top)); err != nil {
			return err
		}
	}
	return s.stageChanges(tx, org, run, changed, func(p *Person) { *p = plan.merge(by[p.ID], p) })
}

// stageChanges keeps pictures of people, and changes them.
func (s *Store) stageChanges(tx *db.Tx, org feature.Org, run int64, ids []PersonID, change func(*Person)) error {
	if len(ids) == 0 {
		return nil
	}
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	var pictures, rows []any
	have := make(map[PersonID]bool, len(ids))
	if err := tx.QueryList("person-rows", []any{org}, list, func(r *db.Row) error {
		p, err := personOf(r)
		if err != nil || have[p.ID] || r.Int(14) == run { // that is staged already
			return err
		}
		have[p.ID] = true
		pictures = append(pictures, org, run, int64(p.ID), r.Int(14), p.Email, p.Account, p.image())
		change(&p)
		p.Version++
		rows = append(rows, p.values(org, run)...)
		return nil
	}); err != nil {
		return err
	}
	if _, err := tx.ExecRows("person-was-put", pictures); err != nil {
		return err
	}
	_, err := tx.ExecRows("person-put", rows)
	return err
}

// showPeople shows a run that is staged.
func (s *Store) showPeople(ctx context.Context, org feature.Org, run int64, plan *peoplePlan) error {
	counts, err := json.Marshal(plan.counts)
	if err != nil {
		return err
	}
	noted := false
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("person-run-show", time.Now(), counts, org, run)
		if err == nil && n == 0 {
			err = errors.New("the import was taken for dead and taken back: try again")
		}
		if err == nil {
			err = putFields(tx, org, plan.file.Fields)
		}
		if err != nil || len(plan.accounts) == 0 {
			return err
		}
		if n, err = tx.Exec("import-done", run); err == nil && n == 0 {
			err = errors.New("somebody made one of the accounts meanwhile: try again")
		}
		if err != nil {
			return err
		}
		noted, err = noteReload(tx, org)
		return err
	}); err != nil {
		return err
	}
	if len(plan.accounts) > 0 {
		s.signIn.Add(1)
	}
	if noted {
		s.groupsChanged(org)
	}
	return nil
}

// forgetPeople deletes the pictures of earlier runs: those cannot be undone any
// more. What is not deleted now is by the next import.
func (s *Store) forgetPeople(ctx context.Context, org feature.Org, run int64) {
	ctx = context.WithoutCancel(ctx)
	for more := true; more; {
		if err := s.db.WriteBehind(ctx, org, func(tx *db.Tx) (err error) {
			for more = true; more && err == nil && tx.Held() < stepTime; {
				more, err = forgetSome(tx, org, run)
			}
			if err == nil && !more {
				_, err = tx.Exec("person-run-forget", org, run)
			}
			return err
		}); err != nil {
			s.log.Log(ctx, Severity(err), "pictures of earlier imports of people are not deleted yet", "cause", err)
			return
		}
	}
}

func forgetSome(tx *db.Tx, org feature.Org, run int64) (more bool, err error) {
	byRun := map[int64][]any{}
	if err := tx.Query("person-was-other", func(r *db.Row) error {
		byRun[r.Int(0)] = append(byRun[r.Int(0)], r.Int(1))
		return nil
	}, org, run, peopleStep); err != nil {
		return false, err
	}
	for other, ids := range byRun {
		if _, err := tx.ExecList("person-was-delete", []any{org, other}, ids); err != nil {
			return false, err
		}
	}
	return len(byRun) > 0, nil
}
