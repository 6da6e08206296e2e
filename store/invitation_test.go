package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

// monday is when the tests of invitations take place.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// running makes a campaign that runs, with one wave of n people planned.
func running(t testing.TB, s *store.Store, org feature.Org, name string, n int) (campaign, wave int64) {
	t.Helper()
	ctx := context.Background()
	id, err := s.AddCampaign(ctx, &store.Campaign{Org: org, Name: name, Kind: "once", Settings: []byte("{}")}, monday)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.MoveCampaign(ctx, org, id, store.CampaignRunning, monday, store.CampaignDraft); err != nil {
		t.Fatal(err)
	}
	w := &store.Wave{Campaign: id, Wave: monday.UnixMicro(), State: store.WavePlanning, At: monday}
	if err := s.OpenWave(ctx, org, w); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < n || w.State == store.WavePlanning; {
		var rows []store.Invitation
		for len(rows) < store.PlanStep && at < n {
			at++
			rows = append(rows, store.Invitation{Campaign: id, Wave: w.Wave, Person: store.PersonID(at), Channel: store.ByEmail, State: store.Planned,
				Due: monday.Add(time.Duration(at) * time.Millisecond)})
		}
		next := store.WavePlanning
		if at == n {
			next = store.WaveOpen
		}
		if err := s.PlanWave(ctx, org, w, int64(at), next, rows); err != nil {
			t.Fatal(err)
		}
		w.Upto, w.State = int64(at), next
	}
	return id, w.Wave
}

func wantCounts(t testing.TB, s *store.Store, org feature.Org, campaign int64, want string) {
	t.Helper()
	counts, err := s.InvitationCounts(context.Background(), org, campaign)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for st := store.Planned; st <= store.Held; st++ {
		if counts[st] > 0 {
			got = append(got, fmt.Sprintf("%d %s", counts[st], st))
		}
	}
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("%s; want %s", text, want)
	}
}

func claim(t testing.TB, s *store.Store, org feature.Org, campaign int64, now time.Time, most int) []store.Invitation {
	t.Helper()
	list, err := s.ClaimInvitations(context.Background(), org, store.Claim{Campaign: campaign, Now: now, Until: now.Add(time.Minute), Most: most})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestInvitationLife walks through the states.
func TestInvitationLife(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, _ := running(t, s, org, "pulse", 10)
		now := monday.Add(5 * time.Millisecond)
		list := claim(t, s, org, id, now, 100)
		if len(list) != 5 || list[0].Person != 1 || list[4].Person != 5 || list[0].State != store.Claimed {
			t.Fatalf("claimed %+v", list)
		}
		now = monday.Add(time.Second)
		rest := claim(t, s, org, id, now, 3)
		if len(rest) != 3 || rest[0].Person != 6 {
			t.Fatalf("claimed %+v", rest)
		}
		record := func(hands []store.Hand, outcomes ...store.Outcome) []bool {
			t.Helper()
			ok, err := s.RecordInvitations(ctx, org, now, hands, outcomes)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		hand := func(v store.Invitation) store.Hand {
			return store.Hand{ID: v.ID, Lease: v.Lease, Until: now.Add(time.Minute)}
		}
		stranger := hand(list[3])
		stranger.Lease++
		// Two leases in one record, one of them not ours.
		if ok := record([]store.Hand{hand(list[0]), hand(rest[0]), stranger, hand(list[1])}); !ok[0] || !ok[1] || ok[2] || !ok[3] {
			t.Fatalf("handed %v", ok)
		}
		wantCounts(t, s, org, id, "2 planned, 5 claimed, 3 handed")
		out := func(v store.Invitation, st store.InvitationState, why string) store.Outcome {
			return store.Outcome{ID: v.ID, Lease: v.Lease, State: st, Why: why, Done: now}
		}
		record(nil, out(list[0], store.Accepted, ""), out(list[1], store.Failed, "550 5.1.1 no such user"), out(rest[0], store.Ambiguous, "no answer"),
			store.Outcome{ID: list[2].ID, Lease: list[2].Lease, State: store.Planned, Due: now.Add(time.Hour), Why: "451 later", Tried: true})
		wantCounts(t, s, org, id, "3 planned, 4 claimed, 1 accepted, 1 failed, 1 ambiguous")
		// An ambiguous one takes late news of its own lease only.
		record(nil, out(rest[0], store.Accepted, ""))
		wantCounts(t, s, org, id, "3 planned, 4 claimed, 2 accepted, 1 failed")
		record(nil, out(list[0], store.Failed, "too late"))
		wantCounts(t, s, org, id, "3 planned, 4 claimed, 2 accepted, 1 failed")
		rows, err := s.Invitations(ctx, org, list[0].ID, list[2].ID)
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		for _, v := range rows {
			if v.ID == list[2].ID && (v.Attempts != 1 || v.Why != "451 later" || !v.Due.Equal(now.Add(time.Hour)) || v.Lease != 0) {
				t.Errorf("%+v", v)
			}
			if v.ID == list[0].ID && (!v.Began.Equal(now) || !v.Handed.Equal(now) || !v.Due.Equal(store.Never)) {
				t.Errorf("%+v", v)
			}
		}
		// A pause takes back what was claimed: it is not handed any more.
		if err := s.MoveCampaign(ctx, org, id, store.CampaignPaused, now, store.CampaignRunning); err != nil {
			t.Fatal(err)
		}
		if ok := record([]store.Hand{hand(list[3])}); ok[0] {
			t.Error("handed in a pause")
		}
		if more := claim(t, s, org, id, now, 10); len(more) != 0 {
			t.Errorf("claimed %d in a pause", len(more))
		}
		if err := s.MoveCampaign(ctx, org, id, store.CampaignRunning, now, store.CampaignDraft); !errors.Is(err, store.ErrMoved) {
			t.Errorf("from a state that it is not in: %v", err)
		}
		// Another organisation sees none of it.
		other := mustOrg(t, s, "b.example")
		if rows, err := s.Invitations(ctx, other, list[0].ID); err != nil || len(rows) != 0 {
			t.Error(rows, err)
		}
	})
}

