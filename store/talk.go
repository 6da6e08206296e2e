package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// ErrRepeated means that a message was processed before.
var ErrRepeated = errors.New("this message was processed before")

// Bot is the bot of an organisation: an account that is served in the process.
// Settings are outreach's, as JSON.
type Bot struct {
	Org      feature.Org
	Local    string
	Settings []byte
	Version  int64
}

// Bots lists the bots of all organisations that have one.
func (s *Store) Bots(ctx context.Context) (out []Bot, err error) {
	if err = s.db.Query(ctx, 0, "bot-list", func(r *db.Row) error {
		out = append(out, Bot{feature.Org(r.Int(0)), r.Text(1), r.Bytes(2), r.Int(3)})
		return nil
	}); err != nil {
		return nil, fmt.Errorf("bots: %w", err)
	}
	return out, nil
}

// Bot reads the bot of an organisation. ErrNotFound.
func (s *Store) Bot(ctx context.Context, org feature.Org) (b Bot, err error) {
	if err = s.db.Query(ctx, org, "bot-get", func(r *db.Row) error {
		b = Bot{org, r.Text(0), r.Bytes(1), r.Int(2)}
		return nil
	}, org); err == nil && b.Version == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Bot{}, fmt.Errorf("bot of organisation %d: %w", org, err)
	}
	return b, nil
}

// KeepBot keeps a bot: a new one has version 0, a change the version that was
// read. ErrMoved when somebody else was faster.
func (s *Store) KeepBot(ctx context.Context, b Bot) error {
	if err := checkLocal(b.Local); err != nil {
		return err
	}
	if err := s.db.Write(ctx, b.Org, func(tx *db.Tx) error {
		if b.Version == 0 {
			_, err := tx.Exec("bot-insert", b.Org, b.Local, b.Settings)
			return err
		}
		n, err := tx.Exec("bot-change", b.Local, b.Settings, b.Org, b.Version)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		return err
	}); err != nil {
		return fmt.Errorf("keep the bot of organisation %d: %w", b.Org, err)
	}
	return nil
}

// Script is the document of a flow as a talk began with it; hash is its own.
func (s *Store) Script(ctx context.Context, org feature.Org, hash string) (doc []byte, err error) {
	if err = s.db.Query(ctx, org, "script-get", func(r *db.Row) error {
		doc = r.Bytes(0)
		return nil
	}, org, hash); err == nil && doc == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("flow %s: %w", hash, err)
	}
	return doc, nil
}

// TalkPhase says where a talk stands. The numbers stand in rows.
type TalkPhase uint8

// Phases of a talk.
const (
	TalkInvited TalkPhase = iota + 1 // nothing was said yet
	TalkOpen                         // a question is open
	TalkWaiting                      // nothing is open until its due time
	TalkHeld                         // the questions wait after a word of danger
	TalkEnded
	TalkStopped // the person wants no more of it
	TalkBroken  // its state cannot be read: a fault of ours
)

// String is the word that people use.
func (p TalkPhase) String() string {
	return [...]string{"", "invited", "open", "waiting", "held", "ended", "stopped", "broken"}[min(p, TalkBroken)]
}

// Over reports whether nothing more is asked.
func (p TalkPhase) Over() bool { return p == TalkEnded || p == TalkStopped || p == TalkBroken }

// Talk is one person's conversation in one wave of a campaign. About and State
// are outreach's, as JSON. It alone links a pseudonym to a person.
type Talk struct {
	Org            feature.Org
	ID             int64
	Account        string // local part
	Person         int64
	Campaign, Wave int64
	Anonymous      bool
	Pseudonym      [16]byte
	Script         string // hash of the flow's document
	Phase          TalkPhase
	Case           int64 // whose thread takes what the person writes; 0: none
	Due            time.Time
	Began          time.Time // when the first text was said
	Touched        time.Time
	Answered       int // questions with an answer
	Version        int64
	About          []byte
	State          []byte
}

