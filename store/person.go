package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// PersonID is a person's number: 8 bytes of ours, growing with time, never
// given twice. 0 is nobody.
type PersonID int64

// Person is somebody of an organisation. All texts are as the organisation
// wrote them: HTML and formulas are text, too.
type Person struct {
	ID       PersonID
	Account  string            // local part of the account in chat; "" if there is none
	Ext      string            // the organisation's own id of the person, else the e-mail; unique
	Email    string            // in small letters; "" if there is none; others may have the same
	Name     string            // the full name
	Zone     string            // as Europe/Berlin; "" for the organisation's
	Language string            // as de; "" for the organisation's
	Manager  string            // the Ext of the manager
	Team     string            //
	Start    time.Time         // midnight UTC of the first day; zero if not known
	Left     time.Time         // when the person left; zero for who is here
	Prefs    PersonPrefs       // what the person wishes
	Attrs    map[string]string // free attributes, by the names of Fields
	Version  uint64            // grows with each change
}

// PersonPrefs are wishes of a person. They stay through imports.
type PersonPrefs struct {
	Quiet    []string  `json:"quiet,omitempty"`       // as calendar.ParseQuiet reads them
	Pause    time.Time `json:"pause_until,omitzero"`  // not to be contacted before
	Language string    `json:"language,omitempty"`    // goes before Person.Language
	Channels []string  `json:"channels,omitempty"`    // email, chat; none is both
	OptedOut time.Time `json:"opted_out_at,omitzero"` // when the person said stop; zero if not
}

// PersonField is a free attribute that people of an organisation have. Kind is
// a word of package audience; Label the heading of its column.
type PersonField struct {
	Name, Kind, Label string
}

// Limits of a person, in bytes. Texts beyond are refused with ErrTooLong.
const (
	MaxPersonKey   = 190 // Ext, Manager
	MaxPersonEmail = 320
	MaxPersonText  = 1000     // Name, Team
	MaxPersonAttrs = 16 << 10 // all free attributes together
	maxPersonZone  = 64
)

// Errors of people, for errors.Is.
var (
	// ErrPeopleImporting: for the seconds of an import people are not changed
	// otherwise; their wishes (SetPersonPrefs) can be, at any time.
	ErrPeopleImporting = errors.New("people of this organisation are being imported: try again in a minute")
	ErrPersonStale     = errors.New("the person was changed meanwhile: read again")
	ErrTooLong         = errors.New("too long")
)

// Here reports whether the person has not left by then.
func (p *Person) Here(now time.Time) bool { return p.Left.IsZero() || p.Left.After(now) }

// Speaks is the language to use: what the person wishes, else what the
// organisation says.
func (p *Person) Speaks() string {
	if p.Prefs.Language != "" {
		return p.Prefs.Language
	}
	return p.Language
}

// Field is an attribute by the name that rules of audiences have for it; nil
// for one that the person does not have. domain is the organisation's.
func (p *Person) Field(name, domain string) any {
	text := ""
	switch name {
	case "id":
		text = p.Ext
	case "account":
		if p.Account != "" {
			text = p.Account + "@" + domain
		}
	case "email":
		text = p.Email
	case "name":
		text = p.Name
	case "zone":
		text = p.Zone
	case "language":
		text = p.Speaks()
	case "manager":
		text = p.Manager
	case "team":
		text = p.Team
	case "start":
		if p.Start.IsZero() {
			return nil
		}
		return p.Start
	default:
		text = p.Attrs[name]
	}
	if text == "" {
		return nil
	}
	return text
}

// check refuses what has no room.
func (p *Person) check() error {
	switch {
	case p.Ext == "":
		return errors.New("a person has an id or an e-mail address")
	case len(p.Ext) > MaxPersonKey:
		return fmt.Errorf("the id has %d bytes, at most %d: %w", len(p.Ext), MaxPersonKey, ErrTooLong)
	case len(p.Manager) > MaxPersonKey:
		return fmt.Errorf("the manager's id has %d bytes, at most %d: %w", len(p.Manager), MaxPersonKey, ErrTooLong)
	case len(p.Email) > MaxPersonEmail:
		return fmt.Errorf("the e-mail address has %d bytes, at most %d: %w", len(p.Email), MaxPersonEmail, ErrTooLong)
	case len(p.Name) > MaxPersonText || len(p.Team) > MaxPersonText:
		return fmt.Errorf("name and team have %d bytes at most: %w", MaxPersonText, ErrTooLong)
	case len(p.Zone) > maxPersonZone || len(p.Language) > maxPersonZone:
		return fmt.Errorf("zone and language have %d bytes at most: %w", maxPersonZone, ErrTooLong)
	case len(p.Account) > 1023:
		return fmt.Errorf("the account has %d bytes, at most 1023: %w", len(p.Account), ErrTooLong)
	case attrsSize(p.Attrs) > MaxPersonAttrs:
		return fmt.Errorf("the further attributes have %d bytes, at most %d: %w", attrsSize(p.Attrs), MaxPersonAttrs, ErrTooLong)
	}
	return nil
}

