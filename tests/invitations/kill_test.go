// Package invitations kills processes that send invitations, over and over,
// beside a mail server that misbehaves, and counts what became of each of them.
package invitations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearhug/bearhug/calendar"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/mail"
	"github.com/bearhug/bearhug/mail/mailtest"
	"github.com/bearhug/bearhug/outreach"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/mariadb"
)

// senderVar has this program be a sender: its job, as JSON.
const senderVar = "BEARHUG_TEST_SENDER"

func TestMain(m *testing.M) {
	if text := os.Getenv(senderVar); text != "" {
		if err := send(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// job is what a sender does.
type job struct {
	URL, Sink string
	Rate      int64
	Ahead     time.Duration // of the clock
	Finish    bool          // until nothing is due any more, then it ends in order
	Org       feature.Org
	Campaign  int64
}

// Times of a sender, short so that a test sees many leases run out.
const (
	lease   = 1500 * time.Millisecond
	timeout = 300 * time.Millisecond
	distant = 2 * time.Hour // from an invitation to its reminder
)

// send is a process that does nothing but outreach.
func send(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process: nobody outlives the test
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(3)
	}()
	board := feature.NewBoard()
	if err := outreach.Declare(board); err != nil {
		return err
	}
	if err := board.Set(outreach.DialRate, feature.Scope{}, j.Rate, 0); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{URL: j.URL, Board: board})
	if err != nil {
		return err
	}
	relay, err := mail.NewRelay(mail.RelayConfig{URL: j.Sink, Timeout: timeout, Helo: "localhost"})
	if err != nil {
		return err
	}
	now := func() time.Time { return time.Now().Add(j.Ahead) }
	e, err := outreach.New(outreach.Config{
		Store: s, Board: board, Relay: relay, Lease: lease, Retry: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond},
		Clock: outreach.Clock{Now: now, After: time.After},
		Organisation: func(context.Context, feature.Org) (*outreach.Organisation, error) {
			return &outreach.Organisation{Domain: "a.example", From: mail.Address{Mail: "hr@a.example"}, Language: "en", Web: "https://a.example"}, nil
		},
	})
	if err != nil {
		return err
	}
	if j.Finish {
		go func() {
			defer cancel()
			for quiet := 0; quiet < 5; time.Sleep(100 * time.Millisecond) {
				n, err := open(ctx, s, &j, now())
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				if quiet++; n > 0 {
					quiet = 0
				}
			}
		}()
	}
	return errors.Join(e.Run(ctx), s.Close())
}

// open is how many invitations are not settled.
func open(ctx context.Context, s *store.Store, j *job, now time.Time) (int, error) {
	counts, err := s.InvitationCounts(ctx, j.Org, j.Campaign)
	if err != nil {
		return 0, err
	}
	w, err := s.PlanningWave(ctx, j.Org, j.Campaign)
	if err != nil {
		return 0, err
	}
	due, err := s.DueReminders(ctx, j.Org, j.Campaign, now, 1)
	n := counts[store.Planned] + counts[store.Claimed] + counts[store.Handed] + len(due)
	if w != nil {
		n++
	}
	return n, err
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// kills of one configuration: a third of 60, or of BEARHUG_TEST_KILLS.
func kills(t *testing.T) int { return int(number(t, "BEARHUG_TEST_KILLS", 60)+2) / 3 }

// rig is a database with a campaign, a mail server, and senders.
type rig struct {
	t       *testing.T
	rng     *rand.Rand
	job     job
	people  int
	sink    *mailtest.Sink
	turns   atomic.Int64 // recipients that the sink was asked about
	faults  [9]atomic.Int64
	senders []*exec.Cmd
	pipes   []*os.File
}

func newRig(t *testing.T, url string, total int) *rig {
	t.Helper()
	seed := number(t, "BEARHUG_TEST_SEED", rand.Uint64())
	t.Logf("BEARHUG_TEST_SEED=%d", seed)
	r := &rig{t: t, rng: rand.New(rand.NewPCG(seed, 0)), people: 90 * total}
	r.sink = &mailtest.Sink{Light: true, Fault: func(to string, turn int) mailtest.Fault {
		r.turns.Add(1)
		// By the turn, so that another try may succeed.
		x := rand.New(rand.NewPCG(seed, uint64(turn))).IntN(50)
		if x < 1 || x > int(mailtest.Busy) {
			return mailtest.None
		}
		r.faults[x].Add(1)
		return mailtest.Fault(x)
	}}
	if err := r.sink.Start(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.sink.Close(); err != nil {
			t.Error(err)
		}
	})
	r.job = job{URL: url, Sink: r.sink.URL(), Rate: 300}
	r.prepare()
	return r
}

