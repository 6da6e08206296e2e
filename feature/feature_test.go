package feature_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bearhug/bearhug/feature"
	"pgregory.net/rapid"
)

func declare(t testing.TB, b *feature.Board, name string, off bool, levers ...feature.Lever) feature.ID {
	t.Helper()
	id, err := b.Declare(name, "a test", off, levers...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wait(name string) feature.Lever {
	return feature.Lever{Name: name, Doc: "how long", Unit: "ms", Default: 250, Min: 0, Max: 10000}
}

func TestSwitch(t *testing.T) {
	b := feature.NewBoard()
	on, off := declare(t, b, "carbons", false), declare(t, b, "register", true)
	always, err := b.DeclareAlways("blocking", "a test")
	if err != nil {
		t.Fatal(err)
	}
	check := func(f feature.ID, org feature.Org, want bool) {
		t.Helper()
		if got := b.On(f, org); got != want {
			t.Errorf("%s for %d: on = %v, want %v", b.Name(f), org, got, want)
		}
	}
	check(on, 0, true)
	check(on, 7, true)
	check(off, 7, false)
	check(always, 7, true)
	check(feature.Server, 7, true)
	check(999, 0, false)

	set := func(name string, org feature.Org, v int64) {
		t.Helper()
		if err := b.Set(name, feature.Scope{Org: org}, v, 0); err != nil {
			t.Fatal(err)
		}
	}
	set("carbons", 7, 0)
	check(on, 7, false)
	check(on, 8, true)
	set("carbons", 0, 0)
	check(on, 8, false)
	set("carbons", 7, 1)
	check(on, 7, true) // the organisation wins over the server
	if err := b.Reset("carbons", feature.Scope{Org: 7}, 0); err != nil {
		t.Fatal(err)
	}
	check(on, 7, false)
	if err := b.Reset("carbons", feature.Scope{}, 0); err != nil {
		t.Fatal(err)
	}
	check(on, 7, true)
}

func TestDial(t *testing.T) {
	b := feature.NewBoard()
	declare(t, b, "archive", false, wait("archive.wait"))
	d := b.Dial("archive.wait")
	if d.Int(0) != 250 || d.Int(9) != 250 || d.Unit != "ms" {
		t.Fatalf("defaults: %d %d %q", d.Int(0), d.Int(9), d.Unit)
	}
	if err := b.Set("archive.wait", feature.Scope{Org: 9}, 10, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Set("archive.wait", feature.Scope{}, 300, 0); err != nil {
		t.Fatal(err)
	}
	if d.Int(0) != 300 || d.Int(9) != 10 || d.Int(10) != 300 {
		t.Fatalf("after set: %d %d %d", d.Int(0), d.Int(9), d.Int(10))
	}
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, `"archive.wait"`) {
			t.Errorf("unknown dial: %v", r)
		}
	}()
	b.Dial("archive.wai")
}

func TestSetErrors(t *testing.T) {
	b := feature.NewBoard()
	declare(t, b, "archive", false, wait("archive.wait"))
	declare(t, b, "carbons", false)
	for _, c := range []struct {
		name  string
		value int64
		is    error
		says  string
	}{
		{"carbon", 0, feature.ErrUnknown, `did you mean "carbons"?`},
		{"archive.wiat", 1, feature.ErrUnknown, `did you mean "archive.wait"?`},
		{"zzz", 1, feature.ErrUnknown, `unknown lever "zzz"`},
		{"archive.wait", -1, feature.ErrRange, "-1 is not in 0..10000"},
		{"archive.wait", 10001, feature.ErrRange, "not in 0..10000"},
		{"carbons", 2, feature.ErrRange, "2 is not in 0..1"},
		{"server", 0, feature.ErrNoSwitch, "server is always on"},
	} {
		err := b.Set(c.name, feature.Scope{}, c.value, 0)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s = %d: %v; want %v saying %q", c.name, c.value, err, c.is, c.says)
		}
	}
	if err := b.Reset("carbon", feature.Scope{}, 0); !errors.Is(err, feature.ErrUnknown) {
		t.Errorf("reset: %v", err)
	}
}

func TestDeclareErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		levers []feature.Lever
		is     error
	}{
		{"", nil, feature.ErrBadName},
		{"Carbons", nil, feature.ErrBadName},
		{"1st", nil, feature.ErrBadName},
		{"a-", nil, feature.ErrBadName},
		{"a.b", nil, feature.ErrBadName},
		{"server", nil, feature.ErrDuplicate},
		{"x", []feature.Lever{wait("y.wait")}, feature.ErrBadName},
		{"x", []feature.Lever{wait("x.")}, feature.ErrBadName},
		{"x", []feature.Lever{wait("x.a"), wait("x.a")}, feature.ErrDuplicate},
		{"x", []feature.Lever{{Name: "x.a", Default: 3, Max: 2}}, feature.ErrBadDefault},
		{"x-ray2", []feature.Lever{wait("x-ray2.wait-more")}, nil},
	} {
		if _, err := feature.NewBoard().Declare(c.name, "", false, c.levers...); !errors.Is(err, c.is) {
			t.Errorf("%q %v: %v; want %v", c.name, c.levers, err, c.is)
		}
	}
}

