package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/people"
	"github.com/bearhug/bearhug/store"
)

func peopleOperations() []operation {
	const base = "/api/orgs/{org}/people"
	return []operation{
		op(operation{ID: "people-list", Method: "GET", Path: base, Doc: "List people who fit all filters that are given.", Roles: knowers(), Scope: "people:read"}, listPeople),
		op(operation{ID: "people-export", Method: "GET", Path: base + "/export", Doc: "Export everybody as CSV that an import reads.", Roles: planners(), Scope: "people:read", Views: true}, exportPeople),
		op(operation{ID: "people-import", Method: "POST", Path: base + "/import", Doc: "Import a CSV file; with dry_run it only says what would change.", Roles: planners(), Scope: "people:write", Limit: people.MaxBytes}, importPeople),
		op(operation{ID: "people-undo", Method: "POST", Path: base + "/undo", Doc: "Take the last import back.", Roles: planners(), Scope: "people:write"}, undoPeople),
		op(operation{ID: "person-show", Method: "GET", Path: base + "/{person}", Doc: "Show a person.", Roles: knowers(), Scope: "people:read"}, showPerson),
		op(operation{ID: "person-set", Method: "PUT", Path: base + "/{person}", Doc: "Change columns and attributes of a person, by their headings.", Roles: planners(), Scope: "people:write"}, setPerson),
		op(operation{ID: "person-leave", Method: "POST", Path: base + "/{person}/leave", Doc: "Note that a person leaves, or is back.", Roles: planners(), Scope: "people:write"}, leavePerson),
		op(operation{ID: "person-held", Method: "GET", Path: base + "/{person}/export", Doc: "Show what is held about a person in the lists of people and of suppressions.", Roles: admins(), Scope: "people:read", Views: true}, heldPerson),
		op(operation{ID: "person-erase", Method: "DELETE", Path: base + "/{person}", Doc: "Erase a person from the list of people and, with account=true, the account in chat; the answer is the receipt.", Roles: admins(), Scope: "people:write", Status: 200}, erasePerson),
	}
}

