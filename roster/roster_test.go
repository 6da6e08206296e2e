package roster_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/roster"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

type shelf struct {
	store *store.Store
	org   feature.Org
}

func newShelf(t *testing.T) shelf {
	t.Helper()
	s := shelf{store: storetest.Open(t)}
	var err error
	if s.org, err = s.store.AddOrg(t.Context(), "hug.example"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s shelf) account(tb interface{ Fatal(...any) }, t *testing.T, name string) store.AccountID {
	id, err := s.store.CreateAccount(t.Context(), s.org, name, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func contact(n int) jid.JID { return jid.MustParse(fmt.Sprintf("c%d@hug.example", n)) }

// TestVersions: a client that remembers any version and applies what Since
// tells has the roster as it is; also after the roster was closed and read
// again.
func TestVersions(t *testing.T) {
	s := newShelf(t)
	ctx, run := t.Context(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		id := s.account(rt, t, fmt.Sprintf("ada%d", run))
		rosters := roster.New(s.store)
		ro, err := rosters.Open(ctx, s.org, id, 0)
		if err != nil {
			rt.Fatal(err)
		}
		type client struct {
			version uint64
			items   map[jid.JID]roster.Item
		}
		shown := func() client {
			c := client{items: map[jid.JID]roster.Item{}}
			items, version := ro.Items()
			for _, it := range items {
				if it.Listed {
					c.items[it.JID] = *it
				}
			}
			c.version = version
			return c
		}
		clients := []client{shown()}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			who := contact(rapid.IntRange(0, 3).Draw(rt, "who"))
			before := ro.Version()
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				clients = append(clients, shown())
			case 1:
				rosters.Close(ro)
				if ro, err = rosters.Open(ctx, s.org, id, before); err != nil {
					rt.Fatal(err)
				}
				if ro.Version() != before {
					rt.Fatalf("version %d became %d", before, ro.Version())
				}
			case 2:
				_, changed, err := ro.Update(ctx, who, func(it *roster.Item) bool {
					*it = roster.Item{JID: who}
					return true
				})
				if err != nil || !changed && ro.Version() != before {
					rt.Fatal(changed, err)
				}
			case 3: // a request that is not shown
				_, _, err := ro.Update(ctx, who, func(it *roster.Item) bool {
					it.In, it.Request = true, []byte("<presence type='subscribe'/>")
					return true
				})
				if err != nil {
					rt.Fatal(err)
				}
			default:
				name := rapid.StringMatching(`[a-z]{0,3}`).Draw(rt, "name")
				ch, changed, err := ro.Update(ctx, who, func(it *roster.Item) bool {
					it.Name, it.Listed = name, true
					it.Groups = []string{"G" + name}
					it.Sub = roster.Subscription(len(name)) & roster.Both
					return true
				})
				if err != nil || !changed || ch.Version <= before || ch.Version != ro.Version() {
					rt.Fatalf("%+v %v %v, version was %d", ch, changed, err, before)
				}
			}
			now := shown()
			for i := range clients {
				c := &clients[i]
				changes, full, err := ro.Since(ctx, c.version)
				if err != nil {
					rt.Fatal(err)
				}
				if full {
					*c = shown()
					continue
				}
				last := c.version
				for _, ch := range changes {
					if ch.Version <= last {
						rt.Fatalf("version %d after %d", ch.Version, last)
					}
					last = ch.Version
					if ch.Removed {
						delete(c.items, ch.Item.JID)
					} else {
						c.items[ch.Item.JID] = ch.Item
					}
				}
				c.version = max(last, now.version)
				if len(c.items) != len(now.items) {
					rt.Fatalf("the client has %d items of %d", len(c.items), len(now.items))
				}
				for j, it := range now.items {
					have := c.items[j]
					if !have.LooksLike(&it) {
						rt.Fatalf("the client has %+v, it is %+v", have, it)
					}
				}
			}
		}
		rosters.Close(ro)
	})
}

// TestUpdateAtOnce: changes of one roster do not undo one another, nor are
// two copies of it ever open.
func TestUpdateAtOnce(t *testing.T) {
	s := newShelf(t)
	ctx, id := t.Context(), s.account(t, t, "ada")
	rosters := roster.New(s.store)
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				ro, err := rosters.Open(ctx, s.org, id, 1)
				if err != nil {
					t.Error(err)
					return
				}
				_, _, err = ro.Update(ctx, contact(0), func(it *roster.Item) bool {
					it.Listed, it.Groups = true, append(it.Groups, fmt.Sprint(len(it.Groups)))
					return true
				})
				if err != nil {
					t.Error(err)
				}
				rosters.Close(ro)
			}
		})
	}
	wg.Wait()
	ro, err := rosters.Open(ctx, s.org, id, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rosters.Close(ro)
	if it, _ := ro.Get(contact(0)); len(it.Groups) != workers*each {
		t.Errorf("%d of %d changes are left", len(it.Groups), workers*each)
	}
}

