package feature_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/feature"
)

func levels() feature.Lever {
	return feature.Lever{Name: "presence", Doc: "a test", Values: []string{"full", "coarse", "off"}, Reach: feature.PerGroup,
		Saves: []feature.Saving{{Feature: "presence", Sent: true, Shares: []float64{0, 0.9, 1}}}}
}

func TestLevels(t *testing.T) {
	b := feature.NewBoard()
	id, err := b.DeclareLevels(levels(), wait("presence.window"))
	if err != nil {
		t.Fatal(err)
	}
	d := b.Dial("presence")
	if d.Max != 2 || d.Word(d.Int(1)) != "full" || d.Word(7) != "7" || d.Bool() || !b.On(id, 1) {
		t.Fatalf("%+v", d.Lever)
	}
	if v, ok := d.Uniform(); v != 0 || !ok {
		t.Error("all scopes are alike")
	}
	for _, at := range []feature.Scope{{}, {Org: 1}, {Org: 1, Group: 9}} {
		if _, own := d.In(at); own {
			t.Errorf("%v has no value of its own", at)
		}
	}
	set := func(at feature.Scope, v int64) {
		t.Helper()
		if err := b.Set("presence", at, v, 0); err != nil {
			t.Fatal(err)
		}
	}
	set(feature.Scope{Org: 1, Group: 9}, 2)
	set(feature.Scope{Org: 1}, 1)
	if d.Group(1, 9) != 2 || d.Group(1, 8) != 1 || d.Int(1) != 1 || d.Group(2, 9) != 0 || !b.On(id, 1) {
		t.Error("the narrower scope wins; a level is no switch")
	}
	if v, own := d.In(feature.Scope{Org: 1, Group: 9}); v != 2 || !own {
		t.Error("the group has its own")
	}
	if v, own := d.In(feature.Scope{Org: 1, Group: 8}); v != 1 || own {
		t.Error("the other group has its organisation's")
	}
	if _, ok := d.Uniform(); ok {
		t.Error("scopes differ")
	}
	if err := b.Reset("presence", feature.Scope{Org: 1, Group: 9}, 0); err != nil || d.Group(1, 9) != 1 {
		t.Errorf("reset: %v, %d", err, d.Group(1, 9))
	}
}

func TestReach(t *testing.T) {
	b := feature.NewBoard()
	one := wait("archive.wait")
	one.Reach = feature.ServerOnly
	declare(t, b, "archive", false, one, wait("archive.page"))
	for _, c := range []struct {
		name string
		at   feature.Scope
		says string
	}{
		{"archive.wait", feature.Scope{Org: 3}, "one value for the whole server"},
		{"archive.page", feature.Scope{Org: 3, Group: 4}, "one value for an organisation, not for a group"},
		{"archive.page", feature.Scope{Group: 4}, "a group belongs to an organisation"},
	} {
		err := b.Set(c.name, c.at, 5, 0)
		if !errors.Is(err, feature.ErrReach) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s for %+v: %v", c.name, c.at, err)
		}
		if err := b.Check(c.name, c.at, 5); !errors.Is(err, feature.ErrReach) {
			t.Errorf("check of %s: %v", c.name, err)
		}
	}
	if err := b.Check("archive.page", feature.Scope{Org: 3}, 5); err != nil || b.Dial("archive.page").Int(3) != 250 {
		t.Errorf("check sets nothing: %v", err)
	}
	if l, err := b.Lever("archive"); err != nil || !l.Bool() || l.Word(0) != "off" || l.Saves[0].Shares[0] != 1 {
		t.Errorf("switch: %+v %v", l, err)
	}
	if _, err := b.Lever("archiv"); !errors.Is(err, feature.ErrUnknown) {
		t.Error(err)
	}
}

func TestDeclareLevelErrors(t *testing.T) {
	for _, change := range []func(*feature.Lever){
		func(l *feature.Lever) { l.Values = nil },
		func(l *feature.Lever) { l.Values = []string{"full"} },
		func(l *feature.Lever) { l.Values[1] = "Coarse" },
		func(l *feature.Lever) { l.Default = 3 },
		func(l *feature.Lever) { l.Saves[0].Shares = []float64{1} },
	} {
		l := levels()
		change(&l)
		if _, err := feature.NewBoard().DeclareLevels(l); err == nil {
			t.Errorf("declared %+v", l)
		}
	}
}
