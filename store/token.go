package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// APIToken lets a program use the API. Organisation 0 is all of them.
type APIToken struct {
	Org     feature.Org
	ID      int64
	Prefix  string   // what it begins with, to know it by
	Name    string   // what it is for
	Role    string   // a word of package console
	Scopes  []string // none: all that the role may
	Maker   string   // who made it
	Made    time.Time
	Expires time.Time // zero: never
	Used    time.Time // to the minute; zero: never
}

// tokenHead is what a token begins with, so that it is known when it is found
// where it should not be.
const tokenHead = "bearhug_"

// AddToken makes a token and gives its text, which is kept nowhere.
func (s *Store) AddToken(ctx context.Context, t *APIToken) (text string, err error) {
	if t.Name == "" || len(t.Name) > 190 || len(t.Role) > 32 {
		return "", errors.New("make a token: a name has 1 to 190 bytes, a role 32")
	}
	var raw [36]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	t.Prefix = tokenHead + hex.EncodeToString(raw[:4])
	text = t.Prefix + "_" + base64.RawURLEncoding.EncodeToString(raw[4:])
	scopes, err := json.Marshal(t.Scopes)
	if err != nil {
		return "", err
	}
	t.ID, t.Made = int64(s.ids.next()), time.Now().Truncate(time.Microsecond)
	hash := sha256.Sum256([]byte(text))
	if err := s.db.Write(ctx, t.Org, func(tx *db.Tx) error {
		_, err := tx.Exec("token-insert", t.Org, t.ID, hash[:], t.Prefix, t.Name, t.Role, scopes, clip(t.Maker, 320), t.Made, micros(t.Expires))
		return err
	}); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return text, nil
}

func tokenRow(r *db.Row) (t APIToken, err error) {
	t = APIToken{Org: feature.Org(r.Int(0)), ID: r.Int(1), Prefix: r.Text(2), Name: r.Text(3), Role: r.Text(4), Maker: r.Text(6),
		Made: r.Time(7), Expires: r.Time(8), Used: r.Time(9)}
	return t, json.Unmarshal(r.View(5), &t.Scopes)
}

// Token finds who has a token. ErrNotFound, also when its time is over.
func (s *Store) Token(ctx context.Context, text string, now time.Time) (*APIToken, error) {
	if len(text) < len(tokenHead) || len(text) > 128 || text[:len(tokenHead)] != tokenHead {
		return nil, ErrNotFound
	}
	hash := sha256.Sum256([]byte(text))
	list, err := s.tokens(ctx, 0, "token-by-hash", hash[:])
	if err == nil && (len(list) == 0 || !list[0].Expires.IsZero() && !list[0].Expires.After(now)) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	t := &list[0]
	if now.Sub(t.Used) >= time.Minute {
		err = s.db.WriteBehind(ctx, t.Org, func(tx *db.Tx) error {
			_, err := tx.Exec("token-used", now, t.Org, t.ID, now)
			return err
		})
	}
	return t, err
}

// Tokens are those of an organisation behind one, in the order of making.
func (s *Store) Tokens(ctx context.Context, org feature.Org, after int64, limit int) ([]APIToken, error) {
	return s.tokens(ctx, org, "token-page", org, after, limit)
}

func (s *Store) tokens(ctx context.Context, org feature.Org, name string, args ...any) (out []APIToken, err error) {
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		t, err := tokenRow(r)
		out = append(out, t)
		return err
	}, args...); err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return out, nil
}

// DeleteToken takes a token back. ErrNotFound.
func (s *Store) DeleteToken(ctx context.Context, org feature.Org, id int64) error {
	return s.deleteOne(ctx, org, "token-delete", org, id)
}

