package xep_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bearhug/bearhug/feature"
)

// TestPrivateBounds: an account cannot keep more and more private XML.
func TestPrivateBounds(t *testing.T) {
	h := newHouse(t)
	h.people("amy", "ben")
	amy := h.connect("amy/home")
	element := func(n int, inner string) string { return fmt.Sprintf("<a xmlns='urn:%d'>%s</a>", n, inner) }
	query := func(elements ...string) string {
		return "<query xmlns='jabber:iq:private'>" + strings.Join(elements, "") + "</query>"
	}
	check(t, h.host.Board.Set("private.items", feature.Scope{}, 2, 0))
	amy.wantResult("set", "", query(element(1, "one"), element(2, "two")), "")
	amy.wantError("set", "", query(element(3, "three")), "policy-violation")
	amy.wantError("set", "", query(element(1, "uno"), element(3, "three")), "policy-violation")
	amy.wantResult("get", "", query(element(1, "")), query(element(1, "one"))) // all or none
	amy.wantResult("set", "", query(element(1, "uno")), "")
	amy.wantResult("set", "", query("<a xmlns='urn:2'/>", element(3, "three")), "") // one is emptied
	amy.wantResult("get", "", query(element(2, "")), query("<a xmlns='urn:2'/>"))
	amy.wantResult("get", "", query(element(3, "")), query(element(3, "three")))
	h.connect("ben/den").wantResult("set", "", query(element(1, "x"), element(2, "x")), "") // has room of its own

	check(t, h.host.Board.Set("private.items", feature.Scope{}, 100, 0))
	check(t, h.host.Board.Set("private.total", feature.Scope{}, 2048, 0))
	kilo := strings.Repeat("x", 1000)
	amy.wantResult("set", "", query(element(1, kilo)), "")
	amy.wantError("set", "", query(element(2, kilo)), "policy-violation")
	amy.wantResult("set", "", query(element(1, "<b k='v'/>")), "")
	amy.wantResult("set", "", query(element(2, kilo)), "")
	amy.wantResult("set", "", query("<a xmlns='urn:4' k='v'/>"), "") // says something
	amy.wantResult("get", "", query(element(4, "")), query("<a xmlns='urn:4' k='v'/>"))
}
