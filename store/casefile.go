package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// CaseState says where a case stands. The numbers stand in rows.
type CaseState uint8

// States of a case.
const (
	CaseOpen   CaseState = iota + 1
	CaseTaken            // it has an owner
	CaseClosed           //
)

// String is the word that people use.
func (s CaseState) String() string {
	return [...]string{"", "open", "taken", "closed"}[min(s, CaseClosed)]
}

// Case is something that a person has to look at. In an anonymous campaign Who
// is the pseudonym, and Account and Person are empty.
type Case struct {
	ID             int64
	Campaign, Wave int64
	Who            []byte
	Account        string
	Person         int64
	State          CaseState
	Class          int       // of overload: 0 goes before everything
	Reason         string    // a word: "danger", "asked", "low mood", "message"
	Facts          []byte    // what set it off, JSON: rules and words, never a diagnosis
	Owner          string    // who looks after it; "" nobody yet
	Due            time.Time // until when somebody should have
	Opened         time.Time
	Changed        time.Time
	Version        int64

	Lines []CaseLine // to be added; not read with the case
}

// LineKind says what a line of a case is. The numbers stand in rows.
type LineKind uint8

// Kinds of lines.
const (
	LineNote    LineKind = iota + 1 // among those who look after it
	LineFrom                        // the person wrote it
	LineTo                          // it was written to the person
	LineChange                      // who did what with the case
	LineRefused                     // the person wrote it, and the server could not take it
)

// CaseLine is one line of a case.
type CaseLine struct {
	ID     int64 // of the message it is, or a number of ours
	Kind   LineKind
	Author string // "" for the person
	At     time.Time
	Text   string
}

// maxCaseLine bounds what of a message stands in a case, in bytes.
const maxCaseLine = 16 << 10

// save opens a case, or adds to one that is there: the sooner due time and the
// lower class count.
func (c *Case) save(tx *db.Tx, org feature.Org) error {
	n, err := tx.Exec("casefile-insert", org, c.ID, c.Campaign, c.Wave, c.Who, c.Account, c.Person, c.Class, clip(c.Reason, 64), c.Facts, c.Owner,
		micros(c.Due), micros(c.Opened), micros(c.Changed))
	if err != nil {
		return err
	}
	if n == 0 {
		if _, err := tx.Exec("casefile-hurry", c.Class, c.Class, micros(c.Due), micros(c.Due), micros(c.Changed), org, c.ID); err != nil {
			return err
		}
	}
	return addLines(tx, org, c.ID, c.Lines)
}

func addLines(tx *db.Tx, org feature.Org, id int64, lines []CaseLine) error {
	if len(lines) == 0 {
		return nil
	}
	args := make([]any, 0, 7*len(lines))
	for _, l := range lines {
		args = append(args, org, id, l.ID, uint8(l.Kind), clip(l.Author, 190), micros(l.At), clip(l.Text, maxCaseLine))
	}
	_, err := tx.ExecRows("caseline-insert", args)
	return err
}

func caseRow(r *db.Row) Case {
	return Case{ID: r.Int(0), Campaign: r.Int(1), Wave: r.Int(2), Who: r.Bytes(3), Account: r.Text(4), Person: r.Int(5), State: CaseState(r.Int(6)),
		Class: int(r.Int(7)), Reason: r.Text(8), Facts: r.Bytes(9), Owner: r.Text(10), Due: r.Time(11), Opened: r.Time(12), Changed: r.Time(13), Version: r.Int(14)}
}

// OpenCase opens a case outside a turn.
func (s *Store) OpenCase(ctx context.Context, org feature.Org, c *Case) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error { return c.save(tx, org) }); err != nil {
		return fmt.Errorf("open a case: %w", err)
	}
	return nil
}