// with opens the store for a while.
func (r *rig) with(do func(context.Context, *store.Store) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := store.Open(ctx, store.Config{URL: r.job.URL})
	if err == nil {
		err = errors.Join(do(ctx, s), s.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// prepare makes people and a campaign that is launched.
func (r *rig) prepare() {
	r.t.Helper()
	r.with(func(ctx context.Context, s *store.Store) error {
		org, err := s.AddOrg(ctx, "a.example")
		if err != nil {
			return err
		}
		for i := range r.people {
			name := fmt.Sprintf("p%d", i)
			if _, err := s.AddPerson(ctx, org, store.Person{Ext: name, Name: name, Email: name + "@example.net"}); err != nil {
				return err
			}
		}
		now := time.Now()
		set := outreach.Settings{
			Schedule: calendar.Schedule{Kind: calendar.Once, Instant: true, Valid: 24 * 30, Reminders: []calendar.Distance{{Hours: int(distant / time.Hour)}},
				Start: calendar.Moment{Date: calendar.DateOf(now, time.UTC) - 1, Clock: 0}},
			Channels: []calendar.Channel{calendar.Email}, Language: "en", Texts: map[string]mail.Text{"en": {Subject: "How are you?", Text: "{{.link}}"}},
		}
		text, err := json.Marshal(set)
		if err != nil {
			return err
		}
		id, err := s.AddCampaign(ctx, &store.Campaign{Org: org, Name: "pulse", Kind: "once", Settings: text}, now)
		if err != nil {
			return err
		}
		r.job.Org, r.job.Campaign = org, id
		return s.MoveCampaign(ctx, org, id, store.CampaignScheduled, now, store.CampaignDraft)
	})
}

// sender starts one; its clock is somewhat ahead of the others', or behind.
func (r *rig) sender(j job) (*exec.Cmd, *os.File) {
	r.t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), senderVar+"="+string(text))
	cmd.Stderr = os.Stderr
	in, hold, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	_ = in.Close() // the child has it
	return cmd, hold
}

// start starts sender i.
func (r *rig) start(i int) {
	j := r.job
	if len(r.senders) > 1 {
		j.Ahead += time.Duration(r.rng.IntN(600)) * time.Second // nobody's clock is right
	}
	r.senders[i], r.pipes[i] = r.sender(j)
}

func (r *rig) kill(i int) {
	r.t.Helper()
	if err := r.senders[i].Process.Kill(); err != nil {
		r.t.Fatalf("it ended by itself: %v", err)
	}
	if err := r.senders[i].Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		r.t.Fatalf("it ended by itself: %v", err)
	}
	_ = r.pipes[i].Close()
}

// moment waits for a random point: soon after the start, or some messages later.
func (r *rig) moment() {
	if r.rng.IntN(4) == 0 {
		time.Sleep(time.Duration(r.rng.IntN(150)) * time.Millisecond)
		return
	}
	want := r.turns.Load() + 1 + r.rng.Int64N(120)
	for until := time.Now().Add(3 * time.Second); r.turns.Load() < want && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(r.rng.IntN(3000)) * time.Microsecond)
}

