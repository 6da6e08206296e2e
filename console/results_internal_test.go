package console

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// answered has people of teams answer a question of a campaign in wave 1.
func (b *bench) answered(campaign int64, anonymous bool, teams ...string) {
	b.t.Helper()
	ctx, org := context.Background(), b.orgs[alpha]
	h := &store.Heard{Org: org, Account: "anna", At: time.Now()}
	for i, team := range teams {
		p, err := b.s.AddPerson(ctx, org, store.Person{Ext: fmt.Sprint(campaign, "-", i), Team: team})
		b.ok(err)
		score := 6 + i%5
		a := store.Answer{Campaign: campaign, Wave: 1, Who: binary.BigEndian.AppendUint64(nil, uint64(p)), Question: "enps", Person: int64(p), Kind: "scale",
			Measure: "enps", Score: &score, Text: "because", At: time.Now()}
		if anonymous {
			a.Person, a.Who = 0, fmt.Appendf(nil, "pseudonym%07d", i)
		}
		h.Answers = append(h.Answers, a)
	}
	b.ok(b.s.SaveHeard(ctx, h))
}

func (b *bench) results(campaign int64, query string) (r Results) {
	b.t.Helper()
	w := b.do("GET", "/api/orgs/alpha.example/campaigns/"+id(campaign)+"/results?wave=1"+query, b.tokens["viewer "+alpha], "")
	if w.Code != 200 {
		b.t.Fatalf("%d %s", w.Code, w.Body)
	}
	b.ok(json.Unmarshal(w.Body.Bytes(), &r))
	return r
}

// Groups that are too small are hidden, and what was shown before does not help:
// two people who come later are not counted, neither alone nor in the sum.
func TestResults(t *testing.T) {
	b := newBench(t, storetest.Open(t))
	ctx, org := context.Background(), b.orgs[alpha]
	named, err := number(b.things["campaign "+alpha])
	b.ok(err)
	b.answered(named, false, "red", "red", "red", "red", "red", "red", "blue", "blue", "blue", "blue", "blue", "green", "green")
	check := func(want map[string]int) {
		t.Helper()
		r := b.results(named, "&by=team")
		if len(r.Questions) != 1 || len(r.Questions[0].Cells) != len(want) {
			t.Fatalf("%+v", r)
		}
		for _, c := range r.Questions[0].Cells {
			if c.People != want[c.Group] || c.Shown != (want[c.Group] > 0) || !c.Shown && (c.Why == "" || c.Mean != 0 || c.Counts != nil || c.ENPS != nil) || c.Shown && c.ENPS == nil {
				t.Errorf("%+v, want %d people", c, want[c.Group])
			}
		}
	}
	all := map[string]int{"": 13, "team=red": 6, "team=green": 0, "team=blue": 0} // with blue, green would be 13 - 6 - 5
	check(all)
	check(all)

	hr := b.tokens["hr "+alpha]
	w := b.do("GET", "/api/orgs/alpha.example/campaigns/"+id(named)+"/answers?wave=1", hr, "")
	if w.Code != 200 || strings.Count(w.Body.String(), "because") != 13 {
		t.Errorf("answers of a named campaign: %d %s", w.Code, w.Body)
	}
	if rows, err := b.s.AuditLog(ctx, org, store.AuditSearch{Action: "answer-list"}, 10); err != nil || len(rows) != 1 {
		t.Errorf("the view is not in the audit log: %+v, %v", rows, err)
	}

	secret, err := b.s.AddCampaign(ctx, &store.Campaign{Org: org, Name: "secret", Kind: "once", Anonymous: true, Weight: 1, Settings: []byte(`{}`)}, time.Now())
	b.ok(err)
	b.answered(secret, true, "red", "red", "red", "red")
	if r := b.results(secret, ""); r.Questions[0].Cells[0].Shown || !strings.Contains(r.Questions[0].Cells[0].Why, "minimum 5") {
		t.Errorf("four answers are shown: %+v", r)
	}
	for _, path := range []string{"/answers?wave=1", "/results?wave=1&by=team"} {
		if w := b.do("GET", "/api/orgs/alpha.example/campaigns/"+id(secret)+path, hr, ""); w.Code != 403 && w.Code != 422 {
			t.Errorf("%s of an anonymous campaign: %d %s", path, w.Code, w.Body)
		}
	}
}
