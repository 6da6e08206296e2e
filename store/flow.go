package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// FlowVersion is a version of a flow's document, as it was published. It is
// never changed.
type FlowVersion struct {
	Flow    int64 // the flow's number: that of its name
	Version int64 // from 1
	Name    string
	Hash    string // of package flow
	Maker   string
	At      time.Time
	Text    []byte // not in lists
}

// PublishFlow keeps a document as the next version of the flow with that name
// and sets f.Flow and f.Version. The same document as the last version stays
// that version; fresh says whether there is a new one.
func (s *Store) PublishFlow(ctx context.Context, org feature.Org, f *FlowVersion) (fresh bool, err error) {
	if f.Name == "" || len(f.Name) > 64 {
		return false, fmt.Errorf("publish flow %q: a name has 1 to 64 bytes", f.Name)
	}
	f.At = time.Now().Truncate(time.Microsecond)
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		fresh, f.Flow, f.Version = false, 0, 0
		if err := lock(tx, fmt.Sprintf("flow-%d", org)); err != nil {
			return err
		}
		if err := tx.Query("flow-named", func(r *db.Row) error {
			f.Flow = r.Int(0)
			return nil
		}, org, f.Name); err != nil {
			return err
		}
		hash := ""
		if f.Flow == 0 {
			f.Flow = int64(s.ids.next())
		} else if err := tx.Query("flow-top", func(r *db.Row) error {
			f.Version, hash = r.Int(0), r.Text(1)
			return nil
		}, org, f.Flow); err != nil {
			return err
		}
		if f.Version > 0 && hash == f.Hash {
			return nil
		}
		f.Version++
		fresh = true
		_, err := tx.Exec("flow-insert", org, f.Flow, f.Version, f.Name, f.Hash, clip(f.Maker, 320), f.At, f.Text)
		return err
	}); err != nil {
		return false, fmt.Errorf("publish flow %s: %w", f.Name, err)
	}
	return fresh, nil
}

// Flow reads a version. ErrNotFound.
func (s *Store) Flow(ctx context.Context, org feature.Org, id, version int64) (f *FlowVersion, err error) {
	if err = s.db.Query(ctx, org, "flow-get", func(r *db.Row) error {
		f = flowRow(r)
		f.Text = r.Bytes(6)
		return nil
	}, org, id, version); err == nil && f == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("flow %d, version %d: %w", id, version, err)
	}
	return f, nil
}

func flowRow(r *db.Row) *FlowVersion {
	return &FlowVersion{Flow: r.Int(0), Version: r.Int(1), Name: r.Text(2), Hash: r.Text(3), Maker: r.Text(4), At: r.Time(5)}
}

// Flows are the versions behind one, by flow and version.
func (s *Store) Flows(ctx context.Context, org feature.Org, flow, version int64, limit int) (out []*FlowVersion, err error) {
	if err = s.db.Query(ctx, org, "flow-page", func(r *db.Row) error {
		out = append(out, flowRow(r))
		return nil
	}, org, flow, flow, version, limit); err != nil {
		return nil, fmt.Errorf("flows: %w", err)
	}
	return out, nil
}

// RegisterKey names what has been shown of a question of a wave.
type RegisterKey struct {
	Campaign, Wave int64
	Question       string
}

// Register reads what has been shown, as package insight wrote it, and its
// version; nil and 0 when nothing was.
func (s *Store) Register(ctx context.Context, org feature.Org, k RegisterKey) (text []byte, version int64, err error) {
	if err = s.db.Query(ctx, org, "register-get", func(r *db.Row) error {
		version, text = r.Int(0), r.Bytes(1)
		return nil
	}, org, k.Campaign, k.Wave, k.Question); err != nil {
		return nil, 0, fmt.Errorf("register of %s: %w", k.Question, err)
	}
	return text, version, nil
}

// SetRegister keeps what is about to be shown, if the version is the one that
// was read. ErrMoved: read again, ask again.
func (s *Store) SetRegister(ctx context.Context, org feature.Org, k RegisterKey, text []byte, version int64) error {
	err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if version == 0 {
			_, err := tx.Exec("register-insert", org, k.Campaign, k.Wave, k.Question, text)
			return err
		}
		n, err := tx.Exec("register-change", text, org, k.Campaign, k.Wave, k.Question, version)
		if err == nil && n == 0 {
			err = ErrMoved
		}
		return err
	})
	if errors.Is(err, db.ErrDuplicate) {
		err = ErrMoved
	}
	if err != nil {
		return fmt.Errorf("register of %s: %w", k.Question, err)
	}
	return nil
}
