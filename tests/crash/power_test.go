package crash

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/bearhug/bearhug/client"
	"github.com/bearhug/bearhug/db"
	"github.com/bearhug/bearhug/feature"
	"github.com/bearhug/bearhug/jid"
	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/stanza"
	"github.com/bearhug/bearhug/store"
	"github.com/bearhug/bearhug/tests/house"
)

const powerDomain = "power.test"

// running is a node in this process.
type running struct {
	*node.Node
	cfg *node.Config
}

func startNode(tb testing.TB, dir string) *running {
	tb.Helper()
	cfg, err := node.Load(node.Sources{Flags: map[string]string{
		"data": dir, "c2s.plaintext": "true", "c2s.listen": "127.0.0.1:0",
		"c2s.tls_listen": "", "http.listen": "", "http.tls_listen": "", "ops.listen": "",
	}})
	if err != nil {
		tb.Fatal(err)
	}
	n, err := node.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	if err := n.Start(house.Context(tb)); err != nil {
		tb.Fatal(err)
	}
	return &running{n, cfg}
}

func (n *running) stop(tb testing.TB) {
	tb.Helper()
	if err := n.Stop(house.Context(tb)); err != nil {
		tb.Error(err)
	}
}

func (n *running) do(tb testing.TB, r ops.Request) {
	tb.Helper()
	var out any
	if err := node.Do(house.Context(tb), n.cfg, false, r, &out); err != nil {
		tb.Fatal(err)
	}
}

// config is what one signs in with; Account is to be set.
func (n *running) config(keys *client.Keys) client.Config {
	return client.Config{Server: n.Addr("c2s").String(), Password: house.Password, Keys: keys}
}

// pictures is how many power cuts there are: 200, or BEARHUG_TEST_PICTURES.
func pictures(tb testing.TB) int {
	text := os.Getenv("BEARHUG_TEST_PICTURES")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("BEARHUG_TEST_PICTURES: %v", err)
	}
	return n
}

// film lets people write on a node whose disk is recorded, from the first byte
// of the database to its end.
func film(tb testing.TB, number uint64) (*disk, *crowd) {
	dir := tb.TempDir()
	d := record(tb, dir)
	n := startNode(tb, dir)
	n.do(tb, ops.Request{Op: "org.add", Args: node.Organisation{Domain: powerDomain}})
	for _, l := range locals() {
		n.do(tb, ops.Request{Op: "user.add", Args: node.User{JID: l + "@" + powerDomain, Password: house.Password}})
	}
	d.mark("accounts")
	c := &crowd{tb: tb, domain: powerDomain, seed: number, config: n.config(&client.Keys{}), pad: 4000}
	c.noted = func(m *message) { d.mark(m) }
	c.begin()
	for range 6 {
		c.reach(c.acked.Load() + 500)
		// The index of the archive is written behind, after seconds: not here.
		// It has the time that people take for so many messages, then they wait.
		flushed := make(chan error, 1)
		go func() { flushed <- n.Store.Flush(house.Context(tb)) }()
		enough := c.acked.Load() + 500
		c.await("messages meanwhile", func() bool { return len(flushed) > 0 || c.acked.Load() > enough })
		c.hush(true)
		if err := <-flushed; err != nil {
			tb.Fatal(err)
		}
		c.hush(false)
	}
	c.finish()
	n.stop(tb)
	return d, c
}

// places finds where it is most worth to cut: right behind each thing that
// somebody knew from then on, and in the writes of checkpoints.
func (d *disk) places() (marks, checkpoints []int) {
	for i := range d.ops {
		switch o := &d.ops[i]; {
		case o.kind == mark:
			marks = append(marks, i+1)
		case o.kind == write && o.file == "bearhug.db":
			checkpoints = append(checkpoints, i+1)
		}
	}
	return marks, checkpoints
}

// TestPowerCut opens the database as power cuts may leave it.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	total, number := pictures(t), seed(t)
	d, c := film(t, number)
	if len(c.faults) > 0 {
		t.Fatalf("faults: %q", c.faults)
	}
	marks, checkpoints := d.places()
	rng := rand.New(rand.NewPCG(number, 1))
	var sum powerTally
	for i := range total {
		at := rng.IntN(len(d.ops) + 1)
		switch i % 4 {
		case 0, 1:
			at = marks[rng.IntN(len(marks))]
		case 2:
			at = min(checkpoints[rng.IntN(len(checkpoints))]+rng.IntN(8), len(d.ops))
		}
		p := d.cut(at, rng)
		sum.develop(t, c, p, i%20 == 0)
		if t.Failed() {
			t.Logf("picture %d: cut behind op %d of %d; %d writes kept, %d dropped, %d torn", i, at, len(d.ops), p.kept, p.dropped, p.torn)
			break
		}
	}
	t.Logf("recorded: %d operations, %d MiB, %d messages", len(d.ops), d.bytes>>20, c.acked.Load())
	t.Logf("%8s %12s %12s %8s %8s %8s %14s %6s %8s %10s %8s", "cuts", "in check-", "started as", "writes", "writes", "writes",
		"acknowledged", "lost", "doubled", "reordered", "damaged")
	t.Logf("%8s %12s %12s %8s %8s %8s %14s %6s %8s %10s %8s", "", "points", "a server", "kept", "dropped", "torn", "(sum)", "", "", "", "")
	t.Logf("%8d %12d %12d %8d %8d %8d %14d %6d %8d %10d %8d", sum.cuts, sum.checkpoints, sum.servers, sum.kept, sum.dropped, sum.torn,
		sum.acked, sum.lost, sum.doubled, sum.reordered, sum.damaged)
}