func TestVersions(t *testing.T) {
	b := feature.NewBoard()
	f := declare(t, b, "carbons", false)
	calls := 0
	b.OnChange(func() { calls++ })
	step := func(org feature.Org, value int64, version uint64, want bool, wantCalls int) {
		t.Helper()
		if err := b.Set("carbons", feature.Scope{Org: org}, value, version); err != nil {
			t.Fatal(err)
		}
		if got := b.On(f, org); got != want || calls != wantCalls {
			t.Errorf("version %d: on = %v after %d calls; want %v, %d", version, got, calls, want, wantCalls)
		}
	}
	step(3, 0, 5, false, 1)
	step(3, 1, 5, false, 1) // the same version again
	step(3, 1, 4, false, 1) // old news
	step(4, 0, 4, false, 2) // versions are per organisation
	step(3, 0, 6, false, 2) // newer, but nothing changes
	if err := b.Reset("carbons", feature.Scope{Org: 3}, 6); err != nil || b.On(f, 3) {
		t.Errorf("reset with an old version applied: %v", err)
	}
	if err := b.Reset("carbons", feature.Scope{Org: 3}, 7); err != nil || !b.On(f, 3) || calls != 3 {
		t.Errorf("reset: %v, on = %v, %d calls", err, b.On(f, 3), calls)
	}
	step(3, 0, 7, true, 3) // a reset keeps its version
}

// TestModel compares the board with two maps.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := feature.NewBoard()
		lever := wait("archive.wait")
		lever.Reach = feature.PerGroup
		if _, err := b.Declare("archive", "", false, lever); err != nil {
			t.Fatal(err)
		}
		d := b.Dial("archive.wait")
		values, versions := map[feature.Scope]int64{}, map[feature.Scope]uint64{}
		scope := func(t *rapid.T) (at feature.Scope) {
			if at.Org = feature.Org(rapid.IntRange(0, 3).Draw(t, "org")); at.Org > 0 {
				at.Group = rapid.Uint64Range(0, 3).Draw(t, "group")
			}
			return at
		}
		find := func(scopes ...feature.Scope) int64 {
			for _, at := range scopes {
				if v, ok := values[at]; ok {
					return v
				}
			}
			return 250
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				at, v := scope(t), rapid.Int64Range(0, 10000).Draw(t, "value")
				ver := rapid.Uint64Range(1, 20).Draw(t, "version")
				if err := b.Set("archive.wait", at, v, ver); err != nil {
					t.Fatal(err)
				}
				if ver > versions[at] {
					values[at], versions[at] = v, ver
				}
			},
			"reset": func(t *rapid.T) {
				at := scope(t)
				ver := rapid.Uint64Range(1, 20).Draw(t, "version")
				if err := b.Reset("archive.wait", at, ver); err != nil {
					t.Fatal(err)
				}
				if ver > versions[at] {
					delete(values, at)
					versions[at] = ver
				}
			},
			"": func(t *rapid.T) {
				for org := feature.Org(0); org < 5; org++ {
					own := feature.Scope{Org: org}
					if got, want := d.Int(org), find(own, feature.Scope{}); got != want {
						t.Fatalf("org %d: %d, want %d", org, got, want)
					}
					for group := uint64(0); group < 5; group++ {
						if got, want := d.Group(org, group), find(feature.Scope{Org: org, Group: group}, own, feature.Scope{}); got != want {
							t.Fatalf("group %d of %d: %d, want %d", group, org, got, want)
						}
					}
				}
			},
		})
	})
}

func TestLedger(t *testing.T) {
	b := feature.NewBoard()
	f := declare(t, b, "carbons", false)
	a := b.Account(f, 70)
	if a.Feature() != f || a.Org() != 70 || b.Account(f, 70) != a || b.ByNumber(a.Number()) != a || b.Number(f, 70) != a.Number() {
		t.Fatal("one account per feature and organisation")
	}
	server := b.Account(feature.Server, 0)
	if server.Number() != 0 || b.ByNumber(0) != server || b.ByNumber(1<<31) != server {
		t.Error("number 0 is the server's account, and stands in for unknown numbers")
	}
	if b.Account(999, 0) != server {
		t.Error("an unknown feature is charged to the server")
	}
	if got := b.Account(f, 1<<30); got != b.Account(f, 0) {
		t.Error("an absurd organisation is charged to the feature's server account")
	}
	a.BytesOut.Add(5)
	a.Statements.Add(2)
	var found bool
	for _, r := range b.Snapshot() {
		if r.Feature == "carbons" && r.Org == 70 {
			found = r.BytesOut == 5 && r.Statements == 2
		}
	}
	if !found {
		t.Errorf("snapshot: %+v", b.Snapshot())
	}
}