// torment kills senders total times, moves the clock on, and lets the last
// ones finish.
func (r *rig) torment(senders, total int) {
	r.senders, r.pipes = make([]*exec.Cmd, senders), make([]*os.File, senders)
	for i := range senders {
		r.start(i)
	}
	for k := range total {
		r.moment()
		i := r.rng.IntN(senders)
		r.kill(i)
		if k%5 == 4 {
			r.job.Ahead += time.Hour // the clock jumps
		}
		r.start(i)
	}
	for i := range senders {
		r.kill(i)
	}
	for range 3 {
		r.finish()
		r.job.Ahead += distant + time.Hour
	}
}

// finish lets one sender work until nothing is due any more.
func (r *rig) finish() {
	r.t.Helper()
	j := r.job
	j.Finish, j.Rate = true, 100_000
	cmd, hold := r.sender(j)
	defer hold.Close()
	if err := cmd.Wait(); err != nil {
		r.t.Fatal(err)
	}
}

// tally is what became of all invitations.
type tally struct {
	handed, accepted, failed, suppressed, ambiguous, taken int
	doubled, lost, unlisted, untrue                        int
	notes                                                  []string
}

func (c *tally) note(format string, args ...any) {
	if len(c.notes) < 20 {
		c.notes = append(c.notes, fmt.Sprintf(format, args...))
	}
}

// count compares the ledger with what the mail server took. again are those
// that a person has had sent again.
func (r *rig) count(again map[int64]bool) (c tally, ambiguous map[int64]bool) {
	r.t.Helper()
	ambiguous = map[int64]bool{}
	r.with(func(ctx context.Context, s *store.Store) error {
		taken := map[int64]int{}
		for id, n := range r.sink.Counts() {
			name, _, _ := strings.Cut(id, "@")
			org, inv, err := s.ReadMessageName(name)
			if err != nil || org != r.job.Org {
				return fmt.Errorf("the sink took %q: %w", id, err)
			}
			taken[inv] = n
			if c.taken += n; n > 1 && (n > 2 || !again[inv]) {
				c.doubled++
				c.note("%d was taken %d times", inv, n)
			}
		}
		steps := map[store.PersonID]int{}
		for st := store.Planned; st <= store.Held; st++ {
			list, err := all(ctx, s, &r.job, st)
			if err != nil {
				return err
			}
			for _, v := range list {
				if steps[v.Person]&(1<<v.Step) != 0 {
					c.note("person %d has step %d twice", v.Person, v.Step)
					c.doubled++
				}
				steps[v.Person] |= 1 << v.Step
				if !v.Handed.IsZero() {
					c.handed++
				}
				if st == store.Ambiguous {
					ambiguous[v.ID] = true
				}
				c.compare(&v, taken[v.ID], again[v.ID])
				delete(taken, v.ID)
			}
			if st == store.Accepted {
				for _, v := range list {
					if v.Step == 0 && v.Due.Before(store.Never) {
						c.lost++
						c.note("%d has no reminder", v.ID)
					}
				}
			}
		}
		people, _, err := s.People(ctx, r.job.Org, store.PeopleFilter{Everyone: true}, 0, 1<<20)
		for _, p := range people {
			if steps[p.ID]&1 == 0 {
				c.lost++
				c.note("person %d has no invitation", p.ID)
			}
		}
		if len(people) != r.people && err == nil {
			err = fmt.Errorf("%d people, not %d", len(people), r.people)
		}
		for id := range taken {
			c.unlisted++
			c.note("%d was taken and is in no list", id)
		}
		return err
	})
	return c, ambiguous
}

// all reads a list as a person would, page by page.
func all(ctx context.Context, s *store.Store, j *job, st store.InvitationState) (out []store.Invitation, err error) {
	var at store.InvitationPage
	for {
		page, err := s.InvitationsOf(ctx, j.Org, j.Campaign, st, at, 500)
		if err != nil || len(page) == 0 {
			return out, err
		}
		out = append(out, page...)
		last := &page[len(page)-1]
		at = store.InvitationPage{Due: last.Due, ID: last.ID}
	}
}

