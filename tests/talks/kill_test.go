// Package talks has people talk to the organisation's bot on the real server,
// also while it is killed, and by the links of invitations.
package talks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/tests/house"
	"github.com/bearhug/bearhug/tests/mariadb"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m.Run)) }

// do does an operation of the running server.
func do(tb testing.TB, s *house.Server, op string, args, result any) error {
	tb.Helper()
	cfg, err := node.Load(node.Sources{Flags: map[string]string{"data": s.Data}})
	if err != nil {
		tb.Fatal(err)
	}
	return node.Do(house.Context(tb), cfg, false, ops.Request{Op: op, Args: args}, result)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

const (
	killPeople    = 50
	killQuestions = 15
	killTimes     = 12
)

// killFlow asks for numbers; the answer to each is another.
func killFlow() string {
	var b strings.Builder
	b.WriteString("flow: killing\nversion: 1\ntitle: {en: \"Numbers\"}\nlanguages: [en]\nsteps:\n" +
		"  - {id: who_reads, privacy: {en: \"A test reads your answers, with your name.\"}}\n")
	for i := 1; i <= killQuestions; i++ {
		fmt.Fprintf(&b, "  - {id: q%d, scale: {en: \"Question %d?\"}}\n", i, i)
	}
	b.WriteString("  - {id: thanks, end: {en: \"Thank you.\"}}\n")
	return b.String()
}

// right is what person i answers to question k.
func right(i, k int) int { return (7*i + 3*k + k*k) % 11 }

// A talker answers questions as they come, on whatever connection there is, and
// sends again what was not acknowledged, with the same origin-id.
type talker struct {
	tb     testing.TB
	server *house.Server
	config client.Config
	number int
	bot    jid.JID

	answered atomic.Int32 // the last question that was answered
	thanked  atomic.Bool
	rng      *rand.Rand
}

var asked = regexp.MustCompile(`Question (\d+)\?`)

func (p *talker) live(ctx context.Context) {
	var owed [][]byte
	for ctx.Err() == nil && !(p.thanked.Load() && len(owed) == 0) {
		sm := &client.Session{}
		dial, cancel := context.WithTimeout(ctx, house.Patience)
		c, err := client.Connect(dial, p.config, sm)
		cancel()
		if err != nil {
			rest(ctx, 10*time.Millisecond)
			continue
		}
		p.talk(ctx, c, owed)
		owed = nil
		for _, b := range sm.Unacked() {
			if strings.HasPrefix(string(b), "<message") {
				owed = append(owed, b)
			}
		}
		c.Cut()
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// talk sends what is owed, then answers until the connection breaks or all is
// said and acknowledged.
func (p *talker) talk(ctx context.Context, c *client.Client, owed [][]byte) {
	for _, b := range owed {
		if c.Send(b) != nil {
			return
		}
	}
	if c.Send([]byte("<presence/>")) != nil {
		return
	}
	for {
		if p.thanked.Load() {
			wait, cancel := context.WithTimeout(ctx, house.Patience)
			c.AwaitAcks(wait) // when it breaks, it is sent again
			cancel()
			return
		}
		it, err := c.Receive(ctx)
		if err != nil {
			return
		}
		s, err := it.Stanza()
		if err != nil || s.Kind != stanza.Message {
			continue
		}
		m := house.ReadMessage(s, c.JID())
		if m.From.Bare() != p.bot {
			continue
		}
		if strings.HasPrefix(m.Body, "Thank you.") {
			p.thanked.Store(true)
			continue
		}
		if !p.answer(ctx, c, m.Body) {
			return
		}
	}
}

// answer answers a question that was not answered before; false when the
// connection is broken.
func (p *talker) answer(ctx context.Context, c *client.Client, body string) bool {
	found := asked.FindStringSubmatch(body)
	if found == nil {
		return true
	}
	k, err := strconv.Atoi(found[1])
	if err != nil || k != int(p.answered.Load())+1 {
		return true // it came again
	}
	rest(ctx, time.Duration(p.rng.IntN(150))*time.Millisecond)
	p.answered.Store(int32(k)) // from here on it is in the session, to be sent again
	b := fmt.Sprintf("<message to='%s' type='chat' id='a%d'><body>%d</body><origin-id xmlns='urn:xmpp:sid:0' id='a%d'/></message>",
		p.bot, k, right(p.number, k), k)
	return c.Send([]byte(b)) == nil
}

// TestKillConversation kills the server while people answer: every answer is
// kept exactly once, and everybody has each question exactly once.
func TestKillConversation(t *testing.T) { killConversation(t, "") }

// TestKillConversationMariaDB is the same on MariaDB.
func TestKillConversationMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	ctx := house.Context(t)
	db, err := mariadb.Start(ctx, t.TempDir())
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("CI") == "" && os.Getenv("BEARHUG_TEST_MARIADB") == "" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := db.Create(ctx, "talks")
	must(t, err)
	killConversation(t, url)
}

func killConversation(t *testing.T, database string) {
	if testing.Short() {
		t.Skip("a long test")
	}
	var names []string
	for i := range killPeople {
		names = append(names, fmt.Sprintf("p%02d", i))
	}
	s := house.New(t, house.Options{People: names, Database: database, Flags: map[string]string{"c2s.plaintext": "true", "c2s.failures": "100000"}})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, n := range names {
		must(t, do(t, s, "talk.begin", node.TalkArgs{JID: s.JID(n).String(), Document: killFlow(), Language: "en"}, nil))
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*house.Patience)
	defer stop()
	var people []*talker
	var wait sync.WaitGroup
	for i, n := range names {
		p := &talker{tb: t, server: s, config: s.Config(n), number: i, bot: s.JID("bot"), rng: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		people = append(people, p)
		wait.Go(func() { p.live(ctx) })
	}
	kills := 0
	for ; kills < killTimes && !over(people); kills++ {
		rest(ctx, time.Duration(100+rng.IntN(500))*time.Millisecond)
		if err := s.Kill(); err != nil {
			t.Log(err)
		}
		must(t, s.Start())
	}
	wait.Wait()
	if !over(people) {
		t.Fatal("some conversations did not come to their end")
	}
	t.Logf("%d people, %d answers each, %d kills", killPeople, killQuestions, kills)
	if kills < 3 {
		t.Errorf("%d kills are too few to show anything", kills)
	}
	for i, n := range names {
		checkAnswers(t, s, i, n)
		checkArchive(t, s, n)
	}
}

func over(people []*talker) bool {
	return !slices.ContainsFunc(people, func(p *talker) bool { return !p.thanked.Load() })
}

func checkAnswers(t *testing.T, s *house.Server, i int, name string) {
	t.Helper()
	var list []node.AnswerLine
	must(t, do(t, s, "talk.answers", node.TalkArgs{JID: s.JID(name).String()}, &list))
	if len(list) != killQuestions {
		t.Errorf("%s: %d answers, want %d", name, len(list), killQuestions)
	}
	for _, a := range list {
		k, err := strconv.Atoi(strings.TrimPrefix(a.Question, "q"))
		if err != nil || a.Score == nil || *a.Score != right(i, k) || a.Edits != 0 || a.Skipped {
			t.Errorf("%s: %+v, want %d once", name, a, right(i, k))
		}
	}
}

// checkArchive reads a person's archive: each question and each answer once.
func checkArchive(t *testing.T, s *house.Server, name string) {
	t.Helper()
	c := s.Connect(name, nil)
	defer c.Cut()
	all, err := house.Archive(house.Context(t), c, 50)
	must(t, err)
	questions, answers, origins := map[string]int{}, map[string]int{}, map[string]int{}
	for _, m := range all {
		if m.From.Local() == "bot" {
			origins[m.Origin]++
			if q := asked.FindString(m.Body); q != "" {
				questions[q]++
			}
		} else {
			answers[m.Origin]++
		}
	}
	for k := 1; k <= killQuestions; k++ {
		if n := questions[fmt.Sprintf("Question %d?", k)]; n != 1 {
			t.Errorf("%s has question %d %d times", name, k, n)
		}
		if n := answers[fmt.Sprintf("a%d", k)]; n != 1 {
			t.Errorf("%s has answer %d %d times", name, k, n)
		}
	}
	for _, o := range slices.Sorted(maps.Keys(origins)) {
		if origins[o] != 1 || o == "" {
			t.Errorf("%s has the bot's message %q %d times", name, o, origins[o])
		}
	}
}
