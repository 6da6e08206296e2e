package presence_test

import (
	"testing"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/presence"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/session"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// statements is how many the ledger has counted.
func statements(b *feature.Board) (n int64) {
	for _, row := range b.Snapshot() {
		n += row.Statements
	}
	return n
}

// TestSignInOfWhoIsThere: who has a session signs in without a statement,
// until keys have changed.
func TestSignInOfWhoIsThere(t *testing.T) {
	ctx, s := t.Context(), storetest.Open(t)
	board := s.DB().Board()
	org, err := s.AddOrg(ctx, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	key := func(salt string) []store.Key {
		return []store.Key{{Mechanism: "SCRAM-SHA-1", Iterations: 4096, Salt: []byte(salt), StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}}
	}
	if _, err := s.CreateAccount(ctx, org, "anna", key("old")); err != nil {
		t.Fatal(err)
	}
	if _, err := board.DeclareLevels(
		feature.Lever{Name: "presence", Doc: "for the test", Values: []string{"full", "off"}, Reach: feature.PerGroup},
		feature.Lever{Name: "presence.hysteresis"}, feature.Lever{Name: "presence.hold", Reach: feature.ServerOnly}); err != nil {
		t.Fatal(err)
	}
	d := presence.New(presence.Config{
		Board: board, Store: s, Rosters: roster.New(s),
		Level: board.Dial("presence"), Hysteresis: board.Dial("presence.hysteresis"), Hold: board.Dial("presence.hold"),
		Org: func(string) (feature.Org, bool) { return org, true },
	})
	anna := jid.MustParse("anna@example.org")
	signIn := func(salt string, cost int64) *presence.Account {
		t.Helper()
		before := statements(board)
		a, row, err := d.SignIn(ctx, anna)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(row.Keys[0].Salt); got != salt {
			t.Errorf("salt %q, want %q", got, salt)
		}
		if got := statements(board) - before; got != cost {
			t.Errorf("%d statements, want %d", got, cost)
		}
		return a
	}
	a := signIn("old", 1)
	signIn("old", 1).Release() // nobody has a session: the row is read each time
	full, err := anna.WithResource("phone")
	if err != nil {
		t.Fatal(err)
	}
	one := session.New(&session.Host{Board: board}, nil, full)
	d.Bind(a, one)
	signIn("old", 0).Release()
	if err := s.SetKeys(ctx, org, "anna", key("new")); err != nil {
		t.Fatal(err)
	}
	signIn("new", 1).Release()
	signIn("new", 0).Release()
	if err := s.SetDisabled(ctx, org, "anna", true); err != nil {
		t.Fatal(err)
	}
	b, row, err := d.SignIn(ctx, anna)
	if err != nil || !row.Disabled {
		t.Fatalf("disabled: %v, %v", row, err)
	}
	b.Release()
	d.Unbind(a, one, false)
	signIn("new", 1).Release()
}

// TestRosterComesWithSignIn: a full sign-in of somebody with contacts and blocks
// is one statement, presence included.
func TestRosterComesWithSignIn(t *testing.T) {
	st, h, d, org := openTown(t)
	w := populate(t, st, h, d, org, "s", 3)
	w.befriend(w.people[0], w.people[1])
	w.befriend(w.people[0], w.people[2])
	blocker, err := d.Account(t.Context(), w.people[0].jid)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Block(t.Context(), org, blocker.ID, []string{"eve@hug.example", "spam.example"}); err != nil {
		t.Fatal(err)
	}
	blocker.Release()
	board := st.DB().Board()
	before := statements(board)
	fresh := presence.New(d.Config) // as after a restart
	t.Cleanup(fresh.Close)
	a, _, err := fresh.SignIn(t.Context(), w.people[0].jid)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	w.d = fresh
	w.bind(w.people[0], "desk")
	w.say(w.people[0].resources[0], 1)
	ro, err := a.Roster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Rosters.Close(ro)
	if n := ro.Len(); n != 2 {
		t.Errorf("%d contacts", n)
	}
	if list := a.Blocked.Load(); list == nil || len(*list) != 2 || !a.Blocks(jid.MustParse("eve@hug.example/x")) {
		t.Errorf("blocks %v", list)
	}
	if got := statements(board) - before; got != 1 {
		t.Errorf("%d statements, want 1", got)
	}
	w.unbind(w.people[0], 0)
}