// Who is what answers and cases of the talk carry: the pseudonym in an
// anonymous campaign, else the person's number.
func (t *Talk) Who() []byte {
	if t.Anonymous || t.Person == 0 {
		return t.Pseudonym[:]
	}
	return who(t.Person)
}

// who is a person's number as eight bytes.
func who(person int64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(uint64(person) >> (56 - 8*i))
	}
	return b
}

func talkRow(org feature.Org, r *db.Row) *Talk {
	t := &Talk{Org: org, ID: r.Int(0), Account: r.Text(1), Person: r.Int(2), Campaign: r.Int(3), Wave: r.Int(4), Anonymous: r.Bool(5),
		Script: r.Text(7), Phase: TalkPhase(r.Int(8)), Case: r.Int(9), Due: r.Time(10), Began: r.Time(11), Touched: r.Time(12),
		Answered: int(r.Int(13)), Version: r.Int(14), About: r.Bytes(15), State: r.Bytes(16)}
	copy(t.Pseudonym[:], r.View(6))
	return t
}

// NewID is a number for a row of outreach's: greater than all before it.
func (s *Store) NewID() int64 { return int64(s.ids.next()) }

// BeginTalk keeps a talk that was not begun, and the flow it goes by. If the
// person has one in that wave it gives that one, and added is false.
func (s *Store) BeginTalk(ctx context.Context, t *Talk, doc []byte) (kept *Talk, added bool, err error) {
	if err := checkLocal(t.Account); err != nil {
		return nil, false, err
	}
	if t.ID == 0 {
		t.ID = s.NewID()
	}
	err = s.db.Write(ctx, t.Org, func(tx *db.Tx) error {
		if _, err := tx.Exec("script-put", t.Org, t.Script, doc); err != nil {
			return err
		}
		_, err := tx.Exec("talk-insert", t.Org, t.ID, t.Account, t.Person, t.Campaign, t.Wave, t.Anonymous, t.Pseudonym[:], t.Script, micros(t.Touched), t.About)
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		if kept, err = s.TalkOf(ctx, t.Org, t.Campaign, t.Wave, t.Person); err == nil {
			return kept, false, nil
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("begin a talk with %s: %w", t.Account, err)
	}
	t.Phase, t.Version = TalkInvited, 1
	return t, true, nil
}

// Talk reads one. ErrNotFound.
func (s *Store) Talk(ctx context.Context, org feature.Org, id int64) (*Talk, error) {
	return s.oneTalk(ctx, org, "talk-get", org, id)
}

// TalkOf finds the talk of a person in a wave. ErrNotFound.
func (s *Store) TalkOf(ctx context.Context, org feature.Org, campaign, wave, person int64) (*Talk, error) {
	return s.oneTalk(ctx, org, "talk-of-invitee", org, campaign, wave, person)
}

// TalkOfPseudonym finds the talk that a pseudonym is from: only what delivers
// to people may ask. ErrNotFound when the campaign has ended.
func (s *Store) TalkOfPseudonym(ctx context.Context, org feature.Org, pseudonym [16]byte) (*Talk, error) {
	return s.oneTalk(ctx, org, "talk-of-pseudonym", org, pseudonym[:])
}

func (s *Store) oneTalk(ctx context.Context, org feature.Org, name string, args ...any) (t *Talk, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		t = talkRow(org, r)
		return nil
	}, args...); err == nil && t == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("talk: %w", err)
	}
	return t, nil
}

// Talks are those of an account, the last touched
// first, those never begun last, 16 at most, and the number of the last message of the account's that
// was processed.
func (s *Store) Talks(ctx context.Context, org feature.Org, account string) (out []*Talk, heard int64, err error) {
	if err = s.db.Read(ctx, org, func(tx *db.Tx) error {
		out = nil
		if err := tx.Query("heard-get", func(r *db.Row) error {
			heard = r.Int(0)
			return nil
		}, org, account); err != nil {
			return err
		}
		return tx.Query("talk-of-account", func(r *db.Row) error {
			out = append(out, talkRow(org, r))
			return nil
		}, org, account)
	}); err != nil {
		return nil, 0, fmt.Errorf("talks of %s: %w", account, err)
	}
	return out, heard, nil
}

