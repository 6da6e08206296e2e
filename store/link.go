package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// LinkKind says what a link is for. The number stands in rows.
type LinkKind uint8

// LinkTalk opens a talk (decision 16).
const LinkTalk LinkKind = 1

// Link is a token that was sent to somebody. The token itself is nowhere here.
type Link struct {
	Org      feature.Org
	ID       int64
	Kind     LinkKind
	Talk     int64
	Campaign int64
	Person   int64
	Email    string // to which it was sent, and to which codes go
	Expires  time.Time
	Revoked  time.Time // zero: not
	Uses     int64
	Used     time.Time
}

// Device is a browser that has exchanged a link for a cookie.
type Device struct {
	Org       feature.Org
	ID        int64
	Link      int64
	Talk      int64
	Since     int64 // number of the log before which it is shown nothing; 0: it is shown all
	Made      time.Time
	Used      time.Time
	Expires   time.Time
	CodeUntil time.Time // a code that was mailed is good until then
	CodeAt    time.Time // when the last one was asked for
	Tries     int       // wrong codes since

	code []byte
}

// hashOf is how tokens, cookies and codes are kept: they are random or short
// lived, so one round does.
func hashOf(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

// AddLinks keeps links; token i is of link i and of 16 random bytes at least.
func (s *Store) AddLinks(ctx context.Context, org feature.Org, links []Link, tokens [][]byte) error {
	if len(links) != len(tokens) {
		return errors.New("add links: as many tokens as links are wanted")
	}
	args := make([]any, 0, 9*len(links))
	for i := range links {
		l := &links[i]
		if len(tokens[i]) < 16 {
			return errors.New("add links: a token has 16 bytes at least")
		}
		if l.ID == 0 {
			l.ID = s.NewID()
		}
		l.Org = org
		args = append(args, org, l.ID, hashOf(tokens[i]), uint8(l.Kind), l.Talk, l.Campaign, l.Person, l.Email, micros(l.Expires))
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.ExecRows("link-insert", args)
		return err
	}); err != nil {
		return fmt.Errorf("add %d links: %w", len(links), err)
	}
	return nil
}

// LinkOf finds the link of a token, of whichever organisation it is. ErrNotFound.
func (s *Store) LinkOf(ctx context.Context, token []byte) (*Link, error) {
	return s.link(ctx, 0, "link-by-hash", hashOf(token))
}

// Link reads one. ErrNotFound.
func (s *Store) Link(ctx context.Context, org feature.Org, id int64) (*Link, error) {
	return s.link(ctx, org, "link-get", org, id)
}

func (s *Store) link(ctx context.Context, org feature.Org, name string, args ...any) (l *Link, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		l = &Link{feature.Org(r.Int(0)), r.Int(1), LinkKind(r.Int(2)), r.Int(3), r.Int(4), r.Int(5), r.Text(6), r.Time(7), r.Time(8), r.Int(9), r.Time(10)}
		return nil
	}, args...); err == nil && l == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	return l, nil
}

// RevokeLinks makes the links to a talk useless, and the devices that came by
// them.
func (s *Store) RevokeLinks(ctx context.Context, org feature.Org, talk int64, at time.Time) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if _, err := tx.Exec("link-revoke", at, org, talk); err != nil {
			return err
		}
		_, err := tx.Exec("device-of-talk", org, talk)
		return err
	}); err != nil {
		return fmt.Errorf("revoke links: %w", err)
	}
	return nil
}

// maxDevices bounds the devices of a talk: the one that was not used for
// longest goes.
const maxDevices = 20

// AddDevice keeps a device that has exchanged a link, found by its cookie. The
// first of a talk is shown everything; a further one nothing before d.Since.
func (s *Store) AddDevice(ctx context.Context, d *Device, cookie []byte) error {
	if d.ID == 0 {
		d.ID = s.NewID()
	}
	since := d.Since
	if err := s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		n := int64(0)
		if err := tx.Query("device-count", func(r *db.Row) error {
			n = r.Int(0)
			return nil
		}, d.Org, d.Talk); err != nil {
			return err
		}
		if d.Since = since; n == 0 {
			d.Since = 0
		}
		if n >= maxDevices {
			if err := dropOldest(tx, d); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("link-use", micros(d.Made), d.Org, d.Link); err != nil {
			return err
		}
		_, err := tx.Exec("device-insert", d.Org, d.ID, hashOf(cookie), d.Link, d.Talk, d.Since, micros(d.Made), micros(d.Made), micros(d.Expires))
		return err
	}); err != nil {
		return fmt.Errorf("add device: %w", err)
	}
	return nil
}

func dropOldest(tx *db.Tx, d *Device) error {
	var oldest []any
	if err := tx.Query("device-oldest", func(r *db.Row) error {
		oldest = append(oldest, r.Int(0))
		return nil
	}, d.Org, d.Talk); err != nil {
		return err
	}
	_, err := tx.ExecList("device-delete", []any{d.Org}, oldest)
	return err
}

// DeviceOf finds the device of a cookie. ErrNotFound.
func (s *Store) DeviceOf(ctx context.Context, cookie []byte) (d *Device, err error) {
	if err = s.db.Query(ctx, 0, "device-by-hash", func(r *db.Row) error {
		d = &Device{Org: feature.Org(r.Int(0)), ID: r.Int(1), Link: r.Int(2), Talk: r.Int(3), Since: r.Int(4), Made: r.Time(5), Used: r.Time(6),
			Expires: r.Time(7), code: r.Bytes(8), CodeUntil: r.Time(9), CodeAt: r.Time(10), Tries: int(r.Int(11))}
		return nil
	}, hashOf(cookie)); err == nil && d == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	return d, nil
}

// UseDevice notes that a device was used, and by which link.
func (s *Store) UseDevice(ctx context.Context, d *Device, at time.Time) error {
	if err := s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("device-use", micros(at), d.Link, d.Org, d.ID)
		return err
	}); err != nil {
		return fmt.Errorf("use device: %w", err)
	}
	return nil
}

// SetCode keeps the code that was mailed for a device.
func (s *Store) SetCode(ctx context.Context, d *Device, code string, at, until time.Time) error {
	if err := s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("device-code", codeHash(d, code), until, at, d.Org, d.ID)
		return err
	}); err != nil {
		return fmt.Errorf("set code: %w", err)
	}
	return nil
}

// codeHash is of the device too: the same code of two devices looks different.
func codeHash(d *Device, code string) []byte { return hashOf(fmt.Appendf(nil, "%d %s", d.ID, code)) }

// ErrTries means that a code was guessed at too often: a new one is needed.
var ErrTries = errors.New("too many wrong codes")

// TryCode opens earlier messages to a device that gives the code that was
// mailed; right is false when it is not that one or too old. Each try counts;
// after most of them ErrTries.
func (s *Store) TryCode(ctx context.Context, d *Device, code string, now time.Time, most int) (right bool, err error) {
	err = s.db.Write(ctx, d.Org, func(tx *db.Tx) error {
		right = false
		n, err := tx.Exec("device-try", d.Org, d.ID, most)
		if err == nil && n == 0 {
			err = ErrTries
		}
		if err != nil {
			return err
		}
		right = len(d.code) > 0 && now.Before(d.CodeUntil) && subtle.ConstantTimeCompare(d.code, codeHash(d, code)) == 1
		if right {
			_, err = tx.Exec("device-open", d.Org, d.ID)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("try code: %w", err)
	}
	return right, nil
}
