package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// ErrMoved means that somebody else was faster: read again, decide again.
var ErrMoved = errors.New("somebody else has changed it meanwhile")

// CampaignState says where a campaign stands. The numbers stand in rows.
type CampaignState uint8

// States of a campaign.
const (
	CampaignDraft     CampaignState = iota + 1
	CampaignScheduled               // launched, its first wave is to come
	CampaignRunning
	CampaignPaused
	CampaignStopped // for good
	CampaignDone
)

// String is the word that people use.
func (s CampaignState) String() string {
	return [...]string{"", "draft", "scheduled", "running", "paused", "stopped", "done"}[min(s, CampaignDone)]
}

// Tokens are what is in a bucket: millionths, as they were at an instant. The
// zero value was never filled.
type Tokens struct {
	Millionths int64
	At         time.Time
}

// Campaign is a row. Settings are outreach's, as JSON.
type Campaign struct {
	Org         feature.Org
	ID          int64
	Name        string
	Kind        string // of calendar.Kind
	State       CampaignState
	Anonymous   bool // told before the first question, never changed
	Flow        int64
	FlowVersion int64
	Audience    int64 // 0: everybody
	Weight      int   // thousandths of a share against other campaigns
	Tokens      Tokens
	LastWave    int64     // the last one that was opened
	Launched    time.Time // zero: never
	Version     int64
	At          time.Time
	Settings    []byte
}

// WaveState says where a wave stands. The numbers stand in rows.
type WaveState uint8

// States of a wave.
const (
	WavePlanning WaveState = iota + 1 // people up to Upto have their row
	WaveOpen
	WaveDone
	WaveSkipped // nobody was invited, Why says why not
)

// String is the word that people use.
func (s WaveState) String() string {
	return [...]string{"", "planning", "open", "done", "skipped"}[min(s, WaveSkipped)]
}

// Wave is one occurrence of a campaign. Its number is its moment, local to each
// person, read as UTC, in microseconds: the same in every process.
type Wave struct {
	Campaign, Wave int64
	State          WaveState
	Upto           int64 // the last person who was looked at
	People         int   // who have a row
	Why            string
	At             time.Time // when it was opened
}

// AddCampaign keeps a new campaign as a draft and gives its number. ErrExists
// when the name is taken.
func (s *Store) AddCampaign(ctx context.Context, c *Campaign, at time.Time) (id int64, err error) {
	if c.Name == "" || len(c.Name) > 190 {
		return 0, fmt.Errorf("add campaign %q: a name has 1 to 190 bytes", c.Name)
	}
	if len(c.Settings) > maxSettings {
		return 0, fmt.Errorf("add campaign %s: its settings have more than %d bytes", c.Name, maxSettings)
	}
	id = int64(s.ids.next())
	err = s.db.Write(ctx, c.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("campaign-insert", c.Org, id, c.Name, c.Kind, uint8(CampaignDraft), c.Anonymous, c.Flow, c.FlowVersion,
			c.Audience, c.Weight, at, c.Settings)
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return 0, fmt.Errorf("add campaign %s: %w", c.Name, err)
	}
	return id, nil
}

const maxSettings = 4 << 20 // bytes

func campaignRow(r *db.Row) *Campaign {
	return &Campaign{
		Org: feature.Org(r.Int(0)), ID: r.Int(1), Name: r.Text(2), Kind: r.Text(3), State: CampaignState(r.Int(4)), Anonymous: r.Bool(5),
		Flow: r.Int(6), FlowVersion: r.Int(7), Audience: r.Int(8), Weight: int(r.Int(9)), Tokens: Tokens{r.Int(10), r.Time(11)},
		LastWave: r.Int(12), Launched: r.Time(13), Version: r.Int(14), At: r.Time(15), Settings: r.Bytes(16),
	}
}

// Campaign reads one. ErrNotFound.
func (s *Store) Campaign(ctx context.Context, org feature.Org, id int64) (c *Campaign, err error) {
	if err = s.db.Query(ctx, org, "campaign-get", func(r *db.Row) error {
		c = campaignRow(r)
		return nil
	}, org, id); err == nil && c == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("campaign %d: %w", id, err)
	}
	return c, nil
}

// CampaignNamed finds a campaign by its name. ErrNotFound.
func (s *Store) CampaignNamed(ctx context.Context, org feature.Org, name string) (id int64, err error) {
	if err = s.db.Query(ctx, org, "campaign-named", func(r *db.Row) error {
		id = r.Int(0)
		return nil
	}, org, name); err == nil && id == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("campaign %q: %w", name, err)
	}
	return id, nil
}

// Campaigns are those of an organisation after a number, in the order of making.
func (s *Store) Campaigns(ctx context.Context, org feature.Org, after int64, limit int) (out []*Campaign, err error) {
	if err = s.db.Query(ctx, org, "campaign-page", func(r *db.Row) error {
		out = append(out, campaignRow(r))
		return nil
	}, org, after, limit); err != nil {
		return nil, fmt.Errorf("campaigns: %w", err)
	}
	return out, nil
}

// ActiveCampaigns are those of all organisations that were launched and are
// not done, without their settings and names: one statement.
func (s *Store) ActiveCampaigns(ctx context.Context) (out []*Campaign, err error) {
	if err = s.db.Query(ctx, 0, "campaign-active", func(r *db.Row) error {
		out = append(out, &Campaign{Org: feature.Org(r.Int(0)), ID: r.Int(1), State: CampaignState(r.Int(2)), Version: r.Int(3),
			Tokens: Tokens{r.Int(4), r.Time(5)}, LastWave: r.Int(6), Launched: r.Time(7)})
		return nil
	}); err != nil {
		return nil, fmt.Errorf("active campaigns: %w", err)
	}
	return out, nil
}