// DueTalk is a talk whose time has come.
type DueTalk struct {
	Org     feature.Org
	ID      int64
	Account string
	Due     time.Time
}

// DueTalks are talks whose time has come, of all organisations, the oldest
// first.
func (s *Store) DueTalks(ctx context.Context, now time.Time, limit int) (out []DueTalk, err error) {
	if err = s.db.Query(ctx, 0, "talk-due", func(r *db.Row) error {
		out = append(out, DueTalk{feature.Org(r.Int(0)), r.Int(1), r.Text(2), r.Time(3)})
		return nil
	}, now, limit); err != nil {
		return nil, fmt.Errorf("due talks: %w", err)
	}
	return out, nil
}

// Said is a text that is decided on and not yet said. ID and N make its
// origin-id: said twice it is one message.
type Said struct {
	Org     feature.Org
	ID      int64 // of the turn: the log's number of the message it answers, or a number of ours
	N       int   // within the turn
	Account string
	At      time.Time
	Words   Utterance
}

// Utterance is what a bot says in one message.
type Utterance struct {
	Text     string   `json:"text"`               // complete without the buttons
	Language string   `json:"language,omitempty"` // of the text
	Replies  []Button `json:"replies,omitempty"`  // Value is what is sent when it is pressed
	Actions  []Button `json:"actions,omitempty"`  // Value names the action
	// Author is set where a person speaks by the bot: how to answer is said with
	// the text.
	Author bool `json:"author,omitempty"`
}

// Button is something to be pressed.
type Button struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Heard is what follows from one message, or from one timer: all of it is saved
// or nothing.
type Heard struct {
	Org     feature.Org
	Account string
	Message ID // the message; zero for a turn of our own
	At      time.Time
	Talks   []*Talk // each as it is to be, with the version it had
	Answers []Answer
	Cases   []Case // with what was written in them; one that is there already gets the lines only
	Says    []Said
	// First is the talk whose first answer is among Answers: invitations of its
	// wave are marked as answered, reminders end. Stopped is one whose person
	// wants no more: they end without that mark.
	First, Stopped *Talk
}

// SaveHeard saves what follows from one input as one transaction. ErrRepeated
// when the message was processed before, ErrMoved when a talk has changed since
// it was read; nothing is saved then. On success the versions of Talks grow.
func (s *Store) SaveHeard(ctx context.Context, t *Heard) error {
	err := s.db.Write(ctx, t.Org, func(tx *db.Tx) error { return t.save(tx) })
	if err != nil {
		return fmt.Errorf("save a turn of %s: %w", t.Account, err)
	}
	for _, k := range t.Talks {
		k.Version++
	}
	return nil
}

func (t *Heard) save(tx *db.Tx) error {
	if !t.Message.IsZero() {
		if err := t.hear(tx); err != nil {
			return err
		}
	}
	for _, k := range t.Talks {
		n, err := tx.Exec("talk-save", uint8(k.Phase), k.Case, micros(k.Due), micros(k.Began), micros(k.Touched), k.Answered, k.State, t.Org, k.ID, k.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrMoved
		}
	}
	for i := range t.Answers {
		if err := t.Answers[i].save(tx, t.Org); err != nil {
			return err
		}
	}
	for i := range t.Cases {
		if err := t.Cases[i].save(tx, t.Org); err != nil {
			return err
		}
	}
	if f := t.First; f != nil {
		if _, err := tx.Exec("invitation-answered", micros(t.At), t.Org, f.Campaign, f.Wave, f.Person); err != nil {
			return err
		}
		if err := endReminders(tx, f, t.At, "answered already"); err != nil {
			return err
		}
	}
	if f := t.Stopped; f != nil {
		if err := endReminders(tx, f, t.At, "said stop"); err != nil {
			return err
		}
	}
	return say(tx, t.Says)
}

// endReminders ends what is planned for the person of a talk in its wave.
func endReminders(tx *db.Tx, k *Talk, at time.Time, why string) error {
	return endInvitations(tx, k.Org, PersonID(k.Person), at, why, func(campaign, wave int64) bool {
		return campaign == k.Campaign && wave == k.Wave
	})
}