// TestLedgerGrows opens accounts from many goroutines at once: nothing is
// charged to an account that is lost afterwards.
func TestLedgerGrows(t *testing.T) {
	b := feature.NewBoard()
	var ids []feature.ID
	for i := range 10 {
		ids = append(ids, declare(t, b, fmt.Sprintf("f%d", i), false))
	}
	const workers, orgs = 8, 300
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for org := range feature.Org(orgs) {
				for _, f := range ids {
					b.Account(f, org*3).Calls.Add(1)
					b.ByNumber(b.Number(f, org*3)).Rows.Add(1)
				}
			}
		})
	}
	wg.Wait()
	rows := b.Snapshot()
	if len(rows) != 1+len(ids)*orgs {
		t.Fatalf("%d accounts, want %d", len(rows), 1+len(ids)*orgs)
	}
	for i, r := range rows[1:] {
		if r.Calls != workers || r.Rows != workers {
			t.Fatalf("row %d: %+v", i, r)
		}
	}
}

func TestChangeWhileReading(t *testing.T) {
	b := feature.NewBoard()
	f := declare(t, b, "carbons", false, wait("carbons.wait"))
	d := b.Dial("carbons.wait")
	var seen atomic.Int64
	b.OnChange(func() { seen.Store(d.Int(2)) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.On(f, 2)
					if v := d.Int(2); v < 0 || v > 10000 {
						t.Errorf("torn value %d", v)
					}
				}
			}
		})
	}
	for i := range int64(1000) {
		if err := b.Set("carbons.wait", feature.Scope{Org: feature.Org(i % 5)}, i, 0); err != nil {
			t.Fatal(err)
		}
		if err := b.Set("carbons", feature.Scope{Org: 2}, i%2, 0); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if seen.Load() != d.Int(2) {
		t.Errorf("callback saw %d last, the dial is %d", seen.Load(), d.Int(2))
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "tls_listen", "plaintext", "trusted_proxies", "data"}
	for word, want := range map[string]string{
		"lisen": "listen", "tlslisten": "tls_listen", "plain_text": "plaintext", "dta": "data",
		"trusted_proxy": "trusted_proxies", "LISTEN": "", "nothing-like-it": "", "": "",
	} {
		if got := feature.Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestFeatures(t *testing.T) {
	b := feature.NewBoard()
	id := declare(t, b, "register", true, wait("register.wait"))
	list := b.Features()
	if len(list) != 3 || !list[0].Always || list[id].Name != "register" || !list[id].Off || len(list[id].Levers) != 1 {
		t.Errorf("%+v", list)
	}
	if got, ok := b.Lookup("register"); !ok || got != id {
		t.Errorf("lookup: %v %v", got, ok)
	}
	if _, ok := b.Lookup("registre"); ok {
		t.Error("found what is not there")
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	b := feature.NewBoard()
	f := declare(t, b, "carbons", false, wait("carbons.wait"))
	d := b.Dial("carbons.wait")
	if err := b.Set("carbons.wait", feature.Scope{Org: 1000}, 7, 0); err != nil {
		t.Fatal(err)
	}
	b.Account(f, 1000)
	var sp feature.Span
	if n := testing.AllocsPerRun(1000, func() {
		b.On(f, 1000)
		d.Int(1000)
		sp.Begin(b.ByNumber(b.Number(f, 1000)))
		sp.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOn(b *testing.B) {
	board := feature.NewBoard()
	f := declare(b, board, "carbons", false)
	for b.Loop() {
		board.On(f, 5)
	}
}

func BenchmarkDial(b *testing.B) {
	board := feature.NewBoard()
	declare(b, board, "carbons", false, wait("carbons.wait"))
	d := board.Dial("carbons.wait")
	for b.Loop() {
		d.Int(5)
	}
}

func BenchmarkAccount(b *testing.B) {
	board := feature.NewBoard()
	f := declare(b, board, "carbons", false)
	for b.Loop() {
		board.Account(f, 5).Statements.Add(1)
	}
}

func BenchmarkSpan(b *testing.B) {
	board := feature.NewBoard()
	a := board.Account(declare(b, board, "carbons", false), 5)
	var sp feature.Span
	for b.Loop() {
		sp.Begin(a)
		sp.End()
	}
}
