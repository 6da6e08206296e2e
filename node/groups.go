package node

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/store"
)

// registerGroups makes the operations on shared groups known.
func (a *admin) registerGroups(c *ops.Control) {
	c.Handle("group.add", a.addGroup)
	c.Handle("group.del", a.deleteGroup)
	c.Handle("group.ls", a.listGroups)
	c.Handle("group.info", a.groupInfo)
	c.Handle("group.join", a.joinGroup)
	c.Handle("group.leave", a.leaveGroup)
	c.Handle("group.show", a.showGroup)
	c.Handle("group.hide", a.hideGroup)
	c.Handle("group.nest", a.nestGroup)
	c.Handle("group.unnest", a.unnestGroup)
	c.Handle("group.members", a.groupMembers)
	c.Handle("group.import", a.importGroups)
	c.Handle("user.search", a.searchUsers)
}

// Group is the argument of group.add, and names one for group.del, group.info
// and group.unnest.
type Group struct {
	Group       string `json:"group"` // GROUP@DOMAIN
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	Kind        string `json:"kind,omitempty"` // explicit, everyone, online
}

// GroupLine is one group of group.ls.
type GroupLine struct {
	Group
	Members int    `json:"members"`
	In      string `json:"in,omitempty"` // the group that it is nested in
}

// GroupInfo is the answer of group.info: names are those of groups.
type GroupInfo struct {
	GroupLine
	Sees     []GroupRelation `json:"sees,omitempty"`
	ShownTo  []GroupRelation `json:"shown_to,omitempty"`
	Children []string        `json:"children,omitempty"`
}

// GroupRelation is one end of "the members of these see those".
type GroupRelation struct {
	Group string `json:"group"`
	Care  bool   `json:"care,omitempty"`
}

// GroupPair is the argument of group.show, group.hide and group.nest.
type GroupPair struct {
	Other string `json:"other"` // that is shown, hidden, nested
	Group string `json:"group"` // to, from, in this one
	Care  bool   `json:"care,omitempty"`
}

// GroupPeople is the argument of group.join and group.leave, and, with Changed,
// their answer.
type GroupPeople struct {
	Group   string   `json:"group"`
	JIDs    []string `json:"jids,omitempty"`
	Changed int      `json:"changed"`
}

