package xep_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestBlockingBytes: a list of long addresses is bounded too.
func TestBlockingBytes(t *testing.T) {
	h := newHouse(t)
	h.people("amy")
	amy := h.connect("amy/home")
	resource := strings.Repeat("r", 1000)
	block := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<item jid='a@b.example/%s%06d'/>", resource, from+i)
		}
		return "<block xmlns='urn:xmpp:blocking'>" + b.String() + "</block>"
	}
	for i := range 5 {
		amy.wantResult("set", "", block(200*i, 200), "")
	}
	amy.wantError("set", "", block(1000, 200), "policy-violation")
	amy.wantResult("set", "", block(0, 100), "") // those are there
	amy.wantResult("set", "", "<unblock xmlns='urn:xmpp:blocking'/>", "")
	amy.wantResult("set", "", block(1000, 200), "")
}