// ChangeCampaign keeps name, flow, audience, weight and settings of a campaign
// that is at the version that c has. ErrMoved when it is not.
func (s *Store) ChangeCampaign(ctx context.Context, c *Campaign) error {
	if c.Name == "" || len(c.Name) > 190 || len(c.Settings) > maxSettings {
		return fmt.Errorf("change campaign %q: a name has 1 to 190 bytes, settings have at most %d", c.Name, maxSettings)
	}
	err := s.db.Write(ctx, c.Org, func(tx *db.Tx) error {
		n, err := tx.Exec("campaign-change", c.Name, c.Flow, c.FlowVersion, c.Audience, c.Weight, c.Settings, c.Org, c.ID, c.Version)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("change campaign %s: %w", c.Name, err)
	}
	return nil
}

// MoveCampaign brings a campaign from one of some states to another. ErrMoved
// when it is in none of them. What was claimed but not handed is planned again
// when it does not run any more: nothing is handed after that.
func (s *Store) MoveCampaign(ctx context.Context, org feature.Org, id int64, to CampaignState, at time.Time, from ...CampaignState) error {
	list := make([]any, len(from))
	for i, f := range from {
		list[i] = uint8(f)
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		launched := any(0)
		if to == CampaignScheduled || to == CampaignRunning {
			launched = at
		}
		n, err := tx.ExecList("campaign-move", []any{uint8(to), launched, org, id}, list)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		if err != nil || to == CampaignRunning || to == CampaignScheduled {
			return err
		}
		var ids []any
		if err := tx.Query("invitation-of-state", func(r *db.Row) error {
			ids = append(ids, r.Int(0))
			return nil
		}, org, id, uint8(Claimed), mostClaimed); err != nil {
			return err
		}
		_, err = tx.ExecList("invitation-recall", []any{org}, ids)
		return err
	}); err != nil {
		return fmt.Errorf("campaign %d to %s: %w", id, to, err)
	}
	return nil
}

// mostClaimed is more than all processes together have of a campaign.
const mostClaimed = 100_000

// OpenWave notes that a wave of a campaign has come: it is to be planned, or
// was skipped. A wave that is there stays as it is.
func (s *Store) OpenWave(ctx context.Context, org feature.Org, w *Wave) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if _, err := tx.Exec("wave-insert", org, w.Campaign, w.Wave, uint8(w.State), clipWhy(w.Why), w.At); err != nil {
			return err
		}
		_, err := tx.Exec("campaign-wave", w.Wave, org, w.Campaign, w.Wave)
		return err
	}); err != nil {
		return fmt.Errorf("open wave of campaign %d: %w", w.Campaign, err)
	}
	return nil
}

func waveRow(r *db.Row) *Wave {
	return &Wave{Campaign: r.Int(0), Wave: r.Int(1), State: WaveState(r.Int(2)), Upto: r.Int(3), People: int(r.Int(4)), Why: r.Text(5), At: r.Time(6)}
}

// Waves are those of a campaign after a number, in their order.
func (s *Store) Waves(ctx context.Context, org feature.Org, campaign, after int64, limit int) (out []*Wave, err error) {
	if err = s.db.Query(ctx, org, "wave-list", func(r *db.Row) error {
		out = append(out, waveRow(r))
		return nil
	}, org, campaign, after, limit); err != nil {
		return nil, fmt.Errorf("waves of campaign %d: %w", campaign, err)
	}
	return out, nil
}

// PlanningWave is the first wave of a campaign that is not planned to its end,
// nil when there is none.
func (s *Store) PlanningWave(ctx context.Context, org feature.Org, campaign int64) (w *Wave, err error) {
	if err = s.db.Query(ctx, org, "wave-planning", func(r *db.Row) error {
		w = waveRow(r)
		return nil
	}, org, campaign); err != nil {
		return nil, fmt.Errorf("waves of campaign %d: %w", campaign, err)
	}
	return w, nil
}

// FinishWaves marks the open waves of a campaign as done.
func (s *Store) FinishWaves(ctx context.Context, org feature.Org, campaign int64) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("wave-finish", org, campaign)
		return err
	}); err != nil {
		return fmt.Errorf("finish waves of campaign %d: %w", campaign, err)
	}
	return nil
}

// SpendTokens changes the bucket of an organisation (0: of all) by a function
// that is given what is in it. It may be called more than once.
func (s *Store) SpendTokens(ctx context.Context, org feature.Org, spend func(Tokens) Tokens) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec("bucket-lock", org)
		if err == nil && n == 0 {
			_, err = tx.Exec("bucket-begin", org)
		}
		if err != nil {
			return err
		}
		var t Tokens
		if err := tx.Query("bucket-get", func(r *db.Row) error {
			t = Tokens{r.Int(0), r.Time(1)}
			return nil
		}, org); err != nil {
			return err
		}
		if t = spend(t); t.At.IsZero() {
			return nil
		}
		_, err = tx.Exec("bucket-set", t.Millionths, t.At, org)
		return err
	}); err != nil {
		return fmt.Errorf("rate of organisation %d: %w", org, err)
	}
	return nil
}

// clipWhy cuts a reason to what its column takes.
func clipWhy(why string) string {
	const most = 500
	if len(why) <= most {
		return why
	}
	for i := most; ; i-- {
		if why[i]&0xc0 != 0x80 { // a rune begins here
			return why[:i]
		}
	}
}