// TestExpire: who was claimed is planned again, who was handed by e-mail is
// ambiguous, in chat planned again.
func TestExpire(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, wave := running(t, s, org, "pulse", 3)
		next, _ := running(t, s, org, "chat", 0)
		w := &store.Wave{Campaign: next, Wave: wave + 1, State: store.WavePlanning, At: monday}
		if err := s.OpenWave(ctx, org, w); err != nil {
			t.Fatal(err)
		}
		if err := s.PlanWave(ctx, org, w, 9, store.WaveOpen, []store.Invitation{{Campaign: next, Wave: w.Wave, Person: 9, Channel: store.InChat,
			State: store.Planned, Due: monday}}); err != nil {
			t.Fatal(err)
		}
		now := monday.Add(time.Second)
		for _, c := range []int64{id, next} {
			list := claim(t, s, org, c, now, 2)
			if _, err := s.RecordInvitations(ctx, org, now, []store.Hand{{ID: list[0].ID, Lease: list[0].Lease, Until: now.Add(time.Minute)}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		expire := func(c int64, at time.Time, twice bool, planned, ambiguous int) {
			t.Helper()
			p, a, err := s.ExpireInvitations(ctx, org, c, at, twice)
			if err != nil || p != planned || a != ambiguous {
				t.Errorf("%d planned, %d ambiguous, %v", p, a, err)
			}
		}
		expire(id, now.Add(time.Second), false, 0, 0)
		expire(id, now.Add(2*time.Minute), false, 1, 1)
		expire(next, now.Add(2*time.Minute), false, 1, 0)
		wantCounts(t, s, org, id, "2 planned, 1 ambiguous")
		wantCounts(t, s, org, next, "1 planned")
		// A person decides.
		if n, err := s.TurnInvitations(ctx, org, store.Turn{Campaign: id, From: store.Ambiguous, To: store.Planned, Due: now, Why: "sent again by hand"}); err != nil || n != 1 {
			t.Error(n, err)
		}
		wantCounts(t, s, org, id, "3 planned")
		if _, err := s.TurnInvitations(ctx, org, store.Turn{Campaign: id, From: store.Handed, To: store.Planned}); err == nil {
			t.Error("what is on its way was turned")
		}
		if n, err := s.TurnInvitations(ctx, org, store.Turn{Campaign: id, From: store.Planned, To: store.Suppressed, At: now, Why: "stopped"}); err != nil || n != 3 {
			t.Error(n, err)
		}
		// With twice an e-mail goes again.
		id, _ = running(t, s, org, "twice", 1)
		list := claim(t, s, org, id, now, 1)
		if _, err := s.RecordInvitations(ctx, org, now, []store.Hand{{ID: list[0].ID, Lease: list[0].Lease, Until: now}}, nil); err != nil {
			t.Fatal(err)
		}
		expire(id, now.Add(time.Second), true, 1, 0)
	})
}

// TestClaimsAtOnce: what many claim and hand at the same time is claimed by one
// of them, within what the bucket has.
func TestClaimsAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, _ := running(t, s, org, "pulse", 1000)
		now := monday.Add(time.Hour)
		var mu sync.Mutex
		got, handed := map[int64]int{}, 0
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				for {
					list, err := s.ClaimInvitations(ctx, org, store.Claim{Campaign: id, Now: now, Until: now.Add(time.Minute), Most: 1 + rand.IntN(40),
						Spend: func(have store.Tokens, want int) (store.Tokens, int) {
							n := min(want, 700-int(have.Millionths))
							return store.Tokens{Millionths: have.Millionths + int64(n), At: now}, n
						}})
					if err != nil {
						t.Error(err)
						return
					}
					if len(list) == 0 {
						return
					}
					hands := make([]store.Hand, len(list))
					for i, v := range list {
						hands[i] = store.Hand{ID: v.ID, Lease: v.Lease, Until: now.Add(time.Minute)}
					}
					ok, err := s.RecordInvitations(ctx, org, now, hands, nil)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for i, v := range list {
						got[v.ID]++
						if ok[i] {
							handed++
						}
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(got) != 700 || handed != 700 {
			t.Errorf("%d claimed, %d handed, want 700", len(got), handed)
		}
		for v, n := range got {
			if n != 1 {
				t.Errorf("%d was claimed %d times", v, n)
			}
		}
		wantCounts(t, s, org, id, "300 planned, 700 handed")
	})
}