func attrsSize(attrs map[string]string) (n int) {
	for k, v := range attrs {
		n += len(k) + len(v)
	}
	return n
}

// values are the columns of a row, with the run that changes it.
func (p *Person) values(org feature.Org, run int64) []any {
	var start any
	if !p.Start.IsZero() {
		start = p.Start
	}
	return []any{org, int64(p.ID), p.Account, p.Ext, p.Email, p.Name, p.Zone, p.Language, p.Manager, p.Team,
		start, leftAt(p.Left), jsonOf(p.Prefs), jsonOf(p.Attrs), p.Version, run}
}

func leftAt(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// jsonOf is a value of ours as JSON; an empty one is no bytes.
func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil || string(b) == "{}" || string(b) == "null" {
		return []byte{} // the types here always marshal
	}
	return b
}

// personOf reads a row of person-rows and its like.
func personOf(r *db.Row) (p Person, err error) {
	p = Person{ID: PersonID(r.Int(0)), Account: r.Text(1), Ext: r.Text(2), Email: r.Text(3), Name: r.Text(4),
		Zone: r.Text(5), Language: r.Text(6), Manager: r.Text(7), Team: r.Text(8), Left: r.Time(10), Version: uint64(r.Int(13))}
	if !r.Null(9) {
		p.Start = time.UnixMicro(r.Int(9)).UTC()
	}
	if b := r.View(11); len(b) > 0 {
		err = json.Unmarshal(b, &p.Prefs)
	}
	if b := r.View(12); len(b) > 0 && err == nil {
		err = json.Unmarshal(b, &p.Attrs)
	}
	if err != nil {
		err = fmt.Errorf("person %d: %w", p.ID, err)
	}
	return p, err
}

// image is a person's picture in person_was: all that an import may change.
type image struct {
	Account, Ext, Email, Name, Zone, Language, Manager, Team string
	Start                                                    time.Time `json:",omitzero"`
	Left                                                     time.Time `json:",omitzero"`
	Attrs                                                    map[string]string
}

func (p *Person) image() []byte {
	return jsonOf(image{p.Account, p.Ext, p.Email, p.Name, p.Zone, p.Language, p.Manager, p.Team, p.Start, p.Left, p.Attrs})
}

// restore makes p what the picture shows.
func (p *Person) restore(b []byte) error {
	var i image
	if err := json.Unmarshal(b, &i); err != nil {
		return fmt.Errorf("picture of person %d: %w", p.ID, err)
	}
	p.Account, p.Ext, p.Email, p.Name, p.Zone, p.Language, p.Manager, p.Team = i.Account, i.Ext, i.Email, i.Name, i.Zone, i.Language, i.Manager, i.Team
	p.Start, p.Left, p.Attrs = i.Start, i.Left, i.Attrs
	return nil
}

// seen reads a row as it is to be seen now; ok is false for nobody.
func seen(r *db.Row) (p Person, ok bool, err error) {
	hidden := !r.Null(14) && r.Int(14) != 1
	if hidden && r.Null(15) {
		return p, false, nil
	}
	if p, err = personOf(r); err == nil && hidden {
		err = p.restore(r.View(15))
	}
	return p, true, err
}

// Person reads one. ErrNotFound.
func (s *Store) Person(ctx context.Context, org feature.Org, id PersonID) (Person, error) {
	list, err := s.PeopleByID(ctx, org, []PersonID{id})
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Person{}, fmt.Errorf("person %d: %w", id, err)
	}
	return list[0], nil
}

// PeopleByID reads several, in no order; who is not there is left out. It is
// never stale.
func (s *Store) PeopleByID(ctx context.Context, org feature.Org, ids []PersonID) (out []Person, err error) {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	have := make(map[PersonID]bool, len(ids)) // a list is padded
	err = s.db.QueryList(ctx, org, "person-some", []any{org}, list, func(r *db.Row) error {
		p, ok, err := seen(r)
		if ok && !have[p.ID] {
			have[p.ID] = true
			out = append(out, p)
		}
		return err
	})
	return out, err
}