// deleteOne runs a statement that deletes one row. ErrNotFound.
func (s *Store) deleteOne(ctx context.Context, org feature.Org, name string, args ...any) error {
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		n, err := tx.Exec(name, args...)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// OrgOf finds an organisation by its domain. ErrNotFound.
func (s *Store) OrgOf(ctx context.Context, domain string) (org feature.Org, err error) {
	if err = s.db.Query(ctx, 0, "org-by-domain", func(r *db.Row) error {
		org = feature.Org(r.Int(0))
		return nil
	}, domain); err == nil && org == 0 {
		err = ErrNotFound
	}
	return org, err
}

// RoleRow says which role an account has in the console.
type RoleRow struct {
	Account string // local part
	Role    string
	Since   time.Time
}

// SetRole gives an account a role; "" takes it away.
func (s *Store) SetRole(ctx context.Context, org feature.Org, account, role string) error {
	if len(role) > 32 {
		return errors.New("set role: a role has at most 32 bytes")
	}
	if role == "" {
		return s.deleteOne(ctx, org, "role-delete", org, account)
	}
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		if _, err := find(tx, org, account); err != nil {
			return err
		}
		_, err := tx.Exec("role-set", org, account, role, time.Now())
		return err
	}); err != nil {
		return fmt.Errorf("set role of %s: %w", account, err)
	}
	return nil
}

// Role is the role of an account, "" when it has none.
func (s *Store) Role(ctx context.Context, org feature.Org, account string) (role string, err error) {
	err = s.db.Query(ctx, org, "role-get", func(r *db.Row) error {
		role = r.Text(0)
		return nil
	}, org, account)
	return role, err
}

// Roles are those of an organisation behind an account.
func (s *Store) Roles(ctx context.Context, org feature.Org, after string, limit int) (out []RoleRow, err error) {
	if err = s.db.Query(ctx, org, "role-page", func(r *db.Row) error {
		out = append(out, RoleRow{r.Text(0), r.Text(1), r.Time(2)})
		return nil
	}, org, after, limit); err != nil {
		return nil, fmt.Errorf("roles: %w", err)
	}
	return out, nil
}

// WebSession is a person who signed in at the console.
type WebSession struct {
	Org     feature.Org
	Account string
	Role    string // as it is now
	Made    time.Time
	Used    time.Time // to the minute
	Expires time.Time
}

// AddWebSession begins a session of an account and gives the text of its
// cookie. It ends when its time is over, or the password is another one.
func (s *Store) AddWebSession(ctx context.Context, org feature.Org, account string, now, until time.Time) (cookie string, err error) {
	a, err := s.Account(ctx, org, account)
	if err != nil {
		return "", err
	}
	cookie = rand.Text() + rand.Text()
	hash, proof := sha256.Sum256([]byte(cookie)), sha256.Sum256(appendKeys(nil, a.Keys))
	if err := s.db.Write(ctx, org, func(tx *db.Tx) error {
		_, err := tx.Exec("websession-insert", hash[:], org, account, proof[:], now, now, until)
		return err
	}); err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return cookie, nil
}

