package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/store/storetest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// logNumber is an id of the log.
func logNumber(n int64) store.ID { return store.FromNumber(n) }

// beginTalk keeps a talk of a person in an anonymous campaign, or in a named one.
func beginTalk(t testing.TB, s *store.Store, org feature.Org, campaign, person int64, anonymous bool) *store.Talk {
	t.Helper()
	k := &store.Talk{Org: org, Account: fmt.Sprintf("p%d", person), Person: person, Campaign: campaign, Wave: 7, Anonymous: anonymous,
		Script: "hash", Touched: noon, About: []byte("{}")}
	k.Pseudonym = [16]byte{byte(campaign), byte(person), 9}
	kept, added, err := s.BeginTalk(context.Background(), k, []byte("flow: x"))
	if err != nil || !added {
		t.Fatal(added, err)
	}
	return kept
}

// TestHeard: a message is processed once, whoever tries and how often.
func TestHeard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "hug.example")
		k := beginTalk(t, s, org, 1, 5, false)
		score := 4
		turn := func(n int64, k store.Talk) *store.Heard {
			k.Phase, k.State, k.Answered = store.TalkOpen, []byte("{}"), 1
			return &store.Heard{Org: org, Account: k.Account, Message: logNumber(n), At: noon, Talks: []*store.Talk{&k},
				Answers: []store.Answer{{Campaign: 1, Wave: 7, Who: k.Who(), Question: "mood", Person: 5, Kind: "mood", Values: []string{"4"}, Score: &score, At: noon}},
				Says:    []store.Said{{Org: org, ID: n, Account: k.Account, At: noon, Words: store.Utterance{Text: "thanks"}}}}
		}
		var wait sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			wait.Go(func() { results[i] = s.SaveHeard(ctx, turn(100, *k)) })
		}
		wait.Wait()
		saved := 0
		for _, err := range results {
			switch {
			case err == nil:
				saved++
			case !errors.Is(err, store.ErrRepeated) && !errors.Is(err, store.ErrMoved):
				t.Error(err)
			}
		}
		if saved != 1 {
			t.Errorf("saved %d times", saved)
		}
		talks, heard, err := s.Talks(ctx, org, k.Account)
		if err != nil || heard != 100 || len(talks) != 1 || talks[0].Version != 2 || talks[0].Phase != store.TalkOpen {
			t.Fatalf("%+v %d %v", talks, heard, err)
		}
		for _, n := range []int64{100, 99} {
			if err := s.SaveHeard(ctx, turn(n, *talks[0])); !errors.Is(err, store.ErrRepeated) {
				t.Errorf("message %d again: %v", n, err)
			}
		}
		if err := s.SaveHeard(ctx, turn(101, *k)); !errors.Is(err, store.ErrMoved) {
			t.Errorf("a talk that has moved: %v", err)
		}
		answers, err := s.AnswersOf(ctx, org, 1, 7, k.Who())
		if err != nil || len(answers) != 1 || answers[0].Edits != 0 || *answers[0].Score != 4 || answers[0].Values[0] != "4" || answers[0].Sentiment != nil {
			t.Errorf("%+v %v", answers, err)
		}
		unsaid, err := s.Unsaid(ctx, org, 0, 0, 10)
		if err != nil || len(unsaid) != 1 || unsaid[0].Words.Text != "thanks" || unsaid[0].ID != 100 {
			t.Fatalf("%+v %v", unsaid, err)
		}
		if err := s.MarkSaid(ctx, unsaid); err != nil {
			t.Fatal(err)
		}
		if unsaid, err = s.Unsaid(ctx, org, 0, 0, 10); err != nil || len(unsaid) != 0 {
			t.Errorf("%+v %v", unsaid, err)
		}
		// An edit replaces the answer, and counts.
		score = 2
		if err := s.SaveHeard(ctx, turn(102, *talks[0])); err != nil {
			t.Fatal(err)
		}
		if answers, err = s.Answers(ctx, org, 1, 7, nil, 10); err != nil || len(answers) != 1 || *answers[0].Score != 2 || answers[0].Edits != 1 {
			t.Errorf("%+v %v", answers, err)
		}
	})
}

