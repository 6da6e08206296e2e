package node_test

import (
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// eventually waits for a condition: the two polls of a second each that it may
// take, and as long as a machine that has much else to do needs.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 600 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the other node has not learnt of " + what)
}

// Two nodes on one database: what one changes, the other applies.
func TestVersionsOfTwoNodes(t *testing.T) {
	ctx := t.Context()
	url, err := storetest.MariaDB(t).Create(ctx, "shared")
	if err != nil {
		t.Fatal(err)
	}
	one, two := config(t), config(t)
	one.DB.URL, two.DB.URL = url, url
	a := start(t, one)
	defer stop(t, a)
	do(t, one, "org.add", node.Organisation{Domain: "a.example"}, nil)
	do(t, one, "user.add", node.User{JID: "anna@a.example", Password: "x"}, nil)
	do(t, one, "group.add", node.Group{Group: "team@a.example"}, nil)
	org, ok := orgOf(t, a, "a.example")
	if !ok {
		t.Fatal("no organisation")
	}
	b := start(t, two)
	defer stop(t, b)

	carbons := func(n *node.Node, org feature.Org) bool {
		id, ok := n.Board.Lookup("carbons")
		return ok && n.Board.On(id, org)
	}
	if !carbons(b, org) {
		t.Fatal("carbons are off")
	}
	version, err := a.Store.SetLever(ctx, store.LeverRow{Name: "carbons", Scope: feature.Scope{Org: org}, Who: "test"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a lever", func() bool { return !carbons(b, org) && carbons(b, 0) })
	if _, err := a.Store.SetLever(ctx, store.LeverRow{Name: "carbons", Scope: feature.Scope{Org: org}, Who: "test", Reset: true}); err != nil {
		t.Fatal(version, err)
	}
	eventually(t, "the reset of a lever", func() bool { return carbons(b, org) })

	members := func() int {
		var info node.GroupInfo
		do(t, two, "group.info", node.Group{Group: "team@a.example"}, &info)
		return info.Members
	}
	if members() != 0 {
		t.Fatal("the group has members")
	}
	do(t, one, "group.join", node.GroupPeople{Group: "team@a.example", JIDs: []string{"anna@a.example"}}, nil)
	eventually(t, "a member of a group", func() bool { return members() == 1 })

	before := b.Store.SignInVersion()
	if err := a.Store.SetDisabled(ctx, org, "anna", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an account", func() bool { return b.Store.SignInVersion() > before })
}

func orgOf(t *testing.T, n *node.Node, domain string) (feature.Org, bool) {
	t.Helper()
	orgs, err := n.Store.Orgs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orgs {
		if o.Domain == domain {
			return o.ID, true
		}
	}
	return 0, false
}