// TestPlansAtOnce: several planners, each chunk of people once.
func TestPlansAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, _ := running(t, s, org, "pulse", 0)
		if err := s.OpenWave(ctx, org, &store.Wave{Campaign: id, Wave: 7, State: store.WavePlanning, At: monday}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					w, err := s.PlanningWave(ctx, org, id)
					if err != nil {
						t.Error(err)
					}
					if err != nil || w == nil {
						return
					}
					rows := make([]store.Invitation, 0, 50)
					for p := w.Upto + 1; p <= w.Upto+50; p++ {
						rows = append(rows, store.Invitation{Campaign: id, Wave: 7, Person: store.PersonID(p), Channel: store.InChat, State: store.Planned, Due: monday})
					}
					next := store.WavePlanning
					if w.Upto+50 >= 1000 {
						next = store.WaveOpen
					}
					if err := s.PlanWave(ctx, org, w, w.Upto+50, next, rows); err != nil && !errors.Is(err, store.ErrMoved) {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		wantCounts(t, s, org, id, "1000 planned")
		waves, err := s.Waves(ctx, org, id, 0, 10)
		if err != nil || len(waves) != 2 || waves[0].People != 1000 || waves[0].State != store.WaveOpen {
			t.Errorf("%+v %v", waves, err)
		}
	})
}

// TestReminderRows: each accepted invitation has one reminder, whoever plans.
func TestReminderRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, wave := running(t, s, org, "pulse", 3)
		now := monday.Add(time.Second)
		list := claim(t, s, org, id, now, 3)
		for i := range list {
			if _, err := s.RecordInvitations(ctx, org, now, []store.Hand{{ID: list[i].ID, Lease: list[i].Lease, Until: now.Add(time.Minute)}}, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RecordInvitations(ctx, org, now, nil, []store.Outcome{{ID: list[i].ID, Lease: list[i].Lease, State: store.Accepted,
				Due: now.Add(time.Hour), Done: now}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AnswerInvitations(ctx, org, id, wave, list[0].Person, now); err != nil {
			t.Fatal(err)
		}
		if due, err := s.DueReminders(ctx, org, id, now, 10); err != nil || len(due) != 0 {
			t.Error(due, err)
		}
		due, err := s.DueReminders(ctx, org, id, now.Add(2*time.Hour), 10)
		if err != nil || len(due) != 2 {
			t.Fatal(due, err)
		}
		var plan []store.Reminder
		for _, v := range due {
			plan = append(plan, store.Reminder{Of: v.ID, Next: &store.Invitation{Campaign: id, Wave: wave, Person: v.Person, Step: 1, Channel: v.Channel,
				State: store.Planned, Due: now, Began: v.Began}})
		}
		if err := s.PlanReminders(ctx, org, plan); err != nil {
			t.Fatal(err)
		}
		if err := s.PlanReminders(ctx, org, plan); !errors.Is(err, store.ErrMoved) {
			t.Errorf("planned twice: %v", err)
		}
		wantCounts(t, s, org, id, "2 planned, 3 accepted")
		if err := s.EndInvitations(ctx, org, list[1].Person, 0, now, "left the organisation"); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, s, org, id, "1 planned, 3 accepted, 1 suppressed")
		counts, err := s.VariantCounts(ctx, org, id, now.Add(time.Hour))
		if err != nil || len(counts) != 1 || counts[0] != (store.VariantCount{Asked: 3, Answered: 1}) {
			t.Errorf("%+v %v", counts, err)
		}
		if err := s.InvitationBounced(ctx, org, list[2].ID, now, "550 no such user"); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, s, org, id, "1 planned, 2 accepted, 1 bounced, 1 suppressed")
		reasons, err := s.InvitationReasons(ctx, org, id, 10)
		if err != nil || len(reasons) != 4 {
			t.Errorf("%+v %v", reasons, err)
		}
	})
}