// hear notes the message as processed.
func (t *Heard) hear(tx *db.Tx) error {
	var last int64
	if err := tx.Query("heard-get", func(r *db.Row) error {
		last = r.Int(0)
		return nil
	}, t.Org, t.Account); err != nil {
		return err
	}
	if last >= t.Message.seq() {
		return ErrRepeated
	}
	_, err := tx.Exec("heard-put", t.Org, t.Account, t.Message.seq())
	return err
}

func say(tx *db.Tx, list []Said) error {
	if len(list) == 0 {
		return nil
	}
	args := make([]any, 0, 6*len(list))
	for i := range list {
		x := &list[i]
		body, err := json.Marshal(&x.Words)
		if err != nil {
			return err
		}
		args = append(args, x.Org, x.ID, x.N, x.Account, micros(x.At), body)
	}
	_, err := tx.ExecRows("say-insert", args)
	return err
}

// Number is the log's number of a message: what orders it.
func (a ID) Number() int64 { return a.seq() }

// FromNumber is the least id of a number of the log.
func FromNumber(n int64) ID { return makeID(n, 0) }

// Unsaid are texts of an organisation that were not said yet, in their order,
// behind one.
func (s *Store) Unsaid(ctx context.Context, org feature.Org, afterID int64, afterN, limit int) (out []Said, err error) {
	if err = s.db.Query(ctx, org, "say-list", func(r *db.Row) error {
		x := Said{Org: feature.Org(r.Int(0)), ID: r.Int(1), N: int(r.Int(2)), Account: r.Text(3), At: r.Time(4)}
		err := json.Unmarshal(r.View(5), &x.Words)
		out = append(out, x)
		return err
	}, org, afterID, afterID, afterN, limit); err != nil {
		return nil, fmt.Errorf("texts to be said: %w", err)
	}
	return out, nil
}

// MarkSaid takes texts off the list of what is to be said.
func (s *Store) MarkSaid(ctx context.Context, list []Said) error {
	if len(list) == 0 {
		return nil
	}
	if err := s.db.Write(ctx, list[0].Org, func(tx *db.Tx) error {
		for _, x := range list {
			if _, err := tx.Exec("say-delete", x.Org, x.ID, x.N); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("mark %d texts as said: %w", len(list), err)
	}
	return nil
}

// TalkCount says how many talks of a wave are in a phase.
type TalkCount struct {
	Wave     int64
	Phase    TalkPhase
	Talks    int
	Answered int // of them with at least one answer
}

// TalkCounts counts the talks of a campaign.
func (s *Store) TalkCounts(ctx context.Context, org feature.Org, campaign int64) (out []TalkCount, err error) {
	if err = s.db.Query(ctx, org, "talk-counts", func(r *db.Row) error {
		out = append(out, TalkCount{r.Int(0), TalkPhase(r.Int(1)), int(r.Int(2)), int(r.Int(3))})
		return nil
	}, org, campaign); err != nil {
		return nil, fmt.Errorf("talks of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// unlinkStep is how many talks go in one transaction.
const unlinkStep = 100

// Unlink deletes the talks of a campaign with their links and devices, in short
// steps: what an anonymous campaign's pseudonyms could be traced by is gone. It
// may be called again. It returns how many talks went.
func (s *Store) Unlink(ctx context.Context, org feature.Org, campaign int64) (n int, err error) {
	for more := true; more; {
		step := 0
		if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
			var ids []any
			if err := tx.Query("talk-some", func(r *db.Row) error {
				ids = append(ids, r.Int(0))
				return nil
			}, org, campaign, unlinkStep); err != nil {
				return err
			}
			step, more = len(ids), len(ids) == unlinkStep
			for _, name := range []string{"device-of-talks", "link-of-talks", "talk-delete"} {
				if _, err := tx.ExecList(name, []any{org}, ids); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return n, fmt.Errorf("unlink campaign %d: %w", campaign, err)
		}
		n += step
	}
	return n, nil
}