// WebSession finds a session. ErrNotFound, also when it is over, the account
// is gone, disabled, has another password, or no role any more.
func (s *Store) WebSession(ctx context.Context, cookie string, now time.Time) (*WebSession, error) {
	if len(cookie) < 32 || len(cookie) > 128 {
		return nil, ErrNotFound
	}
	hash := sha256.Sum256([]byte(cookie))
	var w *WebSession
	if err := s.db.Query(ctx, 0, "websession-get", func(r *db.Row) error {
		keys, err := parseKeys(r.Bytes(6))
		if err != nil {
			return err
		}
		proof := sha256.Sum256(appendKeys(nil, keys))
		got := &WebSession{Org: feature.Org(r.Int(0)), Account: r.Text(1), Role: r.Text(8), Made: r.Time(3), Used: r.Time(4), Expires: r.Time(5)}
		if bytes.Equal(proof[:], r.View(2)) && !r.Bool(7) && got.Expires.After(now) {
			w = got
		}
		return nil
	}, hash[:]); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if w == nil {
		return nil, ErrNotFound
	}
	if now.Sub(w.Used) >= time.Minute {
		if err := s.db.WriteBehind(ctx, w.Org, func(tx *db.Tx) error {
			_, err := tx.Exec("websession-used", now, hash[:], now)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// EndWebSession ends a session; one that is not there is no error.
func (s *Store) EndWebSession(ctx context.Context, cookie string) error {
	hash := sha256.Sum256([]byte(cookie))
	return s.db.Write(ctx, 0, func(tx *db.Tx) error {
		_, err := tx.Exec("websession-delete", hash[:])
		return err
	})
}

// ThinConsole deletes sessions that are over, and answers to idempotency keys
// that are older than keep: at most so many of each. It tells how many.
func (s *Store) ThinConsole(ctx context.Context, now, keep time.Time, most int) (deleted int, err error) {
	var sessions []any
	if err := s.db.Query(ctx, 0, "websession-over", func(r *db.Row) error {
		sessions = append(sessions, r.Bytes(0))
		return nil
	}, now, most); err != nil {
		return 0, fmt.Errorf("thin sessions: %w", err)
	}
	var keys []IdemKey
	if err := s.db.Query(ctx, 0, "idem-over", func(r *db.Row) error {
		keys = append(keys, IdemKey{feature.Org(r.Int(0)), r.Text(1), r.Text(2)})
		return nil
	}, keep, most); err != nil {
		return 0, fmt.Errorf("thin idempotency keys: %w", err)
	}
	if len(sessions)+len(keys) == 0 {
		return 0, nil
	}
	if err := s.db.WriteBehind(ctx, 0, func(tx *db.Tx) error {
		if len(sessions) > 0 {
			if _, err := tx.ExecList("websession-drop", nil, sessions); err != nil {
				return err
			}
		}
		for _, k := range keys {
			if _, err := tx.Exec("idem-delete", k.Org, k.Who, k.Name); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return 0, fmt.Errorf("thin sessions and keys: %w", err)
	}
	return len(sessions) + len(keys), nil
}

// IdemKey is an idempotency key: whose it is, and its name.
type IdemKey struct {
	Org  feature.Org
	Who  string // "token 17", "account anna": at most 64 bytes
	Name string // at most 190 bytes
}

// IdemAnswer is what a request with a key was and how it was answered. Status
// 0: it is under way.
type IdemAnswer struct {
	Hash   []byte // of the request
	Status int
	Kind   string // Content-Type
	Body   []byte
	At     time.Time
}

// BeginIdem takes a key for a request. fresh is true when nobody had it; else
// before says what became of the request that has.
func (s *Store) BeginIdem(ctx context.Context, k IdemKey, hash []byte, now time.Time) (before IdemAnswer, fresh bool, err error) {
	if err = s.db.Write(ctx, k.Org, func(tx *db.Tx) error {
		n, err := tx.Exec("idem-insert", k.Org, k.Who, k.Name, hash, now)
		fresh = n > 0
		if err != nil || fresh {
			return err
		}
		return tx.Query("idem-get", func(r *db.Row) error {
			before = IdemAnswer{r.Bytes(0), int(r.Int(1)), r.Text(2), r.Bytes(3), r.Time(4)}
			return nil
		}, k.Org, k.Who, k.Name)
	}); err != nil {
		return before, false, fmt.Errorf("idempotency key: %w", err)
	}
	return before, fresh, nil
}

// EndIdem keeps the answer, or with Status 0 gives the key back.
func (s *Store) EndIdem(ctx context.Context, k IdemKey, a *IdemAnswer) error {
	if err := s.db.Write(ctx, k.Org, func(tx *db.Tx) error {
		if a.Status == 0 {
			_, err := tx.Exec("idem-delete", k.Org, k.Who, k.Name)
			return err
		}
		body := a.Body
		if body == nil {
			body = []byte{}
		}
		_, err := tx.Exec("idem-answer", a.Status, clip(a.Kind, 190), body, k.Org, k.Who, k.Name)
		return err
	}); err != nil {
		return fmt.Errorf("idempotency key: %w", err)
	}
	return nil
}