// Person is somebody of an organisation.
type Person struct {
	ID       string            `json:"id" doc:"number of ours"`
	Key      string            `json:"key" doc:"the organisation's own id, else the e-mail address"`
	Account  string            `json:"account,omitempty" doc:"local part of the address in chat"`
	Email    string            `json:"email,omitempty"`
	Name     string            `json:"name,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Language string            `json:"language,omitempty"`
	Manager  string            `json:"manager,omitempty"`
	Team     string            `json:"team,omitempty"`
	Start    time.Time         `json:"start,omitzero"`
	Left     time.Time         `json:"left,omitzero"`
	Attrs    map[string]string `json:"attributes,omitempty"`
	Version  string            `json:"version"`
}

func personOf(p *store.Person) Person {
	return Person{id(int64(p.ID)), p.Ext, p.Account, p.Email, p.Name, p.Zone, p.Language, p.Manager, p.Team, p.Start, p.Left, p.Attrs, id(int64(p.Version))}
}

type peopleIn struct {
	OrgIn
	PageIn
	Text     string `query:"text" maxLength:"200" doc:"somewhere in name, id, e-mail address or account"`
	Team     string `query:"team" maxLength:"1000"`
	Manager  string `query:"manager" maxLength:"190"`
	Language string `query:"language" maxLength:"64"`
	Zone     string `query:"zone" maxLength:"64"`
	Rule     string `query:"rule" maxLength:"4000" doc:"as of an audience"`
	Gone     bool   `query:"gone" doc:"who has left"`
	Everyone bool   `query:"everyone" doc:"who is here and who has left"`
}

func listPeople(ctx context.Context, k *call, in *peopleIn) (*PageOut[Person], error) {
	var after store.PersonID
	if err := k.place(in.Cursor, &after); err != nil {
		return nil, err
	}
	f := store.PeopleFilter{Text: in.Text, Team: in.Team, Manager: in.Manager, Language: in.Language, Zone: in.Zone, Gone: in.Gone, Everyone: in.Everyone}
	if in.Rule != "" {
		rule, err := people.Compile(ctx, k.Store, k.org, in.Rule)
		if err != nil {
			return nil, refusal(err)
		}
		f.Also = people.Matcher(rule, k.domain, k.Now())
	}
	list, next, err := k.Store.People(ctx, k.org, f, after, in.Limit)
	if err != nil {
		return nil, err
	}
	out, err := page(k, in.Limit, list, personOf, func(p *store.Person) any { return p.ID })
	if err == nil && next != 0 {
		out.Body.Next, err = k.cursor(next)
	}
	return out, err
}

// person finds who is meant: by our number behind #, by id, by address in chat,
// or by e-mail address.
func (k *call) person(ctx context.Context, text string) (p store.Person, err error) {
	if n, ok := strings.CutPrefix(text, "#"); ok {
		i, err := number(n)
		if err != nil {
			return p, err
		}
		return k.Store.Person(ctx, k.org, store.PersonID(i))
	}
	p, err = k.Store.PersonByExt(ctx, k.org, text)
	if local, ok := strings.CutSuffix(text, "@"+k.domain); errors.Is(err, store.ErrNotFound) && ok {
		p, err = k.Store.PersonByAccount(ctx, k.org, strings.ToLower(local))
	}
	if !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	list, e := k.Store.PeopleByEmail(ctx, k.org, text)
	switch {
	case e != nil:
		return p, e
	case len(list) == 1:
		return list[0], nil
	case len(list) > 1:
		return p, refusal(fmt.Errorf("%d people have this e-mail address: name one by the id", len(list)))
	}
	return p, err
}

// subject is how the audit log names a person.
func subject(p store.PersonID) string { return fmt.Sprintf("person %d", p) }

// PersonIn names a person.
type PersonIn struct {
	OrgIn
	Person string `path:"person" maxLength:"400" doc:"#number, id, address in chat, or e-mail address"`
}

type personOut struct{ Body Person }

func showPerson(ctx context.Context, k *call, in *PersonIn) (*personOut, error) {
	p, err := k.person(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	return &personOut{personOf(&p)}, nil
}

type personSetIn struct {
	PersonIn
	Body struct {
		Values map[string]string `json:"values" doc:"by headings of columns, as in a file; an empty value empties"`
	}
}

func setPerson(ctx context.Context, k *call, in *personSetIn) (*personOut, error) {
	p, err := k.person(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	own, err := people.Own(ctx, k.Store, k.org)
	if err != nil {
		return nil, err
	}
	row, fresh, err := people.Change(people.RowOf(&p), in.Body.Values, k.domain, own)
	if err != nil {
		return nil, refusal(err)
	}
	now := row.Person()
	now.ID, now.Version, now.Left = p.ID, p.Version, p.Left
	var names []string
	for name := range in.Body.Values {
		names = append(names, name)
	}
	if err := k.audit(ctx, subject(p.ID), map[string]any{"columns": names}); err != nil {
		return nil, err
	}
	if len(fresh) > 0 {
		if err := k.Store.AddPersonFields(ctx, k.org, fresh); err != nil {
			return nil, err
		}
	}
	if err := k.Store.SetPerson(ctx, k.org, now); err != nil {
		return nil, err
	}
	if p, err = k.Store.Person(ctx, k.org, p.ID); err != nil {
		return nil, err
	}
	return &personOut{personOf(&p)}, nil
}

type personLeaveIn struct {
	PersonIn
	Body struct {
		At   time.Time `json:"at,omitempty" doc:"none: now" required:"false"`
		Back bool      `json:"back,omitempty"`
	}
}

func leavePerson(ctx context.Context, k *call, in *personLeaveIn) (*personOut, error) {
	p, err := k.person(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	at := in.Body.At
	switch {
	case in.Body.Back:
		at = time.Time{}
	case at.IsZero():
		at = k.Now()
	}
	if err := k.audit(ctx, subject(p.ID), map[string]any{"back": in.Body.Back}); err != nil {
		return nil, err
	}
	if err := k.Store.LeavePerson(ctx, k.org, p.ID, at); err != nil {
		return nil, err
	}
	p.Left = at
	return &personOut{personOf(&p)}, nil
}

type importIn struct {
	OrgIn
	DryRun       bool   `query:"dry_run" doc:"only say what would change"`
	LeaveMissing bool   `query:"leave_missing" doc:"who is not in the file has left"`
	SkipBad      bool   `query:"skip_bad" doc:"import the good lines of a file that has bad ones"`
	RawBody      []byte `contentType:"text/csv"`
}

// ImportReport says what an import does, or did.
type ImportReport struct {
	Counts   ImportCounts  `json:"counts"`
	Refused  int           `json:"refused" doc:"lines that are wrong"`
	Problems []LineProblem `json:"problems,omitempty" doc:"at most 1,000"`
	Unread   bool          `json:"unread,omitempty" doc:"there may be more problems"`
	Done     bool          `json:"done" doc:"people are as the file says"`
}

// ImportCounts counts people.
type ImportCounts struct {
	Added    int `json:"added"`
	Changed  int `json:"changed"`
	Returned int `json:"returned" doc:"of the changed: had left, and are here again"`
	Left     int `json:"left"`
	Same     int `json:"same"`
	Missing  int `json:"missing" doc:"here, but not in the file"`
	Accounts int `json:"accounts" doc:"made, without a password"`
}

// LineProblem is what is wrong with a line of a file.
type LineProblem struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"`
	Value  string `json:"value,omitempty"`
	Text   string `json:"text"`
	Write  string `json:"write,omitempty" doc:"what to write instead"`
}