// GroupPage asks for members of a group from the n-th on; Limit at most 1,000.
type GroupPage struct {
	Group string `json:"group"`
	From  int    `json:"from,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// index are the groups: those of the running server, or read from the store.
func (a *admin) index(ctx context.Context) (*roster.Groups, error) {
	if a.groups == nil {
		gs, err := roster.LoadGroups(ctx, a.store)
		if err != nil {
			return nil, fmt.Errorf("read groups: %w", err)
		}
		a.groups = gs
	}
	return a.groups, nil
}

// groupName reads GROUP@DOMAIN.
func (a *admin) groupName(ctx context.Context, text string) (name jid.JID, org feature.Org, err error) {
	name, err = jid.Parse(text)
	if err != nil || name.Local() == "" || name.Resource() != "" {
		return jid.JID{}, 0, fmt.Errorf("%q is no group; want one such as nurses@example.org", text)
	}
	org, err = a.org(ctx, name.Domain())
	return name, org, err
}

// group finds the group of GROUP@DOMAIN.
func (a *admin) group(ctx context.Context, text string) (*roster.Groups, *roster.Group, error) {
	name, org, err := a.groupName(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	gs, err := a.index(ctx)
	if err != nil {
		return nil, nil, err
	}
	g, err := gs.Lookup(org, name.Local())
	return gs, g, err
}

var groupKinds = map[string]roster.Kind{"": roster.Explicit, "explicit": roster.Explicit, "everyone": roster.Everyone, "online": roster.Online}

func (a *admin) addGroup(c *ops.Call) (any, error) {
	var arg Group
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	kind, ok := groupKinds[arg.Kind]
	if !ok {
		near := feature.Nearest(arg.Kind, []string{"explicit", "everyone", "online"})
		if near != "" {
			near = ": did you mean " + near + "?"
		}
		return nil, fmt.Errorf("add group: there is no kind %q, only explicit, everyone and online%s", arg.Kind, near)
	}
	name, org, err := a.groupName(c.Context(), arg.Group)
	if err != nil {
		return nil, fmt.Errorf("add group: %w", err)
	}
	gs, err := a.index(c.Context())
	if err != nil {
		return nil, err
	}
	n := roster.NewGroup{Name: name.Local(), Label: arg.Label, Description: arg.Description, Kind: kind}
	if _, err := gs.AddGroup(c.Context(), org, n); err != nil {
		return nil, fmt.Errorf("add group: %w", err)
	}
	a.log.Info("group added", "group", name.String())
	return Group{Group: name.String()}, nil
}

func (a *admin) deleteGroup(c *ops.Call) (any, error) {
	return a.onGroup(c, "delete group", (*roster.Groups).RemoveGroup)
}

func (a *admin) unnestGroup(c *ops.Call) (any, error) {
	return a.onGroup(c, "unnest group", (*roster.Groups).Unnest)
}

// onGroup is an edit that takes one group.
func (a *admin) onGroup(c *ops.Call, what string, edit func(*roster.Groups, context.Context, *roster.Group) error) (any, error) {
	var arg Group
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	gs, g, err := a.group(c.Context(), arg.Group)
	if err == nil {
		err = edit(gs, c.Context(), g)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return Group{Group: arg.Group}, nil
}

func (a *admin) showGroup(c *ops.Call) (any, error) {
	return a.onPair(c, "show group", func(ctx context.Context, gs *roster.Groups, other, g *roster.Group, care bool) error {
		return gs.Show(ctx, other, g, care)
	})
}

func (a *admin) hideGroup(c *ops.Call) (any, error) {
	return a.onPair(c, "hide group", func(ctx context.Context, gs *roster.Groups, other, g *roster.Group, _ bool) error {
		return gs.Hide(ctx, other, g)
	})
}

func (a *admin) nestGroup(c *ops.Call) (any, error) {
	return a.onPair(c, "nest group", func(ctx context.Context, gs *roster.Groups, other, g *roster.Group, _ bool) error {
		return gs.Nest(ctx, other, g)
	})
}

// onPair is an edit that takes two groups.
func (a *admin) onPair(c *ops.Call, what string, edit func(context.Context, *roster.Groups, *roster.Group, *roster.Group, bool) error) (any, error) {
	var arg GroupPair
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	gs, other, err := a.group(c.Context(), arg.Other)
	var g *roster.Group
	if err == nil {
		_, g, err = a.group(c.Context(), arg.Group)
	}
	if err == nil {
		err = edit(c.Context(), gs, other, g, arg.Care)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return arg, nil
}

func (a *admin) joinGroup(c *ops.Call) (any, error) {
	return a.onPeople(c, "join group", (*roster.Groups).Join)
}

func (a *admin) leaveGroup(c *ops.Call) (any, error) {
	return a.onPeople(c, "leave group", (*roster.Groups).Leave)
}

// onPeople is an edit of memberships: all of them, or none.
func (a *admin) onPeople(c *ops.Call, what string, edit func(*roster.Groups, context.Context, *roster.Group, ...jid.JID) (int, error)) (any, error) {
	var arg GroupPeople
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	gs, g, err := a.group(c.Context(), arg.Group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	who := make([]jid.JID, len(arg.JIDs))
	for i, text := range arg.JIDs {
		if who[i], err = jid.Parse(text); err != nil || who[i].Local() == "" || who[i].Resource() != "" {
			return nil, fmt.Errorf("%s: %q is no account's address; want one such as anna@example.org", what, text)
		}
	}
	if arg.Changed, err = edit(gs, c.Context(), g, who...); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	arg.JIDs = nil
	return arg, nil
}

func (a *admin) listGroups(c *ops.Call) (any, error) {
	var arg Organisation
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	domain, err := jid.Parse(arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("list groups of %q: not a domain", arg.Domain)
	}
	org, err := a.org(c.Context(), domain.Domain())
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	gs, err := a.index(c.Context())
	if err != nil {
		return nil, err
	}
	out := []GroupLine{}
	for _, g := range gs.List(org) {
		out = append(out, groupLine(g, domain.Domain()))
	}
	return out, nil
}

func groupLine(g *roster.Group, domain string) GroupLine {
	line := GroupLine{Members: g.Len(), Group: Group{
		Group: g.Name() + "@" + domain, Label: g.Label(), Description: g.Description(), Kind: g.Kind().String(),
	}}
	if p := g.Parent(); p != nil {
		line.In = p.Name()
	}
	return line
}

func (a *admin) groupInfo(c *ops.Call) (any, error) {
	var arg Group
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	_, g, err := a.group(c.Context(), arg.Group)
	if err != nil {
		return nil, err
	}
	name, _, err := a.groupName(c.Context(), arg.Group)
	if err != nil {
		return nil, err
	}
	relations := func(list []roster.Display) (out []GroupRelation) {
		for _, d := range list {
			out = append(out, GroupRelation{Group: d.Group.Name(), Care: d.Care})
		}
		return out
	}
	info := GroupInfo{GroupLine: groupLine(g, name.Domain()), Sees: relations(g.Sees()), ShownTo: relations(g.ShownTo())}
	for _, child := range g.Children() {
		info.Children = append(info.Children, child.Name())
	}
	return info, nil
}

func (a *admin) groupMembers(c *ops.Call) (any, error) {
	var arg GroupPage
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	_, g, err := a.group(c.Context(), arg.Group)
	if err != nil {
		return nil, err
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 1000
	}
	out := []string{}
	n := 0
	g.Each(func(who jid.JID) bool {
		if n++; n > arg.From {
			out = append(out, who.String())
		}
		return len(out) < arg.Limit
	})
	return out, nil
}

// UserSearch asks for accounts whose name begins with Text or, Inside, has it
// somewhere; Limit at most 1,000.
type UserSearch struct {
	Domain string `json:"domain"`
	Text   string `json:"text"`
	Inside bool   `json:"inside,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// UserFound is the answer of user.search; More says that there are others.
type UserFound struct {
	JIDs []string `json:"jids"`
	More bool     `json:"more,omitempty"`
}

func (a *admin) searchUsers(c *ops.Call) (any, error) {
	var arg UserSearch
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	org, err := a.org(c.Context(), arg.Domain)
	if err != nil {
		return nil, fmt.Errorf("search accounts: %w", err)
	}
	if arg.Limit <= 0 || arg.Limit > 1000 {
		arg.Limit = 50
	}
	names, err := a.store.SearchAccounts(c.Context(), org, strings.ToLower(arg.Text), arg.Inside, arg.Limit+1)
	if err != nil {
		return nil, err
	}
	found := UserFound{JIDs: []string{}, More: len(names) > arg.Limit}
	for _, n := range names[:min(len(names), arg.Limit)] {
		found.JIDs = append(found.JIDs, n+"@"+arg.Domain)
	}
	return found, nil
}

// GroupImportReport is what became of an import of memberships: all of them,
// or problems.
type GroupImportReport struct {
	Added, There int       // memberships that are new, and that were there already
	Refused      int       // lines
	Problems     []Problem // by line
	Unread       bool      `json:"-"` // reading ended at too many problems: there may be more
}

// groupChunk is what goes over the control socket after the request, any
// number of times; the last one has End.
type groupChunk struct {
	Rows []groupRow `json:"rows,omitempty"`
	End  bool       `json:"end,omitempty"`
}

type groupRow struct {
	Line  int    `json:"line"`
	Group string `json:"group"`
	JID   string `json:"jid"`
}

// MaxGroupLines is how many lines a file of memberships may have.
const MaxGroupLines = 1_000_000

// maxShown is how many bytes of a bad field a problem shows.
const maxShown = 200

// ImportGroups reads memberships from a CSV file and gives them to the server
// (or to the store, if no server runs). When any line is wrong nothing is
// imported and the report says what to mend.
func ImportGroups(ctx context.Context, c *ops.Caller, file io.Reader, o ImportOptions) (GroupImportReport, error) {
	rows, problems, err := parseGroups(file)
	if err != nil {
		return GroupImportReport{}, fmt.Errorf("import memberships: %w", err)
	}
	dry := o.DryRun || len(problems) > 0
	var report GroupImportReport
	request := ops.Request{
		Op: "group.import", Args: ImportArgs{DryRun: dry},
		Send: func(next func(any) error) error {
			for part := range slices.Chunk(rows, chunkRows) {
				if err := next(groupChunk{Rows: part}); err != nil {
					return err
				}
			}
			return next(groupChunk{End: true})
		},
	}
	if o.Progress != nil {
		request.Progress = func(done, total int) { o.Progress("memberships stored", done, total) }
	}
	if err := c.Call(ctx, request, &report); err != nil {
		return GroupImportReport{}, err
	}
	report.Problems = merge(problems, report.Problems)
	report.Problems = report.Problems[:min(len(report.Problems), maxProblems+1)] // one may say that reading ended
	report.Refused += len(problems)
	if report.Unread = len(problems) > maxProblems; report.Unread {
		report.Refused-- // the last one says that reading ended
	}
	return report, nil
}

// parseGroups reads the file. Its first line may name the columns.
func parseGroups(file io.Reader) (rows []groupRow, problems []store.Problem, err error) {
	r := csv.NewReader(skipBOM(file))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	seen := make(map[[2]string]int)
	for first := true; ; first = false {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			problems = append(problems, store.Problem{Line: broken.StartLine, Reason: "not CSV: " + broken.Err.Error()})
		} else if err != nil {
			return nil, nil, err
		} else if !first || !strings.EqualFold(strings.Join(record, ","), "group,jid") {
			line, _ := r.FieldPos(0)
			row, problem := parseMembership(line, record, seen)
			if problem != nil {
				problems = append(problems, *problem)
			} else {
				rows = append(rows, row)
			}
		}
		if len(rows) > MaxGroupLines {
			return nil, nil, fmt.Errorf("the file has more than %d memberships: split it", MaxGroupLines)
		}
		if len(problems) == maxProblems {
			line := problems[len(problems)-1].Line
			problems = append(problems, store.Problem{Line: line, Reason: fmt.Sprintf("%d problems: reading ended here", maxProblems)})
			break
		}
	}
	if len(rows) == 0 && len(problems) == 0 {
		return nil, nil, errors.New("the file has no memberships; want lines of group,jid such as nurses@example.org,anna@example.org")
	}
	return rows, problems, nil
}

