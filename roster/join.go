package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/store"
)

// MaxJoin is how many people one Join or Leave may name; an import takes more.
const MaxJoin = 1000

// Join makes people members of a group, all or none, and tells how many were
// not yet.
func (gs *Groups) Join(ctx context.Context, g *Group, who ...jid.JID) (added int, err error) {
	err = g.edit(ctx, nil, func(x *index, at uint64) ([]store.GroupLog, error) {
		added = 0
		if err := g.explicit(who); err != nil {
			return nil, err
		}
		locals := make([]string, 0, len(who))
		for _, j := range who {
			p, ok := x.numbers[j.Bare()]
			if (!ok || !g.has(p)) && !slices.Contains(locals, j.Local()) {
				locals = append(locals, j.Local())
			}
		}
		if err := g.room(len(locals)); err != nil || len(locals) == 0 {
			return nil, err
		}
		people, err := gs.store.JoinGroup(ctx, x.org, at, g.id, locals)
		var missing *store.MissingError
		if errors.As(err, &missing) {
			for i, l := range missing.Locals {
				missing.Locals[i] = l + "@" + x.domain
			}
			return nil, &refusedAs{refusal{missing.Error() + ": nobody joined"}, store.ErrNotFound}
		}
		added = len(people)
		return memberLog(at, g, store.GroupLogJoined, people), err
	})
	return added, err
}

// Leave ends memberships, and tells how many there were.
func (gs *Groups) Leave(ctx context.Context, g *Group, who ...jid.JID) (removed int, err error) {
	err = g.edit(ctx, nil, func(x *index, at uint64) ([]store.GroupLog, error) {
		removed = 0
		if err := g.explicit(who); err != nil {
			return nil, err
		}
		var people []store.GroupPerson
		for _, j := range who {
			p, ok := x.numbers[j.Bare()]
			if !ok || !g.has(p) {
				continue
			}
			m := store.GroupPerson{Account: x.people[p].account, Local: j.Local()}
			if !slices.Contains(people, m) {
				people = append(people, m)
			}
		}
		if removed = len(people); removed == 0 {
			return nil, nil
		}
		return memberLog(at, g, store.GroupLogLeft, people), gs.store.LeaveGroup(ctx, x.org, at, g.id, people)
	})
	return removed, err
}

func memberLog(at uint64, g *Group, kind store.GroupLogKind, people []store.GroupPerson) []store.GroupLog {
	log := make([]store.GroupLog, len(people))
	for i, p := range people {
		log[i] = store.GroupLog{Version: at + uint64(i) + 1, Kind: kind, Group: g.id, Account: p.Account, Local: p.Local}
	}
	return log
}

// explicit refuses people who cannot join, and groups that nobody joins.
func (g *Group) explicit(who []jid.JID) error {
	if g.kind != Explicit {
		return refuse("group %s has the members that its kind says (%s): nobody joins or leaves it", g.name, g.kind)
	}
	if len(who) > MaxJoin {
		return refuse("%d people at once are too many: %d may join or leave, `bearhug group import` takes more", len(who), MaxJoin)
	}
	for _, j := range who {
		if j.Local() == "" {
			return refuse("%s is no account's address; want one such as anna@%s", j, g.in.domain)
		}
		if j.Domain() != g.in.domain {
			return refuse("%s is of another organisation than group %s@%s", j.Bare(), g.name, g.in.domain)
		}
	}
	return nil
}

// room refuses more members than there may be.
func (g *Group) room(more int) error {
	if have := len(g.members); have+more > MaxMembers {
		return refuse("group %s would have %d members; %d are allowed", g.name, have+more, MaxMembers)
	}
	if have := g.in.memberships; have+more > MaxMemberships {
		return refuse("%s would have %d memberships; %d are allowed", g.in.domain, have+more, MaxMemberships)
	}
	return nil
}

// An Import says of each membership of a list whether it can be.
type Import struct {
	Added, There int             // new ones, and those there already
	Refused      int             // lines with problems
	Problems     []store.Problem // by line; MaxProblems at most
}

// MaxProblems is how many problems of one import are told, and maxMeant for how
// many groups that are not there it is looked for what was meant.
const (
	MaxProblems = 1000
	maxMeant    = 20
)