// TestFailedUpdate: a change that could not be written is not seen.
func TestFailedUpdate(t *testing.T) {
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + t.TempDir() + "/house.db"})
	if err != nil {
		t.Fatal(err)
	}
	org, err := st.AddOrg(t.Context(), "hug.example")
	if err != nil {
		t.Fatal(err)
	}
	id, err := st.CreateAccount(t.Context(), org, "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	rosters := roster.New(st)
	ro, err := rosters.Open(t.Context(), org, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rosters.Close(ro)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, changed, err := ro.Update(t.Context(), contact(0), func(it *roster.Item) bool { it.Listed = true; return true })
	if err == nil || changed || ro.Len() != 0 || ro.Version() != 0 {
		t.Errorf("%v, %v, %d items", changed, err, ro.Len())
	}
	if _, err := rosters.Open(t.Context(), org, id+1, 1); err == nil {
		t.Error("a roster that cannot be read is open")
	}
	if errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// TestRosterBytes: the bytes of a roster follow every change, and are the same
// when it is read again.
func TestRosterBytes(t *testing.T) {
	s := newShelf(t)
	s.account(t, t, "c0")
	ids, err := s.store.AccountIDs(t.Context(), s.org, []string{"c0"})
	if err != nil {
		t.Fatal(err)
	}
	open := func() (*roster.Rosters, *roster.Roster) {
		rosters := roster.New(s.store)
		ro, err := rosters.Open(t.Context(), s.org, ids["c0"], 1)
		if err != nil {
			t.Fatal(err)
		}
		return rosters, ro
	}
	rosters, ro := open()
	defer rosters.Close(ro)
	for i, step := range []struct {
		contact int
		edit    func(*roster.Item) bool
		bytes   int // besides the address, hug.example and the overhead of an item
		items   int
	}{
		{1, func(it *roster.Item) bool { it.Listed, it.Name = true, "Bea"; return true }, 3, 1},
		{2, func(it *roster.Item) bool { it.Listed, it.Groups = true, []string{"x", "yy"}; return true }, 3 + 3 + 32, 2},
		{1, func(it *roster.Item) bool { it.Name = ""; return true }, 3 + 32, 2},
		{3, func(it *roster.Item) bool { it.In, it.Request = true, []byte("<presence/>"); return true }, 3 + 32, 2},
		{2, func(it *roster.Item) bool { it.Listed = false; return true }, 0, 1},
	} {
		if _, _, err := ro.Update(t.Context(), contact(step.contact), step.edit); err != nil {
			t.Fatal(err)
		}
		want := step.bytes + step.items*(2+11+16)
		others, again := open()
		if ro.Bytes() != want || again.Bytes() != want {
			t.Errorf("step %d: %d bytes, read again %d, want %d", i, ro.Bytes(), again.Bytes(), want)
		}
		others.Close(again)
	}
}

// TestItemXML: what clients see of an item.
func TestItemXML(t *testing.T) {
	for _, c := range []struct {
		change roster.Change
		want   string
	}{
		{roster.Change{Item: roster.Item{JID: contact(1), Listed: true}}, `<item jid='c1@hug.example' subscription='none'/>`},
		{
			roster.Change{Item: roster.Item{JID: contact(1), Name: "<&'", Sub: roster.Both, Ask: true, Approved: true, Groups: []string{"a", "b&"}}},
			`<item jid='c1@hug.example' name='&lt;&amp;&apos;' subscription='both' ask='subscribe' approved='true'><group>a</group><group>b&amp;</group></item>`,
		},
		{roster.Change{Item: roster.Item{JID: contact(1), Name: "x"}, Removed: true}, `<item jid='c1@hug.example' subscription='remove'/>`},
	} {
		x := new(stanza.XML)
		c.change.AppendXML(x)
		if got := string(x.Bytes()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if !slices.Equal([]bool{roster.To.Sees(), roster.To.Seen(), roster.From.Sees(), roster.From.Seen()}, []bool{true, false, false, true}) {
		t.Error("to and from are the wrong way round")
	}
}