type powerTally struct {
	cuts, checkpoints, servers, kept, dropped, torn int
	acked, lost, doubled, reordered, damaged        int
}

// develop opens one picture and compares it with what was acknowledged.
func (s *powerTally) develop(t *testing.T, c *crowd, p *picture, serve bool) {
	dir, err := os.MkdirTemp("", "bearhug-cut")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := p.develop(dir); err != nil {
		t.Fatal(err)
	}
	s.cuts++
	s.kept, s.dropped, s.torn = s.kept+p.kept, s.dropped+p.dropped, s.torn+p.torn
	if p.checkpoint {
		s.checkpoints++
	}
	var acked []*message
	accounts := false
	for _, n := range p.notes {
		if m, ok := n.(*message); ok {
			acked = append(acked, m)
		} else {
			accounts = true
		}
	}
	s.acked += len(acked)
	ctx := house.Context(t)
	file := filepath.Join(dir, "bearhug.db")
	st, err := store.Open(ctx, store.Config{URL: "sqlite:" + file})
	if err != nil {
		s.damaged++
		t.Errorf("the database does not open: %v", err)
		return
	}
	archives, err := readStore(ctx, st)
	if err != nil || accounts && archives == nil {
		t.Errorf("the archive cannot be read (accounts: %v): %v", archives != nil, err)
	}
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := db.Verify(ctx, file); err != nil {
		s.damaged++
		t.Error(err)
	}
	s.compare(t, acked, archives)
	if serve && accounts && !t.Failed() {
		s.servers++
		s.serve(t, dir, c, acked, archives)
	}
}

// readStore reads all archives; nil when the accounts are not all there.
func readStore(ctx context.Context, st *store.Store) (map[string][]house.Message, error) {
	orgs, err := st.Orgs(ctx)
	if err != nil || len(orgs) == 0 {
		return nil, err
	}
	ids, err := st.AccountIDs(ctx, orgs[0].ID, locals())
	if err != nil || len(ids) < len(locals()) {
		return nil, err
	}
	all := map[string][]house.Message{}
	for local, id := range ids {
		if all[local], err = readArchive(ctx, st, orgs[0].ID, id, jid.MustParse(local+"@"+powerDomain)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readArchive(ctx context.Context, st *store.Store, org feature.Org, owner store.AccountID, who jid.JID) (all []house.Message, err error) {
	var after store.ID
	for {
		rows, complete, err := st.Page(ctx, org, store.PageQuery{Owner: owner, After: after, Limit: 500, MAMOnly: true})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			s, err := stanza.Parse(r.Stanza)
			if err != nil {
				return nil, fmt.Errorf("row %s: %w", r.ID, err)
			}
			m := house.ReadMessage(s, who)
			m.ID = r.ID.String()
			all = append(all, m)
			after = r.ID
		}
		if complete {
			return all, nil
		}
	}
}

// compare checks that what was acknowledged is in both archives, that nothing
// is there twice, and that of each sender there is 1 to some number, in order.
func (s *powerTally) compare(t *testing.T, acked []*message, archives map[string][]house.Message) {
	t.Helper()
	times := map[string]map[string]int{}
	for owner, rows := range archives {
		times[owner] = map[string]int{}
		sent, last := 0, map[string]int{}
		for i := range rows {
			m := &rows[i]
			if times[owner][m.Origin]++; times[owner][m.Origin] > 1 {
				s.doubled++
				t.Errorf("%s is twice in the archive of %s", m.Origin, owner)
			}
			from, n := m.From.Local(), number(m)
			if n <= last[from] || from == owner && n != sent+1 {
				s.reordered++
				t.Errorf("archive of %s: number %d of %s stands behind %d", owner, n, from, last[from])
			}
			last[from] = n
			if from == owner {
				sent = n
			}
		}
	}
	for _, m := range acked {
		for _, owner := range []*person{m.from, m.to} {
			if times[owner.local][m.origin] == 0 {
				s.lost++
				t.Errorf("%s, acknowledged, is not in the archive of %s", m.origin, owner.local)
			}
		}
	}
}

// serve starts a server on the picture: someone sends the last of what she
// knows to be safe, and what she does not know of, once more, with the same
// origin-ids. All of it is then there once.
func (s *powerTally) serve(t *testing.T, dir string, c *crowd, acked []*message, archives map[string][]house.Message) {
	n := startNode(t, dir)
	defer n.stop(t)
	who := c.people[0]
	last := 0
	for _, m := range acked {
		if m.from == who {
			last = max(last, m.n)
		}
	}
	cfg := n.config(nil)
	cfg.Account = who.jid
	var sm client.Session
	ctx, cancel := context.WithTimeout(context.Background(), house.Patience)
	defer cancel()
	cl, err := client.Connect(ctx, cfg, &sm)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Cut()
	end := min(last+window+5, len(who.all))
	for _, m := range who.all[max(0, last-5):end] {
		if err := cl.Send(m.bytes()); err != nil {
			t.Error(err)
			return
		}
	}
	if err := cl.AwaitAcks(ctx); err != nil {
		t.Error(err)
		return
	}
	rows, err := house.Archive(ctx, cl, 200)
	if err != nil {
		t.Error(err)
		return
	}
	times := map[string]int{}
	for i := range rows {
		times[rows[i].Origin]++
	}
	for _, m := range who.all[:end] {
		if times[m.origin] != 1 {
			t.Errorf("sent again after the power cut: %s is %d times in the archive", m.origin, times[m.origin])
		}
	}
	if had := len(archives[who.local]); len(rows) < had {
		t.Errorf("the server finds %d messages, the store found %d", len(rows), had)
	}
}
