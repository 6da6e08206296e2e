package store_test

import (
	"context"
	"testing"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

func TestStatements(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s := open(t)
		if err := s.DB().Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