func parseMembership(line int, record []string, seen map[[2]string]int) (row groupRow, problem *store.Problem) {
	wrong := func(who, format string, args ...any) (groupRow, *store.Problem) {
		who = who[:min(len(who), maxShown)] // a quote that is not closed takes in the rest of the file
		return row, &store.Problem{Line: line, JID: strings.ToValidUTF8(who, "\uFFFD"), Reason: fmt.Sprintf(format, args...)}
	}
	if len(record) != 2 {
		return wrong("", "%d columns; want 2 (group,jid)", len(record))
	}
	who, err := jid.Parse(record[1])
	if err != nil || who.Local() == "" || who.Resource() != "" {
		return wrong(record[1], "no account's address; want one such as anna@example.org")
	}
	text := record[0]
	if !strings.Contains(text, "@") {
		text += "@" + who.Domain()
	}
	group, err := jid.Parse(text)
	if err != nil || group.Local() == "" || group.Resource() != "" {
		return wrong(who.String(), "%.200q is no group; want one such as nurses@example.org", record[0])
	}
	key := [2]string{group.String(), who.String()}
	if before, twice := seen[key]; twice {
		return wrong(who.String(), "twice: line %d has it already", before)
	}
	seen[key] = line
	return groupRow{Line: line, Group: key[0], JID: key[1]}, nil
}