// Case reads one. ErrNotFound.
func (s *Store) Case(ctx context.Context, org feature.Org, id int64) (*Case, error) {
	list, err := s.cases(ctx, org, "casefile-get", org, id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("case %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// OpenCases are those of a person, or pseudonym, that are not closed, the
// newest first.
func (s *Store) OpenCases(ctx context.Context, org feature.Org, who []byte) ([]Case, error) {
	return s.cases(ctx, org, "casefile-open", org, who)
}

// Cases are those of a state behind one, by due time.
func (s *Store) Cases(ctx context.Context, org feature.Org, state CaseState, after *Case, limit int) ([]Case, error) {
	due, id := int64(-1), int64(0)
	if after != nil {
		due, id = micros(after.Due), after.ID
	}
	return s.cases(ctx, org, "casefile-page", org, uint8(state), due, due, id, limit)
}

func (s *Store) cases(ctx context.Context, org feature.Org, name string, args ...any) (out []Case, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		out = append(out, caseRow(r))
		return nil
	}, args...); err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	return out, nil
}

// CaseLines are the lines of a case behind one, in their order.
func (s *Store) CaseLines(ctx context.Context, org feature.Org, id, after int64, limit int) (out []CaseLine, err error) {
	if err = s.db.Query(ctx, org, "caseline-page", func(r *db.Row) error {
		out = append(out, CaseLine{r.Int(0), LineKind(r.Int(1)), r.Text(2), r.Time(3), r.Text(4)})
		return nil
	}, org, id, after, limit); err != nil {
		return nil, fmt.Errorf("lines of case %d: %w", id, err)
	}
	return out, nil
}

// ChangeCase keeps state, owner and due time of a case that is at the version
// that c has, and adds c.Lines. ErrMoved when it is not.
func (s *Store) ChangeCase(ctx context.Context, org feature.Org, c *Case) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("casefile-change", uint8(c.State), clip(c.Owner, 190), micros(c.Due), micros(c.Changed), org, c.ID, c.Version)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		if err != nil {
			return err
		}
		return addLines(tx, org, c.ID, c.Lines)
	}); err != nil {
		return fmt.Errorf("change case %d: %w", c.ID, err)
	}
	c.Version++
	return nil
}

// ErrUnlinked means that nobody can tell any more whose a pseudonym is: its
// campaign has ended.
var ErrUnlinked = errors.New("its campaign has ended, and with it the way to this person")

// AnswerCase writes to the person of a case: the line and the text that the bot
// is to say are saved as one transaction, and what the person writes after it
// goes to the case. Who it is neither the author nor the answer learns.
// ErrNotFound, ErrUnlinked.
func (s *Store) AnswerCase(ctx context.Context, org feature.Org, id int64, author, text string, at time.Time) error {
	c, err := s.Case(ctx, org, id)
	if err != nil {
		return err
	}
	account, talk := c.Account, int64(0)
	t, err := s.talkOfCase(ctx, org, c)
	switch {
	case err == nil:
		account, talk = t.Account, t.ID
	case !errors.Is(err, ErrNotFound):
		return err
	case account == "":
		return fmt.Errorf("answer case %d: %w", id, ErrUnlinked)
	}
	line := CaseLine{ID: s.NewID(), Kind: LineTo, Author: author, At: at, Text: text}
	words := Said{Org: org, ID: line.ID, Account: account, At: at, Words: Utterance{Text: text, Author: true}}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if err := addLines(tx, org, id, []CaseLine{line}); err != nil {
			return err
		}
		if talk != 0 {
			if _, err := tx.Exec("talk-thread", id, org, talk); err != nil {
				return err
			}
		}
		return say(tx, []Said{words})
	}); err != nil {
		return fmt.Errorf("answer case %d: %w", id, err)
	}
	return nil
}

// talkOfCase finds the talk that a case came from. ErrNotFound.
func (s *Store) talkOfCase(ctx context.Context, org feature.Org, c *Case) (*Talk, error) {
	if len(c.Who) == 16 {
		return s.TalkOfPseudonym(ctx, org, [16]byte(c.Who))
	}
	return s.TalkOf(ctx, org, c.Campaign, c.Wave, c.Person)
}

// CasePeople are who has a case that is not closed: accounts by name, and
// pseudonyms.
func (s *Store) CasePeople(ctx context.Context, org feature.Org) (accounts []string, pseudonyms [][16]byte, err error) {
	if err = s.db.Query(ctx, org, "casefile-people", func(r *db.Row) error {
		if name := r.Text(0); name != "" {
			accounts = append(accounts, name)
		} else if b := r.View(1); len(b) == 16 {
			pseudonyms = append(pseudonyms, [16]byte(b))
		}
		return nil
	}, org); err != nil {
		return nil, nil, fmt.Errorf("people with a case: %w", err)
	}
	return accounts, pseudonyms, nil
}