// An ImportLine is a membership to be, from a line of a file. Org tells which
// organisation; who has to be of it.
type ImportLine struct {
	Line  int
	Group string // localpart
	Who   jid.JID
}

// Import makes memberships of one organisation: all of them or, when one cannot
// be, none. dry only tells what would be. The memberships are written in short
// steps while the server runs, and appear together. progress may be nil.
func (gs *Groups) Import(ctx context.Context, domain string, lines []ImportLine, dry bool, progress func(done, total int)) (Import, error) {
	gs.mu.RLock()
	x := gs.domains[domain]
	gs.mu.RUnlock()
	if x == nil {
		orgs, err := gs.store.Orgs(ctx)
		if err != nil {
			return Import{}, err
		}
		i := slices.IndexFunc(orgs, func(o store.Organisation) bool { return o.Domain == domain })
		if i < 0 {
			return Import{}, fmt.Errorf("organisation %s: %w", domain, store.ErrNotFound)
		}
		if x, err = gs.index(ctx, orgs[i].ID); err != nil {
			return Import{}, err
		}
	}
	plan, err := x.plan(ctx, lines)
	if err != nil || dry || plan.report.Refused > 0 || len(plan.joins) == 0 {
		return plan.report, err
	}
	return plan.report, x.take(ctx, plan, progress)
}

// A plan is an import that has been looked through.
type plan struct {
	at     uint64 // the version that it was begun at
	report Import
	joins  []join // by group and account
}

type join struct {
	group   uint64
	account store.AccountID
	local   string
}

// rows are the joins as the store wants them.
func (pl *plan) rows() []store.GroupJoin {
	out := make([]store.GroupJoin, len(pl.joins))
	for i, j := range pl.joins {
		out[i] = store.GroupJoin{Group: j.group, Account: j.account}
	}
	return out
}

// planStep is how many lines are looked at before others are let in.
const planStep = 1024

// plan looks at every line.
func (x *index) plan(ctx context.Context, lines []ImportLine) (pl plan, err error) {
	pl.at = x.groups.Version(x.org)
	ids, err := x.lookUp(ctx, lines)
	if err != nil {
		return pl, err
	}
	p := planner{x: x, ids: ids, plan: &pl, more: make(map[*Group]int), meant: make(map[string]string)}
	for part := range slices.Chunk(lines, planStep) {
		if err := ctx.Err(); err != nil {
			return pl, err
		}
		x.groups.mu.RLock()
		for _, l := range part {
			p.line(l)
		}
		x.groups.mu.RUnlock()
	}
	pl.report.Added = len(pl.joins)
	// As the next start will read them.
	slices.SortStableFunc(pl.joins, func(a, b join) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.account, b.account))
	})
	slices.SortStableFunc(pl.report.Problems, func(a, b store.Problem) int { return a.Line - b.Line })
	return pl, nil
}

// A planner looks at lines.
type planner struct {
	*plan
	x     *index
	ids   map[string]store.AccountID
	more  map[*Group]int
	meant map[string]string // what to say of groups that are not there
}

func (p *planner) problem(l ImportLine, format string, args ...any) {
	if p.report.Refused++; len(p.report.Problems) < MaxProblems {
		p.report.Problems = append(p.report.Problems, store.Problem{Line: l.Line, JID: l.Who.String(), Reason: fmt.Sprintf(format, args...)})
	}
}

// line looks at one line. Groups.mu is held for reading.
func (p *planner) line(l ImportLine) {
	x := p.x
	g := x.byName[l.Group]
	switch {
	case g == nil:
		if _, told := p.meant[l.Group]; !told && len(p.meant) < maxMeant {
			p.meant[l.Group] = x.meant(l.Group)
		}
		p.problem(l, "there is no group %s@%s%s", l.Group, x.domain, p.meant[l.Group])
		return
	case g.kind != Explicit:
		p.problem(l, "group %s has the members that its kind says (%s): nobody joins it", l.Group, g.kind)
		return
	case l.Who.Domain() != x.domain:
		p.problem(l, "the account is of another organisation than group %s@%s", l.Group, x.domain)
		return
	case p.ids[l.Who.Local()] == 0:
		p.problem(l, "there is no such account")
		return
	}
	if n, ok := x.numbers[l.Who]; ok && g.has(n) {
		p.report.There++
		return
	}
	p.more[g]++
	if err := g.room(p.more[g]); err != nil {
		p.problem(l, "%s", err)
		return
	}
	if x.memberships+len(p.joins) >= MaxMemberships {
		p.problem(l, "%s would have more than %d memberships", x.domain, MaxMemberships)
		return
	}
	p.joins = append(p.joins, join{g.id, p.ids[l.Who.Local()], l.Who.Local()})
}

