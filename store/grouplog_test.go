package store_test

import (
	"fmt"
	"testing"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// TestGroupLogStaysShort: the log of edits forgets the oldest, also where
// accounts that come and go are all that happens.
func TestGroupLogStaysShort(t *testing.T) {
	ctx, st := t.Context(), storetest.Open(t)
	org, err := st.AddOrg(ctx, "hug.example")
	if err != nil {
		t.Fatal(err)
	}
	id, err := st.AddGroup(ctx, org, 0, store.GroupRow{Name: "all", Kind: store.GroupEveryone})
	if err != nil {
		t.Fatal(err)
	}
	const kept, every = 16384, 1024
	many := make([]store.GroupPerson, kept+every/2)
	for i := range many {
		many[i] = store.GroupPerson{Account: store.AccountID(1_000_000 + i)}
	}
	if err := st.LeaveGroup(ctx, org, id, id, many); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if n := storetest.Count(t, st, "grp_log"); n < kept || n > kept+every {
			t.Errorf("the log has %d edits, want %d to %d", n, kept, kept+every)
		}
	}
	check()
	for i := range every {
		if _, err := st.CreateAccount(ctx, org, fmt.Sprintf("c%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	check()
	for i := range every {
		if err := st.DeleteAccount(ctx, org, fmt.Sprintf("c%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	check()
	if state, err := st.Groups(ctx, org); err != nil || uint64(len(state.Log)) != state.Version-state.Since {
		t.Errorf("%d edits from %d to %d are told: %v", len(state.Log), state.Since, state.Version, err)
	}
}
