package store

import (
	"context"
	"fmt"

	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
)

// SearchAccounts lists names that begin with text, or with inside contain it,
// in the order of bytes, limit at most. Accounts that may not sign in are not
// found.
func (s *Store) SearchAccounts(ctx context.Context, org feature.Org, text string, inside bool, limit int) (out []string, err error) {
	name, args := "account-search", []any{org, []byte(text), append([]byte(text), 0xff), limit}
	if inside {
		name, args = "account-search-inside", []any{org, []byte(text), limit}
	}
	if err = s.db.Query(ctx, org, name, func(r *db.Row) error {
		out = append(out, r.Text(0))
		return nil
	}, args...); err != nil {
		return nil, fmt.Errorf("search accounts: %w", err)
	}
	return out, nil
}