// meant is what to add to an error about a group that is not there.
func (x *index) meant(name string) string {
	names := make([]string, 0, len(x.byName))
	for n := range x.byName {
		names = append(names, n)
	}
	if near := feature.Nearest(name, names); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}

// lookUp finds the numbers of the accounts that the lines name.
func (x *index) lookUp(ctx context.Context, lines []ImportLine) (map[string]store.AccountID, error) {
	seen := make(map[string]bool, len(lines))
	var names []string
	for _, l := range lines {
		if local := l.Who.Local(); l.Who.Domain() == x.domain && !seen[local] {
			seen[local] = true
			names = append(names, local)
		}
	}
	return x.groups.store.AccountIDs(ctx, x.org, names)
}

// take stages the memberships, and reveals them at once.
func (x *index) take(ctx context.Context, pl plan, progress func(done, total int)) error {
	st := x.groups.store
	rows := pl.rows()
	run, err := st.StageJoins(ctx, x.org, x.groups.Version(x.org), rows, progress)
	if err == nil {
		err = x.groups.change(ctx, x.org, func(x *index, at uint64) ([]store.GroupLog, error) {
			if err := x.still(pl); err != nil {
				return nil, err
			}
			version, err := st.RevealJoins(ctx, x.org, at, run, rows)
			if err != nil {
				return nil, err
			}
			return x.revealed(ctx, pl, at, version)
		})
	}
	if err == nil {
		return nil
	}
	// With a context of its own: the one handed in may be what ended it. What
	// is visible already has no run any more, and stays.
	return errors.Join(err, st.UnstageJoins(context.WithoutCancel(ctx), x.org, run))
}

// still refuses a plan that edits have made wrong since. The caller holds
// x.edit.
func (x *index) still(pl plan) error {
	if pl.at < x.floor {
		return refuse("too much has changed while memberships were imported: nothing imported, run it again")
	}
	more := make(map[*Group]int)
	for _, j := range pl.joins {
		g := x.byID[j.group]
		if g == nil {
			return refuse("a group was removed while its members were imported: nothing imported, run it again")
		}
		more[g]++
		p, ok := x.known(store.GroupLog{Local: j.local})
		if ok && slices.ContainsFunc(x.moves[p], func(e entry) bool {
			return e.version > pl.at && e.other == g && e.kind == store.GroupLogLeft
		}) {
			return refuse("%s@%s was taken out of group %s while it was imported: nothing imported, run it again", j.local, x.domain, g.name)
		}
	}
	for g, n := range more {
		if err := g.room(n); err != nil {
			return err
		}
	}
	if x.memberships+len(pl.joins) > MaxMemberships {
		return refuse("%s would have more than %d memberships", x.domain, MaxMemberships)
	}
	return nil
}

// revealed is what an import has written. Accounts that were deleted before it
// was shown are not members: their rows are passed over by whoever reads.
func (x *index) revealed(ctx context.Context, pl plan, at, version uint64) ([]store.GroupLog, error) {
	locals := make([]string, 0, len(pl.joins))
	seen := make(map[string]bool, len(pl.joins))
	for _, j := range pl.joins {
		if !seen[j.local] {
			seen[j.local] = true
			locals = append(locals, j.local)
		}
	}
	ids, err := x.groups.store.AccountIDs(context.WithoutCancel(ctx), x.org, locals)
	if err != nil {
		return nil, err
	}
	log := make([]store.GroupLog, 0, len(pl.joins)+1)
	for i, j := range pl.joins {
		if ids[j.local] == j.account {
			log = append(log, store.GroupLog{
				Version: min(at+uint64(i)+1, version), Kind: store.GroupLogJoined, Group: j.group, Account: j.account, Local: j.local,
			})
		}
	}
	return append(log, store.GroupLog{Version: version, Kind: store.GroupLogNone}), nil // takes the version along
}