// TestInvitationPages: everybody who did not get it is listed once.
func TestInvitationPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, _ := running(t, s, org, "pulse", 600)
		if n, err := s.TurnInvitations(ctx, org, store.Turn{Campaign: id, From: store.Planned, To: store.Failed, At: monday, Why: strings.Repeat("ü", 400)}); err != nil || n != 600 {
			t.Fatal(n, err)
		}
		seen := map[store.PersonID]bool{}
		var at store.InvitationPage
		for {
			page, err := s.InvitationsOf(ctx, org, id, store.Failed, at, 70)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page {
				if seen[v.Person] || v.Why != strings.Repeat("ü", 250) {
					t.Fatalf("%d again, or %q", v.Person, v.Why)
				}
				seen[v.Person] = true
				at = store.InvitationPage{Due: v.Due, ID: v.ID}
			}
			if len(page) < 70 {
				break
			}
		}
		if len(seen) != 600 {
			t.Errorf("%d are listed", len(seen))
		}
	})
}

func TestSuppressions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org, other := mustOrg(t, s, "a.example"), mustOrg(t, s, "b.example")
		id, _ := running(t, s, org, "pulse", 2)
		sup := store.Suppression{Who: "joerg@example.net", Kind: store.SuppressedBounce, Why: "550", At: monday}
		if err := s.Suppress(ctx, org, sup, 1); err != nil {
			t.Fatal(err)
		}
		sup.Kind = store.SuppressedComplaint
		if err := s.Suppress(ctx, org, sup); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, s, org, id, "1 planned, 1 suppressed")
		found, err := s.Suppressed(ctx, org, []string{"a@b.c", sup.Who})
		if err != nil || len(found) != 1 || found[sup.Who].Kind != store.SuppressedComplaint || !found[sup.Who].At.Equal(monday) {
			t.Errorf("%+v %v", found, err)
		}
		if found, err := s.Suppressed(ctx, other, []string{sup.Who}); err != nil || len(found) != 0 {
			t.Errorf("another organisation: %+v %v", found, err)
		}
		if err := s.Unsuppress(ctx, org, sup.Who); err != nil {
			t.Fatal(err)
		}
		if err := s.Unsuppress(ctx, org, sup.Who); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		name := s.MessageName(org, 42)
		if o, n, err := s.ReadMessageName(name); err != nil || o != org || n != 42 {
			t.Error(o, n, err)
		}
		for _, bad := range []string{"", "x", name[:len(name)-1] + "g", strings.Replace(name, "2a", "2b", 1), name + "0", "u" + name[1:]} {
			if _, _, err := s.ReadMessageName(bad); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "a.example")
		id, _ := running(t, s, org, "pulse", 300)
		now := monday.Add(time.Hour)
		list := claim(t, s, org, id, now, 256)
		posts := make([]store.Posted, len(list))
		for i, v := range list {
			posts[i] = store.Posted{Letter: store.Letter{ID: v.ID, At: now, MessageID: "x", To: "y", Subject: fmt.Sprint(v.Person), Text: "t"}, Lease: v.Lease}
		}
		posts[7].Lease++
		if n, err := s.PostInvitations(ctx, org, posts); err != nil || n != 255 {
			t.Errorf("%d posted, %v", n, err)
		}
		if n, err := s.PostInvitations(ctx, org, posts); err != nil || n != 0 {
			t.Errorf("%d posted again, %v", n, err)
		}
		wantCounts(t, s, org, id, "44 planned, 1 claimed, 255 accepted")
		page, err := s.Outbox(ctx, org, 0, 100)
		if err != nil || len(page) != 100 || page[0].ID < page[99].ID {
			t.Fatal(len(page), err)
		}
		if n, err := s.ThinOutbox(ctx, org, 200); err != nil || n != 55 {
			t.Errorf("%d deleted, %v", n, err)
		}
	})
}