type importOut struct{ Body ImportReport }

func importPeople(ctx context.Context, k *call, in *importIn) (*importOut, error) {
	own, err := people.Own(ctx, k.Store, k.org)
	if err != nil {
		return nil, err
	}
	file, err := people.Read(bytes.NewReader(in.RawBody), k.domain, own)
	if err != nil {
		return nil, refusal(err)
	}
	if err := k.audit(ctx, "", map[string]any{"dry_run": in.DryRun, "leave_missing": in.LeaveMissing, "rows": len(file.Rows), "refused": file.Refused}); err != nil {
		return nil, err
	}
	o := people.Options{DryRun: in.DryRun, LeaveMissing: in.LeaveMissing, SkipBad: in.SkipBad, Who: k.actor()}
	r, err := people.Import(ctx, k.Store, k.org, file, o, nil)
	if err != nil {
		return nil, err
	}
	out := ImportReport{Counts: ImportCounts(r.PeopleCounts), Refused: r.Refused, Unread: r.Unread, Done: r.Done}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, LineProblem(p))
	}
	return &importOut{out}, nil
}

// Undone says what taking an import back did.
type Undone struct {
	At       time.Time `json:"at" doc:"of the import"`
	Gone     int       `json:"gone"`
	Restored int       `json:"restored"`
	Kept     int       `json:"kept"`
	Accounts int       `json:"accounts"`
}

type undoneOut struct{ Body Undone }

func undoPeople(ctx context.Context, k *call, _ *OrgIn) (*undoneOut, error) {
	if err := k.audit(ctx, "", nil); err != nil {
		return nil, err
	}
	u, err := k.Store.UndoPeople(ctx, k.org)
	if err != nil {
		return nil, err
	}
	return &undoneOut{Undone{u.Run.At, u.Gone, u.Restored, u.Kept, u.Accounts}}, nil
}