// importGroups is the server's end.
func (a *admin) importGroups(c *ops.Call) (any, error) {
	var arg ImportArgs
	if err := c.Args(&arg); err != nil {
		return nil, err
	}
	lines := make(map[string][]roster.ImportLine) // by domain
	var problems []store.Problem
	for n, end := 0, false; !end; {
		var chunk groupChunk
		if err := c.Read(&chunk); err != nil {
			return nil, fmt.Errorf("import memberships: nothing imported: %w", err)
		}
		end = chunk.End
		if n += len(chunk.Rows); n > MaxGroupLines {
			return nil, fmt.Errorf("import memberships: nothing imported: more than %d lines", MaxGroupLines)
		}
		for _, row := range chunk.Rows {
			group, err := jid.Parse(row.Group)
			who, err2 := jid.Parse(row.JID)
			if err != nil || err2 != nil {
				problems = append(problems, store.Problem{Line: row.Line, JID: row.JID, Reason: "no addresses"})
				continue
			}
			lines[group.Domain()] = append(lines[group.Domain()], roster.ImportLine{Line: row.Line, Group: group.Local(), Who: who})
		}
	}
	return a.takeGroups(c, lines, problems, arg.DryRun)
}

// takeGroups looks at all lines first: a file with something wrong in it
// changes nothing, nor does one of two organisations, which could be half done.
func (a *admin) takeGroups(c *ops.Call, lines map[string][]roster.ImportLine, problems []store.Problem, dry bool) (any, error) {
	gs, err := a.index(c.Context())
	if err != nil {
		return nil, err
	}
	report := GroupImportReport{Problems: problems, Refused: len(problems)}
	if len(lines) > 1 && !dry {
		return nil, fmt.Errorf("import memberships: the file has groups of %d organisations: nothing imported, want one file for each", len(lines))
	}
	orgs, err := a.store.Orgs(c.Context())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for domain, part := range lines {
		if !slices.ContainsFunc(orgs, func(o store.Organisation) bool { return o.Domain == domain }) {
			report.Refused += len(part)
			if len(report.Problems) < maxProblems {
				_, err := a.org(c.Context(), domain) // it says what was meant
				report.Problems = append(report.Problems, store.Problem{Line: part[0].Line, JID: part[0].Who.String(), Reason: fmt.Sprint(err)})
			}
			continue
		}
		r, err := gs.Import(c.Context(), domain, part, dry || len(problems) > 0, c.Progress)
		if err != nil {
			return nil, fmt.Errorf("import memberships: %w", err)
		}
		report.Added += r.Added
		report.There += r.There
		report.Refused += r.Refused
		report.Problems = append(report.Problems, r.Problems...)
	}
	report.Problems = merge(nil, report.Problems)
	report.Problems = report.Problems[:min(len(report.Problems), maxProblems)]
	if !dry && report.Refused == 0 {
		a.log.Info("memberships imported", "memberships", report.Added, "seconds", time.Since(began).Seconds())
	}
	return report, nil
}