// compare holds a row to what the mail server knows.
func (c *tally) compare(v *store.Invitation, taken int, again bool) {
	switch v.State {
	case store.Accepted:
		if c.accepted++; taken == 0 {
			c.untrue++
			c.note("%d is accepted, and nobody took it", v.ID)
		}
	case store.Failed, store.Suppressed:
		if v.State == store.Failed {
			c.failed++
		} else {
			c.suppressed++
		}
		if v.Why == "" {
			c.untrue++
			c.note("%d is %s for no reason", v.ID, v.State)
		}
		if taken > 0 && !again {
			c.untrue++
			c.note("%d is %s (%s), and was taken", v.ID, v.State, v.Why)
		}
	case store.Ambiguous:
		c.ambiguous++
		if v.Why == "" {
			c.note("%d is ambiguous for no reason", v.ID)
			c.untrue++
		}
	default:
		c.lost++
		c.note("%d is %s for ever: due %v, lease until %v, %s", v.ID, v.State, v.Due, v.LeaseUntil, v.Why)
	}
}

func (r *rig) report(what string, kills int, c *tally) {
	r.t.Helper()
	var faults int64
	for i := range r.faults {
		faults += r.faults[i].Load()
	}
	r.t.Logf("%-22s %6s %7s %7s %9s %7s %11s %10s %7s %8s %5s", "configuration", "kills", "faults", "handed", "accepted", "failed", "suppressed", "ambiguous", "taken", "doubled", "lost")
	r.t.Logf("%-22s %6d %7d %7d %9d %7d %11d %10d %7d %8d %5d", what, kills, faults, c.handed, c.accepted, c.failed, c.suppressed, c.ambiguous, c.taken, c.doubled, c.lost)
	if c.doubled+c.lost+c.unlisted+c.untrue > 0 {
		r.t.Errorf("doubled %d, lost %d, unlisted %d, untrue %d:\n%s", c.doubled, c.lost, c.unlisted, c.untrue, strings.Join(c.notes, "\n"))
	}
}

// run is the test of one configuration.
func run(t *testing.T, what, url string, senders int) {
	t.Helper()
	t.Parallel() // they wait most of the time
	total := kills(t)
	r := newRig(t, url, total)
	r.torment(senders, total)
	c, ambiguous := r.count(nil)
	r.report(what, total+senders, &c)
	// A person has the ambiguous ones sent again: those, and no others, may
	// arrive twice.
	r.with(func(ctx context.Context, s *store.Store) error {
		now := time.Now().Add(r.job.Ahead)
		n, err := s.TurnInvitations(ctx, r.job.Org, store.Turn{Campaign: r.job.Campaign, From: store.Ambiguous, To: store.Planned, Due: now, Why: "sent again by hand"})
		if err != nil || n != len(ambiguous) {
			return fmt.Errorf("%d of %d were turned: %w", n, len(ambiguous), err)
		}
		if err := s.MoveCampaign(ctx, r.job.Org, r.job.Campaign, store.CampaignRunning, now, store.CampaignDone); !errors.Is(err, store.ErrMoved) {
			return err
		}
		return nil
	})
	for range 3 {
		r.finish()
		r.job.Ahead += distant + time.Hour
	}
	c, _ = r.count(ambiguous)
	r.report(what+", again", 0, &c)
}

func TestKillSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	run(t, "SQLite", "sqlite:"+filepath.Join(t.TempDir(), "bearhug.db"), 1)
}

// database is a MariaDB of the test's own.
func database(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a long test")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	srv, err := mariadb.Start(ctx, t.TempDir())
	if errors.Is(err, mariadb.ErrNotInstalled) && os.Getenv("CI") == "" && os.Getenv("BEARHUG_TEST_MARIADB") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := srv.Create(ctx, "invitations")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestKillMariaDB(t *testing.T) { run(t, "MariaDB", database(t), 1) }

// TestKillThree: three processes share the work through the store.
func TestKillThree(t *testing.T) { run(t, "MariaDB, 3 processes", database(t), 3) }