func exportPeople(ctx context.Context, k *call, _ *OrgIn) (*huma.StreamResponse, error) {
	own, err := people.Own(ctx, k.Store, k.org)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, "", nil); err != nil {
		return nil, err
	}
	attrs := make([]string, len(own))
	for i := range own {
		attrs[i] = own[i].Name
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", "text/csv; charset=utf-8")
		h.SetHeader("Content-Disposition", `attachment; filename="people.csv"`)
		w, err := people.NewWriter(h.BodyWriter(), k.domain, attrs)
		if err == nil {
			err = k.Store.EachPerson(ctx, k.org, 0, func(p *store.Person) error {
				row := people.RowOf(p)
				return w.Write(&row)
			})
		}
		if err == nil {
			err = w.Flush()
		}
		if err != nil { // half a file must not look like a whole one
			k.Log.Info("export cut short", "cause", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// Held is what is held about a person here.
type Held struct {
	Person     Person            `json:"person"`
	Wishes     store.PersonPrefs `json:"wishes"`
	Suppressed []Suppressed      `json:"suppressed,omitempty"`
}

type heldOut struct{ Body Held }

func heldPerson(ctx context.Context, k *call, in *PersonIn) (*heldOut, error) {
	p, err := k.person(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, subject(p.ID), nil); err != nil {
		return nil, err
	}
	out := Held{Person: personOf(&p), Wishes: p.Prefs}
	names := []string{store.PersonKey(p.ID)}
	if p.Email != "" {
		names = append(names, p.Email)
	}
	list, err := k.Store.Suppressed(ctx, k.org, names)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		out.Suppressed = append(out.Suppressed, suppressedOf(&s))
	}
	return &heldOut{out}, nil
}

type eraseIn struct {
	PersonIn
	Account bool `query:"account" doc:"also the account in chat with all it has"`
}

// Receipt says what was erased.
type Receipt struct {
	Person  string    `json:"person" doc:"the number"`
	At      time.Time `json:"at"`
	Erased  []string  `json:"erased"`
	Remains []string  `json:"remains" doc:"what was not erased by this, and why"`
}

type receiptOut struct{ Body Receipt }

func erasePerson(ctx context.Context, k *call, in *eraseIn) (*receiptOut, error) {
	p, err := k.person(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	if err := k.audit(ctx, subject(p.ID), map[string]any{"account": in.Account}); err != nil {
		return nil, err
	}
	out := Receipt{Person: id(int64(p.ID)), At: k.Now(), Erased: []string{"the person in the list of people, with all attributes and wishes"}}
	if err := k.Store.EndInvitations(ctx, k.org, p.ID, 0, k.Now(), "erased"); err != nil {
		return nil, err
	}
	out.Erased = append(out.Erased, "what was planned to be sent")
	if p.Account != "" && in.Account {
		var gone struct{}
		if err := k.control(ctx, "user.del", map[string]string{"jid": p.Account + "@" + k.domain}, &gone); err != nil {
			return nil, err
		}
		out.Erased = append(out.Erased, "the account in chat with its messages")
	} else if p.Account != "" {
		out.Remains = append(out.Remains, "the account in chat: ask with account=true")
	}
	if err := k.erase(ctx, k.org, &p); err != nil {
		return nil, err
	}
	out.Erased = append(out.Erased, "who this was in the audit log; a pseudonym stays")
	out.Remains = append(out.Remains, "answers in campaigns, until their own retention ends", "addresses on the list of suppressions, so that nobody writes there again")
	return &receiptOut{out}, nil
}

// erase deletes a person and, in the same transaction, who they are in the audit log.
func (k *call) erase(ctx context.Context, org feature.Org, p *store.Person) error {
	names := []string{subject(p.ID)}
	for _, name := range []string{p.Account, p.Email, p.Ext} {
		if name != "" {
			names = append(names, name)
		}
	}
	return k.Store.ErasePersonAudited(ctx, org, p.ID, names...)
}