// TestAnonymousCase: a pseudonym alone stands in answers and cases, a coach
// reaches its person by it, and nobody does once the campaign has ended.
func TestAnonymousCase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "hug.example")
		k := beginTalk(t, s, org, 2, 6, true)
		other := beginTalk(t, s, org, 3, 6, true)
		if string(k.Who()) == string(other.Who()) || len(k.Who()) != 16 {
			t.Fatalf("pseudonyms %x %x", k.Who(), other.Who())
		}
		c := &store.Case{ID: s.NewID(), Campaign: 2, Wave: 7, Who: k.Who(), Class: 0, Reason: "danger", Facts: []byte("{}"), Due: noon.Add(time.Hour), Opened: noon,
			Changed: noon, Lines: []store.CaseLine{{ID: s.NewID(), Kind: store.LineFrom, At: noon, Text: strings.Repeat("ä", 20000)}}}
		for range 2 { // in doubt, done again
			if err := s.OpenCase(ctx, org, c); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.OpenCases(ctx, org, k.Who())
		if err != nil || len(list) != 1 || list[0].Account != "" || list[0].Person != 0 {
			t.Fatalf("%+v %v", list, err)
		}
		if err := s.AnswerCase(ctx, org, c.ID, "coach", "how are you?", noon); err != nil {
			t.Fatal(err)
		}
		unsaid, err := s.Unsaid(ctx, org, 0, 0, 10)
		if err != nil || len(unsaid) != 1 || unsaid[0].Account != "p6" || !unsaid[0].Words.Author {
			t.Fatalf("%+v %v", unsaid, err)
		}
		if back, err := s.Talk(ctx, org, k.ID); err != nil || back.Case != c.ID {
			t.Errorf("%+v %v", back, err)
		}
		lines, err := s.CaseLines(ctx, org, c.ID, 0, 10)
		if err != nil || len(lines) != 2 || lines[1].Author != "coach" || len(lines[0].Text) > 16<<10 {
			t.Errorf("%d lines, %v", len(lines), err)
		}
		got, err := s.Case(ctx, org, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		got.State, got.Owner, got.Changed = store.CaseTaken, "coach", noon
		stale := *got
		if err := s.ChangeCase(ctx, org, got); err != nil {
			t.Fatal(err)
		}
		if err := s.ChangeCase(ctx, org, &stale); !errors.Is(err, store.ErrMoved) {
			t.Errorf("a stale change: %v", err)
		}
		if n, err := s.Unlink(ctx, org, 2); err != nil || n != 1 {
			t.Errorf("unlinked %d, %v", n, err)
		}
		if err := s.AnswerCase(ctx, org, c.ID, "coach", "still there?", noon); !errors.Is(err, store.ErrUnlinked) {
			t.Errorf("after the end: %v", err)
		}
		if _, err := s.Talk(ctx, org, other.ID); err != nil {
			t.Errorf("another campaign's talk: %v", err)
		}
	})
}

// TestDevices: the first device is shown everything, a further one after a code.
func TestDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(testing.TB) *store.Store) {
		s, ctx := open(t), context.Background()
		org := mustOrg(t, s, "hug.example")
		k := beginTalk(t, s, org, 2, 6, false)
		token := []byte("0123456789abcdef")
		if err := s.AddLinks(ctx, org, []store.Link{{Kind: store.LinkTalk, Talk: k.ID, Email: "a@b.example", Expires: noon.Add(time.Hour)}}, [][]byte{token}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.LinkOf(ctx, []byte("0123456789abcdeF")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another token: %v", err)
		}
		link, err := s.LinkOf(ctx, token)
		if err != nil || link.Talk != k.ID || link.Org != org || link.Email != "a@b.example" {
			t.Fatalf("%+v %v", link, err)
		}
		for i := range 25 {
			d := &store.Device{Org: org, Link: link.ID, Talk: k.ID, Since: 55, Made: noon.Add(time.Duration(i) * time.Second), Expires: noon.Add(time.Hour)}
			if err := s.AddDevice(ctx, d, fmt.Appendf(nil, "cookie %d", i)); err != nil {
				t.Fatal(err)
			}
			if want := int64(55); i > 0 && d.Since != want || i == 0 && d.Since != 0 {
				t.Errorf("device %d: since %d", i, d.Since)
			}
		}
		if _, err := s.DeviceOf(ctx, []byte("cookie 0")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the oldest of too many: %v", err)
		}
		cookie := []byte("cookie 20")
		look := func() *store.Device {
			d, err := s.DeviceOf(ctx, cookie)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if right, err := s.TryCode(ctx, look(), "", noon, 5); right || err != nil {
			t.Errorf("no code was sent: %v %v", right, err)
		}
		if err := s.SetCode(ctx, look(), "123456", noon, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if right, err := s.TryCode(ctx, look(), "123456", noon.Add(time.Hour), 5); right || err != nil {
			t.Errorf("an old code: %v %v", right, err)
		}
		for range 4 {
			if right, err := s.TryCode(ctx, look(), "123457", noon, 5); right || err != nil {
				t.Errorf("a wrong code: %v %v", right, err)
			}
		}
		if _, err := s.TryCode(ctx, look(), "123456", noon, 5); !errors.Is(err, store.ErrTries) {
			t.Errorf("after too many: %v", err)
		}
		if err := s.SetCode(ctx, look(), "654321", noon, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if right, err := s.TryCode(ctx, look(), "654321", noon, 5); !right || err != nil || look().Since != 0 {
			t.Errorf("the code: %v %v", right, err)
		}
		if err := s.RevokeLinks(ctx, org, k.ID, noon); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeviceOf(ctx, cookie); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a device after the link was withdrawn: %v", err)
		}
		if link, err = s.LinkOf(ctx, token); err != nil || link.Revoked.IsZero() || link.Uses != 25 {
			t.Errorf("%+v %v", link, err)
		}
	})
}