// PersonByExt finds a person by the organisation's own id. ErrNotFound.
func (s *Store) PersonByExt(ctx context.Context, org feature.Org, ext string) (Person, error) {
	var ids []PersonID
	err := s.db.QueryList(ctx, org, "person-by-ext", []any{org}, []any{ext}, func(r *db.Row) error {
		ids = append(ids, PersonID(r.Int(0)))
		return nil
	})
	return s.onePerson(ctx, org, ids, err, func(p *Person) bool { return p.Ext == ext })
}

// PersonByAccount finds a person by the local part of the account in chat.
// ErrNotFound.
func (s *Store) PersonByAccount(ctx context.Context, org feature.Org, local string) (Person, error) {
	if local == "" {
		return Person{}, ErrNotFound
	}
	var ids []PersonID
	err := s.db.Query(ctx, org, "person-by-account", func(r *db.Row) error {
		ids = append(ids, PersonID(r.Int(0)))
		return nil
	}, org, local, org, local)
	return s.onePerson(ctx, org, ids, err, func(p *Person) bool { return p.Account == local })
}

// PeopleByEmail finds who has an e-mail address; there may be several, 100 at
// most are given.
func (s *Store) PeopleByEmail(ctx context.Context, org feature.Org, email string) ([]Person, error) {
	email = strings.ToLower(email)
	if email == "" {
		return nil, nil
	}
	var ids []PersonID
	if err := s.db.Query(ctx, org, "person-by-email", func(r *db.Row) error {
		ids = append(ids, PersonID(r.Int(0)))
		return nil
	}, org, email, org, email); err != nil {
		return nil, err
	}
	list, err := s.PeopleByID(ctx, org, ids)
	return slices.DeleteFunc(list, func(p Person) bool { return p.Email != email }), err
}

// onePerson reads the one of ids who fits, rather one who has not left.
func (s *Store) onePerson(ctx context.Context, org feature.Org, ids []PersonID, err error, fits func(*Person) bool) (Person, error) {
	var list []Person
	if err == nil {
		list, err = s.PeopleByID(ctx, org, ids)
	}
	if err != nil {
		return Person{}, fmt.Errorf("find a person: %w", err)
	}
	list = slices.DeleteFunc(list, func(p Person) bool { return !fits(&p) })
	if len(list) == 0 {
		return Person{}, fmt.Errorf("find a person: %w", ErrNotFound)
	}
	now := time.Now()
	return list[max(0, slices.IndexFunc(list, func(p Person) bool { return p.Here(now) }))], nil
}

// AddPerson adds a person and gives the number. ErrExists when the id is taken,
// or the account by somebody else; ErrPeopleImporting.
func (s *Store) AddPerson(ctx context.Context, org feature.Org, p Person) (PersonID, error) {
	p.Email = strings.ToLower(p.Email)
	if err := p.check(); err != nil {
		return 0, fmt.Errorf("add a person: %w", err)
	}
	p.Version = 1
	err := s.editPeople(ctx, org, func(tx *db.Tx) error {
		p.ID = PersonID(s.ids.next())
		if err := accountFree(tx, org, &p); err != nil {
			return err
		}
		if _, err := tx.Exec("tick-raise", "account", int64(p.ID)); err != nil {
			return err
		}
		_, err := tx.ExecRows("person-insert", p.values(org, 0))
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("add a person: %w", err)
	}
	return p.ID, nil
}

// SetPerson replaces what is known of a person, but for the wishes, if the
// version is still the one that was read. ErrPersonStale, ErrNotFound,
// ErrExists, ErrPeopleImporting.
func (s *Store) SetPerson(ctx context.Context, org feature.Org, p Person) error {
	p.Email = strings.ToLower(p.Email)
	if err := p.check(); err != nil {
		return fmt.Errorf("change a person: %w", err)
	}
	err := s.editPeople(ctx, org, func(tx *db.Tx) error {
		if err := accountFree(tx, org, &p); err != nil {
			return err
		}
		v := p.values(org, 0)
		args := append(append(v[2:12:12], v[13]), org, int64(p.ID), p.Version)
		n, err := tx.Exec("person-change", args...)
		if err != nil || n > 0 {
			return err
		}
		there := false
		if err := tx.QueryList("person-rows", []any{org}, []any{int64(p.ID)}, func(*db.Row) error {
			there = true
			return nil
		}); err != nil {
			return err
		}
		if there {
			return ErrPersonStale
		}
		return ErrNotFound
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("change person %d: %w", p.ID, err)
	}
	return nil
}

// accountFree refuses an account that another person has who is here.
func accountFree(tx *db.Tx, org feature.Org, p *Person) error {
	if p.Account == "" {
		return nil
	}
	var others []any
	if err := tx.Query("person-by-account", func(r *db.Row) error {
		if PersonID(r.Int(0)) != p.ID {
			others = append(others, r.Int(0))
		}
		return nil
	}, org, p.Account, 0, ""); err != nil || len(others) == 0 {
		return err
	}
	now := time.Now()
	return tx.QueryList("person-rows", []any{org}, others, func(r *db.Row) error {
		other, err := personOf(r)
		if err == nil && other.Here(now) {
			err = fmt.Errorf("the account is the person's %s: %w", other.Ext, ErrExists)
		}
		return err
	})
}

// SetPersonPrefs keeps what a person wishes, at any time. ErrNotFound.
func (s *Store) SetPersonPrefs(ctx context.Context, org feature.Org, id PersonID, prefs PersonPrefs) error {
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("person-prefs", jsonOf(prefs), org, int64(id))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wishes of person %d: %w", id, err)
	}
	return nil
}

// LeavePerson notes that a person leaves at a time, or, with the zero time, is
// back. ErrNotFound, ErrPeopleImporting.
func (s *Store) LeavePerson(ctx context.Context, org feature.Org, id PersonID, at time.Time) error {
	for {
		p, err := s.Person(ctx, org, id)
		if err != nil {
			return err
		}
		if p.Left.Equal(at) {
			return nil
		}
		p.Left = at
		if err = s.SetPerson(ctx, org, p); !errors.Is(err, ErrPersonStale) {
			return err
		}
	}
}

// ErasePerson deletes a person's row and all pictures of it, and in the same
// transaction does also, which deletes (a bounded number of rows of) what others
// keep of the person; it may be nil. The account in chat is another matter
// (DeleteAccount). ErrNotFound, ErrPeopleImporting.
func (s *Store) ErasePerson(ctx context.Context, org feature.Org, id PersonID, also func(*db.Tx) error) error {
	err := s.editPeople(ctx, org, func(tx *db.Tx) error {
		n, err := tx.ExecList("person-delete", []any{org}, []any{int64(id)})
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err == nil {
			_, err = tx.Exec("person-was-of", org, int64(id))
		}
		if err == nil && also != nil {
			err = also(tx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("erase person %d: %w", id, err)
	}
	return nil
}

// editPeople runs an edit in a transaction while nothing is imported.
func (s *Store) editPeople(ctx context.Context, org feature.Org, fn func(*db.Tx) error) error {
	for try := 0; ; try++ {
		err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			if err := lock(tx, peopleLock(org)); err != nil {
				return err
			}
			if err := noPeopleRun(tx, org); err != nil {
				return err
			}
			return fn(tx)
		})
		if try > 0 || !errors.Is(err, ErrPeopleImporting) {
			return err
		}
		// One that died is taken back.
		if mended, e := s.mendPeople(ctx, time.Now().Add(-peopleStale)); e != nil || mended == 0 {
			return errors.Join(err, e)
		}
	}
}

// peopleLock names the tick that edits and imports of an organisation lock.
func peopleLock(org feature.Org) string { return fmt.Sprintf("people-%d", org) }

// noPeopleRun is ErrPeopleImporting while a run is staged or taken back.
func noPeopleRun(tx *db.Tx, org feature.Org) error {
	return tx.Query("person-runs", func(r *db.Row) error {
		if r.Int(1) != runShown {
			return ErrPeopleImporting
		}
		return nil
	}, org)
}

// PersonFields are the free attributes that people of an organisation have, by
// name. It is never stale.
func (s *Store) PersonFields(ctx context.Context, org feature.Org) (out []PersonField, err error) {
	err = s.db.Query(ctx, org, "person-fields", func(r *db.Row) error {
		out = append(out, PersonField{r.Text(0), r.Text(1), r.Text(2)})
		return nil
	}, org)
	if err != nil {
		return nil, fmt.Errorf("fields of people: %w", err)
	}
	return out, nil
}

// AddPersonFields adds free attributes, or changes their kinds and labels.
func (s *Store) AddPersonFields(ctx context.Context, org feature.Org, fields []PersonField) error {
	if err := s.editPeople(ctx, org, func(tx *db.Tx) error { return putFields(tx, org, fields) }); err != nil {
		return fmt.Errorf("fields of people: %w", err)
	}
	return nil
}

func putFields(tx *db.Tx, org feature.Org, fields []PersonField) error {
	var args []any
	for _, f := range fields {
		args = append(args, org, f.Name, f.Kind, f.Label)
	}
	_, err := tx.ExecRows("person-field-put", args)
	return err
}
